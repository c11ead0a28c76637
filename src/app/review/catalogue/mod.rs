//! Every kind of problem that a person may be told of: what it is, where it comes from, what to do, and who usually does it.
//!
//! The page `docs/reference/problems.md` is made of this table. A test reads the sources and fails when a code is used that
//! stands here not, or stands here and is used nowhere.

mod orders;
mod records;
mod systems;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::LOOK_UP_KINDS;

/// What stands in a code for one of several words that it may begin with.
const KIND: &str = "KIND";

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Its code. `KIND` at its beginning stands for any kind of look-up, as in `tax_not_found`.
    pub code: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Where it comes from.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Who usually does it.
    pub who: Usually,
}

/// Who usually fixes a kind of problem. Whose a single problem is says its own owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Usually {
    /// Who looks after orders and customers.
    Support,
    /// Who keeps the books.
    Accounting,
    /// Who looks after products, prices and stock.
    Catalogue,
    /// Who runs lockstep and the two systems.
    Operations,
    /// Nobody: it passes by itself.
    Nobody,
    /// The makers of lockstep.
    Maker,
}

impl Usually {
    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Accounting => "accounting",
            Self::Catalogue => "products and stock",
            Self::Operations => "operations",
            Self::Nobody => "nobody: it passes by itself",
            Self::Maker => "the makers of lockstep",
        }
    }
}

/// The chapters of the page.
const CHAPTERS: [(&str, &[Entry]); 3] = [
    ("Orders and what follows them", orders::ENTRIES),
    ("Records and mappings", records::ENTRIES),
    ("Systems, installation, lockstep itself", systems::ENTRIES),
];

/// Every kind of problem.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    CHAPTERS.iter().flat_map(|(_, entries)| entries.iter())
}

/// What is known of a code.
pub fn entry(code: &str) -> Option<&'static Entry> {
    entries().find(|entry| match entry.code.strip_prefix(KIND) {
        Some(rest) => code
            .strip_suffix(rest)
            .is_some_and(|kind| LOOK_UP_KINDS.iter().any(|known| known.name == kind)),
        None => entry.code == code,
    })
}

/// `docs/reference/problems.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Problems\n\n\
         Made from the table in `src/app/review/catalogue`; do not edit.\n\n\
         Every failure that needs a person has one of these codes. `lockstep jobs clusters` shows the open ones by cause, \
         `lockstep jobs show JOB` one of them with its record, field and owner. After the fix, \
         `lockstep jobs retry --cluster CAUSE` tries all of one cause again.\n",
    );
    for (chapter, entries) in CHAPTERS {
        let _infallible = write!(page, "\n## {chapter}\n");
        for entry in entries {
            let _infallible = write!(
                page,
                "\n### `{}`\n\n**{}.** {}\n\n- *What to do:* {}\n- *Who usually:* {}\n",
                entry.code,
                entry.title,
                entry.cause,
                entry.fix,
                entry.who.title()
            );
        }
    }
    page
}
