//! The rows of groups: which there are, their keys, and their fields.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use super::expr::Frame;
use super::mapped::{MappedGroup, MappedRow, MatchKey, Stage};
use super::pass::{Head, Pass, Place};
use super::rule::{Group, RowSource, Rule, Template, stage_named};
use super::value::is_empty;
use super::words::{At, Cause};
use crate::domain::{Fact, FieldValue, Need, Needed};

impl Group {
    /// Whether its rows are records of their own beside the record: by role (an order's addresses), or made once and then
    /// left as they are (a customer's further ones).
    pub(super) fn is_own(&self) -> bool {
        self.field.is_none()
            && self.link.is_some()
            && (self.once || matches!(self.source, RowSource::Roles(_)))
    }
}

impl<'p> Pass<'p> {
    /// Finds the rows of the groups that are wanted, and their keys.
    pub(super) fn heads(&mut self, base: &Frame<'p>, wanted: impl Fn(&Group) -> bool) {
        let mapping = self.mapping;
        let mut all = Vec::with_capacity(mapping.groups.len());
        for group in &mapping.groups {
            let heads = if wanted(group) {
                self.group_heads(group, base)
            } else {
                Vec::new()
            };
            if let Some(kind) = group.link
                && self.answers.is_none()
            {
                for head in &heads {
                    self.need(Need::Link {
                        kind,
                        source_id: head.key.clone(),
                    });
                }
            }
            all.push(heads);
        }
        self.heads = Rc::new(all);
    }

    fn group_heads(&mut self, group: &'p Group, base: &Frame<'p>) -> Vec<Head<'p>> {
        let at = At {
            target: group.name.clone(),
            source: &group.name,
            line: group.line,
            owner: None,
        };
        let mut items: Vec<(Cow<'p, Fact>, Fact, usize)> = Vec::new();
        let digits = base.slots.get(1).and_then(|settings| price_digits(settings));
        match &group.source {
            RowSource::Each(each) => match each.value(base) {
                Ok(Cow::Borrowed(Fact::List(list))) => {
                    for (n, item) in list.iter().enumerate() {
                        let split = super::discounts::split(item, group.discounts, digits);
                        match split {
                            Ok(None) => items.push((Cow::Borrowed(item), position(items.len()), n)),
                            Ok(Some(rows)) => {
                                for row in rows {
                                    items.push((Cow::Owned(row), position(items.len()), n));
                                }
                            }
                            Err(super::discounts::NoUnits) => self.report(&at, &Cause::NoUnits, false),
                        }
                    }
                }
                Ok(Cow::Owned(Fact::List(list))) => {
                    for (n, item) in list.into_iter().enumerate() {
                        items.push((Cow::Owned(item), position(n), n));
                    }
                }
                Ok(_) => {}
                Err(reason) => self.report(&at, &Cause::Failed(reason), false),
            },
            RowSource::Roles(roles) => {
                for (n, (role, compiled)) in roles.iter().enumerate() {
                    match compiled.value(base) {
                        Ok(fact) if is_empty(&fact) => {}
                        Ok(fact) => items.push((fact, Fact::Text(role.clone()), n)),
                        Err(reason) => self.report(&at, &Cause::Failed(reason), false),
                    }
                }
            }
        }
        let mut heads = Vec::with_capacity(items.len());
        for (item, second, source_index) in items {
            let frame = base.with_row(&item, &second);
            let holds = match group.when.as_ref().map(|when| when.holds(&frame)) {
                None | Some(Ok(true)) => true,
                Some(Ok(false)) => false,
                Some(Err(reason)) => {
                    self.report(&at, &Cause::Failed(reason), false);
                    false
                }
            };
            if holds && let Some(key) = self.external_id(&group.key, &frame, &format!("{}.key", group.name)) {
                heads.push(Head {
                    key,
                    item,
                    second,
                    source_index,
                });
            }
        }
        heads
    }

    /// The rows of the groups that are wanted.
    pub(super) fn groups(&mut self, base: &Frame<'p>, wanted: impl Fn(&Group) -> bool) -> Vec<MappedGroup> {
        let mapping = self.mapping;
        let heads = Rc::clone(&self.heads);
        let mut groups = Vec::new();
        for (group, heads) in mapping.groups.iter().zip(&*heads) {
            if !wanted(group) {
                continue;
            }
            let rows = once_each(heads).map(|head| self.row(group, head, base)).collect();
            groups.push(MappedGroup {
                name: group.name.clone(),
                field: group.field.clone(),
                model: group.model.clone(),
                once: group.once,
                rows,
            });
        }
        groups
    }

    /// Goes through the rows for what their rules ask.
    pub(super) fn gather_rows(&mut self, base: &Frame<'p>) {
        let mapping = self.mapping;
        let heads = Rc::clone(&self.heads);
        for (group, heads) in mapping.groups.iter().zip(&*heads) {
            if group.fields.iter().any(Rule::asks) {
                for head in once_each(heads) {
                    self.gather(&group.fields, &base.with_row(&head.item, &head.second));
                }
            }
        }
    }

    /// The ways to recognise each row, by its group and its key.
    pub(super) fn row_keys(&mut self, base: &Frame<'p>) -> Vec<(String, String, Vec<MatchKey>)> {
        let mapping = self.mapping;
        let heads = Rc::clone(&self.heads);
        let mut keys = Vec::new();
        for (group, heads) in mapping.groups.iter().zip(&*heads) {
            for head in once_each(heads) {
                let frame = base.with_row(&head.item, &head.second);
                let place = Place::Row {
                    group: &group.name,
                    key: &head.key,
                };
                let of_row = self.match_keys(&group.match_keys, &frame, place);
                keys.push((group.name.clone(), head.key.clone(), of_row));
            }
        }
        keys
    }

    fn row(&mut self, group: &'p Group, head: &Head<'_>, base: &Frame<'_>) -> MappedRow {
        let frame = base.with_row(&head.item, &head.second);
        let place = Place::Row {
            group: &group.name,
            key: &head.key,
        };
        let link = group.link.map(|kind| Need::Link {
            kind,
            source_id: head.key.clone(),
        });
        let linked = link.as_ref().and_then(|need| match self.answers?.get(need) {
            Some(Needed::Found(id)) => Some(*id),
            _ => None,
        });
        MappedRow {
            external_id: group
                .link
                .map_or_else(|| head.key.clone(), |kind| format!("{kind}_{}", head.key)),
            key: head.key.clone(),
            link,
            linked,
            fields: self.fields(&group.fields, &frame, place),
            match_keys: self.match_keys(&group.match_keys, &frame, place),
            source_index: head.source_index,
        }
    }

    /// A template that makes an id of letters, digits and `_`.
    pub(super) fn external_id(
        &mut self,
        template: &Template,
        frame: &Frame<'_>,
        target: &str,
    ) -> Option<String> {
        let id = self.id(template, frame, target)?;
        let sound = id.len() <= 100 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !sound {
            let at = At {
                target: target.to_owned(),
                source: &template.text,
                line: template.line,
                owner: None,
            };
            let reason = "an id holds at most 100 letters, digits and `_`; `| hash` makes one of any text";
            self.report(&at, &Cause::WrongKind(reason.to_owned()), false);
        }
        sound.then_some(id)
    }

    pub(super) fn stage(&mut self, rule: &'p Rule, base: &Frame<'_>) -> Option<Stage> {
        let value = self.rule(rule, base, Place::Record)?;
        let stage = match &value {
            FieldValue::Text(text) => stage_named(text),
            _ => None,
        };
        if stage.is_none() {
            let reason = "a stage is `confirmed`, `quotation` or `cancelled`".to_owned();
            self.report(
                &At::rule(rule, rule.target.to_string()),
                &Cause::WrongKind(reason),
                false,
            );
        }
        stage
    }
}

/// Two roles can be one record (billing and shipping to one address): it is made once.
fn once_each<'h, 'f>(heads: &'h [Head<'f>]) -> impl Iterator<Item = &'h Head<'f>> {
    let mut seen = HashSet::with_capacity(heads.len());
    heads.iter().filter(move |head| seen.insert(head.key.as_str()))
}

/// How many decimals of a price the ERP keeps, where it does not keep all.
fn price_digits(settings: &Fact) -> Option<u32> {
    match settings.at("price_digits") {
        Some(Fact::Integer(digits)) => u32::try_from(*digits).ok(),
        _ => None,
    }
}

/// The position of the row that follows this many.
fn position(rows: usize) -> Fact {
    Fact::Integer(i64::try_from(rows + 1).unwrap_or(i64::MAX))
}
