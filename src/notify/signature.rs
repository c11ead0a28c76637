//! How receivers can tell that a notification comes from us and was not changed.
//!
//! The scheme is Standard Webhooks (<https://www.standardwebhooks.com>): HMAC-SHA256 over `id.timestamp.body`. While a
//! secret is being rotated, every secret signs, so that receivers may change over whenever they like. Some receivers expect a
//! plain HMAC over the body alone, under a header of their own: [`PlainHmac`] makes that.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::domain::Timestamp;

/// The notification's id.
pub const ID_HEADER: &str = "webhook-id";
/// When it was sent, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The signatures, separated by blanks.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

const PREFIX: &str = "whsec_";

/// The standard asks for 24 to 64 bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs: `whsec_` and 24 to 64 bytes in base64. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// A text that is no signing secret. It does not quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFormError {
    /// It does not begin with `whsec_`.
    #[error("a signing secret begins with whsec_")]
    Prefix,
    /// What follows is no base64.
    #[error("what follows whsec_ is no base64")]
    Base64,
    /// It is too short to be safe, or longer than the standard allows.
    #[error("a signing secret has 24 to 64 bytes, this one has {bytes}")]
    Length {
        /// How many it has.
        bytes: usize,
    },
}

impl SigningSecret {
    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, SecretFormError> {
        let key = text.trim().strip_prefix(PREFIX).ok_or(SecretFormError::Prefix)?;
        let key = STANDARD.decode(key).map_err(|_| SecretFormError::Base64)?;
        if KEY_BYTES.contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(SecretFormError::Length { bytes: key.len() })
        }
    }

    /// One signature: `v1,` and base64.
    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = mac(&self.0);
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(seconds.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(hidden)")
    }
}

/// What [`SIGNATURE_HEADER`] says: one signature for each secret. None without secrets.
pub fn signatures(secrets: &[SigningSecret], id: &str, sent: Timestamp, body: &[u8]) -> Option<String> {
    let seconds = sent.millis().div_euclid(1000);
    let all: Vec<String> = secrets
        .iter()
        .map(|secret| secret.sign(id, seconds, body))
        .collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// How a plain HMAC is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HmacEncoding {
    /// Lower-case hexadecimal digits.
    #[default]
    Hex,
    /// Base64, as Shopify writes its own.
    Base64,
}

/// A plain HMAC-SHA256 over the body, for receivers that expect that.
#[derive(Clone, Copy, Debug)]
pub struct PlainHmac<'a> {
    /// How it is written.
    pub encoding: HmacEncoding,
    /// What stands before it, e.g. `sha256=`.
    pub prefix: &'a str,
}

impl PlainHmac<'_> {
    /// The header's value. The key is the secret's text itself.
    pub fn sign(self, secret: &str, body: &[u8]) -> String {
        let mut mac = mac(secret.as_bytes());
        mac.update(body);
        let code = mac.finalize().into_bytes();
        let code = match self.encoding {
            HmacEncoding::Hex => hex::encode(code),
            HmacEncoding::Base64 => STANDARD.encode(code),
        };
        format!("{}{code}", self.prefix)
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod recipes;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;
    use crate::domain::{Clock as _, SystemClock};

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    /// Whether one of the signatures is right, as a receiver finds out: in constant time.
    pub(in crate::notify) fn verify(
        secret: &SigningSecret,
        id: &str,
        seconds: i64,
        body: &[u8],
        header: &str,
    ) -> bool {
        header
            .split(' ')
            .filter_map(|one| one.strip_prefix("v1,"))
            .filter_map(|one| STANDARD.decode(one).ok())
            .any(|one| {
                let mut mac = mac(&secret.0);
                mac.update(format!("{id}.{seconds}.").as_bytes());
                mac.update(body);
                mac.verify_slice(&one).is_ok()
            })
    }

    fn headers(id: &str, seconds: i64, signature: &str) -> reqwest::header::HeaderMap {
        [
            (ID_HEADER, id.to_owned()),
            (TIMESTAMP_HEADER, seconds.to_string()),
            (SIGNATURE_HEADER, signature.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
    }

    #[test]
    fn the_reference_implementation_makes_the_same_signature() {
        let body = br##"{"order":"#1001"}"##;
        let ours = signatures(
            &[SigningSecret::parse(SECRET).unwrap()],
            "evt_1",
            Timestamp::from_millis(1_649_367_553_999),
            body,
        );
        let theirs = Webhook::new(SECRET)
            .unwrap()
            .sign("evt_1", 1_649_367_553, body)
            .unwrap();
        assert_eq!(ours, Some(theirs));
    }

    #[test]
    fn while_secrets_rotate_the_reference_accepts_either_and_no_other() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let stranger = format!("whsec_{}", STANDARD.encode([8; 32]));
        let secrets = [SECRET, &other].map(|text| SigningSecret::parse(text).unwrap());
        let now = SystemClock.now();
        let signature = signatures(&secrets, "evt_1", now, b"{}").unwrap();
        let headers = headers("evt_1", now.millis() / 1000, &signature);
        for (secret, expected) in [(SECRET, true), (&*other, true), (&*stranger, false)] {
            let verdict = Webhook::new(secret).unwrap().verify(b"{}", &headers);
            assert_eq!(verdict.is_ok(), expected, "{verdict:?}");
        }
    }

    #[test]
    fn secrets_have_a_form_and_a_length() {
        for (text, expected) in [
            (SECRET, Ok(())),
            ("C2FVsBQIhrscChlQIMV+b5sSYspob7oD", Err(SecretFormError::Prefix)),
            ("whsec_not base64", Err(SecretFormError::Base64)),
            ("whsec_c2hvcnQ=", Err(SecretFormError::Length { bytes: 5 })),
            ("whsec_", Err(SecretFormError::Length { bytes: 0 })),
        ] {
            assert_eq!(SigningSecret::parse(text).map(drop), expected, "{text}");
        }
        assert!(!format!("{:?}", SigningSecret::parse(SECRET)).contains("C2FV"));
        assert_eq!(signatures(&[], "evt_1", Timestamp::from_millis(0), b""), None);
    }

    #[test]
    fn the_plain_code_is_what_others_compute() {
        // RFC 4231, test case 2.
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let plain =
            |encoding, prefix| PlainHmac { encoding, prefix }.sign("Jefe", b"what do ya want for nothing?");
        assert_eq!(plain(HmacEncoding::Hex, "sha256="), format!("sha256={hex}"));
        assert_eq!(
            plain(HmacEncoding::Base64, ""),
            STANDARD.encode(hex::decode(hex).unwrap())
        );
    }

    proptest! {
        #[test]
        fn any_change_breaks_the_signature(
            body in proptest::collection::vec(any::<u8>(), 1..200),
            at in any::<proptest::sample::Index>(),
            bit in 0_u8..8,
            seconds in 0_i64..4_000_000_000,
        ) {
            let secret = SigningSecret::parse(SECRET).unwrap();
            let sent = Timestamp::from_millis(seconds * 1000);
            let header = signatures(std::slice::from_ref(&secret), "evt_1", sent, &body).unwrap();
            prop_assert!(verify(&secret, "evt_1", seconds, &body, &header));
            prop_assert!(!verify(&secret, "evt_2", seconds, &body, &header));
            prop_assert!(!verify(&secret, "evt_1", seconds + 1, &body, &header));
            let mut changed = body.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            prop_assert!(!verify(&secret, "evt_1", seconds, &changed, &header));
        }
    }
}
