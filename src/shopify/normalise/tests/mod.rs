//! Orders of our own making, with every sum worked out by hand, and everything else by property.

mod after;
mod build;
mod golden;
mod golden_changed;
mod people;
mod properties;
