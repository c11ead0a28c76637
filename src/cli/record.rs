//! `lockstep record`: everything there is to say of one record.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::{Output, absolute, counted, time};
use super::serve::not_started;
use super::{Context, opened, the_shop};
use crate::app;
use crate::app::connect;
use crate::app::daemon::StartError;
use crate::app::enqueue::FindError;
use crate::app::record::{
    Compared, ComparedRow, LocateError, OrderFacts, OrderSides, Patience, Record, RecordError, Shipment,
    Side, Wanted, Way, locate, record,
};
use crate::app::review::Said;
use crate::config::Shop;
use crate::domain::{Direction, Object, SharedClock, SharedEntropy, ShopName, SystemEntropy, Timestamp};

/// Show one record as both systems have it, and what happened to it.
///
/// Both systems are asked now; one that does not answer has a word for it in its column. With `--compare` both sides are
/// compared field by field through the mapping, differences first. Changes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What it is.
    object: RecordObject,
    /// Shopify's number or gid, the address of its page in Shopify's admin, `#NAME` of an order, or its number in the ERP (S00042).
    id: String,
    /// Compare both sides field by field.
    #[arg(long)]
    compare: bool,
    /// Ask only lockstep's own store.
    #[arg(long, conflicts_with = "compare")]
    offline: bool,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

/// What has a record to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RecordObject {
    /// An order.
    Order,
    /// A customer.
    Customer,
    /// A product with its variants.
    Product,
}

impl From<RecordObject> for Object {
    fn from(object: RecordObject) -> Self {
        match object {
            RecordObject::Order => Self::Order,
            RecordObject::Customer => Self::Customer,
            RecordObject::Product => Self::Product,
        }
    }
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let shop = the_shop(&config, arguments.shop.as_ref())?;
    let said = if arguments.offline {
        None
    } else {
        Some(connected(shop)?)
    };
    let mappings = if arguments.compare {
        let loaded = app::mappings::load(config.mappings.dir.as_deref());
        Some(Arc::new(
            loaded.map_err(|errors| not_started(StartError::Mappings(errors)))?,
        ))
    } else {
        None
    };
    let (store, clock) = opened(&config).await?;
    let object = arguments.object.into();
    let asked = async {
        let shopify = said.as_ref().map(|said| &*said.shopify);
        let id = locate(&store, shop, object, &arguments.id, shopify)
            .await
            .map_err(not_located)?;
        let wanted = Wanted {
            shop,
            object,
            id: &id,
            said: said.as_ref(),
            mappings,
            patience: Patience::default(),
        };
        record(&store, &clock, wanted).await.map_err(not_known)
    };
    let found = asked.await;
    store.close().await;
    let found = found?;
    if context.output.json {
        return context.output.document(&found);
    }
    tell(context.output, &found, clock.now());
    Ok(())
}

fn connected(shop: &Shop) -> Result<Said, Failure> {
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let clock: SharedClock = app::clock::process_clock();
    let unusable = |error| Failure::because(format!("[shops.{}] cannot be connected", shop.name), error);
    Ok(Said {
        shopify: connect::shopify(shop, &clock, &entropy).map_err(unusable)?,
        erp: connect::erp(shop, &clock).map_err(unusable)?,
    })
}

fn not_located(error: LocateError) -> Failure {
    match error {
        LocateError::Store(error) => error.into(),
        LocateError::Find(FindError::Shopify(cause)) => {
            Failure::because("the order's name could not be looked up on Shopify", cause)
                .help("name the order by its number, or see what is wrong with `lockstep check --live`")
        }
        other => Failure::new(other.to_string()),
    }
}

fn not_known(error: RecordError) -> Failure {
    match error {
        RecordError::Store(error) => error.into(),
        other => Failure::new(other.to_string()),
    }
}

fn tell(output: Output, record: &Record, now: Timestamp) {
    output.line(&record.sentence);
    for (system, side) in [
        ("on Shopify", &record.references.shopify),
        ("in the ERP", &record.references.erp),
    ] {
        if let Some(side) = side {
            let page = side.url.clone().unwrap_or_default();
            output.line(format!("  {system:<11} {} {page}", side.name));
        }
    }
    if let Some(order) = &record.order {
        tell_order(output, order);
    }
    if let Some(compared) = &record.comparison {
        tell_comparison(output, compared);
    }
    if !record.jobs.is_empty() {
        output.line("\njobs");
        output.table(
            ["JOB", "WAY", "STATE", "CHANGED", "WHAT THERE IS TO KNOW"],
            record.jobs.iter().map(|job| {
                let problem = job.problem.as_ref().map(|problem| problem.reason.clone());
                [
                    job.id.to_string(),
                    job.direction.to_string(),
                    job.state.to_string(),
                    time(now, job.updated_at),
                    problem.or_else(|| job.summary.clone()).unwrap_or_default(),
                ]
            }),
        );
    }
    if !record.events.is_empty() {
        output.line("\nevents");
        output.table(
            ["EVENT", "TOPIC", "CAME", "JOB"],
            record.events.iter().map(|event| {
                [
                    event.id.to_string(),
                    event.topic.clone(),
                    time(now, event.received_at),
                    event.job.to_string(),
                ]
            }),
        );
    }
    if let Some(link) = &record.link {
        let applied = link.source_updated_at.map(absolute);
        output.line(format!(
            "\nlink: {} to {} {}{}",
            link.state,
            link.model,
            link.erp_id,
            applied.map_or_else(String::new, |at| format!(", Shopify's version of {at} applied"))
        ));
    }
}

const SIDES: [&str; 3] = ["", "SHOPIFY", "ERP"];

fn tell_order(output: Output, order: &OrderSides) {
    output.line("");
    output.table(SIDES, sides(order));
    if !order.lines.is_empty() {
        output.line("\nlines");
        output.table(LINES, lines(order));
    }
}

/// What a customer asks, with both systems' answers side by side.
fn sides(order: &OrderSides) -> Vec<[String; 3]> {
    let row = |title: &str, of: &dyn Fn(&OrderFacts) -> String| {
        let cell = |side: &Side<OrderFacts>| match side {
            Side::Held { record } => of(record),
            Side::Absent if title == "state" => "does not have it".to_owned(),
            Side::Silent { reason } if title == "state" => format!("does not answer: {reason}"),
            Side::Absent | Side::Silent { .. } => String::new(),
        };
        [title.to_owned(), cell(&order.shopify), cell(&order.erp)]
    };
    let mut rows = vec![
        row("state", &|facts| facts.state.clone()),
        row("number", &|facts| facts.name.clone()),
        row("placed", &|facts| {
            facts.ordered_at.map(absolute).unwrap_or_default()
        }),
        row("total", &|facts| facts.amounts.total.clone()),
        row("tax", &|facts| facts.amounts.tax.clone()),
        row("paid", &|facts| facts.amounts.paid.clone()),
        row("paid back", &|facts| facts.amounts.refunded.clone()),
        row("open", &|facts| facts.amounts.open.clone()),
        row("buyer", &|facts| {
            let buyer = facts.buyer.iter();
            let parts =
                buyer.flat_map(|buyer| [Some(&buyer.name), buyer.email.as_ref(), buyer.phone.as_ref()]);
            joined(parts.flatten())
        }),
        row("billing address", &|facts| joined(&facts.billing)),
        row("shipping address", &|facts| joined(&facts.shipping)),
        row("shipments", &|facts| {
            let told: Vec<String> = facts.shipments.iter().map(shipment).collect();
            told.join("; ")
        }),
        row("documents", &|facts| {
            let told = facts.documents.iter();
            let told: Vec<String> = told
                .map(|one| format!("{} ({}) {}", one.name, one.state, one.total))
                .collect();
            told.join("; ")
        }),
    ];
    rows.retain(|[title, shopify, erp]| title == "state" || !(shopify.is_empty() && erp.is_empty()));
    rows
}

fn joined<'t>(parts: impl IntoIterator<Item = &'t String>) -> String {
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).collect();
    parts.join(", ")
}

fn shipment(one: &Shipment) -> String {
    let mut told = format!("{} {} ({} units)", one.name, one.state, one.units);
    for part in one.carrier.iter().chain(&one.tracking) {
        told.push(' ');
        told.push_str(part);
    }
    told
}

const LINES: [&str; 8] = ["SHOPIFY", "QTY", "PRICE", "TOTAL", "ERP", "QTY", "PRICE", "TOTAL"];

fn lines(order: &OrderSides) -> Vec<[String; 8]> {
    let pairs = order.lines.iter();
    pairs
        .map(|pair| {
            let mut row = <[String; 8]>::default();
            let sides = [pair.shopify.as_ref(), pair.erp.as_ref()];
            for (cells, line) in row.chunks_exact_mut(4).zip(sides) {
                if let Some(line) = line {
                    let texts = [&line.title, &line.quantity, &line.unit_price, &line.total];
                    cells
                        .iter_mut()
                        .zip(texts)
                        .for_each(|(cell, text)| cell.clone_from(text));
                }
            }
            row
        })
        .collect()
}

fn tell_comparison(output: Output, compared: &Compared) {
    for way in &compared.ways {
        let direction = match way.direction {
            Direction::In => "Shopify to ERP",
            Direction::Out => "ERP to Shopify",
        };
        let off = if way.is_carried { "" } else { " (switched off)" };
        output.line(format!("\n{direction}{off}: {}", way.verdict));
        if way.differences.is_empty() {
            output.line(format!("{} fields are the same on both sides", way.same.len()));
        } else {
            output.table(DIFFERENCES, differences(way));
            output.line(format!(
                "{} further fields are the same on both sides",
                way.same.len()
            ));
        }
        if !way.agreed.is_empty() {
            output.line(format!(
                "{} with two forms that both sides agreed on",
                counted(way.agreed.len() as u64, "field")
            ));
        }
        for act in &way.acts {
            output.line(format!("would {act}"));
        }
        if let Some(problem) = &way.problem {
            super::jobs::show_problem(output, problem);
        }
    }
    if let Some(failure) = &compared.failure {
        output.line(format!("\nthe two sides could not be compared: {failure}"));
    }
}

const DIFFERENCES: [&str; 5] = ["RECORD", "FIELD", "SHOPIFY", "ERP", "WOULD BE"];

fn differences(way: &Way) -> Vec<[String; 5]> {
    way.differences.iter().map(difference).collect()
}

fn difference(row: &ComparedRow) -> [String; 5] {
    let part = if row.part.is_empty() {
        String::new()
    } else {
        format!(" ({})", row.part)
    };
    [
        format!("{}{part}", row.record),
        row.field.clone(),
        row.shopify.clone(),
        row.erp.clone(),
        if row.is_written {
            "written"
        } else {
            "left as it is"
        }
        .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::output::render;
    use super::*;
    use crate::app::record::{Amounts, LineFacts, LinePair, Person};

    #[test]
    fn an_order_stands_side_by_side_with_a_word_for_a_side_that_is_silent() {
        let facts = OrderFacts {
            name: "#1042".into(),
            state: "paid, fulfilled".into(),
            ordered_at: Some(Timestamp::from_millis(1_764_579_600_000)),
            amounts: Amounts {
                total: "64.87 EUR".into(),
                tax: "10.36 EUR".into(),
                paid: "64.87 EUR".into(),
                refunded: "0 EUR".into(),
                open: "0 EUR".into(),
            },
            buyer: Some(Person {
                name: "Ada Lovelace".into(),
                email: Some("ada@example.com".into()),
                phone: None,
            }),
            billing: vec!["Ada Byron".into(), "10117 Berlin".into()],
            shipping: Vec::new(),
            shipments: vec![Shipment {
                name: "parcel 7".into(),
                state: "sent".into(),
                carrier: Some("DHL".into()),
                tracking: vec!["00340434".into()],
                made_at: None,
                units: "3".into(),
            }],
            documents: Vec::new(),
            note: None,
        };
        let line = |title: &str, total: &str| LineFacts {
            title: title.into(),
            quantity: "3".into(),
            unit_price: "19.99".into(),
            total: total.into(),
            delivered: None,
        };
        let order = OrderSides {
            shopify: Side::Held {
                record: Box::new(facts),
            },
            erp: Side::Silent {
                reason: "no answer within 8 s".into(),
            },
            lines: vec![
                LinePair {
                    key: Some("line_1".into()),
                    shopify: Some(line("Shirt", "59.97")),
                    erp: Some(line("Shirt", "59.97")),
                },
                LinePair {
                    key: None,
                    shopify: None,
                    erp: Some(line("Added by hand", "1.00")),
                },
            ],
            totals_agree: None,
            progress: None,
        };
        let tables = [
            render(SIDES, sides(&order), false),
            render(LINES, lines(&order), false),
        ];
        insta::assert_snapshot!(tables.join("\n\n"));
    }
}
