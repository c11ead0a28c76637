//! Customers and partners.

use super::*;
use crate::sandbox::shopify::facts::Customer;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    /// The name on the shop.
    ShopEdit,
    /// The town in the ERP.
    ErpEdit,
    /// Both.
    BothEdit,
    ShopDelete,
    ErpDelete,
    BothDelete,
    /// Merged into another one, on the shop and in the ERP.
    ShopMerge,
    ErpMerge,
    /// A second partner with the e-mail address.
    Twin,
    /// Archived in the ERP.
    Archive,
    /// Made on the shop.
    Lost,
    /// The row of the link is gone, and both records are there.
    LinkLost,
}

use Kind::{
    Archive, BothDelete, BothEdit, ErpDelete, ErpEdit, ErpMerge, LinkLost, Lost, ShopDelete, ShopEdit,
    ShopMerge, Twin,
};

pub(super) const ALL: [Kind; 12] = [
    ShopEdit, ErpEdit, BothEdit, ShopDelete, ErpDelete, BothDelete, ShopMerge, ErpMerge, Twin, Archive, Lost,
    LinkLost,
];

impl Place<'_> {
    pub(super) async fn customer(&self, kind: Kind) -> Hurt {
        let (both, bench) = (self.both, &self.both.bench);
        let first = format!("N{}", self.number);
        let (id, partner) = both.customer(&first).await;
        both.later();
        let of = |class| Expected::of(Object::Customer, id, class);
        let rename = || {
            let edit = |customer: &mut Customer| customer.last_name = Some("King".into());
            bench.shop.change(|shop| shop.edit_customer(id, edit)).unwrap();
        };
        let renamed =
            of(DriftClass::FieldDiffers).field("name", format!("{first} King"), format!("{first} Lovelace"));
        let moved = self.theirs(of(DriftClass::FieldDiffers).field("city", "Berlin", "Rome"));
        let out = self.out;
        let town = move |both: &Damaged| {
            let there = both.bench.shop.read(|shop| {
                let customer = shop.customer(id).unwrap();
                customer.address().unwrap().city.clone()
            });
            let here = in_the_books(both, "res.partner", partner).unwrap();
            here["city"] == "Rome" && there.as_deref() == Some(if out { "Rome" } else { "Berlin" })
        };
        let king = format!("{first} King");
        let name = move |both: &Damaged| in_the_books(both, "res.partner", partner).unwrap()["name"] == *king;
        let stays = move |both: &Damaged| in_the_books(both, "res.partner", partner).is_some();
        let own_name = format!("customer_{id}");
        match kind {
            ShopEdit => {
                rename();
                Hurt::new(vec![renamed], name)
            }
            ErpEdit => {
                both.write("res.partner", partner, json!({ "city": "Rome" }));
                Hurt::new(vec![moved], town)
            }
            BothEdit => {
                rename();
                both.write("res.partner", partner, json!({ "city": "Rome" }));
                Hurt::new(vec![renamed, moved], move |both| name(both) && town(both))
            }
            ShopDelete => {
                bench.shop.change(|shop| shop.delete_customer(id)).unwrap();
                Hurt::new(
                    vec![of(DriftClass::Deleted).asks("not_on_shopify_any_more")],
                    stays,
                )
            }
            ErpDelete => {
                both.delete("res.partner", partner);
                let stands = move |both: &Damaged| named(both, &own_name).is_some() != out;
                Hurt::new(vec![of(DriftClass::GoneFromErp)], stands).then(self.retired(Object::Customer, id))
            }
            BothDelete => {
                bench.shop.change(|shop| shop.delete_customer(id)).unwrap();
                both.delete("res.partner", partner);
                let orphan = Expected {
                    why: Some("link_retired"),
                    ..of(DriftClass::OrphanedLink)
                };
                Hurt::new(vec![orphan], move |both| named(both, &own_name).is_none())
            }
            ShopMerge => {
                let (kept, other) = both.customer(&format!("K{}", self.number)).await;
                bench.shop.change(|shop| shop.merge_customers(id, kept)).unwrap();
                Hurt::new(
                    vec![of(DriftClass::Deleted).asks("not_on_shopify_any_more")],
                    move |both| stays(both) && in_the_books(both, "res.partner", other).is_some(),
                )
            }
            ErpMerge => {
                let (_, other) = both.customer(&format!("K{}", self.number)).await;
                // The one that is kept takes over what leads to the other one, our name of it, too.
                both.delete("res.partner", partner);
                let name = json!([{
                    "module": "__lockstep_main__", "name": own_name, "model": "res.partner", "res_id": other,
                }]);
                bench.in_the_erp("ir.model.data", "create", name);
                let later = of(DriftClass::MissingInErp).left("link_retired");
                let stands = move |both: &Damaged| named(both, &own_name) == Some(other);
                Hurt::new(vec![of(DriftClass::GoneFromErp)], stands).then(Some(later))
            }
            Twin => {
                let email = in_the_books(both, "res.partner", partner).unwrap()["email"].clone();
                let values = json!({ "name": "Again", "email": email, "customer_rank": 1 });
                let twin = bench.made_in_the_erp("res.partner", values);
                let told = Expected::twin(Object::Customer, twin, partner);
                Hurt::new(vec![told], move |both| {
                    stays(both) && in_the_books(both, "res.partner", twin).is_some()
                })
            }
            Archive => {
                both.write("res.partner", partner, json!({ "active": false }));
                let told = of(DriftClass::Archived).field("active", true, false);
                Hurt::new(vec![told.left("put_away_in_the_erp")], move |both| {
                    in_the_books(both, "res.partner", partner).unwrap()["active"] == false
                })
            }
            Lost => {
                let new = bench.shop.change(|shop| {
                    let draft = CustomerDraft {
                        first_name: Some("Lost".into()),
                        email: Some(format!("lost{}@example.com", self.number)),
                        ..CustomerDraft::default()
                    };
                    shop.create_customer(draft).unwrap()
                });
                let told = Expected::of(Object::Customer, new, DriftClass::MissingInErp);
                let name = format!("customer_{new}");
                Hurt::new(vec![told], move |both| named(both, &name).is_some())
            }
            LinkLost => {
                bench.lose_links(LinkKind::Customer, &[id]).await;
                let email = format!("{}@example.com", first.to_lowercase());
                Hurt::new(vec![of(DriftClass::MissingInErp)], move |both| {
                    let partners = both.bench.erp.ledger().partners().into_iter();
                    let same = partners.filter(|one| one.email_normalized.as_ref() == Some(&email));
                    same.map(|one| one.id).collect::<Vec<_>>() == [partner]
                })
            }
        }
    }
}
