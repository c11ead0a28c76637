//! Limits of connections, over real sockets on loopback.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::{AdminSettings, HttpError, Limits, Listeners, Settings, serve};

/// For what should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough to be sure that nothing comes.
const A_WHILE: Duration = Duration::from_millis(100);

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    run: JoinHandle<()>,
    /// Lets requests to `/slow` end.
    gate: Arc<Semaphore>,
}

fn limits() -> Limits {
    Limits {
        max_connections: NonZeroU32::new(100).unwrap(),
        header_timeout: PATIENCE,
        stop_within: PATIENCE,
        lifetime: PATIENCE,
    }
}

async fn start(limits: Limits) -> Server {
    let gate = Arc::new(Semaphore::new(0));
    let router = Router::new()
        .route("/quick", get(async || "quick"))
        .route("/echo", post(async |body: String| body))
        .route(
            "/slow",
            get({
                let gate = Arc::clone(&gate);
                async move || {
                    gate.acquire().await.unwrap().forget();
                    "slow"
                }
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let run = tokio::spawn(serve(listener, router, limits, "test", stop.clone()));
    Server {
        address,
        stop,
        run,
        gate,
    }
}

impl Server {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn ends(self) {
        tokio::time::timeout(PATIENCE, self.run)
            .await
            .expect("the server ends in time")
            .unwrap();
    }
}

/// Everything until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text))
        .await
        .expect("the connection is closed in time")
        .ok();
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until something comes.
async fn answered(stream: &mut TcpStream) {
    let mut byte = [0; 1];
    tokio::time::timeout(PATIENCE, stream.peek(&mut byte))
        .await
        .expect("an answer in time")
        .expect("an open connection");
}

/// Whether something comes within a while. Only for what must not come: a busy machine may take longer.
async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    tokio::time::timeout(A_WHILE, stream.peek(&mut byte))
        .await
        .is_ok()
}

const QUICK: &str = "GET /quick HTTP/1.1\r\nhost: x\r\n\r\n";
const QUICK_AND_CLOSE: &str = "GET /quick HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn requests_are_answered_one_after_the_other() {
    let server = start(limits()).await;
    let mut stream = server.send(&format!("{QUICK}{QUICK_AND_CLOSE}")).await;
    assert_eq!(rest(&mut stream).await.matches("quick").count(), 2);
    let mut stream = server.send("nonsense\r\n\r\n").await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn who_sends_headers_slowly_or_stays_silent_is_cut_off() {
    let server = start(Limits {
        header_timeout: Duration::from_millis(200),
        ..limits()
    })
    .await;
    for (name, text, answers) in [
        ("nothing at all", String::new(), 0),
        ("half a header", "GET /quick HTTP/1.1\r\nhost:".to_owned(), 0),
        ("silent after a request", QUICK.to_owned(), 1),
        ("half of a second one", format!("{QUICK}GET /qu"), 1),
    ] {
        let mut stream = server.send(&text).await;
        assert_eq!(
            rest(&mut stream).await.matches("quick").count(),
            answers,
            "{name}"
        );
    }
    // Byte by byte: each byte is in time, the whole is not.
    let mut stream = server.send("GET /quick HTTP/1.1\r\n").await;
    let (mut read, mut write) = stream.split();
    let mut end = Vec::new();
    let drip = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        result = tokio::time::timeout(PATIENCE, read.read_to_end(&mut end)) => { result.expect("cut off").ok(); }
        () = drip => {}
    }
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_a_place() {
    let server = start(Limits {
        max_connections: NonZeroU32::new(2).unwrap(),
        ..limits()
    })
    .await;
    let mut first = server.send(QUICK).await;
    let mut second = server.send(QUICK).await;
    answered(&mut first).await;
    answered(&mut second).await;
    let mut third = server.send(QUICK_AND_CLOSE).await;
    assert!(!is_answered(&mut third).await, "both places are taken");
    drop(first);
    assert!(rest(&mut third).await.contains("quick"));
    drop(second);
}

#[tokio::test]
async fn no_connection_lives_for_ever() {
    let server = start(Limits {
        lifetime: Duration::from_millis(200),
        ..limits()
    })
    .await;
    let mut stream = server.send(QUICK).await;
    assert!(rest(&mut stream).await.contains("quick"));
}

#[tokio::test]
async fn a_stop_lets_open_requests_end_and_closes_idle_connections() {
    let server = start(limits()).await;
    let mut idle = server.send(QUICK).await;
    answered(&mut idle).await;
    let mut slow = server.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!is_answered(&mut slow).await);
    server.stop.cancel();
    assert!(rest(&mut idle).await.contains("quick"));
    assert!(
        TcpStream::connect(server.address).await.is_err() || {
            // Taken by the kernel just before; nobody answers.
            let mut late = TcpStream::connect(server.address).await;
            match &mut late {
                Ok(stream) => !is_answered(stream).await,
                Err(_) => true,
            }
        }
    );
    server.gate.add_permits(1);
    assert!(rest(&mut slow).await.ends_with("slow"));
    server.ends().await;
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_end_in_time() {
    let server = start(Limits {
        stop_within: Duration::from_millis(100),
        ..limits()
    })
    .await;
    let mut stuck = server.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut unsent = server
        .send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1")
        .await;
    assert!(!is_answered(&mut stuck).await && !is_answered(&mut unsent).await);
    server.stop.cancel();
    assert_eq!(rest(&mut stuck).await, "");
    assert_eq!(rest(&mut unsent).await, "");
    server.ends().await;
}

#[tokio::test]
async fn both_listeners_open_on_any_free_port_and_say_which() {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let http = Settings {
        listen: loopback,
        ..Settings::default()
    };
    let admin = AdminSettings {
        listen: loopback,
        ..AdminSettings::default()
    };
    let listeners = Listeners::open(&http, &admin).await.unwrap();
    let (public, private) = (listeners.public_address(), listeners.admin_address());
    assert!(public.port() > 0 && private.port() > 0 && public != private);

    let taken = Settings {
        listen: public,
        ..Settings::default()
    };
    let error = Listeners::open(&taken, &admin).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {public} (`listen` in [http])")
    );
    let exposed = AdminSettings {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..AdminSettings::default()
    };
    let error = Listeners::open(&http, &exposed).await.unwrap_err();
    assert!(matches!(error, HttpError::AdminExposed { .. }), "{error}");

    let stop = CancellationToken::new();
    let routes = Router::new().route("/quick", get(async || "quick"));
    let serving = tokio::spawn({
        let (routes, stop) = (routes.clone(), stop.clone());
        async move { listeners.serve(routes.clone(), routes, &http, stop).await }
    });
    for address in [public, private] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(QUICK_AND_CLOSE.as_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.contains("quick"));
    }
    stop.cancel();
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
}
