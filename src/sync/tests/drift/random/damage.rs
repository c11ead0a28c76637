//! What happens to one record while nobody is told, and what is to be told of it then.

use super::*;
use crate::sandbox::shopify::facts::{Customer, Product, ProductStatus};

/// What happened to one record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    /// A customer's name on the shop.
    ShopEdit,
    /// A partner's town.
    ErpEdit,
    /// Another field on each side.
    BothEdit,
    ShopDelete,
    ErpDelete,
    BothDelete,
    /// A second partner with a customer's e-mail.
    Twin,
    /// A partner is archived.
    Archive,
    /// A customer that was made on the shop.
    Lost,
    /// A product's title on the shop, its name in the ERP.
    Title,
    Name,
    ProductShopArchive,
    ProductErpArchive,
    /// One of two variants.
    VariantErpDelete,
    /// A stock level on the shop, and in the ERP.
    Counted,
    Stocked,
    /// An order that was booked is cancelled on the shop.
    Cancel,
    /// A price in the ERP: total and tax are others.
    Price,
    /// The order's own field, and a line's.
    Origin,
    LineText,
}

use self::Damage::{
    Archive, BothDelete, BothEdit, Cancel, Counted, ErpDelete, ErpEdit, LineText, Lost, Name, Origin, Price,
    ProductErpArchive, ProductShopArchive, ShopDelete, ShopEdit, Stocked, Title, Twin, VariantErpDelete,
};

pub(super) const ALL: [Damage; 20] = [
    ShopEdit,
    ErpEdit,
    BothEdit,
    ShopDelete,
    ErpDelete,
    BothDelete,
    Twin,
    Archive,
    Lost,
    Title,
    Name,
    ProductShopArchive,
    ProductErpArchive,
    VariantErpDelete,
    Counted,
    Stocked,
    Cancel,
    Price,
    Origin,
    LineText,
];

/// A finding that is to be told: of a record by its number on the shop, else by the ERP's.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) object: Object,
    pub(super) source: Option<u64>,
    pub(super) erp: Option<i64>,
    pub(super) class: DriftClass,
    pub(super) field: Option<String>,
    pub(super) fate: DriftFate,
}

/// The record that is damaged, and whether what the ERP changes goes to the shop.
pub(super) struct Place<'a> {
    pub(super) both: &'a Damaged,
    pub(super) number: usize,
    pub(super) out: bool,
}

type Finding<'f> = (DriftClass, Option<&'f str>, DriftFate);

fn of(object: Object, source: u64, findings: &[Finding<'_>]) -> Vec<Expected> {
    let findings = findings.iter();
    findings
        .map(|(class, field, fate)| Expected {
            object,
            source: Some(source),
            erp: None,
            class: *class,
            field: field.map(str::to_owned),
            fate: *fate,
        })
        .collect()
}

impl Place<'_> {
    /// What the ERP changed goes to the shop where that is switched on, and else stays.
    fn theirs(&self) -> DriftFate {
        if self.out {
            DriftFate::Repaired
        } else {
            DriftFate::LeftAlone
        }
    }

    pub(super) async fn apply(&self, damage: Damage) -> Vec<Expected> {
        match damage {
            ShopEdit | ErpEdit | BothEdit | ShopDelete | ErpDelete | BothDelete | Twin | Archive | Lost => {
                self.customer(damage).await
            }
            Title | Name | ProductShopArchive | ProductErpArchive | VariantErpDelete => {
                self.product(damage).await
            }
            Counted | Stocked => self.stock(damage).await,
            Cancel | Price | Origin | LineText => self.order(damage).await,
        }
    }

    async fn customer(&self, damage: Damage) -> Vec<Expected> {
        let (both, bench) = (self.both, &self.both.bench);
        let (id, partner) = both.customer(&format!("N{}", self.number)).await;
        both.later();
        let is = |class, field, fate| of(Object::Customer, id, &[(class, field, fate)]);
        let rename = || {
            let edit = |customer: &mut Customer| customer.last_name = Some("King".into());
            bench.shop.change(|shop| shop.edit_customer(id, edit)).unwrap();
        };
        let differs = DriftClass::FieldDiffers;
        match damage {
            ShopEdit => {
                rename();
                is(differs, Some("name"), DriftFate::Repaired)
            }
            ErpEdit => {
                both.write("res.partner", partner, json!({ "city": "Rome" }));
                is(differs, Some("city"), self.theirs())
            }
            BothEdit => {
                rename();
                both.write("res.partner", partner, json!({ "city": "Rome" }));
                let mut told = is(differs, Some("name"), DriftFate::Repaired);
                told.extend(is(differs, Some("city"), self.theirs()));
                told
            }
            ShopDelete => {
                bench.shop.change(|shop| shop.delete_customer(id)).unwrap();
                is(DriftClass::Deleted, None, DriftFate::NeedsPerson)
            }
            ErpDelete => {
                both.delete("res.partner", partner);
                is(DriftClass::GoneFromErp, None, DriftFate::Repaired)
            }
            BothDelete => {
                bench.shop.change(|shop| shop.delete_customer(id)).unwrap();
                both.delete("res.partner", partner);
                is(DriftClass::OrphanedLink, None, DriftFate::Repaired)
            }
            Twin => {
                let email = bench.erp.ledger().record("res.partner", partner).unwrap()["email"].clone();
                let values = json!({ "name": "Again", "email": email, "customer_rank": 1 });
                let twin = bench.made_in_the_erp("res.partner", values);
                let mut told = is(DriftClass::DuplicateInErp, None, DriftFate::NeedsPerson);
                (told[0].source, told[0].erp) = (None, Some(twin));
                told
            }
            Archive => {
                both.write("res.partner", partner, json!({ "active": false }));
                is(DriftClass::Archived, Some("active"), DriftFate::LeftAlone)
            }
            _ => {
                let new = bench.shop.change(|shop| {
                    let draft = CustomerDraft {
                        first_name: Some("Lost".into()),
                        email: Some(format!("lost{}@example.com", self.number)),
                        ..CustomerDraft::default()
                    };
                    shop.create_customer(draft).unwrap()
                });
                of(
                    Object::Customer,
                    new,
                    &[(DriftClass::MissingInErp, None, DriftFate::Repaired)],
                )
            }
        }
    }

    /// A product of two variants, on both sides.
    async fn mug(&self) -> (u64, Vec<u64>) {
        let (both, bench) = (self.both, &self.both.bench);
        let (id, variants) = bench.shop.change(|shop| {
            let number = self.number;
            let id = shop.create_product(ProductDraft {
                title: format!("Mug {number}"),
                options: vec!["Size".into()],
                variants: ["S", "M"]
                    .map(|size| VariantDraft {
                        available: 0,
                        ..VariantDraft::new(&[size], &format!("MUG-{number}-{size}"), decimal("15"))
                    })
                    .to_vec(),
                ..ProductDraft::default()
            });
            let variants = shop
                .product(id)
                .unwrap()
                .variants
                .iter()
                .map(|variant| variant.id);
            (id, variants.collect())
        });
        assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
        both.later();
        (id, variants)
    }

    async fn product(&self, damage: Damage) -> Vec<Expected> {
        let (both, bench) = (self.both, &self.both.bench);
        let (id, variants) = self.mug().await;
        let template = bench.link(LinkKind::Product, id).await.unwrap().erp_id.0;
        let variant = bench.link(LinkKind::Variant, variants[1]).await.unwrap().erp_id.0;
        let edit = |edit: &dyn Fn(&mut Product)| {
            bench
                .shop
                .change(|shop| shop.edit_product(id, |product| edit(product)))
                .unwrap();
        };
        let is = |class, field, fate| of(Object::Product, id, &[(class, field, fate)]);
        match damage {
            Title => {
                edit(&|product| product.title = "Cup".into());
                is(DriftClass::FieldDiffers, Some("name"), DriftFate::Repaired)
            }
            Name => {
                both.write("product.template", template, json!({ "name": "Cup" }));
                is(DriftClass::FieldDiffers, Some("name"), self.theirs())
            }
            ProductShopArchive => {
                edit(&|product| product.status = ProductStatus::Archived);
                let mut told = is(DriftClass::Archived, Some("active"), DriftFate::Repaired);
                told.extend(is(DriftClass::FieldDiffers, Some("sale_ok"), DriftFate::Repaired));
                told
            }
            ProductErpArchive => {
                both.write("product.template", template, json!({ "active": false }));
                let mut told = is(DriftClass::Archived, Some("active"), DriftFate::LeftAlone);
                if self.out {
                    told.extend(is(DriftClass::Archived, Some("status"), DriftFate::Repaired));
                }
                told
            }
            _ => {
                both.delete("product.product", variant);
                is(DriftClass::MissingInErp, Some("create"), DriftFate::Repaired)
            }
        }
    }

    async fn stock(&self, damage: Damage) -> Vec<Expected> {
        let bench = &self.both.bench;
        let (_, variants) = self.mug().await;
        let link = bench.link(LinkKind::Variant, variants[0]).await.unwrap();
        let place = bench.shop.read(crate::sandbox::shopify::Shop::main_location);
        if matches!(damage, Stocked) {
            bench.erp.set_stock(link.erp_id.0, None, 7).unwrap();
        } else {
            bench
                .shop
                .change(|shop| shop.set_level(variants[0], place, 5))
                .unwrap();
        }
        let field = format!("on_hand@{place}");
        let told = (DriftClass::StockDiffers, Some(&*field), DriftFate::Repaired);
        of(Object::Inventory, variants[0], &[told])
    }

    async fn order(&self, damage: Damage) -> Vec<Expected> {
        let (both, bench) = (self.both, &self.both.bench);
        let (_, variants) = self.mug().await;
        let (buyer, _) = both.customer(&format!("N{}", self.number)).await;
        let (id, name) = order(bench, everyday(Buyer::Customer(buyer), variants[0]));
        let is = |findings: &[Finding<'_>]| of(Object::Order, id, findings);
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
        both.later();
        let booked = bench.booked(&name);
        let line = booked.lines[0].id;
        let differs = |field| (DriftClass::FieldDiffers, Some(field), DriftFate::LeftAlone);
        let total = (DriftClass::TotalDiffers, Some("total"), DriftFate::NeedsPerson);
        let tax = (DriftClass::TaxDiffers, Some("tax"), DriftFate::NeedsPerson);
        match damage {
            Cancel => {
                bench
                    .shop
                    .change(|shop| shop.cancel_order(id, &Default::default()))
                    .unwrap();
                is(&[(DriftClass::Archived, Some("cancel"), DriftFate::Repaired)])
            }
            Price => {
                both.write("sale.order.line", line, json!({ "price_unit": 1 }));
                is(&[total, tax, differs("price_unit")])
            }
            Origin => {
                both.write("sale.order", booked.id, json!({ "origin": "by phone" }));
                is(&[differs("origin")])
            }
            _ => {
                both.write("sale.order.line", line, json!({ "name": "Something else" }));
                is(&[differs("name")])
            }
        }
    }
}
