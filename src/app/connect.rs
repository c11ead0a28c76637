//! From a shop's configuration to its two clients. Nothing is sent yet.

use std::sync::Arc;

use crate::config::Shop;
use crate::domain::{SharedClock, SharedEntropy};
use crate::erp::odoo::Odoo;
use crate::shopify::Shopify;
use crate::transport::BuildError;

pub use crate::erp::SharedErp;

/// The client of the shop's Shopify side. All users of a shop share one: it holds the throttle and the token.
///
/// # Errors
/// When the settings cannot be right or a file they name cannot be read.
pub fn shopify(
    shop: &Shop,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Arc<Shopify>, BuildError> {
    let shopify = Shopify::connect(
        shop.name.clone(),
        &shop.shopify,
        shop.credentials.clone(),
        &shop.connection,
        clock.clone(),
        entropy.clone(),
    )?;
    Ok(Arc::new(shopify))
}

/// The client of the shop's ERP. All users of a shop share one: it holds the session, the pace and the caches.
///
/// # Errors
/// When the settings cannot be right or a file they name cannot be read.
pub fn erp(shop: &Shop, clock: &SharedClock) -> Result<SharedErp, BuildError> {
    let odoo = Odoo::connect(
        shop.odoo.server.clone(),
        shop.odoo.api_key.clone(),
        &shop.odoo.connection,
        shop.name.clone(),
        clock.clone(),
    )?;
    Ok(Arc::new(odoo))
}
