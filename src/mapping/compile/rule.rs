//! Compiling the rule of one field.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::super::check::Scope;
use super::super::diagnose::Diagnostics;
use super::super::document::{self as doc, Entry, Node, constant_as, expression, get, text_at};
use super::super::mapped::Truth;
use super::super::overrides::Overrides;
use super::super::rule::{Choice, From, Missing, NotFound, Rule, Table};
use super::super::types::{FieldType, Kind, Typed};
use super::TRUTHS;
use super::parts::condition;
use super::source::{known_answers, query, source, table_of};
use crate::domain::{FieldValue, ShopField};

/// What a rule may refer to.
pub(super) struct RuleContext<'c> {
    pub(super) tables: &'c BTreeMap<String, Table>,
    pub(super) groups: &'c [GroupHead],
    /// The record's own fields so far.
    pub(super) fields: Vec<(String, FieldType)>,
    /// The truth of fields that declare none.
    pub(super) truth: Truth,
    /// The shop's fields, in the direction out.
    pub(super) shop_fields: Option<&'static [ShopField]>,
}

/// A group as other rules see it.
pub(super) struct GroupHead {
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) linked: bool,
}

/// Keys that say where a value comes from: a choice has exactly one of them.
const SOURCES: &[&str] = &["value", "constant", "link", "row", "look_up", "same_as"];
/// Keys of one choice.
pub(in crate::mapping) const CHOICE_KEYS: &[&str] = &[
    "value",
    "constant",
    "link",
    "row",
    "look_up",
    "same_as",
    "when",
    "id",
    "each",
    "as",
    "table",
    "if_found",
    "missing",
    "default",
    "not_found",
    "type",
];
/// Keys of the whole rule.
pub(in crate::mapping) const RULE_KEYS: &[&str] = &[
    "first_of", "type", "on", "truth", "lossy", "owner", "note", "missing", "default", "optional",
];

const MISSING: [(&str, &str); 4] = [
    ("fail", "fail"),
    ("skip", "skip"),
    ("clear", "clear"),
    ("hold", "hold"),
];
const NOT_FOUND: [(&str, NotFound); 4] = [
    ("fail", NotFound::Fail),
    ("skip", NotFound::Skip),
    ("clear", NotFound::Clear),
    ("hold", NotFound::Hold),
];

/// A choice before the rule's type is known.
pub(super) struct Draft<'t> {
    pub(super) choice: Choice,
    /// The type its value has by itself.
    pub(super) natural: Option<FieldType>,
    /// The kind of its value, where it comes from an expression.
    pub(super) kind: Option<Kind>,
    pub(super) declared: Option<FieldType>,
    /// Whether its source can be empty.
    pub(super) may_be_missing: bool,
    /// Values that its table has no entry for.
    pub(super) left_out: Vec<String>,
    pub(super) constant: Option<&'t Node<'t>>,
    pub(super) default: Option<&'t Node<'t>>,
    pub(super) node: &'t Node<'t>,
}

/// Compiles `target = …`. `fixed` is the type that the target has in any case.
pub(super) fn rule(
    d: &mut Diagnostics,
    entry: &Entry<'_>,
    scope: &Scope,
    context: &RuleContext<'_>,
    fixed: Option<FieldType>,
) -> Option<Rule> {
    let common = doc::table(entry.value);
    let listed = common
        .and_then(|table| get(table, "first_of"))
        .or(Some(entry.value));
    let mut drafts = match listed.and_then(|node| node.get_ref().as_array()) {
        Some(array) => {
            if let Some(table) = common {
                doc::only(d, table, RULE_KEYS);
            }
            let nodes: Vec<&Node<'_>> = array.iter().collect();
            if nodes.is_empty() {
                d.add(entry.value.span(), "this list is empty", "at least one value");
                return None;
            }
            let wanted = nodes.len();
            let drafts: Vec<Draft<'_>> = nodes
                .into_iter()
                .filter_map(|node| draft(d, node, scope, context, CHOICE_KEYS))
                .collect();
            if drafts.len() < wanted {
                return None;
            }
            drafts
        }
        None => {
            let keys: Vec<&str> = CHOICE_KEYS.iter().chain(RULE_KEYS).copied().collect();
            vec![draft(d, entry.value, scope, context, &keys)?]
        }
    };
    let types: Vec<(&'static str, FieldType)> = FieldType::ALL.to_vec();
    let declared = common.and_then(|table| doc::choice_at(d, table, "type", &types));
    let listed = drafts.len() > 1 || common.is_some_and(|table| get(table, "first_of").is_some());
    if let (true, Some(table), Some(last)) = (listed, common, drafts.last_mut()) {
        missing_of(d, table, last);
    }
    let kind = rule_type(d, entry, fixed.or(declared), &drafts)?;
    settle_missing(d, &mut drafts);
    let mut choices = Vec::new();
    for draft in drafts {
        choices.push(finish(d, draft, kind)?);
    }
    let at = |key: &str| common.filter(|table| get(table, key).is_some());
    Some(Rule {
        target: entry.key.into(),
        kind,
        choices,
        create_only: at("on")
            .and_then(|table| doc::choice_at(d, table, "on", &[("create", true), ("always", false)]))
            == Some(true),
        truth: at("truth")
            .and_then(|table| doc::choice_at(d, table, "truth", &TRUTHS))
            .unwrap_or(context.truth),
        optional: common.is_some_and(|table| doc::flag_at(d, table, "optional")),
        lossy: common.is_some_and(|table| doc::flag_at(d, table, "lossy")),
        owner: common
            .and_then(|table| text_at(d, table, "owner"))
            .map(str::to_owned),
        line: d.line(entry.key_place().start),
        text: written(d, entry.value).into(),
    })
}

/// The value as it stands in the file, on one line.
fn written(d: &Diagnostics, node: &Node<'_>) -> String {
    if let Some(text) = node.get_ref().as_str() {
        return text.to_owned();
    }
    let text = d.text.get(node.span()).unwrap_or_default();
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(300)
        .collect()
}

/// The one type that all choices have.
fn rule_type(
    d: &mut Diagnostics,
    entry: &Entry<'_>,
    declared: Option<FieldType>,
    drafts: &[Draft<'_>],
) -> Option<FieldType> {
    let declared = declared.or_else(|| drafts.iter().find_map(|draft| draft.declared));
    let Some(kind) = declared.or_else(|| drafts.iter().find_map(|draft| draft.natural)) else {
        d.add_with_help(
            entry.value.span(),
            format!("the type of `{}` is not clear", entry.key),
            "what is it?",
            Some("declare it: `{ value = \"…\", type = \"text\" }`".to_owned()),
        );
        return None;
    };
    for draft in drafts {
        let fits = match (&draft.kind, draft.natural) {
            (Some(of), _) => kind.takes(of),
            // Written-out values are converted, and say so themselves when they cannot be.
            (None, _) if draft.constant.is_some() => true,
            (None, Some(FieldType::Record)) if kind == FieldType::Records => true,
            (None, natural) => natural.is_none_or(|natural| natural == kind),
        };
        if !fits {
            let is = match (&draft.kind, draft.natural) {
                (Some(of), _) => Typed::of(of.clone()).to_string(),
                (None, Some(natural)) => format!("a {}", natural.name()),
                (None, None) => "something else".to_owned(),
            };
            d.add_with_help(
                draft.node.span(),
                format!("`{}` is of type `{}`, and this is {is}", entry.key, kind.name()),
                "of another kind",
                conversion(kind, draft.kind.as_ref()),
            );
            return None;
        }
    }
    Some(kind)
}

/// How to get from a kind to a type.
fn conversion(to: FieldType, from: Option<&Kind>) -> Option<String> {
    let help = match (to, from?) {
        (FieldType::Text, Kind::Decimal) => "say with how many digits: `| fixed(2)`",
        (FieldType::Decimal, Kind::Text) => "make it exact: `| decimal`",
        (FieldType::Date, Kind::Time) => "say in which time zone: `| date('Europe/Berlin')`",
        _ => return None,
    };
    Some(help.to_owned())
}

/// A choice whose value may be missing needs a word on that, unless another one follows.
fn settle_missing(d: &mut Diagnostics, drafts: &mut [Draft<'_>]) {
    let Some((last, before)) = drafts.split_last_mut() else {
        return;
    };
    for draft in before {
        if draft.choice.missing.is_some() || draft.default.is_some() {
            d.add(
                draft.node.span(),
                "only the last choice says what happens when there is no value",
                "another choice follows",
            );
        }
    }
    if last.may_be_missing && last.choice.missing.is_none() && last.default.is_none() {
        let (message, label) = if last.left_out.is_empty() {
            (
                "this may be empty, and nothing says what happens then".to_owned(),
                "may be empty",
            )
        } else {
            let message = format!(
                "the table has no entry for {}, and nothing says what happens then",
                last.left_out.join(", ")
            );
            (message, "some values are left out")
        };
        d.add_with_help(
            last.node.span(),
            message,
            label,
            Some(
                "add `missing = \"fail\"`, `\"skip\"`, `\"clear\"` or `\"hold\"`, or `default = …`"
                    .to_owned(),
            ),
        );
    }
}

fn finish(d: &mut Diagnostics, mut draft: Draft<'_>, kind: FieldType) -> Option<Choice> {
    if let (Some(node), From::Constant(value)) = (draft.constant, &draft.choice.from) {
        draft.choice.from = From::Constant(constant_as(d, node, value.clone(), kind)?);
    }
    if let Some(node) = draft.default {
        let value = doc::scalar(d, node)?;
        draft.choice.missing = Some(Missing::Default(constant_as(d, node, value, kind)?));
    }
    Some(draft.choice)
}

/// Reads `missing` and `default`.
fn missing_of<'t>(d: &mut Diagnostics, table: &'t DeTable<'t>, draft: &mut Draft<'t>) {
    let missing = doc::choice_at(d, table, "missing", &MISSING);
    if let Some(node) = get(table, "default") {
        if missing.is_some() {
            d.add(node.span(), "a default and `missing` exclude each other", "here");
        }
        draft.default = Some(node);
    }
    if let Some(name) = missing.or(get(table, "missing").map(|_| "fail")) {
        draft.choice.missing = Some(match name {
            "skip" => Missing::Skip,
            "clear" => Missing::Clear,
            "hold" => Missing::Hold,
            _ => Missing::Fail,
        });
    }
}

/// One choice.
fn draft<'t>(
    d: &mut Diagnostics,
    node: &'t Node<'t>,
    scope: &Scope,
    context: &RuleContext<'_>,
    keys: &[&str],
) -> Option<Draft<'t>> {
    let line = d.line(node.span().start);
    let plain = |from| Choice {
        when: None,
        from,
        table: None,
        if_found: None,
        missing: None,
        not_found: NotFound::Fail,
        line,
    };
    let Some(table) = doc::table(node) else {
        if node.get_ref().as_str().is_some() {
            let compiled = expression(d, node, scope)?;
            let (kind, optional) = (compiled.typed.kind.clone(), compiled.typed.optional);
            return Some(Draft {
                natural: FieldType::of(&kind),
                kind: Some(kind),
                declared: None,
                may_be_missing: optional,
                left_out: Vec::new(),
                constant: None,
                default: None,
                choice: plain(From::Value(compiled)),
                node,
            });
        }
        let value = doc::scalar(d, node)?;
        return Some(Draft {
            natural: FieldType::of_value(&value),
            kind: None,
            declared: None,
            may_be_missing: false,
            left_out: Vec::new(),
            constant: Some(node),
            default: None,
            choice: plain(From::Constant(value)),
            node,
        });
    };
    doc::only(d, table, keys);
    let sources: Vec<&str> = SOURCES
        .iter()
        .filter(|key| get(table, key).is_some())
        .copied()
        .collect();
    if sources.len() != 1 {
        let message = if sources.is_empty() {
            "nothing says where the value comes from".to_owned()
        } else {
            format!("the value comes from two places: {}", sources.join(" and "))
        };
        d.add_with_help(
            node.span(),
            message,
            "here",
            Some(format!("one of: {}", SOURCES.join(", "))),
        );
        return None;
    }
    let types: Vec<(&'static str, FieldType)> = FieldType::ALL.to_vec();
    let mut draft = Draft {
        natural: Some(FieldType::Record),
        kind: None,
        declared: doc::choice_at(d, table, "type", &types),
        may_be_missing: false,
        left_out: Vec::new(),
        constant: None,
        default: None,
        choice: plain(From::Constant(FieldValue::Clear)),
        node,
    };
    draft.choice.from = source(d, sources[0], table, scope, context, &mut draft)?;
    draft.choice.when = get(table, "when").and_then(|node| condition(d, node, scope));
    draft.choice.not_found = doc::choice_at(d, table, "not_found", &NOT_FOUND).unwrap_or_default();
    if let Some(node) = get(table, "table") {
        draft.choice.table = Some(if sources[0] == "look_up" {
            known_answers(d, node, context)?
        } else {
            table_of(d, node, context, &mut draft)?
        });
    }
    if let Some(query_node) = get(table, "if_found") {
        let value = Typed::of(draft.kind.clone().unwrap_or(Kind::Text));
        let (query, _) = query(d, query_node, &scope.with("value", value))?;
        draft.choice.if_found = Some(query);
    }
    missing_of(d, table, &mut draft);
    for (key, needs) in [("id", "link"), ("each", "look_up"), ("as", "look_up")] {
        if let (Some(node), false) = (get(table, key), sources[0] == needs) {
            d.add(
                node.span(),
                format!("`{key}` has a meaning only beside `{needs}`"),
                "no meaning here",
            );
        }
    }
    Some(draft)
}

impl Rule {
    /// Every value that is written out in the rule, with its line.
    pub(in crate::mapping) fn written_out(&self) -> Vec<(&FieldValue, usize)> {
        let mut values = Vec::new();
        for choice in &self.choices {
            if let From::Constant(value) = &choice.from {
                values.push((value, choice.line));
            }
            if let Some(table) = &choice.table {
                values.extend(table.entries.values().map(|value| (value, choice.line)));
            }
            if let Some(Missing::Default(value)) = &choice.missing {
                values.push((value, choice.line));
            }
        }
        values
    }

    /// The shop's file that a value of one of the rule's tables may stand in, and the table.
    pub(super) fn overridden(&self, value: &FieldValue) -> Option<(&Overrides, &str)> {
        let tables = self.choices.iter().filter_map(|choice| choice.table.as_ref());
        tables
            .filter(|table| table.entries.values().any(|known| known == value))
            .find_map(|table| Some((&**table.overrides.as_ref()?, table.name.as_str())))
    }
}
