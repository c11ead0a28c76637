//! Changing one entry of a shop's tables: the fix of most problems about taxes, ways of paying and places.
//!
//! What is changed is the shop's own file (`tables.SHOP.toml`), never a mapping: it is checked with all mappings before it is
//! written, replaced as a whole, and the audit log keeps what stood there before, so that it can be put back.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;

use super::entries::{Agreed, planned};
use super::{Reviewer, whole};
use crate::app::suggest::FileError;
use crate::app::suggest::file::Tables;
use crate::domain::ShopName;
use crate::mapping::{DEFAULTS, MappingErrors, Mappings, Source};
use crate::shopify::AdminSchema;
use crate::store::{Action, StoreError};

/// A change of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableEdit {
    /// The file.
    pub file: PathBuf,
    /// The table.
    pub table: String,
    /// The entry.
    pub key: String,
    /// What stood there.
    pub before: Option<String>,
    /// What stands there now.
    pub after: Option<String>,
}

/// Why an entry was not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum TableEditError {
    /// The configuration names no folder for mappings.
    #[error("the configuration names no folder for mappings: set `dir` in [mappings]")]
    NoFolder,
    /// The file, or another one beside it, cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The mappings could not be used with this entry.
    #[error("the mappings could not be used with this entry")]
    Mistake(#[source] MappingErrors),
    /// The work ended without a word: a mistake of ours.
    #[error("this ended without a word: look at the file before you try again")]
    Broken,
    /// Something that was given can be no part of a table.
    #[error("the {what} {why}")]
    Unsound {
        /// `table`, `entry` or `value`.
        what: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// The store failed: the file is as it was.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reviewer {
    /// Puts an entry into the shop's tables, or takes it away (`None`). A whole number is the id of a record of the ERP, all
    /// else its name. Returns what changed.
    ///
    /// # Errors
    /// When the file cannot be used, or the mappings could not with this entry.
    pub async fn set_table_entry(
        &self,
        folder: Option<&Path>,
        shop: &ShopName,
        (table, key): (&str, &str),
        to: Option<&str>,
        reason: Option<&str>,
    ) -> Result<TableEdit, TableEditError> {
        let write = Write {
            folder: folder.ok_or(TableEditError::NoFolder)?.to_owned(),
            shop: shop.clone(),
            table: table.to_owned(),
            key: key.to_owned(),
            to: to.map(str::to_owned),
            agreed: None,
        };
        Ok(match self.write_whole(write, reason).await? {
            Agreed::Made(edit) | Agreed::Already(edit) => edit,
            // Nobody agreed to a state of the file that it could differ from.
            Agreed::Differs(plan) => plan.edit,
        })
    }

    /// Nobody who hangs up parts the file from its line in the audit log.
    pub(super) async fn write_whole(
        &self,
        write: Write,
        reason: Option<&str>,
    ) -> Result<Agreed, TableEditError> {
        let work = self.clone().write_entry(write, reason.map(str::to_owned));
        whole(work).await.unwrap_or(Err(TableEditError::Broken))
    }

    async fn write_entry(self, write: Write, reason: Option<String>) -> Result<Agreed, TableEditError> {
        // Held until the audit log has its line, so that its lines are in the order of the changes.
        let _turn = TURN.lock().await;
        let (agreed, write) = blocking(move || (write.make(), write)).await?;
        let edit = match agreed? {
            Agreed::Made(edit) => edit,
            unmade @ (Agreed::Already(_) | Agreed::Differs(_)) => return Ok(unmade),
        };
        let action = Action::EditedTable {
            shop: write.shop.clone(),
            table: edit.table.clone(),
            key: edit.key.clone(),
            before: edit.before.clone(),
            after: edit.after.clone(),
        };
        if let Err(error) = self.act(action, reason.as_deref()).await {
            // Nothing happens that nobody can find out about.
            blocking(move || write.take_back(&edit)).await??;
            return Err(error.into());
        }
        Ok(Agreed::Made(edit))
    }
}

/// Whose turn it is in this process: the file's lock is waited for on a thread, and only for other processes.
static TURN: Mutex<()> = Mutex::const_new(());

/// Does it on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TableEditError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| TableEditError::Broken)
}

/// An entry to be written.
pub(super) struct Write {
    pub(super) folder: PathBuf,
    pub(super) shop: ShopName,
    pub(super) table: String,
    pub(super) key: String,
    pub(super) to: Option<String>,
    /// The hash of the plan that was agreed to; none where nobody looked at one.
    pub(super) agreed: Option<String>,
}

impl Write {
    /// Writes it. What was agreed to is compared with the file under its lock: nobody changes it in between.
    fn make(&self) -> Result<Agreed, TableEditError> {
        let mut tables = Tables::open(&self.folder, &self.shop)?;
        let entry = (self.table.as_str(), self.key.as_str());
        let plan = planned(&mut tables, &self.folder, entry, self.to.as_deref())?;
        if plan.edit.before == plan.edit.after {
            return Ok(Agreed::Already(plan.edit));
        }
        if self.agreed.as_ref().is_some_and(|agreed| *agreed != plan.hash) {
            return Ok(Agreed::Differs(plan));
        }
        tables.save()?;
        Ok(Agreed::Made(plan.edit))
    }

    /// Puts back what stood there, unless somebody else has changed the entry since.
    fn take_back(&self, edit: &TableEdit) -> Result<(), FileError> {
        let mut tables = Tables::open(&self.folder, &self.shop)?;
        let now = tables.set(&edit.table, &edit.key, edit.before.as_deref());
        if now == edit.after {
            tables.save()?;
        }
        Ok(())
    }
}

/// Whether all mappings can be used with this text in the place of the file.
pub(super) fn check(folder: &Path, file: &Path, text: String) -> Result<(), TableEditError> {
    let read = |source| FileError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut sources: Vec<Source> = DEFAULTS
        .iter()
        .map(|(file, text)| Source {
            file: (*file).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    let mut put = |name: String, text: String| match sources.iter_mut().find(|known| known.file == name) {
        Some(known) => known.text = text,
        None => sources.push(Source { file: name, text }),
    };
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') || path.extension().is_none_or(|kind| kind != "toml") || path == file {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|source| FileError::Read {
            path: path.clone(),
            source,
        })?;
        put(name.to_owned(), text);
    }
    if let Some(name) = file.file_name().and_then(|name| name.to_str()) {
        put(name.to_owned(), text);
    }
    Mappings::from_sources(sources, &AdminSchema)
        .map(drop)
        .map_err(TableEditError::Mistake)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Actor, SharedClock, SystemClock, Via};
    use crate::store::AuditFilter;
    use crate::store::testing::open_temp;

    #[tokio::test]
    async fn an_entry_is_checked_written_and_can_be_put_back() {
        let clock: SharedClock = Arc::new(SystemClock);
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let reviewer = Reviewer::new(store.clone(), clock, Actor::new("anna", Via::Console));
        let place = tempfile::tempdir().unwrap();
        let folder = Some(place.path());
        let shop: ShopName = "main".parse().unwrap();
        let path = place.path().join("tables.main.toml");
        std::fs::write(
            &path,
            "# ours\n[tables.journal]\npaypal = \"PayPal\" # the old one\nklarna = \"TODO\"\n",
        )
        .unwrap();
        let text = || std::fs::read_to_string(&path).unwrap();
        let set = async |entry: (&'static str, &'static str), to: Option<&'static str>| {
            reviewer
                .set_table_entry(folder, &shop, entry, to, Some("asked accounting"))
                .await
        };

        let edit = set(("journal", "klarna"), Some("Klarna")).await.unwrap();
        assert_eq!(
            (edit.before.as_deref(), edit.after.as_deref()),
            (Some("TODO"), Some("Klarna"))
        );
        assert_eq!(
            text(),
            "# ours\n[tables.journal]\npaypal = \"PayPal\" # the old one\nklarna = \"Klarna\"\n"
        );
        set(("journal", "paypal"), Some("PayPal 2")).await.unwrap();
        assert!(
            text().contains("paypal = \"PayPal 2\" # the old one\n"),
            "{}",
            text()
        );
        set(("journal", "paypal"), Some("PayPal")).await.unwrap();
        let again = set(("journal", "klarna"), Some("Klarna")).await.unwrap();
        assert_eq!(again.before, again.after, "nothing to do");
        let number = set(("tax", "21 included VAT"), Some("12")).await.unwrap();
        assert_eq!(number.before, None);
        assert!(
            text().contains("[tables.tax]\n\"21 included VAT\" = 12\n"),
            "{}",
            text()
        );

        // What the mappings could not be used with is not written.
        let before = text();
        let mixed = set(("journal", "cash"), Some("7")).await;
        assert!(matches!(mixed, Err(TableEditError::Mistake(_))), "{mixed:?}");
        assert_eq!(text(), before);

        let back = set(("tax", "21 included VAT"), None).await.unwrap();
        assert_eq!((back.before.as_deref(), back.after), (Some("12"), None));
        assert!(!text().contains("21 included"), "{}", text());
        let rows = store.audit(AuditFilter::default()).await.unwrap();
        let told: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {} {}", row.action, row.subject, row.detail))
            .collect();
        assert_eq!(
            told,
            [
                r#"edit_table table:tax/21 included VAT {"after":null,"before":"12"}"#,
                r#"edit_table table:tax/21 included VAT {"after":"12","before":null}"#,
                r#"edit_table table:journal/paypal {"after":"PayPal","before":"PayPal 2"}"#,
                r#"edit_table table:journal/paypal {"after":"PayPal 2","before":"PayPal"}"#,
                r#"edit_table table:journal/klarna {"after":"Klarna","before":"TODO"}"#,
            ]
        );
        assert!(matches!(
            reviewer
                .set_table_entry(None, &shop, ("tax", "x"), Some("y"), None)
                .await,
            Err(TableEditError::NoFolder)
        ));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_entries_that_are_set_at_once_none_is_lost() {
        let clock: SharedClock = Arc::new(SystemClock);
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let reviewer = Reviewer::new(store.clone(), clock, Actor::new("anna", Via::Console));
        let place = tempfile::tempdir().unwrap();
        let shop: ShopName = "main".parse().unwrap();
        let keys: Vec<String> = (0..24).map(|n| format!("gateway {n}")).collect();
        let sets = keys.iter().map(|key| {
            let entry = ("journal", key.as_str());
            reviewer.set_table_entry(Some(place.path()), &shop, entry, Some("Bank"), None)
        });
        for set in futures_util::future::join_all(sets).await {
            assert_eq!(set.unwrap().before, None);
        }
        let text = std::fs::read_to_string(place.path().join("tables.main.toml")).unwrap();
        for key in &keys {
            assert!(text.contains(&format!("\"{key}\" = \"Bank\"")), "{key}: {text}");
        }
        let rows = store.audit(AuditFilter::default()).await.unwrap();
        assert_eq!(rows.len(), keys.len());

        // Whoever has no regard for the lock loses nothing either.
        let mut tables = Tables::open(place.path(), &shop).unwrap();
        tables.set("journal", "gateway 1", Some("Cash"));
        std::fs::write(&tables.path, "# theirs\n").unwrap();
        assert!(matches!(tables.save(), Err(FileError::ChangedMeanwhile(_))));
        assert_eq!(std::fs::read_to_string(&tables.path).unwrap(), "# theirs\n");
    }
}
