//! What should be looked at, in sentences.

use chrono::NaiveDate;

use super::{NodeStatus, RevisionStatus, ShopStatus};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::store::{AlertStanding, Channel, PauseRow};
use crate::subscriptions::Toggle;

/// How long before an API key's end people are told.
pub const KEY_NOTICE_DAYS: i64 = 14;

/// Of the configuration and of each shop.
pub(super) fn of_shops(
    config: &Config,
    shops: &[ShopStatus],
    not_taken: Option<String>,
    now: Timestamp,
) -> Vec<String> {
    let mut warnings: Vec<String> = config
        .warnings
        .rows()
        .into_iter()
        .map(|row| format!("{}:{}: {}", row.file, row.line, row.message))
        .collect();
    if let Some(error) = not_taken {
        warnings.push(format!(
            "the daemon could not take the changed files and works as before: {error}"
        ));
    }
    for shop in shops {
        if let Some(reason) = &shop.disabled {
            warnings.push(format!("{}: disabled: {reason}", shop.name));
        }
        if let Some(day) = shop.api_key_expires
            && let Some(sentence) = key_ends(day, now)
        {
            warnings.push(format!("{}: {sentence}", shop.name));
        }
    }
    warnings.extend(reviews_that_ended(config, now));
    warnings
}

/// What to say when people cannot be told of what needs them.
pub(super) fn not_told(alerts: &AlertStanding) -> Option<String> {
    let failure = alerts.failure.as_ref()?;
    let then = if failure.given_up {
        "it was given up"
    } else {
        "it is tried again"
    };
    let to = match failure.channel {
        Channel::Email => format!("a mail to {}", failure.recipient),
        Channel::Chat => format!("a chat message for {}", failure.recipient),
    };
    Some(format!(
        "alerts: {to} could not be sent at {} ({}); {then}. `lockstep alerts test` tries every way",
        failure.at.to_utc().format("%Y-%m-%d %H:%M"),
        failure.error
    ))
}

/// Manual reviews whose last day has passed. They go on: that nobody looks any more must not have plans carried out.
fn reviews_that_ended(config: &Config, now: Timestamp) -> Vec<String> {
    let today = now.to_utc().date_naive();
    let mut told = Vec::new();
    for shop in config.shops.values() {
        for (object, direction, manual) in shop.rules.reviewed() {
            let is_off = shop.sync.toggle(object, direction) == Toggle::Off;
            if manual.until < today && !is_off {
                told.push(format!(
                    "{}: manual review of {object}.{direction} was meant to end on {}: its plans still wait for {}. Take `review` out of the toggles, or set a later day",
                    shop.name, manual.until, manual.owner
                ));
            }
        }
    }
    told
}

/// What to say about a shop whose work a person stopped.
pub(super) fn paused(pause: &PauseRow) -> String {
    let why = pause
        .reason
        .as_deref()
        .map_or_else(String::new, |why| format!(" ({why})"));
    let since = pause.since.to_utc().format("%Y-%m-%d %H:%M");
    format!(
        "{}: paused by {} since {since}{why}; `lockstep resume --shop {}` lets it go on",
        pause.shop, pause.actor, pause.shop
    )
}

/// Files that differ from what all nodes act on.
pub(super) fn node_warnings(revision: Option<&RevisionStatus>, nodes: &[NodeStatus]) -> Vec<String> {
    let Some(revision) = revision else {
        return Vec::new();
    };
    let mut warnings: Vec<String> = nodes
        .iter()
        .filter(|node| !node.is_newest)
        .map(|node| {
            format!(
                "node {} has other files than revision {}: it works with that one's toggles and changes nothing on the shops \
                 by itself",
                node.node, revision.id
            )
        })
        .collect();
    if revision.is_this_one == Some(false) && !nodes.is_empty() {
        warnings.push(format!(
            "this configuration is not revision {}, which the running daemon acts on",
            revision.id
        ));
    }
    warnings
}

/// What to say about an API key that ends on `day`, from [`KEY_NOTICE_DAYS`] before.
pub fn key_ends(day: NaiveDate, now: Timestamp) -> Option<String> {
    let left = (day - now.to_utc().date_naive()).num_days();
    match left {
        ..0 => Some(format!("the ERP's API key ended on {day}")),
        0 => Some("the ERP's API key ends today".to_owned()),
        1 => Some("the ERP's API key ends tomorrow".to_owned()),
        2..=KEY_NOTICE_DAYS => Some(format!("the ERP's API key ends on {day}, in {left} days")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_review_whose_day_has_passed_is_told_and_not_before() {
        let text = "[shops.main]\ndomain = 'main-store.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
             [shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'k'\n\
             [shops.main.sync]\ncustomers = { in = 'on', review = { owner = 'anna', until = 2026-11-30 } }\n";
        let config = Config::parse(text, std::path::Path::new("/etc/lockstep.toml"), &|_| None)
            .unwrap_or_else(|error| panic!("{error:?}"));
        let at = |time: &str| reviews_that_ended(&config, Timestamp::parse_rfc3339(time).unwrap());
        assert!(at("2026-11-30T23:59:59Z").is_empty());
        let told = at("2026-12-01T00:00:00Z");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("customer.in") && told[0].contains("anna"),
            "{told:?}"
        );
    }

    #[test]
    fn files_that_differ_are_told() {
        let node = |name: &str, is_newest| NodeStatus {
            node: name.to_owned(),
            seen_at: Timestamp::default(),
            is_newest,
        };
        let revision = |is_this_one| RevisionStatus {
            id: 7,
            node: "a".to_owned(),
            since: Timestamp::default(),
            summary: String::new(),
            is_this_one,
        };
        for (this, nodes, expected) in [
            (Some(true), vec![node("a", true)], vec![]),
            (None, vec![node("a", true)], vec![]),
            (Some(false), vec![], vec![]),
            (Some(false), vec![node("a", true)], vec!["is not revision 7"]),
            (
                Some(true),
                vec![node("a", true), node("b", false)],
                vec!["node b has other files"],
            ),
        ] {
            let told = node_warnings(Some(&revision(this)), &nodes);
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected), "{told}");
            }
        }
        assert!(node_warnings(None, &[node("a", false)]).is_empty());
    }

    #[test]
    fn the_end_of_a_key_is_announced_from_two_weeks_before() {
        let now = Timestamp::parse_rfc3339("2026-12-01T23:00:00Z").unwrap();
        for (day, expected) in [
            ("2026-12-16", None),
            (
                "2026-12-15",
                Some("the ERP's API key ends on 2026-12-15, in 14 days"),
            ),
            ("2026-12-02", Some("the ERP's API key ends tomorrow")),
            ("2026-12-01", Some("the ERP's API key ends today")),
            ("2026-11-30", Some("the ERP's API key ended on 2026-11-30")),
        ] {
            assert_eq!(key_ends(day.parse().unwrap(), now).as_deref(), expected, "{day}");
        }
    }
}
