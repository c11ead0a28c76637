//! How bodies are kept: compressed with LZ4 where that saves a tenth or more, else as they came.

use sha2::{Digest as _, Sha256};

use crate::domain::{ShopName, Timestamp};

/// Larger bodies are never stored, so a longer length in front of a compressed one means damage.
const LONGEST_BYTES: u32 = 256 * 1024 * 1024;

/// A body as it is stored.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) codec: &'static str,
}

/// Compresses a body where it pays.
pub(super) fn pack(body: &[u8]) -> Packed {
    let compressed = lz4_flex::block::compress_prepend_size(body);
    if compressed.len() <= body.len() / 10 * 9 {
        Packed {
            bytes: compressed,
            codec: "lz4",
        }
    } else {
        Packed {
            bytes: body.to_vec(),
            codec: "raw",
        }
    }
}

/// The body of what [`pack`] made; `None` when it is damaged or of a codec that this version does not know.
pub(super) fn unpack(bytes: Vec<u8>, codec: &str) -> Option<Vec<u8>> {
    match codec {
        "raw" => Some(bytes),
        "lz4" => {
            let length = u32::from_le_bytes(bytes.first_chunk::<4>().copied()?);
            if length > LONGEST_BYTES {
                return None;
            }
            lz4_flex::block::decompress_size_prepended(&bytes).ok()
        }
        _ => None,
    }
}

/// What is unique for each delivery: when its change happened (6 bytes, milliseconds) and 10 bytes of a SHA-256 over
/// shop and key. Shopify repeats a delivery with the same time. Keys that begin with it lie at the end of their index,
/// together; keys that lie anywhere would cost every commit a page of the index for each delivery.
pub(super) fn dedup(shop: &ShopName, key: &str, triggered_at: Option<Timestamp>) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(shop.as_str().as_bytes());
    // No shop's name contains it.
    hasher.update([0]);
    hasher.update(key.as_bytes());
    let time = triggered_at.map_or(0, Timestamp::millis).to_be_bytes();
    let mut unique = [0; 16];
    unique[..6].copy_from_slice(&time[2..]);
    unique[6..].copy_from_slice(&hasher.finalize()[..10]);
    unique
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repetitive_bodies_are_compressed_and_others_are_not() {
        assert_eq!(pack(&[b'a'; 1000]).codec, "lz4");
        assert_eq!(pack(b"{}").codec, "raw");
        assert_eq!(pack(b"").codec, "raw");
    }

    #[test]
    fn damage_is_noticed() {
        assert_eq!(unpack(vec![1, 2], "lz4"), None);
        assert_eq!(unpack(vec![255; 100], "lz4"), None);
        assert_eq!(unpack(vec![], "zstd"), None);
    }

    #[test]
    fn dedup_keys_of_two_shops_differ() {
        let (a, b): (ShopName, ShopName) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(dedup(&a, "1", None), dedup(&b, "1", None));
    }

    #[test]
    fn dedup_keys_follow_the_time_of_the_change() {
        let shop: ShopName = "a".parse().unwrap();
        let at = |millis| dedup(&shop, "1", Some(Timestamp::from_millis(millis)));
        assert!(at(1_764_000_000_000) < at(1_764_000_000_001));
        assert_eq!(at(5), at(5));
        assert_ne!(dedup(&shop, "1", None), dedup(&shop, "2", None));
    }

    proptest! {
        #[test]
        fn bodies_come_back_as_they_were(body in proptest::collection::vec(0_u8..4, 0..2000)) {
            let packed = pack(&body);
            prop_assert_eq!(unpack(packed.bytes, packed.codec), Some(body));
        }
    }
}
