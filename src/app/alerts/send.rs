//! Sending one message: by mail, or to a chat's webhook.
//!
//! What is told of a failure names hosts and what they answered, never an address of a chat or a password.

use std::time::{Duration, SystemTime};

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::route::{contact, is_reached_by};
use crate::config::{Alerts, Smtp, SmtpTls};
use crate::domain::Timestamp;
use crate::secret::Secret;
use crate::store::{Channel, NewMessage};
use crate::transport::Client;

/// How long one message may take.
const WITHIN: Duration = Duration::from_secs(30);

/// An answer of a chat is not read beyond this.
const ANSWER_BYTES: usize = 16 * 1024;

/// How much of a server's words is kept.
const WORDS: usize = 300;

/// Why a message was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotSent {
    pub(super) error: String,
    /// How long the other side asked to wait.
    pub(super) retry_after: Option<Duration>,
    /// Whether trying again is of no use.
    pub(super) is_final: bool,
}

impl NotSent {
    fn for_now(error: impl Into<String>) -> Self {
        Self {
            error: shortened(&error.into()),
            retry_after: None,
            is_final: false,
        }
    }

    fn for_good(error: impl Into<String>) -> Self {
        Self {
            is_final: true,
            ..Self::for_now(error)
        }
    }
}

/// One line, not too long.
fn shortened(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let short: String = line.trim().chars().take(WORDS).collect();
    short
}

/// Sends a message to where its recipient is reached now.
pub(super) async fn send(
    alerts: &Alerts,
    message: &NewMessage,
    written_at: Timestamp,
    now: Timestamp,
) -> Result<(), NotSent> {
    let sending = async {
        match message.channel {
            Channel::Email if !is_reached_by(alerts, Channel::Email, &message.recipient) => {
                Err(NotSent::for_good("the address is not configured any more"))
            }
            Channel::Email => mail(alerts, message, written_at).await,
            Channel::Chat => match &contact(alerts, &message.recipient).chat {
                Some(url) => chat(alerts, url, message, now).await,
                None => Err(NotSent::for_good(
                    "no chat is configured for this recipient any more",
                )),
            },
        }
    };
    match tokio::time::timeout(WITHIN, sending).await {
        Ok(result) => result,
        Err(_) => Err(NotSent::for_now(format!(
            "it took longer than {} s",
            WITHIN.as_secs()
        ))),
    }
}

async fn chat(alerts: &Alerts, url: &Secret, message: &NewMessage, now: Timestamp) -> Result<(), NotSent> {
    let url = url
        .current()
        .map_err(|error| NotSent::for_now(error.to_string()))?;
    let client = Client::new(&alerts.connection)
        .map_err(|error| NotSent::for_now(error.to_string()))?
        .with_limit_bytes(ANSWER_BYTES);
    let body = serde_json::json!({ "text": message.body });
    let answer = client
        .send(client.post(url.expose_secret()).json(&body))
        .await
        .map_err(|failure| NotSent {
            retry_after: failure.retry_after(),
            ..NotSent::for_now(failure.to_string())
        })?;
    match answer.status() {
        200..=299 => Ok(()),
        status => Err(NotSent {
            retry_after: answer.retry_after(now),
            ..NotSent::for_now(format!("{} answered with HTTP {status}", answer.host()))
        }),
    }
}

async fn mail(alerts: &Alerts, message: &NewMessage, written_at: Timestamp) -> Result<(), NotSent> {
    let Some(smtp) = &alerts.smtp else {
        return Err(NotSent::for_good("no mail server is configured any more"));
    };
    let to: Mailbox = message
        .recipient
        .parse()
        .map_err(|_| NotSent::for_good("the recipient is no e-mail address"))?;
    let from: Mailbox = smtp
        .from
        .parse()
        .map_err(|_| NotSent::for_good("`from` is no e-mail address"))?;
    let date =
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(written_at.millis()).unwrap_or(0));
    let mail = Message::builder()
        .from(from)
        .to(to)
        .date(date)
        .message_id(Some(message_id(message, written_at)))
        .subject(shortened(&message.subject))
        .header(ContentType::TEXT_PLAIN)
        .body(message.body.clone())
        .map_err(|error| NotSent::for_good(error.to_string()))?;
    let server = server(smtp)?;
    server.send(mail).await.map(drop).map_err(|error| {
        NotSent::for_now(format!(
            "{}: {}",
            smtp.host,
            without_password(smtp, chain(&error))
        ))
    })
}

/// What a server says may repeat what it was told.
fn without_password(smtp: &Smtp, words: String) -> String {
    let password = smtp
        .login
        .as_ref()
        .and_then(|(_, password)| password.current().ok());
    match password {
        Some(password) => words.replace(password.expose_secret(), "(password)"),
        None => words,
    }
}

/// The same for the same message, however often it is sent: mail servers and programs know repetitions by it.
fn message_id(message: &NewMessage, written_at: Timestamp) -> String {
    let digest = Sha256::digest(format!("{} {} {written_at}", message.dedup, message.recipient));
    format!("<{}@lockstep.invalid>", &hex::encode(digest)[..32])
}

fn server(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, NotSent> {
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .timeout(Some(WITHIN / 2));
    let tls = match smtp.tls {
        SmtpTls::None => Tls::None,
        SmtpTls::Starttls => Tls::Required(trust(smtp)?),
        SmtpTls::Tls => Tls::Wrapper(trust(smtp)?),
    };
    builder = builder.tls(tls);
    if let Some((user, password)) = &smtp.login {
        let password = password
            .current()
            .map_err(|error| NotSent::for_now(error.to_string()))?;
        builder = builder.credentials(Credentials::new(
            user.clone(),
            password.expose_secret().to_owned(),
        ));
    }
    Ok(builder.build())
}

fn trust(smtp: &Smtp) -> Result<TlsParameters, NotSent> {
    let mut builder = TlsParameters::builder(smtp.host.clone());
    if let Some(path) = &smtp.ca_file {
        let unusable = |error: String| NotSent::for_now(format!("ca_file {}: {error}", path.display()));
        let pem = crate::files::read(path).map_err(|error| unusable(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| unusable(chain(&error)))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build_rustls()
        .map_err(|error| NotSent::for_now(chain(&error)))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}
