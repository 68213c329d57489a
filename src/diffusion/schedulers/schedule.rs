//! The noise schedule: betas, cumulative alphas, sigmas, timestep spacings, clipping and thresholding.
//!
//! Invariant: tables are f32 and made with the same roundings as the reference's, since a timestep list that is off by
//! one (ties go to even) changes the picture.

use crate::diffusion::schedulers::{Prediction, SamplerKind, SchedulerConfig};
use crate::tensor::error::{Error, Result};

/// Longest training schedule that is believed.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PredictionType {
    Epsilon,
    Sample,
    Velocity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VarianceType {
    FixedSmall,
    FixedSmallLog,
    FixedLarge,
    LearnedRange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spacing {
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
    pub(crate) prediction: PredictionType,
    pub(crate) variance: VarianceType,
    pub(crate) spacing: Spacing,
    pub(crate) steps_offset: i64,
    pub(crate) set_alpha_to_one: bool,
    limit: Limit,
}

impl Schedule {
    /// The schedule of `config` as the scheduler class of `kind` reads it.
    pub fn new(config: &SchedulerConfig, kind: SamplerKind) -> Result<Self> {
        let unclip = kind == SamplerKind::UnClip;
        let ancestral_family = matches!(kind, SamplerKind::Ddim | SamplerKind::Ddpm | SamplerKind::UnClip);
        let count = config.train_timesteps();
        if !(2..=MAX_TRAIN_TIMESTEPS).contains(&count) {
            return Err(unknown("num_train_timesteps", &count.to_string()));
        }
        if config.rescale_betas_zero_snr == Some(true) {
            return Err(unknown("rescale_betas_zero_snr", "true"));
        }
        let start = config.beta_start.unwrap_or(0.0001);
        let end = config.beta_end.unwrap_or(0.02);
        let default_betas = if unclip { "squaredcos_cap_v2" } else { "linear" };
        let betas = match (&config.trained_betas, config.beta_schedule.as_deref().unwrap_or(default_betas)) {
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
        let default_variance = if unclip { "fixed_small_log" } else { "fixed_small" };
        let variance = match config.variance_type.as_deref().unwrap_or(default_variance) {
            "fixed_small" => VarianceType::FixedSmall,
            "fixed_small_log" => VarianceType::FixedSmallLog,
            "fixed_large" => VarianceType::FixedLarge,
            "learned_range" => VarianceType::LearnedRange,
            other => return Err(unknown("variance_type", other)),
        };
        let default_spacing = if ancestral_family { "leading" } else { "linspace" };
        let spacing = match config.timestep_spacing.as_deref().unwrap_or(default_spacing) {
            "linspace" => Spacing::Linspace,
            "leading" => Spacing::Leading,
            "trailing" => Spacing::Trailing,
            other => return Err(unknown("timestep_spacing", other)),
        };
        let limit = if config.thresholding.unwrap_or(false) && !unclip {
            Limit::Dynamic {
                ratio: config.dynamic_thresholding_ratio.unwrap_or(0.995),
                max: config.sample_max_value.unwrap_or(Some(1.0)),
            }
        } else if ancestral_family && config.clip_sample.unwrap_or(true) {
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

    pub(crate) fn train_timesteps(&self) -> usize {
        self.betas.len()
    }

    /// Cumulative alpha at `timestep`; 1 before the first.
    pub(crate) fn alpha_cumprod(&self, timestep: i64) -> f32 {
        usize::try_from(timestep).ok().and_then(|t| self.alphas_cumprod.get(t).copied()).unwrap_or(1.0)
    }

    /// Forward process: `sqrt(a_t) x0 + sqrt(1 - a_t) noise` (Ho et al. 2020, eq. 4).
    #[must_use]
    pub fn add_noise(&self, original: &[f32], noise: &[f32], timestep: usize) -> Vec<f32> {
        mix(original, noise, self.alpha_cumprod(i64::try_from(timestep).unwrap_or(i64::MAX)))
    }

    /// x0 from the network's output at cumulative alpha `alpha`, before clipping.
    pub(crate) fn original(&self, prediction: Prediction<'_>, sample: &[f32], alpha: f32) -> Vec<f32> {
        let (a, b) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let pairs = prediction.mean.iter().zip(sample);
        match self.prediction {
            PredictionType::Epsilon => pairs.map(|(e, x)| (x - b * e) / a).collect(),
            PredictionType::Sample => prediction.mean.to_vec(),
            PredictionType::Velocity => pairs.map(|(v, x)| a * x - b * v).collect(),
        }
    }

    /// Clip or threshold x0 as configured; dynamic thresholding wins over clipping (Saharia et al. 2022, sec. 2.3).
    pub(crate) fn limit(&self, original: &mut [f32]) {
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
    pub(crate) fn sigmas(&self) -> Vec<f64> {
        self.alphas_cumprod.iter().map(|&a| f64::from(((1.0 - a) / a).sqrt())).collect()
    }
}

fn unknown(field: &str, value: &str) -> Error {
    Error::Request(format!("unknown {field} {value:?} in the scheduler configuration"))
}

/// `sqrt(alpha) a + sqrt(1 - alpha) b`.
fn mix(a: &[f32], b: &[f32], alpha: f32) -> Vec<f32> {
    let (ca, cb) = (alpha.sqrt(), (1.0 - alpha).sqrt());
    a.iter().zip(b).map(|(a, b)| ca * a + cb * b).collect()
}

/// `torch.linspace` in f32: symmetric around the middle.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f32 arithmetic is the point")]
fn linspace(start: f64, end: f64, count: usize) -> Vec<f32> {
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
fn cumulative_alphas(betas: &[f32]) -> Vec<f32> {
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

/// Integer timesteps of the discrete samplers (DDIM, DDPM), descending.
#[expect(clippy::cast_possible_wrap, reason = "counts of timesteps")]
pub(crate) fn discrete_timesteps(schedule: &Schedule, steps: usize) -> Vec<i64> {
    let total = schedule.train_timesteps();
    let last = total as i64 - 1;
    let list: Vec<i64> = match schedule.spacing {
        Spacing::Leading => {
            let ratio = (total / steps) as i64;
            (0..steps as i64).rev().map(|i| i * ratio + schedule.steps_offset).collect()
        }
        Spacing::Linspace => even_points(total - 1, steps),
        Spacing::Trailing => trailing(total, steps),
    };
    list.into_iter().map(|t| t.clamp(0, last)).collect()
}

/// Integer timesteps of the multistep solvers: `steps + 1` points of which the last is dropped.
#[expect(clippy::cast_possible_wrap, reason = "counts of timesteps")]
pub(crate) fn multistep_timesteps(schedule: &Schedule, steps: usize) -> Vec<i64> {
    let total = schedule.train_timesteps();
    let last = total as i64 - 1;
    let list: Vec<i64> = match schedule.spacing {
        Spacing::Linspace => {
            let mut points = even_points(total - 1, steps + 1);
            points.pop();
            points
        }
        Spacing::Leading => {
            let ratio = (total / (steps + 1)) as i64;
            (1..=steps as i64).rev().map(|i| i * ratio + schedule.steps_offset).collect()
        }
        Spacing::Trailing => trailing(total, steps),
    };
    list.into_iter().map(|t| t.clamp(0, last)).collect()
}

/// Real-valued timesteps of the Euler samplers, descending.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "timesteps are small")]
pub(crate) fn euler_timesteps(schedule: &Schedule, steps: usize) -> Vec<f64> {
    let total = schedule.train_timesteps();
    match schedule.spacing {
        // `numpy.linspace` gives 0 for one point; sampling has to start at the noise.
        Spacing::Linspace if steps == 1 => vec![(total - 1) as f64],
        Spacing::Linspace => {
            let span = (total - 1) as f64;
            (0..steps).rev().map(|i| span * i as f64 / (steps - 1) as f64).collect()
        }
        Spacing::Leading => {
            let ratio = (total / steps) as i64;
            (0..steps as i64).rev().map(|i| (i * ratio + schedule.steps_offset) as f64).collect()
        }
        Spacing::Trailing => trailing(total, steps).into_iter().map(|t| t as f64).collect(),
    }
}

/// `count` points from `last` down to 0, rounded half to even. One point alone is 0, as `numpy.linspace` gives it.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "timesteps are small")]
pub(crate) fn even_points(last: usize, count: usize) -> Vec<i64> {
    let step = if count > 1 { last as f64 / (count - 1) as f64 } else { 0.0 };
    (0..count).rev().map(|i| (i as f64 * step).round_ties_even() as i64).collect()
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "timesteps are small")]
fn trailing(total: usize, steps: usize) -> Vec<i64> {
    let ratio = total as f64 / steps as f64;
    (0..steps).map(|i| (total as f64 - i as f64 * ratio).round_ties_even() as i64 - 1).collect()
}

/// Linear interpolation of the table `values` at a real-valued index.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index within the table"
)]
pub(crate) fn interpolate(values: &[f64], at: f64) -> f64 {
    let at = at.clamp(0.0, (values.len() - 1) as f64);
    let low = at.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    values[low] + (values[high] - values[low]) * (at - low as f64)
}

/// Karras et al. 2022, eq. 5, rho 7: `count` sigmas from `max` down to `min`.
#[expect(clippy::cast_precision_loss, reason = "counts of steps")]
pub(crate) fn karras_sigmas(min: f64, max: f64, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (low, high) = (min.powf(1.0 / RHO), max.powf(1.0 / RHO));
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| (high + i as f64 / last * (low - high)).powf(RHO)).collect()
}

/// The real-valued timestep whose sigma is `sigma`, by interpolation of log-sigmas (`ascending`).
#[expect(clippy::cast_precision_loss, reason = "timesteps are small")]
pub(crate) fn sigma_to_timestep(ascending: &[f64], sigma: f64) -> f64 {
    let log = sigma.max(1e-10).ln();
    let low = ascending.partition_point(|s| s.ln() <= log).saturating_sub(1).min(ascending.len().saturating_sub(2));
    let (a, b) = (ascending[low].ln(), ascending[low + 1].ln());
    let w = ((a - log) / (a - b)).clamp(0.0, 1.0);
    (1.0 - w) * low as f64 + w * (low + 1) as f64
}

/// Image-to-image: the index of the first step and the number of steps left, of `steps` at `strength`
/// (`KandinskyImg2ImgPipeline.get_timesteps`).
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "truncation of a small positive number, as the reference does"
)]
pub fn img2img_window(steps: usize, strength: f64) -> (usize, usize) {
    let left = ((steps as f64 * strength.clamp(0.0, 1.0)) as usize).min(steps);
    (steps - left, left)
}

/// Image-to-image: the timestep of the noise that is added to the encoded picture, two below the truncated strength.
/// The reference wraps around below zero; here the smallest timestep is 0.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "truncation of a small positive number, as the reference does"
)]
pub fn img2img_timestep(train_timesteps: usize, strength: f64) -> i64 {
    (train_timesteps as f64 * strength.clamp(0.0, 1.0)) as i64 - 2
}

/// Image-to-image: noise added with the reference's own betas, 0.0001 to 0.02, whatever the scheduler's are
/// (`KandinskyImg2ImgPipeline.add_noise`).
#[must_use]
pub fn img2img_noise(original: &[f32], noise: &[f32], timestep: i64) -> Vec<f32> {
    let alphas = cumulative_alphas(&linspace(0.0001, 0.02, 1000));
    let index = usize::try_from(timestep).unwrap_or(0).min(alphas.len() - 1);
    mix(original, noise, alphas[index])
}
