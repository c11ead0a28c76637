//! The shipped mappings, on records of everyday business.

use std::sync::Arc;

use super::super::*;
use super::samples::*;
use crate::domain::{Canonical as _, Direction, ErpId, Fact, FieldValue, FinancialStatus, Needed, Object};
use crate::shopify::AdminSchema;

fn shipped(object: Object) -> Arc<Mapping> {
    let mappings = Mappings::load(None, &AdminSchema).unwrap_or_else(|errors| {
        for error in &errors.errors {
            println!("{:?}", miette::Report::new(error.clone()));
        }
        panic!("{errors}");
    });
    Arc::clone(mappings.get(object, Direction::In).expect("it is shipped"))
}

fn mapped(object: Object, record: &Fact, settings: &Fact, exceptions: &[(&str, Needed)]) -> Mapped {
    let mapping = shipped(object);
    let answers = answers(&mapping, record, settings, exceptions);
    mapping
        .evaluate(record, settings, &answers)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn an_order_is_written_line_by_line_as_the_shop_computed_it() {
    let mapping = shipped(Object::Order);
    let (record, settings) = (order().fact(), settings(Some("7")));
    let needs: Vec<String> = mapping.needs(&record, &settings).iter().map(show_need).collect();
    insta::assert_snapshot!("order_needs", needs.join("\n"));
    insta::assert_snapshot!("order", show(&mapped(Object::Order, &record, &settings, &[])));
}

#[test]
fn a_customer_is_written_with_its_address_and_recognised_by_e_mail() {
    let settings = settings(None);
    insta::assert_snapshot!(
        "customer",
        show(&mapped(Object::Customer, &customer().fact(), &settings, &[]))
    );
    insta::assert_snapshot!(
        "customer_phone_only",
        show(&mapped(Object::Customer, &phone_only().fact(), &settings, &[]))
    );
}

#[test]
fn a_product_is_written_without_any_price_on_a_variant() {
    insta::assert_snapshot!(
        "product",
        show(&mapped(Object::Product, &product().fact(), &settings(None), &[]))
    );
}

#[test]
fn an_address_of_an_order_is_known_by_its_buyer_and_its_content() {
    let record = order();
    let delivery = |buyer: &str, record: &crate::domain::Order| {
        let mapped = mapped(Object::Order, &record.fact(), &settings(Some(buyer)), &[]);
        mapped
            .group("addresses")
            .unwrap()
            .rows
            .last()
            .unwrap()
            .key
            .clone()
    };
    let hash = record.shipping_address.as_ref().unwrap().content_hash();
    assert_eq!(
        delivery("7", &record),
        format!("7_{hash}"),
        "the hash is the address's own"
    );
    assert_ne!(
        delivery("7", &record),
        delivery("guest_a", &record),
        "another buyer's address is another record"
    );

    // One address for both is one record, and both fields name it.
    let same = crate::domain::Order {
        shipping_address: record.billing_address.clone(),
        ..record
    };
    let mapped = mapped(Object::Order, &same.fact(), &settings(Some("7")), &[]);
    assert_eq!(mapped.group("addresses").unwrap().rows.len(), 1);
    assert_eq!(
        mapped.field("partner_invoice_id").unwrap().value,
        mapped.field("partner_shipping_id").unwrap().value
    );
}

#[test]
fn addresses_are_prepared_before_the_order_and_need_only_their_buyer() {
    let mapping = shipped(Object::Order);
    let (record, settings) = (order().fact(), settings(Some("7")));
    // Nothing is linked yet but the customer, and no tax was found: the addresses can be made all the same.
    let answers = answers(
        &mapping,
        &record,
        &settings,
        &[
            ("link address", Needed::Missing),
            ("link variant", Needed::Missing),
            ("tax", Needed::Missing),
        ],
    );
    let groups = mapping.prepare(&record, &settings, &answers).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].rows.len(), 2);
    for row in &groups[0].rows {
        assert_eq!(row.linked, None);
        assert_eq!(row.external_id, format!("address_{}", row.key));
        assert_eq!(&*row.fields[0].target, "parent_id");
    }
    let problems = mapping.evaluate(&record, &settings, &answers).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    assert!(
        codes.contains(&"not_linked") && codes.contains(&"tax_not_found"),
        "{codes:?}"
    );
}

#[test]
fn without_addresses_the_buyer_stands_for_both() {
    let record = crate::domain::Order {
        billing_address: None,
        shipping_address: None,
        ..order()
    };
    let mapped = mapped(Object::Order, &record.fact(), &settings(Some("7")), &[]);
    let partner = &mapped.field("partner_id").unwrap().value;
    for field in ["partner_invoice_id", "partner_shipping_id"] {
        assert_eq!(&mapped.field(field).unwrap().value, partner, "{field}");
    }
}

#[test]
fn the_stage_follows_payment_and_cancellation() {
    for (status, cancelled, expected) in [
        (FinancialStatus::Paid, false, Stage::Confirmed),
        (FinancialStatus::Refunded, false, Stage::Confirmed),
        (FinancialStatus::Pending, false, Stage::Quotation),
        (FinancialStatus::Unknown, false, Stage::Quotation),
        (FinancialStatus::Paid, true, Stage::Cancelled),
    ] {
        let mut record = order();
        record.financial_status = status;
        record.cancelled_at = cancelled.then_some(record.updated_at);
        let mapped = mapped(Object::Order, &record.fact(), &settings(Some("7")), &[]);
        assert_eq!(mapped.stage, Some(expected), "{status} {cancelled}");
    }
}

#[test]
fn test_orders_are_left_alone_unless_the_shop_books_them() {
    let mapping = shipped(Object::Order);
    let mut record = order();
    assert_eq!(mapping.skip(&record.fact(), &settings(Some("7"))).unwrap(), None);
    record.test = true;
    let skip = mapping
        .skip(&record.fact(), &settings(Some("7")))
        .unwrap()
        .expect("it is skipped");
    assert_eq!(skip.reason, "it was placed with a test gateway");
    let booking = ShopFacts {
        book_test_orders: true,
        ..ShopFacts::default()
    }
    .fact();
    assert_eq!(mapping.skip(&record.fact(), &booking).unwrap(), None);
}

#[test]
fn needs_follow_the_objects_and_tell_what_is_written_from_what_is_searched_by() {
    let mappings = Mappings::load(None, &AdminSchema).unwrap();
    let models = |objects: &[Object]| -> Vec<String> {
        let objects = objects.iter().copied().collect();
        mappings.needs(&objects, None).into_keys().collect()
    };
    assert_eq!(models(&[]), [""; 0]);
    assert_eq!(models(&[Object::Customer]), ["res.partner"]);
    assert_eq!(
        models(&[Object::Order]),
        ["res.partner", "sale.order", "sale.order.line"]
    );
    let needs = mappings.needs(&[Object::Customer].into(), None);
    let field = |name: &str| {
        needs["res.partner"]
            .iter()
            .find(|field| field.name == name)
            .unwrap_or_else(|| panic!("{name} is not among {needs:?}"))
    };
    // Odoo computes it from the address; records are only found by it.
    assert!(!field("email_normalized").written);
    assert!(field("email").written);
    let line = field("email").place.strip_prefix("customer.in.toml:").unwrap();
    assert!(line.parse::<usize>().unwrap() > 1, "{line}");
}

#[test]
fn a_guest_is_booked_on_its_own_link_or_on_the_shops_partner() {
    let record = crate::domain::Order {
        customer: None,
        ..order()
    }
    .fact();
    let on_link = mapped(
        Object::Order,
        &record,
        &settings(Some("guest_ab")),
        &[("guest_ab", Needed::Found(ErpId(9)))],
    );
    assert_eq!(
        on_link.field("partner_id").unwrap().value,
        FieldValue::Record(ErpId(9))
    );
    let facts = ShopFacts {
        guest_partner: Some(55),
        ..ShopFacts::default()
    }
    .fact();
    let on_partner = mapped(Object::Order, &record, &facts, &[]);
    assert_eq!(
        on_partner.field("partner_id").unwrap().value,
        FieldValue::Record(ErpId(55))
    );
    let problems = shipped(Object::Order)
        .evaluate(
            &record,
            &settings(None),
            &answers(&shipped(Object::Order), &record, &settings(None), &[]),
        )
        .unwrap_err();
    assert_eq!(problems[0].target, "partner_id");
}

#[test]
fn a_missing_tax_names_itself_and_its_owner() {
    let mapping = shipped(Object::Order);
    let (record, settings) = (order().fact(), settings(Some("7")));
    let answers = answers(&mapping, &record, &settings, &[("tax", Needed::Missing)]);
    let problems = mapping.evaluate(&record, &settings, &answers).unwrap_err();
    let problem = problems[0].problem(Some("#1042"));
    insta::assert_json_snapshot!("missing_tax", problem);
    let clusters: std::collections::BTreeSet<String> = problems
        .iter()
        .map(|problem| problem.problem(None).cluster)
        .collect();
    assert_eq!(clusters.len(), 1, "one missing tax is one cause: {clusters:?}");
    let titles: std::collections::BTreeSet<&str> =
        problems.iter().map(|problem| problem.title.as_str()).collect();
    let titles: Vec<&str> = titles.into_iter().collect();
    assert_eq!(
        titles,
        ["The ERP has no sales tax of 19 % included in the price."],
        "the cause is called by nothing of one record"
    );
}

#[test]
fn the_row_for_a_missing_tax_answers_for_no_other_destination() {
    let mapping = shipped(Object::Order);
    for (title, country, channel, row) in [
        ("VAT", "FR", false, "19 included VAT FR"),
        ("DE MwSt", "CY", false, "19 included DE MwSt CY"),
        ("MwSt (DE)", "DE", false, "19 included MwSt (DE)"),
        ("DEX", "DE", false, "19 included DEX DE"),
        ("CA State Tax", "US", false, "19 included CA State Tax US"),
        ("NY Sales Tax", "US", true, "19 included channel"),
    ] {
        let mut record = order();
        for tax in record.lines.iter_mut().flat_map(|line| &mut line.taxes) {
            tax.title = title.into();
            tax.channel_liable = channel;
        }
        record.shipping_address.as_mut().unwrap().country_code = Some(country.into());
        let (record, settings) = (record.fact(), settings(Some("7")));
        let answers = answers(&mapping, &record, &settings, &[("tax", Needed::Missing)]);
        let problems = mapping.evaluate(&record, &settings, &answers).unwrap_err();
        let fix = problems[0].problem(None).fix;
        assert!(
            fix.contains(&format!("`\"{row}\" = NUMBER`")),
            "{title} to {country}: {fix}"
        );
    }
}

#[test]
fn two_taxes_that_are_one_in_the_erp_are_a_problem() {
    let mapping = shipped(Object::Order);
    let mut record = order();
    record.lines[0].taxes = vec![tax("1.00", "0.10"), tax("1", "0.10")];
    let (record, settings) = (record.fact(), settings(Some("7")));
    let answers = answers(&mapping, &record, &settings, &[]);
    let problems = mapping.evaluate(&record, &settings, &answers).unwrap_err();
    assert_eq!(
        problems
            .iter()
            .map(|problem| problem.code.as_str())
            .collect::<Vec<_>>(),
        ["same_record_twice"]
    );
}

#[test]
fn no_sum_of_money_is_anything_but_exact() {
    // Every amount that a mapping writes arrives as a decimal; 0.1 * 3 in floats would show here.
    let mut record = order();
    record.lines[0] = line("line_1", "3", "0.1", "0", Some("0.1"));
    let mapped = mapped(Object::Order, &record.fact(), &settings(Some("7")), &[]);
    let row = &mapped.group("lines").unwrap().rows[0];
    let value = |name: &str| {
        row.fields
            .iter()
            .find(|field| *field.target == *name)
            .unwrap()
            .value
            .clone()
    };
    assert_eq!(value("price_unit"), FieldValue::Decimal(number("0.1")));
    assert_eq!(value("product_uom_qty"), FieldValue::Decimal(number("3")));
}
