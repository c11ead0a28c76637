//! What comes at set times, and when it comes next.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Shop;
use crate::domain::{Direction, Object, ShopName, Timestamp};
use crate::queue::Schedule;
use crate::subscriptions::Toggle;

/// How many times are told.
const TOLD: usize = 5;

/// Something that comes at set times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScheduleStatus {
    /// The shop.
    pub shop: ShopName,
    /// What comes.
    pub what: &'static str,
    /// The expression.
    pub schedule: String,
    /// Whose clocks it is meant by.
    pub time_zone: String,
    /// The next times.
    pub next: Vec<Timestamp>,
}

/// The list of all ids of a shop's ERP; none where nothing of it is carried to the shop.
pub fn of_shop(shop: &Shop, now: Timestamp) -> Option<ScheduleStatus> {
    let sent = [Object::Customer, Object::Product, Object::Inventory];
    let is_off = |object: &Object| shop.sync.toggle(*object, Direction::Out) == Toggle::Off;
    if sent.iter().all(is_off) {
        return None;
    }
    let expression = &shop.odoo.server.sweep;
    let schedule = Schedule::parse(expression).ok()?;
    Some(ScheduleStatus {
        shop: shop.name.clone(),
        what: "list of all ids in the ERP",
        schedule: expression.clone(),
        time_zone: shop.time_zone.to_string(),
        next: schedule.next_times(now, shop.time_zone, TOLD),
    })
}
