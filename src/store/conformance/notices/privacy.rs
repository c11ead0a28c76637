//! What is told of people goes with a privacy request.

use super::super::fixture::Fixture;
use super::super::given::{START, link, other_shop, record, shop};
use super::{ada, body, check_counts, claim, end, ended, ids, kept, names, states, tell, to};
use crate::domain::{Fence, LinkKind};
use crate::store::{
    Adoption, ClaimedDispatch, DispatchEnd, DispatchFilter, DispatchState, EndedDispatch, EndedPart,
    FannedOut, Redeliver, Redelivered, SharedStore,
};

/// A notification about a record of the other shop, fanned out.
async fn tell_other(store: &SharedStore, name: &str) {
    let told = body(name).replace("main", "second");
    store.add_notifications(vec![told.clone()], START).await.unwrap();
    let mut keep = kept(name);
    keep.shop = Some("second".to_owned());
    keep.body = told;
    let row = FannedOut {
        id: store.outbox(1).await.unwrap()[0].id,
        kept: Some(keep),
        dispatches: vec![to("slack")],
    };
    store.fan_out(vec![row], START).await.unwrap();
}

pub(in super::super) async fn what_is_told_of_a_customer_is_removed(fixture: Fixture) {
    use DispatchState::{Cancelled, Delivered, Sending, Waiting};
    let store = &fixture.store;
    for name in ["1001", "1002", "1003"] {
        tell(store, name, &[to("slack")]).await;
    }
    tell_other(store, "1001").await;
    tell(store, "1001", &[to("slack"), to("sheet")]).await;
    // The answer to a batch may repeat something of each, whoever keeps it.
    let batch = claim(store, "slack", 2, START).await;
    assert_eq!(names(&batch), ["1001", "1002"]);
    let batch: Vec<_> = batch.into_iter().rev().collect();
    end(store, "slack", &batch, DispatchEnd::Delivered).await;
    let being_sent = claim(store, "sheet", 1, START).await;
    store
        .add_notifications(vec![body("1001"), body("11001")], START)
        .await
        .unwrap();

    let touched = store
        .redact(&shop(), &[record("order", "1001")], START)
        .await
        .unwrap();
    assert!(touched > 0);
    let of_slack = [Delivered, Delivered, Waiting, Waiting, Cancelled];
    assert_eq!(states(store, "slack").await, of_slack);
    assert_eq!(states(store, "sheet").await, [Sending]);
    let gone = store.dispatch(batch[1].id).await.unwrap().unwrap();
    assert_eq!((gone.body, gone.row.record), (None, None));
    assert_eq!(gone.row.notification, "evt_1001", "ids stay");
    let beside = store.dispatch(batch[0].id).await.unwrap().unwrap();
    assert!(beside.body.is_some());
    for story in [&gone.tries, &beside.tries] {
        assert_eq!((story[0].answer.as_str(), story[0].headers.len()), ("", 0));
    }
    let outbox = store.outbox(10).await.unwrap();
    assert_eq!(outbox.len(), 1, "another record's stays");
    assert_eq!(outbox[0].body, body("11001"));
    assert_eq!(names(&claim(store, "slack", 5, START).await), ["1003", "1001"]);

    // What was being sent is not sent again, and nothing is that was removed.
    end(store, "sheet", &being_sent, DispatchEnd::Again { at: START }).await;
    assert_eq!(states(store, "sheet").await, [Cancelled]);
    let (id, _) = ids(&being_sent)[0];
    let story = store.dispatch(id).await.unwrap().unwrap();
    assert_eq!((story.tries.len(), story.tries[0].answer.as_str()), (1, ""));
    let again = store.redeliver(Redeliver::One(id), ada(), START).await.unwrap();
    assert_eq!(again, Redelivered::Removed);
    let all = Redeliver::Range {
        endpoint: "slack".to_owned(),
        since: START,
        until: START.plus(super::MINUTE),
    };
    let again = store.redeliver(all, ada(), START).await.unwrap();
    assert_eq!(again, Redelivered::Done(1), "only the one beside it");
    let touched = store
        .redact(&shop(), &[record("order", "1001")], START)
        .await
        .unwrap();
    assert_eq!(touched, 0);
    check_counts(&fixture).await;
}

pub(in super::super) async fn of_a_batch_that_ends_in_two_ways_no_copy_of_the_answer_stays(fixture: Fixture) {
    use DispatchState::{Cancelled, Failed, Waiting};
    let store = &fixture.store;
    for name in ["1001", "1002", "1003"] {
        tell(store, name, &[to("slack")]).await;
    }
    let claimed = claim(store, "slack", 3, START).await;
    let in_two_ways = |claimed: &[ClaimedDispatch]| {
        let (given_up, again) = claimed.split_at(1);
        let part = |claimed: &[ClaimedDispatch], end| EndedPart {
            ids: ids(claimed),
            end,
        };
        EndedDispatch {
            parts: vec![
                part(given_up, DispatchEnd::Failed),
                part(again, DispatchEnd::Again { at: START }),
            ],
            ..ended("slack", given_up, DispatchEnd::Failed)
        }
    };
    store
        .end_dispatches(vec![in_two_ways(&claimed)], START)
        .await
        .unwrap();
    assert_eq!(states(store, "slack").await, [Failed, Waiting, Waiting]);
    let answers = async || {
        let mut answers = Vec::new();
        for one in &claimed {
            let story = store.dispatch(one.id).await.unwrap().unwrap();
            answers.push(story.tries[0].answer.clone());
        }
        answers
    };
    assert_eq!(answers().await, ["thank you"; 3], "each shows what came back");
    // It may repeat something of each of them, whatever became of the others.
    store
        .redact(&shop(), &[record("order", "1001")], START)
        .await
        .unwrap();
    assert_eq!(answers().await, [""; 3]);

    // The same where one is removed while it is under way.
    let claimed = claim(store, "slack", 2, START).await;
    store
        .redact(&shop(), &[record("order", "1003")], START)
        .await
        .unwrap();
    store
        .end_dispatches(vec![in_two_ways(&claimed)], START)
        .await
        .unwrap();
    assert_eq!(states(store, "slack").await, [Failed, Failed, Cancelled]);
    let story = store.dispatch(claimed[0].id).await.unwrap().unwrap();
    let answers: Vec<&str> = story.tries.iter().map(|one| one.answer.as_str()).collect();
    assert_eq!(answers, ["", ""]);
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_is_claimed_and_removed_may_not_be_sent_any_more(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1001", "1002"] {
        tell(store, name, &[to("slack")]).await;
    }
    let claimed = claim(store, "slack", 2, START).await;
    assert!(store.may_be_sent(ids(&claimed)).await.unwrap());
    store
        .redact(&shop(), &[record("order", "1001")], START)
        .await
        .unwrap();
    assert!(!store.may_be_sent(ids(&claimed)).await.unwrap());
    let beside = ids(&claimed[1..]);
    assert!(store.may_be_sent(beside.clone()).await.unwrap());
    let anothers = beside.iter().map(|(id, fence)| (*id, Fence(fence.0 + 1)));
    assert!(!store.may_be_sent(anothers.collect()).await.unwrap());
    end(store, "slack", &claimed[1..], DispatchEnd::Delivered).await;
    assert!(!store.may_be_sent(beside).await.unwrap());
}

/// Has something told of a record of the ERP alone: nobody knew yet which one of the shop it is.
async fn tell_of_erp(store: &SharedStore, name: &str, key: &str) {
    store.add_notifications(vec![body(name)], START).await.unwrap();
    let mut keep = kept(name);
    keep.keys = vec![key.to_owned()];
    let row = FannedOut {
        id: store.outbox(1).await.unwrap()[0].id,
        kept: Some(keep),
        dispatches: vec![to("slack")],
    };
    store.fan_out(vec![row], START).await.unwrap();
}

pub(in super::super) async fn what_was_told_of_a_customer_before_the_link_is_removed(fixture: Fixture) {
    use DispatchState::{Cancelled, Waiting};
    let store = &fixture.store;
    tell_of_erp(store, "a", "erp/res.partner/9").await;
    tell_of_erp(store, "b", "erp/res.partner/90").await;
    tell_of_erp(store, "c", "erp/product.template/9").await;
    let about = |id: &str, erp: &str| {
        format!(
            r#"{{"id":"evt_{id}","type":"sync.failed","shop":"main","record":"{id}","object":{{"erp":{erp}}}}}"#
        )
    };
    let given_up = |direction: &str, source: &str| {
        let key = format!(r#"{{"object":"customer","direction":"{direction}","source_id":"{source}"}}"#);
        format!(r#"{{"shop":"main","given_up_job":{{"job":1,"key":{key},"record":"Ada"}}}}"#)
    };
    let stay = [
        about("d", r#"{"model":"res.partner","id":90}"#),
        about("e", r#"{"model":"product.template","id":9}"#),
        given_up("in", "9"),
    ];
    let mut told = stay.to_vec();
    told.push(about("f", r#"{"model":"res.partner","id":9}"#));
    told.push(given_up("out", "9"));
    store.add_notifications(told, START).await.unwrap();

    let adoption = Adoption {
        records: Vec::new(),
        links: vec![link(LinkKind::Customer, "7", 9)],
    };
    store.adopt_links(vec![adoption], START).await.unwrap();
    store
        .redact(&shop(), &[record("customer", "7")], START)
        .await
        .unwrap();
    let filter = DispatchFilter {
        state: Some(Cancelled),
        ..DispatchFilter::default()
    };
    let gone = super::rows(store, filter).await;
    assert_eq!(gone.len(), 1);
    assert_eq!((gone[0].notification.as_str(), &gone[0].record), ("evt_a", &None));
    assert_eq!(store.dispatch(gone[0].id).await.unwrap().unwrap().body, None);
    assert_eq!(states(store, "slack").await, [Cancelled, Waiting, Waiting]);
    let left: Vec<String> = store
        .outbox(10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.body)
        .collect();
    assert_eq!(left, stay);
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_is_told_of_a_shop_is_removed(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1", "2"] {
        tell(store, name, &[to("slack")]).await;
    }
    tell_other(store, "3").await;
    let other = body("4").replace("main", "second");
    store
        .add_notifications(vec![body("5"), other.clone()], START)
        .await
        .unwrap();
    store.redact_shop(&shop(), START).await.unwrap();
    let outbox = store.outbox(10).await.unwrap();
    assert_eq!(outbox.iter().map(|row| &row.body).collect::<Vec<_>>(), [&other]);
    assert_eq!(names(&claim(store, "slack", 5, START).await), ["3"]);
    let filter = DispatchFilter {
        state: Some(DispatchState::Cancelled),
        ..DispatchFilter::default()
    };
    let gone = super::rows(store, filter).await;
    assert_eq!(gone.len(), 2);
    assert!(gone.iter().all(|row| row.record.is_none()));
    store.redact_shop(&other_shop(), START).await.unwrap();
    assert!(store.outbox(10).await.unwrap().is_empty());
    check_counts(&fixture).await;
}

pub(in super::super) async fn what_was_emptied_holds_up_no_other(fixture: Fixture) {
    use DispatchState::{Cancelled, Sending};
    let store = &fixture.store;
    for name in ["1", "2"] {
        tell(store, name, &[to("slack")]).await;
    }
    // It waits, whoever made it wait while its contents were being removed.
    fixture
        .execute("UPDATE notifications SET body = NULL WHERE notification = 'evt_1'")
        .await;
    assert_eq!(names(&claim(store, "slack", 5, START).await), ["2"]);
    assert_eq!(states(store, "slack").await, [Cancelled, Sending]);
    let filter = DispatchFilter {
        state: Some(Cancelled),
        ..DispatchFilter::default()
    };
    let gone = &super::rows(store, filter).await[0];
    assert_eq!((gone.tries, gone.ended_at), (0, Some(START)));
    assert!(gone.sentence.is_some(), "it says why");
    let again = store
        .redeliver(Redeliver::One(gone.id), ada(), START)
        .await
        .unwrap();
    assert_eq!(again, Redelivered::Removed);
    check_counts(&fixture).await;
}
