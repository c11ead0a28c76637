//! An order as Shopify has it.

use rust_decimal::Decimal;

use super::{Amounts, DocumentFacts, OrderFacts, Person, Shipment, joined, money, number};
use crate::domain::{Address, FinancialStatus, Fulfillment, Order};

/// What a customer asks: whether it is paid, and whether it is sent.
pub(super) fn progress(order: &Order) -> String {
    if order.cancelled_at.is_some() {
        return "cancelled".to_owned();
    }
    let money = |amount: Decimal| money(amount, Some(order.currency.as_str()));
    let paid = match order.financial_status {
        FinancialStatus::Paid => "paid".to_owned(),
        FinancialStatus::PartiallyPaid => {
            format!("partly paid, {} are open", money(order.totals.outstanding))
        }
        FinancialStatus::PartiallyRefunded => {
            format!("paid, {} were paid back", money(order.totals.refunded))
        }
        FinancialStatus::Refunded => "paid back".to_owned(),
        FinancialStatus::Authorized => "authorised, not paid yet".to_owned(),
        FinancialStatus::Pending => "not paid yet".to_owned(),
        FinancialStatus::Expired => "not paid (the authorisation ran out)".to_owned(),
        FinancialStatus::Voided => "not paid (the payment was given up)".to_owned(),
        FinancialStatus::Unknown => "of unknown payment".to_owned(),
    };
    let sent: Vec<&Fulfillment> = order
        .fulfillments
        .iter()
        .filter(|parcel| is_sent(parcel))
        .collect();
    let sent = match (order.fulfillment_status.as_deref(), sent.as_slice()) {
        (_, []) => "not sent yet".to_owned(),
        (Some("FULFILLED"), [parcel]) => match &parcel.tracking_company {
            Some(carrier) => format!("sent with {carrier}"),
            None => "sent".to_owned(),
        },
        (Some("FULFILLED"), parcels) => format!("sent in {} parcels", parcels.len()),
        (_, parcels) => format!("sent in part ({} so far)", counted(parcels.len(), "parcel")),
    };
    format!("{paid} and {sent}")
}

fn is_sent(parcel: &Fulfillment) -> bool {
    parcel.status != "CANCELLED" && parcel.status != "ERROR" && parcel.status != "FAILURE"
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

pub(super) fn of_shopify(order: &Order) -> OrderFacts {
    let money = |amount: Decimal| money(amount, Some(order.currency.as_str()));
    let status = |text: &str| text.to_lowercase().replace('_', " ");
    let mut state = vec![status(order.financial_status.as_str())];
    state.extend(order.fulfillment_status.as_deref().map(status));
    if order.cancelled_at.is_some() {
        state.insert(0, "cancelled".to_owned());
    }
    let named = order.customer.as_ref();
    let address_name = |address: &Option<Address>| address.as_ref().and_then(|one| one.name.clone());
    let name = named
        .map(|customer| customer.display_name.clone())
        .or_else(|| address_name(&order.billing_address))
        .or_else(|| address_name(&order.shipping_address));
    let email = order
        .email
        .clone()
        .or_else(|| named.and_then(|one| one.email.clone()));
    let phone = order
        .phone
        .clone()
        .or_else(|| named.and_then(|one| one.phone.clone()));
    let is_known = name.is_some() || email.is_some() || phone.is_some();
    OrderFacts {
        name: order.name.clone(),
        state: state.join(", "),
        ordered_at: Some(order.processed_at),
        amounts: Amounts {
            total: money(order.totals.total),
            tax: money(order.totals.tax),
            paid: money(order.totals.received),
            refunded: money(order.totals.refunded),
            open: money(order.totals.outstanding),
        },
        buyer: is_known.then(|| Person {
            name: name.unwrap_or_else(|| "(a guest)".to_owned()),
            email,
            phone,
        }),
        billing: order.billing_address.as_ref().map(postal).unwrap_or_default(),
        shipping: order.shipping_address.as_ref().map(postal).unwrap_or_default(),
        shipments: order.fulfillments.iter().map(parcel).collect(),
        documents: order
            .refunds
            .iter()
            .map(|refund| DocumentFacts {
                name: format!("refund {}", refund.id),
                state: if refund.pending.is_zero() {
                    "paid back".to_owned()
                } else {
                    "on its way back".to_owned()
                },
                total: money(refund.total),
                open: (!refund.pending.is_zero()).then(|| money(refund.pending)),
            })
            .collect(),
        note: order.note.clone(),
    }
}

fn parcel(parcel: &Fulfillment) -> Shipment {
    Shipment {
        name: format!("parcel {}", parcel.id),
        state: if is_sent(parcel) {
            "sent".to_owned()
        } else {
            parcel.status.to_lowercase()
        },
        carrier: parcel.tracking_company.clone(),
        tracking: parcel.tracking_numbers.clone(),
        made_at: Some(parcel.created_at),
        units: number(parcel.lines.iter().map(|line| line.quantity).sum()),
    }
}

/// An address as it stands on a letter.
fn postal(address: &Address) -> Vec<String> {
    let town = joined([address.zip.as_deref(), address.city.as_deref()]);
    let country = joined([address.province_code.as_deref(), address.country_code.as_deref()]);
    [
        address.company.clone(),
        address.name.clone(),
        address.address1.clone(),
        address.address2.clone(),
        town,
        country,
        address.phone.clone(),
    ]
    .into_iter()
    .flatten()
    .filter(|line| !line.trim().is_empty())
    .collect()
}
