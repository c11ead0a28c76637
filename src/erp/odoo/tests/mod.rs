//! Tests that need a server at the other end: a scripted one for what each answer means, and the stand-in Odoo.

mod answers;
mod garbage;
mod given;
mod load;
mod login;
mod memory;
mod orders;
mod products;
mod products_together;
mod questions;
mod reads;
mod records;
mod scripted;
mod setup;
mod together;
mod watch;

use std::sync::Arc;

use self::scripted::Scripted;
use super::{Odoo, Settings};
use crate::domain::{ManualClock, Timestamp};
use crate::secret::Secret;
use crate::transport;

/// 2023-11-14 22:13:20 UTC.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn clock() -> ManualClock {
    ManualClock::new(NOW)
}

fn connection() -> transport::Settings {
    transport::Settings {
        connect_timeout_s: 5,
        timeout_s: 10,
        ..transport::Settings::default()
    }
}

/// Settings for a server, without a pace.
fn settings(url: &str) -> Settings {
    Settings {
        calls_per_second: 10_000,
        max_concurrent_calls: 32,
        ..Settings::new(url, "prod", "connector@example.com")
    }
}

fn connect(settings: Settings, secret: Secret, clock: &ManualClock) -> Odoo {
    let shop = "main".parse().unwrap();
    Odoo::connect(settings, secret, &connection(), shop, Arc::new(clock.clone())).unwrap()
}

/// The adapter in front of a scripted server.
fn scripted(server: &Scripted) -> Odoo {
    connect(settings(&server.url()), Secret::text("key"), &clock())
}
