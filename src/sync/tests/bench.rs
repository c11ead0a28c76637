//! Two stand-ins with the engine between them, and a queue of one.

use super::*;
use crate::domain::LONGEST_CALL;

/// Both sides, a store and the engine.
pub(super) struct Bench {
    pub(super) shop: ShopSandbox,
    pub(super) erp: OdooSandbox,
    pub(super) store: SharedStore,
    pub(super) engine: Engine,
    /// What was told of each attempt.
    pub(super) told: std::sync::Mutex<Vec<(Option<Box<About>>, Vec<Happened>)>>,
    mappings: watch::Sender<Arc<Mappings>>,
    folder: tempfile::TempDir,
}

pub(super) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn services() -> Vec<ServiceSeed> {
    ["shipping", "discount", "rounding", "custom", "tip"]
        .map(|purpose| ServiceSeed {
            name: purpose.to_owned(),
            code: purpose.to_uppercase(),
            external_id: Some(format!("__lockstep_main__.service_{purpose}")),
        })
        .to_vec()
}

/// The shipped mappings, one of them with `from` replaced.
pub(super) fn edited(file: &str, from: &str, to: &str) -> Mappings {
    edited_all(&[(file, from, to)])
}

/// The shipped mappings, with several such changes.
fn edited_all(changes: &[(&str, &str, &str)]) -> Mappings {
    let folder = tempfile::tempdir().unwrap();
    for (file, from, to) in changes {
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| {
            let (_, text) = crate::mapping::DEFAULTS
                .iter()
                .find(|(name, _)| name == file)
                .unwrap();
            (*text).to_owned()
        });
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }
    crate::app::mappings::load(Some(folder.path())).unwrap()
}

impl Bench {
    pub(super) async fn new(version: Version) -> Self {
        Self::with(
            OdooOptions {
                services: services(),
                ..OdooOptions::version(version)
            },
            Settings::default(),
        )
        .await
    }

    pub(super) async fn with(options: OdooOptions, settings: Settings) -> Self {
        Self::between(ShopOptions::default(), options, settings).await
    }

    pub(super) async fn between(shop_options: ShopOptions, options: OdooOptions, settings: Settings) -> Self {
        let mappings = crate::app::mappings::load(None).unwrap();
        Self::built(shop_options, options, mappings, |shop| shop.settings = settings).await
    }

    /// With the shipped mappings, one of them changed: `from` is replaced with `to`.
    pub(super) async fn with_edited(file: &str, from: &str, to: &str) -> Self {
        let options = OdooOptions {
            services: services(),
            ..OdooOptions::version(Version::V18)
        };
        Self::built(ShopOptions::default(), options, edited(file, from, to), |_| ()).await
    }

    /// With something else about the shop.
    pub(super) async fn adjusted(options: OdooOptions, adjust: impl FnOnce(&mut ShopContext)) -> Self {
        let mappings = crate::app::mappings::load(None).unwrap();
        Self::built(ShopOptions::default(), options, mappings, adjust).await
    }

    /// With the way back switched on, and the shipped mappings changed like this.
    pub(super) async fn both_ways(version: Version, changes: &[(&str, &str, &str)]) -> Self {
        let options = OdooOptions {
            services: services(),
            ..OdooOptions::version(version)
        };
        Self::built(ShopOptions::default(), options, edited_all(changes), |shop| {
            shop.out = BTreeSet::from([Object::Customer, Object::Product]);
        })
        .await
    }

    /// The same, stock included.
    pub(super) async fn both_ways_and_stock(changes: &[(&str, &str, &str)]) -> Self {
        let options = OdooOptions {
            services: services(),
            ..OdooOptions::version(Version::V18)
        };
        Self::built(ShopOptions::default(), options, edited_all(changes), |shop| {
            shop.out = BTreeSet::from([Object::Customer, Object::Product, Object::Inventory]);
        })
        .await
    }

    /// Makes the job that brings a record of the ERP to the shop, and runs it and whatever it waits for.
    pub(super) async fn send(&self, object: Object, id: i64) -> (JobState, Option<String>) {
        self.send_at_once(object, &[id]).await.remove(0)
    }

    /// Makes the job of this key, and runs it and whatever it waits for.
    pub(super) async fn carry_out(&self, key: JobKey) -> (JobState, Option<String>) {
        let job = NewJob {
            key,
            priority: Priority::LIVE,
            now: crate::domain::Clock::now(&SystemClock),
            cause: "test".into(),
        };
        let job = self.store.enqueue(job).await.unwrap().job;
        self.drain().await;
        self.story(job).await
    }

    /// The same of many records: all jobs are made first, and run at the same time.
    pub(super) async fn send_at_once(&self, object: Object, ids: &[i64]) -> Vec<(JobState, Option<String>)> {
        let key = |id: &i64| JobKey {
            direction: Direction::Out,
            source_id: id.to_string(),
            ..self.key(object, 1)
        };
        self.run_at_once(ids.iter().map(key)).await
    }

    /// Between a shop and an ERP like these, with these mappings and something else about the shop.
    pub(super) async fn built(
        shop_options: ShopOptions,
        mut options: OdooOptions,
        mappings: Mappings,
        adjust: impl FnOnce(&mut ShopContext),
    ) -> Self {
        options.companies[0].currency = "EUR".to_owned();
        options.companies[0].country = "DE".to_owned();
        let erp = OdooSandbox::start(options).await.unwrap();
        Self::connected(shop_options, erp, CurrencyChoice::Shop, mappings, adjust).await
    }

    /// Between a shop that is started and an ERP that runs already.
    pub(super) async fn connected(
        shop_options: ShopOptions,
        erp: OdooSandbox,
        currency: CurrencyChoice,
        mappings: Mappings,
        adjust: impl FnOnce(&mut ShopContext),
    ) -> Self {
        let shop = ShopSandbox::start(shop_options).await.unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let (folder, store) = open_temp(Arc::clone(&clock)).await;
        let name: ShopName = "main".parse().unwrap();
        let connection = transport::Settings {
            connect_timeout_s: 5,
            timeout_s: 20,
            ..Default::default()
        };
        let odoo_settings = odoo::Settings {
            calls_per_second: 10_000,
            max_concurrent_calls: 16,
            warehouse: Some(odoo::Reference::Id(1)),
            ..odoo::Settings::new(erp.url(), "prod", "connector@example.com")
        };
        let odoo = Odoo::connect(
            odoo_settings,
            Secret::text(erp.api_key()),
            &connection,
            name.clone(),
            Arc::clone(&clock),
        );
        let odoo = Arc::new(odoo.unwrap());
        let mut shopify_settings = crate::shopify::Settings::new(shop.domain());
        shopify_settings.base_url = Some(shop.url());
        shopify_settings.currency = currency;
        let token = Credentials::Token(Secret::text("shpat_sandbox_0123456789abcdef"));
        let shopify = Shopify::connect(
            name.clone(),
            &shopify_settings,
            token,
            &connection,
            Arc::clone(&clock),
            Arc::new(SystemEntropy),
        )
        .unwrap();
        let shopify = Arc::new(shopify);
        let (keep, mappings) = watch::channel(Arc::new(mappings));
        let mut context = ShopContext {
            name,
            domain: shop.domain().to_owned(),
            settings: Settings::default(),
            facts: ShopFacts::default(),
            start_at: Some(Timestamp::from_millis(0)),
            owner: "operator".into(),
            source: Arc::clone(&shopify) as Arc<dyn crate::sync::Source>,
            target: shopify,
            erp: Arc::clone(&odoo) as SharedErp,
            out: BTreeSet::new(),
            not_in: BTreeSet::new(),
            rules: crate::sync::Rules::default(),
            seen: crate::sync::Seen::default(),
            mappings,
            store: Arc::clone(&store),
            clock,
        };
        adjust(&mut context);
        Self {
            shop,
            erp,
            store,
            engine: Engine::new([context]),
            told: std::sync::Mutex::default(),
            mappings: keep,
            folder,
        }
    }

    /// Puts an order mapping into force that differs from the shipped one by this replacement.
    pub(super) fn remap_orders(&self, old: &str, new: &str) {
        self.mappings
            .send_replace(Arc::new(edited("order.in.toml", old, new)));
    }

    /// Puts mappings into force of which one differs from the shipped one by this replacement. Returns their revision.
    pub(super) fn remap(&self, file: &str, old: &str, new: &str) -> String {
        let mappings = edited(file, old, new);
        let revision = mappings.revision().to_owned();
        self.mappings.send_replace(Arc::new(mappings));
        revision
    }

    pub(super) fn key(&self, object: Object, id: u64) -> JobKey {
        JobKey {
            shop: "main".parse().unwrap(),
            object,
            direction: Direction::In,
            source_id: id.to_string(),
        }
    }

    /// Makes the job and claims it.
    pub(super) async fn claim(&self, object: Object, id: u64) -> ClaimedJob {
        let job = asked_for(self.key(object, id));
        let now = job.now;
        let claim = Claim {
            node: "test".into(),
            lanes: vec![(Lane::of(&job.key), 1)],
            now,
            lease: Duration::from_secs(60),
        };
        self.store.enqueue(job).await.unwrap();
        self.store.claim(claim).await.unwrap().remove(0)
    }

    /// Makes the job and runs it, and whatever it waits for, until nothing is due. Returns the job's state and the
    /// reason of its problem.
    pub(super) async fn sync(&self, object: Object, id: u64) -> (JobState, Option<String>) {
        let job = asked_for(self.key(object, id));
        let job = self.store.enqueue(job).await.unwrap().job;
        self.drain().await;
        self.story(job).await
    }

    /// Makes jobs for all of these first, and then runs them at the same time, again and again until nothing is due.
    pub(super) async fn sync_at_once(&self, records: &[(Object, u64)]) -> Vec<(JobState, Option<String>)> {
        self.run_at_once(records.iter().map(|(object, id)| self.key(*object, *id)))
            .await
    }

    async fn run_at_once(&self, keys: impl Iterator<Item = JobKey>) -> Vec<(JobState, Option<String>)> {
        let mut jobs = Vec::new();
        for key in keys {
            jobs.push(self.store.enqueue(asked_for(key)).await.unwrap().job);
        }
        self.drain().await;
        let mut stories = Vec::new();
        for job in jobs {
            stories.push(self.story(job).await);
        }
        stories
    }

    /// What was told since this was asked last: what, and what came of it.
    pub(super) fn has_told(&self) -> Vec<String> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let texts = told.iter().flat_map(|(_, happened)| happened);
        texts
            .map(|happened| match happened.status {
                Some(status) => format!("{} {status:?}", happened.what).replace('"', ""),
                None => happened.what.to_string(),
            })
            .collect()
    }

    /// Runs jobs until nothing is due, each as if it came after the longest call of an attempt that ended without an answer.
    pub(super) async fn drain(&self) {
        for _ in 0..20 {
            let claimed = self.claim_due().await;
            if claimed.is_empty() {
                break;
            }
            let attempts = claimed.into_iter().map(|mut claimed| async {
                let long_ago = |at: Timestamp| at.minus(LONGEST_CALL);
                claimed.unclean_at = claimed.unclean_at.map(long_ago);
                let (id, fence) = (claimed.id, claimed.fence);
                let mut report = self.engine.attempt(claimed, CancellationToken::new()).await;
                let told = (report.about.take(), std::mem::take(&mut report.happened));
                let finished = self.store.finish(finish(id, fence, report)).await.unwrap();
                assert_ne!(finished, Finished::Stale);
                self.told.lock().unwrap().push(told);
            });
            futures_util::future::join_all(attempts).await;
        }
    }

    async fn claim_due(&self) -> Vec<ClaimedJob> {
        // A job that began to wait for a record just after its release looks again a second later: that moment is now.
        let now = crate::domain::Clock::now(&SystemClock).plus(Duration::from_secs(2));
        let ready = self.store.ready_lanes(now).await.unwrap();
        let lanes: Vec<(Lane, u32)> = ready.into_iter().map(|ready| (ready.lane, 10)).collect();
        let claim = Claim {
            node: "test".into(),
            lanes,
            now,
            lease: Duration::from_secs(60),
        };
        self.store.claim(claim).await.unwrap()
    }

    /// Claims the one job that is due.
    pub(super) async fn claim_ready(&self) -> ClaimedJob {
        self.claim_due().await.remove(0)
    }

    /// The live link of a record.
    pub(super) async fn link(&self, kind: crate::domain::LinkKind, id: u64) -> Option<crate::domain::Link> {
        let shop = "main".parse().unwrap();
        live(self.store.links(&shop, kind, &[id.to_string()]).await.unwrap())
    }

    /// Puts a link in place of the one that there is, as a restored ERP would have it: it leads to another record.
    pub(super) async fn relink(&self, link: crate::domain::Link) {
        let job = asked_for(self.key(Object::Shop, 1));
        self.store.enqueue(job).await.unwrap();
        let claimed = self.claim_due().await.remove(0);
        let mut report = Report::of(Outcome::Completed, "test");
        report.links.push(link);
        let end = finish(claimed.id, claimed.fence, report);
        assert!(matches!(self.store.finish(end).await.unwrap(), Finished::Done(_)));
    }

    /// Takes rows of the link table away, as a store that was restored from an old copy lacks them.
    pub(super) async fn lose_links(&self, kind: crate::domain::LinkKind, ids: &[u64]) {
        use sqlx::Connection as _;
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("lockstep.db"));
        let mut store = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        for id in ids {
            let gone = sqlx::query("DELETE FROM links WHERE kind = $1 AND source_id = $2")
                .bind(kind.to_string())
                .bind(id.to_string());
            let gone = gone.execute(&mut store).await.unwrap();
            assert_eq!(gone.rows_affected(), 1);
        }
        store.close().await.unwrap();
    }

    /// Makes or changes a record in the ERP as a person would.
    pub(super) fn in_the_erp(&self, model: &str, method: &str, args: serde_json::Value) -> serde_json::Value {
        self.erp
            .as_admin(model, method, args, serde_json::json!({}))
            .unwrap()
    }

    /// The jobs about the shop itself.
    pub(super) async fn jobs_of_the_shop(&self) -> Vec<crate::store::JobRow> {
        let filter = crate::store::JobFilter {
            object: Some(Object::Shop),
            ..Default::default()
        };
        self.store.jobs(filter).await.unwrap()
    }

    /// Makes one record in the ERP as a person would.
    pub(super) fn made_in_the_erp(&self, model: &str, values: serde_json::Value) -> i64 {
        self.in_the_erp(model, "create", serde_json::json!([values]))
            .as_i64()
            .unwrap()
    }

    pub(super) async fn story(&self, job: JobId) -> (JobState, Option<String>) {
        let story = self.store.job(job).await.unwrap().unwrap();
        let reason = story
            .job
            .problem
            .map(|problem| format!("{}: {}", problem.code, problem.reason));
        let last = story.attempts.last().map(|attempt| attempt.summary.clone());
        (story.job.state, reason.or(story.job.reason).or(last))
    }

    /// The one sales order with this number; more or fewer than one are a failure.
    pub(super) fn booked(&self, name: &str) -> OrderView {
        let mut orders = self.erp.ledger().orders_by_reference(name);
        assert_eq!(orders.len(), 1, "sales orders for {name}");
        orders.remove(0)
    }

    /// Calls of the ERP since `before`, by method.
    pub(super) fn calls_since(&self, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let now = self.erp.ledger().calls();
        now.into_iter()
            .map(|(name, count)| {
                let known = before.get(&name).copied().unwrap_or(0);
                (name, count - known)
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// The job of this key, wanted now.
fn asked_for(key: JobKey) -> NewJob {
    NewJob {
        key,
        priority: Priority::LIVE,
        now: crate::domain::Clock::now(&SystemClock),
        cause: "test".into(),
    }
}

pub(super) fn finish(job: JobId, fence: crate::domain::Fence, report: Report) -> Finish {
    let now = crate::domain::Clock::now(&SystemClock);
    let verdict = match report.outcome {
        Outcome::Completed => Verdict::Completed,
        Outcome::Obsolete(reason) => Verdict::Obsolete { reason },
        Outcome::Problem(problem) => Verdict::Problem(problem),
        Outcome::Held(problem) => Verdict::Held(problem),
        Outcome::Wait { on, at_most } => Verdict::Wait {
            on,
            until: now.plus(at_most),
        },
        // Tests of single flows look at a failure as the problem that it would become.
        Outcome::Failed { problem, .. } => Verdict::Problem(problem),
        Outcome::Later { at } => Verdict::Retry {
            at,
            counts: false,
            system_down: None,
        },
        Outcome::Interrupted => Verdict::Release,
    };
    Finish {
        job,
        fence,
        started_at: now,
        ended_at: now,
        verdict,
        unclean: report.unclean,
        summary: report.summary,
        detail: report.detail,
        revision: None,
        record_name: report.record_name,
        erp_name: report.erp_name,
        links: report.links,
        enqueue: report
            .enqueue
            .into_iter()
            .map(|(key, priority, cause)| NewJob {
                key,
                priority,
                now,
                cause,
            })
            .collect(),
        disables_shop: report.disables_shop,
        notifications: Vec::new(),
    }
}

pub(super) fn vat(percent: i64) -> Tax {
    Tax::new("MwSt", Decimal::new(percent, 2))
}

pub(super) fn berlin(last_name: &str) -> Address {
    Address {
        first_name: Some("Ada".into()),
        last_name: Some(last_name.into()),
        address1: Some("Unter den Linden 1".into()),
        city: Some("Berlin".into()),
        zip: Some("10117".into()),
        country_code: Some("DE".into()),
        ..Address::default()
    }
}

/// A product with two variants; returns their ids.
pub(super) fn shirt(bench: &Bench) -> (u64, Vec<u64>) {
    bench.shop.change(|shop| {
        let product = shop.create_product(ProductDraft {
            title: "Shirt".into(),
            options: vec!["Size".into()],
            variants: vec![
                VariantDraft::new(&["S"], "SHIRT-S", decimal("19.99")),
                VariantDraft::new(&["M"], "SHIRT-M", decimal("21.99")),
            ],
            ..ProductDraft::default()
        });
        let variants = shop
            .product(product)
            .unwrap()
            .variants
            .iter()
            .map(|variant| variant.id)
            .collect();
        (product, variants)
    })
}

pub(super) fn ada(bench: &Bench) -> u64 {
    bench.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            first_name: Some("Ada".into()),
            last_name: Some("Lovelace".into()),
            email: Some("Ada@Example.com".into()),
            addresses: vec![berlin("Lovelace")],
            ..CustomerDraft::default()
        })
        .unwrap()
    })
}

/// An order of `lines`; returns its id and name.
pub(super) fn order(bench: &Bench, draft: OrderDraft) -> (u64, String) {
    bench.shop.change(|shop| {
        let id = shop.place_order(draft).unwrap();
        (id, shop.order(id).unwrap().name.clone())
    })
}

pub(super) fn everyday(buyer: Buyer, variant: u64) -> OrderDraft {
    OrderDraft {
        buyer,
        lines: vec![LineDraft::variant(variant, 3)],
        shipping: vec![ShippingDraft::new("Standard", decimal("4.90"))],
        taxes: vec![vat(19)],
        taxes_included: true,
        payment: Payment::Paid("shopify_payments".into()),
        shipping_address: Some(berlin("Lovelace")),
        billing_address: Some(berlin("Byron")),
        ..OrderDraft::default()
    }
}
