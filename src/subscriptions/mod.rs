//! Shopify's webhook subscriptions follow the toggles.

mod toggles;

pub use toggles::{Category, Settings, Toggle, Urgency, WhenOff};
