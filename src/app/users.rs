//! Accounts of the console in the configuration file: made for somebody, the rest of the file untouched.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml_edit::{DocumentMut, Item, Table};

use super::edit::{Held, Outcome};
use crate::config::{Config, ConfigError, Environment, is_account_name};
use crate::domain::{Role, SharedEntropy};
use crate::http::{PasswordError, hash_password};

/// Why there is no account. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name does not do.
    #[error("`{0}` is no name of an account: take 1 to 40 letters, digits and . _ - @")]
    Name(String),
    /// The password does not do.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The file cannot be used as it is, or would not be usable with the account.
    #[error(transparent)]
    Config(ConfigError),
    /// The file is laid out in a way that cannot be edited safely.
    #[error("cannot add the account to {} safely: {reason}; add it yourself (`--print` shows it)", path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// The file changed while it was edited.
    #[error("{} was changed by somebody else at the same moment: look at it, then try again", .0.display())]
    ChangedMeanwhile(PathBuf),
    /// The file cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    name: String,
    role: Role,
    password_hash: String,
}

impl NewUser {
    /// An account with this password.
    ///
    /// # Errors
    /// When the name or the password does not do.
    pub fn new(
        name: &str,
        role: Role,
        password: &SecretString,
        entropy: &SharedEntropy,
    ) -> Result<Self, UserError> {
        if !is_account_name(name) {
            return Err(UserError::Name(name.chars().take(40).collect()));
        }
        Ok(Self {
            name: name.to_owned(),
            role,
            password_hash: hash_password(password, entropy.bytes())?,
        })
    }

    /// The section of the configuration file.
    pub fn section(&self) -> String {
        let mut user = Table::new();
        self.fill(&mut user);
        let mut users = Table::new();
        users.set_implicit(true);
        users.insert(&self.name, Item::Table(user));
        let mut admin = Table::new();
        admin.set_implicit(true);
        admin.insert("users", Item::Table(users));
        let mut document = DocumentMut::new();
        document.insert("admin", Item::Table(admin));
        document.to_string()
    }

    fn fill(&self, table: &mut dyn toml_edit::TableLike) {
        for (key, value) in [
            ("password_hash", self.password_hash.as_str()),
            ("role", self.role.as_str()),
        ] {
            match table.get_mut(key).and_then(Item::as_value_mut) {
                Some(there) => {
                    let decor = there.decor().clone();
                    *there = value.into();
                    *there.decor_mut() = decor;
                }
                None => {
                    table.insert(key, toml_edit::value(value));
                }
            }
        }
    }

    /// The text with the account in it, and whether it was there before.
    fn written_into(&self, text: &str) -> Result<(String, bool), String> {
        let lines_end_in_two = text.contains("\r\n");
        let body = text.replace("\r\n", "\n");
        let mut document: DocumentMut = body
            .parse()
            .map_err(|error: toml_edit::TomlError| error.to_string())?;
        // Asked by index, an item would be made where there is none.
        let users = document
            .get_mut("admin")
            .and_then(Item::as_table_like_mut)
            .and_then(|admin| admin.get_mut("users"));
        let (new, was_there) = match users {
            None => {
                let gap = if body.is_empty() || body.ends_with("\n\n") {
                    ""
                } else if body.ends_with('\n') {
                    "\n"
                } else {
                    "\n\n"
                };
                (format!("{body}{gap}{}", self.section()), false)
            }
            Some(users) => {
                let users = users
                    .as_table_like_mut()
                    .ok_or_else(|| "`users` is no table".to_owned())?;
                let was_there = users.contains_key(&self.name);
                let user = users
                    .entry(&self.name)
                    .or_insert_with(|| Item::Table(Table::new()));
                let user = user
                    .as_table_like_mut()
                    .ok_or_else(|| format!("`{}` is no table", self.name))?;
                self.fill(user);
                (document.to_string(), was_there)
            }
        };
        let new = if lines_end_in_two {
            new.replace('\n', "\r\n")
        } else {
            new
        };
        Ok((new, was_there))
    }

    /// Writes the account into the configuration file; one of the same name gets the new password and role. Says whether
    /// there was one.
    ///
    /// # Errors
    /// When the file cannot be read, used or changed. Nothing was written then.
    pub fn save(&self, path: &Path) -> Result<bool, UserError> {
        self.save_with(path, &|name| std::env::var(name).ok())
    }

    fn save_with(&self, path: &Path, environment: Environment<'_>) -> Result<bool, UserError> {
        let (held, text) = Held::open(path).map_err(|source| {
            UserError::Config(ConfigError::Read {
                path: path.to_owned(),
                source,
            })
        })?;
        let before = Config::parse(&text, path, environment).map_err(UserError::Config)?;
        let layout = |reason: String| UserError::Layout {
            path: path.to_owned(),
            reason,
        };
        let (new, was_there) = self.written_into(&text).map_err(layout)?;
        let after = Config::parse(&new, path, environment).map_err(UserError::Config)?;
        let has_it = after
            .admin
            .users
            .get(&self.name)
            .is_some_and(|user| user.role == self.role);
        let expected = before.admin.users.len() + usize::from(!was_there);
        if !has_it || after.admin.users.len() != expected || after.hash != before.hash {
            return Err(layout("the file would not say what it should".to_owned()));
        }
        let write = |reason: String| UserError::Write {
            path: path.to_owned(),
            reason,
        };
        match held.replace(&text, &new) {
            Ok(Outcome::Written) => Ok(was_there),
            Ok(Outcome::Changed) => Err(UserError::ChangedMeanwhile(path.to_owned())),
            Ok(Outcome::ReadOnly(reason)) => Err(write(reason)),
            Err(error) => Err(write(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::domain::SystemEntropy;
    use crate::http::is_password;

    const FILE: &str = "# Ours.\n[admin]\nlisten = \"127.0.0.1:0\" # here\n\n[shops.main]\ndomain = \"main.myshopify.com\"\n\
                        access_token = \"hunter2\"\nwebhook_secrets = [\"hunter2\"]\n[shops.main.odoo]\n\
                        url = \"https://erp.example.com\"\ndatabase = \"d\"\nlogin = \"l\"\napi_key = \"hunter2\"\n";

    fn user(name: &str, role: Role, password: &str) -> NewUser {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        NewUser::new(name, role, &SecretString::from(password.to_owned()), &entropy).unwrap()
    }

    #[test]
    fn an_account_is_added_and_changed_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        for text in [
            FILE.to_owned(),
            FILE.replace('\n', "\r\n"),
            FILE.trim_end().to_owned(),
        ] {
            std::fs::write(&path, &text).unwrap();
            let read = || std::fs::read_to_string(&path).unwrap();
            assert!(!user("ada", Role::Admin, "correct horse").save(&path).unwrap());
            assert!(
                !user("b@x.example", Role::Viewer, "correct horse")
                    .save(&path)
                    .unwrap()
            );
            assert!(read().starts_with(text.trim_end()), "{}", read());
            let first = read();
            assert!(user("ada", Role::Operator, "another horse").save(&path).unwrap());
            assert_eq!(first.lines().count(), read().lines().count(), "{}", read());
            let users = Config::load(&path).unwrap().admin.users;
            assert_eq!(users["ada"].role, Role::Operator);
            assert_eq!(users["b@x.example"].role, Role::Viewer);
            let hash = users["ada"].password_hash.expose_secret();
            assert!(is_password(hash, &SecretString::from("another horse".to_owned())));
            assert_eq!(read().contains("\r\n"), text.contains("\r\n"));
        }
    }

    #[test]
    fn what_does_not_do_is_told_and_writes_nothing() {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let good = SecretString::from("correct horse".to_owned());
        for name in ["", "a b", "<script>", &"x".repeat(41)] {
            let refused = NewUser::new(name, Role::Viewer, &good, &entropy);
            assert!(matches!(refused, Err(UserError::Name(_))), "{name}");
        }
        let short = SecretString::from("short".to_owned());
        let refused = NewUser::new("ada", Role::Viewer, &short, &entropy);
        assert!(matches!(
            refused,
            Err(UserError::Password(PasswordError::TooShort))
        ));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        let odd = FILE.replace("[admin]\n", "[admin]\nusers = {}\n");
        std::fs::write(&path, &odd).unwrap();
        user("ada", Role::Admin, "correct horse").save(&path).unwrap();
        assert_eq!(Config::load(&path).unwrap().admin.users.len(), 1);
    }
}
