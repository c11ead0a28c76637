//! What the demonstration plays on: its folder, the options of both stand-ins, its configuration.

use std::path::PathBuf;
use std::time::Duration;

use super::told;
use crate::sandbox::odoo::{CompanySeed, OdooSandbox, Options as ErpOptions, Rounding, ServiceSeed, Version};
use crate::sandbox::receiver::Receiver;
use crate::sandbox::shopify::options::DeliveryOptions;
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};

/// A folder that goes away with the demonstration.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Makes a folder that was not there before, for this user only: it holds a database and a configuration.
    pub(super) fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("lockstep-demo-{}", uuid::Uuid::new_v4().simple()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is below the system's folder for temporary files; what cannot be removed now is removed there some day.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// An ERP of this version, with one company and the services that orders need.
pub(super) fn erp_options(major: u32) -> ErpOptions {
    let version = match major {
        17 => Version::V17,
        19 => Version::V19,
        _ => Version::V18,
    };
    let service = |purpose: &str, name: &str| ServiceSeed {
        name: name.to_owned(),
        code: purpose.to_uppercase(),
        external_id: Some(format!("__lockstep_main__.service_{purpose}")),
    };
    ErpOptions {
        rounding: Rounding::Globally,
        latency: Duration::from_millis(15),
        companies: vec![CompanySeed {
            name: "Demo GmbH".into(),
            currency: "EUR".into(),
            country: "DE".into(),
            allowed: true,
        }],
        services: vec![
            service("shipping", "Shipping"),
            service("discount", "Discount"),
            service("rounding", "Rounding"),
            service("custom", "Custom article"),
            service("tip", "Tip"),
        ],
        ..ErpOptions::version(version)
    }
}

/// The shop, whose repeated deliveries come fast.
pub(super) fn shop_options() -> ShopOptions {
    ShopOptions {
        domain: "demo-shop.myshopify.com".into(),
        name: "Demo Shop".into(),
        delivery: DeliveryOptions {
            backoff_scale: 0.001,
            ..DeliveryOptions::default()
        },
        ..ShopOptions::default()
    }
}

/// A port of this machine that nobody listens on. The shop must be told of it before the daemon listens.
pub(super) fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// The text of `lockstep.toml`, with this toggle for orders.
pub(super) fn configuration(
    shop: &ShopSandbox,
    erp: &OdooSandbox,
    receiver: &Receiver,
    port: u16,
    orders: &str,
) -> String {
    let access = ShopOptions::default().access;
    format!(
        r#"[store]
url = "sqlite://lockstep.db"

[http]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[admin]
listen = "127.0.0.1:0"

[queue.retry]
first_wait_s = 1

[queue.breaker]
first_probe_s = 1

[shops.main]
domain = "{domain}"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{shop_url}"
start_at = 2000-01-01T00:00:00Z
owner = "demo team"
# What is shown does not depend on the time of the day.
runs = {{ full = "off" }}

[shops.main.odoo]
url = "{erp_url}"
database = "prod"
login = "connector@example.com"
api_key = "{api_key}"
calls_per_second = 500
max_concurrent_calls = 8
poll = "1s"

[shops.main.sync]
orders = {{ in = "{orders}" }}
customers = {{ in = "on", out = "on" }}
products = {{ in = "on", out = "on" }}

[notify]
# The receiver is on this machine: other networks than public ones must be allowed.
allow_networks = ["127.0.0.1"]

[notify.endpoints.warehouse]
url = "{receiver_url}"
allow_http = true
events = ["order.*", "product.*", "customer.*", "sync.*"]
secrets = ["{secret}"]
description = "The demonstration's own receiver"
"#,
        domain = shop.domain(),
        client_id = access.client_id,
        client_secret = access.client_secret,
        shop_url = shop.url(),
        erp_url = erp.url(),
        api_key = erp.api_key(),
        receiver_url = receiver.url(),
        secret = told::SECRET,
    )
}
