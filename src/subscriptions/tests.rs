//! Plans, as a table over toggles and what is found.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::{ShopName, ShopifyId, Timestamp};

const INSTANCE: &str = "0a1b2c3d";
const OURS: &str = "https://sync.example.com/webhooks/shopify";
const OLD: &str = "https://old.example.com/webhooks/shopify";
const RIGHT: &str = "lockstep-0a1b2c3d-orders_paid";

fn shop() -> ShopName {
    "main".parse().unwrap()
}

fn wish(toggles: &str, names: bool) -> Vec<Desired> {
    desired(&Wish {
        toggles: toml::from_str(toggles).unwrap(),
        public_url: "https://sync.example.com".to_owned(),
        instance: INSTANCE.to_owned(),
        names,
    })
}

/// A subscription to `orders/paid`.
fn paid(id: u64, uri: &str, name: Option<&str>) -> Observed {
    Observed {
        id: ShopifyId(id),
        topic: "ORDERS_PAID".to_owned(),
        uri: uri.to_owned(),
        name: name.map(str::to_owned),
        format: "JSON".to_owned(),
        filter: None,
        include_fields: Vec::new(),
        created_at: Timestamp::from_millis(i64::try_from(id).unwrap()),
    }
}

fn scopes(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|scope| (*scope).to_owned()).collect()
}

/// What the plan says of `ORDERS_PAID`, e.g. `update 1, delete 2`.
fn about_paid(plan: &Plan) -> String {
    let lines: Vec<String> = plan
        .lines
        .iter()
        .filter(|line| line.topic == "ORDERS_PAID")
        .map(|line| match line.id {
            Some(id) => format!("{} {id}", line.kind),
            None => line.kind.to_string(),
        })
        .collect();
    lines.join(", ")
}

struct Case {
    name: &'static str,
    observed: Vec<Observed>,
    /// Those that the store knows, by number.
    recorded: &'static [u64],
    granted: &'static [&'static str],
    /// With the toggle on or paused.
    on: &'static str,
    /// With the toggle off.
    off: &'static str,
}

const READ: &[&str] = &["read_orders"];

fn cases() -> Vec<Case> {
    let case = |name, observed, recorded, on, off| Case {
        name,
        observed,
        recorded,
        granted: READ,
        on,
        off,
    };
    let with = |change: fn(&mut Observed)| {
        let mut one = paid(1, OURS, Some(RIGHT));
        change(&mut one);
        one
    };
    vec![
        case("nothing is there", vec![], &[], "create", ""),
        case("the recorded one is gone", vec![], &[7], "create", ""),
        case(
            "ours by name",
            vec![paid(1, OURS, Some(RIGHT))],
            &[],
            "unchanged 1",
            "delete 1",
        ),
        case(
            "the address spelled otherwise",
            vec![with(|one| {
                one.uri = "HTTPS://SYNC.example.com:443/webhooks/shopify".into();
            })],
            &[],
            "unchanged 1",
            "delete 1",
        ),
        case(
            "ours by record, without a name",
            vec![paid(1, OURS, None)],
            &[1],
            "update 1",
            "delete 1",
        ),
        case(
            "at the old address",
            vec![paid(1, OLD, Some(RIGHT))],
            &[1],
            "update 1",
            "delete 1",
        ),
        case(
            "with a filter",
            vec![with(|one| one.filter = Some("id:1".into()))],
            &[],
            "update 1",
            "delete 1",
        ),
        case(
            "as XML",
            vec![with(|one| one.format = "XML".into())],
            &[],
            "update 1",
            "delete 1",
        ),
        case(
            "with chosen fields",
            vec![with(|one| one.include_fields = vec!["id".into()])],
            &[],
            "update 1",
            "delete 1",
        ),
        case(
            "two of ours: the right one stays",
            vec![paid(1, OLD, None), paid(2, OURS, Some(RIGHT))],
            &[1],
            "delete 1, unchanged 2",
            "delete 1, delete 2",
        ),
        case(
            "two of ours, neither right: what delivers stays",
            vec![
                paid(1, OLD, Some(RIGHT)),
                paid(2, OURS, Some("lockstep-0a1b2c3d-x")),
            ],
            &[],
            "update 2, delete 1",
            "delete 1, delete 2",
        ),
        case(
            "somebody else's, elsewhere",
            vec![paid(1, OLD, Some("theirs"))],
            &[],
            "create, foreign 1",
            "foreign 1",
        ),
        case(
            "nobody's, elsewhere",
            vec![paid(1, OLD, None)],
            &[],
            "create, foreign 1",
            "foreign 1",
        ),
        case(
            "nobody's, at our address",
            vec![paid(1, OURS, None)],
            &[],
            "adopt 1",
            "foreign 1",
        ),
        case(
            "somebody else's, at our address",
            vec![paid(1, OURS, Some("theirs"))],
            &[],
            "foreign 1, blocked",
            "foreign 1",
        ),
        case(
            "another installation's, recorded here",
            vec![paid(1, OLD, Some("lockstep-ffffffff-orders_paid"))],
            &[1],
            "create, foreign 1",
            "foreign 1",
        ),
        case(
            "ours at the old address, nobody's at ours",
            vec![paid(1, OLD, Some(RIGHT)), paid(2, OURS, None)],
            &[],
            "adopt 2, delete 1",
            "delete 1, foreign 2",
        ),
        case(
            "ours at the old address, somebody else's at ours",
            vec![paid(1, OLD, Some(RIGHT)), paid(2, OURS, Some("theirs"))],
            &[],
            "foreign 2, blocked 1",
            "delete 1, foreign 2",
        ),
        case(
            "somebody else's at our address with a filter: both are possible",
            vec![
                Observed {
                    filter: Some("id:1".into()),
                    ..paid(2, OURS, Some("theirs"))
                },
                paid(1, OURS, Some(RIGHT)),
            ],
            &[],
            "unchanged 1, foreign 2",
            "delete 1, foreign 2",
        ),
        Case {
            granted: &["read_products"],
            ..case("without its scope", vec![], &[], "blocked", "")
        },
        Case {
            granted: &["write_orders"],
            ..case("with the scope to write", vec![], &[], "create", "")
        },
        Case {
            granted: &[],
            ..case(
                "it stands, the scope is gone",
                vec![paid(1, OURS, Some(RIGHT))],
                &[],
                "unchanged 1",
                "delete 1",
            )
        },
    ]
}

#[test]
fn every_state_under_every_toggle_has_its_plan() {
    for case in cases() {
        for (toggle, expected) in [("on", case.on), ("paused", case.on), ("off", case.off)] {
            let desired = wish(&format!("orders = {{ in = '{toggle}' }}"), true);
            let ours = Ours {
                instance: INSTANCE.to_owned(),
                recorded: case
                    .recorded
                    .iter()
                    .map(|id| (ShopifyId(*id), "ORDERS_PAID".to_owned()))
                    .collect::<BTreeMap<_, _>>(),
                ..Ours::default()
            };
            let plan = plan(&shop(), &desired, &case.observed, &ours, &scopes(case.granted));
            let mut said: Vec<String> = about_paid(&plan).split(", ").map(str::to_owned).collect();
            let mut wanted: Vec<String> = expected.split(", ").map(str::to_owned).collect();
            said.sort();
            wanted.sort();
            assert_eq!(said, wanted, "{}, {toggle}", case.name);
        }
    }
}

#[test]
fn reasons_say_what_is_wrong_and_what_helps() {
    let desired = wish("orders = { in = 'on' }", true);
    let plan_of = |observed: &[Observed], granted: &[&str], recorded: &[u64]| {
        let ours = Ours {
            instance: INSTANCE.to_owned(),
            recorded: recorded
                .iter()
                .map(|id| (ShopifyId(*id), "ORDERS_PAID".to_owned()))
                .collect(),
            ..Ours::default()
        };
        plan(&shop(), &desired, observed, &ours, &scopes(granted))
    };
    let reason = |plan: &Plan| {
        let lines = plan.lines.iter().filter(|line| line.topic == "ORDERS_PAID");
        lines
            .map(|line| line.reason.clone())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    for (plan, part) in [
        (plan_of(&[], READ, &[]), "orders.in is on"),
        (plan_of(&[], READ, &[7]), "subscription 7 is gone"),
        (plan_of(&[], &[], &[]), "lacks the scope read_orders"),
        (
            plan_of(&[paid(1, OLD, Some(RIGHT))], READ, &[]),
            "the address was https://old.example.com",
        ),
        (
            plan_of(&[paid(1, OURS, Some("theirs"))], READ, &[]),
            "lockstep webhooks adopt 1",
        ),
        (
            plan_of(&[paid(1, OLD, Some("lockstep-ffffffff-orders_paid"))], READ, &[1]),
            "another installation of lockstep (ffffffff)",
        ),
    ] {
        assert!(reason(&plan).contains(part), "{part}: {}", reason(&plan));
    }
    let blocked = plan_of(&[], &[], &[]);
    let line = blocked
        .lines
        .iter()
        .find(|line| line.topic == "ORDERS_PAID")
        .unwrap();
    assert_eq!((line.scope, line.lacks_scope), (Some("read_orders"), true));
    assert!(
        blocked
            .lines
            .iter()
            .any(|line| line.topic == "APP_UNINSTALLED" && line.kind == Kind::Create)
    );
}

#[test]
fn names_that_stand_on_each_others_subscription_are_freed_first() {
    let desired = wish("orders = { in = 'on' }", true);
    let created = Observed {
        topic: "ORDERS_CREATE".to_owned(),
        ..paid(2, OURS, Some(RIGHT))
    };
    let observed = [paid(1, OURS, Some("lockstep-0a1b2c3d-orders_create")), created];
    let ours = Ours {
        instance: INSTANCE.to_owned(),
        ..Ours::default()
    };
    let plan = plan(&shop(), &desired, &observed, &ours, &scopes(READ));
    let order: Vec<String> = plan
        .changes()
        .filter(|line| ["ORDERS_PAID", "ORDERS_CREATE"].contains(&line.topic.as_str()))
        .map(|line| format!("{} {}", line.kind, line.topic))
        .collect();
    assert_eq!(
        order,
        [
            "delete ORDERS_CREATE",
            "delete ORDERS_PAID",
            "create ORDERS_CREATE",
            "create ORDERS_PAID"
        ]
    );
}

#[test]
fn without_names_records_decide_and_nobodys_is_only_recorded() {
    let desired = wish("orders = { in = 'on' }", false);
    let ours = Ours {
        instance: INSTANCE.to_owned(),
        ..Ours::default()
    };
    let plan = plan(&shop(), &desired, &[paid(1, OURS, None)], &ours, &scopes(READ));
    let line = plan
        .lines
        .iter()
        .find(|line| line.topic == "ORDERS_PAID")
        .unwrap();
    assert_eq!((line.kind, &line.new), (Kind::Adopt, &None));
}

#[test]
fn the_hash_follows_the_changes_only() {
    let desired = wish("orders = { in = 'on' }", true);
    let ours = Ours {
        instance: INSTANCE.to_owned(),
        ..Ours::default()
    };
    let of = |observed: &[Observed]| plan(&shop(), &desired, observed, &ours, &scopes(READ)).hash();
    assert_eq!(
        of(&[]),
        of(&[paid(9, OLD, Some("theirs"))]),
        "foreign ones change nothing"
    );
    assert_ne!(of(&[]), of(&[paid(1, OURS, Some(RIGHT))]));
}
