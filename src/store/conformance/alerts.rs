//! Counts by hour, looks back, alerts and the messages about them.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    START, claim_one, end, finish, link, new_job, order, other_shop, problem, retry_at, shop,
};
use crate::domain::{Direction, LinkKind, Object, ShopName, Timestamp};
use crate::store::{
    AlertChanges, AlertsTold, Channel, DeliveryCount, MessageEnd, NewAlert, NewMessage, Renewed, Tally,
    TallyFilter, TallyKind, Verdict, bound_ms,
};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn hours(count: u32) -> TallyFilter {
    TallyFilter {
        shop: None,
        since: START,
        until: START.plus(HOUR * count),
    }
}

pub(super) async fn ends_are_counted_with_what_they_end(fixture: Fixture) {
    let store = &fixture.store;
    for id in ["1", "2", "3"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let later = START.plus(Duration::from_secs(100));
    let job = claim_one(store, Object::Order, later).await;
    finish(store, &job, later, retry_at(later, true, None)).await;
    let job = claim_one(store, Object::Order, later).await;
    let again = end(&job, later, Verdict::Completed);
    store.finish(again.clone()).await.unwrap();
    // A stale end changes nothing, and counts nothing.
    store.finish(again).await.unwrap();
    let job = claim_one(store, Object::Order, later).await;
    finish(store, &job, later, Verdict::Problem(problem("x"))).await;
    let next_hour = START.plus(HOUR);
    let job = claim_one(store, Object::Order, next_hour).await;
    finish(store, &job, next_hour, Verdict::Completed).await;

    let told = |tallies: Vec<Tally>| -> Vec<(u64, &'static str, u64, u64)> {
        let mut rows: Vec<_> = tallies
            .into_iter()
            .map(|tally| {
                assert_eq!(tally.lane, Some((Object::Order, Direction::In)));
                let hour = tally.hour.since(START).as_secs() / 3600;
                (hour, tally.kind.as_str(), tally.bound_ms, tally.count)
            })
            .collect();
        rows.sort_unstable();
        rows
    };
    let short = bound_ms(Duration::from_secs(100));
    assert_eq!(
        told(store.tallies(hours(2)).await.unwrap()),
        [
            (0, "completed", 0, 1),
            (0, "failed", 0, 1),
            (0, "retried", 0, 1),
            (0, "took", short, 1),
            (1, "completed", 0, 1),
            (1, "took", bound_ms(HOUR), 1),
        ]
    );
    assert_eq!(store.tallies(hours(1)).await.unwrap().len(), 4);
    let of_another = TallyFilter {
        shop: Some(other_shop()),
        ..hours(2)
    };
    assert!(store.tallies(of_another).await.unwrap().is_empty());
    let slow = store.slowest_jobs(hours(2), 1).await.unwrap();
    assert_eq!((slow.len(), slow[0].took_ms, slow[0].attempts), (1, 3_600_000, 2));
    let past = store.past_problems(hours(1), 10).await.unwrap();
    assert_eq!(
        (past.len(), past[0].code.as_str(), past[0].closed_at),
        (1, "x", None)
    );
    assert!(store.past_problems(of_later(), 10).await.unwrap().is_empty());
}

fn of_later() -> TallyFilter {
    TallyFilter {
        since: START.plus(HOUR),
        ..hours(9)
    }
}

pub(super) async fn counts_add_up(fixture: Fixture) {
    let store = &fixture.store;
    let tally = |count| Tally {
        hour: START,
        shop: shop(),
        lane: None,
        kind: TallyKind::Answered,
        bound_ms: 12,
        count,
    };
    store.add_tallies(vec![tally(2), tally(3)]).await.unwrap();
    store.add_tallies(vec![tally(4)]).await.unwrap();
    store.add_tallies(Vec::new()).await.unwrap();
    assert_eq!(store.tallies(hours(1)).await.unwrap(), [tally(9)]);
}

pub(super) async fn late_orders_are_those_without_a_record(fixture: Fixture) {
    let store = &fixture.store;
    for id in ["1", "2", "3"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let mut young = new_job(&order("4"), START.plus(HOUR));
    young.now = START.plus(HOUR);
    store.enqueue(young).await.unwrap();
    // The first has a record, the second needs a person.
    let job = claim_one(store, Object::Order, START).await;
    let mut done = end(&job, START, retry_at(START.plus(HOUR * 9), true, None));
    done.links = vec![link(LinkKind::Order, &job.key.source_id, 7)];
    store.finish(done).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let mut bad = end(&job, START, Verdict::Problem(problem("x")));
    bad.record_name = Some("#1002".to_owned());
    store.finish(bad).await.unwrap();
    assert!(store.late_orders(START).await.unwrap().is_empty());
    let late = store.late_orders(START.plus(MINUTE)).await.unwrap();
    assert_eq!(late.len(), 1);
    assert_eq!(
        (late[0].count, late[0].oldest, late[0].name.as_str()),
        (1, START, "3"),
        "the second is told as a problem"
    );
    assert_eq!(late[0].shop, shop());
}

pub(super) async fn hours_with_deliveries_are_known(fixture: Fixture) {
    let store = &fixture.store;
    let count = |hour: u32, topic: &str, accepted| DeliveryCount {
        shop: shop(),
        topic: topic.to_owned(),
        name: String::new(),
        hour: START.plus(HOUR * hour),
        accepted,
        failed: 1,
        last_at: START,
        last_accepted_at: None,
    };
    store
        .count_deliveries(vec![
            count(0, "a", 1),
            count(2, "a", 1),
            count(2, "b", 5),
            count(3, "a", 0),
        ])
        .await
        .unwrap();
    let seen = store.delivery_hours(&shop(), START).await.unwrap();
    assert_eq!(seen, [START, START.plus(HOUR * 2)]);
    let seen = store.delivery_hours(&shop(), START.plus(HOUR)).await.unwrap();
    assert_eq!(seen, [START.plus(HOUR * 2)]);
    assert!(
        store
            .delivery_hours(&other_shop(), START)
            .await
            .unwrap()
            .is_empty()
    );
}

fn alert(key: &str) -> NewAlert {
    NewAlert {
        key: key.to_owned(),
        kind: "breaker".to_owned(),
        shop: Some(shop()),
        owner: "general".to_owned(),
        text: format!("{key} is down"),
        url: Some("/".to_owned()),
        quotes: false,
        since: START,
    }
}

fn raised(keys: &[&str]) -> AlertChanges {
    AlertChanges {
        raised: keys.iter().map(|key| alert(key)).collect(),
        ..AlertChanges::default()
    }
}

fn message(dedup: &str) -> NewMessage {
    NewMessage {
        dedup: dedup.to_owned(),
        channel: Channel::Email,
        recipient: "ops@example.com".to_owned(),
        subject: "a few words".to_owned(),
        body: "all of it".to_owned(),
        quotes: Vec::new(),
    }
}

pub(super) async fn a_condition_is_one_alert_while_it_lasts(fixture: Fixture) {
    let store = &fixture.store;
    store.change_alerts(raised(&["a", "b"]), START).await.unwrap();
    store.change_alerts(raised(&["a"]), START).await.unwrap();
    let rows = store.alerts().await.unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
    let (a, b) = (rows[0].id, rows[1].id);

    let told = |begun: &[i64], ended: &[i64], dedup: &str| AlertsTold {
        begun: begun.to_vec(),
        ended: ended.to_vec(),
        messages: vec![message(dedup)],
    };
    assert!(store.tell_alerts(told(&[a], &[], "1"), START).await.unwrap());
    // Another node that would tell the same writes nothing, not even what is new to it.
    assert!(!store.tell_alerts(told(&[a, b], &[], "2"), START).await.unwrap());
    assert!(
        !store.tell_alerts(told(&[], &[a], "3"), START).await.unwrap(),
        "its end is no news while it lasts"
    );
    let later = START.plus(MINUTE);
    let changes = AlertChanges {
        absent: vec![a, b],
        ..AlertChanges::default()
    };
    store.change_alerts(changes, later).await.unwrap();
    let changes = AlertChanges {
        back: vec![b],
        ..AlertChanges::default()
    };
    store.change_alerts(changes, later).await.unwrap();
    let rows = store.alerts().await.unwrap();
    let absent: Vec<_> = rows.iter().map(|row| row.absent_since).collect();
    assert_eq!(absent, [Some(later), None]);

    let changes = AlertChanges {
        ended: vec![a, b],
        ..AlertChanges::default()
    };
    store.change_alerts(changes, later).await.unwrap();
    // Nobody was told of the second, so nobody is told of its end.
    let rows = store.alerts().await.unwrap();
    assert_eq!((rows.len(), rows[0].key.as_str()), (1, "a"));
    assert!(store.tell_alerts(told(&[], &[a], "4"), later).await.unwrap());
    assert!(!store.tell_alerts(told(&[], &[a], "5"), later).await.unwrap());
    assert!(store.alerts().await.unwrap().is_empty());
    // It comes again as a new one.
    store.change_alerts(raised(&["a"]), later).await.unwrap();
    assert_eq!(store.alerts().await.unwrap().len(), 1);
    let due = store.claim_messages(later, later, 10).await.unwrap();
    let written: Vec<_> = due.iter().map(|due| due.message.dedup.as_str()).collect();
    assert_eq!(written, ["1", "4"]);
    assert_eq!(store.last_message("ops@example.com").await.unwrap(), Some(later));
    assert_eq!(store.last_message("ada@example.com").await.unwrap(), None);
}

pub(super) async fn a_message_is_had_by_one_until_it_is_said_what_became_of_it(fixture: Fixture) {
    let store = &fixture.store;
    let written = AlertsTold {
        messages: vec![message("1"), message("1"), message("2")],
        ..AlertsTold::default()
    };
    assert!(store.tell_alerts(written.clone(), START).await.unwrap());
    assert!(store.tell_alerts(written, START).await.unwrap());
    let minute = |n: u32| START.plus(MINUTE * n);
    let (one, two) = tokio::join!(
        store.claim_messages(START, minute(5), 1),
        store.claim_messages(START, minute(5), 9)
    );
    let mut had: Vec<_> = [one.unwrap(), two.unwrap()].concat();
    had.sort_by_key(|due| due.id);
    assert_eq!(
        had.len(),
        2,
        "each is had once, and what was written twice is one"
    );
    assert!(
        store
            .claim_messages(minute(4), minute(9), 9)
            .await
            .unwrap()
            .is_empty()
    );
    // Who took them said nothing: they are due again.
    let again = store.claim_messages(minute(5), minute(9), 9).await.unwrap();
    assert_eq!(again.len(), 2);
    let failed = MessageEnd::Failed {
        error: "refused".to_owned(),
        next_at: minute(20),
    };
    store.end_message(again[0].id, failed, minute(6)).await.unwrap();
    store
        .end_message(again[1].id, MessageEnd::Sent, minute(6))
        .await
        .unwrap();
    let standing = store.alert_standing().await.unwrap();
    assert_eq!((standing.waiting, standing.waiting_since), (1, Some(START)));
    let failure = standing.failure.unwrap();
    assert_eq!((failure.at, failure.error.as_str()), (minute(6), "refused"));
    assert!(!failure.given_up);
    assert!(
        store
            .claim_messages(minute(19), minute(25), 9)
            .await
            .unwrap()
            .is_empty()
    );
    let due = store.claim_messages(minute(20), minute(25), 9).await.unwrap();
    assert_eq!((due.len(), due[0].tries), (1, 1));
    store
        .end_message(due[0].id, MessageEnd::Sent, minute(21))
        .await
        .unwrap();
    // What was sent stays sent, whoever comes late.
    let late = MessageEnd::GivenUp {
        error: "late".to_owned(),
    };
    store.end_message(due[0].id, late, minute(22)).await.unwrap();
    let standing = store.alert_standing().await.unwrap();
    assert_eq!((standing.waiting, standing.failure), (0, None));
    let later: Timestamp = minute(60);
    assert!(store.claim_messages(later, later, 9).await.unwrap().is_empty());
}

pub(super) async fn what_lasts_is_told_as_it_stands_by_now(fixture: Fixture) {
    let store = &fixture.store;
    store.change_alerts(raised(&["a"]), START).await.unwrap();
    let id = store.alerts().await.unwrap()[0].id;
    let renewed = |text: &str| AlertChanges {
        renewed: vec![Renewed {
            id,
            text: text.to_owned(),
            url: None,
            quotes: true,
        }],
        ..AlertChanges::default()
    };
    store.change_alerts(renewed("137 jobs"), START).await.unwrap();
    let row = store.alerts().await.unwrap().remove(0);
    assert_eq!(
        (row.text.as_str(), row.url.as_deref(), row.quotes),
        ("137 jobs", None, true)
    );
    // Nobody waits for words about what is over and was never told.
    let ended = AlertChanges {
        ended: vec![id],
        ..AlertChanges::default()
    };
    store.change_alerts(ended, START).await.unwrap();
    store.change_alerts(renewed("late"), START).await.unwrap();
    assert!(store.alerts().await.unwrap().is_empty());
}

pub(super) async fn a_privacy_request_blanks_what_alerts_quote(fixture: Fixture) {
    let store = &fixture.store;
    let mut quoting = alert("a");
    quoting.quotes = true;
    let changes = AlertChanges {
        raised: vec![quoting, alert("b")],
        ..AlertChanges::default()
    };
    store.change_alerts(changes, START).await.unwrap();
    let quotes = |dedup: &str, shops: Vec<ShopName>| NewMessage {
        quotes: shops,
        ..message(dedup)
    };
    let written = AlertsTold {
        messages: vec![
            quotes("1", vec![shop()]),
            quotes("2", Vec::new()),
            quotes("3", vec![other_shop()]),
        ],
        ..AlertsTold::default()
    };
    store.tell_alerts(written, START).await.unwrap();
    // What can be read of alerts and of messages after each request.
    let left = async || {
        let rows = store.alerts().await.unwrap();
        let told: Vec<String> = rows
            .iter()
            .filter(|row| row.text.contains("is down") && row.url.is_some())
            .map(|row| row.key.clone())
            .collect();
        let due = store.claim_messages(START, START, 9).await.unwrap();
        assert_eq!(
            (rows.len(), due.len()),
            (2, 3),
            "that there was something is still told"
        );
        let read: Vec<String> = due
            .into_iter()
            .filter(|due| due.message.body == "all of it")
            .map(|due| due.message.dedup)
            .collect();
        (told.join(" "), read.join(" "))
    };
    let both = |told: &str, read: &str| (told.to_owned(), read.to_owned());
    store.redact(&other_shop(), &[], START).await.unwrap();
    assert_eq!(left().await, both("a b", "1 2"), "the rest is not of that shop");
    store.redact(&shop(), &[], START).await.unwrap();
    assert_eq!(left().await, both("b", "2"), "what quotes nobody stays");
}
