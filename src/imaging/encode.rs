//! Pixels to PNG, JPEG or WebP.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::domain::{Format, Picture};

/// Why a picture could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be encoded: {0}")]
pub struct EncodeError(String);

/// Encode a picture. `quality` (1..100) counts for JPEG; `text` are key and value pairs kept in a PNG.
pub fn encode(picture: &Picture, format: Format, quality: u8, text: &[(&str, &str)]) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let (width, height, color) = (picture.width, picture.height, ExtendedColorType::Rgb8);
    let failed = |error: image::ImageError| EncodeError(error.to_string());
    match format {
        Format::Png => return encode_png(picture, text).map_err(|error| EncodeError(error.to_string())),
        Format::Jpeg => JpegEncoder::new_with_quality(&mut out, quality)
            .write_image(&picture.rgb, width, height, color)
            .map_err(failed)?,
        Format::Webp => {
            WebPEncoder::new_lossless(&mut out).write_image(&picture.rgb, width, height, color).map_err(failed)?;
        }
    }
    Ok(out)
}

fn encode_png(picture: &Picture, text: &[(&str, &str)]) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Cursor::new(Vec::new());
    let mut encoder = png::Encoder::new(&mut out, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    for (key, value) in text {
        // iTXt holds any text, tEXt only Latin-1.
        encoder.add_itxt_chunk((*key).to_owned(), (*value).to_owned())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.rgb)?;
    writer.finish()?;
    Ok(out.into_inner())
}
