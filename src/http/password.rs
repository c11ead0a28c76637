//! Passwords of the console's accounts: hashes by Argon2id (RFC 9106), and looking whether one fits.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};

/// A password with fewer characters is refused.
pub const SHORTEST_PASSWORD: usize = 10;

/// A longer one is refused unread.
pub const LONGEST_PASSWORD_BYTES: usize = 512;

/// Why a password cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It could be guessed.
    #[error(
        "the password has fewer than {SHORTEST_PASSWORD} characters and could be guessed: take a longer one"
    )]
    TooShort,
    /// Nobody types that.
    #[error("the password has more than {LONGEST_PASSWORD_BYTES} bytes: take a shorter one")]
    TooLong,
    /// The library refuses.
    #[error("the password cannot be hashed")]
    Refused,
}

/// The hash of a password, as `password_hash` in the configuration has it (`$argon2id$…`). `salt`: 16 bytes that nobody can
/// foresee.
///
/// # Errors
/// When the password is too short or too long.
pub fn hash_password(password: &SecretString, salt: [u8; 16]) -> Result<String, PasswordError> {
    let text = password.expose_secret();
    if text.chars().count() < SHORTEST_PASSWORD {
        return Err(PasswordError::TooShort);
    }
    if text.len() > LONGEST_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    let hash = Argon2::default().hash_password_with_salt(text.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|_| PasswordError::Refused)
}

/// Whether the text is a hash that passwords can be compared with.
pub fn is_password_hash(text: &str) -> bool {
    text.starts_with("$argon2id$") && PasswordHash::new(text).is_ok_and(|hash| hash.hash.is_some())
}

/// Whether the password belongs to the hash. Takes some tens of milliseconds and 20 MB: not to be run on a thread that
/// serves others.
pub fn is_password(hash: &str, password: &SecretString) -> bool {
    let text = password.expose_secret();
    text.len() <= LONGEST_PASSWORD_BYTES
        && is_password_hash(hash)
        && Argon2::default().verify_password(text.as_bytes(), hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let hash = hash_password(&secret("correct horse"), [7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password_hash(&hash));
        assert!(is_password(&hash, &secret("correct horse")));
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!is_password(&hash, &secret(wrong)), "{wrong}");
        }
        assert_ne!(hash, hash_password(&secret("correct horse"), [8; 16]).unwrap());
        for text in [
            "",
            "correct horse",
            "$argon2id$v=19$m=19456,t=2,p=1$",
            "$2b$12$abc",
            "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aaaa",
        ] {
            assert!(!is_password_hash(text), "{text}");
            assert!(!is_password(text, &secret("correct horse")), "{text}");
        }
        assert_eq!(
            hash_password(&secret("short"), [7; 16]),
            Err(PasswordError::TooShort)
        );
        let long = "x".repeat(LONGEST_PASSWORD_BYTES + 1);
        assert_eq!(
            hash_password(&secret(&long), [7; 16]),
            Err(PasswordError::TooLong)
        );
    }
}
