//! Killed, failing and hanging at every step, several daemons, orderly stops.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use lockstep::domain::LONGEST_CALL;
use lockstep::failpoint::FailPoint;
use lockstep::sandbox::shopify::draft::Buyer;

use crate::scenes::{Scene, Stage};
use crate::support::daemon::{Daemon, Start};
use crate::support::world::{Database, World, attempts, everyday_total, free_port, fresh_postgres, until};
use crate::way_back::Change;

/// Work that a killed daemon left behind is resumed within 5 s; a test may take ten times that. A claim holds for 600 s
/// here, so work that waits for its lease to run out is far too late.
pub(crate) const RESUMED: Duration = Duration::from_secs(50);

/// What a fail point does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The daemon dies there as with kill -9.
    Abort,
    /// The work stands still there while the rest goes on, until the daemon is killed.
    Hang,
    /// The step fails there, and the daemon goes on.
    Error,
}

impl Action {
    /// As `LOCKSTEP_FAIL` has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Hang => "hang",
            Self::Error => "error",
        }
    }
}

/// Waits until the daemon has met the point that it was armed with.
pub(crate) async fn struck(armed: &mut Daemon, point: FailPoint, action: Action, why: &str) {
    if action == Action::Abort {
        let log = || String::new();
        until(why, || armed.has_ended().then_some(()), log).await;
        let signal = armed.wait().signal();
        assert_eq!(
            signal,
            Some(6),
            "{why}: it died of something else\n{}",
            armed.log()
        );
    } else {
        until(why, || armed.has_struck(point).then_some(()), || armed.log()).await;
    }
    if action == Action::Hang {
        armed.kill();
    }
}

/// Interrupts the scene at each of its points, one after the other in one world, and looks at the ERP each time: at the
/// point, and when all is quiet again.
async fn walk(scene: Scene, database: Database, action: Action) {
    let world = World::with(database, scene.settings()).await;
    let mut daemon = world.start(&Start::default());
    let stage = Stage::set(&world, scene, &daemon).await;
    for (round, point) in scene.points().iter().enumerate() {
        let why = format!("{action:?} at {point} on {database:?}, {scene:?}");
        let placed = stage.before(round, &daemon).await;
        world.idle(&daemon).await;
        let status = daemon.terminate();
        assert!(status.success(), "{why}: {status:?}\n{}", daemon.log());
        let mut armed = world.start(&Start {
            fail: Some(format!("{point}:{}={}", scene.nth(*point), action.word())),
            ..Start::default()
        });
        let name = stage.happen(round, placed);
        struck(&mut armed, *point, action, &why).await;
        if action != Action::Error {
            stage.check_at(&name, *point);
        }
        let resumed = Instant::now();
        daemon = match action {
            Action::Error => armed,
            Action::Abort | Action::Hang if scene.waits(*point) => resumed_later(&world, &why).await,
            Action::Abort | Action::Hang => world.start(&Start::default()),
        };
        stage.done(&name, &daemon).await;
        let took = resumed.elapsed();
        assert!(took < RESUMED, "{why}: resumed after {took:?}");
        world.idle(&daemon).await;
        stage.check_after(&name, round, &why);
        if action == Action::Error && scene == Scene::GuestOrder && is_in_the_attempt(*point) {
            let stories = world.stories(&["--name", &name]);
            let failed: Vec<_> = stories
                .iter()
                .flat_map(|story| attempts(story, "retry"))
                .collect();
            assert_eq!(failed.len(), 1, "{why}: the failure is to be seen: {stories:?}");
            assert_ne!(failed[0]["summary"], "", "{why}");
        }
    }
}

/// Starts the daemon again where the one that was killed may have sent what has no key: the job must wait until that can take
/// effect no more, and only then goes on.
async fn resumed_later(world: &World, why: &str) -> Daemon {
    let clock = world.folder.path().join("clock");
    let set = |ms: u64| {
        // In one step: a daemon that reads it must not find half of a number.
        let next = world.folder.path().join("clock.next");
        std::fs::write(&next, ms.to_string()).expect("the clock can be set");
        std::fs::rename(&next, &clock).expect("the clock can be set");
    };
    set(0);
    let daemon = world.start(&Start {
        clock: Some(clock.clone()),
        ..Start::default()
    });
    until(
        &format!("{why}: the job waits"),
        || {
            let jobs = world.under_way();
            (jobs.len() == 1 && jobs[0]["state"] == "retryable").then_some(())
        },
        || daemon.log(),
    )
    .await;
    let ms = LONGEST_CALL.as_millis() + 1_000;
    set(u64::try_from(ms).expect("it is short"));
    daemon
}

/// Whether an error there is a failed attempt. Deliveries are repeated by the shop, results are saved again.
fn is_in_the_attempt(point: FailPoint) -> bool {
    use FailPoint::*;
    !matches!(
        point,
        IntakeVerified | IntakeCommitted | BeforeFinish | AfterFinish
    )
}

#[test]
fn the_scenes_pass_every_fail_point() {
    let mut passed: BTreeSet<String> = Scene::ALL
        .iter()
        .flat_map(|scene| scene.points())
        .chain(
            Change::ALL
                .iter()
                .flat_map(|change| change.points())
                .map(|(point, _)| point),
        )
        .map(ToString::to_string)
        .collect();
    // No order passes these; they have tests of their own below, and in `webhooks`.
    passed.insert(FailPoint::Redacted.to_string());
    passed.insert(FailPoint::SubscriptionCreated.to_string());
    // No order waits for these; they are passed in `imports` and `notify`.
    for point in [
        FailPoint::ImportListed,
        FailPoint::ImportPageSaved,
        FailPoint::ImportFed,
        FailPoint::ImportEnded,
        FailPoint::NotifyFannedOut,
        FailPoint::NotifyBeforeSend,
        FailPoint::NotifyAfterSend,
    ] {
        passed.insert(point.to_string());
    }
    let all: BTreeSet<String> = FailPoint::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(passed, all, "a new point needs a scene that passes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_a_redaction_and_its_record_on_sqlite_the_record_is_made() {
    crate::privacy::killed_before_it_is_recorded(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_a_redaction_and_its_record_on_postgres_the_record_is_made() {
    crate::privacy::killed_before_it_is_recorded(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_of_a_first_contact_on_sqlite_everything_is_there_once() {
    walk(Scene::FirstContact, Database::Sqlite, Action::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_of_a_first_contact_on_postgres_everything_is_there_once() {
    walk(Scene::FirstContact, Database::Postgres, Action::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_of_one_order_on_sqlite_everything_is_there_once() {
    walk(Scene::GuestOrder, Database::Sqlite, Action::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_of_one_order_on_postgres_everything_is_there_once() {
    walk(Scene::GuestOrder, Database::Postgres, Action::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_booked_order_changes_on_sqlite_the_change_is_made_once() {
    for scene in [
        Scene::PaidLater,
        Scene::Cancelled,
        Scene::Edited,
        Scene::Changed,
        Scene::Rounded,
    ] {
        walk(scene, Database::Sqlite, Action::Abort).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_booked_order_changes_on_postgres_the_change_is_made_once() {
    for scene in [Scene::PaidLater, Scene::Cancelled, Scene::Edited, Scene::Rounded] {
        walk(scene, Database::Postgres, Action::Abort).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_an_order_is_invoiced_paid_delivered_and_credited_each_is_done_once() {
    walk(Scene::AfterSale, Database::Sqlite, Action::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_an_invoiced_order_is_credited_and_changed_both_are_done_once() {
    walk(Scene::Credited, Database::Sqlite, Action::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_at_any_step_of_one_order_and_killed_everything_is_there_once() {
    walk(Scene::GuestOrder, Database::Sqlite, Action::Hang).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_at_any_step_everything_is_there_once_and_the_failure_is_seen() {
    for scene in Scene::ALL {
        walk(*scene, Database::Sqlite, Action::Error).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_sqlite_database_is_refused() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let other = world.folder.path().join("other.toml");
    world.write_config(&other, "sqlite://lockstep.db", free_port());
    let refused = Daemon::try_start(&other, &Start::default())
        .map(|_| ())
        .expect_err("it must not start");
    assert!(refused.contains("already"), "{refused}");
    drop(daemon);
    drop(Daemon::start(&other, &Start::default()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_daemons_on_one_postgres_one_takes_over_what_the_other_was_killed_in() {
    let world = World::new(Database::Postgres).await;
    let url = fresh_postgres().await;
    world.write_config(&world.config, &url, world.http_port);
    let other = world.folder.path().join("other.toml");
    world.write_config(&other, &url, free_port());
    let one = world.start(&Start::default());
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    world.idle(&one).await;
    // The first attempt of this daemon has written everything to the ERP and never says so.
    let mut two = Daemon::start(
        &other,
        &Start {
            fail: Some("before_finish=hang".to_owned()),
            ..Start::default()
        },
    );
    // Both share the work: there are orders until the second one has begun its first.
    let mut names = Vec::new();
    until(
        "the second daemon works on something",
        || {
            if two.has_struck(FailPoint::BeforeFinish) {
                return Some(());
            }
            // Not more than both can do in time.
            if names.len() < world.erp.ledger().orders().len() + 16 {
                let variant = variants[names.len() % 2];
                names.push(world.order(Buyer::Customer(customer), variant).1);
            }
            None
        },
        || two.log(),
    )
    .await;
    two.kill();
    let killed = Instant::now();
    for name in &names {
        world.booked(name, "sale", &one).await;
    }
    world.idle(&one).await;
    let took = killed.elapsed();
    assert!(took < RESUMED, "taken over after {took:?}");
    assert_eq!(
        world.erp.ledger().orders().len(),
        names.len(),
        "nothing is doubled"
    );
    assert!(world.problems().is_empty());
    // What was begun by the one that was killed was completed by the other.
    let stories = world.stories(&[]);
    let taken_over: Vec<_> = stories
        .iter()
        .filter(|story| !attempts(story, "unclean").is_empty())
        .collect();
    assert!(!taken_over.is_empty(), "the attempt that hung was taken over");
    for story in taken_over {
        let cut = attempts(story, "unclean").remove(0);
        let done = attempts(story, "completed").remove(0);
        assert_ne!(cut["node"], done["node"], "{story}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_ends_in_order_and_goes_on_later() {
    let world = World::new(Database::Sqlite).await;
    let mut daemon = world.start(&Start::default());
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    let names: Vec<String> = (0..6)
        .map(|_| world.order(Buyer::Customer(customer), variants[0]).1)
        .collect();
    let status = daemon.terminate();
    assert!(status.success(), "{status:?}\n{}", daemon.log());
    let daemon = world.start(&Start::default());
    for name in &names {
        let booked = world.booked(name, "sale", &daemon).await;
        assert_eq!(booked.amount_total, everyday_total());
    }
    assert_eq!(world.erp.ledger().orders().len(), names.len());
}
