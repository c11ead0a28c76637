//! Endpoints that are declared, changed and taken out: for the API and the console alike.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Extensions;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::caller;
use crate::app::api::review::{body, conflict, query};
use crate::app::api::webhooks::broken;
use crate::app::api::{Api, Refused, answer};
use crate::app::edit::EditError;
use crate::app::notify::{Declaration, Declare, DeclareError, Declared, Extent, cancel, declare};
use crate::app::review::{Reviewer, whole};
use crate::config::ConfigError;
use crate::domain::Actor;

/// What became of an endpoint in the configuration.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::app) struct DeclaredEndpoint {
    /// The file.
    #[serde(flatten)]
    pub(in crate::app) declared: Declared,
    /// Deliveries that wait for the endpoint. Where it is taken out they are given up.
    pub(in crate::app) waiting: u64,
    /// The number of the configuration in force afterwards, if the file was written.
    pub(in crate::app) revision: Option<i64>,
}

impl Api {
    /// Changes the configuration file and takes it up. Who did is written down.
    pub(in crate::app) async fn declare_endpoint(
        self: &Arc<Self>,
        wanted: Declaration,
        extent: Extent,
        actor: Actor,
    ) -> Result<DeclaredEndpoint, Refused> {
        let api = Arc::clone(self);
        // Whoever hangs up parts neither the file from its line in the audit log, nor from being taken up.
        let work = async move { api.declare_whole(wanted, extent, actor).await };
        whole(work).await.unwrap_or_else(|| Err(broken()))
    }

    async fn declare_whole(
        &self,
        wanted: Declaration,
        extent: Extent,
        actor: Actor,
    ) -> Result<DeclaredEndpoint, Refused> {
        let path = self.config.borrow().path.clone();
        let entropy = Arc::clone(&self.entropy);
        let (wanted, declared) = tokio::task::spawn_blocking(move || {
            let declared = declare(&path, &wanted, &extent, &entropy);
            (wanted, declared)
        })
        .await
        .map_err(|_| broken())?;
        let declared = declared.map_err(refused)?;
        let rows = self.store.endpoints().await?;
        let row = rows.iter().find(|row| row.name == wanted.endpoint);
        let mut made = DeclaredEndpoint {
            declared,
            waiting: row.map_or(0, |row| row.waiting),
            revision: None,
        };
        if !made.declared.written {
            return Ok(made);
        }
        let reviewer = Reviewer::new(self.store.clone(), self.clock.clone(), actor.clone());
        let kept = reviewer.declared(&wanted).await;
        made.revision = self.controls.reload().await.map_err(|detail| {
            let secret = made
                .declared
                .secret_file
                .as_ref()
                .map(|file| format!(" The new secret is in {}.", file.display()));
            Refused::Conflict {
                code: "files_not_taken",
                detail: detail + &secret.unwrap_or_default(),
            }
        })?;
        kept?;
        if wanted.what == Declare::Removed {
            let config = Arc::clone(&self.config.borrow());
            cancel(&config, &self.store, &self.clock, actor, &wanted.endpoint).await?;
        }
        Ok(made)
    }
}

/// Why nothing was changed, with what is below it.
fn refused(error: DeclareError) -> Refused {
    let mut detail = error.to_string();
    if let DeclareError::Edit(EditError::Refused(ConfigError::Invalid(findings))) = &error {
        detail = findings.in_words();
    } else {
        let mut below = std::error::Error::source(&error);
        while let Some(source) = below {
            detail = format!("{detail}: {source}");
            below = source.source();
        }
    }
    match error {
        DeclareError::Unknown(_) => Refused::Unknown(detail),
        DeclareError::Name(_) | DeclareError::Value { .. } | DeclareError::Afar { .. } => {
            Refused::Invalid(detail)
        }
        DeclareError::There(_) => conflict("endpoint_exists", detail),
        DeclareError::Edit(_) | DeclareError::Secret { .. } => conflict("endpoint_refused", detail),
    }
}

/// How an endpoint is to be changed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct How {
    new_secret: bool,
    dry_run: bool,
}

type Asked = (Path<String>, Result<Query<How>, QueryRejection>, Extensions);

async fn declared(
    api: Arc<Api>,
    (Path(endpoint), how, request): Asked,
    what: Result<Declare, Refused>,
) -> Response {
    let done = async {
        let how = query(how)?;
        let wanted = Declaration {
            endpoint,
            what: what?,
            new_secret: how.new_secret,
            from_afar: true,
        };
        let extent = if how.dry_run { Extent::Plan } else { Extent::Write };
        api.declare_endpoint(wanted, extent, caller(&request)).await
    };
    answer(done.await, &request)
}

pub(super) async fn create(State(api): State<Arc<Api>>, asked: Asked, bytes: Bytes) -> Response {
    declared(api, asked, body(&bytes).map(Declare::New)).await
}

pub(super) async fn change(State(api): State<Arc<Api>>, asked: Asked, bytes: Bytes) -> Response {
    declared(api, asked, body(&bytes).map(Declare::Changed)).await
}

pub(super) async fn remove(State(api): State<Arc<Api>>, asked: Asked) -> Response {
    declared(api, asked, Ok(Declare::Removed)).await
}
