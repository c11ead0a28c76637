//! Bodies of the `customers/*` topics.

use serde_json::{Value as Json, json};

use super::{address, time};
use crate::sandbox::shopify::facts::{Address, Customer};
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::shop::Shop;

/// A customer by itself, or inside an order.
pub(super) fn customer(shop: &Shop, customer: &Customer) -> Json {
    let consent = json!({
        "state": if customer.consent.subscribed { "subscribed" } else { "not_subscribed" },
        "opt_in_level": "single_opt_in",
        "consent_updated_at": customer.consent.updated_at.map(|at| time(shop, at)),
    });
    json!({
        "id": customer.id,
        "admin_graphql_api_id": gid("Customer", customer.id),
        "created_at": time(shop, customer.created_at),
        "updated_at": time(shop, customer.updated_at),
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "state": if customer.enabled { "enabled" } else { "disabled" },
        "note": customer.note,
        "verified_email": customer.verified_email,
        "multipass_identifier": null,
        "tax_exempt": customer.tax_exempt,
        "tax_exemptions": [],
        "email": customer.email,
        "phone": customer.phone,
        "currency": shop.currency,
        "tags": customer.tags.join(", "),
        "email_marketing_consent": consent,
        "sms_marketing_consent": null,
        "addresses": customer.addresses.iter().map(|a| book_entry(customer, a)).collect::<Vec<_>>(),
        "default_address": customer.address().map(|a| book_entry(customer, a)),
    })
}

fn book_entry(customer: &Customer, entry: &Address) -> Json {
    let mut fields = address(entry);
    fields.insert("id".to_owned(), entry.id.into());
    fields.insert("customer_id".to_owned(), customer.id.into());
    fields.insert("country_name".to_owned(), entry.country().into());
    fields.insert(
        "default".to_owned(),
        (customer.default_address == Some(entry.id)).into(),
    );
    fields.into()
}

/// Two customers became one.
pub(super) fn merge(kept: u64, gone: u64) -> Json {
    json!({
        "admin_graphql_api_customer_kept_id": gid("Customer", kept),
        "admin_graphql_api_customer_deleted_id": gid("Customer", gone),
        "admin_graphql_api_job_id": null,
        "status": "completed",
        "errors": [],
    })
}
