//! How many devices there should be, as an autoscaler decides it: KEDA and the horizontal pod autoscaler of Kubernetes.
//!
//! Pure. Invariant: the number falls only when it was too large for the whole time of `patience`.

use std::collections::VecDeque;

/// What one device should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So many jobs that wait.
    Waiting(f64),
    /// So many jobs that wait or run.
    WaitingOrRunning(f64),
}

/// An autoscaler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    pub target: Target,
    pub least: usize,
    /// How often it looks, s.
    pub interval: f64,
    /// From the order of a device until it takes jobs, s.
    pub cold_start: f64,
    /// The largest number of this time counts when there could be fewer, s.
    pub patience: f64,
}

/// Its memory.
#[derive(Debug, Default)]
pub(super) struct Autoscaler {
    wanted: VecDeque<(f64, usize)>,
}

impl Autoscaler {
    /// How many devices there should be now that so many jobs wait and run.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of jobs and devices"
    )]
    pub(super) fn wanted(&mut self, scaling: &Scaling, most: usize, now: f64, waiting: usize, running: usize) -> usize {
        let number = match scaling.target {
            Target::Waiting(each) => waiting as f64 / each,
            Target::WaitingOrRunning(each) => (waiting + running) as f64 / each,
        };
        let number = (number.ceil() as usize).clamp(scaling.least.min(most), most);
        self.wanted.push_back((now, number));
        while self.wanted.front().is_some_and(|(at, _)| *at < now - scaling.patience) {
            self.wanted.pop_front();
        }
        self.wanted.iter().map(|(_, number)| *number).max().unwrap_or(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_at_once_and_shrinks_late() {
        let target = Target::WaitingOrRunning(5.0);
        let scaling = Scaling { target, least: 1, interval: 15.0, cold_start: 90.0, patience: 300.0 };
        let mut scaler = Autoscaler::default();
        assert_eq!(scaler.wanted(&scaling, 10, 0.0, 0, 0), 1);
        assert_eq!(scaler.wanted(&scaling, 10, 15.0, 10, 11), 5);
        assert_eq!(scaler.wanted(&scaling, 10, 30.0, 1000, 0), 10);
        assert_eq!(scaler.wanted(&scaling, 10, 330.0, 0, 0), 10);
        assert_eq!(scaler.wanted(&scaling, 10, 331.0, 0, 0), 1);
        let waiting = Scaling { target: Target::Waiting(10.0), ..scaling };
        assert_eq!(Autoscaler::default().wanted(&waiting, 10, 0.0, 20, 500), 2);
    }
}
