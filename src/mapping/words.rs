//! What a person is told when a field cannot be written: one plain sentence, and what to do about it.

use super::mapped::FieldProblem;
use super::rule::{Mapping, Rule};
use crate::domain::{ErpId, LinkKind, LookUp, Scalar, TableKey};

/// Why a field has no value.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// The source is empty.
    Missing,
    /// The value is not in the table.
    NotInTable { table: String, value: String },
    /// The table's entry for the value is not filled in yet.
    Todo {
        table: String,
        key: String,
        file: String,
        line: usize,
    },
    /// The record is not linked.
    NotLinked { kind: LinkKind, id: String },
    /// The ERP has no such record. A table could answer by an entry of this name.
    NotFound(LookUp, Option<(String, String)>),
    /// The ERP has several. A table could say which one by an entry of this name.
    Ambiguous(LookUp, Vec<ErpId>, Option<(String, String)>),
    /// The question was not asked before: a mistake of the caller.
    NotGathered(String),
    /// Two items lead to one record.
    Twice(ErpId),
    /// The expression failed on this record.
    Failed(String),
    /// The value does not fit the field.
    WrongKind(String),
    /// A line costs something for no units.
    NoUnits,
}

/// Where a problem is.
pub(super) struct At<'a> {
    pub(super) target: String,
    pub(super) source: &'a str,
    pub(super) line: usize,
    pub(super) owner: Option<&'a str>,
}

impl<'a> At<'a> {
    pub(super) fn rule(rule: &'a Rule, target: String) -> Self {
        Self {
            target,
            source: &rule.text,
            line: rule.line,
            owner: rule.owner.as_deref(),
        }
    }
}

/// The problem of a cause at a place.
pub(super) fn problem(mapping: &Mapping, at: &At<'_>, cause: &Cause, hold: bool) -> FieldProblem {
    let file = &mapping.file;
    let (target, source, line) = (&at.target, at.source, at.line);
    let mapping_line = format!("{file} line {line}");
    let field = target.rsplit('.').next().unwrap_or(target);
    let (code, reason, fix, same) = match cause {
        Cause::Missing => (
            "missing_value".to_owned(),
            format!("`{target}` needs a value, and `{source}` is empty."),
            format!(
                "Fill it in on the record, or say in {mapping_line} what happens when it is missing; then retry."
            ),
            format!("{file}:{field}"),
        ),
        Cause::NotInTable { table, value } => (
            "not_in_table".to_owned(),
            format!("`{target}`: the table `{table}` of the mapping has no entry for `{value}`."),
            format!("Add `{value}` to `[tables.{table}]` in {file}, then retry."),
            format!("{table}:{value}"),
        ),
        Cause::Todo {
            table,
            key,
            file,
            line,
        } => (
            "table_entry_todo".to_owned(),
            format!("`{target}`: the entry `{key}` of the table `{table}` is not filled in yet."),
            format!("Put the right value in the place of TODO in {file} line {line}, then retry."),
            format!("{table}:{key}"),
        ),
        Cause::NotLinked { kind, id } => (
            "not_linked".to_owned(),
            format!("`{target}`: the {kind} {id} of the shop is not linked to a record in the ERP."),
            format!("Sync the {kind} or link it to its record in the ERP, then retry."),
            format!("{kind}:{id}"),
        ),
        Cause::NotFound(look_up, row) => (
            format!("{}_not_found", look_up.kind),
            format!("`{target}`: the ERP has no {}.", described(look_up)),
            match row {
                Some((table, row)) => format!(
                    "{} {} its number: `\"{row}\" = NUMBER` in `[tables.{table}]` of {file} or of the shop's own tables. Then \
                     retry.",
                    remedy(look_up),
                    if is_channels(look_up) { "Enter" } else { "Or enter" }
                ),
                None => format!("{} Or change {mapping_line}. Then retry.", remedy(look_up)),
            },
            one_cause(look_up),
        ),
        Cause::Ambiguous(look_up, ids, row) => (
            format!("{}_ambiguous", look_up.kind),
            format!(
                "`{target}`: the ERP has more than one {}: {}.",
                described(look_up),
                listed(ids)
            ),
            match row {
                Some((table, row)) => format!(
                    "Enter the number of the one that is meant: `\"{row}\" = NUMBER` in `[tables.{table}]` of {file} or of the \
                     shop's own tables. Or archive all but one in the ERP. Then retry."
                ),
                None => format!(
                    "Archive or rename all but one in the ERP, or say in {mapping_line} which one is meant; then retry."
                ),
            },
            look_up.to_string(),
        ),
        Cause::NotGathered(need) => (
            "not_gathered".to_owned(),
            format!("`{target}` was not looked up before it was needed ({need})."),
            "Report this as a defect of lockstep.".to_owned(),
            field.to_owned(),
        ),
        Cause::Twice(id) => (
            "same_record_twice".to_owned(),
            format!(
                "`{target}`: two different items lead to the same record {id} of the ERP, which counts only once there."
            ),
            format!(
                "Make one record for each in the ERP, or combine the items in {mapping_line}; then retry."
            ),
            format!("{field}:{id}"),
        ),
        Cause::Failed(reason) => (
            "expression_failed".to_owned(),
            format!("`{target}`: `{source}` cannot be worked out for this record: {reason}."),
            format!("Correct the value on the record or the expression in {mapping_line}, then retry."),
            format!("{file}:{field}"),
        ),
        Cause::WrongKind(reason) => (
            "wrong_kind_of_value".to_owned(),
            format!("`{target}`: `{source}` does not fit the field: {reason}."),
            format!("Correct the value on the record or the rule in {mapping_line}, then retry."),
            format!("{file}:{field}"),
        ),
        Cause::NoUnits => (
            "line_without_units".to_owned(),
            format!("`{target}` costs something, but has no units."),
            "Look at this line of the order on Shopify; enter it in the ERP by hand, then discard the job."
                .to_owned(),
            field.to_owned(),
        ),
    };
    FieldProblem {
        code,
        target: target.clone(),
        source: source.to_owned(),
        reason,
        title: title(cause, field, source),
        fix,
        file: file.clone(),
        line,
        owner: at.owner.unwrap_or(&mapping.owner).to_owned(),
        hold,
        cause: same,
        entry: entry(cause),
    }
}

/// What all problems of this cause have in common.
fn title(cause: &Cause, field: &str, source: &str) -> String {
    match cause {
        Cause::Missing => format!("`{field}` needs a value, and `{source}` is empty."),
        Cause::NotInTable { table, value } => format!("The table `{table}` has no entry for `{value}`."),
        Cause::Todo { table, key, .. } => {
            format!("The entry `{key}` of the table `{table}` is not filled in yet.")
        }
        Cause::NotLinked { kind, id } => {
            format!("The {kind} {id} of the shop is not linked to a record in the ERP.")
        }
        Cause::NotFound(look_up, _) => format!("The ERP has no {}.", described(&shared(look_up))),
        Cause::Ambiguous(look_up, ..) => format!("The ERP has more than one {}.", described(look_up)),
        Cause::NotGathered(_) => format!("`{field}` was not looked up before it was needed."),
        Cause::Twice(id) => {
            format!(
                "Two different items lead to the same record {id} of the ERP, which counts only once there."
            )
        }
        Cause::Failed(_) => format!("`{source}` cannot be worked out for `{field}`."),
        Cause::WrongKind(_) => format!("`{source}` does not fit the field `{field}`."),
        Cause::NoUnits => "A line costs something, but has no units.".to_owned(),
    }
}

/// The table's entry that would be the answer.
fn entry(cause: &Cause) -> Option<TableKey> {
    let (table, key) = match cause {
        Cause::NotInTable { table, value } => (table, value),
        Cause::Todo { table, key, .. } => (table, key),
        Cause::NotFound(_, Some((table, row))) | Cause::Ambiguous(_, _, Some((table, row))) => (table, row),
        _ => return None,
    };
    Some(TableKey {
        table: table.clone(),
        key: key.clone(),
    })
}

fn listed(ids: &[ErpId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn key(look_up: &LookUp, name: &str) -> String {
    look_up
        .keys
        .get(name)
        .map_or_else(|| "?".to_owned(), ToString::to_string)
}

/// A tax that is missing is one cause, whatever the shop calls it and wherever it sends to. One that the channel pays is
/// another than the merchant's own of the same rate.
fn one_cause(look_up: &LookUp) -> String {
    shared(look_up).to_string()
}

fn shared(look_up: &LookUp) -> LookUp {
    let mut look_up = look_up.clone();
    for name in ["title", "ship_to"] {
        look_up.keys.remove(name);
    }
    if !is_channels(&look_up) {
        look_up.keys.remove("channel");
    }
    look_up
}

/// Whether it is a tax that the sales channel pays to the authorities.
fn is_channels(look_up: &LookUp) -> bool {
    look_up.keys.get("channel") == Some(&Scalar::Bool(true))
}

/// A look-up in words, as after `the ERP has no …`.
fn described(look_up: &LookUp) -> String {
    let key = |name| key(look_up, name);
    match look_up.kind.as_str() {
        "country" => format!("country with the code {}", key("code")),
        "state" => format!(
            "state with the code {} in the country {}",
            key("code"),
            key("country")
        ),
        "currency" => format!("active currency {}", key("code")),
        "pricelist" => format!("price list in {}", key("currency")),
        "language" => format!("installed language {}", key("code")),
        "tax" => {
            let included = look_up.keys.get("included") == Some(&Scalar::Bool(true));
            let how = if included {
                "included in the price"
            } else {
                "on top of the price"
            };
            let mut words = format!("sales tax of {} % {how}", key("rate"));
            let given = |name| {
                look_up
                    .keys
                    .get(name)
                    .map(ToString::to_string)
                    .filter(|it| it != "-")
            };
            let of = given("title").map(|title| format!("`{title}`"));
            if is_channels(look_up) {
                words.push_str(" for what the sales channel pays to the authorities");
                words.extend(of.map(|title| format!(" as {title}")));
            } else {
                let to = given("ship_to").map(|country| format!("goods sent to {country}"));
                let fits: Vec<String> = of.into_iter().chain(to).collect();
                if !fits.is_empty() {
                    words.push_str(" that fits ");
                    words.push_str(&fits.join(" and "));
                }
            }
            words
        }
        "service" => format!("service product for `{}`", key("purpose")),
        _ => format!("record for {look_up}"),
    }
}

/// What to do about a look-up without an answer.
fn remedy(look_up: &LookUp) -> String {
    let key = |name| key(look_up, name);
    match look_up.kind.as_str() {
        "country" => "Correct the country of the address.".to_owned(),
        "state" => "Correct the province of the address, or add it to the country in the ERP.".to_owned(),
        "currency" => format!("Activate the currency {} in the ERP.", key("code")),
        "pricelist" => format!("Make a price list in {} in the ERP.", key("currency")),
        "language" => format!("Install the language {} in the ERP.", key("code")),
        "tax" if is_channels(look_up) => {
            "Make a tax of that rate in the ERP's accounting which stays out of the merchant's own tax return.".to_owned()
        }
        "tax" => "Make it in the ERP's accounting, for the country whose tax it is.".to_owned(),
        "service" => format!(
            "Run `lockstep setup apply`, which makes one, or name a service product of your own in the shop's configuration \
             under `services.{}`.",
            key("purpose")
        ),
        _ => "Make it in the ERP.".to_owned(),
    }
}
