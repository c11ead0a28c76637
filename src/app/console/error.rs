//! Pages that say why something is not shown or not done.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::session::Visitor;
use super::view::{Frame, page};
use crate::app::api::Refused;
use crate::domain::Role;
use crate::store::StoreError;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Under a name that is not this machine's.
    OtherHost,
    /// The listener is open to others and nothing says that TLS is in front of it.
    Unencrypted,
    /// A form of another web site.
    OtherOrigin,
    /// A form of a session that has ended.
    LoggedOut,
    /// A form of another session, or of none.
    StaleForm,
    /// A form that is no form of ours.
    TooLarge,
    /// The account's role does not do.
    NotAllowed(Role),
    /// There is no such thing.
    NotFound(String),
    /// It cannot be done as things stand, or cannot be understood.
    Not(StatusCode, String),
}

impl Refusal {
    /// The store failed: told in the log, and plainly to the person.
    pub(super) fn store(error: &StoreError) -> Self {
        tracing::error!(error = %error, "the store failed a page of the console");
        let text = "The store does not answer at the moment. Try again.";
        Self::Not(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
    }

    /// The sentence.
    pub(super) fn text(self) -> String {
        self.parts().2
    }

    fn parts(self) -> (StatusCode, &'static str, String) {
        let (status, title, text) = match self {
            Self::OtherHost => (
                StatusCode::FORBIDDEN,
                "Another name",
                "Open the console under this machine's own address (127.0.0.1 or localhost). Through a reverse proxy with TLS, \
                 declare `behind_tls = true` in [admin].",
            ),
            Self::Unencrypted => (
                StatusCode::FORBIDDEN,
                "Not over this connection",
                "Passwords would travel unencrypted here. Put a reverse proxy with TLS in front of the console and declare \
                 `behind_tls = true` in [admin].",
            ),
            Self::OtherOrigin => (
                StatusCode::FORBIDDEN,
                "Another web site",
                "This form was sent by another web site. Nothing was done.",
            ),
            Self::LoggedOut => (
                StatusCode::UNAUTHORIZED,
                "Logged out",
                "Your session has ended, and nothing was done. Log in and do it again.",
            ),
            Self::StaleForm => (
                StatusCode::FORBIDDEN,
                "An old form",
                "This form belongs to another session. Nothing was done. Open the page again and repeat it.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Too much",
                "This form is longer than any of ours. Nothing was done.",
            ),
            Self::NotAllowed(needed) => {
                let text = format!(
                    "This needs the role {needed}, which your account does not have. Nothing was done."
                );
                return (StatusCode::FORBIDDEN, "Not allowed", text);
            }
            Self::NotFound(text) => return (StatusCode::NOT_FOUND, "Not found", text),
            Self::Not(status, text) => return (status, "This did not work", text),
        };
        (status, title, text.to_owned())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(text) => Self::NotFound(text),
            Refused::Invalid(text) => Self::Not(StatusCode::BAD_REQUEST, text),
            Refused::Conflict { detail, .. } => Self::Not(StatusCode::CONFLICT, detail),
            Refused::Unreachable(text) => Self::Not(StatusCode::BAD_GATEWAY, text),
            Refused::Store(error) => Self::store(&error),
        }
    }
}

#[derive(Template)]
#[template(path = "refused.html", config = ".config/askama.toml")]
struct Page {
    frame: Frame,
    text: String,
}

/// The page that says so.
pub(super) fn refuse(visitor: Option<&Visitor>, refusal: Refusal) -> Response {
    let (status, title, text) = refusal.parts();
    page(
        status,
        &Page {
            frame: Frame::new(title, "", visitor),
            text,
        },
    )
}
