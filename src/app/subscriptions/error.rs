//! Why a shop's subscriptions could not be seen to.

use super::PUBLIC_URL_MISSING;
use crate::domain::ShopifyId;
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

impl SubscriptionsError {
    /// A stable name of the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPublicUrl | Self::BadPublicUrl { .. } => PUBLIC_URL_MISSING,
            Self::Shopify(error) => error.code(),
            Self::Store(_) => "store_failed",
            Self::Connect(_) => "settings_unusable",
            Self::Busy => "busy",
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
            Self::Busy | Self::Changed => "Run it again.".to_owned(),
            Self::NoSuchSubscription(_) => "See what there is with `lockstep webhooks list`.".to_owned(),
            Self::NotWanted { .. } => {
                "Switch the topic's toggle on (or add it to `topics`) first, or leave the subscription to whom it belongs."
                    .to_owned()
            }
        }
    }
}
