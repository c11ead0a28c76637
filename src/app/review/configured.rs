//! What is changed outside of the store, written down: toggles, subscriptions, everything pushed, accounts.
//!
//! A file or another system cannot be part of a transaction, so the line follows the change. Whoever has it done for a
//! connection that may hang up does both in a task of its own ([`whole`]), so that nothing parts them but a crash.

use serde_json::json;

use super::Reviewer;
use crate::app::notify::{Declaration, Declare};
use crate::app::push::Pushed;
use crate::app::subscriptions::ApplyReport;
use crate::app::toggle::{Edited, Switch, category_name};
use crate::domain::{Direction, Object, Role, ShopName};
use crate::store::{Action, StoreError};
use crate::subscriptions::Toggle;

/// Does all of it, whoever still waits for the answer. `None` when the work itself panicked.
pub async fn whole<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::spawn(work).await.ok()
}

impl Reviewer {
    /// Several toggles were changed together.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn switched(&self, switches: &[Switch]) -> Result<(), StoreError> {
        for switch in switches {
            let wanted = &switch.wanted;
            let of = (wanted.object, wanted.direction);
            self.toggled(&wanted.shop, of, (switch.before, wanted.toggle))
                .await?;
        }
        Ok(())
    }

    /// One was, if it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn edited(&self, edited: &Edited) -> Result<(), StoreError> {
        let of_name = |object: &Object| category_name(*object) == Some(edited.category);
        let Some(object) = Object::ALL
            .iter()
            .copied()
            .find(of_name)
            .filter(|_| edited.written)
        else {
            return Ok(());
        };
        let of = (object, edited.direction);
        self.toggled(&edited.shop, of, (edited.before, edited.after))
            .await
    }

    async fn toggled(
        &self,
        shop: &ShopName,
        (object, direction): (Object, Direction),
        (before, after): (Toggle, Toggle),
    ) -> Result<(), StoreError> {
        let detail = json!({ "object": object, "direction": direction, "before": before, "after": after });
        self.configured("toggle", shop, detail).await.map(drop)
    }

    /// Subscriptions of shops were changed; of a shop where nothing was done nothing is written down.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn applied(&self, reports: &[ApplyReport], plan: Option<&str>) -> Result<(), StoreError> {
        for report in reports.iter().filter(|report| !report.results.is_empty()) {
            let changes = report.results.len();
            let detail = json!({ "plan": plan, "changes": changes, "complete": report.is_complete });
            self.configured("apply_webhooks", &report.shop, detail).await?;
        }
        Ok(())
    }

    /// Everything of an object was asked for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pushed(
        &self,
        shop: &ShopName,
        object: Object,
        pushed: Pushed,
        gone_too: bool,
    ) -> Result<(), StoreError> {
        let detail = json!({
            "object": object, "records": pushed.records, "made": pushed.made, "gone_too": gone_too,
        });
        self.configured("push_all", shop, detail).await.map(drop)
    }

    /// Both sides of a shop are compared because somebody wants it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn compared(&self, shop: &ShopName, object: Object, dry_run: bool) -> Result<(), StoreError> {
        let detail = json!({ "object": object, "dry_run": dry_run });
        self.configured("reconcile", shop, detail).await.map(drop)
    }

    /// An endpoint was declared, changed or taken out. Of what was written only the keys are told.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn declared(&self, declaration: &Declaration) -> Result<(), StoreError> {
        let keys = |values: &serde_json::Map<String, serde_json::Value>| {
            let keys: Vec<&String> = values.keys().collect();
            json!({ "keys": keys, "new_secret": declaration.new_secret })
        };
        let (what, detail) = match &declaration.what {
            Declare::New(values) => ("declare_endpoint", keys(values)),
            Declare::Changed(values) => ("change_endpoint", keys(values)),
            Declare::Removed => ("remove_endpoint", serde_json::Value::Null),
        };
        let action = Action::Configured {
            what,
            shop: None,
            subject: format!("endpoint:{}", declaration.endpoint),
            detail,
        };
        self.act(action, None).await.map(drop)
    }

    /// An account of the console was made, or one that was there has another password and role.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn added_user(&self, name: &str, role: Role, was_there: bool) -> Result<(), StoreError> {
        let action = Action::Configured {
            what: "add_user",
            shop: None,
            subject: format!("user:{name}"),
            detail: json!({ "role": role, "was_there": was_there }),
        };
        self.act(action, None).await.map(drop)
    }
}
