//! Who acts on jobs, problems and shops, and by which door.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::text_enum;

text_enum! {
    /// By which door a person came.
    Via, "door" {
        /// The pages on the admin listener.
        Console = "console",
        /// The HTTP API.
        Api = "api",
        /// The command line.
        Cli = "cli",
    }
}

/// A person, or a program that acts for one. The audit log names them with every action.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// Console: the user's name. API: the token's name. Command line: the operating system's user.
    pub name: String,
    /// By which door.
    pub via: Via,
}

impl Actor {
    /// Somebody who came by this door.
    pub fn new(name: impl Into<String>, via: Via) -> Self {
        Self {
            name: name.into(),
            via,
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.via)
    }
}
