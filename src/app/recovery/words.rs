//! What the plan says: each sentence follows from this installation's configuration, or from what Shopify's documentation and
//! staff say of webhooks (<https://shopify.dev/docs/apps/build/webhooks>): eight more tries within four hours, then the delivery
//! is dropped; after eight failures in a row a subscription that was made through the API is deleted.

use std::time::Duration;

use super::runs;
use super::{Down, Length, Step};
use crate::app::alerts;
use crate::app::numbers::length;
use crate::config::{Config, Shop};
use crate::domain::Timestamp;
use crate::queue::Schedule;
use crate::shopify::Credentials;
use crate::subscriptions::RETRIES_LAST;

/// For how long Shopify tries to deliver.
const TRIES: &str = "four hours";

/// What is said of one shop.
pub(super) struct Told<'a> {
    config: &'a Config,
    shop: &'a Shop,
    now: Timestamp,
}

/// `10 min`, `15 s`.
pub(super) fn interval(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 1..=99 if time.subsec_millis() == 0 => format!("{seconds} s"),
        _ => length(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn step(why: impl Into<String>, command: impl Into<Option<String>>) -> Step {
    Step {
        why: why.into(),
        command: command.into(),
    }
}

impl<'a> Told<'a> {
    pub(super) fn new(config: &'a Config, shop: &'a Shop, now: Timestamp) -> Self {
        Self { config, shop, now }
    }

    pub(super) fn never_lost(&self) -> Vec<String> {
        let mut told = vec![
            "A delivery that was answered with 200: it is in the store with its job, and waits there for as long as it takes."
                .to_owned(),
            "A job that was under way when something broke off: it is taken over and looks first at what was done already, so \
             that nothing is made twice."
                .to_owned(),
        ];
        if runs::sends(self.shop) {
            told.push(
                "A change in the ERP: it is read from the ERP itself, from where the last look ended, however long ago that is."
                    .to_owned(),
            );
        }
        told
    }

    pub(super) fn happens(&self, down: Down) -> Vec<String> {
        match down {
            Down::Erp => {
                let mut told = vec![
                    "Webhooks are taken in and answered as ever. Shopify drops nothing, and no run is needed afterwards."
                        .to_owned(),
                    self.breaker("the ERP"),
                ];
                if runs::sends(self.shop) {
                    told.push(format!(
                        "The ERP is looked at every {} again as soon as it answers, from where the last look ended.",
                        interval(self.shop.odoo.server.poll.0)
                    ));
                }
                told.extend(self.who_is_told());
                told
            }
            Down::Shopify => {
                let mut told = vec![
                    self.breaker("Shopify"),
                    "Jobs of both directions wait: each reads the record anew from Shopify before anything is written. Then it \
                     carries over what stands there by that time."
                        .to_owned(),
                    "Shopify may send webhooks up to a day late, and promises none.".to_owned(),
                    runs::delta_run(self.shop),
                    runs::what_no_delta_finds(self.shop),
                ];
                if runs::sends(self.shop) {
                    told.push("Changes in the ERP are found as ever; their jobs wait.".to_owned());
                }
                told.extend(self.who_is_told());
                told
            }
            Down::Lockstep => {
                let mut told = vec![
                    format!(
                        "Shopify gets no answer. It tries each delivery eight more times within {TRIES} and then drops it for good; \
                         after eight failures in a row it deletes the subscription."
                    ),
                    self.nodes(),
                    "Nobody is told by lockstep: let something outside of it ask `GET /readyz`.".to_owned(),
                ];
                if runs::sends(self.shop) {
                    told.push(
                        "Changes in the ERP are found after the start, from where the last look ended."
                            .to_owned(),
                    );
                    told.extend(self.sweep());
                }
                told
            }
        }
    }

    /// How the queue bears it.
    fn breaker(&self, system: &str) -> String {
        let breaker = &self.config.queue.breaker;
        format!(
            "After {} failures in a row {system} counts as down for this shop: its jobs wait and burn no attempts, for as long as it \
             lasts. It is tried {} later, then after longer waits of at most {}, by one job at a time; with the first that succeeds \
             all are due at once.",
            breaker.failures,
            interval(Duration::from_secs(breaker.first_probe_s.get())),
            interval(Duration::from_secs(breaker.longest_probe_s.get())),
        )
    }

    /// Which alerts there are, and whom they reach.
    fn who_is_told(&self) -> Vec<String> {
        let settings = &self.config.alerts.settings;
        let contact = alerts::reached_at(&self.config.alerts, &self.shop.owner);
        if contact.is_empty() {
            return vec![format!(
                "Nobody is told: neither [owners.{}] nor [alerts] says where.",
                self.shop.owner
            )];
        }
        let late = match settings.late_order_minutes {
            0 => String::new(),
            minutes => format!(", and of orders that have had no record in the ERP for {minutes} min"),
        };
        let told = format!(
            "{} is told at {} after {} min{late}.",
            self.shop.owner,
            contact.join(", "),
            settings.breaker_minutes,
        );
        vec![told]
    }

    fn nodes(&self) -> String {
        if self.config.store.url.starts_with("postgres") {
            "As long as one of several nodes works, nothing of this happens: the others' jobs are taken over."
                .to_owned()
        } else {
            "One process serves this store (SQLite). With PostgreSQL a second node would go on.".to_owned()
        }
    }

    /// When what is gone from the ERP is found.
    fn sweep(&self) -> Option<String> {
        let expression = &self.shop.odoo.server.sweep;
        let schedule = Schedule::parse(expression).ok()?;
        let next = schedule
            .next_times(self.now, self.shop.time_zone, 1)
            .into_iter()
            .next()?;
        Some(format!(
            "What was deleted in the ERP is found by the list of all ids (`{expression}`, {}; next at {next}). One that was due \
             meanwhile is made at the start.",
            self.shop.time_zone
        ))
    }

    /// What comes of the length.
    pub(super) fn then(&self, down: Down, of: Length) -> Vec<String> {
        match (down, of) {
            (Down::Erp | Down::Shopify, Length::Hour) => Vec::new(),
            (Down::Erp, Length::Day | Length::Weekend) => vec![
                "Orders are carried over as they stand by then: what was cancelled or edited meanwhile is not booked first and \
                 undone after."
                    .to_owned(),
            ],
            (Down::Shopify, Length::Day | Length::Weekend) => {
                let mut told = Vec::new();
                if let Credentials::ClientCredentials { .. } = self.shop.credentials {
                    told.push(
                        "The access token ends after 24 hours; a new one is asked for by itself when Shopify answers again."
                            .to_owned(),
                    );
                }
                told
            }
            (Down::Lockstep, Length::Hour) => vec![format!(
                "All of it arrives by itself: Shopify tries again for {TRIES}. No gap is left unless subscriptions were deleted, which \
                 is looked at when lockstep starts."
            )],
            (Down::Lockstep, Length::Day | Length::Weekend) => {
                let hours = of.hours() - 4;
                let mut told = vec![format!(
                    "What came in the first {hours} of {} hours is dropped by Shopify; only the rest is still delivered, and only \
                     where the subscription was not deleted.",
                    of.hours()
                )];
                told.extend(self.gap_run());
                told.push(runs::delta_run(self.shop));
                told.push(runs::what_no_delta_finds(self.shop));
                told.push(
                    "Shopify hides orders that are older than 60 days from a token without `read_all_orders`: a gap must be closed \
                     before that."
                        .to_owned(),
                );
                told
            }
        }
    }

    fn gap_run(&self) -> Option<String> {
        let what = runs::taken_in(self.shop)?;
        Some(format!(
            "At the start the subscriptions are looked at and made again (then by `{}`). For each that was gone a gap is noted from {} \
             before it was last seen right, and a gap run asks Shopify for all that changed since: {what}.",
            self.config.webhooks.schedule,
            interval(RETRIES_LAST)
        ))
    }

    pub(super) fn to_do(&self, down: Down) -> Vec<Step> {
        let shop = &self.shop.name;
        let command = |text: &str| Some(text.to_owned());
        let status = step(
            "See since when, how much waits, and that it is worked off afterwards.",
            command("lockstep status"),
        );
        let problems = step(
            "Afterwards look at what needs a person all the same.",
            Some(format!("lockstep jobs list --problems --shop {shop}")),
        );
        match down {
            Down::Erp => vec![
                status,
                step(
                    "If the ERP answers but must not be written to (an upgrade, a restored copy): stop all work of the shop. \
                     Webhooks are taken in all the same.",
                    Some(format!("lockstep pause --shop {shop} --reason WHY")),
                ),
                step(
                    "After the ERP was restored from a backup: what was made since then is missing there. No other record is written to in its \
                     place; each becomes a problem (`erp_record_missing`, `erp_record_is_a_stranger`) and a person decides.",
                    Some(format!("lockstep jobs clusters --shop {shop}")),
                ),
                step("Let it go on.", Some(format!("lockstep resume --shop {shop}"))),
                problems,
            ],
            Down::Shopify => vec![
                status,
                step(
                    "When it answers again: see that subscriptions stand, and that no change is planned.",
                    command("lockstep webhooks plan"),
                ),
                problems,
            ],
            Down::Lockstep => vec![
                step("Start it.", command("lockstep serve")),
                step(
                    "If it does not start: see what is wrong with the file, the mappings, and either system.",
                    command("lockstep check --live"),
                ),
                step(
                    "See that subscriptions stand again.",
                    Some(format!("lockstep webhooks list --shop {shop}")),
                ),
                step(
                    "See which times are still to be looked through (gaps), and that the runs succeed.",
                    command("lockstep status"),
                ),
                problems,
            ],
        }
    }
}
