//! `lockstep sync`: carry one record over now.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::{FAILED, Failure, say};
use super::output::counted;
use super::setup::agreed;
use super::{Context, actor, opened, the_shop};
use crate::app;
use crate::app::connect::SharedErp;
use crate::app::enqueue::{FindError, Named};
use crate::app::review::Reviewer;
use crate::config::{Config, Shop};
use crate::domain::{Direction, ErpId, JobId, JobKey, Object, ShopName, ShopifyId, SystemEntropy};
use crate::store::Acted;
use crate::subscriptions::{Toggle, WhenOff};

/// Carry one record over now: to the ERP, or with `--out` to the shop.
///
/// Makes the record's job (or joins the one that is open) and puts it before all others. The running daemon does the
/// work; without one it is done at the next start. With `--out` the id is the ERP's number, or `all`: then every record that is not
/// archived gets a job, behind everything that is more urgent.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) record: RecordArguments,
    /// From the ERP to the shop.
    #[arg(long)]
    pub(super) out: bool,
    /// Do not ask before all records are carried over.
    #[arg(long, short, requires = "out")]
    pub(super) yes: bool,
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
    /// The stock of a variant; only from the ERP to the shop.
    Inventory,
}

impl From<SyncObject> for Object {
    fn from(object: SyncObject) -> Self {
        match object {
            SyncObject::Order => Self::Order,
            SyncObject::Customer => Self::Customer,
            SyncObject::Product => Self::Product,
            SyncObject::Inventory => Self::Inventory,
        }
    }
}

#[derive(Serialize)]
struct Asked<'a> {
    shop: &'a ShopName,
    object: Object,
    direction: Direction,
    /// Shopify's number, or with `out` the ERP's.
    id: u64,
    job: JobId,
    daemon_answered: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let record = &arguments.record;
    let shop = the_shop(&config, record.shop.as_ref())?;
    let object = record.object.into();
    if arguments.out && record.id == "all" {
        return all(context, &config, shop, object, arguments.yes).await;
    }
    let direction = if arguments.out {
        Direction::Out
    } else {
        Direction::In
    };
    if (object, direction) == (Object::Inventory, Direction::In) {
        return Err(Failure::usage("stock goes from the ERP to the shop").help("add --out"));
    }
    if (object, direction) == (Object::Order, Direction::Out) {
        return Err(Failure::usage("orders go from the shop to the ERP").help("take --out away"));
    }
    let id = match direction {
        Direction::In => found(shop, record).await?.0,
        Direction::Out => erp_number(&record.id)?,
    };
    let (store, clock) = opened(&config).await?;
    let key = JobKey {
        shop: shop.name.clone(),
        object,
        direction,
        source_id: match direction {
            Direction::In => id.to_string(),
            Direction::Out => i64::try_from(id).unwrap_or(i64::MAX).to_string(),
        },
    };
    let reviewer = Reviewer::new(store.clone(), clock, actor());
    let carried = reviewer.carry_over(key).await;
    let daemon_answered = carried.is_ok() && app::ring::ring(&config, &store).await;
    store.close().await;
    let job = match carried? {
        (_, Acted::New(job) | Acted::Again(job)) => job,
        (job, Acted::Taken(who)) => {
            let held = format!("{who} holds job {job} of this record back; nothing was done");
            return Err(Failure::new(held).help(format!("`lockstep jobs release {job}` lets it go on")));
        }
        (job, _) => job,
    };
    if context.output.json {
        return context.output.document(&Asked {
            shop: &shop.name,
            object,
            direction,
            id,
            job,
            daemon_answered,
        });
    }
    context.output.line(format!(
        "job {job}: {object} {id} of {} is carried over next",
        shop.name
    ));
    hints(context, &config, shop, object, direction, daemon_answered);
    context
        .output
        .line(format!("see it with: lockstep jobs show {job}"));
    Ok(())
}

/// Why it may not happen at once.
fn hints(
    context: &Context,
    config: &Config,
    shop: &Shop,
    object: Object,
    direction: Direction,
    daemon_answered: bool,
) {
    let toggle = app::status::toggles(shop)
        .into_iter()
        .find(|(of, way, _)| *of == object && *way == direction)
        .map(|(_, _, toggle)| toggle);
    let waits = match toggle {
        Some(Toggle::Paused) => true,
        Some(Toggle::Off) => shop
            .sync
            .category(object)
            .is_some_and(|category| category.when_off == WhenOff::Hold),
        _ => false,
    };
    if let Some(toggle) = toggle.filter(|_| waits) {
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

/// The ERP's number of a record.
pub(super) fn erp_number(text: &str) -> Result<u64, Failure> {
    text.trim().parse().ok().filter(|id| *id > 0).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no number of a record in the ERP"))
            .help("it stands at the end of the record's address in Odoo; `lockstep sync` takes `all`, too")
    })
}

/// Every record of the object, after a yes.
async fn all(
    context: &Context,
    config: &Config,
    shop: &Shop,
    object: Object,
    yes: bool,
) -> Result<(), Failure> {
    let output = context.output;
    if object == Object::Order {
        return Err(Failure::usage("orders go from the shop to the ERP"));
    }
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !output.json;
    if !yes && !can_ask {
        return Err(Failure::usage("nobody can be asked for a yes here").help("add --yes"));
    }
    let erp = app::connect::erp(shop, &app::clock::process_clock())
        .map_err(|error| Failure::because(format!("[shops.{}] cannot be connected", shop.name), error))?;
    let records = records(&erp, object).await?;
    let count = counted(records.len() as u64, "record");
    if !yes && !agreed(&format!("Carry {count} over to [shops.{}]?", shop.name)) {
        say("nothing was done");
        return Err(Failure::Told(FAILED));
    }
    let asked = ask_for(config, shop, object, &erp, &records).await?;
    tell(context, config, shop, &asked)
}

async fn records(erp: &SharedErp, object: Object) -> Result<BTreeSet<ErpId>, Failure> {
    app::push::records(&**erp, object).await.map_err(|error| {
        Failure::because("the ERP cannot be asked", error).help("`lockstep check --live` says more")
    })
}

/// Every record of the object, after a yes that was given already.
pub(super) async fn all_of(config: &Config, shop: &Shop, object: Object) -> Result<AskedForAll, Failure> {
    let erp = app::connect::erp(shop, &app::clock::process_clock())
        .map_err(|error| Failure::because(format!("[shops.{}] cannot be connected", shop.name), error))?;
    let records = records(&erp, object).await?;
    ask_for(config, shop, object, &erp, &records).await
}

async fn ask_for(
    config: &Config,
    shop: &Shop,
    object: Object,
    erp: &SharedErp,
    records: &BTreeSet<ErpId>,
) -> Result<AskedForAll, Failure> {
    let (store, clock) = opened(config).await?;
    let pushed = app::push::push(&store, &clock, &shop.name, object, records).await;
    let gone_too = match &pushed {
        Ok(_) => app::push::accept_vanished(&store, &clock, &**erp, &shop.name, object).await,
        Err(_) => Ok(false),
    };
    let kept = match (&pushed, &gone_too) {
        (Ok(pushed), Ok(gone_too)) => {
            let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
            reviewer.pushed(&shop.name, object, *pushed, *gone_too).await
        }
        _ => Ok(()),
    };
    let daemon_answered = pushed.is_ok() && app::ring::ring(config, &store).await;
    store.close().await;
    let (pushed, gone_too) = (pushed?, gone_too?);
    kept?;
    Ok(AskedForAll {
        shop: shop.name.clone(),
        object,
        records: pushed.records,
        made: pushed.made,
        gone_too,
        daemon_answered,
    })
}

/// Tells what was asked for.
pub(super) fn tell(
    context: &Context,
    config: &Config,
    shop: &Shop,
    asked: &AskedForAll,
) -> Result<(), Failure> {
    let output = context.output;
    if output.json {
        return output.document(asked);
    }
    output.line(format!(
        "{} of {} will be carried over, {} of them with a new job",
        counted(asked.records, "record"),
        shop.name,
        asked.made
    ));
    if asked.gone_too {
        output.line(
            "what is gone from the ERP (erp_records_vanished) will be carried over, too, after the next poll",
        );
    }
    hints(
        context,
        config,
        shop,
        asked.object,
        Direction::Out,
        asked.daemon_answered,
    );
    Ok(())
}

/// What came of asking for everything.
#[derive(Serialize)]
pub(super) struct AskedForAll {
    shop: ShopName,
    object: Object,
    records: u64,
    made: u64,
    /// Whether records that are gone from the ERP waited for this word.
    gone_too: bool,
    daemon_answered: bool,
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
