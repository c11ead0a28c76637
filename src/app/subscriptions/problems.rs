//! What is wrong with a shop's subscriptions, as problems of the shop. They close by themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Installation, SubscriptionsError, Target};
use crate::domain::{NewProblem, ProblemCode, ShopName};
use crate::store::StoreError;
use crate::subscriptions::{Applied, Kind, Outcome};

/// `public_url` is not set, or Shopify cannot reach it.
pub const PUBLIC_URL_MISSING: &str = "public_url_missing";
/// The app lacks a scope that wanted topics need.
pub const SCOPE_MISSING: &str = "scope_missing";
/// Shopify does not make or change a subscription.
pub const SUBSCRIPTION_REFUSED: &str = "subscription_refused";
/// A shop is not declared any more and still has subscriptions.
pub const SHOP_REMOVED: &str = "shop_removed";

/// Problems of a shop by code and cluster.
type Wrong = BTreeMap<(&'static str, String), NewProblem>;

/// Notes what came of the rounds; whatever was wrong before and is not now is over.
pub(super) async fn note(at: &Installation, target: &Target, rounds: &[Applied]) -> Result<(), StoreError> {
    let mut wrong = Wrong::new();
    let Some(last) = rounds.last() else { return Ok(()) };
    let shown = last.left.as_ref().unwrap_or(&last.plan);
    let mut lacking: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in &shown.lines {
        if line.kind == Kind::Blocked
            && let Some(scope) = line.scope.filter(|_| line.lacks_scope)
        {
            lacking
                .entry(scope.to_owned())
                .or_default()
                .insert(line.topic.clone());
        }
    }
    for changed in &last.results {
        match &changed.outcome {
            Outcome::Refused {
                needs: Some(needs), ..
            } => {
                let scope = changed.line.scope.unwrap_or(needs);
                lacking
                    .entry(scope.to_owned())
                    .or_default()
                    .insert(changed.line.topic.clone());
            }
            Outcome::Refused { reason, needs: None } => {
                let topic = &changed.line.topic;
                wrong.insert(
                    (SUBSCRIPTION_REFUSED, topic.clone()),
                    problem(
                        target,
                        SUBSCRIPTION_REFUSED,
                        topic.clone(),
                        format!("Shopify does not {} the webhook subscription to {topic}: {reason}", changed.line.kind),
                        "Correct what Shopify names; lockstep tries again by itself. Until then changes of this kind are not \
                         heard of at once."
                            .to_owned(),
                        json!({ "topic": topic, "address": changed.line.uri, "change": changed.line.kind }),
                    ),
                );
            }
            _ => {}
        }
    }
    for (scope, topics) in lacking {
        let topics: Vec<String> = topics.into_iter().collect();
        wrong.insert(
            (SCOPE_MISSING, scope.clone()),
            problem(
                target,
                SCOPE_MISSING,
                scope.clone(),
                format!(
                    "The app lacks the scope {scope}: the shop cannot tell lockstep of {}.",
                    topics.join(", ")
                ),
                format!(
                    "Add {scope} to the app's scopes, release the app, and install it again or renew the token; lockstep \
                     subscribes by itself then. Or switch off what needs it in [shops.{}.sync].",
                    target.name
                ),
                json!({ "scope": scope, "topics": topics }),
            ),
        );
    }
    settle(
        at,
        &target.name,
        wrong,
        &[PUBLIC_URL_MISSING, SCOPE_MISSING, SUBSCRIPTION_REFUSED],
    )
    .await
}

/// Notes why nothing could be done, where a person is needed for it.
pub(super) async fn note_failure(
    at: &Installation,
    target: &Target,
    error: &SubscriptionsError,
) -> Result<(), StoreError> {
    let mut wrong = Wrong::new();
    if error.code() == PUBLIC_URL_MISSING {
        wrong.insert(
            (PUBLIC_URL_MISSING, PUBLIC_URL_MISSING.to_owned()),
            problem(
                target,
                PUBLIC_URL_MISSING,
                PUBLIC_URL_MISSING.to_owned(),
                format!("No webhook is registered with the shop: {error}."),
                error.fix(),
                json!({}),
            ),
        );
    } else {
        // Nothing was learned of the others.
        return Ok(());
    }
    settle(at, &target.name, wrong, &[PUBLIC_URL_MISSING]).await
}

/// Notes that a shop which is not declared any more still has subscriptions.
///
/// # Errors
/// When the store fails.
pub async fn note_left_behind(at: &Installation, shop: &ShopName, standing: usize) -> Result<(), StoreError> {
    let problem = NewProblem {
        code: ProblemCode::from(SHOP_REMOVED),
        record: None,
        field: None,
        reason: format!(
            "[shops.{shop}] is not declared any more, and {standing} webhook subscriptions that lockstep made for it are still \
             registered with the shop."
        ),
        fix: format!(
            "Put [shops.{shop}] with its credentials back, run `lockstep webhooks apply --remove-shop {shop}`, then take it out \
             again. Or leave it: Shopify deletes a subscription after eight failed deliveries."
        ),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: SHOP_REMOVED.to_owned(),
        detail: json!({ "subscriptions": standing }),
    };
    at.store.open_shop_problem(shop, problem, at.clock.now()).await
}

fn problem(
    target: &Target,
    code: &'static str,
    cluster: String,
    reason: String,
    fix: String,
    detail: serde_json::Value,
) -> NewProblem {
    NewProblem {
        code: ProblemCode::from(code),
        record: None,
        field: None,
        reason,
        fix,
        owner: target.owner.clone(),
        mapping: None,
        cluster,
        detail,
    }
}

/// Opens what is wrong, and closes what of these codes is not wrong any more.
async fn settle(
    at: &Installation,
    shop: &ShopName,
    wrong: Wrong,
    codes: &[&'static str],
) -> Result<(), StoreError> {
    let now = at.clock.now();
    for row in at.store.open_problems(u32::MAX).await? {
        let code = codes.iter().find(|code| row.problem.code.0 == **code);
        if let Some(code) = code.filter(|_| row.job.is_none() && row.shop == *shop)
            && !wrong.contains_key(&(*code, row.problem.cluster.clone()))
        {
            at.store
                .close_shop_problem(shop, code, &row.problem.cluster, now)
                .await?;
            tracing::info!(%shop, code, cluster = row.problem.cluster, "a problem of the subscriptions is over");
        }
    }
    for problem in wrong.into_values() {
        at.store.open_shop_problem(shop, problem, now).await?;
    }
    Ok(())
}
