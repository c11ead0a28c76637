//! What has to change on Shopify so that the subscriptions of a shop are those that are wanted. Pure.
//!
//! Ours is what our store recorded and what carries a name of this installation. Everything else is foreign: shown, and never
//! touched. One exception, because Shopify allows no second one beside it: a subscription to a wanted topic at exactly our
//! address with nobody's name on it is taken over. One that carries another installation's name is foreign even when we
//! recorded it: that installation took it over, and taking it back would be a fight without end.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::desired::{Desired, instance_of, name_prefix};
use crate::domain::{ShopName, ShopifyId, text_enum};
use crate::shopify::{NewSubscription, Subscription as Observed, scope_is_granted, scope_of_topic};

text_enum! {
    /// What a line of a plan says about a subscription.
    Kind, "kind of change" {
        /// It is made.
        Create = "create",
        /// It is ours and made right.
        Update = "update",
        /// It has nobody's name and our address: it becomes ours.
        Adopt = "adopt",
        /// It is ours and not wanted.
        Delete = "delete",
        /// It is ours and right.
        Unchanged = "unchanged",
        /// It is somebody else's.
        Foreign = "foreign",
        /// It is wanted and cannot be had.
        Blocked = "blocked",
        /// It would be welcome and cannot be had; nobody misses it.
        Skipped = "skipped",
    }
}

impl Kind {
    /// Whether something is to be done.
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Adopt | Self::Delete)
    }
}

/// One subscription in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlanLine {
    /// What is to be done about it, if anything.
    pub kind: Kind,
    /// GraphQL's spelling of its topic.
    pub topic: String,
    /// Shopify's number, where it exists.
    pub id: Option<ShopifyId>,
    /// Where its deliveries go, or are to go.
    pub uri: String,
    /// Why, for people.
    pub reason: String,
    /// The scope that its topic needs.
    pub scope: Option<&'static str>,
    /// Whether it cannot be had because the app lacks that scope.
    pub lacks_scope: bool,
    /// What it is to be after a creation, an update or an adoption.
    #[serde(skip)]
    pub new: Option<NewSubscription>,
    /// Whether deliveries were or may have been lost for want of this change.
    #[serde(skip)]
    pub loses: bool,
    /// Somebody else's that stands in its place.
    #[serde(skip)]
    pub blocked_by: Option<ShopifyId>,
}

/// What is to be done about one shop's subscriptions: each that is wanted or was found has a line, by topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The shop.
    pub shop: ShopName,
    /// The lines.
    pub lines: Vec<PlanLine>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// The lines that are to be carried out, in the order in which they must be: what is deleted makes room for addresses and
    /// names.
    pub fn changes(&self) -> impl Iterator<Item = &PlanLine> {
        let of = |kinds: &'static [Kind]| self.lines.iter().filter(move |line| kinds.contains(&line.kind));
        of(&[Kind::Delete])
            .chain(of(&[Kind::Adopt, Kind::Update]))
            .chain(of(&[Kind::Create]))
    }

    /// How many lines are of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.lines.iter().filter(|line| line.kind == kind).count()
    }

    /// What tells this plan's changes from others: who agreed to one has not agreed to another.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for line in self.changes() {
            let new = line.new.as_ref();
            let parts = [
                line.kind.as_str(),
                &line.topic,
                &line.id.map(|id| id.to_string()).unwrap_or_default(),
                &line.uri,
                new.and_then(|new| new.name.as_deref()).unwrap_or_default(),
            ];
            for part in parts {
                hash.update(part.as_bytes());
                hash.update(b"\n");
            }
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// How our own subscriptions are told from others.
#[derive(Clone, Debug, Default)]
pub struct Ours {
    /// The installation's id.
    pub instance: String,
    /// What our store recorded, with the topics.
    pub recorded: BTreeMap<ShopifyId, String>,
    /// What a person says is ours from now on, whatever its name.
    pub adopted: BTreeSet<ShopifyId>,
}

impl Ours {
    /// Whether a subscription is ours.
    pub fn has(&self, observed: &Observed) -> bool {
        if self.adopted.contains(&observed.id) {
            return true;
        }
        match observed.name.as_deref().and_then(instance_of) {
            Some(instance) => instance == self.instance,
            None => {
                self.recorded.contains_key(&observed.id)
                    || observed
                        .name
                        .as_deref()
                        .is_some_and(|name| name.starts_with(&name_prefix(&self.instance)))
            }
        }
    }
}

/// Whether two addresses lead to the same place: Shopify may spell one otherwise than it was given.
pub fn is_same_address(one: &str, other: &str) -> bool {
    one == other
        || match (reqwest::Url::parse(one), reqwest::Url::parse(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        }
}

/// Whether a subscription takes the place of the wanted one, as Shopify sees it: there cannot be both.
fn takes_the_place(observed: &Observed, wanted: &Desired) -> bool {
    observed.topic == wanted.topic_name()
        && is_same_address(&observed.uri, &wanted.uri)
        && observed.format == "JSON"
        && observed.filter.is_none()
}

/// Whether everything arrives that is wanted.
fn delivers(observed: &Observed, wanted: &Desired) -> bool {
    takes_the_place(observed, wanted) && observed.include_fields.is_empty()
}

fn has_right_name(observed: &Observed, wanted: &Desired) -> bool {
    wanted.name.is_none() || observed.name == wanted.name
}

/// The plan for one shop.
pub fn plan(
    shop: &ShopName,
    desired: &[Desired],
    observed: &[Observed],
    ours: &Ours,
    granted: &BTreeSet<String>,
) -> Plan {
    let mut planner = Planner {
        observed,
        ours,
        granted,
        seen: BTreeSet::new(),
        lines: Vec::new(),
    };
    for wanted in desired {
        planner.want(wanted);
    }
    planner.free_names(desired);
    planner.rest(desired);
    let mut lines = planner.lines;
    lines.sort_by(|one, other| {
        (one.topic.as_str(), one.kind, one.id).cmp(&(other.topic.as_str(), other.kind, other.id))
    });
    Plan {
        shop: shop.clone(),
        lines,
    }
}

struct Planner<'a> {
    observed: &'a [Observed],
    ours: &'a Ours,
    granted: &'a BTreeSet<String>,
    /// What has a line.
    seen: BTreeSet<ShopifyId>,
    lines: Vec<PlanLine>,
}

impl Planner<'_> {
    fn want(&mut self, wanted: &Desired) {
        let own: Vec<&Observed> = self
            .observed
            .iter()
            .filter(|one| one.topic == wanted.topic_name() && self.ours.has(one))
            .collect();
        let scope = scope_of_topic(wanted.topic);
        let missing = scope.filter(|scope| !scope_is_granted(self.granted, scope));
        if let (true, Some(missing)) = (own.is_empty(), missing) {
            let (kind, reason) = if wanted.optional {
                (
                    Kind::Skipped,
                    format!(
                        "{}; the app lacks the scope {missing}, and it is not needed",
                        wanted.why
                    ),
                )
            } else {
                (
                    Kind::Blocked,
                    format!("{}; the app lacks the scope {missing}", wanted.why),
                )
            };
            self.line(kind, wanted, None, reason);
            if let Some(line) = self.lines.last_mut() {
                line.lacks_scope = true;
            }
            return;
        }
        let twin = self
            .observed
            .iter()
            .find(|one| takes_the_place(one, wanted) && !self.ours.has(one));
        if let Some(twin) = twin.filter(|twin| twin.name.is_some()) {
            let reason = format!(
                "{}; its address is taken by subscription {}, which is not ours: `lockstep webhooks adopt {}` takes it over",
                wanted.why, twin.id, twin.id
            );
            let kept = own.first().copied();
            self.line(Kind::Blocked, wanted, kept.map(|one| one.id), reason);
            if let Some(line) = self.lines.last_mut() {
                line.blocked_by = Some(twin.id);
            }
            self.duplicates(own.iter().skip(1).copied());
            return;
        }
        let rank = |one: &Observed| match (delivers(one, wanted), has_right_name(one, wanted)) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        };
        let best = own
            .iter()
            .copied()
            .min_by_key(|one| (rank(one), one.created_at, one.id));
        // While it stands, none of ours can be made right.
        let keeper = twin
            .filter(|_| !own.iter().any(|one| takes_the_place(one, wanted)))
            .or(best);
        let Some(keeper) = keeper else {
            let gone = self.recorded_as(wanted.topic_name());
            let reason = match gone {
                Some(id) => format!("{}; subscription {id} is gone from Shopify", wanted.why),
                None => wanted.why.clone(),
            };
            self.line(Kind::Create, wanted, None, reason);
            return;
        };
        let differences = differences(keeper, wanted);
        if !self.ours.has(keeper) {
            let reason = format!(
                "{}; it leads to our address and carries nobody's name",
                wanted.why
            );
            self.line(Kind::Adopt, wanted, Some(keeper.id), reason);
        } else if differences.is_empty() {
            self.line(Kind::Unchanged, wanted, Some(keeper.id), wanted.why.clone());
        } else {
            self.line(Kind::Update, wanted, Some(keeper.id), differences.join("; "));
        }
        if let Some(line) = self.lines.last_mut() {
            line.loses = !delivers(keeper, wanted);
            if let Some(new) = &mut line.new {
                new.undo = line.loses;
            }
            if differences.is_empty() {
                // Nothing is to be written, it is only recorded.
                line.new = None;
            }
        }
        self.duplicates(own.iter().copied().filter(|one| one.id != keeper.id));
    }

    /// The subscription of this topic that we had and that is not there any more.
    fn recorded_as(&self, topic: &str) -> Option<ShopifyId> {
        let is_there = |id: &ShopifyId| self.observed.iter().any(|one| one.id == *id);
        self.ours
            .recorded
            .iter()
            .find(|(id, of)| *of == topic && !is_there(id))
            .map(|(id, _)| *id)
    }

    fn duplicates<'o>(&mut self, own: impl Iterator<Item = &'o Observed>) {
        for one in own {
            self.found(Kind::Delete, one, "a second one for the same topic".to_owned());
        }
    }

    /// Where a name that is needed stands on a subscription to another topic, that one is made anew: exchanging names in place
    /// would fail at the first of them.
    fn free_names(&mut self, desired: &[Desired]) {
        let needed: Vec<(Option<ShopifyId>, String)> = self
            .lines
            .iter()
            .filter(|line| line.kind.is_change())
            .filter_map(|line| Some((line.id, line.new.as_ref()?.name.clone()?)))
            .collect();
        for (by, name) in needed {
            let holder = self
                .observed
                .iter()
                .find(|one| one.name.as_deref() == Some(&name) && Some(one.id) != by);
            let Some(holder) = holder else { continue };
            let Some(at) = self.lines.iter().position(|line| {
                line.id == Some(holder.id) && matches!(line.kind, Kind::Update | Kind::Blocked)
            }) else {
                continue;
            };
            let line = &mut self.lines[at];
            line.id = None;
            line.loses = true;
            if line.kind == Kind::Update
                && let Some(wanted) = desired.iter().find(|one| one.topic_name() == line.topic)
            {
                line.kind = Kind::Create;
                line.reason.clone_from(&wanted.why);
                line.new = Some(new(wanted));
            }
            self.found(
                Kind::Delete,
                holder,
                "its name belongs to the subscription of another topic".to_owned(),
            );
        }
    }

    /// What nobody wants, and what is not ours.
    fn rest(&mut self, desired: &[Desired]) {
        for one in self.observed {
            if self.seen.contains(&one.id) {
                continue;
            }
            if self.ours.has(one) {
                self.found(Kind::Delete, one, "no toggle asks for it".to_owned());
                continue;
            }
            let other = one.name.as_deref().and_then(instance_of);
            let mut reason = match other {
                Some(instance) => format!("of another installation of lockstep ({instance})"),
                None => "not made by this installation".to_owned(),
            };
            let overlaps = desired
                .iter()
                .any(|wanted| wanted.topic_name() == one.topic && is_same_address(&wanted.uri, &one.uri));
            if overlaps {
                reason = format!(
                    "{reason}, and it leads to our address: events come through it, too; `lockstep webhooks adopt {}` takes it over",
                    one.id
                );
            }
            self.found(Kind::Foreign, one, reason);
        }
    }

    fn line(&mut self, kind: Kind, wanted: &Desired, id: Option<ShopifyId>, reason: String) {
        self.seen.extend(id);
        self.lines.push(PlanLine {
            kind,
            topic: wanted.topic_name().to_owned(),
            id,
            uri: wanted.uri.clone(),
            reason,
            scope: scope_of_topic(wanted.topic),
            lacks_scope: false,
            new: kind.is_change().then(|| new(wanted)),
            loses: kind == Kind::Create,
            blocked_by: None,
        });
    }

    fn found(&mut self, kind: Kind, observed: &Observed, reason: String) {
        self.seen.insert(observed.id);
        self.lines.push(PlanLine {
            kind,
            topic: observed.topic.clone(),
            id: Some(observed.id),
            uri: observed.uri.clone(),
            reason,
            scope: super::desired::of_graphql(&observed.topic).and_then(scope_of_topic),
            lacks_scope: false,
            new: None,
            loses: false,
            blocked_by: None,
        });
    }
}

fn new(wanted: &Desired) -> NewSubscription {
    NewSubscription {
        topic: wanted.topic_name(),
        uri: wanted.uri.clone(),
        name: wanted.name.clone(),
        undo: false,
    }
}

/// In what a subscription is not as it is wanted, for people.
fn differences(observed: &Observed, wanted: &Desired) -> Vec<String> {
    let mut found = Vec::new();
    if !is_same_address(&observed.uri, &wanted.uri) {
        found.push(format!("the address was {}", observed.uri));
    }
    if observed.format != "JSON" {
        found.push(format!("the format was {}", observed.format));
    }
    if let Some(filter) = &observed.filter {
        found.push(format!("it had the filter {filter}"));
    }
    if !observed.include_fields.is_empty() {
        found.push(format!(
            "it had only the fields {}",
            observed.include_fields.join(", ")
        ));
    }
    if !has_right_name(observed, wanted) {
        found.push(match &observed.name {
            Some(name) => format!("the name was {name}"),
            None => "it had no name".to_owned(),
        });
    }
    found
}
