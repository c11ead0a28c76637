//! Between a stand-in shop and a stand-in ERP, on a real store.

mod why;

use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::app::connect;
use crate::app::testing::until;
use crate::config::{Config, Shop};
use crate::domain::{
    Clock as _, Direction, ErpId, JobKey, LinkKind, ManualClock, NewProblem, Priority, SharedEntropy,
    SystemEntropy, Via,
};
use crate::sandbox::odoo::{OdooSandbox, Options as OdooOptions, Version};
use crate::sandbox::shopify::draft::{LineDraft, OrderDraft};
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use crate::store::testing::open_temp;
use crate::store::{BatchState, Claim, ClaimedJob, Finish, Lane, NewJob, Verdict};

/// Both sides, a store and a configuration that names them.
struct Rig {
    shop: ShopSandbox,
    erp: OdooSandbox,
    store: SharedStore,
    manual: ManualClock,
    clock: SharedClock,
    config: Config,
    _folders: (TempDir, TempDir),
}

impl Rig {
    async fn new() -> Self {
        let shop = ShopSandbox::start(ShopOptions::default()).await.unwrap();
        let erp = OdooSandbox::start(OdooOptions::version(Version::V18))
            .await
            .unwrap();
        let manual = ManualClock::new(Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap());
        let clock: SharedClock = Arc::new(manual.clone());
        let (folder, store) = open_temp(Arc::clone(&clock)).await;
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("lockstep.toml");
        let text = format!(
            "[shops.main]\ndomain = '{}'\nbase_url = '{}'\naccess_token = 'shpat_sandbox_0123456789abcdef'\n\
             webhook_secrets = ['secret']\nstart_at = '2020-01-01T00:00:00Z'\n[shops.main.odoo]\nurl = '{}'\n\
             database = 'prod'\nlogin = 'connector@example.com'\napi_key = '{}'\n[shops.main.sync]\n\
             orders = {{ in = 'on' }}\n",
            shop.domain(),
            shop.url(),
            erp.url(),
            erp.api_key()
        );
        std::fs::write(&path, text).unwrap();
        Self {
            config: Config::load(&path).unwrap_or_else(|error| panic!("{error}")),
            shop,
            erp,
            store,
            manual,
            clock,
            _folders: (folder, files),
        }
    }

    fn of_shop(&self) -> &Shop {
        self.config.shops.values().next().unwrap()
    }

    fn live(&self) -> Said {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        Said {
            shopify: connect::shopify(self.of_shop(), &self.clock, &entropy).unwrap(),
            erp: connect::erp(self.of_shop(), &self.clock).unwrap(),
        }
    }

    fn reviewer(&self) -> Reviewer {
        Reviewer::new(
            self.store.clone(),
            self.clock.clone(),
            Actor::new("anna", Via::Cli),
        )
    }

    fn key(&self, object: Object, id: u64) -> JobKey {
        JobKey {
            shop: self.of_shop().name.clone(),
            object,
            direction: Direction::In,
            source_id: id.to_string(),
        }
    }

    /// A job for the record; its number.
    async fn job(&self, object: Object, id: u64) -> JobId {
        let job = NewJob {
            key: self.key(object, id),
            priority: Priority::LIVE,
            now: self.manual.now(),
            cause: "test".into(),
        };
        self.store.enqueue(job).await.unwrap().job
    }

    async fn claim(&self, object: Object) -> ClaimedJob {
        let claim = Claim {
            node: "test".into(),
            lanes: vec![(Lane::of(&self.key(object, 0)), 1)],
            now: self.manual.now(),
            lease: Duration::from_secs(60),
        };
        self.store.claim(claim).await.unwrap().remove(0)
    }

    async fn end(&self, job: &ClaimedJob, name: &str, verdict: Verdict) {
        let finish = Finish {
            job: job.id,
            fence: job.fence,
            started_at: self.manual.now(),
            ended_at: self.manual.now(),
            verdict,
            unclean: false,
            summary: "a test ended it".into(),
            detail: Value::Null,
            revision: None,
            record_name: Some(name.to_owned()),
            erp_name: None,
            links: Vec::new(),
            enqueue: Vec::new(),
            disables_shop: None,
            notifications: Vec::new(),
        };
        self.store.finish(finish).await.unwrap();
    }

    /// Makes the record's job and ends it so.
    async fn ended(&self, object: Object, id: u64, name: &str, verdict: Verdict) -> JobId {
        let made = self.job(object, id).await;
        let job = self.claim(object).await;
        assert_eq!(job.id, made);
        self.end(&job, name, verdict).await;
        made
    }

    /// What is said about an order, without and with a look at both systems.
    async fn why(&self, asked: &str, live: bool) -> Why {
        let said = live.then(|| self.live());
        why(&self.store, &self.clock, self.of_shop(), asked, said.as_ref())
            .await
            .unwrap()
    }

    /// Places an order in the shop; its id and name.
    fn place(&self, change: impl FnOnce(&mut OrderDraft)) -> (u64, String) {
        let mut draft = OrderDraft {
            lines: vec![LineDraft::custom("Goods", Decimal::TEN, 1)],
            ..OrderDraft::default()
        };
        change(&mut draft);
        self.shop.change(|shop| {
            let id = shop.place_order(draft).unwrap();
            (id, shop.order(id).unwrap().name.clone())
        })
    }

    fn in_the_erp(&self, model: &str, values: Value) -> i64 {
        let made = self.erp.as_admin(model, "create", json!([values]), json!({}));
        made.unwrap().as_i64().unwrap()
    }
}

fn problem(code: &str, detail: Value) -> NewProblem {
    NewProblem {
        code: code.into(),
        record: Some("#7".into()),
        field: None,
        reason: "The ERP has no tax of 21 %.".into(),
        fix: "Make the tax.".into(),
        owner: "accounting".into(),
        mapping: Some("order.in.toml:31".into()),
        cluster: format!("{code}:21"),
        detail,
    }
}

#[tokio::test]
async fn what_was_never_seen_is_looked_for_on_both_systems() {
    let rig = Rig::new().await;
    let (id, name) = rig.place(|_| ());
    for asked in [
        name.clone(),
        name.trim_start_matches('#').to_owned(),
        id.to_string(),
    ] {
        assert_eq!(rig.why(&asked, false).await.outlook, Outlook::Unknown);
        let why = rig.why(&asked, true).await;
        assert_eq!(why.outlook, Outlook::NeverDelivered, "{asked}: {}", why.sentence);
        assert!(why.next.unwrap().contains(&format!("lockstep sync order {id}")));
        assert_eq!(why.references.erp, None);
    }
    let (_, test) = rig.place(|draft| draft.test = true);
    assert_eq!(rig.why(&test, true).await.outlook, Outlook::Test);
    let (_, old) = rig.place(|draft| {
        draft.created_at = Some("2019-05-01T00:00:00Z".parse().unwrap());
        draft.processed_at = draft.created_at;
    });
    assert_eq!(rig.why(&old, true).await.outlook, Outlook::BeforeStart);

    // Somebody typed it in, and nobody said so.
    let partner = rig.in_the_erp("res.partner", json!({ "name": "Ada" }));
    let order = json!({ "partner_id": partner, "client_order_ref": name });
    let entered = rig.in_the_erp("sale.order", order);
    let why = rig.why(&name, true).await;
    let erp = why.references.erp.unwrap();
    assert_eq!(erp.id, entered.to_string());
    assert!(why.sentence.contains(&erp.name), "{}", why.sentence);
    let page = erp.url.unwrap();
    assert!(
        page.ends_with(&format!("/web#id={entered}&model=sale.order&view_type=form")),
        "{page}"
    );
    let by_erp_number = rig.why(&erp.name, true).await;
    assert_eq!(by_erp_number.outlook, Outlook::Booked);
    assert!(
        by_erp_number.sentence.contains("did not make"),
        "{}",
        by_erp_number.sentence
    );

    // Now somebody says so.
    let failed = problem("tax_not_found", Value::Null);
    let job = rig
        .ended(Object::Order, id, &name, Verdict::Problem(failed))
        .await;
    let live = rig.live();
    let reviewer = rig.reviewer();
    let proposed = reviewer.candidates(rig.of_shop(), &*live.erp, job).await.unwrap();
    assert_eq!(proposed.len(), 1);
    assert_eq!(
        (proposed[0].id, proposed[0].name.as_str()),
        (entered, erp.name.as_str())
    );
    let resolve = async |number: &str| {
        reviewer
            .resolve(rig.of_shop(), &*live.erp, job, number, None, Some("typed in"))
            .await
    };
    assert!(matches!(
        resolve("S99999").await,
        Err(ByHandError::NoSuchRecord { .. })
    ));
    assert_eq!(resolve(&erp.name).await.unwrap(), Acted::Done);
    assert_eq!(resolve(&erp.name).await.unwrap(), Acted::Already);
    for (asked, live) in [
        (name.as_str(), false),
        (erp.name.as_str(), false),
        (erp.name.as_str(), true),
    ] {
        let why = rig.why(asked, live).await;
        assert_eq!(why.outlook, Outlook::Booked, "{asked}");
        assert!(
            why.sentence.contains(&format!("{} by hand", erp.name)),
            "{}",
            why.sentence
        );
    }
    let counts = rig.store.action_counts(Timestamp::from_millis(0)).await.unwrap();
    assert_eq!((counts[0].action.as_str(), counts[0].count), ("resolve", 1));
}

#[tokio::test]
async fn a_person_says_which_partner_an_orders_customer_is() {
    let rig = Rig::new().await;
    let partners = [1, 2].map(|number| {
        let values = json!({ "name": format!("Ada {number}"), "email": "ada@example.com" });
        rig.in_the_erp("res.partner", values)
    });
    let detail = json!({ "candidates": partners.map(|id| id.to_string()), "customer": "77" });
    let ambiguous = Verdict::Problem(problem("customer_ambiguous", detail));
    let job = rig.ended(Object::Order, 7, "#7", ambiguous).await;
    let live = rig.live();
    let reviewer = rig.reviewer();
    let proposed = reviewer.candidates(rig.of_shop(), &*live.erp, job).await.unwrap();
    let mut named: Vec<_> = proposed
        .iter()
        .map(|row| (row.id, row.name.as_str(), row.about.as_deref()))
        .collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [
            (partners[0], "Ada 1", Some("ada@example.com")),
            (partners[1], "Ada 2", Some("ada@example.com"))
        ]
    );
    let link = async |job, id| {
        reviewer
            .link(rig.of_shop(), &*live.erp, job, ErpId(id), Some("asked her"))
            .await
    };
    assert!(matches!(
        link(job, 999_999).await,
        Err(ByHandError::NoSuchRecord { .. })
    ));
    assert_eq!(link(job, partners[1]).await.unwrap(), Acted::Again(job));
    let shop = rig.of_shop().name.clone();
    let links = rig
        .store
        .links(&shop, LinkKind::Customer, &["77".into()])
        .await
        .unwrap();
    assert_eq!(links[0].erp_id, ErpId(partners[1]));

    let plain = problem("tax_not_found", Value::Null);
    let other = rig
        .ended(Object::Product, 3, "Hat", Verdict::Problem(plain))
        .await;
    assert!(matches!(
        link(other, partners[0]).await,
        Err(ByHandError::NotSo(_))
    ));
    assert!(matches!(
        link(JobId(999), partners[0]).await,
        Err(ByHandError::UnknownJob(_))
    ));
}

#[tokio::test]
async fn problems_come_with_both_sides_of_an_example() {
    let rig = Rig::new().await;
    for id in [7, 8] {
        let failed = Verdict::Problem(problem("tax_not_found", Value::Null));
        rig.ended(Object::Order, id, "#7", failed).await;
    }
    let views = clusters(
        &rig.config,
        &rig.store,
        ClusterFilter::default(),
        rig.manual.now(),
    )
    .await
    .unwrap();
    assert_eq!(views.len(), 1);
    let view = &views[0];
    assert_eq!((view.row.problems, view.is_snoozed), (2, false));
    let page = format!("https://{}/admin/orders/8", rig.shop.domain());
    let shopify = view.example_sides.shopify.as_ref().unwrap();
    assert_eq!(shopify.url.as_deref(), Some(page.as_str()));
    let reviewer = rig.reviewer();
    let until = rig.manual.now().plus(Duration::from_hours(1));
    reviewer
        .snooze(&view.row.cluster, Some(until), None)
        .await
        .unwrap();
    let later = clusters(&rig.config, &rig.store, ClusterFilter::default(), until)
        .await
        .unwrap();
    assert!(!later[0].is_snoozed, "over when it says");
}

#[tokio::test]
async fn what_a_colleague_holds_is_not_carried_over_by_the_way() {
    let rig = Rig::new().await;
    let key = rig.key(Object::Order, 7);
    let carry_over = async |name: &str| {
        let actor = Actor::new(name, Via::Console);
        let reviewer = Reviewer::new(rig.store.clone(), rig.clock.clone(), actor);
        reviewer.carry_over(key.clone()).await.unwrap()
    };
    let (job, made) = carry_over("anna").await;
    assert_eq!(made, Acted::Again(job));
    rig.reviewer().hold(job, "the customer calls back").await.unwrap();
    assert_eq!(carry_over("ben").await, (job, Acted::Taken("anna".to_owned())));
    let story = rig.store.job(job).await.unwrap().unwrap();
    assert_eq!(story.job.state, JobState::Held);
    rig.reviewer().release(job, None).await.unwrap();
    let claimed = rig.claim(Object::Order).await;
    rig.end(&claimed, "#7", Verdict::Completed).await;
    let (_, again) = carry_over("ben").await;
    assert!(matches!(again, Acted::New(_)), "{again:?}");
    let filter = crate::store::AuditFilter {
        action: Some("retry".to_owned()),
        ..crate::store::AuditFilter::default()
    };
    let log = rig.store.audit(filter).await.unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].actor, "ben");
}

#[tokio::test]
async fn a_batch_is_worked_off_at_its_pace() {
    let rig = Rig::new().await;
    for id in 1..=5 {
        let failed = Verdict::Problem(problem("tax_not_found", Value::Null));
        rig.ended(Object::Order, id, "#7", failed).await;
    }
    let reviewer = rig.reviewer();
    let filter = BatchFilter {
        code: Some("tax_not_found".into()),
        ..BatchFilter::default()
    };
    let started = reviewer
        .retry_matching(filter, 2, Some("tax made"))
        .await
        .unwrap();
    let Acted::Batch { id, is_new: true } = started else {
        panic!("{started:?}");
    };
    let stop = CancellationToken::new();
    let working = tokio::spawn(work_batches(rig.store.clone(), rig.clock.clone(), stop.clone()));
    let done = async |count: u64| {
        until("the batch goes on", async || {
            let row = rig.store.batches(false, 0).await.unwrap().remove(0);
            assert!(row.done <= count, "faster than its pace");
            (row.done == count).then_some(row)
        })
        .await
    };
    assert_eq!(done(2).await.state, BatchState::Running);
    rig.manual.advance(Duration::from_secs(1));
    assert_eq!(done(4).await.id, id);
    rig.manual.advance(Duration::from_secs(1));
    assert_eq!(done(5).await.state, BatchState::Done);
    stop.cancel();
    working.await.unwrap();
}
