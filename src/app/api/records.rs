//! One record as both systems have it, for programs.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use serde::Deserialize;

use super::auth::Caller;
use super::{Api, Refused, answer};
use crate::app::connect;
use crate::app::mappings::load;
use crate::app::record::{Patience, Record, RecordError, Wanted, record};
use crate::app::review::Said;
use crate::domain::{Object, Role};

/// What is asked of it.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// `now` to compare both sides.
    compare: Option<String>,
    /// `no` to ask only the store.
    live: Option<String>,
}

impl Api {
    async fn record(
        &self,
        (shop, object, id): (String, String, String),
        asked: &Asked,
    ) -> Result<Record, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let mut shops = config.shops.values();
        let shop = shops
            .find(|known| known.name.as_str() == shop)
            .ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{shop}].")))?;
        let object: Object = object
            .parse()
            .map_err(|_| Refused::Unknown("There are records of order, customer and product.".to_owned()))?;
        let client = self.clients.borrow().get(&shop.name).cloned();
        let erp = connect::erp(shop, &self.clock).ok();
        let said = client.zip(erp).map(|(shopify, erp)| Said { shopify, erp });
        let is_live = asked.live.as_deref() != Some("no");
        let mappings = match &asked.compare {
            Some(_) if is_live => Some(Arc::new(mappings(&config).await?)),
            _ => None,
        };
        let wanted = Wanted {
            shop,
            object,
            id: &id,
            said: said.as_ref().filter(|_| is_live),
            mappings,
            patience: Patience::default(),
        };
        record(&self.store, &self.clock, wanted)
            .await
            .map_err(|error| match error {
                RecordError::Store(error) => Refused::Store(error),
                RecordError::NoNumber(_) => Refused::Invalid(format!("{error}.")),
                RecordError::Unsupported(_) | RecordError::Unknown { .. } => {
                    Refused::Unknown(format!("{error}."))
                }
            })
    }
}

/// The mappings of the files, as they are now.
pub(super) async fn mappings(config: &crate::config::Config) -> Result<crate::mapping::Mappings, Refused> {
    let broken = |detail: String| Refused::Conflict {
        code: "mappings_broken",
        detail: format!("The mapping files have mistakes: {detail}"),
    };
    let folder = config.mappings.dir.clone();
    let loaded = tokio::task::spawn_blocking(move || load(folder.as_deref())).await;
    loaded
        .map_err(|error| broken(error.to_string()))?
        .map_err(|errors| {
            let mistakes: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
            broken(mistakes.join(" "))
        })
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(of): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
    request: Extensions,
) -> Response {
    let caller = request.get::<Caller>();
    let is_viewer = caller.is_none_or(|caller| !caller.role.may(Role::Operator));
    let found = api.record(of, &asked).await;
    let found = found.map(|record| if is_viewer { record.masked() } else { record });
    answer(found, &request)
}
