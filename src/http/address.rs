//! Who calls: the client's address behind trusted proxies, and who may call what.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use super::answer::Refusal;
use crate::domain::Network;

/// The other end of the connection, put into each request by the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The client's address: the peer, or, behind trusted proxies, what they say in `X-Forwarded-For`.
///
/// The header is read from the right, because only the entries that our own proxies added can be believed: the first
/// address that is no trusted proxy is the client, whatever stands further left. An entry that cannot be read ends the
/// search at the proxy that sent it.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|line| line.to_str().unwrap_or("unreadable"))
        .collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = read_entry(entry.trim()) else {
            return client;
        };
        client = address;
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// An entry with or without a port.
fn read_entry(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
        .map(|address| address.to_canonical())
}

/// Who may call a route.
#[derive(Clone, Debug)]
pub(super) struct Access(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    allowed: Vec<Network>,
    trusted_proxies: Vec<Network>,
}

impl Access {
    pub(super) fn new(allowed: &[Network], trusted_proxies: &[Network]) -> Self {
        Self(Arc::new(Rules {
            allowed: allowed.to_vec(),
            trusted_proxies: trusted_proxies.to_vec(),
        }))
    }

    /// Where this request comes from; none without a peer.
    pub(super) fn client(&self, request: &Request) -> Option<IpAddr> {
        let Peer(peer) = request.extensions().get::<Peer>()?;
        Some(client_address(
            peer.ip(),
            request.headers(),
            &self.0.trusted_proxies,
        ))
    }

    /// Whether this request comes from somebody who may call.
    pub(super) fn lets(&self, request: &Request) -> bool {
        let allowed = &self.0.allowed;
        // Without a peer nobody can be told apart, so only open routes stay open.
        allowed.is_empty()
            || self
                .client(request)
                .is_some_and(|client| allowed.iter().any(|range| range.contains(client)))
    }
}

/// Refuses who may not call.
pub(super) async fn only_from(State(access): State<Access>, request: Request, next: Next) -> Response {
    if access.lets(&request) {
        next.run(request).await
    } else {
        Refusal::NotAllowed.answer(request.extensions())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn ranges(list: &[&str]) -> Vec<Network> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &ranges(trusted)).to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        let proxies = &["10.0.0.0/8", "::1"][..];
        for (name, peer, forwarded, trusted, expected) in [
            ("no proxy", "192.0.2.1", &[][..], &[][..], "192.0.2.1"),
            (
                "untrusted peers lie",
                "192.0.2.1",
                &["10.0.0.1"],
                proxies,
                "192.0.2.1",
            ),
            ("nobody is trusted", "10.0.0.1", &["192.0.2.9"], &[], "10.0.0.1"),
            ("one proxy", "10.0.0.1", &["192.0.2.9"], proxies, "192.0.2.9"),
            (
                "two proxies",
                "10.0.0.1",
                &["192.0.2.9, 10.0.0.2"],
                proxies,
                "192.0.2.9",
            ),
            (
                "a forged left side",
                "10.0.0.1",
                &["127.0.0.1, 192.0.2.9"],
                proxies,
                "192.0.2.9",
            ),
            (
                "several lines",
                "10.0.0.1",
                &["127.0.0.1", "192.0.2.9,10.0.0.3"],
                proxies,
                "192.0.2.9",
            ),
            (
                "only proxies",
                "10.0.0.1",
                &["10.0.0.3, 10.0.0.2"],
                proxies,
                "10.0.0.3",
            ),
            ("no header", "10.0.0.1", &[], proxies, "10.0.0.1"),
            (
                "garbage ends it",
                "10.0.0.1",
                &["192.0.2.9, unknown"],
                proxies,
                "10.0.0.1",
            ),
            (
                "an empty entry ends it",
                "10.0.0.1",
                &["192.0.2.9,"],
                proxies,
                "10.0.0.1",
            ),
            (
                "a port is cut off",
                "10.0.0.1",
                &["192.0.2.9:4711"],
                proxies,
                "192.0.2.9",
            ),
            (
                "IPv6 with a port",
                "::1",
                &["[2001:db8::9]:4711"],
                proxies,
                "2001:db8::9",
            ),
            (
                "IPv6 in brackets",
                "::1",
                &["[2001:db8::9]"],
                proxies,
                "2001:db8::9",
            ),
            (
                "mapped IPv4",
                "::ffff:10.0.0.1",
                &["::ffff:192.0.2.9"],
                proxies,
                "192.0.2.9",
            ),
        ] {
            assert_eq!(check(peer, forwarded, trusted), expected, "{name}");
        }
    }

    #[test]
    fn routes_are_open_or_restricted() {
        for (name, allowed, peer, expected) in [
            ("open", &[][..], Some("192.0.2.1"), true),
            ("open without a peer", &[], None, true),
            ("in range", &["192.0.2.0/24"], Some("192.0.2.1"), true),
            ("out of range", &["192.0.2.0/24"], Some("198.51.100.1"), false),
            ("other family", &["192.0.2.0/24"], Some("2001:db8::1"), false),
            ("mapped", &["192.0.2.0/24"], Some("::ffff:192.0.2.1"), true),
            ("restricted without a peer", &["0.0.0.0/0"], None, false),
        ] {
            let mut request = Request::new(axum::body::Body::empty());
            if let Some(peer) = peer {
                let peer: IpAddr = peer.parse().unwrap();
                request.extensions_mut().insert(Peer((peer, 1).into()));
            }
            assert_eq!(
                Access::new(&ranges(allowed), &[]).lets(&request),
                expected,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_a_client_of_an_untrusted_peer(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4),
        ) {
            let mut headers = HeaderMap::new();
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    headers.append("x-forwarded-for", value);
                }
            }
            let peer: IpAddr = "192.0.2.1".parse().unwrap();
            prop_assert_eq!(client_address(peer, &headers, &ranges(&["10.0.0.0/8"])), peer);
            // A trusted one may say anything without harm.
            client_address("10.0.0.1".parse().unwrap(), &headers, &ranges(&["10.0.0.0/8"]));
        }
    }
}
