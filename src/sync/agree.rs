//! Agreement: which fields a side changed since both sides last agreed.
//!
//! Per mapped field a link keeps two hashes: of the value as the mapping made it from Shopify, and of the value as it was
//! read from the ERP afterwards. Each side is compared only with itself, so an ERP's rounding or html clean-up is no
//! change, and our own write coming back is none either. Times and users play no part.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::FieldValue;

/// The hashes of one field when both sides last agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Agreed {
    /// Of the value that the mapping made.
    pub(super) source: String,
    /// Of the value that was read from the ERP after writing; none while it was not read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
}

/// All fields of one record.
pub(super) type Agreement = BTreeMap<String, Agreed>;

/// Who has the last word when both sides changed a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Shopify,
    Erp,
    Hold,
}

impl Truth {
    /// The same as the other direction sees it, where the ERP is the source and the shop the target.
    pub(super) const fn seen_from_the_erp(self) -> Self {
        match self {
            Self::Shopify => Self::Erp,
            Self::Erp => Self::Shopify,
            Self::Hold => Self::Hold,
        }
    }
}

/// What to do about one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: the source did not change, or both hold the same.
    Keep,
    /// Write it.
    Write,
    /// Both sides changed it, and the mapping leaves the choice to a person.
    Conflict,
}

/// A short hash of a value.
pub(super) fn hash(value: &FieldValue) -> String {
    hex::encode(&Sha256::digest(content(value).as_bytes())[..8])
}

/// A value as text, the same for equal values and for no others.
pub(super) fn content(value: &FieldValue) -> String {
    let mut text = String::new();
    append_content(&mut text, value);
    text
}

/// Appends the same.
pub(super) fn append_content(to: &mut String, value: &FieldValue) {
    // The debug form tells kinds apart (the text "1" from the number 1); decimals are normalised, so that 1.0 is 1.
    let written = match value {
        FieldValue::Decimal(number) => write!(to, "Decimal({})", number.normalize()),
        FieldValue::Text(text) if text.is_empty() => write!(to, "{:?}", FieldValue::Clear),
        // What the debug form makes of nearly all texts, without looking at every letter's properties.
        FieldValue::Text(text) if is_simple(text) => {
            to.extend(["Text(\"", text, "\")"]);
            Ok(())
        }
        FieldValue::Records(ids) => {
            let mut sorted = ids.clone();
            sorted.sort();
            write!(to, "{sorted:?}")
        }
        other => write!(to, "{other:?}"),
    };
    debug_assert!(written.is_ok(), "writing to text does not fail");
}

/// Whether nothing in this text is escaped in the debug form.
fn is_simple(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// What is agreed on a field after an attempt that read it back as `held`. `written` says whether the attempt wrote it.
///
/// `given_up` says that both sides changed it, the declared truth kept the target, and the other direction brings that
/// value over: then it is settled, and only a later change counts as one again.
///
/// Equal sides agree. What was written and reads back differently is the ERP's own form of it where the mapping declares
/// the field lossy, and else somebody's change in between, which stays visible as one. What was not written stays as it
/// was agreed before: the ERP's edit is not agreed upon by looking at it.
pub(super) fn settle(
    before: Option<&Agreed>,
    wanted: &FieldValue,
    held: &FieldValue,
    written: bool,
    lossy: bool,
    given_up: bool,
) -> Agreed {
    let (source, now) = (hash(wanted), hash(held));
    let known = before.and_then(|agreed| agreed.target.clone());
    let target = match (written, known) {
        _ if source == now || given_up => now,
        (true, _) if lossy => now,
        (true, _) => source.clone(),
        (false, Some(known)) => known,
        (false, None) => now,
    };
    Agreed {
        source,
        target: Some(target),
    }
}

/// What to do about a field, given what was agreed, what the mapping wants now and what the ERP holds now.
pub(super) fn decide(
    agreed: Option<&Agreed>,
    wanted: &FieldValue,
    held: &FieldValue,
    truth: Truth,
) -> Change {
    let (wanted_hash, held_hash) = (hash(wanted), hash(held));
    if wanted_hash == held_hash {
        return Change::Keep;
    }
    let Some(agreed) = agreed else {
        // Never agreed: an adopted record meets its source for the first time. What the source does not say is no
        // reason to take away what the ERP knows.
        if wanted_hash == hash(&FieldValue::Clear) {
            return Change::Keep;
        }
        return match truth {
            Truth::Shopify => Change::Write,
            Truth::Erp if *held == FieldValue::Clear => Change::Write,
            Truth::Erp => Change::Keep,
            Truth::Hold if *held == FieldValue::Clear => Change::Write,
            Truth::Hold => Change::Conflict,
        };
    };
    if agreed.source == wanted_hash {
        return Change::Keep;
    }
    let erp_changed = agreed.target.as_ref().is_some_and(|target| *target != held_hash);
    match (erp_changed, truth) {
        (false, _) | (true, Truth::Shopify) => Change::Write,
        (true, Truth::Erp) => Change::Keep,
        (true, Truth::Hold) => Change::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    fn text(text: &str) -> FieldValue {
        FieldValue::Text(text.into())
    }

    #[test]
    fn texts_are_told_apart_in_their_debug_form() {
        for sample in [
            "Mug", "it's 5 %", "a\"b", "a\\b", "a\tb", "\u{e4}", "\u{301}", "\u{7f}", " ", "~!",
        ] {
            assert_eq!(content(&text(sample)), format!("{:?}", text(sample)), "{sample}");
        }
    }

    #[test]
    fn each_side_is_compared_only_with_itself() {
        let agreed = Agreed {
            source: hash(&text("Ada")),
            target: Some(hash(&text("ADA"))),
        };
        for (name, wanted, held, truth, expected) in [
            (
                "nothing changed, the ERP upper-cased it",
                "Ada",
                "ADA",
                Truth::Shopify,
                Change::Keep,
            ),
            (
                "only the ERP changed",
                "Ada",
                "Ada L.",
                Truth::Shopify,
                Change::Keep,
            ),
            ("only Shopify changed", "Ada B.", "ADA", Truth::Erp, Change::Write),
            (
                "both changed, Shopify decides",
                "Ada B.",
                "Ada L.",
                Truth::Shopify,
                Change::Write,
            ),
            (
                "both changed, the ERP decides",
                "Ada B.",
                "Ada L.",
                Truth::Erp,
                Change::Keep,
            ),
            (
                "both changed, a person decides",
                "Ada B.",
                "Ada L.",
                Truth::Hold,
                Change::Conflict,
            ),
            (
                "both changed to the same",
                "Ada B.",
                "Ada B.",
                Truth::Hold,
                Change::Keep,
            ),
        ] {
            assert_eq!(
                decide(Some(&agreed), &text(wanted), &text(held), truth),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_first_meeting_follows_the_source_of_truth() {
        for (held, truth, expected) in [
            (text("x"), Truth::Shopify, Change::Write),
            (text("x"), Truth::Erp, Change::Keep),
            (text("x"), Truth::Hold, Change::Conflict),
            (FieldValue::Clear, Truth::Erp, Change::Write),
        ] {
            assert_eq!(
                decide(None, &text("y"), &held, truth),
                expected,
                "{held} {truth:?}"
            );
        }
    }

    #[test]
    fn what_the_source_does_not_say_takes_nothing_from_an_adopted_record() {
        for truth in [Truth::Shopify, Truth::Erp, Truth::Hold] {
            for nothing in [FieldValue::Clear, text("")] {
                assert_eq!(
                    decide(None, &nothing, &text("x"), truth),
                    Change::Keep,
                    "{truth:?}"
                );
            }
        }
        let agreed = Agreed {
            source: hash(&text("x")),
            target: Some(hash(&text("x"))),
        };
        assert_eq!(
            decide(Some(&agreed), &FieldValue::Clear, &text("x"), Truth::Shopify),
            Change::Write,
            "what was agreed and is gone at the source is emptied"
        );
    }

    #[test]
    fn an_attempt_ends_in_agreement_on_equal_sides_and_on_what_was_written() {
        let known = |held: &str| Agreed {
            source: hash(&text("before")),
            target: Some(hash(&text(held))),
        };
        for (name, before, held, written, lossy, expected) in [
            (
                "both became equal",
                Some(known("old")),
                "new",
                false,
                false,
                "new",
            ),
            (
                "written and read back",
                Some(known("old")),
                "new",
                true,
                false,
                "new",
            ),
            ("the ERP's own form", Some(known("old")), "NEW", true, true, "NEW"),
            (
                "changed in between",
                Some(known("old")),
                "theirs",
                true,
                false,
                "new",
            ),
            (
                "the ERP's edit",
                Some(known("old")),
                "theirs",
                false,
                false,
                "old",
            ),
            ("never read before", None, "theirs", false, false, "theirs"),
        ] {
            let settled = settle(before.as_ref(), &text("new"), &text(held), written, lossy, false);
            assert_eq!(settled.source, hash(&text("new")), "{name}");
            assert_eq!(settled.target, Some(hash(&text(expected))), "{name}");
        }
    }

    #[test]
    fn what_was_given_up_is_settled_as_it_stands() {
        let known = Agreed {
            source: hash(&text("before")),
            target: Some(hash(&text("old"))),
        };
        let settled = settle(Some(&known), &text("new"), &text("theirs"), false, false, true);
        assert_eq!(settled.target, Some(hash(&text("theirs"))));
    }

    #[test]
    fn equal_values_have_equal_hashes() {
        let number = |units, scale| FieldValue::Decimal(Decimal::new(units, scale));
        assert_eq!(hash(&number(10, 1)), hash(&number(1, 0)));
        assert_eq!(hash(&text("")), hash(&FieldValue::Clear));
        assert_ne!(hash(&text("1")), hash(&number(1, 0)));
    }
}
