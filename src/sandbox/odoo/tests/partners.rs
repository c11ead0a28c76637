//! Section 4, `res.partner`.

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::Version;

#[tokio::test]
async fn a_customer_comes_with_addresses_in_one_call() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let us = erp.by("res.country", "code", json!("US")).await;
        let states = erp
            .ok(
                "res.country.state",
                "search",
                json!([[["country_id", "=", us], ["code", "=", "CA"]]]),
            )
            .await;
        let ada = erp
            .create(
                "res.partner",
                json!({"name": "Ada", "email": "A@x.com", "phone": "+1 5", "customer_rank": 1, "country_id": us,
                    "state_id": states[0], "street": "1 Main", "zip": "90001", "lang": "en_US", "child_ids": [
                        [0, 0, {"type": "invoice", "name": "Billing", "street": "2 Side", "country_id": us}],
                        [0, 0, {"type": "delivery", "name": "Dock"}]]}),
            )
            .await;
        let partners = erp.sandbox.ledger().partners();
        let find = |kind: &str| {
            partners
                .iter()
                .find(|p| p.parent_id == Some(ada) && p.kind == kind)
                .unwrap()
        };
        let own = partners.iter().find(|partner| partner.id == ada).unwrap();
        assert_eq!(own.email_normalized.as_deref(), Some("a@x.com"));
        assert_eq!(
            (own.country.as_deref(), own.state.as_deref()),
            (Some("US"), Some("CA"))
        );
        assert_eq!((own.customer_rank, own.company_id), (1, None));
        // Addresses of their own kinds keep their own (or no) street.
        assert_eq!(
            (
                find("invoice").street.as_deref(),
                find("delivery").street.as_deref()
            ),
            (Some("2 Side"), None)
        );
        let addresses = erp
            .ok(
                "res.partner",
                "address_get",
                json!([[ada], ["invoice", "delivery"]]),
            )
            .await;
        assert_eq!(
            addresses,
            json!({"contact": ada, "invoice": find("invoice").id, "delivery": find("delivery").id})
        );
        let shown = erp
            .fields("res.partner", find("invoice").id, json!(["display_name"]))
            .await;
        assert_eq!(shown["display_name"], json!("Ada, Billing"));
        // A child of type contact takes over its parent's address.
        let clerk = erp
            .create(
                "res.partner",
                json!({"name": "C", "parent_id": ada, "street": "elsewhere"}),
            )
            .await;
        assert_eq!(
            erp.fields("res.partner", clerk, json!(["street"])).await["street"],
            json!("1 Main")
        );
    }
}

#[tokio::test]
async fn nothing_is_unique_about_an_email_and_only_one_address_normalises() {
    let erp = Erp::of(Version::V18).await;
    for (email, normalized) in [
        ("A@X.com", json!("a@x.com")),
        ("A@X.com", json!("a@x.com")),
        ("Ada <ada@x.com>", json!("ada@x.com")),
        ("a@x.com, b@x.com", json!(false)),
        ("nonsense", json!(false)),
    ] {
        let id = erp
            .create("res.partner", json!({"name": "Ada", "email": email}))
            .await;
        let read = erp
            .fields("res.partner", id, json!(["email", "email_normalized"]))
            .await;
        assert_eq!(
            (&read["email"], &read["email_normalized"]),
            (&json!(email), &normalized)
        );
    }
    let foreign_state = erp.by("res.country.state", "code", json!("ON")).await;
    erp.create(
        "res.partner",
        json!({"name": "Any", "country_id": 233, "state_id": foreign_state}),
    )
    .await;
}

#[tokio::test]
async fn deleting_a_customer_takes_drafts_along_on_18_only() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let ada = erp.create("res.partner", json!({"name": "Ada"})).await;
        erp.create("sale.order", json!({"partner_id": ada})).await;
        let deleted = erp.call("res.partner", "unlink", json!([[ada]]), json!({})).await;
        assert_eq!(deleted.is_ok(), version == Version::V18);
        assert_eq!(
            erp.sandbox.ledger().orders().len(),
            usize::from(version == Version::V19)
        );
        // A confirmed order keeps its customer everywhere.
        let bob = erp.create("res.partner", json!({"name": "Bob"})).await;
        let order = erp.create("sale.order", json!({"partner_id": bob})).await;
        erp.ok("sale.order", "action_confirm", json!([[order]])).await;
        assert_eq!(
            erp.err("res.partner", "unlink", json!([[bob]])).await,
            "odoo.exceptions.ValidationError"
        );
    }
}

#[tokio::test]
async fn archived_partners_hide_from_searches_not_from_reads() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let ada = erp.create("res.partner", json!({"name": "Zed"})).await;
        erp.ok("res.partner", "write", json!([[ada], {"active": false}]))
            .await;
        let search = async |named: Json| {
            erp.call("res.partner", "search", json!([[["id", "=", ada]]]), named)
                .await
                .unwrap()
        };
        assert_eq!(search(json!({})).await, json!([]));
        assert_eq!(
            search(json!({"context": {"active_test": false}})).await,
            json!([ada])
        );
        assert_eq!(
            erp.ok("res.partner", "read", json!([[ada], ["name"]])).await[0]["name"],
            json!("Zed")
        );
        erp.ok("res.partner", "action_unarchive", json!([[ada]])).await;
        assert_eq!(search(json!({})).await, json!([ada]));
        let found = erp
            .call("res.partner", "name_search", json!(["zE"]), json!({"limit": 5}))
            .await
            .unwrap();
        assert_eq!(found, json!([[ada, "Zed"]]));
    }
}

#[tokio::test]
async fn messages_are_posted_as_a_number_or_a_list() {
    for version in VERSIONS {
        let erp = Erp::of(version).await;
        let posted = erp
            .call(
                "res.partner",
                "message_post",
                json!([[1]]),
                json!({"body": "hello"}),
            )
            .await
            .unwrap();
        assert_eq!(posted.is_array(), version == Version::V19);
        let ids = erp.fields("res.partner", 1, json!(["message_ids"])).await["message_ids"].clone();
        let message = erp.ok("mail.message", "read", json!([ids, ["body"]])).await;
        assert_eq!(message[0]["body"], json!("<p>hello</p>"));
    }
}
