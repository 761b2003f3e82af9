//! Randomness as a value that is handed in, so that every jittered decision can be replayed in a test.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Draws numbers from `[0, 1)`. Clones share one sequence.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Random {
    /// Draws from the thread's own generator; nothing is shared between threads.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| rand::rng().random()))
    }

    /// Draws the same sequence for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let generator = Mutex::new(SmallRng::seed_from_u64(seed));
        Self(Arc::new(move || generator.lock().random()))
    }

    /// Draws always the same number, which takes the jitter out of a test.
    #[must_use]
    pub fn always(value: f64) -> Self {
        Self(Arc::new(move || value))
    }

    /// Draws the next number from `[0, 1)`.
    #[must_use]
    pub fn draw(&self) -> f64 {
        (self.0)()
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::system()
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_within_the_range() {
        let (left, right) = (Random::seeded(7), Random::seeded(7));
        for _ in 0..100 {
            let drawn = left.draw();
            assert_eq!(drawn.to_bits(), right.draw().to_bits());
            assert!((0.0..1.0).contains(&drawn));
        }
    }
}
