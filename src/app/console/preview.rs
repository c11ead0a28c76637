//! What the mappings make of a live record: what would be written for it, field by field. Writes nothing.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::job::capitalised;
use super::parts::ProblemView;
use super::record::shop_of;
use super::seam::unreachable;
use super::session::Visitor;
use super::view::{Frame, field, form_fields, page};
use crate::app::enqueue::FindError;
use crate::app::preview::{ExplainedTotals, Preview, PreviewError};
use crate::app::record::{LocateError, locate, ready};
use crate::domain::{Direction, ErpId, Object, ShopifyId};
use crate::sync::Engine;

/// How long somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be previewed: the name in the form, what it is, and which way.
const CHOICES: [(&str, &str, Object, Direction); 6] = [
    ("order.in", "order, Shopify → ERP", Object::Order, Direction::In),
    (
        "customer.in",
        "customer, Shopify → ERP",
        Object::Customer,
        Direction::In,
    ),
    (
        "product.in",
        "product, Shopify → ERP",
        Object::Product,
        Direction::In,
    ),
    (
        "customer.out",
        "customer, ERP → Shopify",
        Object::Customer,
        Direction::Out,
    ),
    (
        "product.out",
        "product, ERP → Shopify",
        Object::Product,
        Direction::Out,
    ),
    (
        "inventory.out",
        "stock, ERP → Shopify",
        Object::Inventory,
        Direction::Out,
    ),
];

struct WriteView {
    title: String,
    fields: Vec<FieldView>,
}

struct FieldView {
    field: String,
    now: String,
    then: String,
    source: String,
    /// `new`, `changes` or `stays`.
    becomes: &'static str,
}

struct StepView {
    act: String,
    what: String,
    amount: String,
    problem: String,
}

/// How the amounts of a line come to be.
struct LineView {
    title: String,
    how: String,
    taxes: String,
    net: String,
    tax: String,
    gross: String,
}

struct Shown {
    title: String,
    verdict: String,
    writes: Vec<WriteView>,
    steps: Vec<StepView>,
    lines: Vec<LineView>,
    totals: Vec<(&'static str, String, String, String)>,
    problem: Option<ProblemView>,
}

#[derive(Template)]
#[template(path = "preview.html", config = ".config/askama.toml")]
struct PreviewPage {
    frame: Frame,
    shops: Vec<(String, bool)>,
    choices: Vec<(&'static str, &'static str, bool)>,
    number: String,
    failure: Option<String>,
    shown: Option<Shown>,
}

pub(super) async fn form(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.preview_page(&visitor, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn preview_page(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<PreviewPage, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let (shop, chosen, number) = (
            field(fields, "shop"),
            field(fields, "what"),
            field(fields, "number"),
        );
        let (mut failure, mut shown) = (None, None);
        if let (Some(shop), Some(chosen), Some(number)) = (shop, chosen, number) {
            match self.previewed(shop, chosen, number).await? {
                Ok(preview) => shown = Some(view(preview)),
                Err(told) => failure = Some(told),
            }
        }
        let shops = config.shops.values().map(|one| one.name.to_string());
        Ok(PreviewPage {
            frame: Frame::new("Preview of a mapping", "mappings", Some(visitor)),
            shops: shops
                .map(|name| (name.clone(), Some(name.as_str()) == shop))
                .collect(),
            choices: CHOICES
                .iter()
                .map(|(name, text, ..)| (*name, *text, Some(*name) == chosen))
                .collect(),
            number: number.unwrap_or_default().to_owned(),
            failure,
            shown,
        })
    }

    /// The preview, or why there is none.
    async fn previewed(
        &self,
        shop: &str,
        chosen: &str,
        number: &str,
    ) -> Result<Result<Preview, String>, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let shop = shop_of(&config, shop)?;
        let Some((_, _, object, direction)) = CHOICES.iter().copied().find(|(name, ..)| *name == chosen)
        else {
            return Err(Refusal::NotFound("There is no such mapping.".to_owned()));
        };
        let said = self.said(shop)?;
        let mappings = Arc::new(self.mapping_files().await?);
        let context = ready(shop, &said, &self.api.store, &self.api.clock, mappings)
            .map_err(|error| unreachable("The shop cannot be connected", &error))?;
        let engine = Engine::new([context]);
        let looking = async {
            match direction {
                Direction::In => {
                    let found = locate(&self.api.store, shop, object, number, Some(&said.shopify)).await;
                    let id: ShopifyId = match found.map(|id| id.parse()) {
                        Ok(Ok(id)) => id,
                        Ok(Err(error)) => return Ok(Err(format!("{}.", capitalised(&error.to_string())))),
                        Err(LocateError::Store(error)) => return Err(Refusal::store(&error)),
                        Err(LocateError::Find(FindError::Shopify(error))) => {
                            return Ok(Err(format!("Shopify could not be asked: {error}.")));
                        }
                        Err(error) => return Ok(Err(format!("{}.", capitalised(&error.to_string())))),
                    };
                    Ok(engine.preview(&shop.name, object, id).await.map_err(why_not))
                }
                Direction::Out => match number.parse() {
                    Ok(id) => {
                        let preview = engine.preview_out(&shop.name, object, ErpId(id)).await;
                        Ok(preview.map_err(why_not))
                    }
                    Err(_) => Ok(Err(
                        "Records of the ERP are named by the number at the end of their address there."
                            .to_owned(),
                    )),
                },
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(looked) => looked,
            Err(_) => Ok(Err("The two systems took too long to answer.".to_owned())),
        }
    }
}

fn why_not(error: PreviewError) -> String {
    match error {
        PreviewError::Failed { reason, fix } => format!("{reason} {fix}"),
        other => format!("{}.", capitalised(&other.to_string())),
    }
}

fn view(preview: Preview) -> Shown {
    let name = preview.record_name.clone().unwrap_or_default();
    let (lines, totals) = preview.explanation.as_ref().map(amounts).unwrap_or_default();
    Shown {
        title: format!("{} {} {name}", preview.object, preview.source_id),
        verdict: preview.verdict,
        writes: preview
            .writes
            .into_iter()
            .map(|write| WriteView {
                title: format!("{} {} {}", write.action, write.model, write.record),
                fields: write
                    .fields
                    .into_iter()
                    .map(|field| FieldView {
                        becomes: match &field.now {
                            None => "new",
                            Some(now) if *now == field.then => "stays",
                            Some(_) => "changes",
                        },
                        field: field.field,
                        now: field.now.unwrap_or_default(),
                        then: field.then,
                        source: field.source,
                    })
                    .collect(),
            })
            .collect(),
        steps: preview
            .steps
            .into_iter()
            .map(|step| StepView {
                act: step.act.to_string(),
                what: step.what,
                amount: step
                    .amount
                    .map_or_else(String::new, |amount| format!("{amount} {}", step.currency)),
                problem: step.problem.map_or_else(String::new, |problem| problem.reason),
            })
            .collect(),
        lines,
        totals,
        problem: preview.problem.as_ref().map(ProblemView::new),
    }
}

type Totals = Vec<(&'static str, String, String, String)>;

/// How each number came to be: the shop's lines and the totals of both sides.
fn amounts(explanation: &crate::app::preview::Explanation) -> (Vec<LineView>, Totals) {
    let lines = explanation.lines.iter().map(|line| LineView {
        title: line.title.clone(),
        how: line.how.clone(),
        taxes: line.taxes.join(", "),
        net: line.net.to_string(),
        tax: line.tax.to_string(),
        gross: line.gross.to_string(),
    });
    let row = |side: &'static str, totals: &ExplainedTotals| {
        let ExplainedTotals { net, tax, total } = totals;
        (side, net.to_string(), tax.to_string(), total.to_string())
    };
    let mut totals = vec![row("Shopify", &explanation.shop)];
    totals.extend(explanation.erp.as_ref().map(|erp| row("ERP", erp)));
    (lines.collect(), totals)
}
