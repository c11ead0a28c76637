//! Customers and companies.

use serde_json::Value as Json;

use super::list::orders_of;
use super::order::OrderNode;
use super::{address, id, legacy, maybe_time, metafield, metafields, money, strings, time};
use crate::sandbox::shopify::facts::{Company, Customer};
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::graphql::page::page_of_list;
use crate::sandbox::shopify::shop::Shop;

/// One customer.
pub(super) struct CustomerNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) customer: &'a Customer,
}

impl<'a> Node<'a> for CustomerNode<'a> {
    fn type_name(&self) -> &'static str {
        "Customer"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, customer) = (self.shop, self.customer);
        match name {
            "id" => id("Customer", customer.id),
            "legacyResourceId" => legacy(customer.id),
            "displayName" => Out::leaf(customer.display_name()),
            "firstName" => Out::leaf(customer.first_name.clone()),
            "lastName" => Out::leaf(customer.last_name.clone()),
            "email" => Out::leaf(customer.email.clone()),
            "phone" => Out::leaf(customer.phone.clone()),
            "state" => Out::leaf(if customer.enabled { "ENABLED" } else { "DISABLED" }),
            "locale" => Out::leaf(customer.locale.clone()),
            "note" => Out::leaf(customer.note.clone()),
            "tags" => strings(&customer.tags),
            "taxExempt" => Out::leaf(customer.tax_exempt),
            "taxExemptions" => Out::list([]),
            "verifiedEmail" => Out::leaf(customer.verified_email),
            "validEmailAddress" => Out::leaf(customer.email.is_some()),
            "dataSaleOptOut" => Out::leaf(false),
            "createdAt" => time(customer.created_at),
            "updatedAt" => time(customer.updated_at),
            "numberOfOrders" => Out::leaf(shop.orders_of(customer.id).count().to_string()),
            "amountSpent" => {
                let spent = shop
                    .orders_of(customer.id)
                    .map(|o| o.totals.received - o.totals.refunded);
                let spent: crate::sandbox::shopify::money::Bag = spent.sum();
                money(spent.shop, &shop.currency)
            }
            "lastOrder" => {
                let last = shop.orders_of(customer.id).next_back();
                Out::maybe(last.map(|order| OrderNode { shop, order }))
            }
            "orders" => orders_of(shop, customer.id, args),
            "defaultAddress" => customer.address().map_or(Out::Absent, |a| address(a, a.id)),
            "addresses" => Out::list(customer.addresses.iter().map(|a| address(a, a.id))),
            "addressesV2" => page_of_list(args, customer.addresses.iter().collect(), |a| address(a, a.id)),
            "defaultEmailAddress" => customer.email.as_ref().map_or(Out::Absent, |email| {
                let consent = &customer.consent;
                let state = if consent.subscribed {
                    "SUBSCRIBED"
                } else {
                    "NOT_SUBSCRIBED"
                };
                Out::record(
                    "CustomerEmailAddress",
                    vec![
                        ("emailAddress", Out::leaf(email.clone())),
                        ("marketingState", Out::leaf(state)),
                        (
                            "marketingOptInLevel",
                            Out::leaf(consent.subscribed.then_some("SINGLE_OPT_IN")),
                        ),
                        ("marketingUpdatedAt", maybe_time(consent.updated_at)),
                        ("validFormat", Out::leaf(email.contains('@'))),
                    ],
                )
            }),
            "defaultPhoneNumber" => customer.phone.as_ref().map_or(Out::Absent, |phone| {
                let fields = vec![
                    ("phoneNumber", Out::leaf(phone.clone())),
                    ("marketingState", Out::leaf("NOT_SUBSCRIBED")),
                ];
                Out::record("CustomerPhoneNumber", fields)
            }),
            "companyContactProfiles" => {
                let company = customer.company.and_then(|c| shop.companies.get(&c));
                Out::list(company.map(|company| {
                    Out::node(CompanyNode {
                        shop,
                        company,
                        kind: "CompanyContact",
                    })
                }))
            }
            "canDelete" => Out::leaf(shop.orders_of(customer.id).next().is_none()),
            "metafield" => metafield(
                Out::node(CustomerNode { shop, customer }),
                &customer.metafields,
                args,
            ),
            "metafields" => metafields(
                &Out::node(CustomerNode { shop, customer }),
                &customer.metafields,
                args,
            ),
            _ => Out::Absent,
        }
    }
}

/// A company, its contact or its location: three views of one record.
pub(super) struct CompanyNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) company: &'a Company,
    pub(super) kind: &'static str,
}

impl<'a> Node<'a> for CompanyNode<'a> {
    fn type_name(&self) -> &str {
        self.kind
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, company) = (self.shop, self.company);
        let node = |kind| Out::node(CompanyNode { shop, company, kind });
        let customer = || {
            Out::maybe(
                shop.customer(company.customer)
                    .map(|customer| CustomerNode { shop, customer }),
            )
        };
        match (self.kind, name) {
            ("Company", "id") => id("Company", company.id),
            ("CompanyContact", "id") => id("CompanyContact", company.contact),
            (_, "id") => id("CompanyLocation", company.location),
            ("Company", "name") => Out::leaf(company.name.clone()),
            (_, "name") => Out::leaf(company.location_name.clone()),
            (_, "externalId") => Out::leaf(company.external_id.clone()),
            (_, "createdAt") => time(company.created_at),
            (_, "updatedAt") => time(company.updated_at),
            ("Company", "mainContact") => node("CompanyContact"),
            ("Company", "locations") => page_of_list(args, vec![()], |()| node("CompanyLocation")),
            ("Company", "contacts") => page_of_list(args, vec![()], |()| node("CompanyContact")),
            ("CompanyContact" | "CompanyLocation", "company") => node("Company"),
            ("CompanyContact", "customer") => customer(),
            ("CompanyContact", "isMainContact") => Out::leaf(true),
            ("CompanyLocation", "taxRegistrationId") => Out::leaf(company.tax_id.clone()),
            ("CompanyLocation", "taxSettings") => Out::record(
                "CompanyLocationTaxSettings",
                vec![
                    ("taxRegistrationId", Out::leaf(company.tax_id.clone())),
                    ("taxExempt", Out::leaf(Json::Bool(false))),
                ],
            ),
            _ => Out::Absent,
        }
    }
}
