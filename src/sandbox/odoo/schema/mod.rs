//! Which models and fields the stand-in declares, by version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock};

use super::options::{CustomField, Version};
use super::system::lock;

mod account;
mod base;
mod partner;
mod product;
mod sale;
mod stock;

pub(super) use self::sale::sale_line_names;

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Char,
    Text,
    Html,
    Int,
    Float,
    Money,
    Bool,
    Date,
    Datetime,
    /// Values with their labels.
    Select(&'static [(&'static str, &'static str)]),
    /// The code of an installed language.
    Lang,
    Timezone,
    /// many2one to a model.
    One(&'static str),
    /// one2many to a model, by its field.
    Many(&'static str, &'static str),
    /// many2many to a model.
    ManyMany(&'static str),
    Image,
    /// A structure that is only read.
    Json,
}

impl Kind {
    /// Odoo's name of the type, as `fields_get` tells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Char => "char",
            Self::Text => "text",
            Self::Html => "html",
            Self::Int => "integer",
            Self::Float => "float",
            Self::Money => "monetary",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Select(_) | Self::Lang | Self::Timezone => "selection",
            Self::One(_) => "many2one",
            Self::Many(..) => "one2many",
            Self::ManyMany(_) => "many2many",
            Self::Image | Self::Json => "binary",
        }
    }

    /// The type of a custom field, from Odoo's name; relations and selections are not played.
    pub(super) fn custom(name: &str) -> Option<Self> {
        let known = [
            Self::Char,
            Self::Text,
            Self::Html,
            Self::Int,
            Self::Float,
            Self::Bool,
            Self::Date,
            Self::Datetime,
        ];
        known.into_iter().find(|kind| kind.name() == name)
    }

    /// The model at the other end.
    pub(super) fn comodel(self) -> Option<&'static str> {
        match self {
            Self::One(model) | Self::Many(model, _) | Self::ManyMany(model) => Some(model),
            _ => None,
        }
    }
}

/// Where a field's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// What clients write is stored.
    Own,
    /// Stored, but always computed: what clients write is ignored.
    Computed,
    /// Computed when read; what clients write is ignored unless the model has an inverse for it.
    Live,
    /// Lives in the template that `product.product` delegates to.
    Template,
}

/// One declared field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    pub(super) origin: Origin,
    pub(super) required: bool,
    /// Looked up by equality often: kept in an index.
    pub(super) indexed: bool,
    /// Decimal places kept on write; `None` keeps all.
    pub(super) digits: Option<u32>,
}

impl Field {
    const fn new(name: &'static str, label: &'static str, kind: Kind) -> Self {
        Self {
            name,
            label,
            kind,
            origin: Origin::Own,
            required: false,
            indexed: false,
            digits: None,
        }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    const fn digits(mut self, digits: u32) -> Self {
        self.digits = Some(digits);
        self
    }

    /// Rounded to `digits` on write by 17 and 18 only.
    const fn digits_before_19(mut self, version: Version, digits: u32) -> Self {
        if matches!(version, Version::V17 | Version::V18) {
            self.digits = Some(digits);
        }
        self
    }

    const fn computed(mut self) -> Self {
        self.origin = Origin::Computed;
        self
    }

    const fn live(mut self) -> Self {
        self.origin = Origin::Live;
        self
    }

    const fn template(mut self) -> Self {
        self.origin = Origin::Template;
        self
    }

    /// Whether the database has a column for it, so that it can be ordered by.
    pub(super) fn stored(&self) -> bool {
        self.origin != Origin::Live
    }

    /// Whether an `Ids` value of it is kept in the row.
    pub(super) fn is_to_many(&self) -> bool {
        matches!(self.kind, Kind::Many(..) | Kind::ManyMany(_))
    }
}

/// One declared model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// Default order of searches, in the syntax of `order`.
    pub(super) order: &'static str,
    fields: BTreeMap<&'static str, Field>,
}

impl Model {
    fn new(name: &'static str, label: &'static str, order: &'static str, fields: Vec<Field>) -> Self {
        let magic = [
            Field::new("id", "ID", Kind::Int).computed(),
            char("display_name", "Display Name").live(),
            datetime("create_date", "Created on").computed(),
            Field::new("create_uid", "Created by", Kind::One("res.users")).computed(),
            datetime("write_date", "Last Updated on").computed(),
            Field::new("write_uid", "Last Updated by", Kind::One("res.users")).computed(),
        ];
        let fields = fields
            .into_iter()
            .chain(magic)
            .map(|field| (field.name, field))
            .collect();
        Self {
            name,
            label,
            order,
            fields,
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.values()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }
}

/// All models of one version.
#[derive(Debug)]
pub(super) struct Schema {
    models: BTreeMap<&'static str, Model>,
}

impl Schema {
    /// The schema of a version, built once.
    pub(super) fn of(version: Version) -> &'static Self {
        static SCHEMAS: [OnceLock<Schema>; 3] = [const { OnceLock::new() }; 3];
        SCHEMAS[version as usize].get_or_init(|| Self::build(version))
    }

    /// The schema of a version with custom fields. Each different set of fields is built once and kept for good: models
    /// and fields are referred to for as long as the process runs.
    pub(super) fn with(version: Version, custom: &BTreeSet<CustomField>) -> &'static Self {
        static BUILT: Mutex<BTreeMap<(Version, BTreeSet<CustomField>), &'static Schema>> =
            Mutex::new(BTreeMap::new());
        if custom.is_empty() {
            return Self::of(version);
        }
        let mut built = lock(&BUILT);
        built.entry((version, custom.clone())).or_insert_with(|| {
            let mut schema = Self::build(version);
            for wanted in custom {
                schema.add(wanted);
            }
            Box::leak(Box::new(schema))
        })
    }

    /// Adds a custom field, if the model and the type are known.
    fn add(&mut self, wanted: &CustomField) {
        let Some(kind) = Kind::custom(&wanted.kind) else {
            return;
        };
        let Some(model) = self.models.get_mut(wanted.model.as_str()) else {
            return;
        };
        let name: &'static str = Box::leak(wanted.name.clone().into_boxed_str());
        let label: &'static str = Box::leak(wanted.label.clone().into_boxed_str());
        model.fields.insert(name, Field::new(name, label, kind));
    }

    fn build(version: Version) -> Self {
        let models = [
            base::models(version),
            partner::models(version),
            product::models(version),
            sale::models(version),
            stock::models(version),
            account::models(version),
        ];
        Self {
            models: models
                .into_iter()
                .flatten()
                .map(|model| (model.name, model))
                .collect(),
        }
    }

    pub(super) fn model(&self, name: &str) -> Option<&Model> {
        self.models.get(name)
    }

    /// A model that the code itself names.
    pub(super) fn known(&self, name: &str) -> &Model {
        self.models
            .get(name)
            .unwrap_or_else(|| panic!("model {name} is declared"))
    }

    pub(super) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }
}

const fn char(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Char)
}

const fn text(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Text)
}

const fn html(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Html)
}

const fn int(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Int)
}

const fn float(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Float)
}

const fn money(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Money)
}

const fn boolean(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Bool)
}

const fn date(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Date)
}

const fn datetime(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Datetime)
}

const fn select(
    name: &'static str,
    label: &'static str,
    options: &'static [(&'static str, &'static str)],
) -> Field {
    Field::new(name, label, Kind::Select(options))
}

const fn one(name: &'static str, label: &'static str, model: &'static str) -> Field {
    Field::new(name, label, Kind::One(model)).indexed()
}

const fn many(name: &'static str, label: &'static str, model: &'static str, inverse: &'static str) -> Field {
    Field::new(name, label, Kind::Many(model, inverse))
}

const fn many_many(name: &'static str, label: &'static str, model: &'static str) -> Field {
    Field::new(name, label, Kind::ManyMany(model))
}

const fn image(name: &'static str, label: &'static str) -> Field {
    Field::new(name, label, Kind::Image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_leads_to_a_declared_model_and_field() {
        for version in [Version::V17, Version::V18, Version::V19] {
            let schema = Schema::of(version);
            for model in schema.models() {
                for field in model.fields() {
                    let at = format!("{version:?} {}.{}", model.name, field.name);
                    if let Some(comodel) = field.kind.comodel() {
                        assert!(schema.model(comodel).is_some(), "{at}: no {comodel}");
                    }
                    if let Kind::Many(comodel, inverse) = field.kind {
                        let back = schema.known(comodel).field(inverse);
                        let one =
                            back.is_some_and(|back| matches!(back.kind, Kind::One(m) if m == model.name));
                        assert!(one, "{at}: {comodel}.{inverse} does not lead back");
                    }
                }
                for term in model.order.split(',') {
                    let name = term.split_whitespace().next().unwrap();
                    assert!(
                        model.field(name).is_some_and(Field::stored),
                        "{} order {name}",
                        model.name
                    );
                }
            }
        }
    }
}
