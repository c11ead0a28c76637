//! Trying an endpoint out: something is sent to it now, past the queue, and what came back is told.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy};
use crate::notify::{Endpoint, EventType, Failure, Notification, NotificationId, Sender};

/// What became of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Trial {
    /// The endpoint.
    pub endpoint: String,
    /// What was sent: `test.ping`, or something made up of a type that the endpoint's template is made for.
    pub event: EventType,
    /// The id that it was sent under.
    pub id: String,
    /// Whether it was taken.
    pub taken: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it was not taken, as a code.
    pub failure: Option<String>,
    /// The same in one sentence.
    pub sentence: Option<String>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// The first 4 kB of the answer.
    pub answer: String,
    /// Whether the answer went on.
    pub is_cut: bool,
}

/// Sends something to the endpoint, once, whether it is paused or not. It is in no log: only whoever asked sees what came of it.
pub async fn try_out(
    config: &Config,
    endpoint: &Endpoint,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Trial {
    let ping = Notification::new(NotificationId::new(&**entropy), EventType::TestPing, clock.now());
    // Where its template cannot be of use to a ping, something is made up: a chat takes nothing but its own form.
    let event = endpoint.told_of(ping.event);
    let rendered = endpoint.message(std::slice::from_ref(&ping));
    let mut trial = Trial {
        endpoint: endpoint.name.clone(),
        event,
        id: ping.id.to_string(),
        taken: false,
        took_ms: 0,
        failure: None,
        sentence: None,
        status: None,
        headers: Vec::new(),
        answer: String::new(),
        is_cut: false,
    };
    let message = match rendered {
        Ok(message) => message,
        Err(error) => {
            let failure = Failure::body(&error);
            return trial.failed(failure.code.as_str(), failure.sentence);
        }
    };
    trial.id.clone_from(&message.id);
    let sender = match Sender::new(endpoint.target.clone(), &config.notify.allow_networks) {
        Ok(sender) => sender,
        Err(error) => return trial.failed("certificate", error.to_string()),
    };
    let attempt = sender.send(&message, clock.now()).await;
    trial.taken = attempt.is_taken();
    trial.took_ms = u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX);
    if let Some(answer) = attempt.answer {
        trial.status = Some(answer.status);
        trial.headers = answer.headers;
        trial.answer = answer.body;
        trial.is_cut = answer.is_cut;
    }
    match attempt.failure {
        Some(failure) => trial.failed(failure.code.as_str(), failure.sentence),
        None => trial,
    }
}

impl Trial {
    fn failed(mut self, code: &str, sentence: String) -> Self {
        self.failure = Some(code.to_owned());
        self.sentence = Some(sentence);
        self
    }
}
