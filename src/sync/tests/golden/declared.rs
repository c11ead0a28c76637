//! What a fixture declares about the mappings.

use std::fmt::Write as _;

use serde_json::json;

use super::super::*;
use super::compare::Difference;
use super::fixture::Settings;
use crate::mapping::Mappings;

/// The shipped mappings as the fixture changes them; `erp` has the taxes that it names.
pub(super) fn mappings(declared: &Settings, erp: &OdooSandbox) -> Result<Mappings, Difference> {
    let folder = tempfile::tempdir().unwrap();
    let mut order = std::fs::read_to_string(super::world::mappings().join("order.in.toml")).unwrap();
    for (from, to) in &declared.mapping {
        if !order.contains(from) {
            return Err(Difference::new("settings.mapping", from, "nothing like it"));
        }
        order = order.replace(from, to);
    }
    std::fs::write(folder.path().join("order.in.toml"), order).unwrap();
    if !declared.tax_table.is_empty() {
        let mut table = "[tables.tax]\n".to_owned();
        for (key, tax) in &declared.tax_table {
            let domain = match tax.split_once(' ') {
                Some((percent, "included" | "excluded")) => json!([
                    ["amount", "=", percent.parse::<f64>().unwrap()],
                    ["price_include", "=", tax.ends_with("included")],
                ]),
                _ => json!([["name", "=", tax]]),
            };
            let found = erp
                .as_admin("account.tax", "search", json!([domain]), json!({}))
                .unwrap();
            let [id] = found.as_array().unwrap().as_slice() else {
                return Err(Difference::new("settings.tax_table", tax, found));
            };
            let _ = writeln!(table, "{key:?} = {id}");
        }
        std::fs::write(folder.path().join("tables.main.toml"), table).unwrap();
    }
    crate::app::mappings::load(Some(folder.path()))
        .map_err(|e| Difference::new("settings.mapping", "a mapping", format!("{e:?}")))
}
