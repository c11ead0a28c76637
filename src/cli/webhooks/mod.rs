//! `lockstep webhooks`: what is registered with the shops, what is to change, and changing it.

mod text;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::{FAILED, Failure, UNUSABLE, say};
use super::output::{Output, relative};
use super::setup::agreed;
use super::{Context, actor, opened, the_shop};
use crate::app::notify::events::Events;
use crate::app::review::Reviewer;
use crate::app::subscriptions::{
    self, Applying, Installation, Listed, Order, Planned, Status, SubscriptionsError, Target,
};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, ShopName, ShopifyId, SystemEntropy, Timestamp};

use text::{applied_text, error_text, left_behind_text, plan_text};

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
        /// Delete every subscription that lockstep made for this shop, before the shop is taken out of the configuration, or
        /// while the daemon that knew it still runs.
        #[arg(long, value_name = "NAME", conflicts_with = "shop")]
        remove_shop: Option<ShopName>,
    },
    /// List what is wanted and what is there, side by side, and what arrives.
    List(ShopArguments),
    /// Take over subscriptions that are not lockstep's: from then on they are kept as the toggles want them.
    Adopt {
        /// The subscriptions' numbers, as `webhooks list` shows them.
        #[arg(required_unless_present = "moved")]
        ids: Vec<ShopifyId>,
        /// Take those back that lockstep made and somebody else moved to another address.
        #[arg(long, conflicts_with = "ids")]
        moved: bool,
        #[command(flatten)]
        of: ShopArguments,
        /// Do not ask: needed where nobody can answer.
        #[arg(long)]
        yes: bool,
    },
    /// Leave the subscriptions of a shop that is not declared any more to themselves, and say no more of them.
    ///
    /// Shopify deletes a subscription after eight failed deliveries.
    Forget {
        /// The shop's name when it was declared.
        #[arg(value_name = "NAME")]
        shop: ShopName,
    },
    /// Give this installation an id of its own, after its store was copied from another one.
    ///
    /// lockstep knows its subscriptions by this id. The copy leaves those that the store knows to the other installation, and makes
    /// its own.
    NewInstance {
        /// Do not ask: needed where nobody can answer.
        #[arg(long)]
        yes: bool,
    },
}

impl Action {
    /// Whether something is to be changed on Shopify.
    const fn changes(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::Adopt { .. })
    }
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
    let at = at.map(|at| at.telling(Events::once(&config, Arc::clone(&entropy))));
    let at = match at.map_err(SubscriptionsError::from) {
        Ok(at) if arguments.action.changes() => at.as_command(&config).await,
        at => at,
    };
    let desk = Desk {
        output: context.output,
        config: &config,
        clock: &clock,
        entropy: &entropy,
        at: match at {
            Ok(at) => at,
            Err(error) => {
                store.close().await;
                let fix = error.fix();
                return Err(Failure::because("nothing was changed", error).help(fix));
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
        Action::Adopt { ids, moved, of, yes } => {
            let shop = the_shop(&config, of.shop.as_ref()).map(|shop| shop.name.clone());
            match shop {
                Ok(shop) if *moved => desk.take_back(&shop, *yes).await,
                Ok(shop) => {
                    desk.apply(Some(&shop), *yes, &ids.iter().copied().collect())
                        .await
                }
                Err(failure) => Err(failure),
            }
        }
        Action::Forget { shop } => desk.forget(shop).await,
        Action::NewInstance { yes } => desk.new_instance(*yes).await,
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
        let has_failed = planned.iter().any(|(_, result)| result.is_err());
        let is_to_do = planned
            .iter()
            .any(|(_, result)| result.as_ref().is_ok_and(|planned| !planned.plan.is_empty()));
        if self.output.json {
            let reports = subscriptions::report_plans(&self.at, planned, left_behind).await?;
            self.output.document(&reports)?;
        } else {
            self.show(&planned).await?;
            for (shop, standing) in &left_behind {
                self.output.line(left_behind_text(shop, *standing));
            }
        }
        if has_failed {
            return Err(Failure::Told(FAILED));
        }
        if is_to_do {
            // The same number as for what cannot be used: as of tools that plan before they apply.
            return Err(Failure::Told(UNUSABLE));
        }
        Ok(())
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
        self.tell_applied(&done).await
    }

    /// Takes back what somebody else moved.
    async fn take_back(&self, shop: &ShopName, yes: bool) -> Result<(), Failure> {
        let mut moved = BTreeSet::new();
        for target in &self.targets(Some(shop))? {
            let planned = subscriptions::plan(&self.at, target).await.map_err(failed)?;
            moved.extend(planned.moved.iter().map(|one| one.id));
        }
        if moved.is_empty() {
            return Err(Failure::usage("no subscription was moved by somebody else"));
        }
        self.apply(Some(shop), yes, &moved).await
    }

    async fn new_instance(&self, yes: bool) -> Result<(), Failure> {
        let question = "Give this installation another id, and leave the subscriptions that it knows to the one with the old id?";
        if !self.may(yes, question)? {
            return Err(Failure::Told(FAILED));
        }
        let fresh = subscriptions::renew_instance(&self.at, self.config.shops.keys(), self.entropy).await;
        let instance = fresh.map_err(|error| {
            let fix = error.fix();
            Failure::because("the installation keeps its id", error).help(fix)
        })?;
        if self.output.json {
            self.output.document(&serde_json::json!({ "instance": instance }))
        } else {
            self.output.line(format!(
                "this installation is {instance} now (it was {}); its daemon makes subscriptions of its own at the next look",
                self.at.instance
            ));
            Ok(())
        }
    }

    async fn remove(&self, shop: &ShopName, yes: bool) -> Result<(), Failure> {
        if !self.config.shops.contains_key(shop) {
            return self.remove_departed(shop, yes).await;
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
        self.tell_applied(&done).await
    }

    /// Only a daemon that ran while the shop was declared can do it.
    async fn remove_departed(&self, shop: &ShopName, yes: bool) -> Result<(), Failure> {
        let question = format!("Have the running daemon delete every subscription of lockstep's in {shop}?");
        let left = subscriptions::left_behind(&self.at.store, self.config).await?;
        if left.contains_key(shop) && !self.may(yes, &question)? {
            return Err(Failure::Told(FAILED));
        }
        let unknown = |why: &str| {
            Failure::usage(format!("the configuration has no shop `{shop}`{why}")).help(
                "its credentials are needed to delete its subscriptions, and no running daemon has them: put its section back, run \
                 this again, then take it out",
            )
        };
        if !left.contains_key(shop) {
            return Err(unknown(""));
        }
        let done = match subscriptions::remove_through_daemon(self.config, &self.at.store, shop).await {
            subscriptions::Removal::Done(done) => done,
            subscriptions::Removal::Refused { code, detail } => {
                return Err(unknown(&format!(
                    ", and the running daemon does not delete its subscriptions ({code}): {detail}"
                )));
            }
            subscriptions::Removal::Silent(why) => {
                return Err(unknown(&format!(", and no running daemon can be asked: {why}")));
            }
        };
        let is_complete = done[0]["is_complete"] == true;
        if self.output.json {
            self.output.document(&done)?;
        } else if is_complete {
            self.output.line(format!(
                "the daemon deleted the subscriptions of lockstep's in {shop}"
            ));
        } else {
            let reason = done[0]["error"]["reason"].as_str().unwrap_or("run this again");
            self.output
                .line(format!("not all subscriptions in {shop} are deleted: {reason}"));
        }
        if is_complete {
            Ok(())
        } else {
            Err(Failure::Told(FAILED))
        }
    }

    async fn forget(&self, shop: &ShopName) -> Result<(), Failure> {
        if self.config.shops.contains_key(shop) {
            return Err(
                Failure::usage(format!("[shops.{shop}] is declared")).help(format!(
                    "`lockstep webhooks apply --remove-shop {shop}` removes its subscriptions"
                )),
            );
        }
        let standing = subscriptions::forget(&self.at, shop).await.map_err(failed)?;
        if self.output.json {
            let document = serde_json::json!({ "shop": shop, "forgotten": standing });
            self.output.document(&document)
        } else {
            self.output.line(format!(
                "{standing} subscriptions of {shop} are left to themselves"
            ));
            Ok(())
        }
    }

    async fn tell_applied(&self, done: &[Applying]) -> Result<(), Failure> {
        let reports = subscriptions::report_applied(done);
        let reviewer = Reviewer::new(self.at.store.clone(), self.clock.clone(), actor());
        let kept = reviewer.applied(&reports, None).await;
        if self.output.json {
            self.output.document(&reports)?;
        } else {
            for (shop, result) in done {
                match result {
                    Ok(rounds) => self.output.line(applied_text(&self.title(shop), rounds)),
                    Err(error) => self.output.line(error_text(&self.title(shop), error)),
                }
            }
        }
        kept?;
        if done.iter().all(|(_, result)| subscriptions::is_complete(result)) {
            Ok(())
        } else {
            Err(Failure::Told(FAILED))
        }
    }

    async fn list(&self, only: Option<&ShopName>) -> Result<(), Failure> {
        let targets = self.targets(only)?;
        let listed = subscriptions::list_all(&self.at, &targets).await;
        let has_failed = listed.iter().any(|(_, result)| result.is_err());
        if self.output.json {
            self.output.document(&subscriptions::report_lists(listed))?;
        } else {
            for (shop, result) in &listed {
                match result {
                    Ok(listed) => self.tables(shop, listed),
                    Err(error) => self.output.line(error_text(&self.title(shop), error)),
                }
                self.output.line("");
            }
        }
        if has_failed {
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
