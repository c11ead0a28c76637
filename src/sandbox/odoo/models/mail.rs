//! Messages on records, and the mails that would leave.

use serde_json::{Value as Json, json};

use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::Res;
use crate::sandbox::odoo::html;
use crate::sandbox::odoo::schema::Model;
use crate::sandbox::odoo::value::Val;

/// `message_post`: a number up to 18, a list from 19 on.
pub(in crate::sandbox::odoo) fn message_post(
    env: &mut Env<'_>,
    model: &'static Model,
    ids: &[i64],
    body: &Json,
    subject: &Json,
    kind: &Json,
) -> Res<Json> {
    env.allow(model, "read")?;
    env.must_exist(model, ids)?;
    let body = html::sanitize(body.as_str().unwrap_or_default());
    let kind = kind.as_str().unwrap_or("notification").to_owned();
    let mut posted = 0;
    for id in ids {
        posted = env.post(model.name, *id, &body, &kind);
        if let Some(subject) = subject.as_str() {
            env.set("mail.message", posted, [("subject", Val::text(subject))]);
        }
    }
    Ok(if env.version().before_19() {
        json!(posted)
    } else {
        json!([posted])
    })
}

/// "You have been assigned": mailed when somebody else becomes a record's salesperson.
pub(super) fn notify_assigned(env: &mut Env<'_>, model: &'static str, id: i64, user: Option<i64>) {
    let Some(user) = user.filter(|user| *user != env.uid) else {
        return;
    };
    if env.context.flag("mail_auto_subscribe_no_notify") || env.context.flag("tracking_disable") {
        return;
    }
    let recipient = env.id("res.users", user, "partner_id");
    let name = super::display_name(env, model, id);
    env.insert(
        "mail.mail",
        Row::from([
            ("subject", Val::Text(format!("You have been assigned to {name}"))),
            ("model", Val::text(model)),
            ("res_id", Val::Int(id)),
            ("recipient_id", Val::one(recipient)),
            ("state", Val::text("outgoing")),
        ]),
    );
}

/// Whether a change is told on the record.
pub(super) fn tracks(env: &Env<'_>) -> bool {
    !env.context.flag("tracking_disable") && !env.context.flag("mail_notrack")
}
