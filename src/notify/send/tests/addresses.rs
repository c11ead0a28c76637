//! Where requests end up: the guard at work, in names and in redirects.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::tls::tls_answering;
use super::*;

#[tokio::test]
async fn what_is_not_public_is_not_connected_to() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = serving(move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { drop(stream) }
    })
    .await;
    let port = address.port();
    for (name, url) in [
        ("loopback", format!("http://127.0.0.1:{port}/")),
        ("as a number", format!("http://2130706433:{port}/")),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}/")),
        ("by name", format!("http://localhost:{port}/")),
    ] {
        let sender = Sender::new(target(&url), &[]).unwrap();
        let attempt = sender.send(&message(), SystemClock.now()).await;
        assert_eq!(
            code(&attempt),
            Some(FailureCode::AddressRefused),
            "{name}: {attempt:?}"
        );
    }
    let strict = Target {
        allow_http: false,
        ..target(&format!("http://127.0.0.1:{port}/"))
    };
    assert_eq!(
        code(&send(strict).await),
        Some(FailureCode::AddressRefused),
        "plain http"
    );
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

/// Names whose address changes from one look-up to the next.
#[derive(Debug)]
struct Rebinding(Mutex<Vec<&'static str>>);

impl Resolve for Rebinding {
    fn resolve(&self, _: Name) -> Resolving {
        let address = self
            .0
            .lock()
            .unwrap()
            .pop()
            .expect("one look-up for each connection");
        Box::pin(async move {
            let found = vec![SocketAddr::new(address.parse().unwrap(), 0)];
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_where_it_is_connected_to() {
    let (address, requests) = answering(OK).await;
    // Listens on the forbidden address and the same port: a connection to it would be taken.
    let forbidden = TcpListener::bind(("127.0.0.2", address.port())).await.unwrap();
    let names = Rebinding(Mutex::new(vec!["127.0.0.2", "127.0.0.1"]));
    let sender = Sender::with_names(
        target(&format!("http://hooks.example.com:{}/", address.port())),
        &loopback(),
        Arc::new(names),
    )
    .unwrap();
    assert!(sender.send(&message(), SystemClock.now()).await.is_taken());
    let attempt = sender.send(&message(), SystemClock.now()).await;
    assert_eq!(code(&attempt), Some(FailureCode::AddressRefused), "{attempt:?}");
    assert!(
        attempt
            .failure
            .unwrap()
            .sentence
            .contains("hooks.example.com leads to 127.0.0.2")
    );
    assert_eq!(requests.lock().unwrap().len(), 1);
    assert!(
        futures_util::poll!(std::pin::pin!(forbidden.accept())).is_pending(),
        "nobody connected"
    );
}

fn redirect(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_only_where_that_is_allowed() {
    let (end, end_requests) = answering(OK).await;
    let (metadata, _) = answering(redirect(307, "http://169.254.169.254/latest/")).await;
    let (private, _) = answering(redirect(308, &format!("http://127.0.0.2:{}/", end.port()))).await;
    let (dropping, _) = answering(redirect(303, &format!("http://{end}/"))).await;
    let (nowhere, _) = answering("HTTP/1.1 307 Moved\r\ncontent-length: 0\r\n\r\n").await;
    let (file, _) = answering(redirect(307, "file:///etc/passwd")).await;
    let (away, _) = answering(redirect(307, &format!("http://{end}/new"))).await;
    let (twice, _) = answering(redirect(307, &format!("http://{away}/"))).await;
    for (name, from, redirects, expected) in [
        ("off", away, 0, Some(FailureCode::Redirected)),
        (
            "to a cloud's secrets",
            metadata,
            3,
            Some(FailureCode::AddressRefused),
        ),
        (
            "to a private address",
            private,
            3,
            Some(FailureCode::AddressRefused),
        ),
        ("that drops the body", dropping, 3, Some(FailureCode::Redirected)),
        ("to nowhere", nowhere, 3, Some(FailureCode::Redirected)),
        ("to a file", file, 3, Some(FailureCode::AddressRefused)),
        ("too often", twice, 1, Some(FailureCode::Redirected)),
    ] {
        let attempt = send(Target {
            redirects,
            ..target(&format!("http://{from}/"))
        })
        .await;
        assert_eq!(code(&attempt), expected, "{name}: {attempt:?}");
        assert_eq!(end_requests.lock().unwrap().len(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_into_the_open() {
    let (end, end_requests) = answering(OK).await;
    let open = tls_answering("server", false, &redirect(307, &format!("http://{end}/"))).await;
    let attempt = send(Target {
        redirects: 2,
        ca_file: Some(fixture("ca.pem")),
        ..target(&format!("https://127.0.0.1:{}/", open.port()))
    })
    .await;
    assert_eq!(
        code(&attempt),
        Some(FailureCode::AddressRefused),
        "into the open: {attempt:?}"
    );
    assert_eq!(end_requests.lock().unwrap().len(), 0, "into the open");
}

#[tokio::test]
async fn our_certificate_is_shown_to_the_endpoint_alone() {
    let asking = tls_answering("server", true, OK).await;
    let open = tls_answering("server", false, OK).await;
    let to = |address: SocketAddr| redirect(307, &format!("https://127.0.0.1:{}/", address.port()));
    let to_asking = tls_answering("server", true, &to(asking)).await;
    let to_open = tls_answering("server", true, &to(open)).await;
    for (name, first, expected) in [
        ("where nobody asks for it", to_open, None),
        ("where another host does", to_asking, Some(FailureCode::Tls)),
    ] {
        let attempt = send(Target {
            redirects: 2,
            ca_file: Some(fixture("ca.pem")),
            client_certificate_file: Some(fixture("client.pem")),
            allow_http: false,
            ..target(&format!("https://127.0.0.1:{}/", first.port()))
        })
        .await;
        assert_eq!(code(&attempt), expected, "{name}: {attempt:?}");
    }
}

#[tokio::test]
async fn what_is_meant_for_the_endpoint_is_not_carried_elsewhere() {
    let (end, end_requests) = answering(OK).await;
    let (away, _) = answering(redirect(307, &format!("http://{end}/new"))).await;
    let (twice, _) = answering(redirect(307, &format!("http://{away}/"))).await;
    let attempt = send(Target {
        redirects: 2,
        auth: Some(Auth::Bearer(Secret::text("token-0123456789"))),
        headers: vec![header("x-api-key", "key-0123456789").unwrap()],
        ..target(&format!("http://{twice}/"))
    })
    .await;
    assert!(attempt.is_taken(), "{attempt:?}");
    let (head, body) = end_requests.lock().unwrap().remove(0);
    assert!(head.starts_with("POST /new HTTP/1.1"), "{head}");
    assert_eq!(body, message().body);
    assert!(header_of(&head, "webhook-signature").is_some());
    assert_eq!(header_of(&head, "authorization"), None, "meant for another");
    assert_eq!(header_of(&head, "x-api-key"), None, "meant for another");
}
