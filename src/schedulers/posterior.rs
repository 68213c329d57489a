//! The Gaussian step back of DDPM (Ho et al. 2020, arXiv 2006.11239), which DDPM and unCLIP share.

/// Variances are kept above this, since their logarithm is taken.
pub(super) const MIN_VARIANCE: f32 = 1e-20;

/// The posterior q(x_prev | x_t, x0) between two cumulative alphas (Ho et al. 2020, eq. 6 and 7).
pub(super) struct Posterior {
    pub(super) beta: f32,
    pub(super) variance: f32,
    original: f32,
    current: f32,
}

impl Posterior {
    pub(super) fn new(alpha: f32, alpha_previous: f32) -> Self {
        let step_alpha = alpha / alpha_previous;
        let beta = 1.0 - step_alpha;
        Self::with_beta(alpha, alpha_previous, beta, 1.0 - beta)
    }

    pub(super) fn with_beta(alpha: f32, alpha_previous: f32, beta: f32, step_alpha: f32) -> Self {
        let (rest, rest_previous) = (1.0 - alpha, 1.0 - alpha_previous);
        Self {
            beta,
            variance: rest_previous / rest * beta,
            original: alpha_previous.sqrt() * beta / rest,
            current: step_alpha.sqrt() * rest_previous / rest,
        }
    }

    pub(super) fn mean(&self, original: &[f32], sample: &[f32]) -> Vec<f32> {
        original.iter().zip(sample).map(|(x0, x)| self.original * x0 + self.current * x).collect()
    }
}
