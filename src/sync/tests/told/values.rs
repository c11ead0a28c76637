//! What an order's fields were before and are after, for those who ask for values.

use super::super::edits::{added, edit, pending, removed};
use super::*;
use crate::domain::FieldValue;
use crate::sandbox::odoo::CustomField;
use crate::sandbox::shopify::draft::OrderPatch;

/// Carries the order over. Returns the fields that were told as changed with it, each with what it was and what it is.
async fn changed(bench: &Bench, id: u64) -> Vec<(String, String, String)> {
    bench.told.lock().unwrap().clear();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let told = bench.told.lock().unwrap();
    let happened = told.iter().flat_map(|(_, happened)| happened);
    let shown = |value: &Option<FieldValue>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
    happened
        .filter(|one| one.what.as_str() == "order.synced")
        .flat_map(|one| &one.changed)
        .map(|one| (one.field.clone(), shown(&one.old), shown(&one.new)))
        .collect()
}

fn fields(changed: &[(String, String, String)]) -> Vec<&str> {
    changed.iter().map(|(field, ..)| field.as_str()).collect()
}

/// What the first field was and is whose name ends like this.
fn of<'c>(changed: &'c [(String, String, String)], field: &str) -> (&'c str, &'c str) {
    let found = changed.iter().find(|(name, ..)| name.ends_with(field));
    let (_, old, new) = found.unwrap_or_else(|| panic!("{field} is not among {changed:?}"));
    (old, new)
}

fn patch(bench: &Bench, id: u64, patch: OrderPatch) {
    bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
}

#[tokio::test]
async fn a_confirmed_orders_fields_and_lines_are_told_with_what_they_were() {
    let options = OdooOptions {
        custom_fields: vec![CustomField::new("sale.order", "x_shopify_tags", "char")],
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::with(options, settings()).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    let made = changed(&bench, id).await;
    assert_eq!(of(&made, "order_line"), ("-", "-"));
    assert!(made.iter().all(|(_, old, _)| old == "-"), "it is new: {made:?}");
    assert_eq!(bench.booked(&name).state, "sale");

    for (note, tags) in [("Ring once", "new"), ("Ring twice", "packed")] {
        let note = Some(note.to_owned());
        patch(
            &bench,
            id,
            OrderPatch {
                note,
                ..OrderPatch::default()
            },
        );
        let noted = changed(&bench, id).await;
        let (was, is) = of(&noted, "note");
        assert_eq!(was.contains("Ring once"), is == "Ring twice", "{noted:?}");
        let tags = Some(vec![tags.to_owned()]);
        patch(
            &bench,
            id,
            OrderPatch {
                tags,
                ..OrderPatch::default()
            },
        );
        let tagged = changed(&bench, id).await;
        let (was, is) = of(&tagged, "x_shopify_tags");
        assert_eq!(was == "new", is == "packed", "{tagged:?}");
    }

    edit(&bench, id, &removed(0, 1));
    let edited = changed(&bench, id).await;
    assert_eq!(of(&edited, "].product_uom_qty"), ("3", "2"), "{edited:?}");
    assert!(fields(&edited).contains(&"order_line"));
    let prices = |changed: &[(String, String, String)]| {
        fields(changed)
            .iter()
            .filter(|field| field.ends_with("].price_unit"))
            .count()
    };
    assert_eq!(prices(&edited), 0, "it costs what it did");
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    let edited = changed(&bench, id).await;
    assert_eq!(of(&edited, "].product_uom_qty"), ("-", "1"), "{edited:?}");
    assert_eq!(prices(&edited), 1, "{edited:?}");
}

#[tokio::test]
async fn a_draft_that_is_written_anew_is_told_with_what_it_was() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    changed(&bench, id).await;
    assert_eq!(bench.booked(&name).lines.len(), 3);
    edit(&bench, id, &removed(0, 1));
    edit(&bench, id, &removed(1, 1));
    let anew = changed(&bench, id).await;
    let (was, is) = of(&anew, "partner_id");
    assert_eq!(was, is);
    let quantities: Vec<(&str, &str)> = anew
        .iter()
        .filter(|(field, ..)| field.ends_with("].product_uom_qty"))
        .map(|(_, old, new)| (old.as_str(), new.as_str()))
        .collect();
    assert_eq!(quantities, [("3", "2"), ("1", "(empty)")], "{anew:?}");
    assert!(fields(&anew).contains(&"order_line"));
}
