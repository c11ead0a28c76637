//! Which addresses notifications may be sent to.
//!
//! Whoever can name an endpoint must not be able to make lockstep talk to machines that only lockstep can reach. So an
//! address is judged where it is connected to: a host that is an address, in whatever spelling, by [`Guard::check`], and
//! a name by [`GuardedNames`], which resolves it and passes on only what may be connected to. There is no second look-up
//! between the check and the connection, so that a name that changes its address in between gains nothing.
//!
//! Deliberately absent: a check of names themselves. `localhost`, or a public name that leads to a private address, is
//! refused by where it leads.

mod address;
mod names;

use std::net::IpAddr;

use reqwest::Url;

use crate::domain::Network;

pub use address::AddressKind;
use address::plain;
pub use names::{GuardedNames, JoinedNames, system_names};

/// Decides which addresses may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Networks that may be reached although they are not public.
    allowed: Vec<Network>,
    http_allowed: bool,
}

/// Why an address is refused. It names the host, never a path or a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It leads to a machine that the public Internet does not reach.
    #[error(
        "{host} leads to {address}, which is not public ({kind}); allow its network in [notify] allow_networks if it is yours"
    )]
    Address {
        /// The host as it was named.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What that is.
        kind: AddressKind,
    },
    /// It would be sent in the open.
    #[error("{host} is not reached by https, and allow_http is not set for this endpoint")]
    NotHttps {
        /// The host.
        host: String,
    },
    /// It is no address that can be sent to.
    #[error("this is no address of the form https://host/path")]
    NoAddress,
}

impl Guard {
    /// Lets through what is public, and these networks.
    pub fn new(allowed: Vec<Network>, http_allowed: bool) -> Self {
        Self {
            allowed,
            http_allowed,
        }
    }

    /// Whether `address` may be connected to. An address at which clouds tell secrets must be allowed by itself: a network that
    /// merely contains it was allowed for other machines.
    pub fn lets(&self, address: IpAddr) -> bool {
        let address = plain(address);
        let mut allowed = self.allowed.iter();
        match AddressKind::of(address) {
            AddressKind::Public => true,
            AddressKind::Metadata => allowed.any(|network| network.is_only(address)),
            _ => allowed.any(|network| network.contains(address)),
        }
    }

    /// Whether a request may be sent to `url` as far as the address itself tells; where its host is a name, the rest is
    /// decided when that is resolved.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        let host = url.host_str().ok_or(Refusal::NoAddress)?;
        match url.scheme() {
            "https" => {}
            "http" if self.http_allowed => {}
            "http" => {
                return Err(Refusal::NotHttps {
                    host: host.to_owned(),
                });
            }
            _ => return Err(Refusal::NoAddress),
        }
        // The parser of addresses has brought every spelling (`2130706433`, `0x7f.1`, `0177.0.0.1`) into its usual form.
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => self.check_address(host, address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        if self.lets(address) {
            return Ok(());
        }
        Err(Refusal::Address {
            host: host.to_owned(),
            address,
            kind: AddressKind::of(address),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str], http_allowed: bool) -> Guard {
        Guard::new(
            allowed.iter().map(|text| text.parse().unwrap()).collect(),
            http_allowed,
        )
    }

    fn check(guard: &Guard, url: &str) -> Result<(), Refusal> {
        guard.check(&url.parse().unwrap())
    }

    #[test]
    fn an_address_is_refused_in_every_spelling() {
        let guard = guard(&[], true);
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0x7F.0.0.0x1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[2002:7f00:1::]",
            "0",
            "0.0.0.0",
            "[::]",
            "10.0.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "192.168.0.1",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://user:secret@{host}:8443/path?token=secret");
                let refusal = check(&guard, &url).expect_err(&url);
                assert!(matches!(refusal, Refusal::Address { .. }), "{host}: {refusal:?}");
                assert!(!refusal.to_string().contains("secret"), "{refusal}");
            }
        }
        for url in [
            "https://8.8.8.8/",
            "https://hooks.example.com/",
            "https://[2606:4700::1111]/",
            // A name: where it leads is looked at when it is resolved.
            "https://localhost/",
        ] {
            assert_eq!(check(&guard, url), Ok(()), "{url}");
        }
    }

    #[test]
    fn plain_http_and_other_schemes_are_refused() {
        let strict = guard(&[], false);
        assert!(matches!(
            check(&strict, "http://hooks.example.com/"),
            Err(Refusal::NotHttps { .. })
        ));
        assert_eq!(check(&guard(&[], true), "http://hooks.example.com/"), Ok(()));
        for url in [
            "ftp://hooks.example.com/",
            "file:///etc/passwd",
            "gopher://10.0.0.1/",
            "data:,x",
        ] {
            assert_eq!(check(&guard(&[], true), url), Err(Refusal::NoAddress), "{url}");
        }
    }

    #[test]
    fn a_network_of_ones_own_can_be_allowed_and_opens_nothing_else() {
        let guard = guard(&["10.1.2.0/24", "fd12::/16", "127.0.0.1", "169.254.0.0/16"], true);
        for (host, expected) in [
            ("10.1.2.9", true),
            ("[::ffff:10.1.2.9]", true),
            ("10.1.3.9", false),
            ("[fd12::7]", true),
            ("[fd13::7]", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("169.254.7.7", true),
            // Secrets of the machine itself: only by name.
            ("169.254.169.254", false),
        ] {
            let verdict = check(&guard, &format!("http://{host}/"));
            assert_eq!(verdict.is_ok(), expected, "{host}: {verdict:?}");
        }
        let named = super::Guard::new(vec!["169.254.169.254".parse().unwrap()], true);
        assert_eq!(check(&named, "http://169.254.169.254/"), Ok(()));
    }
}
