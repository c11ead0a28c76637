//! What well-formed settings must say so that they can be used.

mod flaw;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret as _;

pub use self::flaw::{Flaw, NamedFile};
use super::endpoint::Endpoint;
use super::event::{EventPattern, EventType};
use super::guard::{Guard, Refusal};
use super::pace::Limits;
use super::personal::Includes;
use super::render::{Condition, ExpressionError, Expressions, Format, Template};
use super::send::{Sender, Target, header};
use super::settings::{BodySection, EndpointSection, Include, Settings};
use crate::domain::{LONGEST_RETRY_WAIT, ShopName, nearest};
use crate::files;
use crate::secret::Secret;

/// The most redirects that may be followed.
const MOST_REDIRECTS: u8 = 5;

/// The most requests under way, and the most events in one, of one endpoint.
const MOST_AT_ONCE: u32 = 100;

/// What helps where nothing better is known.
const LIST_FIELDS: &str = "`lockstep notify fields` lists what can be read";

/// The longest that an attempt may take.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// For how long the content that a secret's file had before signs, too: as [`Target::rotation`] says, and no longer than the
/// process runs.
const ROTATION: Duration = Duration::from_secs(24 * 3600);

/// What endpoints are checked against.
pub struct Known<'a> {
    /// The shops of the configuration.
    pub shops: &'a BTreeSet<ShopName>,
    /// The mappings' language.
    pub expressions: &'a dyn Expressions,
}

impl Settings {
    /// The endpoints, as far as they are right, and all that is not.
    pub fn check(&self, known: &Known<'_>) -> (Vec<Endpoint>, Vec<Flaw>) {
        let mut flaws = Vec::new();
        if self.keep_days == 0 {
            flaws.push(Flaw {
                path: vec!["keep_days".to_owned()],
                place: None,
                file: None,
                message: "deliveries that ended would be forgotten at once".to_owned(),
                help: "keep them for at least a day, to see what happened".to_owned(),
                is_outside: false,
                is_warning: false,
            });
        }
        let endpoints = self
            .endpoints
            .iter()
            .filter_map(|(name, section)| {
                let mut checker = Checker {
                    name,
                    flaws: &mut flaws,
                    errors: 0,
                };
                checker.endpoint(self, section, known)
            })
            .collect();
        (endpoints, flaws)
    }
}

/// What a condition reads of an order that may tell of people: it is not there where nobody asked for that.
fn withheld(condition: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "order.tags",
        "order.discount_codes",
        "order.note",
        "order.email",
        "order.phone",
        "order.customer",
        "order.billing_address",
        "order.shipping_address",
    ];
    NAMES.iter().copied().find(|name| {
        condition.match_indices(name).any(|(at, _)| {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let (before, behind) = (&condition[..at], &condition[at + name.len()..]);
            !before.ends_with(is_word) && !behind.starts_with(is_word)
        })
    })
}

/// Collects what is wrong with one endpoint.
struct Checker<'c> {
    name: &'c str,
    flaws: &'c mut Vec<Flaw>,
    errors: usize,
}

impl Checker<'_> {
    fn flaw(&mut self, keys: &[&str], message: impl Into<String>, help: impl Into<String>) -> &mut Flaw {
        let path = ["endpoints", self.name]
            .iter()
            .chain(keys)
            .map(|key| (*key).to_owned())
            .collect();
        self.errors += 1;
        self.flaws.push(Flaw {
            path,
            place: None,
            file: None,
            message: message.into(),
            help: help.into(),
            is_outside: false,
            is_warning: false,
        });
        let last = self.flaws.len() - 1;
        &mut self.flaws[last]
    }

    fn warning(&mut self, keys: &[&str], message: impl Into<String>, help: impl Into<String>) {
        self.flaw(keys, message, help).is_warning = true;
        self.errors -= 1;
    }

    fn expression(&mut self, keys: &[&str], error: ExpressionError) -> &mut Flaw {
        let help = error.help.unwrap_or_else(|| LIST_FIELDS.to_owned());
        let flaw = self.flaw(keys, error.message, help);
        flaw.place = Some(error.place);
        flaw
    }

    fn endpoint(
        &mut self,
        settings: &Settings,
        section: &EndpointSection,
        known: &Known<'_>,
    ) -> Option<Endpoint> {
        // A shop's name has the same form.
        if self.name.parse::<ShopName>().is_err() {
            self.flaw(
                &[],
                "this is no name of an endpoint",
                "take 1 to 40 of a-z, 0-9, `_` and `-`, starting with a letter",
            );
        }
        let events = self.events(&section.events);
        let wanted: BTreeSet<EventType> = events.iter().flat_map(EventPattern::events).collect();
        let wanted: Vec<EventType> = wanted.into_iter().collect();
        let shops = self.shops(&section.shops, known.shops);
        let condition = section.condition.as_deref().and_then(|text| {
            Condition::compile(text, &wanted, known.expressions)
                .map_err(|error| {
                    self.expression(&["condition"], error);
                })
                .ok()
        });
        let template = section
            .body
            .as_ref()
            .and_then(|body| self.template(body, &wanted, known.expressions));
        if let Some(name) = section.condition.as_deref().and_then(withheld)
            && !section.personal_data
        {
            self.warning(
                &["condition"],
                format!("it reads `{name}`, which is left out without personal_data"),
                "set personal_data = true, or go by something that tells of nobody",
            );
        }
        let target = self.target(settings, section);
        self.limits(section);
        if section.body.is_some() && section.batch > 1 {
            self.flaw(
                &["batch"],
                "a body of one's own holds one event",
                "take batch out, or body: several events are sent as JSON",
            );
        }
        if section.body.is_some() && !section.include.is_empty() {
            self.warning(
                &["include"],
                "a body of one's own holds what its merge fields name, whatever is included",
                "take include out",
            );
        }
        let includes = |what| section.include.contains(&what);
        let includes = Includes {
            record: includes(Include::Record),
            related: includes(Include::Related),
            values: includes(Include::Values),
            personal_data: section.personal_data,
        };
        let target = target?;
        if self.errors > 0 {
            return None;
        }
        // Certificates show only when a client is made of them whether they work together.
        if let Err(error) = Sender::new(target.clone(), &settings.allow_networks) {
            let keys = ["client_certificate_file", "ca_file"];
            let text = error.to_string();
            let key = keys.into_iter().find(|key| text.starts_with(key));
            self.flaw(
                &key.map_or_else(Vec::new, |key| vec![key]),
                text,
                "the path is relative to the configuration file",
            )
            .is_outside = true;
            return None;
        }
        Some(Endpoint {
            name: self.name.to_owned(),
            events,
            shops,
            condition,
            state: section.state,
            when_paused: section.when_paused,
            target,
            limits: Limits {
                concurrency: section.concurrency,
                rate: section.rate,
                priority: section.priority,
            },
            unique: section.unique,
            skipped: section.skipped,
            batch: section.batch,
            retry: section.retry.clone(),
            includes,
            template,
            description: section.description.clone(),
            owner: section.owner.clone(),
        })
    }

    fn events(&mut self, texts: &[String]) -> Vec<EventPattern> {
        if texts.is_empty() {
            self.flaw(
                &["events"],
                "no event is named, so nothing would ever be sent",
                "add events = [\"order.*\"], or \"*\" for all",
            );
        }
        texts
            .iter()
            .filter_map(|text| match text.parse::<EventPattern>() {
                Ok(pattern) => Some(pattern),
                Err(error) => {
                    self.flaw(&["events"], error.reason, error.help);
                    None
                }
            })
            .collect()
    }

    fn shops(&mut self, names: &[String], known: &BTreeSet<ShopName>) -> Vec<ShopName> {
        let mut shops = Vec::new();
        for name in names {
            if let Some(shop) = known.iter().find(|shop| shop.as_str() == name) {
                shops.push(shop.clone());
                continue;
            }
            let near = nearest(name, known.iter().map(ShopName::as_str));
            let help = near.map_or_else(
                || "name shops as they stand in [shops.NAME]".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.flaw(&["shops"], format!("no shop is named `{name}`"), help);
        }
        shops
    }

    fn template(
        &mut self,
        body: &BodySection,
        wanted: &[EventType],
        expressions: &dyn Expressions,
    ) -> Option<Template> {
        let read;
        let (keys, text) = match (&body.template, &body.template_file) {
            (Some(text), None) => (["body", "template"], text),
            (None, Some(path)) => match files::read_text(path) {
                Ok(text) => {
                    read = text;
                    (["body", "template_file"], &read)
                }
                Err(error) => {
                    self.flaw(
                        &["body", "template_file"],
                        format!("this file cannot be read: {error}"),
                        "the path is relative to the configuration file",
                    )
                    .is_outside = true;
                    return None;
                }
            },
            (Some(_), Some(_)) => {
                self.flaw(
                    &["body", "template_file"],
                    "both `template` and `template_file` are set",
                    "keep one of the two",
                );
                return None;
            }
            (None, None) => {
                self.flaw(
                    &["body"],
                    "there is no template",
                    "add template, or take body out for the default",
                );
                return None;
            }
        };
        if let Err(error) = Format::read(&body.mime) {
            self.flaw(&["body", "mime"], error.to_string(), error.help());
            return None;
        }
        match Template::compile(text, &body.mime, wanted, expressions) {
            Ok(template) => Some(template),
            Err(error) => {
                let flaw = self.expression(&keys, error);
                if let Some(path) = &body.template_file {
                    flaw.is_outside = true;
                    flaw.file = Some(NamedFile {
                        path: path.clone(),
                        text: text.as_str().into(),
                    });
                }
                None
            }
        }
    }

    fn limits(&mut self, section: &EndpointSection) {
        for (key, number) in [("concurrency", section.concurrency), ("batch", section.batch)] {
            if !(1..=MOST_AT_ONCE).contains(&number) {
                self.flaw(
                    &[key],
                    format!("{number} is not within 1 and {MOST_AT_ONCE}"),
                    format!("take a number from 1 to {MOST_AT_ONCE}"),
                );
            }
        }
        if section.redirects > MOST_REDIRECTS {
            self.flaw(
                &["redirects"],
                format!("at most {MOST_REDIRECTS} redirects are followed"),
                "better set url to where they lead",
            );
        }
        if section.timeout.0.is_zero() || section.timeout.0 > LONGEST_TIMEOUT {
            self.flaw(
                &["timeout"],
                "an attempt may take from 1 to 60 seconds",
                "receivers should answer first and work afterwards",
            );
        }
        if section.connect_timeout.0.is_zero() {
            self.flaw(
                &["connect_timeout"],
                "connecting takes some time",
                "take 1s or more, or leave it out",
            );
        }
        if section.retry.max_attempts == 0 {
            self.flaw(
                &["retry", "max_attempts"],
                "nothing would ever be sent",
                "take 1 for a single try",
            );
        }
        let longest = section.retry.longest();
        if longest > LONGEST_RETRY_WAIT {
            self.flaw(
                &["retry", "longest_wait_s"],
                format!(
                    "a try would wait for up to {} days, and none waits for more than seven",
                    longest.as_secs() / 86_400
                ),
                format!("take {} or less", LONGEST_RETRY_WAIT.as_secs()),
            );
        }
    }

    fn target(&mut self, settings: &Settings, section: &EndpointSection) -> Option<Target> {
        let url = self.url(settings, section);
        let secrets = self.signing(section);
        let hmac = section.hmac.as_ref().map(|hmac| self.hmac(hmac));
        let auth = section.auth.as_ref().map(|auth| self.auth(auth));
        let mut headers = Vec::new();
        for (name, value) in &section.headers.0 {
            match header(name, value) {
                Ok(header) => headers.push(header),
                Err(reason) => {
                    self.flaw(&["headers", name], reason, "take another name or value");
                }
            }
        }
        if let (Some(Some(hmac)), Some(_)) = (&hmac, section.hmac.as_ref())
            && headers.iter().any(|(name, _)| *name == hmac.header)
        {
            self.flaw(
                &["hmac", "header"],
                "headers sets this header, too",
                "take it out of headers",
            );
        }
        Some(Target {
            url: url?,
            allow_http: section.allow_http,
            redirects: section.redirects,
            timeout: section.timeout.0,
            connect_timeout: section.connect_timeout.0,
            secrets,
            rotation: ROTATION,
            hmac: hmac.flatten(),
            auth: auth.flatten(),
            headers,
            client_certificate_file: section.client_certificate_file.clone(),
            ca_file: section.ca_file.clone(),
            idle_connections: usize::try_from(section.concurrency).unwrap_or(1),
        })
    }

    fn url(&mut self, settings: &Settings, section: &EndpointSection) -> Option<Secret> {
        let says_one = section.url.is_some() || section.url_file.is_some();
        let url = self.secret(&["url"], section.url.as_ref(), section.url_file.as_ref());
        if !says_one {
            self.flaw(
                &[],
                "it says nowhere where to send",
                "add url = \"https://…\", or url_file",
            );
        }
        let url = url?;
        let key = if section.url_file.is_some() {
            "url_file"
        } else {
            "url"
        };
        let text = url.current().ok()?;
        let Ok(parsed) = text.expose_secret().trim().parse::<Url>() else {
            self.flaw(
                &[key],
                "this is no address",
                "write it like https://hooks.example.com/lockstep",
            );
            return None;
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            self.flaw(
                &[key],
                "user and password stand in the address",
                "put them under auth, the password into password_file",
            );
        }
        let guard = Guard::new(settings.allow_networks.clone(), section.allow_http);
        match guard.check(&parsed) {
            // As it was looked at: what changes in the file is looked at with all the rest before it is sent to.
            Ok(()) => return Some(Secret::text(text.expose_secret())),
            Err(Refusal::NotHttps { .. }) => self.flaw(
                &[key],
                "this address is not https: everybody on the way could read what is sent",
                "take https, or set allow_http = true for a receiver in your own network",
            ),
            Err(Refusal::Address { address, kind, .. }) => self.flaw(
                &[key],
                format!("this address leads to {address}, which is not public ({kind})"),
                "add its network to allow_networks in [notify] if it is yours",
            ),
            Err(Refusal::NoAddress) => self.flaw(
                &[key],
                "this is no address that can be sent to",
                "write it like https://hooks.example.com/lockstep",
            ),
        };
        None
    }
}
