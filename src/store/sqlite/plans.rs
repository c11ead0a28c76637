//! How SQLite carries out the statements of the hot paths: through an index, never by reading a whole table.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::{batches, people, sql};
use crate::domain::JobState;
use crate::store::prepared::Lanes;
use crate::store::{BatchFilter, JobFilter, JobName};

/// The steps of a statement, as SQLite tells them.
async fn plan(conn: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let question = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(question))
        .fetch_all(conn)
        .await
        .unwrap_or_else(|error| panic!("{error}: {statement}"));
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Whether a step reads all of a table of ours that grows.
fn reads_everything(step: &str) -> bool {
    let tables = [
        "jobs",
        "j",
        "w",
        "events",
        "e",
        "attempts",
        "locks",
        "l2",
        "links",
        "problems",
        "jobs_waiting",
        "job_items",
        "i",
        "p",
    ];
    step.strip_prefix("SCAN ")
        .and_then(|rest| rest.split(' ').next())
        .is_some_and(|table| tables.contains(&table))
}

#[tokio::test]
async fn no_statement_of_a_hot_path_reads_a_whole_table() {
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let schema = include_str!("../../../migrations/sqlite/0001_first.sql");
    let later = include_str!("../../../migrations/sqlite/0003_nodes_and_runs.sql");
    let way_back = include_str!("../../../migrations/sqlite/0006_way_back.sql");
    let outgoing = include_str!("../../../migrations/sqlite/0007_outgoing.sql");
    let review = include_str!("../../../migrations/sqlite/0008_review.sql");
    for schema in [schema, later, way_back, outgoing, review] {
        sqlx::raw_sql(schema).execute(&mut conn).await.unwrap();
    }
    let lanes = Lanes::default();
    let listed = |filter: JobFilter| people::question(&filter, &lanes).sql().as_str().to_owned();
    let problems = listed(JobFilter {
        states: vec![JobState::Problem],
        ..JobFilter::default()
    });
    let named = listed(JobFilter {
        name: Some("#1042".into()),
        ..JobFilter::default()
    });
    let cluster = listed(JobFilter {
        cluster: Some("tax_not_found:21".into()),
        ..JobFilter::default()
    });
    let sku = listed(JobFilter {
        known_by: Some(JobName::Sku("HAT".into())),
        ..JobFilter::default()
    });
    let of_a_cluster = BatchFilter {
        shop: Some("main".parse().unwrap()),
        code: Some("tax_not_found".into()),
        cluster: Some("tax_not_found:21".into()),
        ..BatchFilter::default()
    };
    let batch = |filter: &BatchFilter| {
        let mut query = sqlx::QueryBuilder::new("SELECT p.job_id");
        batches::push_fitting(&mut query, filter, 0, 5);
        query.push(" ORDER BY p.job_id LIMIT 9");
        query.sql().as_str().to_owned()
    };
    let (of_all, of_a_cluster) = (batch(&BatchFilter::default()), batch(&of_a_cluster));
    for (name, statement) in [
        ("DEDUP_KNOWN", sql::DEDUP_KNOWN),
        ("EVENTS_INSERT", sql::EVENTS_INSERT[2].as_str()),
        ("JOBS_WANT", sql::JOBS_WANT),
        ("JOBS_WANTED", sql::JOBS_WANTED),
        ("READY_LANES", sql::READY_LANES),
        ("CANDIDATES", sql::CANDIDATES),
        ("LOCKS_TAKE", sql::LOCKS_TAKE),
        ("LOCKS_OF_OTHERS", sql::LOCKS_OF_OTHERS),
        ("LOCKS_UNDO", sql::LOCKS_UNDO),
        ("LOCKS_HELD", sql::LOCKS_HELD),
        ("CLAIM", sql::CLAIM),
        ("SET_ASIDE", sql::SET_ASIDE),
        ("LEASES_LOST", sql::LEASES_LOST),
        ("LEASES_EXTEND", sql::LEASES_EXTEND),
        ("RECLAIMABLE", sql::RECLAIMABLE),
        ("RECLAIM", sql::RECLAIM),
        ("STANDINGS", sql::STANDINGS),
        ("CHANGE", sql::CHANGE),
        ("ATTEMPTS_INSERT", sql::ATTEMPTS_INSERT),
        ("WAKE", sql::WAKE),
        ("LOCK_OF", sql::LOCK_OF),
        ("OPEN_STATE", sql::OPEN_STATE),
        ("WAITING_ALONE", sql::WAITING_ALONE),
        ("CLOCK_WENT_BACK", sql::CLOCK_WENT_BACK),
        ("LINKS_IN_CONFLICT", sql::LINKS_IN_CONFLICT),
        ("LINKS_SAVE", sql::LINKS_SAVE),
        ("JOB_ITEMS_ADD", sql::JOB_ITEMS_ADD),
        ("ITEM_IN_WORK", sql::ITEM_IN_WORK),
        ("jobs list --problems", problems.as_str()),
        ("jobs list NAME", named.as_str()),
        ("jobs list --cluster", cluster.as_str()),
        ("jobs list --sku", sku.as_str()),
        ("a batch's step", of_all.as_str()),
        ("a step of a cluster's batch", of_a_cluster.as_str()),
    ] {
        let steps = plan(&mut conn, statement).await;
        assert!(
            !steps.iter().any(|step| reads_everything(step)),
            "{name}: {steps:#?}"
        );
    }
    // The test itself can tell.
    let steps = plan(
        &mut conn,
        "SELECT id FROM jobs WHERE state = 'running' AND lease_until <= 5",
    )
    .await;
    assert!(steps.iter().any(|step| reads_everything(step)), "{steps:?}");
}
