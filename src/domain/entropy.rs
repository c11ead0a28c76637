//! Randomness as a parameter, for jitter and for names that must not be guessed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt as _, SeedableRng};

/// A source of random numbers.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// A number drawn evenly from `0.0..1.0`.
    fn unit(&self) -> f64;

    /// 16 random bytes; from [`SystemEntropy`] they cannot be guessed.
    fn bytes(&self) -> [u8; 16];
}

/// Randomness that many parts share.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that draws real randomness"
    )]
    fn unit(&self) -> f64 {
        rand::rng().random()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that draws real randomness"
    )]
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }
}

/// The same numbers for the same seed, for tests and simulations.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<SmallRng>);

impl SeededEntropy {
    /// Randomness that `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn unit(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut bytes);
        bytes
    }
}
