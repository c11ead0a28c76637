//! The order's own fields; lines and proof are made beside.

use std::sync::Arc;

use serde_json::Value;

use super::customer::{address, full_name};
use super::read::{At, Purse};
use super::removed::{Method, Removals};
use super::{NormaliseError, after, discounts, lines, proof};
use crate::domain::{BookedLine, FinancialStatus, Order, OrderCompany, OrderCustomer, OrderTotals, Risk};
use crate::shopify::settings::CurrencyChoice;

pub(super) fn order(raw: Value, choice: CurrencyChoice) -> Result<Order, NormaliseError> {
    let record = At::root(&raw);
    let purse = purse(&record, choice)?;
    let taxes_included = record.get("taxesIncluded").need_boolean()?;
    let status = record.get("displayFinancialStatus").text()?;
    Ok(Order {
        id: record.get("id").need_id()?,
        name: record.get("name").need_text()?,
        processed_at: record.get("processedAt").need_time()?,
        created_at: record.get("createdAt").need_time()?,
        updated_at: record.get("updatedAt").need_time()?,
        cancelled_at: record.get("cancelledAt").time()?,
        cancel_reason: record.get("cancelReason").text()?,
        test: record.get("test").boolean()?.unwrap_or(false),
        edited: record.get("edited").boolean()?.unwrap_or(false),
        financial_status: financial_status(status.as_deref()),
        fulfillment_status: record.get("displayFulfillmentStatus").text()?,
        currency: purse.currency,
        taxes_included,
        email: record.get("email").text()?,
        phone: record.get("phone").text()?,
        customer: customer(&record.get("customer"))?,
        billing_address: address(&record.get("billingAddress"))?,
        shipping_address: address(&record.get("shippingAddress"))?,
        note: record.get("note").text()?,
        tags: record.get("tags").texts()?,
        source_name: record.get("sourceName").text()?,
        po_number: record.get("poNumber").text()?,
        gateways: record.get("paymentGatewayNames").texts()?,
        discount_codes: record.get("discountCodes").texts()?,
        lines: booked(&record, purse, taxes_included)?,
        totals: totals(&record, purse)?,
        payments: after::payments(&record, purse)?,
        refunds: after::refunds(&record, purse, taxes_included)?,
        fulfillments: after::fulfillments(&record)?,
        company: company(&record.get("purchasingEntity"))?,
        risk: risk(record.get("risk").get("recommendation").text()?.as_deref()),
        tax_exempt: record.get("taxExempt").boolean()?.unwrap_or(false),
        discounts: discounts::applied(&record, purse)?,
        confirmation_number: record.get("confirmationNumber").text()?,
        retail_location: after::place(&record.get("retailLocation"))?,
        raw: Arc::new(raw),
    })
}

fn purse(record: &At<'_>, choice: CurrencyChoice) -> Result<Purse, NormaliseError> {
    let code = record.get(match choice {
        CurrencyChoice::Shop => "currencyCode",
        CurrencyChoice::Presentment => "presentmentCurrencyCode",
    });
    let currency = code
        .need_text()?
        .parse()
        .map_err(|_| code.unreadable("a currency"))?;
    Ok(Purse { choice, currency })
}

/// The proven lines. Amounts of removed units are taken from the refunds first; if the result cannot be proven, by
/// units: whichever is right adds up to the cent, and of two failures the first is told.
fn booked(record: &At<'_>, purse: Purse, taxes_included: bool) -> Result<Vec<BookedLine>, NormaliseError> {
    let removals = Removals::read(record, purse)?;
    let attempt = |method| {
        let drafts = lines::all(record, purse, &removals, method)?;
        proof::prove(record, purse, taxes_included, drafts)
    };
    let drafts = attempt(Method::Refunds).or_else(|first| attempt(Method::Units).map_err(|_| first))?;
    Ok(drafts
        .into_iter()
        .map(|draft| draft.booked(taxes_included, purse))
        .collect())
}

fn financial_status(status: Option<&str>) -> FinancialStatus {
    status
        .and_then(|status| status.to_ascii_lowercase().parse().ok())
        .unwrap_or(FinancialStatus::Unknown)
}

fn customer(at: &At<'_>) -> Result<Option<OrderCustomer>, NormaliseError> {
    if at.is_nothing() {
        return Ok(None);
    }
    let id = at.get("id").need_id()?;
    let email = at.get("defaultEmailAddress").get("emailAddress").text()?;
    let phone = at.get("defaultPhoneNumber").get("phoneNumber").text()?;
    let first = at.get("firstName").text()?;
    let last = at.get("lastName").text()?;
    let shown = at.get("displayName").text()?;
    let display_name = full_name(first.as_deref(), last.as_deref())
        .or(shown)
        .or_else(|| email.clone())
        .or_else(|| phone.clone())
        .unwrap_or_else(|| format!("Customer {id}"));
    Ok(Some(OrderCustomer {
        id,
        display_name,
        email,
        phone,
    }))
}

/// The company that bought; the union says `Customer` where a person did.
fn company(at: &At<'_>) -> Result<Option<OrderCompany>, NormaliseError> {
    let company = at.get("company");
    if company.is_nothing() {
        return Ok(None);
    }
    let location = at.get("location");
    Ok(Some(OrderCompany {
        id: company.get("id").need_id()?,
        name: company.get("name").need_text()?,
        location_id: location.get("id").need_id()?,
        location_name: location.get("name").need_text()?,
        external_id: company.get("externalId").text()?,
    }))
}

fn risk(recommendation: Option<&str>) -> Risk {
    match recommendation {
        None | Some("NONE") => Risk::None,
        Some("ACCEPT") => Risk::Low,
        Some("INVESTIGATE") => Risk::Medium,
        Some("CANCEL") => Risk::High,
        Some(_) => Risk::Pending,
    }
}

fn totals(record: &At<'_>, purse: Purse) -> Result<OrderTotals, NormaliseError> {
    let stated = |name| Ok::<_, NormaliseError>(purse.tidy(record.get(name).need_money(purse)?));
    Ok(OrderTotals {
        total: stated("currentTotalPriceSet")?,
        tax: stated("currentTotalTaxSet")?,
        discounts: stated("currentTotalDiscountsSet")?,
        shipping: stated("currentShippingPriceSet")?,
        received: stated("totalReceivedSet")?,
        refunded: stated("totalRefundedSet")?,
        outstanding: stated("totalOutstandingSet")?,
    })
}
