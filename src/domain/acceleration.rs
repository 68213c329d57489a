//! Ways to draw with less work that change the image, as a request chooses them.
//!
//! Invariant: by default nothing is left out, and the image is the one that it was without these.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Violations;

/// What decoder steps leave out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Acceleration {
    /// Every so many steps all of the decoder is computed; the steps between take the features of its deep layers from the last of
    /// those (Ma et al. 2023, `DeepCache`). 1: all of it at every step.
    pub cache_interval: u32,
    /// Where guidance begins, in shares of the schedule: 0 is pure noise, 1 the finished image. Before, a step is without guidance
    /// (Kynkäänniemi et al. 2024).
    pub guidance_start: f32,
    /// Where guidance ends.
    pub guidance_end: f32,
}

impl Default for Acceleration {
    fn default() -> Self {
        Self { cache_interval: 1, guidance_start: 0.0, guidance_end: 1.0 }
    }
}

/// The fields that are not at their defaults, as `name=value`.
impl fmt::Display for Acceleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let mut parts = Vec::new();
        if self.cache_interval != usual.cache_interval {
            parts.push(format!("cache_interval={}", self.cache_interval));
        }
        for (name, value, usual) in [
            ("guidance_start", self.guidance_start, usual.guidance_start),
            ("guidance_end", self.guidance_end, usual.guidance_end),
        ] {
            if (value - usual).abs() > 0.0 {
                parts.push(format!("{name}={value}"));
            }
        }
        f.write_str(&parts.join(","))
    }
}

impl Acceleration {
    /// Longest distance between two steps that compute all of the decoder.
    pub const MAX_CACHE_INTERVAL: u32 = 10;
    /// Of the cost of a whole step, the part that one with the last one's features has: 1 in so many.
    const REUSING_COSTS: u64 = 8;

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Whether features are kept between steps.
    #[must_use]
    pub fn reuses_features(&self) -> bool {
        self.cache_interval > 1
    }

    /// So many decoder steps, in whole ones that cost as much.
    #[must_use]
    pub fn whole_steps(&self, steps: u32) -> u64 {
        let whole = steps.div_ceil(self.cache_interval.max(1));
        u64::from(whole).saturating_add(u64::from(steps - whole).div_ceil(Self::REUSING_COSTS))
    }

    /// Check all fields; every violation is noted.
    pub(super) fn check(&self, violations: &mut Violations) {
        let max = Self::MAX_CACHE_INTERVAL;
        let message = format!("must be 1 to {max}");
        violations.require((1..=max).contains(&self.cache_interval), "/acceleration/cache_interval", message);
        for (value, pointer) in
            [(self.guidance_start, "/acceleration/guidance_start"), (self.guidance_end, "/acceleration/guidance_end")]
        {
            violations.require((0.0..=1.0).contains(&value), pointer, "must be 0 to 1");
        }
        // What is not in range was already said.
        let is_ordered =
            self.guidance_start <= self.guidance_end || self.guidance_end < 0.0 || self.guidance_start > 1.0;
        violations.require(
            is_ordered || self.guidance_start.is_nan() || self.guidance_end.is_nan(),
            "/acceleration/guidance_end",
            "must not be below guidance_start",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_reuse_features_cost_less() {
        let every = |cache_interval| Acceleration { cache_interval, ..Acceleration::default() };
        assert_eq!([1, 50].map(|steps| every(1).whole_steps(steps)), [1, 50]);
        // 17 of 50 are whole, 33 cost an eighth; of one step nothing can be left out.
        assert_eq!([1, 50].map(|steps| every(3).whole_steps(steps)), [1, 17 + 5]);
    }

    #[test]
    fn each_violation_is_named_once() {
        let said = |acceleration: Acceleration| {
            let mut violations = Violations::default();
            acceleration.check(&mut violations);
            violations.0.into_iter().map(|violation| violation.pointer).collect::<Vec<_>>()
        };
        let off = Acceleration::default();
        assert!(said(off).is_empty());
        assert_eq!(said(Acceleration { cache_interval: 0, ..off }), ["/acceleration/cache_interval"]);
        assert_eq!(said(Acceleration { cache_interval: 11, ..off }), ["/acceleration/cache_interval"]);
        assert_eq!(said(Acceleration { guidance_start: 2.0, ..off }), ["/acceleration/guidance_start"]);
        assert_eq!(said(Acceleration { guidance_end: -1.0, ..off }), ["/acceleration/guidance_end"]);
        let crossed = Acceleration { guidance_start: 0.6, guidance_end: 0.4, ..off };
        assert_eq!(said(crossed), ["/acceleration/guidance_end"]);
    }
}
