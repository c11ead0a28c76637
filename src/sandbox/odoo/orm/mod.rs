//! The object layer: create, write, delete, search and read any declared model, with Odoo's conventions.

pub(super) mod commands;
pub(super) mod filter;
pub(super) mod order;
pub(super) mod read;
pub(super) mod search;
pub(super) mod unlink;
pub(super) mod write;
