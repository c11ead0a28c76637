//! The console over HTTP, on a running daemon whose shop and ERP do not answer.

mod access;
mod bad_input;
mod declares;
mod drift;
mod kept;
mod live;
mod notify;
mod numbers;
mod pages;
mod plans;
mod records;
mod recovery;
mod runs;
mod saving;
mod shown;
mod sides;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use secrecy::SecretString;
use tempfile::TempDir;

use super::view::percent_encoded;
use crate::app::daemon::{Daemon, DaemonOptions, start};
use crate::config::Config;
use crate::domain::{
    Direction, JobId, JobKey, ManualClock, NewProblem, Object, ProblemCode, Role, SharedClock, Timestamp,
};
use crate::http::hash_password;
use crate::store::{Delivery, DeliveryAction, OpenMode, Recorded, SharedStore};
use crate::transport;

const PASSWORD: &str = "correct horse";

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    location: Option<String>,
    set_cookie: Option<String>,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    /// The form token that the page shows.
    fn form_token(&self) -> String {
        let (_, rest) = self
            .text
            .split_once("name=\"form_token\" value=\"")
            .unwrap_or_else(|| panic!("no form: {}", self.text));
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

/// A daemon with an account for each role, named like it.
struct Rig {
    daemon: Daemon,
    store: SharedStore,
    clock: ManualClock,
    folder: TempDir,
    client: reqwest::Client,
}

fn text(users: &str) -> String {
    format!(
        "[http]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n[shops.main]\n\
         domain = 'main.myshopify.com'\nbase_url = 'http://127.0.0.1:9'\naccess_token = 'shpat_1'\n\
         webhook_secrets = ['secret']\n[shops.main.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'prod'\n\
         login = 'a@example.com'\napi_key = 'k'\n[shops.main.sync]\norders = {{ in = 'on' }} # the toggles\n{users}"
    )
}

fn users() -> String {
    let hash = hash_password(&SecretString::from(PASSWORD.to_owned()), [7; 16]).unwrap();
    Role::ALL
        .iter()
        .map(|role| format!("[admin.users.{role}]\nrole = '{role}'\npassword_hash = '{hash}'\n"))
        .collect::<Vec<_>>()
        .concat()
}

impl Rig {
    async fn new() -> Self {
        Self::with(&text(&users())).await
    }

    async fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        std::fs::write(&path, text).unwrap();
        // For those configurations that name one.
        std::fs::create_dir(folder.path().join("mappings")).unwrap();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-12-01T10:00:00Z").unwrap());
        let shared: SharedClock = Arc::new(clock.clone());
        let options = DaemonOptions {
            follow_files: false,
            ..DaemonOptions::new(Arc::clone(&shared))
        };
        let daemon = start(config.clone(), options).await.unwrap();
        let store = crate::app::open(&config, &shared, OpenMode::Tool).await.unwrap();
        Self {
            daemon,
            store,
            clock,
            folder,
            client: transport::client(&transport::Settings::default()).unwrap(),
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("lockstep.toml")
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    /// Saves another file and has it taken up.
    async fn save(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
        self.daemon.reload().await.unwrap();
    }

    fn browser(&self) -> Browser<'_> {
        Browser {
            rig: self,
            cookie: None,
            headers: Vec::new(),
        }
    }

    async fn logged_in(&self, name: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let answer = browser.log_in(name, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        browser
    }

    /// A job that needs a person.
    async fn problem(&self, id: &str, reason: &str) -> JobId {
        self.problem_of(
            id,
            NewProblem {
                code: ProblemCode::from("tax_not_found"),
                record: Some(id.to_owned()),
                field: Some("lines[0].tax".to_owned()),
                reason: reason.to_owned(),
                fix: "Add the tax to [tables.tax], then retry.".to_owned(),
                owner: "finance".to_owned(),
                mapping: Some("order.in.toml:31".to_owned()),
                cluster: format!("tax:{reason}"),
                detail: serde_json::json!({ "rate": "21 %", "said": reason }),
            },
        )
        .await
    }

    /// A job with this problem.
    async fn problem_of(&self, id: &str, problem: NewProblem) -> JobId {
        let shop: crate::domain::ShopName = "main".parse().unwrap();
        let now = Timestamp::parse_rfc3339("2026-12-01T09:57:00Z").unwrap();
        let delivery = Delivery {
            shop: shop.clone(),
            topic: "orders/create".to_owned(),
            webhook_id: Some(format!("webhook-{id}")),
            event_id: None,
            dedup_key: id.to_owned(),
            triggered_at: Some(now),
            api_version: None,
            received_at: now,
            body: serde_json::json!({ "id": 1042, "email": "ada@example.com" })
                .to_string()
                .into(),
            body_sha256: "00".repeat(32),
            action: DeliveryAction::Problem {
                key: JobKey {
                    shop,
                    object: Object::Order,
                    direction: Direction::In,
                    source_id: id.to_owned(),
                },
                problem,
            },
        };
        match self.store.record_delivery(delivery).await.unwrap() {
            Recorded::New { job: Some(job), .. } => job,
            other => panic!("{other:?}"),
        }
    }

    async fn stop(self) {
        self.store.close().await;
        self.daemon.stop().await;
    }
}

/// Somebody's browser: it keeps a cookie and tells where forms come from.
#[derive(Clone)]
struct Browser<'r> {
    rig: &'r Rig,
    cookie: Option<String>,
    /// In the place of what a browser tells of a form's origin, if there are any.
    headers: Vec<(&'static str, String)>,
}

impl Browser<'_> {
    fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.rig.daemon.admin_addr)
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Answer {
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, format!("lockstep={cookie}"));
        }
        let answer = request.send().await.unwrap();
        let text_of = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Answer {
            status: answer.status().as_u16(),
            location: text_of(LOCATION),
            set_cookie: text_of(SET_COOKIE),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        let mut request = self.rig.client.get(self.address(path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        self.send(request).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value)))
            .collect();
        let mut request = self
            .rig
            .client
            .post(self.address(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        if self.headers.is_empty() {
            request = request
                .header("sec-fetch-site", "same-origin")
                .header("origin", self.address(""));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        self.send(request).await
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        let answer = self
            .post("/login", &[("name", name), ("password", password)])
            .await;
        if let Some(cookie) = &answer.set_cookie {
            let value = cookie.split(';').next().unwrap();
            self.cookie = value.strip_prefix("lockstep=").map(str::to_owned);
        }
        answer
    }

    /// The token of this session's forms.
    async fn token(&self) -> String {
        self.get("/settings").await.form_token()
    }
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
