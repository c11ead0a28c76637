//! The golden suite: every order in `fixtures/orders/` runs through the whole pipeline, and what then stands in the ERP's own
//! books is compared with what the fixture says must stand there, on both protocols, step by step and all at once.

mod actual;
mod coherence;
mod compare;
mod covers;
mod declared;
mod fixture;
mod random;
mod snapshots;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::*;
use compare::{Difference, differences};
use fixture::{Fixture, Only};
use serde_json::Value as Json;
use world::World;

/// Fixtures under way at the same time.
const AT_ONCE: usize = 8;

/// How one run ended.
struct Verdict {
    state: String,
    total: String,
    differences: Vec<Difference>,
}

async fn judge(fixture: &Fixture, version: Version, only: Only) -> Verdict {
    let nothing = |difference| Verdict {
        state: "-".into(),
        total: "-".into(),
        differences: vec![difference],
    };
    let world = match World::of(fixture, version).await {
        Ok(world) => world,
        Err(difference) => return nothing(difference),
    };
    if let Err(difference) = world.run(fixture, only).await {
        return nothing(difference);
    }
    let actual = world.actual().await;
    let text = |key: &str| actual[key].as_str().unwrap_or("-").to_owned();
    let mut found = differences(&fixture.expected(only, version.major()), &actual);
    if !found.is_empty()
        && let Some(problem) = world.job().await.problem
    {
        found.push(Difference::new(
            "because",
            "-",
            format!("{}: {}", problem.field.unwrap_or_default(), problem.reason),
        ));
    }
    // JSON-2 knows no login: its calls carry the key.
    if (world.bench.erp.ledger().authentications() == 0) != (version == Version::V19) {
        found.push(Difference::new("protocol", version.major(), "the other one"));
    }
    Verdict {
        state: text("state"),
        total: text("total"),
        differences: found,
    }
}

/// Every run of every fixture, in parallel; by fixture, way and version.
async fn judge_all(fixtures: Vec<Fixture>) -> BTreeMap<(String, &'static str, u32), Verdict> {
    let gate = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    for fixture in fixtures.into_iter().map(Arc::new) {
        for (only, way) in [(Only::Stepwise, "steps"), (Only::AtOnce, "at once")] {
            if !fixture.runs(only) {
                continue;
            }
            for version in [Version::V18, Version::V19] {
                let (fixture, gate) = (Arc::clone(&fixture), Arc::clone(&gate));
                tasks.spawn(async move {
                    let _permit = gate.acquire_owned().await;
                    let verdict = judge(&fixture, version, only).await;
                    ((fixture.name.clone(), way, version.major()), verdict)
                });
            }
        }
    }
    let mut verdicts = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (key, verdict) = done.expect("a run does not panic");
        verdicts.insert(key, verdict);
    }
    verdicts
}

fn table(fixtures: &[Fixture], verdicts: &BTreeMap<(String, &'static str, u32), Verdict>) -> String {
    let mut table = String::new();
    let sign = |verdict: Option<&Verdict>| match verdict {
        None => "-",
        Some(verdict) if verdict.differences.is_empty() => "ok",
        Some(_) => "WRONG",
    };
    let _ = writeln!(
        table,
        "{:44} {:8} {:6} {:6} {:10} {:>10}  what",
        "fixture", "way", "18", "19", "state", "total"
    );
    for fixture in fixtures {
        for way in ["steps", "at once"] {
            let of = |major| verdicts.get(&(fixture.name.clone(), way, major));
            let Some(shown) = of(18).or(of(19)) else {
                continue;
            };
            let about: String = fixture.about.chars().take(60).collect();
            let _ = writeln!(
                table,
                "{:44} {:8} {:6} {:6} {:10} {:>10}  {about}",
                fixture.name,
                way,
                sign(of(18)),
                sign(of(19)),
                shown.state,
                shown.total,
            );
        }
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_golden_order_ends_in_the_erp_as_it_must() {
    let (fixtures, wrong) = fixture::all();
    let verdicts = judge_all(fixtures.clone()).await;
    println!("{}", table(&fixtures, &verdicts));
    let mut report = wrong.join("\n");
    let mut failed = 0;
    for ((name, way, major), verdict) in &verdicts {
        if !verdict.differences.is_empty() {
            failed += 1;
            let _ = write!(report, "\n{name} ({way}, {major}):");
            for difference in &verdict.differences {
                let _ = write!(report, "\n    {difference}");
            }
        }
    }
    println!("{} runs, {failed} wrong", verdicts.len());
    assert!(
        !verdicts.is_empty() && report.is_empty(),
        "{failed} of {} runs:{report}",
        verdicts.len()
    );
}

/// A fixture that is right, for changing it.
fn sample() -> String {
    std::fs::read_to_string(fixture::folder().join("93_paid_tax_included.json")).unwrap()
}

#[tokio::test]
async fn a_golden_order_that_expects_something_else_is_seen() {
    for (pointer, value, said) in [
        ("/expect/total", "29.98", "total: wanted 29.98, found 29.97"),
        ("/expect/tax", "4.99", "tax: wanted 4.99, found 5"),
        ("/expect/untaxed", "24.98", "untaxed: wanted 24.98, found 24.97"),
        ("/expect/taxes/20", "5.01", "taxes: wanted"),
        ("/expect/lines/0/total", "29.96", "lines: wanted"),
        ("/expect/lines/0/product", "NOTE", "lines: wanted"),
        ("/expect/lines/0/quantity", "2", "lines: wanted"),
        (
            "/expect/state",
            "quotation",
            "state: wanted quotation, found confirmed",
        ),
        ("/expect/currency", "USD", "currency: wanted USD, found EUR"),
        (
            "/expect/problem",
            "tax_not_found",
            "problem: wanted tax_not_found, found nothing",
        ),
        ("/expect/skipped", "test", "skipped: wanted test, found nothing"),
        (
            "/expect/partner/email",
            "eve@example.com",
            "partner.email: wanted eve@example.com",
        ),
        (
            "/expect/delivery_address/city",
            "Bonn",
            "delivery_address.city: wanted Bonn",
        ),
        (
            "/expect/order_fields/client_order_ref",
            "#1",
            "order_fields.client_order_ref: wanted #1",
        ),
        ("/order/lineItems/0/originalUnitPriceSet", "9.98", "total"),
    ] {
        let mut json: Json = serde_json::from_str(&sample()).unwrap();
        *json.pointer_mut(pointer).unwrap() = value.into();
        let fixture = Fixture::parse("changed", &json.to_string()).unwrap();
        let verdict = judge(&fixture, Version::V19, Only::Stepwise).await;
        let told: Vec<String> = verdict.differences.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(said)), "{pointer}: {told:?}");
    }
}
