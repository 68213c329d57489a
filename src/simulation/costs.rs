//! What a step of the decoder takes, by its rows, and an image and a job beside it: a table that was measured or predicted.
//!
//! Invariant: a step takes a finite time above 0, and more rows never take less.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::Size;
use crate::engine::costs::settled_cap;
use crate::engine::planner::Costs;

/// Rows of an image's step: with and without the prompt.
pub(super) const ROWS: usize = 2;
/// Pixels of a side of a latent pixel.
const LATENT: u32 = 8;

/// A table is no table.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    #[error("not a table of step times: {0}")]
    Json(#[from] serde_json::Error),
    #[error("rows and ms must be lists of one length, 1 to 1000 numbers above 0, in ascending order")]
    Points,
    #[error("host_ms, image_ms and job_ms must be 0 or more")]
    Beside,
}

/// Milliseconds of a decoder step, of each number of rows at `area` pixels a row. Between the numbers it is interpolated, beyond the
/// last a row costs what it costs there. Other sizes count as rows in proportion to their area.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepCosts {
    /// Pixels of a row's image.
    area: f64,
    rows: Vec<f64>,
    ms: Vec<f64>,
    /// What every step takes beside the device's work.
    host_ms: f64,
    /// What an image takes of the device beside the decoder's steps: text, prior, its decoding.
    #[serde(default)]
    image_ms: f64,
    /// What a job takes beside the device, which does something else meanwhile: the request, the stores, the queue.
    #[serde(default)]
    job_ms: f64,
}

impl StepCosts {
    /// Predicted for an H100 and the published decoder at 512x512, from a roofline; not measured.
    #[must_use]
    pub fn predicted_h100() -> Self {
        let rows = [1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0];
        let ms = [2.92, 4.29, 6.99, 10.25, 12.60, 18.57, 23.67, 35.44, 46.00, 68.34, 90.00];
        Self { area: 512.0 * 512.0, rows: rows.to_vec(), ms: ms.to_vec(), host_ms: 0.3, image_ms: 0.0, job_ms: 0.0 }
    }

    /// A table of JSON: `{"area": 4096, "rows": [2, 4], "ms": [4.6, 8.2], "host_ms": 0.3, "image_ms": 9, "job_ms": 5}`; the last two
    /// may be left out.
    pub fn from_json(text: &str) -> Result<Self, CostsError> {
        let table: Self = serde_json::from_str(text)?;
        let ascends = |numbers: &[f64]| {
            numbers.iter().all(|n| n.is_finite() && *n > 0.0) && numbers.windows(2).all(|pair| pair[0] <= pair[1])
        };
        let distinct = table.rows.windows(2).all(|pair| pair[0] < pair[1]);
        let lengths = table.rows.len() == table.ms.len() && (1..=1000).contains(&table.rows.len());
        let area = table.area.is_finite() && table.area > 0.0;
        if !(lengths && area && distinct && ascends(&table.rows) && ascends(&table.ms)) {
            return Err(CostsError::Points);
        }
        let beside = [table.host_ms, table.image_ms, table.job_ms];
        if beside.iter().all(|ms| ms.is_finite() && *ms >= 0.0) { Ok(table) } else { Err(CostsError::Beside) }
    }

    /// Seconds of a step of so many rows of this size.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    pub fn seconds(&self, size: Size, rows: usize) -> f64 {
        let scale = f64::from(size.width) * f64::from(size.height) / self.area;
        (self.milliseconds(rows as f64 * scale) + self.host_ms) / 1e3
    }

    /// Seconds of an image on the device, beside its steps.
    pub(super) fn image_seconds(&self) -> f64 {
        self.image_ms / 1e3
    }

    /// Seconds of a job, beside the device.
    pub(super) fn job_seconds(&self) -> f64 {
        self.job_ms / 1e3
    }

    fn milliseconds(&self, rows: f64) -> f64 {
        let after = self.rows.partition_point(|known| *known < rows);
        match (after.checked_sub(1), self.rows.get(after)) {
            (None, _) => self.ms[0],
            (Some(before), None) => self.ms[before] * rows / self.rows[before],
            (Some(before), Some(next)) => {
                let share = (rows - self.rows[before]) / (next - self.rows[before]);
                self.ms[before] + share * (self.ms[after] - self.ms[before])
            }
        }
    }
}

/// Work as the planner tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Work {
    width: u32,
    height: u32,
    /// A step of the decoder, or else what comes beside its steps, for one image at a time.
    pub is_step: bool,
}

impl Work {
    pub(super) fn new(size: Size, is_step: bool) -> Self {
        Self { width: size.width, height: size.height, is_step }
    }
}

/// What the planner of a worker may assume.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub costs: &'a StepCosts,
    most_rows: usize,
    /// Those that were asked for.
    caps: RefCell<BTreeMap<Work, usize>>,
}

impl<'a> Planned<'a> {
    /// With steps of at most so many rows.
    pub(super) fn new(costs: &'a StepCosts, most_rows: usize) -> Self {
        Self { costs, most_rows, caps: RefCell::default() }
    }
}

impl Costs<Work> for Planned<'_> {
    /// As workers find it once they have measured their steps.
    fn cap(&self, work: Work) -> usize {
        if !work.is_step {
            return 1;
        }
        *self.caps.borrow_mut().entry(work).or_insert_with(|| {
            let size = Size { width: work.width, height: work.height };
            let area = (size.width / LATENT).max(1) as usize * (size.height / LATENT).max(1) as usize;
            settled_cap(area, self.most_rows, |rows| self.costs.seconds(size, rows)).max(ROWS)
        })
    }

    fn cost(&self, work: Work, rows: usize) -> f64 {
        let size = Size { width: work.width, height: work.height };
        if work.is_step { self.costs.seconds(size, rows) } else { self.costs.image_seconds() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size { width: 64, height: 64 };

    fn seconds(rows: usize) -> f64 {
        let text = r#"{"area": 4096, "rows": [2, 4], "ms": [4, 10], "host_ms": 1}"#;
        StepCosts::from_json(text).unwrap().seconds(SMALL, rows)
    }

    #[test]
    fn between_the_numbers_of_a_table_it_is_interpolated() {
        for (rows, expected) in [(1, 0.005), (2, 0.005), (3, 0.008), (4, 0.011), (8, 0.021)] {
            assert!((seconds(rows) - expected).abs() < 1e-12, "{rows}: {}", seconds(rows));
        }
        let wide = Size { width: 128, height: 64 };
        let costs = StepCosts::from_json(r#"{"area": 4096, "rows": [2, 4], "ms": [4, 10], "host_ms": 0}"#).unwrap();
        assert!((costs.seconds(wide, 2) - costs.seconds(SMALL, 4)).abs() < 1e-12);
    }

    #[test]
    fn a_worker_on_paper_batches_as_far_as_it_pays() {
        let cap = |text: &str, most_rows| {
            let costs = StepCosts::from_json(text).unwrap();
            Planned::new(&costs, most_rows).cap(Work::new(SMALL, true))
        };
        let pays = r#"{"area": 4096, "rows": [1, 64], "ms": [5, 68], "host_ms": 0}"#;
        assert_eq!((cap(pays, 64), cap(pays, 16)), (64, 16));
        // As on a CPU: a row costs what it costs.
        assert_eq!(cap(r#"{"area": 4096, "rows": [1, 64], "ms": [1, 64], "host_ms": 0}"#, 64), 8);
        assert_eq!(cap(r#"{"area": 4096, "rows": [1, 64], "ms": [60, 3840], "host_ms": 0}"#, 64), 4);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in [
            "[]",
            r#"{"area": 4096, "rows": [2], "ms": [4, 5], "host_ms": 0}"#,
            r#"{"area": 4096, "rows": [], "ms": [], "host_ms": 0}"#,
            r#"{"area": 4096, "rows": [4, 2], "ms": [4, 5], "host_ms": 0}"#,
            r#"{"area": 4096, "rows": [2, 2], "ms": [4, 5], "host_ms": 0}"#,
            r#"{"area": 4096, "rows": [2, 4], "ms": [5, 4], "host_ms": 0}"#,
            r#"{"area": 0, "rows": [2], "ms": [4], "host_ms": 0}"#,
            r#"{"area": 4096, "rows": [2], "ms": [4], "host_ms": -1}"#,
            r#"{"area": 4096, "rows": [2], "ms": [4], "host_ms": 1, "image_ms": -1}"#,
        ] {
            assert!(StepCosts::from_json(text).is_err(), "{text}");
        }
    }
}
