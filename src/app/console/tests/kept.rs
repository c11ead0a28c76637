//! What is changed outside of the store is kept in the audit log, whoever hangs up; and what stays hidden or works on.

use std::time::Instant;

use sqlx::{Connection as _, SqliteConnection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::app::review::Reviewer;
use crate::domain::{Actor, Via};
use crate::store::{Acted, AuditFilter, AuditRow, Claim, Finish, JobRow, Lane, Verdict};

const TOKEN: &str = "0123456789abcdef";

fn with_token() -> String {
    text(&users()).replace("[admin]\n", &format!("[admin]\ntokens = ['{TOKEN}']\n"))
}

impl Rig {
    /// One more attempt at a job, which noted this and ended in the same problem.
    async fn attempted(&self, job: JobRow, detail: serde_json::Value) {
        let now = crate::domain::Clock::now(&self.clock);
        self.store.retry(job.id, now).await.unwrap();
        let lane = Lane {
            shop: job.key.shop.clone(),
            object: job.key.object,
            direction: job.key.direction,
        };
        let claim = Claim {
            node: "another".to_owned(),
            lanes: vec![(lane, 1)],
            now,
            lease: Duration::from_secs(600),
        };
        let claimed = self.store.claim(claim).await.unwrap().remove(0);
        let finish = Finish {
            job: claimed.id,
            fence: claimed.fence,
            started_at: now,
            ended_at: now,
            verdict: Verdict::Problem(job.problem.unwrap()),
            unclean: false,
            summary: "there is no such tax".to_owned(),
            detail,
            revision: None,
            record_name: None,
            erp_name: None,
            links: Vec::new(),
            enqueue: Vec::new(),
            disables_shop: None,
            notifications: Vec::new(),
        };
        self.store.finish(finish).await.unwrap();
    }

    async fn audit(&self, action: &str) -> Vec<AuditRow> {
        let filter = AuditFilter {
            action: Some(action.to_owned()),
            ..AuditFilter::default()
        };
        self.store.audit(filter).await.unwrap()
    }

    async fn toggle_by_api(&self, state: &str) -> u16 {
        let address = format!(
            "http://{}/api/v1/shops/main/toggles/order/in",
            self.daemon.admin_addr
        );
        let request = self.client.put(address).bearer_auth(TOKEN);
        let answer = request.json(&serde_json::json!({ "state": state })).send().await;
        answer.unwrap().status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toggle_that_a_program_changes_is_kept_with_its_name() {
    let rig = Rig::with(&with_token()).await;
    assert_eq!(rig.toggle_by_api("paused").await, 200);
    assert_eq!(rig.toggle_by_api("paused").await, 200);
    let rows = rig.audit("toggle").await;
    assert_eq!(rows.len(), 1, "the second one changed nothing: {rows:?}");
    let row = &rows[0];
    assert_eq!(
        (
            row.via,
            row.subject.as_str(),
            row.detail["before"].clone(),
            row.detail["after"].clone()
        ),
        (Via::Api, "shop:main", "on".into(), "paused".into())
    );
    assert!(!row.actor.is_empty() && !row.actor.contains(TOKEN), "{row:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_hangs_up_parts_no_file_from_its_line() {
    let rig = Rig::new().await;
    let browser = rig.logged_in("admin").await;
    let token = browser.token().await;
    let wish = [("form_token", token.as_str()), ("toggle.main.order.in", "paused")];
    let plan = browser.post("/settings/plan", &wish).await;
    let (_, rest) = plan.text.split_once("name=\"hash\" value=\"").unwrap();
    let hash = rest.split('"').next().unwrap();
    let body = format!("form_token={token}&toggle.main.order.in=paused&hash={hash}");
    let address = rig.daemon.admin_addr;
    let request = format!(
        "POST /settings/apply HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nCookie: lockstep={}\r\nContent-Length: {}\r\n\r\n{body}",
        browser.cookie.as_ref().unwrap(),
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while !rig.file().contains("in = 'paused'") {
        assert!(Instant::now() < deadline, "{}", rig.file());
        tick.tick().await;
    }
    // The file is written, and nothing else is yet.
    drop(socket);
    while rig.audit("toggle").await.is_empty() {
        assert!(Instant::now() < deadline, "no line tells of it");
        tick.tick().await;
    }
    while !browser
        .get("/settings")
        .await
        .text
        .contains("value=\"paused\" checked")
    {
        assert!(Instant::now() < deadline, "it is not taken up");
        tick.tick().await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_left_while_it_was_paused_can_be_let_go_on() {
    let rig = Rig::new().await;
    let shared: SharedClock = Arc::new(rig.clock.clone());
    let reviewer = Reviewer::new(rig.store.clone(), shared, Actor::new("anna", Via::Cli));
    let gone: crate::domain::ShopName = "gone".parse().unwrap();
    assert_eq!(reviewer.pause(&gone, "it moves").await.unwrap(), Acted::Done);
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let post = async |path: &str| {
        browser
            .post(path, &[("form_token", &token), ("reason", "x")])
            .await
    };
    assert_eq!(post("/shops/gone/pause").await.status, 404);
    assert_eq!(post("/shops/nobody/resume").await.status, 404);
    let answer = post("/shops/gone/resume").await;
    assert_eq!(
        answer.location.as_deref(),
        Some("/?notice=resumed"),
        "{}",
        answer.text
    );
    assert!(rig.store.pauses().await.unwrap().is_empty());
    assert_eq!(post("/shops/gone/resume").await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_note_a_session_shows_its_pages_all_the_same() {
    let rig = Rig::new().await;
    let browser = rig.logged_in("viewer").await;
    let path = rig.folder.path().join("lockstep.db");
    let mut conn = SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    sqlx::query("CREATE TRIGGER broken BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'broken'); END")
        .execute(&mut conn)
        .await
        .unwrap();
    rig.clock.advance(minutes(5));
    let answer = browser.get("/jobs").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Not noted, it was idle all the time, and is over when such a session is.
    sqlx::query("DROP TRIGGER broken")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    rig.clock.advance(minutes(56));
    assert_eq!(browser.get("/jobs").await.status, 303);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_see_what_is_wrong_and_no_values() {
    // Nothing but this test works on jobs.
    let rig = Rig::with(&text(&users()).replace("in = 'on'", "in = 'paused'")).await;
    let job = rig.problem("1042", "No tax of 21 %.").await;
    let story = rig.store.job(job).await.unwrap().unwrap();
    let event = story.events[0].id;
    rig.attempted(
        story.job,
        serde_json::json!([{ "what": "left_out", "detail": { "field": "ask for Grace" } }]),
    )
    .await;
    let pages = [
        format!("/jobs/{job}"),
        "/problems".to_owned(),
        "/problems/cluster?shop=main&code=tax_not_found&cluster=tax%3ANo%20tax%20of%2021%20%25.".to_owned(),
        format!("/events/{event}"),
    ];
    let viewer = rig.logged_in("viewer").await;
    let operator = rig.logged_in("operator").await;
    // The detail of the problem, the body of the webhook, and what an attempt noted.
    let values = ["&#34;rate&#34;", "ada@example.com", "ask for Grace"];
    let mut seen = [false; 3];
    for page in &pages {
        let (theirs, ours) = (viewer.get(page).await, operator.get(page).await);
        assert_eq!((theirs.status, ours.status), (200, 200), "{page}");
        for (value, seen) in values.iter().zip(&mut seen) {
            let plain = value.replace("&#34;", "\"");
            let shows = |text: &str| text.contains(value) || text.contains(&plain);
            assert!(!shows(&theirs.text), "{page} shows {value}: {}", theirs.text);
            *seen |= shows(&ours.text);
        }
    }
    assert_eq!(seen, [true; 3], "whoever works with jobs sees them");
    assert!(viewer.get(&pages[0]).await.text.contains("No tax of 21 %."));
    rig.stop().await;
}
