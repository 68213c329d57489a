//! `serve --check` (`api`, `worker`): whether a server could start, found out without starting one. Nothing is left behind.

use std::path::Path;

use super::marking::encoder;
use super::model::model_loader;
use super::moderation::Hooks;
use super::{features, keys, roles, translation};
use crate::config::{Config, without_user_info};
use crate::jobs::Role;
use crate::modes::Mode;
use crate::tensor::files::Lookup;

/// What a server would start with.
pub struct Outlook {
    /// All that is wrong, each with its key and without secrets. With nothing wrong, a server would start.
    pub problems: Vec<String>,
    /// What is worth knowing otherwise: modes that are off, and what is missing for them.
    pub notes: Vec<String>,
}

/// See how a server would start.
pub async fn check(config: &Config, role: Role, embedded: Option<Lookup>) -> Outlook {
    let mut notes = Vec::new();
    let mut problems: Vec<String> = features::missing(config).iter().map(ToString::to_string).collect();
    problems.extend(roles::missing(config, role).iter().map(ToString::to_string));
    problems.extend(config.check_files().iter().map(ToString::to_string));
    if let Err(error) = Hooks::read(config) {
        problems.push(format!("{error:#}"));
    }
    if let Err(error) = translation::find(config, embedded) {
        problems.push(format!("{error:#}"));
    }
    if let Err(error) = encoder(config) {
        problems.push(format!("{error:#}"));
    }
    match model_loader(config, embedded) {
        Ok(loader) => {
            let of_model = match role {
                // It describes the model and never loads it, so it needs no weights.
                Role::Api => loader.describe().err().map(|error| error.to_string()).into_iter().collect(),
                Role::Server | Role::Worker => loader.problems(),
            };
            problems.extend(of_model.into_iter().map(|problem| format!("model.path: {problem}")));
            let inventory = loader.inventory();
            let modes = inventory.modes();
            if modes.is_empty() {
                problems.push(format!("model.path: no mode works: {inventory}"));
            } else if !inventory.unavailable.is_empty() {
                let modes: Vec<&str> = modes.into_iter().map(Mode::name).collect();
                notes.push(format!("modes that work: {}", modes.join(", ")));
                notes.extend(inventory.unavailable.iter().map(|(mode, reason)| format!("{mode} is off: {reason}")));
                notes.push(format!("model.path: {inventory}"));
            }
        }
        Err(error) => problems.push(format!("model.path: {error:#}")),
    }
    problems.extend(keys::wrong_file(config).map(|violation| violation.to_string()));
    problems.extend(keys::missing(config).map(|violation| violation.to_string()));
    if let Err(error) = writable(&config.server.data) {
        problems.push(format!("server.data: {}: {error}", config.server.data.display()));
    }
    if let Err(error) = config.server.listen.bind() {
        problems.push(format!("server.listen: cannot listen on {}: {error}", config.server.listen));
    }
    let shown = |lines: Vec<String>| -> Vec<String> { lines.iter().map(|line| without_user_info(line)).collect() };
    Outlook { problems: shown(problems), notes: shown(notes) }
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
