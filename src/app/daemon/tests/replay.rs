//! What another version of the mappings would change: looked at beside a running daemon.

use std::path::Path;

use super::between::Between;
use super::*;
use crate::app::replay::{Replay, ReplayedExample, replay};
use crate::domain::Clock as _;
use crate::store::JobFilter;

/// A folder with a version of the customers' mapping.
fn version(folder: &Path, changed: impl Fn(&str) -> String) {
    let shipped = crate::mapping::DEFAULTS
        .iter()
        .find(|(file, _)| *file == "customer.in.toml")
        .unwrap();
    std::fs::write(folder.join(shipped.0), changed(shipped.1)).unwrap();
}

#[tokio::test]
async fn what_another_mapping_would_change_is_counted_and_nothing_is_written() {
    let world = Between::new("main").await;
    for name in ["ada", "grace", "joan"] {
        let id = world.new_customer(&format!("{name}@example.com"));
        let body = format!(r#"{{"id": {id}, "admin_graphql_api_id": "gid://shopify/Customer/{id}"}}"#);
        world.deliver("customers/create", &body).await;
        world
            .job_is(Object::Customer, &id.to_string(), JobState::Completed)
            .await;
    }
    let config = world.config();
    let shop = &config.shops[&world.name];
    let clock: SharedClock = Arc::new(world.clock.clone());
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let folder = tempfile::tempdir().unwrap();
    let wanted = Replay {
        since: world.clock.now().minus(Duration::from_secs(3600)),
        until: None,
        object: Some(Object::Customer),
        mappings: Some(folder.path().to_owned()),
        limit: 100,
    };
    let before = world.daemon.store.jobs(JobFilter::default()).await.unwrap().len();
    let calls = world.erp.ledger().calls();

    // The same, in other words.
    version(folder.path(), |text| format!("{text}\n# the same\n"));
    let same = replay(&config, shop, &wanted, (&clock, &entropy), &|_, _| ())
        .await
        .unwrap();
    assert!(same.changes_nothing() && same.from != same.to, "{same:?}");
    assert_eq!(same.lanes[0].records, 3);

    // Another name for all of them, and a field that two have no value for.
    version(folder.path(), |text| {
        let text = text.replace(
            "name = \"customer.display_name\"",
            "name = \"customer.display_name | upper\"",
        );
        assert!(text.contains("| upper"), "{text}");
        text
    });
    let changed = replay(&config, shop, &wanted, (&clock, &entropy), &|_, _| ())
        .await
        .unwrap();
    let lane = &changed.lanes[0];
    assert_eq!((lane.records, lane.changed, lane.unread), (3, 3, 0), "{lane:?}");
    assert_eq!(lane.fields.len(), 1, "{lane:?}");
    let name = &lane.fields[0];
    assert_eq!(
        (name.model.as_str(), name.field.as_str(), name.records),
        ("res.partner", "name", 3)
    );
    let ReplayedExample { old, new, .. } = &name.examples[0];
    assert_eq!(
        (old.as_deref(), new.as_deref()),
        (Some("Ada Lovelace"), Some("ADA LOVELACE"))
    );
    let masked = changed.clone().masked();
    let ReplayedExample { record, old, new } = &masked.lanes[0].fields[0].examples[0];
    assert_eq!((old.as_deref(), new.as_deref()), (Some("•••"), Some("•••")));
    assert!(record.parse::<u64>().is_ok(), "a number is told: {record}");
    assert!(!format!("{masked:?}").contains("LOVELACE"), "{masked:?}");
    let of_one = Replay {
        limit: 1,
        ..wanted.clone()
    };
    let limited = replay(&config, shop, &of_one, (&clock, &entropy), &|_, _| ())
        .await
        .unwrap();
    assert!(limited.is_limited && limited.lanes[0].records == 1);

    // Nothing of it was written, on either side or in the store.
    assert_eq!(
        world.daemon.store.jobs(JobFilter::default()).await.unwrap().len(),
        before
    );
    let now = world.erp.ledger().calls();
    let written: Vec<_> = now
        .iter()
        .filter(|(call, count)| calls.get(*call) != Some(count))
        .filter(|(call, _)| {
            ["write", "create", "load", "unlink"]
                .iter()
                .any(|word| call.contains(word))
        })
        .collect();
    assert!(written.is_empty(), "{written:?}");

    // A version with a mistake is refused as anywhere.
    version(folder.path(), |_| "version = 1\nthis is broken".to_owned());
    let refused = replay(&config, shop, &wanted, (&clock, &entropy), &|_, _| ()).await;
    assert!(matches!(
        refused,
        Err(crate::app::replay::ReplayError::Wire(StartError::Mappings(_)))
    ));
    world.daemon.stop().await;
}
