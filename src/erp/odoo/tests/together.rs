//! Saves that come at the same time go together, and a bad one fails alone.

use std::slice::from_ref;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;

use super::super::together::may_be_about_one;
use super::given::{VERSIONS, partner, start, text};
use crate::domain::{ErpId, FieldValue};
use crate::erp::{Erp as _, ErpError, Save};
use crate::sandbox::odoo::{Fault, OdooError, OdooSandbox, Options, Rule};
use crate::telemetry::calls::{self, Watch};

fn loads(server: &OdooSandbox) -> u64 {
    server.ledger().calls_of("res.partner", "load")
}

fn somebody(n: usize) -> Save {
    partner(&format!("customer_{n}"), &[("name", text(&format!("P{n}")))])
}

/// A latency that calls overlap by.
fn slow(version: crate::sandbox::odoo::Version) -> Options {
    Options {
        latency: Duration::from_millis(20),
        ..Options::version(version)
    }
}

#[tokio::test]
async fn what_comes_while_a_call_is_under_way_goes_as_one() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        // Alone: one call, at once. It also learns the model's fields.
        odoo.save(&[somebody(0)]).await.unwrap();
        assert_eq!(loads(&server), 1, "{version:?}");
        let saves: Vec<Save> = (1..13).map(somebody).collect();
        let saved = join_all(saves.iter().map(|save| odoo.save(from_ref(save)))).await;
        assert_eq!(
            loads(&server),
            3,
            "{version:?}: the first alone, the others together"
        );
        for (n, ids) in saved.into_iter().enumerate() {
            let id = ids.unwrap()[0];
            let row = odoo
                .read("res.partner", &[id], &["name".to_owned()])
                .await
                .unwrap();
            let name = FieldValue::Text(format!("P{}", n + 1));
            assert_eq!(
                row[0].fields["name"], name,
                "{version:?}: each is told its own record"
            );
        }
        // The same record twice at once goes one after the other.
        let twice = join_all([1, 2].map(|_| async { odoo.save(&[somebody(3)]).await.unwrap()[0] })).await;
        assert_eq!(twice[0], twice[1]);
    }
}

#[tokio::test]
async fn a_bad_record_fails_alone() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        odoo.save(&[somebody(0)]).await.unwrap();
        let country = |id| ("country_id", FieldValue::Record(ErpId(id)));
        let saves: Vec<Save> = (1..9)
            .map(|n| {
                let id = if n == 5 { 999_999 } else { 1 };
                partner(
                    &format!("customer_{n}"),
                    &[("name", text(&format!("P{n}"))), country(id)],
                )
            })
            .collect();
        let saved = join_all(saves.iter().map(|save| odoo.save(from_ref(save)))).await;
        for (n, outcome) in saved.iter().enumerate() {
            match outcome {
                Err(ErpError::Rejected { .. }) => assert_eq!(n, 4, "{version:?}"),
                Ok(_) => assert_ne!(n, 4, "{version:?}"),
                Err(error) => panic!("{version:?} {n}: {error}"),
            }
        }
        let names: Vec<String> = server
            .ledger()
            .partners()
            .into_iter()
            .map(|one| one.name)
            .collect();
        for n in (0..9).filter(|n| *n != 5) {
            let count = names.iter().filter(|name| **name == format!("P{n}")).count();
            assert_eq!(count, 1, "{version:?}: P{n}");
        }
    }
}

/// Polls a save until it waits for its answer; the server has no time to give it meanwhile.
async fn sends(save: &mut (impl Future + Unpin)) {
    for _ in 0..50 {
        assert!(poll!(&mut *save).is_pending());
    }
}

/// Waits until so many calls are held by the server.
async fn arrived(server: &OdooSandbox, calls: usize) {
    while server.faults().held() < calls {
        tokio::task::yield_now().await;
    }
}

/// The call after the next one is refused so, once.
fn refuse_second(server: &OdooSandbox, name: &'static str) {
    let refusal = Fault::Error(OdooError::custom(name, "somebody's own fault"));
    let rule = Rule::new(refusal).model("res.partner").method("load").skip(1);
    server.faults().add(rule);
}

#[tokio::test]
async fn what_may_be_about_one_record_is_told_to_no_other() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        odoo.save(&[somebody(0)]).await.unwrap();
        let names = [
            "psycopg2.errors.UniqueViolation",
            "odoo.exceptions.AccessError",
            "odoo.exceptions.MissingError",
            "builtins.AttributeError",
        ];
        for (round, name) in names.into_iter().enumerate() {
            refuse_second(&server, name);
            let saves: Vec<Save> = (1..6).map(|n| somebody(10 * round + n)).collect();
            let odoo = &odoo;
            let all = saves.iter().map(|save| async move {
                let watch = Watch::default();
                let saved = watch.over(odoo.save(from_ref(save))).await;
                (saved, watch.calls().first)
            });
            for (saved, calls) in join_all(all).await {
                if let Err(error) = saved {
                    panic!("{version:?} {name}: {error}");
                }
                // Whoever sent it, and however often: each attempt made one call.
                let seen: Vec<(&str, &str)> = calls
                    .iter()
                    .map(|call| (call.name.as_str(), call.outcome.as_str()))
                    .collect();
                assert_eq!(seen, [("load res.partner", "ok")], "{version:?} {name}");
            }
            assert_eq!(server.faults().pending(), 0, "{version:?} {name}: it was refused");
        }
    }
}

#[tokio::test]
async fn a_call_has_a_most_in_records() {
    let (server, odoo) = start(slow(VERSIONS[0])).await;
    odoo.save(&[somebody(0)]).await.unwrap();
    let saves: Vec<Save> = (1..62).map(somebody).collect();
    for ids in join_all(saves.iter().map(|save| odoo.save(from_ref(save)))).await {
        ids.unwrap();
    }
    assert_eq!(
        loads(&server),
        4,
        "the first alone, then fifty, then the last ten"
    );
}

#[test]
fn a_server_that_says_when_to_come_again_is_not_asked_more_often() {
    let busy = |retry_after| ErpError::Busy {
        message: "too many requests".to_owned(),
        retry_after,
    };
    assert!(may_be_about_one(&busy(None)), "a lost race is told like that");
    assert!(!may_be_about_one(&busy(Some(Duration::from_secs(30)))));
}

#[tokio::test]
async fn a_lost_answer_is_unknown_to_all_and_nothing_is_made_twice() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        odoo.save(&[somebody(0)]).await.unwrap();
        let saves: Vec<Save> = (1..5).map(somebody).collect();
        let all = || join_all(saves.iter().map(|save| odoo.save(from_ref(save))));
        server.faults().on("res.partner", "load", Fault::CloseAfter);
        server.faults().on("res.partner", "load", Fault::CloseAfter);
        for outcome in all().await {
            let error = outcome.unwrap_err();
            assert!(matches!(error, ErpError::Unknown { .. }), "{version:?}: {error}");
        }
        for outcome in all().await {
            outcome.unwrap();
        }
        let made = server
            .ledger()
            .partners()
            .iter()
            .filter(|one| one.name.starts_with('P'))
            .count();
        assert_eq!(made, 5, "{version:?}");
    }
}

#[tokio::test]
async fn whoever_gives_up_while_waiting_sends_nothing() {
    let (server, odoo) = start(slow(VERSIONS[0])).await;
    odoo.save(&[somebody(0)]).await.unwrap();
    let (first, second) = (somebody(1), somebody(2));
    let mut under_way = Box::pin(odoo.save(from_ref(&first)));
    {
        let mut waits = Box::pin(odoo.save(from_ref(&second)));
        // Both are polled until the first is sent, then the second one goes away.
        for _ in 0..50 {
            assert!(poll!(&mut under_way).is_pending());
            assert!(poll!(&mut waits).is_pending());
        }
    }
    under_way.await.unwrap();
    let names: Vec<String> = server
        .ledger()
        .partners()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert!(
        names.contains(&"P1".to_owned()) && !names.contains(&"P2".to_owned()),
        "{names:?}"
    );
    // The next one is not held up by what was left.
    odoo.save(&[somebody(3)]).await.unwrap();
}

#[tokio::test]
async fn what_was_given_up_meanwhile_is_not_sent_again() {
    let (server, odoo) = start(slow(VERSIONS[0])).await;
    odoo.save(&[somebody(0)]).await.unwrap();
    refuse_second(&server, "odoo.exceptions.ValidationError");
    let saves: Vec<Save> = (1..4).map(somebody).collect();
    let mut all: Vec<_> = saves
        .iter()
        .map(|save| Box::pin(odoo.save(from_ref(save))))
        .collect();
    for one in &mut all {
        sends(one).await;
    }
    // The first goes alone, the others together. While these wait for their refusal, the last one goes away.
    while loads(&server) < 3 {
        tokio::task::yield_now().await;
    }
    drop(all.pop());
    for one in all {
        one.await.unwrap();
    }
    odoo.save(&[somebody(4)]).await.unwrap();
    let partners = server.ledger().partners();
    let is_there = |name: &str| partners.iter().any(|one| one.name == name);
    assert!(is_there("P1") && is_there("P2") && is_there("P4"));
    assert!(!is_there("P3"), "nobody wanted it any more");
}

#[tokio::test]
async fn what_is_live_waits_for_no_call_of_an_import() {
    let (server, odoo) = start(Options::version(VERSIONS[0])).await;
    odoo.save(&[somebody(0)]).await.unwrap();
    server.faults().hold();
    let saves: Vec<Save> = (1..7).map(somebody).collect();
    let mut imports: Vec<_> = saves[..5]
        .iter()
        .map(|save| Box::pin(calls::giving_way(true, odoo.save(from_ref(save)))))
        .collect();
    for one in &mut imports[..2] {
        sends(one).await;
        arrived(&server, 1).await;
    }
    arrived(&server, 2).await;
    for one in &mut imports[2..] {
        sends(one).await;
    }
    // Three of the import wait for the first two. What is live arrives all the same, and without them.
    let mut live = Box::pin(odoo.save(&saves[5..]));
    sends(&mut live).await;
    arrived(&server, 3).await;
    assert_eq!(loads(&server), 4, "the three still wait");
    server.faults().release();
    live.await.unwrap();
    for saved in join_all(imports).await {
        saved.unwrap();
    }
    assert_eq!(loads(&server), 5, "what gives way goes together");
}

#[tokio::test]
async fn a_record_is_in_one_call_at_a_time() {
    let (server, odoo) = start(Options::version(VERSIONS[0])).await;
    odoo.save(&[somebody(0)]).await.unwrap();
    server.faults().hold();
    // Two calls of an import may be under way, and the second of these would be free at once.
    let saves = [1, 1, 2].map(somebody);
    let mut imports: Vec<_> = saves
        .iter()
        .map(|save| Box::pin(calls::giving_way(true, odoo.save(from_ref(save)))))
        .collect();
    sends(&mut imports[0]).await;
    arrived(&server, 1).await;
    for one in &mut imports[1..] {
        sends(one).await;
    }
    arrived(&server, 2).await;
    assert_eq!(loads(&server), 3, "the same record waits, another one does not");
    server.faults().release();
    let saved = join_all(imports).await;
    let ids: Vec<ErpId> = saved.into_iter().map(|ids| ids.unwrap()[0]).collect();
    assert!(ids[0] == ids[1] && ids[0] != ids[2]);
    assert_eq!(loads(&server), 4);
}

#[tokio::test]
async fn a_call_of_an_import_takes_along_what_came_while_it_waited_for_its_turn() {
    let (server, odoo) = start(Options::version(VERSIONS[0])).await;
    odoo.save(&[somebody(0)]).await.unwrap();
    let saves: Vec<Save> = (1..7).map(somebody).collect();
    // All come before any call can be sent: the first of the two takes along those that wait for both.
    let saved = join_all(
        saves
            .iter()
            .map(|save| calls::giving_way(true, odoo.save(from_ref(save)))),
    );
    for ids in saved.await {
        ids.unwrap();
    }
    assert_eq!(loads(&server), 3);
}
