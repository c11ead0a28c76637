//! The subscriptions of a stand-in shop follow the toggles, whatever happens in between.

mod attacks;
mod by_hand;
mod departed;
mod flows;
mod long;
mod random;
mod twins;

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::domain::{ManualClock, SeededEntropy, SharedClock, SharedEntropy, Timestamp};
use crate::sandbox::shopify::options::Rate;
use crate::sandbox::shopify::webhook::Subscription;
use crate::sandbox::shopify::{Options, ShopSandbox};
use crate::secret::Secret;
use crate::shopify::{Credentials, Settings, Shopify, ShopifyError};
use crate::store::{ProblemRow, testing};
use crate::subscriptions::{Kind, Registry};
use crate::transport;

pub(super) const NOW: &str = "2026-11-20T10:00:00Z";

/// One installation of lockstep at one shop.
pub(super) struct Here {
    pub(super) at: Installation,
    pub(super) target: Target,
    pub(super) clock: ManualClock,
    _folder: TempDir,
}

pub(super) async fn sandbox() -> ShopSandbox {
    sandbox_with(Options::quick()).await
}

pub(super) async fn sandbox_with(options: Options) -> ShopSandbox {
    // Pace is the subject of other tests.
    let rate = Rate {
        restore_rate: 1_000_000.0,
        maximum_available: 1_000_000.0,
        max_query_cost: 1000,
    };
    ShopSandbox::start(Options { rate, ..options }).await.unwrap()
}

pub(super) fn client(sandbox: &ShopSandbox, version: &str) -> Arc<Shopify> {
    let settings = Settings {
        base_url: Some(sandbox.url()),
        api_version: version.to_owned(),
        ..Settings::new(sandbox.domain())
    };
    let transport = transport::Settings {
        timeout_s: 20,
        ..transport::Settings::default()
    };
    let token = Options::default().access.static_token.unwrap();
    let shopify = Shopify::connect(
        "main".parse().unwrap(),
        &settings,
        Credentials::Token(Secret::text(token)),
        &transport,
        Arc::new(crate::domain::SystemClock),
        Arc::new(SeededEntropy::new(3)),
    );
    Arc::new(shopify.unwrap())
}

impl Here {
    /// `seed` decides the installation's id.
    pub(super) async fn with(
        registry: Arc<dyn Registry>,
        toggles: &str,
        public_url: &str,
        seed: u64,
    ) -> Self {
        let clock = ManualClock::new(Timestamp::parse_rfc3339(NOW).unwrap());
        let shared: SharedClock = Arc::new(clock.clone());
        let (folder, store) = testing::open_temp(Arc::clone(&shared)).await;
        let entropy: SharedEntropy = Arc::new(SeededEntropy::new(seed));
        let at = Installation::new(&store, &shared, &entropy, Some(public_url.to_owned()))
            .await
            .unwrap();
        Self {
            at,
            target: Target {
                name: "main".parse().unwrap(),
                registry,
                toggles: toml::from_str(toggles).unwrap(),
                owner: "shop administrator".to_owned(),
                start_at: None,
                is_real: false,
            },
            clock,
            _folder: folder,
        }
    }

    pub(super) async fn new(sandbox: &ShopSandbox, toggles: &str) -> Self {
        Self::with(client(sandbox, "2026-10"), toggles, "https://sync.example.com", 1).await
    }

    pub(super) fn toggles(&mut self, toggles: &str) {
        self.target.toggles = toml::from_str(toggles).unwrap();
    }

    pub(super) async fn apply(&self) -> Vec<Applied> {
        self.try_apply().await.unwrap()
    }

    pub(super) async fn try_apply(&self) -> Result<Vec<Applied>, SubscriptionsError> {
        apply(&self.at, &self.target, &Order::default()).await
    }

    pub(super) async fn plan(&self) -> Plan {
        plan(&self.at, &self.target).await.unwrap().plan
    }

    pub(super) async fn problems(&self) -> Vec<ProblemRow> {
        self.at.store.open_problems(100).await.unwrap()
    }

    pub(super) async fn codes(&self) -> Vec<String> {
        let mut codes: Vec<String> = self
            .problems()
            .await
            .into_iter()
            .map(|row| format!("{} {}", row.problem.code, row.problem.cluster))
            .collect();
        codes.sort();
        codes
    }
}

/// The topics that the API lists, with address and name.
pub(super) fn registered(sandbox: &ShopSandbox) -> Vec<Subscription> {
    let mut all: Vec<Subscription> = sandbox.read(|shop| {
        let listed = shop.subscriptions().iter().filter(|one| one.through_api);
        listed.cloned().collect()
    });
    all.sort_by(|one, other| (&one.topic, one.id).cmp(&(&other.topic, other.id)));
    all
}

pub(super) fn topics(sandbox: &ShopSandbox) -> String {
    let all: Vec<String> = registered(sandbox).into_iter().map(|one| one.topic).collect();
    all.join(" ")
}

/// How many writes the shop was asked for.
pub(super) fn writes(sandbox: &ShopSandbox) -> u64 {
    let calls = sandbox.ledger().calls.by_operation;
    ["Create", "Update", "Delete"]
        .iter()
        .filter_map(|kind| calls.get(&format!("LockstepSubscription{kind}")))
        .sum()
}

pub(super) const ORDERS: &str = "orders = { in = 'on' }";
pub(super) const ALL_TOPICS: &str = "APP_UNINSTALLED ORDERS_CANCELLED ORDERS_CREATE ORDERS_DELETE ORDERS_EDITED ORDERS_PAID \
                                     ORDERS_UPDATED REFUNDS_CREATE";
