//! A record that both sides have, and something about it changed: what differs by a fresh comparison, and what becomes of it.

use super::book::{About, Became, Book};
use super::findings::{Finding, findings};
use super::hand::{GIVEN_UP, TOLD, is_asked};
use super::notes::Question;
use super::shelf::{Sign, Suspect};
use super::weigh::{Seen, left_alone};
use super::{Run, RunError};
use crate::domain::{Direction, DriftClass, DriftFate, JobKey, Link, LinkState, Object};
use crate::sync::{Comparison, expected};

impl Run<'_> {
    /// Both sides have it, and something about it changed.
    pub(super) async fn linked_one(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let (Some(source), Some(link)) = (suspect.source, self.live(&suspect).await?) else {
            return Ok(());
        };
        let is_applied = link
            .source_updated_at
            .is_some_and(|applied| applied >= suspect.updated_at);
        if suspect.sign == Sign::Changed && is_applied && !suspect.is_unsent {
            book.looked.in_step += 1;
            return Ok(());
        }
        let mut amounts = Vec::new();
        self.amounts(&suspect, &link, &mut amounts).await?;
        let comparison = match self.compared(&suspect, source, book).await? {
            Seen::Fresh(comparison) => comparison,
            Seen::Nothing => {
                // What it comes to was read all the same. One that was picked is seen to as what it is.
                for finding in amounts.into_iter().filter(|_| suspect.sign == Sign::Total) {
                    let became = of_amount(finding.class);
                    book.enter(finding.class, &suspect, finding.about, became);
                }
                return Ok(());
            }
        };
        let mut found = findings(&comparison);
        if link.state == LinkState::Adopted {
            self.only_matched(&suspect, found, book);
            return Ok(());
        }
        found.extend(amounts);
        if suspect.is_away && found.iter().all(|finding| finding.class != DriftClass::Archived) {
            found.push(self.put_away(&link));
        }
        let problem_in = problem(comparison.into_erp.as_ref()).filter(|_| comparison.is_carried);
        let problem_out = problem(comparison.out.as_ref());
        let goes = |way| found.iter().any(|finding: &Finding| finding.way == Some(way));
        let mut into = None;
        // Where only the ERP changed it, what the way in makes a problem of has its job by its own sign.
        let is_only_unsent = suspect.is_unsent && matches!(suspect.sign, Sign::Moved | Sign::UnsentVariant);
        if goes(Direction::In) || (problem_in.is_some() && !is_only_unsent) {
            let key = self.key_in(source);
            into = Some(
                self.job_about(&suspect, key, &found, problem_in.as_deref())
                    .await?,
            );
        } else if matches!(suspect.sign, Sign::Changed | Sign::Unnoted)
            && !suspect.is_unsent
            && !self.wanted.dry_run
        {
            // Nothing is carried in, and nobody noted yet what is to stand there: the job does, so that the next run need not read
            // it whole. Where something is to go out, the next run sees to that.
            self.enqueue(self.key_in(source)).await?;
        }
        let mut out = None;
        if goes(Direction::Out) || problem_out.is_some() {
            let key = self.key_out(link.erp_id);
            out = Some(
                self.job_about(&suspect, key, &found, problem_out.as_deref())
                    .await?,
            );
        }
        if found.is_empty() && (into.is_some() || out.is_some()) {
            let field = [comparison.into_erp.as_ref(), comparison.out.as_ref()]
                .into_iter()
                .flatten()
                .find_map(|preview| preview.problem.as_ref()?.field.clone());
            found.push(Finding {
                class: match suspect.sign {
                    Sign::Alive => DriftClass::Archived,
                    _ => DriftClass::FieldDiffers,
                },
                about: About {
                    field,
                    ..About::default()
                },
                way: None,
            });
        }
        if found.is_empty() {
            book.looked.in_step += 1;
            if let (Sign::Edited, Some(moves)) = (suspect.sign, suspect.moves) {
                self.has_told(source, moves, 0).await?;
            }
            return Ok(());
        }
        let (count, mut stands) = (found.len(), true);
        for finding in found {
            // What goes on to the shop is an edit of the record, and says nothing of the mapping.
            if finding.way != Some(Direction::Out) {
                book.correct(&finding.about);
            }
            let became = match finding.way {
                Some(Direction::In) => into.clone(),
                Some(Direction::Out) => out.clone(),
                // That is told by itself, whatever a job asks besides.
                None if is_amount(finding.class) => None,
                None => into.clone().or_else(|| out.clone()).filter(|became| {
                    became.fate == DriftFate::NeedsPerson || became.why.as_deref() == Some(GIVEN_UP)
                }),
            };
            let became = became.unwrap_or_else(|| self.stays(&finding, &comparison));
            stands &= finding.class == DriftClass::FieldDiffers && became.fate == DriftFate::LeftAlone;
            book.enter(finding.class, &suspect, finding.about, became);
        }
        // Where less was found than had moved, something of it is on its way.
        let moves = suspect.moves.filter(|moves| count as u64 >= moves.fields());
        if let (Sign::Moved | Sign::Edited, true, Some(moves)) = (suspect.sign, stands, moves) {
            self.has_told(source, moves, count).await?;
        }
        Ok(())
    }

    /// The job that carries over what differs in its direction, or what a person said to the one that an earlier run made about the
    /// very same. What has a time by which that is told needs no note.
    async fn job_about(
        &self,
        suspect: &Suspect,
        key: JobKey,
        found: &[Finding],
        problem: Option<&str>,
    ) -> Result<Became, RunError> {
        let way = key.direction;
        if suspect.is_unsent && way == Direction::In {
            // It was left aside for the way out, and is no other for that.
            if let Some(hand) = self.hand_of(suspect, &key).await? {
                return Ok(hand);
            }
        }
        if is_asked(suspect.sign) && !suspect.is_unsent {
            return Ok(told(self.repair(key).await?, problem));
        }
        let differs: Vec<&Finding> = found.iter().filter(|finding| finding.way == Some(way)).collect();
        let question = Question::of_record(&key, format!("{differs:?}\0{problem:?}"));
        if let Some(given_up) = self.given_up(&question).await? {
            return Ok(given_up);
        }
        let became = self.repair(key).await?;
        if let Some(job) = became.job {
            self.has_asked(&question, job).await?;
        }
        Ok(told(became, problem))
    }

    /// What differs of two records that were matched and of which nobody wrote anything yet: told, and left as it stands. The
    /// first change of either side decides by the mapping's `truth`; a run must not write over a catalogue ahead of that.
    fn only_matched(&self, suspect: &Suspect, found: Vec<Finding>, book: &mut Book) {
        book.looked.adopted += 1;
        for finding in found {
            let became = Became::left_alone("only_matched");
            book.enter(finding.class, suspect, finding.about, became);
        }
    }

    /// An order that comes to something else, and of which there is a job: one that waits for a person is no answer to it, and
    /// while one is at work it is too early to tell.
    pub(super) async fn amounts_first(
        &self,
        suspect: Suspect,
        hand: Became,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let Some(link) = self.live(&suspect).await? else {
            return Ok(());
        };
        let mut found = Vec::new();
        self.amounts(&suspect, &link, &mut found).await?;
        if found.is_empty() {
            book.enter(DriftClass::FieldDiffers, &suspect, About::default(), hand.clone());
        }
        let is_in_work = hand.fate == DriftFate::InWork;
        book.amounts_in_work |= is_in_work;
        for finding in found {
            let became = if is_in_work {
                hand.clone()
            } else {
                of_amount(finding.class)
            };
            book.enter(finding.class, &suspect, finding.about, became);
        }
        Ok(())
    }

    /// The ERP has it archived or cancelled, and the shop does not.
    pub(super) fn put_away(&self, link: &Link) -> Finding {
        let (field, shopify, erp) = match self.wanted.object {
            Object::Order => ("state", "stands", "cancelled"),
            _ => ("active", "true", "false"),
        };
        Finding {
            class: DriftClass::Archived,
            about: About {
                model: Some(format!("{} {}", link.model, link.erp_id)),
                name: link.erp_name.clone(),
                field: Some(field.to_owned()),
                shopify: Some(shopify.to_owned()),
                erp: Some(erp.to_owned()),
            },
            way: None,
        }
    }

    /// What becomes of a difference that nothing carries over.
    fn stays(&self, finding: &Finding, comparison: &Comparison) -> Became {
        if is_amount(finding.class) {
            return of_amount(finding.class);
        }
        let verdict = comparison
            .into_erp
            .as_ref()
            .map_or("", |into| into.verdict.as_str());
        let rule = if let Some(rule) = left_alone(verdict) {
            rule
        } else if !comparison.is_carried && comparison.out.is_none() {
            "toggle_off".to_owned()
        } else if finding.class == DriftClass::Archived {
            "put_away_in_the_erp".to_owned()
        } else if !comparison.is_carried {
            "toggle_off".to_owned()
        } else if self.wanted.object == Object::Order {
            "booked_as_sold".to_owned()
        } else {
            "changed_in_the_erp".to_owned()
        };
        Became::left_alone(rule)
    }

    /// Whether an order costs what it was booked with, read again.
    pub(super) async fn amounts(
        &self,
        suspect: &Suspect,
        link: &Link,
        found: &mut Vec<Finding>,
    ) -> Result<(), RunError> {
        if self.wanted.object != Object::Order || !matches!(suspect.sign, Sign::Total | Sign::Picked) {
            return Ok(());
        }
        let Some(expected) = expected(link) else {
            return Ok(());
        };
        let standings = self.ask(self.context.erp.order_standings(&[link.erp_id])).await?;
        let Some(now) = standings.first() else {
            return Ok(());
        };
        let amount = |class, field: &str, then: rust_decimal::Decimal, now: rust_decimal::Decimal| Finding {
            class,
            about: About {
                model: Some(format!("{} {}", link.model, link.erp_id)),
                name: link.erp_name.clone(),
                field: Some(field.to_owned()),
                shopify: Some(then.normalize().to_string()),
                erp: Some(now.normalize().to_string()),
            },
            way: None,
        };
        if expected.total != now.total {
            found.push(amount(
                DriftClass::TotalDiffers,
                "total",
                expected.total,
                now.total,
            ));
        }
        if let Some(tax) = expected.tax.filter(|tax| *tax != now.tax) {
            found.push(amount(DriftClass::TaxDiffers, "tax", tax, now.tax));
        }
        Ok(())
    }
}

/// What becomes of an order that comes to something else: a person looks at it.
pub(super) fn of_amount(class: DriftClass) -> Became {
    let told = TOLD.iter().find(|told| told.class == class);
    Became::of(DriftFate::NeedsPerson).because(told.map_or("", |told| told.code))
}

pub(super) const fn is_amount(class: DriftClass) -> bool {
    matches!(class, DriftClass::TotalDiffers | DriftClass::TaxDiffers)
}

fn problem(preview: Option<&crate::sync::Preview>) -> Option<String> {
    Some(preview?.problem.as_ref()?.code.to_string())
}

/// What becomes of a job that will ask a person.
fn told(became: Became, problem: Option<&str>) -> Became {
    match problem {
        Some(code) if became.fate != DriftFate::LeftAlone => Became {
            fate: DriftFate::NeedsPerson,
            ..became.because(code)
        },
        _ => became,
    }
}
