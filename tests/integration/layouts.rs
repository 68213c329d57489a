//! Checkpoints as people have them: in the hub's cache, as combined pipelines, renamed, in parts, and what is no checkpoint.

use std::fs::{create_dir_all, remove_file, rename, write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use kandinsky::domain::Image;
use kandinsky::families;
use kandinsky::modes::Mode;

use crate::embedded::{engine, model_folder, quick, run, start, text};

/// The folders of the embedded model: its parts' names behind `kandinsky-mini`.
const PARTS: [&str; 3] = ["", "-prior", "-inpaint"];

fn part(suffix: &str) -> PathBuf {
    model_folder().join(format!("kandinsky-mini{suffix}"))
}

/// A folder whose files are links to those of another.
fn link_files(from: &Path, to: &Path) {
    create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() { link_files(&entry, &target) } else { symlink(&entry, target).unwrap() }
    }
}

fn draw(folder: &Path) -> Image {
    run(&start(folder).unwrap(), text("red heart", quick())).unwrap().remove(0)
}

fn usual() -> Image {
    run(engine(), text("red heart", quick())).unwrap().remove(0)
}

/// The modes that can be done with the checkpoint in a folder, told without loading it.
fn modes(folder: &Path) -> usize {
    families::open_folder(folder).unwrap().inventory().modes().len()
}

fn error(folder: &Path) -> String {
    families::open_folder(folder).err().expect("an error").to_string()
}

/// A hub's cache with these parts.
fn cache(parts: &[&str]) -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    for (i, suffix) in parts.iter().enumerate() {
        let commit = format!("{i}abc");
        let repository = cache.path().join(format!("models--someone--kandinsky-2-1{suffix}"));
        link_files(&part(suffix), &repository.join("snapshots").join(&commit));
        create_dir_all(repository.join("refs")).unwrap();
        write(repository.join("refs/main"), commit).unwrap();
    }
    cache
}

#[test]
fn a_snapshot_of_the_hubs_cache_finds_its_sibling_repositories() {
    let cache = cache(&PARTS);
    let all = Mode::ALL.len();
    for path in [
        "models--someone--kandinsky-2-1/snapshots/0abc",
        "models--someone--kandinsky-2-1-prior/snapshots/1abc",
        "models--someone--kandinsky-2-1-inpaint/snapshots/2abc",
        "models--someone--kandinsky-2-1",
    ] {
        assert_eq!(modes(&cache.path().join(path)), all, "{path}");
    }
    let engine = start(&cache.path().join("models--someone--kandinsky-2-1/snapshots/0abc")).unwrap();
    assert_eq!(engine.info().name, "kandinsky-2-1");
    assert!(run(&engine, text("red heart", quick())).unwrap().remove(0) == usual());
}

#[test]
fn a_checkpoint_in_parts_says_what_is_missing_and_where_it_was_looked_for() {
    let cache = cache(&["", "-inpaint"]);
    let loader = families::open_folder(&cache.path().join("models--someone--kandinsky-2-1/snapshots/0abc")).unwrap();
    let inventory = loader.inventory();
    assert_eq!(inventory.modes(), []);
    let said = inventory.to_string();
    let place = cache.path().canonicalize().unwrap().join("models--someone--kandinsky-2-1-prior/text_encoder");
    assert!(said.contains("CLIP text encoder") && said.contains(&place.display().to_string()), "{said}");

    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "-prior"] {
        link_files(&part(suffix), &folder.path().join(format!("mini{suffix}")));
    }
    let inventory = families::open_folder(folder.path()).unwrap().inventory();
    let off: Vec<Mode> = inventory.unavailable.iter().map(|(mode, _)| *mode).collect();
    assert_eq!(off, [Mode::Inpainting, Mode::Outpainting]);
}

#[test]
fn a_combined_pipelines_folder_is_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let combined = folder.path().join("combined");
    link_files(&part(""), &combined);
    for name in ["prior", "text_encoder", "tokenizer", "image_encoder", "image_processor", "scheduler"] {
        link_files(&part("-prior").join(name), &combined.join(format!("prior_{name}")));
    }
    assert!(draw(&combined) == usual());
    assert!(draw(folder.path()) == usual());
}

#[test]
fn renamed_folders_are_told_by_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    for (suffix, name) in [("", "decoder"), ("-prior", "text-to-embedding"), ("-inpaint", "inpaint")] {
        link_files(&part(suffix), &folder.path().join(name));
    }
    assert_eq!(modes(folder.path()), Mode::ALL.len());
    assert!(draw(folder.path()) == usual());
    // A second decoder makes it a question.
    link_files(&part(""), &folder.path().join("other"));
    let said = error(folder.path());
    assert!(
        ["decoder (decoder)", "other (decoder)", "inpaint (inpaint)"].iter().all(|name| said.contains(name)),
        "{said}"
    );
}

#[test]
fn what_is_no_checkpoint_of_this_model_is_called_by_its_name() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let folder = root.path().join(name);
        create_dir_all(&folder).unwrap();
        folder
    };
    let other = folder("2-2");
    create_dir_all(other.join("unet")).unwrap();
    write(other.join("model_index.json"), r#"{"_class_name": "KandinskyV22Pipeline"}"#).unwrap();
    let unnamed = folder("unnamed");
    create_dir_all(unnamed.join("unet")).unwrap();
    write(unnamed.join("unet/config.json"), r#"{"encoder_hid_dim_type": "image_proj", "in_channels": 4}"#).unwrap();
    let stable = folder("stable");
    create_dir_all(stable.join("unet")).unwrap();
    write(stable.join("model_index.json"), r#"{"_class_name": "StableDiffusionPipeline"}"#).unwrap();
    let original = folder("original");
    create_dir_all(original.join("2_1")).unwrap();
    write(original.join("2_1/decoder_fp16.ckpt"), "x").unwrap();
    let alone = folder("alone");
    link_files(&part("-prior"), &alone.join("kandinsky-2-1-prior"));
    let others = folder("others");
    write(others.join("notes.txt"), "x").unwrap();
    for (folder, parts) in [
        (&other, ["Kandinsky 2.2", "kandinsky pull"]),
        (&unnamed, ["Kandinsky 2.2", "kandinsky pull"]),
        (&stable, ["StableDiffusionPipeline", "kandinsky pull"]),
        (&original, ["2_1/decoder_fp16.ckpt", "kandinsky pull"]),
        (&original.join("2_1/decoder_fp16.ckpt"), ["is a file", "kandinsky pull"]),
        (&alone, ["kandinsky-2-1-prior (prior)", "decoder"]),
        (&others, ["found notes.txt", "<name>-prior"]),
    ] {
        let said = error(folder);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn what_lies_in_place_of_a_file_is_called_by_its_name() {
    let file = "kandinsky-mini/unet/diffusion_pytorch_model.safetensors";
    for (contents, name) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 97\n"[..], "Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><head><title>Hugging Face</title>", "web page"),
        (b"Entry not found", "error message"),
        (b"../../../blobs/4d7a214614ab2935c943f9e0ff69d22eadbb8f32", "hub cache"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        link_files(&model_folder(), folder.path());
        remove_file(folder.path().join(file)).unwrap();
        write(folder.path().join(file), contents).unwrap();
        let problems = families::open_folder(folder.path()).unwrap().problems().join("\n");
        assert!(problems.contains(file) && problems.contains(name), "{problems}");
        let said = format!("{:#}", start(folder.path()).err().expect("an error"));
        assert!(said.contains(file) && said.contains(name), "{said}");
    }
}

/// What `serve --check` says of these, the server says at its start.
#[test]
fn tokenizers_and_schedules_that_are_missing_are_problems_before_a_server_starts() {
    for file in [
        "kandinsky-mini/tokenizer/tokenizer.json",
        "kandinsky-mini-prior/image_processor/preprocessor_config.json",
        "kandinsky-mini-prior/scheduler/scheduler_config.json",
        "kandinsky-mini/scheduler/scheduler_config.json",
    ] {
        let folder = tempfile::tempdir().unwrap();
        link_files(&model_folder(), folder.path());
        remove_file(folder.path().join(file)).unwrap();
        let problems = families::open_folder(folder.path()).unwrap().problems().join("\n");
        assert!(problems.contains(file), "{file}: {problems}");
    }
}

#[test]
fn weights_are_found_under_every_name_that_pulling_takes() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pickle = from.join("tests/fixtures/clip_text.bin");
    for name in ["pytorch_model.fp16.bin", "pytorch_model.non_ema.bin", "pytorch_model-00001-of-00001.bin"] {
        let folder = tempfile::tempdir().unwrap();
        symlink(&pickle, folder.path().join(name)).unwrap();
        if name.contains("-of-") {
            write(folder.path().join("pytorch_model.bin.index.json"), r#"{"weight_map": {}}"#).unwrap();
        }
        let weights = kandinsky::tensor::weights::Weights::open(
            &kandinsky::tensor::files::Folder::Disk(folder.path().to_owned()),
            "model",
        );
        assert!(weights.unwrap().path().ends_with(name));
    }
    let folder = tempfile::tempdir().unwrap();
    link_files(&model_folder(), folder.path());
    let unet = folder.path().join("kandinsky-mini/unet");
    let name = |variant: &str| unet.join(format!("diffusion_pytorch_model{variant}.safetensors"));
    rename(name(""), name(".non_ema")).unwrap();
    assert!(draw(folder.path()) == usual());
    rename(name(".non_ema"), unet.join("flax_model.msgpack")).unwrap();
    let problems = families::open_folder(folder.path()).unwrap().problems().join("\n");
    assert!(problems.contains("found flax_model.msgpack"), "{problems}");
}
