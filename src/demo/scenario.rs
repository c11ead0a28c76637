//! What happens in the shop, and what goes wrong on the way.

use rust_decimal::Decimal;

use super::DemoError;
use super::expect::Expected;
use crate::sandbox::odoo::{Fault, OdooSandbox};
use crate::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, Payment, ProductDraft, ShippingDraft, VariantDraft,
};
use crate::sandbox::shopify::facts::{
    Address, AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Tax,
};
use crate::sandbox::shopify::faults::DeliveryFault;
use crate::sandbox::shopify::{ActionError, Shop, ShopSandbox};

/// Who shops: given name, family name, street, postal code, city, country.
const PEOPLE: &[[&str; 6]] = &[
    ["Ada", "Lovelace", "Unter den Linden 1", "10117", "Berlin", "DE"],
    ["Emmy", "Noether", "Hauptstraße 12", "91054", "Erlangen", "DE"],
    ["Grace", "Hopper", "Rue de Rivoli 8", "75001", "Paris", "FR"],
    ["Alan", "Turing", "Damrak 3", "1012 LG", "Amsterdam", "NL"],
    [
        "Mary",
        "Somerville",
        "Mariahilfer Straße 40",
        "1070",
        "Wien",
        "AT",
    ],
    ["Kurt", "Gödel", "Bahnhofstrasse 21", "8001", "Zürich", "CH"],
];

/// The scenario under way.
pub(super) struct Scenario<'a> {
    shop: &'a ShopSandbox,
    erp: &'a OdooSandbox,
    orders: u32,
    products: Vec<u64>,
    variants: Vec<u64>,
    customers: Vec<u64>,
    placed: Vec<u64>,
    expected: Expected,
}

type Say<'s> = &'s mut (dyn FnMut(&str) + Send);

impl<'a> Scenario<'a> {
    pub(super) fn new(shop: &'a ShopSandbox, erp: &'a OdooSandbox, orders: u32) -> Self {
        Self {
            shop,
            erp,
            orders,
            products: Vec::new(),
            variants: Vec::new(),
            customers: Vec::new(),
            placed: Vec::new(),
            expected: Expected::default(),
        }
    }

    pub(super) fn expected(&self) -> Expected {
        self.expected.clone()
    }

    /// A catalogue and the first customers.
    pub(super) fn open_the_shop(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say("A shop opens: products with sizes and colours, and the first customers.");
        let (products, variants, customers) = self.shop.change(|shop| {
            let products = catalogue(shop);
            let variants = products
                .iter()
                .filter_map(|id| shop.product(*id))
                .flat_map(|product| product.variants.iter().map(|variant| variant.id))
                .collect();
            let customers = PEOPLE
                .iter()
                .map(|person| shop.create_customer(customer(person)))
                .collect::<Result<Vec<_>, _>>();
            (products, variants, customers)
        });
        self.products = products;
        self.variants = variants;
        self.customers = customers.map_err(wrong)?;
        Ok(())
    }

    /// Orders of many kinds.
    pub(super) fn everyday_orders(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say(&format!(
            "{} orders: with and without tax in the price, with codes and discounts, from customers, guests and the till.",
            self.orders
        ));
        for n in 0..self.orders {
            let draft = self.everyday(n as usize);
            self.place(draft)?;
        }
        say("A test order, which must be left alone.");
        let draft = OrderDraft {
            test: true,
            ..self.everyday(0)
        };
        self.place(draft)?;
        Ok(())
    }

    /// An order that no webhook tells of. Its name.
    pub(super) fn an_order_unheard(&mut self, say: Say<'_>) -> Result<String, DemoError> {
        let draft = self.everyday(5);
        let id = self.place(draft)?;
        let name = self
            .shop
            .read(|shop| shop.order(id).map(|order| order.name.clone()));
        let name = name.unwrap_or_default();
        say(&format!(
            "Order {name} is placed meanwhile: nobody tells lockstep."
        ));
        Ok(name)
    }

    /// Deliveries that come several times or in the wrong order.
    pub(super) async fn awkward_deliveries(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say("A webhook is delivered four times.");
        self.shop
            .inject_delivery(DeliveryFault::Duplicate(3), Some("orders/create"), 1);
        let draft = self.everyday(3);
        self.place(draft)?;
        self.shop.settle().await;
        say("An order's webhooks arrive in reverse: paid, updated, create.");
        self.shop.hold_deliveries();
        let draft = self.everyday(7);
        self.place(draft)?;
        let held = self.shop.held().len();
        let reversed: Vec<usize> = (0..held).rev().collect();
        self.shop.release(&reversed).await;
        self.shop.settle().await;
        Ok(())
    }

    /// Edits, cancellations before and after the payment, a payment that comes later.
    pub(super) fn changes(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say(
            "A product is renamed, a customer marries, an unpaid and a paid order are cancelled, a bank transfer arrives.",
        );
        let product = self.products[0];
        let customer = self.customers[1];
        // The first everyday order is paid, the second is not: both are in the ERP by now, confirmed and as a quotation.
        let cancelled = [self.placed[0], self.placed[1]];
        self.shop
            .change(|shop| -> Result<(), ActionError> {
                shop.edit_product(product, |product| product.title = "Linen shirt, washed".into())?;
                shop.edit_customer(customer, |customer| {
                    customer.last_name = Some("Noether-Hilbert".into());
                })?;
                for id in cancelled {
                    shop.cancel_order(id, &Default::default())?;
                }
                Ok(())
            })
            .map_err(wrong)?;
        self.expected.cancelled = self.shop.read(|shop| {
            let orders = cancelled.iter().filter_map(|id| shop.order(*id));
            orders.map(|order| order.name.clone()).collect()
        });
        let orders = self.shop.ledger().orders;
        let pending: Vec<u64> = orders
            .iter()
            .filter(|order| order.financial_status == "PENDING" && !order.cancelled)
            .map(|order| order.id)
            .collect();
        if let Some(id) = pending.first() {
            self.shop.change(|shop| shop.pay_order(*id)).map_err(wrong)?;
        }
        Ok(())
    }

    /// The ERP goes away while people go on shopping.
    pub(super) async fn outage_begins(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say("The ERP goes down, and people go on shopping: jobs wait and burn no attempts.");
        self.erp.down().await?;
        for n in 0..6 {
            let draft = self.everyday(n * 2);
            self.place(draft)?;
        }
        Ok(())
    }

    pub(super) async fn outage_ends(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say("The ERP is back.");
        self.erp.up().await?;
        Ok(())
    }

    /// Answers that are lost after the ERP committed, a lost race, a proxy's error page.
    pub(super) fn lost_answers(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say(
            "The ERP makes an order and its answer is lost; a confirmation likewise; a lost race; a 502 from a proxy.",
        );
        let faults = self.erp.faults();
        faults.on("sale.order", "load", Fault::CloseAfter);
        faults.on("sale.order", "action_confirm", Fault::CloseAfter);
        faults.on("res.partner", "load", Fault::Serialization);
        faults.on(
            "sale.order",
            "web_read",
            Fault::Http {
                status: 502,
                retry_after: Some(1),
            },
        );
        for n in 0..4 {
            let draft = self.everyday(n);
            self.place(draft)?;
        }
        // Somebody new: a partner has to be made, which the lost race is about.
        let draft = OrderDraft {
            buyer: Buyer::Guest {
                email: Some("newcomer@example.org".into()),
                phone: None,
            },
            ..self.everyday(0)
        };
        self.place(draft)?;
        Ok(())
    }

    /// An order that the ERP is not set up for.
    pub(super) fn a_problem(&mut self, say: Say<'_>) -> Result<(), DemoError> {
        say(
            "An order with a tax of 17 %, which the ERP does not have: a problem for a person, and nothing is guessed.",
        );
        let draft = OrderDraft {
            taxes: vec![Tax::new("VAT", Decimal::new(17, 2))],
            ..self.everyday(0)
        };
        let id = self.place(draft)?;
        let name = self
            .shop
            .read(|shop| shop.order(id).map(|order| order.name.clone()));
        self.expected.held.extend(name);
        Ok(())
    }

    fn place(&mut self, draft: OrderDraft) -> Result<u64, DemoError> {
        let id = self.shop.change(|shop| shop.place_order(draft)).map_err(wrong)?;
        self.placed.push(id);
        Ok(id)
    }

    /// The `n`-th kind of everyday order; the kinds repeat.
    fn everyday(&self, n: usize) -> OrderDraft {
        let person = &PEOPLE[n % PEOPLE.len()];
        let variant = |at: usize| self.variants[at % self.variants.len()];
        let mut draft = OrderDraft {
            buyer: Buyer::Customer(self.customers[n % self.customers.len()]),
            lines: vec![LineDraft::variant(variant(n), [1, 2, 3][n % 3])],
            shipping: vec![ShippingDraft::new("Standard", Decimal::new(490, 2))],
            taxes: vec![Tax::new("VAT", Decimal::new(19, 2))],
            taxes_included: true,
            payment: Payment::Paid("shopify_payments".into()),
            shipping_address: Some(address(person)),
            billing_address: Some(address(person)),
            note: n.is_multiple_of(4).then(|| "Please ring twice 🔔".to_owned()),
            ..OrderDraft::default()
        };
        let discount = |value, target, kind| Discount {
            kind,
            value,
            target,
            method: AllocationMethod::Across,
        };
        match n % 10 {
            0 => {}
            1 => draft.payment = Payment::Pending("bank_transfer".into()),
            2 => {
                draft.taxes_included = false;
                draft.lines.push(LineDraft::variant(variant(n + 3), 7));
            }
            3 => {
                let code = DiscountKind::Code("WELCOME".into());
                draft.discounts.push(discount(
                    DiscountValue::Percentage(Decimal::from(10)),
                    DiscountTarget::AllLines,
                    code,
                ));
                draft.lines.push(LineDraft::variant(variant(n + 1), 3));
            }
            4 => {
                draft.buyer = Buyer::Guest {
                    email: Some("guest@example.org".into()),
                    phone: None,
                };
            }
            5 => {
                draft.buyer = Buyer::Nobody;
                draft.source_name = "pos".into();
                draft.shipping.clear();
                draft.shipping_address = None;
                draft.billing_address = None;
            }
            6 => {
                let kind = DiscountKind::Automatic("Spring".into());
                draft.discounts.push(discount(
                    DiscountValue::Amount(Decimal::new(123, 2)),
                    DiscountTarget::AllLines,
                    kind,
                ));
                draft.taxes = vec![Tax::new("VAT", Decimal::new(7, 2))];
            }
            7 => draft
                .lines
                .push(LineDraft::custom("Gift wrapping", Decimal::new(350, 2), 1)),
            8 => {
                draft.shipping_address = Some(address(&PEOPLE[(n + 1) % PEOPLE.len()]));
                let code = DiscountKind::Code("FREESHIP".into());
                draft.discounts.push(discount(
                    DiscountValue::Percentage(Decimal::from(100)),
                    DiscountTarget::Shipping,
                    code,
                ));
            }
            _ => {
                draft.lines = (0..8)
                    .map(|at| LineDraft::variant(variant(n + at), [1, 2, 3, 4][at % 4]))
                    .collect();
            }
        }
        draft
    }
}

fn wrong(error: ActionError) -> DemoError {
    DemoError::Scenario(error.to_string())
}

fn catalogue(shop: &mut Shop) -> Vec<u64> {
    let sizes = |name: &str, cents: i64| {
        ["S", "M", "L"]
            .iter()
            .map(|size| VariantDraft::new(&[size], &format!("{name}-{size}"), Decimal::new(cents, 2)))
            .collect::<Vec<_>>()
    };
    let plain = |title: &str, sku: &str, cents: i64| ProductDraft {
        title: title.into(),
        variants: vec![VariantDraft::new(&[], sku, Decimal::new(cents, 2))],
        ..ProductDraft::default()
    };
    let sized = |title: &str, name: &str, cents: i64| ProductDraft {
        title: title.into(),
        options: vec!["Size".into()],
        variants: sizes(name, cents),
        ..ProductDraft::default()
    };
    [
        sized("Linen shirt", "SHIRT", 4_990),
        sized("Wool jumper", "JUMPER", 8_995),
        plain("Enamel mug", "MUG", 1_399),
        plain("Notebook", "NOTEBOOK", 333),
        plain("Desk lamp", "LAMP", 12_900),
    ]
    .into_iter()
    .map(|draft| shop.create_product(draft))
    .collect()
}

fn customer(person: &[&str; 6]) -> CustomerDraft {
    let ascii: String = person[1].chars().filter(char::is_ascii_alphabetic).collect();
    CustomerDraft {
        first_name: Some(person[0].into()),
        last_name: Some(person[1].into()),
        email: Some(format!("{}.{ascii}@Example.org", person[0])),
        addresses: vec![address(person)],
        ..CustomerDraft::default()
    }
}

fn address(person: &[&str; 6]) -> Address {
    Address {
        first_name: Some(person[0].into()),
        last_name: Some(person[1].into()),
        address1: Some(person[2].into()),
        zip: Some(person[3].into()),
        city: Some(person[4].into()),
        country_code: Some(person[5].into()),
        ..Address::default()
    }
}
