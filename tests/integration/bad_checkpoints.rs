//! Damaged, incomplete and unusual checkpoints: an error that names file and tensor, just the modes that cannot work
//! turned off, or the image that the checkpoint stands for.

use std::path::Path;

use kandinsky::domain::{Common, Scheduler};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::modes::{Generation, ImageToImage, ImageVariations, Input};
use kandinsky::tensor::Compute;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::embedded::{model_folder, quick, read, root, run, start, text};

const MAIN: &str = "kandinsky-mini";
const UNET: &str = "kandinsky-mini/unet/diffusion_pytorch_model.safetensors";

/// A copy of the model in which files can be changed: links to the originals until then.
fn copy() -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a folder");
    link(&model_folder(), to.path());
    to
}

fn link(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            link(&entry.path(), &target);
        } else {
            std::os::unix::fs::symlink(entry.path(), target).expect("a link");
        }
    }
}

fn replace(folder: &Path, file: &str, contents: &[u8]) {
    let path = folder.join(file);
    std::fs::remove_file(&path).expect("a file to replace");
    std::fs::write(path, contents).expect("a new file");
}

fn load(folder: &Path) -> Result<Kandinsky, String> {
    let checkpoint = Checkpoint::find(folder).map_err(|error| error.to_string())?;
    Kandinsky::load(&checkpoint, &Compute::cpu(), LoadOptions::default(), &mut |_| {})
        .map_err(|error| error.to_string())
}

fn load_error(folder: &Path) -> String {
    load(folder).err().expect("an error")
}

/// Rewrite a weights file, each tensor through `change` (None drops it).
fn rewrite(folder: &Path, file: &str, change: impl Fn(&str, &[usize], &[u8]) -> Option<(Vec<usize>, Vec<u8>)>) {
    let bytes = std::fs::read(folder.join(file)).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let changed: Vec<_> = tensors
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| change(&name, view.shape(), view.data()).map(|(s, d)| (name, view.dtype(), s, d)))
        .collect();
    let views = changed.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
    });
    replace(folder, file, &safetensors::serialize(views, None).expect("safetensors"));
}

fn json(folder: &Path, file: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let bytes = std::fs::read(folder.join(file)).expect("a file");
    let mut value = serde_json::from_slice(&bytes).expect("JSON");
    change(&mut value);
    replace(folder, file, value.to_string().as_bytes());
}

fn assert_names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let folder = copy();
    std::fs::remove_file(folder.path().join(UNET)).unwrap();
    assert_names(&load_error(folder.path()), &["unet/diffusion_pytorch_model.safetensors", "not found"]);
    let folder = copy();
    std::fs::remove_file(folder.path().join(MAIN).join("tokenizer/tokenizer.json")).unwrap();
    assert_names(&load_error(folder.path()), &["tokenizer/tokenizer.json", "not found"]);
}

#[test]
fn a_tokenizer_that_contradicts_itself_is_named() {
    let folder = copy();
    let file = "kandinsky-mini-prior/tokenizer/tokenizer.json";
    json(folder.path(), file, |c| c["model"]["continuing_subword_prefix"] = "longer than any token".into());
    assert_names(&load_error(folder.path()), &[file, "contradicts itself"]);
}

#[test]
fn a_missing_tensor_is_named_with_its_file() {
    let folder = copy();
    rewrite(folder.path(), UNET, |name, shape, data| {
        (name != "mid_block.attentions.0.to_q.weight").then(|| (shape.to_vec(), data.to_vec()))
    });
    assert_names(&load_error(folder.path()), &[UNET, "mid_block.attentions.0.to_q.weight", "missing"]);
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let folder = copy();
    rewrite(folder.path(), UNET, |name, shape, data| {
        if name == "conv_in.bias" {
            return Some((vec![48], data[..96].to_vec()));
        }
        Some((shape.to_vec(), data.to_vec()))
    });
    assert_names(&load_error(folder.path()), &[UNET, "conv_in.bias", "[48]", "[96]"]);
}

#[test]
fn truncated_and_garbled_weights_are_refused() {
    let bytes = std::fs::read(model_folder().join(UNET)).unwrap();
    for contents in [&bytes[..bytes.len() - 1000], &bytes[..5], &[], b"this is no safetensors file at all"] {
        let folder = copy();
        replace(folder.path(), UNET, contents);
        assert_names(&load_error(folder.path()), &[UNET, "damaged"]);
    }
}

#[test]
fn unknown_schedulers_and_blocks_are_named() {
    let folder = copy();
    json(folder.path(), "kandinsky-mini/scheduler/scheduler_config.json", |c| {
        c["_class_name"] = "MagicScheduler".into();
    });
    assert_names(&load_error(folder.path()), &["scheduler_config.json", "MagicScheduler", "DDIMScheduler"]);
    let folder = copy();
    json(folder.path(), "kandinsky-mini/unet/config.json", |c| c["down_block_types"][1] = "MagicBlock2D".into());
    assert_names(&load_error(folder.path()), &["unet/config.json", "MagicBlock2D", "SimpleCrossAttnDownBlock2D"]);
    let folder = copy();
    json(folder.path(), "kandinsky-mini/movq/config.json", |c| c["up_block_types"][0] = "MagicBlock2D".into());
    assert_names(&load_error(folder.path()), &["movq/config.json", "MagicBlock2D"]);
}

#[test]
fn impossible_sizes_in_a_configuration_are_errors() {
    for (file, field, value) in [
        ("kandinsky-mini/unet/config.json", "norm_num_groups", 0),
        ("kandinsky-mini/unet/config.json", "norm_num_groups", 7),
        ("kandinsky-mini/unet/config.json", "attention_head_dim", 50),
        ("kandinsky-mini-prior/text_encoder/config.json", "num_attention_heads", 0),
        ("kandinsky-mini-prior/image_encoder/config.json", "patch_size", 0),
        ("kandinsky-mini-prior/prior/config.json", "num_attention_heads", 0),
        ("kandinsky-mini/scheduler/scheduler_config.json", "num_train_timesteps", 0),
    ] {
        let folder = copy();
        json(folder.path(), file, |c| c[field] = value.into());
        let error = load_error(folder.path());
        assert!(!error.is_empty(), "{file}: {field} = {value}");
    }
}

#[test]
fn nan_in_the_weights_is_an_error_not_an_image() {
    let folder = copy();
    rewrite(folder.path(), UNET, |name, shape, data| {
        let mut data = data.to_vec();
        if name == "conv_out.bias" {
            data[..2].copy_from_slice(&[0xff, 0x7f]);
        }
        Some((shape.to_vec(), data))
    });
    let checkpoint = Checkpoint::find(folder.path()).unwrap();
    let model = Kandinsky::load(
        &checkpoint,
        &Compute::cpu(),
        LoadOptions { inpainting: false, ..LoadOptions::default() },
        &mut |_| {},
    )
    .unwrap();
    let engine = start(folder.path()).unwrap();
    assert!(run(&engine, text("red heart", quick())).is_err());
    drop(model);
}

#[test]
fn without_the_inpainting_unet_only_its_modes_are_off() {
    let folder = copy();
    std::fs::remove_dir_all(folder.path().join("kandinsky-mini-inpaint")).unwrap();
    let engine = start(folder.path()).unwrap();
    assert!(run(&engine, text("red heart", quick())).is_ok());
    let image = read(&root().join("tests/goldens/text_english.png"));
    let mask = kandinsky::domain::Image::gray(64, 64, vec![255; 64 * 64]);
    let input =
        kandinsky::modes::Inpainting { composite: false, ..kandinsky::modes::Inpainting::new(None, image, mask) };
    let error = run(&engine, Generation { input: Input::Inpainting(input), common: quick() }).unwrap_err();
    assert_names(&error.to_string(), &["no inpainting UNet"]);
}

#[test]
fn without_the_image_encoder_text_still_works() {
    let folder = copy();
    std::fs::remove_dir_all(folder.path().join("kandinsky-mini-prior/image_encoder")).unwrap();
    let engine = start(folder.path()).unwrap();
    assert!(run(&engine, text("red heart", quick())).is_ok());
    let image = read(&root().join("tests/goldens/text_english.png"));
    let input = Input::ImageVariations(ImageVariations { image });
    let error = run(&engine, Generation { input, common: quick() }).unwrap_err();
    assert_names(&error.to_string(), &["no CLIP image encoder"]);
}

#[test]
fn fp16_variants_and_sharded_weights_are_the_same_model() {
    let want = run(&start(&model_folder()).unwrap(), text("red heart", quick())).unwrap();
    let folder = copy();
    let unet = folder.path().join(MAIN).join("unet");
    // The UNet in two shards with an index, MoVQ as an fp16 variant.
    let bytes = std::fs::read(folder.path().join(UNET)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    for shard in 0..2 {
        let name = format!("diffusion_pytorch_model-0000{}-of-00002.safetensors", shard + 1);
        let mut part: Vec<_> = tensors.tensors();
        part.sort_by(|a, b| a.0.cmp(&b.0));
        let part: Vec<_> = part.into_iter().enumerate().filter(|(i, _)| i % 2 == shard).map(|(_, t)| t).collect();
        for (tensor, _) in &part {
            map.insert(tensor.clone(), name.clone().into());
        }
        std::fs::write(unet.join(name), safetensors::serialize(part, None).unwrap()).unwrap();
    }
    std::fs::remove_file(folder.path().join(UNET)).unwrap();
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    std::fs::write(unet.join("diffusion_pytorch_model.safetensors.index.json"), index.to_string()).unwrap();
    let movq = folder.path().join(MAIN).join("movq");
    std::fs::rename(
        movq.join("diffusion_pytorch_model.safetensors"),
        movq.join("diffusion_pytorch_model.fp16.safetensors"),
    )
    .unwrap();
    let got = run(&start(folder.path()).unwrap(), text("red heart", quick())).unwrap();
    assert!(got == want);
}

#[test]
fn a_checkpoint_of_karras_sigmas_starts_image_to_image_as_the_scheduler_of_that_name_does() {
    for (class, name) in
        [("EulerDiscreteScheduler", "euler_karras"), ("DPMSolverMultistepScheduler", "dpmpp_2m_karras")]
    {
        let folder = copy();
        json(folder.path(), "kandinsky-mini/scheduler/scheduler_config.json", |config| {
            config["_class_name"] = class.into();
            config["use_karras_sigmas"] = true.into();
        });
        let engine = start(folder.path()).unwrap();
        let image = read(&root().join("tests/goldens/text_english.png"));
        let draw = |scheduler| {
            let image = image.clone();
            let input = Input::ImageToImage(ImageToImage::new("red heart".to_owned(), image, Some(0.3)));
            run(&engine, Generation { input, common: Common { scheduler, steps: 10, ..quick() } }).unwrap()
        };
        assert!(draw(None) == draw(Some(Scheduler::named(name))), "{class}");
    }
}
