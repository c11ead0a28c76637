//! Writes to either side that one attempt has under way: what must be known when it is to end before its end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::erp::ErpError;
use crate::shopify::ShopifyError;

/// A failure of a write that may leave open whether it was carried out.
pub(super) trait Doubtful {
    /// Whether what was sent may have taken effect, or still may.
    fn outcome_unknown(&self) -> bool;
}

impl Doubtful for ErpError {
    fn outcome_unknown(&self) -> bool {
        // Everything else is the ERP's own refusal, or says that nothing was sent.
        matches!(
            self,
            Self::Unknown { .. } | Self::Nonsense { .. } | Self::Down { .. }
        )
    }
}

impl Doubtful for ShopifyError {
    fn outcome_unknown(&self) -> bool {
        ShopifyError::outcome_unknown(self)
    }
}

/// The writes of one attempt. They are sent one after the other.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// A write is under way.
    sending: watch::Sender<bool>,
    /// A write was sent whose outcome is not known.
    unknown: AtomicBool,
    /// A write was carried out and changed something, as far as its answer says.
    sent: AtomicBool,
}

impl Writes {
    /// Sends a write and waits for its answer. Where that is no refusal, something was done.
    pub(super) async fn send<T, E: Doubtful>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let result = self.send_unjudged(call).await;
        if result.is_ok() {
            self.did_something();
        }
        result
    }

    /// The same where whoever sends it judges by the answer whether anything was done: see [`Self::did_something`].
    pub(super) async fn send_unjudged<T, E: Doubtful>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.sending.send_replace(true);
        let result = call.await;
        if result.as_ref().err().is_some_and(Doubtful::outcome_unknown) {
            self.unknown.store(true, Ordering::Relaxed);
        }
        self.sending.send_replace(false);
        result
    }

    /// A write changed something.
    pub(super) fn did_something(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    /// Whether a write was carried out.
    pub(super) fn were_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether something that was sent may still take effect. A write that was dropped while it was under way counts.
    pub(super) fn in_doubt(&self) -> bool {
        *self.sending.borrow() || self.unknown.load(Ordering::Relaxed)
    }

    /// Completes once `stop` is cancelled and no write is under way.
    pub(super) async fn at_rest_after(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        let mut sending = self.sending.subscribe();
        // The sender lives as long as `self`: this does not fail.
        sending.wait_for(|sending| !sending).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_the_write_that_is_under_way() {
        let (writes, stop) = (Writes::default(), CancellationToken::new());
        let (answer, answered) = oneshot::channel();
        let mut write = Box::pin(writes.send(async { answered.await.map_err(|_| busy()) }));
        let mut rest = Box::pin(writes.at_rest_after(&stop));
        assert!(futures_util::poll!(&mut write).is_pending());
        stop.cancel();
        assert!(futures_util::poll!(&mut rest).is_pending());
        assert!(writes.in_doubt());
        answer.send(7).unwrap();
        assert_eq!(write.await.unwrap(), 7);
        rest.await;
        assert!(!writes.in_doubt());
    }

    #[tokio::test]
    async fn what_was_dropped_or_got_no_clear_answer_is_in_doubt() {
        let writes = Writes::default();
        writes.send(async { Err::<(), _>(busy()) }).await.unwrap_err();
        assert!(!writes.in_doubt(), "a refusal is an answer");
        let dropped = Writes::default();
        {
            let mut write = Box::pin(dropped.send(std::future::pending::<Result<(), ErpError>>()));
            assert!(futures_util::poll!(&mut write).is_pending());
        }
        assert!(dropped.in_doubt());
        let nonsense = ErpError::Nonsense {
            model: "sale.order".into(),
            method: "load".into(),
            message: "a page".into(),
        };
        writes.send(async { Err::<(), _>(nonsense) }).await.unwrap_err();
        writes.send(async { Ok::<_, ErpError>(()) }).await.unwrap();
        assert!(writes.in_doubt(), "a later write says nothing of an earlier one");
    }

    fn busy() -> ErpError {
        ErpError::Busy {
            message: "busy".into(),
            retry_after: None,
        }
    }
}
