//! Answers that are no success: `application/problem+json` with a stable `code`, and the request's number.

use std::any::Any;
use std::fmt;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Extensions, Response as HttpResponse, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

use crate::domain::SharedEntropy;

/// Why a request is refused. The texts are all that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Refusal {
    NotAllowed,
    NotFound,
    WrongMethod,
    UnknownShop,
    TooLarge,
    BodyTooSlow,
    BodyBroken,
    TooMuchAtOnce,
    NoSignature,
    BadSignature,
    SecretUnreadable,
    NotStored,
    StoreTooSlow,
    Internal,
}

impl Refusal {
    /// The status, the code, and a sentence.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotAllowed => (
                StatusCode::FORBIDDEN,
                "not_allowed",
                "Your address may not call this.",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is nothing here."),
            Self::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "This cannot be called with this method.",
            ),
            Self::UnknownShop => (
                StatusCode::NOT_FOUND,
                "unknown_shop",
                "X-Shopify-Shop-Domain names no shop of this installation.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "The body is larger than this installation accepts.",
            ),
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                "The body did not arrive in time.",
            ),
            Self::BodyBroken => (
                StatusCode::BAD_REQUEST,
                "body_broken",
                "The body could not be received.",
            ),
            Self::TooMuchAtOnce => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too_much_at_once",
                "Too many bodies arrive at this moment. Send it again.",
            ),
            Self::NoSignature => (
                StatusCode::UNAUTHORIZED,
                "no_signature",
                "X-Shopify-Hmac-Sha256 is missing.",
            ),
            Self::BadSignature => (
                StatusCode::UNAUTHORIZED,
                "bad_signature",
                "X-Shopify-Hmac-Sha256 does not fit the body.",
            ),
            Self::SecretUnreadable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "secret_unreadable",
                "The signature cannot be checked at the moment.",
            ),
            Self::NotStored => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not_stored",
                "The delivery could not be stored. Send it again.",
            ),
            Self::StoreTooSlow => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store_too_slow",
                "The delivery could not be stored in time. Send it again.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side.",
            ),
        }
    }

    /// The stable code.
    pub(super) const fn code(self) -> &'static str {
        self.parts().1
    }

    /// The answer to the request with these extensions.
    pub(super) fn answer(self, request: &Extensions) -> Response {
        let (status, code, detail) = self.parts();
        problem(status, code, detail, request)
    }
}

/// An answer in the form of RFC 9457 to the request with these extensions: `code` is stable, `detail` is a sentence.
pub fn problem(status: StatusCode, code: &str, detail: &str, request: &Extensions) -> Response {
    let request = request.get::<RequestId>();
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
        "request_id": request.map(ToString::to_string),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The number of a request: in the answer's `x-request-id`, in its body if it is a problem, and in our logs. What the client
/// sends under this name is not believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId(u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

pub(super) async fn number_requests(
    State(entropy): State<SharedEntropy>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId(u128::from_be_bytes(entropy.bytes()));
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

pub(super) async fn not_found(request: Request) -> Response {
    Refusal::NotFound.answer(request.extensions())
}

pub(super) async fn wrong_method(request: Request) -> Response {
    Refusal::WrongMethod.answer(request.extensions())
}

/// The answer to a request whose handling panicked; the place was logged by the panic hook.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> HttpResponse<Body> {
    Refusal::Internal.answer(&Extensions::new())
}
