//! What a shop has used lately: the names that tables of mappings must know. Read page by page and only counted; nothing
//! about single orders or their buyers is asked for.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use super::settings::CurrencyChoice;
use crate::domain::{Timestamp, parse_decimal, round_half_up};

/// Pages of 50 orders that are read at most: enough for 60 days of a busy shop, and it ends.
const MOST_PAGES: u32 = 200;

/// Decimals of a rate in percent, as orders are read; more are noise of floating point.
const RATE_DECIMALS: u32 = 8;

/// What the orders of a time used, each with the number of orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// How many orders were looked at, test orders left out.
    pub orders: u64,
    /// Whether there were more orders than are looked at; the newest were.
    pub is_cut: bool,
    /// Payment gateways by Shopify's name, e.g. `shopify_payments`.
    pub gateways: BTreeMap<String, u64>,
    /// Taxes.
    pub taxes: BTreeMap<RecentTax, u64>,
    /// Currency codes of what is booked.
    pub currencies: BTreeMap<String, u64>,
    /// Shipping methods by title, and the companies named with tracking numbers.
    pub carriers: BTreeMap<String, u64>,
    /// Names of the shop's locations, with the orders that were sent from there.
    pub locations: BTreeMap<String, u64>,
    /// Why something could not be looked at.
    pub notes: Vec<String>,
}

/// A tax as orders show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecentTax {
    /// In percent.
    pub rate_percent: Decimal,
    /// Whether prices contain it.
    pub is_included: bool,
    /// Whether the sales channel remits it.
    pub is_channels: bool,
    /// Its title.
    pub title: String,
}

/// The shop's currency, and those of its buyers where they are booked.
pub(super) async fn currencies(client: &Client, choice: CurrencyChoice) -> Result<Vec<String>, ShopifyError> {
    let data = client.call(&documents::CHECK, &json!({})).await?;
    let own = data.pointer("/shop/currencyCode").and_then(Value::as_str);
    let own = own.ok_or_else(|| incomplete(&documents::CHECK, "it does not say the shop's currency"))?;
    let mut codes = vec![own.to_owned()];
    if choice == CurrencyChoice::Presentment {
        let enabled = data
            .pointer("/shop/enabledPresentmentCurrencies")
            .and_then(Value::as_array);
        let enabled: BTreeSet<&str> = enabled.into_iter().flatten().filter_map(Value::as_str).collect();
        codes.extend(enabled.into_iter().filter(|code| *code != own).map(str::to_owned));
    }
    Ok(codes)
}

pub(super) async fn recent(
    client: &Client,
    choice: CurrencyChoice,
    since: Timestamp,
) -> Result<Recent, ShopifyError> {
    let mut recent = Recent::default();
    for code in currencies(client, choice).await? {
        recent.currencies.insert(code, 0);
    }
    let day = since.to_utc().format("%Y-%m-%dT%H:%M:%SZ");
    let search = format!("created_at:>='{day}'");
    let mut cursor = Value::Null;
    for page in 1.. {
        let variables = json!({ "search": search, "cursor": cursor });
        let data = client.call(&documents::RECENT_ORDERS, &variables).await?;
        let (nodes, next) = page_of(&documents::RECENT_ORDERS, &data, "/orders")?;
        for node in nodes {
            recent.count(node, choice);
        }
        match next {
            None => break,
            Some(_) if page >= MOST_PAGES => {
                recent.is_cut = true;
                break;
            }
            Some(next) => cursor = next,
        }
    }
    if let Err(error) = locations(client, &mut recent).await {
        // Locations need a scope of their own; those that sent something are known from the orders.
        recent.notes.push(format!(
            "locations that sent nothing lately are unknown: {error}. {}",
            error.fix()
        ));
    }
    Ok(recent)
}

async fn locations(client: &Client, recent: &mut Recent) -> Result<(), ShopifyError> {
    let mut cursor = Value::Null;
    for _ in 0..MOST_PAGES {
        let data = client
            .call(&documents::LOCATIONS, &json!({ "cursor": cursor }))
            .await?;
        let (nodes, next) = page_of(&documents::LOCATIONS, &data, "/locations")?;
        for name in nodes.iter().filter_map(|node| words(&node["name"])) {
            recent.locations.entry(name).or_default();
        }
        match next {
            None => break,
            Some(next) => cursor = next,
        }
    }
    Ok(())
}

/// The nodes of a page, and where the next one begins.
pub(super) fn page_of<'d>(
    document: &Document,
    data: &'d Value,
    at: &str,
) -> Result<(&'d [Value], Option<Value>), ShopifyError> {
    let list = data.pointer(at).unwrap_or(&Value::Null);
    let nodes = list["nodes"].as_array();
    let nodes = nodes.ok_or_else(|| incomplete(document, "a list has no nodes"))?;
    let info = &list["pageInfo"];
    match (info["hasNextPage"].as_bool(), &info["endCursor"]) {
        (Some(true), cursor @ Value::String(_)) => Ok((nodes, Some(cursor.clone()))),
        (Some(false), _) => Ok((nodes, None)),
        _ => Err(incomplete(
            document,
            "a list does not say whether or where it goes on",
        )),
    }
}

fn incomplete(document: &Document, reason: &str) -> ShopifyError {
    ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    }
}

/// A text that says something.
fn words(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl Recent {
    /// Counts what one order used, each thing once.
    fn count(&mut self, order: &Value, choice: CurrencyChoice) {
        if order["test"] == true {
            return;
        }
        self.orders += 1;
        let currency = match choice {
            CurrencyChoice::Shop => &order["currencyCode"],
            CurrencyChoice::Presentment => &order["presentmentCurrencyCode"],
        };
        let taxes: BTreeSet<RecentTax> = items(&order["taxLines"])
            .filter_map(|line| {
                let rate = parse_decimal(&line["rate"].to_string()).ok()?;
                let percent = rate.checked_mul(Decimal::ONE_HUNDRED)?;
                Some(RecentTax {
                    rate_percent: round_half_up(percent, RATE_DECIMALS).normalize(),
                    is_included: order["taxesIncluded"] == true,
                    is_channels: line["channelLiable"] == true,
                    title: words(&line["title"]).unwrap_or_default(),
                })
            })
            .collect();
        let parcels = || items(&order["fulfillments"]);
        let titles = items(&order["shippingLines"]["nodes"]).filter_map(|line| words(&line["title"]));
        let companies = parcels()
            .flat_map(|parcel| items(&parcel["trackingInfo"]))
            .filter_map(|tracking| words(&tracking["company"]));
        add(
            &mut self.gateways,
            items(&order["paymentGatewayNames"]).filter_map(words),
        );
        add(&mut self.currencies, words(currency));
        add(&mut self.taxes, taxes);
        add(&mut self.carriers, titles.chain(companies));
        add(
            &mut self.locations,
            parcels().filter_map(|parcel| words(&parcel["location"]["name"])),
        );
    }
}

/// Counts each of these once more.
fn add<T: Ord>(counts: &mut BTreeMap<T, u64>, used: impl IntoIterator<Item = T>) {
    for thing in used.into_iter().collect::<BTreeSet<T>>() {
        *counts.entry(thing).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_counts_each_thing_once_and_a_test_order_nothing() {
        let order = json!({
            "test": false, "taxesIncluded": true, "currencyCode": "EUR", "presentmentCurrencyCode": "USD",
            "paymentGatewayNames": ["paypal", "gift_card", "paypal", " "],
            "taxLines": [{"title": "MwSt", "rate": 0.19}, {"title": "MwSt", "rate": 0.07}, {"title": "MwSt", "rate": 0.19}],
            "shippingLines": {"nodes": [{"title": "Standard", "code": "std"}]},
            "fulfillments": [
                {"trackingInfo": [{"company": "DHL"}, {"company": null}], "location": {"name": "Berlin"}},
                {"trackingInfo": [{"company": "DHL"}], "location": null},
            ],
        });
        let mut recent = Recent::default();
        recent.count(&order, CurrencyChoice::Presentment);
        let mut test = order.clone();
        test["test"] = json!(true);
        test["paymentGatewayNames"] = json!(["bogus"]);
        recent.count(&test, CurrencyChoice::Presentment);
        recent.count(&order, CurrencyChoice::Shop);
        let counts = |counts: &BTreeMap<String, u64>| -> Vec<(String, u64)> {
            counts
                .iter()
                .map(|(name, count)| (name.clone(), *count))
                .collect()
        };
        let named = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
            pairs
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        assert_eq!(recent.orders, 2);
        assert_eq!(
            counts(&recent.gateways),
            named(&[("gift_card", 2), ("paypal", 2)])
        );
        assert_eq!(counts(&recent.currencies), named(&[("EUR", 1), ("USD", 1)]));
        assert_eq!(counts(&recent.carriers), named(&[("DHL", 2), ("Standard", 2)]));
        assert_eq!(counts(&recent.locations), named(&[("Berlin", 2)]));
        let rates: Vec<String> = recent
            .taxes
            .keys()
            .map(|tax| tax.rate_percent.to_string())
            .collect();
        assert_eq!(rates, ["7", "19"], "exact, and each once");
    }

    #[test]
    fn a_list_that_does_not_say_whether_it_goes_on_is_an_error() {
        for (page, expected) in [
            (
                json!({"nodes": [], "pageInfo": {"hasNextPage": false}}),
                Some(false),
            ),
            (
                json!({"nodes": [], "pageInfo": {"hasNextPage": true, "endCursor": "x"}}),
                Some(true),
            ),
            (
                json!({"nodes": [], "pageInfo": {"hasNextPage": true, "endCursor": null}}),
                None,
            ),
            (json!({"nodes": []}), None),
            (json!({"pageInfo": {"hasNextPage": false}}), None),
        ] {
            let data = json!({ "orders": page });
            let read = page_of(&documents::RECENT_ORDERS, &data, "/orders");
            assert_eq!(read.ok().map(|(_, next)| next.is_some()), expected, "{data}");
        }
    }
}
