//! Attempts against real receivers on loopback.

mod addresses;
mod connections;
mod secrets;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use standardwebhooks::Webhook;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::domain::{Clock as _, Network, SystemClock};
use crate::notify::HmacEncoding;
use crate::secret::Secret;
use crate::transport::testing::{fixture, serving};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn target(url: &str) -> Target {
    Target {
        url: Secret::text(url),
        allow_http: true,
        redirects: 0,
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(3),
        secrets: vec![Secret::text(SECRET)],
        rotation: Duration::ZERO,
        hmac: None,
        auth: None,
        headers: Vec::new(),
        client_certificate_file: None,
        ca_file: None,
        idle_connections: 4,
    }
}

fn loopback() -> Vec<Network> {
    vec!["127.0.0.1".parse().unwrap()]
}

fn message() -> Message {
    Message {
        id: "evt_1".to_owned(),
        mime: "application/json".to_owned(),
        body: Bytes::from_static(b"{\"order\":\"1001\"}"),
    }
}

async fn send(target: Target) -> Attempt {
    let sender = Sender::new(target, &loopback()).unwrap();
    sender.send(&message(), SystemClock.now()).await
}

/// Reads one request: its head and its body.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> (String, Vec<u8>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = header_of(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).await.is_err() {
        body.clear();
    }
    (head, body)
}

fn header_of(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A receiver that notes each request, answers with these bytes, and closes.
async fn answering(answer: impl Into<Vec<u8>>) -> (SocketAddr, Requests) {
    let (answer, requests): (Vec<u8>, Requests) = (answer.into(), Requests::default());
    let noted = Arc::clone(&requests);
    let address = serving(move |mut stream| {
        let (answer, noted) = (answer.clone(), Arc::clone(&noted));
        async move {
            let request = read_request(&mut stream).await;
            noted.lock().unwrap().push(request);
            drop(stream.write_all(&answer).await);
        }
    })
    .await;
    (address, requests)
}

fn code(attempt: &Attempt) -> Option<FailureCode> {
    attempt.failure.as_ref().map(|failure| failure.code)
}

#[tokio::test]
async fn a_receiver_can_verify_what_it_gets() {
    let (address, requests) = answering(OK).await;
    let attempt = send(Target {
        hmac: Some(HmacHeader {
            header: "x-our-hmac".parse().unwrap(),
            encoding: HmacEncoding::Hex,
            prefix: "sha256=".to_owned(),
            secret: Secret::text("Jefe and friends"),
        }),
        auth: Some(Auth::Basic {
            user: "ada".to_owned(),
            password: Secret::text("open sesame"),
        }),
        headers: vec![header("X-Team", "night shift").unwrap()],
        ..target(&format!("http://{address}/hooks?team=ops"))
    })
    .await;
    assert!(attempt.is_taken(), "{attempt:?}");
    assert_eq!(attempt.answer.as_ref().unwrap().body, "ok");

    let (head, body) = requests.lock().unwrap().remove(0);
    assert!(head.starts_with("POST /hooks?team=ops HTTP/1.1\r\n"), "{head}");
    let headers = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    Webhook::new(SECRET)
        .unwrap()
        .verify(&body, &headers)
        .expect("the reference accepts it");
    let of = |name: &str| header_of(&head, name).unwrap();
    assert_eq!(of("webhook-id"), "evt_1");
    assert_eq!(of("content-type"), "application/json");
    assert_eq!(of("authorization"), "Basic YWRhOm9wZW4gc2VzYW1l");
    assert_eq!(of("x-team"), "night shift");
    let plain = PlainHmac {
        encoding: HmacEncoding::Hex,
        prefix: "sha256=",
    };
    assert_eq!(of("x-our-hmac"), plain.sign("Jefe and friends", &body));

    let bearer = Target {
        auth: Some(Auth::Bearer(Secret::text("token-0123456789"))),
        ..target(&format!("http://{address}/"))
    };
    assert!(send(bearer).await.is_taken());
    let (head, _) = requests.lock().unwrap().remove(0);
    let of = |name: &str| header_of(&head, name).unwrap();
    assert_eq!(of("authorization"), "Bearer token-0123456789");
}

#[tokio::test]
async fn what_a_receiver_answers_is_classified() {
    let endless = "x-more: 0123456789012345678901234567890123456789\r\n".repeat(20_000);
    for (name, answer, expected) in [
        ("taken", OK.to_owned(), None),
        (
            "taken without a body",
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            None,
        ),
        (
            "closed without a word",
            String::new(),
            Some(FailureCode::ClosedEarly),
        ),
        (
            "closed within the head",
            "HTTP/1.1 200 OK\r\nconte".to_owned(),
            Some(FailureCode::ClosedEarly),
        ),
        (
            "no HTTP",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
            Some(FailureCode::NotHttp),
        ),
        (
            "endless headers",
            format!("HTTP/1.1 200 OK\r\n{endless}"),
            Some(FailureCode::HeadersTooLong),
        ),
        (
            "one endless header",
            format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1_000_000)),
            Some(FailureCode::HeadersTooLong),
        ),
        (
            "refused",
            "HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(FailureCode::Status),
        ),
        (
            "down",
            "HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(FailureCode::Status),
        ),
        (
            "gone",
            "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(FailureCode::Gone),
        ),
        (
            "moved",
            "HTTP/1.1 302 Found\r\nlocation: https://example.com/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(FailureCode::Redirected),
        ),
        (
            "moved for good",
            "HTTP/1.1 308 Moved\r\nlocation: https://example.com/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Some(FailureCode::Redirected),
        ),
        // The status says that it was taken; the rest is of no interest.
        (
            "body cut short",
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhal".to_owned(),
            None,
        ),
        (
            "large body",
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{}",
                "x".repeat(200_000)
            ),
            None,
        ),
    ] {
        let (address, requests) = answering(answer).await;
        let attempt = send(target(&format!("http://{address}/secret-path?token=secret"))).await;
        assert_eq!(code(&attempt), expected, "{name}: {attempt:?}");
        assert_eq!(requests.lock().unwrap().len(), 1, "{name}: sent once");
        assert_eq!(attempt.ended() == Ended::Gone, name == "gone", "{name}");
        if let Some(failure) = &attempt.failure {
            assert!(
                failure.sentence.contains(&address.to_string()),
                "{name}: {failure}"
            );
            assert!(!failure.sentence.contains("secret"), "{name}: {failure}");
        }
        if let Some(answer) = &attempt.answer {
            assert!(answer.body.len() <= 4096, "{name}");
            assert_eq!(
                answer.is_cut,
                name == "body cut short" || name == "large body",
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_can_hold_an_attempt_up() {
    let silent = serving(|mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    // One byte at a time, each of them in time.
    let dribbling = serving(|mut stream| async move {
        read_request(&mut stream).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for byte in b"HTTP/1.1 200 OK\r\n"
            .iter()
            .chain(b"x-more: y\r\n".iter().cycle())
        {
            ticks.tick().await;
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    })
    .await;
    // The port accepts, and the handshake never ends.
    let speechless = serving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    // The status comes at once, the body never ends.
    let endless = serving(|mut stream| async move {
        read_request(&mut stream).await;
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal")
                .await,
        );
        std::future::pending::<()>().await;
    })
    .await;
    for (name, url, expected) in [
        ("silent", format!("http://{silent}/"), Some(FailureCode::NoAnswer)),
        (
            "dribbling",
            format!("http://{dribbling}/"),
            Some(FailureCode::NoAnswer),
        ),
        (
            "speechless",
            format!("https://{speechless}/"),
            Some(FailureCode::ConnectTimeout),
        ),
        ("endless body", format!("http://{endless}/"), None),
    ] {
        let attempt = send(Target {
            timeout: Duration::from_millis(150),
            connect_timeout: Duration::from_millis(100),
            ..target(&url)
        })
        .await;
        assert_eq!(code(&attempt), expected, "{name}: {attempt:?}");
        assert!(
            attempt.took < Duration::from_secs(3),
            "{name}: {:?}",
            attempt.took
        );
        assert!(
            attempt
                .answer
                .is_none_or(|answer| answer.body == "hal" && answer.is_cut),
            "{name}"
        );
    }
}

#[tokio::test]
async fn of_a_body_without_end_only_the_beginning_is_read() {
    // Far more than is read, and then silence: who reads on waits for the end of the time.
    let endless = serving(|mut stream| async move {
        read_request(&mut stream).await;
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for _ in 0..64 {
            if sent.is_ok() {
                sent = stream.write_all(&vec![b'x'; 64 * 1024]).await;
            }
        }
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let timeout = Duration::from_secs(10);
    let attempt = send(Target {
        timeout,
        ..target(&format!("http://{endless}/"))
    })
    .await;
    assert!(attempt.is_taken(), "{attempt:?}");
    assert!(attempt.took < timeout, "{:?}", attempt.took);
    let answer = attempt.answer.unwrap();
    assert_eq!((answer.body.len(), answer.is_cut), (4096, true));
}

#[tokio::test]
async fn a_receiver_may_ask_for_time() {
    let (address, _) = answering("HTTP/1.1 429 Slow\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n").await;
    let attempt = send(target(&format!("http://{address}/"))).await;
    assert_eq!(attempt.retry_after, Some(Duration::from_secs(120)));
    let (address, _) =
        answering("HTTP/1.1 503 Down\r\nretry-after: 99999999\r\ncontent-length: 0\r\n\r\n").await;
    let attempt = send(target(&format!("http://{address}/"))).await;
    assert_eq!(
        attempt.retry_after,
        Some(Duration::from_secs(24 * 3600)),
        "a day at most"
    );
}

#[derive(Debug)]
struct NoNames;

impl Resolve for NoNames {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("failed to lookup address information".into()) })
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let attempt = send(target(&format!("http://{address}/"))).await;
    assert_eq!(
        code(&attempt),
        Some(FailureCode::ConnectionRefused),
        "{attempt:?}"
    );

    let sender = Sender::with_names(target("https://hooks.example.com/"), &[], Arc::new(NoNames)).unwrap();
    let attempt = sender.send(&message(), SystemClock.now()).await;
    assert_eq!(code(&attempt), Some(FailureCode::NameUnknown), "{attempt:?}");
}

#[test]
fn headers_of_ours_cannot_be_overwritten() {
    for (name, value, expected) in [
        ("X-Team", "night", None),
        ("webhook-signature", "v1,x", Some("set by lockstep itself")),
        ("Webhook-Anything", "x", Some("set by lockstep itself")),
        ("Content-Type", "text/html", Some("set by lockstep itself")),
        ("Host", "other", Some("set by lockstep itself")),
        ("Transfer-Encoding", "chunked", Some("set by lockstep itself")),
        ("Authorization", "Bearer x", Some("set by auth")),
        ("X Team", "x", Some("no name of a header")),
        ("X-Team", "a\r\nX-Other: b", Some("cannot hold")),
    ] {
        let error = header(name, value).err();
        assert_eq!(error.is_some(), expected.is_some(), "{name}: {error:?}");
        if let (Some(error), Some(expected)) = (error, expected) {
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
