//! What the language does, on the shipped mappings and on small ones made for one case each.

mod diagnostics;
mod manual;
mod out;
mod overrides;
mod plain;
mod policies;
mod properties;
mod samples;
mod shipped;
