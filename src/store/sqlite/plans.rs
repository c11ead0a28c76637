//! How SQLite carries out the statements of the hot paths: through an index, never by reading a whole table.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::notices::{claims, lists};
use super::{audit, batches, care, kept, listing, notices_sql, numbers, sql, upcoming};
use crate::domain::{JobId, JobState, Timestamp};
use crate::store::{
    AuditFilter, BatchFilter, ClusterFilter, DispatchFilter, DispatchState, JobFilter, JobName, TallyFilter,
    migrations,
};

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
        "job_names",
        "n",
        "o",
        "i",
        "p",
        "k",
        "tallies",
        "audit",
        "names_at_rest",
        "outbox",
        "dispatches",
        "d",
        "notifications",
        "f",
    ];
    step.strip_prefix("SCAN ")
        .filter(|rest| !rest.contains("VIRTUAL TABLE"))
        .and_then(|rest| rest.split(' ').next())
        .is_some_and(|table| tables.contains(&table))
}

/// Whether a step sorts, which it can do only after it has read all that fits.
fn sorts(step: &str) -> bool {
    step.starts_with("USE TEMP B-TREE")
}

async fn migrate(conn: &mut SqliteConnection) {
    for schema in migrations::of_sqlite() {
        sqlx::raw_sql(schema).execute(&mut *conn).await.unwrap();
    }
}

/// The statement of a list of jobs.
fn listed(filter: &JobFilter, from: listing::From) -> String {
    let query = listing::question(filter, &[1, 2, 3], from).unwrap();
    query.sql().as_str().to_owned()
}

#[tokio::test]
async fn no_statement_of_a_hot_path_reads_a_whole_table() {
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrate(&mut conn).await;
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
        ("upcoming::RUNNING", upcoming::RUNNING),
        ("upcoming::READY", upcoming::READY),
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

#[tokio::test]
async fn numbers_and_alerts_are_looked_up() {
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrate(&mut conn).await;
    let filter = TallyFilter {
        shop: Some("main".parse().unwrap()),
        since: Timestamp::from_millis(1),
        until: Timestamp::from_millis(2),
    };
    let question = numbers::question(&filter).sql().as_str().to_owned();
    for (name, statement) in [
        ("TALLIES_ADD", sql::TALLIES_ADD),
        ("late orders", numbers::LATE),
        ("numbers", question.as_str()),
    ] {
        let steps = plan(&mut conn, statement).await;
        assert!(
            !steps.iter().any(|step| reads_everything(step)),
            "{name}: {steps:#?}"
        );
    }
    // Asked twice a minute: of the jobs that ended it must read none.
    let steps = plan(&mut conn, numbers::LATE).await;
    assert!(
        steps
            .iter()
            .filter(|step| step.contains("jobs_open_since") && step.contains("created_at<?"))
            .count()
            == 4
            // Once more, what is told of each state.
            && steps.iter().filter(|step| sorts(step)).count() <= 4,
        "{steps:#?}"
    );
}

/// A page of a list is found in the list's own order, so that a filter which fits half a million jobs costs no more than one
/// that fits fifty.
#[tokio::test]
async fn a_page_of_any_list_is_read_and_no_more() {
    use listing::From;

    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrate(&mut conn).await;
    let all = JobFilter {
        before: Some(JobId(9)),
        ..JobFilter::default()
    };
    let of_state = JobFilter {
        states: vec![JobState::Completed],
        changed_since: Some(Timestamp::default()),
        ..all.clone()
    };
    let known_by = JobFilter {
        known_by: Some(JobName::Sku("HAT".into())),
        ..all.clone()
    };
    let cluster = JobFilter {
        shop: Some("main".parse().unwrap()),
        code: Some("tax_not_found".into()),
        cluster: Some("tax_not_found:21".into()),
        ..all.clone()
    };
    let code = JobFilter {
        code: Some("tax_not_found".into()),
        ..all.clone()
    };
    let cause = JobFilter {
        cluster: Some("tax_not_found:21".into()),
        ..all.clone()
    };
    let audit = |filter: AuditFilter| audit::question(&filter).sql().as_str().to_owned();
    let of = |text: &str| Some(text.to_owned());
    let batch = |filter: BatchFilter| {
        let mut query = sqlx::QueryBuilder::new("");
        let left = batches::Left {
            after: 0,
            upto: 5,
            seen_until: Timestamp::default(),
            most: 9,
        };
        batches::push_fitting(&mut query, &filter, &[1, 2], left).unwrap();
        query.sql().as_str().to_owned()
    };
    // A list of lists is sorted once more: of each, at most a page.
    for (name, statement, sorted) in [
        ("jobs", listed(&all, From::All), 0),
        (
            "jobs of a state, changed lately",
            listed(&of_state, From::Lists),
            1,
        ),
        ("jobs that ended lately", listed(&of_state, From::Ended), 1),
        ("jobs of an article", listed(&known_by, From::KnownBy), 0),
        ("jobs of an article in a state", listed(&known_by, From::Lists), 1),
        (
            "jobs of an article that wait for a person",
            listed(&known_by, From::AtRest),
            1,
        ),
        (
            "clusters",
            care::clusters_question(&ClusterFilter::default())
                .sql()
                .as_str()
                .to_owned(),
            0,
        ),
        ("jobs of a cluster", listed(&cluster, From::Problem), 0),
        ("jobs of a code", listed(&code, From::Problem), 0),
        ("jobs of a cause", listed(&cause, From::Problem), 0),
        ("audit", audit(AuditFilter::default()), 0),
        (
            "audit by person",
            audit(AuditFilter {
                actor: of("anna"),
                ..AuditFilter::default()
            }),
            0,
        ),
        (
            "audit by person and action",
            audit(AuditFilter {
                actor: of("anna"),
                action: of("retry"),
                before: Some(7),
                ..AuditFilter::default()
            }),
            0,
        ),
        (
            "audit by action",
            audit(AuditFilter {
                action: of("retry"),
                ..AuditFilter::default()
            }),
            0,
        ),
        (
            "audit of a shop",
            audit(AuditFilter {
                shop: Some("main".parse().unwrap()),
                ..AuditFilter::default()
            }),
            0,
        ),
        ("a batch's step", batch(BatchFilter::default()), 1),
        (
            "a step of a cluster's batch",
            batch(BatchFilter {
                shop: Some("main".parse().unwrap()),
                code: of("tax_not_found"),
                cluster: of("tax_not_found:21"),
                ..BatchFilter::default()
            }),
            0,
        ),
        (
            "a step of a code's batch",
            batch(BatchFilter {
                code: of("tax_not_found"),
                ..BatchFilter::default()
            }),
            0,
        ),
    ] {
        let steps = plan(&mut conn, &statement).await;
        // Whoever asks for all reads in the order of the table, from its end.
        let whole = ["SCAN j", "SCAN audit"];
        let is_all = ["jobs", "audit"].contains(&name);
        let reads = steps.iter().any(|step| {
            let in_order = is_all && whole.contains(&step.as_str());
            reads_everything(step) && !in_order
        });
        let sorts = steps.iter().filter(|step| sorts(step)).count();
        assert!(!reads && sorts <= sorted, "{name}: {statement}\n{steps:#?}");
        // Another cause of the same code may have half a million.
        let is_of_cluster = ["jobs of a cluster", "a step of a cluster's batch"].contains(&name);
        let looks_up = |step: &String| step.contains("cluster=? AND code=? AND shop=? AND job_id");
        assert!(!is_of_cluster || steps.iter().any(looks_up), "{name}: {steps:#?}");
    }
    let actions = |since| {
        let since = Timestamp::from_millis(since);
        audit::counts_question(since).sql().as_str().to_owned()
    };
    let lately = plan(&mut conn, &actions(1)).await;
    assert!(
        lately
            .iter()
            .any(|step| step.starts_with("SEARCH") && step.contains("at>?")),
        "{lately:#?}"
    );
    for (name, statement) in [
        ("open problems", kept::OPEN_PROBLEMS.to_owned()),
        ("counts", sql::COUNTS.to_owned()),
        ("counts of actions", actions(0)),
        ("counts of the last actions", actions(1)),
    ] {
        let steps = plan(&mut conn, &statement).await;
        let touches_rows = |step: &&String| {
            let of_ours = ["jobs", "problems", " p ", "audit"]
                .iter()
                .any(|name| step.contains(name));
            // The oldest of each lane and state is one row.
            let is_one = step.contains("jobs_open_since");
            of_ours && !is_one && !step.contains("COVERING INDEX") && !step.contains("problem_care")
        };
        let rows: Vec<_> = steps.iter().filter(touches_rows).collect();
        assert!(rows.is_empty(), "{name}: {steps:#?}");
    }
}

/// However many wait or ended: a claim reads what it takes, a page what it shows.
#[tokio::test]
async fn deliveries_are_claimed_and_listed_in_the_order_of_an_index() {
    let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrate(&mut conn).await;
    let filter = DispatchFilter {
        shop: Some("main".to_owned()),
        event: Some("order.synced".to_owned()),
        ..DispatchFilter::default()
    };
    let list = |from| {
        let query = lists::question(&filter, from);
        query.sql().as_str().to_owned()
    };
    for (name, statement) in [
        ("DUE", claims::DUE.to_owned()),
        ("NEXT", claims::NEXT.to_owned()),
        ("ENDPOINTS", lists::ENDPOINTS.to_owned()),
        ("LIVE", notices_sql::LIVE.to_owned()),
        ("OVERDUE", notices_sql::OVERDUE.to_owned()),
        ("PRUNABLE", notices_sql::PRUNABLE.to_owned()),
        ("WAITING_OF_KEYS", notices_sql::WAITING_OF_KEYS.to_owned()),
        ("list", list(lists::From::List("slack", DispatchState::Waiting))),
        (
            "oldest",
            list(lists::From::Oldest("slack", DispatchState::Waiting)),
        ),
        ("event", list(lists::From::Event("order.synced"))),
        ("all", list(lists::From::All)),
    ] {
        let steps = plan(&mut conn, &statement).await;
        assert!(
            !steps.iter().any(|step| reads_everything(step) || sorts(step)),
            "{name}: {steps:#?}"
        );
    }
    // Few rows, which are sorted.
    let named = list(lists::From::Named("#1001"));
    for statement in [named.as_str(), notices_sql::MEMBERS] {
        let steps = plan(&mut conn, statement).await;
        assert!(!steps.iter().any(|step| reads_everything(step)), "{steps:#?}");
    }
}
