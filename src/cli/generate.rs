//! `kandinsky generate`: every mode from the command line, no server needed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};

use super::arguments::{AccelerationArgs, ModelArgs};
use super::error::CommandError;
use super::mode_flags::ModeFlags;
use super::print::print_line;
use super::translate::translate_texts;
use crate::app;
use crate::domain::{
    Common, Format, Image, Limits, Output, PriorKind, PriorSettings, PromptSyntax, Scheduler, Size, TranslateWhen,
    TranslatedText, Warning,
};
use crate::generation;
use crate::imaging::{self, DecodeLimits, Encoder, Metadata};
use crate::modes::{Generation, Mode};
use crate::schedulers;
use crate::telemetry;
use crate::telemetry::LogSettings;
use crate::tensor::files::Lookup;

/// Make images and write them to files.
#[derive(Args)]
pub(super) struct Generate {
    #[arg(value_parser = mode_parser())]
    mode: Mode,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    flags: ModeFlags,
    /// What to keep out of the image.
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// The unconditional text of the prior's guidance.
    #[arg(long, value_name = "TEXT")]
    negative_prior_prompt: Option<String>,
    /// The unconditional text of the decoder's guidance [default: the negative prompt]
    #[arg(long, value_name = "TEXT")]
    negative_decoder_prompt: Option<String>,
    /// How brackets in all texts are read: plain, or weights: (word:1.3), ((word)), [word].
    #[arg(long, default_value = "plain", value_parser = parse::<PromptSyntax>)]
    prompt_syntax: PromptSyntax,
    /// Which texts are translated first, with --translator: auto, always or off [default: as configured, auto]
    #[arg(long, value_name = "WHEN", value_parser = parse::<TranslateWhen>)]
    translate: Option<TranslateWhen>,
    /// px [default: the model's own; for inpainting the image's]
    #[arg(long)]
    width: Option<u32>,
    /// px
    #[arg(long)]
    height: Option<u32>,
    /// Number of images; image i has the seed SEED + i.
    #[arg(long, default_value_t = 1)]
    n: u32,
    /// [default, or -1: random, and printed]
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    seed: Option<i64>,
    #[arg(long, default_value_t = Common::default().steps)]
    steps: u32,
    #[arg(long, default_value_t = Common::default().guidance_scale)]
    guidance_scale: f32,
    /// [default: the checkpoint's own]
    #[arg(long, value_parser = scheduler_parser())]
    scheduler: Option<Scheduler>,
    /// DDIM's eta: 0 is deterministic, 1 as noisy as DDPM.
    #[arg(long, default_value_t = 0.0)]
    eta: f32,
    /// diffusion, linear, residual or none.
    #[arg(long, default_value = "diffusion", value_parser = parse::<PriorKind>)]
    prior: PriorKind,
    #[arg(long, default_value_t = PriorSettings::default().steps)]
    prior_steps: u32,
    #[arg(long, default_value_t = PriorSettings::default().guidance_scale)]
    prior_guidance_scale: f32,
    #[command(flatten)]
    acceleration: AccelerationArgs,
    /// Decode through the codebook.
    #[arg(long)]
    quantize_latents: bool,
    /// A .png, .jpg or .webp file, or - for the standard output [default: MODE-SEED.png].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Quality of a JPEG, 1 to 100.
    #[arg(long, default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
}

fn scheduler_parser() -> impl TypedValueParser<Value = Scheduler> {
    PossibleValuesParser::new(schedulers::names()).map(Scheduler::named)
}

fn parse<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

/// Parses the name of a mode; the help lists them.
pub(super) fn mode_parser() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(Mode::name)).try_map(|name| name.parse().map_err(std::io::Error::other))
}

impl Generate {
    pub(super) async fn run(self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        let config = self.model.load_config(None, None, None)?;
        let generation = self.generation(&config.limits).map_err(CommandError::Usage)?;
        let generation =
            generation.check(&config.limits, None).map_err(|violations| CommandError::Usage(violations.into()))?;
        let (mode, seed) = (generation.mode(), generation.common.seed);
        self.check_out(mode, seed, generation.common.n).map_err(CommandError::Usage)?;
        telemetry::start_logs(&LogSettings { level: "warn".to_owned(), ..config.log.clone() })
            .map_err(|message| CommandError::Usage(anyhow::anyhow!(message)))?;
        let encoder = app::encoder(&config)?;

        let bar = ProgressBar::new_spinner();
        bar.set_message("loading the model");
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        let engine = app::start_engine(&config, embedded).await?;
        let limits = config.limits.for_model(engine.info().native_size).with_usual_policy(config.model.path.is_empty());
        let mut generation = self.with_size(generation.into(), engine.info().native_size);
        let (translated, left) = translate_texts(&config, embedded, &mut generation, self.translate).await?;
        for TranslatedText { original, drawn, .. } in &translated {
            bar.suspend(|| eprintln!("translated: {original} -> {drawn}"));
        }
        let generation = generation
            .check(&limits, Some(engine.info().native_size))
            .map_err(|violations| CommandError::Usage(violations.into()))?;
        bar.disable_steady_tick();
        let mut warnings = engine.info().warnings(&generation);
        warnings.extend(generation.size_warnings());
        warnings.extend(left);
        for warning in &warnings {
            let place = warning.field.as_deref().unwrap_or_default().trim_start_matches('/');
            bar.suspend(|| eprintln!("warning: {place}: {}", warning.message));
        }
        let parameters = parameters_of(&warnings, &translated);
        bar.set_style(style());
        let running = generation::start_generation(&engine, generation)?;
        let images = running
            .images(|stage, step, steps| {
                bar.set_message(stage.title);
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
            })
            .await?;
        bar.finish_and_clear();
        for (i, image) in images.iter().enumerate() {
            let seed = seed.wrapping_add(i as u64);
            let path = self.path(mode, seed, i, images.len());
            let bytes = self.encode(
                &encoder,
                image,
                &path,
                &Metadata { origin: mode.origin(), seed, parameters: &parameters },
            )?;
            write(&path, &bytes)?;
            if path.as_os_str() != "-" {
                let Size { width, height } = image.size();
                print_line(format_args!("{} (seed {seed}, {width}x{height})", path.display()))?;
            }
        }
        Ok(())
    }

    /// The size that is asked for.
    fn with_size(&self, mut generation: Generation, native: u32) -> Generation {
        generation.common.size = generation.size_of_sides((self.width, self.height), native);
        generation
    }

    fn generation(&self, limits: &Limits) -> anyhow::Result<Generation> {
        let common = Common {
            negative_prompt: self.negative_prompt.clone(),
            negative_prior_prompt: self.negative_prior_prompt.clone(),
            negative_decoder_prompt: self.negative_decoder_prompt.clone(),
            size: None,
            drawn: None,
            n: self.n,
            seed: self
                .seed
                .and_then(|seed| u64::try_from(seed).ok())
                .unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0)),
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            scheduler: self.scheduler.clone(),
            eta: self.eta,
            prior: PriorSettings {
                kind: self.prior,
                steps: self.prior_steps,
                guidance_scale: self.prior_guidance_scale,
            },
            quantize_latents: self.quantize_latents,
            prompt_syntax: self.prompt_syntax,
            acceleration: self.acceleration.acceleration(),
            decoder_originals: Vec::new(),
        };
        Ok(Generation { input: self.flags.input(self.mode, (self.width, self.height), limits)?, common })
    }

    /// Whether the results can be written, before they are made.
    fn check_out(&self, mode: Mode, seed: u64, count: u32) -> anyhow::Result<()> {
        match &self.out {
            Some(out) if out.as_os_str() == "-" && count > 1 => bail!("--out - takes one image, not {count}"),
            Some(out) if out.as_os_str() == "-" => return Ok(()),
            Some(out) => Self::format(out).map(drop)?,
            None => {}
        }
        check_writable(&self.path(mode, seed, 0, count as usize))
    }

    fn format(path: &Path) -> anyhow::Result<Format> {
        if path.as_os_str() == "-" {
            return Ok(Format::Png);
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        extension
            .to_ascii_lowercase()
            .parse::<Format>()
            .ok()
            .with_context(|| format!("{}: not .png, .jpg or .webp", path.display()))
    }

    fn path(&self, mode: Mode, seed: u64, index: usize, count: usize) -> PathBuf {
        let Some(out) = &self.out else {
            return PathBuf::from(format!("{}-{seed}.png", mode.name()));
        };
        if count == 1 || out.as_os_str() == "-" {
            return out.clone();
        }
        let stem = out.file_stem().unwrap_or_default().to_string_lossy();
        let extension = out.extension().unwrap_or_default().to_string_lossy();
        out.with_file_name(format!("{stem}-{}.{extension}", index + 1))
    }

    fn encode(
        &self,
        encoder: &Encoder,
        image: &Image,
        path: &Path,
        metadata: &Metadata<'_>,
    ) -> anyhow::Result<Vec<u8>> {
        let output = Output { format: Self::format(path)?, quality: self.quality, embed_metadata: true };
        Ok(encoder.finished(image, &output, metadata)?)
    }
}

/// What files say of a request beside its seed: JSON, or nothing.
fn parameters_of(warnings: &[Warning], translations: &[TranslatedText]) -> String {
    let mut said = serde_json::Map::new();
    if !warnings.is_empty() {
        said.insert("warnings".to_owned(), serde_json::json!(warnings));
    }
    if !translations.is_empty() {
        said.insert("translations".to_owned(), serde_json::json!(translations));
    }
    if said.is_empty() { String::new() } else { serde_json::Value::Object(said).to_string() }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        return Ok(std::io::stdout().write_all(bytes)?);
    }
    if is_special(path) {
        return std::fs::write(path, bytes).with_context(|| path.display().to_string());
    }
    let temporary = temporary_beside(path);
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // It may not even exist.
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(|| path.display().to_string())
}

/// Whether a path is a device, a pipe or a link, in whose place no file is put.
fn is_special(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new name in the folder of a file.
fn temporary_beside(path: &Path) -> PathBuf {
    folder_of(path).join(format!(".kandinsky-{}.part", uuid::Uuid::new_v4()))
}

/// Whether a file can be put there.
fn check_writable(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{}: is a folder", path.display());
    }
    if is_special(path) {
        return Ok(());
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("{}: there is no folder {}", path.display(), folder.display());
    }
    // A file that is protected stays.
    if path.exists() {
        std::fs::File::options().write(true).open(path).with_context(|| path.display().to_string())?;
    }
    let temporary = temporary_beside(path);
    std::fs::File::create_new(&temporary)
        .and_then(|_| std::fs::remove_file(&temporary))
        .with_context(|| format!("{}: no file can be written there", folder.display()))
}

fn decode_limits(limits: &Limits) -> DecodeLimits {
    DecodeLimits { max_side: limits.max_input_side, max_pixels: limits.max_input_pixels }
}

/// An image within these limits.
pub(super) fn read(path: &Path, limits: &Limits) -> anyhow::Result<Image> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    imaging::decode(&bytes, &decode_limits(limits)).with_context(|| path.display().to_string())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:10} [{bar:40}] {pos}/{len} {elapsed} (eta {eta})")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
