//! A shop's tables as people see them, and what a change of one entry would do: shown before it is done.
//!
//! What is agreed to is the difference that was shown. A file that changed meanwhile is shown anew, and a second click finds
//! everything as it is wanted.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Reviewer;
use super::tables::{TableEdit, TableEditError, Write, check};
use crate::app::edit::unified;
use crate::app::suggest::file::Tables;
use crate::domain::ShopName;
use crate::mapping::Mappings;
use crate::store::{AuditFilter, AuditRow, SharedStore, StoreError};

pub use crate::app::suggest::{TableChoice, table_choices};

/// The longest name of a table or an entry, and the longest value, in bytes.
const LONGEST: usize = 300;

/// A table as a shop goes by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableView {
    /// Its name.
    pub name: String,
    /// Its entries, by key.
    pub entries: Vec<EntryView>,
    /// How many of them are still to be filled in.
    pub todos: usize,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryView {
    /// What the shop calls it.
    pub key: String,
    /// What the ERP calls it, or the number of its record; nothing where it is still to be filled in.
    pub value: Option<String>,
    /// The file that it stands in.
    pub file: String,
    /// Whether that is the shop's own file; else it is the mapping's.
    pub is_own: bool,
}

/// What a change of an entry would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryPlan {
    /// The change.
    pub edit: TableEdit,
    /// The change of the file as a unified difference; empty where nothing changes.
    pub diff: String,
    /// Stands for exactly this change of exactly this file.
    pub hash: String,
}

/// What became of a change that somebody agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// It was made.
    Made(TableEdit),
    /// The file has changed since: this is what it would be now. Nothing was written.
    Differs(EntryPlan),
    /// It stands like that already.
    Already(TableEdit),
}

/// An edit of a table as the audit log keeps it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PastEdit {
    /// The line of the audit log.
    #[serde(flatten)]
    pub row: AuditRow,
    /// The table.
    pub table: String,
    /// The entry.
    pub key: String,
    /// What stood there.
    pub before: Option<String>,
    /// What was put there.
    pub after: Option<String>,
}

/// The tables that a shop goes by.
pub fn tables_of(mappings: &Mappings, shop: &ShopName) -> Vec<TableView> {
    mappings
        .tables_of(shop.as_str())
        .into_iter()
        .map(|(name, rows)| TableView {
            name,
            todos: rows.iter().filter(|row| row.value.is_none()).count(),
            entries: rows
                .into_iter()
                .map(|row| EntryView {
                    key: row.key,
                    value: row.value.map(|value| value.to_string()),
                    file: row.file,
                    is_own: row.is_own,
                })
                .collect(),
        })
        .collect()
}

/// What a change of an entry of a shop's own tables would do. Writes nothing, and waits for nobody who does.
///
/// # Errors
/// When it cannot be made: the file cannot be used, or the mappings could not with this entry.
pub async fn plan_entry(
    folder: Option<&Path>,
    shop: &ShopName,
    (table, key): (&str, &str),
    to: Option<&str>,
) -> Result<EntryPlan, TableEditError> {
    sound(table, key, to)?;
    let folder = folder.ok_or(TableEditError::NoFolder)?.to_owned();
    let shop = shop.clone();
    let (table, key, to) = (table.to_owned(), key.to_owned(), to.map(str::to_owned));
    // All mappings are read and checked: not on a thread that others need.
    let planned = tokio::task::spawn_blocking(move || {
        let mut tables = Tables::look(&folder, &shop)?;
        planned(&mut tables, &folder, (&table, &key), to.as_deref())
    });
    planned.await.map_err(|_| TableEditError::Broken)?
}

/// Makes the change in the tables, which are not saved, and says what it would do to their file.
pub(super) fn planned(
    tables: &mut Tables,
    folder: &Path,
    (table, key): (&str, &str),
    to: Option<&str>,
) -> Result<EntryPlan, TableEditError> {
    let old = tables.was().to_owned();
    let before = tables.set(table, key, to);
    let edit = TableEdit {
        file: tables.path.clone(),
        table: table.to_owned(),
        key: key.to_owned(),
        after: to.map(str::to_owned),
        before,
    };
    let new = if edit.before == edit.after {
        old.clone()
    } else {
        check(folder, &edit.file, tables.text())?;
        tables.text()
    };
    Ok(EntryPlan {
        diff: unified(&name(&edit.file), (&old, &old), (&new, &new)),
        hash: hex::encode(&Sha256::digest([old.as_str(), new.as_str()].join("\0"))[..16]),
        edit,
    })
}

fn name(file: &Path) -> String {
    file.file_name().map_or_else(
        || file.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Whether these can be names and a value: what is no line of text would be another thing in the file than on the page.
fn sound(table: &str, key: &str, to: Option<&str>) -> Result<(), TableEditError> {
    let named = [("table", Some(table)), ("entry", Some(key)), ("value", to)];
    for (what, text) in named {
        let Some(text) = text else { continue };
        let why = if text.trim().is_empty() {
            "is empty"
        } else if text.len() > LONGEST {
            "is too long"
        } else if text.chars().any(char::is_control) {
            "holds something that is no text"
        } else {
            continue;
        };
        return Err(TableEditError::Unsound { what, why });
    }
    Ok(())
}

impl Reviewer {
    /// Makes a change that was looked at before. `agreed` is the hash of the plan.
    ///
    /// # Errors
    /// As [`plan_entry`], and when the store fails.
    pub async fn set_agreed_entry(
        &self,
        folder: Option<&Path>,
        shop: &ShopName,
        entry: (&str, &str),
        to: Option<&str>,
        (reason, agreed): (Option<&str>, &str),
    ) -> Result<Agreed, TableEditError> {
        sound(entry.0, entry.1, to)?;
        let write = Write {
            folder: folder.ok_or(TableEditError::NoFolder)?.to_owned(),
            shop: shop.clone(),
            table: entry.0.to_owned(),
            key: entry.1.to_owned(),
            to: to.map(str::to_owned),
            agreed: Some(agreed.to_owned()),
        };
        self.write_whole(write, reason).await
    }
}

/// The edits of a shop's tables, newest first; of all shops when none is named.
///
/// # Errors
/// When the store fails.
pub async fn past_edits(
    store: &SharedStore,
    shop: Option<&ShopName>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<PastEdit>, StoreError> {
    let filter = AuditFilter {
        shop: shop.cloned(),
        action: Some("edit_table".to_owned()),
        before,
        limit,
        ..AuditFilter::default()
    };
    let rows = store.audit(filter).await?;
    Ok(rows.into_iter().filter_map(past).collect())
}

fn past(row: AuditRow) -> Option<PastEdit> {
    let (table, key) = row.subject.strip_prefix("table:")?.split_once('/')?;
    let value = |name: &str| row.detail.get(name)?.as_str().map(str::to_owned);
    Some(PastEdit {
        table: table.to_owned(),
        key: key.to_owned(),
        before: value("before"),
        after: value("after"),
        row,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Actor, SharedClock, SystemClock, Via};
    use crate::store::testing::open_temp;

    fn tables_file(folder: &Path, shop: &ShopName) -> std::path::PathBuf {
        folder.join(format!("tables.{shop}.toml"))
    }

    #[tokio::test]
    async fn only_the_change_that_was_looked_at_is_made_and_it_can_be_taken_back() {
        let clock: SharedClock = Arc::new(SystemClock);
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let reviewer = Reviewer::new(store.clone(), clock, Actor::new("anna", Via::Console));
        let place = tempfile::tempdir().unwrap();
        let folder = Some(place.path());
        let shop: ShopName = "main".parse().unwrap();
        let entry = ("journal", "klarna");
        let path = tables_file(place.path(), &shop);

        // There is no file yet: the whole of it is the difference.
        let plan = plan_entry(folder, &shop, entry, Some("Klarna")).await.unwrap();
        assert!(
            plan.diff.contains("+[tables.journal]\n+klarna = \"Klarna\"\n"),
            "{}",
            plan.diff
        );
        assert!(!path.exists(), "a look writes nothing");
        std::fs::write(&path, "[tables.journal]\npaypal = \"PayPal\"\n").unwrap();
        let said = (Some("asked accounting"), plan.hash.as_str());
        let differs = reviewer
            .set_agreed_entry(folder, &shop, entry, Some("Klarna"), said)
            .await
            .unwrap();
        let Agreed::Differs(plan) = differs else {
            panic!("{differs:?}")
        };
        assert_eq!(
            plan.diff,
            "--- tables.main.toml\n+++ tables.main.toml\n@@ -1,2 +1,3 @@\n [tables.journal]\n paypal = \"PayPal\"\n+klarna = \
             \"Klarna\"\n"
        );
        assert!(!std::fs::read_to_string(&path).unwrap().contains("klarna"));
        let said = (Some("asked accounting"), plan.hash.as_str());
        let made = async || {
            reviewer
                .set_agreed_entry(folder, &shop, entry, Some("Klarna"), said)
                .await
                .unwrap()
        };
        assert!(matches!(made().await, Agreed::Made(_)));
        assert!(matches!(made().await, Agreed::Already(_)), "a second click");
        let edits = past_edits(&store, Some(&shop), None, 10).await.unwrap();
        assert_eq!(edits.len(), 1, "{edits:?}");
        let edit = &edits[0];
        assert_eq!(
            (
                edit.table.as_str(),
                edit.key.as_str(),
                &edit.before,
                edit.after.as_deref()
            ),
            ("journal", "klarna", &None, Some("Klarna"))
        );
        // Taken back, the file is as it was.
        let back = plan_entry(folder, &shop, entry, None).await.unwrap();
        reviewer
            .set_agreed_entry(folder, &shop, entry, None, (None, &back.hash))
            .await
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "[tables.journal]\npaypal = \"PayPal\"\n"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_changes_of_the_same_state_only_the_first_is_what_was_agreed_to() {
        let clock: SharedClock = Arc::new(SystemClock);
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let reviewer = Reviewer::new(store.clone(), clock, Actor::new("anna", Via::Console));
        let place = tempfile::tempdir().unwrap();
        let folder = Some(place.path());
        let shop: ShopName = "main".parse().unwrap();
        // Whoever changes the tables at this moment keeps nobody from looking.
        let held = Tables::open(place.path(), &shop).unwrap();
        let mut plans = Vec::new();
        for value in ["Klarna", "Bank"] {
            let plan = plan_entry(folder, &shop, ("journal", "klarna"), Some(value)).await;
            plans.push((value, plan.unwrap().hash));
        }
        drop(held);
        let sets = plans.iter().map(|(value, hash)| {
            let entry = ("journal", "klarna");
            reviewer.set_agreed_entry(folder, &shop, entry, Some(value), (None, hash))
        });
        let mut made = Vec::new();
        for set in futures_util::future::join_all(sets).await {
            match set.unwrap() {
                Agreed::Made(edit) => made.push(edit),
                Agreed::Differs(plan) => assert!(plan.edit.before.is_some(), "{plan:?}"),
                Agreed::Already(edit) => panic!("{edit:?}"),
            }
        }
        assert_eq!(made.len(), 1, "{made:?}");
        let edits = past_edits(&store, Some(&shop), None, 10).await.unwrap();
        assert_eq!(edits.len(), 1, "{edits:?}");
        assert_eq!(edits[0].after, made[0].after);
    }

    #[tokio::test]
    async fn what_is_no_name_or_value_is_told() {
        let place = tempfile::tempdir().unwrap();
        let shop: ShopName = "main".parse().unwrap();
        let long = "x".repeat(LONGEST + 1);
        for (table, key, value, expected) in [
            ("", "klarna", "Klarna", "table is empty"),
            ("journal", " ", "Klarna", "entry is empty"),
            ("journal", "a\nb", "Klarna", "entry holds"),
            ("journal", "klarna", "", "value is empty"),
            ("journal", "klarna", long.as_str(), "value is too long"),
        ] {
            let error = plan_entry(Some(place.path()), &shop, (table, key), Some(value))
                .await
                .unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let unknown = plan_entry(Some(place.path()), &shop, ("jornal", "klarna"), Some("Klarna")).await;
        assert!(matches!(unknown, Err(TableEditError::Mistake(_))), "{unknown:?}");
        assert!(matches!(
            plan_entry(None, &shop, ("journal", "klarna"), None).await,
            Err(TableEditError::NoFolder)
        ));
    }

    #[test]
    fn a_shop_goes_by_its_own_entries_and_the_mappings() {
        let place = tempfile::tempdir().unwrap();
        let shop: ShopName = "main".parse().unwrap();
        std::fs::write(
            tables_file(place.path(), &shop),
            "[tables.journal]\ncash = \"Kasse\"\nklarna = \"TODO\"\n",
        )
        .unwrap();
        let mappings = crate::app::mappings::load(Some(place.path())).unwrap();
        let tables = tables_of(&mappings, &shop);
        let journal = tables.iter().find(|table| table.name == "journal").unwrap();
        assert_eq!(journal.todos, 1);
        let told: Vec<String> = journal
            .entries
            .iter()
            .map(|entry| format!("{}={:?} {}", entry.key, entry.value, entry.file))
            .collect();
        assert_eq!(
            told,
            [
                "bank_deposit=Some(\"Bank\") order.in.toml",
                "cash=Some(\"Kasse\") tables.main.toml",
                "klarna=None tables.main.toml",
                "manual=Some(\"Bank\") order.in.toml",
            ]
        );
        let other = tables_of(&mappings, &"other".parse().unwrap());
        let journal = other.iter().find(|table| table.name == "journal").unwrap();
        assert!(journal.entries.iter().all(|entry| !entry.is_own));
    }
}
