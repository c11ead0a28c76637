//! A daemon between a stand-in shop and a stand-in ERP, and its console.

use super::*;
use crate::app::testing::until;
use crate::domain::{JobState, SystemClock};
use crate::sandbox::odoo::{OdooSandbox, Options as OdooOptions, ServiceSeed, Version};
use crate::sandbox::shopify::draft::{Buyer, LineDraft, OrderDraft, Payment};
use crate::sandbox::shopify::facts::Address;
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};

pub(super) const OPERATOR: &str = "operator-0123456789abcdef0123456789";
pub(super) const VIEWER: &str = "viewer-0123456789abcdef0123456789abc";

/// A daemon between both.
pub(super) struct Live {
    pub(super) shop: ShopSandbox,
    pub(super) erp: OdooSandbox,
    pub(super) rig: Rig,
}

impl Live {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// With more in its configuration.
    pub(super) async fn with(more: &str) -> Self {
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
        let text = format!(
            "[http]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n\
             tokens = [{{ token = '{OPERATOR}', name = 'o', role = 'operator' }}, {{ token = '{VIEWER}', name = 'v', role = 'viewer' }}]\n\
             [shops.main]\ndomain = '{}'\n\
             base_url = '{}'\naccess_token = 'shpat_sandbox_0123456789abcdef'\nwebhook_secrets = ['secret']\n\
             start_at = '2020-01-01T00:00:00Z'\n[shops.main.odoo]\nurl = '{}'\n\
             database = 'prod'\nlogin = 'connector@example.com'\napi_key = '{}'\ncalls_per_second = 1000\nwarehouse = 1\n\
             [shops.main.sync]\norders = {{ in = 'on' }}\n{}{more}",
            shop.domain(),
            shop.url(),
            erp.url(),
            erp.api_key(),
            users()
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let shared: SharedClock = Arc::new(SystemClock);
        let options = DaemonOptions {
            follow_files: false,
            ..DaemonOptions::new(Arc::clone(&shared))
        };
        let rig = Rig {
            daemon: start(config.clone(), options).await.unwrap(),
            store: crate::app::open(&config, &shared, OpenMode::Tool).await.unwrap(),
            clock: ManualClock::new(Timestamp::from_millis(0)),
            folder,
            client: transport::client(&transport::Settings::default()).unwrap(),
        };
        Self { shop, erp, rig }
    }

    pub(super) fn place(&self, name: &str) -> (u64, String) {
        self.place_for(
            name,
            Buyer::Guest {
                email: Some("guest@example.com".into()),
                phone: None,
            },
        )
    }

    pub(super) fn place_for(&self, name: &str, buyer: Buyer) -> (u64, String) {
        let address = Address {
            first_name: Some("Ada".into()),
            last_name: Some(name.into()),
            address1: Some("Unter den Linden 1".into()),
            city: Some("Berlin".into()),
            zip: Some("10117".into()),
            country_code: Some("DE".into()),
            ..Address::default()
        };
        self.shop.change(|shop| {
            let id = shop
                .place_order(OrderDraft {
                    buyer,
                    lines: vec![LineDraft::custom("<b>Goods</b>", rust_decimal::Decimal::TEN, 2)],
                    payment: Payment::Paid("shopify_payments".into()),
                    shipping_address: Some(address.clone()),
                    billing_address: Some(address),
                    ..OrderDraft::default()
                })
                .unwrap();
            (id, shop.order(id).unwrap().name.clone())
        })
    }

    pub(super) async fn until_done(&self, job: JobId) {
        until("the job is done", async || {
            let story = self.rig.store.job(job).await.unwrap().unwrap();
            match story.job.state {
                JobState::Completed => Some(()),
                JobState::Problem | JobState::Held => panic!("{story:#?}"),
                _ => None,
            }
        })
        .await;
    }

    pub(super) async fn stop(self) {
        self.rig.stop().await;
    }
}

/// The job of an address like `/jobs/7?notice=retried`.
pub(super) fn job_of(answer: &Answer) -> JobId {
    let location = answer
        .location
        .as_deref()
        .unwrap_or_else(|| panic!("{}", answer.text));
    let number = location
        .strip_prefix("/jobs/")
        .unwrap()
        .split('?')
        .next()
        .unwrap();
    JobId(number.parse().unwrap())
}

pub(super) fn all_in(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}
