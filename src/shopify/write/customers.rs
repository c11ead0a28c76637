//! Customers: found by their keys, made, changed.

use serde_json::{Value, json};

use super::fields::{ADDRESS, CUSTOMER, not_writable};
use super::refusal::{accepted, gone, incomplete};
use crate::domain::{Customer, CustomerFound, FieldValue, Fields, LinkKind, NewCustomer, ShopifyId};
use crate::shopify::answer::REFUSED;
use crate::shopify::documents::{self, Document};
use crate::shopify::error::ShopifyError;
use crate::shopify::{Shopify, fetch, normalise};

const KIND: &str = "Customer";

/// The fields that belong to the customer, and those of its default address.
type Parts<'a> = (Vec<&'a (String, FieldValue)>, Vec<&'a (String, FieldValue)>);

fn parts(fields: &Fields) -> Result<Parts<'_>, ShopifyError> {
    let (mut own, mut address) = (Vec::new(), Vec::new());
    for field in fields {
        if CUSTOMER.has(&field.0) {
            own.push(field);
        } else if ADDRESS.has(&field.0) {
            address.push(field);
        } else {
            return Err(not_writable(&field.0, "customers have no such field".to_owned()));
        }
    }
    Ok((own, address))
}

/// A country that Shopify does not know is a mistake of the request there, and one of the value here.
fn unknown_country(error: ShopifyError) -> ShopifyError {
    match error {
        ShopifyError::Refused { code, reason, .. }
            if code == "INVALID_VARIABLE" && reason.contains("countryCode") =>
        {
            not_writable(
                "address.country_code",
                "the shop knows no such country".to_owned(),
            )
        }
        error => error,
    }
}

impl Shopify {
    /// The customers that have this e-mail or this phone: at most one each, because both are unique in a shop. Upper and
    /// lower case are one; a phone that does not begin with `+` and its country is nobody's.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn find_customers(
        &self,
        email: Option<&str>,
        phone: Option<&str>,
    ) -> Result<Vec<CustomerFound>, ShopifyError> {
        let email = email.map(|text| text.trim().to_lowercase()).unwrap_or_default();
        let phone: String = phone
            .unwrap_or_default()
            .chars()
            .filter(|c| *c == '+' || c.is_ascii_digit())
            .collect();
        let (by_email, by_phone) = (!email.is_empty(), phone.starts_with('+') && phone.len() > 7);
        if !by_email && !by_phone {
            return Ok(Vec::new());
        }
        let document = &documents::FIND_CUSTOMERS;
        let variables = json!({ "email": email, "phone": phone, "byEmail": by_email, "byPhone": by_phone });
        let data = self.client.call(document, &variables).await?;
        let mut found: Vec<CustomerFound> = Vec::new();
        for name in ["email", "phone"] {
            let Some(record) = data.get(name).filter(|record| record.is_object()) else {
                continue;
            };
            let text = |path: &str| record.pointer(path).and_then(Value::as_str).map(str::to_owned);
            let one = CustomerFound {
                id: text("/id")
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(|| incomplete(document, "a customer has no number"))?,
                email: text("/defaultEmailAddress/emailAddress"),
                phone: text("/defaultPhoneNumber/phoneNumber"),
            };
            if !found.contains(&one) {
                found.push(one);
            }
        }
        Ok(found)
    }

    /// Makes a customer, or, if one carries this name of the ERP's record already (an attempt whose answer was lost made
    /// it), gives that one these fields. Its address becomes the default address.
    ///
    /// # Errors
    /// A [`ShopifyError`]: refused when e-mail or phone belong to another customer.
    pub async fn create_customer(&self, new: &NewCustomer) -> Result<Customer, ShopifyError> {
        let (own, address) = parts(&new.fields)?;
        let mut input = CUSTOMER.input(own, 0)?;
        if address.iter().any(|(_, value)| *value != FieldValue::Clear) {
            input["addresses"] = json!([ADDRESS.input(address, 0)?]);
        }
        self.define_mark(LinkKind::Customer).await?;
        // The lists of `customerSet` replace what is there, so it must not meet a customer that exists.
        if let Some(id) = self.customer_of_ref(&new.erp_ref).await? {
            return self.update_customer(id, &new.fields).await;
        }
        let document = &documents::CUSTOMER_SET;
        let variables = json!({ "ref": new.erp_ref, "input": input });
        let sent = self.client.call(document, &variables).await;
        let mut data = sent.map_err(unknown_country)?;
        accepted(document, &data["customerSet"], &[&CUSTOMER, &ADDRESS], "", None)?;
        let carries = data
            .pointer("/customerSet/customer/erpRef/value")
            .and_then(Value::as_str)
            == Some(new.erp_ref.as_str());
        let customer = self.written(document, "customerSet", &mut data).await?;
        if !carries {
            self.note_erp_ref(LinkKind::Customer, customer.id, &new.erp_ref)
                .await?;
        }
        Ok(customer)
    }

    /// Changes fields of a customer and of its default address, which is made if there is none. Everything else stays,
    /// other addresses and tags included.
    ///
    /// # Errors
    /// A [`ShopifyError`]. If the address is refused, the message says that the other fields are written.
    pub async fn update_customer(&self, id: ShopifyId, fields: &Fields) -> Result<Customer, ShopifyError> {
        let (own, address) = parts(fields)?;
        let mut input = CUSTOMER.input(own.iter().copied(), 0)?;
        let address_input = ADDRESS.input(address.iter().copied(), 0)?;
        let mut written = None;
        if !own.is_empty() {
            let document = &documents::CUSTOMER_UPDATE;
            input["id"] = json!(id.gid(KIND));
            let mut data = self.client.call(document, &json!({ "input": input })).await?;
            accepted(document, &data["customerUpdate"], &[&CUSTOMER], "", None)?;
            written = Some(self.written(document, "customerUpdate", &mut data).await?);
        }
        if !address.is_empty() {
            let filled = address.iter().any(|(_, value)| *value != FieldValue::Clear);
            self.write_default_address(id, &address_input, filled, written.is_some())
                .await?;
            written = None;
        }
        match written {
            Some(customer) => Ok(customer),
            None => self
                .customer(id, "")
                .await?
                .ok_or_else(|| gone(&documents::CUSTOMER, "the customer")),
        }
    }

    async fn write_default_address(
        &self,
        id: ShopifyId,
        input: &Value,
        filled: bool,
        half_written: bool,
    ) -> Result<(), ShopifyError> {
        let document = &documents::DEFAULT_ADDRESS;
        let customer = id.gid(KIND);
        let data = self.client.call(document, &json!({ "id": customer })).await?;
        if !data["customer"].is_object() {
            return Err(gone(document, "the customer"));
        }
        let besides = half_written.then_some("the customer's other fields are written");
        match data
            .pointer("/customer/defaultAddress/id")
            .and_then(Value::as_str)
        {
            Some(known) => {
                let document = &documents::ADDRESS_UPDATE;
                let variables = json!({ "customer": customer, "id": known, "address": input });
                let sent = self.client.call(document, &variables).await;
                let data = sent.map_err(unknown_country)?;
                accepted(document, &data["customerAddressUpdate"], &[&ADDRESS], "", besides)
            }
            // An empty address is as good as none.
            None if !filled => Ok(()),
            None => {
                let document = &documents::ADDRESS_CREATE;
                let variables = json!({ "customer": customer, "address": input });
                let sent = self.client.call(document, &variables).await;
                let data = sent.map_err(unknown_country)?;
                accepted(document, &data["customerAddressCreate"], &[&ADDRESS], "", besides)
            }
        }
    }

    /// The customer that a payload shows; read once more where it does not show all of it.
    async fn written(
        &self,
        document: &Document,
        mutation: &'static str,
        data: &mut Value,
    ) -> Result<Customer, ShopifyError> {
        let refused = data.get(REFUSED).cloned();
        let mut record = data[mutation]["customer"].take();
        if record.is_null() {
            return Err(incomplete(document, "it does not show the customer"));
        }
        if record.pointer("/addressesV2/pageInfo/hasNextPage") == Some(&Value::Bool(true)) {
            let id: Option<ShopifyId> = record["id"].as_str().and_then(|id| id.parse().ok());
            let id = id.ok_or_else(|| incomplete(document, "the customer has no number"))?;
            return self
                .customer(id, "")
                .await?
                .ok_or_else(|| gone(document, "the customer"));
        }
        if let Some(refused) = refused {
            record[REFUSED] = fetch::refused_of(&format!("{mutation}.customer"), &refused);
        }
        Ok(normalise::customer(record)?)
    }
}
