//! The proof that `public_url` leads to this very installation and not to whatever else answers there.
//!
//! The checker sends a nonce through the public address; only who knows the installation's key can answer it.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Json, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::json;
use sha2::Sha256;

use super::answer::Refusal;

/// Where the nonce is asked for: this path, then the nonce.
pub const NONCE_PATH: &str = "/.well-known/lockstep/nonce/";

pub(super) const ROUTE: &str = "/.well-known/lockstep/nonce/{nonce}";

/// A secret that belongs to this installation.
#[derive(Clone)]
pub struct InstanceKey(Arc<SecretSlice<u8>>);

impl InstanceKey {
    /// The key with these bytes: at least 16, not to be guessed.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(SecretSlice::from(bytes)))
    }
}

impl fmt::Debug for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceKey")
    }
}

/// What this installation answers to a nonce (16 to 128 letters, digits, `-` and `_`; others have no answer).
pub fn nonce_proof(key: &InstanceKey, nonce: &str) -> Option<String> {
    let valid = (16..=128).contains(&nonce.len())
        && nonce
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !valid {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key.0.expose_secret()).ok()?;
    // The prefix keeps this apart from everything else that may ever be signed with the key.
    mac.update(b"lockstep nonce 1\n");
    mac.update(nonce.as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()))
}

/// The token with which this installation's own commands, which read the same store, show themselves to the daemon.
pub fn local_token(key: &InstanceKey) -> SecretString {
    let mac = Hmac::<Sha256>::new_from_slice(key.0.expose_secret()).map(|mut mac| {
        mac.update(b"lockstep local token 1\n");
        mac.finalize().into_bytes()
    });
    // HMAC takes keys of every length.
    SecretString::from(mac.map(hex::encode).unwrap_or_default())
}

pub(super) async fn answer(
    State(key): State<InstanceKey>,
    Path(nonce): Path<String>,
    request: Request,
) -> Response {
    match nonce_proof(&key, &nonce) {
        Some(proof) => Json(json!({ "proof": proof })).into_response(),
        None => Refusal::NotFound.answer(request.extensions()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_nonce_give_the_same_proof() {
        let key = InstanceKey::new(vec![7; 32]);
        let nonce = "0123456789abcdef";
        let proof = nonce_proof(&key, nonce);
        assert!(proof.is_some());
        assert_eq!(proof, nonce_proof(&InstanceKey::new(vec![7; 32]), nonce));
        assert_ne!(proof, nonce_proof(&InstanceKey::new(vec![8; 32]), nonce));
        assert_ne!(proof, nonce_proof(&key, "0123456789abcdeg"));
        for bad in ["", "short", "0123456789abcde\n", &"x".repeat(129)] {
            assert_eq!(nonce_proof(&key, bad), None, "{bad}");
        }
    }
}
