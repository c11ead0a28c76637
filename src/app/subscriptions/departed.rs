//! Shops that were taken out of the configuration, or got another name in it.
//!
//! What lockstep registered for a removed shop stays registered until somebody removes it, and removing it needs credentials that
//! the file has no more. The daemon that ran while the shop was taken out still has them; nobody else does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    Installation, Lease, OF_DECLARED, SHOP_REMOVED, SubscriptionsError, Target, left_behind, plan_removal,
    standing,
};
use crate::app::reach;
use crate::config::Config;
use crate::domain::{NewProblem, ProblemCode, ShopName};
use crate::http::local_token;
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::PlanLine;
use crate::transport;

/// The named position in which the domain of a shop stands: what makes it the same shop under another name.
const DOMAIN: &str = "subscriptions_domain";

/// The path on the admin listener through which the daemon removes what it has the credentials for.
const PATH: &str = "/api/v1/webhooks/apply";

/// How long a shop that is not declared any more is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Shops that were taken out while this process ran, with the credentials that it had for them.
#[derive(Clone, Default)]
pub struct Departed(Arc<RwLock<BTreeMap<ShopName, Target>>>);

impl Departed {
    /// The shop, if it was taken out.
    pub fn get(&self, shop: &ShopName) -> Option<Target> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(shop).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Target> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// Remembers a shop that is taken out.
    pub fn insert(&self, target: Target) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(target.name.clone(), target);
    }

    /// Keeps only those of which `stays` says so.
    pub fn retain(&self, mut stays: impl FnMut(&ShopName) -> bool) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|shop, _| stays(shop));
    }
}

/// The name under which a shop is left behind whose own name belongs to a shop with another domain now: the domain's.
pub fn name_of_departed(config: &Config, domain: &str) -> Option<ShopName> {
    let label = domain.split('.').next().unwrap_or_default();
    let mut name: String = label
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, "shop-");
    }
    // Room for what tells it from the declared ones.
    name.truncate(30);
    (1..=config.shops.len() + 1)
        .map(|n| {
            if n == 1 {
                name.clone()
            } else {
                format!("{name}-{n}")
            }
        })
        .filter_map(|name| name.parse().ok())
        .find(|name| !config.shops.contains_key(name))
}

/// Lets what is known of a shop follow when it has another name in the file: the same domain is the same shop. What is known of a
/// domain that another one has replaced in its section is left behind under a name of its own.
///
/// # Errors
/// When the store fails.
pub async fn follow_renames(at: &Installation, config: &Config) -> Result<(), StoreError> {
    let now = at.clock.now();
    for shop in config.shops.values() {
        let domain = &shop.shopify.domain;
        let known = at.store.cursor(&shop.name, DOMAIN).await?;
        if let Some(old) = known.filter(|known| known != domain)
            && let Some(left) = name_of_departed(config, &old)
        {
            at.store.set_cursor(&left, DOMAIN, &old, now).await?;
            at.store.rename_subscriptions(&shop.name, &left).await?;
            at.store.set_cursor(&shop.name, DOMAIN, domain, now).await?;
            tracing::info!(shop = %shop.name, %old, %domain, %left, "the shop has another domain: what stood at the old one is kept apart");
        }
    }
    for old in at.store.subscribed_shops().await? {
        if config.shops.contains_key(&old) {
            continue;
        }
        let domain = at.store.cursor(&old, DOMAIN).await?;
        let renamed = config
            .shops
            .values()
            .find(|shop| Some(&shop.shopify.domain) == domain.as_ref());
        if let Some(shop) = renamed {
            at.store.rename_subscriptions(&old, &shop.name).await?;
            tracing::info!(%old, shop = %shop.name, "the shop has another name: its subscriptions follow");
        }
    }
    for shop in config.shops.values() {
        let known = at.store.cursor(&shop.name, DOMAIN).await?;
        if known.as_ref() != Some(&shop.shopify.domain) {
            at.store
                .set_cursor(&shop.name, DOMAIN, &shop.shopify.domain, now)
                .await?;
        }
    }
    Ok(())
}

/// What is told of a shop that is not declared any more.
#[derive(Debug)]
pub struct LeftBehind {
    /// The shop.
    pub shop: ShopName,
    /// How many subscriptions stand there, as far as we know.
    pub standing: usize,
    /// What is to be deleted; none where its credentials are not known any more, or where the shop does not answer.
    pub plan: Option<Vec<PlanLine>>,
}

/// Looks at the shops that are not declared any more: what Shopify deleted is forgotten, what still stands is a problem with what
/// is to be deleted, and a problem without anything standing is over. Returns what was not told before.
///
/// # Errors
/// When the store fails.
pub async fn note_departed(
    at: &Installation,
    config: &Config,
    departed: &Departed,
) -> Result<Vec<LeftBehind>, StoreError> {
    let mut plans = BTreeMap::new();
    for target in departed.all() {
        let planned = tokio::select! {
            () = at.interrupt.cancelled() => return Ok(Vec::new()),
            planned = tokio::time::timeout(PATIENCE, plan_removal(at, &target)) => planned,
        };
        let planned = match planned {
            Ok(Ok(planned)) => planned,
            other => {
                let error = other.ok().and_then(Result::err).map(|error| error.to_string());
                tracing::debug!(shop = %target.name, error, "a shop that is not declared any more cannot be looked at");
                continue;
            }
        };
        let there: BTreeSet<_> = planned.observed.iter().map(|one| one.id).collect();
        for row in standing(&at.store.subscriptions(&target.name).await?) {
            if !there.contains(&row.id) {
                at.store
                    .remove_subscription(&target.name, row.id, row.seen_at, None)
                    .await?;
            }
        }
        plans.insert(target.name, planned.plan.changes().cloned().collect::<Vec<_>>());
    }
    let left = left_behind(&at.store, config).await?;
    departed.retain(|shop| left.contains_key(shop));
    let open = at.store.open_problems(u32::MAX).await?;
    let known: BTreeMap<&ShopName, &Value> = open
        .iter()
        .filter(|row| row.job.is_none() && row.problem.code.0 == SHOP_REMOVED)
        .map(|row| (&row.shop, &row.problem.detail))
        .collect();
    let now = at.clock.now();
    // Nobody looks at these shops any more, so nobody else would find that it is over.
    let over = open
        .iter()
        .filter(|row| row.job.is_none() && !config.shops.contains_key(&row.shop))
        .filter(|row| OF_DECLARED.contains(&row.problem.code.0.as_str()));
    for row in over {
        at.store
            .close_shop_problem(&row.shop, &row.problem.code.0, &row.problem.cluster, now)
            .await?;
    }
    for shop in known.keys().filter(|shop| !left.contains_key(**shop)) {
        at.store.close_shop_problems(shop, SHOP_REMOVED, now).await?;
        tracing::info!(%shop, "nothing of ours stands any more in a shop that is not declared");
    }
    let mut news = Vec::new();
    for (shop, standing) in left {
        let plan = plans.remove(&shop);
        // While the shop does not answer what was told of it stays.
        let is_silent = plan.is_none() && departed.get(&shop).is_some();
        let planned = plan.as_deref().map(told);
        let problem = match known.get(&shop) {
            Some(_) if is_silent => continue,
            Some(known) => {
                // Another node may have the credentials that this one has not: what it found stays.
                let planned = planned.unwrap_or_else(|| known["plan"].clone());
                let problem = problem(&shop, standing, planned);
                if **known == problem.detail {
                    continue;
                }
                problem
            }
            None => problem(&shop, standing, planned.unwrap_or_default()),
        };
        // What was told before is not right any more.
        at.store.close_shop_problems(&shop, SHOP_REMOVED, now).await?;
        at.store.open_shop_problem(&shop, problem, now).await?;
        news.push(LeftBehind { shop, standing, plan });
    }
    Ok(news)
}

/// What is to be deleted, for programs.
fn told(plan: &[PlanLine]) -> Value {
    let line = |line: &PlanLine| json!({ "change": line.kind, "topic": line.topic, "id": line.id, "address": line.uri });
    plan.iter().map(line).collect()
}

/// `plan` is null where nobody could look yet.
fn problem(shop: &ShopName, standing: usize, plan: Value) -> NewProblem {
    let remove = format!("`lockstep webhooks apply --remove-shop {shop}`");
    let put_back =
        format!("put [shops.{shop}] with its credentials back, run {remove}, then take it out again.");
    let fix = if plan.is_null() {
        put_back.replacen('p', "P", 1)
    } else {
        format!(
            "Run {remove} while this daemon runs: it still has the shop's credentials. Once it was restarted, {put_back}"
        )
    };
    NewProblem {
        code: ProblemCode::from(SHOP_REMOVED),
        record: None,
        field: None,
        reason: format!(
            "[shops.{shop}] is not declared any more, and {standing} webhook subscriptions that lockstep made for it are still \
             registered with the shop."
        ),
        fix: format!(
            "{fix} Or leave them with `lockstep webhooks forget {shop}`: Shopify deletes a subscription after eight failed \
             deliveries."
        ),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: SHOP_REMOVED.to_owned(),
        detail: json!({ "subscriptions": standing, "plan": plan }),
    }
}

/// Forgets the subscriptions of a shop that is not declared any more: they are left to end by themselves. Returns how many stood.
///
/// # Errors
/// When somebody changes them at this moment, or when the store fails.
pub async fn forget(at: &Installation, shop: &ShopName) -> Result<usize, SubscriptionsError> {
    let Ok(lease) = Lease::take(&at.store, &at.clock, shop, &at.holder, None).await? else {
        return Err(SubscriptionsError::Busy);
    };
    let forgotten = async {
        let rows = at.store.subscriptions(shop).await?;
        let all: Vec<_> = standing(&rows).collect();
        for row in &all {
            at.store
                .remove_subscription(shop, row.id, row.seen_at, None)
                .await?;
        }
        let now = at.clock.now();
        at.store.close_shop_problems(shop, SHOP_REMOVED, now).await?;
        Ok(all.len())
    };
    let result = forgotten.await;
    lease.release().await;
    result
}

/// What came of asking the running daemon to remove the subscriptions of a shop that was taken out.
#[derive(Debug)]
pub enum Removal {
    /// What it did.
    Done(Value),
    /// It does not do it.
    Refused {
        /// Stable.
        code: String,
        /// A sentence.
        detail: String,
    },
    /// Nobody could be asked, for this reason.
    Silent(String),
}

/// Has the running daemon delete the subscriptions of a shop that it knew before the shop was taken out.
pub async fn remove_through_daemon(config: &Config, store: &SharedStore, shop: &ShopName) -> Removal {
    match ask_daemon(config, store, shop).await {
        Ok(removal) => removal,
        Err(why) => Removal::Silent(why),
    }
}

async fn ask_daemon(config: &Config, store: &SharedStore, shop: &ShopName) -> Result<Removal, String> {
    let client = transport::client(&transport::Settings {
        connect_timeout_s: 2,
        timeout_s: 120,
        ..transport::Settings::default()
    })
    .map_err(|error| error.to_string())?;
    let key = reach::known_key(store).await.map_err(|error| error.to_string())?;
    let key = key.ok_or("no daemon ever ran with this store")?;
    let listen = config.admin.listen;
    let answer = client
        .post(format!("http://{listen}{PATH}"))
        .bearer_auth(local_token(&key).expose_secret())
        .header("content-type", "application/json")
        .body(json!({ "shop": shop, "remove": true }).to_string())
        .send()
        .await
        .map_err(|error| {
            tracing::debug!(%error, "no daemon answered");
            format!("no daemon answered on {listen}")
        })?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        return Ok(Removal::Done(body));
    }
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Ok(Removal::Refused {
        code: text("code").unwrap_or_else(|| "refused".to_owned()),
        detail: text("detail").unwrap_or_else(|| format!("it answered {status}")),
    })
}
