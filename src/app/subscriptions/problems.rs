//! What is wrong with a shop's subscriptions, as problems of the shop. They close by themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Done, Installation, SubscriptionsError, Target};
use crate::domain::{NewProblem, ProblemCode, ShopName};
use crate::store::StoreError;
use crate::subscriptions::{Kind, Outcome};

/// `public_url` is not set, or Shopify cannot reach it.
pub const PUBLIC_URL_MISSING: &str = "public_url_missing";
/// The app lacks a scope that wanted topics need.
pub const SCOPE_MISSING: &str = "scope_missing";
/// Shopify does not make or change a subscription.
pub const SUBSCRIPTION_REFUSED: &str = "subscription_refused";
/// Somebody else moved our subscriptions: another installation has the same identity.
pub const TWIN_INSTALLATION: &str = "twin_installation";
/// Somebody else's subscriptions stand in the place of wanted ones.
pub const SUBSCRIPTION_BLOCKED: &str = "subscription_blocked";
/// Events arrive twice: through ours, and through one that the API does not list.
pub const SUBSCRIPTION_OVERLAP: &str = "subscription_overlap";
/// A shop is not declared any more and still has subscriptions.
pub const SHOP_REMOVED: &str = "shop_removed";

/// The problems that only a look at a declared shop opens and closes.
pub(super) const OF_DECLARED: &[&str] = &[
    PUBLIC_URL_MISSING,
    SCOPE_MISSING,
    SUBSCRIPTION_REFUSED,
    SUBSCRIPTION_BLOCKED,
    SUBSCRIPTION_OVERLAP,
    TWIN_INSTALLATION,
];

/// Problems of a shop by code and cluster.
type Wrong = BTreeMap<(&'static str, String), NewProblem>;

/// Notes what came of the rounds; whatever was wrong before and is not now is over.
pub(super) async fn note(at: &Installation, target: &Target, done: &Done) -> Result<(), StoreError> {
    let rounds = &done.rounds;
    let mut wrong = Wrong::new();
    if !done.unlisted.is_empty() {
        let (code, topics) = (SUBSCRIPTION_OVERLAP, &done.unlisted);
        wrong.insert(
            (code, code.to_owned()),
            problem(
                target,
                code,
                code.to_owned(),
                format!(
                    "Events of {} arrive twice: also through a subscription that the API does not list.",
                    topics.join(", ")
                ),
                "Take these topics out of the app's own configuration (shopify.app.toml) and release it. Until then every change \
                 is looked at twice; nothing is lost. This is over when only ours bring something, or a day after the last of them."
                    .to_owned(),
                json!({ "topics": topics }),
            ),
        );
    }
    let Some(last) = rounds.last() else { return Ok(()) };
    let shown = last.left.as_ref().unwrap_or(&last.plan);
    let blocked: Vec<_> = shown
        .lines
        .iter()
        .filter(|line| line.blocked_by.is_some())
        .collect();
    if !blocked.is_empty() {
        let code = SUBSCRIPTION_BLOCKED;
        let topics: Vec<&str> = blocked.iter().map(|line| line.topic.as_str()).collect();
        let ids: Vec<String> = blocked
            .iter()
            .filter_map(|line| line.blocked_by.map(|id| id.to_string()))
            .collect();
        wrong.insert(
            (code, code.to_owned()),
            problem(
                target,
                code,
                code.to_owned(),
                format!(
                    "Somebody else's subscriptions stand in the place of ours for {}: events arrive through them, and lockstep \
                     cannot see to it that they stay.",
                    topics.join(", ")
                ),
                format!(
                    "Take them over with `lockstep webhooks adopt {} --shop {}`, or have whoever made them delete them.",
                    ids.join(" "),
                    target.name
                ),
                json!({ "topics": topics, "subscriptions": ids }),
            ),
        );
    }
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
    settle(at, &target.name, wrong, OF_DECLARED).await
}

/// Notes why nothing could be done, where a person is needed for it.
pub(super) async fn note_failure(
    at: &Installation,
    target: &Target,
    error: &SubscriptionsError,
) -> Result<(), StoreError> {
    let (code, reason, detail) = match error {
        SubscriptionsError::NoPublicUrl | SubscriptionsError::BadPublicUrl { .. } => (
            PUBLIC_URL_MISSING,
            format!("No webhook is registered with the shop: {error}."),
            json!({}),
        ),
        SubscriptionsError::Moved { count, to, .. } => (
            TWIN_INSTALLATION,
            format!("{error}."),
            json!({ "subscriptions": count, "address": to }),
        ),
        // Nothing was learned of the others.
        _ => return Ok(()),
    };
    let told = problem(target, code, code.to_owned(), reason, error.fix(), detail);
    let wrong = Wrong::from([((code, code.to_owned()), told)]);
    settle(at, &target.name, wrong, &[code]).await
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
    let open = at.store.open_problems(u32::MAX).await?;
    for ((code, cluster), problem) in &wrong {
        let is_known = open.iter().any(|row| {
            row.job.is_none()
                && row.shop == *shop
                && row.problem.code.0 == *code
                && row.problem.cluster == *cluster
        });
        if !is_known {
            tracing::warn!(%shop, code, "{} {}", problem.reason, problem.fix);
        }
    }
    for row in open {
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
