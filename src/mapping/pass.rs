//! One walk through a mapping for one record: first to find out what must be asked, then, with the answers, to make the
//! values. Both walks take the same turns, so that nothing is needed in the second that was not asked in the first.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::convert::{table_key, to_fact, to_field, to_scalar};
use super::expr::{Compiled, Frame};
use super::mapped::{FieldProblem, MappedField, MatchKey};
use super::rule::{Choice, From, Mapping, MatchRule, Missing, NotFound, Part, Query, Rule, Table, Template};
use super::types::FieldType;
use super::value::is_empty;
use super::words::{At, Cause, problem};
use crate::domain::{ErpId, Fact, FieldValue, LOOK_UP_KINDS, LinkKind, LookUp, Need, Needed, Scalar};

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
    /// By group.
    pub(super) heads: Vec<Vec<Head<'p>>>,
    pub(super) needs: Vec<Need>,
    seen: HashSet<Need>,
    pub(super) problems: Vec<FieldProblem>,
    pub(super) held: Vec<FieldProblem>,
}

/// How a choice went.
enum Tried {
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

/// An answer.
enum Answer {
    Found(ErpId),
    Pending,
    Unanswered(Cause),
}

impl<'p> Pass<'p> {
    pub(super) fn new(mapping: &'p Mapping, answers: Option<&'p Answers>, base: Frame<'p>) -> Self {
        Self {
            mapping,
            answers,
            base,
            heads: Vec::new(),
            needs: Vec::new(),
            seen: HashSet::new(),
            problems: Vec::new(),
            held: Vec::new(),
        }
    }

    pub(super) fn need(&mut self, need: Need) {
        if self.seen.insert(need.clone()) {
            self.needs.push(need);
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

    /// The fields of a set of rules. `prefix` says which row they belong to, e.g. `lines[line_7].`.
    pub(super) fn fields(&mut self, rules: &[Rule], frame: &Frame<'_>, prefix: &str) -> Vec<MappedField> {
        let mut fields = Vec::with_capacity(rules.len());
        let gathering = self.answers.is_none();
        for rule in rules.iter().filter(|rule| !gathering || rule.asks()) {
            if let Some(value) = self.rule(rule, frame, prefix) {
                fields.push(MappedField {
                    target: rule.target.clone(),
                    value,
                    source: rule.text.clone(),
                    truth: rule.truth,
                    lossy: rule.lossy,
                    create_only: rule.create_only,
                    line: rule.line,
                });
            }
        }
        fields
    }

    /// The value of one rule; none when the field is left alone, or not known yet, or a problem was reported.
    pub(super) fn rule(&mut self, rule: &Rule, frame: &Frame<'_>, prefix: &str) -> Option<FieldValue> {
        let mut applied = false;
        let mut cause = Cause::Missing;
        for choice in &rule.choices {
            match self.choice(rule, choice, frame, prefix) {
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
                    let at = At::rule(rule, format!("{prefix}{}", rule.target));
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
        let missing = rule.choices.last().and_then(|last| last.missing.clone());
        // `{ value = …, when = … }` alone reads "write it when": it is left alone otherwise.
        let conditional = rule.choices.len() == 1 && !applied;
        let at = At::rule(rule, format!("{prefix}{}", rule.target));
        match missing {
            Some(Missing::Skip) => None,
            None | Some(Missing::Fail) if conditional => None,
            None | Some(Missing::Fail) => {
                self.report(&at, &cause, false);
                None
            }
            Some(Missing::Clear) => Some(cleared(rule.kind)),
            Some(Missing::Hold) => {
                self.report(&at, &cause, true);
                None
            }
            Some(Missing::Default(value)) => Some(value),
        }
    }

    fn choice(&mut self, rule: &Rule, choice: &Choice, frame: &Frame<'_>, prefix: &str) -> Tried {
        let target = || format!("{prefix}{}", rule.target);
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
                    None => match to_field(&fact, rule.kind) {
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
            From::Link { kind, id } => match self.text(rule, id, frame, prefix) {
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
            From::LookUp(query) => match self.look_up(rule, query, frame, prefix) {
                Ok(Some(look_up)) => match self.known(choice, query, look_up) {
                    Answer::Found(id) => Tried::Value(FieldValue::Record(id)),
                    Answer::Pending => Tried::Stop,
                    Answer::Unanswered(cause) => unanswered(cause, choice.not_found),
                },
                Ok(None) => Tried::Empty,
                Err(tried) => tried,
            },
            From::LookUps { each, query } => self.look_ups(rule, choice, each, query, frame, prefix),
            From::SameAs(at) => {
                let mapping = self.mapping;
                let base = self.base.clone();
                match mapping
                    .fields
                    .get(*at)
                    .and_then(|same| self.rule(same, &base, ""))
                {
                    Some(value) => Tried::Value(value),
                    None => Tried::Stop,
                }
            }
        };
        match (tried, &choice.if_found) {
            (Tried::Value(value), Some(query)) => self.if_found(rule, choice, value, query, frame, prefix),
            (tried, _) => tried,
        }
    }

    /// The value, when the ERP has the record that it names.
    fn if_found(
        &mut self,
        rule: &Rule,
        choice: &Choice,
        value: FieldValue,
        query: &Query,
        frame: &Frame<'_>,
        prefix: &str,
    ) -> Tried {
        let fact = to_fact(&value);
        let frame = frame.with(&fact);
        match self.look_up(rule, query, &frame, prefix) {
            Ok(Some(look_up)) => match self.answer(Need::LookUp(look_up)) {
                Answer::Found(_) => Tried::Value(value),
                Answer::Pending => Tried::Stop,
                // That there are several is no obstacle: the value itself is what is written.
                Answer::Unanswered(Cause::Ambiguous(..)) => Tried::Value(value),
                Answer::Unanswered(cause) => unanswered(cause, choice.not_found),
            },
            Ok(None) => Tried::Empty,
            Err(tried) => tried,
        }
    }

    fn look_ups(
        &mut self,
        rule: &Rule,
        choice: &Choice,
        each: &Compiled,
        query: &Query,
        frame: &Frame<'_>,
        prefix: &str,
    ) -> Tried {
        let at = At::rule(rule, format!("{prefix}{}", rule.target));
        let items = match each.value(frame) {
            Ok(fact) => fact,
            Err(reason) => {
                self.report(&at, &Cause::Failed(reason), false);
                return Tried::Stop;
            }
        };
        let Fact::List(items) = &*items else {
            return Tried::Empty;
        };
        let mut found = Vec::with_capacity(items.len());
        let mut pending = false;
        for item in items {
            let look_up = match self.look_up(rule, query, &frame.with(item), prefix) {
                Ok(Some(look_up)) => look_up,
                Ok(None) => {
                    self.report(&at, &Cause::Missing, false);
                    return Tried::Stop;
                }
                Err(tried) => return tried,
            };
            match self.known(choice, query, look_up) {
                Answer::Found(id) if found.contains(&id) => {
                    self.report(&at, &Cause::Twice(id), choice.not_found == NotFound::Hold);
                    return Tried::Stop;
                }
                Answer::Found(id) => found.push(id),
                Answer::Pending => pending = true,
                Answer::Unanswered(cause) => {
                    self.report(&at, &cause, choice.not_found == NotFound::Hold);
                    pending = true;
                }
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

    /// The answer to a look-up: what the mapping's table says of it, before the ERP is asked.
    fn known(&mut self, choice: &Choice, query: &Query, look_up: LookUp) -> Answer {
        if let Some(table) = &choice.table {
            for key in table_keys(query, &look_up) {
                if let Some(FieldValue::Integer(id)) = table.entries.get(&key) {
                    return Answer::Found(ErpId(*id));
                }
                if table.todo.contains_key(&key) {
                    return Answer::Unanswered(todo(table, key));
                }
            }
        }
        self.answer(Need::LookUp(look_up))
    }

    fn answer(&mut self, need: Need) -> Answer {
        let Some(answers) = self.answers else {
            self.need(need);
            return Answer::Pending;
        };
        match (answers.get(&need), need) {
            (Some(Needed::Found(id)), _) => Answer::Found(*id),
            (Some(Needed::Missing), Need::Link { kind, source_id }) => {
                Answer::Unanswered(Cause::NotLinked { kind, id: source_id })
            }
            (Some(Needed::Missing), Need::LookUp(look_up)) => Answer::Unanswered(Cause::NotFound(look_up)),
            (Some(Needed::Ambiguous(ids)), Need::LookUp(look_up)) => {
                Answer::Unanswered(Cause::Ambiguous(look_up, ids.clone()))
            }
            (Some(Needed::Ambiguous(_)), Need::Link { kind, source_id }) => {
                Answer::Unanswered(Cause::NotLinked { kind, id: source_id })
            }
            (None, Need::Link { kind, .. }) => {
                Answer::Unanswered(Cause::NotGathered(format!("link of {kind}")))
            }
            (None, Need::LookUp(look_up)) => Answer::Unanswered(Cause::NotGathered(look_up.kind)),
        }
    }

    /// The look-up for these facts; none when one of its keys is empty.
    fn look_up(
        &mut self,
        rule: &Rule,
        query: &Query,
        frame: &Frame<'_>,
        prefix: &str,
    ) -> Result<Option<LookUp>, Tried> {
        let mut keys = BTreeMap::new();
        for (name, compiled) in &query.keys {
            let scalar = match compiled.value(frame) {
                Ok(fact) if is_empty(&fact) => return Ok(None),
                Ok(fact) => to_scalar(&fact),
                Err(reason) => Err(Cause::Failed(reason)),
            };
            match scalar {
                Ok(scalar) => drop(keys.insert(name.clone(), scalar)),
                Err(cause) => {
                    self.report(&At::rule(rule, format!("{prefix}{}", rule.target)), &cause, false);
                    return Err(Tried::Stop);
                }
            }
        }
        Ok(Some(LookUp {
            kind: query.kind.clone(),
            keys,
        }))
    }

    /// An expression as an id.
    fn text(
        &mut self,
        rule: &Rule,
        compiled: &Compiled,
        frame: &Frame<'_>,
        prefix: &str,
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
        self.report(&At::rule(rule, format!("{prefix}{}", rule.target)), &cause, false);
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
        prefix: &str,
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
                        let target = format!("{prefix}match.{name}");
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

/// How a look-up is called in a table: its keys in the order of the mapping, a yes by its name, a no by `not` and its name;
/// the most special name first, each further one without the last key, down to the keys that must be given. A `no` of a
/// key that need not be given is left out.
fn table_keys(query: &Query, look_up: &LookUp) -> Vec<String> {
    let kind = LOOK_UP_KINDS.iter().find(|kind| kind.name == query.kind);
    let mut words: Vec<String> = Vec::new();
    let mut required = 0;
    for (name, _) in &query.keys {
        let needed = kind.is_some_and(|kind| kind.required.contains(&name.as_str()));
        let word = match look_up.keys.get(name) {
            Some(Scalar::Bool(true)) => name.clone(),
            Some(Scalar::Bool(false)) if needed => format!("not {name}"),
            Some(Scalar::Bool(false)) | None => continue,
            Some(value) => value.to_string(),
        };
        words.push(word);
        if needed {
            required = words.len();
        }
    }
    (required.max(1)..=words.len())
        .rev()
        .map(|count| words[..count].join(" "))
        .collect()
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

/// An entry that a person has yet to fill in.
fn todo(table: &Table, key: String) -> Cause {
    let (file, line) = table.todo.get(&key).cloned().unwrap_or_default();
    Cause::Todo {
        table: table.name.clone(),
        key,
        file,
        line,
    }
}

fn cleared(kind: FieldType) -> FieldValue {
    if kind == FieldType::Records {
        FieldValue::Records(Vec::new())
    } else {
        FieldValue::Clear
    }
}
