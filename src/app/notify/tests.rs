//! What people ask about notifications, on a store and with a receiver of another make.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::app::testing::told;
use crate::config::Config;
use crate::domain::{Actor, SeededEntropy, SharedClock, SharedEntropy, SystemClock, Timestamp, Via};
use crate::sandbox::receiver::Receiver;
use crate::store::testing::open_temp;
use crate::store::{
    DispatchEnd, DispatchState, FannedOut, KeptNotification, NewDispatch, Redeliver, Redelivered, SharedStore,
};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A configuration with these sections about notifications.
fn config(notify: &str, folder: &Path) -> Config {
    let text = format!(
        "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['secret']\n\
         [shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'k'\n\
         {notify}"
    );
    Config::parse(&text, &folder.join("lockstep.toml"), &|_| None)
        .unwrap_or_else(|error| panic!("{error:#?}\n{text}"))
}

fn sources() -> (SharedClock, SharedEntropy) {
    (Arc::new(SystemClock), Arc::new(SeededEntropy::new(7)))
}

fn ada() -> Actor {
    Actor::new("ada", Via::Cli)
}

/// What stands between ```` ```toml ```` and the end of such a block.
fn examples(page: &str) -> impl Iterator<Item = &str> {
    page.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
}

#[test]
fn the_examples_of_the_guide_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    let guide = include_str!("../../../docs/guides/notifications.md");
    let mut endpoints = 0;
    for example in examples(guide) {
        for path in example.split('"').filter(|text| text.starts_with("secrets/")) {
            let is_address = path.ends_with("-hook");
            let content = if is_address {
                "https://hooks.example.com/services/T0/B0"
            } else {
                SECRET
            };
            std::fs::write(folder.path().join(path), content).unwrap();
        }
        let config = config(example, folder.path());
        assert!(!config.endpoints.is_empty(), "{example}");
        endpoints += config.endpoints.len();
    }
    assert_eq!(endpoints, 6, "one in each example");
}

#[tokio::test]
async fn a_test_is_signed_and_tells_what_came_back() {
    let receiver = Receiver::start(SECRET).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        &format!(
            "[notify]\nallow_networks = ['127.0.0.1']\n[notify.endpoints.own]\nurl = '{url}'\nallow_http = true\n\
             events = ['order.*']\nsecrets = ['{SECRET}']\n[notify.endpoints.chat]\nurl = '{url}'\nallow_http = true\n\
             events = ['sync.failed']\nsecrets = ['{SECRET}']\npersonal_data = true\n[notify.endpoints.chat.body]\n\
             template = '{{\"text\": \"{{{{ event.object.name }}}}: {{{{ event.problem.reason }}}}\"}}'\n\
             [notify.endpoints.stranger]\nurl = '{url}'\nallow_http = true\nevents = ['*']\n\
             secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']\n",
            url = receiver.url()
        ),
        folder.path(),
    );
    let (clock, entropy) = sources();
    let named = |name: &str| config.endpoints.iter().find(|one| one.name == name).unwrap();
    let own = try_out(&config, named("own"), &clock, &entropy).await;
    assert!(own.taken, "{own:?}");
    assert_eq!((own.event, own.status), (EventType::TestPing, Some(204)));
    assert_eq!(receiver.told()[&own.id].body["type"], "test.ping");
    // A template cannot be made of a ping: what it makes of something else is sent.
    let chat = try_out(&config, named("chat"), &clock, &entropy).await;
    assert!(chat.taken, "{chat:?}");
    assert_eq!(chat.event, EventType::SyncFailed, "and that is what is said");
    let text = receiver.told()[&chat.id].body["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(text, ": TEST: somebody tries out this endpoint");
    // With another secret the receiver takes nothing.
    let stranger = try_out(&config, named("stranger"), &clock, &entropy).await;
    assert_eq!(
        (stranger.taken, stranger.status),
        (false, Some(401)),
        "{stranger:?}"
    );
    assert_eq!(stranger.answer, "no signature fits");
    receiver.answer(500, "out of order");
    let failed = try_out(&config, named("own"), &clock, &entropy).await;
    assert_eq!(failed.failure.as_deref(), Some("status"));
    assert_eq!(failed.answer, "out of order");
    assert!(failed.sentence.unwrap().contains("500"));
    assert_eq!(receiver.told().len(), 2);
    receiver.stop().await;
}

struct Rig {
    config: Config,
    store: SharedStore,
    clock: SharedClock,
    now: Timestamp,
    _folders: (tempfile::TempDir, tempfile::TempDir),
}

impl Rig {
    async fn new() -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let (kept, store) = open_temp(clock.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(
            "[notify.endpoints.own]\nurl = 'https://hooks.example.com:8443/T0/secret'\nevents = ['customer.*']\n\
             condition = \"event.direction == 'in'\"\nowner = 'ops'\n[notify.endpoints.resting]\n\
             url = 'https://other.example.com/'\nevents = ['*']\nstate = 'paused'\n",
            folder.path(),
        );
        Self {
            config,
            store,
            now: clock.now(),
            clock,
            _folders: (kept, folder),
        }
    }

    async fn views(&self) -> Vec<EndpointView> {
        endpoints(&self.config, &self.store).await.unwrap()
    }

    async fn told(&self, endpoint: &str, end: DispatchEnd) -> i64 {
        told(&self.store, endpoint, end, "Ada was here", self.now).await
    }
}

#[tokio::test]
async fn an_endpoint_is_shown_with_how_it_goes_and_without_its_address() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        rig.told("own", DispatchEnd::Delivered).await;
    }
    let failed = rig.told("own", DispatchEnd::Failed).await;
    rig.told("gone", DispatchEnd::Again { at: rig.now }).await;
    let views = rig.views().await;
    let names: Vec<_> = views
        .iter()
        .map(|view| (view.name.as_str(), view.standing))
        .collect();
    assert_eq!(
        names,
        [
            ("gone", Standing::Removed),
            ("own", Standing::Active),
            ("resting", Standing::Paused)
        ]
    );
    let own = &views[1];
    assert_eq!(own.host.as_deref(), Some("hooks.example.com:8443"));
    assert_eq!(own.condition.as_deref(), Some("event.direction == 'in'"));
    assert_eq!((own.recent.tried, own.recent.delivered), (4, 3));
    assert_eq!(
        (own.recent.success_percent, own.recent.median_ms),
        (Some(75), Some(37))
    );
    assert_eq!(own.recent.last_failure.as_ref().unwrap().delivery, failed);
    assert_eq!(own.failed, 1);
    assert_eq!(views[0].waiting, 1);
    assert_eq!(
        paused_words(&views[2]).as_deref(),
        Some("the configuration has it paused")
    );
    let shown = serde_json::to_string(&views).unwrap();
    assert!(!shown.contains("secret") && !shown.contains("Ada"), "{shown}");
}

#[tokio::test]
async fn a_backlog_hides_neither_how_it_went_nor_why_it_fails() {
    let rig = Rig::new().await;
    rig.told("own", DispatchEnd::Delivered).await;
    let failing = rig.told("own", DispatchEnd::Again { at: rig.now }).await;
    let bodies = vec!["{}".to_owned(); 201];
    rig.store.add_notifications(bodies, rig.now).await.unwrap();
    let dispatch = NewDispatch {
        endpoint: "own".to_owned(),
        priority: 1,
        object_key: None,
        due_at: rig.now,
        problem: None,
    };
    let kept = |id: i64| KeptNotification {
        notification: format!("evt_{id}"),
        event: "customer.synced".to_owned(),
        shop: Some("main".to_owned()),
        object: None,
        record: None,
        keys: Vec::new(),
        body: "{}".to_owned(),
    };
    let rows = rig.store.outbox(300).await.unwrap();
    let fanned = rows.iter().map(|row| FannedOut {
        id: row.id,
        kept: Some(kept(row.id)),
        dispatches: vec![dispatch.clone()],
    });
    rig.store.fan_out(fanned.collect(), rig.now).await.unwrap();
    let own = rig.views().await.remove(0);
    assert_eq!(own.waiting, 202);
    assert_eq!((own.recent.tried, own.recent.delivered), (2, 1));
    assert_eq!(own.recent.success_percent, Some(50));
    assert_eq!(own.recent.last_failure.unwrap().delivery, failing);
}

#[tokio::test]
async fn an_endpoint_is_paused_once_and_resumed_once() {
    let rig = Rig::new().await;
    let turned = async |name: &str, pause| {
        turn(
            &rig.config,
            &rig.store,
            &rig.clock,
            ada(),
            (name, pause, Some("moving house")),
        )
        .await
        .unwrap()
    };
    assert_eq!(turned("own", true).await, Some(Turned::Done));
    assert_eq!(turned("own", true).await, Some(Turned::Already));
    let own = rig.views().await.remove(0);
    assert_eq!(own.standing, Standing::Paused);
    assert_eq!(paused_words(&own).as_deref(), Some("ada paused it"));
    // What waits is given up by somebody else, and it stays paused as it was.
    let bea = Actor::new("bea", Via::Cli);
    let cancelled = cancel(&rig.config, &rig.store, &rig.clock, bea, "own")
        .await
        .unwrap();
    assert_eq!(cancelled, Some(0));
    let still = rig.views().await.remove(0);
    assert_eq!(still.standing, Standing::Paused);
    assert_eq!(
        (&still.paused_by, still.paused_at),
        (&own.paused_by, own.paused_at)
    );
    assert_eq!(turned("own", false).await, Some(Turned::Done));
    assert_eq!(rig.views().await.remove(0).standing, Standing::Active);
    assert_eq!(turned("resting", false).await, Some(Turned::Configured));
    assert_eq!(turned("onw", true).await, None);
}

#[tokio::test]
async fn what_has_ended_is_found_and_sent_again() {
    let rig = Rig::new().await;
    let (taken, failed) = (
        rig.told("own", DispatchEnd::Delivered).await,
        rig.told("own", DispatchEnd::Failed).await,
    );
    let found = async |search: &str| {
        let wanted = Wanted {
            search: Some(search.to_owned()),
            limit: 10,
            ..Wanted::default()
        };
        let rows = deliveries(&rig.store, wanted).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    for search in ["7", "gid://shopify/Customer/7", "Ada Lovelace"] {
        assert_eq!(found(search).await, [failed, taken], "{search}");
    }
    assert_eq!(found("8").await, [0_i64; 0]);
    let again = async |what| {
        let again = redeliver(&rig.config, &rig.store, &rig.clock, ada(), what);
        again.await.unwrap()
    };
    let all = Redeliver::Failed {
        endpoint: Some("own".to_owned()),
    };
    let first = again(all.clone()).await;
    assert_eq!((first.result, first.count), (Redelivered::Done(1), 1));
    let story = rig.store.dispatch(failed).await.unwrap().unwrap();
    assert_eq!(story.row.state, DispatchState::Waiting);
    assert_eq!(again(all).await.result, Redelivered::Done(0));
    // It waits already, and is due now.
    assert_eq!(again(Redeliver::One(failed)).await.result, Redelivered::Done(1));
    assert_eq!(again(Redeliver::One(taken)).await.result, Redelivered::Done(1));
    assert_eq!(again(Redeliver::One(4711)).await.result, Redelivered::Unknown);
    assert!(
        !first.is_paused && first.told.contains("is sent again"),
        "{first:?}"
    );
    let resting = rig.told("resting", DispatchEnd::Failed).await;
    for what in [Redeliver::One(resting), Redeliver::Failed { endpoint: None }] {
        if what != Redeliver::One(resting) {
            rig.told("resting", DispatchEnd::Failed).await;
        }
        let waits = again(what).await;
        assert_eq!((waits.count, waits.is_paused), (1, true), "{waits:?}");
        assert!(
            waits.told.contains("wait") && waits.told.contains("resumed"),
            "{waits:?}"
        );
    }
    // Who may see no customers' data sees neither what is told nor what was answered, nor whom it is about.
    let shown = masked(story);
    assert!(!shown.tries.is_empty());
    let shown = serde_json::to_string(&shown).unwrap();
    assert!(!shown.contains("Ada"), "{shown}");
}

#[tokio::test]
async fn nothing_is_sent_again_to_an_endpoint_that_is_no_more() {
    let rig = Rig::new().await;
    let (gone, own) = (
        rig.told("gone", DispatchEnd::Failed).await,
        rig.told("own", DispatchEnd::Failed).await,
    );
    let again = async |what| {
        let again = redeliver(&rig.config, &rig.store, &rig.clock, ada(), what);
        again.await.unwrap().result
    };
    let failed = |endpoint: Option<&str>| Redeliver::Failed {
        endpoint: endpoint.map(str::to_owned),
    };
    let range = Redeliver::Range {
        endpoint: "gone".to_owned(),
        since: Timestamp::from_millis(0),
        until: rig.now.plus(std::time::Duration::from_secs(60)),
    };
    for what in [Redeliver::One(gone), failed(Some("gone")), range] {
        assert_eq!(again(what.clone()).await, Redelivered::Undeclared, "{what:?}");
    }
    // All that failed is all that somebody can be told.
    assert_eq!(again(failed(None)).await, Redelivered::Done(1));
    let state = async |id| rig.store.dispatch(id).await.unwrap().unwrap().row.state;
    assert_eq!(state(own).await, DispatchState::Waiting);
    assert_eq!(state(gone).await, DispatchState::Failed, "it is still seen");
}

#[tokio::test]
async fn a_page_after_the_last_one_is_empty() {
    let rig = Rig::new().await;
    let kept = |id: i64, record: &str, key: &str| KeptNotification {
        notification: format!("evt_{id}"),
        event: "customer.synced".to_owned(),
        shop: Some("main".to_owned()),
        object: None,
        record: Some(record.to_owned()),
        keys: vec![key.to_owned()],
        body: "{}".to_owned(),
    };
    // The older one has the number as Shopify's, the newer one as its name.
    for (record, key) in [("Ada", "shopify/1001"), ("1001", "shopify/9")] {
        let body = "{}".to_owned();
        rig.store.add_notifications(vec![body], rig.now).await.unwrap();
        let row = rig.store.outbox(1).await.unwrap().remove(0);
        let dispatch = NewDispatch {
            endpoint: "own".to_owned(),
            priority: 1,
            object_key: None,
            due_at: rig.now,
            problem: None,
        };
        let fanned = FannedOut {
            id: row.id,
            kept: Some(kept(row.id, record, key)),
            dispatches: vec![dispatch],
        };
        rig.store.fan_out(vec![fanned], rig.now).await.unwrap();
    }
    let page = async |before: Option<i64>| {
        let wanted = Wanted {
            search: Some("1001".to_owned()),
            before,
            limit: 1,
            ..Wanted::default()
        };
        deliveries(&rig.store, wanted).await.unwrap()
    };
    let first = page(None).await;
    assert_eq!(first[0].record.as_deref(), Some("1001"));
    let second = page(Some(first[0].id)).await;
    assert!(second.is_empty(), "it means the same as before: {second:?}");
}

#[test]
fn an_endpoint_is_shown_an_event_that_it_wants() {
    use crate::domain::Object;
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        "[notify.endpoints.own]\nurl = 'https://hooks.example.com/'\nevents = ['order.refunded', 'sync.failed']\n",
        folder.path(),
    );
    let endpoint = &config.endpoints[0];
    assert_eq!(
        shown_event(endpoint, Object::Order, None),
        Some(EventType::OrderRefunded)
    );
    assert_eq!(
        shown_event(endpoint, Object::Customer, None),
        Some(EventType::SyncFailed)
    );
    assert_eq!(
        shown_event(endpoint, Object::Order, Some(EventType::OrderSynced)),
        None
    );
}

#[test]
fn a_preview_says_that_a_paused_endpoint_is_sent_nothing_now() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        "[notify.endpoints.keeps]\nurl = 'https://hooks.example.com/'\nevents = ['order.*']\n\
         [notify.endpoints.throws]\nurl = 'https://hooks.example.com/'\nevents = ['order.*']\nwhen_paused = 'discard'\n",
        folder.path(),
    );
    let (clock, entropy) = sources();
    let id = crate::notify::NotificationId::new(&*entropy);
    let told = Notification::new(id, EventType::OrderSynced, clock.now());
    for (endpoint, is_paused, because) in [
        (&config.endpoints[0], false, None),
        (&config.endpoints[0], true, Some("until it is resumed")),
        (&config.endpoints[1], true, Some("discarded")),
    ] {
        let shown = preview(endpoint, &told, is_paused);
        assert_eq!(shown.is_sent, because.is_none(), "{shown:?}");
        assert!(shown.body.is_some(), "it is shown all the same: {shown:?}");
        assert!(
            shown
                .because
                .unwrap_or_default()
                .contains(because.unwrap_or_default())
        );
    }
}
