//! Odd buyers and odd addresses.

use super::*;

#[tokio::test]
async fn a_company_buys_and_whoever_orders_is_its_contact() {
    for version in BOTH {
        let bench = otherwise(options(version), Settings::default(), |order| {
            order.company = Some(OrderCompany {
                id: ShopifyId(8001),
                name: "Acme GmbH".into(),
                location_id: ShopifyId(8101),
                location_name: "Hamburg".into(),
                external_id: None,
            });
        })
        .await;
        let buyer = ada(&bench);
        let mut partners = Vec::new();
        for _ in 0..2 {
            let mut draft = custom(&[("10.00", 1)], false);
            draft.buyer = Buyer::Customer(buyer);
            draft.shipping_address = Some(berlin("Lager"));
            let (id, name) = order(&bench, draft);
            done(&bench, id).await;
            let booked = bench.booked(&name);
            partners.push((
                booked.partner_id,
                booked.partner_invoice_id,
                booked.partner_shipping_id,
            ));
        }
        assert_eq!(partners[0], partners[1], "one company, one address record each");
        let (company, invoice, delivery) = partners[0];
        let read = |id: i64| {
            let fields = json!([[id], ["name", "is_company", "parent_id", "type", "email"]]);
            bench.in_the_erp("res.partner", "read", fields)[0].clone()
        };
        let held = read(company);
        assert_eq!(
            (&held["name"], &held["is_company"]),
            (&json!("Acme GmbH"), &json!(true))
        );
        assert_eq!(held["email"], json!(false), "the e-mail is a person's");
        for (address, kind) in [(invoice, "invoice"), (delivery, "delivery")] {
            assert_eq!(read(address)["parent_id"][0], json!(company));
            assert_eq!(read(address)["type"], json!(kind));
        }
        let contact = bench.link(LinkKind::Customer, buyer).await.unwrap().erp_id;
        assert_eq!(read(contact.0)["parent_id"][0], json!(company), "{version:?}");
    }
}

#[tokio::test]
async fn odd_addresses_and_long_notes_are_booked() {
    for version in BOTH {
        let bench = otherwise(options(version), Settings::default(), |order| {
            if order.note.is_some() {
                order.note = Some("<b>Grüße</b> 🎁 ".repeat(600_000));
            }
        })
        .await;
        let nowhere = |country: Option<&str>, province: Option<&str>| Address {
            country_code: country.map(str::to_owned),
            province_code: province.map(str::to_owned),
            ..berlin("Byron")
        };
        for (buyer, address, note) in [
            // A till: nobody, nowhere.
            (Buyer::Nobody, None, None),
            (guest(), Some(nowhere(None, None)), None),
            (guest(), Some(nowhere(None, Some("BE"))), None),
            // A country of which the ERP knows no states.
            (guest(), Some(nowhere(Some("EE"), Some("37"))), None),
            (guest(), Some(berlin("Byron")), Some("long")),
        ] {
            let mut draft = custom(&[("10.00", 1)], true);
            draft.buyer = buyer;
            draft.billing_address = address;
            draft.note = note.map(str::to_owned);
            let (id, name) = order(&bench, draft);
            done(&bench, id).await;
            let booked = bench.booked(&name);
            assert_eq!(
                (booked.state.as_str(), booked.amount_total),
                ("sale", decimal("10.00"))
            );
            if note.is_some() {
                let text = booked.note.unwrap();
                assert!(
                    text.len() < 100_000 && text.contains("(shortened)"),
                    "{}",
                    text.len()
                );
                assert!(
                    text.contains("&lt;b&gt;Grüße") && text.contains('🎁'),
                    "as it was written"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_order_of_a_customer_who_is_gone_is_made_of_what_it_says() {
    struct Forgotten(Arc<dyn Source>);
    #[async_trait]
    impl Source for Forgotten {
        async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
            self.0.order(id, select).await
        }
        async fn customer(&self, _: ShopifyId, _: &str) -> Result<Option<Customer>, ShopifyError> {
            Ok(None)
        }
        async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
            self.0.product(id, select).await
        }
        async fn probe(&self) -> Result<(), ShopifyError> {
            self.0.probe().await
        }
        async fn changed_since(
            &self,
            object: crate::domain::Object,
            since: crate::domain::Timestamp,
            after: Option<String>,
        ) -> Result<crate::shopify::Page, ShopifyError> {
            self.0.changed_since(object, since, after).await
        }
    }
    let bench = Bench::adjusted(options(Version::V18), |context| {
        context.source = Arc::new(Forgotten(Arc::clone(&context.source)));
    })
    .await;
    let known = bench.made_in_the_erp(
        "res.partner",
        json!({ "name": "Ada", "email": "ada@example.com" }),
    );
    let mut draft = custom(&[("10.00", 1)], true);
    draft.buyer = Buyer::Customer(ada(&bench));
    let (id, name) = order(&bench, draft);
    done(&bench, id).await;
    assert_eq!(
        bench.booked(&name).partner_id,
        known,
        "merged into whoever has the e-mail"
    );
}
