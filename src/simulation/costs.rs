//! What a step of the decoder takes, by its rows: a table that was measured or predicted.
//!
//! Invariant: a step takes a finite time above 0, and more rows never take less.

use serde::Deserialize;

use crate::domain::Size;
use crate::engine::planner::Costs;

/// A table is no table.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    #[error("not a table of step times: {0}")]
    Json(#[from] serde_json::Error),
    #[error("rows and ms must be lists of one length, 1 to 1000 numbers above 0, in ascending order")]
    Points,
    #[error("host_ms must be 0 or more")]
    Host,
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
}

impl StepCosts {
    /// Predicted for an H100 and the published decoder at 512x512, from a roofline; not measured.
    #[must_use]
    pub fn predicted_h100() -> Self {
        let rows = [1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0];
        let ms = [2.92, 4.29, 6.99, 10.25, 12.60, 18.57, 23.67, 35.44, 46.00, 68.34, 90.00];
        Self { area: 512.0 * 512.0, rows: rows.to_vec(), ms: ms.to_vec(), host_ms: 0.3 }
    }

    /// A table of JSON: `{"area": 4096, "rows": [2, 4], "ms": [4.6, 8.2], "host_ms": 0.3}`.
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
        if table.host_ms.is_finite() && table.host_ms >= 0.0 { Ok(table) } else { Err(CostsError::Host) }
    }

    /// Seconds of a step of so many rows of this size.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    pub fn seconds(&self, size: Size, rows: usize) -> f64 {
        let scale = f64::from(size.width) * f64::from(size.height) / self.area;
        (self.milliseconds(rows as f64 * scale) + self.host_ms) / 1e3
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

/// Sizes as the planner tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    width: u32,
    height: u32,
}

impl From<Size> for Shape {
    fn from(size: Size) -> Self {
        Self { width: size.width, height: size.height }
    }
}

impl From<Shape> for Size {
    fn from(shape: Shape) -> Self {
        Self { width: shape.width, height: shape.height }
    }
}

/// What the planner of a worker may assume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned<'a> {
    pub costs: &'a StepCosts,
    pub most_rows: usize,
}

impl Costs<Shape> for Planned<'_> {
    fn cap(&self, _shape: Shape) -> usize {
        self.most_rows
    }

    fn cost(&self, shape: Shape, rows: usize) -> f64 {
        self.costs.seconds(shape.into(), rows)
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
        ] {
            assert!(StepCosts::from_json(text).is_err(), "{text}");
        }
    }
}
