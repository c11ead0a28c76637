//! Where a record is to be seen: its page in Shopify's admin and its form in the ERP.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Shop;
use crate::domain::{Direction, JobKey, Link, LinkKind, LinkState, Object};
use crate::store::{SharedStore, StoreError};

/// A record on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reference {
    /// Its number or id for people.
    pub name: String,
    /// Its id there.
    pub id: String,
    /// Its page, where there is one.
    pub url: Option<String>,
}

/// A record on both sides, as far as it is known there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct References {
    /// On Shopify.
    pub shopify: Option<Reference>,
    /// In the ERP.
    pub erp: Option<Reference>,
}

/// The record's page in Shopify's admin. Shopify leads from the shop's own domain to its admin; what has no page of its own
/// has none here.
pub fn shopify_page(shop: &Shop, object: Object, id: &str) -> Option<String> {
    let folder = match object {
        Object::Order => "orders",
        Object::Customer => "customers",
        Object::Product => "products",
        Object::Inventory | Object::Shop => return None,
    };
    let id = id.bytes().all(|byte| byte.is_ascii_digit()).then_some(id)?;
    Some(format!(
        "https://{}/admin/{folder}/{id}",
        shop.shopify.domain.to_ascii_lowercase()
    ))
}

/// The record's form in Odoo. Every version from 16 to 19 understands this address; newer ones lead on to their own.
pub fn erp_page(shop: &Shop, model: &str, id: i64) -> String {
    let base = shop.odoo.server.url.trim_end_matches('/');
    format!("{base}/web#id={id}&model={model}&view_type=form")
}

/// What a job's record is linked as.
pub(in crate::app) fn kind_of(object: Object) -> Option<LinkKind> {
    match object {
        Object::Order => Some(LinkKind::Order),
        Object::Customer => Some(LinkKind::Customer),
        Object::Product => Some(LinkKind::Product),
        Object::Inventory => Some(LinkKind::Inventory),
        Object::Shop => None,
    }
}

/// Both sides of a job's record. `names` are those that the job knows: Shopify's and the ERP's.
///
/// # Errors
/// When the store fails.
pub async fn references(
    store: &SharedStore,
    shop: &Shop,
    key: &JobKey,
    names: (Option<&str>, Option<&str>),
) -> Result<References, StoreError> {
    let Some(kind) = kind_of(key.object) else {
        return Ok(References::default());
    };
    let link = match key.direction {
        Direction::In => store
            .links(&shop.name, kind, std::slice::from_ref(&key.source_id))
            .await?
            .pop(),
        Direction::Out => match key.source_id.parse() {
            Ok(id) => {
                store
                    .link_of_erp(&shop.name, kind, crate::domain::ErpId(id))
                    .await?
            }
            Err(_) => None,
        },
    };
    Ok(of_link(shop, key, link.as_ref(), names))
}

/// Both sides of a job's record that has this link, if it has one.
pub(super) fn of_link(
    shop: &Shop,
    key: &JobKey,
    link: Option<&Link>,
    names: (Option<&str>, Option<&str>),
) -> References {
    if kind_of(key.object).is_none() {
        return References::default();
    }
    let link = link.filter(|link| link.state != LinkState::Retired);
    let shopify_id = match key.direction {
        Direction::In => Some(key.source_id.clone()),
        Direction::Out => link.map(|link| link.source_id.clone()),
    };
    let shopify = shopify_id.map(|id| Reference {
        name: names.0.map_or_else(|| id.clone(), str::to_owned),
        url: shopify_page(shop, key.object, &id),
        id,
    });
    let erp = match (link, key.direction) {
        (Some(link), _) => Some(Reference {
            name: names
                .1
                .map(str::to_owned)
                .or_else(|| link.erp_name.clone())
                .unwrap_or_else(|| link.erp_id.to_string()),
            id: link.erp_id.to_string(),
            url: Some(erp_page(shop, &link.model, link.erp_id.0)),
        }),
        (None, Direction::Out) => Some(Reference {
            name: names.1.map_or_else(|| key.source_id.clone(), str::to_owned),
            id: key.source_id.clone(),
            url: None,
        }),
        (None, Direction::In) => None,
    };
    References { shopify, erp }
}
