//! Who may call the API.
//!
//! A request shows a token (`Authorization: Bearer …`): one of `[admin] tokens`, or the one that this installation's own
//! commands make from the key in the store. With `require_token = false` every program of this machine is let in, but no
//! web page: a browser would carry out what any page asks of an address on this machine, so requests that come from
//! pages of other origins, or under a name that is not this machine's, are refused.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::{Api, routes};
use crate::config::Config;
use crate::domain::Role;
use crate::http::{self, InstanceKey};

/// What is wrong with a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    /// It shows no token.
    Nameless,
    /// Its token is none of ours.
    Unknown,
    /// It speaks for a web page.
    Page,
    /// Its token may not do this.
    Lowly,
}

/// Who calls, once let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The token's name.
    pub(crate) name: String,
    /// What it may.
    pub(crate) role: Role,
}

/// What a caller must be for a call: what its route declares. Whatever is no route of ours is for administrators.
fn needed(method: &Method, route: Option<&MatchedPath>) -> Role {
    static DECLARED: LazyLock<Vec<(&'static str, &'static str, Role)>> = LazyLock::new(|| {
        let routes = routes::table().into_iter();
        routes
            .map(|route| (route.method, route.path, route.needs))
            .collect()
    });
    // A read without its body.
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let found = DECLARED.iter().find(|(declared, path, _)| {
        declared.eq_ignore_ascii_case(method.as_str()) && route.is_some_and(|route| route.as_str() == *path)
    });
    found.map_or(Role::Admin, |(.., role)| *role)
}

pub(super) async fn only_with_token(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let config = Arc::clone(&api.config.borrow());
    let admitted = admit(&config, api.is_local, &api.instance_key, request.headers());
    let stranger = match admitted {
        Ok(caller)
            if caller
                .role
                .may(needed(request.method(), request.extensions().get())) =>
        {
            request.extensions_mut().insert(caller);
            return next.run(request).await;
        }
        Ok(_) => Stranger::Lowly,
        Err(stranger) => stranger,
    };
    let (status, code, detail) = match stranger {
        Stranger::Nameless if config.api_tokens.is_empty() => (
            StatusCode::UNAUTHORIZED,
            "no_token",
            "The API wants `Authorization: Bearer TOKEN`, and no token is declared: add one to `tokens` in [admin].",
        ),
        Stranger::Nameless => (
            StatusCode::UNAUTHORIZED,
            "no_token",
            "The API wants `Authorization: Bearer TOKEN` with one of the `tokens` in [admin].",
        ),
        Stranger::Unknown => {
            tracing::warn!("a request to the API showed a token that is none of ours");
            (
                StatusCode::UNAUTHORIZED,
                "bad_token",
                "This token is none of this installation.",
            )
        }
        Stranger::Lowly => (
            StatusCode::FORBIDDEN,
            "not_allowed",
            "This token may not do that: its `role` in [admin] tokens says what it may.",
        ),
        Stranger::Page => (
            StatusCode::FORBIDDEN,
            "other_origin",
            "Without a token, only programs of this machine are let in, under its own address.",
        ),
    };
    let mut response = http::problem(status, code, detail, request.extensions());
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// `is_local`: whether the address that is listened on is this machine's own. What the file says of it may be newer.
fn admit(
    config: &Config,
    is_local: bool,
    key: &InstanceKey,
    headers: &HeaderMap,
) -> Result<Caller, Stranger> {
    match bearer(headers) {
        // Whoever shows a token means it.
        Some(token) => whose(config, key, token).ok_or(Stranger::Unknown),
        None if config.admin.require_token || !is_local => Err(Stranger::Nameless),
        None if comes_from_here(headers) => Ok(local_caller()),
        None => Err(Stranger::Page),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Each comparison takes the same time whatever is shown. A token whose file cannot be read opens nothing.
fn whose(config: &Config, key: &InstanceKey, token: &str) -> Option<Caller> {
    let local = http::local_token(key);
    let declared = config.api_tokens.iter().find(|declared| {
        let current = declared.secret.current();
        current.is_ok_and(|ours| is_same(&local, &ours, token))
    });
    match declared {
        Some(declared) => Some(Caller {
            name: declared.name.clone(),
            role: declared.role,
        }),
        None => is_same(&local, &local, token).then(local_caller),
    }
}

/// A program of this machine: this installation's own commands, say.
fn local_caller() -> Caller {
    Caller {
        name: "local".to_owned(),
        role: Role::Admin,
    }
}

/// Two texts are compared by their HMACs: how long that takes tells nothing about either.
fn is_same(key: &SecretString, ours: &SecretString, shown: &str) -> bool {
    let mac = |text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    };
    match (mac(ours.expose_secret()), mac(shown)) {
        (Some(ours), Some(shown)) => shown.verify(&ours.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

/// Whether the request names this machine itself and comes from no page of another origin.
pub(crate) fn comes_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST.as_str()).unwrap_or_default();
    let own_origin = format!("http://{host}");
    is_this_machine(host)
        && text(ORIGIN.as_str()).is_none_or(|origin| origin == own_origin)
        && text("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none")
}

/// `127.0.0.1:8081`, `[::1]:8081`, `localhost`: names that no other machine can be reached under.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(admin: &str) -> Config {
        let text = format!(
            "[admin]\n{admin}\n[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\n\
             webhook_secrets = ['secret']\n[shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\n\
             login = 'a@example.com'\napi_key = 'k'\n"
        );
        Config::parse(&text, Path::new("lockstep.toml"), &|_| None)
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn only_tokens_of_this_installation_open_the_api() {
        let key = InstanceKey::new(vec![7; 32]);
        let local = http::local_token(&key);
        let other = http::local_token(&InstanceKey::new(vec![8; 32]));
        let (two, none, open) = (
            "tokens = ['0123456789abcdef', 'fedcba9876543210']",
            "",
            "tokens = ['0123456789abcdef']\nrequire_token = false",
        );
        let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
        let here = |more: &[(&'static str, &str)]| {
            let mut headers = vec![("host", "127.0.0.1:8081".to_owned())];
            headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
            headers
        };
        for (admin, headers, expected) in [
            (two, vec![], Err(Stranger::Nameless)),
            (two, bearer("0123456789abcdef"), Ok(())),
            (two, bearer("fedcba9876543210"), Ok(())),
            (two, bearer("0123456789abcdeF"), Err(Stranger::Unknown)),
            (two, bearer("0123456789abcde"), Err(Stranger::Unknown)),
            (two, bearer(""), Err(Stranger::Unknown)),
            (two, bearer(local.expose_secret()), Ok(())),
            (two, bearer(other.expose_secret()), Err(Stranger::Unknown)),
            (
                two,
                vec![("authorization", "bearer 0123456789abcdef".to_owned())],
                Ok(()),
            ),
            (
                two,
                vec![("authorization", "Basic 0123456789abcdef".to_owned())],
                Err(Stranger::Nameless),
            ),
            (two, here(&[]), Err(Stranger::Nameless)),
            (none, bearer(""), Err(Stranger::Unknown)),
            (none, bearer(local.expose_secret()), Ok(())),
            (open, here(&[]), Ok(())),
            (open, vec![], Err(Stranger::Page)),
            (open, bearer("a wrong token is no token"), Err(Stranger::Unknown)),
            (open, here(&[("origin", "http://127.0.0.1:8081")]), Ok(())),
            (
                open,
                here(&[("origin", "https://evil.example")]),
                Err(Stranger::Page),
            ),
            (open, here(&[("origin", "null")]), Err(Stranger::Page)),
            (
                open,
                here(&[("sec-fetch-site", "cross-site")]),
                Err(Stranger::Page),
            ),
            (
                open,
                vec![("host", "rebound.example:8081".to_owned())],
                Err(Stranger::Page),
            ),
            (open, vec![("host", "[::1]:8081".to_owned())], Ok(())),
            (open, vec![("host", "localhost".to_owned())], Ok(())),
            (
                open,
                vec![("host", "127.0.0.1.evil.example".to_owned())],
                Err(Stranger::Page),
            ),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(
                admit(&config(admin), true, &key, &map).map(drop),
                expected,
                "{admin} {headers:?}"
            );
            if headers.iter().all(|(name, _)| *name != "authorization") {
                let elsewhere = admit(&config(admin), false, &key, &map).map(drop);
                assert_eq!(elsewhere, Err(Stranger::Nameless), "{admin} {headers:?}");
            }
        }
    }

    #[test]
    fn a_token_may_what_its_role_may() {
        let key = InstanceKey::new(vec![7; 32]);
        let admin =
            "tokens = ['0123456789abcdef', { token = 'fedcba9876543210', name = 'wall', role = 'viewer' }]";
        for (token, name, role) in [
            ("0123456789abcdef", "api", Role::Admin),
            ("fedcba9876543210", "wall", Role::Viewer),
        ] {
            let caller = whose(&config(admin), &key, token).unwrap();
            assert_eq!((caller.name.as_str(), caller.role), (name, role));
        }
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        let key = Path::new("lockstep.toml");
        let text = "[admin]\ntokens = ['short']\n[shops.main]\n";
        let error = Config::parse(text, key, &|_| None).unwrap_err();
        let crate::config::ConfigError::Invalid(findings) = error else {
            panic!("{error}")
        };
        assert!(
            findings
                .rows()
                .iter()
                .any(|row| row.line == 2 && row.message.contains("could be guessed")),
            "{findings}"
        );
    }
}
