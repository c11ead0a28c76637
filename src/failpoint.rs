//! Named points at which a debug build can be told to fail, so that tests can kill the daemon between any two steps.
//!
//! `LOCKSTEP_FAIL=point[:nth]=abort|hang|error` (several, separated by commas) arms points: the `nth` time (default the
//! first) that the process reaches the point, it aborts as if killed, never returns, or reports an error. All of this
//! exists only under `cfg(debug_assertions)`; in a release build [`reach`] is empty.

use crate::domain::text_enum;

text_enum! {
    /// The points, in the order in which one event passes them.
    FailPoint, "fail point" {
        /// The delivery is verified, nothing is stored.
        IntakeVerified = "intake_verified",
        /// The event and its job are committed, the answer is not sent.
        IntakeCommitted = "intake_committed",
        /// The job is claimed, the attempt has not begun.
        JobClaimed = "job_claimed",
        /// The record was read from Shopify.
        SourceFetched = "source_fetched",
        /// The plan is made, nothing is written.
        Planned = "planned",
        /// The link of an adopted record is committed, the record is not yet written.
        LinkAdopted = "link_adopted",
        /// A product's options and their values are in the ERP, its template is not yet written.
        ProductOptionsSaved = "product_options_saved",
        /// A product's template is in the ERP with all its variants, none of which has its SKU yet.
        ProductTemplateSaved = "product_template_saved",
        /// A reference (an order's customer or address) was written to the ERP, its link is not stored.
        ReferenceSaved = "reference_saved",
        /// The main record was written to the ERP.
        RecordSaved = "record_saved",
        /// Lines that are no longer part of the order were removed from the draft, its totals are not yet compared.
        LinesRemoved = "lines_removed",
        /// The visible rounding line was written to the draft, its totals are not yet compared again.
        RoundingAdded = "rounding_added",
        /// Lines of a confirmed order were changed, its totals are not yet compared.
        LinesChanged = "lines_changed",
        /// The order's totals were read back and compared, the order is a draft.
        TotalsChecked = "totals_checked",
        /// The order is confirmed, its date is not yet restored.
        OrderConfirmed = "order_confirmed",
        /// A draft invoice of the order was made, it is not yet dated and posted.
        InvoiceMade = "invoice_made",
        /// The draft credit note of a refund is in the ERP, its link is not stored.
        CreditNoteSaved = "credit_note_saved",
        /// A payment is in the ERP as a draft, it is not yet posted.
        PaymentSaved = "payment_saved",
        /// Quantities and tracking number of a parcel are on the delivery, it is not yet carried out.
        DeliveryPrepared = "delivery_prepared",
        /// A write to the shop that has no natural key is noted with its own, it is not yet sent.
        IntentCommitted = "intent_committed",
        /// The shop has answered a write, nothing of it is recorded here.
        ShopWritten = "shop_written",
        /// The link of a record that was made on the shop is stored, what both sides agree on is not.
        ShopLinked = "shop_linked",
        /// A webhook subscription was made on Shopify, its number is not stored.
        SubscriptionCreated = "subscription_created",
        /// A privacy request was carried out on our data, its record is not stored.
        Redacted = "redacted",
        /// Everything is written, nothing is recorded here.
        BeforeFinish = "before_finish",
        /// The attempt's result is committed.
        AfterFinish = "after_finish",
        /// A page of an import is listed, nothing of it is stored.
        ImportListed = "import_listed",
        /// A page of an import is stored, it has no jobs yet.
        ImportPageSaved = "import_page_saved",
        /// Records of an import have their jobs.
        ImportFed = "import_fed",
        /// An import has ended.
        ImportEnded = "import_ended",
        /// Notifications are fanned out to their endpoints, nothing of them is sent.
        NotifyFannedOut = "notify_fanned_out",
        /// A notification is claimed, it is not yet sent.
        NotifyBeforeSend = "notify_before_send",
        /// The receiver has answered, the outcome is not recorded.
        NotifyAfterSend = "notify_after_send",
    }
}

/// The error of a point that was told to report one.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("fail point `{0}` was told to fail")]
pub struct Injected(pub FailPoint);

/// Passes the point. In a release build this does nothing.
///
/// # Errors
/// When a debug build was told that this point reports an error.
#[cfg(not(debug_assertions))]
#[inline(always)]
#[expect(clippy::unused_async, reason = "debug builds may hang here")]
pub async fn reach(_point: FailPoint) -> Result<(), Injected> {
    Ok(())
}

/// Passes the point: does what the environment armed it to do.
///
/// # Errors
/// When this point was told to report an error.
#[cfg(debug_assertions)]
pub async fn reach(point: FailPoint) -> Result<(), Injected> {
    let Some(action) = armed::due(point) else {
        return Ok(());
    };
    // Tests wait for this line: it proves that the point was reached, and how often.
    tracing::warn!(%point, ?action, "fail point struck");
    match action {
        // As abrupt as kill -9: no destructors, no flushing.
        armed::Action::Abort => std::process::abort(),
        armed::Action::Hang => std::future::pending().await,
        armed::Action::Error => Err(Injected(point)),
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{LazyLock, Mutex, PoisonError};

    use super::FailPoint;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Action {
        Abort,
        Hang,
        Error,
    }

    #[derive(Debug)]
    struct Armed {
        point: FailPoint,
        /// How many more times it is passed before it acts.
        spare: u32,
        action: Action,
    }

    static ARMED: LazyLock<Mutex<Vec<Armed>>> = LazyLock::new(|| {
        let text = std::env::var("LOCKSTEP_FAIL").unwrap_or_default();
        Mutex::new(text.split(',').filter_map(parse).collect())
    });

    fn parse(text: &str) -> Option<Armed> {
        let (place, action) = text.trim().split_once('=')?;
        let (point, nth) = place.split_once(':').unwrap_or((place, "1"));
        let action = match action {
            "abort" => Action::Abort,
            "hang" => Action::Hang,
            "error" => Action::Error,
            _ => return None,
        };
        Some(Armed {
            point: point.parse().ok()?,
            spare: nth.parse::<u32>().ok()?.checked_sub(1)?,
            action,
        })
    }

    /// What `point` is to do this time. It acts once and is disarmed.
    pub(super) fn due(point: FailPoint) -> Option<Action> {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let at = armed.iter().position(|entry| entry.point == point)?;
        if armed[at].spare > 0 {
            armed[at].spare -= 1;
            return None;
        }
        Some(armed.swap_remove(at).action)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn points_are_armed_by_name_and_count() {
            let armed = parse("record_saved:3=abort").unwrap();
            assert_eq!(
                (armed.point, armed.spare, armed.action),
                (FailPoint::RecordSaved, 2, Action::Abort)
            );
            for nonsense in [
                "",
                "record_saved",
                "nowhere=abort",
                "planned=explode",
                "planned:0=hang",
            ] {
                assert!(parse(nonsense).is_none(), "{nonsense}");
            }
        }
    }
}
