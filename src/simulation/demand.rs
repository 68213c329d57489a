//! The jobs that come, and when: at random, in bursts, over a day, or as recorded.
//!
//! Invariant: arrivals are in the order of their times, and depend on the options alone.

use std::str::FromStr;

use serde::Deserialize;

use crate::bench::Random;
use crate::domain::{Priority, Size};

/// A recorded load cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("line {line}: {source}")]
    Json { line: usize, source: serde_json::Error },
    #[error("line {line}: {what}")]
    Value { line: usize, what: &'static str },
}

/// One job that comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// s
    pub at: f64,
    pub size: Size,
    /// Of the decoder.
    pub steps: u32,
    pub priority: Priority,
    /// Whether it is one of a [`Flood`].
    pub floods: bool,
}

/// One owner's jobs that come all at once, among those of many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood {
    pub jobs: usize,
    /// Whether they yield to those of others, or all go in the order in which they came.
    pub yields: bool,
}

/// How the rate changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Demand {
    /// A Poisson process.
    Steady,
    /// Calm times of half the rate, 9 s on average, and bursts of two and a half times the rate, 3 s on average.
    Bursts,
    /// From a fifth of the rate to nine fifths and back within this many seconds, with bursts of twice that for 2 minutes.
    Day { seconds: f64 },
}

/// Sizes, steps and their shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    pub sizes: Vec<(Size, u64)>,
    pub steps: Vec<(u32, u64)>,
    /// Of ten jobs, how many are of the priorities high and low.
    pub high: u64,
    pub low: u64,
}

impl Default for Mix {
    /// 80 % of 512x512 and 20 % of 768x768; 30 % of 25 steps, 60 % of 50 and 10 % of 100; all of one priority.
    fn default() -> Self {
        let square = |side| Size { width: side, height: side };
        Self {
            sizes: vec![(square(512), 8), (square(768), 2)],
            steps: vec![(25, 3), (50, 6), (100, 1)],
            high: 0,
            low: 0,
        }
    }
}

fn draw<T: Copy>(random: &mut Random, items: &[(T, u64)]) -> T {
    let mut left = random.below(items.iter().map(|(_, share)| share).sum::<u64>().max(1));
    for (item, share) in items {
        if left < *share {
            return *item;
        }
        left -= share;
    }
    items[0].0
}

impl Mix {
    /// The mean over all jobs of a number that depends on size and steps.
    #[expect(clippy::cast_precision_loss, reason = "shares are small")]
    pub(super) fn mean(&self, of: impl Fn(Size, u32) -> f64) -> f64 {
        let (mut sum, mut shares) = (0.0, 0.0);
        for (size, size_share) in &self.sizes {
            for (steps, steps_share) in &self.steps {
                let share = (size_share * steps_share) as f64;
                sum += share * of(*size, *steps);
                shares += share;
            }
        }
        sum / shares
    }

    fn job(&self, random: &mut Random, at: f64) -> Arrival {
        let (size, steps) = (draw(random, &self.sizes), draw(random, &self.steps));
        let priority = match random.below(10) {
            n if n < self.high => Priority::High,
            n if n < self.high + self.low => Priority::Low,
            _ => Priority::Normal,
        };
        Arrival { at, size, steps, priority, floods: false }
    }

    /// The jobs of a flood.
    pub(super) fn flood(&self, jobs: usize, at: f64, seed: u64) -> Vec<Arrival> {
        let mut kinds = Random::new(seed, u64::from_le_bytes(*b"flood   "));
        (0..jobs).map(|_| Arrival { floods: true, ..self.job(&mut kinds, at) }).collect()
    }
}

/// The jobs of `seconds` at a mean of `rate` a second.
pub(super) fn arrivals(demand: Demand, rate: f64, seconds: f64, mix: &Mix, seed: u64) -> Vec<Arrival> {
    let mut gaps = Random::new(seed, u64::from_le_bytes(*b"gaps    "));
    let mut kinds = Random::new(seed, u64::from_le_bytes(*b"kinds   "));
    let mut phases = Random::new(seed, u64::from_le_bytes(*b"phases  "));
    let mut phase = Phase { factor: 1.0, until: f64::INFINITY };
    if demand == Demand::Bursts {
        phase = Phase { factor: 0.5, until: phases.exponential(9.0) };
    } else if let Demand::Day { seconds } = demand {
        phase = Phase { factor: 1.0, until: phases.exponential(seconds / 12.0) };
    }
    let (mut at, mut jobs) = (0.0, Vec::new());
    loop {
        let factor = phase.factor
            * match demand {
                Demand::Day { seconds } => 1.0 - 0.8 * (std::f64::consts::TAU * at / seconds).cos(),
                _ => 1.0,
            };
        at += gaps.exponential(1.0 / (rate * factor).max(1e-9));
        if at >= seconds {
            return jobs;
        }
        jobs.push(mix.job(&mut kinds, at));
        while at >= phase.until {
            phase = phase.next(demand, &mut phases);
        }
    }
}

/// A time of calm or of a burst.
#[derive(Debug, Clone, Copy)]
struct Phase {
    factor: f64,
    until: f64,
}

impl Phase {
    fn next(self, demand: Demand, random: &mut Random) -> Self {
        let (factor, mean) = match (demand, self.factor > 1.0) {
            (Demand::Bursts, true) => (0.5, 9.0),
            (Demand::Bursts, false) => (2.5, 3.0),
            (Demand::Day { seconds }, true) => (1.0, seconds / 12.0),
            (Demand::Day { .. }, false) => (2.0, 120.0),
            (Demand::Steady, _) => (1.0, f64::INFINITY),
        };
        Self { factor, until: self.until + random.exponential(mean) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    at: f64,
    width: u32,
    height: u32,
    steps: u32,
    #[serde(default)]
    priority: Option<String>,
}

/// A recorded load: on each line a job, `{"at": 0.25, "width": 512, "height": 512, "steps": 50, "priority": "normal"}`.
pub fn read_trace(text: &str) -> Result<Vec<Arrival>, TraceError> {
    let mut jobs = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line_number = i + 1;
        let job: Recorded =
            serde_json::from_str(line).map_err(|source| TraceError::Json { line: line_number, source })?;
        let wrong = |what| TraceError::Value { line: line_number, what };
        if !(job.at.is_finite() && job.at >= 0.0) {
            return Err(wrong("at must be a time of 0 or more, s"));
        }
        if !(1..=16_384).contains(&job.width)
            || !(1..=16_384).contains(&job.height)
            || !(1..=10_000).contains(&job.steps)
        {
            return Err(wrong("width and height must be 1 to 16384, steps 1 to 10000"));
        }
        let priority = match &job.priority {
            Some(name) => Priority::from_str(name).map_err(|_| wrong("priority must be high, normal or low"))?,
            None => Priority::Normal,
        };
        let size = Size { width: job.width, height: job.height };
        jobs.push(Arrival { at: job.at, size, steps: job.steps, priority, floods: false });
    }
    jobs.sort_by(|a, b| a.at.total_cmp(&b.at));
    Ok(jobs)
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "thousands of jobs")]
mod tests {
    use super::*;

    /// Bounds are five standard errors or more.
    #[test]
    fn the_rate_is_what_was_asked_for() {
        for (demand, tolerance) in
            [(Demand::Steady, 0.02), (Demand::Bursts, 0.15), (Demand::Day { seconds: 3000.0 }, 0.35)]
        {
            let jobs = arrivals(demand, 20.0, 3000.0, &Mix::default(), 5);
            let rate = jobs.len() as f64 / 3000.0;
            assert!((rate / 20.0 - 1.0).abs() < tolerance, "{demand:?}: {rate}");
            assert!(jobs.windows(2).all(|pair| pair[0].at <= pair[1].at));
        }
    }

    #[test]
    fn jobs_are_of_the_mix() {
        let mix = Mix { high: 1, low: 3, ..Mix::default() };
        let jobs = arrivals(Demand::Steady, 20.0, 1000.0, &mix, 1);
        let share =
            |is: &dyn Fn(&Arrival) -> bool| jobs.iter().filter(|job| is(job)).count() as f64 / jobs.len() as f64;
        assert!((share(&|job| job.size.width == 768) - 0.2).abs() < 0.02);
        assert!((share(&|job| job.steps == 50) - 0.6).abs() < 0.02);
        assert!((share(&|job| job.priority == Priority::High) - 0.1).abs() < 0.02);
        assert!((share(&|job| job.priority == Priority::Low) - 0.3).abs() < 0.02);
    }

    #[test]
    fn a_recorded_load_is_read_and_what_is_wrong_is_named() {
        let jobs = read_trace("{\"at\": 2, \"width\": 64, \"height\": 64, \"steps\": 3}\n\n{\"at\": 1, \"width\": 64, \"height\": 64, \"steps\": 3, \"priority\": \"high\"}\n").unwrap();
        assert!((jobs[0].at - 1.0).abs() < 1e-9 && jobs[0].priority == Priority::High && jobs.len() == 2);
        let said = read_trace("{\"at\": 1, \"width\": 0, \"height\": 64, \"steps\": 3}").unwrap_err().to_string();
        assert!(said.starts_with("line 1: width"), "{said}");
    }
}
