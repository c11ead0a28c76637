//! What Shopify's own records look like, by the pinned Admin schema.
//!
//! The schema is needed where mappings are compiled and nowhere else, so it is parsed when it is asked for and dropped
//! with the answer: a running daemon does not carry it around. `fixtures/shopify/README.md` says how the file is made.

use std::io::Read as _;
use std::ops::Range;

use apollo_compiler::executable::{Field, FieldSet, Selection, SelectionSet};
use apollo_compiler::parser::LineColumn;
use apollo_compiler::schema::{ExtendedType, Type};
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Name, Schema};

use super::fetch::{self, Kind};
use crate::domain::{Object, RawSchema, Selected, SelectionError, Shape};

const PACKED: &[u8] = include_bytes!("../../fixtures/shopify/admin-2026-10.graphql.gz");

/// The longest selection that is taken, in bytes: a query may cost 1000 points, and one of this length costs more.
const LONGEST: usize = 20_000;

/// The Admin schema of [`PINNED_VERSION`](super::PINNED_VERSION).
#[derive(Clone, Copy, Debug, Default)]
pub struct AdminSchema;

impl RawSchema for AdminSchema {
    fn selected(&self, object: Object, select: &str) -> Result<Selected, Vec<SelectionError>> {
        let kind = match object {
            Object::Order => &fetch::ORDER,
            Object::Customer => &fetch::CUSTOMER,
            Object::Product => &fetch::PRODUCT,
            Object::Inventory | Object::Shop => {
                return Err(vec![whole(format!("a {object} has no record of its own"))]);
            }
        };
        if select.len() > LONGEST {
            return Err(vec![whole(format!(
                "the selection is longer than {LONGEST} bytes"
            ))]);
        }
        let schema = parse()?;
        let text = fields(&schema, kind, select)?;
        let document = kind.document.selecting(&text);
        // Once more as a whole: an addition may contradict what is read anyway, as the same name with other arguments.
        let document =
            ExecutableDocument::parse_and_validate(&schema, document.into_owned(), kind.document.name)
                .map_err(|wrong| errors(&wrong.errors, None))?;
        let operation = document.operations.get(Some(kind.document.name)).ok();
        let record = operation.and_then(|operation| {
            operation
                .selection_set
                .fields()
                .find(|field| field.response_key() == kind.root)
        });
        let shape = record.map_or(Shape::Raw, |record| {
            shape_of(&schema, &document, &record.selection_set)
        });
        Ok(Selected { text, shape })
    }
}

fn parse() -> Result<Valid<Schema>, Vec<SelectionError>> {
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(PACKED).read_to_string(&mut text);
    let damaged = |error: String| {
        vec![whole(format!(
            "the program's copy of Shopify's schema is damaged: {error}"
        ))]
    };
    read.map_err(|error| damaged(error.to_string()))?;
    Schema::parse_and_validate(text, "admin.graphql").map_err(|wrong| damaged(wrong.errors.to_string()))
}

/// The selection in one line, once each of its fields is known to be right by itself.
fn fields(schema: &Valid<Schema>, kind: &Kind, select: &str) -> Result<String, Vec<SelectionError>> {
    if select.trim().is_empty() {
        return Ok(String::new());
    }
    let name = Name::new(kind.name).map_err(|error| vec![whole(error.to_string())])?;
    let set = FieldSet::parse_and_validate(schema, name, select, "select")
        .map_err(|wrong| errors(&wrong.errors, Some(select)))?;
    // The parser stops at the end of the first selection and says nothing of what comes behind it.
    let alone = format!("fragment Added on {} {{\n{select}\n}}", kind.name);
    let is_all = ExecutableDocument::parse(schema, alone, "select")
        .is_ok_and(|document| document.fragments.len() == 1 && document.operations.is_empty());
    if !is_all {
        return Err(vec![whole("this is no list of fields".to_owned())]);
    }
    let mut wrong = Vec::new();
    let mut texts = Vec::new();
    for selection in &set.selection_set.selections {
        match selection {
            Selection::Field(field) if kind.lists().any(|list| list == field.name.as_str()) => {
                wrong.push(SelectionError {
                    place: place_of(field),
                    message: format!(
                        "`{}` is read already, page by page, and cannot be added to",
                        field.name
                    ),
                });
            }
            Selection::Field(field) => texts.push(field.serialize().no_indent().to_string()),
            Selection::InlineFragment(fragment) => texts.push(fragment.serialize().no_indent().to_string()),
            Selection::FragmentSpread(spread) => wrong.push(SelectionError {
                place: spread.location().map(|span| span.offset()..span.end_offset()),
                message: "fragments with a name cannot be used here".to_owned(),
            }),
        }
    }
    if wrong.is_empty() {
        Ok(texts.join(" "))
    } else {
        Err(wrong)
    }
}

fn place_of(field: &apollo_compiler::Node<Field>) -> Option<Range<usize>> {
    field.location().map(|span| span.offset()..span.end_offset())
}

/// What GraphQL's validation found; `select` when it was given the selection alone, so that places are the selection's.
fn errors(found: &DiagnosticList, select: Option<&str>) -> Vec<SelectionError> {
    let all: Vec<SelectionError> = found
        .iter()
        .map(|diagnostic| SelectionError {
            place: select.and_then(|select| {
                let place = diagnostic.line_column_range()?;
                Some(byte_of(select, place.start)..byte_of(select, place.end))
            }),
            message: diagnostic.error.to_string(),
        })
        .collect();
    // A mistake inside a field makes the field itself wrong too ("it has no parts"): only the innermost says why.
    let holds_another = |error: &SelectionError| {
        let inside = |outer: &Range<usize>, inner: &Range<usize>| {
            outer != inner && outer.start <= inner.start && inner.end <= outer.end
        };
        let outer = error.place.as_ref();
        all.iter()
            .any(|other| matches!((outer, &other.place), (Some(outer), Some(inner)) if inside(outer, inner)))
    };
    all.iter()
        .filter(|error| !holds_another(error))
        .cloned()
        .collect()
}

/// The byte at a line and column, both from 1; columns are characters.
fn byte_of(text: &str, place: LineColumn) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(place.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text.get(before..).unwrap_or_default();
    let within: usize = line
        .chars()
        .take(place.column.saturating_sub(1))
        .map(char::len_utf8)
        .sum();
    before + within
}

fn whole(message: String) -> SelectionError {
    SelectionError { place: None, message }
}

/// The shape of a record of which these fields are read.
fn shape_of(schema: &Valid<Schema>, document: &ExecutableDocument, set: &SelectionSet) -> Shape {
    let mut fields: Vec<(std::borrow::Cow<'static, str>, Shape)> = Vec::new();
    collect(schema, document, set, &mut fields);
    Shape::Record(fields)
}

fn collect(
    schema: &Valid<Schema>,
    document: &ExecutableDocument,
    set: &SelectionSet,
    into: &mut Vec<(std::borrow::Cow<'static, str>, Shape)>,
) {
    for selection in &set.selections {
        match selection {
            Selection::Field(field) => {
                let key = field.response_key().as_str();
                let shape = Shape::Optional(Box::new(shape_of_field(schema, document, field, field.ty())));
                match into.iter_mut().find(|(known, _)| known == key) {
                    // Selected twice, with other parts: the answer has them all.
                    Some((_, known)) => merge(known, shape),
                    None => into.push((key.to_owned().into(), shape)),
                }
            }
            Selection::InlineFragment(fragment) => collect(schema, document, &fragment.selection_set, into),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                    collect(schema, document, &fragment.selection_set, into);
                }
            }
        }
    }
}

fn merge(known: &mut Shape, more: Shape) {
    match (known, more) {
        (Shape::Optional(known), Shape::Optional(more)) => merge(known, *more),
        (Shape::List(known), Shape::List(more)) => merge(known, *more),
        (Shape::Record(known), Shape::Record(more)) => {
            for (key, shape) in more {
                match known.iter_mut().find(|(name, _)| *name == key) {
                    Some((_, known)) => merge(known, shape),
                    None => known.push((key, shape)),
                }
            }
        }
        _ => {}
    }
}

fn shape_of_field(schema: &Valid<Schema>, document: &ExecutableDocument, field: &Field, ty: &Type) -> Shape {
    if ty.is_list() {
        return Shape::List(Box::new(shape_of_field(schema, document, field, ty.item_type())));
    }
    if !field.selection_set.selections.is_empty() {
        return shape_of(schema, document, &field.selection_set);
    }
    let name = ty.inner_named_type();
    match (name.as_str(), schema.types.get(name)) {
        ("Boolean", _) => Shape::Bool,
        ("Int", _) => Shape::Integer,
        // Whatever the shop put there; and numbers that are not exact.
        ("JSON" | "Float", _) => Shape::Raw,
        // Shopify writes money, decimals, times and 64-bit numbers as texts. A value of an enum may be one that this
        // version does not know.
        (_, Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_))) => Shape::Text,
        _ => Shape::Raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_at<'s>(shape: &'s Shape, path: &str) -> Option<&'s Shape> {
        path.split('.').try_fold(shape, |shape, name| {
            let mut shape = shape;
            while let Shape::Optional(inner) | Shape::List(inner) = shape {
                shape = inner;
            }
            match shape {
                Shape::Record(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, shape)| shape),
                _ => None,
            }
        })
    }

    fn maybe(shape: Shape) -> Shape {
        Shape::Optional(Box::new(shape))
    }

    #[test]
    fn what_is_read_anyway_and_what_is_added_have_their_shapes() {
        let select = r#"hint: metafield(namespace: "custom", key: "hint") { value jsonValue } customer { tags } customerLocale"#;
        let selected = AdminSchema.selected(Object::Order, select).unwrap();
        for (path, expected) in [
            ("note", Some(maybe(Shape::Text))),
            ("test", Some(maybe(Shape::Bool))),
            ("customAttributes.key", Some(maybe(Shape::Text))),
            ("lineItems.nodes.quantity", Some(maybe(Shape::Integer))),
            ("hint.value", Some(maybe(Shape::Text))),
            ("hint.jsonValue", Some(maybe(Shape::Raw))),
            ("customer.id", Some(maybe(Shape::Text))),
            ("customer.tags", Some(maybe(Shape::List(Box::new(Shape::Text))))),
            ("shippingAddress.countryCodeV2", Some(maybe(Shape::Text))),
            ("metafield", None),
            ("customer.notes", None),
        ] {
            assert_eq!(shape_at(&selected.shape, path), expected.as_ref(), "{path}");
        }
        for object in [Object::Customer, Object::Product] {
            let selected = AdminSchema.selected(object, "").unwrap();
            assert_eq!(selected.text, "");
            assert_eq!(
                shape_at(&selected.shape, "id"),
                Some(&maybe(Shape::Text)),
                "{object}"
            );
        }
    }

    #[test]
    fn a_selection_that_is_wrong_is_refused_at_its_place() {
        for (select, place, said) in [
            ("nonsense", Some(0..8), "nonsense"),
            ("customer { shoesize }", Some(11..19), "shoesize"),
            (
                "note metafield(namespace: 1, key: \"x\") { value }",
                Some(26..27),
                "String",
            ),
            ("customer", Some(0..8), "subselection"),
            (
                "lineItems(first: 5) { nodes { id } }",
                Some(0..36),
                "page by page",
            ),
            ("...Bag", Some(0..6), "Bag"),
            // Not a selection and something behind it.
            ("note } } mutation Evil { orderCancel(", None, "no list of fields"),
            ("note } fragment Other on Order { id", None, "no list of fields"),
            ("note { ", None, ""),
            // Right by itself, but `note` is read under this name already.
            ("note: email", None, "note"),
        ] {
            let wrong = AdminSchema
                .selected(Object::Order, select)
                .map(|right| right.text)
                .expect_err(select);
            if let Some(place) = place {
                assert_eq!(wrong[0].place, Some(place), "{select}: {wrong:?}");
            }
            assert!(
                wrong.iter().any(|wrong| wrong.message.contains(said)),
                "{select}: {wrong:?}"
            );
        }
        assert!(AdminSchema.selected(Object::Shop, "").is_err());
    }
}
