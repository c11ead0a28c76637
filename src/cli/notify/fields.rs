//! What can be read by conditions and templates, and what would be sent for a record.

use clap::Args;

use super::super::failure::{FAILED, Failure};
use super::super::output::Output;
use super::super::{opened, the_shop};
use super::{endpoint_named, system_entropy};
use crate::app;
use crate::app::notify::{EventFields, EventType, Notification, NotifyPreview, SampleError};
use crate::config::Config;
use crate::domain::{Object, ShopName, nearest};

#[derive(Debug, Args)]
pub(super) struct FieldsArguments {
    /// A type of event, e.g. order.synced; or order, customer or product.
    what: Option<String>,
    /// The record: Shopify's number or gid, the address of its page in Shopify's admin, or the name of an order.
    id: Option<String>,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(super) async fn fields(
    output: Output,
    config: &Config,
    arguments: &FieldsArguments,
) -> Result<(), Failure> {
    let Some(what) = &arguments.what else {
        return events(output);
    };
    let listed = match &arguments.id {
        None => app::notify::fields_of(event_of(what)?),
        Some(id) => {
            let object = object_of(what)?;
            let notification = sampled(config, arguments.shop.as_ref(), object, id).await?;
            app::notify::fields_with(&notification)
        }
    };
    if output.json {
        return output.document(&listed);
    }
    show(output, &listed);
    Ok(())
}

fn events(output: Output) -> Result<(), Failure> {
    if output.json {
        let all: Vec<_> = EventType::ALL
            .iter()
            .map(|event| serde_json::json!({ "event": event, "meaning": event.meaning() }))
            .collect();
        return output.document(&all);
    }
    output.table(
        ["EVENT", "WHAT IT MEANS"],
        EventType::ALL
            .iter()
            .map(|event| [event.to_string(), event.meaning().to_owned()]),
    );
    Ok(())
}

/// A type of event, or the one that tells that such a record was carried over.
fn event_of(text: &str) -> Result<EventType, Failure> {
    if let Ok(event) = text.parse() {
        return Ok(event);
    }
    if let Some(event) = text.parse().ok().and_then(app::notify::synced) {
        return Ok(event);
    }
    let names = EventType::ALL.iter().map(|event| event.as_str());
    let failure = Failure::usage(format!("`{text}` is no type of event"));
    Err(match nearest(text, names) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("`lockstep notify fields` lists them"),
    })
}

fn object_of(text: &str) -> Result<Object, Failure> {
    let object = text
        .parse()
        .ok()
        .filter(|object| app::notify::synced(*object).is_some());
    object.ok_or_else(|| {
        Failure::usage(format!("of `{text}` no record can be looked up"))
            .help("write order, customer or product, and which one")
    })
}

fn show(output: Output, listed: &EventFields) {
    let of = listed
        .record
        .as_ref()
        .map_or_else(String::new, |record| format!(", of {record}"));
    output.line(format!("{}: {}{of}", listed.event, listed.meaning));
    output.line("");
    if listed.record.is_none() {
        output.table(
            ["FIELD", "WHAT", "EMPTY"],
            listed.fields.iter().map(|field| {
                let may = if field.may_be_empty { "may be" } else { "" };
                [field.path.clone(), field.kind.clone(), may.to_owned()]
            }),
        );
        return;
    }
    output.table(
        ["FIELD", "WHAT", "NOW"],
        listed.fields.iter().map(|field| {
            let value = match &field.value {
                None | Some(serde_json::Value::Null) => "-".to_owned(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            [field.path.clone(), field.kind.clone(), value]
        }),
    );
}

/// What would be told about a real record.
async fn sampled(
    config: &Config,
    shop: Option<&ShopName>,
    object: Object,
    id: &str,
) -> Result<Notification, Failure> {
    let shop = the_shop(config, shop)?;
    let entropy = system_entropy();
    let (store, clock) = opened(config).await?;
    let sampled = match app::connect::shopify(shop, &clock, &entropy) {
        Ok(shopify) => {
            let sides = (&*shopify, &store);
            app::notify::sample_named(shop, sides, (object, id), (&clock, &entropy))
                .await
                .map_err(not_sampled)
        }
        Err(error) => Err(Failure::because("the shop cannot be connected", error)),
    };
    store.close().await;
    sampled
}

fn not_sampled(error: SampleError) -> Failure {
    match error {
        SampleError::Store(error) => error.into(),
        SampleError::Shopify(source) => Failure::because("the shop cannot be asked", source),
        other => Failure::new(other.to_string()),
    }
}

#[derive(Debug, Args)]
pub(super) struct PreviewArguments {
    /// The endpoint's name in the configuration.
    endpoint: String,
    /// order, customer or product.
    object: Object,
    /// The record: Shopify's number or gid, the address of its page in Shopify's admin, or the name of an order.
    id: String,
    /// As if this had happened; by default that the record was carried over, or the first that the endpoint wants.
    #[arg(long, value_name = "EVENT")]
    event: Option<EventType>,
    /// The shop, where the configuration has several.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(super) async fn preview(
    output: Output,
    config: &Config,
    arguments: &PreviewArguments,
) -> Result<(), Failure> {
    let endpoint = endpoint_named(config, &arguments.endpoint)?;
    let object = object_of(arguments.object.as_str())?;
    let event = app::notify::shown_event(endpoint, object, arguments.event).ok_or_else(|| {
        let wanted: Vec<String> = endpoint.events.iter().map(ToString::to_string).collect();
        Failure::usage(format!("`{}` gets no such event", endpoint.name))
            .help(format!("it gets: {}", wanted.join(", ")))
    })?;
    let mut notification = sampled(config, arguments.shop.as_ref(), object, &arguments.id).await?;
    notification.event = event;
    let (store, _) = opened(config).await?;
    let paused = app::notify::paused(config, &store).await;
    store.close().await;
    let shown = app::notify::preview(endpoint, &notification, paused?.contains(&endpoint.name));
    if output.json {
        output.document(&shown)?;
    } else {
        tell(output, &shown);
    }
    match shown.problem {
        Some(_) => Err(Failure::Told(FAILED)),
        None => Ok(()),
    }
}

fn tell(output: Output, shown: &NotifyPreview) {
    match &shown.because {
        None => output.line(format!("{} would be sent to {}", shown.event, shown.endpoint)),
        Some(because) => output.line(format!(
            "{} would not be sent to {}: {because}",
            shown.event, shown.endpoint
        )),
    }
    if let (Some(mime), Some(body)) = (&shown.mime, &shown.body) {
        output.line(format!("\ncontent-type: {mime}\n"));
        output.line(body);
    }
    if let Some(problem) = &shown.problem {
        output.line(format!("\nit would be a problem in the log: {problem}"));
    }
    output.line("\nnothing was sent");
}
