//! What must hold when it is over.

use super::*;

/// Mutations that write records of the shop.
const WRITES: [&str; 9] = [
    "AddressCreate",
    "AddressUpdate",
    "CustomerSet",
    "CustomerUpdate",
    "ProductSet",
    "ProductUpdate",
    "QuantitiesSet",
    "VariantsCreate",
    "VariantsUpdate",
];

impl World {
    /// The jobs of every record, in both directions.
    pub(super) async fn all(&self) -> BTreeSet<JobKey> {
        let mut keys = BTreeSet::from([
            self.bench.key(Object::Product, self.product),
            self.bench.key(Object::Customer, self.customer),
            self.out(Object::Product, self.template),
            self.out(Object::Customer, self.partner),
            self.out(Object::Inventory, self.article),
        ]);
        let articles = self.articles.borrow().clone();
        for (template, _) in articles {
            keys.insert(self.out(Object::Product, template));
            keys.extend(self.ours(LinkKind::Product, Object::Product, template).await);
        }
        let partners = self.partners.borrow().clone();
        for (partner, _) in partners {
            keys.insert(self.out(Object::Customer, partner));
            keys.extend(self.ours(LinkKind::Customer, Object::Customer, partner).await);
        }
        keys.extend(
            self.sold
                .borrow()
                .iter()
                .map(|sold| self.bench.key(Object::Order, sold.id)),
        );
        keys
    }

    pub(super) async fn ours(&self, kind: LinkKind, object: Object, id: i64) -> Option<JobKey> {
        let shop = "main".parse().unwrap();
        let link = self
            .bench
            .store
            .link_of_erp(&shop, kind, ErpId(id))
            .await
            .unwrap()?;
        Some(self.bench.key(object, link.source_id.parse().ok()?))
    }

    pub(super) async fn open_jobs(&self) -> Vec<String> {
        let jobs = self
            .bench
            .store
            .jobs(crate::store::JobFilter::default())
            .await
            .unwrap();
        let open = jobs.into_iter().filter(|job| job.state.is_open());
        open.map(|job| format!("{:?} {:?} {:?}", job.key, job.state, job.problem))
            .collect()
    }

    /// Writes that the shop was sent.
    pub(super) fn writes(&self) -> u64 {
        let calls = self.bench.shop.ledger().calls.by_operation;
        let of = |name: &&str| calls.get(&format!("Lockstep{name}"));
        WRITES.iter().filter_map(of).sum()
    }

    pub(super) async fn check(&self, written: u64) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.open_jobs().await, Vec::<String>::new());
        let record = read(&self.bench, "product.template", self.template);
        prop_assert_eq!(json!(title(&self.bench, self.product)), record["name"].clone());
        let price = Decimal::try_from(record["list_price"].as_f64().unwrap()).unwrap();
        prop_assert_eq!(prices(&self.bench, self.product)[0], price);
        let street = self.bench.shop.read(|shop| {
            let customer = shop.customer(self.customer).unwrap();
            customer.address().unwrap().address1.clone()
        });
        let partner = read(&self.bench, "res.partner", self.partner);
        prop_assert_eq!(json!(street), partner["street"].clone());
        self.check_stock()?;

        let shop = self.bench.shop.ledger();
        let (articles, partners) = (self.articles.borrow(), self.partners.borrow());
        prop_assert_eq!(shop.products.len(), 1 + articles.len(), "products of the shop");
        prop_assert_eq!(shop.customers.len(), 1 + partners.len(), "customers of the shop");
        for (template, sku) in articles.iter() {
            let with_it = shop.products.iter().flat_map(|product| &product.variants);
            let count = with_it
                .filter(|(_, known, _)| known.as_ref() == Some(sku))
                .count();
            prop_assert_eq!(count, 1, "{} on the shop", sku);
            let known = self.bench.erp.ledger().products();
            let count = known
                .iter()
                .filter(|known| known.sku.as_ref() == Some(sku))
                .count();
            prop_assert_eq!(count, 1, "{} in the ERP, template {}", sku, template);
        }
        for (partner, email) in partners.iter() {
            let known = self.bench.erp.ledger().partners();
            let count = known
                .iter()
                .filter(|known| known.email_normalized.as_ref() == Some(email))
                .count();
            prop_assert_eq!(count, 1, "{} in the ERP, partner {}", email, partner);
        }
        for sold in self.sold.borrow().iter() {
            self.bench.booked(&sold.name);
        }
        // A change may take two writes, and each mishap lets one attempt write again.
        let most = 2 * self.edits.get() + 3 * self.mishaps.get();
        prop_assert!(written <= most, "{} writes, at most {}", written, most);
        Ok(())
    }

    /// What the shop offers is what the ERP has and nobody has bought.
    pub(super) fn check_stock(&self) -> Result<(), TestCaseError> {
        let there = read(&self.bench, "product.product", self.article)["qty_available"].as_f64();
        #[expect(clippy::cast_possible_truncation, reason = "whole units")]
        let there = there.unwrap() as i64;
        let sold = self.sold.borrow();
        let open = sold.iter().filter(|sold| !sold.is_delivered);
        let promised: i64 = open.map(|sold| sold.units).sum();
        let level = self.bench.shop.read(|shop| {
            let level = shop.level(self.variant, shop.main_location()).unwrap();
            level.available
        });
        prop_assert_eq!(
            level,
            there - promised,
            "of {} units {} are sold",
            there,
            promised
        );
        Ok(())
    }
}
