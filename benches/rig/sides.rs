//! Both stand-ins, and a configuration that names them.

use lockstep::sandbox::odoo::{OdooSandbox, Options as ErpOptions};
use lockstep::sandbox::shopify::options::Rate;
use lockstep::sandbox::shopify::{Options as ShopOptions, ShopSandbox};

/// An ERP whose company counts in euros, and a shop. What is measured is how much is asked of the shop, not how fast one plan of
/// Shopify's may ask: its rate is no limit.
pub(crate) async fn sides(mut options: ErpOptions) -> (ShopSandbox, OdooSandbox) {
    options.companies[0].currency = "EUR".to_owned();
    let erp = OdooSandbox::start(options)
        .await
        .expect("the stand-in ERP starts");
    let shop = ShopSandbox::start(ShopOptions {
        rate: Rate {
            restore_rate: 1e6,
            maximum_available: 1e6,
            ..ShopOptions::default().rate
        },
        ..ShopOptions::default()
    });
    (shop.await.expect("the stand-in shop starts"), erp)
}

/// What a bench's configuration says besides how to reach both stand-ins.
#[derive(Default)]
pub(crate) struct Says<'a> {
    /// Tables of its own.
    pub(crate) tables: &'a str,
    /// Lines of `[shops.main]`.
    pub(crate) shop: &'a str,
    /// Lines of `[shops.main.odoo]`.
    pub(crate) odoo: &'a str,
    /// Lines of `[shops.main.sync]`.
    pub(crate) sync: &'a str,
}

pub(crate) fn configuration(shop: &ShopSandbox, erp: &OdooSandbox, says: &Says<'_>) -> String {
    let access = ShopOptions::default().access;
    format!(
        r#"[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
{tables}
[shops.main]
domain = "{domain}"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{shop_url}"
{of_shop}
[shops.main.odoo]
url = "{erp_url}"
database = "prod"
login = "connector@example.com"
api_key = "{api_key}"
{of_odoo}
[shops.main.sync]
{sync}
"#,
        tables = says.tables,
        domain = shop.domain(),
        client_id = access.client_id,
        client_secret = access.client_secret,
        shop_url = shop.url(),
        of_shop = says.shop,
        erp_url = erp.url(),
        api_key = erp.api_key(),
        of_odoo = says.odoo,
        sync = says.sync,
    )
}
