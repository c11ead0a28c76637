//! Imports: beginning, stopping and resuming them. The daemon carries them out; whoever asks is the command line or the API.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::import::{Listing, Shopify};
use crate::config::Shop;
use crate::domain::{Actor, Direction, Object, SharedClock, ShopName, Timestamp};
use crate::store::{ImportAct, ImportRow, ImportState, ImportsBegun, NewImport, SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// What can be imported, in the order in which it is: orders want customers and products that are there.
pub const OBJECTS: [Object; 3] = [Object::Product, Object::Customer, Object::Order];

/// How many of the last imports are looked through.
pub const LAST: u32 = 50;

/// Orders that are older than this are shown only to apps that may read all orders
/// (<https://shopify.dev/docs/api/usage/access-scopes#orders-permissions>).
const SHOWN: Duration = Duration::from_hours(60 * 24);

/// What somebody wants imported.
#[derive(Clone, Debug)]
pub struct WantedImports {
    /// These, one after the other in the order of [`OBJECTS`].
    pub objects: Vec<Object>,
    /// Only what was made from then on.
    pub since: Option<Timestamp>,
    /// Only what was made before then.
    pub until: Option<Timestamp>,
    /// Who asks.
    pub actor: Actor,
}

/// Imports that began.
#[derive(Clone, Debug)]
pub struct BegunImports {
    /// Their numbers.
    pub ids: Vec<i64>,
    /// What each lists.
    pub listings: Vec<Listing>,
    /// What they do not see of what was asked for.
    pub warning: Option<String>,
}

/// Why no import began.
#[derive(Debug, thiserror::Error)]
pub enum ImportsRefused {
    /// These are not imported.
    #[error("{0} records are not imported: order, customer and product are")]
    NotImported(Object),
    /// The object's toggle is off.
    #[error("{object}s of {shop} are switched off")]
    SwitchedOff {
        /// The object.
        object: Object,
        /// The shop.
        shop: ShopName,
    },
    /// Nothing lies between both times.
    #[error("the end (until) must be later than the beginning (since)")]
    NothingBetween,
    /// Nobody would carry it out.
    #[error("no daemon runs that could carry out an import")]
    NoDaemon,
    /// One of the same object runs.
    #[error("import {} of the {}s of {} runs already, since {} ({})", .0.id, .0.object, .0.shop, .0.started_at, .0.actor)]
    UnderWay(Box<ImportRow>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins imports, all or none.
///
/// # Errors
/// When one of them cannot begin; see [`ImportsRefused`].
pub async fn begin(
    shop: &Shop,
    wanted: &WantedImports,
    shopify: &Shopify,
    (store, clock): (&SharedStore, &SharedClock),
) -> Result<BegunImports, ImportsRefused> {
    let listings = listings(shop, wanted)?;
    let now = clock.now();
    if store.nodes(now).await?.is_empty() {
        return Err(ImportsRefused::NoDaemon);
    }
    let warning = hidden(shopify, &listings, now).await;
    let new = listings.iter().map(|listing| NewImport {
        shop: shop.name.clone(),
        object: listing.object,
        since: listing.since,
        until: listing.until,
        // Whoever looks later what was imported was not told.
        warning: warning.clone().filter(|_| is_old(listing, now)),
    });
    match store
        .begin_imports(new.collect(), wanted.actor.clone(), now)
        .await?
    {
        ImportsBegun::Begun(ids) => Ok(BegunImports {
            ids,
            listings,
            warning,
        }),
        ImportsBegun::UnderWay(running) => Err(ImportsRefused::UnderWay(running)),
    }
}

/// What is to be listed, if that can be imported.
///
/// # Errors
/// When an object is not imported or switched off, or nothing lies between both times.
pub fn listings(shop: &Shop, wanted: &WantedImports) -> Result<Vec<Listing>, ImportsRefused> {
    for object in &wanted.objects {
        if !OBJECTS.contains(object) {
            return Err(ImportsRefused::NotImported(*object));
        }
        if shop.sync.toggle(*object, Direction::In) == Toggle::Off {
            return Err(ImportsRefused::SwitchedOff {
                object: *object,
                shop: shop.name.clone(),
            });
        }
    }
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && since >= until
    {
        return Err(ImportsRefused::NothingBetween);
    }
    let all = OBJECTS
        .into_iter()
        .filter(|object| wanted.objects.contains(object));
    Ok(all
        .map(|object| Listing {
            object,
            since: wanted.since,
            until: wanted.until,
        })
        .collect())
}

/// An import that was stopped or goes on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TurnedImport {
    /// Its number.
    pub import: i64,
    /// What it imports.
    pub object: Object,
    /// How it stands now.
    pub state: ImportState,
}

/// Stops the imports of a shop that run, or lets those go on that were stopped. Those that stand like that already are not told.
///
/// # Errors
/// When the store fails.
pub async fn turn(
    store: &SharedStore,
    shop: &ShopName,
    objects: &[Object],
    (actor, at): (&Actor, Timestamp),
    runs: bool,
) -> Result<Vec<TurnedImport>, StoreError> {
    let mut turned = Vec::new();
    for row in store.open_imports().await? {
        if row.shop == *shop && objects.contains(&row.object) {
            turned.extend(turn_one(store, &row, (actor, at), runs).await?);
        }
    }
    Ok(turned)
}

/// The same of one; none where it stands like that already, or is over.
///
/// # Errors
/// When the store fails.
pub async fn turn_one(
    store: &SharedStore,
    row: &ImportRow,
    (actor, at): (&Actor, Timestamp),
    runs: bool,
) -> Result<Option<TurnedImport>, StoreError> {
    let act = ImportAct {
        import: row.id,
        actor: actor.clone(),
        at,
        runs,
    };
    let is_turned = store.act_on_import(act).await?;
    Ok(is_turned.then_some(TurnedImport {
        import: row.id,
        object: row.object,
        state: if runs {
            ImportState::Running
        } else {
            ImportState::Stopped
        },
    }))
}

/// The imports with these numbers, in this order.
///
/// # Errors
/// When the store fails.
pub async fn of(store: &SharedStore, ids: &[i64]) -> Result<Vec<ImportRow>, StoreError> {
    let rows = store.imports_of(ids.to_vec()).await?;
    let found = ids
        .iter()
        .filter_map(|id| rows.iter().find(|row| row.id == *id).cloned());
    Ok(found.collect())
}

/// What is said of orders that Shopify does not show to us.
async fn hidden(shopify: &Shopify, listings: &[Listing], now: Timestamp) -> Option<String> {
    listings.iter().find(|listing| is_old(listing, now))?;
    match shopify.granted_scopes().await {
        Ok(scopes) => told(&scopes),
        Err(error) => Some(format!(
            "whether orders older than 60 days are shown to this app cannot be seen: {error}"
        )),
    }
}

/// Whether orders are asked for that not every app is shown.
fn is_old(listing: &Listing, now: Timestamp) -> bool {
    let oldest = now.minus(SHOWN);
    listing.object == Object::Order && listing.since.is_none_or(|since| since < oldest)
}

fn told(scopes: &BTreeSet<String>) -> Option<String> {
    (!scopes.contains("read_all_orders")).then(|| {
        "this app lacks the scope `read_all_orders`: Shopify does not show it orders that are older than 60 days, \
         and none of them is imported. Ask Shopify for the scope in the app's settings, install the app again, then import again."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::domain::{SystemClock, SystemEntropy, Via};
    use crate::sandbox::shopify::options::ALL_SCOPES;
    use crate::sandbox::shopify::{Options, ShopSandbox};
    use crate::secret::Secret;
    use crate::shopify::Credentials;
    use crate::store::testing::open_temp;
    use crate::store::{NodeFile, TakenUp};

    #[test]
    fn hidden_orders_are_told_of() {
        let scopes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(
            told(&scopes(&["read_orders"]))
                .unwrap()
                .contains("read_all_orders")
        );
        assert_eq!(told(&scopes(&["read_orders", "read_all_orders"])), None);
    }

    #[test]
    fn only_orders_of_more_than_sixty_days_are_old() {
        let now = Timestamp::from_millis(1_795_514_400_000);
        let days = |days: u64| now.minus(Duration::from_hours(24 * days));
        for (object, since, expected) in [
            (Object::Order, None, true),
            (Object::Order, Some(days(61)), true),
            (Object::Order, Some(days(59)), false),
            (Object::Customer, None, false),
        ] {
            let listing = Listing {
                object,
                since,
                until: None,
            };
            assert_eq!(is_old(&listing, now), expected, "{object} {since:?}");
        }
    }

    #[tokio::test]
    async fn an_import_of_old_orders_keeps_the_warning_that_shopify_hides_them() {
        let clock: SharedClock = Arc::new(SystemClock);
        let now = clock.now();
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let file = NodeFile {
            node: "one".to_owned(),
            hash: "h".to_owned(),
            summary: String::new(),
            toggles: serde_json::Value::Null,
        };
        store.config_revision(file, TakenUp::Found, now).await.unwrap();
        let stand_in = ShopSandbox::start(Options::default()).await.unwrap();
        let all = ALL_SCOPES.iter().copied();
        let scopes: Vec<&str> = all.filter(|scope| *scope != "read_all_orders").collect();
        stand_in.change(|shop| shop.grant_scopes(&scopes));
        let mut settings = crate::shopify::Settings::new(stand_in.domain());
        settings.base_url = Some(stand_in.url());
        let shopify = Shopify::connect(
            "main".parse().unwrap(),
            &settings,
            Credentials::Token(Secret::text("shpat_sandbox_0123456789abcdef")),
            &crate::transport::Settings::default(),
            Arc::clone(&clock),
            Arc::new(SystemEntropy),
        )
        .unwrap();
        let text = "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
             [shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\n\
             api_key = 'k'\n[shops.main.sync]\norders = { in = 'on' }\ncustomers = { in = 'on' }\n";
        let config = Config::parse(text, Path::new("/etc/lockstep.toml"), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error:?}"));
        let wanted = WantedImports {
            objects: vec![Object::Order, Object::Customer],
            since: None,
            until: None,
            actor: Actor::new("ada".to_owned(), Via::Cli),
        };
        let shop = config.shops.values().next().unwrap();
        let begun = begin(shop, &wanted, &shopify, (&store, &clock)).await.unwrap();
        let names =
            |warning: &Option<String>| warning.as_ref().is_some_and(|it| it.contains("read_all_orders"));
        assert!(names(&begun.warning), "whoever asks is told: {begun:?}");
        let kept = store.imports(10).await.unwrap();
        assert_eq!(kept.len(), 2);
        for import in kept {
            let is_of_orders = import.object == Object::Order;
            assert_eq!(
                names(&import.warning),
                is_of_orders,
                "whoever looks later, too: {import:?}"
            );
        }
    }
}
