//! `lockstep sync`: carry one record over now.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;
use super::{Context, opened, the_shop};
use crate::app;
use crate::app::enqueue::{FindError, Named};
use crate::config::{Config, Shop};
use crate::domain::{Direction, JobId, Object, ShopName, ShopifyId, SystemEntropy};
use crate::subscriptions::Toggle;

/// Carry one record over to the ERP now.
///
/// Makes the record's job (or joins the one that is open) and puts it before all others. The running daemon does the
/// work; without one it is done at the next start.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) record: RecordArguments,
}

/// Which record is meant.
#[derive(Debug, Args)]
pub(super) struct RecordArguments {
    /// What it is.
    pub(super) object: SyncObject,
    /// Shopify's number or gid, the address of its page in Shopify's admin, or `#NAME` of an order.
    pub(super) id: String,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    pub(super) shop: Option<ShopName>,
}

/// What can be carried over by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SyncObject {
    /// An order.
    Order,
    /// A customer.
    Customer,
    /// A product with its variants.
    Product,
}

impl From<SyncObject> for Object {
    fn from(object: SyncObject) -> Self {
        match object {
            SyncObject::Order => Self::Order,
            SyncObject::Customer => Self::Customer,
            SyncObject::Product => Self::Product,
        }
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    shop: &'a ShopName,
    object: Object,
    id: ShopifyId,
    job: JobId,
    daemon_answered: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let record = &arguments.record;
    let shop = the_shop(&config, record.shop.as_ref())?;
    let object = record.object.into();
    let id = found(shop, record).await?;
    let (store, clock) = opened(&config).await?;
    let enqueued = app::enqueue::sync_now(&store, &clock, &shop.name, object, id).await;
    let daemon_answered = enqueued.is_ok() && app::ring::ring(&config, &store).await;
    store.close().await;
    let job = enqueued?.job;
    if context.output.json {
        return context.output.document(&Asked {
            shop: &shop.name,
            object,
            id,
            job,
            daemon_answered,
        });
    }
    context.output.line(format!(
        "job {job}: {object} {id} of {} is carried over next",
        shop.name
    ));
    hints(context, &config, shop, object, daemon_answered);
    context
        .output
        .line(format!("see it with: lockstep jobs show {job}"));
    Ok(())
}

/// Why it may not happen at once.
fn hints(context: &Context, config: &Config, shop: &Shop, object: Object, daemon_answered: bool) {
    let toggle = app::status::toggles(shop)
        .into_iter()
        .find(|(of, direction, _)| *of == object && *direction == Direction::In)
        .map(|(_, _, toggle)| toggle);
    if let Some(toggle @ (Toggle::Off | Toggle::Paused)) = toggle {
        context.output.line(format!(
            "note: {object}s are \"{toggle}\" for [shops.{}]: the job waits until they are \"on\"",
            shop.name
        ));
    }
    if !daemon_answered {
        context.output.line(format!(
            "note: no daemon answered on {}; a running one notices the job within seconds, else it is done after `lockstep serve`",
            config.admin.listen
        ));
    }
}

/// The id of the record that is meant.
pub(super) async fn found(shop: &Shop, record: &RecordArguments) -> Result<ShopifyId, Failure> {
    let named = Named::parse(record.object.into(), &record.id)?;
    if let Named::Id(id) = named {
        return Ok(id);
    }
    let entropy: crate::domain::SharedEntropy = std::sync::Arc::new(SystemEntropy);
    let shopify = app::connect::shopify(shop, &app::clock::process_clock(), &entropy)
        .map_err(|error| Failure::because(format!("[shops.{}] cannot be reached", shop.name), error))?;
    app::enqueue::find(&shopify, named)
        .await
        .map_err(|error| match error {
            FindError::SeveralOrders { .. } => {
                Failure::new(error.to_string()).help("name the one you mean by its number")
            }
            FindError::Shopify(cause) => {
                Failure::because("the order's name could not be looked up on Shopify", cause)
                    .help("name the order by its number, or see what is wrong with `lockstep check --live`")
            }
            other => Failure::new(other.to_string()),
        })
}
