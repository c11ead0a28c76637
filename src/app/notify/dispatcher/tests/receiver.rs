//! A receiver on loopback: notes what comes and answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use standardwebhooks::Webhook;

use super::SECRET;
use crate::domain::{ManualClock, Timestamp};

/// One request, whose signature has been verified.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// `webhook-id`.
    pub(super) id: String,
    pub(super) body: serde_json::Value,
    /// By the test's clock, if it was given one.
    pub(super) at: Timestamp,
    /// How many signatures it has.
    pub(super) signatures: usize,
}

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Status(u16),
    /// With `Retry-After` in seconds.
    Later(u16, u32),
    Never,
}

#[derive(Debug)]
struct Inner {
    received: Vec<Received>,
    answer: Answer,
    clock: Option<ManualClock>,
    not_verified: usize,
}

/// A receiver.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub(super) async fn start(answer: Answer) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            received: Vec::new(),
            answer,
            clock: None,
            not_verified: 0,
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(receive).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, inner }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.inner.lock().unwrap().answer = answer;
    }

    /// Times are noted by this clock.
    pub(super) fn watch(&self, clock: &ManualClock) {
        self.inner.lock().unwrap().clock = Some(clock.clone());
    }

    /// What has come. Each request was signed with [`SECRET`], by the standard's own implementation.
    pub(super) fn received(&self) -> Vec<Received> {
        let inner = self.inner.lock().unwrap();
        assert_eq!(inner.not_verified, 0, "a signature was wrong");
        inner.received.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.inner.lock().unwrap().received.len()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.received().into_iter().map(|one| one.id).collect()
    }
}

async fn receive(
    State(inner): State<Arc<Mutex<Inner>>>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let answer = {
        let mut inner = inner.lock().unwrap();
        // Its `verify` compares the time with the machine's, and what is signed is the test's: so it signs anew.
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = Webhook::new(SECRET)
            .unwrap()
            .sign(&id, at.parse().unwrap(), &body);
        let (signed, signatures) = (signed.unwrap(), header("webhook-signature"));
        // There are more while a secret is being rotated.
        if !signatures.split(' ').any(|one| one == signed) {
            inner.not_verified += 1;
        }
        let received = Received {
            id: headers["webhook-id"].to_str().unwrap().to_owned(),
            body: serde_json::from_slice(&body).unwrap(),
            at: inner
                .clock
                .as_ref()
                .map(crate::domain::Clock::now)
                .unwrap_or_default(),
            signatures: signatures.split(' ').count(),
        };
        inner.received.push(received);
        inner.answer
    };
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match answer {
        Answer::Status(code) => status(code).into_response(),
        Answer::Later(code, seconds) => {
            (status(code), [("retry-after", seconds.to_string())]).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}
