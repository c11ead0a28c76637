//! What is noted of each poll, for people and for metrics.

use super::Poller;
use super::due::ModelPolls;
use crate::app::polls::{self, PollNote};
use crate::domain::{ShopName, Timestamp};
use crate::poll::{PollError, Polled};
use crate::telemetry;

impl Poller {
    /// A poll that began then has succeeded.
    pub(super) async fn note_polled(
        &self,
        shop: &ShopName,
        model: &'static str,
        began: Timestamp,
        polled: &Polled,
    ) {
        let took = self.clock.now().since(began);
        let labels = [
            metrics::Label::new("shop", shop.as_str().to_owned()),
            metrics::Label::new("model", model),
        ];
        metrics::histogram!(telemetry::POLL_SECONDS, labels.to_vec()).record(took.as_secs_f64());
        metrics::counter!(telemetry::POLL_ROWS, labels.to_vec()).increment(polled.rows);
        metrics::counter!(telemetry::POLL_CHANGES, labels.to_vec()).increment(polled.changed);
        let note = PollNote {
            at: began,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            rows: polled.rows,
            changed: polled.changed,
            succeeded_at: Some(began),
            error: None,
        };
        self.note(shop, model, note).await;
    }

    /// How long ago the last poll was, for metrics.
    pub(super) fn show_age(&self, shop: &ShopName, model: &'static str, known: &ModelPolls) {
        if let Some(at) = known.succeeded_at {
            let age = self.clock.now().since(at).as_secs_f64();
            metrics::gauge!(telemetry::POLL_AGE_SECONDS, "shop" => shop.as_str().to_owned(), "model" => model)
                .set(age);
        }
    }

    /// A poll has failed.
    pub(super) async fn note_failed(&self, shop: &ShopName, model: &'static str, error: &PollError) {
        metrics::counter!(telemetry::POLL_FAILURES, "shop" => shop.as_str().to_owned(), "model" => model)
            .increment(1);
        let before = polls::noted(&self.store, shop, model).await.ok().flatten();
        let note = PollNote {
            at: self.clock.now(),
            error: Some(error.to_string()),
            ..before.unwrap_or_default()
        };
        self.note(shop, model, note).await;
    }

    async fn note(&self, shop: &ShopName, model: &str, note: PollNote) {
        // What is shown of polls must not keep them.
        if let Err(error) = polls::note(&self.store, shop, model, &note).await {
            tracing::debug!(%shop, model, error = %error, "a poll was not noted");
        }
    }
}
