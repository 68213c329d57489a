//! How many rows the server's steps held: the difference of a histogram in its metrics.
//!
//! Invariant: only steps between the two readings count, and missing metrics are reported as absent, not as zero.

use std::collections::BTreeMap;

use serde::Serialize;

/// The histogram of rows per step, by stage.
const METRIC: &str = "kandinsky_batch_rows";

/// Rows per step while the load was on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Batches {
    Measured(Vec<StageBatches>),
    Absent(String),
}

/// One stage's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageBatches {
    pub stage: String,
    pub steps: u64,
    pub mean_rows: f64,
    /// Steps with at most `rows` rows and more than the bucket before; empty if the server has no buckets.
    pub buckets: Vec<Bucket>,
}

/// See [`StageBatches::buckets`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// As Prometheus writes it; `+Inf` for the last.
    pub rows: String,
    pub steps: u64,
}

/// A reading of one stage: counts are cumulative, over time and over buckets.
#[derive(Debug, Default)]
struct Reading {
    count: f64,
    sum: f64,
    buckets: Vec<(String, f64)>,
}

impl Batches {
    /// What happened between two texts of metrics.
    #[must_use]
    pub fn between(before: Result<String, String>, after: Result<String, String>) -> Self {
        let (before, after) = match (before, after) {
            (Ok(before), Ok(after)) => (read(&before), read(&after)),
            (Err(why), _) | (_, Err(why)) => return Self::Absent(why),
        };
        if after.is_empty() {
            return Self::Absent(format!("the server's metrics have no {METRIC}"));
        }
        let none = Reading::default();
        let stages = after.iter().map(|(stage, after)| difference(stage, before.get(stage).unwrap_or(&none), after));
        Self::Measured(stages.filter(|stage| stage.steps > 0).collect())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of steps, cut off at 0")]
fn difference(stage: &str, before: &Reading, after: &Reading) -> StageBatches {
    let count = after.count - before.count;
    let mut lower = 0.0;
    let buckets = after.buckets.iter().map(|(rows, cumulative)| {
        let then = before.buckets.iter().find(|(edge, _)| edge == rows).map_or(0.0, |(_, count)| *count);
        let upper = cumulative - then;
        let steps = (upper - lower).max(0.0) as u64;
        lower = upper;
        Bucket { rows: rows.clone(), steps }
    });
    let buckets = buckets.collect::<Vec<_>>().into_iter().filter(|bucket| bucket.steps > 0).collect();
    let mean_rows = if count > 0.0 { (after.sum - before.sum) / count } else { 0.0 };
    StageBatches { stage: stage.to_owned(), steps: count.max(0.0) as u64, mean_rows, buckets }
}

/// Readings by stage, from Prometheus's text format. Labels other than `stage` and `le` are added up.
fn read(text: &str) -> BTreeMap<String, Reading> {
    let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
    for line in text.lines() {
        let Some((kind, labels, value)) = line.strip_prefix(METRIC).and_then(sample) else { continue };
        let reading = readings.entry(labels.get("stage").cloned().unwrap_or_default()).or_default();
        match (kind, labels.get("le")) {
            ("_count", _) => reading.count += value,
            ("_sum", _) => reading.sum += value,
            ("_bucket", Some(edge)) => match reading.buckets.iter_mut().find(|(known, _)| known == edge) {
                Some((_, count)) => *count += value,
                None => reading.buckets.push((edge.clone(), value)),
            },
            _ => {}
        }
    }
    readings
}

/// `_bucket{stage="prior",le="4"} 12` in its three parts.
fn sample(rest: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    let end = rest.find(['{', ' '])?;
    let (kind, rest) = rest.split_at(end);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once('}')?,
        None => ("", rest),
    };
    // Names of stages and edges of buckets hold neither commas nor escapes.
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let labels = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()));
    Some((kind, labels.collect(), value.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# TYPE kandinsky_batch_rows histogram
kandinsky_batch_rows_bucket{stage="decoder",le="1"} 5
kandinsky_batch_rows_bucket{stage="decoder",le="2"} 8
kandinsky_batch_rows_bucket{stage="decoder",le="+Inf"} 8
kandinsky_batch_rows_sum{stage="decoder"} 11
kandinsky_batch_rows_count{stage="decoder"} 8
kandinsky_batch_rows_total 3
"#;
    const AFTER: &str = r#"kandinsky_batch_rows_bucket{stage="decoder",le="1"} 6
kandinsky_batch_rows_bucket{stage="decoder",le="2"} 13
kandinsky_batch_rows_bucket{stage="decoder",le="+Inf"} 18
kandinsky_batch_rows_sum{stage="decoder"} 51
kandinsky_batch_rows_count{stage="decoder"} 18
kandinsky_batch_rows_sum{device="cpu",stage="prior"} 12
kandinsky_batch_rows_count{device="cpu",stage="prior"} 3
"#;

    #[test]
    fn the_difference_of_two_readings_is_taken_per_stage_and_bucket() {
        let Batches::Measured(stages) = Batches::between(Ok(BEFORE.to_owned()), Ok(AFTER.to_owned())) else {
            panic!("absent")
        };
        let seen: Vec<_> = stages.iter().map(|stage| (stage.stage.as_str(), stage.steps, stage.mean_rows)).collect();
        assert_eq!(seen, [("decoder", 10, 4.0), ("prior", 3, 4.0)]);
        let buckets: Vec<_> = stages[0].buckets.iter().map(|bucket| (bucket.rows.as_str(), bucket.steps)).collect();
        assert_eq!(buckets, [("1", 1), ("2", 4), ("+Inf", 5)]);
    }

    #[test]
    fn missing_metrics_are_reported_as_absent() {
        let absent = Batches::between(Ok(String::new()), Ok("other_metric 3\n".to_owned()));
        assert_eq!(absent, Batches::Absent("the server's metrics have no kandinsky_batch_rows".to_owned()));
        assert_eq!(Batches::between(Err("no".to_owned()), Ok(AFTER.to_owned())), Batches::Absent("no".to_owned()));
    }
}
