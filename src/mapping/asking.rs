//! Questions of a walk and their answers.

use super::convert::to_scalar;
use super::expr::Frame;
use super::pass::{Pass, Place, Tried};
use super::rule::{Choice, Query, Rule};
use super::value::is_empty;
use super::words::{At, Cause};
use crate::domain::{ErpId, LookUp, Need, Needed, Scalar};

/// How many of the last look-ups a new one is compared with, before it is asked as if it were the first of its kind.
const RECENT: usize = 8;

/// An answer.
pub(super) enum Answer {
    Found(ErpId),
    Pending,
    Unanswered(Cause),
}

/// A look-up that was asked before. Most rows of an order ask the same, e.g. for one tax.
pub(super) struct Asked<'p> {
    query: &'p Query,
    keys: Vec<Scalar>,
    /// None while gathering.
    found: Option<ErpId>,
}

impl<'p> Pass<'p> {
    pub(super) fn need(&mut self, need: Need) {
        let before = self.needs.len();
        self.needs.entry(need).or_insert(before);
    }

    /// The needs in the order in which they were met.
    pub(super) fn into_needs(self) -> Vec<Need> {
        let mut needs: Vec<(Need, usize)> = self.needs.into_iter().collect();
        needs.sort_unstable_by_key(|(_, before)| *before);
        needs.into_iter().map(|(need, _)| need).collect()
    }

    pub(super) fn answer(&mut self, need: Need) -> Answer {
        let Some(answers) = self.answers else {
            self.need(need);
            return Answer::Pending;
        };
        match (answers.get(&need), need) {
            (Some(Needed::Found(id)), _) => Answer::Found(*id),
            (Some(Needed::Missing), Need::Link { kind, source_id }) => {
                Answer::Unanswered(Cause::NotLinked { kind, id: source_id })
            }
            (Some(Needed::Missing), Need::LookUp(look_up)) => {
                Answer::Unanswered(Cause::NotFound(look_up, None))
            }
            (Some(Needed::Ambiguous(ids)), Need::LookUp(look_up)) => {
                Answer::Unanswered(Cause::Ambiguous(look_up, ids.clone(), None))
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

    /// The answer to the look-up for these facts: from the choice's table if it has one, else from the ERP. None when one of
    /// its keys is empty.
    pub(super) fn look_up(
        &mut self,
        rule: &'p Rule,
        choice: Option<&Choice>,
        query: &'p Query,
        frame: &Frame<'_>,
        place: Place<'_>,
    ) -> Result<Option<Answer>, Tried> {
        let mut keys = Vec::with_capacity(query.keys.len());
        for (_, compiled) in &query.keys {
            let scalar = match compiled.value(frame) {
                Ok(fact) if is_empty(&fact) => return Ok(None),
                Ok(fact) => to_scalar(&fact),
                Err(reason) => Err(Cause::Failed(reason)),
            };
            match scalar {
                Ok(scalar) => keys.push(scalar),
                Err(cause) => {
                    self.report(&At::rule(rule, format!("{place}{}", rule.target)), &cause, false);
                    return Err(Tried::Stop);
                }
            }
        }
        let same = |asked: &&Asked<'_>| std::ptr::eq(asked.query, query) && asked.keys == keys;
        if let Some(asked) = self.asked.iter().rev().take(RECENT).find(same) {
            return Ok(Some(asked.found.map_or(Answer::Pending, Answer::Found)));
        }
        let names = query.keys.iter().map(|(name, _)| name.clone());
        let look_up = LookUp {
            kind: query.kind.clone(),
            keys: names.zip(keys.iter().cloned()).collect(),
        };
        let answer = match choice {
            Some(choice) => self.known(choice, query, look_up),
            None => self.answer(Need::LookUp(look_up)),
        };
        let found = match &answer {
            Answer::Found(id) => Some(*id),
            Answer::Pending => None,
            Answer::Unanswered(_) => return Ok(Some(answer)),
        };
        self.asked.push(Asked { query, keys, found });
        Ok(Some(answer))
    }
}
