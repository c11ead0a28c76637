//! Golden orders as they stand in `fixtures/orders/`; the README there explains their form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

/// One golden order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixture {
    /// The file's name without its ending, such as `01_guest`.
    #[serde(skip)]
    pub(super) name: String,
    /// What it is about.
    pub(super) about: String,
    /// The demands that it covers.
    pub(super) covers: Vec<String>,
    /// Which of the two ways of running it is possible; both when missing.
    pub(super) only: Option<Only>,
    /// The amounts contradict each other on purpose.
    #[serde(default)]
    pub(super) inconsistent: bool,
    #[serde(default)]
    pub(super) settings: Settings,
    /// The order at first.
    pub(super) order: Json,
    /// What happens to it, one after the other.
    #[serde(default)]
    pub(super) then: Vec<Step>,
    /// How the expected amounts were reckoned, for readers.
    #[serde(default, rename = "arithmetic")]
    _arithmetic: Vec<String>,
    /// How it must stand in the ERP in the end.
    pub(super) expect: Json,
    /// The same, where all events arrive only at the end; as `expect` when missing.
    pub(super) expect_at_once: Option<Json>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Only {
    Stepwise,
    AtOnce,
}

/// What the shop declares.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// `[shops.NAME.flow]`; the text `@partner` stands for the id of a partner named "Guests".
    #[serde(default)]
    pub(super) flow: Json,
    /// `shop` or `presentment`.
    pub(super) currency: Option<String>,
    /// `per_line` or `globally`.
    pub(super) erp_rounding: Option<String>,
    /// What of the order mapping's text is replaced by what.
    #[serde(default)]
    pub(super) mapping: BTreeMap<String, String>,
    /// The shop's table `tax`: the ERP's tax as `20 included` or `19 excluded`, or by its name.
    #[serde(default)]
    pub(super) tax_table: BTreeMap<String, String>,
    /// Taxes that the ERP has besides the catalogue's.
    #[serde(default)]
    pub(super) taxes: Vec<Tax>,
    /// The shop's `start_at`; every order is from after it when missing.
    pub(super) start_at: Option<String>,
    /// Partners that the ERP has before anything happens: name and e-mail.
    #[serde(default)]
    pub(super) partners: BTreeMap<String, String>,
}

/// A tax of the ERP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tax {
    pub(super) name: String,
    pub(super) percent: String,
    #[serde(default)]
    pub(super) included: bool,
    /// ISO code; the company's when missing.
    pub(super) country: Option<String>,
}

/// Something that happens after the order was seen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// In words.
    #[serde(default, rename = "about")]
    _about: String,
    /// A merge patch of the order (RFC 7396).
    pub(super) order: Option<Json>,
    /// The order is deleted on Shopify.
    #[serde(default)]
    pub(super) deleted: bool,
    /// What a person does in the ERP before.
    #[serde(default)]
    pub(super) erp: Vec<String>,
    /// What becomes of the order's customer on Shopify, and the shop tells of it before the order: `last_name`, `email`,
    /// `city`.
    #[serde(default)]
    pub(super) customer: BTreeMap<String, String>,
}

impl Fixture {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut fixture: Self = serde_json::from_str(text).map_err(|e| format!("{name}: {e}"))?;
        name.clone_into(&mut fixture.name);
        Ok(fixture)
    }

    /// The order after the first `steps` steps.
    pub(super) fn order_after(&self, steps: usize) -> Json {
        let mut order = self.order.clone();
        for patch in self.then[..steps].iter().filter_map(|step| step.order.as_ref()) {
            merge(&mut order, patch);
        }
        order
    }

    /// Every state of the order, first to last.
    pub(super) fn states(&self) -> Vec<Json> {
        (0..=self.then.len())
            .map(|steps| self.order_after(steps))
            .collect()
    }

    pub(super) fn runs(&self, only: Only) -> bool {
        let differs = only == Only::Stepwise || !self.then.is_empty();
        differs && self.only.is_none_or(|allowed| allowed == only)
    }

    /// What must stand in the ERP in the end, as a version has it.
    pub(super) fn expected(&self, only: Only, major: u32) -> Json {
        let mut expected = match (only, &self.expect_at_once) {
            (Only::AtOnce, Some(other)) => other.clone(),
            _ => self.expect.clone(),
        };
        let overriding = expected[format!("v{major}")].clone();
        if let (Some(all), Some(own)) = (expected.as_object_mut(), overriding.as_object()) {
            all.extend(own.clone());
        }
        if let Some(all) = expected.as_object_mut() {
            all.remove("v18");
            all.remove("v19");
        }
        expected
    }
}

/// A merge patch: objects are merged, null removes, everything else replaces (RFC 7396).
pub(super) fn merge(target: &mut Json, patch: &Json) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Json::Null), value);
        }
    }
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/orders")
}

/// All golden orders by their names, or those whose names contain the text in `LOCKSTEP_GOLDEN`; and what is wrong
/// with the files.
pub(super) fn all() -> (Vec<Fixture>, Vec<String>) {
    let wanted = std::env::var("LOCKSTEP_GOLDEN").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .filter(|path| !path.ends_with("catalogue.json"))
        .collect();
    files.sort();
    let (mut fixtures, mut wrong) = (Vec::new(), Vec::new());
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.contains(&wanted) {
            continue;
        }
        match Fixture::parse(&name, &std::fs::read_to_string(&path).unwrap()) {
            Ok(fixture) => fixtures.push(fixture),
            Err(why) => wrong.push(why),
        }
    }
    (fixtures, wrong)
}

#[test]
fn merge_patches_follow_rfc_7396() {
    use serde_json::json;
    // Examples of the RFC's appendix A.
    for (target, patch, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        let mut merged = target.clone();
        merge(&mut merged, &patch);
        assert_eq!(merged, result, "{target} with {patch}");
    }
}
