//! Whether the ERP's variant of a link stands, or was archived by itself: no mapping writes that, so the link keeps it beside the
//! mapped fields, for whoever looks for drift.

use super::super::agree::{Agreed, Agreement, hash};
use crate::domain::FieldValue;

/// The ERP's field that says whether a record is archived.
pub(in crate::sync) const ACTIVE: &str = "active";

/// Notes of a variant whether it stands. What is archived with its whole product stands: the product is told then. One that
/// somebody archived by itself is not agreed on by looking at it, unless nothing was noted so far.
pub(in crate::sync) fn note(
    agreed: &mut Agreement,
    before: Option<&Agreed>,
    variant: Option<&FieldValue>,
    product: Option<&FieldValue>,
) {
    // The mapping has a say in it, or nothing is agreed on at all.
    if agreed.contains_key(ACTIVE) || agreed.is_empty() {
        return;
    }
    let Some(variant) = variant else {
        agreed.extend(before.map(|known| (ACTIVE.to_owned(), known.clone())));
        return;
    };
    let is_away = |value: &FieldValue| *value == FieldValue::Bool(false);
    let stands = !is_away(variant) || product.is_some_and(is_away);
    let known = before.filter(|known| !stands && known.target.is_some());
    let noted = known.cloned().unwrap_or_else(|| Agreed {
        source: String::new(),
        target: Some(hash(&FieldValue::Bool(stands))),
    });
    agreed.insert(ACTIVE.to_owned(), noted);
}

/// Whether a variant stood when both sides last agreed; none where that was never noted.
pub(in crate::sync) fn stood(agreed: &Agreement) -> Option<bool> {
    let target = agreed.get(ACTIVE)?.target.as_ref()?;
    Some(*target == hash(&FieldValue::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(before: Option<bool>, variant: bool, product: bool) -> Option<bool> {
        let mark = |stands| Agreed {
            source: String::new(),
            target: Some(hash(&FieldValue::Bool(stands))),
        };
        let before = before.map(mark);
        let mut agreed = Agreement::from([("barcode".to_owned(), Agreed::default())]);
        let (variant, product) = (FieldValue::Bool(variant), FieldValue::Bool(product));
        note(&mut agreed, before.as_ref(), Some(&variant), Some(&product));
        stood(&agreed)
    }

    #[test]
    fn what_somebody_archived_by_itself_is_agreed_on_only_where_nothing_was_noted() {
        for (before, variant, product, after) in [
            (None, true, true, true),
            (None, false, true, false),
            (None, false, false, true),
            (Some(true), false, true, true),
            (Some(false), false, true, false),
            (Some(false), true, true, true),
            (Some(true), false, false, true),
        ] {
            assert_eq!(
                noted(before, variant, product),
                Some(after),
                "{before:?} {variant} {product}"
            );
        }
    }

    #[test]
    fn nothing_is_noted_of_a_link_that_agrees_on_nothing_and_what_was_not_read_stays_as_it_was() {
        let mut agreed = Agreement::new();
        note(&mut agreed, None, Some(&FieldValue::Bool(true)), None);
        assert_eq!(stood(&agreed), None);
        let mut agreed = Agreement::from([("barcode".to_owned(), Agreed::default())]);
        note(&mut agreed, None, None, None);
        assert_eq!(stood(&agreed), None);
    }
}
