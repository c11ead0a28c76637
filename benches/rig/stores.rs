//! Stores as production has them, and ends of attempts that do nothing.

use std::path::Path;
use std::sync::Arc;

use lockstep::domain::{Clock as _, SystemClock};
use lockstep::store::{ClaimedJob, Finish, OpenMode, Settings, SharedStore, Verdict, open};

pub(crate) async fn store(url: &str) -> SharedStore {
    let settings = Settings {
        url: url.to_owned(),
        ..Settings::default()
    };
    open(&settings, Path::new("."), Arc::new(SystemClock), OpenMode::Serve)
        .await
        .expect("the store opens")
}

/// A fresh schema on the server: the address of a store in it.
pub(crate) async fn schema(server: &str, name: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
    let mut conn = PgConnection::connect(server).await.expect("PostgreSQL");
    let name = format!("bench_{name}");
    for statement in [
        format!("DROP SCHEMA IF EXISTS {name} CASCADE"),
        format!("CREATE SCHEMA {name}"),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .expect("a schema");
    }
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options[search_path]={name}")
}

/// The end of an attempt that did nothing and tells nobody.
pub(crate) fn end(job: &ClaimedJob, verdict: Verdict) -> Finish {
    let now = SystemClock.now();
    Finish {
        job: job.id,
        fence: job.fence,
        started_at: now,
        ended_at: now,
        verdict,
        unclean: false,
        summary: "nothing to do".to_owned(),
        detail: serde_json::Value::Null,
        revision: Some(1),
        record_name: None,
        erp_name: None,
        links: Vec::new(),
        enqueue: Vec::new(),
        disables_shop: None,
        notifications: Vec::new(),
    }
}
