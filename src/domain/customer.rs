//! The canonical customer and postal address.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::canonical::canonical;
use crate::domain::{ShopifyId, Timestamp};

canonical! {
    /// A postal address. Every part may be missing; nothing is guessed.
    Address {
        /// Given name.
        first_name: Option<String>,
        /// Family name.
        last_name: Option<String>,
        /// Both names as Shopify joins them, else the company.
        name: Option<String>,
        /// Company.
        company: Option<String>,
        /// Street and number.
        address1: Option<String>,
        /// Flat, floor, and so on.
        address2: Option<String>,
        /// City.
        city: Option<String>,
        /// Postal code.
        zip: Option<String>,
        /// State or province: the part of ISO 3166-2 after the country, e.g. `CA` for California.
        province_code: Option<String>,
        /// Country: ISO 3166-1, two letters.
        country_code: Option<String>,
        /// Phone number as entered.
        phone: Option<String>,
    }
}

impl Address {
    /// A hash of the whole content: two addresses with equal hashes are one and the same address.
    /// 32 hexadecimal digits.
    pub fn content_hash(&self) -> String {
        let mut hasher = Sha256::new();
        for part in [
            &self.first_name,
            &self.last_name,
            &self.name,
            &self.company,
            &self.address1,
            &self.address2,
            &self.city,
            &self.zip,
            &self.province_code,
            &self.country_code,
            &self.phone,
        ] {
            let text = part.as_deref().map_or("", str::trim);
            hasher.update(text.as_bytes());
            // A separator that no text contains keeps ("ab", "c") apart from ("a", "bc").
            hasher.update([0]);
        }
        hex::encode(&hasher.finalize()[..16])
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.content_hash() == Self::nothing().content_hash()
    }

    /// An address without content.
    pub fn nothing() -> Self {
        Self {
            first_name: None,
            last_name: None,
            name: None,
            company: None,
            address1: None,
            address2: None,
            city: None,
            zip: None,
            province_code: None,
            country_code: None,
            phone: None,
        }
    }
}

canonical! {
    /// A customer as Shopify has it now.
    Customer {
        /// Shopify's number.
        id: ShopifyId,
        /// Given name.
        first_name: Option<String>,
        /// Family name.
        last_name: Option<String>,
        /// The best name there is: given and family name, else company, e-mail or phone; never empty.
        display_name: String,
        /// Company of the default address.
        company: Option<String>,
        /// E-mail as entered.
        email: Option<String>,
        /// Phone in E.164 form, as Shopify keeps it.
        phone: Option<String>,
        /// Language the customer uses, e.g. `de` or `pt-BR`.
        locale: Option<String>,
        /// Merchant's note.
        note: Option<String>,
        /// Tags in Shopify's order.
        tags: Vec<String>,
        /// Whether no tax is charged.
        tax_exempt: bool,
        /// Shopify's `state`, e.g. `ENABLED`; unknown values are kept as they came.
        state: Option<String>,
        /// The default address.
        default_address: Option<Address>,
        /// All addresses, the default one included.
        addresses: Vec<Address>,
        /// Shopify's names of the fields that it keeps from us for want of an approval: nothing is known of them, and
        /// they are not to be taken for empty.
        refused: Vec<String>,
        /// When it was made.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
        /// Shopify's own record.
        raw: Arc<serde_json::Value>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_shifted_parts_have_different_hashes() {
        let one = Address {
            city: Some("ab".into()),
            zip: Some("c".into()),
            ..Address::nothing()
        };
        let two = Address {
            city: Some("a".into()),
            zip: Some("bc".into()),
            ..Address::nothing()
        };
        assert_ne!(one.content_hash(), two.content_hash());
        let spaced = Address {
            city: Some(" ab ".into()),
            zip: Some("c".into()),
            ..Address::nothing()
        };
        assert_eq!(
            one.content_hash(),
            spaced.content_hash(),
            "white space around a part says nothing"
        );
    }
}
