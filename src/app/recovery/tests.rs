use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::domain::{Direction, ManualClock, Object};
use crate::store::testing::open_temp;
use crate::store::{Tally, TallyKind, hour_of};

/// 2026-11-25T12:00:00Z, a Wednesday.
const NOON: Timestamp = Timestamp::from_millis(1_795_608_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// 2026-11-20T18:00:00Z, the last Friday's evening.
const FRIDAY: Timestamp = Timestamp::from_millis(1_795_197_600_000);

fn config(shop: &str, rest: &str) -> Config {
    let text = format!(
        "[shops.main]
domain = \"main-store.myshopify.com\"
access_token = \"token\"
webhook_secrets = [\"secret\"]
owner = \"shopkeeper\"
{shop}
[shops.main.odoo]
url = \"http://127.0.0.1:9\"
database = \"prod\"
login = \"connector@example.com\"
api_key = \"key\"
[shops.main.sync]
orders = {{ in = \"on\" }}
products = {{ in = \"on\", out = \"on\" }}
{rest}"
    );
    Config::parse(&text, Path::new("/nowhere/lockstep.toml"), &|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn tally(hour: Timestamp, kind: TallyKind, direction: Option<Direction>, count: u64) -> Tally {
    Tally {
        hour: hour_of(hour),
        shop: "main".parse().unwrap(),
        lane: direction.map(|direction| (Object::Order, direction)),
        kind,
        bound_ms: 0,
        count,
    }
}

/// What was counted in an hour: deliveries, jobs in, jobs out.
fn counted(hour: Timestamp, deliveries: u64, jobs_in: u64, jobs_out: u64) -> Vec<Tally> {
    vec![
        tally(hour, TallyKind::Answered, None, deliveries),
        tally(hour, TallyKind::Completed, Some(Direction::In), jobs_in),
        tally(hour, TallyKind::Completed, Some(Direction::Out), jobs_out),
    ]
}

async fn plan(config: &Config, tallies: Vec<Tally>) -> ShopRecovery {
    let (_folder, store) = open_temp(Arc::new(ManualClock::new(NOON))).await;
    store.add_tallies(tallies).await.unwrap();
    let mappings = crate::app::mappings::load(None).unwrap();
    let mut plan = recovery(config, &mappings, &store, None, NOON).await.unwrap();
    assert_eq!(plan.shops.len(), 1);
    plan.shops.remove(0)
}

fn waiting(shop: &ShopRecovery, down: Down, length: Length) -> Waiting {
    let outage = shop.outages.iter().find(|outage| outage.down == down).unwrap();
    let after = outage
        .lengths
        .iter()
        .find(|after| after.length == length)
        .unwrap();
    after.waiting.clone()
}

fn text(shop: ShopRecovery) -> String {
    let shops = vec![shop];
    Recovery { now: NOON, shops }.markdown()
}

#[tokio::test]
async fn a_plan_is_told_with_the_numbers_and_owners_of_this_installation() {
    let config = config(
        "time_zone = \"Europe/Berlin\"",
        "[alerts]\nemail = [\"ops@example.com\"]\n[alerts.smtp]\nhost = \"mail.example.com\"\nfrom = \"lockstep@example.com\"\n\
         [owners.accounting]\nemail = [\"books@example.com\"]\ncodes = [\"tax_not_found\"]\n",
    );
    let mut tallies = Vec::new();
    // Four weeks: ten deliveries each hour by day, one by night; what they make, and a little the other way.
    for hour in 1..=28 * 24_u32 {
        let at = NOON.minus(HOUR * hour);
        let is_day = (8..20).contains(&(at.millis() / 3_600_000 % 24));
        let many = if is_day { 10 } else { 1 };
        tallies.extend(counted(at, many, many - many / 5, u64::from(is_day)));
    }
    // Sixty jobs that found nothing to do are no sign of how fast work goes.
    tallies.push(tally(
        NOON.minus(HOUR),
        TallyKind::Obsolete,
        Some(Direction::In),
        60,
    ));
    let shop = plan(&config, tallies).await;
    assert_eq!(shop.measured.hours, 28 * 24);
    assert_eq!(
        waiting(&shop, Down::Erp, Length::Day),
        Waiting {
            basis: Basis::Measured { times: 27 * 24 + 1 },
            deliveries: Amount {
                usual: 132,
                most: 132
            },
            jobs: Amount {
                usual: 108,
                most: 108
            },
            // Twelve hours with eight jobs towards the ERP and twelve with one; eight were the most that were done in an hour
            // (nine with the other direction, which does not wait): 108 / 8 is thirteen hours and a half.
            usual_work_ms: Some(27 * 1_800_000),
            most_work_ms: Some(27 * 1_800_000),
        }
    );
    insta::assert_snapshot!("plan", text(shop));
}

#[tokio::test]
async fn what_was_not_measured_is_said() {
    let shop = plan(&config("", ""), Vec::new()).await;
    for down in Down::ALL {
        for length in Length::ALL {
            let waits = waiting(&shop, down, length);
            assert_eq!((waits.basis, waits.usual_work_ms), (Basis::Nothing, None));
        }
    }
    let told = text(shop);
    assert!(told.contains("Nothing was measured yet"), "{told}");
    assert!(
        told.contains("How much waits then was not measured yet."),
        "{told}"
    );
    assert!(
        told.contains("Nobody is told: neither [owners.shopkeeper] nor [alerts] says where."),
        "{told}"
    );

    // Ten hours: a day is reckoned from them, and the hour that is not over does not count.
    let mut tallies = counted(NOON, 1_000, 1_000, 1_000);
    for hour in 1..=10 {
        tallies.extend(counted(NOON.minus(HOUR * hour), 6, 4, 1));
    }
    let shop = plan(&config("", ""), tallies).await;
    let hour = waiting(&shop, Down::Lockstep, Length::Hour);
    assert_eq!(hour.basis, Basis::Measured { times: 10 });
    assert_eq!((hour.deliveries.usual, hour.jobs.usual), (6, 5));
    let day = waiting(&shop, Down::Lockstep, Length::Day);
    assert_eq!(day.basis, Basis::Reckoned { hours: 10 });
    assert_eq!((day.deliveries.usual, day.jobs.usual), (144, 120));
    // Without the ERP nothing comes from there.
    assert_eq!(waiting(&shop, Down::Erp, Length::Day).jobs.usual, 96);
    assert!(text(shop).contains("no such times of 24 hours were measured yet"));
}

#[tokio::test]
async fn a_weekend_is_one_by_the_shops_own_clocks() {
    // Half an hour before the weekend by one clock, within it by another; and one day of the week before.
    let edge = counted(FRIDAY.minus(HOUR), 8, 8, 0);
    let within = counted(FRIDAY.plus(DAY), 4, 4, 0);
    let older = counted(FRIDAY.minus(DAY * 12), 1, 1, 0);
    let tallies = [edge, within, older].concat();
    for (zone, expected) in [("UTC", (4, 4)), ("Europe/Berlin", (12, 12))] {
        let shop = plan(&config(&format!("time_zone = \"{zone}\""), ""), tallies.clone()).await;
        let weekend = waiting(&shop, Down::Lockstep, Length::Weekend);
        assert_eq!(weekend.basis, Basis::Measured { times: 2 }, "{zone}");
        assert_eq!((weekend.deliveries.most, weekend.jobs.most), expected, "{zone}");
        // The weekend before nothing came.
        assert_eq!(weekend.deliveries.usual, expected.0 / 2, "{zone}");
    }
}

#[tokio::test]
async fn the_plan_follows_the_configuration() {
    let of = |shop: &str, rest: &str| {
        let config = config(shop, rest);
        async move { plan(&config, Vec::new()).await }
    };
    let usual = of("", "").await;
    assert_eq!(usual.retries.attempts, 10);
    assert!(text(usual.clone()).contains("The delta run asks every 10 min"));
    let patient = of(
        "",
        "[queue.retry]\nmax_attempts = 4\nfirst_wait_s = 100\nfactor = 2\n",
    )
    .await;
    assert_eq!(
        patient.retries,
        Retries {
            attempts: 4,
            least_ms: 70_000,
            most_ms: 700_000
        }
    );
    for (shop, rest, told, not_told) in [
        (
            "",
            "[shops.main.runs]\ndelta = \"off\"\n",
            "Delta runs are off (`delta = \"off\"` in [shops.main.runs]): what no webhook tells of is noticed by the full run alone \
             (`0 3 * * *`, ",
            "The delta run asks",
        ),
        (
            "",
            "[shops.main.runs]\ndelta = \"off\"\nfull = \"off\"\n",
            "is noticed by nobody, since no full run is scheduled either",
            "by the full run alone",
        ),
        (
            "",
            "[queue.breaker]\nfailures = 7\nfirst_probe_s = 30\nlongest_probe_s = 600\n",
            "After 7 failures in a row the ERP counts as down",
            "After 3 failures",
        ),
        (
            "",
            "[owners.shopkeeper]\nemail = [\"ann@example.com\"]\n[alerts]\nbreaker_minutes = 15\n[alerts.smtp]\nhost = \
             \"mail.example.com\"\nfrom = \"lockstep@example.com\"\n",
            "shopkeeper is told at ann@example.com after 15 min",
            "Nobody is told: neither",
        ),
        (
            "",
            "",
            "The full run finds it (`0 3 * * *`, ",
            "No full run is scheduled",
        ),
        (
            "",
            "[shops.main.runs]\nfull = \"off\"\n",
            "No full run is scheduled (`full = \"off\"` in [shops.main.runs]).",
            "The full run finds it",
        ),
    ] {
        let text = text(of(shop, rest).await);
        assert!(text.contains(told), "{told}: {text}");
        assert!(!text.contains(not_told), "{not_told}: {text}");
    }
}
