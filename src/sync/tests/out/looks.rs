//! What an attempt settles without writing it: sides that became equal by themselves, and a change that lost. The other direction
//! must know it, or a source that returns to the value that it agreed on last passes for unchanged.

use super::*;
use crate::sandbox::odoo::{Fault, Rule};

/// A record that both sides agree on, and the field of it that is edited.
struct Edited {
    bench: Bench,
    field: &'static str,
    object: Object,
    ours: u64,
    theirs: i64,
}

impl Edited {
    /// The field holds the first of its values.
    async fn new(field: &'static str, truth_says: &str) -> Self {
        let to = format!("truth = \"{truth_says}\"");
        let of_products = truth("product.in.toml", "product.out.toml", &to);
        let of_customers = truth("customer.in.toml", "customer.out.toml", &to);
        let bench = Bench::both_ways(Version::V18, &[of_products, of_customers].concat()).await;
        let (object, kind) = match field {
            "street" => (Object::Customer, LinkKind::Customer),
            _ => (Object::Product, LinkKind::Product),
        };
        let ours = match object {
            Object::Customer => ada(&bench),
            _ => bench.shop.change(|shop| {
                shop.create_product(ProductDraft {
                    title: "Mug".into(),
                    variants: vec![VariantDraft::new(&[], "MUG", decimal("17"))],
                    ..ProductDraft::default()
                })
            }),
        };
        completed(bench.sync(object, ours).await);
        let theirs = theirs(&bench, kind, ours).await;
        let edited = Self {
            bench,
            field,
            object,
            ours,
            theirs,
        };
        edited.on_the_shop(0);
        edited.attempt(Direction::In).await;
        edited.is_quiet().await;
        assert_eq!(edited.holds(), [edited.value(0), edited.value(0)]);
        edited
    }

    fn value(&self, nth: usize) -> String {
        let values = match self.field {
            // None is a sudden change.
            "price" => ["17", "15", "16"],
            "title" => ["Mug", "Cup", "Jug"],
            _ => ["Old Street 1", "New Street 2", "Long Street 3"],
        };
        values[nth].to_owned()
    }

    fn on_the_shop(&self, nth: usize) {
        let value = self.value(nth);
        let shop = &self.bench.shop;
        match self.field {
            "price" => {
                let id = shop.read(|shop| shop.product(self.ours).unwrap().variants[0].id);
                shop.change(|shop| shop.edit_variant(id, |variant| variant.price = decimal(&value)))
            }
            "title" => shop.change(|shop| shop.edit_product(self.ours, |product| product.title = value)),
            _ => shop.change(|shop| {
                let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
                    customer.addresses[0].address1 = Some(value);
                };
                shop.edit_customer(self.ours, edit)
            }),
        }
        .unwrap();
    }

    fn in_the_erp(&self, nth: usize) {
        let value = self.value(nth);
        let (model, values) = match self.field {
            "price" => (
                "product.template",
                json!({ "list_price": value.parse::<f64>().unwrap() }),
            ),
            "title" => ("product.template", json!({ "name": value })),
            _ => ("res.partner", json!({ "street": value })),
        };
        write(&self.bench, model, self.theirs, values);
    }

    /// What the shop has, and what the ERP has.
    fn holds(&self) -> [String; 2] {
        let bench = &self.bench;
        match self.field {
            "price" => {
                let theirs = read(bench, "product.template", self.theirs)["list_price"].as_f64();
                let theirs = Decimal::try_from(theirs.unwrap()).unwrap();
                [prices(bench, self.ours)[0], theirs].map(|price| price.normalize().to_string())
            }
            "title" => {
                let theirs = read(bench, "product.template", self.theirs)["name"].clone();
                [title(bench, self.ours), theirs.as_str().unwrap().to_owned()]
            }
            _ => {
                let street = bench.shop.read(|shop| {
                    let customer = shop.customer(self.ours).unwrap();
                    customer.address().unwrap().address1.clone()
                });
                let theirs = read(bench, "res.partner", self.theirs)["street"].clone();
                [street.unwrap(), theirs.as_str().unwrap().to_owned()]
            }
        }
    }

    async fn attempt(&self, direction: Direction) {
        match direction {
            Direction::In => completed(self.bench.sync(self.object, self.ours).await),
            Direction::Out => completed(self.bench.send(self.object, self.theirs).await),
        };
    }

    async fn is_quiet(&self) {
        is_quiet(&self.bench, self.object, self.ours, self.theirs).await;
    }
}

fn other(direction: Direction) -> Direction {
    match direction {
        Direction::In => Direction::Out,
        Direction::Out => Direction::In,
    }
}

const FIELDS: [&str; 3] = ["price", "title", "street"];

#[tokio::test]
async fn what_became_equal_unsent_is_agreed_on_both_ways() {
    for field in FIELDS {
        for truth_says in ["shopify", "erp", "hold"] {
            for looks in [Direction::In, Direction::Out] {
                let case = format!("{field}, {truth_says}, {looks:?} looks");
                let edited = Edited::new(field, truth_says).await;
                edited.on_the_shop(1);
                edited.in_the_erp(1);
                edited.attempt(looks).await;
                // The side that the other direction carries goes back, before that one ever looked.
                match looks {
                    Direction::In => edited.in_the_erp(0),
                    Direction::Out => edited.on_the_shop(0),
                }
                edited.attempt(other(looks)).await;
                let first = edited.value(0);
                assert_eq!(edited.holds(), [first.clone(), first], "{case}");
                edited.is_quiet().await;
            }
        }
    }
}

#[tokio::test]
async fn a_change_that_won_arrives_even_where_it_was_taken_back_meanwhile() {
    for field in FIELDS {
        for (truth_says, looks) in [("erp", Direction::In), ("shopify", Direction::Out)] {
            let case = format!("{field}, {truth_says}, {looks:?} looks");
            let edited = Edited::new(field, truth_says).await;
            edited.on_the_shop(1);
            edited.in_the_erp(2);
            edited.attempt(looks).await;
            match looks {
                Direction::In => edited.in_the_erp(0),
                Direction::Out => edited.on_the_shop(0),
            }
            edited.attempt(other(looks)).await;
            let first = edited.value(0);
            assert_eq!(edited.holds(), [first.clone(), first], "{case}");
            edited.is_quiet().await;
        }
    }
}

#[tokio::test]
async fn an_edit_that_a_look_did_not_see_is_still_to_be_carried() {
    for field in FIELDS {
        for looks in [Direction::In, Direction::Out] {
            let case = format!("{field}, {looks:?} looks");
            let edited = Edited::new(field, "shopify").await;
            edited.on_the_shop(1);
            edited.in_the_erp(1);
            edited.attempt(looks).await;
            match looks {
                Direction::In => edited.on_the_shop(2),
                Direction::Out => edited.in_the_erp(2),
            }
            // Whoever comes first: nobody takes what was edited since for agreed.
            edited.attempt(other(looks)).await;
            edited.attempt(looks).await;
            let edit = edited.value(2);
            assert_eq!(edited.holds(), [edit.clone(), edit], "{case}");
            edited.is_quiet().await;
        }
    }
}

#[tokio::test]
async fn an_attempt_that_sees_two_states_of_a_record_starts_over() {
    for (field, model) in [("title", "product.template"), ("street", "res.partner")] {
        let edited = Edited::new(field, "erp").await;
        // What became equal unsent is settled by a look; before that ends, somebody edits the record in the ERP.
        edited.on_the_shop(1);
        edited.in_the_erp(1);
        let faults = edited.bench.erp.faults();
        faults.add(
            Rule::new(Fault::Delay(Duration::from_secs(1)))
                .model(model)
                .method("read"),
        );
        let edit = async {
            while faults.pending() > 0 {
                tokio::task::yield_now().await;
            }
            edited.in_the_erp(2);
        };
        let (sent, ()) = tokio::join!(edited.bench.send(edited.object, edited.theirs), edit);
        completed(sent);
        assert_eq!(edited.holds(), [edited.value(2), edited.value(2)], "{field}");
        let filter = crate::store::JobFilter {
            object: Some(edited.object),
            direction: Some(Direction::Out),
            ..Default::default()
        };
        let job = edited.bench.store.jobs(filter).await.unwrap().remove(0).id;
        let attempts = edited.bench.store.job(job).await.unwrap().unwrap().attempts;
        let begun_anew = attempts
            .iter()
            .filter(|one| one.detail.to_string().contains("edited_meanwhile"));
        assert_eq!(begun_anew.count(), 1, "{field}: {attempts:?}");
        edited.is_quiet().await;
    }
}
