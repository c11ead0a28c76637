//! Shopify's webhook subscriptions follow the toggles.
//!
//! Three steps, over and over: what is wanted ([`desired`], from the toggles), what is there (asked of Shopify), and what has
//! to change ([`plan`], pure); then it is changed, recorded, and read back ([`apply`]). Shopify deletes a subscription after
//! eight failed deliveries without telling anybody, so that this never ends. Deliberately absent: when it happens, and for
//! which shops (the daemon's and the commands' business), and carrying over what was missed meanwhile.

mod apply;
mod desired;
mod lease;
mod outcome;
mod plan;
mod registry;
#[cfg(test)]
mod tests;
mod toggles;

pub use crate::shopify::{NewSubscription, Subscription as Observed, scope_of_topic as scope_of};
pub use apply::{RETRIES_LAST, Site, apply, ours};
pub use desired::{
    Desired, INSTANCE_DIGITS, Wish, address, desired, instance_of, name_of, object_to_heal, of_graphql,
    wants_events,
};
pub use lease::{Lease, NotHeld, is_newest};
pub use outcome::{Applied, Changed, Gaps, Outcome, Restored, Telling, Why};
pub use plan::{Kind, Ours, Plan, PlanLine, is_same_address, plan};
pub use registry::Registry;
pub use toggles::{Category, ManualReview, Settings, Toggle, Urgency, WebhookSettings, WhenOff};
