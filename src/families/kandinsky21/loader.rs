//! Kandinsky 2.1 checkpoints: recognised, described and loaded.

use std::sync::Arc;

use super::capabilities::inventory;
use super::checkpoint::{Checkpoint, Component, LAYOUT, is_present};
use super::describe::describe;
use super::kandinsky::Kandinsky;
use super::load::problems_beside_weights;
use crate::diffusion::{DiffusionModel, Inventory, ModelInfo, ModelLoader};
use crate::families::source::{CheckpointSource, Family, LoadOptions};
use crate::tensor::Compute;
use crate::tensor::error::Result;
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;

/// What describes a component.
const CONFIG: &str = "config.json";
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
        let folders = [prior, main, inpaint].into_iter().filter(|folder| folder.has(INDEX));
        let mut problems: Vec<String> =
            folders.filter_map(|folder| read(folder, INDEX)).map(|error| error.to_string()).collect();
        // Components that are not there only turn off modes; one that is there must be whole.
        for Component { folder, stem, .. } in self.checkpoint.components() {
            if is_present(&folder) {
                let whole = Weights::open(&folder, stem).err();
                problems.extend(read(&folder, CONFIG).into_iter().chain(whole).map(|error| error.to_string()));
            }
        }
        problems.extend(problems_beside_weights(&self.checkpoint).iter().map(ToString::to_string));
        problems
    }

    fn describe(&self) -> Result<ModelInfo> {
        describe(&self.checkpoint, self.options)
    }

    fn inventory(&self) -> Inventory {
        inventory(&self.checkpoint, self.options)
    }
}
