//! Whether the two records of a link are still the ones that were linked.
//!
//! A shop or an ERP that was restored from a copy or exchanged for another one holds strangers under the numbers that we know. So
//! before a record of the shop is written through a link, what each of the two says of itself is looked at: the name of the ERP's
//! record that the shop's carries (a metafield), and the external id that names the shop's record in the ERP. A record that carries
//! none must still match by one of the mapping's keys, or hold most of what was agreed on.

use serde_json::{Value, json};

use super::super::agree::{Agreement, hash};
use super::super::flow::{Flow, Held};
use super::super::stop::Stop;
use crate::domain::{FieldValue, Link, NewProblem};
use crate::mapping::{Mapped, MappedField, MatchKey};

/// A link about to be written through.
pub(super) struct Pair<'a> {
    pub(super) link: &'a Link,
    /// The shop's record, as it was read.
    pub(super) raw: &'a Value,
    /// Our name of the ERP's record.
    pub(super) own: &'a str,
    /// What the way in makes of the shop's record; none where it makes nothing of it.
    pub(super) way_in: Option<&'a Mapped>,
    /// What the two are recognised by.
    pub(super) evidence: Vec<Evidence<'a>>,
}

/// What is known of a record and of its parts.
pub(super) struct Evidence<'a> {
    /// What the mapping makes of the ERP's record now.
    pub(super) fields: &'a [MappedField],
    pub(super) keys: &'a [MatchKey],
    /// What the shop holds.
    pub(super) held: Held,
    /// What both sides agreed on.
    pub(super) known: Agreement,
}

/// The name of the ERP's record that a record of the shop carries.
pub(super) fn mark_of(raw: &Value) -> Option<&str> {
    raw.pointer("/erpRef/value")?
        .as_str()
        .filter(|mark| !mark.is_empty())
}

/// Sees to it that both records are the ones that were linked.
pub(super) async fn check(flow: &Flow<'_>, pair: &Pair<'_>) -> Result<(), Stop> {
    may_be_adopted(flow, pair.link, pair.raw, pair.own)?;
    let mut is_named = mark_of(pair.raw).is_some();
    if let Some(expected) = pair.way_in.map(|mapped| mapped.external_id.as_str()) {
        let link = pair.link;
        let ids = flow.shop.erp.external_ids(&link.model, &[link.erp_id]).await?;
        let names = ids
            .iter()
            .filter(|(id, name)| *id == link.erp_id && name.shop == flow.shop.name)
            .map(|(_, name)| name.name.as_str());
        // An order's guest may have become a customer: names of other kinds say nothing.
        let mut names = names.filter(|name| kind(name) == kind(expected)).peekable();
        if names.peek().is_some() {
            is_named = true;
            if names.all(|name| name != expected) {
                return Err(stranger_in_the_erp(flow, pair).into());
            }
        }
    }
    if is_named || pair.evidence.iter().any(Evidence::holds_a_key) || resembles(&pair.evidence) {
        return Ok(());
    }
    Err(stranger_in_the_erp(flow, pair).into())
}

/// Sees to it that a record of the shop that was found belongs to no other one of the ERP.
pub(super) fn may_be_adopted(flow: &Flow<'_>, link: &Link, raw: &Value, own: &str) -> Result<(), Stop> {
    match mark_of(raw) {
        Some(mark) if !is_ours(mark, own, link) => Err(stranger_on_the_shop(flow, link, own, mark).into()),
        _ => Ok(()),
    }
}

/// Whether a mark names the linked record, also where the mapping names records in another way by now.
fn is_ours(mark: &str, own: &str, link: &Link) -> bool {
    mark == own || number(mark) == link.erp_id.to_string()
}

/// A name without the number at its end, and that number.
fn kind(name: &str) -> &str {
    name.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

fn number(name: &str) -> &str {
    &name[kind(name).len()..]
}

impl Evidence<'_> {
    fn holds_a_key(&self) -> bool {
        let holds = |(field, value): &(String, FieldValue)| {
            *value != FieldValue::Clear && self.held.get(field).is_some_and(|now| alike(now, value))
        };
        let mut keys = self.keys.iter();
        keys.any(|key| !key.equal.is_empty() && key.equal.iter().all(holds))
    }
}

/// Whether two values are alike; the shop keeps e-mail addresses in lower case.
fn alike(one: &FieldValue, other: &FieldValue) -> bool {
    match (one, other) {
        (FieldValue::Text(one), FieldValue::Text(other)) => one.trim().eq_ignore_ascii_case(other.trim()),
        _ => hash(one) == hash(other),
    }
}

/// Whether at least half of what was agreed on is still there. Empty fields are alike everywhere and tell nothing.
fn resembles(evidence: &[Evidence<'_>]) -> bool {
    let nothing = hash(&FieldValue::Clear);
    let (mut same, mut known) = (0_usize, 0_usize);
    for part in evidence {
        for field in part.fields {
            let Some(agreed) = part.known.get(&*field.target) else {
                continue;
            };
            if agreed.source != nothing && !agreed.source.is_empty() {
                known += 1;
                same += usize::from(agreed.source == hash(&field.value));
            }
        }
    }
    // One field alone tells nothing when it is that which was edited.
    known < 2 || same * 2 >= known
}

fn stranger_on_the_shop(flow: &Flow<'_>, link: &Link, own: &str, mark: &str) -> NewProblem {
    let mut problem = flow.subject.problem(
        "shopify_record_is_a_stranger",
        &link.kind.to_string(),
        format!(
            "The shop's record {} is not the one that was linked: it says that it belongs to {mark} of the ERP, and it is to be {own}.",
            link.source_id
        ),
        "Find out whether the shop or the ERP was restored or exchanged, and pause the shop until then. If the link is right, remove the metafield `erp_ref` of the app from the shop's record, then retry.",
    );
    problem.detail = json!({ "shopify": link.source_id, "erp": link.erp_id, "says": mark });
    problem
}

fn stranger_in_the_erp(flow: &Flow<'_>, pair: &Pair<'_>) -> NewProblem {
    let link = pair.link;
    let mut problem = flow.subject.problem(
        "erp_record_is_a_stranger",
        &link.model,
        format!(
            "The ERP record {} is not the one that was linked to the shop's {}: it carries neither our external id for it nor the values that it had. Nothing is written to the shop.",
            link.erp_id, link.source_id
        ),
        "Find out whether the ERP was restored or exchanged, and pause the shop until then. If the record is right, give it back a value that it is recognised by (e-mail address, SKU), then retry.",
    );
    problem.detail = json!({ "shopify": link.source_id, "erp": link.erp_id });
    problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ErpId, LinkKind, LinkState};
    use crate::mapping::Truth;
    use crate::sync::agree::Agreed;

    fn text(text: &str) -> FieldValue {
        FieldValue::Text(text.to_owned())
    }

    #[test]
    fn a_mark_names_the_linked_record_or_a_stranger() {
        let link = Link {
            shop: "main".parse().unwrap(),
            kind: LinkKind::Product,
            source_id: "70".into(),
            model: "product.template".into(),
            erp_id: ErpId(7),
            erp_name: None,
            state: LinkState::Linked,
            source_updated_at: None,
            agreed: Value::Null,
            agreed_out: Value::Null,
            writes: Value::Null,
        };
        for (mark, expected) in [
            ("product_7", true),
            ("template_7", true),
            ("product_77", false),
            ("product_8", false),
            ("7", true),
        ] {
            assert_eq!(is_ours(mark, "product_7", &link), expected, "{mark}");
        }
    }

    #[test]
    fn a_record_is_recognised_by_a_key_or_by_half_of_what_was_agreed_on() {
        let field = |name: &str, value: &str| MappedField {
            target: name.into(),
            value: text(value),
            source: "".into(),
            truth: Truth::Shopify,
            lossy: false,
            create_only: false,
            line: 1,
        };
        let names = ["first_name", "last_name", "phone"];
        let known: Agreement = names
            .iter()
            .map(|name| {
                let agreed = Agreed {
                    source: hash(&text(name)),
                    target: None,
                };
                ((*name).to_owned(), agreed)
            })
            .collect();
        let key = |email: &str| MatchKey {
            equal: vec![("email".into(), text(email))],
            line: 1,
        };
        for (what, now, email, expected) in [
            (
                "nothing changed",
                ["first_name", "last_name", "phone"],
                "x@y.z",
                (false, true),
            ),
            (
                "one edited",
                ["Ada", "last_name", "phone"],
                "x@y.z",
                (false, true),
            ),
            ("two edited", ["Ada", "King", "phone"], "x@y.z", (false, false)),
            (
                "all edited, but the address",
                ["Ada", "King", "1"],
                "ADA@example.com",
                (true, false),
            ),
        ] {
            let fields: Vec<MappedField> = names
                .iter()
                .zip(now)
                .map(|(name, value)| field(name, value))
                .collect();
            let keys = [key(email)];
            let evidence = Evidence {
                fields: &fields,
                keys: &keys,
                held: [("email".to_owned(), text("ada@example.com"))].into(),
                known: known.clone(),
            };
            let found = (evidence.holds_a_key(), resembles(&[evidence]));
            assert_eq!(found, expected, "{what}");
        }
    }
}
