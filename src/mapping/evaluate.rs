//! Evaluating a mapping: what must be asked for a record, what is left alone, and what is to be written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::expr::Frame;
use super::mapped::{FieldProblem, Keys, Mapped, MappedGroup, Skip, Stage};
use super::pass::{Answers, Pass, Place};
use super::rule::{From, Group, Mapping, MatchRule, Rule};
use super::value::is_empty;
use super::words::{At, Cause};
use crate::domain::{Fact, FieldNeed, Need};

impl Mapping {
    /// Whether existing records are recognised by values of theirs, and not by link and external id alone.
    pub fn matches_existing(&self) -> bool {
        !self.match_keys.is_empty()
    }

    /// Whether this record is left alone, and why. Pure.
    ///
    /// # Errors
    /// When a condition cannot be worked out for this record.
    pub fn skip(&self, record: &Fact, settings: &Fact) -> Result<Option<Skip>, Vec<FieldProblem>> {
        let answers = Answers::new();
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, Some(&answers), frame(record, settings, &lets));
        let base = pass.base.clone();
        for rule in &self.skips {
            match rule.when.holds(&base) {
                Ok(false) => {}
                Ok(true) => {
                    return Ok(Some(Skip {
                        reason: rule.reason.clone(),
                        line: rule.line,
                    }));
                }
                Err(reason) => {
                    let at = At {
                        target: "skip".into(),
                        source: &rule.when.text,
                        line: rule.line,
                        owner: None,
                    };
                    pass.report(&at, &Cause::Failed(reason), false);
                }
            }
        }
        if pass.problems.is_empty() {
            Ok(None)
        } else {
            Err(pass.problems)
        }
    }

    /// The external id of this record. Pure, and without any answer: it is known before anything is gathered.
    ///
    /// # Errors
    /// When a value in it is missing.
    pub fn identity(&self, record: &Fact, settings: &Fact) -> Result<String, Vec<FieldProblem>> {
        let answers = Answers::new();
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, Some(&answers), frame(record, settings, &lets));
        let base = pass.base.clone();
        pass.external_id(&self.external_id, &base, "external_id")
            .ok_or(pass.problems)
    }

    /// The values by which an existing record is recognised, of the record and of its rows. Pure, and without any answer.
    ///
    /// # Errors
    /// When one of them cannot be worked out.
    pub fn keys(&self, record: &Fact, settings: &Fact) -> Result<Keys, Vec<FieldProblem>> {
        let answers = Answers::new();
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, Some(&answers), frame(record, settings, &lets));
        let base = pass.base.clone();
        pass.heads(&base, |group| !group.match_keys.is_empty());
        let own = pass.match_keys(&self.match_keys, &base, Place::Record);
        let rows = pass.row_keys(&base);
        if pass.problems.is_empty() {
            Ok(Keys { own, rows })
        } else {
            Err(pass.problems)
        }
    }

    /// The ways to recognise an existing record, best first: the line of each, and the target's fields that it compares.
    /// `group` names the rows that are meant; none means the record.
    pub fn key_fields(&self, group: Option<&str>) -> Vec<(usize, Vec<&str>)> {
        let rules = match group {
            None => Some(&self.match_keys),
            Some(name) => {
                let group = self.groups.iter().find(|group| group.name == name);
                group.map(|group| &group.match_keys)
            }
        };
        let rules = rules.into_iter().flatten();
        rules.map(|rule| (rule.line, names_of(rule))).collect()
    }

    /// How far an order is to be carried, where that follows from the record alone. Pure.
    pub fn early_stage(&self, record: &Fact, settings: &Fact) -> Option<Stage> {
        let rule = self.stage.as_ref().filter(|rule| !rule.asks())?;
        let answers = Answers::new();
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, Some(&answers), frame(record, settings, &lets));
        let base = pass.base.clone();
        // What is wrong with it is found again, and reported, when the record is evaluated.
        pass.stage(rule, &base)
    }

    /// Which links and look-ups this record needs, each once, in the order in which they are met. Pure. What is wrong
    /// with the record is found by [`Mapping::evaluate`], all at once.
    pub fn needs(&self, record: &Fact, settings: &Fact) -> Vec<Need> {
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, None, frame(record, settings, &lets));
        let base = pass.base.clone();
        pass.heads(&base, |_| true);
        pass.gather(&self.fields, &base);
        pass.gather_rows(&base);
        if let Some(stage) = &self.stage {
            drop(pass.rule(stage, &base, Place::Record));
        }
        pass.into_needs()
    }

    /// The records of their own that the record refers to (groups with a link and without a field): they are made first,
    /// their links then answer what the record itself needs. Pure.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn prepare(
        &self,
        record: &Fact,
        settings: &Fact,
        answers: &Answers,
    ) -> Result<Vec<MappedGroup>, Vec<FieldProblem>> {
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, Some(answers), frame(record, settings, &lets));
        let base = pass.base.clone();
        pass.heads(&base, Group::is_own);
        let groups = pass.groups(&base, Group::is_own);
        pass.problems.append(&mut pass.held);
        if pass.problems.is_empty() {
            Ok(groups)
        } else {
            Err(pass.problems)
        }
    }

    /// What is to be written for this record. Pure: every need has its answer, or what the mapping says about missing ones
    /// applies.
    ///
    /// # Errors
    /// Everything that is wrong, each with field, reason, fix and owner.
    pub fn evaluate(
        &self,
        record: &Fact,
        settings: &Fact,
        answers: &Answers,
    ) -> Result<Mapped, Vec<FieldProblem>> {
        let lets = self.lets(record, settings);
        let mut pass = Pass::new(self, Some(answers), frame(record, settings, &lets));
        let base = pass.base.clone();
        pass.heads(&base, |_| true);
        let external_id = pass.external_id(&self.external_id, &base, "external_id");
        let fields = pass.fields(&self.fields, &base, Place::Record);
        let mut groups = pass.groups(&base, |_| true);
        let match_keys = pass.match_keys(&self.match_keys, &base, Place::Record);
        let stage = self.stage.as_ref().and_then(|rule| pass.stage(rule, &base));
        let (Some(external_id), true) = (external_id, pass.problems.is_empty()) else {
            return Err(pass.problems);
        };
        for group in groups.iter_mut().filter(|group| group.field.is_some()) {
            for row in &mut group.rows {
                row.external_id = format!("{external_id}_{}", row.key);
            }
        }
        Ok(Mapped {
            model: self.model.clone(),
            external_id,
            fields,
            groups,
            match_keys,
            adopt_exact: self.adopt_exact,
            stage,
            held: pass.held,
        })
    }

    /// The values behind the mapping's own names.
    fn lets(&self, record: &Fact, settings: &Fact) -> Vec<Fact> {
        let mut values: Vec<Fact> = Vec::with_capacity(self.lets.len());
        for rule in &self.lets {
            let found = {
                let frame = frame(record, settings, &values);
                // One that cannot be worked out counts as empty: whatever needs it says so.
                rule.first_of
                    .iter()
                    .filter_map(|compiled| compiled.value(&frame).ok())
                    .find(|fact| !is_empty(fact))
                    .map(Cow::into_owned)
            };
            values.push(found.unwrap_or(Fact::Null));
        }
        values
    }

    /// The fields that are left out where the ERP lacks them, each with its model.
    pub fn optional_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = std::iter::once((self.model.as_str(), &self.fields));
        let groups = self
            .groups
            .iter()
            .map(|group| (group.model.as_str(), &group.fields));
        own.chain(groups).flat_map(|(model, rules)| {
            let optional = rules.iter().filter(|rule| rule.optional && self.out.is_none());
            optional.map(move |rule| (model, &*rule.target))
        })
    }

    /// Which fields of which models this mapping writes or searches by with these settings, for `check --live`. A field
    /// that only a setting fills is not among them while the shop does not use that setting.
    pub fn targets(&self, settings: Option<&Fact>) -> BTreeMap<String, Vec<FieldNeed>> {
        let mut targets: BTreeMap<String, Vec<FieldNeed>> = BTreeMap::new();
        if self.out.is_some() {
            // It writes to the shop, whose fields are known at load.
            return targets;
        }
        let mut add = |model: &str, name: &str, written: bool, optional: bool, line: usize| {
            let known = targets.entry(model.to_owned()).or_default();
            let need = FieldNeed {
                name: name.to_owned(),
                written,
                optional,
                place: format!("{}:{line}", self.file),
            };
            match known.iter_mut().find(|known| known.name == name) {
                // Where it is written weighs more.
                Some(known) if written && !known.written => *known = need,
                Some(_) => {}
                None => known.push(need),
            }
        };
        let used = |rule: &&Rule| settings.is_none_or(|settings| !rule.is_unused(settings));
        let own = (&self.model, &self.fields, &self.match_keys);
        let groups = self
            .groups
            .iter()
            .map(|group| (&group.model, &group.fields, &group.match_keys));
        for (model, fields, match_keys) in std::iter::once(own).chain(groups) {
            for rule in fields.iter().filter(used) {
                add(model, &rule.target, true, rule.optional, rule.line);
            }
            for rule in match_keys {
                for (name, _) in &rule.equal {
                    add(model, name, false, false, rule.line);
                }
            }
        }
        for group in &self.groups {
            if let Some(field) = &group.field {
                add(&self.model, field, true, false, group.line);
            }
        }
        targets
    }
}

impl Rule {
    /// Whether it does nothing because its one source is a setting that the shop leaves empty.
    fn is_unused(&self, settings: &Fact) -> bool {
        let [choice] = self.choices.as_slice() else {
            return false;
        };
        let From::Value(compiled) = &choice.from else {
            return false;
        };
        compiled
            .text
            .strip_prefix("settings.")
            .and_then(|name| settings.at(name))
            .is_some_and(|fact| *fact == Fact::Null)
    }
}

fn names_of(rule: &MatchRule) -> Vec<&str> {
    rule.equal.iter().map(|(name, _)| name.as_str()).collect()
}

fn frame<'f>(record: &'f Fact, settings: &'f Fact, lets: &'f [Fact]) -> Frame<'f> {
    let mut slots = Vec::with_capacity(2 + lets.len());
    slots.extend([record, settings]);
    slots.extend(lets);
    Frame { slots }
}
