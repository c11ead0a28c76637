//! Records, runs and previews, on a daemon between a stand-in shop and a stand-in ERP.

use askama::Template as _;

use super::super::session::Visitor;
use super::live::{Live, OPERATOR, VIEWER, all_in, job_of};
use super::*;
use crate::app::record::{
    Amounts, Compared, ComparedRow, EventFacts, LineFacts, LinePair, LinkFacts, OrderFacts, OrderSides,
    Person, Record, Shipment, Side, Way,
};
use crate::app::review::References;

#[tokio::test(flavor = "multi_thread")]
async fn from_never_delivered_to_both_sides_on_one_page() {
    let live = Live::new().await;
    let (id, name) = live.place("<script>alert(1)</script>");
    let operator = live.rig.logged_in("operator").await;
    // Nothing ever came: the one button carries it over.
    let why = operator.get(&format!("/why?q={}", percent_encoded(&name))).await;
    let sync = format!("/records/main/order/{id}/sync");
    all_in(
        &why.text,
        &["no delivery about it ever came", &sync, "Carry it over now"],
    );
    let unseen = operator.get(&format!("/records/main/order/{id}")).await;
    assert_eq!(unseen.status, 200, "{}", unseen.text);
    all_in(&unseen.text, &[&name, "does not have it"]);
    let token = operator.token().await;
    let job = job_of(&operator.post(&sync, &[("form_token", &token)]).await);
    live.until_done(job).await;
    let erp_name = live.erp.ledger().orders()[0].name.clone();
    let booked = operator.get(&format!("/why?q={}", percent_encoded(&name))).await;
    all_in(
        &booked.text,
        &["Show it on both sides", &format!("/records/main/order/{id}")],
    );
    assert!(
        !booked.text.contains("Carry it over now"),
        "one button only: {}",
        booked.text
    );

    let page = operator.get(&format!("/records/main/order/{id}")).await;
    let sentence =
        format!("Order {name} is in the ERP as {erp_name}; on Shopify it is paid and not sent yet.");
    all_in(
        &page.text,
        &[
            &sentence,
            "Both totals are the same.",
            "guest@example.com",
            "10117 Berlin",
            "&#60;script&#62;alert(1)&#60;/script&#62;",
            "&#60;b&#62;Goods",
            "Compare both sides now",
            &format!("/jobs/{job}"),
        ],
    );
    assert!(
        !page.text.contains("<script") && !page.text.contains("<b>"),
        "{}",
        page.text
    );
    let job_page = operator.get(&format!("/jobs/{job}")).await;
    all_in(
        &job_page.text,
        &["the record on both sides", &format!("/records/main/order/{id}")],
    );
    let compared = operator
        .get(&format!("/records/main/order/{id}?compare=now"))
        .await;
    all_in(
        &compared.text,
        &["is up to date", "No field differs.", "fields are the same"],
    );
    let line = live.erp.ledger().orders()[0].lines[0].id;
    let change = serde_json::json!([[line], { "price_unit": 11 }]);
    live.erp
        .as_admin("sale.order.line", "write", change, serde_json::json!({}))
        .unwrap();
    let compared = operator
        .get(&format!("/records/main/order/{id}?compare=now"))
        .await;
    all_in(
        &compared.text,
        &[
            "One field differs",
            "price_unit",
            "left as it is",
            "The totals differ.",
        ],
    );

    // A viewer sees that there is something, and no button that does anything.
    let viewer = live.rig.logged_in("viewer").await;
    let masked = viewer.get(&format!("/records/main/order/{id}?compare=now")).await;
    assert_eq!(masked.status, 200, "{}", masked.text);
    all_in(
        &masked.text,
        &[&name, "•••", "Customers' data is shown to operators only."],
    );
    for personal in ["guest@example.com", "Ada", "alert(1)", "10117"] {
        assert!(!masked.text.contains(personal), "{personal}: {}", masked.text);
    }
    // Looked for by either name.
    for text in [name.as_str(), erp_name.as_str(), &id.to_string()] {
        let found = operator
            .get(&format!(
                "/records?shop=main&object=order&q={}",
                percent_encoded(text)
            ))
            .await;
        let place = found.location.as_deref();
        assert_eq!(
            place,
            Some(format!("/records/main/order/{id}").as_str()),
            "{text}: {}",
            found.text
        );
    }
    let nowhere = operator
        .get("/records?shop=main&object=order&q=%3Cscript%3E")
        .await;
    all_in(&nowhere.text, &["role=\"alert\"", "&#60;script&#62;"]);
    // What was asked for is in the audit log.
    let audit = operator.get("/audit").await;
    all_in(&audit.text, &["asked to carry it over now"]);

    // The same for programs, masked by role like the page.
    let ask = async |token: &str, rest: &str| {
        let address = operator.address(&format!("/api/v1/records/main/order/{rest}"));
        let request = live.rig.client.get(address).bearer_auth(token);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<serde_json::Value>().await.unwrap())
    };
    let (_, answer) = ask(OPERATOR, &format!("{id}?compare=now")).await;
    assert_eq!(answer["sentence"], sentence, "{answer}");
    assert_eq!(answer["order"]["erp"]["record"]["name"], erp_name);
    let differences = &answer["comparison"]["ways"][0]["differences"];
    assert_eq!(differences[0]["field"], "price_unit");
    assert_eq!(differences.as_array().unwrap().len(), 1);
    assert!(answer.to_string().contains("guest@example.com"), "{answer}");
    let (status, masked) = ask(VIEWER, &format!("{id}?compare=now")).await;
    assert_eq!(status, 200, "{masked}");
    assert!(!masked.to_string().contains("guest@example.com"), "{masked}");
    let (_, offline) = ask(OPERATOR, &format!("{id}?live=no")).await;
    assert!(
        offline["order"].is_null() && offline["comparison"].is_null(),
        "{offline}"
    );
    assert_eq!(ask(VIEWER, "1").await.0, 404);
    assert_eq!(ask(VIEWER, "x").await.0, 400);
    live.stop().await;
}

/// A record with something of everything.
fn sample() -> Record {
    let at = Timestamp::parse_rfc3339("2026-12-01T09:00:00Z").unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let facts = |name: &str, state: &str| OrderFacts {
        name: name.to_owned(),
        state: state.to_owned(),
        ordered_at: Some(at),
        amounts: Amounts {
            total: "64.87 EUR".into(),
            tax: "10.36 EUR".into(),
            paid: "64.87 EUR".into(),
            refunded: "0.00 EUR".into(),
            open: "0.00 EUR".into(),
        },
        buyer: Some(Person {
            name: "Ada Lovelace".into(),
            email: Some("ada@example.com".into()),
            phone: None,
        }),
        billing: texts(&["Ada Byron", "Unter den Linden 1", "10117 Berlin", "DE"]),
        shipping: texts(&["Ada Lovelace", "Unter den Linden 1", "10117 Berlin", "DE"]),
        shipments: vec![Shipment {
            name: "parcel 7".into(),
            state: "sent".into(),
            carrier: Some("DHL".into()),
            tracking: texts(&["00340434"]),
            made_at: Some(at),
            units: "3".into(),
        }],
        documents: Vec::new(),
        note: None,
    };
    let line = |title: &str| LineFacts {
        title: title.to_owned(),
        quantity: "3".into(),
        unit_price: "19.99".into(),
        total: "59.97".into(),
        delivered: None,
    };
    let row = |field: &str, shopify: &str, erp: &str| ComparedRow {
        record: "sale.order.line 12".into(),
        part: "line_1".into(),
        field: field.to_owned(),
        shopify: shopify.to_owned(),
        erp: erp.to_owned(),
        is_written: false,
    };
    Record {
        shop: "main".parse().unwrap(),
        object: Object::Order,
        id: "1042".into(),
        name: "#1042".into(),
        sentence: "Order #1042 is in the ERP as S00042; on Shopify it is paid and sent with DHL.".into(),
        references: References::default(),
        order: Some(OrderSides {
            shopify: Side::Held {
                record: Box::new(facts("#1042", "paid, fulfilled")),
            },
            erp: Side::Silent {
                reason: "no answer within 8 s".into(),
            },
            lines: vec![LinePair {
                key: Some("line_1".into()),
                shopify: Some(line("Shirt - M")),
                erp: None,
            }],
            totals_agree: Some(false),
            progress: None,
        }),
        comparison: Some(Compared {
            ways: vec![Way {
                direction: Direction::In,
                is_carried: true,
                verdict: "S00042 is up to date".into(),
                differences: vec![row("price_unit", "19.99", "25")],
                agreed: vec![row("name", "Shirt", "SHIRT")],
                same: vec![row("product_uom_qty", "3", "3")],
                acts: texts(&["invoice: everything"]),
                problem: None,
            }],
            failure: None,
        }),
        jobs: Vec::new(),
        written: None,
        events: vec![EventFacts {
            id: 3,
            topic: "orders/create".into(),
            received_at: at,
            job: JobId(7),
        }],
        link: Some(LinkFacts {
            model: "sale.order".into(),
            erp_id: 42,
            state: crate::domain::LinkState::Linked,
            source_updated_at: Some(at),
            agreed: serde_json::json!({ "confirmed": true }),
            agreed_out: serde_json::Value::Null,
        }),
    }
}

#[test]
fn a_record_looks_as_it_did_for_both_kinds_of_people() {
    let now = Timestamp::parse_rfc3339("2026-12-01T10:00:00Z").unwrap();
    for (name, role, found) in [
        ("record", Role::Operator, sample()),
        ("record_masked", Role::Viewer, sample().masked()),
    ] {
        let visitor = Visitor {
            name: role.to_string(),
            role,
            form_token: "…".into(),
            session: String::new(),
        };
        let page = super::super::record::shown(&visitor, found, (true, role == Role::Viewer), None, now);
        let text = page
            .render()
            .unwrap()
            .replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        insta::assert_snapshot!(name, lines.join("\n"));
    }
}

#[test]
fn a_page_that_is_only_opened_says_why_it_has_no_sides() {
    let now = Timestamp::parse_rfc3339("2026-12-01T10:00:00Z").unwrap();
    let mut found = sample();
    found.object = Object::Customer;
    found.order = None;
    let way = &mut found.comparison.as_mut().unwrap().ways[0];
    way.verdict = "It needs a person".into();
    way.acts.clear();
    for rows in [&mut way.differences, &mut way.agreed, &mut way.same] {
        rows.clear();
    }
    way.problem = Some(NewProblem {
        code: "partner_ambiguous".into(),
        record: None,
        field: None,
        reason: "Two partners fit.".into(),
        fix: "Link one of them.".into(),
        owner: "it".into(),
        mapping: None,
        cluster: "partner_ambiguous".into(),
        detail: serde_json::json!({ "candidates": ["Ada Lovelace"] }),
    });
    for role in [Role::Operator, Role::Viewer] {
        let is_masked = role == Role::Viewer;
        let found = if is_masked {
            found.clone().masked()
        } else {
            found.clone()
        };
        let visitor = Visitor {
            name: role.to_string(),
            role,
            form_token: "…".into(),
            session: String::new(),
        };
        let page = super::super::record::shown(&visitor, found, (false, is_masked), None, now);
        let text = page.render().unwrap();
        all_in(
            &text,
            &["It needs a person", "Two partners fit.", "Link one of them."],
        );
        assert!(!text.contains("No field differs"), "{text}");
        assert!(!text.contains("Lovelace"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_record_is_previewed_with_the_files_as_they_stand() {
    let live = Live::new().await;
    let (id, name) = live.place("Lovelace");
    let operator = live.rig.logged_in("operator").await;
    let form = operator.get("/mappings/preview").await;
    all_in(
        &form.text,
        &["Show what would be written", "order, Shopify → ERP"],
    );
    let calls = live.erp.ledger().calls();
    for number in [name.as_str(), &id.to_string()] {
        let address = format!(
            "/mappings/preview?shop=main&what=order.in&number={}",
            percent_encoded(number)
        );
        let shown = operator.get(&address).await;
        all_in(
            &shown.text,
            &[
                "a sales order would be created and confirmed",
                "create sale.order.line",
                "price_unit",
                "How the amounts come to be",
                "Ada Lovelace",
            ],
        );
    }
    let written = live.erp.ledger().calls();
    let loads = |calls: &std::collections::BTreeMap<String, u64>| -> u64 {
        calls
            .iter()
            .filter(|(name, _)| name.contains("load"))
            .map(|(_, count)| count)
            .sum()
    };
    assert_eq!(loads(&written), loads(&calls));
    assert!(live.erp.ledger().orders().is_empty());
    for (query, told) in [
        ("shop=main&what=order.in&number=%231", "has no order named #1"),
        ("shop=main&what=order.in&number=1", "Shopify has no order 1"),
        ("shop=main&what=customer.out&number=x", "named by the number"),
    ] {
        let shown = operator.get(&format!("/mappings/preview?{query}")).await;
        assert_eq!(shown.status, 200, "{query}");
        all_in(&shown.text, &["role=\"alert\"", told]);
    }
    for (query, status) in [
        ("shop=other&what=order.in&number=1", 404),
        ("shop=main&what=order.out&number=1", 404),
    ] {
        assert_eq!(
            operator.get(&format!("/mappings/preview?{query}")).await.status,
            status,
            "{query}"
        );
    }
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_told_while_neither_side_answers() {
    let rig = Rig::new().await;
    let job = rig.problem("1042", "No tax of 21 % is known.").await;
    let operator = rig.logged_in("operator").await;
    let page = operator.get("/records/main/order/1042?compare=now").await;
    assert_eq!(page.status, 200, "{}", page.text);
    all_in(
        &page.text,
        &[
            "Shopify cannot be asked at the moment",
            "could not be compared",
            "needs a person: No tax of 21 % is known.",
            &format!("/jobs/{job}"),
            "/events/1",
        ],
    );
    for (path, status) in [
        ("/records/main/order/7", 404),
        ("/records/main/order/x", 404),
        ("/records/main/inventory/7", 404),
        ("/records/other/order/1042", 404),
        ("/records?object=order", 200),
        ("/records?object=shop", 404),
    ] {
        let answer = operator.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains("<main"), "{path}: {}", answer.text);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_why_page_has_the_one_fitting_button() {
    let rig = Rig::new().await;
    let job = rig.problem("1042", "No tax of 21 % is known.").await;
    let operator = rig.logged_in("operator").await;
    let viewer = rig.logged_in("viewer").await;
    let why = "/why?q=1042";
    let retry = format!("action=\"/jobs/{job}/retry\"");
    let shown = operator.get(why).await;
    all_in(&shown.text, &[&retry, "Try again now"]);
    let shown = viewer.get(why).await;
    assert!(!shown.text.contains(&retry), "{}", shown.text);
    all_in(&shown.text, &["See what happened", &format!("/jobs/{job}")]);
    // The button does what it says.
    let token = operator.token().await;
    let seen = |text: &str| {
        let (_, rest) = text.split_once("name=\"seen\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let state = seen(&operator.get(why).await.text);
    let reason = [
        ("form_token", token.as_str()),
        ("seen", &state),
        ("reason", "later"),
    ];
    let held = operator.post(&format!("/jobs/{job}/hold"), &reason).await;
    assert!(held.location.unwrap().ends_with("notice=held"));
    let shown = operator.get(why).await;
    all_in(
        &shown.text,
        &[&format!("action=\"/jobs/{job}/release\""), "Let it go on"],
    );
    assert!(!shown.text.contains(&retry), "one button only: {}", shown.text);
    rig.stop().await;
}
