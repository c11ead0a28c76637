//! Whole shops: stopping everything of one, and the answer to unusually large changes.

use std::sync::Arc;

use axum::routing::post;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::routes::{Route, schema};
use super::super::{Api, Refused};
use super::frame::on_post;
use super::{Told, Words, needed};
use crate::domain::{Object, Role, ShopName};
use crate::store::Acted;

pub(super) fn table() -> Vec<Route> {
    let act = |path, id, summary, response, handler| Route {
        method: "post",
        path,
        id,
        summary,
        needs: Role::Operator,
        query: &[],
        request: Some(schema::<Words>),
        response: Some(response),
        handler,
    };
    vec![
        act(
            "/api/v1/shops/{shop}/pause",
            "pauseShop",
            "Stops all work of a shop; deliveries are taken in as before. Needs a reason.",
            schema::<Told>,
            || post(pause),
        ),
        act(
            "/api/v1/shops/{shop}/resume",
            "resumeShop",
            "Ends the pause.",
            schema::<Told>,
            || post(resume),
        ),
        act(
            "/api/v1/shops/{shop}/limits/{object}/approve",
            "approveChanges",
            "Lets the changes go to the shop that were held because there were unusually many: of customer, product or inventory.",
            schema::<Answered>,
            || post(approve),
        ),
        act(
            "/api/v1/shops/{shop}/limits/{object}/reject",
            "rejectChanges",
            "Gives those changes up; what the ERP changes from now on is sent again. Needs a reason.",
            schema::<Answered>,
            || post(reject),
        ),
    ]
}

/// How many jobs an answer to the limits concerned.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Answered {
    shop: ShopName,
    object: Object,
    /// Nothing was held when there are none.
    jobs: u64,
}

impl Api {
    /// A shop that the configuration has.
    pub(in crate::app::api) fn declared(&self, shop: &str) -> Result<ShopName, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let found = config.shops.keys().find(|known| known.as_str() == shop);
        found
            .cloned()
            .ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{shop}].")))
    }
}

fn told(acted: Acted, done: String) -> Result<Told, Refused> {
    let told = match &acted {
        Acted::Unknown => return Err(Refused::Unknown("There is no such shop.".to_owned())),
        acted if acted.is_change() => done,
        _ => "it stands like that already; nothing was done".to_owned(),
    };
    Ok(Told { result: acted, told })
}

on_post!(pause, |api, reviewer, shop in String, said: Words| {
    let shop = api.declared(&shop)?;
    let reason = needed(said.reason.as_deref(), "reason")?;
    let acted = reviewer.pause(&shop, reason).await?;
    api.controls.look();
    told(acted, format!("{shop} is paused"))
});

on_post!(resume, |api, reviewer, shop in String, said: Words| {
    let shop = api.declared(&shop)?;
    let acted = reviewer.resume(&shop, said.reason.as_deref()).await?;
    api.controls.look();
    told(acted, format!("{shop} goes on"))
});

/// What the limits are about.
fn limited(object: &str) -> Result<Object, Refused> {
    object
        .parse()
        .ok()
        .filter(|object| matches!(object, Object::Customer | Object::Product | Object::Inventory))
        .ok_or_else(|| {
            Refused::Unknown(format!(
                "`{object}` has no limits: customer, product and inventory have."
            ))
        })
}

on_post!(approve, |api, reviewer, (shop, object) in (String, String), said: Words| {
    let (shop, object) = (api.declared(&shop)?, limited(&object)?);
    let jobs = reviewer.approve(&shop, object, said.reason.as_deref()).await?;
    api.controls.look();
    Ok(Answered { shop, object, jobs })
});

on_post!(reject, |api, reviewer, (shop, object) in (String, String), said: Words| {
    let (shop, object) = (api.declared(&shop)?, limited(&object)?);
    let reason = needed(said.reason.as_deref(), "reason")?;
    let jobs = reviewer.reject(&shop, object, reason).await?;
    api.controls.look();
    Ok(Answered { shop, object, jobs })
});
