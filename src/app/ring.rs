//! Telling a running daemon that a command left work for it.
//!
//! The work itself is in the store; the ring only saves the daemon's next look (a few seconds). So nothing depends on it:
//! no daemon, another machine, a changed port all mean that the work is noticed a little later.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::reach;
use crate::config::Config;
use crate::http::local_token;
use crate::store::SharedStore;
use crate::transport;

/// The path on the admin listener.
pub const PATH: &str = "/api/v1/ring";

/// Rings the daemon of this configuration. Says whether one answered.
pub async fn ring(config: &Config, store: &SharedStore) -> bool {
    let settings = transport::Settings {
        connect_timeout_s: 1,
        timeout_s: 1,
        ..transport::Settings::default()
    };
    let Ok(client) = transport::client(&settings) else {
        return false;
    };
    // No key: no daemon ever served this store.
    let Ok(Some(key)) = reach::known_key(store).await else {
        return false;
    };
    let request = client
        .post(format!("http://{}{PATH}", config.admin.listen))
        .bearer_auth(local_token(&key).expose_secret())
        .timeout(Duration::from_secs(1));
    match request.send().await {
        Ok(answer) => answer.status().is_success(),
        Err(error) => {
            tracing::debug!(%error, "no daemon answered the ring");
            false
        }
    }
}
