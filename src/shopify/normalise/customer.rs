//! Customers and addresses.

use std::sync::Arc;

use serde_json::Value;

use super::NormaliseError;
use super::read::At;
use crate::domain::{Address, Customer};
use crate::shopify::answer::REFUSED;

pub(super) fn customer(raw: Value) -> Result<Customer, NormaliseError> {
    let record = At::root(&raw);
    let id = record.get("id").need_id()?;
    let first_name = record.get("firstName").text()?;
    let last_name = record.get("lastName").text()?;
    let email = record.get("defaultEmailAddress").get("emailAddress").text()?;
    let phone = record.get("defaultPhoneNumber").get("phoneNumber").text()?;
    let default = record.get("defaultAddress");
    let default_address = address(&default)?;
    let mut addresses = Vec::new();
    let mut default_seen = false;
    let list = record.get("addressesV2");
    for node in list.nodes()? {
        default_seen |= node.get("id").text()? == default.get("id").text()?;
        addresses.extend(address(&node)?);
    }
    if !default_seen {
        addresses.extend(default_address.clone());
    }
    let company = default_address
        .as_ref()
        .and_then(|address| address.company.clone());
    let display_name = full_name(first_name.as_deref(), last_name.as_deref())
        .or_else(|| company.clone())
        .or_else(|| email.clone())
        .or_else(|| phone.clone());
    let display_name = match display_name {
        Some(name) => name,
        None => record
            .get("displayName")
            .text()?
            .unwrap_or_else(|| format!("Customer {id}")),
    };
    Ok(Customer {
        id,
        display_name,
        company,
        email,
        phone,
        locale: record.get("locale").text()?,
        note: record.get("note").text()?,
        tags: record.get("tags").texts()?,
        tax_exempt: record.get("taxExempt").boolean()?.unwrap_or(false),
        state: record.get("state").text()?,
        default_address,
        addresses,
        refused: record.get(REFUSED).texts()?,
        created_at: record.get("createdAt").need_time()?,
        updated_at: record.get("updatedAt").need_time()?,
        first_name,
        last_name,
        raw: Arc::new(raw),
    })
}

/// Both names, or the one that there is.
pub(super) fn full_name(first: Option<&str>, last: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = [first, last]
        .into_iter()
        .flatten()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// An address; nothing when it is absent or says nothing.
pub(super) fn address(at: &At<'_>) -> Result<Option<Address>, NormaliseError> {
    if at.is_nothing() {
        return Ok(None);
    }
    let company = at.get("company").text()?;
    let address = Address {
        first_name: at.get("firstName").text()?,
        last_name: at.get("lastName").text()?,
        name: at.get("name").text()?.or_else(|| company.clone()),
        company,
        address1: at.get("address1").text()?,
        address2: at.get("address2").text()?,
        city: at.get("city").text()?,
        zip: at.get("zip").text()?,
        province_code: at.get("provinceCode").text()?,
        country_code: at.get("countryCodeV2").text()?,
        phone: at.get("phone").text()?,
    };
    Ok((!address.is_empty()).then_some(address))
}
