//! Kandinsky 2.1 checkpoints: recognised, described and loaded.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, LAYOUT};
use super::kandinsky::Kandinsky;
use crate::diffusion::{DiffusionModel, ModelLoader};
use crate::families::source::{CheckpointSource, Family, LoadOptions};
use crate::tensor::Compute;
use crate::tensor::error::Result;
use crate::tensor::files::Folder;

/// Parts of a checkpoint that no mode does without, and the files that describe them.
const DESCRIPTIONS: [(&str, &str); 2] = [("unet", "config.json"), ("movq", "config.json")];
/// What describes a folder of the checkpoint, where there is such a file.
const INDEX: &str = "model_index.json";

/// Loads one checkpoint.
struct KandinskyLoader {
    checkpoint: Checkpoint,
    options: LoadOptions,
}

/// This family's entry in the list of families.
pub(in crate::families) const FAMILY: Family = Family { layout: LAYOUT, recognize };

fn recognize(source: &CheckpointSource, options: LoadOptions) -> Result<Option<Arc<dyn ModelLoader>>> {
    let Some(checkpoint) = Checkpoint::of_source(source)? else { return Ok(None) };
    Ok(Some(Arc::new(KandinskyLoader { checkpoint, options })))
}

impl ModelLoader for KandinskyLoader {
    fn load(&self, compute: &Compute, report: &mut dyn FnMut(&str)) -> Result<Box<dyn DiffusionModel>> {
        Ok(Box::new(Kandinsky::load(&self.checkpoint, compute, self.options, report)?))
    }

    fn problems(&self) -> Vec<String> {
        let read = |folder: &Folder, file: &str| folder.json::<serde_json::Value>(file, "a description").err();
        let Checkpoint { prior, main, inpaint, .. } = &self.checkpoint;
        let described = DESCRIPTIONS.iter().filter_map(|(part, file)| read(&main.join(part), file));
        // Folders that are not there only turn off modes.
        let folders = [prior, main, inpaint].into_iter().filter(|folder| folder.has(INDEX));
        described.chain(folders.filter_map(|folder| read(folder, INDEX))).map(|error| error.to_string()).collect()
    }
}
