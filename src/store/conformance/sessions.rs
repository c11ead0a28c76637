//! Sessions of the console.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::START;
use crate::domain::Timestamp;
use crate::store::SessionRow;

fn row(id: &str, at: Timestamp) -> SessionRow {
    SessionRow {
        id: id.to_owned(),
        account: "ada".to_owned(),
        stamp: "stamp".to_owned(),
        created_at: at,
        seen_at: at,
    }
}

pub(super) async fn a_session_lives_until_it_is_closed_or_idle(fixture: Fixture) {
    let store = &fixture.store;
    let minute = |n: u64| START.plus(Duration::from_secs(60 * n));
    store.open_session(row("a", START), START).await.unwrap();
    store.open_session(row("b", START), START).await.unwrap();
    assert_eq!(store.session("a").await.unwrap(), Some(row("a", START)));
    assert_eq!(store.session("c").await.unwrap(), None);
    // Of two requests the later one counts, whichever is noted last.
    store.see_session("a", minute(5)).await.unwrap();
    store.see_session("a", minute(3)).await.unwrap();
    assert_eq!(store.session("a").await.unwrap().unwrap().seen_at, minute(5));
    // Whoever logs in sweeps out what is idle.
    store.open_session(row("d", minute(6)), minute(4)).await.unwrap();
    assert_eq!(store.session("b").await.unwrap(), None);
    store.close_session("a").await.unwrap();
    store.close_session("a").await.unwrap();
    // A request that was under way does not bring it back.
    store.see_session("a", minute(7)).await.unwrap();
    assert_eq!(store.session("a").await.unwrap(), None);
    assert!(store.session("d").await.unwrap().is_some());
}

pub(super) async fn an_id_stands_for_one_session(fixture: Fixture) {
    let store = &fixture.store;
    store.open_session(row("a", START), START).await.unwrap();
    store.open_session(row("a", START), START).await.unwrap_err();
}
