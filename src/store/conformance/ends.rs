//! Ends of attempts, in order and without a word.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    LEASE, START, claim, claim_as, claim_one, end, finish, key, link, new_job, order, problem, record,
    retry_at, shop, state, story,
};
use crate::domain::{Fence, JobId, JobState, LinkKind, Object, System, Timestamp};
use crate::store::{Finished, Locked, Verdict};
use futures_util::future::join_all;

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn a_stale_end_saves_nothing(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let lost = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    let now = START.plus(SECOND);
    assert_eq!(store.reclaim(now).await.unwrap(), 1);

    let late = |fence: Fence, verdict: Verdict| {
        let mut late = end(&lost, now, verdict);
        late.fence = fence;
        late.links = vec![link(LinkKind::Order, "1", 77)];
        late.enqueue = vec![new_job(&key(Object::Product, "5"), now)];
        late.record_name = Some("#1".to_owned());
        late
    };
    // Both while nobody holds the job and while somebody else does.
    let before = store.finish(late(lost.fence, Verdict::Completed)).await.unwrap();
    assert_eq!(before, Finished::Stale);
    let holder = claim_as(store, "node-2", Object::Order, 1, now, LEASE)
        .await
        .remove(0);
    assert!(holder.fence > lost.fence);
    for verdict in [
        Verdict::Completed,
        Verdict::Release,
        Verdict::Problem(problem("x")),
    ] {
        assert_eq!(
            store.finish(late(lost.fence, verdict)).await.unwrap(),
            Finished::Stale
        );
    }
    let unknown = Fence(holder.fence.0 + 1);
    assert_eq!(
        store.finish(late(unknown, Verdict::Completed)).await.unwrap(),
        Finished::Stale
    );
    let mut nobody = end(&lost, now, Verdict::Completed);
    nobody.job = JobId(123_456);
    assert_eq!(store.finish(nobody).await.unwrap(), Finished::Stale);

    let story = story(store, lost.id).await;
    assert_eq!(story.job.state, JobState::Running);
    assert_eq!(story.job.record_name, None);
    assert!(story.problems.is_empty());
    assert_eq!(
        story
            .attempts
            .iter()
            .map(|row| row.outcome.as_str())
            .collect::<Vec<_>>(),
        ["unclean"]
    );
    assert!(
        store
            .links(&shop(), LinkKind::Order, &["1".to_owned()])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(claim(store, Object::Product, 1, now).await.is_empty());

    // Two ends of one attempt at once: one counts.
    let both = join_all([
        store.finish(end(&holder, now, Verdict::Completed)),
        store.finish(end(&holder, now, Verdict::Completed)),
    ])
    .await;
    let done = both
        .iter()
        .filter(|result| matches!(result, Ok(Finished::Done(_))))
        .count();
    let stale = both
        .iter()
        .filter(|result| matches!(result, Ok(Finished::Stale)))
        .count();
    assert_eq!((done, stale), (1, 1), "{both:?}");
}

pub(super) async fn a_bad_end_fails_alone(fixture: Fixture) {
    let store = &fixture.store;
    join_all((0..10).map(|n| store.enqueue(new_job(&order(&n.to_string()), START)))).await;
    let jobs = claim(store, Object::Order, 10, START).await;
    let ends = jobs.iter().enumerate().map(|(n, job)| {
        let mut end = end(job, START, Verdict::Completed);
        end.links = vec![link(
            LinkKind::Order,
            &job.key.source_id,
            i64::try_from(n).unwrap(),
        )];
        if n == 3 {
            // The table refuses times before 1970.
            end.started_at = Timestamp::from_millis(-1);
        }
        store.finish(end)
    });
    let results = join_all(ends).await;
    for (n, (result, job)) in results.iter().zip(&jobs).enumerate() {
        assert_eq!(result.is_ok(), n != 3, "{n}: {result:?}");
        let ids = [job.key.source_id.clone()];
        let links = store.links(&shop(), LinkKind::Order, &ids).await.unwrap();
        // All or nothing: the bad one's link is not saved either, and the job is still held.
        assert_eq!(links.len(), usize::from(n != 3));
        let expected = if n == 3 {
            JobState::Running
        } else {
            JobState::Completed
        };
        assert_eq!(state(store, job.id).await, expected);
    }
    assert_eq!(
        finish(store, &jobs[3], START, Verdict::Completed).await,
        Finished::Done(JobState::Completed)
    );
}

pub(super) async fn a_heartbeat_keeps_the_lease_and_tells_what_is_lost(fixture: Fixture) {
    let store = &fixture.store;
    for id in ["1", "2"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let kept = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    let lost = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    let gone = (JobId(99_999), Fence(1));
    let old = (kept.id, Fence(kept.fence.0 - 1));
    let answer = store
        .heartbeat(vec![(kept.id, kept.fence), gone, old], fixture.now().plus(LEASE))
        .await
        .unwrap();
    assert_eq!(
        answer.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([gone.0, kept.id])
    );
    assert_eq!(
        store.reclaim(START.plus(SECOND)).await.unwrap(),
        1,
        "only the lease that ended"
    );
    let answer = store
        .heartbeat(
            vec![(kept.id, kept.fence), (lost.id, lost.fence)],
            fixture.now().plus(LEASE),
        )
        .await
        .unwrap();
    assert_eq!(answer, [lost.id]);
    assert_eq!(state(store, kept.id).await, JobState::Running);
    assert_eq!(state(store, lost.id).await, JobState::Available);
}

pub(super) async fn a_lost_lease_is_reclaimed_as_unclean(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let lost = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    let taken = store
        .lock(lost.id, lost.fence, vec![record("customer", "5")])
        .await
        .unwrap();
    assert_eq!(taken, Locked::Taken);
    let now = START.plus(SECOND);
    assert_eq!(store.reclaim(now).await.unwrap(), 1);
    assert_eq!(store.reclaim(now).await.unwrap(), 0);

    let again = claim_as(store, "node-2", Object::Order, 1, now, LEASE)
        .await
        .remove(0);
    assert_eq!(
        (again.attempt, again.failed_attempts, again.unclean_at),
        (2, 0, Some(now))
    );
    let taken = store
        .lock(again.id, again.fence, vec![record("customer", "5")])
        .await
        .unwrap();
    assert_eq!(taken, Locked::Taken, "the dead attempt's locks are gone");
    let row = story(store, lost.id).await.attempts.remove(0);
    assert_eq!(
        (row.number, row.node.as_str(), row.outcome.as_str()),
        (1, "node-1", "unclean")
    );
    assert_eq!((row.started_at, row.ended_at), (START, None));

    // An attempt that never came to its writes says nothing about what the dead one sent.
    finish(store, &again, now, retry_at(now, false, Some(System::Shopify))).await;
    let third = claim_one(store, Object::Order, now).await;
    assert_eq!(third.unclean_at, Some(now));
    store.enqueue(new_job(&order("1"), now)).await.unwrap();
    finish(store, &third, now, Verdict::Completed).await;
    let fourth = claim_one(store, Object::Order, now).await;
    assert_eq!(fourth.unclean_at, None);
}

pub(super) async fn a_crash_gives_all_running_jobs_back(fixture: Fixture) {
    for id in ["1", "2", "3"] {
        fixture.store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let running = claim(&fixture.store, Object::Order, 2, START).await;
    assert_eq!(running.len(), 2);
    let fixture = fixture.crash().await;
    let store = &fixture.store;
    // At once, not when the lease of a minute ends.
    let again = claim(store, Object::Order, 10, START).await;
    assert_eq!(again.len(), 3);
    for job in &running {
        let same = again.iter().find(|claimed| claimed.id == job.id).unwrap();
        assert!(same.unclean_at.is_some() && same.fence > job.fence);
        assert_eq!(
            finish(store, job, START, Verdict::Completed).await,
            Finished::Stale
        );
    }
}
