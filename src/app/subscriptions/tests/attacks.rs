//! Shopify fails, throttles, forgets and is spoken to by others in the middle of it.

use super::*;
use crate::sandbox::shopify::faults::ApiFault;
use crate::store::faulty::{FaultyStore, StoreFault};
use crate::subscriptions::Outcome;

const CREATE: &str = "LockstepSubscriptionCreate";

fn outcomes(rounds: &[Applied]) -> (usize, usize) {
    let all = || rounds.iter().flat_map(|round| &round.results);
    (
        all().filter(|changed| changed.outcome.is_done()).count(),
        all().filter(|changed| !changed.outcome.is_done()).count(),
    )
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_by_looking() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    sandbox.inject(ApiFault::CutAfter, Some(CREATE), 1);
    let rounds = here.apply().await;
    assert!(rounds.last().unwrap().is_complete(), "the rest follows at once");
    here.apply().await;
    assert_eq!(topics(&sandbox), ALL_TOPICS, "none is there twice");
    assert_eq!(writes(&sandbox), 8, "what had been made was not made again");
    assert_eq!(
        here.at
            .store
            .subscriptions(&here.target.name)
            .await
            .unwrap()
            .len(),
        8
    );
    assert_eq!(here.codes().await, [""; 0]);
}

#[tokio::test]
async fn the_same_without_names() {
    let sandbox = sandbox().await;
    let here = Here::with(client(&sandbox, "2026-01"), ORDERS, "https://sync.example.com", 1).await;
    sandbox.inject(ApiFault::CutAfter, Some(CREATE), 1);
    here.apply().await;
    here.apply().await;
    assert_eq!((topics(&sandbox).as_str(), writes(&sandbox)), (ALL_TOPICS, 8));
    assert_eq!(
        here.at
            .store
            .subscriptions(&here.target.name)
            .await
            .unwrap()
            .len(),
        8
    );
    here.apply().await;
    assert_eq!(writes(&sandbox), 8);
}

#[tokio::test]
async fn every_fault_in_the_middle_leaves_what_was_done_and_the_rest_follows() {
    for fault in [
        ApiFault::CutBefore,
        ApiFault::CutAfter,
        ApiFault::InternalError,
        ApiFault::HtmlError(502),
        ApiFault::Garbage,
        ApiFault::Locked,
        ApiFault::PartialData,
        ApiFault::TooManyRequests(0.05),
    ] {
        for operation in [CREATE, "LockstepSubscriptions", "LockstepScopes"] {
            let sandbox = sandbox().await;
            let here = Here::new(&sandbox, ORDERS).await;
            // Not the first one: something is done already, or read already.
            if operation == "LockstepSubscriptions" {
                sandbox.inject(ApiFault::Slow(Duration::ZERO), Some(operation), 1);
            }
            sandbox.inject(fault.clone(), Some(operation), 1);
            let first = here.try_apply().await;
            if let Ok(rounds) = &first {
                // What is said to be done is done.
                for changed in rounds.iter().flat_map(|round| &round.results) {
                    let stands = topics(&sandbox).contains(&changed.line.topic);
                    assert!(
                        stands || !changed.outcome.is_done(),
                        "{fault:?} {operation}: {changed:?}"
                    );
                }
            }
            sandbox.clear_faults();
            here.apply().await;
            assert_eq!(topics(&sandbox), ALL_TOPICS, "{fault:?} {operation}");
            assert!(here.plan().await.is_empty(), "{fault:?} {operation}");
            assert!(
                writes(&sandbox) <= 9,
                "{fault:?} {operation}: {}",
                writes(&sandbox)
            );
            assert_eq!(here.codes().await, [""; 0], "{fault:?} {operation}");
        }
    }
}

#[tokio::test]
async fn an_address_that_somebody_takes_meanwhile_is_looked_at() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let planned = plan(&here.at, &here.target).await.unwrap();
    let address = "https://sync.example.com/webhooks/shopify";
    let (nobodys, theirs) = sandbox.change(|shop| {
        (
            shop.register_through_api("ORDERS_PAID", address, None, None),
            shop.register_through_api("ORDERS_CREATE", address, Some("theirs"), None),
        )
    });
    // The plan of before is carried out.
    let site = Site {
        shop: &here.target.name,
        registry: here.target.registry.as_ref(),
        store: &here.at.store,
        gaps: &gaps::NotedGaps {
            at: &here.at,
            target: &here.target,
        },
        telling: &told::Told {
            at: &here.at,
            shop: &here.target.name,
            desired: &planned.desired,
        },
        clock: &here.at.clock,
        instance: &here.at.instance,
    };
    let lease = Lease::take(&here.at.store, &here.at.clock, &here.target.name, "me", None)
        .await
        .unwrap()
        .unwrap();
    let applied = subscriptions::apply(&site, &lease, planned.plan, &planned.desired, &planned.granted)
        .await
        .unwrap();
    lease.release().await;
    let of = |topic: &str| {
        let changed = applied
            .results
            .iter()
            .find(|changed| changed.line.topic == topic)
            .unwrap();
        changed.outcome.clone()
    };
    assert!(
        matches!(of("ORDERS_CREATE"), Outcome::Refused { .. }),
        "{:?}",
        of("ORDERS_CREATE")
    );
    assert_eq!(of("ORDERS_UPDATED"), Outcome::Done);
    // Nobody's is ours now; its name follows.
    here.apply().await;
    let all = registered(&sandbox);
    let paid = all.iter().find(|one| one.id == nobodys).unwrap();
    assert_eq!(
        paid.name,
        Some(format!("lockstep-{}-orders_paid", here.at.instance))
    );
    assert_eq!(
        all.iter().find(|one| one.id == theirs).unwrap().name.as_deref(),
        Some("theirs")
    );
    assert_eq!(topics(&sandbox), ALL_TOPICS);
    assert!(here.plan().await.is_empty());
}

#[tokio::test]
async fn a_topic_that_shopify_refuses_is_a_problem_of_its_own_until_it_does_not() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    // An address of Shopify's is refused for every topic.
    here.at.public_url = Some("https://main.myshopify.com".to_owned());
    let rounds = here.apply().await;
    assert_eq!(outcomes(&rounds), (0, 8));
    let codes = here.codes().await;
    assert_eq!(codes.len(), 8, "{codes:?}");
    assert_eq!(codes[0], "subscription_refused APP_UNINSTALLED");
    let problem = &here.problems().await[0].problem;
    assert!(
        problem
            .reason
            .contains("cannot be a Shopify or an internal domain"),
        "{}",
        problem.reason
    );
    here.apply().await;
    assert_eq!(here.codes().await.len(), 8, "told once");
    here.at.public_url = Some("https://sync.example.com".to_owned());
    here.apply().await;
    assert_eq!(here.codes().await, [""; 0]);
}

#[tokio::test]
async fn what_is_not_ours_is_never_touched() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    let address = "https://sync.example.com/webhooks/shopify";
    let foreign: Vec<u64> = sandbox.change(|shop| {
        vec![
            shop.register_through_api("ORDERS_PAID", "https://other.example.com/x", None, None),
            shop.register_through_api("ORDERS_PAID", address, Some("theirs"), Some("id:1")),
            shop.register_through_api("CARTS_CREATE", address, Some("carts"), None),
            shop.register_through_api(
                "ORDERS_CREATE",
                "arn:aws:events:eu-west-1::event-source/x",
                None,
                None,
            ),
            shop.register_through_api(
                "ORDERS_CREATE",
                "https://x.example.com",
                Some("lockstep-ffffffff-orders_create"),
                None,
            ),
        ]
    });
    let look = || -> Vec<String> {
        let all = registered(&sandbox);
        let of = |id: &u64| all.iter().find(|one| one.id == *id).map(|one| format!("{one:?}"));
        foreign.iter().filter_map(of).collect()
    };
    let before = look();
    assert_eq!(before.len(), 5);
    here.apply().await;
    here.toggles("");
    here.apply().await;
    here.at.public_url = Some("https://new.example.com".to_owned());
    here.toggles(ORDERS);
    here.apply().await;
    let remove = Order {
        remove: true,
        ..Order::default()
    };
    apply(&here.at, &here.target, &remove).await.unwrap();
    assert_eq!(look(), before);
    assert_eq!(registered(&sandbox).len(), 5, "{}", topics(&sandbox));
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_loses_nothing() {
    for operation in [
        "save_subscription",
        "take_lease",
        "subscriptions",
        "saw_subscriptions",
        "deliveries_since",
    ] {
        let sandbox = sandbox().await;
        let mut here = Here::new(&sandbox, ORDERS).await;
        let faulty = Arc::new(FaultyStore::new(here.at.store.clone()));
        here.at.store = Arc::clone(&faulty) as SharedStore;
        faulty.fail(operation, StoreFault::Away, 3);
        let mut tries = 0;
        while here
            .try_apply()
            .await
            .map_or(true, |rounds| !rounds.last().unwrap().is_complete())
        {
            tries += 1;
            assert!(tries < 10, "{operation}");
        }
        assert_eq!(topics(&sandbox), ALL_TOPICS, "{operation}");
        here.apply().await;
        assert!(here.plan().await.is_empty(), "{operation}");
        assert_eq!(
            here.at
                .store
                .subscriptions(&here.target.name)
                .await
                .unwrap()
                .len(),
            8,
            "{operation}"
        );
        assert_eq!(writes(&sandbox), 8, "{operation}");
    }
}

/// A shop beside which another node saves another configuration, as soon as a first subscription is made.
struct Overtaken {
    shop: Arc<Shopify>,
    store: SharedStore,
}

fn node_file(hash: &str) -> crate::store::NodeFile {
    crate::store::NodeFile {
        node: format!("node of {hash}"),
        hash: hash.to_owned(),
        summary: String::new(),
        toggles: serde_json::json!({}),
    }
}

async fn save(store: &SharedStore, hash: &str) {
    let saved = crate::store::TakenUp::Saved;
    store
        .config_revision(node_file(hash), saved, Timestamp::parse_rfc3339(NOW).unwrap())
        .await
        .unwrap();
}

#[async_trait::async_trait]
impl Registry for Overtaken {
    async fn list(&self) -> Result<Vec<Observed>, ShopifyError> {
        self.shop.list().await
    }
    async fn create(&self, new: &subscriptions::NewSubscription) -> Result<Observed, ShopifyError> {
        save(&self.store, "another").await;
        self.shop.create(new).await
    }
    async fn update(
        &self,
        id: ShopifyId,
        new: &subscriptions::NewSubscription,
    ) -> Result<Observed, ShopifyError> {
        self.shop.update(id, new).await
    }
    async fn delete(&self, id: ShopifyId) -> Result<(), ShopifyError> {
        self.shop.delete(id).await
    }
    async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError> {
        Registry::granted_scopes(self.shop.as_ref()).await
    }
    fn has_names(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn who_is_overtaken_in_the_middle_changes_nothing_more_and_who_was_before_nothing_at_all() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.target.registry = Arc::new(Overtaken {
        shop: client(&sandbox, "2026-10"),
        store: here.at.store.clone(),
    });
    save(&here.at.store, "this one").await;
    here.at.acting_for = Some("this one".to_owned());
    here.apply().await;
    // Those that were under way when it happened.
    assert!((1..=4).contains(&writes(&sandbox)), "{}", writes(&sandbox));
    let written = writes(&sandbox);
    let refused = here.try_apply().await.unwrap_err();
    assert_eq!(refused.code(), NOT_NEWEST);
    assert_eq!(writes(&sandbox), written);
    // The other one need not wait for a right that nobody uses.
    here.at.acting_for = Some("another".to_owned());
    here.at.holder = "the other node".to_owned();
    here.apply().await;
    assert_eq!((topics(&sandbox).as_str(), writes(&sandbox)), (ALL_TOPICS, 8));
}

/// A shop that never answers, and tells that it was asked.
#[derive(Default)]
struct Silent {
    asked: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl Registry for Silent {
    async fn list(&self) -> Result<Vec<Observed>, ShopifyError> {
        self.asked.notify_one();
        std::future::pending().await
    }
    async fn create(&self, _: &subscriptions::NewSubscription) -> Result<Observed, ShopifyError> {
        std::future::pending().await
    }
    async fn update(
        &self,
        _: ShopifyId,
        _: &subscriptions::NewSubscription,
    ) -> Result<Observed, ShopifyError> {
        std::future::pending().await
    }
    async fn delete(&self, _: ShopifyId) -> Result<(), ShopifyError> {
        std::future::pending().await
    }
    async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError> {
        self.asked.notify_one();
        std::future::pending().await
    }
    fn has_names(&self) -> bool {
        true
    }
}

async fn is_free(here: &Here) -> bool {
    let lease = Lease::take(&here.at.store, &here.at.clock, &here.target.name, "another", None).await;
    match lease.unwrap() {
        Ok(lease) => {
            lease.release().await;
            true
        }
        Err(_) => false,
    }
}

#[tokio::test]
async fn what_is_interrupted_leaves_no_lease_behind() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    let silent = Arc::new(Silent::default());
    here.target.registry = silent.clone();
    // Told to end.
    let interrupt = here.at.interrupt.clone();
    let end = async {
        silent.asked.notified().await;
        assert!(!is_free(&here).await, "a look holds it");
        interrupt.cancel();
    };
    let (result, ()) = tokio::join!(here.try_apply(), end);
    assert_eq!(result.unwrap_err().code(), "interrupted");
    assert!(is_free(&here).await);

    let silent = Arc::new(Silent::default());
    here.target.registry = silent.clone();
    // Left alone in the middle of it, as by a caller that hangs up.
    here.at.interrupt = tokio_util::sync::CancellationToken::new();
    tokio::select! {
        _ = here.try_apply() => unreachable!("nobody answers"),
        () = silent.asked.notified() => {}
    }
    let wait = async {
        while !is_free(&here).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait)
        .await
        .expect("it is given back long before it would end (the clock stands still)");
}

#[tokio::test]
async fn names_that_were_exchanged_by_hand_are_put_right() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let address = "https://sync.example.com/webhooks/shopify";
    let name = |topic: &str| format!("lockstep-{}-{topic}", here.at.instance);
    sandbox.change(|shop| {
        shop.register_through_api("ORDERS_PAID", address, Some(&name("orders_create")), None);
        shop.register_through_api("ORDERS_CREATE", address, Some(&name("orders_paid")), None);
    });
    let rounds = here.apply().await;
    assert!(rounds.last().unwrap().is_complete(), "{rounds:?}");
    assert_eq!(topics(&sandbox), ALL_TOPICS);
    for one in registered(&sandbox) {
        assert_eq!(one.name, Some(name(&one.topic.to_lowercase())));
    }
}

#[tokio::test]
async fn a_filter_that_somebody_set_is_taken_back() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let address = "https://sync.example.com/webhooks/shopify";
    let name = format!("lockstep-{}-orders_paid", here.at.instance);
    sandbox.change(|shop| shop.register_through_api("ORDERS_PAID", address, Some(&name), Some("id:1")));
    let rounds = here.apply().await;
    assert!(rounds.last().unwrap().is_complete(), "{rounds:?}");
    assert!(registered(&sandbox).iter().all(|one| one.filter.is_none()));
    assert!(
        rounds[0].restored.iter().any(|one| one.topic == "ORDERS_PAID"),
        "what it kept back may be missing"
    );
}

#[tokio::test]
async fn many_subscriptions_are_read_to_the_last_page() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    sandbox.change(|shop| {
        for n in 0..250 {
            shop.register_through_api("ORDERS_PAID", &format!("https://x.example.com/{n}"), None, None);
        }
    });
    here.apply().await;
    assert_eq!(here.plan().await.count(Kind::Foreign), 250);
    assert_eq!(here.plan().await.count(Kind::Unchanged), 8);
    assert_eq!(writes(&sandbox), 8);
}

#[tokio::test]
async fn what_eight_failed_deliveries_cost_is_back_at_the_next_look() {
    let sandbox = sandbox().await;
    // Nobody listens there.
    let here = Here::with(
        client(&sandbox, "2026-10"),
        "customers = { in = 'on' }",
        "http://127.0.0.1:9",
        1,
    )
    .await;
    here.apply().await;
    let before = topics(&sandbox);
    sandbox.change(|shop| {
        let draft = crate::sandbox::shopify::draft::CustomerDraft {
            email: Some("ada@example.com".to_owned()),
            ..Default::default()
        };
        shop.create_customer(draft).unwrap()
    });
    sandbox.deliver_now().await;
    assert!(sandbox.ledger().deleted_subscriptions > 0);
    assert_ne!(topics(&sandbox), before);
    let healed = here.apply().await;
    assert_eq!(topics(&sandbox), before);
    assert!(
        healed[0]
            .restored
            .iter()
            .any(|one| one.why == crate::subscriptions::Why::Missing)
    );
}
