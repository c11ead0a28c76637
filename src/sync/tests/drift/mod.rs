//! Full runs between the two stand-ins: what was damaged is found with its class and field, repaired where that is possible,
//! and quiet afterwards.

mod classes;
mod decided;
mod documents;
mod midway;
mod orders;
mod random;
mod refused;
mod sent;
mod shops;
mod standing;
mod stock;
mod totals;
mod variants;

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;

use super::bench::*;
use super::*;
use crate::domain::{DriftClass, DriftFate, LinkKind, LinkState, SeededEntropy};
use crate::reconcile::{FullReport, FullRun, FullShop, RunError, full_run};
use crate::store::{DriftFilter, DriftRow, JobFilter};

/// The shipped mappings with another one for stock.
fn edited_for_stock(from: &str, to: &str) -> Mappings {
    edited("inventory.out.toml", from, to)
}

fn main_shop() -> ShopName {
    "main".parse().unwrap()
}

/// Both sides, with a shop's clock that moves on between changes: it tells whole seconds.
struct Damaged {
    bench: Bench,
    moved: Arc<AtomicI64>,
    /// By how many seconds the ERP's clock is ahead.
    erp_moved: Arc<AtomicI64>,
}

impl Damaged {
    async fn new(both_ways: bool) -> Self {
        Self::adjusted(|shop| {
            if both_ways {
                shop.out = BTreeSet::from([Object::Customer, Object::Product]);
            }
        })
        .await
    }

    async fn adjusted(adjust: impl FnOnce(&mut ShopContext)) -> Self {
        Self::with_mappings(crate::app::mappings::load(None).unwrap(), adjust).await
    }

    async fn with_mappings(mappings: Mappings, adjust: impl FnOnce(&mut ShopContext)) -> Self {
        let moved = Arc::new(AtomicI64::new(0));
        let (real, hand) = (ShopOptions::default().clock, Arc::clone(&moved));
        let options = ShopOptions {
            clock: Arc::new(move || real() + chrono::Duration::seconds(hand.load(Ordering::SeqCst))),
            ..ShopOptions::default()
        };
        let erp_moved = Arc::new(AtomicI64::new(0));
        let odoo = OdooOptions::version(Version::V18);
        let (real, hand) = (Arc::clone(&odoo.clock), Arc::clone(&erp_moved));
        let odoo = OdooOptions {
            services: services(),
            clock: Arc::new(move || real() + chrono::Duration::seconds(hand.load(Ordering::SeqCst))),
            ..odoo
        };
        Self {
            bench: Bench::built(options, odoo, mappings, adjust).await,
            moved,
            erp_moved,
        }
    }

    /// What changes from here on has another time.
    fn later(&self) {
        self.moved.fetch_add(10, Ordering::SeqCst);
    }

    fn shop(&self) -> FullShop {
        FullShop {
            name: main_shop(),
            beside: vec!["paris".parse().unwrap()],
            shops: vec![main_shop(), "paris".parse().unwrap()],
            engine: self.bench.engine.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            node: "test".to_owned(),
            notifier: Arc::new(crate::reconcile::TellNobody),
        }
    }

    async fn try_run(&self, wanted: FullRun<'_>) -> Result<FullReport, RunError> {
        full_run(&self.shop(), wanted, &CancellationToken::new()).await
    }

    async fn run(&self, object: Object) -> (FullReport, Vec<DriftRow>) {
        self.run_as(FullRun::of(object, "test")).await
    }

    async fn run_as(&self, wanted: FullRun<'_>) -> (FullReport, Vec<DriftRow>) {
        let report = self.try_run(wanted).await.unwrap();
        let rows = self
            .bench
            .store
            .drift(report.run, DriftFilter::default(), 10_000)
            .await
            .unwrap();
        assert_eq!(report.kept, rows.len() as u64);
        (report, rows)
    }

    /// A run after which all jobs are carried out.
    async fn repaired(&self, object: Object) -> Vec<DriftRow> {
        let (_, rows) = self.run(object).await;
        self.bench.drain().await;
        rows
    }

    /// A run that finds nothing to do, makes no job and writes nothing.
    async fn is_quiet(&self, object: Object) -> Vec<DriftRow> {
        let before = self.bench.erp.ledger().calls();
        let jobs = self.bench.store.jobs(JobFilter::default()).await.unwrap().len();
        let (report, rows) = self.run(object).await;
        let left = |row: &&DriftRow| row.fate != DriftFate::LeftAlone && row.fate != DriftFate::NeedsPerson;
        assert_eq!(rows.iter().find(left), None, "{report:?}");
        assert_eq!(
            self.bench.store.jobs(JobFilter::default()).await.unwrap().len(),
            jobs
        );
        let written = self.bench.calls_since(&before);
        let writes = ["load", "create", "write", "web_save", "unlink"];
        assert!(
            !written
                .keys()
                .any(|call| writes.iter().any(|write| call.contains(write))),
            "{written:?}"
        );
        rows
    }

    async fn partner_of(&self, customer: u64) -> i64 {
        self.bench
            .link(LinkKind::Customer, customer)
            .await
            .unwrap()
            .erp_id
            .0
    }

    async fn customer(&self, name: &str) -> (u64, i64) {
        let id = self.bench.shop.change(|shop| {
            shop.create_customer(CustomerDraft {
                first_name: Some(name.into()),
                last_name: Some("Lovelace".into()),
                email: Some(format!("{}@example.com", name.to_lowercase())),
                addresses: vec![berlin("Lovelace")],
                ..CustomerDraft::default()
            })
            .unwrap()
        });
        let (state, why) = self.bench.sync(Object::Customer, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        (id, self.partner_of(id).await)
    }

    fn write(&self, model: &str, id: i64, values: serde_json::Value) {
        self.bench.in_the_erp(model, "write", json!([[id], values]));
    }

    fn delete(&self, model: &str, id: i64) {
        self.bench.in_the_erp(model, "unlink", json!([[id]]));
    }
}

/// What was found about a record: class, field, both values, and what became of it.
type Told<'a> = (
    DriftClass,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    DriftFate,
);

fn told(rows: &[DriftRow]) -> Vec<Told<'_>> {
    let rows = rows.iter();
    rows.map(|row| {
        (
            row.class,
            row.field.as_deref(),
            row.shopify.as_deref(),
            row.erp.as_deref(),
            row.fate,
        )
    })
    .collect()
}
