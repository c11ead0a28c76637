//! Customers, their addresses, and companies.

use chrono::{DateTime, Utc};

/// A buyer with an account.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Number part of the gid.
    pub id: u64,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// May be missing: phone-only customers exist.
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// The merchant's note.
    pub note: Option<String>,
    /// Sorted, unique.
    pub tags: Vec<String>,
    /// No taxes are charged.
    pub tax_exempt: bool,
    /// The e-mail address was confirmed.
    pub verified_email: bool,
    /// Language such as `de-DE`.
    pub locale: String,
    /// The account is enabled.
    pub enabled: bool,
    /// Consent to marketing by e-mail.
    pub consent: EmailConsent,
    /// Address book; the first is not always the default.
    pub addresses: Vec<Address>,
    /// Id of the default address.
    pub default_address: Option<u64>,
    /// Company that the customer buys for.
    pub company: Option<u64>,
    /// Custom data.
    pub metafields: Vec<Metafield>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// Last change of anything that the customer record shows.
    pub updated_at: DateTime<Utc>,
}

impl Customer {
    /// First and last name, else e-mail, else phone: what the admin shows.
    pub fn display_name(&self) -> String {
        let name = join_names(self.first_name.as_deref(), self.last_name.as_deref());
        if name.is_empty() {
            self.email
                .clone()
                .or_else(|| self.phone.clone())
                .unwrap_or_default()
        } else {
            name
        }
    }

    /// The default address, if there is one.
    pub fn address(&self) -> Option<&Address> {
        self.default_address
            .and_then(|id| self.addresses.iter().find(|a| a.id == id))
    }
}

/// Consent to marketing by e-mail.
#[derive(Clone, Debug, Default)]
pub struct EmailConsent {
    /// Subscribed or not.
    pub subscribed: bool,
    /// When that changed last.
    pub updated_at: Option<DateTime<Utc>>,
}

/// A postal address, in an address book or on an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Number part of the gid; 0 until it is stored.
    pub id: u64,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Street and number.
    pub address1: Option<String>,
    /// Flat, floor.
    pub address2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// Name of the state or province.
    pub province: Option<String>,
    /// Code of the state or province.
    pub province_code: Option<String>,
    /// Two letters.
    pub country_code: Option<String>,
    /// E.164.
    pub phone: Option<String>,
}

impl Address {
    /// First and last name.
    pub fn name(&self) -> Option<String> {
        Some(join_names(self.first_name.as_deref(), self.last_name.as_deref())).filter(|n| !n.is_empty())
    }

    /// Name of the country.
    pub fn country(&self) -> Option<String> {
        self.country_code
            .as_deref()
            .map(|code| country_name(code).to_owned())
    }
}

/// A business customer (B2B).
#[derive(Clone, Debug)]
pub struct Company {
    /// Number part of the gid.
    pub id: u64,
    /// Legal name.
    pub name: String,
    /// The merchant's own id of it.
    pub external_id: Option<String>,
    /// Its one location.
    pub location: u64,
    /// Name of the location.
    pub location_name: String,
    /// VAT number of the location.
    pub tax_id: Option<String>,
    /// Id of the contact (customer and company together).
    pub contact: u64,
    /// The customer behind the contact.
    pub customer: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// A piece of custom data.
#[derive(Clone, Debug)]
pub struct Metafield {
    /// Number part of the gid.
    pub id: u64,
    /// Group of the key.
    pub namespace: String,
    /// Key within the namespace.
    pub key: String,
    /// Type such as `single_line_text_field`.
    pub kind: String,
    /// The value as text.
    pub value: String,
}

fn join_names(first: Option<&str>, last: Option<&str>) -> String {
    [first, last]
        .into_iter()
        .flatten()
        .filter(|n| !n.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// English name of a country, as the shop writes it beside the code; the code itself for rare ones.
pub fn country_name(code: &str) -> &str {
    match code {
        "AT" => "Austria",
        "AU" => "Australia",
        "BE" => "Belgium",
        "CA" => "Canada",
        "CH" => "Switzerland",
        "CZ" => "Czechia",
        "DE" => "Germany",
        "DK" => "Denmark",
        "ES" => "Spain",
        "FI" => "Finland",
        "FR" => "France",
        "GB" => "United Kingdom",
        "IE" => "Ireland",
        "IT" => "Italy",
        "JP" => "Japan",
        "LU" => "Luxembourg",
        "NL" => "Netherlands",
        "NO" => "Norway",
        "PL" => "Poland",
        "PT" => "Portugal",
        "SE" => "Sweden",
        "US" => "United States",
        other => other,
    }
}
