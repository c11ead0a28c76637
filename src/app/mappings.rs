//! The mapping files in force.

use std::path::Path;

use crate::mapping::{MappingErrors, Mappings};
use crate::shopify::AdminSchema;

/// The shipped mappings with those of `folder` in their places, checked against the shop's own schema where they
/// read `raw`.
///
/// # Errors
/// Everything that is wrong with any file.
pub fn load(folder: Option<&Path>) -> Result<Mappings, MappingErrors> {
    Mappings::load(folder, &AdminSchema)
}
