//! What messages say.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::domain::ShopName;
use crate::store::{AlertRow, Channel, NewMessage};

/// So many alerts are written out in one message.
const WRITTEN_OUT: usize = 20;

/// The longest text that is taken from one alert.
const LONGEST: usize = 600;

/// What is to be told to one recipient.
#[derive(Debug)]
pub(super) struct News<'a> {
    pub(super) begun: &'a [&'a AlertRow],
    pub(super) ended: &'a [&'a AlertRow],
    /// Where the console is, if that is known.
    pub(super) console_url: Option<&'a str>,
}

impl News<'_> {
    /// A few words.
    pub(super) fn subject(&self) -> String {
        let about = match (self.begun, self.ended) {
            ([one], []) => first_sentence(&one.text),
            ([], [one]) => format!("over: {}", first_sentence(&one.text)),
            ([], ended) => format!("{} alerts are over", ended.len()),
            (begun, []) => format!("{} new alerts", begun.len()),
            (begun, ended) => format!(
                "{} new alert{}, {} over",
                begun.len(),
                if begun.len() == 1 { "" } else { "s" },
                ended.len()
            ),
        };
        format!("lockstep: {about}")
    }

    /// All of it, for this channel.
    pub(super) fn body(&self, channel: Channel) -> String {
        let mut lines = Lines::new(channel);
        lines.list("New", self.begun, self.console_url);
        lines.list("Over", self.ended, self.console_url);
        lines.text
    }

    /// The message for one address.
    pub(super) fn message(&self, channel: Channel, recipient: &str, dedup: String) -> NewMessage {
        NewMessage {
            dedup,
            channel,
            recipient: recipient.to_owned(),
            subject: self.subject(),
            body: self.body(channel),
            quotes: quoted(self.begun.iter().chain(self.ended).copied()),
        }
    }
}

/// Lines for a channel. What a chat would take for markup is escaped there.
pub(super) struct Lines {
    channel: Channel,
    pub(super) text: String,
}

impl Lines {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            text: String::new(),
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let line = match self.channel {
            Channel::Email => line,
            Channel::Chat => line
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;"),
        };
        let _infallible = writeln!(self.text, "{line}");
    }

    /// Some alerts under a heading; nothing for none.
    pub(super) fn list(&mut self, heading: &str, alerts: &[&AlertRow], console_url: Option<&str>) {
        if alerts.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(&format!("{heading}:"));
        for alert in alerts.iter().take(WRITTEN_OUT) {
            let text: String = alert.text.chars().take(LONGEST).collect();
            self.line(&format!("- {text}"));
            if let Some(page) = &alert.url {
                let page = match console_url {
                    Some(console) => format!("{}{page}", console.trim_end_matches('/')),
                    None => format!("Console: {page}"),
                };
                self.line(&format!("  {page}"));
            }
        }
        if let Some(more) = alerts.len().checked_sub(WRITTEN_OUT).filter(|more| *more > 0) {
            self.line(&format!("- and {more} more"));
        }
    }
}

/// The shops whose jobs' problems these alerts quote.
pub(super) fn quoted<'a>(alerts: impl Iterator<Item = &'a AlertRow>) -> Vec<ShopName> {
    let shops: BTreeSet<&ShopName> = alerts
        .filter(|alert| alert.quotes)
        .filter_map(|alert| alert.shop.as_ref())
        .collect();
    shops.into_iter().cloned().collect()
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].chars().take(120).collect()
}
