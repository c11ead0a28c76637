//! From any state, with any run of failures, the subscriptions end as they are wanted.

use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::shopify::{NewSubscription, RequestId};
use crate::subscriptions::{Observed, is_same_address};

const OURS: &str = "https://sync.example.com/webhooks/shopify";

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is carried out and answered.
    Good,
    /// It is not carried out, and there is no answer.
    Lost,
    /// It is carried out, and there is no answer.
    AnswerLost,
    /// It is refused for now.
    Throttled,
}

/// Shopify's rules about subscriptions, and nothing else.
#[derive(Default)]
struct Rules {
    all: Mutex<Vec<Observed>>,
    fates: Mutex<Vec<Fate>>,
    next: Mutex<u64>,
    writes: Mutex<usize>,
}

fn rejected(reason: &str) -> ShopifyError {
    ShopifyError::Rejected {
        operation: "test",
        reason: reason.to_owned(),
        code: None,
        refusals: Vec::new(),
        request: RequestId::default(),
    }
}

fn no_answer() -> ShopifyError {
    ShopifyError::Internal {
        reason: "no answer".to_owned(),
        retry_after: None,
        request: RequestId::default(),
    }
}

/// What a second one beside `one` would be refused for.
fn clash(all: &[Observed], one: &Observed) -> Option<&'static str> {
    let others = || all.iter().filter(|other| other.id != one.id);
    if others().any(|other| {
        other.topic == one.topic
            && is_same_address(&other.uri, &one.uri)
            && other.format == one.format
            && other.filter == one.filter
    }) {
        return Some("Address for this topic has already been taken");
    }
    let named = one.name.is_some() && others().any(|other| other.name == one.name);
    named.then_some("Name already exists, no duplicate allowed")
}

impl Rules {
    fn write<T>(
        &self,
        act: impl FnOnce(&mut Vec<Observed>) -> Result<T, ShopifyError>,
    ) -> Result<T, ShopifyError> {
        *self.writes.lock().unwrap() += 1;
        let fate = self.fates.lock().unwrap().pop().unwrap_or(Fate::Good);
        match fate {
            Fate::Good => act(&mut self.all.lock().unwrap()),
            Fate::Lost => Err(no_answer()),
            Fate::AnswerLost => {
                act(&mut self.all.lock().unwrap())?;
                Err(no_answer())
            }
            Fate::Throttled => Err(ShopifyError::Throttled {
                reason: "test",
                retry_after: None,
                request: RequestId::default(),
            }),
        }
    }
}

#[async_trait]
impl Registry for Rules {
    async fn list(&self) -> Result<Vec<Observed>, ShopifyError> {
        Ok(self.all.lock().unwrap().clone())
    }

    async fn create(&self, new: &NewSubscription) -> Result<Observed, ShopifyError> {
        let id = {
            let mut next = self.next.lock().unwrap();
            *next += 1;
            1_000 + *next
        };
        self.write(|all| {
            let made = Observed {
                id: ShopifyId(id),
                topic: new.topic.to_owned(),
                uri: new.uri.clone(),
                name: new.name.clone(),
                format: "JSON".to_owned(),
                filter: None,
                include_fields: Vec::new(),
                created_at: Timestamp::from_millis(i64::try_from(id).unwrap()),
            };
            if let Some(reason) = clash(all, &made) {
                return Err(rejected(reason));
            }
            all.push(made.clone());
            Ok(made)
        })
    }

    async fn update(&self, id: ShopifyId, new: &NewSubscription) -> Result<Observed, ShopifyError> {
        self.write(|all| {
            let Some(at) = all.iter().position(|one| one.id == id) else {
                return Err(rejected("id: Webhook subscription does not exist"));
            };
            let mut made = all[at].clone();
            made.uri.clone_from(&new.uri);
            made.format = "JSON".to_owned();
            if new.name.is_some() {
                made.name.clone_from(&new.name);
            }
            if new.undo {
                made.filter = None;
                made.include_fields.clear();
            }
            if let Some(reason) = clash(all, &made) {
                return Err(rejected(reason));
            }
            all[at] = made.clone();
            Ok(made)
        })
    }

    async fn delete(&self, id: ShopifyId) -> Result<(), ShopifyError> {
        self.write(|all| match all.iter().position(|one| one.id == id) {
            Some(at) => {
                all.remove(at);
                Ok(())
            }
            None => Err(rejected("id: Webhook subscription does not exist")),
        })
    }

    async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError> {
        Ok(["read_orders", "read_products"].map(str::to_owned).into())
    }

    fn has_names(&self) -> bool {
        true
    }
}

const TOPICS: &[&str] = &[
    "ORDERS_CREATE",
    "ORDERS_PAID",
    "PRODUCTS_UPDATE",
    "CUSTOMERS_CREATE",
    "CARTS_CREATE",
];

/// One that stands already: topic, address, name, format, filter, fields, whether it is recorded.
type Found = (usize, usize, usize, bool, bool, bool, bool);

fn found() -> impl Strategy<Value = Found> {
    (
        0..TOPICS.len(),
        0..3_usize,
        0..9_usize,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
        any::<bool>(),
    )
}

fn observed(n: usize, instance: &str, of: &Found) -> Observed {
    let (topic, uri, name, json, whole, fields, _) = *of;
    let name = match name {
        0 | 1 => None,
        2 => Some("theirs".to_owned()),
        3 => Some("lockstep-ffffffff-orders_paid".to_owned()),
        4 | 5 => Some(format!("lockstep-{instance}-{}", TOPICS[topic].to_lowercase())),
        n => Some(format!("lockstep-{instance}-{}", TOPICS[n - 6].to_lowercase())),
    };
    Observed {
        id: ShopifyId(n as u64 + 1),
        topic: TOPICS[topic].to_owned(),
        uri: [
            OURS,
            "https://old.example.com/webhooks/shopify",
            "https://x.example.com",
        ][uri]
            .to_owned(),
        name,
        format: if json { "JSON" } else { "XML" }.to_owned(),
        filter: (!whole).then(|| "id:1".to_owned()),
        include_fields: if fields { Vec::new() } else { vec!["id".to_owned()] },
        created_at: Timestamp::from_millis(i64::try_from(n).unwrap()),
    }
}

async fn ends_right(state: Vec<Found>, fates: Vec<Fate>, toggles: &str) {
    let rules = Arc::new(Rules::default());
    let here = Here::with(
        Arc::clone(&rules) as Arc<dyn Registry>,
        toggles,
        "https://sync.example.com",
        1,
    )
    .await;
    for (n, of) in state.iter().enumerate() {
        let one = observed(n, &here.at.instance, of);
        let is_possible = {
            let mut all = rules.all.lock().unwrap();
            let is_possible = clash(&all, &one).is_none();
            all.extend(is_possible.then(|| one.clone()));
            is_possible
        };
        // What carries our name, stands elsewhere and is not known is somebody's with our identity: a person decides.
        let prefix = format!("lockstep-{}-", here.at.instance);
        let is_alien = !is_same_address(&one.uri, OURS)
            && one.name.as_ref().is_some_and(|name| name.starts_with(&prefix));
        if is_possible && (of.6 || is_alien) {
            let row = SubscriptionRow {
                shop: here.target.name.clone(),
                id: one.id,
                topic: one.topic.clone(),
                uri: one.uri.clone(),
                name: one.name.clone(),
                created_at: one.created_at,
                seen_at: here.at.clock.now(),
                removed_at: None,
            };
            here.at.store.save_subscription(row, None).await.unwrap();
        }
    }
    let planned = plan(&here.at, &here.target).await.unwrap();
    let foreign: Vec<Observed> = planned
        .observed
        .iter()
        .filter(|one| {
            planned
                .plan
                .lines
                .iter()
                .any(|line| line.kind == Kind::Foreign && line.id == Some(one.id))
        })
        .cloned()
        .collect();
    let failures = fates.iter().filter(|fate| **fate != Fate::Good).count();
    *rules.fates.lock().unwrap() = fates;
    // Each failure costs a look at most; what follows from it is put right by the next.
    for _ in 0..=failures {
        here.apply().await;
    }
    let last = here.apply().await;
    assert!(last[0].plan.is_empty(), "{:?}", last[0].plan);
    let writes = *rules.writes.lock().unwrap();
    here.apply().await;
    assert_eq!(
        *rules.writes.lock().unwrap(),
        writes,
        "nothing differs: nothing is written"
    );

    let all = rules.all.lock().unwrap().clone();
    for one in &foreign {
        assert!(all.contains(one), "{one:?} is not ours");
    }
    for wanted in &planned.desired {
        let through: Vec<&Observed> = all
            .iter()
            .filter(|one| {
                one.topic == wanted.topic_name()
                    && is_same_address(&one.uri, OURS)
                    && one.filter.is_none()
                    && one.format == "JSON"
            })
            .collect();
        let needs = crate::shopify::scope_of_topic(wanted.topic);
        if needs.is_none_or(|scope| ["read_orders", "read_products"].contains(&scope)) {
            assert_eq!(through.len(), 1, "{}: {all:?}", wanted.topic_name());
            let is_ours = through[0].name == wanted.name;
            assert!(is_ours || foreign.contains(through[0]), "{through:?}");
        }
    }
    // And nothing of ours is left beside them.
    let prefix = format!("lockstep-{}-", here.at.instance);
    for one in all
        .iter()
        .filter(|one| one.name.as_deref().is_some_and(|name| name.starts_with(&prefix)))
    {
        let wanted = planned
            .desired
            .iter()
            .find(|wanted| wanted.topic_name() == one.topic);
        assert!(wanted.is_some(), "{one:?}");
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Good),
        1 => Just(Fate::Lost),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Throttled),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_and_whatever_fails_it_ends_as_it_is_wanted(
        state in prop::collection::vec(found(), 0..8),
        fates in prop::collection::vec(fate(), 0..12),
        on in any::<bool>(),
    ) {
        let toggles = if on { "orders = { in = 'on' }\ncustomers = { in = 'on' }\nproducts = { in = 'paused' }" } else { "" };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(ends_right(state, fates, toggles));
    }
}
