use super::super::{address, client, start};
use super::{calls, clear, flag, lose_answer, refusals, text};
use crate::domain::{Disposition, Fields, LinkKind, NewCustomer, ShopifyId};
use crate::sandbox::shopify::ShopSandbox;
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::shopify::ShopifyError;

fn new() -> NewCustomer {
    NewCustomer {
        erp_ref: "customer_17".to_owned(),
        fields: vec![
            text("first_name", "Ana"),
            text("last_name", "Berg"),
            text("email", "Ana.Berg@example.com"),
            flag("tax_exempt", true),
            text("address.address1", "Lindenweg 3"),
            text("address.city", "Ulm"),
            text("address.country_code", "DE"),
        ],
    }
}

/// A customer with two addresses and a tag; the second address is the default one.
fn known(sandbox: &ShopSandbox) -> ShopifyId {
    let id = sandbox.change(|shop| {
        let id = shop
            .create_customer(CustomerDraft {
                first_name: Some("Ana".to_owned()),
                email: Some("ana@example.com".to_owned()),
                tags: vec!["vip".to_owned()],
                addresses: vec![address("Ulm")],
                ..CustomerDraft::default()
            })
            .unwrap();
        shop.add_address(id, address("Bonn")).unwrap();
        id
    });
    ShopifyId(id)
}

fn cities(sandbox: &ShopSandbox, id: ShopifyId) -> Vec<String> {
    sandbox.read(|shop| {
        let customer = shop.customer(id.0).unwrap();
        customer.addresses.iter().filter_map(|a| a.city.clone()).collect()
    })
}

#[tokio::test]
async fn a_customer_is_made_once_although_the_answer_is_lost() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    lose_answer(&sandbox, "LockstepCustomerSet");
    let error = shop.create_customer(&new()).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    let made = ShopifyId(sandbox.ledger().customers[0].id);
    // Meanwhile somebody adds an address; it is not ours to lose.
    sandbox
        .change(|shop| shop.add_address(made.0, address("Bonn")))
        .unwrap();

    let customer = client(&sandbox).create_customer(&new()).await.unwrap();
    assert_eq!(customer.id, made);
    assert_eq!(sandbox.ledger().customers.len(), 1);
    assert_eq!(cities(&sandbox, made).len(), 2);
    assert_eq!(customer.email.as_deref(), Some("ana.berg@example.com"));
    assert!(customer.tax_exempt);
    assert_eq!(shop.customer_of_ref("customer_17").await.unwrap(), Some(made));
    assert_eq!(shop.customer_of_ref("customer_18").await.unwrap(), None);
}

#[tokio::test]
async fn a_customer_is_made_as_it_is_asked_for() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    assert_eq!(shop.customer_of_ref("customer_17").await.unwrap(), None);
    let customer = shop.create_customer(&new()).await.unwrap();
    let default = customer.default_address.unwrap();
    assert_eq!(default.city.as_deref(), Some("Ulm"));
    assert_eq!(default.country_code.as_deref(), Some("DE"));
    // Definition, look-ups, the customer itself.
    assert_eq!(sandbox.ledger().calls.graphql, 4);
    let found = shop
        .find_customers(Some(" ANA.berg@example.com "), Some("0151"))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, customer.id);
    assert_eq!(shop.find_customers(None, Some("0151")).await.unwrap(), []);
}

#[tokio::test]
async fn a_change_keeps_every_other_address_and_tag() {
    let sandbox = start().await;
    let id = known(&sandbox);
    let fields: Fields = vec![
        text("note", "pays late"),
        clear("last_name"),
        text("address.city", "Köln"),
        clear("address.zip"),
    ];
    let customer = client(&sandbox).update_customer(id, &fields).await.unwrap();
    assert_eq!(customer.note.as_deref(), Some("pays late"));
    assert_eq!(customer.tags, ["vip"]);
    assert_eq!(cities(&sandbox, id), ["Ulm", "Köln"]);
    let default = customer.default_address.unwrap();
    assert_eq!(default.zip, None);
    assert_eq!(
        default.address1.as_deref(),
        Some("Lindenweg 3"),
        "what is absent stays"
    );
    assert_eq!(customer.first_name.as_deref(), Some("Ana"));
}

#[tokio::test]
async fn an_address_is_made_once_although_the_answer_is_lost() {
    let sandbox = start().await;
    let id = sandbox
        .change(|shop| shop.create_customer(CustomerDraft::default()))
        .unwrap();
    let id = ShopifyId(id);
    let shop = client(&sandbox);
    // An address without content is none.
    shop.update_customer(id, &vec![clear("address.city")])
        .await
        .unwrap();
    assert_eq!(cities(&sandbox, id).len(), 0);
    lose_answer(&sandbox, "LockstepAddressCreate");
    let fields = vec![text("address.city", "Ulm")];
    let error = shop.update_customer(id, &fields).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    shop.update_customer(id, &fields).await.unwrap();
    assert_eq!(cities(&sandbox, id), ["Ulm"]);
    assert_eq!(calls(&sandbox, "LockstepAddressCreate"), 1);
}

#[tokio::test]
async fn refusals_name_our_fields() {
    let sandbox = start().await;
    let id = known(&sandbox);
    let shop = client(&sandbox);
    let taken = NewCustomer {
        fields: vec![text("email", "ana@example.com")],
        ..new()
    };
    let error = shop.create_customer(&taken).await.unwrap_err();
    let email = |code: Option<&str>| vec![(None, Some("email".to_owned()), code.map(str::to_owned))];
    assert_eq!(refusals(&error), email(Some("TAKEN")));
    assert_eq!(error.field(), Some("email"));
    assert_eq!(error.disposition(), Disposition::Permanent);
    assert!(!error.outcome_unknown());
    assert_eq!(sandbox.ledger().customers.len(), 1);

    let error = shop
        .update_customer(id, &vec![text("email", "none")])
        .await
        .unwrap_err();
    // `customerUpdate` has no codes.
    assert_eq!(refusals(&error), email(None));

    let fields = vec![text("note", "new"), text("address.phone", "call me")];
    let error = shop.update_customer(id, &fields).await.unwrap_err();
    assert_eq!(error.field(), Some("address.phone"));
    assert!(error.to_string().contains("other fields are written"), "{error}");
    let note = sandbox.read(|shop| shop.customer(id.0).unwrap().note.clone());
    assert_eq!(note.as_deref(), Some("new"));

    // Well formed, and no country.
    let fields = vec![text("address.country_code", "QQ")];
    let error = shop.update_customer(id, &fields).await.unwrap_err();
    assert_eq!(error.field(), Some("address.country_code"), "{error}");
    assert_eq!(error.disposition(), Disposition::Permanent);

    let error = shop
        .update_customer(id, &vec![text("shoe_size", "42")])
        .await
        .unwrap_err();
    assert!(matches!(error, ShopifyError::NotWritable { ref field, .. } if field == "shoe_size"));
}

#[tokio::test]
async fn a_customer_that_is_gone_is_told() {
    let sandbox = start().await;
    let id = known(&sandbox);
    sandbox.change(|shop| shop.delete_customer(id.0)).unwrap();
    let shop = client(&sandbox);
    for field in ["note", "address.city"] {
        let error = shop
            .update_customer(id, &vec![text(field, "x")])
            .await
            .unwrap_err();
        assert_eq!(error.code(), "shopify_write_rejected", "{error}");
        assert!(error.is_gone(), "{error}");
    }
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let sandbox = start().await;
    let id = known(&sandbox);
    sandbox.change(|shop| shop.grant_scopes(&["read_customers"]));
    let shop = client(&sandbox);
    for error in [
        shop.update_customer(id, &vec![text("note", "x")])
            .await
            .unwrap_err(),
        shop.note_erp_ref(LinkKind::Customer, id, "customer_1")
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(&error, ShopifyError::AccessDenied { needed, .. } if needed.contains("write_customers"))
        );
        assert_eq!(error.disposition(), Disposition::Permanent);
    }
}
