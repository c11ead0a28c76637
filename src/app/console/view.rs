//! What all pages have in common: the frame around them, their headers, and how things are written for people.

use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::session::Visitor;
use crate::domain::{Role, Timestamp};

/// Where the one style sheet is; its name changes with the version, so that browsers may keep it.
pub(super) const STYLE_PATH: &str = concat!("/assets/lockstep-", env!("CARGO_PKG_VERSION"), ".css");

/// The field of a form that shows the session's token.
pub(super) const FORM_TOKEN: &str = "form_token";

/// Nothing but our own style sheet is loaded, and no script ever runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What stands around a page.
pub(super) struct Frame {
    pub(super) title: String,
    /// Which entry of the navigation it belongs to.
    pub(super) section: &'static str,
    /// Who looks; none where nobody is logged in.
    pub(super) visitor: Option<Visitor>,
    /// What became of the last action.
    pub(super) notice: Option<Notice>,
}

impl Frame {
    pub(super) fn new(title: impl Into<String>, section: &'static str, visitor: Option<&Visitor>) -> Self {
        Self {
            title: title.into(),
            section,
            visitor: visitor.cloned(),
            notice: None,
        }
    }

    /// With what the last action left to say.
    pub(super) fn noticing(mut self, code: Option<&str>) -> Self {
        self.notice = code.and_then(Notice::of);
        self
    }

    pub(super) fn style(&self) -> &'static str {
        STYLE_PATH
    }

    pub(super) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    pub(super) fn form_token(&self) -> &str {
        self.visitor
            .as_ref()
            .map_or("", |visitor| visitor.form_token.as_str())
    }

    /// Whether the person may work with jobs.
    pub(super) fn operates(&self) -> bool {
        self.may(Role::Operator)
    }

    /// Whether the person may change what is synced.
    pub(super) fn administrates(&self) -> bool {
        self.may(Role::Admin)
    }

    fn may(&self, role: Role) -> bool {
        self.visitor
            .as_ref()
            .is_some_and(|visitor| visitor.role.may(role))
    }

    /// The attribute of a navigation entry.
    pub(super) fn current(&self, section: &str) -> &'static str {
        if self.section == section { "page" } else { "false" }
    }
}

/// What became of an action, told on the page that follows it. Only these texts: nothing of an address is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: &'static str,
    /// `good` or `bad`.
    pub(super) tone: &'static str,
}

impl Notice {
    /// By the code in the address.
    pub(super) fn of(code: &str) -> Option<Self> {
        let (tone, text) = match code {
            "retried" => (
                "good",
                "The job is tried again now. Reload this page to see how it goes.",
            ),
            "anew" => (
                "good",
                "The job was closed already: this new one does its work again.",
            ),
            "running" => ("bad", "The job runs at this moment. Nothing was done."),
            "changed" => (
                "bad",
                "The job has changed since you looked at it. Nothing was done: look at it as it is now.",
            ),
            "discarded" => (
                "good",
                "The job was discarded. A later change of the record makes a new one.",
            ),
            "closed" => ("bad", "The job runs or is closed. Nothing was done."),
            "no_reason" => ("bad", "Nothing was done: say why, for those who ask later."),
            "held" => ("good", "The job is held back until somebody releases it."),
            "released" => ("good", "The job goes on."),
            "ahead" => ("good", "The job is the next of its kind."),
            "noted" => ("good", "The note is kept."),
            "resolved" => (
                "good",
                "The order is linked to the one in the ERP, and the job is closed.",
            ),
            "linked" => ("good", "The record is linked, and the job is tried again now."),
            "approved" => (
                "good",
                "The plan is carried out now. Reload this page to see how it goes.",
            ),
            "rejected" => (
                "good",
                "The plan is rejected and the job given up. A later change of the record makes a new one.",
            ),
            "plan_changed" => (
                "bad",
                "The plan has changed since you looked at it. Nothing was done: look at it as it is now.",
            ),
            "not_waiting" => ("bad", "The job does not wait for approval. Nothing was done."),
            "approved_many" => ("good", "The plans are carried out now."),
            "approved_some" => (
                "bad",
                "Some plans are carried out now. Others had changed or were answered already: look at those again.",
            ),
            "already" => ("bad", "It stands like that already. Nothing was done."),
            "batch" => (
                "good",
                "They are tried again now, a few in each second. How far that is stands on the page of problems.",
            ),
            "import_stopped" => (
                "good",
                "The import is stopped. What was in the queue is still done.",
            ),
            "import_resumed" => ("good", "The import goes on where it stood."),
            "batch_runs" => ("bad", "They are being tried again already. Nothing was done."),
            "kept" => ("good", "The choice is noted, and the job is tried again now."),
            "limit_approved" => ("good", "The changes are on their way to the shop."),
            "limit_rejected" => (
                "good",
                "The held changes were given up. What the ERP changes from now on is sent again.",
            ),
            "none_held" => ("bad", "Nothing is held there (any more). Nothing was done."),
            "table_saved" => ("good", "The entry is saved and taken up."),
            "table_batch" => (
                "good",
                "The entry is saved and taken up, and what waited for it is tried again, a few in each second.",
            ),
            "batch_stopped" => ("good", "Stopped. What was tried again stays so."),
            "claimed" => ("good", "You look after these problems now."),
            "unclaimed" => ("good", "Nobody looks after these problems any more."),
            "snoozed" => ("good", "These problems stand last until then."),
            "awake" => ("good", "These problems are shown as before."),
            "paused" => (
                "good",
                "The shop is paused: what runs comes to its end, nothing else begins. Deliveries are taken in as before.",
            ),
            "resumed" => ("good", "The shop goes on."),
            "saved" => (
                "good",
                "Saved and taken up. Shopify's webhooks follow by themselves.",
            ),
            "run_began" => (
                "good",
                "Both sides are being compared. What each run found stands here when it is through.",
            ),
            "run_looks" => (
                "good",
                "Both sides are being compared, and nothing is repaired. What each run found stands here when it is through.",
            ),
            "run_some" => (
                "good",
                "Both sides are being compared, but for records of which a full run is under way already.",
            ),
            "applied" => ("good", "The plan was carried out, and everything was read back."),
            "endpoint_paused" => ("good", "Nothing is sent to the endpoint until it is resumed."),
            "endpoint_resumed" => ("good", "The endpoint is sent to again."),
            "endpoint_declared" => ("good", "The endpoint is declared and in force."),
            "endpoint_changed" => ("good", "The endpoint is changed and in force."),
            "endpoint_removed" => (
                "good",
                "The endpoint is taken out of the configuration, and what waited for it is given up.",
            ),
            "endpoint_configured" => (
                "bad",
                "The configuration has the endpoint paused: only a change of it lets it go on. Nothing was done.",
            ),
            "sent_again" => ("good", "What was told is sent again, under the same ids."),
            "waits_paused" => (
                "good",
                "What was told waits until the endpoint is resumed, and is sent again then, under the same ids.",
            ),
            "none_fits" => ("bad", "Nothing fits that could be sent again. Nothing was done."),
            "none_failed" => ("bad", "Nothing of it has failed (any more). Nothing was done."),
            "given_up" => ("good", "What waited for the endpoint was given up."),
            "unchanged" => ("bad", "Nothing differs from what is in force. Nothing was done."),
            _ => return None,
        };
        Some(Self { text, tone })
    }
}

/// The page as an answer.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (
            status,
            [(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))],
            text,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(error = %error, "a page of the console cannot be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be made.").into_response()
        }
    }
}

/// What every answer of the console says about itself.
pub(super) async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` browsers would not tell where a form comes from, not even to us.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages are one person's; nothing between us and them may keep one.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The style sheet.
pub(super) async fn style() -> Response {
    let mut response = Response::new(Body::from(include_str!("lockstep.css")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}

/// The fields of a form, or of a query.
pub(super) fn form_fields(bytes: &[u8]) -> Vec<(String, String)> {
    reqwest::Url::parse("http://localhost/")
        .map(|mut url| {
            url.set_query(std::str::from_utf8(bytes).ok());
            url.query_pairs()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect()
        })
        .unwrap_or_default()
}

/// The value of a field.
pub(super) fn field<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

/// A text for use inside an address's query.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

/// A moment: how long ago, and exactly.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) relative: String,
    pub(super) exact: String,
}

impl Moment {
    pub(super) fn new(now: Timestamp, at: Timestamp) -> Self {
        let relative = if at > now {
            format!("in {}", span(at.since(now)))
        } else if now.since(at) < Duration::from_secs(1) {
            "just now".to_owned()
        } else {
            format!("{} ago", span(now.since(at)))
        };
        Self {
            relative,
            exact: at.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string(),
        }
    }
}

/// A length of time in its largest fitting unit.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{} ms", length.as_millis()),
        1..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `1 job`, `2 jobs`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_form_or_an_address_holds_comes_back() {
        for text in [
            "' OR 1=1",
            "<script>alert(1)</script>",
            "#1042/A",
            "😀 عربي",
            "a+b&c=d%41",
            "",
        ] {
            let query = format!("q={}&x=1", percent_encoded(text));
            let fields = form_fields(query.as_bytes());
            assert_eq!(fields[0].1, text, "{query}");
            assert_eq!(field(&fields, "x"), Some("1"));
        }
        assert!(form_fields(&[0xff, 0xfe]).is_empty());
        assert_eq!(field(&form_fields(b"a=%20"), "a"), None);
    }

    #[test]
    fn an_address_can_make_us_say_only_what_we_wrote() {
        assert!(Notice::of("retried").is_some());
        assert_eq!(Notice::of("<b>hello</b>"), None);
    }
}
