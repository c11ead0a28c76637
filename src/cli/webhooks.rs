//! `lockstep webhooks`: what is registered with the shops, what is to change, and changing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::failure::{FAILED, Failure, UNUSABLE, say};
use super::output::{Output, relative};
use super::setup::agreed;
use super::{Context, opened, the_shop};
use crate::app::subscriptions::{
    self, Applying, Installation, Listed, Order, Planned, Status, SubscriptionsError, Target,
};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, ShopName, ShopifyId, SystemEntropy, Timestamp};
use crate::subscriptions::{Applied, Changed, Kind, Outcome, Plan, PlanLine, of_graphql};

/// Look at the webhook subscriptions on Shopify, and change them.
///
/// The running daemon keeps them as the toggles want them, at every change of the configuration and every few minutes; these
/// commands show what it does and do the same at once.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what would be created, updated and deleted. Changes nothing.
    ///
    /// Exit code 0: nothing is to be done; 1: a shop could not be looked at; 2: something is to be done.
    Plan(ShopArguments),
    /// Carry the plan out, after a yes, and read everything back.
    Apply {
        #[command(flatten)]
        of: ShopArguments,
        /// Do not ask: needed where nobody can answer.
        #[arg(long)]
        yes: bool,
        /// Delete every subscription that lockstep made for this shop, before the shop is taken out of the configuration.
        #[arg(long, value_name = "NAME", conflicts_with = "shop")]
        remove_shop: Option<ShopName>,
    },
    /// List what is wanted and what is there, side by side, and what arrives.
    List(ShopArguments),
    /// Take over subscriptions that are not lockstep's: from then on they are kept as the toggles want them.
    Adopt {
        /// The subscriptions' numbers, as `webhooks list` shows them.
        #[arg(required = true)]
        ids: Vec<ShopifyId>,
        #[command(flatten)]
        of: ShopArguments,
        /// Do not ask: needed where nobody can answer.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct ShopArguments {
    /// Only this shop.
    #[arg(long, value_name = "NAME")]
    shop: Option<ShopName>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let config = context.load()?;
    let (store, clock) = opened(&config).await?;
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let at = Installation::new(&store, &clock, &entropy, config.http.public_url.clone()).await;
    let desk = Desk {
        output: context.output,
        config: &config,
        clock: &clock,
        entropy: &entropy,
        at: match at {
            Ok(at) => at,
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        },
    };
    let done = match &arguments.action {
        Action::Plan(of) => desk.plan(of.shop.as_ref()).await,
        Action::Apply { of, yes, remove_shop } => match remove_shop {
            Some(shop) => desk.remove(shop, *yes).await,
            None => desk.apply(of.shop.as_ref(), *yes, &BTreeSet::new()).await,
        },
        Action::List(of) => desk.list(of.shop.as_ref()).await,
        Action::Adopt { ids, of, yes } => {
            let shop = the_shop(&config, of.shop.as_ref()).map(|shop| shop.name.clone());
            match shop {
                Ok(shop) => {
                    desk.apply(Some(&shop), *yes, &ids.iter().copied().collect())
                        .await
                }
                Err(failure) => Err(failure),
            }
        }
    };
    store.close().await;
    done
}

/// Everything that the actions need.
struct Desk<'a> {
    output: Output,
    config: &'a Config,
    clock: &'a SharedClock,
    entropy: &'a SharedEntropy,
    at: Installation,
}

/// A shop's plan, or why there is none, for programs.
#[derive(Serialize)]
struct PlanReport<'a> {
    shop: &'a ShopName,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    lines: &'a [PlanLine],
    notes: Vec<String>,
}

#[derive(Serialize)]
struct ErrorReport {
    code: &'static str,
    reason: String,
    fix: String,
}

impl From<&SubscriptionsError> for ErrorReport {
    fn from(error: &SubscriptionsError) -> Self {
        Self {
            code: error.code(),
            reason: error.to_string(),
            fix: error.fix(),
        }
    }
}

#[derive(Serialize)]
struct PlanReports<'a> {
    shops: Vec<PlanReport<'a>>,
    /// Shops that are not declared any more, with how many subscriptions stand there.
    left_behind: BTreeMap<ShopName, usize>,
}

#[derive(Serialize)]
struct ListReport<'a> {
    shop: &'a ShopName,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(flatten)]
    listed: Option<&'a Listed>,
}

#[derive(Serialize)]
struct ApplyReport<'a> {
    shop: &'a ShopName,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
    /// Whether the shop is now as it is wanted.
    is_complete: bool,
    results: Vec<&'a Changed>,
}

type Planneds = Vec<(ShopName, Result<Planned, SubscriptionsError>)>;

impl Desk<'_> {
    fn targets(&self, only: Option<&ShopName>) -> Result<Vec<Target>, Failure> {
        if let Some(name) = only {
            the_shop(self.config, Some(name))?;
        }
        Target::all(self.config, only, self.clock, self.entropy)
            .map_err(|(shop, error)| Failure::because(format!("[shops.{shop}] cannot be reached"), error))
    }

    async fn plan(&self, only: Option<&ShopName>) -> Result<(), Failure> {
        let targets = self.targets(only)?;
        let planned = subscriptions::plan_all(&self.at, &targets).await;
        let left_behind = subscriptions::left_behind(&self.at.store, self.config).await?;
        if self.output.json {
            self.report_plans(&planned, left_behind).await?;
        } else {
            self.show(&planned).await?;
            for (shop, standing) in &left_behind {
                self.output.line(left_behind_text(shop, *standing));
            }
        }
        if planned.iter().any(|(_, result)| result.is_err()) {
            return Err(Failure::Told(FAILED));
        }
        if planned
            .iter()
            .any(|(_, result)| result.as_ref().is_ok_and(|planned| !planned.plan.is_empty()))
        {
            // The same number as for what cannot be used: as of tools that plan before they apply.
            return Err(Failure::Told(UNUSABLE));
        }
        Ok(())
    }

    async fn report_plans(
        &self,
        planned: &Planneds,
        left_behind: BTreeMap<ShopName, usize>,
    ) -> Result<(), Failure> {
        let mut shops = Vec::new();
        for (shop, result) in planned {
            let (notes, lines, hash) = match result {
                Ok(planned) => (
                    subscriptions::notes(&self.at, planned).await?,
                    &planned.plan.lines[..],
                    Some(planned.plan.hash()),
                ),
                Err(_) => (Vec::new(), &[][..], None),
            };
            shops.push(PlanReport {
                shop,
                error: result.as_ref().err().map(ErrorReport::from),
                hash,
                lines,
                notes,
            });
        }
        self.output.document(&PlanReports { shops, left_behind })
    }

    async fn show(&self, planned: &Planneds) -> Result<(), Failure> {
        for (shop, result) in planned {
            match result {
                Ok(planned) => {
                    self.output.line(plan_text(&self.title(shop), &planned.plan));
                    for note in subscriptions::notes(&self.at, planned).await? {
                        self.output.line(format!("note: {note}"));
                    }
                }
                Err(error) => self.output.line(error_text(&self.title(shop), error)),
            }
            self.output.line("");
        }
        Ok(())
    }

    fn title(&self, shop: &ShopName) -> String {
        match self.config.shops.get(shop) {
            Some(known) => format!("{shop} ({})", known.shopify.domain),
            None => shop.to_string(),
        }
    }

    /// Whether there is a yes.
    fn may(&self, yes: bool, question: &str) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !self.output.json;
        if !can_ask {
            return Err(Failure::usage("nobody can be asked for a yes here")
                .help("look at `lockstep webhooks plan` first, then add --yes"));
        }
        if agreed(question) {
            return Ok(true);
        }
        say("nothing was changed");
        Ok(false)
    }

    async fn apply(
        &self,
        only: Option<&ShopName>,
        yes: bool,
        adopt: &BTreeSet<ShopifyId>,
    ) -> Result<(), Failure> {
        let targets = self.targets(only)?;
        let mut planned: Planneds = Vec::new();
        if adopt.is_empty() {
            planned = subscriptions::plan_all(&self.at, &targets).await;
        } else {
            for target in &targets {
                let result = subscriptions::plan_adopting(&self.at, target, adopt).await;
                planned.push((target.name.clone(), result));
            }
        }
        let to_do = planned
            .iter()
            .any(|(_, result)| result.as_ref().is_ok_and(|planned| !planned.plan.is_empty()));
        if !self.output.json {
            self.show(&planned).await?;
        }
        if to_do && !self.may(yes, "Change this on Shopify?")? {
            return Err(Failure::Told(FAILED));
        }
        let mut works = Vec::new();
        for (target, (_, result)) in targets.iter().zip(planned) {
            let order = result.map(|planned| Order {
                agreed: Some(planned.plan.hash()),
                adopted: adopt.clone(),
                remove: false,
            });
            works.push((target, order));
        }
        let done = subscriptions::apply_all(&self.at, self.config, works).await;
        self.tell_applied(&done)
    }

    async fn remove(&self, shop: &ShopName, yes: bool) -> Result<(), Failure> {
        if !self.config.shops.contains_key(shop) {
            return Err(Failure::usage(format!("the configuration has no shop `{shop}`")).help(
                "its credentials are needed to delete its subscriptions: put its section back, run this again, then take \
                 it out",
            ));
        }
        let targets = self.targets(Some(shop))?;
        let order = Order {
            remove: true,
            ..Order::default()
        };
        let mut done = Vec::new();
        for target in &targets {
            let planned = subscriptions::plan_removal(&self.at, target)
                .await
                .map_err(failed)?;
            if !self.output.json {
                self.output.line(plan_text(&self.title(shop), &planned.plan));
                self.output.line("");
            }
            let question = format!("Delete every subscription of lockstep's in {shop}?");
            if !planned.plan.is_empty() && !self.may(yes, &question)? {
                return Err(Failure::Told(FAILED));
            }
            done.extend(
                subscriptions::apply_all(&self.at, self.config, vec![(target, Ok(order.clone()))]).await,
            );
        }
        if !self.output.json {
            self.output.line(format!(
                "take [shops.{shop}] out of the configuration now: a daemon leaves its subscriptions alone until the \
                 configuration changes"
            ));
        }
        self.tell_applied(&done)
    }

    fn tell_applied(&self, done: &[Applying]) -> Result<(), Failure> {
        let is_complete = |result: &Result<Vec<Applied>, SubscriptionsError>| {
            result
                .as_ref()
                .is_ok_and(|rounds| rounds.last().is_some_and(Applied::is_complete))
        };
        if self.output.json {
            let reports: Vec<ApplyReport<'_>> = done
                .iter()
                .map(|(shop, result)| ApplyReport {
                    shop,
                    error: result.as_ref().err().map(ErrorReport::from),
                    is_complete: is_complete(result),
                    results: result.iter().flatten().flat_map(|round| &round.results).collect(),
                })
                .collect();
            self.output.document(&reports)?;
        } else {
            for (shop, result) in done {
                match result {
                    Ok(rounds) => self.output.line(applied_text(&self.title(shop), rounds)),
                    Err(error) => self.output.line(error_text(&self.title(shop), error)),
                }
            }
        }
        if done.iter().all(|(_, result)| is_complete(result)) {
            Ok(())
        } else {
            Err(Failure::Told(FAILED))
        }
    }

    async fn list(&self, only: Option<&ShopName>) -> Result<(), Failure> {
        let targets = self.targets(only)?;
        let listed = subscriptions::list_all(&self.at, &targets).await;
        if self.output.json {
            let reports: Vec<ListReport<'_>> = listed
                .iter()
                .map(|(shop, result)| ListReport {
                    shop,
                    error: result.as_ref().err().map(ErrorReport::from),
                    listed: result.as_ref().ok(),
                })
                .collect();
            self.output.document(&reports)?;
        } else {
            for (shop, result) in &listed {
                match result {
                    Ok(listed) => self.tables(shop, listed),
                    Err(error) => self.output.line(error_text(&self.title(shop), error)),
                }
                self.output.line("");
            }
        }
        if listed.iter().any(|(_, result)| result.is_err()) {
            return Err(Failure::Told(FAILED));
        }
        Ok(())
    }

    fn tables(&self, shop: &ShopName, listed: &Listed) {
        let now = self.clock.now();
        self.output.line(self.title(shop));
        self.output
            .table(HEADER, listed.rows.iter().map(|row| list_cells(row, now)));
        for note in &listed.notes {
            self.output.line(format!("note: {note}"));
        }
    }
}

const HEADER: [&str; 8] = [
    "TOPIC",
    "STATUS",
    "ID",
    "LAST DELIVERY",
    "24 H",
    "FAILED",
    "ADDRESS",
    "WHY",
];

fn list_cells(row: &subscriptions::ListRow, now: Timestamp) -> [String; 8] {
    let is_ours = !matches!(row.status, Status::Foreign);
    [
        row.topic.clone(),
        row.status.as_str().to_owned(),
        row.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        row.last_delivery_at
            .map_or_else(|| "-".to_owned(), |at| relative(now, at)),
        row.deliveries_24h.to_string(),
        row.failures_24h.to_string(),
        row.uri.clone(),
        if is_ours || row.reason.contains("adopt") {
            row.reason.clone()
        } else {
            row.name
                .as_ref()
                .map_or_else(|| row.reason.clone(), |name| format!("{} ({name})", row.reason))
        },
    ]
}

fn failed(error: SubscriptionsError) -> Failure {
    let fix = error.fix();
    Failure::because("the webhook subscriptions cannot be looked at", error).help(fix)
}

fn error_text(title: &str, error: &SubscriptionsError) -> String {
    format!("{title}\n  error: {error}\n  help: {}", error.fix())
}

fn left_behind_text(shop: &ShopName, standing: usize) -> String {
    format!(
        "{shop} is not declared any more, and {standing} subscriptions of lockstep's stand there: put [shops.{shop}] back and run \
         `lockstep webhooks apply --remove-shop {shop}`, or leave them to end by themselves"
    )
}

/// The topic as people know it.
fn topic(line: &PlanLine) -> String {
    of_graphql(&line.topic).map_or_else(|| line.topic.clone(), |topic| topic.name.to_owned())
}

const fn mark(kind: Kind) -> &'static str {
    match kind {
        Kind::Create => "+",
        Kind::Update | Kind::Adopt => "~",
        Kind::Delete => "-",
        Kind::Unchanged => " ",
        Kind::Foreign => "?",
        Kind::Blocked => "!",
        Kind::Skipped => "·",
    }
}

/// A plan for people.
fn plan_text(title: &str, plan: &Plan) -> String {
    let mut text = format!("{title}\n");
    let width = plan.lines.iter().map(|line| topic(line).len()).max().unwrap_or(0);
    for line in &plan.lines {
        let id = line.id.map(|id| format!(" [{id}]")).unwrap_or_default();
        let scope = line
            .scope
            .filter(|_| !line.lacks_scope)
            .map(|scope| format!(", needs {scope}"))
            .unwrap_or_default();
        let _never = writeln!(
            text,
            "  {} {:<9}  {:<width$}  {}{id}  ({}{scope})",
            mark(line.kind),
            line.kind,
            topic(line),
            line.uri,
            line.reason,
        );
    }
    let count = |kind| plan.count(kind);
    if plan.is_empty() {
        let _never = write!(text, "Nothing to do: {} as wanted", count(Kind::Unchanged));
    } else {
        let _never = write!(
            text,
            "Plan: {} to create, {} to update, {} to delete; {} unchanged",
            count(Kind::Create),
            count(Kind::Update) + count(Kind::Adopt),
            count(Kind::Delete),
            count(Kind::Unchanged),
        );
    }
    for (kind, word) in [
        (Kind::Foreign, "foreign"),
        (Kind::Blocked, "blocked"),
        (Kind::Skipped, "skipped"),
    ] {
        if count(kind) > 0 {
            let _never = write!(text, ", {} {word}", count(kind));
        }
    }
    text.push('.');
    text
}

/// What became of a plan, for people.
fn applied_text(title: &str, rounds: &[Applied]) -> String {
    let results = || rounds.iter().flat_map(|round| &round.results);
    let mut text = String::new();
    for changed in results() {
        let told = match &changed.outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::Refused { reason, .. } => format!("refused: {reason}"),
            Outcome::Failed { reason } => format!("failed, tried again later: {reason}"),
            Outcome::Unconfirmed => "done, but reading back does not show it yet".to_owned(),
            Outcome::NotTried => "not tried, because another one failed".to_owned(),
        };
        let _never = writeln!(text, "  {} {}: {told}", changed.line.kind, topic(&changed.line));
    }
    let done = results().filter(|changed| changed.outcome.is_done()).count();
    let left = results().count() - done;
    let last = rounds.last();
    let standing = last.and_then(|round| round.left.as_ref());
    let ended = match standing {
        None => "it could not be read back".to_owned(),
        Some(plan) => format!("{} stand as wanted", plan.count(Kind::Unchanged)),
    };
    let not_done = if left > 0 {
        format!(", {left} not done")
    } else {
        String::new()
    };
    format!("{title}\n{text}{done} done{not_done}; {ended}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: Kind, topic: &str, id: Option<u64>, reason: &str) -> PlanLine {
        PlanLine {
            kind,
            topic: topic.to_owned(),
            id: id.map(ShopifyId),
            uri: "https://sync.example.com/webhooks/shopify".to_owned(),
            reason: reason.to_owned(),
            scope: of_graphql(topic).and_then(crate::subscriptions::scope_of),
            lacks_scope: matches!(kind, Kind::Blocked | Kind::Skipped),
            new: None,
            loses: false,
        }
    }

    fn plan() -> Plan {
        Plan {
            shop: "main".parse().unwrap(),
            lines: vec![
                line(Kind::Unchanged, "APP_UNINSTALLED", Some(1), "always"),
                line(
                    Kind::Skipped,
                    "CUSTOMERS_MERGE",
                    None,
                    "customers.in is on; the app lacks the scope read_customer_merge, and it is not needed",
                ),
                line(
                    Kind::Blocked,
                    "CUSTOMERS_UPDATE",
                    None,
                    "customers.in is on; the app lacks the scope read_customers",
                ),
                line(
                    Kind::Create,
                    "ORDERS_CREATE",
                    None,
                    "orders.in is on; subscription 7 is gone from Shopify",
                ),
                line(
                    Kind::Update,
                    "ORDERS_PAID",
                    Some(2),
                    "the address was https://old.example.com/webhooks/shopify",
                ),
                line(
                    Kind::Adopt,
                    "ORDERS_UPDATED",
                    Some(3),
                    "orders.in is on; it leads to our address and carries nobody's name",
                ),
                line(Kind::Delete, "PRODUCTS_UPDATE", Some(4), "no toggle asks for it"),
                line(
                    Kind::Foreign,
                    "SHOP_UPDATE",
                    Some(5),
                    "of another installation of lockstep (ffffffff)",
                ),
            ],
        }
    }

    #[test]
    fn a_plan_reads_like_a_difference() {
        insta::assert_snapshot!(plan_text("main (main-store.myshopify.com)", &plan()));
        let quiet = Plan {
            lines: plan()
                .lines
                .into_iter()
                .filter(|line| !line.kind.is_change())
                .collect(),
            ..plan()
        };
        let text = plan_text("main", &quiet);
        assert!(
            text.ends_with("Nothing to do: 1 as wanted, 1 foreign, 1 blocked, 1 skipped."),
            "{text}"
        );
    }

    #[test]
    fn what_was_done_is_told_change_by_change() {
        let outcomes = [
            Outcome::Done,
            Outcome::Refused {
                reason: "Address is invalid".to_owned(),
                needs: None,
            },
            Outcome::Failed {
                reason: "Shopify failed inside".to_owned(),
            },
            Outcome::NotTried,
        ];
        let applied = Applied {
            results: plan()
                .changes()
                .cloned()
                .zip(outcomes)
                .map(|(line, outcome)| Changed { line, outcome })
                .collect(),
            restored: Vec::new(),
            left: Some(plan()),
            plan: plan(),
        };
        insta::assert_snapshot!(applied_text("main (main-store.myshopify.com)", &[applied]));
    }
}
