//! The pages, each declared once.

use std::sync::Arc;

use axum::routing::{MethodRouter, get, post};

use super::{
    Console, audit, drift, job, jobs, login, mappings, notify, overview, plans, preview, problems, record,
    recovery, runs, settings, tables, webhooks, why,
};
use crate::domain::Role;

/// One page, or one action.
pub(super) struct Page {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// The least role that may; none where nobody needs to be logged in.
    pub(super) needs: Option<Role>,
    pub(super) handler: fn() -> MethodRouter<Arc<Console>>,
}

const fn page(
    method: &'static str,
    path: &'static str,
    needs: Option<Role>,
    handler: fn() -> MethodRouter<Arc<Console>>,
) -> Page {
    Page {
        method,
        path,
        needs,
        handler,
    }
}

/// All of them.
pub(super) fn table() -> Vec<Page> {
    let (viewer, operator, admin) = (Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin));
    vec![
        page("get", "/login", None, || get(login::form)),
        page("post", "/login", None, || post(login::log_in)),
        page("post", "/logout", viewer, || post(login::log_out)),
        page("get", "/", viewer, || get(overview::overview)),
        page("get", "/jobs", viewer, || get(jobs::list)),
        page("get", "/jobs/{id}", viewer, || get(job::show)),
        page("post", "/jobs/{id}/retry", operator, || post(job::act)),
        page("post", "/jobs/{id}/discard", operator, || post(job::act)),
        page("post", "/jobs/{id}/hold", operator, || post(job::act)),
        page("post", "/jobs/{id}/release", operator, || post(job::act)),
        page("post", "/jobs/{id}/ahead", operator, || post(job::act)),
        page("post", "/jobs/{id}/note", operator, || post(job::act)),
        page("post", "/jobs/{id}/resolve", operator, || post(job::act)),
        page("post", "/jobs/{id}/link", operator, || post(job::act)),
        page("post", "/jobs/{id}/keep", operator, || post(job::act)),
        page("post", "/jobs/selected", operator, || post(jobs::selected)),
        page("post", "/jobs/{id}/approve", operator, || post(job::act)),
        page("post", "/jobs/{id}/reject", operator, || post(job::act)),
        page("post", "/jobs/approve", operator, || post(plans::approve_many)),
        page("get", "/jobs/{id}/candidates", operator, || get(job::candidates)),
        page("get", "/events/{id}", viewer, || get(job::event)),
        page("get", "/problems", viewer, || get(problems::list)),
        page("get", "/problems/cluster", viewer, || get(problems::cluster)),
        page("post", "/problems/retry", operator, || post(problems::retry)),
        page("post", "/problems/claim", operator, || post(problems::act)),
        page("post", "/problems/unclaim", operator, || post(problems::act)),
        page("post", "/problems/snooze", operator, || post(problems::act)),
        page("post", "/problems/note", operator, || post(problems::act)),
        page("post", "/batches/{id}/stop", operator, || post(problems::stop)),
        page("get", "/why", viewer, || get(why::why)),
        page("get", "/audit", viewer, || get(audit::list)),
        page("post", "/shops/{shop}/pause", operator, || post(overview::pause)),
        page("post", "/shops/{shop}/resume", operator, || post(overview::pause)),
        page("post", "/shops/{shop}/limits/{object}/approve", operator, || {
            post(overview::limits)
        }),
        page("post", "/shops/{shop}/limits/{object}/reject", operator, || {
            post(overview::limits)
        }),
        page("get", "/webhooks", viewer, || get(webhooks::list)),
        page("post", "/webhooks/test", operator, || post(webhooks::test)),
        page("get", "/webhooks/plan", admin, || get(webhooks::plan)),
        page("post", "/webhooks/apply", admin, || post(webhooks::apply)),
        page("get", "/settings", viewer, || get(settings::show)),
        page("post", "/settings/plan", admin, || post(settings::plan)),
        page("post", "/settings/apply", admin, || post(settings::apply)),
        page("get", "/mappings", viewer, || get(mappings::list)),
        page("get", "/mappings/{name}", viewer, || get(mappings::show)),
        page("get", "/tables", viewer, || get(tables::list)),
        page("get", "/tables/{shop}/{table}", viewer, || get(tables::show)),
        page("get", "/tables/{shop}/{table}/plan", operator, || {
            get(tables::plan)
        }),
        page("post", "/tables/{shop}/{table}/set", operator, || {
            post(tables::set)
        }),
        page("get", "/mappings/preview", operator, || get(preview::form)),
        page("get", "/records", viewer, || get(record::find)),
        page("get", "/records/{shop}/{object}/{id}", viewer, || {
            get(record::show)
        }),
        page("post", "/records/{shop}/{object}/{id}/sync", operator, || {
            post(record::sync)
        }),
        page("get", "/runs", viewer, || get(runs::list)),
        page("post", "/runs/start", operator, || post(drift::start)),
        page("get", "/runs/{id}", viewer, || get(drift::show)),
        page("post", "/runs/imports/{id}/{turn}", operator, || post(runs::turn)),
        page("get", "/notify", viewer, || get(notify::list)),
        page("get", "/notify/new", admin, || get(notify::new)),
        page("get", "/notify/endpoints/{name}/edit", admin, || {
            get(notify::edit)
        }),
        page("post", "/notify/declare/plan", admin, || post(notify::plan)),
        page("post", "/notify/declare/apply", admin, || post(notify::apply)),
        page("post", "/notify/endpoints/{name}/{action}", operator, || {
            post(notify::act)
        }),
        page("get", "/notify/deliveries", viewer, || get(notify::deliveries)),
        page("get", "/notify/deliveries/{id}", viewer, || get(notify::delivery)),
        page("post", "/notify/deliveries/{id}/redeliver", operator, || {
            post(notify::again)
        }),
        page("post", "/notify/redeliver", operator, || {
            post(notify::range_again)
        }),
        page("get", "/notify/fields", viewer, || get(notify::fields)),
        page("get", "/recovery", viewer, || get(recovery::show)),
    ]
}
