//! Links, and the small things that are kept for each shop.

use std::time::Duration;

use serde_json::json;

use super::fixture::Fixture;
use super::given::{
    START, claim_as, claim_one, end, finish, link, new_job, order, other_shop, record, shop, state, story,
};
use crate::domain::{ErpId, Fence, JobState, Link, LinkKind, LinkState, Object, System};
use crate::store::{Adopted, Adoption, BreakerRow, Finished, OpenMode, Saved, Verdict};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn links_are_unique_both_ways(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let save = |links| async move { store.save_links(job.id, job.fence, links).await.unwrap() };
    let of = |id: &str| {
        let ids = [id.to_owned(), "unknown".to_owned()];
        async move { store.links(&shop(), LinkKind::Customer, &ids).await.unwrap() }
    };
    assert_eq!(save(vec![link(LinkKind::Customer, "1", 10)]).await, Saved::Done);
    assert_eq!(of("1").await, [link(LinkKind::Customer, "1", 10)]);

    // Another source record of the same kind may not have the same ERP record, nor anything saved with it.
    let mixed = vec![
        link(LinkKind::Customer, "3", 30),
        link(LinkKind::Customer, "2", 10),
    ];
    assert_eq!(save(mixed).await, Saved::Conflict);
    assert!(of("2").await.is_empty() && of("3").await.is_empty());
    let twice = vec![
        link(LinkKind::Customer, "4", 40),
        link(LinkKind::Customer, "5", 40),
    ];
    assert_eq!(save(twice).await, Saved::Conflict);
    assert!(of("4").await.is_empty());

    // Other kinds and other shops have records of their own; addresses share one.
    let mut theirs = link(LinkKind::Customer, "9", 10);
    theirs.shop = other_shop();
    assert_eq!(
        save(vec![link(LinkKind::Product, "1", 10), theirs]).await,
        Saved::Done
    );
    let addresses = vec![link(LinkKind::Address, "a", 10), link(LinkKind::Address, "b", 10)];
    assert_eq!(save(addresses).await, Saved::Done);

    // The same source record again replaces: it may move to a free ERP record.
    let mut moved = link(LinkKind::Customer, "1", 11);
    moved.erp_name = None;
    moved.source_updated_at = None;
    assert_eq!(save(vec![moved]).await, Saved::Done);
    let now = of("1").await.remove(0);
    assert_eq!(
        (now.erp_id, now.erp_name.as_deref()),
        (ErpId(11), Some("S00010")),
        "what is known stays"
    );
    assert_eq!(now.source_updated_at, Some(START));
    assert_eq!(
        store
            .link_of_erp(&shop(), LinkKind::Customer, ErpId(10))
            .await
            .unwrap(),
        None
    );
    let back = store
        .link_of_erp(&shop(), LinkKind::Customer, ErpId(11))
        .await
        .unwrap();
    assert_eq!(back.map(|link| link.source_id).as_deref(), Some("1"));
    assert_eq!(save(vec![link(LinkKind::Customer, "2", 10)]).await, Saved::Done);
}

pub(super) async fn records_are_adopted_only_where_nobody_has_them(fixture: Fixture) {
    let store = &fixture.store;
    let adopted = |id: &str, erp_id| Link {
        state: LinkState::Adopted,
        ..link(LinkKind::Customer, id, erp_id)
    };
    let group = |links: Vec<Link>| Adoption {
        records: links
            .iter()
            .map(|link| record("customer", &link.source_id))
            .collect(),
        links,
    };
    let adopt = |groups| async move { store.adopt_links(groups, START).await.unwrap() };
    let of = |id: &str| {
        let ids = [id.to_owned()];
        async move { store.links(&shop(), LinkKind::Customer, &ids).await.unwrap() }
    };
    let both = vec![group(vec![adopted("1", 10)]), group(vec![adopted("2", 20)])];
    assert_eq!(adopt(both).await, [Adopted::Done, Adopted::Done]);
    assert_eq!(of("1").await, [adopted("1", 10)]);

    // Either side is linked, or taken earlier in the same call: nothing of the group is saved, and the others are.
    let groups = vec![
        group(vec![adopted("1", 11)]),
        group(vec![adopted("3", 20)]),
        group(vec![adopted("4", 40)]),
        group(vec![adopted("5", 50), adopted("6", 40)]),
        group(vec![adopted("7", 70)]),
    ];
    assert_eq!(
        adopt(groups).await,
        [
            Adopted::Taken,
            Adopted::Taken,
            Adopted::Done,
            Adopted::Taken,
            Adopted::Done
        ]
    );
    assert_eq!(of("1").await[0].erp_id, ErpId(10));
    for nobody in ["3", "5", "6"] {
        assert!(of(nobody).await.is_empty(), "{nobody}");
    }

    // Whoever works on a record is not disturbed; afterwards it can be had.
    let mut key = order("8");
    key.object = Object::Customer;
    store.enqueue(new_job(&key, START)).await.unwrap();
    let job = claim_one(store, Object::Customer, START).await;
    let groups = || vec![group(vec![adopted("8", 80)]), group(vec![adopted("9", 90)])];
    assert_eq!(adopt(groups()).await, [Adopted::Busy, Adopted::Done]);
    assert!(of("8").await.is_empty());
    let done = end(&job, START, Verdict::Completed);
    assert!(matches!(store.finish(done).await.unwrap(), Finished::Done(_)));
    assert_eq!(adopt(groups()).await, [Adopted::Done, Adopted::Taken]);

    // A record goes from one that is retired in the same breath to another, and a retired source may be had again.
    let retired = Link {
        state: LinkState::Retired,
        ..adopted("8", 80)
    };
    let moved = vec![group(vec![retired, adopted("10", 80)])];
    assert_eq!(adopt(moved).await, [Adopted::Done]);
    assert_eq!(adopt(vec![group(vec![adopted("8", 81)])]).await, [Adopted::Done]);
}

pub(super) async fn links_are_saved_only_under_the_fence(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    let links = vec![link(LinkKind::Order, "1", 10)];
    let stale = store
        .save_links(job.id, Fence(job.fence.0 + 1), links.clone())
        .await
        .unwrap();
    assert_eq!(stale, Saved::Stale);
    store.reclaim(START.plus(SECOND)).await.unwrap();
    assert_eq!(
        store.save_links(job.id, job.fence, links).await.unwrap(),
        Saved::Stale
    );
    assert!(
        store
            .links(&shop(), LinkKind::Order, &["1".to_owned()])
            .await
            .unwrap()
            .is_empty()
    );
}

fn is_conflict(result: &Finished) -> bool {
    matches!(result, Finished::Conflict(problem) if problem.code == "link_conflict".into())
}

pub(super) async fn a_conflict_at_the_end_is_a_problem_not_a_loss(fixture: Fixture) {
    let store = &fixture.store;
    let mut jobs = Vec::new();
    for id in ["1", "2", "3"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
        jobs.push(claim_one(store, Object::Order, START).await);
    }
    // All three at once, so that they meet in one batch: two of them claim the same ERP record.
    let ends = jobs.iter().zip([10, 10, 20]).map(|(job, erp_id)| {
        let mut done = end(job, START, Verdict::Completed);
        done.links = vec![link(LinkKind::Order, &job.key.source_id, erp_id)];
        done.notifications = vec![job.key.source_id.clone()];
        store.finish(done)
    });
    let results: Vec<_> = futures_util::future::join_all(ends)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(results[2], Finished::Done(JobState::Completed));
    let problems = results.iter().filter(|result| is_conflict(result)).count();
    assert_eq!(problems, 1, "{results:?}");
    let (loser, problem) = jobs
        .iter()
        .zip(&results)
        .find_map(|(job, result)| match result {
            Finished::Conflict(problem) => Some((job, problem)),
            _ => None,
        })
        .unwrap();
    assert!(
        problem.reason.contains("10") && problem.reason.contains(&loser.key.source_id),
        "{}",
        problem.reason
    );
    let links = store
        .links(
            &shop(),
            LinkKind::Order,
            &["1".to_owned(), "2".to_owned(), "3".to_owned()],
        )
        .await
        .unwrap();
    assert_eq!(links.len(), 2);
    assert_eq!(state(store, jobs[2].id).await, JobState::Completed);
    // What the loser would have told is not so, and nothing of its end is saved.
    let told = async || {
        let rows = store.outbox(10).await.unwrap();
        rows.into_iter().map(|row| row.body).collect::<Vec<_>>()
    };
    let before = told().await;
    assert!(
        before.len() == 2 && !before.contains(&loser.key.source_id),
        "{before:?}"
    );
    assert_eq!(state(store, loser.id).await, JobState::Running);
    assert!(story(store, loser.id).await.attempts.is_empty());
    // It is ended with the problem, and with what is told of that.
    let mut ended = end(loser, START, Verdict::Problem((**problem).clone()));
    ended.notifications = vec!["of the problem".to_owned()];
    assert_eq!(
        store.finish(ended).await.unwrap(),
        Finished::Done(JobState::Problem)
    );
    assert_eq!(told().await.last().unwrap(), "of the problem");
    // Whoever takes it up next knows which problem is open.
    assert_eq!(loser.problem, None);
    store.retry(loser.id, START).await.unwrap();
    let again = claim_one(store, Object::Order, START).await;
    assert_eq!(again.problem, Some(problem.mark()));
    finish(store, &again, START, Verdict::Completed).await;
    store.enqueue(new_job(&again.key, START)).await.unwrap();
    assert_eq!(claim_one(store, Object::Order, START).await.problem, None);
}

pub(super) async fn retired_links_set_their_record_free(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let save = |links| async move { store.save_links(job.id, job.fence, links).await.unwrap() };
    assert_eq!(save(vec![link(LinkKind::Product, "old", 10)]).await, Saved::Done);
    let mut retired = link(LinkKind::Product, "old", 10);
    retired.state = LinkState::Retired;
    // In one go, and whatever their order.
    assert_eq!(
        save(vec![link(LinkKind::Product, "new", 10), retired.clone()]).await,
        Saved::Done
    );
    let owner = store
        .link_of_erp(&shop(), LinkKind::Product, ErpId(10))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(owner.source_id, "new");
    // Of several at once: each live one.
    assert_eq!(
        save(vec![link(LinkKind::Product, "other", 11)]).await,
        Saved::Done
    );
    let asked = [ErpId(11), ErpId(10), ErpId(12)];
    let mut found = store
        .links_of_erp(&shop(), LinkKind::Product, &asked)
        .await
        .unwrap();
    found.sort_by_key(|link| link.erp_id);
    let sources: Vec<&str> = found.iter().map(|link| link.source_id.as_str()).collect();
    assert_eq!(sources, ["new", "other"]);
    for (shop, kind) in [(other_shop(), LinkKind::Product), (shop(), LinkKind::Customer)] {
        assert_eq!(store.links_of_erp(&shop, kind, &asked).await.unwrap(), []);
    }
    assert_eq!(
        store.links_of_erp(&shop(), LinkKind::Product, &[]).await.unwrap(),
        []
    );
    let old = store
        .links(&shop(), LinkKind::Product, &["old".to_owned()])
        .await
        .unwrap();
    assert_eq!(old, [retired]);
}

pub(super) async fn agreed_values_come_back(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let mut adopted = link(LinkKind::Order, "1", 10);
    adopted.state = LinkState::Adopted;
    adopted.agreed = json!(null);
    adopted.erp_name = None;
    adopted.agreed_out = json!({ "title": { "source": "a", "target": "b" } });
    adopted.writes = json!([[1, ["title"]]]);
    assert_eq!(
        store
            .save_links(job.id, job.fence, vec![adopted.clone()])
            .await
            .unwrap(),
        Saved::Done
    );
    let stored = || async {
        store
            .links(&shop(), LinkKind::Order, &["1".to_owned()])
            .await
            .unwrap()
            .remove(0)
    };
    assert_eq!(stored().await, adopted);
    let mut linked = link(LinkKind::Order, "1", 10);
    linked.agreed =
        json!({ "note": { "source": "a'b\"c\\", "target": "ü\u{1f600}" }, "deep": [1, 2.5, null] });
    let mut done = end(&job, START, Verdict::Completed);
    done.links = vec![linked.clone()];
    store.finish(done).await.unwrap();
    // Who says nothing of the way back keeps what is known of it.
    linked.agreed_out = adopted.agreed_out;
    linked.writes = adopted.writes;
    assert_eq!(stored().await, linked);
}

pub(super) async fn a_shop_is_disabled_with_the_end_that_says_so(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    for (fence, result, reason) in [
        (1, Finished::Stale, None),
        (0, Finished::Done(JobState::Completed), Some("uninstalled")),
    ] {
        let mut ended = end(&job, START, Verdict::Completed);
        ended.fence = Fence(job.fence.0 + fence);
        ended.disables_shop = Some("uninstalled".to_owned());
        ended.notifications = vec!["told".to_owned()];
        assert_eq!(store.finish(ended).await.unwrap(), result);
        let state = store.shop_state(&shop(), START).await.unwrap();
        assert_eq!(state.disabled.as_deref(), reason);
        let told = store.outbox(10).await.unwrap();
        assert_eq!(told.len(), usize::from(reason.is_some()));
    }
    let other = store.shop_state(&other_shop(), START).await.unwrap();
    assert_eq!(other.disabled, None);
}

pub(super) async fn shops_cursors_and_breakers(fixture: Fixture) {
    let store = &fixture.store;
    let later = START.plus(SECOND);
    let first = store.shop_state(&shop(), START).await.unwrap();
    assert_eq!((first.first_seen_at, first.disabled.clone()), (START, None));
    assert_eq!(store.shop_state(&shop(), later).await.unwrap(), first);
    store
        .set_shop_disabled(&shop(), Some("uninstalled"), later)
        .await
        .unwrap();
    let disabled = store.shop_state(&shop(), later).await.unwrap();
    assert_eq!(
        (disabled.first_seen_at, disabled.disabled.as_deref()),
        (START, Some("uninstalled"))
    );
    store.set_shop_disabled(&shop(), None, later).await.unwrap();
    assert_eq!(store.shop_state(&shop(), later).await.unwrap(), first);
    assert_eq!(
        store
            .shop_state(&other_shop(), later)
            .await
            .unwrap()
            .first_seen_at,
        later
    );

    // Whoever only looks decides nothing: the daemon's first sight counts.
    let unseen = "unseen".parse().unwrap();
    let tool = fixture.open(OpenMode::Tool).await.unwrap();
    assert_eq!(
        tool.shop_state(&unseen, START).await.unwrap().first_seen_at,
        START
    );
    assert_eq!(tool.shop_state(&shop(), later).await.unwrap(), first);
    tool.close().await;
    let seen = store.shop_state(&unseen, later).await.unwrap();
    assert_eq!(seen.first_seen_at, later);

    for value in ["mine", "too late"] {
        let kept = store.first_value(&shop(), "once", value, later).await.unwrap();
        assert_eq!(kept, "mine");
    }
    assert_eq!(store.cursor(&shop(), "orders").await.unwrap(), None);
    store.set_cursor(&shop(), "orders", "1", START).await.unwrap();
    store.set_cursor(&shop(), "orders", "2", later).await.unwrap();
    store
        .set_cursor(&other_shop(), "orders", "3", later)
        .await
        .unwrap();
    assert_eq!(
        store.cursor(&shop(), "orders").await.unwrap().as_deref(),
        Some("2")
    );

    let mut breaker = BreakerRow {
        shop: shop(),
        system: System::Erp,
        state: "open".to_owned(),
        since: START,
        reason: Some("refused".to_owned()),
    };
    store.save_breaker(breaker.clone()).await.unwrap();
    assert_eq!(store.breakers().await.unwrap(), [breaker.clone()]);
    breaker.state = "closed".to_owned();
    breaker.reason = None;
    store.save_breaker(breaker.clone()).await.unwrap();
    assert_eq!(store.breakers().await.unwrap(), [breaker]);

    store.ping().await.unwrap();
}
