//! Checks of `[alerts]` and `[owners.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Checker, is_local};
use crate::config::alerts::{AlertSection, Alerts, Contact, Owner, OwnerSection, Smtp, SmtpSection, SmtpTls};
use crate::files;
use crate::secret::Secret;

/// The name under which messages go to whoever `[alerts]` itself names.
const GENERAL: &str = "general";

impl Checker<'_> {
    pub(super) fn alerts(
        &mut self,
        section: &AlertSection,
        owners: &BTreeMap<String, OwnerSection>,
    ) -> Alerts {
        let smtp = section.smtp.as_ref().and_then(|smtp| self.smtp(smtp));
        let general = self.contact(
            &["alerts"],
            &section.email,
            section.chat_url.as_ref(),
            section.chat_url_file.as_ref(),
        );
        let mut known = BTreeMap::new();
        let mut of_code: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, owner) in owners {
            if name == GENERAL || name.is_empty() {
                self.error(
                    &["owners", name],
                    "this name stands for whoever [alerts] names",
                    "give the owner another name",
                );
            }
            for code in &owner.codes {
                if let Some(other) = of_code.insert(code, name) {
                    self.error(
                        &["owners", name, "codes"],
                        format!("`{code}` belongs to [owners.{other}] already"),
                        "each code has one owner",
                    );
                }
            }
            let contact = self.contact(
                &["owners", name],
                &owner.email,
                owner.chat_url.as_ref(),
                owner.chat_url_file.as_ref(),
            );
            let codes = owner.codes.clone();
            known.insert(name.clone(), Owner { contact, codes });
        }
        let writes_mail =
            !general.email.is_empty() || known.values().any(|owner| !owner.contact.email.is_empty());
        if writes_mail && section.smtp.is_none() {
            self.error(
                &["alerts", "smtp"],
                "there are addresses and no mail server",
                "add [alerts.smtp] with host and from, or take the addresses out",
            );
        }
        if general.is_empty() && known.values().any(|owner| !owner.contact.is_empty()) {
            self.warning(
                &["alerts"],
                "what is no owner's with a contact is told to nobody",
                "set email or chat_url in [alerts], too",
            );
        }
        let daily_minute = section.daily_at.as_deref().and_then(|text| {
            let minute = minute_of_day(text);
            if minute.is_none() {
                self.error(
                    &["alerts", "daily_at"],
                    "this is no time of the day",
                    "write hours and minutes (UTC), e.g. \"07:30\"",
                );
            }
            minute
        });
        if let Some(url) = &section.console_url {
            self.url(&["alerts", "console_url"], url);
        }
        let connection = self.connection(&["alerts", "connection"], section.connection.as_ref());
        Alerts {
            settings: section.clone(),
            smtp,
            connection,
            general,
            owners: known,
            daily_minute,
        }
    }

    fn contact(
        &mut self,
        path: &[&str],
        email: &[String],
        url: Option<&SecretString>,
        file: Option<&PathBuf>,
    ) -> Contact {
        let at = |key: &'static str| -> Vec<&str> { path.iter().copied().chain([key]).collect() };
        let addresses = at("email");
        for address in email {
            if address.parse::<lettre::message::Mailbox>().is_err() {
                self.error(
                    &addresses,
                    format!("`{address}` is no e-mail address"),
                    "write it like ops@example.com",
                );
            }
        }
        let (url_path, file_path) = (at("chat_url"), at("chat_url_file"));
        let chat = self.secret(&url_path, url, &file_path, file);
        if let Some(address) = chat.as_ref().and_then(|chat| chat.current().ok()) {
            let at = if file.is_some() { &file_path } else { &url_path };
            self.chat_address(at, address.expose_secret());
        }
        Contact {
            email: email.to_vec(),
            chat,
        }
    }

    /// The address is a secret: whoever has it can write into the chat.
    fn chat_address(&mut self, path: &[&str], text: &str) {
        if let Some(url) = self.url(path, text)
            && url.scheme() == "http"
            && !is_local(&url)
        {
            self.error(
                path,
                "this address would send what is told in the open",
                "take the chat's https address",
            );
        }
    }

    fn smtp(&mut self, section: &SmtpSection) -> Option<Smtp> {
        let at = |key: &'static str| ["alerts", "smtp", key];
        let errors_before = self.found.len();
        if section.host.trim().is_empty() {
            self.error(
                &at("host"),
                "the mail server has no name",
                "add host = \"mail.example.com\"",
            );
        }
        if section.from.parse::<lettre::message::Mailbox>().is_err() {
            self.error(
                &at("from"),
                "this is no e-mail address to write from",
                "add from = \"lockstep@example.com\"",
            );
        }
        let is_here = matches!(section.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if section.tls == SmtpTls::None && !is_here {
            self.error(
                &at("tls"),
                "without TLS everybody on the way can read what is told",
                "take starttls or tls; none is for a mail server on this machine",
            );
        }
        let password = self.secret(
            &at("password"),
            section.password.as_ref(),
            &at("password_file"),
            section.password_file.as_ref(),
        );
        let says_password = self.says(&at("password")) || self.says(&at("password_file"));
        let login: Option<(String, Secret)> = match (&section.user, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (Some(_), None) if !says_password => {
                self.error(
                    &at("user"),
                    "there is a user and no password",
                    "add password_file, or take the user out",
                );
                None
            }
            (None, Some(_)) => {
                self.error(
                    &at("password"),
                    "there is a password and no user",
                    "add user, or take the password out",
                );
                None
            }
            _ => None,
        };
        if let Some(file) = &section.ca_file
            && let Err(error) = files::read(file)
        {
            self.error_outside(
                &at("ca_file"),
                format!("this file cannot be read: {error}"),
                "the path is relative to the configuration file",
            );
        }
        let port = section.port.unwrap_or(match section.tls {
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
            SmtpTls::None => 25,
        });
        (self.found.len() == errors_before).then(|| Smtp {
            host: section.host.clone(),
            port,
            tls: section.tls,
            login,
            from: section.from.clone(),
            ca_file: section.ca_file.clone(),
        })
    }
}

/// `07:30` as minutes since midnight.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_are_hours_and_minutes() {
        for (text, expected) in [
            ("07:30", Some(450)),
            ("00:00", Some(0)),
            ("23:59", Some(1439)),
            ("24:00", None),
            ("7:30", None),
            ("07:60", None),
            ("+7:30", None),
            ("noon", None),
        ] {
            assert_eq!(minute_of_day(text), expected, "{text}");
        }
    }

    fn errors(section: &str) -> Vec<String> {
        let text = format!(
            "[shops.main]\ndomain = \"main.myshopify.com\"\naccess_token = \"t\"\nwebhook_secrets = [\"s\"]\n\
             [shops.main.odoo]\nurl = \"http://127.0.0.1:9\"\ndatabase = \"d\"\nlogin = \"l\"\napi_key = \"k\"\n{section}"
        );
        let path = std::path::Path::new("/nowhere/lockstep.toml");
        match crate::config::Config::parse(&text, path, &|_| None) {
            Ok(_) => Vec::new(),
            Err(crate::config::ConfigError::Invalid(findings)) => findings
                .iter()
                .filter(|finding| finding.level == crate::config::Level::Error)
                .map(|finding| finding.message.clone())
                .collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_it_is_needed() {
        const SMTP: &str = "[alerts.smtp]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\n";
        for (name, section, expected) in [
            ("nothing at all", String::new(), None),
            (
                "mail",
                format!("[alerts]\nemail = [\"a@example.com\"]\n{SMTP}"),
                None,
            ),
            (
                "no server",
                "[owners.ada]\nemail = [\"a@example.com\"]".to_owned(),
                Some("there are addresses and no mail server"),
            ),
            (
                "no address",
                format!("[alerts]\nemail = [\"nobody\"]\n{SMTP}"),
                Some("`nobody` is no e-mail address"),
            ),
            (
                "in the open",
                format!("{SMTP}tls = \"none\""),
                Some("without TLS everybody on the way can read what is told"),
            ),
            (
                "user without a password",
                format!("{SMTP}user = \"ada\""),
                Some("there is a user and no password"),
            ),
            (
                "password without a user",
                format!("{SMTP}password = \"secret\""),
                Some("there is a password and no user"),
            ),
            (
                "chat in the open",
                "[alerts]\nchat_url = \"http://chat.example.com/x\"".to_owned(),
                Some("this address would send what is told in the open"),
            ),
            (
                "no time",
                "[alerts]\ndaily_at = \"half past seven\"".to_owned(),
                Some("this is no time of the day"),
            ),
            (
                "one code, two owners",
                "[owners.ada]\ncodes = [\"x\"]\n[owners.bob]\ncodes = [\"x\"]".to_owned(),
                Some("`x` belongs to [owners.ada] already"),
            ),
            (
                "a name that means all",
                "[owners.general]\n".to_owned(),
                Some("this name stands for whoever [alerts] names"),
            ),
        ] {
            let found = errors(&section);
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}
