//! Drift of orders: sums, fields, lines, deletions, a second one of a number.

use super::*;
use crate::domain::ErpId;

#[tokio::test]
async fn a_second_order_of_a_number_is_a_twin_unless_it_is_another_shops() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (_, name) = booked(&both, 0, &buyer, variants[0]).await;
    let partner = both.bench.booked(&name).partner_id;
    let values = json!({ "partner_id": partner, "client_order_ref": name });
    let twins = [(); 2].map(|()| both.bench.made_in_the_erp("sale.order", values.clone()));
    let (_, rows) = both.run(Object::Order).await;
    let mut found: Vec<_> = rows.iter().map(|row| (row.class, row.erp_id)).collect();
    found.sort_unstable();
    let twin = |id| (DriftClass::DuplicateInErp, Some(ErpId(id)));
    assert_eq!(found, twins.map(twin));
    // One was booked for another shop, the other was entered by hand for that one.
    let named = json!([{
        "module": "__lockstep_paris__", "name": "order_1", "model": "sale.order", "res_id": twins[0],
    }]);
    both.bench.in_the_erp("ir.model.data", "create", named);
    let entered = crate::domain::Link {
        shop: "paris".parse().unwrap(),
        kind: LinkKind::Order,
        source_id: "2".to_owned(),
        model: "sale.order".to_owned(),
        erp_id: ErpId(twins[1]),
        erp_name: None,
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({ (crate::sync::BY_PERSON): { "name": "anna" } }),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    let group = crate::store::Adoption {
        records: Vec::new(),
        links: vec![entered],
    };
    let now = crate::domain::Clock::now(&SystemClock);
    both.bench.store.adopt_links(vec![group], now).await.unwrap();
    assert_eq!(both.is_quiet(Object::Order).await, []);
}

#[tokio::test]
async fn an_orders_total_that_was_changed_in_the_erp_needs_a_person_and_a_refund_is_no_alarm() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (id, name) = order(&both.bench, everyday(buyer.clone(), variants[0]));
    let (refunded, _) = order(&both.bench, everyday(buyer, variants[0]));
    for id in [id, refunded] {
        assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    }
    both.later();
    let draft = crate::sandbox::shopify::draft::RefundDraft::returned(0, 1);
    both.bench
        .shop
        .change(|shop| shop.refund_order(refunded, &draft))
        .unwrap();
    let rows = both.repaired(Object::Order).await;
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row.fate == DriftFate::Repaired),
        "the refund was lost, and is carried in: {rows:?}"
    );
    assert_eq!(both.is_quiet(Object::Order).await, []);

    let booked = both.bench.booked(&name);
    both.write("sale.order.line", booked.lines[0].id, json!({ "price_unit": 1 }));
    let now = both.bench.booked(&name);
    let (_, rows) = both.run(Object::Order).await;
    let classes: Vec<_> = rows.iter().map(|row| (row.class, row.fate)).collect();
    for class in [DriftClass::TotalDiffers, DriftClass::TaxDiffers] {
        assert!(classes.contains(&(class, DriftFate::NeedsPerson)), "{rows:?}");
    }
    let total = rows
        .iter()
        .find(|row| row.class == DriftClass::TotalDiffers)
        .unwrap();
    assert_eq!(
        total.shopify.as_deref(),
        Some(booked.amount_total.normalize().to_string().as_str())
    );
    assert_eq!(
        total.erp.as_deref(),
        Some(now.amount_total.normalize().to_string().as_str())
    );
    assert!(
        rows.iter().any(|row| row.field.as_deref() == Some("price_unit")),
        "and the line is named: {rows:?}"
    );
    // Nothing that comes later makes it the expected one: no lines changed, so nothing was compared.
    both.later();
    let patch = crate::sandbox::shopify::draft::OrderPatch {
        tags: Some(vec!["packed".into()]),
        ..Default::default()
    };
    both.bench
        .shop
        .change(|shop| shop.patch_order(id, patch))
        .unwrap();
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    let (_, rows) = both.run(Object::Order).await;
    for class in [DriftClass::TotalDiffers, DriftClass::TaxDiffers] {
        let still = rows.iter().find(|row| row.class == class);
        assert_eq!(
            still.map(|row| row.fate),
            Some(DriftFate::NeedsPerson),
            "{rows:?}"
        );
    }
}

/// An order of so many days ago, booked.
async fn booked(both: &Damaged, days_ago: i64, buyer: &Buyer, variant: u64) -> (u64, String) {
    both.moved.store(-days_ago * 24 * 3600, Ordering::SeqCst);
    let (id, name) = order(&both.bench, everyday(buyer.clone(), variant));
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    (id, name)
}

fn remove_order(both: &Damaged, id: u64) {
    both.bench.shop.change(|shop| {
        shop.close_order(id).unwrap();
        shop.delete_order(id).unwrap();
    });
}

#[tokio::test]
async fn deleted_orders_are_told_however_old_where_all_orders_are_shown() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    for days_ago in [70, 10] {
        let (id, _) = booked(&both, days_ago, &buyer, variants[0]).await;
        remove_order(&both, id);
    }
    both.moved.store(0, Ordering::SeqCst);
    let gone: Told<'_> = (DriftClass::Deleted, None, None, None, DriftFate::NeedsPerson);
    let dry = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Order, "test")
    };
    let (report, rows) = both.run_as(dry).await;
    assert_eq!(report.looked.on_shopify, 0);
    assert_eq!(
        told(&rows),
        [gone, gone],
        "nothing is listed, and nothing is hidden"
    );
    booked(&both, 0, &buyer, variants[0]).await;
    let (_, rows) = both.run(Object::Order).await;
    assert_eq!(told(&rows), [gone, gone], "older than all that is listed");
}

#[tokio::test]
async fn orders_that_shopify_hides_are_not_taken_for_deleted_and_are_checked_in_the_erp() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    both.moved.store(-80 * 24 * 3600, Ordering::SeqCst);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (_, changed) = booked(&both, 70, &buyer, variants[0]).await;
    let (_, cancelled) = booked(&both, 65, &buyer, variants[0]).await;
    let (lately, _) = booked(&both, 10, &buyer, variants[0]).await;
    both.moved.store(0, Ordering::SeqCst);
    both.bench.shop.change(|shop| {
        let all = crate::sandbox::shopify::options::ALL_SCOPES.iter().copied();
        let scopes: Vec<&str> = all.filter(|scope| *scope != "read_all_orders").collect();
        shop.grant_scopes(&scopes);
    });
    let (report, rows) = both.run(Object::Order).await;
    assert_eq!(rows, []);
    assert_eq!(report.of_fate(DriftFate::LeftAlone), 2);
    assert_eq!(report.looked.in_step, 3);

    let line = both.bench.booked(&changed).lines[0].id;
    both.write("sale.order.line", line, json!({ "price_unit": 1 }));
    let flag = json!({ "context": { "disable_cancel_warning": true } });
    let ids = json!([[both.bench.booked(&cancelled).id]]);
    both.bench
        .erp
        .as_admin("sale.order", "action_cancel", ids, flag)
        .unwrap();
    remove_order(&both, lately);
    let (report, rows) = both.run(Object::Order).await;
    assert_eq!(
        report.looked.on_shopify, 0,
        "the only one that was shown is deleted"
    );
    let mut classes: Vec<_> = rows.iter().map(|row| (row.class, row.fate)).collect();
    classes.sort_unstable();
    let mut expected = [
        (DriftClass::TotalDiffers, DriftFate::NeedsPerson),
        (DriftClass::TaxDiffers, DriftFate::NeedsPerson),
        (DriftClass::Archived, DriftFate::LeftAlone),
    ];
    expected.sort_unstable();
    assert_eq!(classes, expected, "{rows:?}");
    // Once another one is shown, what is younger than sixty days and is not is gone.
    booked(&both, 0, &buyer, variants[0]).await;
    let (_, rows) = both.run(Object::Order).await;
    let gone = rows.iter().find(|row| row.class == DriftClass::Deleted).unwrap();
    assert_eq!(
        (gone.source_id, gone.fate),
        (Some(ShopifyId(lately)), DriftFate::NeedsPerson)
    );
}

#[tokio::test]
async fn an_order_that_is_cancelled_on_one_side_only_is_told() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (id, name) = order(&both.bench, everyday(buyer, variants[0]));
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    both.later();
    both.bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
    let archived = [(DriftClass::Archived, DriftFate::Repaired)];
    let classes = |rows: &[DriftRow]| -> Vec<_> { rows.iter().map(|row| (row.class, row.fate)).collect() };
    assert_eq!(classes(&both.repaired(Object::Order).await), archived);
    assert_eq!(both.bench.booked(&name).state, "cancel");
    assert_eq!(both.is_quiet(Object::Order).await, []);
    // Somebody takes it up again in the ERP: nothing changes on the shop, and it is seen all the same.
    let booked = both.bench.booked(&name).id;
    both.bench
        .in_the_erp("sale.order", "action_draft", json!([[booked]]));
    assert_eq!(classes(&both.repaired(Object::Order).await), archived);
    assert_eq!(both.bench.booked(&name).state, "cancel");
}

/// An order of two lines that pay the same tax, booked; with its number in the ERP.
pub(super) async fn of_two_lines(both: &Damaged) -> (u64, OrderView) {
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let mut draft = everyday(buyer, variants[0]);
    draft.lines.push(LineDraft::variant(variants[1], 3));
    let (id, name) = order(&both.bench, draft);
    let (state, why) = both.bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    (id, both.bench.booked(&name))
}

fn number(amount: Decimal) -> serde_json::Value {
    serde_json::from_str(&amount.to_string()).unwrap()
}

pub(super) fn fields(rows: &[DriftRow]) -> Vec<(Option<&str>, DriftFate)> {
    let mut found: Vec<_> = rows.iter().map(|row| (row.field.as_deref(), row.fate)).collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn fields_of_an_order_and_its_lines_that_moved_in_the_erp_are_told_though_its_total_is_right() {
    let both = Damaged::new(false).await;
    let (id, booked) = of_two_lines(&both).await;
    assert_eq!(both.is_quiet(Object::Order).await, []);
    let (report, _) = both.run(Object::Order).await;
    assert_eq!(
        (report.looked.compared, report.looked.unnoted),
        (0, 0),
        "{report:?}"
    );
    let line = |place: usize| booked.lines[place].id;
    let price = |place: usize| booked.lines[place].price_unit;
    both.write("sale.order", booked.id, json!({ "origin": "somewhere else" }));
    both.write(
        "sale.order.line",
        line(0),
        json!({ "price_unit": number(price(0) + decimal("0.5")) }),
    );
    both.write(
        "sale.order.line",
        line(1),
        json!({ "price_unit": number(price(1) - decimal("0.5")), "name": "Trousers" }),
    );
    let name = both.bench.shop.read(|shop| shop.order(id).unwrap().name.clone());
    assert_eq!(
        both.bench.booked(&name).amount_total,
        booked.amount_total,
        "the total stays"
    );
    let (report, rows) = both.run(Object::Order).await;
    // A cent of the tax may move with the prices.
    let rows: Vec<DriftRow> = rows
        .into_iter()
        .filter(|row| row.class != DriftClass::TaxDiffers)
        .collect();
    let left = |field| (Some(field), DriftFate::LeftAlone);
    assert_eq!(
        fields(&rows),
        [
            left("name"),
            left("origin"),
            left("price_unit"),
            left("price_unit")
        ],
        "{rows:?}"
    );
    assert!(rows.iter().all(|row| row.class == DriftClass::FieldDiffers));
    let origin = rows
        .iter()
        .find(|row| row.field.as_deref() == Some("origin"))
        .unwrap();
    assert_eq!(
        (origin.shopify.as_deref(), origin.erp.as_deref()),
        (Some(&*name), Some("somewhere else"))
    );
    let counted = both
        .bench
        .store
        .corrections(Timestamp::from_millis(0))
        .await
        .unwrap();
    assert_eq!(
        report.looked.corrections, 4,
        "each is a person's value: {counted:?} of {rows:?}"
    );
    assert_eq!(
        both.run(Object::Order).await.0.looked.corrections,
        0,
        "and counts once"
    );
}

#[tokio::test]
async fn a_rebate_and_a_line_that_people_put_on_an_order_are_named_beside_its_total() {
    let both = Damaged::new(false).await;
    let (_, booked) = of_two_lines(&both).await;
    both.write("sale.order.line", booked.lines[0].id, json!({ "discount": 10 }));
    let product = booked.lines[1].product_id.unwrap();
    let values =
        json!({ "order_id": booked.id, "product_id": product, "product_uom_qty": 1, "price_unit": 5 });
    both.bench.made_in_the_erp("sale.order.line", values);
    let (_, rows) = both.run(Object::Order).await;
    let named = fields(&rows);
    for field in ["discount", "order_line"] {
        assert!(
            named.contains(&(Some(field), DriftFate::LeftAlone)),
            "{field}: {rows:?}"
        );
    }
    assert!(
        named.contains(&(Some("total"), DriftFate::NeedsPerson)),
        "{rows:?}"
    );
}

#[tokio::test]
async fn what_was_damaged_before_an_orders_fields_were_remembered_is_told_by_every_run() {
    let both = Damaged::new(false).await;
    let (id, booked) = of_two_lines(&both).await;
    let forget = |mut link: crate::domain::Link| {
        link.agreed.as_object_mut().unwrap().remove("fields").unwrap();
        link
    };
    let link = both.bench.link(LinkKind::Order, id).await.unwrap();
    both.bench.relink(forget(link)).await;
    both.write("sale.order", booked.id, json!({ "origin": "somewhere else" }));
    let (report, rows) = both.run(Object::Order).await;
    assert_eq!(report.looked.compared, 1);
    assert_eq!(fields(&rows), [(Some("origin"), DriftFate::LeftAlone)]);
    both.bench.drain().await;
    let link = both.bench.link(LinkKind::Order, id).await.unwrap();
    assert!(
        link.agreed["fields"]["own"]["origin"].is_string(),
        "{}",
        link.agreed
    );
    // Its job did not agree on the damage.
    let (_, rows) = both.run(Object::Order).await;
    assert_eq!(fields(&rows), [(Some("origin"), DriftFate::LeftAlone)]);
    // What was told with this value is counted without reading the order again; what moves later is told beside it.
    let (report, rows) = both.run(Object::Order).await;
    assert_eq!((report.looked.compared, rows), (0, Vec::new()));
    assert_eq!(report.of_fate(DriftFate::LeftAlone), 1);
    both.write(
        "sale.order.line",
        booked.lines[0].id,
        json!({ "name": "Trousers" }),
    );
    let (_, rows) = both.run(Object::Order).await;
    assert!(
        fields(&rows).contains(&(Some("name"), DriftFate::LeftAlone)),
        "{rows:?}"
    );
}

#[tokio::test]
async fn a_note_is_compared_in_the_form_that_the_erp_gave_it() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let mut draft = everyday(Buyer::Customer(ada(&both.bench)), variants[0]);
    draft.note = Some("Ring twice".into());
    let (id, name) = order(&both.bench, draft);
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    let sample = FullRun {
        sample: Some(5),
        dry_run: true,
        ..FullRun::of(Object::Order, "test")
    };
    let (report, rows) = both.run_as(sample).await;
    assert_eq!(report.looked.compared, 1);
    assert!(
        rows.iter().all(|row| row.field.as_deref() != Some("note")),
        "{rows:?}"
    );
    let order = both.bench.booked(&name).id;
    both.write(
        "sale.order",
        order,
        json!({ "note": "<p>Leave it with the neighbour</p>" }),
    );
    let (_, rows) = both.run(Object::Order).await;
    assert_eq!(fields(&rows), [(Some("note"), DriftFate::LeftAlone)]);
}

#[tokio::test]
async fn what_shopify_edits_later_is_agreed_on_like_what_was_booked() {
    let both = Damaged::new(false).await;
    let (id, _) = of_two_lines(&both).await;
    both.later();
    let patch = crate::sandbox::shopify::draft::OrderPatch {
        note: Some("ring twice".into()),
        tags: Some(vec!["packed".into()]),
        ..Default::default()
    };
    both.bench
        .shop
        .change(|shop| shop.patch_order(id, patch))
        .unwrap();
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    let (report, rows) = both.run(Object::Order).await;
    assert_eq!((report.looked.compared, rows.len()), (0, 0), "{rows:?}");
}

#[tokio::test]
async fn a_start_that_is_moved_later_makes_no_history_of_an_order_that_is_followed() {
    use crate::sync::Act;
    let both = Damaged::new(false).await;
    let (id, _) = of_two_lines(&both).await;
    let mut context = ShopContext::clone(both.bench.engine.shop(&main_shop()).unwrap());
    context.start_at = Some(crate::domain::Clock::now(&SystemClock).plus(Duration::from_hours(24)));
    let later = Engine::new([context]);
    let moves_nothing = async || {
        let preview = later
            .preview(&main_shop(), Object::Order, ShopifyId(id))
            .await
            .unwrap();
        preview.steps.iter().any(|step| step.act == Act::CancelDelivery)
    };
    assert!(!moves_nothing().await, "its goods are still to be sent");
    // Of one that does not say, the start does.
    let mut link = both.bench.link(LinkKind::Order, id).await.unwrap();
    link.agreed.as_object_mut().unwrap().remove("history").unwrap();
    both.bench.relink(link).await;
    assert!(moves_nothing().await);
}
