//! Whose an alert is: whoever has the problem's code, else whom its mapping names, else whom the shop names. Who has no contact
//! leaves it to whoever `[alerts]` names.

use crate::config::{Alerts, Config, Contact, Shop};
use crate::domain::ShopName;
use crate::store::Channel;

/// Whoever `[alerts]` itself names.
pub(super) const GENERAL: &str = "general";

/// Whose a problem is that says it is `owner`'s.
pub(super) fn of_problem(config: &Config, shop: &ShopName, code: &str, owner: &str) -> String {
    let alerts = &config.alerts;
    let has_code = |name: &&String| alerts.owners[*name].codes.iter().any(|known| known == code);
    let by_code = alerts.owners.keys().find(has_code).map(String::as_str);
    let by_shop = config.shops.get(shop).map(|shop| shop.owner.as_str());
    [by_code, Some(owner), by_shop]
        .into_iter()
        .flatten()
        .find(|name| is_reached(alerts, name))
        .unwrap_or(GENERAL)
        .to_owned()
}

/// Whose it is what concerns a shop as a whole.
pub(super) fn of_shop(alerts: &Alerts, shop: &Shop) -> String {
    if is_reached(alerts, &shop.owner) {
        shop.owner.clone()
    } else {
        GENERAL.to_owned()
    }
}

pub(super) fn is_reached(alerts: &Alerts, name: &str) -> bool {
    alerts
        .owners
        .get(name)
        .is_some_and(|owner| !owner.contact.is_empty())
}

/// Where somebody is reached. Who left the configuration is stood in for.
pub(super) fn contact<'a>(alerts: &'a Alerts, name: &str) -> &'a Contact {
    match alerts.owners.get(name) {
        Some(owner) if !owner.contact.is_empty() => &owner.contact,
        _ => &alerts.general,
    }
}

/// Where somebody's alerts go to, in words: a chat's address is a secret. Empty where they reach nobody.
pub fn reached_at(alerts: &Alerts, name: &str) -> Vec<String> {
    let contact = contact(alerts, name);
    let chat = contact.chat.as_ref().map(|_| "a chat".to_owned());
    contact.email.iter().cloned().chain(chat).collect()
}

/// Everybody who can be reached, by name.
pub(super) fn everybody(alerts: &Alerts) -> Vec<(&str, &Contact)> {
    std::iter::once((GENERAL, &alerts.general))
        .chain(
            alerts
                .owners
                .iter()
                .map(|(name, owner)| (name.as_str(), &owner.contact)),
        )
        .filter(|(_, contact)| !contact.is_empty())
        .collect()
}

/// Whether messages to this recipient (an address, or whose chat it is) may still be sent, by the configuration of now.
pub fn is_reached_by(alerts: &Alerts, channel: Channel, recipient: &str) -> bool {
    everybody(alerts).iter().any(|(name, contact)| match channel {
        Channel::Email => contact.email.iter().any(|address| address == recipient),
        Channel::Chat => *name == recipient && contact.chat.is_some(),
    })
}
