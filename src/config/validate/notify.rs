//! `[notify]`: what the pillar finds wrong with it, at its place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Checker;
use crate::config::expressions::MappingExpressions;
use crate::config::finding::{Elsewhere, Finding};
use crate::config::redact::redact_other;
use crate::domain::ShopName;
use crate::notify::{Endpoint, Flaw, Known, Settings};

impl Checker<'_> {
    /// The endpoints, as far as they are right; what is wrong is reported. `shops` are the names that the file declares.
    pub(super) fn notify<S>(
        &mut self,
        settings: &Settings,
        shops: &BTreeMap<String, S>,
    ) -> Vec<Arc<Endpoint>> {
        let shops: BTreeSet<ShopName> = shops.keys().filter_map(|name| name.parse().ok()).collect();
        let known = Known {
            shops: &shops,
            expressions: &MappingExpressions,
        };
        let (endpoints, flaws) = settings.check(&known);
        for flaw in flaws {
            self.flaw(flaw);
        }
        for (name, section) in &settings.endpoints {
            if section
                .owner
                .as_deref()
                .is_some_and(|owner| owner.trim().is_empty())
            {
                self.error(
                    &["notify", "endpoints", name, "owner"],
                    "nobody looks after this endpoint",
                    "write a person or a team, as in [owners.NAME], or take the line out",
                );
            }
        }
        endpoints.into_iter().map(Arc::new).collect()
    }

    fn flaw(&mut self, flaw: Flaw) {
        let path: Vec<&str> = std::iter::once("notify")
            .chain(flaw.path.iter().map(String::as_str))
            .collect();
        let place = match &flaw.place {
            Some(part) if flaw.file.is_none() => self.inside(&path, part.clone()),
            _ => self.document.span(&path),
        };
        let finding = if flaw.is_warning {
            Finding::warning(place, flaw.message)
        } else {
            Finding::error(place, flaw.message)
        };
        let mut finding = finding.help(flaw.help);
        if let Some(file) = flaw.file {
            finding = finding.elsewhere(Elsewhere {
                path: file.path,
                text: redact_other(&file.text).into(),
                span: flaw.place.unwrap_or_default(),
            });
        }
        self.found.push(if flaw.is_outside {
            finding.outside()
        } else {
            finding
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use crate::config::{Config, ConfigError};

    fn parse(notify: &str) -> Result<Config, ConfigError> {
        let text = format!(
            "[http]\npublic_url = 'https://sync.example.com'\n[shops.main]\ndomain = 'main-store.myshopify.com'\n\
             access_token = 'shpat_1'\nwebhook_secrets = ['a secret']\n[shops.main.odoo]\nurl = 'https://erp.example.com'\n\
             database = 'prod'\nlogin = 'a@example.com'\napi_key = 'k'\n[shops.main.sync]\norders = {{ in = 'on' }}\n{notify}\n"
        );
        Config::parse(&text, Path::new("/etc/lockstep.toml"), &|name| {
            (name == "HOOK").then(|| "https://hooks.example.com/private".to_owned())
        })
    }

    /// Each finding: what the caret stands under, what is wrong, and what to do.
    fn findings(notify: &str) -> String {
        let findings = match parse(notify) {
            Ok(config) => config.warnings,
            Err(ConfigError::Invalid(findings)) => *findings,
            Err(error) => panic!("{error}"),
        };
        let mut told = String::new();
        for row in findings.rows() {
            let help = row.help.unwrap_or_default();
            writeln!(told, "{}:{}: {} | {help}", row.line, row.column, row.message).unwrap();
        }
        told
    }

    #[test]
    fn endpoints_are_read() {
        let config = parse(
            "[notify]\nallow_networks = ['10.1.2.0/24']\n[notify.endpoints.chat]\nurl = '${HOOK}'\nevents = ['order.*']\n\
             shops = ['main']\ncondition = 'order.totals.total > 1000'\nrate = '50/s'\nowner = 'ada'\n\
             [notify.endpoints.chat.body]\ntemplate = '''\n{\"text\": \"Order {{ event.object.name }} of {{ order.totals.total }}\"}'''\n\
             [notify.endpoints.all]\nurl = 'https://10.1.2.3/x'\nevents = ['*']\nstate = 'paused'",
        )
        .unwrap_or_else(|error| panic!("{error:?}"));
        assert!(config.warnings.is_empty(), "{}", config.warnings);
        let names: Vec<&str> = config.endpoints.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["all", "chat"]);
        assert!(config.endpoints[1].condition.is_some() && config.endpoints[1].template.is_some());
        assert_eq!(config.notify.keep_days, 30);
        assert!(
            !format!("{config:?}").contains("private"),
            "the address may be a secret"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_to_write() {
        let told = findings(
            "[notify]\nkeep_days = 0\n\
             [notify.endpoints.one]\nurl = 'https://10.0.0.1/x'\nevents = ['oder.*', 'order.synced']\nshops = ['mane']\n\
             condition = \"order.total > 1000\"\nowner = ' '\n\
             [notify.endpoints.two]\nurl = 'no address'\nevents = ['order.synced']\n\
             [notify.endpoints.two.body]\ntemplate = '''\n{\n  \"text\": \"Order {{ order.nane }}\"\n}'''\n\
             [notify.endpoints.three]\nurl = 'http://hooks.example.com'\nevents = ['*']\ncondition = 'order.test'\n\
             [notify.endpoints.four]\nurl_file = 'nowhere'\nevents = ['*']\ninclude = ['record']\n\
             body = { template = '{\"a\": {{ event.id' }",
        );
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_mistake_in_a_templates_file_is_shown_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slack.json");
        let template = "{\n  \"token\": \"hunter2\",\n  \"text\": \"Order {{ order.nam }} is in\",\n  \"key\": \"shpat_0123\"\n}\n";
        std::fs::write(&path, template).unwrap();
        let keys = format!(
            "[notify.endpoints.chat]\nurl = 'https://hooks.example.com/1'\nevents = ['order.synced']\nowner = ' '\n\
             body = {{ template_file = '{}' }}\n[notify.endpoints.plain]\nurl = 'nowhere'\nevents = ['*']",
            path.display()
        );
        let Err(ConfigError::Invalid(findings)) = parse(&keys) else {
            panic!("it is taken");
        };
        let folder = folder.path().display().to_string();
        let printer =
            miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none()).with_width(400);
        let mut told = String::new();
        for report in findings.reports() {
            printer.render_report(&mut told, &report).unwrap();
        }
        writeln!(told, "{}\n{findings}", findings.in_words()).unwrap();
        assert!(!told.contains("hunter2") && !told.contains("0123"), "{told}");
        assert!(!format!("{findings:?}").contains("hunter2"));
        assert!(findings.are_in_the_text(), "the others are");
        insta::assert_snapshot!(told.replace(&folder, "FOLDER"));
    }

    #[test]
    fn a_condition_on_what_is_left_out_is_pointed_out() {
        let told = |more: &str| {
            findings(&format!(
                "[notify.endpoints.vip]\nurl = 'https://hooks.example.com/1'\nevents = ['order.synced']\n\
                 condition = \"'vip' in order.tags\"\n{more}"
            ))
        };
        assert!(
            told("").contains("`order.tags`, which is left out"),
            "{}",
            told("")
        );
        assert_eq!(told("personal_data = true"), "");
    }

    #[test]
    fn what_decides_who_is_sent_what_is_another_configuration_and_no_secret_is() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&here, &there] {
            for (name, text) in [
                ("body", "{{ event.id }}"),
                ("address", "https://hooks.example.com/1"),
                ("secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
            ] {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            std::fs::copy(folder.path().join("secret"), folder.path().join("next")).unwrap();
        }
        let hash = |lines: &str, folder: &tempfile::TempDir| {
            let folder = folder.path().display().to_string();
            let text = format!("[notify.endpoints.chat]\nevents = ['order.*']\n{lines}");
            parse(&text.replace("FOLDER", &folder)).unwrap().hash
        };
        let url = "url = 'https://hooks.example.com/1'";
        let template =
            "url_file = 'FOLDER/address'\nbody = { template_file = 'FOLDER/body', mime = 'text/plain' }";
        for (name, one, other, is_same) in [
            (
                "another address",
                url,
                "url = 'https://hooks.example.com/2'",
                false,
            ),
            (
                "another header",
                &format!("{url}\nheaders = {{ X-Team = 'one' }}"),
                &format!("{url}\nheaders = {{ X-Team = 'two' }}"),
                false,
            ),
            (
                "one more secret's file",
                &format!("{url}\nsecrets_files = ['FOLDER/secret']"),
                &format!("{url}\nsecrets_files = ['FOLDER/next', 'FOLDER/secret']"),
                false,
            ),
            (
                "another token",
                &format!("{url}\nauth = {{ bearer = 'one-0123456789' }}"),
                &format!("{url}\nauth = {{ bearer = 'two-0123456789' }}"),
                true,
            ),
            ("the same", template, template, true),
        ] {
            assert_eq!(hash(one, &here) == hash(other, &here), is_same, "{name}");
            assert_eq!(hash(one, &here), hash(one, &there), "{name}: kept elsewhere");
        }
        for (name, text) in [
            ("body", "{{ event.type }}"),
            ("address", "https://hooks.example.com/2"),
        ] {
            std::fs::write(there.path().join(name), text).unwrap();
            assert_ne!(hash(template, &here), hash(template, &there), "{name}");
            std::fs::copy(there.path().join(name), here.path().join(name)).unwrap();
            assert_eq!(hash(template, &here), hash(template, &there), "{name}");
        }
    }

    #[test]
    fn a_changed_endpoint_is_another_configuration() {
        let hash = |rate: &str| {
            let text = format!(
                "[notify.endpoints.chat]\nurl = 'https://hooks.example.com/x'\nevents = ['*']\nrate = '{rate}'"
            );
            parse(&text).unwrap().hash
        };
        assert_eq!(hash("1/s"), hash("1/s"));
        assert_ne!(hash("1/s"), hash("2/s"));
    }
}
