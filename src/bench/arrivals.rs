//! Random numbers and random arrivals.
//!
//! Invariant: the numbers depend on the seed alone; they are the same on every machine and in every version.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood 2014): small, fast, and fixed for good.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream number `stream` of a seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let origin = Self(seed).next().wrapping_add(stream);
        Self(Self(origin).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1].
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Exponential, with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -self.uniform().ln() * mean
    }

    /// Uniform in `0..bound`; `bound` must not be 0. The bias of at most `bound / 2^64` does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of them; they must not be empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        #[expect(clippy::cast_possible_truncation, reason = "below the length of a slice")]
        let index = self.below(items.len() as u64) as usize;
        &items[index]
    }
}

/// Gaps between the arrivals of a Poisson process: exponential, with a mean of `1 / rate`.
#[derive(Debug, Clone)]
pub struct Arrivals {
    random: Random,
    rate: f64,
}

impl Arrivals {
    /// `rate` arrivals a second on average; it must be above 0.
    #[must_use]
    pub fn new(seed: u64, rate: f64) -> Self {
        Self { random: Random::new(seed, u64::from_le_bytes(*b"arrivals")), rate }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Duration::try_from_secs_f64(-self.random.uniform().ln() / self.rate).ok()
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "thousands of draws")]
mod tests {
    use super::*;

    /// Mean and standard deviation of an exponential distribution are both 1 / rate, its median is ln 2 / rate, and gaps
    /// that follow each other are independent. Bounds are five standard errors of 40,000 gaps.
    #[test]
    fn gaps_are_those_of_a_poisson_process() {
        let gaps: Vec<f64> = Arrivals::new(7, 4.0).take(40_000).map(|gap| gap.as_secs_f64()).collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
        let below_median = gaps.iter().filter(|gap| **gap < std::f64::consts::LN_2 / 4.0).count() as f64 / n;
        let covariance = gaps.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / n;
        assert!((mean - 0.25).abs() < 0.25 * 0.025, "mean {mean}");
        assert!((variance.sqrt() - 0.25).abs() < 0.25 * 0.036, "deviation {}", variance.sqrt());
        assert!((below_median - 0.5).abs() < 0.0125, "median {below_median}");
        assert!((covariance / variance).abs() < 0.025, "correlation {}", covariance / variance);
    }

    #[test]
    fn counts_in_a_second_have_the_variance_of_their_mean() {
        let mut counts = [0_u32; 4000];
        let mut at = 0.0;
        for gap in Arrivals::new(11, 5.0) {
            at += gap.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and below 4000")]
            let Some(count) = counts.get_mut(at as usize) else { break };
            *count += 1;
        }
        let n = counts.len() as f64;
        let mean = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / n;
        let variance = counts.iter().map(|c| (f64::from(*c) - mean).powi(2)).sum::<f64>() / n;
        assert!((mean - 5.0).abs() < 0.18, "mean {mean}");
        assert!((variance / mean - 1.0).abs() < 0.12, "dispersion {}", variance / mean);
    }

    #[test]
    fn seeds_and_streams_are_told_apart_and_fixed() {
        // The first three numbers of the published reference implementation for the state 1234567.
        let mut reference = Random(1_234_567);
        let numbers = [reference.next(), reference.next(), reference.next()];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        let first = |seed, stream| Random::new(seed, stream).next();
        assert_eq!(first(1, 2), first(1, 2));
        assert!(first(1, 2) != first(2, 1) && first(1, 2) != first(1, 3) && first(0, 0) != first(0, 1));
    }
}
