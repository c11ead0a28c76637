//! Every failure, produced with real sockets on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::testing::{fixture, serving, tls_acceptor};
use super::*;
use crate::domain::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000); // 2023-11-14T22:13:20Z

/// Reads a request's head, so that the answer comes after the request was sent.
async fn read_head<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A server that answers every connection's first request with these bytes and closes.
async fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer: Vec<u8> = answer.into();
    serving(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await;
            drop(stream.write_all(&answer).await);
        }
    })
    .await
}

/// A TLS server with the fixture's certificate that answers with an empty JSON object; `ask` makes it demand a
/// certificate from the client.
async fn tls_serving(ask: bool) -> SocketAddr {
    let acceptor = tls_acceptor("server", ask);
    serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_head(&mut stream).await;
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").await);
                drop(stream.shutdown().await);
            }
        }
    })
    .await
}

fn plain() -> Settings {
    Settings {
        connect_timeout_s: 5,
        timeout_s: 20,
        ..Settings::default()
    }
}

async fn get(settings: &Settings, url: &str) -> Result<Answer, Failure> {
    let client = Client::new(settings).unwrap().with_limit_bytes(1_000);
    client.send(client.get(url)).await
}

async fn get_failure(settings: &Settings, url: &str) -> Failure {
    match get(settings, url).await {
        Err(failure) => failure,
        Ok(answer) => answer.failure(NOW),
    }
}

#[tokio::test]
async fn a_closed_port_is_a_refusal_that_names_host_and_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = get_failure(&plain(), &format!("http://{address}/secret-path?token=x")).await;
    assert_eq!(failure.to_string(), format!("{address} refused the connection"));
    assert!(!failure.outcome_unknown());
}

#[derive(Debug)]
struct NoNames;

impl reqwest::dns::Resolve for NoNames {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async { Err("failed to lookup address information".into()) })
    }
}

#[tokio::test]
async fn an_unknown_name_is_told_apart_from_a_refusal() {
    // A resolver that knows no name stands for the operating system's, so that no request leaves the machine.
    let http = client::builder(&plain())
        .unwrap()
        .dns_resolver(Arc::new(NoNames))
        .build()
        .unwrap();
    let client = Client {
        http,
        proxied: false,
        limit_bytes: 1_000,
    };
    let failure = client
        .send(client.get("http://shop.example.com/"))
        .await
        .unwrap_err();
    assert_eq!(
        failure,
        Failure::Name {
            host: "shop.example.com".to_owned()
        }
    );
    assert!(!failure.outcome_unknown());
}

#[tokio::test]
async fn no_answer_in_time_leaves_the_outcome_unknown() {
    let address = serving(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let settings = Settings {
        timeout_s: 1,
        ..plain()
    };
    let failure = get_failure(&settings, &format!("http://{address}/")).await;
    assert!(matches!(failure, Failure::Timeout { .. }), "{failure:?}");
    assert!(failure.outcome_unknown());
}

#[tokio::test]
async fn no_connection_in_time_means_that_nothing_was_sent() {
    // The port accepts, but the TLS handshake never ends: still part of making the connection.
    let address = serving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let settings = Settings {
        connect_timeout_s: 1,
        ..plain()
    };
    let failure = get_failure(&settings, &format!("https://{address}/")).await;
    assert!(matches!(failure, Failure::ConnectTimeout { .. }), "{failure:?}");
    assert!(!failure.outcome_unknown());
}

#[tokio::test]
async fn cuts_and_broken_answers_leave_the_outcome_unknown() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for (name, bytes, expected) in [
        ("closed without a word", Vec::new(), "cut"),
        (
            "closed within the head",
            b"HTTP/1.1 200 OK\r\nconte".to_vec(),
            "cut",
        ),
        (
            "closed within the body",
            format!("{head}content-length: 50\r\n\r\n{{").into_bytes(),
            "cut",
        ),
        (
            "closed within a chunk",
            format!("{head}transfer-encoding: chunked\r\n\r\n20\r\n{{").into_bytes(),
            "cut",
        ),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), "unreadable"),
        (
            "no gzip",
            format!("{head}content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello").into_bytes(),
            "unreadable",
        ),
        (
            "announced too large",
            format!("{head}content-length: 1001\r\n\r\n").into_bytes(),
            "unreadable",
        ),
        (
            "too large in chunks",
            format!(
                "{head}transfer-encoding: chunked\r\n\r\n3e9\r\n{}",
                "x".repeat(1001)
            )
            .into_bytes(),
            "unreadable",
        ),
    ] {
        let address = answering(bytes).await;
        let failure = get_failure(&plain(), &format!("http://{address}/")).await;
        let seen = match failure {
            Failure::Cut { .. } => "cut",
            Failure::Unreadable { .. } => "unreadable",
            _ => "something else",
        };
        assert_eq!(seen, expected, "{name}: {failure:?}");
        assert!(failure.outcome_unknown(), "{name}");
        assert!(failure.to_string().contains(&address.to_string()), "{name}");
    }
}

#[tokio::test]
async fn only_json_counts_as_data_and_redirects_are_not_followed() {
    for (name, head, expected) in [
        ("json", "200 OK\r\ncontent-type: application/json", None),
        (
            "json with a charset",
            "200 OK\r\ncontent-type: Application/JSON; charset=utf-8",
            None,
        ),
        (
            "problem json",
            "422 No\r\ncontent-type: application/problem+json",
            None,
        ),
        (
            "login page",
            "200 OK\r\ncontent-type: text/html",
            Some((200, None)),
        ),
        ("no type", "200 OK", Some((200, None))),
        (
            "redirect to a login page",
            "303 See Other\r\nlocation: http://127.0.0.1:1/web/login\r\ncontent-type: application/json",
            Some((303, None)),
        ),
        (
            "maintenance",
            "503 Down\r\nretry-after: 7\r\ncontent-type: text/html",
            Some((503, Some(7))),
        ),
    ] {
        let address = answering(format!("HTTP/1.1 {head}\r\ncontent-length: 2\r\n\r\n{{}}")).await;
        let answer = get(&plain(), &format!("http://{address}/"))
            .await
            .unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let seen = answer.json(NOW).map(<[u8]>::to_vec);
        match expected {
            None => assert_eq!(seen, Ok(b"{}".to_vec()), "{name}"),
            Some((status, wait)) => assert_eq!(
                seen,
                Err(Failure::Page {
                    host: address.to_string(),
                    status,
                    retry_after: wait.map(Duration::from_secs)
                }),
                "{name}"
            ),
        }
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_until_its_authority_is_named() {
    let address = tls_serving(false).await;
    let url = format!("https://localhost:{}/", address.port());
    let failure = get_failure(&plain(), &url).await;
    assert!(
        matches!(&failure, Failure::Certificate { reason, .. } if reason.contains("ca_file")),
        "{failure:?}"
    );
    assert!(!failure.outcome_unknown());
    let trusting = Settings {
        ca_file: Some(fixture("ca.pem")),
        ..plain()
    };
    assert_eq!(get(&trusting, &url).await.unwrap().json(NOW), Ok(&b"{}"[..]));

    let wrong_name = client::builder(&trusting)
        .unwrap()
        .tls_certs_only(
            reqwest::Certificate::from_pem_bundle(&std::fs::read(fixture("ca.pem")).unwrap()).unwrap(),
        )
        .resolve("erp.example.com", address)
        .build()
        .unwrap();
    let client = Client {
        http: wrong_name,
        proxied: false,
        limit_bytes: 1_000,
    };
    let failure = client
        .send(client.get(&format!("https://erp.example.com:{}/", address.port())))
        .await
        .unwrap_err();
    assert!(
        matches!(&failure, Failure::Certificate { reason, .. } if reason.contains("erp.example.com")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_gets_ours() {
    let address = tls_serving(true).await;
    let url = format!("https://localhost:{}/", address.port());
    let without = Settings {
        ca_file: Some(fixture("ca.pem")),
        ..plain()
    };
    let failure = get_failure(&without, &url).await;
    assert!(
        matches!(&failure, Failure::Tls { reason, .. } if reason.contains("client certificate")),
        "{failure:?}"
    );
    assert!(!failure.outcome_unknown());
    let with = Settings {
        client_certificate_file: Some(fixture("client.pem")),
        ..without
    };
    assert_eq!(get(&with, &url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn https_to_a_plain_port_says_so() {
    // The server answers at once: a TLS greeting need not hold the empty line that ends a request.
    let eager = serving(|mut stream| async move {
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        std::future::pending::<()>().await;
    })
    .await;
    let failure = get_failure(&plain(), &format!("https://{eager}/")).await;
    assert!(
        matches!(&failure, Failure::Tls { reason, .. } if reason.contains("http instead of https")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_failing_proxy_is_blamed_and_not_the_target() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let refusing = answering("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let asking = answering("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    for (name, proxy, url) in [
        ("closed, plain", closed, "http://erp.example.com/"),
        ("closed, tunnel", closed, "https://erp.example.com/"),
        ("refuses the tunnel", refusing, "https://erp.example.com/"),
        ("asks for a login, plain", asking, "http://erp.example.com/"),
        ("asks for a login, tunnel", asking, "https://erp.example.com/"),
    ] {
        let settings = Settings {
            proxy: Some(format!("http://user:hunter2@{proxy}")),
            ..plain()
        };
        let failure = get_failure(&settings, url).await;
        assert!(
            matches!(&failure, Failure::Proxy { host, .. } if host == "erp.example.com"),
            "{name}: {failure:?}"
        );
        assert!(!failure.to_string().contains("hunter2"), "{name}");
        assert!(!failure.outcome_unknown(), "{name}");
    }
}

#[tokio::test]
async fn declared_headers_are_sent_and_the_proxy_is_used() {
    let address = serving(|mut stream| async move {
        let head = read_head(&mut stream).await;
        let seen = head.starts_with("GET http://erp.example.com/x HTTP/1.1")
            && head.contains("x-gateway: hunter2\r\n")
            && head.contains("user-agent: lockstep/");
        let answer = format!(
            "HTTP/1.1 {} x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
            if seen { 200 } else { 500 }
        );
        drop(stream.write_all(answer.as_bytes()).await);
    })
    .await;
    let settings = Settings {
        proxy: Some(format!("http://{address}")),
        headers: BTreeMap::from([("X-Gateway".to_owned(), "hunter2".to_owned())]),
        ..plain()
    };
    let answer = get(&settings, "http://erp.example.com/x").await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn unusable_settings_say_which_and_never_what_they_hold() {
    let text = |settings: Settings| client(&settings).unwrap_err().to_string();
    let header = |name: &str, value: &str| Settings {
        headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..plain()
    };
    let ca = |path: PathBuf| Settings {
        ca_file: Some(path),
        ..plain()
    };
    for (name, message, expected) in [
        (
            "header name",
            text(header("a b", "x")),
            "header a b is not usable",
        ),
        (
            "header value",
            text(header("x-key", "hunter2\n")),
            "header x-key is not usable",
        ),
        ("missing file", text(ca("/nowhere/ca.pem".into())), "cannot read"),
        (
            "no certificate",
            text(ca(fixture("README.md"))),
            "holds no PEM certificate",
        ),
        (
            "no key",
            text(Settings {
                client_certificate_file: Some(fixture("ca.pem")),
                ..plain()
            }),
            "its private key as PEM",
        ),
        (
            "proxy",
            text(Settings {
                proxy: Some("http://user:hunter2@:x".to_owned()),
                ..plain()
            }),
            "proxy is not usable",
        ),
    ] {
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains("hunter2"), "{name}: {message}");
    }
}

#[test]
fn settings_show_no_secrets() {
    let settings = Settings {
        proxy: Some("http://user:hunter2@proxy:3128".to_owned()),
        headers: BTreeMap::from([("X-Gateway".to_owned(), "hunter2".to_owned())]),
        ..plain()
    };
    for shown in [format!("{settings:?}"), serde_json::to_string(&settings).unwrap()] {
        assert!(
            !shown.contains("hunter2") && shown.contains("proxy:3128"),
            "{shown}"
        );
        assert!(shown.contains("X-Gateway"), "{shown}");
    }
}

#[test]
fn retry_after_is_read_in_every_form() {
    for (text, expected) in [
        ("120", Some(120_000)),
        (" 2.0 ", Some(2_000)),
        ("0", Some(0)),
        ("Tue, 14 Nov 2023 22:13:50 GMT", Some(30_000)),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", Some(30_000)),
        ("Tue Nov 14 22:13:50 2023", Some(30_000)),
        ("Tue, 14 Nov 2023 22:00:00 GMT", Some(0)),
        ("9999999", Some(86_400_000)),
        ("Tue, 14 Nov 2073 22:13:50 GMT", Some(86_400_000)),
        ("-1", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(
            parse_retry_after(text, NOW),
            expected.map(Duration::from_millis),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn any_retry_after_is_bounded(text in ".{0,40}") {
        prop_assert!(parse_retry_after(&text, NOW).is_none_or(|wait| wait <= Duration::from_hours(24)));
    }
}
