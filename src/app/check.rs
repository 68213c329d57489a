//! `serve --check`: whether a server could start, found out without starting one. Nothing is left behind.

use std::path::Path;

use super::marking::encoder;
use super::model::checkpoint;
use super::moderation::Hooks;
use super::{features, keys};
use crate::config::Config;
use crate::families::kandinsky21::Checkpoint;
use crate::tensor::files::{Folder, Lookup};

/// Parts of a checkpoint that no mode does without, and the files that describe them.
const DESCRIPTIONS: [(&str, &str); 2] = [("unet", "config.json"), ("movq", "config.json")];

/// All that is wrong, each with its key.
pub async fn check(config: &Config, embedded: Option<Lookup>) -> Vec<String> {
    let mut problems: Vec<String> = features::missing(config).iter().map(ToString::to_string).collect();
    problems.extend(config.check_files().iter().map(ToString::to_string));
    if let Err(error) = Hooks::read(config) {
        problems.push(format!("{error:#}"));
    }
    if let Err(error) = encoder(config) {
        problems.push(format!("{error:#}"));
    }
    match checkpoint(&config.model.path, embedded) {
        Ok(checkpoint) => {
            problems.extend(descriptions(&checkpoint).into_iter().map(|problem| format!("model.path: {problem}")));
        }
        Err(error) => problems.push(format!("model.path: {error:#}")),
    }
    problems.extend(keys::missing(config).map(|violation| violation.to_string()));
    if let Err(error) = writable(&config.server.data) {
        problems.push(format!("server.data: {}: {error}", config.server.data.display()));
    }
    if let Err(error) = tokio::net::TcpListener::bind(config.server.listen).await {
        problems.push(format!("server.listen: cannot listen on {}: {error}", config.server.listen));
    }
    problems
}

/// What cannot be read of a checkpoint's descriptions. Parts that are not there only turn off modes.
fn descriptions(checkpoint: &Checkpoint) -> Vec<String> {
    let read = |folder: &Folder, file: &str| folder.json::<serde_json::Value>(file, "a description").err();
    let parts = [&checkpoint.prior, &checkpoint.main, &checkpoint.inpaint];
    let mut problems: Vec<String> = DESCRIPTIONS
        .iter()
        .filter_map(|(part, file)| read(&checkpoint.main.join(part), file))
        .map(|error| error.to_string())
        .collect();
    for part in parts {
        if part.has("model_index.json")
            && let Some(error) = read(part, "model_index.json")
        {
            problems.push(error.to_string());
        }
    }
    problems
}

/// Whether files can be made in this folder, or the folder itself.
fn writable(folder: &Path) -> std::io::Result<()> {
    // The nearest folder that is there stands for one that would be made in it.
    let existing = std::path::absolute(folder)?;
    let Some(existing) = existing.ancestors().find(|ancestor| ancestor.exists()) else { return Ok(()) };
    let probe = existing.join(format!(".kandinsky-check-{}", std::process::id()));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}
