//! What conditions, templates and merge fields are written in. The configuration compiles by it when it is read, so it stands
//! there; previews and lists of fields use the same.

pub use crate::config::MappingExpressions;
