//! Who looks after what needs a person, and where they are reached.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::alerts;
use crate::config::{Config, Shop};
use crate::mapping::{Mapping, Mappings};
use crate::subscriptions::Toggle;

/// An owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OwnerLine {
    /// Who.
    pub owner: String,
    /// Of what, in words.
    pub of: Vec<String>,
    /// Where they are reached; empty where alerts reach nobody.
    pub contact: Vec<String>,
}

/// The owners of a shop's problems: whoever has a problem's code, else whom its mapping names, else whom the shop names.
pub(super) fn owners(config: &Config, mappings: &Mappings, shop: &Shop) -> Vec<OwnerLine> {
    let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    of.entry(&shop.owner)
        .or_default()
        .push(format!("{} as a whole", shop.name));
    let is_on = |mapping: &Mapping| shop.sync.toggle(mapping.object, mapping.direction) != Toggle::Off;
    for mapping in mappings.all().iter().filter(|mapping| is_on(mapping)) {
        of.entry(&mapping.owner)
            .or_default()
            .push(format!("mapping {}", mapping.file));
    }
    for (name, owner) in &config.alerts.owners {
        for code in &owner.codes {
            of.entry(name).or_default().push(format!("problems `{code}`"));
        }
    }
    of.into_iter()
        .map(|(owner, of)| OwnerLine {
            owner: owner.to_owned(),
            of,
            contact: alerts::reached_at(&config.alerts, owner),
        })
        .collect()
}
