//! Why a shop's subscriptions could not be seen to.

use super::{PUBLIC_URL_MISSING, TWIN_INSTALLATION};
use crate::domain::{ShopName, ShopifyId};
use crate::shopify::ShopifyError;
use crate::store::StoreError;
use crate::transport::BuildError;

/// Why nothing could be planned or done for a shop.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionsError {
    /// It is not said where Shopify reaches us.
    #[error("`public_url` is not set: it is not known where Shopify is to send webhooks")]
    NoPublicUrl,
    /// Shopify cannot reach that.
    #[error("Shopify cannot send webhooks to public_url {url}: {why}")]
    BadPublicUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Shopify failed us before anything was changed.
    #[error(transparent)]
    Shopify(#[from] ShopifyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shop's settings are not usable.
    #[error(transparent)]
    Connect(#[from] BuildError),
    /// Another process is at it.
    #[error("another process changes the subscriptions of this shop now: try again in a moment")]
    Busy,
    /// Something else came first.
    #[error("it was interrupted before it was done")]
    Interrupted,
    /// Another configuration is the one that all are to act on.
    #[error(
        "the daemon acts on another configuration than this one (see `lockstep status`): what this one wants would be undone at \
         once"
    )]
    NotNewest,
    /// Somebody else moved ours.
    #[error(
        "{count} webhook subscriptions of this installation lead to {to} now, and lockstep did not move them there: either another \
         installation works with a copy of this store, or somebody moved them by hand. Nothing is changed until a person decides"
    )]
    Moved {
        /// The shop.
        shop: ShopName,
        /// How many.
        count: usize,
        /// Where they lead now.
        to: String,
    },
    /// What was agreed to is not what is to be done any more.
    #[error("the plan changed meanwhile: look at it again")]
    Changed,
    /// There is no such subscription.
    #[error("the shop has no subscription {0} that was made through the API by this app")]
    NoSuchSubscription(ShopifyId),
    /// It would be deleted at once.
    #[error("no toggle asks for {topic}: subscription {id} would be deleted at once")]
    NotWanted {
        /// The subscription.
        id: ShopifyId,
        /// Its topic.
        topic: String,
    },
}

/// The code where another configuration is the one that all are to act on.
pub const NOT_NEWEST: &str = "not_newest";

impl SubscriptionsError {
    /// A stable name of the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPublicUrl | Self::BadPublicUrl { .. } => PUBLIC_URL_MISSING,
            Self::Shopify(error) => error.code(),
            Self::Store(_) => "store_failed",
            Self::Connect(_) => "settings_unusable",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::NotNewest => NOT_NEWEST,
            Self::Moved { .. } => TWIN_INSTALLATION,
            Self::Changed => "plan_changed",
            Self::NoSuchSubscription(_) => "no_such_subscription",
            Self::NotWanted { .. } => "not_wanted",
        }
    }

    /// What a person can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NoPublicUrl | Self::BadPublicUrl { .. } => {
                "Set public_url in [http] to the https address under which the internet reaches this listener, e.g. \
                 https://sync.example.com"
                    .to_owned()
            }
            Self::Shopify(error) => error.fix(),
            Self::Store(_) => "See that the store can be reached and written.".to_owned(),
            Self::Connect(_) => "Correct the shop's settings.".to_owned(),
            Self::Busy | Self::Changed | Self::Interrupted => "Run it again.".to_owned(),
            Self::Moved { shop, .. } => format!(
                "Decide which installation keeps them, and run `lockstep webhooks adopt --moved --shop {shop}` there. If the other \
                 one is a copy (for staging, say), run `lockstep webhooks new-instance` in the copy, so that it makes subscriptions \
                 of its own."
            ),
            Self::NotNewest => {
                "Use the configuration of the running node. If this file was saved there a moment ago, wait until it is taken; if \
                 it should count from now on, save it on a running node."
                    .to_owned()
            }
            Self::NoSuchSubscription(_) => "See what there is with `lockstep webhooks list`.".to_owned(),
            Self::NotWanted { .. } => {
                "Switch the topic's toggle on (or add it to `topics`) first, or leave the subscription to whom it belongs."
                    .to_owned()
            }
        }
    }
}
