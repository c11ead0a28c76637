//! What a cause is called: one plain sentence about what its problems have in common, and about none of them in particular.

use super::catalogue;
use crate::domain::NewProblem;

/// Kinds of problems of which each one's own sentence tells of its own record, although many have the same cause. They are called by
/// their kind.
const TOLD_OF_THE_RECORD: &[&str] = &[
    "accounting_period_closed",
    "changed_on_both_sides",
    "erp_record_is_a_stranger",
    "erp_record_missing",
    "held_by_person",
    "rule_failed",
    "shopify_record_is_a_stranger",
    "shopify_write_rejected",
    "waiting_for_approval",
    "writes_go_in_circles",
];

/// What the cause is called that this is an example of. `jobs` is how many have it.
pub(crate) fn title_of(example: &NewProblem, jobs: u64) -> String {
    if let Some(title) = example.title() {
        return title.to_owned();
    }
    let code = example.code.0.as_str();
    // A cause that is named by nothing but the kind of problem is shared by records that have nothing else in common.
    let is_shared = example.cluster == code || TOLD_OF_THE_RECORD.contains(&code);
    // What is about the shop itself is there once.
    if jobs == 0 || !is_shared {
        return example.reason.clone();
    }
    let Some(entry) = catalogue::entry(code) else {
        return example.reason.clone();
    };
    match &example.field {
        Some(field) if example.cluster == format!("{code}:{field}") => {
            format!("{}: {field}", entry.title)
        }
        _ => entry.title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Kinds of problems that name a cause of which each one's own sentence is true of all.
    const TOLD_OF_THE_CAUSE: &[&str] = &[
        "currency_differs",
        "currency_missing",
        "customer_ambiguous",
        "entered_by_hand_and_changed",
        "erp_record_linked_twice",
        "journal_missing",
        "no_mapping",
        "options_differ",
        "privacy_request_unreadable",
        "product_not_linked",
        "service_missing",
        "shop_not_configured",
        "shopify_scope_missing",
        "stock_waits_for_an_order",
        "warehouse_not_found",
    ];

    fn example(code: &str, cluster: &str, field: Option<&str>) -> NewProblem {
        NewProblem {
            code: code.into(),
            record: Some("#1042".to_owned()),
            field: field.map(str::to_owned),
            reason: "What happened to #1042.".to_owned(),
            fix: "Fix it.".to_owned(),
            owner: "finance".to_owned(),
            mapping: None,
            cluster: cluster.to_owned(),
            detail: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_cause_is_called_by_what_its_problems_share() {
        let own = "What happened to #1042.";
        for (problem, jobs, expected) in [
            // Nothing but the kind is shared.
            (
                example("refund_total_differs", "refund_total_differs", None),
                3,
                catalogue::entry("refund_total_differs").unwrap().title,
            ),
            // The cause is named, and the sentence is about it.
            (example("journal_missing", "journal_missing:klarna", None), 3, own),
            // The shop itself.
            (example("subscription_lost", "subscription_lost", None), 0, own),
            (
                example("tax_not_found", "tax_not_found:x", None).titled("The ERP has no sales tax of 21 %."),
                3,
                "The ERP has no sales tax of 21 %.",
            ),
            (example("nobody_knows_it", "nobody_knows_it", None), 3, own),
        ] {
            assert_eq!(title_of(&problem, jobs), expected, "{problem:?}");
        }
        let both = example(
            "changed_on_both_sides",
            "changed_on_both_sides:email",
            Some("email"),
        );
        assert!(title_of(&both, 2).ends_with(": email"), "{}", title_of(&both, 2));
        for code in TOLD_OF_THE_RECORD {
            assert!(catalogue::entry(code).is_some(), "{code} is no kind of problem");
        }
    }

    #[test]
    fn two_records_of_one_cause_have_one_title() {
        for code in TOLD_OF_THE_RECORD {
            let mut one = example(code, &format!("{code}:what they share"), None);
            let title = title_of(&one, 2);
            one.record = Some("#1043".to_owned());
            one.reason = "Something that is true of #1043 only.".to_owned();
            assert_eq!(title_of(&one, 2), title, "{code}");
        }
    }

    /// The codes of a source with a cause of their own, where both are named.
    fn with_a_cause(text: &str) -> Vec<&str> {
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        text[..end]
            .split(".problem(")
            .skip(1)
            .filter_map(|call| {
                let (code, rest) = call.trim_start().strip_prefix('"')?.split_once('"')?;
                let cause = rest.strip_prefix(',')?.trim_start();
                (!cause.starts_with("\"\"")).then_some(code)
            })
            .collect()
    }

    #[test]
    fn of_every_kind_with_a_cause_it_is_known_what_its_sentence_tells() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sync")];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name == "tests" || name == "tests.rs" {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                for code in with_a_cause(&std::fs::read_to_string(&path).unwrap()) {
                    seen += 1;
                    assert!(
                        TOLD_OF_THE_RECORD.contains(&code) || TOLD_OF_THE_CAUSE.contains(&code),
                        "{code} ({}): is what it says true of all records with its cause?",
                        path.display()
                    );
                }
            }
        }
        assert!(seen >= TOLD_OF_THE_CAUSE.len(), "{seen} only");
    }
}
