//! The set of all mappings in force: taken as a whole, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::compile::compile;
use super::defaults::DEFAULTS;
use super::diagnose::{MappingError, MappingErrors, hint};
use super::overrides::{Overrides, Todo, shop_of};
use super::rule::{Mapping, Table};
use crate::domain::{Direction, Fact, FieldNeed, FieldValue, Object, RawSchema};

/// The text of one mapping file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name without folders, e.g. `order.in.toml`.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// All mappings, compiled. Immutable: a changed file makes a new set.
#[derive(Debug)]
pub struct Mappings {
    mappings: Vec<Arc<Mapping>>,
    /// By shop, where it has tables of its own.
    shops: BTreeMap<String, OfShop>,
    todos: Vec<Todo>,
    sources: Vec<Source>,
    revision: String,
}

/// The mappings as one shop follows them.
#[derive(Debug)]
struct OfShop {
    overrides: Arc<Overrides>,
    mappings: Vec<Arc<Mapping>>,
}

/// What a table says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableEntry {
    /// This value.
    Value(FieldValue),
    /// That a person has yet to fill it in.
    Todo,
}

/// One entry of a table, as a shop goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// What the shop calls it.
    pub key: String,
    /// What it says; none is a TODO.
    pub value: Option<FieldValue>,
    /// The file that it stands in.
    pub file: String,
    /// Whether that is the shop's own.
    pub is_own: bool,
}

impl Mappings {
    /// The shipped mappings, each replaced by the file of the same name in `overrides`, if there is one, and the tables of
    /// single shops (`tables.SHOP.toml`). `raw` knows the shop's own records.
    ///
    /// # Errors
    /// Everything that is wrong with any file, and nothing is taken then. A file in the folder that is named `*.toml` but
    /// like no mapping is wrong too: it would silently do nothing.
    pub fn load(overrides: Option<&Path>, raw: &dyn RawSchema) -> Result<Self, MappingErrors> {
        let mut sources: Vec<Source> = DEFAULTS
            .iter()
            .map(|(file, text)| Source {
                file: (*file).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        let mut errors = Vec::new();
        if let Some(folder) = overrides {
            match read_folder(folder) {
                Ok(found) => {
                    for source in found {
                        match sources.iter_mut().find(|known| known.file == source.file) {
                            Some(known) => *known = source,
                            None if shop_of(&source.file).is_some() => sources.push(source),
                            None => errors.push(unknown_file(&source.file)),
                        }
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        match Self::from_sources(sources, raw) {
            Ok(mappings) if errors.is_empty() => Ok(mappings),
            Ok(_) => Err(MappingErrors { errors }),
            Err(mut more) => {
                more.errors.splice(0..0, errors);
                Err(more)
            }
        }
    }

    /// Compiles exactly these files.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn from_sources(mut sources: Vec<Source>, raw: &dyn RawSchema) -> Result<Self, MappingErrors> {
        sources.sort_by(|a, b| a.file.cmp(&b.file));
        let mut mappings: Vec<Arc<Mapping>> = Vec::new();
        let mut errors = Vec::new();
        let (tables, files): (Vec<&Source>, Vec<&Source>) =
            sources.iter().partition(|source| shop_of(&source.file).is_some());
        for source in &files {
            match compile(&source.file, &source.text, raw, None) {
                Ok(mapping) => {
                    let twice = mappings
                        .iter()
                        .any(|known| known.object == mapping.object && known.direction == mapping.direction);
                    if twice {
                        errors.push(MappingError::of_file(
                            &source.file,
                            "this file is given twice".to_owned(),
                            None,
                        ));
                    }
                    mappings.push(Arc::new(mapping));
                }
                Err(wrong) => errors.extend(wrong),
            }
        }
        let mut todos: Vec<Todo> = mappings
            .iter()
            .flat_map(|mapping| mapping.tables.values().flat_map(Table::todos))
            .collect();
        let mut shops = BTreeMap::new();
        for source in tables {
            match Overrides::read(&source.file, &source.text) {
                // What is wrong with the mappings themselves would be told again for every shop.
                Ok(_) if !errors.is_empty() => {}
                Ok(overrides) => {
                    todos.extend(overrides.todos());
                    match with_tables(&Arc::new(overrides), &files, &mappings, raw) {
                        Ok(own) => drop(shops.insert(own.overrides.shop.clone(), own)),
                        Err(wrong) => errors.extend(wrong),
                    }
                }
                Err(wrong) => errors.extend(wrong),
            }
        }
        if !errors.is_empty() {
            return Err(MappingErrors { errors });
        }
        todos.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let mut hasher = Sha256::new();
        for source in &sources {
            for part in [&source.file, &source.text] {
                hasher.update(part.len().to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        let revision = hex::encode(&hasher.finalize()[..8]);
        Ok(Self {
            mappings,
            shops,
            todos,
            sources,
            revision,
        })
    }

    /// The mapping of an object in a direction.
    pub fn get(&self, object: Object, direction: Direction) -> Option<&Arc<Mapping>> {
        self.mappings
            .iter()
            .find(|mapping| mapping.object == object && mapping.direction == direction)
    }

    /// The mapping of an object in a direction as this shop follows it: with its own tables, where it has some.
    pub fn of_shop(&self, shop: &str, object: Object, direction: Direction) -> Option<&Arc<Mapping>> {
        let Some(own) = self.shops.get(shop) else {
            return self.get(object, direction);
        };
        own.mappings
            .iter()
            .find(|mapping| mapping.object == object && mapping.direction == direction)
    }

    /// What a table says to this shop about a key: its own file first, then the mapping files.
    pub fn table_entry(&self, shop: &str, table: &str, key: &str) -> Option<TableEntry> {
        let own = self.shops.get(shop);
        own.and_then(|own| own.overrides.get(table, key)).or_else(|| {
            let tables = self
                .mappings
                .iter()
                .filter_map(|mapping| mapping.tables.get(table));
            tables.into_iter().find_map(|table| table.get(key))
        })
    }

    /// The tables that this shop goes by, by name, each with its entries by key: its own ones in the place of those of the
    /// mapping files.
    pub fn tables_of(&self, shop: &str) -> BTreeMap<String, Vec<TableRow>> {
        let own = self.shops.get(shop);
        let mappings = own.map_or(&self.mappings, |own| &own.mappings);
        let mut tables: BTreeMap<String, BTreeMap<String, TableRow>> = BTreeMap::new();
        for mapping in mappings {
            for table in mapping.tables.values() {
                let rows = tables.entry(table.name.clone()).or_default();
                for key in table.keys() {
                    rows.entry(key.clone()).or_insert_with(|| {
                        let is_own = own.is_some_and(|own| own.overrides.get(&table.name, key).is_some());
                        let file = own.filter(|_| is_own).map(|own| &own.overrides.file);
                        TableRow {
                            key: key.clone(),
                            value: table.entries.get(key).cloned(),
                            file: file.unwrap_or(&mapping.file).clone(),
                            is_own,
                        }
                    });
                }
            }
        }
        tables
            .into_iter()
            .map(|(name, rows)| (name, rows.into_values().collect()))
            .collect()
    }

    /// The shops that have tables of their own.
    pub fn shops(&self) -> impl Iterator<Item = &str> {
        self.shops.keys().map(String::as_str)
    }

    /// The table entries that a person has yet to fill in, by file and line.
    pub fn todos(&self) -> &[Todo] {
        &self.todos
    }

    /// Every mapping, by file name.
    pub fn all(&self) -> &[Arc<Mapping>] {
        &self.mappings
    }

    /// The files that they were compiled from, by name.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What stands for exactly these files: 16 hexadecimal digits.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Per model the fields that the mappings of these objects write or search by, for `check --live`. With a shop's
    /// settings, fields that only an unused setting fills are left out.
    pub fn needs(
        &self,
        objects: &BTreeSet<Object>,
        settings: Option<&Fact>,
    ) -> BTreeMap<String, Vec<FieldNeed>> {
        let mut needs: BTreeMap<String, Vec<FieldNeed>> = BTreeMap::new();
        for mapping in self
            .mappings
            .iter()
            .filter(|mapping| objects.contains(&mapping.object))
        {
            for (model, fields) in mapping.targets(settings) {
                let known = needs.entry(model).or_default();
                for field in fields {
                    match known.iter_mut().find(|known| known.name == field.name) {
                        Some(known) if field.written && !known.written => *known = field,
                        Some(_) => {}
                        None => known.push(field),
                    }
                }
            }
        }
        needs
    }
}

/// The mappings of one shop, with its tables laid over theirs.
fn with_tables(
    overrides: &Arc<Overrides>,
    files: &[&Source],
    mappings: &[Arc<Mapping>],
    raw: &dyn RawSchema,
) -> Result<OfShop, Vec<MappingError>> {
    let mut errors = overrides.unread(mappings);
    let mut own = Vec::new();
    for source in files {
        match compile(&source.file, &source.text, raw, Some(overrides)) {
            Ok(mapping) => own.push(Arc::new(mapping)),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() {
        Ok(OfShop {
            overrides: Arc::clone(overrides),
            mappings: own,
        })
    } else {
        Err(errors)
    }
}

fn unknown_file(file: &str) -> MappingError {
    let known: Vec<&str> = DEFAULTS.iter().map(|(name, _)| *name).collect();
    MappingError::of_file(
        file,
        format!("`{file}` is no mapping that this version has"),
        hint(file, &known),
    )
}

/// The mapping files in a folder.
fn read_folder(folder: &Path) -> Result<Vec<Source>, MappingError> {
    let shown = folder.display().to_string();
    let failed = |error: &std::io::Error| {
        MappingError::of_file(&shown, format!("the mappings cannot be read: {error}"), None)
    };
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        // Editors leave hidden files and backups behind.
        let is_mapping = path.extension().is_some_and(|extension| extension == "toml");
        if file.starts_with('.') || !is_mapping || !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| {
            MappingError::of_file(file, format!("`{file}` cannot be read: {error}"), None)
        })?;
        sources.push(Source {
            file: file.to_owned(),
            text,
        });
    }
    Ok(sources)
}
