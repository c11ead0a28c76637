//! The pinned Admin schema: names, types, arguments and deprecations of the part of the API that a connector uses.
//!
//! `fixtures/shopify/README.md` says how the file is made. It is embedded compressed and parsed once, when first asked
//! for.

use std::io::Read;
use std::sync::OnceLock;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;

/// The API version that the embedded schema describes.
pub const PINNED_VERSION: &str = "2026-10";

const PACKED: &[u8] = include_bytes!("../../../fixtures/shopify/admin-2026-10.graphql.gz");

/// The schema as text (SDL).
///
/// # Panics
/// Only if the embedded file is damaged, which the tests of this module exclude.
pub fn sdl() -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(PACKED)
        .read_to_string(&mut text)
        .expect("the embedded schema decompresses");
    text
}

/// The parsed schema, shared by all shops of the process.
///
/// # Panics
/// Only if the embedded file is damaged, which the tests of this module exclude.
pub fn schema() -> &'static Valid<Schema> {
    static SCHEMA: OnceLock<Valid<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        Schema::parse_and_validate(sdl(), "admin-2026-10.graphql").expect("the embedded schema is valid")
    })
}

#[cfg(test)]
mod tests {
    use apollo_compiler::ExecutableDocument;

    use super::*;

    #[test]
    fn embedded_schema_is_valid() {
        let parsed = Schema::parse_and_validate(sdl(), "admin-2026-10.graphql");
        if let Err(e) = parsed {
            panic!("{}", e.errors);
        }
    }

    #[test]
    fn connector_documents_are_valid_against_it() {
        let text = include_str!("../../../fixtures/shopify/connector-documents.graphql");
        match ExecutableDocument::parse_and_validate(schema(), text, "connector-documents.graphql") {
            Ok(document) => assert_eq!(document.operations.named.len(), 11),
            Err(e) => panic!("{}", e.errors),
        }
    }
}
