//! Image files to pixels: limits first, colours in sRGB, upright as EXIF says.
//!
//! Invariant: nothing is decoded of which the header says that it is larger than the limits, and an image of which a part is
//! missing is refused.

mod color;
mod decoded;
mod error;
mod format;
mod jpeg_bits;
mod jpeg_blocks;
mod jpeg_file;
mod jpeg_outline;
mod jpeg_scans;
mod png_file;
mod source;
mod tiff_file;

use std::panic::catch_unwind;

use image::DynamicImage;
use image::metadata::Orientation;

pub use error::DecodeError;

use self::decoded::Decoded;
use self::source::Source;
use super::alpha::on_white;
use crate::domain::{Image, MaskConvention, Size};

/// Bounds of images from outside.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Longest side, px.
    pub max_side: u32,
    /// Most pixels.
    pub max_pixels: u64,
}

/// No bounds: for files that were written here.
const OURS: DecodeLimits = DecodeLimits { max_side: u32::MAX, max_pixels: u64::MAX };

/// Memory that an image takes, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodedSize {
    /// While it is decoded.
    pub most: u64,
    /// Afterwards.
    pub kept: u64,
}

/// What decoding a file will take, by its header.
pub fn measure(bytes: &[u8], limits: &DecodeLimits) -> Result<DecodedSize, DecodeError> {
    guarded(|| {
        let source = open(bytes, limits)?;
        let (width, height) = source.size();
        let pixels = u64::from(width) * u64::from(height);
        let kept = pixels * if source.may_have_alpha() { Image::RGBA } else { Image::RGB } as u64;
        Ok(DecodedSize { most: kept.max(pixels * source.pixel_bytes()), kept })
    })
}

/// What decoding a file as a mask will take, by its header.
pub fn measure_mask(bytes: &[u8], limits: &DecodeLimits) -> Result<DecodedSize, DecodeError> {
    guarded(|| {
        let source = open(bytes, limits)?;
        let (width, height) = source.size();
        let kept = u64::from(width) * u64::from(height) * Image::GRAY as u64;
        Ok(DecodedSize { most: kept * source.mask_bytes(), kept })
    })
}

/// Decode an image to RGB.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, DecodeError> {
    decode_with_alpha(bytes, limits).map(|image| on_white(&image))
}

/// Decode an image to RGB or, if any pixel of it is transparent, to RGBA.
pub fn decode_with_alpha(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, DecodeError> {
    decode_upright(bytes, limits).map(|upright| upright.image)
}

/// A decoded file.
#[derive(Debug)]
pub struct UprightImage {
    /// RGB or, if any pixel of it is transparent, RGBA.
    pub image: Image,
    /// Whether its sides were exchanged to bring it upright.
    pub turned: bool,
}

/// Decode an image, and say what was done to it.
pub fn decode_upright(bytes: &[u8], limits: &DecodeLimits) -> Result<UprightImage, DecodeError> {
    let (Decoded { pixels, colors, .. }, turned) = read(bytes, limits)?;
    let pixels = guarded(|| Ok(colors.convert(pixels)))?;
    let (width, height) = (pixels.width(), pixels.height());
    if !pixels.color().has_alpha() {
        return Ok(UprightImage { image: Image::rgb(width, height, pixels.into_rgb8().into_raw()), turned });
    }
    let rgba = pixels.into_rgba8();
    let image = if rgba.pixels().any(|pixel| pixel.0[3] != 255) {
        Image::rgba(width, height, rgba.into_raw())
    } else {
        Image::rgb(width, height, DynamicImage::from(rgba).into_rgb8().into_raw())
    };
    Ok(UprightImage { image, turned })
}

/// Decode a mask to gray; whatever the convention, 255 repaints in the result. Its numbers are marks and no colours: profiles
/// do not change them.
pub fn decode_mask(bytes: &[u8], convention: MaskConvention, limits: &DecodeLimits) -> Result<Image, DecodeError> {
    let (Decoded { pixels, .. }, _) = read(bytes, limits)?;
    let (width, height) = (pixels.width(), pixels.height());
    let gray = match convention {
        MaskConvention::Alpha if !pixels.color().has_alpha() => return Err(DecodeError::NoAlpha),
        MaskConvention::Alpha => pixels.into_rgba8().pixels().map(|p| 255 - p.0[3]).collect(),
        MaskConvention::White => marks(pixels, |luma| luma),
        MaskConvention::Black => marks(pixels, |luma| 255 - luma),
    };
    Ok(Image::gray(width, height, gray))
}

/// An image or a mask of so many channels that was written by [`super::to_png`].
pub fn from_png(bytes: &[u8], channels: usize) -> Result<Image, DecodeError> {
    match channels {
        Image::GRAY => decode_mask(bytes, MaskConvention::White, &OURS),
        Image::RGBA => {
            let image = read(bytes, &OURS)?.0.pixels.into_rgba8();
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

/// Some damaged files make their decoder panic, which is the file's fault. It keeps nothing from one file to the next.
fn guarded<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DecodeError::Damaged("its decoder gave up".to_owned())))
}

/// A file within the limits, by its header.
fn open<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Source<'a>, DecodeError> {
    // Before its decoder, which would call a huge one damaged.
    if let Some(size) = png_file::declared_size(bytes) {
        check_size(size, limits)?;
    }
    let source = Source::open(bytes)?;
    check_size(source.size(), limits)?;
    Ok(source)
}

fn check_size((width, height): (u32, u32), limits: &DecodeLimits) -> Result<(), DecodeError> {
    let pixels = u64::from(width) * u64::from(height);
    let DecodeLimits { max_side, max_pixels } = *limits;
    if width > max_side || height > max_side || pixels > max_pixels {
        return Err(DecodeError::TooLarge { width, height, max_side, max_pixels });
    }
    if pixels == 0 {
        return Err(DecodeError::Damaged("it has no pixels".to_owned()));
    }
    Ok(())
}

/// The pixels upright, and whether their sides were exchanged for that.
fn read(bytes: &[u8], limits: &DecodeLimits) -> Result<(Decoded, bool), DecodeError> {
    guarded(|| {
        let mut decoded = open(bytes, limits)?.read()?;
        decoded.pixels.apply_orientation(decoded.orientation);
        let turned = matches!(
            decoded.orientation,
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        );
        Ok((decoded, turned))
    })
}

/// How much each pixel is marked: `mark` of its grey value, as Pillow's `convert("L")` computes that. What is transparent is
/// not marked.
#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of bytes")]
fn marks(pixels: DynamicImage, mark: impl Fn(u8) -> u8) -> Vec<u8> {
    if !pixels.color().has_color() && !pixels.color().has_alpha() {
        return pixels.into_luma8().into_raw().into_iter().map(mark).collect();
    }
    let marked = |p: &image::Rgba<u8>| {
        let [r, g, b, a] = p.0.map(u32::from);
        let luma = (r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16;
        (u32::from(mark(luma as u8)) * a / 255) as u8
    };
    pixels.into_rgba8().pixels().map(marked).collect()
}
