//! Pixels to PNG, JPEG or WebP, with or without what the file says of its making.
//!
//! Invariant: PNG is lossless, and so is WebP at quality 100.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use img_parts::jpeg::Jpeg;
use img_parts::webp::WebP;
use img_parts::{Bytes, ImageEXIF};

use super::metadata::Metadata;
use crate::domain::{Format, Mask, Output, Picture};

/// The quality at which WebP is lossless.
const LOSSLESS: u8 = 100;

/// Why a picture could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be encoded: {0}")]
pub struct EncodeError(String);

fn failed(error: impl std::fmt::Display) -> EncodeError {
    EncodeError(error.to_string())
}

/// Encode a finished picture.
pub fn encode(picture: &Picture, output: &Output, metadata: &Metadata<'_>) -> Result<Vec<u8>, EncodeError> {
    let metadata = output.embed_metadata.then_some(metadata);
    match output.format {
        Format::Png => {
            let text = metadata.map(Metadata::text).unwrap_or_default();
            let (color, pixels) = (png::ColorType::Rgb, &picture.rgb);
            encode_png(picture.width, picture.height, color, pixels, &text).map_err(failed)
        }
        Format::Jpeg => {
            let bytes = encode_jpeg(picture, output.quality)?;
            let Some(metadata) = metadata else { return Ok(bytes) };
            let mut jpeg = Jpeg::from_bytes(Bytes::from(bytes)).map_err(failed)?;
            jpeg.set_exif(Some(metadata.exif().map_err(failed)?.into()));
            Ok(jpeg.encoder().bytes().to_vec())
        }
        Format::Webp => {
            let bytes = encode_webp(picture, output.quality)?;
            let Some(metadata) = metadata else { return Ok(bytes) };
            let mut webp = WebP::from_bytes(Bytes::from(bytes)).map_err(failed)?;
            webp.set_exif(Some(metadata.exif().map_err(failed)?.into()));
            Ok(webp.encoder().bytes().to_vec())
        }
    }
}

/// A picture as a PNG without further words, to be kept or shown for a while.
pub fn to_png(picture: &Picture) -> Result<Vec<u8>, EncodeError> {
    encode_png(picture.width, picture.height, png::ColorType::Rgb, &picture.rgb, &[]).map_err(failed)
}

/// A mask as a grey PNG.
pub fn mask_to_png(mask: &Mask) -> Result<Vec<u8>, EncodeError> {
    encode_png(mask.width, mask.height, png::ColorType::Grayscale, &mask.grey, &[]).map_err(failed)
}

fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality)
        .write_image(&picture.rgb, picture.width, picture.height, ExtendedColorType::Rgb8)
        .map_err(failed)?;
    Ok(out)
}

fn encode_webp(picture: &Picture, quality: u8) -> Result<Vec<u8>, EncodeError> {
    if quality < LOSSLESS {
        let encoder = webp::Encoder::from_rgb(&picture.rgb, picture.width, picture.height);
        let encoded = encoder.encode_simple(false, f32::from(quality));
        return Ok(encoded.map_err(|error| EncodeError(format!("{error:?}")))?.to_vec());
    }
    let mut out = Vec::new();
    WebPEncoder::new_lossless(&mut out)
        .write_image(&picture.rgb, picture.width, picture.height, ExtendedColorType::Rgb8)
        .map_err(failed)?;
    Ok(out)
}

fn encode_png(
    width: u32,
    height: u32,
    color: png::ColorType,
    pixels: &[u8],
    text: &[(&str, String)],
) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Cursor::new(Vec::new());
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    for (key, value) in text {
        // iTXt holds any text, tEXt only Latin-1.
        encoder.add_itxt_chunk((*key).to_owned(), value.clone())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(out.into_inner())
}
