//! Arguments that several commands have.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError, Overrides};
use crate::domain::Acceleration;

/// What to run on, for every command that loads a model.
#[derive(Args)]
pub(super) struct ModelArgs {
    /// A configuration file; config/default.toml lists every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder with a checkpoint, or the id of one in the hub cache [default: the embedded kandinsky-mini].
    #[arg(long, value_name = "ID_OR_DIR")]
    model: Option<String>,
    /// auto, cpu or cuda:N; several, one worker each, are separated by commas [default: auto].
    #[arg(long)]
    device: Option<String>,
    /// auto, f32, bf16 or f16 [default: auto].
    #[arg(long)]
    dtype: Option<String>,
    /// What translates prompts: off, marian or libretranslate [default: off].
    #[arg(long, value_name = "NAME")]
    translator: Option<String>,
}

impl ModelArgs {
    /// The configuration with these arguments above its other layers.
    pub fn load_config(
        &self,
        listen: Option<String>,
        data: Option<String>,
        allow_anonymous: Option<bool>,
    ) -> Result<Config, ConfigError> {
        let (model, device, dtype) = (self.model.clone(), self.device.clone(), self.dtype.clone());
        let translator = self.translator.clone();
        let overrides =
            Overrides { listen, data, model, device, dtype, allow_anonymous, translator, ..Overrides::default() };
        Config::load(self.config.as_deref(), &overrides)
    }
}

/// Ways to draw with less work that change the image.
#[derive(Args)]
pub(super) struct AccelerationArgs {
    /// Compute all of the decoder at every N-th step only (1 to 10); the image changes.
    #[arg(long, value_name = "N", default_value_t = Acceleration::default().cache_interval)]
    cache_interval: u32,
    /// Where the decoder's guidance begins: 0 is pure noise, 1 the finished image. Steps without it take half the work; the image
    /// changes.
    #[arg(long, value_name = "SHARE", default_value_t = Acceleration::default().guidance_start)]
    guidance_start: f32,
    /// Where the decoder's guidance ends, likewise.
    #[arg(long, value_name = "SHARE", default_value_t = Acceleration::default().guidance_end)]
    guidance_end: f32,
}

impl AccelerationArgs {
    /// Their values, not yet checked.
    pub(super) fn acceleration(&self) -> Acceleration {
        Acceleration {
            cache_interval: self.cache_interval,
            guidance_start: self.guidance_start,
            guidance_end: self.guidance_end,
        }
    }
}
