//! What is asked of the shop: new customers, products, orders, and what happens to orders later.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::facts::{Address, Discount, Image, Metafield, ProductStatus, Restock, Tax};

/// A new customer. Ids of addresses are given by the shop; the first address becomes the default.
#[derive(Clone, Debug, Default)]
pub struct CustomerDraft {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Unique in the shop.
    pub email: Option<String>,
    /// E.164; unique in the shop.
    pub phone: Option<String>,
    /// The merchant's note.
    pub note: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// No taxes are charged.
    pub tax_exempt: bool,
    /// Language; `de-DE` when missing.
    pub locale: Option<String>,
    /// Subscribed to marketing by e-mail.
    pub subscribed: bool,
    /// Address book.
    pub addresses: Vec<Address>,
}

/// A new product.
#[derive(Clone, Debug, Default)]
pub struct ProductDraft {
    /// Title; the handle is made from it.
    pub title: String,
    /// HTML.
    pub description_html: String,
    /// Maker.
    pub vendor: String,
    /// The merchant's own kind.
    pub product_type: String,
    /// For sale or not; [`ProductStatus::Active`] when missing.
    pub status: Option<ProductStatus>,
    /// Tags.
    pub tags: Vec<String>,
    /// Gift cards are sold.
    pub gift_card: bool,
    /// Names of the options; none for a product without variants.
    pub options: Vec<String>,
    /// Variants; one with an empty `option_values` for a product without variants.
    pub variants: Vec<VariantDraft>,
    /// Pictures (ids are given by the shop).
    pub images: Vec<Image>,
}

/// A new variant.
#[derive(Clone, Debug)]
pub struct VariantDraft {
    /// One value per option.
    pub option_values: Vec<String>,
    /// SKU.
    pub sku: Option<String>,
    /// Barcode.
    pub barcode: Option<String>,
    /// Price in the shop's currency.
    pub price: Decimal,
    /// Former price.
    pub compare_at_price: Option<Decimal>,
    /// Purchase price.
    pub cost: Option<Decimal>,
    /// Weight in kilograms.
    pub weight_kg: Decimal,
    /// Taxes are charged.
    pub taxable: bool,
    /// It is sent by parcel.
    pub requires_shipping: bool,
    /// Quantities are kept.
    pub tracked: bool,
    /// What lies at the first location.
    pub available: i64,
}

impl VariantDraft {
    /// A taxable, tracked variant with some stock.
    pub fn new(option_values: &[&str], sku: &str, price: Decimal) -> Self {
        Self {
            option_values: option_values.iter().map(|v| (*v).to_owned()).collect(),
            sku: Some(sku.to_owned()).filter(|s| !s.is_empty()),
            barcode: None,
            price,
            compare_at_price: None,
            cost: None,
            weight_kg: Decimal::new(5, 1),
            taxable: true,
            requires_shipping: true,
            tracked: true,
            available: 100,
        }
    }
}

/// Who buys.
#[derive(Clone, Debug, Default)]
pub enum Buyer {
    /// A customer of the shop.
    Customer(u64),
    /// Somebody without an account: the order has contact data and no customer.
    Guest {
        /// E-mail of the order.
        email: Option<String>,
        /// Phone of the order.
        phone: Option<String>,
    },
    /// Nobody known (a sale at the till).
    #[default]
    Nobody,
}

/// What is sold on a line.
#[derive(Clone, Debug)]
pub enum Item {
    /// A variant of the shop, at its price.
    Variant(u64),
    /// Something that is no product.
    Custom {
        /// Title of the line.
        title: String,
        /// SKU of the line.
        sku: Option<String>,
        /// Price in the shop's currency.
        price: Decimal,
        /// Taxes are charged.
        taxable: bool,
        /// It is sent by parcel.
        requires_shipping: bool,
    },
}

/// A line to sell.
#[derive(Clone, Debug)]
pub struct LineDraft {
    /// What.
    pub item: Item,
    /// How many.
    pub quantity: u32,
    /// Another price than the variant's.
    pub price: Option<Decimal>,
    /// Other taxes than the order's.
    pub taxes: Option<Vec<Tax>>,
    /// Key and value pairs.
    pub attributes: Vec<(String, String)>,
    /// Bundle: title and number of bundles. Lines with the same title share one group.
    pub group: Option<(String, u32)>,
    /// Import duty on the line, and its tax.
    pub duty: Option<(Decimal, Option<Tax>)>,
}

impl LineDraft {
    /// Some units of a variant.
    pub fn variant(id: u64, quantity: u32) -> Self {
        Self::of(Item::Variant(id), quantity)
    }

    /// Some units of something that is no product.
    pub fn custom(title: &str, price: Decimal, quantity: u32) -> Self {
        let item = Item::Custom {
            title: title.to_owned(),
            sku: None,
            price,
            taxable: true,
            requires_shipping: true,
        };
        Self::of(item, quantity)
    }

    fn of(item: Item, quantity: u32) -> Self {
        Self {
            item,
            quantity,
            price: None,
            taxes: None,
            attributes: Vec::new(),
            group: None,
            duty: None,
        }
    }
}

/// A way of delivery to charge.
#[derive(Clone, Debug)]
pub struct ShippingDraft {
    /// Name that the buyer sees.
    pub title: String,
    /// The merchant's code.
    pub code: Option<String>,
    /// Price in the shop's currency.
    pub price: Decimal,
    /// Other taxes than the order's.
    pub taxes: Option<Vec<Tax>>,
}

impl ShippingDraft {
    /// With the order's taxes.
    pub fn new(title: &str, price: Decimal) -> Self {
        Self {
            title: title.to_owned(),
            code: Some(title.to_owned()),
            price,
            taxes: None,
        }
    }
}

/// How an order is paid when it is made.
#[derive(Clone, Debug)]
pub enum Payment {
    /// In full, at once.
    Paid(String),
    /// By several gateways; an amount of `None` is what is left. `gift_card` is one of them.
    Split(Vec<(String, Option<Decimal>)>),
    /// Reserved only.
    Authorized(String),
    /// To be paid later (bank transfer, cash on delivery).
    Pending(String),
    /// A part only.
    Deposit(String, Decimal),
    /// In cash, rounded to a multiple of this.
    Cash(Decimal),
    /// Nothing was recorded.
    None,
}

/// A new order.
#[derive(Clone, Debug)]
pub struct OrderDraft {
    /// Who buys.
    pub buyer: Buyer,
    /// Company that buys (B2B).
    pub company: Option<u64>,
    /// What is sold.
    pub lines: Vec<LineDraft>,
    /// Ways of delivery.
    pub shipping: Vec<ShippingDraft>,
    /// Discounts, in the order in which they are taken.
    pub discounts: Vec<Discount>,
    /// Taxes on taxable lines and on shipping.
    pub taxes: Vec<Tax>,
    /// Prices contain tax.
    pub taxes_included: bool,
    /// No tax is charged at all.
    pub tax_exempt: bool,
    /// Tip in the shop's currency.
    pub tip: Decimal,
    /// Other currency of the buyer, and its units for one unit of the shop's.
    pub presentment: Option<(String, Decimal)>,
    /// How it is paid.
    pub payment: Payment,
    /// Where the goods go.
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    pub billing_address: Option<Address>,
    /// `web`, `pos` …
    pub source_name: String,
    /// Id in the system that the order came from.
    pub source_identifier: Option<String>,
    /// The buyer's own reference.
    pub po_number: Option<String>,
    /// Note.
    pub note: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Key and value pairs of the cart.
    pub attributes: Vec<(String, String)>,
    /// Made by a test gateway.
    pub test: bool,
    /// Date of the sale, when it is not now.
    pub processed_at: Option<DateTime<Utc>>,
    /// Date of the record, when it is not now.
    pub created_at: Option<DateTime<Utc>>,
}

impl Default for OrderDraft {
    fn default() -> Self {
        Self {
            buyer: Buyer::Nobody,
            company: None,
            lines: Vec::new(),
            shipping: Vec::new(),
            discounts: Vec::new(),
            taxes: Vec::new(),
            taxes_included: false,
            tax_exempt: false,
            tip: Decimal::ZERO,
            presentment: None,
            payment: Payment::Paid("shopify_payments".to_owned()),
            shipping_address: None,
            billing_address: None,
            source_name: "web".to_owned(),
            source_identifier: None,
            po_number: None,
            note: None,
            tags: Vec::new(),
            attributes: Vec::new(),
            test: false,
            processed_at: None,
            created_at: None,
        }
    }
}

/// How much money a refund gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundMoney {
    /// What the units and the shipping are worth.
    Worth,
    /// This much, in the shop's currency.
    Amount(Decimal),
    /// None, and nothing is balanced: the shop owes it.
    Nothing,
}

/// A refund to make.
#[derive(Clone, Debug)]
pub struct RefundDraft {
    /// Position of the line, units, where the goods go.
    pub lines: Vec<(usize, u32, Restock)>,
    /// All shipping that is left, or a part of it in the shop's currency.
    pub shipping: Option<Option<Decimal>>,
    /// The money.
    pub money: RefundMoney,
    /// The money is still under way.
    pub pending: bool,
    /// Note.
    pub note: Option<String>,
}

impl RefundDraft {
    /// Units that came back, and their worth.
    pub fn returned(line: usize, quantity: u32) -> Self {
        Self {
            lines: vec![(line, quantity, Restock::Return)],
            ..Self::goodwill(Decimal::ZERO).worth()
        }
    }

    /// Money only.
    pub fn goodwill(amount: Decimal) -> Self {
        Self {
            lines: Vec::new(),
            shipping: None,
            money: RefundMoney::Amount(amount),
            pending: false,
            note: None,
        }
    }

    fn worth(self) -> Self {
        Self {
            money: RefundMoney::Worth,
            ..self
        }
    }
}

/// A change of an order's lines after the sale.
#[derive(Clone, Debug, Default)]
pub struct OrderEdit {
    /// Lines to add; they take the taxes that are given with them, else the order's first line's.
    pub add: Vec<LineDraft>,
    /// Position of the line and units to take off.
    pub remove: Vec<(usize, u32)>,
    /// Gateway that collects (or gives back) the difference at once; else it stays outstanding.
    pub settle: Option<String>,
}

/// How an order is cancelled.
#[derive(Clone, Debug)]
pub struct CancelDraft {
    /// Enum value of the API (`CUSTOMER`, `DECLINED`, `FRAUD`, `INVENTORY`, `OTHER`, `STAFF`).
    pub reason: &'static str,
    /// Give the money back.
    pub refund: bool,
    /// Put the goods back into stock.
    pub restock: bool,
}

impl Default for CancelDraft {
    fn default() -> Self {
        Self {
            reason: "CUSTOMER",
            refund: true,
            restock: true,
        }
    }
}

/// What a merchant may change on an order without touching its lines. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct OrderPatch {
    /// Note.
    pub note: Option<String>,
    /// Tags.
    pub tags: Option<Vec<String>>,
    /// Contact address.
    pub email: Option<String>,
    /// Where the goods go.
    pub shipping_address: Option<Address>,
    /// The buyer's own reference.
    pub po_number: Option<String>,
    /// Custom data.
    pub metafield: Option<Metafield>,
}
