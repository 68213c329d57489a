//! PNG, JPEG and WebP to pixels: limits first, EXIF orientation honoured, transparency laid on white as the reference's
//! image processor does.

use std::io::Cursor;
use std::panic::catch_unwind;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::alpha::on_white;
use crate::domain::{Image, MaskConvention, Size};

/// Bounds of pictures from outside.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Longest side, px.
    pub max_side: u32,
    /// Most pixels.
    pub max_pixels: u64,
}

/// Why bytes are no picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not a PNG, JPEG or WebP picture")]
    UnknownFormat,
    #[error("the picture of {width}x{height} px is larger than {max_side} px a side or {max_pixels} px in all")]
    TooLarge { width: u32, height: u32, max_side: u32, max_pixels: u64 },
    /// It is so large that its decoder did not even say how large.
    #[error("the picture is larger than {max_side} px a side or {max_pixels} px in all")]
    Absurd { max_side: u32, max_pixels: u64 },
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    #[error(
        "has no transparent part: transparent parts of the mask are repainted (for a black-and-white mask, mask_convention white \
         or black says which)"
    )]
    NoAlpha,
}

/// Decode an image to RGB.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, DecodeError> {
    decode_with_alpha(bytes, limits).map(|image| on_white(&image))
}

/// Decode an image to RGB or, if any pixel of it is transparent, to RGBA.
pub fn decode_with_alpha(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, DecodeError> {
    decode_picture(bytes, limits).map(|picture| picture.image)
}

/// A decoded file.
#[derive(Debug)]
pub struct Picture {
    /// RGB or, if any pixel of it is transparent, RGBA.
    pub image: Image,
    /// Whether its sides were exchanged to bring it upright.
    pub turned: bool,
}

/// Decode an image, and say what was done to it.
pub fn decode_picture(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, DecodeError> {
    let (picture, turned) = read(bytes, limits)?;
    let (width, height) = (picture.width(), picture.height());
    if !picture.color().has_alpha() {
        return Ok(Picture { image: Image::rgb(width, height, picture.into_rgb8().into_raw()), turned });
    }
    let rgba = picture.into_rgba8();
    let image = if rgba.pixels().any(|pixel| pixel.0[3] != 255) {
        Image::rgba(width, height, rgba.into_raw())
    } else {
        Image::rgb(width, height, DynamicImage::from(rgba).into_rgb8().into_raw())
    };
    Ok(Picture { image, turned })
}

/// Decode a mask to gray; whatever the convention, 255 repaints in the result.
pub fn decode_mask(bytes: &[u8], convention: MaskConvention, limits: &DecodeLimits) -> Result<Image, DecodeError> {
    let (picture, _) = read(bytes, limits)?;
    let (width, height) = (picture.width(), picture.height());
    let gray = match convention {
        MaskConvention::Alpha if !picture.color().has_alpha() => return Err(DecodeError::NoAlpha),
        MaskConvention::Alpha => picture.into_rgba8().pixels().map(|p| 255 - p.0[3]).collect(),
        MaskConvention::White => marks(picture, |luma| luma),
        MaskConvention::Black => marks(picture, |luma| 255 - luma),
    };
    Ok(Image::gray(width, height, gray))
}

/// No bounds: for files that were written here.
const OURS: DecodeLimits = DecodeLimits { max_side: u32::MAX, max_pixels: u64::MAX };

/// An image or a mask of so many channels that was written by [`super::to_png`].
pub fn from_png(bytes: &[u8], channels: usize) -> Result<Image, DecodeError> {
    match channels {
        Image::GRAY => decode_mask(bytes, MaskConvention::White, &OURS),
        Image::RGBA => {
            let image = read(bytes, &OURS)?.0.into_rgba8();
            Ok(Image::rgba(image.width(), image.height(), image.into_raw()))
        }
        _ => decode(bytes, &OURS),
    }
}

/// A smaller copy of a finished image's file, `width` px wide at most, in its proportions.
pub fn thumbnail(bytes: &[u8], width: u32) -> Result<Image, DecodeError> {
    let image = decode_with_alpha(bytes, &OURS)?;
    if width >= image.width() {
        return Ok(image);
    }
    let height = u64::from(image.height()) * u64::from(width) / u64::from(image.width());
    let size = Size { width: width.max(1), height: u32::try_from(height).unwrap_or(1).max(1) };
    Ok(super::resize(&image, size))
}

/// The pixels upright, and whether their sides were exchanged for that. Some damaged files make their decoder panic, which is
/// the file's fault. It keeps nothing from one file to the next.
fn read(bytes: &[u8], limits: &DecodeLimits) -> Result<(DynamicImage, bool), DecodeError> {
    catch_unwind(|| read_unguarded(bytes, limits))
        .unwrap_or_else(|_| Err(DecodeError::Damaged("its decoder gave up".to_owned())))
}

fn read_unguarded(bytes: &[u8], limits: &DecodeLimits) -> Result<(DynamicImage, bool), DecodeError> {
    let damaged = |error: image::ImageError| DecodeError::Damaged(error.to_string());
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| DecodeError::Damaged(error.to_string()))?;
    if reader.format().is_none() {
        return Err(DecodeError::UnknownFormat);
    }
    if reader.format() == Some(ImageFormat::Png) && !has_whole_palette(bytes) {
        return Err(DecodeError::Damaged("its palette ends within a colour".to_owned()));
    }
    let mut decoder = reader.into_decoder().map_err(|error| match error {
        image::ImageError::Unsupported(_) => DecodeError::UnknownFormat,
        image::ImageError::Limits(_) => {
            DecodeError::Absurd { max_side: limits.max_side, max_pixels: limits.max_pixels }
        }
        other => damaged(other),
    })?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if width > limits.max_side || height > limits.max_side || pixels > limits.max_pixels {
        return Err(DecodeError::TooLarge { width, height, max_side: limits.max_side, max_pixels: limits.max_pixels });
    }
    if pixels == 0 {
        return Err(DecodeError::Damaged("it has no pixels".to_owned()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    let sides_exchanged =
        [Orientation::Rotate90, Orientation::Rotate270, Orientation::Rotate90FlipH, Orientation::Rotate270FlipH];
    Ok((picture, sides_exchanged.contains(&orientation)))
}

/// Whether a PNG file's palette, if it has one, is made of whole colours: `png` 0.18 panics where it is not.
fn has_whole_palette(file: &[u8]) -> bool {
    const SIGNATURE: usize = 8;
    const CHECKSUM: usize = 4;
    let mut chunks = file.get(SIGNATURE..).unwrap_or_default();
    while let Some((&[a, b, c, d, kind @ ..], rest)) = chunks.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == *b"PLTE" && !length.is_multiple_of(3) {
            return false;
        }
        chunks = rest.get(length.saturating_add(CHECKSUM)..).unwrap_or_default();
    }
    true
}

/// How much each pixel is marked: `mark` of its grey value, as Pillow's `convert("L")` computes that. What is transparent is
/// not marked.
#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of bytes")]
fn marks(picture: DynamicImage, mark: impl Fn(u8) -> u8) -> Vec<u8> {
    if !picture.color().has_color() && !picture.color().has_alpha() {
        return picture.into_luma8().into_raw().into_iter().map(mark).collect();
    }
    let marked = |p: &image::Rgba<u8>| {
        let [r, g, b, a] = p.0.map(u32::from);
        let luma = (r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16;
        (u32::from(mark(luma as u8)) * a / 255) as u8
    };
    picture.into_rgba8().pixels().map(marked).collect()
}
