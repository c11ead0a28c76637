//! Random damage: from two sides in step, any edits, deletions, duplicates and lost webhooks on either side. Each is reported
//! with its class and field, what can be repaired is, and the next run finds nothing to do and writes nothing.

use proptest::prelude::*;

use super::*;

/// What happened to one record while nobody was told.
#[derive(Clone, Copy, Debug)]
enum Damage {
    ShopEdit,
    ErpEdit,
    /// Another field on each side.
    BothEdit,
    ShopDelete,
    ErpDelete,
    BothDelete,
    Twin,
    Archive,
    /// A record that was made on the shop.
    Lost,
    /// A product's title on the shop, its name in the ERP.
    Title,
    Name,
    /// An order that was booked is cancelled on the shop.
    Cancel,
}

use self::Damage::{
    Archive, BothDelete, BothEdit, Cancel, ErpDelete, ErpEdit, Lost, Name, ShopDelete, ShopEdit, Title, Twin,
};

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop::sample::select(vec![
        ShopEdit, ErpEdit, BothEdit, ShopDelete, ErpDelete, BothDelete, Twin, Archive, Lost, Title, Name,
        Cancel,
    ]);
    prop::collection::vec(one, 0..6)
}

/// A record, and what is to be told of it: by its number on the shop, else by the ERP's.
struct Expected {
    object: Object,
    source: Option<u64>,
    erp: Option<i64>,
    class: DriftClass,
    field: Option<&'static str>,
    fate: DriftFate,
}

async fn apply(both: &Damaged, place: usize, damage: Damage, out: bool) -> Vec<Expected> {
    let bench = &both.bench;
    let of = |object, source, class, field, fate| Expected {
        object,
        source: Some(source),
        erp: None,
        class,
        field,
        fate,
    };
    let customer = |source, class, field, fate| vec![of(Object::Customer, source, class, field, fate)];
    // What the ERP changed goes to the shop where that is switched on, and else stays.
    let theirs = if out {
        DriftFate::Repaired
    } else {
        DriftFate::LeftAlone
    };
    if matches!(damage, Title | Name) {
        let id = bench.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: format!("Mug {place}"),
                variants: vec![VariantDraft::new(&[], &format!("MUG-{place}"), decimal("15"))],
                ..ProductDraft::default()
            })
        });
        assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
        both.later();
        let fate = if matches!(damage, Title) {
            let edit = |product: &mut crate::sandbox::shopify::facts::Product| product.title = "Cup".into();
            bench.shop.change(|shop| shop.edit_product(id, edit)).unwrap();
            DriftFate::Repaired
        } else {
            let template = bench.link(LinkKind::Product, id).await.unwrap().erp_id.0;
            both.write("product.template", template, json!({ "name": "Cup" }));
            theirs
        };
        return vec![of(
            Object::Product,
            id,
            DriftClass::FieldDiffers,
            Some("name"),
            fate,
        )];
    }
    let (id, partner) = both.customer(&format!("N{place}")).await;
    if matches!(damage, Cancel) {
        let variant = bench.shop.change(|shop| {
            let product = shop.create_product(ProductDraft {
                title: format!("Jar {place}"),
                variants: vec![VariantDraft::new(&[], &format!("JAR-{place}"), decimal("15"))],
                ..ProductDraft::default()
            });
            shop.product(product).unwrap().variants[0].id
        });
        let (sold, _) = order(bench, everyday(Buyer::Customer(id), variant));
        assert_eq!(bench.sync(Object::Order, sold).await.0, JobState::Completed);
        both.later();
        bench
            .shop
            .change(|shop| shop.cancel_order(sold, &Default::default()))
            .unwrap();
        return vec![of(
            Object::Order,
            sold,
            DriftClass::Archived,
            Some("cancel"),
            DriftFate::Repaired,
        )];
    }
    both.later();
    let rename = || {
        let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
            customer.last_name = Some("King".into());
        };
        bench.shop.change(|shop| shop.edit_customer(id, edit)).unwrap();
    };
    let differs = DriftClass::FieldDiffers;
    match damage {
        ShopEdit => {
            rename();
            customer(id, differs, Some("name"), DriftFate::Repaired)
        }
        ErpEdit => {
            both.write("res.partner", partner, json!({ "city": "Rome" }));
            customer(id, differs, Some("city"), theirs)
        }
        BothEdit => {
            rename();
            both.write("res.partner", partner, json!({ "city": "Rome" }));
            let mut told = customer(id, differs, Some("name"), DriftFate::Repaired);
            told.extend(customer(id, differs, Some("city"), theirs));
            told
        }
        ShopDelete => {
            bench.shop.change(|shop| shop.delete_customer(id)).unwrap();
            customer(id, DriftClass::Deleted, None, DriftFate::NeedsPerson)
        }
        ErpDelete => {
            both.delete("res.partner", partner);
            customer(id, DriftClass::GoneFromErp, None, DriftFate::Repaired)
        }
        BothDelete => {
            bench.shop.change(|shop| shop.delete_customer(id)).unwrap();
            both.delete("res.partner", partner);
            customer(id, DriftClass::OrphanedLink, None, DriftFate::Repaired)
        }
        Twin => {
            let email = bench.erp.ledger().record("res.partner", partner).unwrap()["email"].clone();
            let values = json!({ "name": "Again", "email": email, "customer_rank": 1 });
            let twin = bench.made_in_the_erp("res.partner", values);
            let mut told = customer(id, DriftClass::DuplicateInErp, None, DriftFate::NeedsPerson);
            told[0].source = None;
            told[0].erp = Some(twin);
            told
        }
        Archive => {
            both.write("res.partner", partner, json!({ "active": false }));
            customer(id, DriftClass::Archived, Some("active"), DriftFate::LeftAlone)
        }
        Lost => {
            let new = bench.shop.change(|shop| {
                let draft = CustomerDraft {
                    first_name: Some("Lost".into()),
                    email: Some(format!("lost{place}@example.com")),
                    ..CustomerDraft::default()
                };
                shop.create_customer(draft).unwrap()
            });
            customer(new, DriftClass::MissingInErp, None, DriftFate::Repaired)
        }
        Title | Name | Cancel => Vec::new(),
    }
}

async fn run(damages: Vec<Damage>, out: bool) -> Result<(), TestCaseError> {
    let both = Damaged::new(out).await;
    both.customer("Stays").await;
    let mut expected = Vec::new();
    for (place, damage) in damages.iter().enumerate() {
        expected.extend(apply(&both, place, *damage, out).await);
    }
    let mut rows = both.repaired(Object::Customer).await;
    rows.extend(both.repaired(Object::Product).await);
    rows.extend(both.repaired(Object::Order).await);
    for one in &expected {
        let is_it = |row: &&DriftRow| {
            row.object == one.object
                && (one.source.is_none() || row.source_id.map(|id| id.0) == one.source)
                && (one.erp.is_none() || row.erp_id.map(|id| id.0) == one.erp)
                && row.class == one.class
                && row.field.as_deref() == one.field
        };
        let row = rows.iter().find(is_it);
        prop_assert_eq!(
            row.map(|row| row.fate),
            Some(one.fate),
            "{:?} of {:?}, out {}: {:?}",
            one.class,
            damages,
            out,
            rows
        );
    }
    prop_assert_eq!(
        rows.len(),
        expected.len(),
        "nothing else: {:?} of {:?}",
        rows,
        damages
    );
    for object in [Object::Customer, Object::Product, Object::Order] {
        both.is_quiet(object).await;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_damage_is_told_and_what_can_be_is_repaired(damages in damage(), out in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(damages, out))?;
    }
}
