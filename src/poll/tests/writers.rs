//! Three writers at once, with transactions that become visible late, and a poller beside them.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::Rig;
use super::world::World;

/// Rows that are made; a third of them is written once more.
const ROWS: i64 = 10_000;

/// Rows of one transaction.
const BATCH: i64 = 150;

const SECOND: u64 = 1_000_000;

/// How long a transaction takes: most a moment, some longer than a poll's interval, a few nearly as long as windows overlap.
fn lasts(random: &mut StdRng) -> u64 {
    match random.random_range(0..20) {
        0 => random.random_range(120 * SECOND..580 * SECOND),
        1..6 => random.random_range(SECOND..60 * SECOND),
        _ => random.random_range(1_000..SECOND),
    }
}

/// Polls beside the writers until all is quiet; what the jobs of each poll would have read, by record, and the polls made.
async fn race(by_second: bool, rows: i64, seed: u64) -> (Rig, BTreeMap<i64, String>, u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let rig = Rig::new(World::new(by_second, 40_000)).await;
    rig.world.write(1, "before");
    assert!(rig.poll().await.began);
    let mut synced = BTreeMap::from([(1, "before".to_owned())]);
    let (mut next, mut version, mut polls) = (2, 0, 0);
    while next < rows || rig.world.is_busy() {
        // The three begin within the same moment, so that seconds are shared.
        for _ in 0..3 {
            version += 1;
            let name = format!("version {version}");
            let until = (next + BATCH).min(rows + 1);
            let again: Vec<i64> = (0..BATCH / 3).map(|_| random.random_range(1..next)).collect();
            if next <= rows {
                rig.world
                    .begin((next..until).chain(again), &name, lasts(&mut random));
                next = until;
            }
            rig.world.advance(random.random_range(0..300_000));
        }
        // Once nobody begins any more, the long ones are waited for.
        let pause = if next <= rows { 1..8 } else { 40..90 };
        rig.wait(random.random_range(pause));
        poll_and_work(&rig, &mut synced).await;
        polls += 1;
    }
    // Until everything has left the window.
    for _ in 0..8 {
        rig.wait(90);
        rig.world.write(1, &format!("tick {polls}"));
        poll_and_work(&rig, &mut synced).await;
        polls += 1;
    }
    (rig, synced, polls)
}

async fn poll_and_work(rig: &Rig, synced: &mut BTreeMap<i64, String>) {
    rig.poll().await;
    for id in rig.work().await {
        if let Some(name) = rig.world.name(id) {
            synced.insert(id, name);
        }
    }
}

/// The records whose last version no job has seen.
fn missed(rig: &Rig, synced: &BTreeMap<i64, String>) -> Vec<i64> {
    let names = rig.world.names();
    let missed = names.iter().filter(|(id, name)| synced.get(id) != Some(name));
    missed.map(|(id, _)| *id).collect()
}

async fn none_is_missed(by_second: bool) {
    let (rig, synced, polls) = race(by_second, ROWS, 7).await;
    assert_eq!(synced.len(), usize::try_from(ROWS).unwrap());
    assert_eq!(missed(&rig, &synced), [] as [i64; 0]);
    let calls = rig.world.take_calls();
    let pages = calls.iter().filter(|call| **call == "changed").count() as u64;
    // A poll that followed the writers instead of its window would never end, or page on and on.
    assert!(pages <= polls * 11, "{pages} pages in {polls} polls");
    // Afterwards it costs next to nothing.
    rig.wait(15);
    rig.poll().await;
    rig.wait(15);
    rig.world.take_calls();
    rig.poll().await;
    assert_eq!(rig.world.take_calls(), ["newest", "changed"]);
}

#[tokio::test]
async fn of_ten_thousand_rows_of_three_writers_none_is_missed_where_microseconds_are_compared() {
    none_is_missed(false).await;
}

#[tokio::test]
async fn of_ten_thousand_rows_of_three_writers_none_is_missed_where_seconds_are_compared() {
    none_is_missed(true).await;
}

#[tokio::test]
async fn many_short_histories_miss_nothing() {
    for seed in 0..12 {
        let (rig, synced, _) = race(seed % 2 == 0, 400, seed).await;
        assert_eq!(missed(&rig, &synced), [] as [i64; 0], "seed {seed}");
    }
}
