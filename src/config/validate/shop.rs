//! One `[shops.NAME]` section: credentials, secrets, the ERP, the toggles.

use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Checker, is_local};
use crate::config::finding::{Finding, Level};
use crate::config::sections::{OdooAccess, OdooSection, ShopSection};
use crate::config::{Odoo, Shop};
use crate::domain::{ShopName, Timestamp};
use crate::queue::Schedule;
use crate::reconcile::Times;
use crate::secret::Secret;
use crate::shopify::{self, Credentials, PINNED_VERSION};
use crate::sync::{self, Guests};
use crate::transport;

/// Characters that a hint's token has at least.
const LEAST_TOKEN: usize = 16;

impl Checker<'_> {
    pub(super) fn shop(&mut self, name: &str, section: &ShopSection) -> Option<Shop> {
        let errors_before = self.found.len();
        let shop_name = name.parse::<ShopName>();
        if shop_name.is_err() {
            let span = self.document.key_span(&["shops", name]);
            self.found
                .push(Finding::error(span, "this is no usable name for a shop").help(
                    "1 to 40 of a-z, 0-9, `_` and `-`, starting with a letter; it must never change later",
                ));
        }
        let at = |key: &'static str| ["shops", name, key];
        let domain = self.domain(name, section);
        let api_version = section
            .api_version
            .clone()
            .unwrap_or_else(|| PINNED_VERSION.to_owned());
        self.api_version(&at("api_version"), &api_version);
        let credentials = self.credentials(name, section);
        let webhook_secrets = self.webhook_secrets(name, section);
        let base_url = section
            .base_url
            .as_ref()
            .map(|text| self.url(&at("base_url"), text));
        if let Some(Some(url)) = &base_url
            && url.scheme() == "http"
            && !is_local(url)
        {
            self.warning(
                &at("base_url"),
                "the access token travels unencrypted",
                "use https:// unless this network is yours alone",
            );
        }
        if let Times::Cron(expression) = &section.runs.full
            && let Err(error) = Schedule::parse(expression)
        {
            self.error(
                &["shops", name, "runs", "full"],
                format!("`full` is no schedule: {}", error.reason),
                "write five fields (minute hour day month weekday), e.g. \"0 3 * * *\" for every night, or \"off\"",
            );
        }
        let start_at = section.start_at.as_ref().map(|text| {
            let time = parse_time(text);
            if time.is_none() {
                self.error(
                    &at("start_at"),
                    "this is no point in time",
                    "write a day (2026-11-01) or a time with its zone (2026-11-01T00:00:00Z)",
                );
            }
            time
        });
        let time_zone = section
            .time_zone
            .as_deref()
            .map_or(Ok(chrono_tz::UTC), str::parse);
        if time_zone.is_err() {
            self.error(
                &at("time_zone"),
                "this is no time zone",
                "write a name of the time zone database, e.g. \"Europe/Berlin\" (the shop's own stands in the Shopify admin: \
                 Settings, General)",
            );
        }
        let connection = self.connection(&["shops", name, "connection"], section.connection.as_ref());
        let odoo = self.odoo(name, &section.odoo);
        self.flow(name, &section.flow);
        self.toggles(name, section);
        let rules = self.rules(name, section);
        let refused = self.found[errors_before..]
            .iter()
            .any(|finding| finding.level == Level::Error);
        if refused {
            return None;
        }
        Some(Shop {
            name: shop_name.ok()?,
            shopify: shopify::Settings {
                domain: domain?,
                api_version,
                base_url: base_url.flatten().map(|url| url.to_string()),
                currency: section.currency,
            },
            credentials: credentials?,
            webhook_secrets,
            start_at: start_at.flatten(),
            time_zone: time_zone.ok()?,
            owner: section
                .owner
                .clone()
                .unwrap_or_else(|| "shop administrator".to_owned()),
            connection,
            odoo: odoo?,
            sync: section.sync.clone(),
            flow: section.flow.clone(),
            rules,
            runs: section.runs.clone(),
        })
    }

    fn domain(&mut self, shop: &str, section: &ShopSection) -> Option<String> {
        let path = ["shops", shop, "domain"];
        let help = "write the store's permanent name, e.g. main-store.myshopify.com (Shopify admin: Settings, Domains)";
        let Some(domain) = &section.domain else {
            if !self.says(&path) {
                self.error(&path, format!("[shops.{shop}] has no `domain`"), help);
            }
            return None;
        };
        let domain = domain.to_ascii_lowercase();
        let is_store = domain.strip_suffix(".myshopify.com").is_some_and(|store| {
            !store.is_empty()
                && !store.starts_with('-')
                && store.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
        if !is_store {
            self.error(&path, "this is not the permanent name of a Shopify store", help);
            return None;
        }
        Some(domain)
    }

    fn api_version(&mut self, path: &[&str], version: &str) {
        let quarterly = version.len() == 7
            && version[..4].bytes().all(|b| b.is_ascii_digit())
            && ["-01", "-04", "-07", "-10"].contains(&&version[4..]);
        if !quarterly && version != "unstable" {
            self.error(
                path,
                "this is no version of Shopify's Admin API",
                "write a year and one of the months 01, 04, 07, 10, e.g. 2026-10",
            );
        } else if version != PINNED_VERSION {
            self.warning(
                path,
                format!("this lockstep was made and tested for version {PINNED_VERSION}"),
                "take the line out unless you know why another version is needed",
            );
        }
    }

    /// One secret from a key or its `_file` twin. Says nothing when neither is there.
    pub(super) fn secret(
        &mut self,
        path: &[&str],
        text: Option<&SecretString>,
        file_path: &[&str],
        file: Option<&PathBuf>,
    ) -> Option<Secret> {
        if self.says(path) && self.says(file_path) {
            let key = path.last().copied().unwrap_or_default();
            self.error(
                file_path,
                format!("both `{key}` and `{key}_file` are set"),
                "keep one of the two",
            );
            return None;
        }
        if let Some(text) = text {
            return self.text_secret(path, text);
        }
        self.file_secret(file_path, file?)
    }

    pub(super) fn text_secret(&mut self, path: &[&str], text: &SecretString) -> Option<Secret> {
        if text.expose_secret().trim().is_empty() {
            self.error(
                path,
                "this secret is empty",
                "is the environment variable set to its value?",
            );
            return None;
        }
        Some(Secret::text(text.expose_secret().trim()))
    }

    pub(super) fn file_secret(&mut self, path: &[&str], file: &Path) -> Option<Secret> {
        let secret = Secret::file(file);
        if let Err(error) = secret.current() {
            let cause = std::error::Error::source(&error)
                .map_or_else(|| "it is empty".to_owned(), ToString::to_string);
            self.error_outside(
                path,
                format!("this secret cannot be read: {cause}"),
                "the path is relative to the configuration file; the user that runs lockstep must be able to read it",
            );
            return None;
        }
        Some(secret)
    }

    fn credentials(&mut self, shop: &str, section: &ShopSection) -> Option<Credentials> {
        let at = |key: &'static str| ["shops", shop, key];
        let token = self.secret(
            &at("access_token"),
            section.access_token.as_ref(),
            &at("access_token_file"),
            section.access_token_file.as_ref(),
        );
        let has_token = self.says(&at("access_token")) || self.says(&at("access_token_file"));
        let has_client = self.says(&at("client_id"));
        if has_token && has_client {
            self.error(
                &at("client_id"),
                "both an access token and a client id are set",
                "keep the token (custom app) or client id and secret (app from the developer dashboard)",
            );
            return None;
        }
        if has_token {
            return token.map(Credentials::Token);
        }
        if !has_client {
            self.error(
                &["shops", shop, "access_token"],
                format!("[shops.{shop}] has no credentials for Shopify"),
                "add access_token = \"${SHOPIFY_TOKEN}\", or client_id and client_secret",
            );
            return None;
        }
        let says_secret = self.says(&at("client_secret")) || self.says(&at("client_secret_file"));
        let secret = self.client_secret(shop, section);
        if !says_secret {
            self.error(
                &at("client_id"),
                "`client_id` without its secret",
                "add client_secret = \"${SHOPIFY_CLIENT_SECRET}\" or client_secret_file",
            );
        }
        Some(Credentials::ClientCredentials {
            client_id: section.client_id.clone()?,
            client_secret: secret?,
        })
    }

    fn client_secret(&mut self, shop: &str, section: &ShopSection) -> Option<Secret> {
        self.secret(
            &["shops", shop, "client_secret"],
            section.client_secret.as_ref(),
            &["shops", shop, "client_secret_file"],
            section.client_secret_file.as_ref(),
        )
    }

    fn webhook_secrets(&mut self, shop: &str, section: &ShopSection) -> Vec<Secret> {
        let path = ["shops", shop, "webhook_secrets"];
        let files_path = ["shops", shop, "webhook_secrets_files"];
        let mut secrets: Vec<Secret> = Vec::new();
        for text in &section.webhook_secrets {
            secrets.extend(self.text_secret(&path, text));
        }
        for file in &section.webhook_secrets_files {
            secrets.extend(self.file_secret(&files_path, file));
        }
        if self.says(&path) || self.says(&files_path) {
            if secrets.is_empty() {
                let given = if self.says(&path) { path } else { files_path };
                self.error(
                    &given,
                    "no secret is left to check webhooks with",
                    "name at least one, or take the line out to use the client secret",
                );
            }
            return secrets;
        }
        let says_client_secret =
            self.says(&["shops", shop, "client_secret"]) || self.says(&["shops", shop, "client_secret_file"]);
        if !says_client_secret {
            self.error(
                &path,
                format!("[shops.{shop}] has no secret to check webhooks with"),
                "add webhook_secrets = [\"${SHOPIFY_SECRET}\"]: the API secret key of the app that makes the webhooks",
            );
        }
        // Its own mistakes were reported with the credentials.
        match (&section.client_secret, &section.client_secret_file) {
            (Some(text), _) => vec![Secret::text(text.expose_secret().trim())],
            (None, Some(file)) => vec![Secret::file(file)],
            (None, None) => Vec::new(),
        }
    }

    pub(super) fn connection(
        &mut self,
        path: &[&str],
        connection: Option<&transport::Settings>,
    ) -> transport::Settings {
        let Some(connection) = connection.cloned() else {
            return transport::Settings::default();
        };
        if let Err(error) = transport::client(&connection) {
            let mut message = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                message = format!("{message}: {source}");
            }
            let at: Vec<&str> = path.iter().copied().chain(error.key()).collect();
            let help = "correct it, or take the line out";
            if at.last().is_some_and(|key| key.ends_with("_file")) {
                self.error_outside(&at, message, help);
            } else {
                self.error(&at, message, help);
            }
        }
        connection
    }

    fn odoo(&mut self, shop: &str, section: &OdooSection) -> Option<Odoo> {
        let at = |key: &'static str| ["shops", shop, "odoo", key];
        if !self.says(&["shops", shop, "odoo"]) {
            self.error(
                &["shops", shop],
                format!("[shops.{shop}] has no ERP"),
                "add a section [shops.NAME.odoo] with url, database, login and api_key",
            );
            return None;
        }
        let access = &section.access;
        let api_key = self.secret(
            &at("api_key"),
            access.api_key.as_ref(),
            &at("api_key_file"),
            access.api_key_file.as_ref(),
        );
        if !self.says(&at("api_key")) && !self.says(&at("api_key_file")) {
            self.error(
                &["shops", shop, "odoo", "api_key"],
                format!("[shops.{shop}.odoo] has no `api_key`"),
                "add api_key = \"${ODOO_KEY}\" or api_key_file (Odoo: Preferences, Account Security, New API Key)",
            );
        }
        let hint_token = self.hint_token(&at("hint_token"), &at("hint_token_file"), access);
        let connection = self.connection(&at("connection"), access.connection.as_ref());
        let server = section.server.clone()?;
        for (key, fault) in server.faults() {
            // What is not there, or no text, was reported when it was read.
            let place = self.document.span(&at(key));
            if self.says(&at(key)) && self.found.iter().all(|finding| finding.span != place) {
                self.found
                    .push(Finding::error(place, format!("`{key}` is not usable")).label(fault));
            }
        }
        if let Err(error) = Schedule::parse(&server.sweep) {
            self.error(
                &at("sweep"),
                format!("`sweep` is no schedule: {}", error.reason),
                "write five fields (minute hour day month weekday), e.g. \"17 3 * * *\" for every night",
            );
        }
        if let Ok(url) = Url::parse(&server.url)
            && url.scheme() == "http"
            && !is_local(&url)
        {
            self.warning(
                &at("url"),
                "the API key travels unencrypted",
                "use https:// unless this network is yours alone",
            );
        }
        Some(Odoo {
            server,
            api_key: api_key?,
            hint_token,
            connection,
        })
    }

    fn hint_token(&mut self, key: &[&str], file_key: &[&str], access: &OdooAccess) -> Option<Secret> {
        let token = self.secret(
            key,
            access.hint_token.as_ref(),
            file_key,
            access.hint_token_file.as_ref(),
        )?;
        let is_usable = token.current().is_ok_and(|token| {
            let text = token.expose_secret();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
            text.len() >= LEAST_TOKEN && text.bytes().all(plain)
        });
        if !is_usable {
            self.error(
                if self.says(key) { key } else { file_key },
                "this token cannot be used",
                "at least 16 letters, digits, `-`, `_`, `.` or `~` (it may stand in an address), e.g. from: openssl rand -hex 24",
            );
        }
        Some(token)
    }

    fn flow(&mut self, shop: &str, flow: &sync::Settings) {
        let at = |key: &'static str| ["shops", shop, "flow", key];
        if flow.guests == Guests::Partner && flow.guest_partner.is_none() {
            self.error(
                &at("guests"),
                "guests are to be booked on one partner, and `guest_partner` does not say which",
                "add guest_partner = with the partner's database id in Odoo",
            );
        }
        if flow.guests != Guests::Partner && flow.guest_partner.is_some() {
            self.warning(
                &at("guest_partner"),
                "`guest_partner` is not used",
                "add guests = \"partner\" to book all guests on it",
            );
        }
        let registers = flow.payments == sync::Payments::Register;
        for (key, is_set) in [
            (
                "refund_payments",
                flow.refund_payments == sync::Payments::Register,
            ),
            ("journals", !flow.journals.is_empty()),
        ] {
            if is_set && !registers {
                self.warning(
                    &at(key),
                    format!("`{key}` is not used"),
                    "add payments = \"register\" to register payments in the ERP",
                );
            }
        }
        for (key, amount) in [
            ("rounding_limit", flow.rounding_limit),
            ("tax_tolerance", flow.tax_tolerance),
        ] {
            if amount.is_sign_negative() {
                self.error(
                    &at(key),
                    "this limit is below zero",
                    "write \"0\" to allow no difference",
                );
            }
        }
    }
}

/// A time with its zone, or a day, which begins at midnight UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text)
        .or_else(|_| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .ok()
}
