//! What full runs found.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, other_shop, shop};
use crate::domain::{
    Direction, DriftClass, DriftFate, ErpId, JobId, Link, LinkKind, LinkState, Object, RecordKey, ShopifyId,
    System,
};
use crate::store::{
    Adoption, Correction, DriftCount, DriftFilter, DriftKind, DriftLooked, DriftReport, DriftReportFilter,
    DriftRow, NewRun, RunKind, RunOutcome, SharedStore,
};

async fn run(store: &SharedStore, object: Object, outcome: Option<RunOutcome>) -> i64 {
    let begun = store.start_run(NewRun {
        kind: RunKind::Full,
        shop: shop(),
        object,
        cause: "full".to_owned(),
        since: START,
        node: "one".to_owned(),
        now: START,
    });
    let run = begun.await.unwrap().unwrap();
    if let Some(outcome) = outcome {
        assert!(
            store
                .finish_run(run, outcome, None, Vec::new(), START)
                .await
                .unwrap()
        );
    }
    run
}

fn report(run: i64, object: Object, dry_run: bool) -> DriftReport {
    DriftReport {
        run,
        shop: shop(),
        object,
        kind: DriftKind::Full,
        dry_run,
        cause: "full".to_owned(),
        since: None,
        started_at: START,
        ended_at: START,
        looked: DriftLooked {
            on_shopify: 3,
            ..DriftLooked::default()
        },
        counts: vec![DriftCount {
            class: DriftClass::FieldDiffers,
            fate: DriftFate::Repaired,
            count: 2,
        }],
        kept: 2,
        withheld: Some("därüm 'so'".to_owned()),
    }
}

fn row(position: u64, class: DriftClass) -> DriftRow {
    DriftRow {
        position,
        shop: shop(),
        object: Object::Customer,
        class,
        fate: DriftFate::Repaired,
        source_id: Some(ShopifyId(u64::MAX - position)),
        erp_id: Some(ErpId(7)),
        model: Some("res.partner 7".to_owned()),
        name: Some("Ada".to_owned()),
        field: Some("city".to_owned()),
        shopify: Some("Köln".to_owned()),
        erp: Some("Bonn".to_owned()),
        why: None,
        direction: Some(Direction::In),
        job: Some(JobId(4)),
    }
}

pub(super) async fn a_report_is_told_once_its_run_ended_well(fixture: Fixture) {
    let store = &fixture.store;
    let failed = run(store, Object::Order, Some(RunOutcome::Failed)).await;
    store
        .save_drift_report(report(failed, Object::Order, false))
        .await
        .unwrap();
    let first = run(store, Object::Customer, Some(RunOutcome::Done)).await;
    store
        .save_drift_report(report(first, Object::Customer, false))
        .await
        .unwrap();
    let dry = run(store, Object::Customer, Some(RunOutcome::Done)).await;
    store
        .save_drift_report(report(dry, Object::Customer, true))
        .await
        .unwrap();
    let product = run(store, Object::Product, None).await;
    store
        .save_drift_report(report(product, Object::Product, false))
        .await
        .unwrap();
    let runs = async |filter: DriftReportFilter| {
        let reports = store.drift_reports(filter, 10).await.unwrap();
        reports.into_iter().map(|report| report.run).collect::<Vec<_>>()
    };
    let all = DriftReportFilter::default;
    assert_eq!(runs(all()).await, [dry, first], "neither failed nor under way");
    let latest = DriftReportFilter {
        latest: true,
        ..all()
    };
    assert_eq!(runs(latest).await, [first], "a dry run repaired nothing");
    let of_run = DriftReportFilter {
        run: Some(dry),
        ..all()
    };
    assert_eq!(
        store.drift_reports(of_run, 1).await.unwrap(),
        [report(dry, Object::Customer, true)]
    );
    let theirs = DriftReportFilter {
        shop: Some(other_shop()),
        ..all()
    };
    assert_eq!(runs(theirs).await, [0_i64; 0]);
    let products = DriftReportFilter {
        object: Some(Object::Product),
        ..all()
    };
    assert_eq!(runs(products.clone()).await, [0_i64; 0]);
    assert!(
        store
            .finish_run(product, RunOutcome::Done, None, Vec::new(), START)
            .await
            .unwrap()
    );
    assert_eq!(runs(products).await, [product]);
}

pub(super) async fn rows_come_back_in_order_and_lose_their_values_on_request(fixture: Fixture) {
    let store = &fixture.store;
    let run = run(store, Object::Customer, Some(RunOutcome::Done)).await;
    let bare = DriftRow {
        source_id: None,
        erp_id: None,
        model: None,
        name: None,
        field: None,
        shopify: None,
        erp: None,
        why: Some("held".to_owned()),
        direction: None,
        job: None,
        fate: DriftFate::LeftAlone,
        ..row(1, DriftClass::Archived)
    };
    let rows = vec![
        row(0, DriftClass::FieldDiffers),
        bare.clone(),
        row(2, DriftClass::Deleted),
    ];
    // A repetition changes nothing.
    for _ in 0..2 {
        store.save_drift(run, rows.clone()).await.unwrap();
    }
    let all = async |filter| store.drift(run, filter, 10).await.unwrap();
    assert_eq!(all(DriftFilter::default()).await, rows);
    let archived = DriftFilter {
        class: Some(DriftClass::Archived),
        fate: Some(DriftFate::LeftAlone),
        from: 0,
    };
    assert_eq!(all(archived).await, [bare]);
    let rest = DriftFilter {
        from: 2,
        ..DriftFilter::default()
    };
    assert_eq!(all(rest).await, rows[2..]);
    let record = RecordKey {
        shop: shop(),
        system: System::Shopify,
        model: "customer".to_owned(),
        id: u64::MAX.to_string(),
    };
    store.redact(&shop(), &[record], START).await.unwrap();
    let now = all(DriftFilter::default()).await;
    assert_eq!(
        (&now[0].shopify, &now[0].erp, &now[0].name),
        (&None, &None, &None)
    );
    assert_eq!(now[0].source_id, rows[0].source_id);
    assert_eq!(now[2], rows[2], "somebody else's");
    store.redact_shop(&shop(), START).await.unwrap();
    assert_eq!(all(DriftFilter::default()).await[2].shopify, None);
}

pub(super) async fn reports_are_forgotten_with_their_runs(fixture: Fixture) {
    let store = &fixture.store;
    let run = run(store, Object::Customer, Some(RunOutcome::Done)).await;
    store
        .save_drift(run, vec![row(0, DriftClass::Deleted)])
        .await
        .unwrap();
    store
        .save_drift_report(report(run, Object::Customer, false))
        .await
        .unwrap();
    assert_eq!(store.prune(START, 100).await.unwrap(), 0, "it ended just then");
    let later = START.plus(Duration::from_secs(1));
    while store.prune(later, 1).await.unwrap() > 0 {}
    assert_eq!(store.drift(run, DriftFilter::default(), 9).await.unwrap(), []);
    assert_eq!(
        store
            .drift_reports(DriftReportFilter::default(), 9)
            .await
            .unwrap(),
        []
    );
}

pub(super) async fn a_correction_counts_once(fixture: Fixture) {
    let store = &fixture.store;
    let correction = |source: u64, field: &str, value: &str| Correction {
        shop: shop(),
        object: Object::Customer,
        source_id: ShopifyId(source),
        field: field.to_owned(),
        value: value.to_owned(),
        mapping: "customer.in.toml".to_owned(),
    };
    let first = vec![
        correction(1, "city", "a"),
        correction(1, "city", "a"),
        correction(2, "city", "a"),
    ];
    assert_eq!(store.count_corrections(first.clone(), START).await.unwrap(), 2);
    assert_eq!(store.count_corrections(first, START).await.unwrap(), 0);
    let later = START.plus(Duration::from_secs(60));
    let more = vec![correction(1, "city", "b"), correction(1, "zip", "a")];
    assert_eq!(store.count_corrections(more, later).await.unwrap(), 2);
    let counts = store.corrections(START).await.unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.field.as_str(), count.count))
        .collect();
    assert_eq!(counts, [("city", 3), ("zip", 1)]);
    assert_eq!(store.corrections(later).await.unwrap().len(), 2);
    assert_eq!(
        store
            .corrections(later.plus(Duration::from_secs(1)))
            .await
            .unwrap(),
        []
    );
}

pub(super) async fn links_are_told_in_the_order_of_their_erp_records(fixture: Fixture) {
    let store = &fixture.store;
    let link = |source: i64, erp: i64, state| Link {
        shop: shop(),
        kind: LinkKind::Customer,
        source_id: source.to_string(),
        model: "res.partner".to_owned(),
        erp_id: ErpId(erp),
        erp_name: None,
        state,
        source_updated_at: None,
        agreed: serde_json::json!({}),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    let links = [
        link(1, 30, LinkState::Linked),
        link(2, 10, LinkState::Adopted),
        link(3, 20, LinkState::Linked),
        link(4, 15, LinkState::Retired),
    ];
    let groups = links.into_iter().map(|link| Adoption {
        records: Vec::new(),
        links: vec![link],
    });
    store.adopt_links(groups.collect(), START).await.unwrap();
    let page = async |after: Option<i64>, limit| {
        let shop = shop();
        let links = store.links_in_order(&shop, LinkKind::Customer, after.map(ErpId), limit);
        links
            .await
            .unwrap()
            .iter()
            .map(|link| link.erp_id.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, [10, 20]);
    assert_eq!(page(Some(20), 2).await, [30]);
    assert_eq!(page(Some(30), 2).await, [0_i64; 0]);
}
