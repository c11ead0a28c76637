//! Customers come, change, merge and go; companies are made.

use super::{ActionError, not_found, refused, tidy_tags};
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::sandbox::shopify::facts::{Address, Company, Customer, EmailConsent};
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Change;

impl Shop {
    /// Makes a customer and returns its id.
    ///
    /// # Errors
    /// E-mail and phone are unique in a shop.
    pub fn create_customer(&mut self, draft: CustomerDraft) -> Result<u64, ActionError> {
        let id = self.create_customer_quietly(draft)?;
        self.announce(&[Change::Customer("customers/create", id)]);
        Ok(id)
    }

    /// The same without telling anybody: the caller goes on and does.
    pub(in crate::sandbox::shopify) fn create_customer_quietly(
        &mut self,
        draft: CustomerDraft,
    ) -> Result<u64, ActionError> {
        let is_known = |contact: &Option<String>| {
            contact
                .as_ref()
                .is_some_and(|contact| self.contacts.contains(contact))
        };
        let may_be_taken = is_known(&draft.email) || is_known(&draft.phone);
        // A shop of many customers would be looked through for each of them.
        for other in self.customers.values().filter(|_| may_be_taken) {
            if draft.email.is_some() && other.email == draft.email {
                return Err(refused("Email has already been taken"));
            }
            if draft.phone.is_some() && other.phone == draft.phone {
                return Err(refused("Phone has already been taken"));
            }
        }
        let now = self.now();
        let id = self.ids.take();
        let mut addresses = draft.addresses;
        for address in &mut addresses {
            address.id = self.ids.take();
        }
        let customer = Customer {
            id,
            first_name: draft.first_name,
            last_name: draft.last_name,
            email: draft.email,
            phone: draft.phone,
            note: draft.note,
            tags: tidy_tags(draft.tags),
            tax_exempt: draft.tax_exempt,
            verified_email: true,
            locale: draft.locale.unwrap_or_else(|| "de-DE".to_owned()),
            enabled: false,
            consent: EmailConsent {
                subscribed: draft.subscribed,
                updated_at: draft.subscribed.then_some(now),
            },
            default_address: addresses.first().map(|a| a.id),
            addresses,
            company: None,
            metafields: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        self.know_contacts(&customer);
        self.customers.insert(id, customer);
        Ok(id)
    }

    fn know_contacts(&mut self, customer: &Customer) {
        let contacts = [&customer.email, &customer.phone].into_iter().flatten();
        self.contacts.extend(contacts.cloned());
    }

    /// Puts the whole record of a customer that was just made, and tells of it.
    pub(in crate::sandbox::shopify) fn put_new_customer(&mut self, customer: Customer) {
        let id = customer.id;
        self.know_contacts(&customer);
        self.customers.insert(id, customer);
        self.announce(&[Change::Customer("customers/create", id)]);
    }

    /// Makes a customer with an id of the caller's choosing.
    ///
    /// # Errors
    /// As [`Self::create_customer`]; the id is taken.
    pub fn put_customer(&mut self, id: u64, draft: CustomerDraft) -> Result<(), ActionError> {
        if self.customers.contains_key(&id) {
            return Err(refused(format!("there is a customer {id} already")));
        }
        let made = self.create_customer(draft)?;
        if let Some(mut customer) = self.customers.remove(&made) {
            customer.id = id;
            self.customers.insert(id, customer);
        }
        Ok(())
    }

    /// Changes a customer; new addresses (id 0) get their ids.
    ///
    /// # Errors
    /// The customer does not exist.
    pub fn edit_customer(&mut self, id: u64, edit: impl FnOnce(&mut Customer)) -> Result<(), ActionError> {
        let now = self.now();
        let customer = self
            .customers
            .get_mut(&id)
            .ok_or_else(|| not_found("customer", id))?;
        edit(customer);
        customer.id = id;
        customer.updated_at = now;
        for address in customer.addresses.iter_mut().filter(|a| a.id == 0) {
            address.id = self.ids.take();
        }
        if customer.address().is_none() {
            customer.default_address = customer.addresses.first().map(|a| a.id);
        }
        let contacts = [&customer.email, &customer.phone].into_iter().flatten();
        self.contacts.extend(contacts.cloned());
        self.announce(&[Change::Customer("customers/update", id)]);
        Ok(())
    }

    /// Adds an address to the book and makes it the default.
    ///
    /// # Errors
    /// The customer does not exist.
    pub fn add_address(&mut self, customer: u64, mut address: Address) -> Result<u64, ActionError> {
        let id = self.ids.take();
        address.id = id;
        self.edit_customer(customer, |c| {
            c.addresses.push(address);
            c.default_address = Some(id);
        })?;
        Ok(id)
    }

    /// Deletes a customer.
    ///
    /// # Errors
    /// It does not exist or has orders.
    pub fn delete_customer(&mut self, id: u64) -> Result<(), ActionError> {
        if self.orders_of(id).next().is_some() {
            return Err(refused("customers with orders cannot be deleted"));
        }
        self.customers
            .remove(&id)
            .ok_or_else(|| not_found("customer", id))?;
        self.deleted.push(("Customer", id));
        self.announce(&[Change::Deleted("customers/delete", "Customer", id)]);
        Ok(())
    }

    /// Merges one customer into another: orders and addresses move, the id of `gone` is retired.
    ///
    /// # Errors
    /// One of them does not exist.
    pub fn merge_customers(&mut self, gone: u64, kept: u64) -> Result<(), ActionError> {
        let now = self.now();
        if !self.customers.contains_key(&kept) || gone == kept {
            return Err(not_found("customer", kept));
        }
        let old = self
            .customers
            .remove(&gone)
            .ok_or_else(|| not_found("customer", gone))?;
        for order in self.orders.values_mut().filter(|o| o.customer == Some(gone)) {
            order.customer = Some(kept);
            order.updated_at = now;
        }
        self.move_raw_orders(gone, kept);
        if let Some(customer) = self.customers.get_mut(&kept) {
            customer.addresses.extend(old.addresses);
            customer.tags = tidy_tags([customer.tags.clone(), old.tags].concat());
            customer.email = customer.email.take().or(old.email);
            customer.phone = customer.phone.take().or(old.phone);
            customer.updated_at = now;
        }
        self.announce(&[
            Change::CustomersMerged { kept, gone },
            Change::Customer("customers/update", kept),
        ]);
        Ok(())
    }

    /// Makes a company with one location, whose contact is the customer.
    ///
    /// # Errors
    /// The customer does not exist.
    pub fn create_company(
        &mut self,
        name: &str,
        tax_id: Option<&str>,
        customer: u64,
    ) -> Result<u64, ActionError> {
        let now = self.now();
        let [id, location, contact] = [self.ids.take(), self.ids.take(), self.ids.take()];
        self.customers
            .get_mut(&customer)
            .ok_or_else(|| not_found("customer", customer))?
            .company = Some(id);
        self.companies.insert(
            id,
            Company {
                id,
                name: name.to_owned(),
                external_id: None,
                location,
                location_name: format!("{name} HQ"),
                tax_id: tax_id.map(str::to_owned),
                contact,
                customer,
                created_at: now,
                updated_at: now,
            },
        );
        Ok(id)
    }
}
