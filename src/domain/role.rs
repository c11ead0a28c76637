//! What a person or a program may do on the console and the API.

use super::ids::text_enum;

text_enum! {
    /// Each role may do what the ones before it may.
    Role, "role" {
        /// Sees everything but personal data; changes nothing.
        Viewer = "viewer",
        /// Works with jobs and problems: retries, holds, discards, resolves, fills in tables of mappings that lack an entry.
        Operator = "operator",
        /// Changes what is synced: toggles, webhook subscriptions.
        Admin = "admin",
    }
}

impl Role {
    /// Whether this role may do what `needed` may.
    pub fn may(self, needed: Self) -> bool {
        self >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_ones_below_it_may() {
        for (index, role) in Role::ALL.iter().enumerate() {
            for (needed, other) in Role::ALL.iter().enumerate() {
                assert_eq!(role.may(*other), index >= needed, "{role} {other}");
            }
        }
        assert!("root".parse::<Role>().is_err());
    }
}
