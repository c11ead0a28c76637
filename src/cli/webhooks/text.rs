//! Plans and what became of them, for people.

use std::fmt::Write as _;

use crate::app::subscriptions::SubscriptionsError;
use crate::domain::ShopName;
use crate::subscriptions::{Applied, Kind, Outcome, Plan, PlanLine, of_graphql};

pub(super) fn error_text(title: &str, error: &SubscriptionsError) -> String {
    format!("{title}\n  error: {error}\n  help: {}", error.fix())
}

pub(super) fn left_behind_text(shop: &ShopName, standing: usize) -> String {
    format!(
        "{shop} is not declared any more, and {standing} subscriptions of lockstep's stand there: `lockstep webhooks apply \
         --remove-shop {shop}` removes them while the daemon that knew the shop runs, or once [shops.{shop}] is back; `lockstep webhooks \
         forget {shop}` leaves them"
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
pub(super) fn plan_text(title: &str, plan: &Plan) -> String {
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
pub(super) fn applied_text(title: &str, rounds: &[Applied]) -> String {
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
    use crate::domain::ShopifyId;
    use crate::subscriptions::Changed;

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
            blocked_by: None,
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
