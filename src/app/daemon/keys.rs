//! API keys that end soon: told in the log once a day, and as a problem of the shop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::shops::Current;
use crate::app::status::key_ends;
use crate::config::Shop;
use crate::domain::{NewProblem, ProblemCode, SharedClock, ShopName};
use crate::store::{SharedStore, StoreError};

/// The problem's code.
const CODE: &str = "api_key_expires";

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(3600);

/// Looks at once, every hour, and whenever the configuration changed.
pub(super) async fn watch(
    mut current: Current,
    store: SharedStore,
    clock: SharedClock,
    stop: CancellationToken,
) {
    let mut told: BTreeMap<ShopName, NaiveDate> = BTreeMap::new();
    loop {
        let config = Arc::clone(&current.config.borrow_and_update());
        for shop in config.shops.values() {
            if let Err(error) = look(shop, &store, &clock, &mut told).await {
                tracing::warn!(shop = %shop.name, error = %error, "cannot note when the API key ends");
            }
        }
        select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(clock.now().plus(LOOK)) => {}
            Ok(()) = current.config.changed() => {}
        }
    }
}

async fn look(
    shop: &Shop,
    store: &SharedStore,
    clock: &SharedClock,
    told: &mut BTreeMap<ShopName, NaiveDate>,
) -> Result<(), StoreError> {
    let now = clock.now();
    let today = now.to_utc().date_naive();
    let ends = shop.odoo.server.api_key_expires;
    let Some(sentence) = ends.and_then(|day| key_ends(day, now)) else {
        // No notice, or a new day: whatever was told before is over.
        store.close_shop_problems(&shop.name, CODE, now).await?;
        told.remove(&shop.name);
        return Ok(());
    };
    if told.get(&shop.name) == Some(&today) {
        return Ok(());
    }
    tracing::warn!(shop = %shop.name, "{sentence}");
    let problem = NewProblem {
        code: ProblemCode::from(CODE),
        record: None,
        field: None,
        reason: format!("{}.", capitalised(&sentence)),
        fix: format!(
            "Make a new API key in Odoo (Preferences, Account Security), put it in place of the old one, and set the new \
             day as api_key_expires in [shops.{}.odoo].",
            shop.name
        ),
        owner: shop.owner.clone(),
        mapping: None,
        cluster: CODE.to_owned(),
        detail: serde_json::json!({ "ends": ends.map(|day| day.to_string()) }),
    };
    store.open_shop_problem(&shop.name, problem, now).await?;
    told.insert(shop.name.clone(), today);
    Ok(())
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
