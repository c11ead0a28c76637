//! Certificates, ours and theirs.

use super::*;
use crate::transport::testing::tls_acceptor;

/// A TLS receiver with a certificate of the fixtures; `ask` makes it demand one of the client.
pub(super) async fn tls_answering(server: &str, ask: bool, answer: &str) -> SocketAddr {
    let answer = answer.to_owned();
    let acceptor = tls_acceptor(server, ask);
    serving(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_request(&mut stream).await;
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        }
    })
    .await
}

#[tokio::test]
async fn certificates_are_checked_and_shown() {
    let known = tls_answering("server", false, OK).await;
    let expired = tls_answering("expired", false, OK).await;
    let asking = tls_answering("server", true, OK).await;
    let (ca, client) = (Some(fixture("ca.pem")), Some(fixture("client.pem")));
    for (name, address, ca_file, client_certificate_file, expected, says) in [
        ("of our own authority", known, ca.clone(), None, None, ""),
        (
            "of an unknown one",
            known,
            None,
            None,
            Some(FailureCode::Certificate),
            "ca_file",
        ),
        (
            "expired",
            expired,
            Some(fixture("expired-ca.pem")),
            None,
            Some(FailureCode::Certificate),
            "expired",
        ),
        ("ours is asked for", asking, ca.clone(), client, None, ""),
        (
            "and not there",
            asking,
            ca,
            None,
            Some(FailureCode::Tls),
            "client certificate",
        ),
    ] {
        let attempt = send(Target {
            ca_file,
            client_certificate_file,
            allow_http: false,
            ..target(&format!("https://127.0.0.1:{}/", address.port()))
        })
        .await;
        assert_eq!(code(&attempt), expected, "{name}: {attempt:?}");
        let said = attempt
            .failure
            .map_or_else(String::new, |failure| failure.sentence);
        assert!(said.contains(says), "{name}: {said}");
    }
    for (name, target) in [
        (
            "no file",
            Target {
                ca_file: Some("/nowhere.pem".into()),
                ..target("https://example.com")
            },
        ),
        (
            "no certificate",
            Target {
                ca_file: Some(fixture("README.md")),
                ..target("https://example.com")
            },
        ),
        (
            "no key",
            Target {
                client_certificate_file: Some(fixture("ca.pem")),
                ..target("https://example.com")
            },
        ),
    ] {
        assert!(Sender::new(target, &[]).is_err(), "{name}");
    }
}
