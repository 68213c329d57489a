//! What diffusers' classes fill in where a configuration says nothing.

/// What a class fills in where its configuration says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassDefaults {
    pub(super) beta_schedule: &'static str,
    pub(super) variance_type: &'static str,
    pub(super) spacing: &'static str,
    /// Whether it clips x0, and does so unless configured otherwise.
    pub(super) clips: bool,
    /// Whether it knows dynamic thresholding.
    pub(super) thresholds: bool,
}

impl ClassDefaults {
    /// DDPM and DDIM.
    pub(super) const DDPM_FAMILY: Self = Self {
        beta_schedule: "linear",
        variance_type: "fixed_small",
        spacing: "leading",
        clips: true,
        thresholds: true,
    };
    /// The solvers of the probability-flow ODE, which work with sigmas.
    pub(super) const SOLVERS: Self = Self { spacing: "linspace", clips: false, ..Self::DDPM_FAMILY };
}
