//! The shop's file of tables: entries are added, and nothing that stands there is touched.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use toml_edit::{DocumentMut, Item, Table, value};

use super::matching::Entry;
use super::{EntryResult, SuggestedRow, Wanted};
use crate::domain::ShopName;
use crate::mapping::TODO;

/// Why a file cannot be added to.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no TOML.
    #[error("{} is no TOML: {source}", path.display())]
    Toml {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: toml_edit::TomlError,
    },
    /// Something stands in the place of a table.
    #[error("{}: `{what}` is no table", path.display())]
    NoTable {
        /// Which file.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody without regard for our lock wrote it meanwhile. Nothing was written.
    #[error("{} was changed by somebody else at the same moment: look at it, then try again", .0.display())]
    ChangedMeanwhile(PathBuf),
    /// Somebody else changes the tables and does not come to an end. Nothing was written.
    #[error("somebody else is changing the tables in {} at this moment: try again", .0.display())]
    Busy(PathBuf),
}

/// How long to wait for somebody else who changes the tables. A change holds the lock only while it is written.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether they are done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The tables of one shop. Whoever else opens them to change them waits until these are dropped.
#[derive(Debug)]
pub(in crate::app) struct Tables {
    pub(in crate::app) path: PathBuf,
    document: DocumentMut,
    /// The file's text when it was read or written last; none where there was no file.
    there: Option<String>,
    /// The folder, locked: the file itself may not be there yet. (Where locks are not to be had, the comparison with what
    /// was read is what is left.)
    _lock: Option<File>,
    changed: bool,
    /// What a new file begins with. (Without a table behind it, a comment would end the file.)
    head: String,
}

impl Tables {
    /// The file as it is, or an empty one, to be changed. Blocks the thread while somebody else changes it, for a while.
    pub(in crate::app) fn open(folder: &Path, shop: &ShopName) -> Result<Self, FileError> {
        Self::open_within(folder, shop, PATIENCE)
    }

    /// As [`Self::open`], waiting at most this long.
    fn open_within(folder: &Path, shop: &ShopName, patience: Duration) -> Result<Self, FileError> {
        let lock = File::open(folder).ok();
        if let Some(lock) = &lock {
            wait_for(lock, patience).map_err(|Taken| FileError::Busy(folder.to_owned()))?;
        }
        Self::read_with(folder, shop, lock)
    }

    /// The file as it is, or an empty one, to be looked at: nobody is waited for, and nobody waits. (It is replaced as a
    /// whole, so that it is never half of one.)
    pub(in crate::app) fn look(folder: &Path, shop: &ShopName) -> Result<Self, FileError> {
        Self::read_with(folder, shop, None)
    }

    fn read_with(folder: &Path, shop: &ShopName, lock: Option<File>) -> Result<Self, FileError> {
        let path = folder.join(format!("tables.{shop}.toml"));
        let there = match read(&path) {
            Ok(there) => there,
            Err(source) => return Err(FileError::Read { path, source }),
        };
        let (text, head) = match &there {
            Some(text) => (text.as_str(), String::new()),
            None => ("", head(shop)),
        };
        let document: DocumentMut = match text.parse() {
            Ok(document) => document,
            Err(source) => return Err(FileError::Toml { path, source }),
        };
        let tables = Self {
            path,
            document,
            there,
            _lock: lock,
            changed: false,
            head,
        };
        tables.check()?;
        Ok(tables)
    }

    fn check(&self) -> Result<(), FileError> {
        let no_table = |what: String| FileError::NoTable {
            path: self.path.clone(),
            what,
        };
        let Some(all) = self.document.get("tables") else {
            return Ok(());
        };
        let all = all.as_table_like().ok_or_else(|| no_table("tables".to_owned()))?;
        match all.iter().find(|(_, item)| !item.is_table_like()) {
            Some((name, _)) => Err(no_table(format!("tables.{name}"))),
            None => Ok(()),
        }
    }

    /// Adds the entry, unless it is there.
    pub(super) fn add(&mut self, wanted: Wanted) -> SuggestedRow {
        let Wanted {
            table,
            key,
            found,
            orders,
        } = wanted;
        let row = |result, value: Option<String>, candidates| SuggestedRow {
            table,
            key: key.clone(),
            value,
            result,
            candidates,
            orders,
        };
        let all = self.document.entry("tables").or_insert_with(|| {
            let mut all = Table::new();
            all.set_implicit(true);
            Item::Table(all)
        });
        // What is no table was refused when the file was opened.
        let entries = all.as_table_like_mut().and_then(|all| {
            all.entry(table)
                .or_insert_with(|| Item::Table(Table::new()))
                .as_table_like_mut()
        });
        let Some(entries) = entries else {
            return row(EntryResult::Kept, None, Vec::new());
        };
        if let Some(there) = entries.get(&key) {
            let there = match there.as_value() {
                Some(toml_edit::Value::String(text)) => text.value().clone(),
                Some(other) => other.to_string().trim().to_owned(),
                None => String::new(),
            };
            return if there == TODO {
                row(EntryResult::StillTodo, None, found.candidates)
            } else {
                row(EntryResult::Kept, Some(there), Vec::new())
            };
        }
        self.changed = true;
        entries.insert(&key, written(found.value.as_ref()));
        if found.value.is_none()
            && let Some(mut name) = entries.key_mut(&key)
        {
            let mut about = String::new();
            let hint = found.hint.iter().cloned();
            let named = (!found.candidates.is_empty())
                .then(|| format!("candidates: {}", found.candidates.join(", ")));
            for line in hint.chain(named) {
                about.extend(["# ", &line.replace(['\n', '\r'], " "), "\n"]);
            }
            name.leaf_decor_mut().set_prefix(about);
        }
        match found.value {
            Some(Entry::Name(name)) => row(EntryResult::FilledIn, Some(name), Vec::new()),
            Some(Entry::Id(id, name)) => {
                row(EntryResult::FilledIn, Some(format!("{id} ({name})")), Vec::new())
            }
            None => row(EntryResult::Todo, None, found.candidates),
        }
    }

    /// Puts a value in the place of what stands there (a whole number is a record's id), or takes the entry away. Returns
    /// what stood there.
    pub(in crate::app) fn set(&mut self, table: &str, key: &str, to: Option<&str>) -> Option<String> {
        let all = self.document.entry("tables").or_insert_with(|| {
            let mut all = Table::new();
            all.set_implicit(true);
            Item::Table(all)
        });
        let all = all.as_table_like_mut()?;
        let before = all.get(table).and_then(|entries| entries.get(key)).map(shown);
        if before.as_deref() == to {
            return before;
        }
        self.changed = true;
        match to {
            Some(to) => {
                let new = match to.parse::<i64>() {
                    Ok(id) => value(id),
                    Err(_) => value(to),
                };
                if let Some(entries) = all
                    .entry(table)
                    .or_insert_with(|| Item::Table(Table::new()))
                    .as_table_like_mut()
                {
                    let about = entries
                        .get(key)
                        .and_then(Item::as_value)
                        .map(|value| value.decor().clone());
                    entries.insert(key, new);
                    if let (Some(about), Some(new)) =
                        (about, entries.get_mut(key).and_then(Item::as_value_mut))
                    {
                        *new.decor_mut() = about;
                    }
                }
            }
            None => {
                if let Some(entries) = all.get_mut(table).and_then(Item::as_table_like_mut) {
                    entries.remove(key);
                }
            }
        }
        before
    }

    /// The file's text when it was read or written last; nothing where there was no file.
    pub(in crate::app) fn was(&self) -> &str {
        self.there.as_deref().unwrap_or_default()
    }

    /// The file's text as it would be written.
    pub(in crate::app) fn text(&self) -> String {
        format!("{}{}", self.head, self.document)
    }

    /// Writes what was added; says whether there was anything. The file is replaced as a whole, so that a running daemon
    /// never sees half of it.
    pub(in crate::app) fn save(&mut self) -> Result<bool, FileError> {
        if !self.changed {
            return Ok(false);
        }
        let failed = |source| FileError::Write {
            path: self.path.clone(),
            source,
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        if read(&self.path).map_err(failed)? != self.there {
            return Err(FileError::ChangedMeanwhile(self.path.clone()));
        }
        let name = self
            .path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("tables");
        let text = self.text();
        // Hidden files are no mappings.
        let draft = folder.join(format!(".{name}.{}", std::process::id()));
        let written = File::create(&draft)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&draft, &self.path));
        if let Err(error) = written {
            let _gone = std::fs::remove_file(&draft);
            return Err(failed(error));
        }
        self.there = Some(text);
        Ok(true)
    }
}

/// Somebody else has the lock.
struct Taken;

/// Locks the file. Where locks are not to be had, it goes on without one.
#[expect(
    clippy::disallowed_methods,
    reason = "files are waited for on threads that may block, and not for long"
)]
fn wait_for(lock: &File, patience: Duration) -> Result<(), Taken> {
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() >= patience => return Err(Taken),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// What stands in the file, if there is one.
fn read(path: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value of an entry, for people.
fn shown(item: &Item) -> String {
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => text.value().clone(),
        Some(toml_edit::Value::Integer(number)) => number.value().to_string(),
        Some(other) => other.to_string().trim().to_owned(),
        None => String::new(),
    }
}

/// An entry as it is written.
fn written(entry: Option<&Entry>) -> Item {
    match entry {
        None => value(TODO),
        Some(Entry::Name(name)) => value(name),
        Some(Entry::Id(id, name)) => {
            let mut number = toml_edit::Value::from(*id);
            number
                .decor_mut()
                .set_suffix(format!(" # {}", name.replace(['\n', '\r'], " ")));
            Item::Value(number)
        }
    }
}

/// What a new file begins with.
fn head(shop: &ShopName) -> String {
    format!(
        "# Tables of the shop `{shop}`, laid over the mappings' own. `lockstep mappings suggest` wrote what the shop used in\n\
         # the last 60 days, and adds what is new when it runs again; what you write here stays. Put a name from your ERP in\n\
         # the place of every {TODO}: `lockstep check` counts what is left, and a record that meets one waits for you.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::matching::Found;
    use super::*;

    fn wanted(table: &'static str, key: &str, found: Option<&str>, candidates: &[&str]) -> Wanted {
        Wanted {
            table,
            key: key.to_owned(),
            found: Found {
                value: found.map(|name| match name.parse() {
                    Ok(id) => Entry::Id(id, "19% incl.".to_owned()),
                    Err(_) => Entry::Name(name.to_owned()),
                }),
                candidates: candidates.iter().map(|name| (*name).to_owned()).collect(),
                hint: None,
            },
            orders: 1,
        }
    }

    #[test]
    fn a_second_run_adds_what_is_new_and_touches_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let shop: ShopName = "main".parse().unwrap();
        let path = folder.path().join("tables.main.toml");
        let mut tables = Tables::open(folder.path(), &shop).unwrap();
        let results = [
            tables
                .add(wanted("journal", "paypal", Some("PayPal"), &[]))
                .result,
            tables
                .add(wanted("tax", "19 included MwSt", Some("12"), &[]))
                .result,
            tables
                .add(wanted(
                    "journal",
                    "Cash on Delivery (COD)",
                    None,
                    &["Bank", "Cash"],
                ))
                .result,
        ];
        assert_eq!(
            results,
            [EntryResult::FilledIn, EntryResult::FilledIn, EntryResult::Todo]
        );
        assert!(tables.save().unwrap());
        let first = std::fs::read_to_string(&path).unwrap();
        assert!(
            first.contains("[tables.journal]\npaypal = \"PayPal\"\n# candidates: Bank, Cash\n\"Cash on Delivery (COD)\" = \"TODO\"\n"),
            "{first}"
        );

        assert!(
            first.contains("[tables.tax]\n\"19 included MwSt\" = 12 # 19% incl.\n"),
            "{first}"
        );
        assert!(toml::from_str::<toml::Table>(&first).is_ok(), "{first}");
        assert!(first.starts_with("# Tables of the shop `main`"), "{first}");

        let edited = first
            .replace("paypal = \"PayPal\"", "paypal = \"My own\"   # since March")
            .replace(
                "# candidates: Bank, Cash\n\"Cash on Delivery (COD)\" = \"TODO\"",
                "# by hand\nmine = 7",
            )
            + "\n# the end\n";
        std::fs::write(&path, &edited).unwrap();
        drop(tables);
        let mut tables = Tables::open(folder.path(), &shop).unwrap();
        let kept = tables.add(wanted("journal", "paypal", Some("PayPal"), &[]));
        assert_eq!(
            (kept.result, kept.value.as_deref()),
            (EntryResult::Kept, Some("My own"))
        );
        assert!(!tables.save().unwrap(), "nothing was new");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), edited);

        tables.add(wanted("journal", "klarna", None, &[]));
        tables.add(wanted("carrier", "DHL", Some("DHL"), &[]));
        assert!(tables.save().unwrap());
        let third = std::fs::read_to_string(&path).unwrap();
        let at = |part: &str| third.find(part).unwrap_or_else(|| panic!("{part}: {third}"));
        assert!(at("paypal = \"My own\"   # since March") < at("# by hand\nmine = 7"));
        assert!(
            at("mine = 7") < at("klarna = \"TODO\"") && at("klarna") < at("[tables.carrier]\nDHL = \"DHL\"")
        );
        assert!(third.ends_with("# the end\n"), "{third}");
        let again = tables.add(wanted("journal", "klarna", Some("Klarna"), &[]));
        assert_eq!(
            again.result,
            EntryResult::StillTodo,
            "only people take a TODO away"
        );
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no draft is left behind");
    }

    #[test]
    fn whoever_changes_the_file_is_waited_for_with_a_bound_and_by_nobody_who_only_looks() {
        let folder = tempfile::tempdir().unwrap();
        let shop: ShopName = "main".parse().unwrap();
        let first = Tables::open(folder.path(), &shop).unwrap();
        let second = Tables::open_within(folder.path(), &shop, Duration::ZERO);
        assert!(matches!(second, Err(FileError::Busy(_))), "{second:?}");
        assert_eq!(Tables::look(folder.path(), &shop).unwrap().was(), "");
        drop(first);
        Tables::open_within(folder.path(), &shop, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_added_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let shop: ShopName = "main".parse().unwrap();
        let path = folder.path().join("tables.main.toml");
        for text in ["[tables.journal\n", "tables = 1\n", "[tables]\njournal = 1\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Tables::open(folder.path(), &shop).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
