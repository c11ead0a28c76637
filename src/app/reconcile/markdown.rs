//! A drift report as Markdown.

use std::fmt::Write as _;

use super::{Drift, Found};
use crate::domain::{DriftClass, DriftFate, Object, Timestamp};
use crate::store::DriftKind;

/// So many findings are listed; all that are kept are in the JSON.
const LISTED: usize = 200;

impl Drift {
    /// For people.
    pub fn markdown(&self) -> String {
        let report = &self.report;
        let mut text = String::new();
        let how = match (report.kind, report.dry_run) {
            (DriftKind::Full, false) => "Full run",
            (DriftKind::Full, true) => "Full run that only looked",
            (DriftKind::Sample, false) => "Sample",
            (DriftKind::Sample, true) => "Sample that only looked",
        };
        line(
            &mut text,
            &format!(
                "# {how} {}: {}s of {}, {}\n",
                report.run,
                match report.object {
                    Object::Inventory => "stock level",
                    object => object.as_str(),
                },
                report.shop,
                minute(report.started_at)
            ),
        );
        let looked = &report.looked;
        line(
            &mut text,
            &format!(
                "{} on Shopify, {} in the ERP, {} linked: {} in step, {} compared field by field, {} left to their own events.",
                looked.on_shopify,
                looked.in_erp,
                looked.linked,
                looked.in_step,
                looked.compared,
                looked.left_to_events
            ),
        );
        if looked.unnoted > 0 {
            line(
                &mut text,
                &format!(
                    "{} records were carried over before all that is compared was remembered; later runs read them whole, once.",
                    looked.unnoted
                ),
            );
        }
        if looked.adopted > 0 {
            line(
                &mut text,
                &format!(
                    "{} linked records were only matched so far: what differs of them is decided by the first change of either side.",
                    looked.adopted
                ),
            );
        }
        if looked.corrections > 0 {
            line(
                &mut text,
                &format!(
                    "{} values were put in place of ours by people since the last run.",
                    looked.corrections
                ),
            );
        }
        if let Some(withheld) = &report.withheld {
            line(&mut text, &format!("\n**Nothing was repaired: {withheld}.**"));
        }
        if report.found() == 0 {
            line(&mut text, "\nNothing differs.");
            return text;
        }
        self.counts(&mut text);
        self.listed(&mut text);
        text
    }

    fn counts(&self, text: &mut String) {
        line(
            text,
            "\n| What | Repaired | Would be repaired | In work | Needs a person | Left alone | Unexplained |",
        );
        line(text, "|---|---:|---:|---:|---:|---:|---:|");
        let of = |class, fate| {
            let mut counts = self.report.counts.iter();
            counts
                .find(|count| count.class == class && count.fate == fate)
                .map_or(0, |count| count.count)
        };
        for class in DriftClass::ALL {
            let counts: Vec<u64> = DriftFate::ALL.iter().map(|fate| of(*class, *fate)).collect();
            if counts.iter().any(|count| *count > 0) {
                let cells: Vec<String> = counts.iter().map(ToString::to_string).collect();
                line(text, &format!("| {} | {} |", class.sentence(), cells.join(" | ")));
            }
        }
    }

    fn listed(&self, text: &mut String) {
        line(
            text,
            "\n| Record | What | Field | Shopify | ERP | Became |\n|---|---|---|---|---|---|",
        );
        for found in self.findings.iter().take(LISTED) {
            let row = &found.row;
            let cells = [
                record(found),
                row.class.as_str().to_owned(),
                row.field.clone().unwrap_or_default(),
                row.shopify.clone().unwrap_or_default(),
                row.erp.clone().unwrap_or_default(),
                became(found),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            line(text, &format!("| {} |", cells.join(" | ")));
        }
        let found = self.report.found();
        if found > self.findings.len().min(LISTED) as u64 {
            line(
                text,
                &format!(
                    "\n{found} were found; counts are exact, and the list is cut. `--format json` has all that are kept."
                ),
            );
        }
    }
}

fn became(found: &Found) -> String {
    match found.row.job {
        Some(job) => format!("{} (job {job})", found.became()),
        None => found.became(),
    }
}

/// The record by its name and numbers.
fn record(found: &Found) -> String {
    let row = &found.row;
    let mut parts: Vec<String> = row.name.iter().cloned().collect();
    parts.extend(row.source_id.map(|id| format!("Shopify {id}")));
    parts.extend(row.erp_id.map(|id| format!("ERP {id}")));
    parts.join(", ")
}

fn minute(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%MZ").to_string()
}

fn line(text: &mut String, what: &str) {
    let written = writeln!(text, "{what}");
    debug_assert!(written.is_ok(), "writing to text does not fail");
}

/// What a table's cell must not hold as it is.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace(['\n', '\r'], " ")
}
