//! Several nodes on one PostgreSQL whose files differ.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::store::NewGap;
use crate::store::testing::TempPostgres;

/// A node's folder, with a store that it shares.
struct Node {
    place: Place,
    store: String,
}

impl Node {
    fn new(store: &TempPostgres, orders: &str) -> Self {
        let node = Self {
            place: Place::new(),
            store: store.url(),
        };
        node.write(orders);
        node
    }

    fn write(&self, orders: &str) {
        let text = Place::text(&format!("{{ in = \"{orders}\" }}"), "");
        let text = format!("[store]\nurl = \"{}\"\nmax_connections = 5\n{text}", self.store);
        std::fs::write(self.place.path(), text).unwrap();
    }

    async fn start(&self) -> Daemon {
        self.place.start(system_clock()).await.unwrap()
    }
}

/// Waits until each node has looked around several times.
async fn looks(daemon: &Daemon) {
    let since = std::time::Instant::now();
    until("some looks", async || {
        daemon.store.ping().await.unwrap();
        since.elapsed() > Duration::from_millis(1_500)
    })
    .await;
}

async fn newest(daemon: &Daemon) -> i64 {
    daemon.store.newest_revision().await.unwrap().unwrap().id
}

#[tokio::test]
async fn nodes_with_different_files_never_take_turns() {
    let postgres = TempPostgres::new().await;
    let (first, second) = (Node::new(&postgres, "paused"), Node::new(&postgres, "off"));
    let one = first.start().await;
    let two = second.start().await;
    let (own, other) = (one.revision().unwrap(), two.revision().unwrap());
    assert_ne!(own, other);
    looks(&two).await;
    assert_eq!(newest(&two).await, own, "whoever was first");
    assert_eq!((one.revision(), two.revision()), (Some(own), Some(other)));
    // The second does not act on its own toggles: what comes to it is kept, and nothing is lost.
    assert_eq!(deliver(&two, 1).await, 200);
    assert_eq!(order_jobs(&two).await.len(), 1);
    assert!(!two.is_newest() && one.is_newest());
    assert_eq!(get(two.http_addr, "/readyz").await.status(), 200);

    // Somebody saves the second's file: now the first is behind.
    second.write("on");
    let third = two.reload().await.unwrap().unwrap();
    until("the first notices", async || !one.is_newest()).await;
    looks(&one).await;
    assert_eq!((newest(&one).await, two.revision()), (third, Some(third)));
    until("and acts on it", async || {
        order_jobs(&one)
            .await
            .iter()
            .all(|(_, state)| *state != JobState::Available)
    })
    .await;

    // What is missing is looked for by the node that all follow. (Nobody answers it.)
    // Often enough that the other one would have come first some time.
    for n in 0..10 {
        let now = system_clock().now();
        let gap = NewGap {
            shop: "main".parse().unwrap(),
            object: Object::Order,
            since: now,
            stood_at: now,
            reason: "a test".to_owned(),
        };
        one.store.open_gap(gap, now).await.unwrap();
        until("a run was made", async || {
            one.store.runs(50).await.unwrap().len() > n
        })
        .await;
        until("it ended", async || {
            let runs = one.store.runs(50).await.unwrap();
            runs.iter().all(|run| run.outcome.is_some())
        })
        .await;
    }
    let followed = one.store.newest_revision().await.unwrap().unwrap();
    let runs = one.store.runs(50).await.unwrap();
    assert!(runs.iter().all(|run| run.node == followed.node), "{runs:?}");

    // The first gets the same file.
    first.write("on");
    assert_eq!(one.reload().await.unwrap(), Some(third));
    assert!(one.is_newest());

    // It goes back on its own, and then away: what is left takes over.
    first.write("paused");
    let fourth = one.reload().await.unwrap().unwrap();
    assert!(fourth > third);
    until("the second is behind", async || !two.is_newest()).await;
    one.stop().await;
    looks(&two).await;
    assert!(!two.is_newest(), "the first may only be restarted");
    postgres.nodes_that_left_stay_away().await;
    until("the second takes over", async || two.is_newest()).await;
    assert!(newest(&two).await > fourth);
    assert_eq!(Some(newest(&two).await), two.revision());
    two.stop().await;
}

#[tokio::test]
async fn a_node_with_another_file_takes_over_when_the_first_stops_and_not_before() {
    let postgres = TempPostgres::new().await;
    let (first, second) = (Node::new(&postgres, "on"), Node::new(&postgres, "off"));
    let one = first.start().await;
    let two = second.start().await;
    looks(&two).await;
    assert!(!two.is_newest());
    one.stop().await;
    looks(&two).await;
    assert!(!two.is_newest(), "the first may only be restarted");
    let again = first.start().await;
    assert!(again.is_newest(), "and so it is");
    again.stop().await;
    postgres.nodes_that_left_stay_away().await;
    until("it takes over", async || two.is_newest()).await;
    // Its own toggles count from now on.
    assert_eq!(deliver(&two, 7).await, 200);
    assert!(order_jobs(&two).await.is_empty(), "off");
    // The old file comes back: it is behind.
    let one = first.start().await;
    looks(&one).await;
    assert!(!one.is_newest() && two.is_newest());
    assert_eq!(deliver(&one, 8).await, 200);
    assert!(order_jobs(&one).await.is_empty(), "off counts there, too");
    one.stop().await;
    two.stop().await;
}

/// A receiver on loopback that counts what it is sent.
async fn receiver() -> (SocketAddr, Arc<AtomicUsize>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let address = crate::transport::testing::serving(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut some = [0; 8192];
            let _read = stream.read(&mut some).await;
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            let _written = stream.write_all(answer).await;
        }
    })
    .await;
    (address, requests)
}

#[tokio::test]
async fn a_node_that_knows_an_old_address_sends_nothing_there() {
    let postgres = TempPostgres::new().await;
    let ((old, to_old), (new, to_new)) = (receiver().await, receiver().await);
    let (first, second) = (Node::new(&postgres, "on"), Node::new(&postgres, "on"));
    let sends_to = |node: &Node, address: SocketAddr| {
        node.write("on");
        let known = std::fs::read_to_string(node.place.path()).unwrap();
        let text = format!(
            "{known}[notify]\nallow_networks = [\"127.0.0.1\"]\n[notify.endpoints.log]\nallow_http = true\n\
             events = [\"run.*\"]\nurl = \"http://{address}/\"\n"
        );
        std::fs::write(node.place.path(), text).unwrap();
    };
    sends_to(&first, old);
    sends_to(&second, old);
    let one = first.start().await;
    let two = second.start().await;
    let tell = async |n: u64| {
        let (event, now) = (crate::notify::EventType::RunFinished, system_clock().now());
        let id = crate::notify::NotificationId::new(&crate::domain::SeededEntropy::new(n));
        let body = serde_json::to_string(&crate::notify::Notification::new(id, event, now)).unwrap();
        two.store.add_notifications(vec![body], now).await.unwrap();
    };
    tell(1).await;
    let count = |requests: &AtomicUsize| requests.load(Ordering::Relaxed);
    until("the first is sent", async || count(&to_old) == 1).await;
    assert!(one.is_newest() && two.is_newest());

    // It is moved on the second node only.
    sends_to(&second, new);
    two.reload().await.unwrap();
    until("the first learns of it", async || !one.is_newest()).await;
    tell(2).await;
    until("the new one is sent", async || count(&to_new) == 1).await;
    assert_eq!(count(&to_old), 1);
    one.stop().await;
    two.stop().await;
}
