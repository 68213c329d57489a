//! The noise schedule: betas, cumulative alphas, sigmas, clipping and thresholding.
//!
//! Invariant: tables are f32 and made with the same roundings as the reference's, since a timestep list that is off by
//! one (ties go to even) changes the image.

use super::config::SchedulerConfig;
use super::defaults::ClassDefaults;
use super::error::SchedulerError;
use super::sampler::Prediction;

/// Longest training schedule that is believed.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PredictionType {
    Epsilon,
    Sample,
    Velocity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VarianceType {
    FixedSmall,
    FixedSmallLog,
    FixedLarge,
    LearnedRange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    Linspace,
    Leading,
    Trailing,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    None,
    Clip(f32),
    Dynamic { ratio: f32, max: Option<f32> },
}

/// A noise schedule with its class's defaults filled in.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub betas: Vec<f32>,
    pub alphas_cumprod: Vec<f32>,
    pub(super) prediction: PredictionType,
    pub(super) variance: VarianceType,
    pub(super) spacing: Spacing,
    pub(super) steps_offset: i64,
    pub(super) set_alpha_to_one: bool,
    limit: Limit,
}

impl Schedule {
    /// The schedule of `config` as a class with these defaults reads it.
    pub(super) fn new(config: &SchedulerConfig, defaults: ClassDefaults) -> Result<Self, SchedulerError> {
        let count = config.train_timesteps();
        if !(2..=MAX_TRAIN_TIMESTEPS).contains(&count) {
            return Err(unknown("num_train_timesteps", &count.to_string()));
        }
        if config.rescale_betas_zero_snr == Some(true) {
            return Err(unknown("rescale_betas_zero_snr", "true"));
        }
        let start = config.beta_start.unwrap_or(0.0001);
        let end = config.beta_end.unwrap_or(0.02);
        let betas = match (&config.trained_betas, config.beta_schedule.as_deref().unwrap_or(defaults.beta_schedule)) {
            (Some(betas), _) if betas.len() == count => betas.clone(),
            (Some(betas), _) => return Err(unknown("trained_betas of length", &betas.len().to_string())),
            (None, "linear") => linspace(start, end, count),
            (None, "scaled_linear") => linspace(start.sqrt(), end.sqrt(), count).iter().map(|b| b * b).collect(),
            (None, "squaredcos_cap_v2") => cosine_betas(count),
            (None, other) => return Err(unknown("beta_schedule", other)),
        };
        if let Some(beta) = betas.iter().find(|beta| !(**beta > 0.0 && **beta < 1.0)) {
            return Err(unknown("beta", &beta.to_string()));
        }
        let prediction = match config.prediction_type.as_deref().unwrap_or("epsilon") {
            "epsilon" => PredictionType::Epsilon,
            "sample" => PredictionType::Sample,
            "v_prediction" => PredictionType::Velocity,
            other => return Err(unknown("prediction_type", other)),
        };
        let variance = match config.variance_type.as_deref().unwrap_or(defaults.variance_type) {
            "fixed_small" => VarianceType::FixedSmall,
            "fixed_small_log" => VarianceType::FixedSmallLog,
            "fixed_large" => VarianceType::FixedLarge,
            "learned_range" => VarianceType::LearnedRange,
            other => return Err(unknown("variance_type", other)),
        };
        let spacing = match config.timestep_spacing.as_deref().unwrap_or(defaults.spacing) {
            "linspace" => Spacing::Linspace,
            "leading" => Spacing::Leading,
            "trailing" => Spacing::Trailing,
            other => return Err(unknown("timestep_spacing", other)),
        };
        let limit = if config.thresholding.unwrap_or(false) && defaults.thresholds {
            Limit::Dynamic {
                ratio: config.dynamic_thresholding_ratio.unwrap_or(0.995),
                max: config.sample_max_value.unwrap_or(Some(1.0)),
            }
        } else if defaults.clips && config.clip_sample.unwrap_or(true) {
            Limit::Clip(config.clip_sample_range.unwrap_or(1.0))
        } else {
            Limit::None
        };
        let bounds = match limit {
            Limit::None => true,
            Limit::Clip(range) => range > 0.0,
            Limit::Dynamic { ratio, max } => (0.0..=1.0).contains(&ratio) && max.is_none_or(|max| max >= 1.0),
        };
        if !bounds {
            return Err(unknown("clipping", &format!("{limit:?}")));
        }
        Ok(Self {
            alphas_cumprod: cumulative_alphas(&betas),
            betas,
            prediction,
            variance,
            spacing,
            steps_offset: config.steps_offset.unwrap_or(0),
            set_alpha_to_one: config.set_alpha_to_one.unwrap_or(true),
            limit,
        })
    }

    pub(super) fn train_timesteps(&self) -> usize {
        self.betas.len()
    }

    /// Cumulative alpha at `timestep`; 1 before the first.
    pub(super) fn alpha_cumprod(&self, timestep: i64) -> f32 {
        usize::try_from(timestep).ok().and_then(|t| self.alphas_cumprod.get(t).copied()).unwrap_or(1.0)
    }

    /// x0 from the network's output at cumulative alpha `alpha`, before clipping.
    pub(super) fn original(&self, prediction: Prediction<'_>, sample: &[f32], alpha: f32) -> Vec<f32> {
        let (a, b) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let pairs = prediction.mean.iter().zip(sample);
        match self.prediction {
            PredictionType::Epsilon => pairs.map(|(e, x)| (x - b * e) / a).collect(),
            PredictionType::Sample => prediction.mean.to_vec(),
            PredictionType::Velocity => pairs.map(|(v, x)| a * x - b * v).collect(),
        }
    }

    /// Clip or threshold x0 as configured; dynamic thresholding wins over clipping (Saharia et al. 2022, sec. 2.3).
    pub(super) fn limit(&self, original: &mut [f32]) {
        match self.limit {
            Limit::None => {}
            Limit::Clip(range) => original.iter_mut().for_each(|x| *x = x.clamp(-range, range)),
            Limit::Dynamic { ratio, max } => {
                let bound = quantile_abs(original, ratio).max(1.0);
                let bound = max.map_or(bound, |max| bound.min(max));
                for x in original {
                    *x = x.clamp(-bound, bound) / bound;
                }
            }
        }
    }

    /// Sigmas `sqrt((1 - a) / a)` of every training timestep, ascending.
    pub(super) fn sigmas(&self) -> Vec<f64> {
        self.alphas_cumprod.iter().map(|&a| f64::from(((1.0 - a) / a).sqrt())).collect()
    }
}

fn unknown(field: &str, value: &str) -> SchedulerError {
    SchedulerError(format!("unknown {field} {value:?} in the scheduler configuration"))
}

/// Forward process: `sqrt(alpha) a + sqrt(1 - alpha) b` (Ho et al. 2020, eq. 4).
pub(super) fn mix(a: &[f32], b: &[f32], alpha: f32) -> Vec<f32> {
    let (ca, cb) = (alpha.sqrt(), (1.0 - alpha).sqrt());
    a.iter().zip(b).map(|(a, b)| ca * a + cb * b).collect()
}

/// `torch.linspace` in f32: symmetric around the middle.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f32 arithmetic is the point")]
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    let step = (end - start) / (count - 1) as f32;
    (0..count)
        .map(|i| if i < count / 2 { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 })
        .collect()
}

/// Cosine schedule (Nichol & Dhariwal 2021) with betas capped at 0.999.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "tables are f32")]
fn cosine_betas(count: usize) -> Vec<f32> {
    let alpha_bar = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    (0..count)
        .map(|i| {
            let (t1, t2) = (i as f64 / count as f64, (i + 1) as f64 / count as f64);
            (1.0 - alpha_bar(t2) / alpha_bar(t1)).min(0.999) as f32
        })
        .collect()
}

/// Cumulative product of `1 - beta`, accumulated in f64 as PyTorch's CPU kernel does.
#[expect(clippy::cast_possible_truncation, reason = "tables are f32")]
pub(super) fn cumulative_alphas(betas: &[f32]) -> Vec<f32> {
    let mut product = 1.0_f64;
    betas
        .iter()
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

/// The `q` quantile of |x| with linear interpolation, as `torch.quantile`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank within the slice"
)]
fn quantile_abs(values: &[f32], q: f32) -> f32 {
    let mut sorted: Vec<f32> = values.iter().map(|x| x.abs()).collect();
    if sorted.is_empty() {
        return 0.0;
    }
    sorted.sort_by(f32::total_cmp);
    let rank = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f32;
    let low = (rank.floor() as usize).min(sorted.len() - 1);
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (rank - rank.floor())
}
