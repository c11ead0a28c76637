//! Signatures of webhook deliveries.
//!
//! Shopify signs the raw bytes of a body with HMAC-SHA256 and sends the base64 of it in `X-Shopify-Hmac-Sha256`
//! (<https://shopify.dev/docs/apps/build/webhooks/verify-deliveries>). The key is the app's client secret, or, for
//! webhooks made by hand in the shop's settings, a secret of the shop; while a secret is rotated both are live. Topic,
//! shop and ids stand in headers outside the signature: a verified body says nothing about them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "X-Shopify-Hmac-Sha256";

/// Why a delivery is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("the delivery carries no signature")]
    Missing,
    /// The signature is not the base64 of 32 bytes.
    #[error("the signature is not the base64 form of an HMAC-SHA256")]
    Malformed,
    /// No secret that is live made this signature for this body.
    #[error("the signature was made with another secret, or the body was changed on the way")]
    Wrong,
}

/// Accepts a body that one of the live secrets signed.
///
/// Every secret is tried, whichever fits, and compared in constant time, so that the time taken tells nothing.
///
/// # Errors
/// When the signature is missing, malformed, or of no live secret; with no secret at all it is always wrong.
pub fn verify(
    secrets: &[SecretString],
    body: &[u8],
    signature_header: Option<&str>,
) -> Result<(), SignatureError> {
    let text = signature_header.ok_or(SignatureError::Missing)?.trim();
    let signature = STANDARD.decode(text).map_err(|_| SignatureError::Malformed)?;
    if signature.len() != 32 {
        return Err(SignatureError::Malformed);
    }
    let fitting = secrets
        .iter()
        .map(|secret| usize::from(authenticate(secret, body).verify_slice(&signature).is_ok()))
        .sum::<usize>();
    if fitting == 0 {
        return Err(SignatureError::Wrong);
    }
    Ok(())
}

/// The signature that Shopify would send for `body`.
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    STANDARD.encode(authenticate(secret, body).finalize().into_bytes())
}

fn authenticate(secret: &SecretString, body: &[u8]) -> Hmac<Sha256> {
    let mut hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    hmac.update(body);
    hmac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    #[test]
    fn a_known_signature_is_made() {
        // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?",
        // HMAC-SHA-256 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843.
        let expected = STANDARD
            .encode(hex::decode("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap());
        assert_eq!(
            sign(&SecretString::from("Jefe"), b"what do ya want for nothing?"),
            expected
        );
    }

    #[test]
    fn any_live_secret_is_accepted_and_nothing_else() {
        let body = br#"{"id":1}"#;
        let signature = sign(&SecretString::from("old"), body);
        for (name, live, header, expected) in [
            ("the only secret", vec!["old"], Some(signature.as_str()), Ok(())),
            (
                "while rotating",
                vec!["new", "old"],
                Some(signature.as_str()),
                Ok(()),
            ),
            (
                "first of two",
                vec!["old", "new"],
                Some(signature.as_str()),
                Ok(()),
            ),
            (
                "after rotating",
                vec!["new"],
                Some(signature.as_str()),
                Err(SignatureError::Wrong),
            ),
            (
                "no secret",
                vec![],
                Some(signature.as_str()),
                Err(SignatureError::Wrong),
            ),
            ("no header", vec!["old"], None, Err(SignatureError::Missing)),
            ("empty", vec!["old"], Some(""), Err(SignatureError::Malformed)),
            (
                "no base64",
                vec!["old"],
                Some("%%%"),
                Err(SignatureError::Malformed),
            ),
            (
                "too short",
                vec!["old"],
                Some("AAAA"),
                Err(SignatureError::Malformed),
            ),
            (
                "hexadecimal",
                vec!["old"],
                Some("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
                Err(SignatureError::Malformed),
            ),
        ] {
            assert_eq!(verify(&secrets(&live), body, header), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_changed_byte_breaks_the_signature(
            body in prop::collection::vec(any::<u8>(), 1..200),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let live = secrets(&["first", "second"]);
            let signature = sign(&live[1], &body);
            prop_assert_eq!(verify(&live, &body, Some(&signature)), Ok(()));
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= flip;
            prop_assert_eq!(verify(&live, &changed, Some(&signature)), Err(SignatureError::Wrong));
        }

        #[test]
        fn any_header_is_refused_calmly(header in ".{0,80}") {
            prop_assert!(verify(&secrets(&["secret"]), b"body", Some(&header)).is_err());
        }
    }
}
