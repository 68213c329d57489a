//! The folders of a checkpoint: `<name>-prior`, `<name>`, `<name>-inpaint`, and the regression priors beside them.

use std::path::{Path, PathBuf};

use crate::tensor::files::{Folder, Lookup};

/// What a folder with a checkpoint has.
pub(super) const LAYOUT: &str = "folders <name>-prior, <name> and <name>-inpaint";
/// What stands before the names of the prior's components in a combined pipeline's folder.
const COMBINED: &str = "prior_";

/// Where the parts of a checkpoint are. Parts need not exist; what is missing turns off what needs it.
#[derive(Clone)]
pub struct Checkpoint {
    /// The name that requests use.
    pub name: String,
    pub prior: Folder,
    pub main: Folder,
    pub inpaint: Folder,
    pub linear_prior: Folder,
    pub residual_prior: Folder,
    /// Before the names of components in `prior`.
    prior_prefix: &'static str,
}

/// A component with weights: what it is called, and where it is looked for.
pub(super) struct Component {
    pub(super) name: &'static str,
    pub(super) folder: Folder,
    /// What its weights are called.
    pub(super) stem: &'static str,
}

impl Checkpoint {
    /// The checkpoint called `name` in a folder.
    pub(super) fn in_folder(root: &Path, name: &str) -> Self {
        Self::of(name, |part| Folder::Disk(root.join(part)))
    }

    /// The checkpoint called `name` among the files that `lookup` knows.
    #[must_use]
    pub fn embedded(name: &str, lookup: Lookup) -> Self {
        Self::of(name, |part| Folder::Embedded { lookup, prefix: part.to_owned() })
    }

    fn of(name: &str, folder: impl Fn(&str) -> Folder) -> Self {
        Self {
            name: name.to_owned(),
            prior: folder(&format!("{name}-prior")),
            main: folder(name),
            inpaint: folder(&format!("{name}-inpaint")),
            linear_prior: folder("prior-linear"),
            residual_prior: folder("prior-residual"),
            prior_prefix: "",
        }
    }

    /// A checkpoint whose three parts lie in folders of their own (as in a hub cache).
    #[must_use]
    pub fn from_folders(name: &str, prior: PathBuf, main: PathBuf, inpaint: Option<PathBuf>) -> Self {
        let beside = |part: &str| Folder::Disk(main.parent().map(|p| p.join(part)).unwrap_or_default());
        Self {
            name: name.to_owned(),
            prior: Folder::Disk(prior),
            linear_prior: beside("prior-linear"),
            residual_prior: beside("prior-residual"),
            inpaint: inpaint.map_or_else(|| beside("no-inpainting"), Folder::Disk),
            main: Folder::Disk(main),
            prior_prefix: "",
        }
    }

    /// Take parts from these folders, where there are any.
    pub(super) fn set_parts(&mut self, prior: Option<PathBuf>, main: Option<PathBuf>, inpaint: Option<PathBuf>) {
        let slots = [(&mut self.prior, prior), (&mut self.main, main), (&mut self.inpaint, inpaint)];
        for (slot, path) in slots {
            if let Some(path) = path {
                *slot = Folder::Disk(path);
            }
        }
    }

    /// Take the prior from a combined pipeline's folder.
    pub(super) fn set_combined(&mut self, folder: &Path) {
        self.prior = Folder::Disk(folder.to_owned());
        self.prior_prefix = COMBINED;
    }

    /// A component of the prior.
    pub(super) fn prior_part(&self, name: &str) -> Folder {
        self.prior.join(&format!("{}{name}", self.prior_prefix))
    }

    /// A component that the published inpainting repository has a copy of.
    pub(super) fn shared_part(&self, name: &str) -> Folder {
        let (main, inpaint) = (self.main.join(name), self.inpaint.join(name));
        if !is_present(&main) && is_present(&inpaint) { inpaint } else { main }
    }

    /// The components that modes need.
    pub(super) fn components(&self) -> [Component; 7] {
        const ENCODER: &str = "model";
        const NETWORK: &str = "diffusion_pytorch_model";
        let component = |name, folder, stem| Component { name, folder, stem };
        [
            component("CLIP text encoder", self.prior_part("text_encoder"), ENCODER),
            component("CLIP image encoder", self.prior_part("image_encoder"), ENCODER),
            component("diffusion prior", self.prior_part("prior"), NETWORK),
            component("multilingual text encoder", self.shared_part("text_encoder"), ENCODER),
            component("UNet", self.main.join("unet"), NETWORK),
            component("inpainting UNet", self.inpaint.join("unet"), NETWORK),
            component("MoVQ", self.shared_part("movq"), NETWORK),
        ]
    }
}

/// The name that the parts of a checkpoint share.
pub(super) fn base_name(name: &str) -> &str {
    let base = ["-inpaint", "-prior"].iter().find_map(|suffix| name.strip_suffix(suffix));
    base.filter(|base| !base.is_empty()).unwrap_or(name)
}

/// Whether a folder has the prior's components under names of their own, as diffusers' combined pipelines save them.
pub(super) fn is_combined(folder: &Path) -> bool {
    folder.join("prior_prior").is_dir() || folder.join("prior_text_encoder").is_dir()
}

/// Whether a component's folder is there. (Embedded folders exist only through their files.)
pub(super) fn is_present(folder: &Folder) -> bool {
    ["config.json", "scheduler_config.json", "tokenizer.json", "vocab.json"].iter().any(|file| folder.has(file))
        || matches!(folder, Folder::Disk(path) if path.is_dir())
}
