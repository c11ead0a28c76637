//! Ids and times as the shop writes them.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;

/// What tells the shop the time; tests pass their own.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the sandbox takes nothing from `domain`; this is its one clock"
    )]
    Arc::new(Utc::now)
}

/// `gid://shopify/{kind}/{id}`.
pub fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// Kind and number of a gid; a query part (`?inventory_item_id=…`) is cut off.
pub fn parse_gid(text: &str) -> Option<(&str, u64)> {
    let (kind, id) = text.strip_prefix("gid://shopify/")?.split_once('/')?;
    let id = id.split('?').next()?;
    Some((kind, id.parse().ok()?))
}

/// A time as GraphQL writes it: UTC, whole seconds.
pub fn utc_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time as webhook bodies write it: the shop's zone with its offset, whole seconds.
pub fn zoned_text(time: DateTime<Utc>, zone: Tz) -> String {
    time.with_timezone(&zone)
        .to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// Gives out ids: rising, unique over all kinds, and as long as real ones.
#[derive(Debug)]
pub struct Ids(u64);

impl Default for Ids {
    fn default() -> Self {
        Self(6_200_354_537_772)
    }
}

impl Ids {
    /// The next id. The step is odd, as neighbouring records of a real shop are not consecutive.
    pub fn take(&mut self) -> u64 {
        self.0 += 32_771;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn gids_are_read_back() {
        assert_eq!(
            parse_gid("gid://shopify/Order/6200354537772"),
            Some(("Order", 6_200_354_537_772))
        );
        assert_eq!(
            parse_gid("gid://shopify/InventoryLevel/5?inventory_item_id=7"),
            Some(("InventoryLevel", 5))
        );
        for wrong in ["", "Order/1", "gid://shopify/Order", "gid://shopify/Order/x"] {
            assert_eq!(parse_gid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bodies_carry_the_shop_s_offset() {
        let time = Utc.with_ymd_and_hms(2026, 7, 1, 22, 30, 0).unwrap();
        assert_eq!(utc_text(time), "2026-07-01T22:30:00Z");
        assert_eq!(
            zoned_text(time, chrono_tz::Europe::Berlin),
            "2026-07-02T00:30:00+02:00"
        );
    }
}
