//! Stock levels.

use super::*;
use crate::sandbox::shopify::Shop;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    /// On the shop.
    Counted,
    /// In the ERP.
    Stocked,
}

pub(super) const ALL: [Kind; 2] = [Kind::Counted, Kind::Stocked];

impl Place<'_> {
    pub(super) async fn stock(&self, kind: Kind) -> Hurt {
        let bench = &self.both.bench;
        let (_, variants) = self.mug().await;
        let variant = variants[0];
        let link = bench.link(LinkKind::Variant, variant).await.unwrap();
        let place = bench.shop.read(Shop::main_location);
        let (shown, has) = match kind {
            Kind::Stocked => {
                bench.erp.set_stock(link.erp_id.0, None, 7).unwrap();
                (0, 7)
            }
            Kind::Counted => {
                bench
                    .shop
                    .change(|shop| shop.set_level(variant, place, 5))
                    .unwrap();
                (5, 0)
            }
        };
        let told = Expected::of(Object::Inventory, variant, DriftClass::StockDiffers);
        let told = told.field(&format!("on_hand@{place}"), shown, has);
        Hurt::new(vec![told], move |both| {
            both.bench.shop.read(|shop| {
                let level = shop.level(variant, place);
                level.and_then(|level| level.quantity("on_hand")) == Some(has)
            })
        })
    }
}
