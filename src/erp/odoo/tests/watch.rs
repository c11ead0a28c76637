//! Changes as they are asked of both versions: what a window holds, in which order, and whose work it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::given::{VERSIONS, start, total_calls};
use crate::domain::{ErpId, Object, Timestamp};
use crate::erp::odoo::Odoo;
use crate::erp::{ChangedRow, Erp as _};
use crate::sandbox::odoo::{OdooSandbox, Options, Version};

/// 2026-01-01 00:00:00 UTC.
const START: i64 = 1_767_225_600;

/// A stand-in whose clock is moved by hand.
struct Place {
    erp: OdooSandbox,
    odoo: Odoo,
    micros: Arc<AtomicI64>,
}

impl Place {
    async fn new(version: Version) -> Self {
        let micros = Arc::new(AtomicI64::new(0));
        let hand = Arc::clone(&micros);
        let clock = Arc::new(move || moment(hand.load(Ordering::SeqCst)));
        let (erp, odoo) = start(Options {
            clock,
            ..Options::version(version)
        })
        .await;
        Self { erp, odoo, micros }
    }

    /// It is so many milliseconds after the start.
    fn at(&self, millis: i64) {
        self.micros.store(millis * 1_000, Ordering::SeqCst);
    }

    fn create(&self, model: &str, values: Value) -> i64 {
        let made = self
            .erp
            .as_admin(model, "create", json!([values]), json!({}))
            .unwrap();
        made.as_i64().unwrap()
    }

    fn write(&self, model: &str, id: i64, values: Value) {
        self.erp
            .as_admin(model, "write", json!([[id], values]), json!({}))
            .unwrap();
    }

    /// The rows of a window, in seconds after the start.
    async fn changed(&self, model: &str, owner: Option<&str>, since: i64, until: i64) -> Vec<ChangedRow> {
        self.odoo
            .changed(model, owner, second(since), second(until), None, 100)
            .await
            .unwrap()
    }

    async fn ids(&self, since: i64, until: i64) -> Vec<i64> {
        let rows = self.changed("res.partner", None, since, until).await;
        rows.iter().map(|row| row.id.0).collect()
    }
}

fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(START * 1_000_000 + micros).unwrap()
}

fn second(after: i64) -> Timestamp {
    Timestamp::from_millis((START + after) * 1_000)
}

#[tokio::test]
async fn a_window_of_whole_seconds_holds_its_first_and_not_its_last() {
    for version in VERSIONS {
        let place = Place::new(version).await;
        place.at(10_500);
        let early = place.create("res.partner", json!({"name": "early"}));
        place.at(10_999);
        let same = place.create("res.partner", json!({"name": "same second"}));
        place.at(11_000);
        let next = place.create("res.partner", json!({"name": "next"}));
        let newest = place.odoo.newest_change("res.partner").await.unwrap();
        assert_eq!(newest, Some(second(11)), "{version:?}");
        for (since, until, expected) in [
            (10, 11, vec![early, same]),
            (10, 12, vec![early, same, next]),
            (11, 12, vec![next]),
            (9, 10, vec![]),
        ] {
            assert_eq!(
                place.ids(since, until).await,
                expected,
                "{version:?} {since} to {until}"
            );
        }
        assert_eq!(
            place.changed("res.partner", None, 10, 11).await[1].at,
            second(10),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_transaction_that_took_long_has_the_time_at_which_it_began() {
    for version in VERSIONS {
        let place = Place::new(version).await;
        place.at(20_000);
        let quick = place.create("res.partner", json!({"name": "quick"}));
        assert_eq!(place.ids(0, 21).await.last(), Some(&quick));
        place.at(26_000);
        let values = json!([{"name": "late"}]);
        let late = place
            .erp
            .as_admin_since(moment(14_300_000), "res.partner", "create", values, json!({}))
            .unwrap();
        let late = late.as_i64().unwrap();
        assert_eq!(
            place.odoo.newest_change("res.partner").await.unwrap(),
            Some(second(20)),
            "it is not the newest"
        );
        assert_eq!(place.ids(14, 15).await, [late], "{version:?}");
    }
}

#[tokio::test]
async fn pages_go_by_ids_and_hold_archived_records() {
    for version in VERSIONS {
        let place = Place::new(version).await;
        place.at(50_000);
        let ids: Vec<i64> = (0..5)
            .map(|n| place.create("res.partner", json!({"name": format!("P{n}")})))
            .collect();
        // The first one is written last: its place in the order stays.
        place.at(50_900);
        place.write("res.partner", ids[0], json!({"active": false}));
        let page = async |after: Option<i64>| {
            let before = total_calls(&place.odoo);
            let rows = place
                .odoo
                .changed("res.partner", None, second(50), second(51), after.map(ErpId), 2)
                .await
                .unwrap();
            if after.is_some() {
                assert_eq!(total_calls(&place.odoo), before + 1, "one call for a page");
            }
            rows.iter().map(|row| row.id.0).collect::<Vec<_>>()
        };
        assert_eq!(page(None).await, ids[..2], "{version:?}");
        assert_eq!(page(Some(ids[1])).await, ids[2..4]);
        assert_eq!(page(Some(ids[3])).await, ids[4..]);
        assert_eq!(page(Some(ids[4])).await, [] as [i64; 0]);
        let before = total_calls(&place.odoo);
        place.odoo.newest_change("res.partner").await.unwrap();
        assert_eq!(total_calls(&place.odoo), before + 1);
        let all = place
            .odoo
            .all_ids("res.partner", None, Some(ErpId(ids[0] - 1)), 100)
            .await;
        let all: Vec<(i64, bool)> = all.unwrap().iter().map(|row| (row.id.0, row.active)).collect();
        let expected: Vec<(i64, bool)> = ids.iter().map(|id| (*id, *id != ids[0])).collect();
        assert_eq!(all, expected, "{version:?}");
    }
}

#[tokio::test]
async fn addresses_are_their_owners_work_and_people_their_own_too() {
    for version in VERSIONS {
        let place = Place::new(version).await;
        place.at(10_000);
        let company = place.create("res.partner", json!({"name": "C", "is_company": true}));
        place.at(20_000);
        let person = place.create("res.partner", json!({"name": "P", "parent_id": company}));
        let address = place.create(
            "res.partner",
            json!({"name": "A", "parent_id": company, "type": "delivery"}),
        );
        let rows = place.changed("res.partner", Some("parent_id"), 0, 21).await;
        let seen = |id: i64| {
            let row = rows.iter().find(|row| row.id.0 == id).unwrap();
            (row.owner.map(|id| id.0), row.alone)
        };
        assert_eq!(seen(company), (None, true), "{version:?}");
        assert_eq!(seen(person), (Some(company), true));
        assert_eq!(seen(address), (Some(company), false));
    }
}

/// Everything that is watched of an object can be asked of both versions, and shows what its parents do not.
#[tokio::test]
async fn what_no_parent_shows_is_watched_by_itself() {
    for version in VERSIONS {
        let place = Place::new(version).await;
        place.at(10_000);
        let attribute = place.create("product.attribute", json!({"name": "Colour"}));
        let red = place.create(
            "product.attribute.value",
            json!({"name": "Red", "attribute_id": attribute}),
        );
        let template = place.create(
            "product.template",
            json!({"name": "Hat", "attribute_line_ids": [[0, 0, {"attribute_id": attribute, "value_ids": [[6, 0, [red]]]}]]}),
        );
        let ask = json!([[["product_tmpl_id", "=", template]]]);
        let find = |model: &str| {
            let found = place
                .erp
                .as_admin(model, "search", ask.clone(), json!({}))
                .unwrap();
            found[0].as_i64().unwrap()
        };
        let (variant, value) = (find("product.product"), find("product.template.attribute.value"));
        let watched = place.odoo.watched(Object::Product);
        assert_eq!(watched.len(), 3);
        for (millis, model, id, values) in [
            (20_000, "product.product", variant, json!({"default_code": "HAT"})),
            (
                30_000,
                "product.template.attribute.value",
                value,
                json!({"price_extra": 5}),
            ),
        ] {
            place.at(millis);
            place.write(model, id, values);
            let mut concerned = Vec::new();
            for watched in &watched {
                let rows = place
                    .changed(watched.model, watched.owner, millis / 1_000, millis / 1_000 + 1)
                    .await;
                concerned.extend(rows.iter().map(|row| (watched.model, row.owner.map(|id| id.0))));
            }
            assert_eq!(concerned, [(model, Some(template))], "{version:?}");
        }
        // Versions differ in their fields: those that are not there are not asked for.
        for watched in watched {
            let rows = crate::poll::Watch::read(&place.odoo, watched.model, &[], &watched.fields).await;
            assert!(rows.unwrap().is_empty());
            let id = match watched.model {
                "product.template" => template,
                "product.product" => variant,
                _ => value,
            };
            let rows =
                crate::poll::Watch::read(&place.odoo, watched.model, &[ErpId(id)], &watched.fields).await;
            assert_eq!(rows.unwrap().len(), 1, "{version:?} {}", watched.model);
        }
    }
}

#[tokio::test]
async fn another_companys_records_are_not_looked_at() {
    for version in VERSIONS {
        let place = Place::new(version).await;
        place.at(10_000);
        let ours = place.create("res.partner", json!({"name": "ours", "company_id": 1}));
        let common = place.create("res.partner", json!({"name": "common"}));
        let company = json!([{"name": "Other", "currency_id": 1}]);
        if let Ok(other) = place.erp.as_admin("res.company", "create", company, json!({})) {
            place.create("res.partner", json!({"name": "theirs", "company_id": other}));
        }
        let seen = place.ids(10, 11).await;
        assert!(seen.contains(&ours) && seen.contains(&common), "{version:?}");
        let names = place
            .odoo
            .read(
                "res.partner",
                &seen.iter().map(|id| ErpId(*id)).collect::<Vec<_>>(),
                &["name".into()],
            )
            .await
            .unwrap();
        assert!(
            names.iter().all(|row| !format!("{row:?}").contains("theirs")),
            "{version:?}"
        );
    }
}
