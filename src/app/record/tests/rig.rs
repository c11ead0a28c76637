//! A stand-in shop, a stand-in ERP, a store, and a customer who bought something.

use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::app::connect;
use crate::config::Config;
use crate::domain::{Outcome, Priority, SharedEntropy, SystemClock, SystemEntropy};
use crate::sandbox::odoo::{OdooSandbox, Options as OdooOptions, ServiceSeed, Version};
use crate::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, Payment, ProductDraft, ShippingDraft, VariantDraft,
};
use crate::sandbox::shopify::facts::{Address, Tax};
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use crate::store::testing::open_temp;
use crate::store::{Claim, Finish, Lane, NewJob, Verdict};
use crate::sync::Engine;

pub(super) const PATIENT: Patience = Patience {
    side: Duration::from_secs(20),
    comparison: Duration::from_secs(60),
};

/// Both sides, a store and a configuration that names them.
pub(super) struct Rig {
    pub(super) shop: ShopSandbox,
    pub(super) erp: OdooSandbox,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) config: Config,
    pub(super) engine: Engine,
    pub(super) said: Said,
    _folders: (TempDir, TempDir),
}

impl Rig {
    pub(super) async fn new() -> Self {
        let shop = ShopSandbox::start(ShopOptions::default()).await.unwrap();
        let mut options = OdooOptions {
            services: ["shipping", "discount", "rounding", "custom", "tip"]
                .map(|purpose| ServiceSeed {
                    name: purpose.to_owned(),
                    code: purpose.to_uppercase(),
                    external_id: Some(format!("__lockstep_main__.service_{purpose}")),
                })
                .to_vec(),
            ..OdooOptions::version(Version::V18)
        };
        options.companies[0].currency = "EUR".to_owned();
        options.companies[0].country = "DE".to_owned();
        let erp = OdooSandbox::start(options).await.unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let (folder, store) = open_temp(Arc::clone(&clock)).await;
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("lockstep.toml");
        let text = format!(
            "[shops.main]\ndomain = '{}'\nbase_url = '{}'\naccess_token = 'shpat_sandbox_0123456789abcdef'\n\
             webhook_secrets = ['secret']\nstart_at = '2020-01-01T00:00:00Z'\n[shops.main.odoo]\nurl = '{}'\n\
             database = 'prod'\nlogin = 'connector@example.com'\napi_key = '{}'\ncalls_per_second = 1000\n\
             warehouse = 1\n[shops.main.sync]\norders = {{ in = 'on' }}\ncustomers = {{ in = 'on', out = 'on' }}\n\
             products = {{ in = 'on', out = 'on' }}\n",
            shop.domain(),
            shop.url(),
            erp.url(),
            erp.api_key()
        );
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let of_shop = config.shops.values().next().unwrap();
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let said = Said {
            shopify: connect::shopify(of_shop, &clock, &entropy).unwrap(),
            erp: connect::erp(of_shop, &clock).unwrap(),
        };
        let context = ready(of_shop, &said, &store, &clock, mappings()).unwrap();
        Self {
            engine: Engine::new([context]),
            said,
            shop,
            erp,
            store,
            clock,
            config,
            _folders: (folder, files),
        }
    }

    pub(super) fn of_shop(&self) -> &Shop {
        self.config.shops.values().next().unwrap()
    }

    /// Makes the record's job and carries it out, with whatever it waits for.
    pub(super) async fn sync(&self, object: Object, id: u64) {
        let job = NewJob {
            key: JobKey {
                shop: "main".parse().unwrap(),
                object,
                direction: Direction::In,
                source_id: id.to_string(),
            },
            priority: Priority::LIVE,
            now: self.clock.now(),
            cause: "test".into(),
        };
        let job = self.store.enqueue(job).await.unwrap().job;
        for _ in 0..20 {
            let now = self.clock.now().plus(Duration::from_secs(2));
            let lanes = self.store.ready_lanes(now).await.unwrap();
            let claim = Claim {
                node: "test".into(),
                lanes: lanes
                    .into_iter()
                    .map(|ready| (ready.lane, 10))
                    .collect::<Vec<(Lane, u32)>>(),
                now,
                lease: Duration::from_secs(60),
            };
            for claimed in self.store.claim(claim).await.unwrap() {
                let (id, fence) = (claimed.id, claimed.fence);
                let report = self.engine.attempt(claimed, CancellationToken::new()).await;
                self.finish(id, fence, report, now).await;
            }
        }
        let story = self.store.job(job).await.unwrap().unwrap();
        assert_eq!(story.job.state, JobState::Completed, "{story:#?}");
    }

    pub(super) async fn finish(
        &self,
        job: JobId,
        fence: crate::domain::Fence,
        report: crate::domain::Report,
        now: Timestamp,
    ) {
        let verdict = match report.outcome {
            Outcome::Completed => Verdict::Completed,
            Outcome::Wait { on, at_most } => Verdict::Wait {
                on,
                until: now.plus(at_most),
            },
            Outcome::Later { at } => Verdict::Retry {
                at,
                counts: false,
                system_down: None,
            },
            other => panic!("{other:?}"),
        };
        let finish = Finish {
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
            disables_shop: None,
            notifications: Vec::new(),
        };
        self.store.finish(finish).await.unwrap();
    }

    /// The record, with both sides compared.
    pub(super) async fn record(&self, object: Object, id: u64, patience: Patience) -> Record {
        let id = id.to_string();
        let wanted = Wanted {
            shop: self.of_shop(),
            object,
            id: &id,
            said: Some(&self.said),
            mappings: Some(mappings()),
            patience,
        };
        record(&self.store, &self.clock, wanted).await.unwrap()
    }

    /// A customer who bought three shirts and had them sent.
    pub(super) fn story(&self) -> Story {
        self.shop.change(|shop| {
            let product = shop.create_product(ProductDraft {
                title: "Shirt".into(),
                variants: vec![VariantDraft::new(&[], "SHIRT", decimal("19.99"))],
                ..ProductDraft::default()
            });
            let variant = shop.product(product).unwrap().variants[0].id;
            let customer = shop
                .create_customer(CustomerDraft {
                    first_name: Some("Ada".into()),
                    last_name: Some("Lovelace".into()),
                    email: Some("ada@example.com".into()),
                    addresses: vec![berlin("Lovelace")],
                    ..CustomerDraft::default()
                })
                .unwrap();
            let order = shop
                .place_order(OrderDraft {
                    buyer: Buyer::Customer(customer),
                    lines: vec![LineDraft::variant(variant, 3)],
                    shipping: vec![ShippingDraft::new("Standard", decimal("4.90"))],
                    taxes: vec![Tax::new("MwSt", rust_decimal::Decimal::new(19, 2))],
                    taxes_included: true,
                    payment: Payment::Paid("shopify_payments".into()),
                    shipping_address: Some(berlin("Lovelace")),
                    billing_address: Some(berlin("Byron")),
                    ..OrderDraft::default()
                })
                .unwrap();
            let name = shop.order(order).unwrap().name.clone();
            Story {
                product,
                customer,
                order,
                name,
            }
        })
    }
}

pub(super) struct Story {
    pub(super) product: u64,
    pub(super) customer: u64,
    pub(super) order: u64,
    pub(super) name: String,
}

pub(super) fn mappings() -> Arc<Mappings> {
    Arc::new(crate::app::mappings::load(None).unwrap())
}

pub(super) fn decimal(text: &str) -> rust_decimal::Decimal {
    text.parse().unwrap()
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
