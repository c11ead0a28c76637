//! What a well-formed file must say so that it can be used, and what it says that should be looked at.

mod alerts;
mod notify;
mod public_url;
mod rules;
mod shop;
mod toggles;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::document::Document;
use super::finding::Finding;
use super::sections::{File, MappingFiles, ShopSection};
use super::{Alerts, ApiToken, Shop};
use crate::domain::{Role, ShopName};
use crate::queue::{self, Schedule};
use crate::{files, http, store, subscriptions, telemetry};

/// The sections of a file without errors.
pub(super) struct Checked {
    pub(super) store: store::Settings,
    pub(super) http: http::Settings,
    pub(super) admin: http::AdminSettings,
    pub(super) api_tokens: Vec<ApiToken>,
    pub(super) queue: queue::Settings,
    pub(super) log: telemetry::Settings,
    pub(super) mappings: MappingFiles,
    pub(super) webhooks: subscriptions::WebhookSettings,
    pub(super) alerts: Alerts,
    pub(super) notify: crate::notify::Settings,
    pub(super) endpoints: Vec<Arc<crate::notify::Endpoint>>,
    pub(super) shops: BTreeMap<ShopName, Shop>,
}

/// Checks what the sections say. Findings are added to `found`; without an error among them the answer is complete.
pub(super) fn validate(document: &Document<'_>, file: File, found: &mut Vec<Finding>) -> Option<Checked> {
    let mut checker = Checker { document, found };
    let store = checker.store(file.store);
    checker.listeners(&file.http, &file.admin);
    checker.users(&file.admin);
    let api_tokens = checker.api_tokens(&file.admin);
    checker.mappings(&file.mappings);
    checker.schedule(&["webhooks", "schedule"], &file.webhooks.schedule, "*/5 * * * *");
    if !file.log.level_is_usable() {
        checker.error(
            &["log", "level"],
            "this is no log level",
            "write error, warn, info, debug or trace, also by module: info,lockstep::queue=debug",
        );
    }
    let alerts = checker.alerts(&file.alerts, &file.owners);
    if file.shops.is_empty() {
        let span = document.span(&["shops"]);
        checker.found.push(
            Finding::error(span, "no shop is declared")
                .help("add a section [shops.NAME]; `lockstep init` writes a commented example"),
        );
    }
    let mut shops = BTreeMap::new();
    let mut complete = true;
    for (name, section) in &file.shops {
        match checker.shop(name, section) {
            Some(shop) => {
                shops.insert(shop.name.clone(), shop);
            }
            None => complete = false,
        }
    }
    let endpoints = checker.notify(&file.notify, &file.shops);
    checker.duplicates(&file.shops);
    checker.public_url(&file.http, &shops);
    complete.then_some(Checked {
        store,
        http: file.http,
        admin: file.admin,
        api_tokens,
        queue: file.queue,
        log: file.log,
        mappings: file.mappings,
        webhooks: file.webhooks,
        alerts,
        notify: file.notify,
        endpoints,
        shops,
    })
}

/// A token with fewer characters is refused.
const SHORTEST_TOKEN: usize = 16;

struct Checker<'a> {
    document: &'a Document<'a>,
    found: &'a mut Vec<Finding>,
}

impl Checker<'_> {
    fn error(&mut self, path: &[&str], message: impl Into<String>, help: &str) {
        let span = self.document.span(path);
        self.found.push(Finding::error(span, message).help(help));
    }

    /// As [`Self::error`], about something that the text only names.
    fn error_outside(&mut self, path: &[&str], message: impl Into<String>, help: &str) {
        let span = self.document.span(path);
        self.found
            .push(Finding::error(span, message).help(help).outside());
    }

    fn warning(&mut self, path: &[&str], message: impl Into<String>, help: &str) {
        let span = self.document.span(path);
        self.found.push(Finding::warning(span, message).help(help));
    }

    /// Whether the file says anything at this path. What it says may have been refused already.
    fn says(&self, path: &[&str]) -> bool {
        self.document.get(path).is_some()
    }

    fn store(&mut self, mut store: store::Settings) -> store::Settings {
        let mut path = ["store", "url"];
        if let Some(file) = &store.url_file {
            path = ["store", "url_file"];
            if self.says(&["store", "url"]) {
                self.error(&path, "both `url` and `url_file` are set", "keep one of the two");
            }
            match files::read_text(file) {
                Ok(text) => text.trim().clone_into(&mut store.url),
                Err(error) => {
                    self.error_outside(
                        &path,
                        format!("this file cannot be read: {error}"),
                        "the path is relative to the configuration file",
                    );
                    return store;
                }
            }
        }
        if store::is_usable_address(&store.url) {
            if let Some(rest) = store.url.strip_prefix("sqlite:") {
                let file = rest.strip_prefix("//").unwrap_or(rest);
                store.url = format!("sqlite://{}", self.document.folder.join(file).display());
                if !store::is_usable_address(&store.url) {
                    self.error(
                        &path,
                        "the path to this file has a character that is not allowed in it (one of : ? #)",
                        "move the configuration to another folder, or name another path",
                    );
                }
            }
        } else if store.url.starts_with("sqlite:") {
            self.error(
                &path,
                "this names no file, or has parameters",
                "write sqlite://PATH without anything behind it, e.g. sqlite://lockstep.db",
            );
        } else {
            self.error(
                &path,
                "this is no address of a store",
                "write sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE",
            );
        }
        self.schedule(&["store", "prune_schedule"], &store.prune_schedule, "17 3 * * *");
        if store.keep_days < store::LEAST_KEEP_DAYS {
            self.error(
                &["store", "keep_days"],
                format!(
                    "finished work must be kept for at least {} days",
                    store::LEAST_KEEP_DAYS
                ),
                "Shopify repeats deliveries for days: what is forgotten would be taken for new",
            );
        }
        store
    }

    fn listeners(&mut self, http: &http::Settings, admin: &http::AdminSettings) {
        if !admin.is_allowed() {
            self.error(
                &["admin", "listen"],
                "the admin listener could be reached from other machines, and passwords and tokens would travel unencrypted",
                "keep it on 127.0.0.1, or put a reverse proxy with TLS in front of it and add behind_tls = true",
            );
        }
        if http.listen == admin.listen && http.listen.port() != 0 {
            self.error(
                &["admin", "listen"],
                "both listeners have the same address",
                "give one of them another port",
            );
        }
    }

    /// The accounts of the console.
    fn users(&mut self, admin: &http::AdminSettings) {
        for (name, user) in &admin.users {
            if !is_account_name(name) {
                self.error(
                    &["admin", "users", name],
                    "this is no name of an account",
                    "take 1 to 40 letters, digits and . _ - @",
                );
            }
            if !http::is_password_hash(user.password_hash.expose_secret()) {
                self.error(
                    &["admin", "users", name, "password_hash"],
                    "this is no hash of a password by Argon2id",
                    "let `lockstep user add` make it; a password itself does not belong here",
                );
            }
        }
    }

    /// The tokens of the API: long enough not to be guessed, where they stand in the file.
    fn api_tokens(&mut self, admin: &http::AdminSettings) -> Vec<ApiToken> {
        let (path, files_path) = (["admin", "tokens"], ["admin", "tokens_files"]);
        let mut tokens = Vec::new();
        for token in &admin.tokens {
            let (text, name, role) = match token {
                http::TokenSettings::Text(text) => (text, "api", Role::Admin),
                http::TokenSettings::Named(named) => (&named.token, named.name.trim(), named.role),
            };
            if name.is_empty() {
                self.error(
                    &path,
                    "a token has no name",
                    "say who shows it: name = \"erp-dashboard\"",
                );
                continue;
            }
            let length = text.expose_secret().trim().len();
            if (1..SHORTEST_TOKEN).contains(&length) {
                self.error(
                    &path,
                    format!("a token has {length} characters and could be guessed"),
                    "take a random one, e.g. the output of `openssl rand -hex 24`",
                );
                continue;
            }
            tokens.extend(self.text_secret(&path, text).map(|secret| ApiToken {
                secret,
                name: name.to_owned(),
                role,
            }));
        }
        for file in &admin.tokens_files {
            tokens.extend(self.file_secret(&files_path, file).map(|secret| ApiToken {
                secret,
                name: "api".to_owned(),
                role: Role::Admin,
            }));
        }
        if !admin.require_token && (admin.allow_insecure_listen || admin.behind_tls) {
            self.error(
                &["admin", "require_token"],
                "whoever reaches this address could change the toggles",
                "keep require_token, or take allow_insecure_listen and behind_tls away",
            );
        }
        tokens
    }

    fn schedule(&mut self, path: &[&str], text: &str, example: &str) {
        if let Err(error) = Schedule::parse(text) {
            self.error(
                path,
                error.to_string(),
                &format!("write minute, hour, day, month and weekday, e.g. {example}"),
            );
        }
    }

    fn mappings(&mut self, mappings: &MappingFiles) {
        if let Some(dir) = &mappings.dir
            && !dir.is_dir()
        {
            self.error_outside(
                &["mappings", "dir"],
                "there is no such folder",
                "make it, or take the line out to use the shipped mappings only",
            );
        }
    }

    /// An http address, or a finding.
    fn url(&mut self, path: &[&str], text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
        });
        let Some(url) = url else {
            self.error(
                path,
                "this is no web address",
                "write it with its scheme, e.g. https://erp.example.com",
            );
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.error(
                path,
                "a login does not belong into an address",
                "take the part before the @ out; credentials have keys of their own",
            );
            return None;
        }
        Some(url)
    }

    fn duplicates(&mut self, shops: &BTreeMap<String, ShopSection>) {
        let mut first: BTreeMap<String, &str> = BTreeMap::new();
        for (name, section) in shops {
            let Some(domain) = &section.domain else { continue };
            if let Some(other) = first.insert(domain.to_ascii_lowercase(), name) {
                self.error(
                    &["shops", name, "domain"],
                    format!("[shops.{other}] has the same domain"),
                    "each Shopify store is declared once: its webhooks could not be told apart",
                );
            }
        }
    }
}

/// Whether an account may have this name: 1 to 40 letters, digits and `. _ - @`.
pub fn is_account_name(name: &str) -> bool {
    (1..=40).contains(&name.chars().count())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'))
}

/// Whether only this machine or its own network can reach the address.
pub fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unspecified() || address.is_unique_local()
        }
        Err(_) => {
            let top = host.rsplit('.').next();
            host == "localhost" || (host.contains('.') && matches!(top, Some("localhost" | "local")))
        }
    }
}
