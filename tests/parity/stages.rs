//! Runners of single stages: tokenizers, image preparation and networks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use candle_core::Tensor;
use kandinsky::diffusion::pixels::{self, Filter};
use kandinsky::domain::{Image, MaskConvention, Size};
use kandinsky::families::kandinsky21::clip_text::ClipText;
use kandinsky::families::kandinsky21::clip_vision::ClipVision;
use kandinsky::families::kandinsky21::image_processor::ImageProcessor;
use kandinsky::families::kandinsky21::mask;
use kandinsky::families::kandinsky21::movq::Movq;
use kandinsky::families::kandinsky21::multilingual_clip::MultilingualClip;
use kandinsky::families::kandinsky21::prior_transformer::{PriorInput, PriorTransformer};
use kandinsky::families::kandinsky21::tokenizer::Tokenizer;
use kandinsky::families::kandinsky21::unet::{Conditioning, UNet};
use kandinsky::imaging::{self, DecodeLimits};
use kandinsky::tensor;
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::probe::{self, Recorded};
use serde_json::Value as Json;

use crate::Outputs;
use crate::fixture::{Array, Fixture};

const LIMITS: DecodeLimits = DecodeLimits { max_side: 4096, max_pixels: 1 << 24 };
pub const PRIOR: &str = "kandinsky-2-1-prior";
pub const MAIN: &str = "kandinsky-2-1";
pub const INPAINT: &str = "kandinsky-2-1-inpaint";

pub fn model_folder(fixture: &Fixture, repository: &str, part: &str) -> Folder {
    Folder::Disk(fixture.root.join("models").join(repository).join(part))
}

/// A sequence or vector tensor as it is.
pub fn array(tensor: &Tensor) -> Result<Array> {
    Ok(Array::float(tensor::to_vec(tensor)?, tensor.dims()))
}

/// An image tensor as `[batch, channels, height, width]`.
pub fn picture_array(tensor: &Tensor) -> Result<Array> {
    let (b, h, w, c) = tensor.dims4()?;
    Ok(Array::float(tensor::image_to_vec(tensor)?, &[b, c, h, w]))
}

/// What layers recorded, under `prefix`.
pub fn add_recorded(outputs: &mut Outputs, prefix: &str, found: &BTreeMap<String, Recorded>) -> Result<()> {
    for (name, recorded) in found {
        let value = if recorded.image { picture_array(&recorded.tensor)? } else { array(&recorded.tensor)? };
        outputs.insert(format!("{prefix}{name}"), value);
    }
    Ok(())
}

/// A case's tensor on the device.
pub fn tensor(fixture: &Fixture, array: &Array) -> Result<Tensor> {
    Ok(fixture.compute.tensor(array.floats(), &array.shape)?)
}

/// An image as the server reads it.
pub fn read_rgb(path: &Path) -> Result<Image> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(imaging::decode(&bytes, &LIMITS)?)
}

pub fn input_picture(fixture: &Fixture, name: &str) -> Result<Image> {
    read_rgb(&fixture.root.join("images").join(name))
}

pub fn input_mask(fixture: &Fixture, name: &str) -> Result<Image> {
    let bytes = std::fs::read(fixture.root.join("images").join(name))?;
    Ok(imaging::decode_mask(&bytes, MaskConvention::White, &LIMITS)?)
}

pub fn tokenizer(fixture: &Fixture) -> Result<Outputs> {
    let clip = fixture.text("which")? == "clip";
    let folder = model_folder(fixture, if clip { PRIOR } else { MAIN }, "tokenizer");
    let tokenizer = if clip { Tokenizer::clip(&folder) } else { Tokenizer::xlm_roberta(&folder) }?;
    let texts = fixture.texts("texts");
    let outputs = tokenize(&tokenizer, &texts)?;
    if clip {
        // The other form of the same tokenizer must give the same ids.
        let other = tempfile::tempdir()?;
        let from = fixture.root.join("models").join(PRIOR).join("tokenizer");
        for file in ["vocab.json", "merges.txt", "tokenizer_config.json"] {
            std::fs::copy(from.join(file), other.path().join(file))?;
        }
        let other = tokenize(&Tokenizer::clip(&Folder::Disk(other.path().to_owned()))?, &texts)?;
        for (name, array) in &outputs {
            ensure!(other[name].ints() == array.ints(), "{name} differs between tokenizer.json and vocab.json");
        }
    }
    Ok(outputs)
}

fn tokenize(tokenizer: &Tokenizer, texts: &[String]) -> Result<Outputs> {
    let mut outputs = Outputs::new();
    let (mut ids, mut masks, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for (k, text) in texts.iter().enumerate() {
        let tokens = tokenizer.encode(text)?;
        ids.extend(tokens.ids.into_iter().map(i64::from));
        masks.extend(tokens.mask.into_iter().map(i64::from));
        let full: Vec<i64> = tokenizer.ids(text)?.into_iter().map(i64::from).collect();
        lengths.push(full.len() as i64);
        let shape = [full.len()];
        outputs.insert(format!("full_ids.{k}"), Array::int(full, &shape));
    }
    let count = texts.len();
    let shape = [count, ids.len() / count];
    outputs.insert("input_ids".to_owned(), Array::int(ids, &shape));
    outputs.insert("attention_mask".to_owned(), Array::int(masks, &shape));
    outputs.insert("full_length".to_owned(), Array::int(lengths, &[count]));
    Ok(outputs)
}

pub fn clip_text(fixture: &Fixture) -> Result<Outputs> {
    let encoder = ClipText::load(&model_folder(fixture, PRIOR, "text_encoder"), &fixture.compute)?;
    let (output, found) =
        probe::record(|| encoder.forward(&fixture.input("input_ids")?.tokens()).map_err(anyhow::Error::from));
    let output = output?;
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "", &found)?;
    outputs.insert("last_hidden_state".to_owned(), array(&output.states)?);
    outputs.insert("text_embeds".to_owned(), array(&output.embeds)?);
    Ok(outputs)
}

pub fn clip_vision(fixture: &Fixture) -> Result<Outputs> {
    let encoder = ClipVision::load(&model_folder(fixture, PRIOR, "image_encoder"), &fixture.compute)?;
    let zero = encoder.zero_embedding()?;
    let pixels = fixture.input("pixel_values")?;
    let (output, found) = probe::record(|| encoder.forward(pixels.floats(), pixels.shape[0]));
    let output = output?;
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "", &found)?;
    outputs.insert("last_hidden_state".to_owned(), array(&output.states)?);
    outputs.insert("image_embeds".to_owned(), array(&output.embeds)?);
    outputs.insert("zero_embeds".to_owned(), array(&zero)?);
    Ok(outputs)
}

pub fn clip_preprocess(fixture: &Fixture) -> Result<Outputs> {
    let processor = ImageProcessor::load(&model_folder(fixture, PRIOR, "image_processor"))?;
    let mut outputs = Outputs::new();
    for (k, name) in fixture.texts("images").iter().enumerate() {
        let picture = input_picture(fixture, name)?;
        let values = processor.prepare(&picture);
        let side = ((values.len() / 3) as f64).sqrt() as usize;
        outputs.insert(format!("pixel_values.{k}"), Array::float(values, &[3, side, side]));
        let resized = processor.resize(&picture);
        let planes = (0..3).flat_map(|c| resized.pixels().iter().skip(c).step_by(3)).map(|x| i64::from(*x)).collect();
        outputs.insert(
            format!("resized_u8.{k}"),
            Array::int(planes, &[3, resized.height() as usize, resized.width() as usize]),
        );
    }
    Ok(outputs)
}

fn items(fixture: &Fixture) -> Vec<Vec<Json>> {
    let list = fixture.params["items"].as_array().cloned().unwrap_or_default();
    list.into_iter().filter_map(|item| item.as_array().cloned()).collect()
}

fn size(value: &Json) -> Result<usize> {
    Ok(value.as_u64().context("a size")? as usize)
}

/// A size in the server's terms.
pub fn image_size(height: usize, width: usize) -> Size {
    let side = |n: usize| u32::try_from(n).expect("the side of a picture");
    Size { width: side(width), height: side(height) }
}

/// An image as the image-to-image and inpainting pipelines prepare it, `[1, 3, height, width]`.
pub fn prepared(picture: &Image, height: usize, width: usize) -> Array {
    let resized = pixels::resize_reducing(picture, image_size(height, width), Filter::Bicubic);
    Array::float(pixels::to_signed_planes(&resized), &[1, 3, height, width])
}

pub fn prepare_image(fixture: &Fixture) -> Result<Outputs> {
    let mut outputs = Outputs::new();
    for (k, item) in items(fixture).iter().enumerate() {
        let (height, width) = (size(&item[1])?, size(&item[2])?);
        let picture = input_picture(fixture, item[0].as_str().context("a name")?)?;
        outputs.insert(format!("image.{k}"), prepared(&picture, height, width));
    }
    Ok(outputs)
}

/// 1 keeps, 0 repaints, `[height, width]`, from a PNG or an input tensor.
pub fn kept(fixture: &Fixture, name: &str, height: usize, width: usize) -> Result<Vec<f32>> {
    Ok(if Path::new(name).extension().is_some() {
        mask::from_image(&input_mask(fixture, name)?, image_size(height, width))
    } else {
        fixture.input(name)?.floats().into_iter().map(mask::keep).collect()
    })
}

pub fn prepare_mask_and_image(fixture: &Fixture) -> Result<Outputs> {
    let mut outputs = Outputs::new();
    for (k, item) in items(fixture).iter().enumerate() {
        let (height, width) = (size(&item[2])?, size(&item[3])?);
        let picture = input_picture(fixture, item[0].as_str().context("a name")?)?;
        let kept = kept(fixture, item[1].as_str().context("a name")?, height, width)?;
        outputs.insert(format!("image.{k}"), prepared(&picture, height, width));
        outputs.insert(format!("mask.{k}"), Array::float(kept, &[1, 1, height, width]));
    }
    Ok(outputs)
}

pub fn latent_mask(fixture: &Fixture) -> Result<Outputs> {
    let mask = fixture.input("mask")?;
    let (height, width) = (size(&fixture.params["size"][0])?, size(&fixture.params["size"][1])?);
    let from = (mask.shape[2], mask.shape[3]);
    let (mut nearest, mut prepared) = (Vec::new(), Vec::new());
    for row in 0..mask.shape[0] {
        let small = mask::resize_nearest(&mask.row(row), from, (height, width));
        prepared.extend(mask::shrink_kept(&small, height, width));
        nearest.extend(small);
    }
    let shape = [mask.shape[0], 1, height, width];
    Ok(Outputs::from([
        ("nearest".to_owned(), Array::float(nearest, &shape)),
        ("prepared".to_owned(), Array::float(prepared, &shape)),
    ]))
}

pub fn mclip(fixture: &Fixture) -> Result<Outputs> {
    let encoder = MultilingualClip::load(&model_folder(fixture, MAIN, "text_encoder"), &fixture.compute)?;
    let ids = fixture.input("input_ids")?;
    let masks = fixture.input("attention_mask")?.masks();
    let (output, found) = probe::record(|| encoder.forward(&ids.tokens(), &masks));
    let output = output?;
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "", &found)?;
    let positions = ids.tokens().iter().flat_map(|ids| encoder.position_ids(ids)).map(i64::from).collect();
    outputs.insert("position_ids".to_owned(), Array::int(positions, &ids.shape));
    outputs.insert("embeds".to_owned(), array(&output.embeds)?);
    outputs.insert("hidden".to_owned(), array(&output.states)?);
    Ok(outputs)
}

/// One timestep a row, also where the case has one for all.
fn timesteps(fixture: &Fixture, batch: usize) -> Result<Vec<f32>> {
    let given = fixture.input("timestep")?.floats();
    Ok(if given.len() == batch { given } else { vec![given[0]; batch] })
}

pub fn prior_forward(fixture: &Fixture) -> Result<Outputs> {
    let prior = PriorTransformer::load(&model_folder(fixture, PRIOR, "prior"), &fixture.compute)?;
    let latents = fixture.input("hidden_states")?;
    let masks = fixture.inputs.get("attention_mask").map(Array::masks);
    let (predicted, found) = probe::record(|| -> Result<Tensor> {
        Ok(prior.forward(&PriorInput {
            latents: &tensor(fixture, latents)?,
            timesteps: &timesteps(fixture, latents.shape[0])?,
            text_embeds: &tensor(fixture, fixture.input("proj_embedding")?)?,
            text_states: &tensor(fixture, fixture.input("encoder_hidden_states")?)?,
            masks: masks.as_deref(),
        })?)
    });
    let predicted = array(&predicted?)?;
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "mod.", &found)?;
    if let Some(bias) = outputs.remove("mod.bias") {
        outputs.insert("bias".to_owned(), bias);
    }
    outputs.insert("processed".to_owned(), Array::float(prior.post_process(&predicted.floats()), &predicted.shape));
    outputs.insert("predicted".to_owned(), predicted);
    Ok(outputs)
}

pub fn unet(fixture: &Fixture) -> Result<Outputs> {
    let repository = if fixture.text("which")? == "main" { MAIN } else { INPAINT };
    let compute = &fixture.compute;
    let unet = UNet::load(&model_folder(fixture, repository, "unet"), compute)?;
    let sample = fixture.input("sample")?;
    let shape: [usize; 4] = sample.shape.clone().try_into().map_err(|_| anyhow::anyhow!("a sample of rank 4"))?;
    let states = tensor(fixture, fixture.input("encoder_hidden_states")?)?;
    let text = tensor(fixture, fixture.input("text_embeds")?)?;
    let image = tensor(fixture, fixture.input("image_embeds")?)?;
    let (output, found) = probe::record(|| -> Result<Tensor> {
        let contexts = (0..shape[0])
            .map(|row| {
                Ok(unet.context(&Conditioning {
                    text_states: &states.get(row)?,
                    text_embed: &text.get(row)?,
                    image_embed: &image.get(row)?,
                })?)
            })
            .collect::<Result<Vec<_>>>()?;
        let picture = compute.image(sample.floats(), shape)?;
        Ok(unet.forward(&picture, &timesteps(fixture, shape[0])?, &contexts.iter().collect::<Vec<_>>())?)
    });
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "mod.", &found)?;
    outputs.insert("sample".to_owned(), picture_array(&output?)?);
    Ok(outputs)
}

fn movq(fixture: &Fixture) -> Result<Movq> {
    Ok(Movq::load(&model_folder(fixture, MAIN, "movq"), &fixture.compute)?)
}

pub fn movq_encode(fixture: &Fixture) -> Result<Outputs> {
    let movq = movq(fixture)?;
    let image = fixture.input("image")?;
    let (batch, height, width) = (image.shape[0], image.shape[2], image.shape[3]);
    let (latents, found) = probe::record(|| movq.encode(image.floats(), batch, height, width));
    let factor = movq.scale_factor() as usize;
    let shape = [batch, movq.latent_channels(), height / factor, width / factor];
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "mod.", &found)?;
    outputs.insert("latents".to_owned(), Array::float(latents?, &shape));
    Ok(outputs)
}

pub fn movq_quantize(fixture: &Fixture) -> Result<Outputs> {
    let latents = fixture.input("latents")?;
    let (indices, quantised) = movq(fixture)?.quantize(&latents.floats(), latents.shape[0]);
    let indices = indices.into_iter().map(|i| i as i64).collect();
    Ok(Outputs::from([
        ("indices".to_owned(), Array::int(indices, &[latents.shape[0], latents.shape[2], latents.shape[3]])),
        ("quantised".to_owned(), Array::float(quantised, &latents.shape)),
    ]))
}

pub fn movq_decode(fixture: &Fixture) -> Result<Outputs> {
    let movq = movq(fixture)?;
    let latents = fixture.input("latents")?;
    let (batch, height, width) = (latents.shape[0], latents.shape[2], latents.shape[3]);
    let values = if fixture.params["force_not_quantize"].as_bool() == Some(true) {
        latents.floats()
    } else {
        movq.quantize(&latents.floats(), batch).1
    };
    let (image, found) = probe::record(|| movq.decode(values, batch, height, width));
    let factor = movq.scale_factor() as usize;
    let mut outputs = Outputs::new();
    add_recorded(&mut outputs, "mod.", &found)?;
    outputs.insert("image".to_owned(), Array::float(image?, &[batch, 3, height * factor, width * factor]));
    Ok(outputs)
}

pub fn spatial_norm(fixture: &Fixture) -> Result<Outputs> {
    ensure!(fixture.text("module")? == "decoder.conv_norm_out", "unknown module");
    let compute = &fixture.compute;
    let picture = |name: &str| -> Result<Tensor> {
        let array = fixture.input(name)?;
        let shape = array.shape.clone().try_into().map_err(|_| anyhow::anyhow!("rank 4"))?;
        Ok(compute.image(array.floats(), shape)?)
    };
    let out = movq(fixture)?.spatial_norm(&picture("f")?, &picture("zq")?)?;
    Ok(Outputs::from([("out".to_owned(), picture_array(&out)?)]))
}
