//! What both systems say about an order that the store never saw.

use std::time::Duration;

use super::words::day;
use super::{Look, Outlook, Said, Why, WhyError};
use crate::app::review::places::{Reference, References, erp_page, shopify_page};
use crate::domain::{Direction, FieldValue, LinkKind, Object, Order, ShopifyId};
use crate::erp::Find;
use crate::shopify::Shopify;
use crate::subscriptions::Toggle;

/// The model of orders in the ERP.
const ORDER: &str = "sale.order";

impl Look<'_> {
    /// Asks both systems about what we never saw.
    pub(super) async fn live(
        &self,
        asked: &str,
        id: Option<ShopifyId>,
        live: &Said,
    ) -> Result<Why, WhyError> {
        if let Some(order) = find_order(&live.shopify, asked, id).await? {
            if let Some(job) = self.job(&order.name, Some(order.id)).await? {
                return self.of_job(job).await;
            }
            if let Some(link) = self.link(order.id).await? {
                return self.of_link(&link).await;
            }
            return self.never_seen(&order, live).await;
        }
        // Perhaps it is the ERP's number.
        let find = Find {
            model: ORDER.to_owned(),
            equal: vec![("name".to_owned(), FieldValue::Text(asked.to_owned()))],
            one_of: None,
            fields: vec!["name".to_owned(), "client_order_ref".to_owned()],
            limit: 2,
        };
        let Some(found) = live.erp.find(&find).await?.into_iter().next() else {
            return Ok(self.unknown(asked));
        };
        let link = self
            .store
            .link_of_erp(&self.shop.name, LinkKind::Order, found.id)
            .await?;
        if let Some(link) = link {
            return self.of_link(&link).await;
        }
        Ok(Why {
            outlook: Outlook::Booked,
            sentence: format!(
                "{asked} is a sales order of the ERP that lockstep did not make and that belongs to no order of {}.",
                self.shop.name
            ),
            next: None,
            job: None,
            written: None,
            references: References {
                shopify: None,
                erp: Some(Reference {
                    name: asked.to_owned(),
                    id: found.id.to_string(),
                    url: Some(erp_page(self.shop, ORDER, found.id.0)),
                }),
            },
        })
    }

    /// An order that Shopify has and of which nothing ever came.
    async fn never_seen(&self, order: &Order, live: &Said) -> Result<Why, WhyError> {
        let shop = &self.shop.name;
        let (name, id) = (&order.name, order.id);
        let start = self.start().await?;
        let refused: u64 = self
            .store
            .rejections(self.now.minus(Duration::from_hours(24)))
            .await?
            .iter()
            .filter(|row| row.shop == shop.as_str())
            .map(|row| row.count)
            .sum();
        let sync = format!("To book it: lockstep sync order {id} --shop {shop}");
        let toggle = self.shop.sync.toggle(Object::Order, Direction::In);
        let (outlook, sentence, next) = if order.test {
            (
                Outlook::Test,
                format!("{name} is a test order, and test orders are not booked."),
                None,
            )
        } else if order.created_at < start {
            (
                Outlook::BeforeStart,
                format!("{name} is older than the start of {shop} ({}).", day(start)),
                Some("If it is wanted, set an earlier `start_at`, then sync it.".to_owned()),
            )
        } else if toggle == Toggle::Off {
            (
                Outlook::OutOfScope,
                format!("{name} never came, because orders of {shop} are switched off."),
                Some(sync),
            )
        } else if refused > 0 {
            (
                Outlook::Rejected,
                format!(
                    "{name} never came in: {refused} deliveries of {shop} were refused within the last day."
                ),
                Some(format!("`lockstep status` says why they are refused. {sync}")),
            )
        } else {
            (
                Outlook::NeverDelivered,
                format!(
                    "{name} is on Shopify since {} and no delivery about it ever came.",
                    day(order.created_at)
                ),
                Some(format!(
                    "{sync}. Whether webhooks are right: lockstep webhooks list"
                )),
            )
        };
        let in_erp = Find {
            model: ORDER.to_owned(),
            equal: vec![("client_order_ref".to_owned(), FieldValue::Text(name.clone()))],
            one_of: None,
            fields: vec!["name".to_owned()],
            limit: 1,
        };
        let erp = live
            .erp
            .find(&in_erp)
            .await?
            .into_iter()
            .next()
            .map(|row| Reference {
                name: match row.fields.get("name") {
                    Some(FieldValue::Text(name)) => name.clone(),
                    _ => row.id.to_string(),
                },
                id: row.id.to_string(),
                url: Some(erp_page(self.shop, ORDER, row.id.0)),
            });
        let sentence = match &erp {
            Some(erp) => format!(
                "{sentence} The ERP has {} with its number, made by somebody else.",
                erp.name
            ),
            None => sentence,
        };
        Ok(Why {
            outlook,
            sentence,
            next,
            job: None,
            written: None,
            references: References {
                shopify: Some(Reference {
                    name: name.clone(),
                    id: id.to_string(),
                    url: shopify_page(self.shop, Object::Order, &id.to_string()),
                }),
                erp,
            },
        })
    }
}

async fn find_order(
    shopify: &Shopify,
    asked: &str,
    id: Option<ShopifyId>,
) -> Result<Option<Order>, WhyError> {
    // A plain number may be a name or an id: names are what people have in mind.
    let is_address = asked.contains("://");
    if !is_address {
        let named = shopify
            .find_order_by_name(asked)
            .await
            .map_err(WhyError::Shopify)?;
        if let [(found, _)] = named.as_slice() {
            return shopify.order(*found, "").await.map_err(WhyError::Shopify);
        }
    }
    match id {
        Some(id) => shopify.order(id, "").await.map_err(WhyError::Shopify),
        None => Ok(None),
    }
}
