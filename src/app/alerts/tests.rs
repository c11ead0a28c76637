//! Alerts end to end: conditions in a store, messages at a mail server and a chat that stand in on loopback, a clock that is
//! moved by hand.

mod conditions;
mod messages;
mod receivers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::config::Config;
use crate::domain::{Clock as _, JobKey, ManualClock, NewProblem, Object, SharedClock, System, Timestamp};
use crate::store::faulty::{FaultyStore, StoreFault};
use crate::store::testing::open_temp;
use crate::store::{
    Act, Action, BreakerRow, Claim, Cluster, DeliveryCount, Finish, Lane, NewGap, NewJob, RejectionCount,
    SharedStore, Verdict,
};
use receivers::{Chat, Mails};

/// 2026-11-25T12:00:00Z, a Wednesday.
const NOON: i64 = 1_795_608_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

struct Rig {
    _folder: TempDir,
    store: SharedStore,
    clock: ManualClock,
    config: watch::Sender<Arc<Config>>,
    watch: Watch,
}

fn config(alerts: &str) -> Config {
    let text = format!(
        r#"[shops.main]
domain = "main-store.myshopify.com"
access_token = "token"
webhook_secrets = ["secret"]
owner = "shop"
[shops.main.odoo]
url = "http://127.0.0.1:9"
database = "prod"
login = "connector@example.com"
api_key = "key"
[shops.main.sync]
orders = {{ in = "on" }}
{alerts}"#
    );
    Config::parse(&text, Path::new("/nowhere/lockstep.toml"), &|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

impl Rig {
    async fn new(alerts: &str) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(NOON));
        let (folder, store) = open_temp(Arc::new(clock.clone())).await;
        let config = watch::Sender::new(Arc::new(config(alerts)));
        let watch = Self::watch(&store, &clock, &config, "a");
        Self {
            _folder: folder,
            store,
            clock,
            config,
            watch,
        }
    }

    fn watch(
        store: &SharedStore,
        clock: &ManualClock,
        config: &watch::Sender<Arc<Config>>,
        node: &str,
    ) -> Watch {
        let shared: SharedClock = Arc::new(clock.clone());
        Watch::new(config.subscribe(), store.clone(), shared, node)
    }

    async fn round_after(&mut self, pause: Duration) {
        self.clock.advance(pause);
        self.watch.round().await;
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A problem of the shop itself.
    async fn shop_problem(&self, code: &str, cluster: &str, owner: &str) {
        let name = "main".parse().unwrap();
        let problem = problem(code, cluster, owner);
        self.store
            .open_shop_problem(&name, problem, self.now())
            .await
            .unwrap();
    }

    /// An order whose attempt ends like this.
    async fn order(&self, id: &str, verdict: Verdict) {
        let key = JobKey {
            shop: "main".parse().unwrap(),
            object: Object::Order,
            direction: crate::domain::Direction::In,
            source_id: id.to_owned(),
        };
        let now = self.now();
        let job = NewJob {
            key: key.clone(),
            priority: crate::domain::Priority::LIVE,
            now,
            cause: "a test".to_owned(),
        };
        self.store.enqueue(job).await.unwrap();
        let claim = Claim {
            node: "a".to_owned(),
            lanes: vec![(Lane::of(&key), 1)],
            now,
            lease: HOUR,
        };
        let job = self.store.claim(claim).await.unwrap().remove(0);
        let finish = Finish {
            job: job.id,
            fence: job.fence,
            started_at: now,
            ended_at: now,
            verdict,
            unclean: false,
            summary: String::new(),
            detail: serde_json::Value::Null,
            revision: None,
            record_name: Some(format!("#{id}")),
            erp_name: None,
            links: Vec::new(),
            enqueue: Vec::new(),
            disables_shop: None,
            notifications: Vec::new(),
        };
        self.store.finish(finish).await.unwrap();
    }

    /// What the look finds, as its kinds and texts. Whatever it is, it leads to a page of the console.
    async fn found(&self) -> Vec<(String, String)> {
        let config = Arc::clone(&self.config.borrow());
        let known = self.store.alerts().await.unwrap();
        let found = found::look(&config, &self.store, &known, self.now()).await;
        assert!(found.not_looked.is_empty(), "{:?}", found.not_looked);
        let alerts = found.alerts.into_iter();
        let alerts = alerts.inspect(|(alert, _)| {
            if let Some(url) = &alert.url {
                assert!(crate::app::console::has_page(url), "{alert:?}");
            }
        });
        alerts.map(|(alert, _)| (alert.kind, alert.text)).collect()
    }
}

fn problem(code: &str, cluster: &str, owner: &str) -> NewProblem {
    NewProblem {
        code: code.into(),
        record: Some("#1001".to_owned()),
        field: None,
        reason: format!("The address of Grace Hopper is odd ({cluster})."),
        fix: "mend it".to_owned(),
        owner: owner.to_owned(),
        mapping: None,
        cluster: cluster.to_owned(),
        detail: serde_json::Value::Null,
    }
}

#[tokio::test]
async fn a_condition_is_told_once_and_so_is_its_end_whatever_restarts() {
    let (mails, chat) = (Mails::new().await, Chat::new().await);
    let settings = format!(
        "[alerts]\nchat_url = \"{}\"\nemail = [\"ops@example.com\"]\nconsole_url = \"https://console.example.com/\"\n{}",
        chat.url("/hook"),
        mails.section()
    );
    let mut rig = Rig::new(&settings).await;
    rig.watch.round().await;
    assert_eq!(
        (mails.count(), chat.texts("/hook").len()),
        (0, 0),
        "nothing is wrong yet"
    );
    rig.shop_problem("api_key_expires", "x", "shop").await;
    rig.round_after(MINUTE).await;
    let mail = mails.last();
    assert!(mail.contains("To: ops@example.com"), "{mail}");
    assert!(
        mail.contains("Subject: lockstep: main: The address of Grace Hopper is odd"),
        "{mail}"
    );
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("New:\n- main: "), "{}", texts[0]);
    assert!(
        texts[0].contains("https://console.example.com/problems/cluster?shop=main&amp;code=api_key_expires"),
        "{}",
        texts[0]
    );
    // It lasts, and the process is started anew: nothing more is said.
    for _ in 0..10 {
        rig.round_after(MINUTE).await;
    }
    rig.watch = Rig::watch(&rig.store, &rig.clock, &rig.config, "b");
    rig.round_after(MINUTE * 3).await;
    assert_eq!((mails.count(), chat.texts("/hook").len()), (1, 1));

    let shop = "main".parse().unwrap();
    rig.store
        .close_shop_problems(&shop, "api_key_expires", rig.now())
        .await
        .unwrap();
    rig.round_after(MINUTE).await;
    assert_eq!(mails.count(), 1, "it may be away for a moment only");
    rig.round_after(MINUTE * 3).await;
    assert_eq!((mails.count(), chat.texts("/hook").len()), (2, 2));
    assert!(
        mails.last().contains("Subject: lockstep: over: main"),
        "{}",
        mails.last()
    );
    assert!(chat.texts("/hook")[1].starts_with("Over:\n"));
    rig.round_after(HOUR).await;
    assert_eq!(mails.count(), 2);
}

#[tokio::test]
async fn what_is_back_within_three_minutes_was_never_over() {
    let chat = Chat::new().await;
    let mut rig = Rig::new(&format!("[alerts]\nchat_url = \"{}\"", chat.url("/hook"))).await;
    let shop = "main".parse().unwrap();
    for _ in 0..4 {
        rig.shop_problem("api_key_expires", "x", "shop").await;
        rig.round_after(MINUTE).await;
        rig.store
            .close_shop_problems(&shop, "api_key_expires", rig.now())
            .await
            .unwrap();
        rig.round_after(MINUTE).await;
    }
    assert_eq!(chat.texts("/hook").len(), 1);
}

#[tokio::test]
async fn many_at_once_are_one_message_and_later_ones_wait_a_little() {
    let chat = Chat::new().await;
    let mut rig = Rig::new(&format!("[alerts]\nchat_url = \"{}\"", chat.url("/hook"))).await;
    for n in 0..30 {
        rig.shop_problem("api_key_expires", &format!("cause {n:02}"), "shop")
            .await;
    }
    rig.watch.round().await;
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 1);
    assert_eq!(texts[0].matches("\n- main: ").count(), 20, "{}", texts[0]);
    assert!(texts[0].contains("- and 10 more"), "{}", texts[0]);
    // More of them, minute by minute: one message after five minutes.
    for n in 30..34 {
        rig.shop_problem("api_key_expires", &format!("cause {n}"), "shop")
            .await;
        rig.round_after(MINUTE).await;
    }
    assert_eq!(chat.texts("/hook").len(), 1);
    rig.round_after(MINUTE).await;
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[1].matches("- main: ").count(), 4, "{}", texts[1]);
}

#[tokio::test]
async fn owners_get_their_own_and_the_rest_goes_to_all() {
    let chat = Chat::new().await;
    let settings = format!(
        "[alerts]\nchat_url = \"{}\"\n[owners.books]\nchat_url = \"{}\"\n[owners.ada]\nchat_url = \"{}\"\ncodes = \
         [\"key_missing\"]\n[owners.bob]\n",
        chat.url("/all"),
        chat.url("/books"),
        chat.url("/ada")
    );
    let mut rig = Rig::new(&settings).await;
    rig.shop_problem("tax_not_found", "1", "books").await;
    // By its code, whatever its mapping says.
    rig.shop_problem("key_missing", "2", "books").await;
    // Neither is reached: an owner without a contact, and one whom nobody knows.
    rig.shop_problem("tax_not_found", "3", "bob").await;
    rig.shop_problem("tax_not_found", "4", "eve").await;
    rig.watch.round().await;
    let told = |path: &str| {
        let texts = chat.texts(path);
        assert!(texts.len() <= 1, "{texts:?}");
        let text = texts.concat();
        (1..=4)
            .filter(|n| text.contains(&format!("odd ({n})")))
            .collect::<Vec<_>>()
    };
    assert_eq!(told("/books"), [1]);
    assert_eq!(told("/ada"), [2]);
    assert_eq!(told("/all"), [3, 4]);
}

#[tokio::test]
async fn two_nodes_tell_once() {
    let chat = Chat::new().await;
    let mut rig = Rig::new(&format!("[alerts]\nchat_url = \"{}\"", chat.url("/hook"))).await;
    let mut other = Rig::watch(&rig.store, &rig.clock, &rig.config, "b");
    rig.shop_problem("api_key_expires", "x", "shop").await;
    for _ in 0..5 {
        tokio::join!(rig.watch.round(), other.round());
        rig.clock.advance(MINUTE);
    }
    assert_eq!(chat.texts("/hook").len(), 1);
    // The one that looked is gone: the other takes over when its right has ended.
    rig.shop_problem("api_key_expires", "y", "shop").await;
    rig.clock.advance(MINUTE * 5);
    other.round().await;
    assert_eq!(chat.texts("/hook").len(), 2);
}

#[tokio::test]
async fn a_mail_server_that_is_down_gets_the_message_later_and_is_told_of() {
    let mails = Mails::new().await;
    mails.refuse(2);
    let settings = format!("[alerts]\nemail = [\"ops@example.com\"]\n{}", mails.section());
    let mut rig = Rig::new(&settings).await;
    rig.shop_problem("api_key_expires", "x", "shop").await;
    rig.watch.round().await;
    assert_eq!((mails.count(), mails.tries()), (0, 1));
    let failure = rig.store.alert_standing().await.unwrap().failure.unwrap();
    assert!(failure.error.contains("450"), "{failure:?}");
    let config = Arc::clone(&rig.config.borrow());
    let shared: SharedClock = Arc::new(rig.clock.clone());
    let status = crate::app::status::status(&config, &rig.store, &shared)
        .await
        .unwrap();
    assert!(
        status
            .warnings
            .iter()
            .any(|warning| warning.contains("a mail to ops@example.com could not be sent")),
        "{:?}",
        status.warnings
    );
    rig.round_after(MINUTE / 2).await;
    assert_eq!(mails.tries(), 1, "it rests for a minute");
    rig.round_after(MINUTE / 2).await;
    rig.round_after(MINUTE).await;
    assert_eq!((mails.count(), mails.tries()), (0, 2), "then for two");
    rig.round_after(MINUTE).await;
    assert_eq!((mails.count(), mails.tries()), (1, 3));
    let standing = rig.store.alert_standing().await.unwrap();
    assert_eq!((standing.waiting, standing.failure), (0, None));
}

#[tokio::test]
async fn who_left_the_configuration_is_written_no_more_and_warns_nobody() {
    let mails = Mails::new().await;
    mails.refuse(1);
    let settings = |address: &str| format!("[alerts]\nemail = [\"{address}\"]\n{}", mails.section());
    let mut rig = Rig::new(&settings("old@example.com")).await;
    rig.shop_problem("api_key_expires", "x", "shop").await;
    rig.watch.round().await;
    assert_eq!((mails.count(), mails.tries()), (0, 1));
    let warned = async |rig: &Rig| {
        let config = Arc::clone(&rig.config.borrow());
        let shared: SharedClock = Arc::new(rig.clock.clone());
        let status = crate::app::status::status(&config, &rig.store, &shared)
            .await
            .unwrap();
        let about = |warning: &String| warning.contains("could not be sent");
        (status.alerts.failure.is_some(), status.warnings.iter().any(about))
    };
    assert_eq!(warned(&rig).await, (true, true));
    rig.config
        .send_replace(Arc::new(config(&settings("new@example.com"))));
    rig.round_after(HOUR).await;
    assert_eq!((mails.count(), mails.tries()), (0, 1), "it is given up");
    assert_eq!(rig.store.alert_standing().await.unwrap().waiting, 0);
    assert_eq!(warned(&rig).await, (false, false));
}

#[tokio::test]
async fn a_chat_that_refuses_is_told_without_its_address() {
    let chat = Chat::new().await;
    chat.answer("/T0/B0/verysecret", 404);
    let settings = format!("[alerts]\nchat_url = \"{}\"", chat.url("/T0/B0/verysecret"));
    let mut rig = Rig::new(&settings).await;
    rig.shop_problem("api_key_expires", "x", "shop").await;
    rig.watch.round().await;
    let failure = rig.store.alert_standing().await.unwrap().failure.unwrap();
    assert!(failure.error.contains("HTTP 404"), "{failure:?}");
    assert!(!format!("{failure:?}").contains("verysecret"), "{failure:?}");
    let shown = format!("{:?}", rig.config.borrow());
    assert!(!shown.contains("verysecret"), "Debug shows no address of a chat");
    // After three days it is given up.
    for _ in 0..80 {
        rig.round_after(HOUR).await;
    }
    let failure = rig.store.alert_standing().await.unwrap().failure.unwrap();
    assert!(failure.given_up, "{failure:?}");
}

#[tokio::test]
async fn messages_name_no_customers_unless_that_is_wanted() {
    for (quotes, expected) in [("", false), ("quote_reasons = true\n", true)] {
        let chat = Chat::new().await;
        let settings = format!("[alerts]\n{quotes}chat_url = \"{}\"", chat.url("/hook"));
        let mut rig = Rig::new(&settings).await;
        let said = problem("tax_not_found", "tax_not_found:grace@example.com", "shop");
        rig.order("1001", Verdict::Problem(said)).await;
        rig.watch.round().await;
        let text = chat.texts("/hook").concat();
        assert_eq!(text.contains("Grace Hopper"), expected, "{text}");
        assert!(text.contains("(tax_not_found)"), "{text}");
        assert!(text.contains("1 job so far, e.g. #1001"), "{text}");
        assert_eq!(text.contains("grace"), expected, "a link says no more: {text}");
        let row = rig.store.alerts().await.unwrap().remove(0);
        assert_eq!(row.quotes, expected);
        assert!(!row.key.contains("grace"), "{row:?}");
    }
}

#[tokio::test]
async fn what_lasts_is_told_with_the_count_of_now() {
    let chat = Chat::new().await;
    let mut rig = Rig::new(&format!("[alerts]\nchat_url = \"{}\"", chat.url("/hook"))).await;
    for id in ["1001", "1002", "1003"] {
        let said = problem("tax_not_found", "x", "shop");
        rig.order(id, Verdict::Problem(said)).await;
        rig.round_after(MINUTE).await;
    }
    assert_eq!(chat.texts("/hook").len(), 1, "it is one cause");
    let rows = rig.store.alerts().await.unwrap();
    assert!(rows[0].text.contains("3 jobs so far"), "{rows:?}");
}

#[tokio::test]
async fn a_snoozed_cause_is_not_told_until_it_wakes() {
    let chat = Chat::new().await;
    let mut rig = Rig::new(&format!("[alerts]\nchat_url = \"{}\"", chat.url("/hook"))).await;
    rig.shop_problem("api_key_expires", "x", "shop").await;
    let act = Act {
        actor: crate::domain::Actor::new("ada", crate::domain::Via::Cli),
        reason: None,
        at: rig.now(),
        action: Action::Snooze {
            cluster: Cluster {
                shop: "main".parse().unwrap(),
                code: "api_key_expires".to_owned(),
                cluster: "x".to_owned(),
            },
            until: Some(rig.now().plus(HOUR)),
        },
    };
    rig.store.act(act).await.unwrap();
    rig.watch.round().await;
    assert!(chat.texts("/hook").is_empty());
    rig.round_after(HOUR).await;
    assert_eq!(chat.texts("/hook").len(), 1);
}

#[tokio::test]
async fn a_store_that_fails_is_told_from_memory_and_its_recovery_by_itself() {
    let chat = Chat::new().await;
    let clock = ManualClock::new(Timestamp::from_millis(NOON));
    let (_folder, inner) = open_temp(Arc::new(clock.clone())).await;
    let faulty = Arc::new(FaultyStore::new(inner));
    let store: SharedStore = faulty.clone();
    let config = watch::Sender::new(Arc::new(config(&format!(
        "[alerts]\nchat_url = \"{}\"",
        chat.url("/hook")
    ))));
    let mut watch = Rig::watch(&store, &clock, &config, "a");
    faulty.fail("take_lease", StoreFault::Away, 100);
    for minute in 0..10 {
        watch.round().await;
        let told = chat.texts("/hook").len();
        assert_eq!(told, usize::from(minute >= 2), "after {minute} minutes");
        clock.advance(MINUTE);
    }
    assert!(
        chat.texts("/hook")[0].contains("The store has failed on a since 2026-11-25 12:00 UTC"),
        "{:?}",
        chat.texts("/hook")
    );
    faulty.fail("take_lease", StoreFault::Away, 0);
    watch.round().await;
    clock.advance(MINUTE);
    watch.round().await;
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[1].contains("The store works again on a"), "{}", texts[1]);
}

#[tokio::test]
async fn a_question_that_fails_keeps_nobody_from_hearing_of_the_rest() {
    let chat = Chat::new().await;
    let clock = ManualClock::new(Timestamp::from_millis(NOON));
    let (_folder, inner) = open_temp(Arc::new(clock.clone())).await;
    let faulty = Arc::new(FaultyStore::new(inner));
    let store: SharedStore = faulty.clone();
    let config = watch::Sender::new(Arc::new(config(&format!(
        "[alerts]\nbreaker_minutes = 5\nchat_url = \"{}\"",
        chat.url("/hook")
    ))));
    let mut watch = Rig::watch(&store, &clock, &config, "a");
    let breaker = BreakerRow {
        shop: "main".parse().unwrap(),
        system: System::Erp,
        state: "open".to_owned(),
        since: clock.now(),
        reason: None,
    };
    store.save_breaker(breaker).await.unwrap();
    let name = "main".parse().unwrap();
    store
        .open_shop_problem(&name, problem("api_key_expires", "x", "shop"), clock.now())
        .await
        .unwrap();
    watch.round().await;
    assert_eq!(chat.texts("/hook").len(), 1);
    faulty.fail("problem_clusters", StoreFault::Refuses, 100);
    for _ in 0..10 {
        clock.advance(MINUTE);
        watch.round().await;
    }
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[1].contains("the ERP has not answered"), "{}", texts[1]);
    let rows = store.alerts().await.unwrap();
    assert_eq!(rows.len(), 2, "what was not looked at is not over: {rows:?}");
    assert!(rows.iter().all(|row| row.absent_since.is_none()), "{rows:?}");
}
