//! Everything is asked for together with the switch (`toggle … out on --push-all`), where switching off discards what waits.

use std::collections::BTreeSet;

use super::*;
use crate::domain::ErpId;

const PRODUCTS: i64 = 2;

fn write(place: &Place, out: &str) {
    let products = format!("products = {{ in = \"off\", out = \"{out}\", when_off = \"discard\" }}\n");
    let text = Place::text("{ in = \"on\" }", "") + &products;
    std::fs::write(place.path(), text).unwrap();
}

/// As the command does it: the file first, and then the jobs, whether anybody has noticed the file or not.
async fn switch_on_and_push(place: &Place) {
    write(place, "on");
    let config = Config::load(&place.path()).unwrap();
    let store = crate::app::open(&config, &system_clock(), OpenMode::Tool)
        .await
        .unwrap();
    let records: BTreeSet<ErpId> = (1..=PRODUCTS).map(ErpId).collect();
    let shop: ShopName = "main".parse().unwrap();
    let clock = system_clock();
    let pushed = crate::app::push::push(&store, &clock, &shop, Object::Product, &records).await;
    assert_eq!(pushed.unwrap().records, 2);
    store.close().await;
}

/// The jobs of products were tried (nobody answers), and none was given up.
async fn are_tried(daemon: &Daemon, case: &str) {
    until(case, async || {
        let filter = JobFilter {
            object: Some(Object::Product),
            ..JobFilter::default()
        };
        let jobs = daemon.store.jobs(filter).await.unwrap();
        let states: Vec<JobState> = jobs.into_iter().map(|job| job.state).collect();
        assert!(!states.contains(&JobState::Discarded), "{case}: {states:?}");
        states.len() == 2 && !states.contains(&JobState::Available)
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_for_with_a_switch_is_not_discarded_by_the_one_before() {
    for case in ["off was acted on", "off was never noticed", "nothing ran"] {
        let place = Place::new();
        write(&place, "on");
        let mut daemon = place.start(system_clock()).await.unwrap();
        match case {
            "off was acted on" => {
                write(&place, "off");
                daemon.reload().await.unwrap();
                switch_on_and_push(&place).await;
                daemon.reload().await.unwrap();
            }
            "off was never noticed" => {
                write(&place, "off");
                switch_on_and_push(&place).await;
                daemon.reload().await.unwrap();
            }
            _ => {
                daemon.stop().await;
                write(&place, "off");
                switch_on_and_push(&place).await;
                daemon = place.start(system_clock()).await.unwrap();
            }
        }
        are_tried(&daemon, case).await;
        daemon.stop().await;
        // Nor at the next start.
        let daemon = place.start(system_clock()).await.unwrap();
        are_tried(&daemon, case).await;
        daemon.stop().await;
    }
}
