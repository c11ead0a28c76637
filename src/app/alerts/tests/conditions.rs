//! What people are told of besides problems: what is late, silent, lost or refused.

use super::*;
use crate::app::schedules::full::{Standing, write};
use crate::store::{
    DispatchEnd, DispatchFilter, DispatchState, EndedDispatch, EndedPart, EndpointChange, FannedOut,
    HealthChange, KeptNotification, NewDispatch, Redeliver,
};

#[tokio::test]
async fn orders_without_a_record_are_told_of_when_they_are_late() {
    let rig = Rig::new("[alerts]\nlate_order_minutes = 30").await;
    let retry = |minutes: u32| Verdict::Retry {
        at: rig.now().plus(MINUTE * minutes),
        counts: true,
        system_down: None,
    };
    // One that needs a person is told by its cause, and does not hide the others.
    rig.order("1000", Verdict::Problem(problem("tax_not_found", "x", "shop")))
        .await;
    let late = async || {
        let mut found = rig.found().await;
        found.retain(|(kind, _)| kind != "problem");
        found
    };
    rig.clock.advance(MINUTE * 60);
    assert!(late().await.is_empty());
    rig.order("1001", retry(999)).await;
    rig.order("1002", retry(999)).await;
    rig.clock.advance(MINUTE * 30);
    assert!(late().await.is_empty());
    rig.clock.advance(MINUTE);
    let found = late().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "late_orders");
    assert!(
        found[0]
            .1
            .contains("2 orders have had no record in the ERP for more than 30 min"),
        "{found:?}"
    );
    assert!(found[0].1.contains("the oldest is #1001"), "{found:?}");
    // Who stopped the work knows of it.
    let act = Act {
        actor: crate::domain::Actor::new("ada", crate::domain::Via::Cli),
        reason: Some("stocktaking".to_owned()),
        at: rig.now(),
        action: Action::Pause {
            shop: "main".parse().unwrap(),
        },
    };
    rig.store.act(act).await.unwrap();
    assert!(late().await.is_empty());
}

#[tokio::test]
async fn a_comparison_that_does_not_come_is_told_of() {
    let rig = Rig::new("[shops.main.runs]\nfull = \"0 3 * * *\"\n").await;
    let shop = "main".parse().unwrap();
    rig.clock.advance(HOUR * 72);
    assert!(rig.found().await.is_empty(), "nobody has looked yet");
    let standing = Standing::new(Timestamp::from_millis(NOON));
    write(&rig.store, &shop, Object::Order, Some(&standing), rig.now())
        .await
        .unwrap();
    let found = rig.found().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "overdue_run");
    assert!(
        found[0]
            .1
            .contains("the comparison of order records that was due at 2026-11-26 0"),
        "{found:?}"
    );
    // After a start it may be under way: it is told when that was seen for a while.
    let seen_since = rig.now();
    let told = async |rig: &Rig| {
        let known = crate::store::AlertRow {
            id: 1,
            key: "overdue:main/order".to_owned(),
            kind: "overdue_run".to_owned(),
            shop: None,
            owner: "shop".to_owned(),
            text: String::new(),
            url: None,
            quotes: false,
            since: seen_since,
            told_at: None,
            absent_since: None,
            ended_at: None,
        };
        let config = Arc::clone(&rig.config.borrow());
        let found = found::look(&config, &rig.store, &[known], rig.now()).await;
        found.alerts[0].1
    };
    assert!(!told(&rig).await);
    rig.clock.advance(MINUTE * 30);
    assert!(told(&rig).await);
    // It was made.
    let standing = Standing::new(rig.now());
    write(&rig.store, &shop, Object::Order, Some(&standing), rig.now())
        .await
        .unwrap();
    assert!(rig.found().await.is_empty());
}

#[tokio::test]
async fn a_system_that_does_not_answer_is_told_of_after_some_minutes() {
    let rig = Rig::new("[alerts]\nbreaker_minutes = 5").await;
    let breaker = |state: &str| BreakerRow {
        shop: "main".parse().unwrap(),
        system: System::Erp,
        state: state.to_owned(),
        since: Timestamp::from_millis(NOON),
        reason: None,
    };
    rig.store.save_breaker(breaker("open")).await.unwrap();
    rig.clock.advance(MINUTE * 4);
    assert!(rig.found().await.is_empty());
    rig.clock.advance(MINUTE);
    let found = rig.found().await;
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .1
            .contains("the ERP has not answered since 2026-11-25 12:00 UTC"),
        "{found:?}"
    );
    rig.store.save_breaker(breaker("closed")).await.unwrap();
    assert!(rig.found().await.is_empty());
}

#[tokio::test]
async fn a_disk_that_fills_up_is_told_of_with_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("lockstep.db").display());
    // More than any disk has, less than any has, and nobody wants to know.
    for (wanted, is_told) in [(900_000_000_000_u64, true), (1, false), (0, false)] {
        let alerts = format!("[store]\nurl = \"{url}\"\n[alerts]\ndisk_free_mb = {wanted}\n");
        let rig = Rig::new(&alerts).await;
        let found = rig.found().await;
        let told = found.iter().find(|(kind, _)| kind == "disk");
        assert_eq!(told.is_some(), is_told, "{wanted}: {found:?}");
        let Some((_, text)) = told else { continue };
        let left = text
            .split_once(" has ")
            .and_then(|(_, rest)| rest.split_once(" MB left"));
        let left: u64 = left.and_then(|(left, _)| left.parse().ok()).unwrap_or(0);
        assert!(left > 0, "{text}");
    }
    // PostgreSQL's disk is another machine's.
    let rig =
        Rig::new("[store]\nurl = \"postgres://a:b@db/x\"\n[alerts]\ndisk_free_mb = 900000000000\n").await;
    assert!(rig.found().await.is_empty());
}

#[tokio::test]
async fn a_lost_subscription_is_told_of_and_a_switch_is_not() {
    let rig = Rig::new("").await;
    for (object, reason, is_told) in [
        (
            Object::Order,
            "the subscription to orders/create had been switched off",
            false,
        ),
        (
            Object::Order,
            "the subscription to orders/create was gone from Shopify",
            true,
        ),
    ] {
        let gap = NewGap {
            shop: "main".parse().unwrap(),
            object,
            since: rig.now(),
            stood_at: rig.now(),
            reason: reason.to_owned(),
        };
        rig.store.open_gap(gap, rig.now()).await.unwrap();
        let told = rig.found().await.iter().any(|(kind, _)| kind == "subscription");
        assert_eq!(told, is_told, "{reason}");
    }
}

#[tokio::test]
async fn a_shop_that_has_gone_silent_is_told_of() {
    let rig = Rig::new("").await;
    let shop: crate::domain::ShopName = "main".parse().unwrap();
    let counts = (0..24 * 28)
        .map(|hours| rig.now().minus(HOUR * (24 * 28 - hours)))
        .map(|hour| DeliveryCount {
            shop: shop.clone(),
            topic: "orders/create".to_owned(),
            name: String::new(),
            hour,
            accepted: 3,
            failed: 0,
            last_at: hour.plus(MINUTE * 59),
            last_accepted_at: Some(hour.plus(MINUTE * 59)),
        })
        .collect();
    rig.store.count_deliveries(counts).await.unwrap();
    rig.clock.advance(MINUTE * 118);
    assert!(rig.found().await.is_empty());
    rig.clock.advance(MINUTE * 3);
    let found = rig.found().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].1.contains("has sent nothing since 2026-11-25 11:59 UTC"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_silence_lasts_until_something_comes() {
    let chat = Chat::new().await;
    let mut rig = Rig::new(&format!("[alerts]\nchat_url = \"{}\"", chat.url("/hook"))).await;
    let shop: crate::domain::ShopName = "main".parse().unwrap();
    let count = |hour: Timestamp| DeliveryCount {
        shop: shop.clone(),
        topic: "orders/create".to_owned(),
        name: String::new(),
        hour,
        accepted: 3,
        failed: 0,
        last_at: hour.plus(MINUTE * 59),
        last_accepted_at: Some(hour.plus(MINUTE * 59)),
    };
    let counts = (0..24 * 28)
        .map(|hours| count(rig.now().minus(HOUR * (24 * 28 - hours))))
        .collect();
    rig.store.count_deliveries(counts).await.unwrap();
    rig.round_after(HOUR * 3).await;
    assert_eq!(chat.texts("/hook").len(), 1);
    // Longer than any habit is known for.
    for _ in 0..40 {
        rig.round_after(HOUR * 24).await;
    }
    assert_eq!(chat.texts("/hook").len(), 1, "{:?}", chat.texts("/hook"));
    let now = rig.now();
    rig.store.count_deliveries(vec![count(now)]).await.unwrap();
    rig.round_after(MINUTE).await;
    rig.round_after(MINUTE * 5).await;
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[1].starts_with("Over:"), "{}", texts[1]);
}

#[tokio::test]
async fn wrong_signatures_are_told_of_in_number() {
    let rig = Rig::new("[alerts]\nrefused_signatures = 20").await;
    let refused = |reason: &str, count| RejectionCount {
        shop: "main".to_owned(),
        reason: reason.to_owned(),
        hour: Timestamp::from_millis(NOON),
        count,
    };
    let counts = vec![
        refused("bad_signature", 15),
        refused("no_signature", 4),
        refused("too_large", 99),
    ];
    rig.store.count_rejections(counts).await.unwrap();
    assert!(rig.found().await.is_empty());
    rig.store
        .count_rejections(vec![refused("bad_signature", 1)])
        .await
        .unwrap();
    let found = rig.found().await;
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains("20 deliveries were refused"), "{found:?}");
    rig.clock.advance(HOUR * 2);
    assert!(rig.found().await.is_empty());
}

/// With an endpoint `chat` of ada's, for which so many deliveries wait.
async fn with_deliveries(count: usize) -> Rig {
    with(count, "", None).await
}

/// The same with more keys of the endpoint, and of which it cannot be said whether it wants them.
async fn with(count: usize, keys: &str, problem: Option<&str>) -> Rig {
    let rig = Rig::new(&format!(
        "[alerts]\nemail = ['ops@example.com']\n[alerts.smtp]\nhost = '127.0.0.1'\nfrom = 'a@example.com'\n\
         [owners.ada]\nemail = ['ada@example.com']\n[notify.endpoints.chat]\nurl = 'https://hooks.example.com/x'\n\
         events = ['order.*']\nowner = 'ada'\n{keys}"
    ))
    .await;
    let bodies = vec!["{}".to_owned(); count];
    rig.store.add_notifications(bodies, rig.now()).await.unwrap();
    let rows = rig.store.outbox(100).await.unwrap();
    let outs = rows.iter().map(|row| FannedOut {
        id: row.id,
        kept: Some(KeptNotification {
            notification: format!("evt_{}", row.id),
            event: "order.synced".to_owned(),
            shop: None,
            object: None,
            record: None,
            keys: Vec::new(),
            body: "{}".to_owned(),
        }),
        dispatches: vec![NewDispatch {
            endpoint: "chat".to_owned(),
            priority: 1,
            object_key: None,
            due_at: rig.now(),
            problem: problem.map(str::to_owned),
        }],
    });
    rig.store.fan_out(outs.collect(), rig.now()).await.unwrap();
    rig
}

/// Ends the next of them: given up, or taken.
async fn end_one(rig: &Rig, is_given_up: bool) {
    let until = rig.now().plus(MINUTE);
    let claimed = rig.store.claim_dispatches("chat", rig.now(), until, 1).await;
    let claimed = claimed.unwrap();
    let ended = if is_given_up {
        crate::notify::Ended::Failed
    } else {
        crate::notify::Ended::Taken
    };
    let (health, _) = crate::notify::Health::default().after(ended, rig.now(), None);
    let before = rig.store.endpoints().await.unwrap();
    let end = EndedDispatch {
        parts: vec![EndedPart {
            ids: vec![(claimed[0].id, claimed[0].fence)],
            end: if is_given_up {
                DispatchEnd::Failed
            } else {
                DispatchEnd::Delivered
            },
        }],
        attempt: None,
        endpoint: EndpointChange {
            name: "chat".to_owned(),
            health: Some(HealthChange {
                was: before[0].health.clone(),
                is: serde_json::to_string(&health).unwrap(),
            }),
            pause: None,
            // Whether other endpoints were told today is no matter of people's.
            told_failing_at: None,
        },
        notifications: Vec::new(),
    };
    rig.store.end_dispatches(vec![end], rig.now()).await.unwrap();
}

/// Ends the next of them by a pause.
async fn pause_one(rig: &Rig) {
    let until = rig.now().plus(MINUTE);
    let claimed = rig.store.claim_dispatches("chat", rig.now(), until, 1).await;
    let claimed = claimed.unwrap();
    let end = EndedDispatch {
        parts: vec![EndedPart {
            ids: vec![(claimed[0].id, claimed[0].fence)],
            end: DispatchEnd::Again { at: rig.now() },
        }],
        attempt: None,
        endpoint: EndpointChange {
            name: "chat".to_owned(),
            health: Some(HealthChange {
                was: String::new(),
                is: serde_json::to_string(&crate::notify::Health::default()).unwrap(),
            }),
            pause: Some("gone".to_owned()),
            told_failing_at: None,
        },
        notifications: Vec::new(),
    };
    rig.store.end_dispatches(vec![end], rig.now()).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_told_to_an_endpoint_is_told_to_its_owner() {
    let mut rig = with(2, "", Some("its condition cannot be worked out: no record")).await;
    let found = rig.found().await;
    assert_eq!(found.len(), 1, "{found:?}");
    let text = &found[0].1;
    assert!(
        text.contains("The endpoint chat was not sent 2 deliveries, the last time"),
        "{text}"
    );
    assert!(text.contains("can be sent once more"), "{text}");
    rig.clock.advance(HOUR * 24);
    assert!(rig.found().await.is_empty(), "after a day it is no news");
    rig = with(1, "", Some("its condition cannot be worked out: no record")).await;
    send_once_more(&rig).await;
    assert!(rig.found().await.is_empty(), "somebody has looked after it");
}

#[tokio::test]
async fn a_pause_that_discards_says_so() {
    for (keys, is_said) in [("", false), ("when_paused = 'discard'", true)] {
        let rig = with(1, keys, None).await;
        pause_one(&rig).await;
        let found = rig.found().await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].1.contains("what comes meanwhile is discarded"),
            is_said,
            "{found:?}"
        );
    }
}

async fn send_once_more(rig: &Rig) {
    let ada = crate::domain::Actor::new("ada", crate::domain::Via::Cli);
    let what = Redeliver::Failed { endpoint: None };
    rig.store.redeliver(what, ada, rig.now()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_is_told_of_to_its_owner() {
    let rig = with_deliveries(1).await;
    assert!(rig.found().await.is_empty());
    end_one(&rig, true).await;
    let found = rig.found().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "endpoint_failing");
    assert!(
        found[0].1.contains("The endpoint chat has taken nothing since"),
        "{found:?}"
    );
    let config = Arc::clone(&rig.config.borrow());
    let look = found::look(&config, &rig.store, &[], rig.now()).await;
    assert_eq!(look.alerts[0].0.owner, "ada");
    // Once it takes something, that is over.
    send_once_more(&rig).await;
    end_one(&rig, false).await;
    assert!(rig.found().await.is_empty());
}

#[tokio::test]
async fn sending_once_more_is_no_proof_that_an_endpoint_takes_it() {
    let rig = with_deliveries(2).await;
    end_one(&rig, true).await;
    end_one(&rig, true).await;
    let nothing = async |text: &str| {
        let found = rig.found().await;
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].1.contains("has taken nothing since"), "{found:?}");
        assert!(found[0].1.contains(text), "{found:?}");
    };
    nothing("0 deliveries wait").await;
    let filter = DispatchFilter {
        state: Some(DispatchState::Failed),
        ..DispatchFilter::default()
    };
    let failed = rig.store.dispatches(filter).await.unwrap();
    let ada = crate::domain::Actor::new("ada", crate::domain::Via::Cli);
    let one = Redeliver::One(failed[0].id);
    rig.store.redeliver(one, ada, rig.now()).await.unwrap();
    nothing("1 delivery").await;
    send_once_more(&rig).await;
    nothing("is being sent once more").await;
    // While they are under way, none waits.
    let until = rig.now().plus(MINUTE);
    let claimed = rig.store.claim_dispatches("chat", rig.now(), until, 2).await;
    assert_eq!(claimed.unwrap().len(), 2);
    nothing("0 deliveries wait").await;
    rig.clock.advance(MINUTE);
    assert_eq!(rig.store.reclaim_dispatches(rig.now()).await.unwrap(), 2);
    end_one(&rig, false).await;
    assert!(rig.found().await.is_empty(), "it takes something");
}

#[tokio::test]
async fn what_was_given_up_is_told_of_though_other_things_are_taken() {
    let rig = with_deliveries(4).await;
    end_one(&rig, true).await;
    end_one(&rig, false).await;
    let found = rig.found().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .1
            .contains("The endpoint chat did not take 1 delivery, the last time"),
        "{found:?}"
    );
    // A day after the last one it is no news; the next one is, and until somebody has looked after them.
    rig.clock.advance(HOUR * 24);
    assert!(rig.found().await.is_empty());
    end_one(&rig, true).await;
    end_one(&rig, false).await;
    let found = rig.found().await;
    assert!(found[0].1.contains("did not take 2 deliveries"), "{found:?}");
    send_once_more(&rig).await;
    assert!(rig.found().await.is_empty());
    end_one(&rig, true).await;
    assert_eq!(rig.found().await.len(), 1, "another one on the same day");
}
