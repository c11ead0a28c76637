//! Realistic shopping, the same for the same seed: a catalogue, customers, and orders of every kind.
//!
//! Names, prices and quantities are drawn; what kind of order is made is decided by the caller, so that a demo or a test
//! knows what it asked for.

mod dice;
mod kinds;
#[cfg(test)]
mod tests;

use rust_decimal::Decimal;

use super::actions::ActionError;
use super::draft::{
    Buyer, CustomerDraft, Item, LineDraft, OrderDraft, Payment, ProductDraft, ShippingDraft, VariantDraft,
};
use super::facts::{
    Address, AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Image, Tax,
};
use super::shop::Shop;
use dice::Dice;
pub use kinds::OrderKind;

/// Draws and remembers what was made.
pub struct Shopping {
    dice: Dice,
    /// Products that were made.
    pub products: Vec<u64>,
    /// Their variants that are taxed at the full rate.
    pub variants: Vec<u64>,
    /// Variants that are taxed at the reduced rate.
    pub reduced: Vec<u64>,
    /// The variant of the gift card.
    pub gift_card: Option<u64>,
    /// Customers with an e-mail address.
    pub customers: Vec<u64>,
    people: usize,
}

const PRODUCTS: [(&str, &str, &[&str], &str); 6] = [
    ("Leinenhemd", "Nordlicht", &["S", "M", "L", "XL"], "59.90"),
    ("Wool Beanie", "Nordlicht", &["Moss", "Slate", "Rust"], "24.50"),
    ("Enamel Mug", "Campfire & Co", &[], "14.95"),
    ("Trail Bottle 0.7 l", "Campfire & Co", &["Blue", "Steel"], "32.00"),
    ("Poster „Küste“", "Papierwerk", &["A3", "A2"], "19.99"),
    ("Beeswax Candle", "Imkerei Süd", &[], "9.49"),
];

const PEOPLE: [(&str, &str, &str, &str, &str, &str); 8] = [
    ("Ana", "Berg", "Lindenweg 3", "89073", "Ulm", "DE"),
    ("Jörg", "Müller", "Königstraße 12", "70173", "Stuttgart", "DE"),
    ("Chloé", "Dubois", "12 rue des Lilas", "69003", "Lyon", "FR"),
    ("Lukas", "Gruber", "Hauptplatz 5", "8010", "Graz", "AT"),
    ("Sofía", "García", "Calle Mayor 8", "28013", "Madrid", "ES"),
    (
        "Emma",
        "de Vries",
        "Prinsengracht 41",
        "1015 DK",
        "Amsterdam",
        "NL",
    ),
    ("Mila", "Kowalska", "ul. Długa 7", "31-147", "Kraków", "PL"),
    ("Noah", "Schneider", "Am Wall 1", "28195", "Bremen", "DE"),
];

fn full_rate() -> Tax {
    Tax::new("DE MwSt", Decimal::new(19, 2))
}

fn reduced_rate() -> Tax {
    Tax::new("DE MwSt ermäßigt", Decimal::new(7, 2))
}

fn code(code: &str, value: DiscountValue, target: DiscountTarget) -> Discount {
    Discount {
        kind: DiscountKind::Code(code.to_owned()),
        value,
        target,
        method: AllocationMethod::Across,
    }
}

impl Shopping {
    /// An empty plan; the same seed draws the same.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            products: Vec::new(),
            variants: Vec::new(),
            reduced: Vec::new(),
            gift_card: None,
            customers: Vec::new(),
            people: 0,
        }
    }

    /// Fills the shelves: shirts in sizes, mugs, books at the reduced rate, a gift card.
    pub fn stock(&mut self, shop: &mut Shop) {
        for (index, (title, vendor, values, price)) in PRODUCTS.iter().enumerate() {
            let price: Decimal = price.parse().unwrap_or(Decimal::TEN);
            let prefix = format!("{}{}", vendor.chars().next().unwrap_or('X'), index + 1);
            let named = if values.is_empty() { &[""][..] } else { values };
            let variants = named.iter().enumerate().map(|(n, value)| {
                let mut variant = VariantDraft::new(&[value], &format!("{prefix}-{:02}", n + 1), price);
                variant.barcode = Some(format!("40{index:02}{n:08}7"));
                variant.cost = Some((price * Decimal::new(45, 2)).round_dp(2));
                variant
            });
            let id = shop.create_product(ProductDraft {
                title: (*title).to_owned(),
                description_html: format!("<p>{title} by {vendor}.</p>"),
                vendor: (*vendor).to_owned(),
                product_type: "Goods".to_owned(),
                options: if values.is_empty() {
                    Vec::new()
                } else {
                    vec!["Variant".to_owned()]
                },
                variants: variants.collect(),
                images: vec![Image {
                    id: 0,
                    url: format!("https://cdn.example.com/{prefix}.jpg"),
                    alt: Some((*title).to_owned()),
                }],
                ..ProductDraft::default()
            });
            let made = self.keep(shop, id);
            self.variants.extend(made);
        }
        let book = ProductDraft {
            title: "Atlas of Small Islands".to_owned(),
            vendor: "Papierwerk".to_owned(),
            product_type: "Book".to_owned(),
            variants: vec![VariantDraft::new(&[], "BOOK-1", Decimal::new(2490, 2))],
            ..ProductDraft::default()
        };
        let book = shop.create_product(book);
        self.reduced = self.keep(shop, book);
        let mut card = VariantDraft::new(&[], "GIFT-50", Decimal::from(50));
        (card.taxable, card.requires_shipping, card.tracked) = (false, false, false);
        let card = shop.create_product(ProductDraft {
            title: "Gift Card".to_owned(),
            vendor: shop.name.clone(),
            gift_card: true,
            variants: vec![card],
            ..ProductDraft::default()
        });
        self.gift_card = self.keep(shop, card).first().copied();
    }

    fn keep(&mut self, shop: &Shop, product: u64) -> Vec<u64> {
        self.products.push(product);
        shop.product(product)
            .map(|p| p.variants.iter().map(|v| v.id).collect())
            .unwrap_or_default()
    }

    /// A new person with an e-mail address that is used once.
    pub fn person(&mut self) -> CustomerDraft {
        self.people += 1;
        let (first, last, street, zip, city, country) = PEOPLE[self.dice.below(PEOPLE.len())];
        CustomerDraft {
            first_name: Some(first.to_owned()),
            last_name: Some(last.to_owned()),
            email: Some(format!("buyer{}@example.com", self.people)),
            addresses: vec![Address {
                first_name: Some(first.to_owned()),
                last_name: Some(last.to_owned()),
                address1: Some(street.to_owned()),
                zip: Some(zip.to_owned()),
                city: Some(city.to_owned()),
                country_code: Some(country.to_owned()),
                ..Address::default()
            }],
            ..CustomerDraft::default()
        }
    }

    /// A customer: a known one in half of the cases, else a new one.
    ///
    /// # Errors
    /// The shop refuses the customer.
    pub fn customer(&mut self, shop: &mut Shop) -> Result<u64, ActionError> {
        if !self.customers.is_empty() && self.dice.below(2) == 0 {
            return Ok(self.customers[self.dice.below(self.customers.len())]);
        }
        let draft = self.person();
        let id = shop.create_customer(draft)?;
        self.customers.push(id);
        Ok(id)
    }

    /// One to four lines of different variants.
    fn lines(&mut self) -> Vec<LineDraft> {
        let count = 1 + self.dice.below(4);
        let start = self.dice.below(self.variants.len());
        (0..count)
            .map(|i| {
                let variant = self.variants[(start + i * 3) % self.variants.len()];
                LineDraft::variant(variant, 1 + self.dice.small(3))
            })
            .collect()
    }

    /// What most orders have in common: a customer, their address, German tax in the prices, a parcel, paid by card.
    fn base(&mut self, shop: &mut Shop) -> Result<OrderDraft, ActionError> {
        let customer = self.customer(shop)?;
        let address = shop.customer(customer).and_then(|c| c.address().cloned());
        Ok(OrderDraft {
            buyer: Buyer::Customer(customer),
            lines: self.lines(),
            shipping: vec![ShippingDraft::new("DHL Paket", Decimal::new(490, 2))],
            taxes: vec![full_rate()],
            taxes_included: true,
            shipping_address: address.clone(),
            billing_address: address,
            ..OrderDraft::default()
        })
    }

    /// Draws an order of a kind, without placing it. [`Self::stock`] must have been called.
    ///
    /// # Errors
    /// The shop refuses the customer of the order.
    pub fn draft(&mut self, shop: &mut Shop, kind: OrderKind) -> Result<OrderDraft, ActionError> {
        let mut draft = self.base(shop)?;
        match kind {
            OrderKind::Everyday => {}
            OrderKind::TaxOnTop => {
                draft.taxes_included = false;
                draft.taxes = vec![
                    Tax::new("State Tax", Decimal::new(625, 4)),
                    Tax::new("City Tax", Decimal::new(8875, 5)),
                ];
            }
            OrderKind::TwoRates => {
                let mut book = LineDraft::variant(self.reduced[0], 1 + self.dice.small(2));
                book.taxes = Some(vec![reduced_rate()]);
                draft.lines.push(book);
            }
            OrderKind::LineDiscount => draft.discounts = vec![self.line_discount()],
            OrderKind::PercentCode => {
                let value = DiscountValue::Percentage(Decimal::from(5 + 5 * self.dice.small(5)));
                draft.discounts = vec![code("WELCOME", value, DiscountTarget::AllLines)];
            }
            OrderKind::AmountCode => {
                let value = DiscountValue::Amount(Decimal::new(777, 2));
                draft.discounts = vec![code("LUCKY777", value, DiscountTarget::AllLines)];
            }
            OrderKind::FreeShipping => {
                let value = DiscountValue::Percentage(Decimal::ONE_HUNDRED);
                draft.discounts = vec![code("FREESHIP", value, DiscountTarget::Shipping)];
            }
            OrderKind::StackedDiscounts => {
                let value = DiscountValue::Percentage(Decimal::from(15));
                draft.discounts = vec![
                    self.line_discount(),
                    code("EXTRA15", value, DiscountTarget::AllLines),
                ];
            }
            OrderKind::Guest => {
                let person = self.person();
                draft.buyer = Buyer::Guest {
                    email: person.email,
                    phone: None,
                };
                draft.shipping_address = person.addresses.into_iter().next();
                draft.billing_address.clone_from(&draft.shipping_address);
            }
            OrderKind::PointOfSale | OrderKind::CashRounding => {
                draft.buyer = Buyer::Nobody;
                draft.shipping.clear();
                (draft.shipping_address, draft.billing_address) = (None, None);
                "pos".clone_into(&mut draft.source_name);
                draft.payment = Payment::Paid("shopify_payments".to_owned());
                if kind == OrderKind::CashRounding {
                    draft.payment = Payment::Cash(Decimal::new(5, 2));
                }
            }
            OrderKind::Company => {
                let person = self.person();
                let number = self.people;
                let customer = shop.create_customer(person)?;
                let name = format!("Werkstatt {number} GmbH");
                let company = shop.create_company(&name, Some("ATU12345678"), customer)?;
                draft.buyer = Buyer::Customer(customer);
                draft.company = Some(company);
                draft.tax_exempt = true;
                draft.taxes_included = false;
                draft.po_number = Some(format!("PO-{number}"));
                for address in [&mut draft.shipping_address, &mut draft.billing_address]
                    .into_iter()
                    .flatten()
                {
                    address.company = Some(name.clone());
                }
            }
            OrderKind::PhoneOnly => {
                let mut person = self.person();
                person.email = None;
                person.phone = Some(format!("+49151{:07}", self.people));
                let address = person.addresses.first().cloned();
                draft.buyer = Buyer::Customer(shop.create_customer(person)?);
                (draft.shipping_address, draft.billing_address) = (address.clone(), address);
            }
            OrderKind::GiftToOthers => {
                draft.shipping_address = self.person().addresses.into_iter().next();
                draft.note = Some("Bitte als Geschenk verpacken".to_owned());
            }
            OrderKind::Pending => draft.payment = Payment::Pending("Bank Deposit".to_owned()),
            OrderKind::Authorized => draft.payment = Payment::Authorized("shopify_payments".to_owned()),
            OrderKind::GiftCardRedeemed => {
                draft.payment = Payment::Split(vec![
                    ("gift_card".to_owned(), Some(Decimal::from(10))),
                    ("shopify_payments".to_owned(), None),
                ]);
            }
            OrderKind::GiftCardSold => {
                draft.lines = self
                    .gift_card
                    .iter()
                    .map(|card| LineDraft::variant(*card, 1))
                    .collect();
                draft.shipping.clear();
            }
            OrderKind::CustomLine => {
                let item = Item::Custom {
                    title: "Engraving".to_owned(),
                    sku: None,
                    price: Decimal::new(800, 2),
                    taxable: true,
                    requires_shipping: false,
                };
                let mut line = LineDraft::custom("Engraving", Decimal::new(800, 2), 1);
                line.item = item;
                line.attributes = vec![("Text".to_owned(), "Für Mila".to_owned())];
                draft.lines.push(line);
                "shopify_draft_order".clone_into(&mut draft.source_name);
            }
            OrderKind::Bundle => {
                for line in &mut draft.lines {
                    line.group = Some(("Starter Set".to_owned(), 1));
                }
            }
            OrderKind::ForeignCurrency => {
                draft.presentment = Some(("USD".to_owned(), Decimal::new(10837, 4)));
            }
            OrderKind::Tip => draft.tip = Decimal::new(250, 2),
            OrderKind::Duties => {
                draft.taxes_included = false;
                draft.taxes.clear();
                if let Some(line) = draft.lines.first_mut() {
                    line.duty = Some((Decimal::new(613, 2), None));
                }
            }
            OrderKind::ManyLines => {
                let all = &self.variants;
                draft.lines = (0..130)
                    .map(|i| {
                        let mut line = LineDraft::variant(all[i % all.len()], 1);
                        line.price = Some(Decimal::new(100 + i64::try_from(i).unwrap_or(0) * 7, 2));
                        line
                    })
                    .collect();
            }
            OrderKind::ZeroTotal => {
                let all = DiscountValue::Percentage(Decimal::ONE_HUNDRED);
                draft.discounts = vec![
                    code("PRESS100", all, DiscountTarget::AllLines),
                    code("PRESS-SHIP", all, DiscountTarget::Shipping),
                ];
            }
            OrderKind::Test => draft.test = true,
        }
        Ok(draft)
    }

    /// Places an order of a kind.
    ///
    /// # Errors
    /// The shop refuses it.
    pub fn order(&mut self, shop: &mut Shop, kind: OrderKind) -> Result<u64, ActionError> {
        let draft = self.draft(shop, kind)?;
        shop.place_order(draft)
    }

    /// Places orders of these kinds in turn.
    ///
    /// # Errors
    /// The shop refuses one.
    pub fn orders(
        &mut self,
        shop: &mut Shop,
        kinds: &[OrderKind],
        count: usize,
    ) -> Result<Vec<(OrderKind, u64)>, ActionError> {
        (0..count)
            .map(|i| {
                let kind = kinds[i % kinds.len()];
                Ok((kind, self.order(shop, kind)?))
            })
            .collect()
    }

    fn line_discount(&mut self) -> Discount {
        Discount {
            kind: DiscountKind::Automatic("Summer sale".to_owned()),
            value: DiscountValue::Amount(Decimal::new(100 + 11 * i64::from(self.dice.small(20)), 2)),
            target: DiscountTarget::Lines(vec![0]),
            method: AllocationMethod::Each,
        }
    }
}
