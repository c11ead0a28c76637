//! The plan as Markdown.

use std::fmt::Write as _;

use super::{Amount, Basis, Measured, Recovery, Retries, ShopRecovery, Waiting};
use crate::app::numbers::length;

impl Recovery {
    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for shop in &self.shops {
            shop.write(
                &mut text,
                &self.now.to_utc().format("%Y-%m-%d %H:%M UTC").to_string(),
            );
        }
        text
    }
}

fn line(text: &mut String, line: impl AsRef<str>) {
    text.push_str(line.as_ref());
    text.push('\n');
}

fn list(text: &mut String, items: &[String]) {
    for item in items {
        line(text, format!("- {item}"));
    }
}

impl ShopRecovery {
    fn write(&self, text: &mut String, now: &str) {
        line(text, format!("# If something fails: {} ({now})\n", self.shop));
        line(text, format!("{}\n", self.measured.in_words()));
        line(text, format!("{}\n", self.retries.in_words()));
        line(text, "## What is never lost\n");
        list(text, &self.never_lost);
        for outage in &self.outages {
            line(text, format!("\n## {}\n", outage.down.title()));
            list(text, &outage.happens);
            for after in &outage.lengths {
                let waits = after.waiting.in_words(after.length, &self.time_zone);
                let _infallible = write!(text, "\n**{}.** {waits}", after.length.words());
                for sentence in &after.then {
                    let _infallible = write!(text, " {sentence}");
                }
                text.push('\n');
            }
            line(text, "\nWhat to do:\n");
            for (index, step) in outage.to_do.iter().enumerate() {
                let command = step
                    .command
                    .as_ref()
                    .map_or_else(String::new, |command| format!(" `{command}`"));
                line(text, format!("{}. {}{command}", index + 1, step.why));
            }
        }
        line(text, "\n## Who looks after what needs a person\n");
        line(text, "| Owner | Of | Reached at |\n|---|---|---|");
        for owner in &self.owners {
            let contact = if owner.contact.is_empty() {
                "nowhere: alerts reach nobody".to_owned()
            } else {
                owner.contact.join(", ")
            };
            line(
                text,
                format!("| {} | {} | {contact} |", owner.owner, owner.of.join(", ")),
            );
        }
        text.push('\n');
    }
}

impl Measured {
    /// In words.
    pub fn in_words(&self) -> String {
        let Some(since) = self.since else {
            return "Nothing was measured yet: how much comes and how fast it is done is not known."
                .to_owned();
        };
        let done = match self.best_hour {
            0 => "No job was done yet, so the pace is not known.".to_owned(),
            best => format!(
                "{} jobs towards the ERP and {} towards Shopify were done, {best} of them in the best hour. How long work takes is \
                 reckoned by the best hour of the jobs that wait: where no more came than was done at once, it can be faster.",
                self.jobs_in, self.jobs_out
            ),
        };
        format!(
            "Measured since {} ({} hours): {} deliveries, {} in the busiest hour. {done}",
            since.to_utc().format("%Y-%m-%d %H:00 UTC"),
            self.hours,
            self.deliveries,
            self.busiest_hour
        )
    }
}

impl Retries {
    /// In words.
    pub fn in_words(&self) -> String {
        format!(
            "A job that fails for a reason of its own is tried {} times within {} to {}; then it needs a person. What fails because \
             a whole system is down does not count.",
            self.attempts,
            length(self.least_ms),
            length(self.most_ms)
        )
    }
}

impl Waiting {
    /// In words.
    pub fn in_words(&self, of: super::Length, time_zone: &str) -> String {
        let when = match of {
            super::Length::Hour => "hours".to_owned(),
            super::Length::Day => "times of 24 hours".to_owned(),
            super::Length::Weekend => format!("weekends (Friday 18:00 to Monday 8:00, {time_zone})"),
        };
        let known = match self.basis {
            Basis::Nothing => return "How much waits then was not measured yet.".to_owned(),
            Basis::Measured { times } => format!("by {times} {when}"),
            Basis::Reckoned { hours } => {
                format!("reckoned from the average of {hours} hours: no such {when} were measured yet")
            }
        };
        let amount = |amount: Amount| match amount {
            Amount { usual, most } if usual == most => usual.to_string(),
            Amount { usual, most } => format!("{usual}, and {most} at most"),
        };
        let work = match (self.usual_work_ms, self.most_work_ms) {
            (Some(usual), Some(most)) if self.jobs.most > 0 && usual == most => {
                format!(" They are worked off in about {}.", length(usual))
            }
            (Some(usual), Some(most)) if self.jobs.most > 0 => {
                format!(
                    " They are worked off in about {}, and where the most wait, in about {}.",
                    length(usual),
                    length(most)
                )
            }
            (Some(_), _) => String::new(),
            (None, _) => " How long they take is not known.".to_owned(),
        };
        format!(
            "Deliveries that come in such a time: {}. Jobs that wait: {} ({known}).{work}",
            amount(self.deliveries),
            amount(self.jobs)
        )
    }
}
