//! Customers and their address books.

use serde_json::Value as Json;

use super::input::{LONGEST_TEXT, number, set_text, text, texts};
use super::{Complaint, Payload, Shown, metafields};
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::sandbox::shopify::facts::{Address, Customer};
use crate::sandbox::shopify::graphql::node::{Args, Failure};
use crate::sandbox::shopify::shop::Shop;

/// Countries whose addresses have a province; others lose one that is given.
const WITH_PROVINCES: &[&str] = &[
    "AU", "BR", "CA", "CN", "EG", "ES", "GB", "HK", "ID", "IE", "IN", "IT", "JP", "KR", "MX", "MY", "NZ",
    "PT", "RO", "RU", "TH", "US", "ZA",
];

/// `customerUpdate`.
pub(super) fn update(shop: &mut Shop, args: &Args) -> Payload {
    let wanted = &args["input"];
    let Some(old) = number(&wanted["id"], "Customer").and_then(|id| shop.customer(id).cloned()) else {
        return Payload::refused(vec![Complaint::new(&["id"], "Customer does not exist", None)]);
    };
    let mut complaints = Vec::new();
    let mut new = old.clone();
    read(shop, &mut new, wanted, &mut complaints);
    match metafields::read(shop, "Customer", Some(new.id), &wanted["metafields"]) {
        Ok(fields) => metafields::put(&mut new.metafields, fields),
        Err(found) => complaints.extend(found.into_iter().map(|c| c.below(&["metafields"]))),
    }
    finish(shop, Some(old.id), new, complaints)
}

/// `customerSet`: the lists that are given replace what was there.
pub(super) fn set(shop: &mut Shop, args: &Args) -> Result<Payload, Failure> {
    let wanted = &args["input"];
    let identifier = args.get("identifier").unwrap_or(&Json::Null);
    let refused = |field: &[&str], message: &str, code: &str| {
        Ok(Payload::refused(vec![Complaint::new(field, message, Some(code))]))
    };
    if !identifier.is_null() && !wanted["id"].is_null() {
        let message = "The id field is not allowed if identifier is provided.";
        return refused(&["input", "id"], message, "ID_NOT_ALLOWED");
    }
    for name in ["email", "phone"] {
        let Some(key) = identifier[name].as_str() else {
            continue;
        };
        match wanted[name].as_str() {
            None => {
                let message = "The input field corresponding to the identifier is required.";
                return refused(&["input"], message, "MISSING_FIELD_REQUIRED");
            }
            Some(value) if value != key => {
                let message =
                    "The identifier value does not match the value of the corresponding field in the input.";
                return refused(&["input"], message, "INPUT_MISMATCH");
            }
            Some(_) => {}
        }
    }
    let custom = &identifier["customId"];
    let by_id = [&identifier["id"], &wanted["id"]]
        .into_iter()
        .find(|id| !id.is_null());
    let existing = if let Some(id) = by_id {
        match number(id, "Customer").filter(|id| shop.customers.contains_key(id)) {
            Some(id) => Some(id),
            None => {
                return refused(
                    &["input"],
                    "Resource matching the identifier was not found.",
                    "NOT_FOUND",
                );
            }
        }
    } else if !custom.is_null() {
        shop.owner_of_custom_id("Customer", custom)?
    } else {
        let same = |c: &&Customer| {
            let is = |name: &str, value: &Option<String>| {
                identifier[name].as_str().is_some_and(|key| {
                    value
                        .as_deref()
                        .is_some_and(|value| value == key.trim().to_lowercase())
                })
            };
            is("email", &c.email) || is("phone", &c.phone)
        };
        shop.customers.values().find(same).map(|c| c.id)
    };
    let mut complaints = Vec::new();
    let mut new = match existing.and_then(|id| shop.customer(id)) {
        Some(old) => old.clone(),
        None => nobody(shop),
    };
    read(shop, &mut new, wanted, &mut complaints);
    if existing.is_none() && !custom.is_null() {
        new.metafields.push(metafields::of_custom_id(shop, custom));
    }
    let complaints = complaints.into_iter().map(|c| c.below(&["input"])).collect();
    Ok(finish(shop, existing, new, complaints))
}

/// `customerAddressCreate`.
pub(super) fn create_address(shop: &mut Shop, args: &Args) -> Payload {
    let Some(customer) = number(&args["customerId"], "Customer").and_then(|id| shop.customer(id)) else {
        return Payload::refused(vec![Complaint::new(
            &["customerId"],
            "Customer does not exist",
            None,
        )]);
    };
    let id = customer.id;
    let first = customer.addresses.is_empty();
    let mut new = Address::default();
    let mut complaints = Vec::new();
    read_address(&mut new, &args["address"], &mut complaints);
    if !complaints.is_empty() {
        return Payload::refused(complaints.into_iter().map(|c| c.below(&["address"])).collect());
    }
    new.id = shop.ids.take();
    let number = new.id;
    let default = first || args.get("setAsDefault").and_then(Json::as_bool) == Some(true);
    // It exists, as was checked.
    let _ = shop.edit_customer(id, |c| {
        c.addresses.push(new);
        if default {
            c.default_address = Some(number);
        }
    });
    let mut payload = Payload::default();
    payload.show(
        "address",
        Shown::Address {
            customer: id,
            address: number,
        },
    );
    payload
}

/// `customerAddressUpdate`.
pub(super) fn update_address(shop: &mut Shop, args: &Args) -> Payload {
    let customer = number(&args["customerId"], "Customer").and_then(|id| shop.customer(id));
    let found = customer.and_then(|c| {
        let wanted = number(&args["addressId"], "MailingAddress")?;
        Some((c.id, c.addresses.iter().find(|a| a.id == wanted)?.clone()))
    });
    let Some((id, mut new)) = found else {
        let message = "Address does not exist";
        return Payload::refused(vec![Complaint::new(&["addressId"], message, None)]);
    };
    let mut complaints = Vec::new();
    read_address(&mut new, &args["address"], &mut complaints);
    if !complaints.is_empty() {
        return Payload::refused(complaints.into_iter().map(|c| c.below(&["address"])).collect());
    }
    let number = new.id;
    let default = args.get("setAsDefault").and_then(Json::as_bool) == Some(true);
    // It exists, as was found.
    let _ = shop.edit_customer(id, |c| {
        if let Some(old) = c.addresses.iter_mut().find(|a| a.id == number) {
            *old = new;
        }
        if default {
            c.default_address = Some(number);
        }
    });
    let mut payload = Payload::default();
    payload.show(
        "address",
        Shown::Address {
            customer: id,
            address: number,
        },
    );
    payload
}

fn nobody(shop: &Shop) -> Customer {
    let now = shop.now();
    Customer {
        id: 0,
        first_name: None,
        last_name: None,
        email: None,
        phone: None,
        note: None,
        tags: Vec::new(),
        tax_exempt: false,
        verified_email: true,
        locale: "de-DE".to_owned(),
        enabled: false,
        consent: crate::sandbox::shopify::facts::EmailConsent::default(),
        addresses: Vec::new(),
        default_address: None,
        company: None,
        metafields: Vec::new(),
        created_at: now,
        updated_at: now,
    }
}

/// Stores the customer, unless something is wrong with it.
fn finish(
    shop: &mut Shop,
    existing: Option<u64>,
    mut new: Customer,
    mut complaints: Vec<Complaint>,
) -> Payload {
    if existing.is_none()
        && [&new.first_name, &new.last_name, &new.email, &new.phone]
            .iter()
            .all(|v| v.is_none())
    {
        let message = "A name, phone number, or email address must be present";
        complaints.push(Complaint::new(&[], message, Some("BLANK")));
    }
    if !complaints.is_empty() {
        return Payload::refused(complaints);
    }
    let id = match existing {
        Some(id) => id,
        None => {
            let draft = CustomerDraft {
                email: new.email.clone(),
                ..CustomerDraft::default()
            };
            match shop.create_customer_quietly(draft) {
                Ok(id) => id,
                Err(error) => {
                    return Payload::refused(vec![Complaint::new(&["input"], error.to_string(), None)]);
                }
            }
        }
    };
    new.id = id;
    if existing.is_none() {
        for address in &mut new.addresses {
            address.id = shop.ids.take();
        }
        new.default_address = new.addresses.first().map(|a| a.id);
        shop.put_new_customer(new);
    } else {
        // It exists, as was found.
        let _ = shop.edit_customer(id, |c| *c = new);
    }
    let mut payload = Payload::default();
    payload.show("customer", Shown::Record("Customer", id));
    payload
}

/// Reads what the input says of a customer.
fn read(shop: &Shop, customer: &mut Customer, wanted: &Json, complaints: &mut Vec<Complaint>) {
    set_text(
        &mut customer.first_name,
        wanted,
        "firstName",
        "First name",
        LONGEST_TEXT,
        complaints,
    );
    set_text(
        &mut customer.last_name,
        wanted,
        "lastName",
        "Last name",
        LONGEST_TEXT,
        complaints,
    );
    set_text(&mut customer.note, wanted, "note", "Note", 5000, complaints);
    if let Some(value) = wanted.get("email") {
        // Kept in lower case.
        customer.email = text(value).map(|email| email.to_lowercase());
        let taken = |c: &Customer| c.id != customer.id && c.email == customer.email;
        if customer.email.as_deref().is_some_and(|email| !is_email(email)) {
            complaints.push(Complaint::new(&["email"], "Email is invalid", Some("INVALID")));
        } else if customer.email.is_some() && shop.customers.values().any(taken) {
            let message = "Email has already been taken";
            complaints.push(Complaint::new(&["email"], message, Some("TAKEN")));
        }
    }
    if let Some(value) = wanted.get("phone") {
        match text(value).map(|phone| e164(&phone)) {
            None => customer.phone = None,
            Some(None) => complaints.push(Complaint::new(&["phone"], "Phone is invalid", Some("INVALID"))),
            Some(Some(phone)) => {
                let other = |c: &Customer| c.id != customer.id && c.phone.as_ref() == Some(&phone);
                if shop.customers.values().any(other) {
                    let message = "Phone has already been taken";
                    complaints.push(Complaint::new(&["phone"], message, Some("TAKEN")));
                }
                customer.phone = Some(phone);
            }
        }
    }
    if let Some(locale) = text(&wanted["locale"]) {
        let well_formed = locale
            .split('-')
            .all(|part| (2..=4).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()));
        if well_formed {
            customer.locale = locale;
        } else {
            complaints.push(Complaint::new(&["locale"], "Locale is invalid", Some("INVALID")));
        }
    }
    if let Some(exempt) = wanted["taxExempt"].as_bool() {
        customer.tax_exempt = exempt;
    }
    if !wanted["tags"].is_null() {
        customer.tags = texts(&wanted["tags"]);
        customer.tags.sort();
        customer.tags.dedup();
    }
    if let Some(list) = wanted["addresses"].as_array() {
        let old = std::mem::take(&mut customer.addresses);
        for (index, one) in list.iter().enumerate() {
            let id = number(&one["id"], "MailingAddress");
            let known = id.and_then(|id| old.iter().find(|a| a.id == id));
            let mut address = known.cloned().unwrap_or_default();
            let mut found = Vec::new();
            read_address(&mut address, one, &mut found);
            let at = index.to_string();
            complaints.extend(found.into_iter().map(|c| c.below(&["addresses", &at])));
            customer.addresses.push(address);
        }
    }
}

fn read_address(address: &mut Address, wanted: &Json, complaints: &mut Vec<Complaint>) {
    for (name, label, target) in [
        ("firstName", "First name", &mut address.first_name),
        ("lastName", "Last name", &mut address.last_name),
        ("company", "Company", &mut address.company),
        ("address1", "Address1", &mut address.address1),
        ("address2", "Address2", &mut address.address2),
        ("city", "City", &mut address.city),
        ("zip", "Zip", &mut address.zip),
        ("provinceCode", "Province", &mut address.province_code),
        ("countryCode", "Country", &mut address.country_code),
    ] {
        set_text(target, wanted, name, label, LONGEST_TEXT, complaints);
    }
    if let Some(value) = wanted.get("phone") {
        address.phone = text(value);
        if address.phone.as_deref().is_some_and(|p| e164(p).is_none()) {
            complaints.push(Complaint::new(&["phone"], "Phone is invalid", Some("INVALID")));
        }
    }
    let has_provinces = address
        .country_code
        .as_deref()
        .is_some_and(|code| WITH_PROVINCES.contains(&code));
    if !has_provinces {
        address.province_code = None;
        address.province = None;
    }
}

/// Good enough to tell an address from a mistake.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && !domain.contains('@')
        && !text.contains(char::is_whitespace)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// A phone number in E.164 form, or nothing.
fn e164(text: &str) -> Option<String> {
    let bare: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '/' | '.'))
        .collect();
    let digits = bare.strip_prefix('+')?;
    let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(bare)
}
