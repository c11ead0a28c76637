//! The page that tells what happens when something fails.

use super::*;
use crate::store::{Tally, TallyKind, hour_of};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_when_something_fails_is_told_with_what_was_measured() {
    let rig = Rig::new().await;
    let viewer = rig.logged_in("viewer").await;
    let runs = viewer.get("/runs").await;
    assert!(runs.text.contains("<a href=\"/recovery\">"), "{}", runs.text);
    let page = viewer.get("/recovery").await;
    assert_eq!(page.status, 200, "{}", page.text);
    for part in [
        "<h1>If something fails</h1>",
        "Nothing was measured yet",
        "<h3>The ERP is down</h3>",
        "<h3>Shopify is down</h3>",
        "<h3>lockstep is down</h3>",
        "<dt>For a weekend</dt>",
        "<code>lockstep status</code>",
        "aria-label=\"Owners of main\"",
    ] {
        assert!(page.text.contains(part), "{part}\n{}", page.text);
    }
    let hour = hour_of(Timestamp::parse_rfc3339("2026-12-01T08:00:00Z").unwrap());
    let shop: crate::domain::ShopName = "main".parse().unwrap();
    let tally = |kind, lane, count| Tally {
        hour,
        shop: shop.clone(),
        lane,
        kind,
        bound_ms: 0,
        count,
    };
    rig.store
        .add_tallies(vec![
            tally(TallyKind::Answered, None, 77),
            tally(TallyKind::Completed, Some((Object::Order, Direction::In)), 41),
        ])
        .await
        .unwrap();
    let page = viewer.get("/recovery").await;
    assert!(page.text.contains("77 in the busiest hour"), "{}", page.text);
    assert!(page.text.contains("41 of them in the best hour"), "{}", page.text);
    rig.stop().await;
}
