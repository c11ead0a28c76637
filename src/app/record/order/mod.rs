//! An order as both systems have it: what whoever asks about it wants to know, side by side.

mod erp;
mod shopify;

use std::future::Future;
use std::time::Duration;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use self::erp::{Booked, booked, of_erp};
use self::shopify::{of_shopify, progress};
use super::compare::told;
use crate::app::review::Said;
use crate::config::Shop;
use crate::domain::{BookedLine, Currency, ErpId, Link, LinkState, Order, ShopifyId, Timestamp};
use crate::erp::SalesOrderLine;

/// What one system says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Side<T> {
    /// It has the record.
    Held {
        /// As it has it.
        record: Box<T>,
    },
    /// It does not have it.
    Absent,
    /// It did not answer.
    Silent {
        /// Why.
        reason: String,
    },
}

impl<T> Side<T> {
    /// The record, if the system has it.
    pub fn held(&self) -> Option<&T> {
        match self {
            Self::Held { record } => Some(record),
            Self::Absent | Self::Silent { .. } => None,
        }
    }
}

/// An order on both systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrderSides {
    /// On Shopify.
    pub shopify: Side<OrderFacts>,
    /// In the ERP.
    pub erp: Side<OrderFacts>,
    /// The lines of both, side by side.
    pub lines: Vec<LinePair>,
    /// Whether both have the order with the same total. An order with refunds may differ: what was sent stays on the ERP's
    /// order, and a credit note stands for it.
    pub totals_agree: Option<bool>,
    /// What a customer asks, as Shopify says it: `paid and not sent yet`.
    pub progress: Option<String>,
}

/// An order as one system has it. Amounts are texts with their currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrderFacts {
    /// Its number for people.
    pub name: String,
    /// How it stands there.
    pub state: String,
    /// When it was placed.
    pub ordered_at: Option<Timestamp>,
    /// What it costs and what was paid.
    pub amounts: Amounts,
    /// Whoever bought.
    pub buyer: Option<Person>,
    /// The address on the invoice, line by line.
    pub billing: Vec<String>,
    /// Where the goods go, line by line.
    pub shipping: Vec<String>,
    /// What was sent, or is to be.
    pub shipments: Vec<Shipment>,
    /// Invoices and credit notes; on Shopify its refunds.
    pub documents: Vec<DocumentFacts>,
    /// What the buyer or the staff wrote on it.
    pub note: Option<String>,
}

/// The amounts of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Amounts {
    /// With everything.
    pub total: String,
    /// The tax in it.
    pub tax: String,
    /// What was paid. In the ERP, of what is invoiced.
    pub paid: String,
    /// What was paid back; in the ERP what was credited.
    pub refunded: String,
    /// What is still to be paid. In the ERP, of what is invoiced.
    pub open: String,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Person {
    /// Name.
    pub name: String,
    /// E-mail.
    pub email: Option<String>,
    /// Phone.
    pub phone: Option<String>,
}

/// Goods on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Shipment {
    /// What it is called there.
    pub name: String,
    /// How far it is.
    pub state: String,
    /// Who carries it.
    pub carrier: Option<String>,
    /// Its numbers at the carrier.
    pub tracking: Vec<String>,
    /// When it was made.
    pub made_at: Option<Timestamp>,
    /// How many units are in it.
    pub units: String,
}

/// An invoice, a credit note or a refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DocumentFacts {
    /// Its number.
    pub name: String,
    /// What it is and how far.
    pub state: String,
    /// What it comes to.
    pub total: String,
    /// What is still to be paid of it, where that is known.
    pub open: Option<String>,
}

/// A line of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinePair {
    /// The key that both know it by; none for a line that only the ERP has.
    pub key: Option<String>,
    /// On Shopify.
    pub shopify: Option<LineFacts>,
    /// In the ERP.
    pub erp: Option<LineFacts>,
}

/// A line as one system has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LineFacts {
    /// What it says.
    pub title: String,
    /// Units.
    pub quantity: String,
    /// Price of one unit.
    pub unit_price: String,
    /// With tax and after discounts.
    pub total: String,
    /// Units that left the ERP; none on Shopify.
    pub delivered: Option<String>,
}

impl OrderSides {
    /// Whether a system has it.
    pub(super) fn is_anywhere(&self) -> bool {
        self.shopify.held().is_some() || self.erp.held().is_some()
    }

    /// Where it is, in one sentence: what the store says, with what a customer asks next.
    pub(super) fn told(&self, standing: &str) -> String {
        match &self.progress {
            Some(progress) if !standing.is_empty() => {
                format!("{}; on Shopify it is {progress}.", standing.trim_end_matches('.'))
            }
            Some(progress) => format!("On Shopify it is {progress}."),
            None => standing.to_owned(),
        }
    }
}

/// Asks both systems at the same time.
pub(super) async fn both(
    said: &Said,
    shop: &Shop,
    id: ShopifyId,
    link: Option<&Link>,
    patience: Duration,
) -> OrderSides {
    let live = link.filter(|link| link.state != LinkState::Retired);
    let on_shopify = within(patience, said.shopify.order(id, ""));
    let in_erp = async {
        match live {
            Some(link) => within(patience, booked(&*said.erp, link.erp_id)).await,
            None => Side::Absent,
        }
    };
    let (shopify, erp) = tokio::join!(on_shopify, in_erp);
    let lines = lines(shop, shopify.held(), erp.held());
    let totals_agree = match (shopify.held(), erp.held()) {
        (Some(order), Some(booked)) if order.refunds.is_empty() => {
            Some(order.totals.total == booked.order.total)
        }
        _ => None,
    };
    OrderSides {
        progress: shopify.held().map(progress),
        lines,
        totals_agree,
        shopify: shopify.made(of_shopify),
        erp: erp.made(of_erp),
    }
}

impl<T> Side<T> {
    fn made<U>(self, make: impl FnOnce(&T) -> U) -> Side<U> {
        match self {
            Self::Held { record } => Side::Held {
                record: Box::new(make(&record)),
            },
            Self::Absent => Side::Absent,
            Self::Silent { reason } => Side::Silent { reason },
        }
    }
}

async fn within<T, E: std::error::Error>(
    patience: Duration,
    call: impl Future<Output = Result<Option<T>, E>>,
) -> Side<T> {
    match tokio::time::timeout(patience, call).await {
        Ok(Ok(Some(record))) => Side::Held {
            record: Box::new(record),
        },
        Ok(Ok(None)) => Side::Absent,
        Ok(Err(error)) => Side::Silent { reason: told(&error) },
        Err(_) => Side::Silent {
            reason: format!("no answer within {} s", patience.as_secs()),
        },
    }
}

fn money(amount: Decimal, currency: Option<&str>) -> String {
    let text = price(amount, currency);
    match currency {
        Some(currency) => format!("{text} {currency}"),
        None => text,
    }
}

/// An amount with at least the decimals that its currency has, on both sides alike.
fn price(amount: Decimal, currency: Option<&str>) -> String {
    let known = currency.and_then(|currency| currency.parse::<Currency>().ok());
    let decimals = known.map_or(2, |currency| currency.decimals());
    let mut amount = amount.normalize();
    if amount.scale() < decimals {
        amount.rescale(decimals);
    }
    amount.to_string()
}

fn number(units: Decimal) -> String {
    units.normalize().to_string()
}

fn joined<const N: usize>(parts: [Option<&str>; N]) -> Option<String> {
    let parts: Vec<&str> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The lines of both sides: each of the shop's with the ERP's that stand for it, then what only the ERP has.
fn lines(shop: &Shop, order: Option<&Order>, booked: Option<&Booked>) -> Vec<LinePair> {
    let held = booked.map_or(&[] as &[SalesOrderLine], |booked| &booked.order.lines);
    let name_of = |id: ErpId| {
        let mut names = booked.iter().flat_map(|booked| &booked.names);
        names
            .find(|(of, name)| *of == id && name.shop == shop.name)
            .map(|(_, name)| name.name.as_str())
    };
    let sold_in = order.map(|order| order.currency.to_string());
    let held_in = booked.and_then(|booked| booked.order.currency.as_deref());
    let currency = sold_in.as_deref().or(held_in);
    let mut left: Vec<&SalesOrderLine> = held.iter().collect();
    let mut pairs = Vec::new();
    for line in order.iter().flat_map(|order| &order.lines) {
        let (of_line, others): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|held| name_of(held.id).is_some_and(|name| stands_for(name, &line.key)));
        left = others;
        let mut of_line = of_line.into_iter().map(|held| held_line(held, currency));
        pairs.push(LinePair {
            key: Some(line.key.clone()),
            shopify: Some(sold_line(line, currency)),
            erp: of_line.next(),
        });
        // The discount of a line, say, is a row of its own there.
        pairs.extend(of_line.map(|held| LinePair {
            key: Some(line.key.clone()),
            shopify: None,
            erp: Some(held),
        }));
    }
    pairs.extend(left.into_iter().map(|held| LinePair {
        key: None,
        shopify: None,
        erp: Some(held_line(held, currency)),
    }));
    pairs
}

/// Whether the ERP's line of this external id belongs to the shop's line: its name ends with the line's key, or goes on after
/// it (`order_1_line_2_discount`).
fn stands_for(name: &str, key: &str) -> bool {
    name.match_indices(key).any(|(at, _)| {
        let begins = name[..at].ends_with('_');
        let rest = &name[at + key.len()..];
        begins && (rest.is_empty() || rest.starts_with('_'))
    })
}

fn sold_line(line: &BookedLine, currency: Option<&str>) -> LineFacts {
    let title = match &line.variant_title {
        Some(variant) => format!("{} - {variant}", line.title),
        None => line.title.clone(),
    };
    LineFacts {
        title,
        quantity: number(line.quantity),
        unit_price: price(line.original_unit_price, currency),
        total: price(line.gross, currency),
        delivered: None,
    }
}

fn held_line(line: &SalesOrderLine, currency: Option<&str>) -> LineFacts {
    LineFacts {
        title: line.name.clone(),
        quantity: number(line.quantity),
        unit_price: price(line.unit_price, currency),
        total: price(line.total, currency),
        delivered: Some(number(line.delivered)),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn amounts_read_alike_on_both_sides() {
        for (amount, currency, expected) in [
            ("4.9", Some("EUR"), "4.90 EUR"),
            ("4.9000", Some("EUR"), "4.90 EUR"),
            ("0", Some("EUR"), "0.00 EUR"),
            ("1200", Some("JPY"), "1200 JPY"),
            ("1.2345", Some("EUR"), "1.2345 EUR"),
            ("-1.5", Some("KWD"), "-1.500 KWD"),
            ("3", None, "3.00"),
        ] {
            assert_eq!(money(amount.parse().unwrap(), currency), expected);
        }
    }

    #[test]
    fn a_line_of_the_erp_belongs_to_the_line_whose_key_it_carries() {
        for (name, key, expected) in [
            ("order_9_line_2", "line_2", true),
            ("order_9_line_2_discount", "line_2", true),
            ("order_9_line_21", "line_2", false),
            ("order_9_line_12", "line_2", false),
            ("order_9_shipping_2", "line_2", false),
            ("order_9_rounding", "line_2", false),
        ] {
            assert_eq!(stands_for(name, key), expected, "{name} {key}");
        }
    }
}
