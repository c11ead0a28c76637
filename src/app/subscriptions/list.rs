//! Desired and observed side by side, with what arrives.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Installation, Planned, SubscriptionsError, Target, arrived, is_paused, plan};
use crate::domain::{ShopName, ShopifyId, Timestamp, TopicAction};
use crate::store::DeliverySum;
use crate::subscriptions::{Kind, Observed, PlanLine, of_graphql};

/// How a subscription fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It stands as it is wanted, and deliveries arrive.
    Active,
    /// It stands as it is wanted; nothing has arrived yet.
    Unproven,
    /// It stands as it is wanted; the last delivery could not be stored.
    Failing,
    /// It stands as it is wanted; what arrives waits, because its toggle is paused.
    Paused,
    /// It is wanted and not there.
    Missing,
    /// It is there and not as it is wanted.
    Wrong,
    /// It is ours and not wanted.
    Unwanted,
    /// It is somebody else's.
    Foreign,
    /// It is wanted and cannot be had.
    Blocked,
    /// It would be welcome and cannot be had.
    Skipped,
}

impl Status {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unproven => "unproven",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Unwanted => "unwanted",
            Self::Foreign => "foreign",
            Self::Blocked => "blocked",
            Self::Skipped => "skipped",
        }
    }
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListRow {
    /// As in the header, where we know the topic; else GraphQL's spelling.
    pub topic: String,
    /// How it fares.
    pub status: Status,
    /// Shopify's number, where it exists.
    pub id: Option<ShopifyId>,
    /// Where its deliveries go, or are to go.
    pub uri: String,
    /// Its name, where it exists and has one.
    pub name: Option<String>,
    /// Why.
    pub reason: String,
    /// The scope that its topic needs.
    pub scope: Option<&'static str>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When its last delivery came.
    pub last_delivery_at: Option<Timestamp>,
    /// Deliveries that were taken in the last 24 hours.
    pub deliveries_24h: u64,
    /// Deliveries that could not be stored in the last 24 hours.
    pub failures_24h: u64,
}

/// The subscriptions of one shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The shop.
    pub shop: ShopName,
    /// By topic.
    pub rows: Vec<ListRow>,
    /// What should be looked at although nothing is to be done.
    pub notes: Vec<String>,
}

/// Looks at a shop's subscriptions. Nothing is changed.
///
/// # Errors
/// Why they cannot be seen.
pub async fn list(at: &Installation, target: &Target) -> Result<Listed, SubscriptionsError> {
    let planned = plan(at, target).await?;
    let sums = arrived(at, &target.name).await?;
    Ok(Listed {
        shop: target.name.clone(),
        rows: planned
            .plan
            .lines
            .iter()
            .map(|line| row(line, &planned, &sums, target))
            .collect(),
        notes: notes(&planned, &sums),
    })
}

fn header(topic: &str) -> String {
    of_graphql(topic).map_or_else(|| topic.to_owned(), |topic| topic.name.to_owned())
}

/// What arrived through a subscription.
fn through<'s>(observed: &Observed, sums: &'s [DeliverySum]) -> Option<&'s DeliverySum> {
    let (topic, name) = (
        header(&observed.topic),
        observed.name.as_deref().unwrap_or_default(),
    );
    sums.iter().find(|sum| sum.topic == topic && sum.name == name)
}

fn row(line: &PlanLine, planned: &Planned, sums: &[DeliverySum], target: &Target) -> ListRow {
    let observed = line
        .id
        .and_then(|id| planned.observed.iter().find(|one| one.id == id));
    let sum = observed.and_then(|observed| through(observed, sums));
    ListRow {
        topic: header(&line.topic),
        status: status(line, observed, sum, target),
        id: line.id,
        uri: observed.map_or_else(|| line.uri.clone(), |one| one.uri.clone()),
        name: observed.and_then(|one| one.name.clone()),
        reason: line.reason.clone(),
        scope: line.scope,
        created_at: observed.map(|one| one.created_at),
        last_delivery_at: sum.map(|sum| sum.last_at),
        deliveries_24h: sum.map_or(0, |sum| sum.accepted),
        failures_24h: sum.map_or(0, |sum| sum.failed),
    }
}

fn status(
    line: &PlanLine,
    observed: Option<&Observed>,
    sum: Option<&DeliverySum>,
    target: &Target,
) -> Status {
    match line.kind {
        Kind::Create => Status::Missing,
        Kind::Update | Kind::Adopt => Status::Wrong,
        Kind::Delete => Status::Unwanted,
        Kind::Foreign => Status::Foreign,
        Kind::Blocked => Status::Blocked,
        Kind::Skipped => Status::Skipped,
        Kind::Unchanged => {
            let proven = observed.is_some_and(|one| {
                sum.and_then(|sum| sum.last_accepted_at)
                    .is_some_and(|at| at >= one.created_at)
            });
            let paused = of_graphql(&line.topic).is_some_and(|topic| match topic.action {
                TopicAction::Look(object, _) | TopicAction::Gone(object, _) => {
                    is_paused(&target.toggles, object)
                }
                _ => false,
            });
            if sum.is_some_and(|sum| sum.failed > 0 && sum.last_accepted_at != Some(sum.last_at)) {
                Status::Failing
            } else if paused {
                Status::Paused
            } else if proven {
                Status::Active
            } else {
                Status::Unproven
            }
        }
    }
}

/// What the list of the API cannot show.
pub(super) fn notes(planned: &Planned, sums: &[DeliverySum]) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(
        planned
            .twin(&planned.ours.adopted)
            .map(|twin| format!("{twin}. {}", twin.fix())),
    );
    let unlisted = unlisted(planned, sums);
    if !unlisted.is_empty() {
        notes.push(format!(
            "events of {} also arrive through a subscription that the API does not list: take these topics out of the app's own \
             configuration (shopify.app.toml), or every change is looked at twice",
            unlisted.join(", ")
        ));
    }
    notes
}

/// How far apart the deliveries of one event through two subscriptions are at most.
const TOGETHER: Duration = Duration::from_mins(5);

/// Topics whose events also arrive through a subscription that the API does not list. A subscription that was only given
/// another name brought events under the old one until then: what says it is that both names bring them now.
pub(super) fn unlisted(planned: &Planned, sums: &[DeliverySum]) -> Vec<&'static str> {
    planned
        .desired
        .iter()
        // Without names deliveries cannot be told apart.
        .filter(|wanted| wanted.name.is_some())
        .filter_map(|wanted| {
            let of_topic = || {
                planned
                    .observed
                    .iter()
                    .filter(|one| one.topic == wanted.topic_name())
            };
            let own = of_topic().find(|one| planned.ours.has(one) && one.name.is_some())?;
            let last = through(own, sums)?.last_at;
            let is_unlisted = |sum: &&DeliverySum| {
                sum.topic == wanted.topic.name
                    && sum.last_at > own.created_at
                    && sum.last_at >= last.minus(TOGETHER)
                    && sum.accepted + sum.failed > 0
                    && of_topic().all(|one| one.name.as_deref().unwrap_or_default() != sum.name)
            };
            sums.iter().find(is_unlisted).map(|_| wanted.topic.name)
        })
        .collect()
}
