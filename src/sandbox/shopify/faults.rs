//! What can go wrong on demand.

use std::time::Duration;

/// A fault of the API.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiFault {
    /// HTTP 401 as for an unknown token.
    Unauthorized,
    /// HTTP 402: the shop is frozen.
    Frozen,
    /// HTTP 403.
    Forbidden,
    /// HTTP 404: no such shop.
    NotFound,
    /// HTTP 423: the shop is locked.
    Locked,
    /// HTTP 429 with `Retry-After` in seconds.
    TooManyRequests(f64),
    /// HTTP 430: refused for security.
    SecurityRejection,
    /// This HTTP status with an HTML page (500, 502, 503, 504).
    HtmlError(u16),
    /// HTTP 200 with a THROTTLED error.
    Throttled,
    /// HTTP 200 with `INTERNAL_SERVER_ERROR` and no data.
    InternalError,
    /// HTTP 200 with the data, the first root field null, and `INTERNAL_SERVER_ERROR` at its path.
    PartialData,
    /// HTTP 200 with a body that is no JSON.
    Garbage,
    /// The answer comes after this time.
    Slow(Duration),
    /// The connection is closed before anything is done.
    CutBefore,
    /// The request is carried out, then the connection is closed without an answer.
    CutAfter,
    /// The request is carried out and answered, and from then on all granted tokens are worthless.
    TokensEnd,
}

/// A fault of a bulk operation or of its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkFault {
    /// It fails with this code; a part of the result is there.
    Fails(String),
    /// It is cancelled.
    Canceled,
    /// Its result was not fetched in time.
    Expires,
    /// The result's address answers with this HTTP status.
    UrlGone(u16),
    /// The last line is cut in the middle.
    CutLine,
    /// The second half of the lines is missing.
    LostLines,
    /// A line is no JSON.
    Garbage,
    /// A record comes twice, another one not at all.
    TwiceTheSame,
    /// The counts say so many more than there are.
    WrongCount(isize),
    /// The connection breaks in the middle of the file.
    Broken,
    /// Nothing comes any more in the middle of the file.
    Silent,
}

/// A fault of webhook deliveries.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryFault {
    /// This many further copies under the same ids.
    Duplicate(u32),
    /// Never sent, and never tried again.
    Drop,
    /// Sent this much later, behind what comes after it.
    Delay(Duration),
    /// Signed wrongly.
    CorruptSignature,
    /// Signed with the secret before the newest.
    OldSecret,
}

/// Faults that wait for their turn.
#[derive(Debug)]
pub(super) struct Plan<F> {
    rules: Vec<Rule<F>>,
}

impl<F> Default for Plan<F> {
    fn default() -> Self {
        Self { rules: Vec::new() }
    }
}

#[derive(Debug)]
struct Rule<F> {
    fault: F,
    /// Operation or topic that it is for; any when `None`.
    target: Option<String>,
    times: u32,
}

impl<F: Clone> Plan<F> {
    /// Adds a fault for the next `times` requests (or deliveries) that fit.
    pub(super) fn add(&mut self, fault: F, target: Option<&str>, times: u32) {
        self.rules.push(Rule {
            fault,
            target: target.map(str::to_owned),
            times,
        });
    }

    /// The fault for this request, if one is due.
    pub(super) fn next(&mut self, target: &str) -> Option<F> {
        let rule = self
            .rules
            .iter_mut()
            .find(|r| r.times > 0 && r.target.as_deref().is_none_or(|t| t == target))?;
        rule.times -= 1;
        let fault = rule.fault.clone();
        self.rules.retain(|r| r.times > 0);
        Some(fault)
    }

    /// Forgets all faults.
    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_asked() {
        let mut plan = Plan::default();
        plan.add(DeliveryFault::Drop, Some("orders/create"), 2);
        assert_eq!(plan.next("orders/paid"), None);
        assert_eq!(plan.next("orders/create"), Some(DeliveryFault::Drop));
        assert_eq!(plan.next("orders/create"), Some(DeliveryFault::Drop));
        assert_eq!(plan.next("orders/create"), None);
    }
}
