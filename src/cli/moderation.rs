//! `kandinsky moderation`: what the server's moderation is set up with.
//!
//! Invariant: a file of concepts is written whole or not at all.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::arguments::ModelArgs;
use super::error::CommandError;
use super::generate::read;
use super::print::print_line;
use crate::app::{self, Labelled};
use crate::domain::{Image, Limits};
use crate::moderation::Concept;
use crate::tensor::files::Lookup;

/// The label of examples without a category.
const BENIGN: &str = "benign";

/// Prepare the moderation of prompts and images.
#[derive(Args)]
pub(super) struct Moderation {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Learn concepts for the classifier from labelled examples: a file for moderation.concepts.
    Learn(Box<Learn>),
}

#[derive(Args)]
struct Learn {
    #[command(flatten)]
    model: ModelArgs,
    /// A table of texts: on each line a category, a tab and a text. Several categories of one text are separated by
    /// commas; "benign" stands for no category. Lines that begin with # are comments.
    #[arg(long, value_name = "FILE", required_unless_present = "images")]
    texts: Option<PathBuf>,
    /// A table of images: on each line a category, a tab and the path of an image, relative to the table's folder.
    #[arg(long, alias = "pictures", value_name = "FILE")]
    images: Option<PathBuf>,
    /// The share of what is flagged that should be right; a higher one finds less.
    #[arg(long, default_value_t = 0.95, value_parser = share)]
    precision: f32,
    /// Where to write the concepts.
    #[arg(long, value_name = "FILE", default_value = "concepts.json")]
    out: PathBuf,
}

impl Moderation {
    pub(super) async fn run(self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        let Command::Learn(learn) = self.command;
        learn.run(embedded).await
    }
}

impl Learn {
    async fn run(self, embedded: Option<Lookup>) -> Result<(), CommandError> {
        let mut config = self.model.load_config(None, None, None)?;
        // Embeddings need the encoders only.
        config.model.inpainting = false;
        let texts = self.texts.as_deref().map(table).transpose().map_err(CommandError::Usage)?.unwrap_or_default();
        let files = self.images.as_deref().map(table).transpose().map_err(CommandError::Usage)?.unwrap_or_default();
        let engine = app::start_engine(&config, embedded).await?;
        let folder = self.images.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let images = read_images(files, folder, &config.limits.for_model(engine.info().native_size))?;
        let concepts = app::learn_concepts(&engine, texts, images, self.precision).await?;
        let written = serde_json::to_string(&concepts)?;
        write_whole(&self.out, &written).with_context(|| format!("cannot write {}", self.out.display()))?;
        for (what, concepts) in [("texts", &concepts.texts), ("images", &concepts.images)] {
            for concept in concepts {
                print_line(format_args!("{what}: {}", line(concept)))?;
                if concept.precision < self.precision {
                    let category = &concept.category;
                    eprintln!("warning: {what}: {category}: target precision not reached; it takes more examples");
                }
            }
        }
        print_line(format_args!("written to {}", self.out.display()))?;
        Ok(())
    }
}

fn line(concept: &Concept) -> String {
    let Concept { category, examples, threshold, precision, recall, .. } = concept;
    format!(
        "{category}: {examples} examples; held out: precision {precision:.3}, recall {recall:.3} at cosine {threshold:.3}"
    )
}

fn share(text: &str) -> Result<f32, String> {
    let share: f32 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be 0 to 1".to_owned()) }
}

/// The lines of a table: labels, and what is labelled.
fn table(path: &Path) -> anyhow::Result<Labelled<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Vec::new();
    // Spreadsheets write a byte order mark.
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let at = || format!("{}, line {}", path.display(), number + 1);
        let (labels, example) = line.split_once('\t').with_context(|| format!("{}: there is no tab", at()))?;
        let labels: Vec<String> = labels.split(',').map(|label| label.trim().to_lowercase()).collect();
        if labels.iter().any(String::is_empty) || example.trim().is_empty() {
            bail!("{}: a category, a tab and an example are wanted", at());
        }
        if labels.len() > 1 && labels.iter().any(|label| label == BENIGN) {
            bail!("{}: what is {BENIGN} has no other category", at());
        }
        let categories = labels.into_iter().filter(|label| label != BENIGN).collect();
        rows.push((categories, example.trim().to_owned()));
    }
    Ok(rows)
}

fn read_images(files: Labelled<String>, folder: &Path, limits: &Limits) -> anyhow::Result<Labelled<Image>> {
    files.into_iter().map(|(categories, file)| Ok((categories, read(&folder.join(file), limits)?))).collect()
}

/// Write beside it, and put it in its place.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
