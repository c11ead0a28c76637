//! If something fails: what happens then, and what to do.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::session::Visitor;
use super::view::{Frame, page};
use crate::app::recovery::{Outage, OwnerLine, ShopRecovery, Step, recovery};

struct LengthView {
    title: &'static str,
    waits: String,
    then: Vec<String>,
}

struct OutageView {
    title: &'static str,
    happens: Vec<String>,
    lengths: Vec<LengthView>,
    steps: Vec<Step>,
}

struct OwnerView {
    owner: String,
    of: String,
    contact: String,
}

struct ShopView {
    name: String,
    measured: String,
    retries: String,
    never_lost: Vec<String>,
    outages: Vec<OutageView>,
    owners: Vec<OwnerView>,
}

#[derive(Template)]
#[template(path = "recovery.html", config = ".config/askama.toml")]
struct RecoveryPage {
    frame: Frame,
    shops: Vec<ShopView>,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    match console.recovery_page(&visitor).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn recovery_page(&self, visitor: &Visitor) -> Result<RecoveryPage, Refusal> {
        let mappings = self.mapping_files().await?;
        let config = Arc::clone(&self.api.config.borrow());
        let now = self.api.clock.now();
        let plan = recovery(&config, &mappings, &self.api.store, None, now).await?;
        Ok(RecoveryPage {
            frame: Frame::new("If something fails", "runs", Some(visitor)),
            shops: plan.shops.into_iter().map(shop_view).collect(),
        })
    }
}

fn shop_view(shop: ShopRecovery) -> ShopView {
    let outages = shop.outages;
    ShopView {
        name: shop.shop.to_string(),
        measured: shop.measured.in_words(),
        retries: shop.retries.in_words(),
        never_lost: shop.never_lost,
        outages: outages
            .into_iter()
            .map(|outage| outage_view(outage, &shop.time_zone))
            .collect(),
        owners: shop.owners.into_iter().map(owner_view).collect(),
    }
}

fn outage_view(outage: Outage, time_zone: &str) -> OutageView {
    let lengths = outage.lengths.into_iter();
    OutageView {
        title: outage.down.title(),
        happens: outage.happens,
        lengths: lengths
            .map(|after| LengthView {
                title: after.length.words(),
                waits: after.waiting.in_words(after.length, time_zone),
                then: after.then,
            })
            .collect(),
        steps: outage.to_do,
    }
}

fn owner_view(line: OwnerLine) -> OwnerView {
    OwnerView {
        owner: line.owner,
        of: line.of.join(", "),
        contact: if line.contact.is_empty() {
            "nowhere: alerts reach nobody".to_owned()
        } else {
            line.contact.join(", ")
        },
    }
}
