//! Secrets: each either stands in the configuration or in a file, and can be read.

use std::path::PathBuf;

use reqwest::header::HeaderName;
use secrecy::{ExposeSecret as _, SecretString};

use super::Checker;
use crate::notify::send::{Auth, HmacHeader, header};
use crate::notify::settings::{AuthSection, EndpointSection, HmacSection};
use crate::notify::signature::SigningSecret;
use crate::secret::Secret;

/// Shorter secrets can be guessed, and could not be blanked out where a receiver repeats them.
const SHORTEST: usize = 8;

const MAKE_ONE: &str = "make one with: echo whsec_$(openssl rand -base64 32)";

impl Checker<'_> {
    /// A secret that is named by `keys`, or by the same with `_file`. None where neither is set, and where it cannot be used.
    pub(super) fn secret(
        &mut self,
        keys: &[&str],
        text: Option<&SecretString>,
        file: Option<&PathBuf>,
    ) -> Option<Secret> {
        let (last, before) = keys.split_last()?;
        let file_key = format!("{last}_file");
        let file_keys: Vec<&str> = before.iter().copied().chain([file_key.as_str()]).collect();
        match (text, file) {
            (Some(_), Some(_)) => {
                self.flaw(
                    &file_keys,
                    format!("both `{last}` and `{file_key}` are set"),
                    "keep one of the two",
                );
                None
            }
            (Some(text), None) if text.expose_secret().trim().is_empty() => {
                self.flaw(
                    keys,
                    "this is empty",
                    "is the environment variable set that it names?",
                );
                None
            }
            (Some(text), None) => Some(Secret::text(text.expose_secret())),
            (None, Some(path)) => self.file(&file_keys, path),
            (None, None) => None,
        }
    }

    fn file(&mut self, keys: &[&str], path: &PathBuf) -> Option<Secret> {
        let secret = Secret::file(path);
        match secret.current() {
            Ok(_) => Some(secret),
            Err(error) => {
                self.flaw(
                    keys,
                    error.to_string(),
                    "the path is relative to the configuration file",
                )
                .is_outside = true;
                None
            }
        }
    }

    /// The same of a secret that is long enough to be one.
    fn long_secret(
        &mut self,
        keys: &[&str],
        text: Option<&SecretString>,
        file: Option<&PathBuf>,
    ) -> Option<Secret> {
        let secret = self.secret(keys, text, file)?;
        // What a file holds is read anew; whether it can be has been looked at.
        let length = secret.current().ok()?.expose_secret().trim().len();
        if length >= SHORTEST {
            return Some(secret);
        }
        let (last, before) = keys.split_last()?;
        let file_key = format!("{last}_file");
        let key = if file.is_some() { file_key.as_str() } else { *last };
        let keys: Vec<&str> = before.iter().copied().chain([key]).collect();
        self.flaw(
            &keys,
            format!("a secret has at least {SHORTEST} bytes, this one has {length}"),
            "take a longer one; the receiver must know it, too",
        )
        .is_outside = file.is_some();
        None
    }

    /// The secrets that sign.
    pub(super) fn signing(&mut self, section: &EndpointSection) -> Vec<Secret> {
        let mut secrets = Vec::new();
        for text in &section.secrets {
            match SigningSecret::parse(text.expose_secret()) {
                Ok(_) => secrets.push(Secret::text(text.expose_secret())),
                Err(error) => drop(self.flaw(&["secrets"], error.to_string(), MAKE_ONE)),
            }
        }
        for path in &section.secrets_files {
            let Some(secret) = self.file(&["secrets_files"], path) else {
                continue;
            };
            let form = secret
                .current()
                .map(|text| SigningSecret::parse(text.expose_secret()).map(drop));
            match form {
                Ok(Err(error)) => {
                    self.flaw(&["secrets_files"], error.to_string(), MAKE_ONE)
                        .is_outside = true;
                }
                _ => secrets.push(secret),
            }
        }
        secrets
    }

    pub(super) fn hmac(&mut self, section: &HmacSection) -> Option<HmacHeader> {
        let secret = self.long_secret(
            &["hmac", "secret"],
            section.secret.as_ref(),
            section.secret_file.as_ref(),
        );
        if section.secret.is_none() && section.secret_file.is_none() {
            self.flaw(&["hmac"], "it has no key", "add secret_file, or secret");
        }
        // What it says is looked at with a value of its kind.
        let name: Option<HeaderName> = match header(&section.header, &format!("{}0", section.prefix)) {
            Ok((name, _)) => Some(name),
            Err(reason) => {
                self.flaw(
                    &["hmac", "header"],
                    reason,
                    "name the header that the receiver looks at, e.g. X-Hub-Signature-256",
                );
                None
            }
        };
        Some(HmacHeader {
            header: name?,
            encoding: section.encoding,
            prefix: section.prefix.clone(),
            secret: secret?,
        })
    }

    pub(super) fn auth(&mut self, section: &AuthSection) -> Option<Auth> {
        let password = self.long_secret(
            &["auth", "password"],
            section.password.as_ref(),
            section.password_file.as_ref(),
        );
        let bearer = self.long_secret(
            &["auth", "bearer"],
            section.bearer.as_ref(),
            section.bearer_file.as_ref(),
        );
        let says_password = section.password.is_some() || section.password_file.is_some();
        let says_bearer = section.bearer.is_some() || section.bearer_file.is_some();
        match (&section.user, says_password, says_bearer) {
            (Some(user), true, false) => {
                if user.contains(':') {
                    self.flaw(
                        &["auth", "user"],
                        "a user of HTTP Basic has no colon",
                        "take the colon out",
                    );
                }
                Some(Auth::Basic {
                    user: user.clone(),
                    password: password?,
                })
            }
            (None, false, true) => Some(Auth::Bearer(bearer?)),
            (_, _, true) => {
                self.flaw(
                    &["auth"],
                    "there is a token, and a user or password as well",
                    "keep one of the two",
                );
                None
            }
            (Some(_), false, false) => {
                self.flaw(
                    &["auth", "user"],
                    "there is a user and no password",
                    "add password_file, or take the user out",
                );
                None
            }
            (None, true, false) => {
                self.flaw(
                    &["auth"],
                    "there is a password and no user",
                    "add user, or take the password out",
                );
                None
            }
            (None, false, false) => {
                self.flaw(
                    &["auth"],
                    "it says nothing",
                    "add user and password_file, or bearer_file",
                );
                None
            }
        }
    }
}
