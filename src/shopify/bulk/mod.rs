//! Bulk operations: Shopify runs a query over everything by itself and leaves the result as a file of lines
//! (<https://shopify.dev/docs/api/usage/bulk-operations/queries>).
//!
//! Promises: the result is read as it comes, line by line, and never held; whoever reads it is told that it ended only when
//! every line was read and all counts are what Shopify says; everything else is an error with a name of its own
//! ([`BulkError`]). What Shopify has of a failed operation (`partialDataUrl`) is never read.

mod error;
mod lines;
mod operation;

pub use error::BulkError;
pub(super) use lines::{Line, Lines};
pub(super) use operation::{Finished, run};
