//! How fast the console's pages come from a store with 1,000,000 jobs, of which 5,000 need a person, and from one where 500,000 do.
//!
//! `cargo bench --bench console` (`-- 50000` for fewer jobs). The real daemon with its real router, asked over HTTP on this machine
//! by somebody who is logged in; its shops are paused, so that nothing else goes on. SQLite, and PostgreSQL where
//! `LOCKSTEP_TEST_POSTGRES_URL` names a server (a database is made there and dropped). Each page is asked for 20 times; fails when the
//! 95th percentile of any is over 200 ms.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep::app::daemon::{Daemon, DaemonOptions, start};
use lockstep::config::Config;
use lockstep::domain::{
    Clock as _, Direction, JobKey, Object, Priority, SharedClock, ShopName, SystemClock, Timestamp,
};
use lockstep::http::hash_password;
use lockstep::store::{self, JobName, NewJob, OpenMode};
use lockstep::transport;
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

const JOBS: u64 = 1_000_000;

const MOST: Duration = Duration::from_millis(200);

const TIMES: usize = 20;

/// Customers, each with some jobs.
const CUSTOMERS: u64 = 20_000;

/// Jobs are of this long a time.
const SPAN: Duration = Duration::from_secs(60 * 24 * 3600);

const PASSWORD: &str = "correct horse battery";

const SHOPS: [&str; 2] = ["main", "second"];

/// Lanes of each shop.
const LANES: [(Object, Direction); 6] = [
    (Object::Order, Direction::In),
    (Object::Customer, Direction::In),
    (Object::Product, Direction::In),
    (Object::Product, Direction::Out),
    (Object::Customer, Direction::Out),
    (Object::Inventory, Direction::Out),
];

fn main() {
    let asked = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let jobs = asked.unwrap_or(JOBS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let is_good = runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("lockstep.db").display());
        let mut is_good = measure(&Database::Sqlite(url), jobs).await;
        match std::env::var("LOCKSTEP_TEST_POSTGRES_URL") {
            Ok(server) => {
                let database = Database::made(&server).await;
                is_good &= measure(&database, jobs).await;
                database.dropped(&server).await;
            }
            Err(_) => println!("PostgreSQL: not measured, LOCKSTEP_TEST_POSTGRES_URL is not set"),
        }
        is_good
    });
    if !is_good {
        eprintln!("a page takes longer than {MOST:?} at the 95th percentile");
        std::process::exit(1);
    }
}

/// Where the jobs are.
enum Database {
    Sqlite(String),
    Postgres(String),
}

impl Database {
    async fn made(server: &str) -> Self {
        let name = format!("lockstep_console_{}", std::process::id());
        let mut conn = PgConnection::connect(server).await.expect("the server");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut conn)
            .await
            .expect("a database");
        let (place, options) = server.split_once('?').unwrap_or((server, ""));
        let place = place.rsplit_once('/').map_or(place, |(place, _)| place);
        Self::Postgres(format!("{place}/{name}?{options}"))
    }

    async fn dropped(&self, server: &str) {
        let name = format!("lockstep_console_{}", std::process::id());
        let mut conn = PgConnection::connect(server).await.expect("the server");
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
            .execute(&mut conn)
            .await
            .expect("the database goes");
    }

    fn url(&self) -> &str {
        match self {
            Self::Sqlite(url) | Self::Postgres(url) => url,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// The numbers from 1 to `last`, as a table `n` with a column `i`.
    fn numbers(&self, last: u64) -> String {
        match self {
            Self::Sqlite(_) => format!(
                "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n) AS n"
            ),
            Self::Postgres(_) => format!("(SELECT generate_series(1::bigint, {last}::bigint) AS i) AS n"),
        }
    }

    /// Runs statements past the store, in one transaction.
    async fn run(&self, statements: &[String]) {
        match self {
            Self::Sqlite(url) => {
                let mut conn = SqliteConnection::connect(url).await.expect("the file");
                let mut change = conn.begin().await.expect("a transaction");
                for statement in statements {
                    sqlx::query(AssertSqlSafe(statement.as_str()))
                        .execute(&mut *change)
                        .await
                        .unwrap_or_else(|error| panic!("{error}: {statement:.300}"));
                }
                change.commit().await.expect("a commit");
                conn.close().await.expect("the end");
            }
            Self::Postgres(url) => {
                let mut conn = PgConnection::connect(url).await.expect("the database");
                let mut change = conn.begin().await.expect("a transaction");
                for statement in statements {
                    sqlx::query(AssertSqlSafe(statement.as_str()))
                        .execute(&mut *change)
                        .await
                        .unwrap_or_else(|error| panic!("{error}: {statement:.300}"));
                }
                change.commit().await.expect("a commit");
                sqlx::query("ANALYZE")
                    .execute(&mut conn)
                    .await
                    .expect("statistics");
            }
        }
    }
}

/// The text of the configuration.
fn text(database: &Database) -> String {
    let hash = hash_password(&SecretString::from(PASSWORD.to_owned()), [7; 16]).expect("a hash");
    let mut text = format!(
        "[http]\nlisten = '127.0.0.1:0'\n[store]\nurl = '{}'\n[admin]\nlisten = '127.0.0.1:0'\n\
         [admin.users.operator]\nrole = 'operator'\npassword_hash = '{hash}'\n",
        database.url()
    );
    for shop in SHOPS {
        let _infallible = write!(
            text,
            "[shops.{shop}]\ndomain = '{shop}.myshopify.com'\nbase_url = 'http://127.0.0.1:9'\naccess_token = 'shpat_1'\n\
             webhook_secrets = ['secret']\n[shops.{shop}.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'prod'\n\
             login = 'a@example.com'\napi_key = 'k'\n[shops.{shop}.sync]\norders = {{ in = 'on' }}\n"
        );
    }
    text
}

/// Makes the lanes as the store makes them, pauses the shops, and fills the tables.
async fn fill(database: &Database, config: &Config, jobs: u64) {
    let clock: SharedClock = Arc::new(SystemClock);
    store::migrate(&config.store, lockstep::app::folder(config))
        .await
        .expect("the tables");
    let store = lockstep::app::open(config, &clock, OpenMode::Tool)
        .await
        .expect("the store");
    let now = SystemClock.now();
    for shop in SHOPS {
        let shop: ShopName = shop.parse().expect("a name");
        for (object, direction) in LANES {
            let job = NewJob {
                key: JobKey {
                    shop: shop.clone(),
                    object,
                    direction,
                    source_id: "first".to_owned(),
                },
                priority: Priority::LIVE,
                now,
                cause: "a bench".to_owned(),
            };
            store.enqueue(job).await.expect("a job");
        }
    }
    let mails: Vec<String> = (0..CUSTOMERS)
        .map(|customer| {
            let shop: ShopName = SHOPS[0].parse().expect("a name");
            let name = JobName::of_email(&shop, &format!("customer{customer}@example.com"));
            format!("({customer}, '{}')", name.parts().1)
        })
        .collect();
    store.close().await;
    database.run(&statements(database, jobs, now, &mails)).await;
}

fn statements(database: &Database, jobs: u64, now: Timestamp, mails: &[String]) -> Vec<String> {
    let begin = now.minus(SPAN).millis();
    let apart = SPAN.as_millis() / u128::from(jobs);
    let lanes = LANES.len() * SHOPS.len();
    let waiting = jobs - jobs / 100;
    let mut statements = vec![
        "DELETE FROM jobs".to_owned(),
        format!("INSERT INTO pauses (shop, since, actor) VALUES ('main', {begin}, 'anna'), ('second', {begin}, 'anna')"),
        // Of ten jobs six are orders of the first shop.
        format!(
            "INSERT INTO jobs (id, lane_id, source_id, state, priority, run_at, wanted, taken, events, wanted_since, cause,
                 record_name, erp_name, last_summary, attempts, created_at, updated_at, ended_at)
             SELECT i, CASE WHEN i % 10 < 6 THEN (SELECT min(id) FROM lanes)
                            ELSE (SELECT min(id) FROM lanes) + i % {lanes} END,
                 's' || i, state, 1, at, 1, 1, 1, at, 'a bench', '#' || i, 'S' || i, 'done', 1, at, at + 2000,
                 CASE WHEN state IN ('completed', 'obsolete', 'discarded') THEN at + 2000 END
             FROM (SELECT i, {begin} + i * {apart} AS at,
                 CASE WHEN i % 200 = 0 THEN 'problem' WHEN i % 2000 = 1 THEN 'held' WHEN i > {waiting} THEN 'available'
                      WHEN i % 50 = 7 THEN 'obsolete' WHEN i % 9000 = 17 THEN 'discarded' ELSE 'completed' END AS state
                 FROM {}) AS j",
            database.numbers(jobs)
        ),
        "INSERT INTO problems (shop, job_id, code, record, reason, fix, owner, cluster, detail, opened_at, seen_at, count)
         SELECT l.shop, j.id, 'code_' || (j.id / 200 % 8), j.record_name, 'There is no tax for this.', 'Add it.', 'accounting',
             'code_' || (j.id / 200 % 8) || ':' || (j.id / 200 % 40), '{}', j.created_at, j.updated_at, 1
         FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id WHERE j.state = 'problem'"
            .to_owned(),
        "INSERT INTO attempts (job_id, number, node, started_at, ended_at, outcome, summary, detail)
         SELECT id, 1, 'a node', created_at, updated_at, 'completed', 'done', '{}' FROM jobs WHERE id % 10 = 0"
            .to_owned(),
        "INSERT INTO job_names (job_id, kind, value)
         SELECT id, 'sku', CASE WHEN id % 3 = 0 THEN 'HAT' ELSE 'SKU-' || (id % 5000) END FROM jobs"
            .to_owned(),
        "CREATE TABLE mails (n BIGINT, hash TEXT)".to_owned(),
    ];
    for some in mails.chunks(500) {
        statements.push(format!("INSERT INTO mails (n, hash) VALUES {}", some.join(", ")));
    }
    statements.push(format!(
        "INSERT INTO job_names (job_id, kind, value)
         SELECT j.id, 'email', m.hash FROM mails AS m JOIN jobs AS j ON j.id % {CUSTOMERS} = m.n"
    ));
    statements.push("DROP TABLE mails".to_owned());
    statements.push(format!(
        "INSERT INTO audit (at, actor, via, action, shop, subject, detail)
         SELECT {begin} + i * {apart}, CASE WHEN i % 1000 = 0 THEN 'bert' ELSE 'anna' END, 'console',
             CASE WHEN i % 500 = 0 THEN 'pause' ELSE 'retry' END, 'main', 'job:' || i, '{{}}'
         FROM {}",
        database.numbers(jobs / 3)
    ));
    if matches!(database, Database::Postgres(_)) {
        statements.push(
            "SELECT setval(pg_get_serial_sequence('jobs', 'id'), (SELECT max(id) FROM jobs))".to_owned(),
        );
    }
    statements
}

/// Half of the jobs need a person, of one kind: all of one cause but a few, which have another.
fn half_of_all_fail(jobs: u64) -> Vec<String> {
    vec![
        format!(
            "UPDATE jobs SET state = 'problem', ended_at = NULL WHERE state = 'completed' AND id <= {}",
            jobs / 2 + jobs / 25
        ),
        "INSERT INTO problems (shop, job_id, code, record, reason, fix, owner, cluster, detail, opened_at, seen_at, count)
         SELECT l.shop, j.id, 'erp_refuses', j.record_name, 'The ERP refuses it.', 'Look there.', 'it',
             CASE WHEN j.id % 10000 = 3 THEN 'erp_refuses:few' ELSE 'erp_refuses:all' END, '{}', j.created_at, j.updated_at, 1
         FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id
         WHERE j.state = 'problem' AND NOT EXISTS (SELECT 1 FROM problems AS p WHERE p.job_id = j.id)"
            .to_owned(),
    ]
}

/// Somebody who is logged in.
struct Browser {
    client: reqwest::Client,
    base: String,
    cookie: String,
}

impl Browser {
    async fn logged_in(daemon: &Daemon) -> Self {
        let client = transport::client(&transport::Settings::default()).expect("a client");
        let base = format!("http://{}", daemon.admin_addr);
        let answer = client
            .post(format!("{base}/login"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header("origin", base.as_str())
            .body(format!("name=operator&password={}", PASSWORD.replace(' ', "+")))
            .send()
            .await
            .expect("an answer");
        let cookie = answer.headers().get(SET_COOKIE).expect("a cookie");
        let cookie = cookie
            .to_str()
            .expect("a text")
            .split(';')
            .next()
            .unwrap_or_default();
        Self {
            client,
            base,
            cookie: cookie.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> (Duration, String) {
        let begin = Instant::now();
        let answer = self
            .client
            .get(format!("{}{path}", self.base))
            .header(COOKIE, self.cookie.as_str())
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a page");
        let took = begin.elapsed();
        assert!(status.is_success(), "{path}: {status}: {text}");
        (took, text)
    }

    async fn post(&self, path: &str, body: String) -> Duration {
        let (_, page) = self.get("/settings").await;
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form");
        let token = rest.split('"').next().unwrap_or_default();
        let begin = Instant::now();
        let answer = self
            .client
            .post(format!("{}{path}", self.base))
            .header(COOKIE, self.cookie.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header("origin", self.base.as_str())
            .body(format!("form_token={token}&{body}"))
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_redirection(), "{path}: {}", answer.status());
        begin.elapsed()
    }

    /// Asks for a page again and again; says whether it comes in time.
    async fn ask(&self, path: &str, shows: &str) -> bool {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let (took, text) = self.get(path).await;
            assert!(text.contains(shows), "{path} does not show {shows}: {text}");
            times.push(took);
        }
        times.sort_unstable();
        let (p50, p95) = (times[TIMES / 2], times[TIMES * 95 / 100 - 1]);
        let is_good = p95 <= MOST;
        println!(
            "  {:>7.1} {:>7.1}  {path}{}",
            millis(p50),
            millis(p95),
            if is_good { "" } else { "   TOO SLOW" }
        );
        is_good
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

async fn measure(database: &Database, jobs: u64) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lockstep.toml");
    std::fs::write(&path, text(database)).expect("a file");
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let begin = Instant::now();
    fill(database, &config, jobs).await;
    println!(
        "{}: {jobs} jobs (filled in {:.0} s)\n  p50 ms  p95 ms",
        database.name(),
        begin.elapsed().as_secs_f64()
    );
    let options = DaemonOptions {
        follow_files: false,
        ..DaemonOptions::new(Arc::new(SystemClock))
    };
    let daemon = start(config.clone(), options).await.expect("a daemon");
    let browser = Browser::logged_in(&daemon).await;
    let middle = jobs / 2 - jobs / 2 % 200 + 3;
    let mut is_good = true;
    for (page, shows) in [
        ("/".to_owned(), "problems need a person"),
        ("/jobs".to_owned(), "before="),
        (format!("/jobs?before={middle}"), "before="),
        (
            "/jobs?state=completed&object=order&shop=main".to_owned(),
            "before=",
        ),
        ("/jobs?state=completed&before=2000".to_owned(), "before="),
        ("/jobs?state=needs-a-person".to_owned(), "before="),
        ("/jobs?state=held".to_owned(), "before="),
        ("/jobs?state=discarded".to_owned(), "before="),
        ("/jobs?state=available".to_owned(), "before="),
        ("/jobs?state=running".to_owned(), "No job fits"),
        (
            "/jobs?object=inventory&direction=out&shop=second".to_owned(),
            "before=",
        ),
        ("/jobs?changed=hour".to_owned(), "#"),
        ("/jobs?changed=hour&state=discarded".to_owned(), "No job fits"),
        ("/jobs?changed=month&state=completed".to_owned(), "before="),
        (
            "/jobs?changed=week&object=customer&direction=out".to_owned(),
            "before=",
        ),
        (format!("/jobs?q=%23{middle}"), "<table"),
        (format!("/jobs?q={middle}"), "<table"),
        (format!("/jobs?q=S{middle}"), "<table"),
        (format!("/jobs?q=gid://shopify/Order/s{middle}"), "<table"),
        ("/jobs?q=HAT".to_owned(), "before="),
        ("/jobs?q=HAT&state=problem".to_owned(), "before="),
        ("/jobs?q=HAT&state=running".to_owned(), "No job fits"),
        ("/jobs?q=SKU-77".to_owned(), "<table"),
        ("/jobs?q=customer77@example.com".to_owned(), "<table"),
        ("/jobs?q=nobody@example.com".to_owned(), "No job fits"),
        ("/jobs?q=%27+OR+1%3D1".to_owned(), "No job fits"),
        (format!("/jobs/{middle}"), "#"),
        ("/problems".to_owned(), "There is no tax"),
        ("/problems?whose=mine".to_owned(), "roblems"),
        (
            "/problems/cluster?shop=main&code=code_0&cluster=code_0:0".to_owned(),
            "There is no tax",
        ),
        (format!("/why?q=%23{middle}"), "S"),
        (format!("/why?q=%23{}", jobs - 5), "paused"),
        ("/audit".to_owned(), "before="),
        ("/audit?who=anna".to_owned(), "before="),
        ("/audit?who=bert".to_owned(), "before="),
        ("/audit?who=nobody".to_owned(), "</html>"),
        ("/audit?who=anna&action=pause".to_owned(), "pause"),
        ("/audit?who=bert&action=hold".to_owned(), "</html>"),
        ("/audit?action=pause".to_owned(), "pause"),
        ("/settings".to_owned(), "form_token"),
        ("/mappings".to_owned(), "</html>"),
        ("/webhooks".to_owned(), "</html>"),
    ] {
        // The numbers of the words are those of the whole bench.
        let shows = if jobs == JOBS { shows } else { "</html>" };
        is_good &= browser.ask(&page, shows).await;
    }

    database.run(&half_of_all_fail(jobs)).await;
    println!("  half of the jobs need a person");
    for page in [
        "/",
        "/problems",
        "/problems/cluster?shop=main&code=erp_refuses&cluster=erp_refuses:all",
        "/problems/cluster?shop=main&code=erp_refuses&cluster=erp_refuses:few",
        "/jobs?state=problem",
        "/jobs?state=needs-a-person&object=order",
        "/jobs?q=HAT&state=problem",
    ] {
        is_good &= browser.ask(page, "</html>").await;
    }
    let body = "shop=main&code=erp_refuses&cluster=erp_refuses%3Aall";
    let took = browser.post("/problems/retry", body.to_owned()).await;
    println!("  {:>7.1} begins to retry them", millis(took));
    is_good &= took <= MOST;
    let done = retried(&browser).await;
    println!("  the first of them are tried again: {done}");
    daemon.stop().await;
    is_good
}

/// Waits until the batch has made a step, and stops it.
async fn retried(browser: &Browser) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, text) = browser.get("/problems").await;
        let (told, rest) = text.split_once(" tried again, under way").expect("a batch");
        let done = told.rsplit(": ").next().unwrap_or_default();
        if !done.starts_with("0 ") {
            let (_, rest) = rest.split_once("/batches/").expect("a button");
            let batch: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let took = browser
                .post(&format!("/batches/{batch}/stop"), String::new())
                .await;
            return format!("{done}; stopped in {:.1} ms", millis(took));
        }
        if Instant::now() > deadline {
            return "none within 20 s".to_owned();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
