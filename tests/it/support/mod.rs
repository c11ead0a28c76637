//! A stand-in shop, a stand-in ERP and the built binary between them.

pub(crate) mod browser;
pub(crate) mod daemon;
pub(crate) mod world;
