//! `[shops.NAME.scope]`, `[shops.NAME.review]`, and `review` among the toggles.

use std::ops::Range;

use toml::de::DeValue;

use super::Checker;
use crate::config::finding::Finding;
use crate::config::sections::ShopSection;
use crate::domain::{Direction, Object};
use crate::subscriptions::{ManualReview, Toggle};
use crate::sync::{Manual, Rules};

impl Checker<'_> {
    /// Everything about what is carried over at all and what waits; what is wrong is reported.
    pub(super) fn rules(&mut self, shop: &str, section: &ShopSection) -> Rules {
        let mut rules = match Rules::new(&section.scope, &section.review) {
            Ok(rules) => rules,
            Err(errors) => {
                for wrong in errors {
                    let path = ["shops", shop, wrong.path[0], wrong.path[1], wrong.path[2]];
                    let place = self.inside(&path, wrong.error.place);
                    let finding = Finding::error(
                        place,
                        format!("this rule cannot be used: {}", wrong.error.message),
                    )
                    .label(wrong.error.label);
                    self.found.push(match wrong.error.help {
                        Some(help) => finding.help(help),
                        None => finding,
                    });
                }
                Rules::default()
            }
        };
        let categories = [
            ("orders", Object::Order),
            ("customers", Object::Customer),
            ("products", Object::Product),
            ("inventory", Object::Inventory),
        ];
        for (name, object) in categories {
            let Some(category) = section.sync.category(object) else {
                continue;
            };
            let Some(review) = &category.review else { continue };
            // Inventory follows products: what is wrong was told there.
            let is_own = object != Object::Inventory || section.sync.inventory.is_some();
            let manual = self.manual(&["shops", shop, "sync", name, "review"], review, is_own);
            let Some(manual) = manual else { continue };
            let mut is_used = false;
            for direction in Direction::ALL.iter().copied().filter(|one| review.covers(*one)) {
                // Nothing is written there: neither for a level that changed on the shop, nor for an order of the ERP.
                let writes_nothing = [
                    (Object::Inventory, Direction::In),
                    (Object::Order, Direction::Out),
                ];
                if !writes_nothing.contains(&(object, direction)) {
                    rules.review_all(object, direction, manual.clone());
                }
                is_used |= section.sync.toggle(object, direction) != Toggle::Off;
            }
            if !is_used && is_own {
                self.warning(
                    &["shops", shop, "sync", name, "review"],
                    format!("no plan of {name} waits: what it is about is switched off"),
                    "switch a direction on, or take `review` out",
                );
            }
        }
        rules
    }

    fn manual(&mut self, path: &[&str], review: &ManualReview, tells: bool) -> Option<Manual> {
        let owner = review.owner.trim();
        let until = review.last_day();
        let key = |key: &'static str| path.iter().copied().chain([key]).collect::<Vec<_>>();
        // What is missing was reported when the file was read, and stands here as an empty text.
        if owner.is_empty() && tells && self.says(&key("owner")) {
            self.error(
                &key("owner"),
                "nobody looks at these plans",
                "write who approves of them: a person or a team",
            );
        }
        if until.is_none() && tells && self.says(&key("until")) {
            self.error(
                &key("until"),
                "this is no day",
                "write the last day for which manual review is meant, e.g. 2026-12-31",
            );
        }
        (!owner.is_empty()).then_some(())?;
        Some(Manual {
            owner: owner.to_owned(),
            until: until?,
        })
    }

    /// A part of a text in the file; the whole of it where it is written in a way that moves its parts.
    pub(super) fn inside(&self, path: &[&str], part: Range<usize>) -> Range<usize> {
        let whole = self.document.span(path);
        let Some(DeValue::String(text)) = self.document.get(path).map(toml::Spanned::get_ref) else {
            return whole;
        };
        let written = self.document.text.get(whole.clone()).unwrap_or_default();
        for quote in ["\"\"\"", "'''", "\"", "'"] {
            let Some(inner) = written
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
            else {
                continue;
            };
            // A line break right behind three quotes is no part of the text.
            let skipped = match quote.len() {
                3 if inner.starts_with("\r\n") => 2,
                3 if inner.starts_with('\n') => 1,
                _ => 0,
            };
            if inner[skipped..] == **text {
                let start = whole.start + quote.len() + skipped;
                return start + part.start..start + part.end;
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use crate::config::{Config, ConfigError};
    use crate::domain::{Direction, Object};

    fn parse(sync: &str, more: &str) -> Result<Config, ConfigError> {
        let text = format!(
            "[http]\npublic_url = 'https://sync.example.com'\n[shops.main]\ndomain = 'main-store.myshopify.com'\n\
             access_token = 'shpat_1'\nwebhook_secrets = ['a secret']\n[shops.main.odoo]\nurl = 'https://erp.example.com'\n\
             database = 'prod'\nlogin = 'a@example.com'\napi_key = 'k'\n[shops.main.sync]\n{sync}\n{more}\n"
        );
        Config::parse(&text, Path::new("/etc/lockstep.toml"), &|_| None)
    }

    /// Each finding with its place and help.
    fn findings(sync: &str, more: &str) -> String {
        let findings = match parse(sync, more) {
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
    fn rules_and_reviews_are_read() {
        let config = parse(
            "orders = { in = 'on', review = { owner = 'anna', until = 2026-12-31 } }\n\
             products = { in = 'on', out = 'on', review = { owner = 'bob', until = '2027-01-31', only = 'out' } }",
            "[shops.main.scope]\norders = { in = \"not order.test\" }\n[shops.main.review]\nfirst_time = ['gateway']",
        )
        .unwrap_or_else(|error| panic!("{error:?}"));
        let rules = &config.shops.values().next().unwrap().rules;
        let reviewed: Vec<(Object, Direction, &str)> = rules
            .reviewed()
            .map(|(object, direction, manual)| (object, direction, manual.owner.as_str()))
            .collect();
        assert_eq!(
            reviewed,
            [
                (Object::Order, Direction::In, "anna"),
                (Object::Product, Direction::Out, "bob"),
                // Stock follows the products.
                (Object::Inventory, Direction::Out, "bob"),
            ]
        );
        assert!(rules.concern(Object::Order, Direction::In));
        assert!(!rules.concern(Object::Customer, Direction::In));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_to_write() {
        let told = findings(
            "orders = { in = 'on', review = { owner = '', until = '31.12.2026' } }\n\
             customers = { in = 'on', review = { until = 2026-12-31 } }\n\
             products = { in = 'on', review = { owner = 'bob', until = 2026-12-31, only = 'out' } }",
            "[shops.main.scope]\norders = { in = \"order.totl is positive\" }\ncustomers = { in = \"customer.email ==\" }\n\
             products = { in = \"product.title + 1\", out = \"partner.name\" }\n\
             [shops.main.review]\norders = { in = \"order.totals.total > 5\", out = \"order.test\" }\n\
             first_time = ['gateway', 'planet']",
        );
        insta::assert_snapshot!(told);
    }
}
