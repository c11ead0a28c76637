//! Sending once more, and forgetting.

use std::time::Duration;

use super::super::fixture::Fixture;
use super::super::given::START;
use super::{MINUTE, ada, check_counts, claim, end, names, states, tell, to, unique};
use crate::domain::Timestamp;
use crate::store::{
    AuditFilter, DispatchEnd, DispatchState, NewDispatch, Redeliver, Redelivered, SharedStore,
};

async fn again(store: &SharedStore, what: Redeliver) -> Redelivered {
    store.redeliver(what, ada(), START).await.unwrap()
}

pub(in super::super) async fn what_ended_is_sent_once_more(fixture: Fixture) {
    use DispatchState::{Failed, Replaced, Waiting};
    let store = &fixture.store;
    tell(store, "1", &[unique("slack", "a")]).await;
    let given_up = claim(store, "slack", 1, START).await;
    let id = given_up[0].id;
    assert_eq!(again(store, Redeliver::One(id)).await, Redelivered::UnderWay);
    end(store, "slack", &given_up, DispatchEnd::Failed).await;
    let row = super::endpoint(store, "slack").await;
    assert_eq!((row.failed, row.given_up_at), (1, Some(START)));
    tell(store, "2", &[unique("slack", "a")]).await;
    tell(store, "3", &[unique("slack", "a")]).await;
    assert_eq!(states(store, "slack").await, [Failed, Replaced, Waiting]);

    // Asked for by a person: it is sent although a newer one waits.
    assert_eq!(again(store, Redeliver::One(id)).await, Redelivered::Done(1));
    // Where it waits already, it is due now.
    assert_eq!(again(store, Redeliver::One(id)).await, Redelivered::Done(1));
    // That it is sent once more says nothing of the others, nor that it is taken.
    let row = super::endpoint(store, "slack").await;
    assert_eq!((row.failed, row.given_up_at), (0, Some(START)));
    assert_eq!(states(store, "slack").await, [Waiting, Replaced, Waiting]);
    assert_eq!(again(store, Redeliver::One(id + 1)).await, Redelivered::Replaced);
    let claimed = claim(store, "slack", 5, START).await;
    assert_eq!(names(&claimed), ["1", "3"]);
    assert_eq!((claimed[0].tries, &claimed[0].body), (1, &given_up[0].body));
    end(store, "slack", &claimed, DispatchEnd::Delivered).await;
    let story = store.dispatch(id).await.unwrap().unwrap();
    assert_eq!(story.tries.len(), 2, "the first try is still told");

    // What was delivered, too; what was deleted says so.
    assert_eq!(again(store, Redeliver::One(id)).await, Redelivered::Done(1));
    let claimed = claim(store, "slack", 5, START).await;
    end(store, "slack", &claimed, DispatchEnd::Delivered).await;
    let later = START.plus(MINUTE);
    assert_eq!(store.prune_dispatches(later, 10).await.unwrap(), 3);
    assert_eq!(again(store, Redeliver::One(id)).await, Redelivered::Pruned);
    assert_eq!(again(store, Redeliver::One(id + 100)).await, Redelivered::Unknown);
    let filter = AuditFilter {
        action: Some("redeliver".to_owned()),
        ..AuditFilter::default()
    };
    let lines = store.audit(filter).await.unwrap();
    assert_eq!(lines.len(), 3, "what changed nothing leaves no line");
    assert_eq!(lines[0].subject, format!("delivery:{id}"));
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_failed_by_a_clock_that_was_ahead_is_sent_once_more(fixture: Fixture) {
    use DispatchState::Waiting;
    let store = &fixture.store;
    for number in 0..5 {
        tell(store, &number.to_string(), &[to("slack")]).await;
    }
    let claimed = claim(store, "slack", 5, START).await;
    let (first, rest) = claimed.split_at(3);
    end(store, "slack", first, DispatchEnd::Failed).await;
    let sentence = "it cannot be said".to_owned();
    end(store, "slack", rest, DispatchEnd::Problem { sentence }).await;
    let back = START.minus(MINUTE * 60);
    let failed = Redeliver::Failed {
        endpoint: Some("slack".to_owned()),
    };
    let again = store.redeliver(failed, ada(), back).await.unwrap();
    assert_eq!(again, Redelivered::Done(5));
    assert_eq!(states(store, "slack").await, [Waiting; 5]);
}

pub(in super::super) async fn a_range_or_all_that_failed_is_sent_once_more(fixture: Fixture) {
    use DispatchState::{Delivered, Failed, Waiting};
    let store = &fixture.store;
    let minute = |number: u32| START.plus(MINUTE * number);
    // More than one step, told a minute apart.
    for number in 0..8 {
        let at = minute(number);
        store
            .add_notifications(vec![super::body(&number.to_string())], at)
            .await
            .unwrap();
        let rows = super::wanted(store, &[to("slack"), to("sheet")]).await;
        store.fan_out(rows, at).await.unwrap();
    }
    for endpoint in ["slack", "sheet"] {
        let claimed = claim(store, endpoint, 8, START).await;
        let (taken, given_up) = claimed.split_at(3);
        end(store, endpoint, taken, DispatchEnd::Delivered).await;
        end(store, endpoint, given_up, DispatchEnd::Failed).await;
    }
    let range = Redeliver::Range {
        endpoint: "slack".to_owned(),
        since: minute(2),
        until: minute(7),
    };
    assert_eq!(again(store, range).await, Redelivered::Done(5));
    let now = [
        Delivered, Delivered, Waiting, Waiting, Waiting, Waiting, Waiting, Failed,
    ];
    assert_eq!(states(store, "slack").await, now);
    assert_eq!(states(store, "sheet").await[3..], [Failed; 5]);
    assert_eq!(super::endpoint(store, "slack").await.given_up_at, Some(START));
    assert_eq!(super::endpoint(store, "sheet").await.given_up_at, Some(START));
    let failed = |endpoint: Option<&str>| Redeliver::Failed {
        endpoint: endpoint.map(str::to_owned),
    };
    assert_eq!(again(store, failed(Some("slack"))).await, Redelivered::Done(1));
    assert_eq!(again(store, failed(None)).await, Redelivered::Done(5));
    assert_eq!(again(store, failed(None)).await, Redelivered::Done(0));
    assert_eq!(claim(store, "sheet", 10, START).await.len(), 5);
    let filter = AuditFilter {
        action: Some("redeliver".to_owned()),
        ..AuditFilter::default()
    };
    // Each says how many it was once it is over, and what takes several steps also that it began.
    let lines = store.audit(filter).await.unwrap();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.subject.as_str(), line.detail["count"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [
            ("deliveries:failed", Some(5)),
            ("deliveries:failed", None),
            ("endpoint:slack", Some(1)),
            ("endpoint:slack", Some(5)),
            ("endpoint:slack", None),
        ]
    );
    assert_eq!(lines[1].detail["begun"], true);
    check_counts(&fixture).await;
}

pub(in super::super) async fn problems_are_sent_once_more_with_what_failed(fixture: Fixture) {
    use DispatchState::{Problem, Replaced, Waiting};
    let store = &fixture.store;
    let unclear = |endpoint: &str| NewDispatch {
        problem: Some("unclear".to_owned()),
        ..unique(endpoint, "a")
    };
    tell(store, "1", &[unclear("slack"), unclear("mail"), to("sheet")]).await;
    tell(store, "2", &[unique("slack", "a"), unclear("mail")]).await;
    tell(store, "3", &[unique("slack", "a")]).await;
    assert_eq!(states(store, "slack").await, [Problem, Replaced, Waiting]);
    // Somebody is to look after it, and nobody after the others.
    for (endpoint, problems, given_up_at) in [
        ("slack", 1, Some(START)),
        ("mail", 2, Some(START)),
        ("sheet", 0, None),
    ] {
        let row = super::endpoint(store, endpoint).await;
        assert_eq!((row.problems, row.failed), (problems, 0), "{endpoint}");
        assert_eq!(row.given_up_at, given_up_at, "{endpoint}");
    }
    let failed = |endpoint: Option<&str>| Redeliver::Failed {
        endpoint: endpoint.map(str::to_owned),
    };
    assert_eq!(again(store, failed(Some("slack"))).await, Redelivered::Done(1));
    assert_eq!(states(store, "slack").await, [Waiting, Replaced, Waiting]);
    assert_eq!(again(store, failed(None)).await, Redelivered::Done(2));
    assert_eq!(names(&claim(store, "mail", 5, START).await), ["1", "2"]);
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_ended_long_ago_is_deleted(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1", "2", "3"] {
        tell(store, name, &[to("slack"), to("sheet")]).await;
    }
    let unclear = NewDispatch {
        problem: Some("unclear".to_owned()),
        ..to("mail")
    };
    tell(store, "4", &[unclear]).await;
    for endpoint in ["slack", "sheet"] {
        let claimed = claim(store, endpoint, 2, START).await;
        end(store, endpoint, &claimed, DispatchEnd::Delivered).await;
    }
    let again = claim(store, "sheet", 1, START).await;
    end(store, "sheet", &again, DispatchEnd::Failed).await;
    let prune = async |before: Timestamp, limit: u32| store.prune_dispatches(before, limit).await.unwrap();
    assert_eq!(prune(START, 10).await, 0);
    let later = START.plus(Duration::from_millis(1));
    assert_eq!(prune(later, 2).await, 2);
    assert_eq!(prune(later, 10).await, 4);
    assert_eq!(prune(later, 10).await, 0);
    // What waits is left, and what it tells.
    assert_eq!(states(store, "slack").await, [DispatchState::Waiting]);
    assert!(states(store, "sheet").await.is_empty());
    for (question, left) in [
        ("SELECT count(*) FROM notifications", 1),
        ("SELECT count(*) FROM notification_keys", 2),
        ("SELECT count(*) FROM dispatch_tries", 0),
    ] {
        assert_eq!(fixture.number(question).await, left, "{question}");
    }
    assert_eq!(names(&claim(store, "slack", 1, START).await), ["3"]);
    check_counts(&fixture).await;
}
