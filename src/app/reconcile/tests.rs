//! Reports as people read them.

use std::time::Duration;

use super::*;
use crate::domain::{Clock as _, Direction, DriftClass, ErpId, JobKey, ManualClock, Priority, ShopifyId};
use crate::store::testing::open_temp;
use crate::store::{DriftCount, DriftKind, DriftLooked, NewJob, NewRun, RunKind, RunOutcome};

const START: Timestamp = Timestamp::from_millis(1_795_514_400_000);

fn row(position: u64, fate: DriftFate, job: Option<JobId>) -> DriftRow {
    DriftRow {
        position,
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        class: DriftClass::FieldDiffers,
        fate,
        source_id: Some(ShopifyId(7)),
        erp_id: Some(ErpId(42)),
        model: Some("res.partner 42".to_owned()),
        name: Some("customer 7".to_owned()),
        field: Some("street".to_owned()),
        shopify: Some("A | B\n<b>".to_owned()),
        erp: Some(String::new()),
        why: (fate == DriftFate::LeftAlone).then(|| "changed_in_the_erp".to_owned()),
        direction: Some(Direction::In),
        job,
    }
}

async fn kept() -> (tempfile::TempDir, SharedStore, DriftReport) {
    let clock = ManualClock::new(START);
    let (folder, store) = open_temp(Arc::new(clock.clone())).await;
    let shop: ShopName = "main".parse().unwrap();
    let run = store
        .start_run(NewRun {
            kind: RunKind::Full,
            shop: shop.clone(),
            object: Object::Customer,
            cause: "full".to_owned(),
            since: START,
            node: "one".to_owned(),
            now: clock.now(),
        })
        .await
        .unwrap()
        .unwrap();
    let key = JobKey {
        shop: shop.clone(),
        object: Object::Customer,
        direction: Direction::In,
        source_id: "7".to_owned(),
    };
    let job = NewJob {
        key,
        priority: Priority::BACKGROUND,
        now: START,
        cause: "full".to_owned(),
    };
    let job = store.enqueue(job).await.unwrap().job;
    let rows = vec![
        row(0, DriftFate::Repaired, Some(job)),
        row(1, DriftFate::LeftAlone, None),
        row(2, DriftFate::Unexplained, None),
    ];
    store.save_drift(run, rows).await.unwrap();
    let count = |fate| DriftCount {
        class: DriftClass::FieldDiffers,
        fate,
        count: 1,
    };
    let report = DriftReport {
        run,
        shop,
        object: Object::Customer,
        kind: DriftKind::Full,
        dry_run: false,
        cause: "full".to_owned(),
        since: None,
        started_at: START,
        ended_at: START.plus(Duration::from_secs(3)),
        looked: DriftLooked {
            on_shopify: 10,
            in_erp: 12,
            linked: 9,
            compared: 3,
            in_step: 6,
            left_to_events: 0,
            unnoted: 0,
            adopted: 0,
            corrections: 1,
        },
        counts: [DriftFate::Repaired, DriftFate::LeftAlone, DriftFate::Unexplained]
            .map(count)
            .to_vec(),
        kept: 3,
        withheld: None,
    };
    store.save_drift_report(report.clone()).await.unwrap();
    store
        .finish_run(run, RunOutcome::Done, None, Vec::new(), START)
        .await
        .unwrap();
    (folder, store, report)
}

#[tokio::test]
async fn a_report_reads_well_and_says_how_its_jobs_stand() {
    let (_folder, store, report) = kept().await;
    let found = reports(&store, None, None, None).await.unwrap();
    assert_eq!(found, [report.clone()]);
    let drift = with_findings(&store, report, DriftFilter::default(), 100)
        .await
        .unwrap();
    assert_eq!(drift.unexplained(), 1);
    insta::assert_snapshot!(drift.markdown());
    let story: Vec<String> = drift.findings.iter().map(Found::became).collect();
    assert_eq!(
        story,
        ["in work", "left alone: changed in the erp", "unexplained"]
    );
    let job = drift.findings[0].row.job.unwrap();
    assert!(store.discard(job, "not_needed", START).await.unwrap());
    let drift = with_findings(&store, drift.report, DriftFilter::default(), 1)
        .await
        .unwrap();
    assert_eq!(drift.findings[0].became(), "given up by a person: not needed");
}

#[tokio::test]
async fn who_may_not_see_values_sees_that_there_are_some() {
    let (_folder, store, report) = kept().await;
    let drift = with_findings(&store, report, DriftFilter::default(), 1)
        .await
        .unwrap();
    let masked = drift.findings[0].clone().masked();
    assert_eq!(masked.row.shopify.as_deref(), Some("•••"));
    assert_eq!(masked.row.erp.as_deref(), Some(""), "nothing stands there");
    assert_eq!(masked.row.name.as_deref(), Some("•••"));
    let product = Found {
        row: DriftRow {
            object: Object::Product,
            ..drift.findings[0].row.clone()
        },
        ..drift.findings[0].clone()
    };
    assert_eq!(product.clone().masked().row, product.row);
}

#[test]
fn shops_are_kept_together_where_address_and_database_are_the_same() {
    let shop = |name: &str, url: &str, database: &str| {
        format!(
            "[shops.{name}]\ndomain = '{name}.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
             time_zone = 'Europe/Berlin'\n[shops.{name}.odoo]\nurl = '{url}'\ndatabase = '{database}'\n\
             login = 'a@example.com'\napi_key = 'k'\n"
        )
    };
    let text = [
        shop("main", "https://erp.example.com", "prod"),
        shop("paris", "https://ERP.example.com/", "prod"),
        shop("rome", "https://erp.example.com", "rome"),
        shop("oslo", "https://oslo.example.com", "prod"),
    ];
    let path = std::path::Path::new("/etc/lockstep.toml");
    let config = Config::parse(&text.concat(), path, &|_| None).unwrap();
    let of = |name: &str| {
        let name: ShopName = name.parse().unwrap();
        let found = beside(&config, &config.shops[&name]).into_iter();
        found.map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("main"), ["paris"]);
    assert_eq!(of("paris"), ["main"]);
    assert_eq!((of("rome"), of("oslo")), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_kind_of_record_that_cannot_be_compared_keeps_none_of_the_others_from_it() {
    use crate::sandbox::odoo::{OdooSandbox, Options as ErpOptions, Version};
    use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};

    let mut options = ErpOptions::version(Version::V18);
    options.companies[0].currency = "EUR".to_owned();
    let erp = OdooSandbox::start(options).await.unwrap();
    let shop = ShopSandbox::start(ShopOptions::default()).await.unwrap();
    let text = format!(
        "[shops.main]\ndomain = '{}'\naccess_token = 'shpat_sandbox_0123456789abcdef'\nwebhook_secrets = ['s']\n\
         base_url = '{}'\ntime_zone = 'Europe/Berlin'\n[shops.main.odoo]\nurl = '{}'\ndatabase = 'prod'\n\
         login = 'connector@example.com'\napi_key = '{}'\n",
        shop.domain(),
        shop.url(),
        erp.url(),
        erp.api_key(),
    );
    let path = std::path::Path::new("/etc/lockstep.toml");
    let config = Config::parse(&text, path, &|_| None).unwrap();
    let clock: SharedClock = Arc::new(crate::domain::SystemClock);
    let (_folder, store) = open_temp(Arc::clone(&clock)).await;
    let main: ShopName = "main".parse().unwrap();
    let begun = store.start_run(NewRun {
        kind: RunKind::Full,
        shop: main.clone(),
        object: Object::Customer,
        cause: "every night".to_owned(),
        since: START,
        node: "elsewhere".to_owned(),
        now: clock.now(),
    });
    begun.await.unwrap().unwrap();
    let wanted = Wanted {
        actor: Actor::new("anna", crate::domain::Via::Cli),
        objects: vec![Object::Order, Object::Customer, Object::Product],
        dry_run: false,
        since: None,
        sample: None,
    };
    let entropy: SharedEntropy = Arc::new(crate::domain::SystemEntropy);
    let stop = CancellationToken::new();
    let made = run(
        &config,
        &config.shops[&main],
        &store,
        &wanted,
        (&clock, &entropy),
        &stop,
    );
    let made = made.await.unwrap();
    let objects: Vec<Object> = made.reports.iter().map(|report| report.object).collect();
    assert_eq!(objects, [Object::Order, Object::Product]);
    assert!(
        matches!(made.failed[..], [ReconcileError::UnderWay(Object::Customer)]),
        "{:?}",
        made.failed
    );
    // Told to stop, it begins no other.
    stop.cancel();
    let made = run(
        &config,
        &config.shops[&main],
        &store,
        &wanted,
        (&clock, &entropy),
        &stop,
    );
    let made = made.await.unwrap();
    assert!(
        matches!(made.failed[..], [ReconcileError::Stopped]) && made.reports.is_empty(),
        "{made:?}"
    );
}
