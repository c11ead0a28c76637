//! A daemon between the stand-in shop and the stand-in ERP.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::*;
use crate::domain::{Clock as _, JobKey};
use crate::sandbox::odoo::{OdooSandbox, Options as ErpOptions, ServiceSeed, Version};
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use crate::store::{JobRow, RunRow};

/// The static token that the stand-in shop knows.
pub(super) const TOKEN: &str = "shpat_sandbox_0123456789abcdef";

/// Both stand-ins and the daemon, whose clock only the test moves.
pub(super) struct Between {
    pub(super) shop: ShopSandbox,
    pub(super) erp: OdooSandbox,
    pub(super) daemon: Daemon,
    pub(super) clock: ManualClock,
    pub(super) name: ShopName,
    deliveries: AtomicU32,
    folder: TempDir,
}

impl Between {
    /// With a shop of this name in the configuration, which sends nothing by itself.
    pub(super) async fn new(name: &str) -> Self {
        Self::with(name, "listen = \"127.0.0.1:0\"", ShopOptions::default(), "off").await
    }

    /// The same, with these endpoints.
    pub(super) async fn telling(name: &str, endpoints: &str) -> Self {
        let http = format!("listen = \"127.0.0.1:0\"\n{endpoints}");
        Self::with(name, &http, ShopOptions::default(), "off").await
    }

    /// With a shop that is subscribed to, and looked at every second.
    pub(super) async fn subscribed(name: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let http = format!(
            "listen = \"{address}\"\npublic_url = \"http://{address}\"\n[webhooks]\nschedule = \"* * * * * *\""
        );
        Self::with(name, &http, ShopOptions::quick(), "off").await
    }

    /// With a shop that sends nothing by itself, and is asked every ten minutes what changed.
    pub(super) async fn asked(name: &str) -> Self {
        Self::with(name, "listen = \"127.0.0.1:0\"", ShopOptions::default(), "10m").await
    }

    async fn with(name: &str, http: &str, shop: ShopOptions, delta: &str) -> Self {
        let service = |purpose: &str| ServiceSeed {
            name: purpose.to_owned(),
            code: purpose.to_uppercase(),
            external_id: Some(format!("__lockstep_{name}__.service_{purpose}")),
        };
        let mut erp = ErpOptions {
            services: ["shipping", "discount", "rounding", "custom", "tip"]
                .map(service)
                .to_vec(),
            ..ErpOptions::version(Version::V18)
        };
        erp.companies[0].currency = "EUR".to_owned();
        let erp = OdooSandbox::start(erp).await.unwrap();
        let secret = shop.access.client_secret.clone();
        let shop = ShopSandbox::start(shop).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        let text = format!(
            r#"[http]
{http}
[admin]
listen = "127.0.0.1:0"
[shops.{name}]
domain = "{domain}"
access_token = "{TOKEN}"
webhook_secrets = ["secret", "{secret}"]
base_url = "{shop_url}"
start_at = 2000-01-01T00:00:00Z
runs = {{ delta = "{delta}", full = "off" }}
[shops.{name}.odoo]
url = "{erp_url}"
database = "prod"
login = "connector@example.com"
api_key = "{api_key}"
calls_per_second = 1000
[shops.{name}.sync]
orders = {{ in = "on" }}
customers = {{ in = "on" }}
products = {{ in = "on" }}
"#,
            domain = shop.domain(),
            shop_url = shop.url(),
            erp_url = erp.url(),
            api_key = erp.api_key(),
        );
        std::fs::write(&path, text).unwrap();
        let clock = ManualClock::new(SystemClock.now());
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let options = DaemonOptions::new(Arc::new(clock.clone()));
        Self {
            daemon: start(config, options).await.unwrap(),
            shop,
            erp,
            clock,
            name: name.parse().unwrap(),
            deliveries: AtomicU32::new(0),
            folder,
        }
    }

    /// Changes the configuration's file, which the daemon takes up by itself.
    pub(super) fn configure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("lockstep.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// The file of its database.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.path().join("lockstep.db")
    }

    /// Writes a mapping file, and the first time declares the folder for them. Returns the folder.
    pub(super) fn mappings_with(&self, file: &str, text: &str) -> PathBuf {
        let folder = self.folder.path().join("mappings");
        let is_first = !folder.exists();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
        if is_first {
            self.configure("[admin]", "[mappings]\ndir = \"mappings\"\n[admin]");
        }
        folder
    }

    /// The configuration as its file is now.
    pub(super) fn config(&self) -> Config {
        let path = self.folder.path().join("lockstep.toml");
        Config::load(&path).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Delivers this body, rightly signed, under an id of its own.
    pub(super) async fn deliver(&self, topic: &str, body: &str) {
        let number = self.deliveries.fetch_add(1, Ordering::Relaxed);
        assert_eq!(
            self.deliver_as(&format!("delivery-{number}"), topic, body).await,
            200
        );
    }

    pub(super) async fn deliver_as(&self, webhook_id: &str, topic: &str, body: &str) -> u16 {
        let client = client();
        let request = client
            .post(&format!("http://{}/webhooks/shopify", self.daemon.http_addr))
            .header("X-Shopify-Shop-Domain", self.shop.domain())
            .header("X-Shopify-Topic", topic)
            .header("X-Shopify-Webhook-Id", webhook_id)
            .header(
                webhook::SIGNATURE_HEADER,
                webhook::sign(&SecretString::from("secret"), body.as_bytes()),
            )
            .body(body.to_owned());
        client.send(request).await.unwrap().status()
    }

    /// The jobs about an object, the newest first.
    pub(super) async fn jobs(&self, object: Object) -> Vec<JobRow> {
        let filter = JobFilter {
            object: Some(object),
            ..JobFilter::default()
        };
        self.daemon.store.jobs(filter).await.unwrap()
    }

    /// Waits until the newest job about this record is in this state, and returns it.
    pub(super) async fn job_is(&self, object: Object, id: &str, state: JobState) -> JobRow {
        let found = Mutex::new(None);
        until(&format!("{object} {id} is {state}"), async || {
            let jobs = self.jobs(object).await;
            let job = jobs.into_iter().find(|job| job.key.source_id == id);
            let is_there = job.as_ref().is_some_and(|job| job.state == state);
            *found.lock().unwrap() = job;
            is_there
        })
        .await;
        found.into_inner().unwrap().unwrap()
    }

    /// Whether a body of an event of the job is still stored.
    pub(super) async fn has_bodies(&self, job: &JobRow) -> bool {
        let events = self.daemon.store.events_of(job.id, true).await.unwrap();
        assert!(!events.is_empty());
        events.iter().any(|event| event.body.is_some())
    }

    pub(super) fn new_customer(&self, email: &str) -> u64 {
        self.shop.change(|shop| {
            shop.create_customer(CustomerDraft {
                first_name: Some("Ada".into()),
                last_name: Some("Lovelace".into()),
                email: Some(email.into()),
                ..CustomerDraft::default()
            })
            .unwrap()
        })
    }

    /// The finished runs, newest first.
    pub(super) async fn runs(&self) -> Vec<RunRow> {
        let mut runs = self.daemon.store.runs(100).await.unwrap();
        runs.retain(|run| run.outcome.is_some());
        runs
    }

    pub(super) async fn is_disabled(&self) -> bool {
        let state = self.daemon.store.shop_state(&self.name, self.clock.now()).await;
        state.unwrap().disabled.is_some()
    }

    /// Everything that is stored about the job, as a person sees it.
    pub(super) async fn story(&self, key: &JobKey) -> Value {
        let jobs = self.jobs(key.object).await;
        let job = jobs.iter().find(|job| job.key == *key).unwrap();
        serde_json::to_value(self.daemon.store.job(job.id).await.unwrap().unwrap()).unwrap()
    }
}
