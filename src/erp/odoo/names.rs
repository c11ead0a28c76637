//! Field names that differ between versions. Everybody else speaks Odoo 19's; the adapter translates at the edge.

/// Model, name from 19 on, name up to 18.
const RENAMED: &[(&str, &str, &str)] = &[
    ("sale.order.line", "tax_ids", "tax_id"),
    ("sale.order.line", "product_uom_id", "product_uom"),
];

/// The name of `field` in a server of version `major`.
pub(super) fn wire_name<'a>(major: u32, model: &str, field: &'a str) -> &'a str {
    if major >= 19 {
        return field;
    }
    RENAMED
        .iter()
        .find(|(of, new, _)| *of == model && *new == field)
        .map_or(field, |(_, _, old)| old)
}

/// The name by which everybody else knows the server's `field`.
pub(super) fn common_name<'a>(major: u32, model: &str, field: &'a str) -> &'a str {
    if major >= 19 {
        return field;
    }
    RENAMED
        .iter()
        .find(|(of, _, old)| *of == model && *old == field)
        .map_or(field, |(_, new, _)| new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_there_and_back() {
        for (major, model, common, wire) in [
            (18, "sale.order.line", "tax_ids", "tax_id"),
            (17, "sale.order.line", "product_uom_id", "product_uom"),
            (19, "sale.order.line", "tax_ids", "tax_ids"),
            (18, "sale.order", "tax_ids", "tax_ids"),
            (18, "sale.order.line", "name", "name"),
        ] {
            assert_eq!(wire_name(major, model, common), wire);
            assert_eq!(common_name(major, model, wire), common);
        }
    }
}
