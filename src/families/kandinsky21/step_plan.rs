//! What a decoder step computes, where a request leaves out a part of it.
//!
//! Invariant: a function of the request and of the step alone, never of the batch; by default a step computes everything.

use crate::domain::Acceleration;

/// What the steps of one image compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepPlan {
    /// Steps from one with the whole network to the next; 1: all of them.
    interval: usize,
    /// The timesteps between which a step is guided.
    highest_guided: f32,
    lowest_guided: f32,
}

impl Default for StepPlan {
    fn default() -> Self {
        Self { interval: 1, highest_guided: f32::INFINITY, lowest_guided: f32::NEG_INFINITY }
    }
}

impl StepPlan {
    /// As a request asks for it, on a schedule of so many timesteps. Noise levels, not numbers of steps, decide where guidance is
    /// on, so it is the same for any sampler, number of steps and strength.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a thousand timesteps")]
    pub fn new(acceleration: &Acceleration, train_timesteps: usize) -> Self {
        let Acceleration { cache_interval, guidance_start, guidance_end } = *acceleration;
        let timestep = |share: f32| (1.0 - share) * train_timesteps as f32;
        let all = Self::default();
        Self {
            interval: cache_interval.max(1) as usize,
            highest_guided: if guidance_start > 0.0 { timestep(guidance_start) } else { all.highest_guided },
            lowest_guided: if guidance_end < 1.0 { timestep(guidance_end) } else { all.lowest_guided },
        }
    }

    /// Whether a step at this timestep is guided.
    #[must_use]
    pub fn guides(&self, timestep: f32) -> bool {
        (self.lowest_guided..=self.highest_guided).contains(&timestep)
    }

    /// Whether the step after so many others computes the whole network.
    #[must_use]
    pub fn is_whole(&self, taken: usize) -> bool {
        taken.is_multiple_of(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_is_on_between_two_noise_levels() {
        let plan =
            StepPlan::new(&Acceleration { guidance_start: 0.2, guidance_end: 0.75, ..Acceleration::default() }, 1000);
        let guided = [999.0, 801.0, 800.0, 500.0, 250.0, 249.0, 0.0].map(|timestep| plan.guides(timestep));
        assert_eq!(guided, [false, false, true, true, true, false, false]);
        assert_eq!(StepPlan::new(&Acceleration::default(), 1000), StepPlan::default());
        assert!(StepPlan::default().guides(0.0) && StepPlan::default().guides(1000.0));
    }
}
