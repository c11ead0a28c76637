//! Drift of what came after the sale: credit notes, payments and deliveries.

use super::*;
use crate::domain::{ErpId, Outcome, Report};
use crate::sandbox::shopify::draft::{CancelDraft, RefundDraft};
use crate::sandbox::shopify::options::ALL_SCOPES;

const CODE: &str = "drift_document_gone";

async fn sides() -> Damaged {
    Damaged::adjusted(|shop| {
        shop.settings = Settings {
            invoices: Invoices::None,
            payments: Payments::Register,
            refunds: Refunds::CreditNote,
            fulfillments: Fulfillments::Validate,
            journals: [("shopify_payments".to_owned(), "Bank".to_owned())].into(),
            ..Settings::default()
        };
    })
    .await
}

/// An order that was paid, sent and given back in part, with Shopify's numbers of what happened to it.
struct Sold {
    order: u64,
    erp_name: String,
    payment: u64,
    parcel: u64,
    refund: u64,
}

async fn is_done(both: &Damaged, order: u64) {
    let (state, why) = both.bench.sync(Object::Order, order).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

fn paid(both: &Damaged, order: u64) -> u64 {
    both.bench
        .shop
        .read(|shop| shop.order(order).unwrap().transactions[0].id)
}

async fn sold(both: &Damaged) -> Sold {
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (order, name) = order(&both.bench, everyday(buyer, variants[0]));
    is_done(both, order).await;
    both.later();
    let shop = &both.bench.shop;
    let parcel = shop.change(|shop| shop.fulfill_order(order, None)).unwrap();
    let draft = RefundDraft::returned(0, 1);
    let refund = shop.change(|shop| shop.refund_order(order, &draft)).unwrap();
    is_done(both, order).await;
    Sold {
        order,
        erp_name: both.bench.booked(&name).name,
        payment: paid(both, order),
        parcel,
        refund,
    }
}

async fn document(both: &Damaged, kind: LinkKind, id: u64) -> i64 {
    let link = both.bench.link(kind, id).await;
    link.unwrap_or_else(|| panic!("{kind} {id} is not linked"))
        .erp_id
        .0
}

async fn cancel_payment(both: &Damaged, payment: u64) {
    let id = document(both, LinkKind::Payment, payment).await;
    both.bench
        .in_the_erp("account.payment", "action_cancel", json!([[id]]));
}

/// How many are told in the problem, where it is open.
async fn is_told(both: &Damaged) -> Option<u64> {
    let open = both.bench.store.open_problems(100).await.unwrap();
    let one = open.into_iter().find(|row| row.problem.code.0 == CODE)?;
    one.problem.detail["count"].as_u64()
}

fn asked(both: &Damaged) -> u64 {
    let calls = both.bench.shop.ledger().calls.by_operation;
    calls.get("LockstepOrdersOf").copied().unwrap_or(0)
}

#[tokio::test]
async fn documents_that_stand_are_no_drift_and_cost_a_call_for_each_kind() {
    let both = sides().await;
    sold(&both).await;
    assert_eq!(both.is_quiet(Object::Order).await, []);
    let before = both.bench.erp.ledger().calls();
    let (report, _) = both.run(Object::Order).await;
    assert_eq!(report.found(), 0);
    let calls = both.bench.calls_since(&before);
    for model in ["account.move", "account.payment", "stock.picking"] {
        let of = calls
            .iter()
            .filter(|(call, _)| call.starts_with(&format!("{model}/")));
        assert_eq!(of.map(|(_, count)| count).sum::<u64>(), 1, "{model}: {calls:?}");
    }
    assert_eq!(asked(&both), 0, "Shopify is asked about what was found");
}

#[tokio::test]
async fn what_is_gone_or_cancelled_is_told_once_at_its_order_and_never_made_again() {
    let both = sides().await;
    let sold = sold(&both).await;
    let note = document(&both, LinkKind::Refund, sold.refund).await;
    let delivery = document(&both, LinkKind::Fulfillment, sold.parcel).await;
    let delivered = both.bench.link(LinkKind::Fulfillment, sold.parcel).await.unwrap();
    both.delete("account.move", note);
    both.delete("stock.picking", delivery);
    cancel_payment(&both, sold.payment).await;
    let payments = both.bench.erp.ledger().payments();
    let number = |name: Option<String>, id| name.unwrap_or_else(|| format!("account.payment {id}"));
    let number = number(payments[0].name.clone(), payments[0].id);

    let dry = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Order, "test")
    };
    let (_, rows) = both.run_as(dry).await;
    assert_eq!(rows.len(), 3, "{rows:#?}");
    assert_eq!(is_told(&both).await, None, "only looked");

    let rows = both.repaired(Object::Order).await;
    let [of_refund, of_payment, of_parcel] = [
        format!("refund {}", sold.refund),
        format!("transaction {}", sold.payment),
        format!("parcel {}", sold.parcel),
    ];
    let [of_note, of_number, of_delivery] = [
        format!("account.move {note}: deleted"),
        format!("{number}: cancelled"),
        format!("{}: deleted", delivered.erp_name.unwrap()),
    ];
    let (gone, person) = (DriftClass::GoneFromErp, DriftFate::NeedsPerson);
    assert_eq!(
        told(&rows),
        [
            (
                gone,
                Some("credit_note"),
                Some(&*of_refund),
                Some(&*of_note),
                person
            ),
            (
                DriftClass::Archived,
                Some("payment"),
                Some(&*of_payment),
                Some(&*of_number),
                person
            ),
            (
                gone,
                Some("delivery"),
                Some(&*of_parcel),
                Some(&*of_delivery),
                DriftFate::Repaired
            ),
        ]
    );
    let link = both.bench.link(LinkKind::Order, sold.order).await.unwrap();
    for row in &rows {
        assert_eq!(row.source_id, Some(ShopifyId(sold.order)));
        assert_eq!(row.erp_id, Some(link.erp_id));
        assert_eq!(row.name.as_deref(), Some(&*sold.erp_name));
    }
    assert_eq!(is_told(&both).await, Some(2));
    assert_eq!(asked(&both), 2, "the dry run, and this one");

    assert_eq!(both.is_quiet(Object::Order).await, []);
    let (report, _) = both.run(Object::Order).await;
    assert_eq!(
        (report.found(), report.of_fate(DriftFate::LeftAlone)),
        (3, 3),
        "counted"
    );
    assert_eq!((asked(&both), is_told(&both).await), (2, Some(2)));
    is_done(&both, sold.order).await;
    let ledger = both.bench.erp.ledger();
    assert_eq!((ledger.invoices().len(), ledger.payments().len()), (0, 1));

    // People have read it after a week.
    let (store, now) = (&both.bench.store, crate::domain::Clock::now(&SystemClock));
    for (field, id) in [("credit_note", sold.refund), ("payment", sold.payment)] {
        let place = format!("full:lost:{field}:{id}");
        let note = store.cursor(&main_shop(), &place).await.unwrap().unwrap();
        let (found, _) = note.rsplit_once(' ').unwrap();
        let at = now.minus(Duration::from_hours(8 * 24)).millis();
        let note = format!("{found} {at}");
        store.set_cursor(&main_shop(), &place, &note, now).await.unwrap();
    }
    let place = format!("full:lost:delivery:{}", sold.parcel);
    store.set_cursor(&main_shop(), &place, "", now).await.unwrap();
    let rows = both.repaired(Object::Order).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(is_told(&both).await, None);
}

#[tokio::test]
async fn a_cancelled_delivery_is_given_to_its_orders_job_and_nothing_is_sent_twice() {
    let both = sides().await;
    let (_, variants) = shirt(&both.bench);
    let (id, name) = order(
        &both.bench,
        everyday(Buyer::Customer(ada(&both.bench)), variants[0]),
    );
    is_done(&both, id).await;
    both.later();
    let shop = &both.bench.shop;
    let parcel = shop
        .change(|shop| shop.fulfill_order(id, Some(&[(0, 2)])))
        .unwrap();
    is_done(&both, id).await;
    // Odoo itself cancels no delivery that was carried out, but modules do: the link leads to one that is cancelled.
    let pickings = both.bench.booked(&name).pickings;
    let open = pickings.iter().find(|picking| picking.state != "done").unwrap();
    both.bench
        .in_the_erp("stock.picking", "action_cancel", json!([[open.id]]));
    let link = both.bench.link(LinkKind::Fulfillment, parcel).await.unwrap();
    let link = crate::domain::Link {
        erp_id: ErpId(open.id),
        ..link
    };
    both.bench.relink(link).await;
    let rows = both.repaired(Object::Order).await;
    let [ours, theirs] = [format!("parcel {parcel}"), format!("{}: cancelled", open.name)];
    assert_eq!(
        told(&rows),
        [(
            DriftClass::Archived,
            Some("delivery"),
            Some(&*ours),
            Some(&*theirs),
            DriftFate::Repaired
        )]
    );
    let job = both.bench.store.job(rows[0].job.unwrap()).await.unwrap().unwrap();
    assert_eq!(job.job.state, JobState::Completed);
    let pickings = both.bench.booked(&name).pickings;
    let done = pickings.iter().filter(|picking| picking.state == "done");
    assert_eq!(done.count(), 1);
    assert_eq!(both.is_quiet(Object::Order).await, []);
    assert_eq!(
        is_told(&both).await,
        None,
        "the job asks where there is something to ask"
    );
}

#[tokio::test]
async fn what_went_with_its_order_is_no_alarm() {
    let both = sides().await;
    let (_, variants) = shirt(&both.bench);
    let (id, _) = order(
        &both.bench,
        everyday(Buyer::Customer(ada(&both.bench)), variants[0]),
    );
    is_done(&both, id).await;
    both.later();
    let draft = CancelDraft::default();
    both.bench
        .shop
        .change(|shop| shop.cancel_order(id, &draft))
        .unwrap();
    is_done(&both, id).await;
    cancel_payment(&both, paid(&both, id)).await;
    for run in 1..=2 {
        let (report, rows) = both.run(Object::Order).await;
        assert_eq!((report.found(), rows), (0, Vec::new()), "run {run}");
        assert_eq!((is_told(&both).await, asked(&both)), (None, 1), "run {run}");
    }
}

#[tokio::test]
async fn an_order_that_a_job_is_at_work_on_is_told_of_by_a_later_run() {
    let both = sides().await;
    let sold = sold(&both).await;
    cancel_payment(&both, sold.payment).await;
    let job = both.bench.claim(Object::Order, sold.order).await;
    for _ in 1..=2 {
        let (_, rows) = both.run(Object::Order).await;
        let fates: Vec<_> = rows.iter().map(|row| (row.field.as_deref(), row.fate)).collect();
        assert_eq!(fates, [(Some("payment"), DriftFate::InWork)]);
        assert_eq!(is_told(&both).await, None);
    }
    let end = finish(job.id, job.fence, Report::of(Outcome::Completed, "done"));
    assert!(matches!(
        both.bench.store.finish(end).await.unwrap(),
        Finished::Done(_)
    ));
    let (_, rows) = both.run(Object::Order).await;
    assert_eq!((rows.len(), rows[0].fate), (1, DriftFate::NeedsPerson));
    assert_eq!(is_told(&both).await, Some(1));
    // What stands again needs nobody.
    let id = document(&both, LinkKind::Payment, sold.payment).await;
    both.bench
        .in_the_erp("account.payment", "action_draft", json!([[id]]));
    both.bench
        .in_the_erp("account.payment", "action_post", json!([[id]]));
    assert_eq!(both.run(Object::Order).await.0.found(), 0);
    assert_eq!(is_told(&both).await, None);
}

#[tokio::test]
async fn a_document_of_an_order_that_shopify_hides_is_told_without_its_order() {
    let both = sides().await;
    let (_, variants) = shirt(&both.bench);
    both.moved.store(-70 * 24 * 3600, Ordering::SeqCst);
    let (id, _) = order(
        &both.bench,
        everyday(Buyer::Customer(ada(&both.bench)), variants[0]),
    );
    is_done(&both, id).await;
    both.moved.store(0, Ordering::SeqCst);
    let payment = paid(&both, id);
    both.bench.shop.change(|shop| {
        let scopes: Vec<&str> = ALL_SCOPES
            .iter()
            .copied()
            .filter(|scope| *scope != "read_all_orders")
            .collect();
        shop.grant_scopes(&scopes);
    });
    cancel_payment(&both, payment).await;
    let (_, rows) = both.run(Object::Order).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let row = &rows[0];
    assert_eq!(
        (row.class, row.fate),
        (DriftClass::Archived, DriftFate::NeedsPerson)
    );
    assert_eq!((row.source_id, row.erp_id), (None, None));
    let ours = format!("transaction {payment}");
    assert_eq!(row.shopify.as_deref(), Some(&*ours));
    assert_eq!(both.is_quiet(Object::Order).await, []);
}
