//! Full runs by a clock that only the test moves; who makes them here compares nothing.

mod delta;
mod failing;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::full::{FullRuns, MakeFullRun};
use super::*;
use crate::app::daemon::shops::Disabled;
use crate::app::schedules::full::read;
use crate::app::testing::until;
use crate::config::Config;
use crate::domain::{Clock as _, ManualClock, SystemEntropy, Timestamp};
use crate::queue::{LaneGate, Live};
use crate::reconcile::RunError;
use crate::store::{Revision, RunOutcome, Standing, StoreError};
use crate::sync::Engine;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// What a run does.
enum Does {
    Fails,
    IsLost,
    WaitsForTheStop,
    /// And the daemon is told to stop at that very moment.
    WaitsForTheEnd(CancellationToken),
}

/// Notes which runs are made, and when.
struct Fake {
    clock: ManualClock,
    made: Mutex<Vec<(String, Object, Timestamp)>>,
    /// What the next runs do; those after them succeed.
    next: Mutex<VecDeque<Does>>,
    running: AtomicUsize,
    began: Notify,
}

#[async_trait]
impl MakeFullRun for Fake {
    async fn full_run(
        &self,
        shop: &ShopName,
        object: Object,
        stop: &CancellationToken,
    ) -> Result<i64, RunError> {
        let made = (shop.to_string(), object, self.clock.now());
        self.made.lock().unwrap().push(made);
        self.running.fetch_add(1, Ordering::SeqCst);
        self.began.notify_one();
        let does = self.next.lock().unwrap().pop_front();
        let result = match does {
            None => Ok(7),
            Some(Does::Fails) => Err(RunError::Store(StoreError::BadRow {
                table: "links",
                row: 1,
                column: "state",
            })),
            Some(Does::IsLost) => Err(RunError::Lost(7)),
            Some(Does::WaitsForTheStop) => {
                stop.cancelled().await;
                Err(RunError::Stopped(7))
            }
            Some(Does::WaitsForTheEnd(daemon)) => {
                stop.cancelled().await;
                daemon.cancel();
                Err(RunError::Stopped(7))
            }
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

/// A store with shops, and what its nodes have in common.
struct World {
    clock: ManualClock,
    store: SharedStore,
    fake: Arc<Fake>,
    config: watch::Sender<Arc<Config>>,
    standing: watch::Sender<Standing>,
    current: Current,
    _folder: TempDir,
}

fn config(shops: &[(&str, &str)]) -> Arc<Config> {
    use std::fmt::Write as _;

    let mut text = String::new();
    for (name, more) in shops {
        write!(
            text,
            "[shops.{name}]\ndomain = '{name}.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
             time_zone = 'Europe/Berlin'\n[shops.{name}.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\n\
             login = 'a@example.com'\napi_key = 'k'\n[shops.{name}.sync]\n{more}\n"
        )
        .unwrap();
    }
    let config = Config::parse(&text, Path::new("/etc/lockstep.toml"), &|_| None);
    Arc::new(config.unwrap_or_else(|error| panic!("{error:?}")))
}

/// Orders, compared at this time of the day.
fn orders(full: &str) -> String {
    format!("orders = {{ in = 'on' }}\n[shops.main.runs]\nfull = '{full}'")
}

impl World {
    async fn new(now: &str, shops: &[(&str, &str)]) -> Self {
        let clock = ManualClock::new(at(now));
        let (folder, store) = crate::store::testing::open_temp(Arc::new(clock.clone())).await;
        let fake = Fake {
            clock: clock.clone(),
            made: Mutex::default(),
            next: Mutex::default(),
            running: AtomicUsize::new(0),
            began: Notify::new(),
        };
        let config = watch::Sender::new(config(shops));
        let standing = watch::Sender::new(Standing {
            own: 1,
            newest: Revision {
                id: 1,
                hash: String::new(),
                summary: String::new(),
                toggles: serde_json::Value::Null,
                node: "one".to_owned(),
                created_at: clock.now(),
            },
            is_newest: true,
        });
        let live = Live {
            settings: crate::queue::Settings::default(),
            gate: LaneGate::new(|_| true),
            revision: None,
        };
        let current = Current {
            config: config.subscribe(),
            engine: watch::Sender::new(Arc::new(Engine::new([]))).subscribe(),
            clients: watch::Sender::new(Arc::default()).subscribe(),
            live: watch::Sender::new(live),
            standing: standing.subscribe(),
            disabled: Disabled::default(),
        };
        Self {
            clock,
            store,
            fake: Arc::new(fake),
            config,
            standing,
            current,
            _folder: folder,
        }
    }

    /// A node that was just started.
    fn node(&self, name: &str) -> FullRuns {
        self.node_at(name, self.store.clone())
    }

    /// The same, at another store.
    fn node_at(&self, name: &str, store: SharedStore) -> FullRuns {
        let around = Around {
            current: self.current.clone(),
            store,
            clock: Arc::new(self.clock.clone()),
            node: name.to_owned(),
            events: Events::silent(Arc::new(SystemEntropy)),
        };
        FullRuns::new(around, self.fake.clone())
    }

    /// The runs that were made since this was asked last.
    fn made(&self) -> Vec<(String, Object, Timestamp)> {
        std::mem::take(&mut *self.fake.made.lock().unwrap())
    }

    fn next(&self, does: impl IntoIterator<Item = Does>) {
        self.fake.next.lock().unwrap().extend(does);
    }
}

/// Has a node make what is due, until nothing is.
async fn work(node: &FullRuns) {
    loop {
        let due = node.due(&BTreeMap::new()).await;
        if due.is_empty() {
            return;
        }
        for (key, due) in due {
            node.run(&key, due, &CancellationToken::new()).await;
        }
    }
}

#[tokio::test]
async fn a_daily_run_comes_once_a_day_also_when_clocks_change() {
    // On 2026-03-29 there is no 02:30, on 2026-10-25 there are two.
    for (start, days) in [
        ("2026-03-27T12:00:00Z", ["2026-03-28", "2026-03-29", "2026-03-30"]),
        ("2026-10-23T12:00:00Z", ["2026-10-24", "2026-10-25", "2026-10-26"]),
    ] {
        let world = World::new(start, &[("main", &orders("30 2 * * *"))]).await;
        let node = world.node("one");
        for _ in 0..3 * 24 * 3 {
            work(&node).await;
            world.clock.advance(20 * MINUTE);
        }
        let made: Vec<String> = world
            .made()
            .iter()
            .map(|(_, _, at)| {
                let local = at.to_utc().with_timezone(&chrono_tz::Europe::Berlin);
                let time = local.format("%H:%M").to_string();
                assert!(("02:30".."03:30").contains(&time.as_str()), "{local}");
                local.date_naive().to_string()
            })
            .collect();
        assert_eq!(made, days);
    }
}

#[tokio::test]
async fn what_was_missed_while_nothing_ran_is_made_up_for_once() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    work(&world.node("one")).await;
    assert_eq!(world.made(), [], "the first one comes at its time");
    world.clock.advance(5 * 24 * HOUR);
    let again = world.node("one");
    work(&again).await;
    work(&again).await;
    work(&world.node("another start")).await;
    assert_eq!(world.made().len(), 1);
    // And then as before.
    for _ in 0..48 {
        world.clock.advance(HOUR);
        work(&again).await;
    }
    assert_eq!(world.made().len(), 2);
}

#[tokio::test]
async fn one_node_makes_it_and_the_others_do_not_make_it_again() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let (one, two) = (world.node("one"), world.node("two"));
    work(&one).await;
    world.clock.advance(24 * HOUR);
    // Both saw that it is due before either began.
    let (mut first, mut second) = (one.due(&BTreeMap::new()).await, two.due(&BTreeMap::new()).await);
    let ((key, due), (_, late)) = (first.remove(0), second.remove(0));
    world.next([Does::WaitsForTheStop]);
    let stop = CancellationToken::new();
    let running = one.run(&key, due, &stop);
    let meanwhile = async {
        world.fake.began.notified().await;
        two.run(&key, late, &CancellationToken::new()).await;
        assert_eq!(world.made().len(), 1, "the lease is the first one's");
        stop.cancel();
    };
    futures_util::future::join(running, meanwhile).await;

    // It was cut short, so it is still due: whoever comes first makes it, and once.
    let (mut first, mut second) = (
        world.node("three").due(&BTreeMap::new()).await,
        one.due(&BTreeMap::new()).await,
    );
    let ((key, due), (_, late)) = (first.remove(0), second.remove(0));
    two.run(&key, due, &CancellationToken::new()).await;
    one.run(&key, late, &CancellationToken::new()).await;
    assert_eq!(world.made().len(), 1);
}

#[tokio::test]
async fn a_node_whose_lease_another_one_has_stops_its_run() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let one = world.node("one");
    work(&one).await;
    world.clock.advance(24 * HOUR);
    let (key, due) = one.due(&BTreeMap::new()).await.remove(0);
    world.next([Does::WaitsForTheStop]);
    let never = CancellationToken::new();
    let meanwhile = async {
        world.fake.began.notified().await;
        // Nothing was heard of it for so long that its right ended.
        let now = world.clock.now().plus(HOUR);
        let taken = world
            .store
            .take_lease("full:main:order", "serve-two", now, now.plus(HOUR));
        assert!(taken.await.unwrap());
        world.clock.advance(HOUR);
    };
    futures_util::future::join(one.run(&key, due, &never), meanwhile).await;
    let standing = read(&world.store, &key.0, key.1).await.unwrap().unwrap();
    assert_eq!(standing.last, None, "what the other one notes counts");
}

#[tokio::test]
async fn an_object_that_was_off_begins_with_the_next_time() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let node = world.node("one");
    work(&node).await;
    for off in [orders("off"), "orders = {}".to_owned()] {
        world.config.send_replace(config(&[("main", &off)]));
        world.clock.advance(3 * 24 * HOUR);
        work(&node).await;
        world
            .config
            .send_replace(config(&[("main", &orders("0 3 * * *"))]));
        work(&node).await;
        assert_eq!(world.made(), [], "{off}");
        world.clock.advance(24 * HOUR);
        work(&node).await;
        assert_eq!(world.made().len(), 1, "{off}");
    }
}

#[tokio::test]
async fn shops_begin_apart_and_their_objects_one_after_the_other() {
    let all = "orders = { in = 'on' }\ncustomers = { in = 'on' }\nproducts = { in = 'on' }";
    let world = World::new(
        "2026-11-20T12:00:00Z",
        &[("main", all), ("other", all), ("third", all)],
    )
    .await;
    let node = world.node("one");
    work(&node).await;
    world.clock.advance(24 * HOUR);
    let due = node.due(&BTreeMap::new()).await;
    assert_eq!(due.len(), 2, "a node makes so many at once");
    assert!(due.iter().all(|((_, object), _)| *object == Object::Product));
    let busy = due
        .into_iter()
        .map(|(key, _)| (key, CancellationToken::new()))
        .collect();
    assert!(node.due(&busy).await.is_empty());
    work(&node).await;
    let made = world.made();
    assert_eq!(made.len(), 9);
    // The next night each at its own time.
    for _ in 0..24 * 60 {
        world.clock.advance(MINUTE);
        work(&node).await;
    }
    let first = |shop: &str, made: &[(String, Object, Timestamp)]| {
        made.iter().find(|(name, ..)| name == shop).map(|(.., at)| *at)
    };
    let made = world.made();
    let times = ["main", "other", "third"].map(|shop| first(shop, &made).unwrap());
    assert!(
        times[0] != times[1] && times[1] != times[2] && times[0] != times[2],
        "{times:?}"
    );
}

#[tokio::test]
async fn of_more_shops_than_there_is_time_for_each_has_its_turn() {
    let hourly = "orders = { in = 'on' }\n";
    let names = ["a", "b", "c", "d", "e"];
    let runs = names.map(|name| (name, format!("{hourly}[shops.{name}.runs]\nfull = '0 * * * *'")));
    let shops: Vec<(&str, &str)> = runs.iter().map(|(name, more)| (*name, more.as_str())).collect();
    let world = World::new("2026-11-20T12:00:00Z", &shops).await;
    let node = world.node("one");
    work(&node).await;
    let mut made = BTreeSet::new();
    for _ in 0..3 {
        // All of them are due again before the last ones had their turn.
        world.clock.advance(2 * HOUR);
        for (key, due) in node.due(&BTreeMap::new()).await {
            node.run(&key, due, &CancellationToken::new()).await;
        }
        made.extend(world.made().into_iter().map(|(shop, ..)| shop));
    }
    assert_eq!(made, names.map(str::to_owned).into());
}

#[tokio::test]
async fn a_clock_that_was_put_back_keeps_no_run_waiting() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let node = world.node("one");
    work(&node).await;
    // Somebody sets the machine's clock wrong, and right again.
    world.clock.advance(30 * 24 * HOUR);
    work(&node).await;
    assert_eq!(world.made().len(), 1);
    world.clock.set_back(30 * 24 * HOUR);
    work(&node).await;
    assert_eq!(world.made().len(), 0);
    world.clock.advance(24 * HOUR);
    work(&node).await;
    assert_eq!(world.made().len(), 1, "that of the next night");
    // So does the try after one that failed.
    world.clock.advance(30 * 24 * HOUR);
    world.next([Does::Fails]);
    work(&node).await;
    assert_eq!(world.made().len(), 1);
    world.clock.set_back(30 * 24 * HOUR);
    work(&node).await;
    world.made();
    world.clock.advance(24 * HOUR);
    work(&node).await;
    assert_eq!(world.made().len(), 1, "and that of the night after it");
}

#[tokio::test]
async fn a_run_whose_directions_are_switched_begins_anew() {
    let both = "customers = { in = 'on', out = 'on' }\n[shops.main.runs]\nfull = '0 3 * * *'";
    let world = World::new("2026-11-20T12:00:00Z", &[("main", both)]).await;
    work(&world.node("one")).await;
    world.clock.advance(24 * HOUR);
    world.next((0..3).map(|_| Does::WaitsForTheStop));
    let stop = CancellationToken::new();
    let following = tokio::spawn(follow(world.node("one"), stop.clone()));
    let made = async |count: usize| {
        let made = async || (world.fake.made.lock().unwrap().len() == count).then_some(());
        until(&format!("{count} made"), made).await;
        running(&world, 1).await;
    };
    made(1).await;
    // One way is left: the run goes on by both.
    for (turn, off) in ["out = 'on'", "in = 'on'"].into_iter().enumerate() {
        let left = both.replace(off, &off.replace("on", "off"));
        world.config.send_replace(config(&[("main", &left)]));
        made(turn + 2).await;
    }
    stop.cancel();
    tokio::time::timeout(PATIENCE, following)
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(world.made().len(), 3);
}

/// Waits until so many runs are under way.
async fn running(world: &World, count: usize) {
    let runs = async || (world.fake.running.load(Ordering::SeqCst) == count).then_some(());
    until(&format!("{count} running"), runs).await;
}

#[tokio::test]
async fn a_stop_ends_runs_and_so_does_a_newer_configuration_elsewhere() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    work(&world.node("one")).await;
    world.clock.advance(24 * HOUR);
    world.next((0..3).map(|_| Does::WaitsForTheStop));
    let stop = CancellationToken::new();
    let following = tokio::spawn(follow(world.node("one"), stop.clone()));
    running(&world, 1).await;
    world.standing.send_modify(|standing| standing.is_newest = false);
    running(&world, 0).await;
    assert_eq!(world.made().len(), 1, "the other one makes it");
    world.standing.send_modify(|standing| standing.is_newest = true);
    running(&world, 1).await;
    // So does the object's toggle.
    world.config.send_replace(config(&[("main", "orders = {}")]));
    running(&world, 0).await;
    world
        .config
        .send_replace(config(&[("main", &orders("0 3 * * *"))]));
    let standing = async || {
        read(&world.store, &"main".parse().unwrap(), Object::Order)
            .await
            .unwrap()
    };
    until("it is begun anew", standing).await;
    world.clock.advance(24 * HOUR);
    running(&world, 1).await;
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, following).await;
    ended.expect("it ends").unwrap();
    assert_eq!(standing().await.unwrap().last, None, "it is still due");
    world.made();
    work(&world.node("the next start")).await;
    assert_eq!(world.made().len(), 1);
}
