//! The signature of a webhook: base64 of HMAC-SHA256 over the raw body, keyed with the app's secret.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Value of `X-Shopify-Hmac-Sha256` for a body.
///
/// # Panics
/// Never: HMAC takes keys of any length.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_hmac_sha256_in_base64() {
        // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
        let expected =
            hex::decode("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap();
        let expected = base64::engine::general_purpose::STANDARD.encode(expected);
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }

    proptest::proptest! {
        #[test]
        fn every_byte_counts(
            body in proptest::collection::vec(0u8.., 1..3000), at: proptest::sample::Index, bit in 0u8..8,
        ) {
            let mut other = body.clone();
            other[at.index(body.len())] ^= 1 << bit;
            proptest::prop_assert_ne!(signature("secret", &body), signature("secret", &other));
        }
    }
}
