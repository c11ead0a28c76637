//! Products and their variants.

use super::*;
use crate::sandbox::shopify::facts::{Product, ProductStatus};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    /// The title on the shop, the name in the ERP.
    Title,
    Name,
    ShopArchive,
    ErpArchive,
    ShopDelete,
    ErpDelete,
    BothDelete,
    /// A second product of the ERP with a variant's stock keeping unit.
    Twin,
    /// Made on the shop.
    Lost,
    /// The rows of its links are gone, and all records are there.
    LinkLost,
    /// One of two variants.
    VariantShopDelete,
    VariantErpDelete,
    VariantErpArchive,
    /// A third one, made on the shop.
    VariantLost,
    /// A third one, made in the ERP before anybody looked at what goes out.
    VariantErpMade,
    /// The extra price of a variant, which only the way out maps.
    ErpPrice,
}

use Kind::{
    BothDelete, ErpArchive, ErpDelete, ErpPrice, LinkLost, Lost, Name, ShopArchive, ShopDelete, Title, Twin,
    VariantErpArchive, VariantErpDelete, VariantErpMade, VariantLost, VariantShopDelete,
};

pub(super) const ALL: [Kind; 16] = [
    Title,
    Name,
    ShopArchive,
    ErpArchive,
    ShopDelete,
    ErpDelete,
    BothDelete,
    Twin,
    Lost,
    LinkLost,
    VariantShopDelete,
    VariantErpDelete,
    VariantErpArchive,
    VariantLost,
    VariantErpMade,
    ErpPrice,
];

const TEMPLATE: &str = "product.template";
const VARIANT: &str = "product.product";

/// The active variants of the ERP with this stock keeping unit.
fn of_sku(both: &Damaged, sku: &str) -> Vec<i64> {
    let variants = both.bench.erp.ledger().products().into_iter();
    let same = variants.filter(|one| one.active && one.sku.as_deref() == Some(sku));
    same.map(|one| one.id).collect()
}

fn status(both: &Damaged, product: u64) -> ProductStatus {
    both.bench.shop.read(|shop| shop.product(product).unwrap().status)
}

impl Place<'_> {
    /// A product of two variants on the shop.
    fn new_mug(&self) -> (u64, Vec<u64>) {
        self.both.bench.shop.change(|shop| {
            let number = self.number;
            let id = shop.create_product(ProductDraft {
                title: format!("Mug {number}"),
                options: vec!["Size".into()],
                variants: ["S", "M"].map(|size| self.mug_of(size)).to_vec(),
                ..ProductDraft::default()
            });
            let variants = shop.product(id).unwrap().variants.iter();
            (id, variants.map(|variant| variant.id).collect())
        })
    }

    fn mug_of(&self, size: &str) -> VariantDraft {
        VariantDraft {
            available: 0,
            ..VariantDraft::new(&[size], &self.sku(size), decimal("15"))
        }
    }

    fn sku(&self, size: &str) -> String {
        format!("MUG-{}-{size}", self.number)
    }

    /// The same on both sides.
    pub(super) async fn mug(&self) -> (u64, Vec<u64>) {
        let (id, variants) = self.new_mug();
        let (state, why) = self.both.bench.sync(Object::Product, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        self.both.later();
        (id, variants)
    }

    pub(super) async fn product(&self, kind: Kind) -> Hurt {
        let (both, bench) = (self.both, &self.both.bench);
        if kind == Lost {
            let (id, _) = self.new_mug();
            both.later();
            let sku = self.sku("M");
            let told = Expected::of(Object::Product, id, DriftClass::MissingInErp);
            return Hurt::new(vec![told], move |both| of_sku(both, &sku).len() == 1);
        }
        let (id, variants) = self.mug().await;
        let template = bench.link(LinkKind::Product, id).await.unwrap().erp_id.0;
        match kind {
            ErpPrice => self.price(id, template).await,
            VariantErpMade => self.made_in_the_erp(id, template),
            VariantShopDelete | VariantErpDelete | VariantErpArchive | VariantLost => {
                self.variant(kind, id, variants[1]).await
            }
            ShopDelete | ErpDelete | BothDelete | Twin | LinkLost => {
                self.presence(kind, (id, variants), template).await
            }
            _ => self.fields(kind, id, template),
        }
    }

    fn fields(&self, kind: Kind, id: u64, template: i64) -> Hurt {
        let (both, out, number) = (self.both, self.out, self.number);
        let of = |class| Expected::of(Object::Product, id, class);
        let edit = |edit: &dyn Fn(&mut Product)| {
            let shop = &both.bench.shop;
            shop.change(|shop| shop.edit_product(id, |product| edit(product)))
                .unwrap();
        };
        let is_called = move |both: &Damaged, here: &str, there: &str| {
            let title = both
                .bench
                .shop
                .read(|shop| shop.product(id).unwrap().title.clone());
            in_the_books(both, TEMPLATE, template).unwrap()["name"] == here && title == there
        };
        let is_away = move |both: &Damaged, there: ProductStatus| {
            in_the_books(both, TEMPLATE, template).unwrap()["active"] == false && status(both, id) == there
        };
        let mug = format!("Mug {number}");
        match kind {
            Title => {
                edit(&|product| product.title = "Cup".into());
                let told = of(DriftClass::FieldDiffers).field("name", "Cup", mug);
                Hurt::new(vec![told], move |both| is_called(both, "Cup", "Cup"))
            }
            Name => {
                both.write(TEMPLATE, template, json!({ "name": "Cup" }));
                let told = self.theirs(of(DriftClass::FieldDiffers).field("name", &mug, "Cup"));
                Hurt::new(vec![told], move |both| {
                    is_called(both, "Cup", if out { "Cup" } else { &mug })
                })
            }
            ShopArchive => {
                edit(&|product| product.status = ProductStatus::Archived);
                let told = vec![
                    of(DriftClass::Archived).field("active", false, true),
                    of(DriftClass::FieldDiffers).field("sale_ok", false, true),
                ];
                Hurt::new(told, move |both| is_away(both, ProductStatus::Archived))
            }
            _ => {
                both.write(TEMPLATE, template, json!({ "active": false }));
                let away = of(DriftClass::Archived).field("active", true, false);
                let mut told = vec![away.left("put_away_in_the_erp")];
                if out {
                    told.push(of(DriftClass::Archived).field("status", "ACTIVE", "ARCHIVED"));
                }
                let there = if out {
                    ProductStatus::Archived
                } else {
                    ProductStatus::Active
                };
                Hurt::new(told, move |both| is_away(both, there))
            }
        }
    }

    async fn presence(&self, kind: Kind, (id, variants): (u64, Vec<u64>), template: i64) -> Hurt {
        let (both, bench, out) = (self.both, &self.both.bench, self.out);
        let of = |class| Expected::of(Object::Product, id, class);
        let delete = || bench.shop.change(|shop| shop.delete_product(id)).unwrap();
        let own_name = format!("product_{id}");
        match kind {
            ShopDelete => {
                delete();
                Hurt::new(
                    vec![of(DriftClass::Deleted).asks("not_on_shopify_any_more")],
                    move |both| in_the_books(both, TEMPLATE, template).unwrap()["active"] == true,
                )
            }
            ErpDelete => {
                both.delete(TEMPLATE, template);
                let stands = move |both: &Damaged| {
                    let there = if out {
                        ProductStatus::Archived
                    } else {
                        ProductStatus::Active
                    };
                    named(both, &own_name).is_some() != out && status(both, id) == there
                };
                Hurt::new(vec![of(DriftClass::GoneFromErp)], stands).then(self.retired(Object::Product, id))
            }
            BothDelete => {
                delete();
                both.delete(TEMPLATE, template);
                let orphan = Expected {
                    why: Some("link_retired"),
                    ..of(DriftClass::OrphanedLink)
                };
                Hurt::new(vec![orphan], move |both| named(both, &own_name).is_none())
            }
            Twin => {
                let sku = self.sku("S");
                let values = json!({ "name": "Mug again", "type": "consu", "default_code": sku });
                let twin = bench.made_in_the_erp(VARIANT, values);
                let owner = bench.erp.ledger().products().into_iter();
                let owner = owner
                    .filter(|one| one.id == twin)
                    .map(|one| one.template_id)
                    .next();
                let told = Expected::twin(Object::Product, owner.unwrap(), template);
                Hurt::new(vec![told], move |both| of_sku(both, &sku).len() == 2)
            }
            _ => {
                bench.lose_links(LinkKind::Product, &[id]).await;
                bench.lose_links(LinkKind::Variant, &variants).await;
                let skus = ["S", "M"].map(|size| self.sku(size));
                Hurt::new(vec![of(DriftClass::MissingInErp)], move |both| {
                    named(both, &own_name) == Some(template)
                        && skus.iter().all(|sku| of_sku(both, sku).len() == 1)
                })
            }
        }
    }

    /// The extra price of the second of two variants, after a run knew what goes out.
    async fn price(&self, product: u64, template: i64) -> Hurt {
        let (both, bench, out) = (self.both, &self.both.bench, self.out);
        if out {
            let (state, why) = bench.send(Object::Product, template).await;
            assert_eq!(state, JobState::Completed, "{why:?}");
            let now = crate::domain::Clock::now(&SystemClock);
            let (place, at) = ("full:seen:product", "2020-01-01T00:00:00Z");
            let shop = main_shop();
            bench.store.set_cursor(&shop, place, at, now).await.unwrap();
        }
        let of = json!([[["product_tmpl_id", "=", template], ["name", "=", "M"]], ["name"]]);
        let model = "product.template.attribute.value";
        let values = bench.in_the_erp(model, "search_read", of);
        both.write(
            model,
            values[0]["id"].as_i64().unwrap(),
            json!({ "price_extra": 2 }),
        );
        let told = Expected::of(Object::Product, product, DriftClass::FieldDiffers).field("price", 15, 17);
        let wanted = decimal(if out { "17" } else { "15" });
        Hurt::new(out.then_some(told).into_iter().collect(), move |both| {
            both.bench
                .shop
                .read(|shop| shop.product(product).unwrap().variants[1].price == wanted)
        })
    }

    /// A third variant: what is older than the way out, and what nothing carries out, is told and left so.
    fn made_in_the_erp(&self, product: u64, template: i64) -> Hurt {
        super::super::super::sent::add_size(self.both, template);
        let rule = if self.out {
            "older_than_the_way_out"
        } else {
            "toggle_off"
        };
        let told = Expected::of(Object::Product, product, DriftClass::MissingOnShopify).left(rule);
        Hurt::new(vec![told], move |both| {
            both.bench
                .shop
                .read(|shop| shop.product(product).unwrap().variants.len() == 2)
        })
    }

    /// The second of two variants, or a third one.
    async fn variant(&self, kind: Kind, product: u64, second: u64) -> Hurt {
        let (both, bench) = (self.both, &self.both.bench);
        let of = |class| Expected::of(Object::Product, product, class);
        let theirs = bench.link(LinkKind::Variant, second).await.unwrap().erp_id.0;
        let active = move |both: &Damaged| in_the_books(both, VARIANT, theirs).unwrap()["active"] == true;
        match kind {
            VariantShopDelete => {
                bench.shop.change(|shop| shop.delete_variant(second)).unwrap();
                let told = of(DriftClass::Deleted).act("variants");
                let told = Expected {
                    theirs: Value::Is(second.to_string()),
                    ..told.left("variant_deleted_on_shopify")
                };
                let mut hurt = Hurt::new(vec![told], active);
                // Its product's job saw that: it is counted from then on.
                hurt.again.clear();
                hurt
            }
            VariantErpDelete => {
                both.delete(VARIANT, theirs);
                let sku = self.sku("M");
                let told = of(DriftClass::MissingInErp).act("create");
                // The job that is to make it asks: the ERP makes variants of its options alone, and these did not change.
                let asks = of(DriftClass::FieldDiffers).asks("erp_rejected");
                Hurt::new(vec![told], move |both| of_sku(both, &sku).is_empty()).then(Some(asks))
            }
            VariantErpArchive => {
                both.write(VARIANT, theirs, json!({ "active": false }));
                let told = of(DriftClass::Archived).field("active", true, false);
                Hurt::new(vec![told.left("put_away_in_the_erp")], move |both| {
                    let on_the_shop = both.bench.shop.read(|shop| shop.variant(second).is_some());
                    !active(both) && on_the_shop
                })
            }
            _ => {
                let third = self.mug_of("L");
                bench
                    .shop
                    .change(|shop| shop.add_variant(product, third).unwrap());
                let sku = self.sku("L");
                let told = of(DriftClass::MissingInErp).act("create");
                Hurt::new(vec![told], move |both| of_sku(both, &sku).len() == 1)
            }
        }
    }
}
