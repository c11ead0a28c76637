//! `[http] public_url`: where Shopify sends webhooks to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use reqwest::Url;

use super::{Checker, is_local};
use crate::config::Shop;
use crate::domain::{Direction, Object, ShopName};
use crate::http;
use crate::subscriptions::Toggle;

impl Checker<'_> {
    /// An address that Shopify would refuse, or cannot reach, is an error as soon as a real shop is to send anything there.
    /// A stand-in shop on this machine sends anywhere.
    pub(super) fn public_url(&mut self, http: &http::Settings, shops: &BTreeMap<ShopName, Shop>) {
        let path = ["http", "public_url"];
        let Some(text) = &http.public_url else {
            if !self.says(&path) {
                self.warning(
                    &["http"],
                    "`public_url` is not set",
                    "say where Shopify reaches this listener, e.g. public_url = \"https://sync.example.com\"",
                );
            }
            return;
        };
        let Some(url) = self.url(&path, text) else {
            return;
        };
        if url.query().is_some() || url.fragment().is_some() {
            self.error(
                &path,
                "this address has a query or a fragment",
                "write only scheme, host and, where needed, a path",
            );
        }
        let mut real = shops.values().filter(|shop| is_real(shop)).peekable();
        if real.peek().is_none() && !shops.is_empty() {
            return;
        }
        let Some((message, help)) = fault(&url) else {
            return;
        };
        match real.find(|shop| takes_anything(shop)) {
            Some(shop) => self.error(
                &path,
                format!("{message}, and [shops.{}] needs it", shop.name),
                help,
            ),
            None => self.warning(&path, message, help),
        }
    }
}

/// Whether the shop is one on Shopify, and not a stand-in on this machine or network.
fn is_real(shop: &Shop) -> bool {
    let other = shop.shopify.base_url.as_deref().map(Url::parse);
    !matches!(other, Some(Ok(url)) if is_local(&url))
}

fn takes_anything(shop: &Shop) -> bool {
    Object::ALL
        .iter()
        .any(|object| shop.sync.toggle(*object, Direction::In) != Toggle::Off)
}

/// Why Shopify would not send webhooks there.
fn fault(url: &Url) -> Option<(&'static str, &'static str)> {
    if is_unreachable(url) {
        return Some((
            "Shopify cannot reach this address: it belongs to this machine or a private network",
            "use the name under which the internet reaches your reverse proxy",
        ));
    }
    if url.scheme() != "https" {
        return Some((
            "Shopify sends webhooks over https only",
            "put a reverse proxy with a certificate in front, and write https:// here",
        ));
    }
    let host = url.host_str().unwrap_or_default();
    let is_shopifys = ["myshopify.com", "shopify.com"]
        .iter()
        .any(|domain| host == *domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    is_shopifys.then_some((
        "this is an address of Shopify's own, which takes no webhooks",
        "write where the internet reaches lockstep, not the shop",
    ))
}

/// Whether the internet has no such address.
fn is_unreachable(url: &Url) -> bool {
    if is_local(url) {
        return true;
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => is_carriers(address),
        Ok(IpAddr::V6(address)) => {
            address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(|address| {
                    address.is_loopback()
                        || address.is_private()
                        || address.is_link_local()
                        || is_carriers(address)
                })
        }
        Err(_) => {
            let host = host.trim_end_matches('.');
            !host.contains('.')
                || [".internal", ".lan", ".home.arpa", ".test", ".invalid"]
                    .iter()
                    .any(|end| host.ends_with(end))
        }
    }
}

/// 100.64.0.0/10: behind a carrier's translation (RFC 6598), and what overlay networks use.
const fn is_carriers(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}
