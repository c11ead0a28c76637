//! One walk through a mapping for one record: first to find out what must be asked, then, with the answers, to make the
//! values. Both walks take the same turns, so that nothing is needed in the second that was not asked in the first.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::asking::{Answer, Asked};
use super::convert::{into_field, table_key, to_fact, to_field};
use super::expr::{Compiled, Frame};
use super::known::todo;
use super::mapped::{FieldProblem, MappedField, MatchKey};
use super::rule::{Choice, From, Mapping, MatchRule, Missing, NotFound, Part, Query, Rule, Template};
use super::types::FieldType;
use super::value::is_empty;
use super::words::{At, Cause, problem};
use crate::domain::{Fact, FieldValue, LinkKind, Need, Needed};

/// The answers to needs.
pub(super) type Answers = HashMap<Need, Needed>;

/// The rows of a group before their fields are made.
pub(super) struct Head<'f> {
    pub(super) key: String,
    pub(super) item: Cow<'f, Fact>,
    /// The row's position, or its role.
    pub(super) second: Fact,
    pub(super) source_index: usize,
}

/// A walk.
pub(super) struct Pass<'p> {
    pub(super) mapping: &'p Mapping,
    /// None while gathering.
    pub(super) answers: Option<&'p Answers>,
    pub(super) base: Frame<'p>,
    /// By group. Shared, since the rules of a row may refer to other rows.
    pub(super) heads: Rc<Vec<Vec<Head<'p>>>>,
    /// Each with how many there were before it.
    pub(super) needs: HashMap<Need, usize>,
    /// The look-ups so far.
    pub(super) asked: Vec<Asked<'p>>,
    pub(super) problems: Vec<FieldProblem>,
    pub(super) held: Vec<FieldProblem>,
}

/// What a field belongs to, as it stands before the field's name: `lines[line_7].` for one of a row.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Record,
    Row { group: &'a str, key: &'a str },
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => Ok(()),
            Self::Row { group, key } => write!(f, "{group}[{key}]."),
        }
    }
}

/// How a choice went.
pub(super) enum Tried {
    Value(FieldValue),
    /// Its condition does not hold.
    NotNow,
    /// Its source is empty.
    Empty,
    /// Nothing else is to be tried, and there is no value: not known yet, or a problem.
    Stop,
    /// Nothing else is to be tried, for this reason.
    Unanswered(Cause, NotFound),
}

impl<'p> Pass<'p> {
    pub(super) fn new(mapping: &'p Mapping, answers: Option<&'p Answers>, base: Frame<'p>) -> Self {
        Self {
            mapping,
            answers,
            base,
            heads: Rc::default(),
            needs: HashMap::new(),
            asked: Vec::new(),
            problems: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Reports a problem; while gathering there is none yet, since the second walk finds it again among all others.
    pub(super) fn report(&mut self, at: &At<'_>, cause: &Cause, hold: bool) {
        if self.answers.is_none() {
            return;
        }
        let problem = problem(self.mapping, at, cause, hold);
        let list = if hold { &mut self.held } else { &mut self.problems };
        if !list.contains(&problem) {
            list.push(problem);
        }
    }

    /// The fields of a set of rules of the record or of a row.
    pub(super) fn fields(
        &mut self,
        rules: &'p [Rule],
        frame: &Frame<'_>,
        place: Place<'_>,
    ) -> Vec<MappedField> {
        let mut fields = Vec::with_capacity(rules.len());
        for rule in rules {
            if let Some(value) = self.rule(rule, frame, place) {
                fields.push(MappedField {
                    target: Arc::clone(&rule.target),
                    value,
                    source: Arc::clone(&rule.text),
                    truth: rule.truth,
                    lossy: rule.lossy,
                    create_only: rule.create_only,
                    line: rule.line,
                });
            }
        }
        fields
    }

    /// Goes through the rules that ask something, for their questions alone.
    pub(super) fn gather(&mut self, rules: &'p [Rule], frame: &Frame<'_>) {
        for rule in rules.iter().filter(|rule| rule.asks()) {
            drop(self.rule(rule, frame, Place::Record));
        }
    }

    /// The value of one rule; none when the field is left alone, or not known yet, or a problem was reported.
    pub(super) fn rule(&mut self, rule: &'p Rule, frame: &Frame<'_>, place: Place<'_>) -> Option<FieldValue> {
        let mut applied = false;
        let mut cause = Cause::Missing;
        for choice in &rule.choices {
            match self.choice(rule, choice, frame, place) {
                // One record where several may stand is a list of one.
                Tried::Value(FieldValue::Record(id)) if rule.kind == FieldType::Records => {
                    return Some(FieldValue::Records(vec![id]));
                }
                Tried::Value(value) => return Some(value),
                Tried::NotNow => {}
                Tried::Empty => applied = true,
                Tried::Stop => return None,
                Tried::Unanswered(not_in_table @ Cause::NotInTable { .. }, _) => {
                    applied = true;
                    cause = not_in_table;
                }
                Tried::Unanswered(cause, policy) => {
                    let at = At::rule(rule, format!("{place}{}", rule.target));
                    match policy {
                        NotFound::Skip => return None,
                        NotFound::Clear => return Some(cleared(rule.kind)),
                        NotFound::Fail => self.report(&at, &cause, false),
                        NotFound::Hold => self.report(&at, &cause, true),
                    }
                    return None;
                }
            }
        }
        let missing = rule.choices.last().and_then(|last| last.missing.as_ref());
        // `{ value = …, when = … }` alone reads "write it when": it is left alone otherwise.
        let conditional = rule.choices.len() == 1 && !applied;
        let at = || At::rule(rule, format!("{place}{}", rule.target));
        match missing {
            Some(Missing::Skip) => None,
            None | Some(Missing::Fail) if conditional => None,
            None | Some(Missing::Fail) => {
                self.report(&at(), &cause, false);
                None
            }
            Some(Missing::Clear) => Some(cleared(rule.kind)),
            Some(Missing::Hold) => {
                self.report(&at(), &cause, true);
                None
            }
            Some(Missing::Default(value)) => Some(value.clone()),
        }
    }

    fn choice(&mut self, rule: &'p Rule, choice: &'p Choice, frame: &Frame<'_>, place: Place<'_>) -> Tried {
        let target = || format!("{place}{}", rule.target);
        if let Some(when) = &choice.when {
            match when.holds(frame) {
                Ok(true) => {}
                Ok(false) => return Tried::NotNow,
                Err(reason) => {
                    self.report(&At::rule(rule, target()), &Cause::Failed(reason), false);
                    return Tried::Stop;
                }
            }
        }
        let tried = match &choice.from {
            From::Constant(value) => Tried::Value(value.clone()),
            From::Value(compiled) => match compiled.value(frame) {
                Ok(fact) if is_empty(&fact) => Tried::Empty,
                Ok(fact) => match &choice.table {
                    Some(table) => {
                        let value = table_key(&fact);
                        match table.entries.get(&value) {
                            Some(found) => Tried::Value(found.clone()),
                            None if table.todo.contains_key(&value) => {
                                // Whatever the rule says about a missing value, this one was meant to be filled in.
                                Tried::Unanswered(todo(table, value), NotFound::Fail)
                            }
                            None => {
                                let cause = Cause::NotInTable {
                                    table: table.name.clone(),
                                    value,
                                };
                                Tried::Unanswered(cause, choice.not_found)
                            }
                        }
                    }
                    None => match into_field(fact, rule.kind) {
                        Ok(value) => Tried::Value(value),
                        Err(reason) => {
                            self.report(&At::rule(rule, target()), &Cause::WrongKind(reason), false);
                            Tried::Stop
                        }
                    },
                },
                Err(reason) => {
                    self.report(&At::rule(rule, target()), &Cause::Failed(reason), false);
                    Tried::Stop
                }
            },
            From::Link { kind, id } => match self.text(rule, id, frame, place) {
                Ok(Some(id)) => self.link(*kind, id, choice.not_found),
                Ok(None) => Tried::Empty,
                Err(tried) => tried,
            },
            From::Row { group, role } => {
                let heads = self.heads.get(*group);
                let head = heads
                    .into_iter()
                    .flatten()
                    .find(|head| match (&head.second, role) {
                        (Fact::Text(known), Some(role)) => known == role,
                        _ => false,
                    });
                match (
                    head.map(|head| head.key.clone()),
                    self.mapping.groups.get(*group).and_then(|group| group.link),
                ) {
                    (Some(key), Some(kind)) => self.link(kind, key, choice.not_found),
                    _ => Tried::Empty,
                }
            }
            From::LookUp(query) => match self.look_up(rule, Some(choice), query, frame, place) {
                Ok(Some(Answer::Found(id))) => Tried::Value(FieldValue::Record(id)),
                Ok(Some(Answer::Pending)) => Tried::Stop,
                Ok(Some(Answer::Unanswered(cause))) => unanswered(cause, choice.not_found),
                Ok(None) => Tried::Empty,
                Err(tried) => tried,
            },
            From::LookUps { each, query } => self.look_ups(rule, choice, each, query, frame, place),
            From::SameAs(at) => {
                let mapping = self.mapping;
                let base = self.base.clone();
                match mapping
                    .fields
                    .get(*at)
                    .and_then(|same| self.rule(same, &base, Place::Record))
                {
                    Some(value) => Tried::Value(value),
                    None => Tried::Stop,
                }
            }
        };
        match (tried, &choice.if_found) {
            (Tried::Value(value), Some(query)) => self.if_found(rule, choice, value, query, frame, place),
            (tried, _) => tried,
        }
    }

    /// The value, when the ERP has the record that it names.
    fn if_found(
        &mut self,
        rule: &'p Rule,
        choice: &'p Choice,
        value: FieldValue,
        query: &'p Query,
        frame: &Frame<'_>,
        place: Place<'_>,
    ) -> Tried {
        let fact = to_fact(&value);
        let frame = frame.with(&fact);
        match self.look_up(rule, None, query, &frame, place) {
            Ok(Some(Answer::Found(_))) => Tried::Value(value),
            Ok(Some(Answer::Pending)) => Tried::Stop,
            // That there are several is no obstacle: the value itself is what is written.
            Ok(Some(Answer::Unanswered(Cause::Ambiguous(..)))) => Tried::Value(value),
            Ok(Some(Answer::Unanswered(cause))) => unanswered(cause, choice.not_found),
            Ok(None) => Tried::Empty,
            Err(tried) => tried,
        }
    }

    fn look_ups(
        &mut self,
        rule: &'p Rule,
        choice: &'p Choice,
        each: &'p Compiled,
        query: &'p Query,
        frame: &Frame<'_>,
        place: Place<'_>,
    ) -> Tried {
        let at = || At::rule(rule, format!("{place}{}", rule.target));
        let items = match each.value(frame) {
            Ok(fact) => fact,
            Err(reason) => {
                self.report(&at(), &Cause::Failed(reason), false);
                return Tried::Stop;
            }
        };
        let Fact::List(items) = &*items else {
            return Tried::Empty;
        };
        let mut found = Vec::with_capacity(items.len());
        let mut pending = false;
        for item in items {
            match self.look_up(rule, Some(choice), query, &frame.with(item), place) {
                Ok(Some(Answer::Found(id))) if found.contains(&id) => {
                    self.report(&at(), &Cause::Twice(id), choice.not_found == NotFound::Hold);
                    return Tried::Stop;
                }
                Ok(Some(Answer::Found(id))) => found.push(id),
                Ok(Some(Answer::Pending)) => pending = true,
                Ok(Some(Answer::Unanswered(cause))) => {
                    self.report(&at(), &cause, choice.not_found == NotFound::Hold);
                    pending = true;
                }
                Ok(None) => {
                    self.report(&at(), &Cause::Missing, false);
                    return Tried::Stop;
                }
                Err(tried) => return tried,
            }
        }
        if pending {
            Tried::Stop
        } else {
            Tried::Value(FieldValue::Records(found))
        }
    }

    fn link(&mut self, kind: LinkKind, id: String, policy: NotFound) -> Tried {
        match self.answer(Need::Link { kind, source_id: id }) {
            Answer::Found(id) => Tried::Value(FieldValue::Record(id)),
            Answer::Pending => Tried::Stop,
            Answer::Unanswered(cause) => unanswered(cause, policy),
        }
    }

    /// An expression as an id.
    fn text(
        &mut self,
        rule: &'p Rule,
        compiled: &Compiled,
        frame: &Frame<'_>,
        place: Place<'_>,
    ) -> Result<Option<String>, Tried> {
        let cause = match compiled.value(frame) {
            Ok(fact) if is_empty(&fact) => return Ok(None),
            Ok(fact) => match &*fact {
                Fact::Text(text) => return Ok(Some(text.clone())),
                Fact::Integer(number) => return Ok(Some(number.to_string())),
                _ => Cause::WrongKind("this is no id".to_owned()),
            },
            Err(reason) => Cause::Failed(reason),
        };
        self.report(&At::rule(rule, format!("{place}{}", rule.target)), &cause, false);
        Err(Tried::Stop)
    }

    /// A template for these facts: ids, so only letters, digits and `_` come out of it.
    pub(super) fn id(&mut self, template: &Template, frame: &Frame<'_>, target: &str) -> Option<String> {
        let mut id = String::with_capacity(40);
        for part in &template.parts {
            let compiled = match part {
                Part::Text(text) => {
                    id.push_str(text);
                    continue;
                }
                Part::Value(compiled) => compiled,
            };
            let cause = match compiled.value(frame) {
                Ok(fact) if is_empty(&fact) => Cause::Missing,
                Ok(fact) => match &*fact {
                    Fact::Text(text) => {
                        id.push_str(text);
                        continue;
                    }
                    Fact::Integer(number) => {
                        id.push_str(&number.to_string());
                        continue;
                    }
                    _ => Cause::WrongKind("this is no part of an id".to_owned()),
                },
                Err(reason) => Cause::Failed(reason),
            };
            let at = At {
                target: target.to_owned(),
                source: &template.text,
                line: template.line,
                owner: None,
            };
            self.report(&at, &cause, false);
            return None;
        }
        Some(id)
    }

    /// The ways to recognise an existing record. One with an empty value is no way.
    pub(super) fn match_keys(
        &mut self,
        rules: &[MatchRule],
        frame: &Frame<'_>,
        place: Place<'_>,
    ) -> Vec<MatchKey> {
        let mut keys = Vec::new();
        'rules: for rule in rules {
            let mut equal = Vec::with_capacity(rule.equal.len());
            for (name, compiled) in &rule.equal {
                let value = compiled.value(frame).and_then(|fact| {
                    if is_empty(&fact) {
                        return Ok(None);
                    }
                    let kind = FieldType::of(&compiled.typed.kind).unwrap_or(FieldType::Text);
                    to_field(&fact, kind).map(Some)
                });
                match value {
                    Ok(Some(value)) => equal.push((name.clone(), value)),
                    Ok(None) => continue 'rules,
                    Err(reason) => {
                        let target = format!("{place}match.{name}");
                        let at = At {
                            target,
                            source: &compiled.text,
                            line: rule.line,
                            owner: None,
                        };
                        self.report(&at, &Cause::Failed(reason), false);
                        continue 'rules;
                    }
                }
            }
            keys.push(MatchKey {
                equal,
                line: rule.line,
            });
        }
        keys
    }
}

/// That there are several is never passed over: a person says which.
fn unanswered(cause: Cause, policy: NotFound) -> Tried {
    let policy = match (&cause, policy) {
        (
            Cause::Ambiguous(..) | Cause::NotGathered(_) | Cause::Todo { .. },
            NotFound::Skip | NotFound::Clear,
        ) => NotFound::Fail,
        (_, policy) => policy,
    };
    Tried::Unanswered(cause, policy)
}

fn cleared(kind: FieldType) -> FieldValue {
    if kind == FieldType::Records {
        FieldValue::Records(Vec::new())
    } else {
        FieldValue::Clear
    }
}
