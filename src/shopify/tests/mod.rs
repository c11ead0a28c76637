//! The client against answers of every kind, over real HTTP on loopback.

mod answers;
mod auth;
mod errors;
mod everything;
mod pace;
mod paging;
mod stand_in;
mod support;
