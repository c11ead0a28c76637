//! Bad input: nothing is concluded from a list that ended early, from too little of it, or while others work.

use async_trait::async_trait;

use super::*;
use crate::domain::{Customer, ErpId, Link, Order, Product};
use crate::reconcile::TOO_MUCH_GONE;
use crate::shopify::{Page, RequestId, ShopifyError};
use crate::store::{Adoption, DriftReportFilter, RunOutcome};
use crate::sync::{OUT_OF_SCOPE, ReviewSettings, RuleTexts, Rules, ScopeSettings, Source};

/// A shop whose list of changes breaks after its first page or waits, that does not show one record, does not list one, or lists
/// all as they were a minute ago.
pub(super) struct Broken {
    pub(super) shop: Arc<dyn Source>,
    pub(super) list_breaks: bool,
    pub(super) hidden: Option<u64>,
    pub(super) unlisted: Option<u64>,
    pub(super) is_stale: bool,
    pub(super) gate: Option<Arc<Gate>>,
}

impl Broken {
    /// One of which nothing is broken.
    pub(super) fn whole(shop: Arc<dyn Source>) -> Self {
        Self {
            shop,
            list_breaks: false,
            hidden: None,
            unlisted: None,
            is_stale: false,
            gate: None,
        }
    }

    fn shows(&self, id: ShopifyId) -> Result<(), ShopifyError> {
        if self.hidden == Some(id.0) {
            return Err(overloaded());
        }
        Ok(())
    }
}

/// Where whoever lists the shop waits until it is opened.
pub(super) struct Gate {
    pub(super) arrived: tokio::sync::Notify,
    pub(super) open: tokio::sync::Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            arrived: tokio::sync::Notify::new(),
            open: tokio::sync::Semaphore::new(0),
        }
    }
}

fn overloaded() -> ShopifyError {
    ShopifyError::Internal {
        reason: "it is overloaded".to_owned(),
        retry_after: None,
        request: RequestId::default(),
    }
}

#[async_trait]
impl Source for Broken {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        self.shows(id)?;
        self.shop.order(id, select).await
    }

    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        self.shows(id)?;
        self.shop.customer(id, select).await
    }

    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        self.shows(id)?;
        self.shop.product(id, select).await
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        self.shop.probe().await
    }

    async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        if self.list_breaks && after.is_some() {
            return Err(overloaded());
        }
        if let Some(gate) = &self.gate {
            gate.arrived.notify_one();
            drop(gate.open.acquire().await);
        }
        let mut page = self.shop.changed_since(object, since, after).await?;
        page.records.retain(|(id, _)| self.unlisted != Some(id.0));
        if self.is_stale {
            for (_, changed) in &mut page.records {
                *changed = changed.minus(Duration::from_secs(60));
            }
        }
        if self.list_breaks {
            page.records.truncate(1);
            page.next = Some("more".to_owned());
        }
        Ok(page)
    }
}

impl Damaged {
    /// The same behind a shop like that.
    fn behind(self, list_breaks: bool, hidden: Option<u64>) -> Self {
        self.through(|shop| Broken {
            list_breaks,
            hidden,
            ..Broken::whole(shop)
        })
    }

    pub(super) fn through(mut self, broken: impl FnOnce(Arc<dyn Source>) -> Broken) -> Self {
        let shop = self.bench.engine.shop(&main_shop()).unwrap();
        let mut context = ShopContext::clone(shop);
        context.source = Arc::new(broken(context.source));
        self.bench.engine = Engine::new([context]);
        self
    }

    async fn jobs(&self) -> usize {
        self.bench.store.jobs(JobFilter::default()).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_list_that_ends_early_fails_the_run_and_repairs_nothing() {
    let both = Damaged::new(false).await;
    for name in ["Ada", "Grace", "Mary"] {
        both.customer(name).await;
    }
    let both = both.behind(true, None);
    let jobs = both.jobs().await;
    let failed = both.try_run(FullRun::of(Object::Customer, "test")).await;
    assert!(matches!(failed, Err(RunError::Shopify { .. })), "{failed:?}");
    assert_eq!(both.jobs().await, jobs, "nobody was taken for deleted");
    let run = both.bench.store.runs(1).await.unwrap().remove(0);
    assert_eq!(run.outcome, Some(RunOutcome::Failed));
    assert!(run.error.unwrap().contains("overloaded"));
    let reports = both
        .bench
        .store
        .drift_reports(DriftReportFilter::default(), 9)
        .await;
    assert_eq!(reports.unwrap(), []);
}

#[tokio::test]
async fn a_record_that_cannot_be_compared_is_told_and_the_run_goes_on() {
    let both = Damaged::new(false).await;
    let (ada, _) = both.customer("Ada").await;
    let (grace, _) = both.customer("Grace").await;
    both.later();
    for id in [ada, grace] {
        let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
            customer.last_name = Some("King".into());
        };
        both.bench
            .shop
            .change(|shop| shop.edit_customer(id, edit))
            .unwrap();
    }
    let both = both.behind(false, Some(ada));
    let (report, rows) = both.run(Object::Customer).await;
    let of = |id| {
        let row = rows.iter().find(|row| row.source_id == Some(ShopifyId(id)));
        row.map(|row| (row.class, row.fate))
    };
    assert_eq!(of(ada), Some((DriftClass::NotCompared, DriftFate::Unexplained)));
    assert_eq!(of(grace), Some((DriftClass::FieldDiffers, DriftFate::Repaired)));
    assert_eq!(report.of_fate(DriftFate::Unexplained), 1);
}

#[tokio::test]
async fn a_record_that_was_made_behind_the_list_is_not_deleted_and_one_that_is_gone_is_called_so_by_every_run()
 {
    let both = Damaged::new(false).await;
    let (ada, _) = both.customer("Ada").await;
    let (grace, _) = both.customer("Grace").await;
    let both = both.through(|shop| Broken {
        unlisted: Some(grace),
        ..Broken::whole(shop)
    });
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!((rows, report.looked.left_to_events), (Vec::new(), 1));
    both.bench.shop.change(|shop| shop.delete_customer(ada)).unwrap();
    let run = FullRun::of(Object::Customer, "test");
    for dry_run in [true, false] {
        let (_, rows) = both.run_as(FullRun { dry_run, ..run }).await;
        assert_eq!(
            told(&rows),
            [(DriftClass::Deleted, None, None, None, DriftFate::NeedsPerson)],
            "{dry_run}"
        );
    }
}

#[tokio::test]
async fn a_shop_with_nothing_is_in_step() {
    let both = Damaged::new(true).await;
    for object in [Object::Order, Object::Customer, Object::Product] {
        assert_eq!(both.is_quiet(object).await, [], "{object}");
    }
    let stock = both.try_run(FullRun::of(Object::Inventory, "test")).await;
    assert!(matches!(stock, Err(RunError::NotCompared(Object::Inventory))));
}

#[tokio::test]
async fn where_too_much_is_gone_nothing_is_repaired_and_one_problem_says_so() {
    let both = Damaged::new(false).await;
    both.customer("Ada").await;
    let link = |n: i64| Link {
        shop: main_shop(),
        kind: LinkKind::Customer,
        source_id: (900_000 + n).to_string(),
        model: "res.partner".to_owned(),
        erp_id: ErpId(800_000 + n),
        erp_name: None,
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({}),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    let groups = (0..60).map(|n| Adoption {
        records: Vec::new(),
        links: vec![link(n)],
    });
    let now = crate::domain::Clock::now(&SystemClock);
    both.bench.store.adopt_links(groups.collect(), now).await.unwrap();
    let jobs = both.jobs().await;
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!(
        report.withheld.as_deref(),
        Some("60 of 61 linked records are gone from Shopify")
    );
    assert_eq!((rows.len(), report.of_fate(DriftFate::Unexplained)), (60, 60));
    assert_eq!(both.jobs().await, jobs);
    assert_eq!(
        both.bench
            .store
            .count_links(&main_shop(), LinkKind::Customer)
            .await
            .unwrap(),
        61
    );
    let problems = both.bench.store.open_problems(9).await.unwrap();
    assert_eq!(problems[0].problem.code.0, TOO_MUCH_GONE);
}

#[tokio::test]
async fn where_too_much_is_gone_from_the_erp_alone_nothing_is_made_anew_until_somebody_has_looked() {
    let both = Damaged::new(false).await;
    both.later();
    let customers: Vec<u64> = (0..60)
        .map(|n| {
            let draft = CustomerDraft {
                email: Some(format!("ada{n}@example.com")),
                ..CustomerDraft::default()
            };
            both.bench
                .shop
                .change(|shop| shop.create_customer(draft).unwrap())
        })
        .collect();
    let links = async |state: LinkState| {
        let links = customers.iter().zip(800_000..).map(|(id, erp_id)| Link {
            shop: main_shop(),
            kind: LinkKind::Customer,
            source_id: id.to_string(),
            model: "res.partner".to_owned(),
            erp_id: ErpId(erp_id),
            erp_name: None,
            state,
            source_updated_at: None,
            agreed: json!({}),
            agreed_out: serde_json::Value::Null,
            writes: serde_json::Value::Null,
        });
        let groups = links.map(|link| Adoption {
            records: Vec::new(),
            links: vec![link],
        });
        let now = crate::domain::Clock::now(&SystemClock);
        both.bench.store.adopt_links(groups.collect(), now).await.unwrap();
    };
    links(LinkState::Linked).await;
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!(
        report.withheld.as_deref(),
        Some("60 of 60 linked records are gone from the ERP")
    );
    assert_eq!((rows.len(), report.of_fate(DriftFate::Unexplained)), (60, 60));
    assert_eq!(both.jobs().await, 0);
    let problems = both.bench.store.open_problems(9).await.unwrap();
    assert_eq!(problems[0].problem.code.0, TOO_MUCH_GONE);
    // They were deleted on purpose, and what is left of them on the shop is to stay without a partner.
    links(LinkState::Retired).await;
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!(report.withheld, None);
    let left = |row: &DriftRow| (row.class, row.fate, row.why.as_deref() == Some("link_retired"));
    let expected = (DriftClass::MissingInErp, DriftFate::LeftAlone, true);
    assert!(
        rows.len() == 60 && rows.iter().all(|row| left(row) == expected),
        "{rows:?}"
    );
    assert_eq!(both.jobs().await, 0);
    assert!(
        both.bench.store.open_problems(9).await.unwrap().is_empty(),
        "it is over"
    );
}

#[tokio::test]
async fn a_record_that_somebody_works_on_is_left_to_them() {
    let both = Damaged::new(false).await;
    let (ada, partner) = both.customer("Ada").await;
    both.later();
    let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
        customer.last_name = Some("King".into());
    };
    both.bench
        .shop
        .change(|shop| shop.edit_customer(ada, edit))
        .unwrap();
    // The webhook came, and its job wrote already and has not said so yet.
    let job = both.bench.claim(Object::Customer, ada).await;
    both.write("res.partner", partner, json!({ "name": "Ada King" }));
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!(report.looked.corrections, 0, "nobody corrected anything");
    assert_eq!(
        told(&rows),
        [(DriftClass::FieldDiffers, None, None, None, DriftFate::InWork)]
    );
    assert_eq!(rows[0].job, Some(job.id));
    let another = both.bench.store.start_run(crate::store::NewRun {
        kind: crate::store::RunKind::Full,
        shop: main_shop(),
        object: Object::Customer,
        cause: "another".to_owned(),
        since: Timestamp::from_millis(0),
        node: "elsewhere".to_owned(),
        now: crate::domain::Clock::now(&SystemClock),
    });
    another.await.unwrap().unwrap();
    let refused = both.try_run(FullRun::of(Object::Customer, "test")).await;
    assert!(matches!(refused, Err(RunError::UnderWay)), "{refused:?}");
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_is_over_and_the_next_one_begins() {
    let both = Damaged::new(false).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = full_run(&both.shop(), FullRun::of(Object::Customer, "test"), &stop).await;
    assert!(matches!(stopped, Err(RunError::Stopped(_))), "{stopped:?}");
    let run = both.bench.store.runs(1).await.unwrap().remove(0);
    assert_eq!(run.outcome, Some(RunOutcome::Stopped));
    both.run(Object::Customer).await;
}

#[tokio::test]
async fn what_a_rule_leaves_alone_is_read_whole_once() {
    let scope = ScopeSettings {
        customers: RuleTexts {
            inward: Some("customer.email != 'Ada@Example.com'".to_owned()),
            outward: None,
        },
        ..ScopeSettings::default()
    };
    let rules = Rules::new(&scope, &ReviewSettings::default()).unwrap();
    let both = Damaged::adjusted(|shop| {
        shop.rules = rules;
        shop.start_at = Some(Timestamp::from_millis(0));
    })
    .await;
    // The record changed hours before the run, and no event came.
    both.moved.fetch_sub(7_200, Ordering::SeqCst);
    ada(&both.bench);
    for compared in [1, 0] {
        let (report, rows) = both.run(Object::Customer).await;
        both.bench.drain().await;
        assert_eq!(
            told(&rows),
            [(DriftClass::MissingInErp, None, None, None, DriftFate::LeftAlone)]
        );
        assert_eq!(rows[0].why.as_deref(), Some(OUT_OF_SCOPE));
        assert_eq!(report.looked.compared, compared);
    }
}
