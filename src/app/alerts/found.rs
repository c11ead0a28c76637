//! What people are to be told of, as it stands at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::endpoints::{OF_ENDPOINTS, endpoints};
use super::habit;
use super::overdue::{OF_OVERDUE, overdue};
use super::route::{GENERAL, of_problem, of_shop};
use crate::app::console::{cluster_page, code_page};
use crate::app::review::catalogue;
use crate::app::subscriptions::tells_of_a_loss;
use crate::config::{Config, Shop};
use crate::domain::{Direction, Object, System, Timestamp};
use crate::store::{
    AlertRow, ClusterFilter, ClusterRow, LATE_COUNTED, LateOrders, NewAlert, PauseRow, SharedStore,
    StoreError, hour_of,
};
use crate::subscriptions::Toggle;

/// So many causes are looked at. Of more than that, those beyond are not told, and none counts as over because it is beyond.
const CLUSTERS: u32 = 500;

/// How the keys of causes of problems begin.
const OF_CAUSES: &str = "cluster/";

/// Problems that mean that events do not come as they should.
const OF_SUBSCRIPTIONS: [&str; 5] = [
    "public_url_missing",
    "scope_missing",
    "subscription_refused",
    "subscription_blocked",
    "twin_installation",
];

/// The reasons of refusals that speak of signatures.
const OF_SIGNATURES: [&str; 2] = ["bad_signature", "no_signature"];

/// What one kind of condition comes to: alerts, with whether they are told when they are new.
pub(super) type Looked = Result<Vec<(NewAlert, bool)>, StoreError>;

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Conditions that last, with whether they are told when they are new.
    pub(super) alerts: Vec<(NewAlert, bool)>,
    /// How the keys of those conditions begin of which not all were looked at: what lasts of them is not known to be over.
    pub(super) not_looked: Vec<&'static str>,
}

impl Found {
    /// Takes what was found of the conditions whose keys begin like this. A question that fails costs the others nothing.
    fn take(&mut self, keys: &'static str, looked: Looked) {
        match looked {
            Ok(alerts) => self.alerts.extend(alerts),
            Err(error) => {
                tracing::warn!(%error, keys, "cannot look whether people are to be told of something");
                self.not_looked.push(keys);
            }
        }
    }
}

/// These are told when they are new.
pub(super) fn told(alerts: impl IntoIterator<Item = NewAlert>) -> Vec<(NewAlert, bool)> {
    alerts.into_iter().map(|alert| (alert, true)).collect()
}

/// Looks at everything, at each kind of condition for itself. `known` is what lasts already.
pub(super) async fn look(config: &Config, store: &SharedStore, known: &[AlertRow], now: Timestamp) -> Found {
    let mut found = Found::default();
    let causes = causes(config, store, now).await;
    if causes
        .as_ref()
        .is_ok_and(|causes| causes.len() >= CLUSTERS as usize)
    {
        found.not_looked.push(OF_CAUSES);
    }
    found.take(OF_CAUSES, causes);
    found.take("late:", late(config, store, now).await);
    found.take("breaker:", breakers(config, store, now).await);
    found.take("subscription:", losses(config, store, now).await);
    found.take("silence:", silences(config, store, known, now).await);
    found.take("signatures:", signatures(config, store, now).await);
    found.take(OF_OVERDUE, overdue(config, store, known, now).await);
    found.take(OF_ENDPOINTS, endpoints(config, store, now).await);
    found.take("disk", Ok(told(disk(config, now))));
    found
}

async fn causes(config: &Config, store: &SharedStore, now: Timestamp) -> Looked {
    let filter = ClusterFilter {
        limit: CLUSTERS,
        ..ClusterFilter::default()
    };
    let clusters = store.problem_clusters(filter).await?;
    Ok(clusters
        .iter()
        .map(|row| {
            let is_told = row.snoozed_until.is_none_or(|until| until <= now);
            (cluster(config, row), is_told)
        })
        .collect())
}

async fn late(config: &Config, store: &SharedStore, now: Timestamp) -> Looked {
    let after = config.alerts.settings.late_order_minutes;
    if after == 0 {
        return Ok(Vec::new());
    }
    let pauses = store.pauses().await?;
    let late = store.late_orders(now.minus(minutes(after))).await?;
    Ok(told(late.iter().filter_map(|late| {
        let shop = config.shops.get(&late.shop)?;
        (carries_orders(shop) && !is_paused(shop, &pauses)).then(|| late_orders(config, shop, late, after))
    })))
}

async fn breakers(config: &Config, store: &SharedStore, now: Timestamp) -> Looked {
    let patience = minutes(config.alerts.settings.breaker_minutes);
    let rows = store.breakers().await?;
    Ok(told(rows.iter().filter_map(|row| {
        let shop = config.shops.get(&row.shop).filter(|_| row.state != "closed")?;
        if now.since(row.since) < patience {
            return None;
        }
        let name = match row.system {
            System::Shopify => "Shopify",
            System::Erp => "the ERP",
        };
        let text = format!(
            "{}: {name} has not answered since {}. Nothing is lost; everything goes on by itself once it answers.",
            row.shop,
            clock_time(row.since)
        );
        let key = format!("breaker:{}/{}", row.shop, row.system);
        Some(of_a_shop(config, shop, "breaker", key, text, row.since, "/"))
    })))
}

async fn losses(config: &Config, store: &SharedStore, now: Timestamp) -> Looked {
    let gaps = store.gaps().await?;
    Ok(told(gaps.iter().filter_map(|gap| {
        let shop = config.shops.get(&gap.shop)?;
        let is_on = shop.sync.toggle(gap.object, Direction::In) == Toggle::On;
        if !is_on || !tells_of_a_loss(&gap.reason) {
            return None;
        }
        let text = format!(
            "{}: {}. Changes of {} since {} are looked for.",
            gap.shop,
            gap.reason,
            gap.object,
            clock_time(gap.since)
        );
        let key = format!("subscription:{}/{}", gap.shop, gap.object);
        Some(of_a_shop(
            config,
            shop,
            "subscription",
            key,
            text,
            now,
            "/webhooks",
        ))
    })))
}

async fn silences(config: &Config, store: &SharedStore, known: &[AlertRow], now: Timestamp) -> Looked {
    let mut found = Vec::new();
    if config.alerts.settings.silence {
        let pauses = store.pauses().await?;
        for shop in config.shops.values() {
            if takes_anything(shop) && !is_paused(shop, &pauses) {
                found.extend(silence(config, store, known, shop, now).await?);
            }
        }
    }
    Ok(told(found))
}

fn minutes(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 60)
}

/// `2026-11-26 12:30` in UTC.
pub(super) fn clock_time(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%M UTC").to_string()
}

fn carries_orders(shop: &Shop) -> bool {
    shop.sync.toggle(Object::Order, Direction::In) == Toggle::On
}

/// Whether events of any kind are wanted of the shop.
fn takes_anything(shop: &Shop) -> bool {
    Object::ALL
        .iter()
        .any(|object| shop.sync.toggle(*object, Direction::In) == Toggle::On)
}

pub(super) fn is_paused(shop: &Shop, pauses: &[PauseRow]) -> bool {
    pauses.iter().any(|pause| pause.shop == shop.name)
}

pub(super) fn of_a_shop(
    config: &Config,
    shop: &Shop,
    kind: &str,
    key: String,
    text: String,
    since: Timestamp,
    url: &str,
) -> NewAlert {
    NewAlert {
        key,
        kind: kind.to_owned(),
        shop: Some(shop.name.clone()),
        owner: of_shop(&config.alerts, shop),
        text,
        url: Some(url.to_owned()),
        quotes: false,
        since,
    }
}

/// A cause of problems. What a job's problem says may quote a customer, so without leave it is told in general words; what is
/// wrong with a shop or a system quotes nobody.
fn cluster(config: &Config, row: &ClusterRow) -> NewAlert {
    let code = row.example.code.0.as_str();
    let shop = &row.cluster.shop;
    let entry = catalogue::entry(code);
    let names_its_cause = config.alerts.settings.quote_reasons || row.jobs == 0;
    let cause = Sha256::digest(row.cluster.cluster.as_bytes());
    let what = if names_its_cause {
        row.example.reason.clone()
    } else {
        entry.map_or_else(|| code.to_owned(), |entry| format!("{}.", entry.title))
    };
    let how_many = match row.jobs {
        0 => String::new(),
        1 => " 1 job".to_owned(),
        many => format!(" {many} jobs"),
    };
    let example = row
        .example
        .record
        .as_deref()
        .filter(|record| record.starts_with('#') && row.jobs > 0)
        .map_or_else(String::new, |record| format!(", e.g. {record}"));
    let stopped = if how_many.is_empty() {
        String::new()
    } else {
        format!("{how_many} so far{example}.")
    };
    let fix = entry.map_or_else(String::new, |entry| format!(" To do: {}", entry.fix));
    let kind = if OF_SUBSCRIPTIONS.contains(&code) {
        "subscription"
    } else {
        "problem"
    };
    NewAlert {
        // A cause is made of values, and one of them may be somebody's address: rows of alerts keep only its hash.
        key: format!("{OF_CAUSES}{shop}/{code}/{}", &hex::encode(cause)[..32]),
        kind: kind.to_owned(),
        shop: Some(shop.clone()),
        owner: of_problem(config, shop, code, &row.example.owner),
        text: format!("{shop}: {what}{stopped}{fix} ({code})"),
        url: Some(if names_its_cause {
            cluster_page(&row.cluster)
        } else {
            code_page(&row.cluster)
        }),
        quotes: row.jobs > 0 && config.alerts.settings.quote_reasons,
        since: row.opened_at,
    }
}

fn late_orders(config: &Config, shop: &Shop, late: &LateOrders, after_minutes: u32) -> NewAlert {
    let count = if late.count >= LATE_COUNTED {
        format!("{LATE_COUNTED} orders or more have")
    } else if late.count == 1 {
        "1 order has".to_owned()
    } else {
        format!("{} orders have", late.count)
    };
    let text = format!(
        "{}: {count} had no record in the ERP for more than {after_minutes} min; the oldest is {}, of {}.",
        late.shop,
        late.name,
        clock_time(late.oldest)
    );
    let key = format!("late:{}", late.shop);
    of_a_shop(
        config,
        shop,
        "late_orders",
        key,
        text,
        late.oldest,
        "/jobs?object=order&direction=in",
    )
}

/// A silence ends when something comes, whatever the habit of the hour is, and however long ago the last was forgotten.
async fn silence(
    config: &Config,
    store: &SharedStore,
    known: &[AlertRow],
    shop: &Shop,
    now: Timestamp,
) -> Result<Option<NewAlert>, StoreError> {
    let key = format!("silence:{}", shop.name);
    let sums = store.deliveries_since(&shop.name, now).await?;
    let last = sums.iter().filter_map(|sum| sum.last_accepted_at).max();
    let lasting = known
        .iter()
        .find(|row| row.key == key && row.ended_at.is_none())
        .filter(|row| last.is_none_or(|last| last <= row.since));
    let Some(last) = lasting.map(|row| row.since).or(last) else {
        return Ok(None);
    };
    if lasting.is_none() {
        let hours = store
            .delivery_hours(&shop.name, hour_of(now.minus(habit::LOOKS_BACK)))
            .await?;
        // What was silent for longer than is looked back to has no habit left.
        let usual = habit::usual_silence(&hours, now);
        if usual.is_none_or(|usual| now.since(last) <= usual) {
            return Ok(None);
        }
    }
    let text = format!(
        "{}: Shopify has sent nothing since {}, much longer than usual at this time of the week. Are the subscriptions \
         there, and does `public_url` lead here?",
        shop.name,
        clock_time(last)
    );
    Ok(Some(of_a_shop(
        config,
        shop,
        "silence",
        key,
        text,
        last,
        "/webhooks",
    )))
}

/// Refusals are counted by the hour: this one and the one before are looked at.
async fn signatures(config: &Config, store: &SharedStore, now: Timestamp) -> Looked {
    if config.alerts.settings.refused_signatures == 0 {
        return Ok(Vec::new());
    }
    let since = hour_of(now).minus(Duration::from_secs(3600));
    let mut sums: BTreeMap<String, (u64, Timestamp)> = BTreeMap::new();
    for refused in store.rejections(since).await? {
        if OF_SIGNATURES.contains(&refused.reason.as_str()) {
            let sum = sums.entry(refused.shop).or_insert((0, refused.hour));
            sum.0 += refused.count;
            sum.1 = sum.1.min(refused.hour);
        }
    }
    let sums = sums
        .into_iter()
        .filter(|(_, (count, _))| *count >= u64::from(config.alerts.settings.refused_signatures))
        .map(|(name, (count, hour))| {
            let shop = config.shops.values().find(|shop| shop.name.as_str() == name);
            NewAlert {
                key: format!("signatures:{name}"),
                kind: "signatures".to_owned(),
                shop: shop.map(|shop| shop.name.clone()),
                owner: shop.map_or_else(|| GENERAL.to_owned(), |shop| of_shop(&config.alerts, shop)),
                text: format!(
                    "{name}: {count} deliveries were refused since {} because they were not signed with the shop's \
                     secret. Was a secret changed, or does somebody try?",
                    clock_time(hour)
                ),
                url: Some("/webhooks".to_owned()),
                quotes: false,
                since: hour,
            }
        });
    Ok(told(sums))
}

/// The store's disk, where it is this machine's.
fn disk(config: &Config, now: Timestamp) -> Option<NewAlert> {
    let wanted = config.alerts.settings.disk_free_mb;
    let path = config.store.url.strip_prefix("sqlite://")?;
    let folder = std::path::Path::new(path).parent()?;
    if wanted == 0 {
        return None;
    }
    let room = rustix::fs::statvfs(folder).ok()?;
    let free_mb = room.f_bavail.saturating_mul(room.f_frsize) / 1_000_000;
    (free_mb < wanted).then(|| NewAlert {
        key: "disk".to_owned(),
        kind: "disk".to_owned(),
        shop: None,
        owner: GENERAL.to_owned(),
        text: format!(
            "The store's disk has {free_mb} MB left. When it is full, deliveries are refused until there is room again."
        ),
        url: None,
        quotes: false,
        since: now,
    })
}
