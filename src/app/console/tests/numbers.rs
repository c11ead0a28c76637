//! What the overview says of the last day, and of an outage.

use super::*;
use crate::domain::System;
use crate::store::{BreakerRow, Tally, TallyKind, hour_of};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_day_is_shown_in_numbers_as_a_chart_and_as_a_table() {
    let rig = Rig::new().await;
    let viewer = rig.logged_in("viewer").await;
    let empty = viewer.get("/").await;
    assert!(!empty.text.contains("<svg"), "nothing was done yet");
    let hour = hour_of(Timestamp::parse_rfc3339("2026-12-01T08:00:00Z").unwrap());
    let tally = |kind, bound_ms, count| Tally {
        hour,
        shop: "main".parse().unwrap(),
        lane: Some((Object::Order, Direction::In)),
        kind,
        bound_ms,
        count,
    };
    rig.store
        .add_tallies(vec![
            tally(TallyKind::Completed, 0, 30),
            tally(TallyKind::Took, 1_500, 28),
            tally(TallyKind::Took, 90_000, 2),
            tally(TallyKind::Failed, 0, 2),
        ])
        .await
        .unwrap();
    let breaker = BreakerRow {
        shop: "main".parse().unwrap(),
        system: System::Erp,
        state: "open".to_owned(),
        since: Timestamp::parse_rfc3339("2026-12-01T09:30:00Z").unwrap(),
        reason: Some("<b>503</b>".to_owned()),
    };
    rig.store.save_breaker(breaker).await.unwrap();
    let page = viewer.get("/").await;
    for part in [
        "<div><dt>Went well</dt><dd>93 %</dd></div>",
        "<div><dt>Half within</dt><dd>1.5 s</dd></div>",
        "<div><dt>95 in 100 within</dt><dd>90.0 s</dd></div>",
        "role=\"img\" aria-labelledby=\"chart-main\"",
        "<title id=\"chart-main\">By the hour, from 11:00 to 10:00 UTC: above, 30 completed jobs and 2 that needed a person",
        "<rect class=\"done\"",
        "Jobs: up to 32 an hour",
        "95 in 100 within up to 90.0 s",
        "<span>11:00</span>",
        "<rect class=\"failed\"",
        "<tr><th scope=\"row\">08:00</th><td class=\"number\">30</td><td class=\"number\">2</td>",
        "No run has looked for missed changes yet",
        "the ERP has not answered for 30 min, since 2026-12-01 09:30:00Z",
        "No job waits, none is lost",
    ] {
        assert!(page.text.contains(part), "{part}\n{}", page.text);
    }
    assert!(!page.text.contains("<b>503</b>"), "what a system said is escaped");
    assert!(
        !page.text.contains("style="),
        "the policy allows no style in a page"
    );
    rig.stop().await;
}
