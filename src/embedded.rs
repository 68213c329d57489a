//! kandinsky-mini inside the binary. Its pages are mapped with the program and read when they are used.
//!
//! Invariant: every file that the model is loaded from is listed here; a test compares the list with the folder.

use std::borrow::Cow;

/// The files by their paths below `models/kandinsky-mini`.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        const FILES: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!("../models/kandinsky-mini/", $path)))),*];
    };
}

files! {
    "kandinsky-mini-inpaint/model_index.json",
    "kandinsky-mini-inpaint/unet/config.json",
    "kandinsky-mini-inpaint/unet/diffusion_pytorch_model.safetensors",
    "kandinsky-mini-prior/image_encoder/config.json",
    "kandinsky-mini-prior/image_encoder/model.safetensors",
    "kandinsky-mini-prior/image_processor/preprocessor_config.json",
    "kandinsky-mini-prior/model_index.json",
    "kandinsky-mini-prior/prior/config.json",
    "kandinsky-mini-prior/prior/diffusion_pytorch_model.safetensors",
    "kandinsky-mini-prior/scheduler/scheduler_config.json",
    "kandinsky-mini-prior/text_encoder/config.json",
    "kandinsky-mini-prior/text_encoder/model.safetensors",
    "kandinsky-mini-prior/tokenizer/merges.txt",
    "kandinsky-mini-prior/tokenizer/special_tokens_map.json",
    "kandinsky-mini-prior/tokenizer/tokenizer.json",
    "kandinsky-mini-prior/tokenizer/tokenizer_config.json",
    "kandinsky-mini-prior/tokenizer/vocab.json",
    "kandinsky-mini/ddpm_scheduler/scheduler_config.json",
    "kandinsky-mini/model_index.json",
    "kandinsky-mini/movq/config.json",
    "kandinsky-mini/movq/diffusion_pytorch_model.safetensors",
    "kandinsky-mini/scheduler/scheduler_config.json",
    "kandinsky-mini/text_encoder/config.json",
    "kandinsky-mini/text_encoder/model.safetensors",
    "kandinsky-mini/tokenizer/special_tokens_map.json",
    "kandinsky-mini/tokenizer/tokenizer.json",
    "kandinsky-mini/tokenizer/tokenizer_config.json",
    "kandinsky-mini/unet/config.json",
    "kandinsky-mini/unet/diffusion_pytorch_model.safetensors",
    "prior-linear/config.json",
    "prior-linear/model.safetensors",
    "prior-residual/config.json",
    "prior-residual/model.safetensors",
    "translate-ru-en/config.json",
    "translate-ru-en/generation_config.json",
    "translate-ru-en/model.safetensors",
    "translate-ru-en/source.spm",
    "translate-ru-en/target.spm",
    "translate-ru-en/tokenizer_config.json",
    "translate-ru-en/vocab.json",
}

/// A file of the model by its path below `models/kandinsky-mini`.
pub fn lookup(path: &str) -> Option<Cow<'static, [u8]>> {
    let (_, bytes) = FILES.iter().find(|(known, _)| *known == path)?;
    Some(Cow::Borrowed(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::FILES;

    fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_that_a_model_is_loaded_from_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/kandinsky-mini");
        let mut found = BTreeSet::new();
        walk(&root, &root, &mut found);
        let is_loaded = |path: &String| path.contains('/') && !path.starts_with("LICENSES/");
        let expected: Vec<String> = found.into_iter().filter(is_loaded).collect();
        let mut embedded: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        embedded.sort_unstable();
        assert_eq!(embedded, expected);
    }
}
