//! Ends of dispatches.

use super::super::fixture::Fixture;
use super::super::given::START;
use super::{
    MINUTE, ada, attempt, body, check_counts, claim, end, ended, endpoint, ids, names, states, tell, to,
    unique,
};
use crate::store::{
    AuditFilter, DispatchEnd, DispatchState, EndedDispatch, EndedPart, EndpointAct, EndpointAfter,
    GivenUpDeliveries, HealthChange, OpenMode, Redeliver,
};

pub(in super::super) async fn an_end_saves_try_endpoint_and_what_is_told(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1", "2"] {
        tell(store, name, &[to("slack")]).await;
    }
    let [first, second] = &claim(store, "slack", 2, START).await[..] else {
        panic!("two are due")
    };
    assert!(endpoint(store, "slack").await.is_sending);
    let later = START.plus(MINUTE);
    let mut failing = ended(
        "slack",
        std::slice::from_ref(first),
        DispatchEnd::Again { at: later },
    );
    failing.endpoint.pause = Some("nothing_taken".to_owned());
    failing.endpoint.told_failing_at = Some(START);
    failing.notifications = vec![body("failing")];
    let mut taken = ended("slack", std::slice::from_ref(second), DispatchEnd::Delivered);
    taken.endpoint.health = Some(HealthChange {
        was: String::new(),
        is: r#"{"failures":0}"#.to_owned(),
    });
    let stale = store.end_dispatches(vec![failing, taken], later).await.unwrap();
    assert_eq!(stale, [0_i64; 0]);

    let story = store.dispatch(first.id).await.unwrap().unwrap();
    assert_eq!((story.row.state, story.row.tries), (DispatchState::Waiting, 1));
    assert_eq!((story.row.due_at, story.row.ended_at), (later, None));
    assert_eq!(story.row.failure.as_deref(), Some("status"));
    assert_eq!((story.row.status, story.row.took_ms), (Some(500), Some(12)));
    assert_eq!(story.body.as_deref(), Some(body("1").as_str()));
    let told = &story.tries[0];
    assert_eq!((story.tries.len(), told.number, told.status), (1, 1, Some(500)));
    assert_eq!(told.answer, "thank you");
    assert_eq!(told.headers, [("server".to_owned(), "nginx".to_owned())]);

    let story = store.dispatch(second.id).await.unwrap().unwrap();
    assert_eq!(story.row.state, DispatchState::Delivered);
    assert_eq!((story.row.ended_at, story.row.failure), (Some(later), None));
    let row = endpoint(store, "slack").await;
    assert_eq!(row.health, r#"{"failures":0}"#, "the last one's");
    assert!(!row.is_sending);
    assert_eq!(row.paused_because.as_deref(), Some("nothing_taken"));
    assert_eq!((row.paused_at, row.told_failing_at), (Some(later), Some(START)));
    assert_eq!(store.outbox(10).await.unwrap()[0].body, body("failing"));
    assert!(store.dispatch(first.id + 1000).await.unwrap().is_none());
}

pub(in super::super) async fn a_batch_has_one_answer(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1", "2", "3"] {
        tell(store, name, &[to("sheet")]).await;
    }
    let claimed = claim(store, "sheet", 3, START).await;
    end(store, "sheet", &claimed, DispatchEnd::Delivered).await;
    for one in &claimed {
        let story = store.dispatch(one.id).await.unwrap().unwrap();
        assert_eq!(story.tries.len(), 1);
        assert_eq!(story.tries[0].answer, "thank you");
        assert_eq!(story.tries[0].headers.len(), 1);
    }
    let answers = "SELECT count(*) FROM dispatch_tries WHERE answer <> ''";
    assert_eq!(fixture.number(answers).await, 1, "it is kept once");
}

pub(in super::super) async fn what_is_given_back_was_not_tried(fixture: Fixture) {
    let store = &fixture.store;
    tell(store, "1", &[to("slack")]).await;
    let claimed = claim(store, "slack", 1, START).await;
    let later = START.plus(MINUTE);
    end(store, "slack", &claimed, DispatchEnd::GivenBack { at: later }).await;
    let again = claim(store, "slack", 1, later).await;
    assert_eq!((again[0].tries, again[0].fence > claimed[0].fence), (1, true));
    let sentence = "the template does not know `order.x`".to_owned();
    end(
        store,
        "slack",
        &again,
        DispatchEnd::Problem {
            sentence: sentence.clone(),
        },
    )
    .await;
    let story = store.dispatch(again[0].id).await.unwrap().unwrap();
    assert_eq!(
        (story.row.state, story.row.sentence),
        (DispatchState::Problem, Some(sentence))
    );
    assert!(story.tries.is_empty());
    assert_eq!(endpoint(store, "slack").await.problems, 1);
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_nobody_wants_is_cancelled_and_was_not_tried(fixture: Fixture) {
    let store = &fixture.store;
    tell(store, "1", &[to("slack")]).await;
    let claimed = claim(store, "slack", 1, START).await;
    assert!(!claimed[0].is_asked_for);
    let sentence = "nobody wants it".to_owned();
    let unwanted = DispatchEnd::Cancelled {
        sentence: sentence.clone(),
    };
    let mut unwanted = ended("slack", &claimed, unwanted);
    (unwanted.attempt, unwanted.endpoint.health) = (None, None);
    let stale = store.end_dispatches(vec![unwanted], START).await.unwrap();
    assert_eq!(stale, [0_i64; 0]);
    let story = store.dispatch(claimed[0].id).await.unwrap().unwrap();
    assert_eq!(
        (story.row.state, story.row.tries, story.row.sentence),
        (DispatchState::Cancelled, 0, Some(sentence))
    );
    let row = endpoint(store, "slack").await;
    assert_eq!((row.health.as_str(), row.given_up_at), ("", None));
    // A person may ask for it by itself all the same, and for many, which says nothing of one.
    let again = Redeliver::One(claimed[0].id);
    store.redeliver(again, ada(), START).await.unwrap();
    let claimed = claim(store, "slack", 1, START).await;
    assert!(claimed[0].is_asked_for);
    end(store, "slack", &claimed, DispatchEnd::Failed).await;
    let all = Redeliver::Failed { endpoint: None };
    store.redeliver(all, ada(), START).await.unwrap();
    assert!(!claim(store, "slack", 1, START).await[0].is_asked_for);
    check_counts(&fixture).await;
}

pub(in super::super) async fn a_person_who_lets_an_endpoint_go_on_is_not_overruled(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1", "2", "3"] {
        tell(store, name, &[to("slack")]).await;
    }
    let claimed = claim(store, "slack", 3, START).await;
    end(store, "slack", &claimed[..1], DispatchEnd::Again { at: START }).await;
    let read = endpoint(store, "slack").await.health;
    let mut act = EndpointAct {
        name: "slack".to_owned(),
        pause: true,
        health: None,
        reason: None,
        actor: ada(),
        at: START,
    };
    assert!(store.set_endpoint(act.clone()).await.unwrap());
    act.pause = false;
    act.health = Some("resumed".to_owned());
    assert!(store.set_endpoint(act).await.unwrap());
    // An outcome that was worked out by what was read before.
    let mut late = ended("slack", &claimed[1..2], DispatchEnd::Again { at: START });
    late.endpoint.health = Some(HealthChange {
        was: read,
        is: "late".to_owned(),
    });
    late.endpoint.pause = Some("nothing_taken".to_owned());
    store.end_dispatches(vec![late], START).await.unwrap();
    // And one that says nothing of the endpoint.
    let mut given_back = ended("slack", &claimed[2..], DispatchEnd::GivenBack { at: START });
    given_back.endpoint.health = None;
    store.end_dispatches(vec![given_back], START).await.unwrap();
    let row = endpoint(store, "slack").await;
    assert_eq!((row.health.as_str(), row.is_paused), ("resumed", false));
    assert_eq!(states(store, "slack").await, [DispatchState::Waiting; 3]);
    // The next one is worked out by that.
    let next = claim(store, "slack", 1, START).await;
    let mut next = ended("slack", &next, DispatchEnd::Again { at: START });
    next.endpoint.health = Some(HealthChange {
        was: row.health,
        is: "next".to_owned(),
    });
    next.endpoint.pause = Some("gone".to_owned());
    store.end_dispatches(vec![next], START).await.unwrap();
    let row = endpoint(store, "slack").await;
    assert_eq!((row.health.as_str(), row.is_paused), ("next", true));
}

pub(in super::super) async fn a_late_end_overwrites_nothing(fixture: Fixture) {
    use DispatchState::{Delivered, Sending};
    let store = &fixture.store;
    for name in ["1", "2"] {
        tell(store, name, &[to("slack")]).await;
    }
    let lost = claim(store, "slack", 2, START).await;
    let later = START.plus(MINUTE);
    assert_eq!(
        store.reclaim_dispatches(later.minus(MINUTE / 2)).await.unwrap(),
        0
    );
    // Somebody else ended the second one before, so one claim of two is lost.
    end(store, "slack", &lost[1..], DispatchEnd::Delivered).await;
    assert_eq!(store.reclaim_dispatches(later).await.unwrap(), 1);
    let taken_over = claim(store, "slack", 2, later).await;
    assert_eq!(names(&taken_over), ["1"]);
    assert_eq!(taken_over[0].tries, 2, "it may have been sent");

    let mut late = ended("slack", &lost, DispatchEnd::Failed);
    late.endpoint.health = Some(HealthChange {
        was: endpoint(store, "slack").await.health,
        is: "late".to_owned(),
    });
    late.notifications = vec![body("late")];
    let stale = store.end_dispatches(vec![late], later).await.unwrap();
    assert_eq!(stale, [lost[0].id, lost[1].id]);
    assert_eq!(states(store, "slack").await, [Sending, Delivered]);
    assert_ne!(endpoint(store, "slack").await.health, "late");
    assert!(store.outbox(10).await.unwrap().is_empty());
    let story = store.dispatch(lost[0].id).await.unwrap().unwrap();
    assert!(story.tries.is_empty());
    assert!(!store.batch_dispatches(ids(&lost), "x").await.unwrap());

    // Of a request that was lost in part the rest counts.
    let mixed = EndedDispatch {
        parts: vec![EndedPart {
            ids: vec![ids(&lost)[1], ids(&taken_over)[0], ids(&taken_over)[0]],
            end: DispatchEnd::Delivered,
        }],
        attempt: Some(attempt(None, later)),
        ..ended("slack", &taken_over, DispatchEnd::Delivered)
    };
    let stale = store.end_dispatches(vec![mixed], later).await.unwrap();
    assert_eq!(
        stale,
        [lost[1].id, lost[0].id],
        "one that is named twice ends once"
    );
    assert_eq!(states(store, "slack").await, [Delivered, Delivered]);
}

pub(in super::super) async fn of_two_about_the_same_the_newer_waits(fixture: Fixture) {
    use DispatchState::{Replaced, Waiting};
    let store = &fixture.store;
    let later = START.plus(MINUTE);
    let again = || DispatchEnd::Again { at: later };
    tell(store, "1", &[unique("sheet", "a")]).await;
    let older = claim(store, "sheet", 1, START).await;
    tell(store, "2", &[unique("sheet", "a")]).await;
    end(store, "sheet", &older, again()).await;
    assert_eq!(states(store, "sheet").await, [Replaced, Waiting]);

    let newer = claim(store, "sheet", 1, START).await;
    tell(store, "3", &[unique("sheet", "a")]).await;
    let newest = claim(store, "sheet", 1, START).await;
    // Both fail at the same moment.
    let both = vec![ended("sheet", &newer, again()), ended("sheet", &newest, again())];
    store.end_dispatches(both, START).await.unwrap();
    assert_eq!(states(store, "sheet").await, [Replaced, Replaced, Waiting]);

    // The older one comes back first, and makes room for the newer.
    tell(store, "4", &[unique("sheet", "b")]).await;
    let older = claim(store, "sheet", 1, START).await;
    tell(store, "5", &[unique("sheet", "b")]).await;
    let newer = claim(store, "sheet", 1, START).await;
    assert_eq!(
        (names(&older), names(&newer)),
        (vec!["4".to_owned()], vec!["5".to_owned()])
    );
    end(store, "sheet", &older, again()).await;
    end(store, "sheet", &newer, again()).await;
    let now = [Replaced, Replaced, Waiting, Replaced, Waiting];
    assert_eq!(states(store, "sheet").await, now);
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_waits_for_a_removed_endpoint_is_cancelled(fixture: Fixture) {
    use DispatchState::{Cancelled, Delivered, Sending, Waiting};
    let store = &fixture.store;
    for name in ["1", "2", "3", "4", "5", "6"] {
        tell(store, name, &[to("slack"), to("sheet")]).await;
    }
    let sent = claim(store, "slack", 2, START).await;
    let count = store
        .cancel_dispatches("slack", EndpointAfter::Forgotten, ada(), START)
        .await
        .unwrap();
    assert_eq!(count, 4);
    let mut now = vec![Sending, Sending];
    now.extend([Cancelled; 4]);
    assert_eq!(states(store, "slack").await, now);
    assert!(
        store
            .endpoints()
            .await
            .unwrap()
            .iter()
            .all(|row| row.name != "slack")
    );
    assert!(claim(store, "slack", 10, START).await.is_empty());
    // What was being sent comes to its end, and waits for nobody.
    end(store, "slack", &sent[..1], DispatchEnd::Delivered).await;
    end(store, "slack", &sent[1..], DispatchEnd::Again { at: START }).await;
    assert_eq!(states(store, "slack").await[..2], [Delivered, Cancelled]);
    assert_eq!(
        states(store, "sheet").await,
        [Waiting; 6],
        "another endpoint's stays"
    );

    assert_eq!(
        store
            .cancel_dispatches("slack", EndpointAfter::Forgotten, ada(), START)
            .await
            .unwrap(),
        0
    );
    let filter = AuditFilter {
        action: Some("cancel_deliveries".to_owned()),
        ..AuditFilter::default()
    };
    let lines = store.audit(filter).await.unwrap();
    assert_eq!(lines.len(), 1, "nothing waited the second time");
    assert_eq!(lines[0].subject, "endpoint:slack");
    assert_eq!(lines[0].detail, serde_json::json!({ "waiting": 4 }));
    check_counts(&fixture).await;
}

pub(in super::super) async fn an_endpoint_stands_as_before_when_what_waits_is_given_up(fixture: Fixture) {
    use DispatchState::{Cancelled, Waiting};
    let store = &fixture.store;
    // More than one step.
    for name in ["1", "2", "3", "4", "5", "6", "7"] {
        tell(store, name, &[to("slack"), to("sheet")]).await;
    }
    let claimed = claim(store, "slack", 1, START).await;
    let mut gone = ended("slack", &claimed, DispatchEnd::Again { at: START });
    gone.endpoint.pause = Some("gone".to_owned());
    gone.endpoint.told_failing_at = Some(START);
    store.end_dispatches(vec![gone], START).await.unwrap();
    let before = endpoint(store, "slack").await;
    let later = START.plus(MINUTE);
    let cancel = async |name: &str| {
        let cancelled = store.cancel_dispatches(name, EndpointAfter::Kept, ada(), later);
        cancelled.await.unwrap()
    };
    assert_eq!((cancel("slack").await, cancel("sheet").await), (7, 7));
    assert_eq!(states(store, "slack").await, [Cancelled; 7]);
    let after = endpoint(store, "slack").await;
    assert!(
        after.is_paused && after.paused_at == before.paused_at,
        "{after:?}"
    );
    assert_eq!(after.paused_because.as_deref(), Some("gone"));
    assert_eq!(
        (after.health, after.told_failing_at),
        (before.health, before.told_failing_at)
    );
    assert!(!endpoint(store, "sheet").await.is_paused, "it goes on");
    let sentence = store.dispatch(claimed[0].id).await.unwrap().unwrap().row.sentence;
    assert!(sentence.unwrap().contains("gave up"), "nothing was removed");
    // What is told later waits, and what was given up can be asked for.
    tell(store, "8", &[to("sheet")]).await;
    assert_eq!(names(&claim(store, "sheet", 10, later).await), ["8"]);
    let resume = EndpointAct {
        name: "slack".to_owned(),
        pause: false,
        health: None,
        reason: None,
        actor: ada(),
        at: later,
    };
    assert!(store.set_endpoint(resume).await.unwrap());
    let again = Redeliver::One(claimed[0].id);
    store.redeliver(again, ada(), later).await.unwrap();
    assert_eq!(states(store, "slack").await[0], Waiting);
    assert_eq!(cancel("mail").await, 0);
    let filter = AuditFilter {
        action: Some("cancel_deliveries".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(
        store.audit(filter).await.unwrap().len(),
        2,
        "one for each endpoint"
    );
    check_counts(&fixture).await;
}

pub(in super::super) async fn however_many_claims_ended_without_a_word_all_are_taken_back(fixture: Fixture) {
    let store = &fixture.store;
    // More than one step takes, and no whole number of steps.
    for name in ["1", "2", "3", "4", "5", "6", "7"] {
        tell(store, name, &[to("slack"), to("sheet")]).await;
    }
    for endpoint in ["slack", "sheet"] {
        assert_eq!(claim(store, endpoint, 7, START).await.len(), 7);
    }
    let later = START.plus(MINUTE);
    assert_eq!(store.reclaim_dispatches(later).await.unwrap(), 14);
    assert_eq!(store.reclaim_dispatches(later).await.unwrap(), 0);
    for endpoint in ["slack", "sheet"] {
        assert_eq!(claim(store, endpoint, 7, later).await.len(), 7);
    }
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_ends_without_a_word_again_and_again_is_given_up(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["killer", "beside"] {
        tell(store, name, &[to("slack")]).await;
    }
    // An outcome that was noted counts from there on.
    let claimed = claim(store, "slack", 2, START).await;
    let killer = claimed[0].id;
    end(store, "slack", &claimed, DispatchEnd::Again { at: START }).await;
    let mut now = START;
    for round in 1..=20 {
        let claimed = claim(store, "slack", 2, now).await;
        if round == 4 {
            assert_eq!(names(&claimed), ["killer"], "each is sent alone from now on");
            let beside = claim(store, "slack", 2, now.plus(MINUTE / 60)).await;
            assert_eq!(names(&beside), ["beside"]);
            end(store, "slack", &beside, DispatchEnd::Delivered).await;
        }
        assert!(claimed.iter().any(|one| one.id == killer), "round {round}");
        assert_eq!(endpoint(store, "slack").await.given_up_at, None, "round {round}");
        now = now.plus(MINUTE);
        let count = u64::try_from(claimed.len()).unwrap();
        assert_eq!(store.reclaim_dispatches(now).await.unwrap(), count);
    }
    // Others are told of the endpoint, with what is given up.
    let told = store.outbox(10).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    let mut expected = GivenUpDeliveries {
        endpoint: "slack".to_owned(),
        deliveries: 1,
        failure: "outcome_unknown".to_owned(),
        is_news: true,
        is_paused: false,
    };
    assert_eq!(
        GivenUpDeliveries::from_body(&told[0].body),
        Some(expected.clone())
    );
    assert_eq!(endpoint(store, "slack").await.told_failing_at, Some(now));
    let story = store.dispatch(killer).await.unwrap().unwrap();
    assert_eq!(
        (story.row.state, story.row.ended_at),
        (DispatchState::Failed, Some(now))
    );
    assert_eq!(story.row.failure.as_deref(), Some("outcome_unknown"));
    assert!(story.row.sentence.unwrap().contains("again and again"));
    let row = endpoint(store, "slack").await;
    assert_eq!((row.failed, row.given_up_at), (1, Some(now)));
    assert!(claim(store, "slack", 2, now).await.is_empty());

    // A person may have it sent once more, and it gets its claims anew.
    let again = Redeliver::One(killer);
    store.redeliver(again, ada(), now).await.unwrap();
    assert_eq!(claim(store, "slack", 2, now).await[0].id, killer);
    now = now.plus(MINUTE);
    assert_eq!(store.reclaim_dispatches(now).await.unwrap(), 1);
    assert_eq!(states(store, "slack").await[0], DispatchState::Waiting);

    // Given up on the same day once more it is counted, and no news.
    let mut rounds = 1;
    while states(store, "slack").await[0] != DispatchState::Failed {
        assert_eq!(claim(store, "slack", 2, now).await[0].id, killer);
        now = now.plus(MINUTE);
        assert_eq!(store.reclaim_dispatches(now).await.unwrap(), 1);
        rounds += 1;
        assert!(rounds < 30, "it ends");
    }
    let told = store.outbox(10).await.unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    expected.is_news = false;
    assert_eq!(GivenUpDeliveries::from_body(&told[1].body), Some(expected));
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_a_dead_process_was_sending_is_sent_again(fixture: Fixture) {
    let store = &fixture.store;
    tell(store, "1", &[to("slack")]).await;
    let lost = claim(store, "slack", 1, START).await;
    if fixture.is_shared() {
        // Another node may be sending it: its claim has to end first.
        let other = fixture.open(OpenMode::Serve).await.unwrap();
        assert!(claim(&other, "slack", 1, START).await.is_empty());
        assert_eq!(other.reclaim_dispatches(START.plus(MINUTE)).await.unwrap(), 1);
        assert_eq!(
            claim(&other, "slack", 1, START.plus(MINUTE)).await[0].body,
            lost[0].body
        );
        other.close().await;
        return;
    }
    let fixture = fixture.crash().await;
    let again = claim(&fixture.store, "slack", 1, START).await;
    assert_eq!((again[0].id, again[0].tries), (lost[0].id, 2));
    assert_eq!(again[0].body, lost[0].body);
}
