//! Reads of an import's records that come at the same time go together, and each is told its own rows.

use std::time::Duration;

use futures_util::future::join_all;

use super::given::{VERSIONS, partner, start, text};
use super::{clock, connect, settings};
use crate::domain::{ErpId, FieldValue};
use crate::erp::odoo::Settings;
use crate::erp::{Erp as _, ErpError, Find, Identified, Row, Save};
use crate::sandbox::odoo::{Fault, OdooError, OdooSandbox, Options, Rule};
use crate::secret::Secret;
use crate::telemetry::calls::{self, Watch};

const NAME: &str = "name";

fn calls_of(server: &OdooSandbox, method: &str) -> u64 {
    server.ledger().calls_of("res.partner", method)
}

/// A latency that calls overlap by.
fn slow(version: crate::sandbox::odoo::Version) -> Options {
    Options {
        latency: Duration::from_millis(20),
        ..Options::version(version)
    }
}

/// Partners with these e-mail addresses; their ids.
async fn people(odoo: &crate::erp::odoo::Odoo, mails: &[String]) -> Vec<ErpId> {
    let saves: Vec<Save> = mails
        .iter()
        .enumerate()
        .map(|(n, mail)| {
            let fields = [(NAME, text(&format!("P{n}"))), ("email", text(mail))];
            partner(&format!("customer_{n}"), &fields)
        })
        .collect();
    odoo.save(&saves).await.unwrap()
}

fn named(rows: &[Row]) -> Vec<&FieldValue> {
    rows.iter().map(|row| &row.fields[NAME]).collect()
}

fn by_mail(mail: &str, limit: u32) -> Find {
    Find {
        model: "res.partner".to_owned(),
        equal: vec![
            ("is_company".to_owned(), FieldValue::Bool(false)),
            ("email_normalized".to_owned(), text(mail)),
        ],
        one_of: None,
        fields: vec![NAME.to_owned()],
        limit,
    }
}

#[tokio::test]
async fn records_that_are_read_at_the_same_time_are_read_by_one_call() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        let mails: Vec<String> = (0..12).map(|n| format!("p{n}@example.com")).collect();
        let ids = people(&odoo, &mails).await;
        let fields = [NAME.to_owned()];
        let read = |id: ErpId| {
            let (odoo, fields) = (&odoo, &fields);
            async move { odoo.read("res.partner", &[id, ErpId(999_999)], fields).await }
        };
        let before = calls_of(&server, "read");
        let watch = Watch::default();
        let all = ids
            .iter()
            .map(|id| calls::giving_way(true, watch.over(read(*id))));
        for (n, rows) in join_all(all).await.into_iter().enumerate() {
            let rows = rows.unwrap();
            assert_eq!(
                named(&rows),
                [&text(&format!("P{n}"))],
                "{version:?}: its own, and nothing of what is gone"
            );
        }
        let joined = calls_of(&server, "read") - before;
        assert!(joined <= 2, "{version:?}: {joined} calls for 12 records");
        assert_eq!(watch.calls().first.len(), 12, "each attempt made one call");
        // What is live waits for nobody else's call.
        let live = join_all(ids[..3].iter().map(|id| read(*id))).await;
        assert!(live.iter().all(Result::is_ok));
        assert_eq!(calls_of(&server, "read") - before, joined + 3);
    }
}

#[tokio::test]
async fn searches_for_a_text_go_together_and_none_takes_anothers_rows_or_room() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        // Five have one address; one has none of these.
        let mut mails: Vec<String> = (0..6).map(|n| format!("p{n}@example.com")).collect();
        mails.extend(std::iter::repeat_n(mails[0].clone(), 4));
        people(&odoo, &mails).await;
        let asked = [
            "P1@example.com",
            "p1@example.com",
            "p2@example.com",
            "nobody@example.com",
        ];
        let find = |mail: &str, limit| {
            let (odoo, find) = (&odoo, by_mail(mail, limit));
            calls::giving_way(true, async move { odoo.find(&find).await.unwrap() })
        };
        let before = calls_of(&server, "search_read");
        let found = join_all(asked.map(|mail| find(mail, 10))).await;
        let names: Vec<Vec<&FieldValue>> = found.iter().map(|rows| named(rows)).collect();
        let (one, two) = (text("P1"), text("P2"));
        assert_eq!(names, [vec![], vec![&one], vec![&two], vec![]], "{version:?}");
        let joined = calls_of(&server, "search_read") - before;
        assert!(joined <= 2, "{version:?}: {joined} calls for 4 searches");
        // With room for few, those of many leave none for the others: then each is asked for itself.
        let found = join_all([find(&mails[0], 2), find(&mails[5], 2), find(&mails[4], 2)]).await;
        let (first, second) = (text("P0"), text("P6"));
        assert_eq!(named(&found[0]), [&first, &second], "{version:?}");
        assert_eq!(named(&found[1]), [&text("P5")], "{version:?}");
        assert_eq!(named(&found[2]), [&text("P4")], "{version:?}");
    }
}

#[tokio::test]
async fn searches_for_lists_of_texts_go_together_too() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        let mails: Vec<String> = (0..6).map(|n| format!("p{n}@example.com")).collect();
        people(&odoo, &mails).await;
        let find = |asked: &[&str]| Find {
            equal: Vec::new(),
            one_of: Some(("email".to_owned(), asked.iter().map(|mail| text(mail)).collect())),
            ..by_mail("", 10)
        };
        let asked = [
            find(&["p1@example.com", "p2@example.com"]),
            find(&["p2@example.com"]),
            find(&["p4@example.com", "nobody@example.com", "P5@example.com"]),
            find(&["p0@example.com", "p3@example.com"]),
        ];
        let before = calls_of(&server, "search_read");
        let found = asked.iter().map(|find| calls::giving_way(true, odoo.find(find)));
        let found: Vec<Vec<Row>> = join_all(found).await.into_iter().map(Result::unwrap).collect();
        let [none, one, two, three, four] = [0, 1, 2, 3, 4].map(|n| text(&format!("P{n}")));
        let names: Vec<Vec<&FieldValue>> = found.iter().map(|rows| named(rows)).collect();
        let expected = [vec![&one, &two], vec![&two], vec![&four], vec![&none, &three]];
        assert_eq!(names, expected, "{version:?}");
        let joined = calls_of(&server, "search_read") - before;
        assert!(joined <= 2, "{version:?}: {joined} calls for 4 searches");
    }
}

#[tokio::test]
async fn the_same_look_for_a_name_is_one_call_for_all_whatever_comes_of_it() {
    for version in VERSIONS {
        let (server, odoo) = start(slow(version)).await;
        let ids = people(&odoo, &["p0@example.com".to_owned()]).await;
        let look = |name: &str| {
            let (odoo, name) = (&odoo, super::given::id(name));
            calls::giving_way(true, async move { odoo.identify(&name).await })
        };
        let calls = || {
            server
                .ledger()
                .calls_of("ir.model.data", "check_object_reference")
        };
        let before = calls();
        let known = join_all((0..6).map(|_| look("customer_0"))).await;
        let found = |told: Result<Option<Identified>, ErpError>| told.unwrap().map(|found| found.id);
        assert!(
            known.into_iter().all(|told| found(told) == Some(ids[0])),
            "{version:?}"
        );
        assert!(calls() - before <= 2, "{version:?}: {} calls", calls() - before);
        // That nobody has it is a refusal, which is about no one of them.
        let before = calls();
        let unknown = join_all((0..6).map(|_| look("customer_9"))).await;
        assert!(
            unknown.into_iter().all(|told| found(told).is_none()),
            "{version:?}"
        );
        assert!(calls() - before <= 2, "{version:?}: {} calls", calls() - before);
        // Another name is another question.
        let both = join_all([look("customer_0"), look("customer_9")]).await;
        let both: Vec<_> = both.into_iter().map(found).collect();
        assert_eq!(both, [Some(ids[0]), None], "{version:?}");
    }
}

#[tokio::test]
async fn a_read_that_went_with_others_waits_for_no_turn_of_its_own() {
    let server = OdooSandbox::start(slow(VERSIONS[0])).await.unwrap();
    // At this pace a turn that is used up for nothing is felt.
    let paced = Settings {
        calls_per_second: 20,
        ..settings(&server.url())
    };
    let odoo = connect(paced, Secret::text(server.api_key()), &clock());
    let mails: Vec<String> = (0..40).map(|n| format!("p{n}@example.com")).collect();
    let ids = people(&odoo, &mails).await;
    let fields = [NAME.to_owned()];
    let read = |id: &ErpId| {
        let (odoo, fields, id) = (&odoo, &fields, *id);
        calls::giving_way(true, async move { odoo.read("res.partner", &[id], fields).await })
    };
    for rows in join_all(ids.iter().map(read)).await {
        assert_eq!(rows.unwrap().len(), 1);
    }
    for _ in 0..ids.len() {
        tokio::task::yield_now().await;
    }
    assert!(odoo.reads.is_idle(), "what has been answered waits no more");
}

#[tokio::test]
async fn a_refusal_that_may_be_about_one_record_is_told_to_no_other() {
    let (server, odoo) = start(slow(VERSIONS[0])).await;
    let mails: Vec<String> = (0..6).map(|n| format!("p{n}@example.com")).collect();
    let ids = people(&odoo, &mails).await;
    let fields = [NAME.to_owned()];
    let read = |id: &ErpId| {
        let (odoo, fields, id) = (&odoo, &fields, *id);
        calls::giving_way(true, async move { odoo.read("res.partner", &[id], fields).await })
    };
    let rule = |fault, skip| Rule::new(fault).model("res.partner").method("read").skip(skip);
    let refusal = OdooError::custom("odoo.exceptions.AccessError", "somebody's own fault");
    server.faults().add(rule(Fault::Error(refusal), 0));
    for (n, rows) in join_all(ids.iter().map(read)).await.into_iter().enumerate() {
        assert_eq!(named(&rows.unwrap()), [&text(&format!("P{n}"))]);
    }
    // What speaks of the server is told to all, and nobody asks again.
    let before = calls_of(&server, "read");
    server.faults().add(rule(Fault::PostgresDown, 0));
    for rows in join_all(ids.iter().map(read)).await {
        assert!(matches!(rows, Err(ErpError::Down { .. })), "{rows:?}");
    }
    assert_eq!(calls_of(&server, "read") - before, 1);
}
