//! Why an order is not in the ERP: every shop's answer. The console asks through here, too.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::Extensions;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Api, Refused, answer};
use super::{needed, query};
use crate::app::connect;
use crate::app::review::{Outlook, Said, Why, WhyError, why as ask};
use crate::config::Shop;
use crate::domain::ShopName;
use crate::store::StoreError;

/// Which order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichOrder {
    order: String,
    shop: Option<ShopName>,
    #[serde(default)]
    offline: bool,
}

/// The answer of one shop.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WhyAnswer {
    shop: ShopName,
    #[serde(flatten)]
    why: Why,
}

pub(super) async fn why(
    State(api): State<Arc<Api>>,
    request: Extensions,
    asked: Result<Query<WhichOrder>, QueryRejection>,
) -> Response {
    let found = async {
        let asked = query(asked)?;
        needed(Some(&asked.order), "order")?;
        api.answers(&asked).await
    };
    answer(found.await, &request)
}

/// What was found out about an order.
#[derive(Debug)]
pub(in crate::app) struct FoundOut<'c> {
    /// The answers of the shops that know it; of all where none does.
    pub(in crate::app) answers: Vec<(&'c Shop, Why)>,
    /// What could not be asked.
    pub(in crate::app) failures: Vec<String>,
}

impl Api {
    /// Asks the store about these shops, and both systems where no shop's store knows the order.
    pub(in crate::app) async fn find_out<'c>(
        &self,
        shops: &[&'c Shop],
        order: &str,
        may_ask_systems: bool,
    ) -> Result<FoundOut<'c>, StoreError> {
        let is_known = |(_, why): &(&Shop, Why)| why.outlook != Outlook::Unknown;
        let mut found = self.ask_each(shops, order, false).await?;
        if may_ask_systems && !found.answers.iter().any(is_known) {
            let failures = std::mem::take(&mut found.failures);
            found = self.ask_each(shops, order, true).await?;
            found.failures.splice(0..0, failures);
        }
        if found.answers.iter().any(is_known) {
            found.answers.retain(is_known);
        }
        Ok(found)
    }

    async fn ask_each<'c>(
        &self,
        shops: &[&'c Shop],
        order: &str,
        live: bool,
    ) -> Result<FoundOut<'c>, StoreError> {
        let mut found = FoundOut {
            answers: Vec::new(),
            failures: Vec::new(),
        };
        for shop in shops {
            let said = if live {
                let client = self.clients.borrow().get(&shop.name).cloned();
                let (Some(shopify), Ok(erp)) = (client, connect::erp(shop, &self.clock)) else {
                    continue;
                };
                Some(Said { shopify, erp })
            } else {
                None
            };
            match ask(&self.store, &self.clock, shop, order, said.as_ref()).await {
                Ok(why) => found.answers.push((shop, why)),
                Err(WhyError::Store(error)) => return Err(error),
                Err(error) => {
                    let below = std::error::Error::source(&error).map(|source| format!(": {source}"));
                    let below = below.unwrap_or_default();
                    found.failures.push(format!("{}: {error}{below}", shop.name));
                }
            }
        }
        Ok(found)
    }

    /// Every shop's answer; those that know the order, if one does.
    async fn answers(&self, asked: &WhichOrder) -> Result<Vec<WhyAnswer>, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let shops: Vec<&Shop> = match &asked.shop {
            Some(name) => {
                let named = config.shops.get(name);
                vec![
                    named
                        .ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{name}].")))?,
                ]
            }
            None => config.shops.values().collect(),
        };
        let found = self.find_out(&shops, &asked.order, !asked.offline).await?;
        let is_known = found
            .answers
            .iter()
            .any(|(_, why)| why.outlook != Outlook::Unknown);
        match found.failures.into_iter().next() {
            // A system that does not answer may be the one that knows it.
            Some(failure) if !is_known => Err(Refused::Unreachable(format!("{failure}."))),
            _ => Ok(found
                .answers
                .into_iter()
                .map(|(shop, why)| WhyAnswer {
                    shop: shop.name.clone(),
                    why,
                })
                .collect()),
        }
    }
}
