//! One file of any format, from its header to its pixels.
//!
//! Invariant: a header is read without memory for pixels, and says how much they will take.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, Limits};

use super::color::Colors;
use super::decoded::Decoded;
use super::error::DecodeError;
use super::format::{Format, recognize};
use super::jpeg_file::JpegFile;
use super::png_file::PngFile;
use super::tiff_file::{self, read_inks};
use crate::domain::Image;

/// A file whose header was read.
pub(super) enum Source<'a> {
    Png(Box<PngFile<'a>>),
    Jpeg(Box<JpegFile<'a>>),
    Other(Box<dyn ImageDecoder + 'a>, Format, &'a [u8]),
}

impl<'a> Source<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Self, DecodeError> {
        let format = recognize(file)?;
        let cursor = Cursor::new(file);
        let decoder: Box<dyn ImageDecoder + 'a> = match format {
            Format::Png => return PngFile::open(file).map(Box::new).map(Self::Png),
            Format::Jpeg => return JpegFile::open(file).map(Box::new).map(Self::Jpeg),
            Format::WebP => {
                check_riff(file)?;
                Box::new(WebPDecoder::new(cursor).map_err(wrong)?)
            }
            Format::Gif => {
                let mut decoder = GifDecoder::new(cursor).map_err(wrong)?;
                // Its frames may say that they are larger than it.
                let (width, height) = decoder.dimensions();
                let mut limits = Limits::no_limits();
                limits.max_alloc = Some(u64::from(width) * u64::from(height) * 4);
                decoder.set_limits(limits).map_err(wrong)?;
                Box::new(decoder)
            }
            Format::Bmp => Box::new(BmpDecoder::new(cursor).map_err(wrong)?),
            Format::Tiff => {
                tiff_file::check_kind(file)?;
                Box::new(TiffDecoder::new(cursor).map_err(wrong)?)
            }
        };
        Ok(Self::Other(decoder, format, file))
    }

    /// Width and height as stored, px.
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::Png(file) => file.size(),
            Self::Jpeg(file) => file.size(),
            Self::Other(decoder, ..) => decoder.dimensions(),
        }
    }

    /// Most bytes that a pixel takes while it is decoded, turned, and brought to 8 bits of red, green, blue and alpha.
    pub(super) fn pixel_bytes(&self) -> u64 {
        let converted = Image::RGBA as u64;
        match self {
            Self::Png(file) => {
                // Samples of 16 bits are put in order beside the file's own.
                let beside = if file.is_plain() { 0 } else { converted };
                file.pixel_bytes() + if file.is_deep() { file.pixel_bytes().max(beside) } else { beside }
            }
            Self::Jpeg(file) => file.pixel_bytes() + if file.is_plain() { 0 } else { converted },
            Self::Other(decoder, format, _) => {
                let samples = u64::from(decoder.color_type().bytes_per_pixel());
                // A working copy of their own.
                let copy = if matches!(format, Format::Bmp) { 0 } else { samples.max(4) };
                samples + copy.max(converted)
            }
        }
    }

    /// Most bytes that a pixel takes while it is decoded, turned, and brought to a mark.
    pub(super) fn mask_bytes(&self) -> u64 {
        match self {
            // One of the samples, and one of the marks or of what is turned.
            Self::Png(file) if file.is_gray() => file.pixel_bytes() + Image::GRAY as u64,
            _ => self.pixel_bytes().max(Image::RGB as u64 + Image::RGBA as u64) + Image::GRAY as u64,
        }
    }

    /// Whether pixels may be transparent.
    pub(super) fn may_have_alpha(&self) -> bool {
        match self {
            Self::Png(file) => file.has_alpha(),
            Self::Jpeg(_) => false,
            Self::Other(decoder, ..) => decoder.color_type().has_alpha(),
        }
    }

    pub(super) fn read(self) -> Result<Decoded, DecodeError> {
        match self {
            Self::Png(file) => file.read(),
            Self::Jpeg(file) => file.read(),
            Self::Other(mut decoder, format, file) => {
                if matches!(format, Format::Tiff) {
                    let (width, height) = decoder.dimensions();
                    tiff_file::check_data(file, u64::from(width) * u64::from(height))?;
                }
                let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
                let colors = Colors::of_icc(decoder.icc_profile().ok().flatten().as_deref());
                if decoder.original_color_type() == ExtendedColorType::Cmyk8 {
                    let (size, inks) = (decoder.dimensions(), read_inks(file));
                    if let Some(pixels) = inks.and_then(|inks| colors.convert_inks(&inks, size)) {
                        return Ok(Decoded { pixels: pixels.into(), colors: Colors::Srgb, orientation });
                    }
                }
                let pixels = DynamicImage::from_decoder(decoder).map_err(wrong)?;
                Ok(Decoded { pixels, colors, orientation })
            }
        }
    }
}

/// A WebP has as many bytes as it says.
fn check_riff(file: &[u8]) -> Result<(), DecodeError> {
    let Some(&[a, b, c, d]) = file.get(4..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Err(DecodeError::cut_off());
    };
    // Some programs leave out the last byte, which makes the length even.
    let length = u64::from(u32::from_le_bytes([a, b, c, d])) + 7;
    if (file.len() as u64) < length { Err(DecodeError::cut_off()) } else { Ok(()) }
}

/// What a decoder of the `image` crate says, in our words.
fn wrong(error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::Unsupported("this kind of the format".to_owned()),
        ImageError::Limits(_) => DecodeError::Damaged("it is larger than its format allows".to_owned()),
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => DecodeError::cut_off(),
        // Of a GIF it is told in words alone.
        ImageError::Decoding(error) if error.to_string().to_ascii_lowercase().contains("unexpected end") => {
            DecodeError::cut_off()
        }
        _ => DecodeError::garbled(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_16_bits_count_as_they_come_and_as_they_are_put_in_order() {
        let bytes_of = |color, depth, samples: usize| {
            let mut file = Vec::new();
            let mut encoder = png::Encoder::new(&mut file, 2, 2);
            encoder.set_color(color);
            encoder.set_depth(depth);
            encoder.write_header().unwrap().write_image_data(&vec![7; 4 * samples]).unwrap();
            Source::open(&file).unwrap().pixel_bytes()
        };
        assert_eq!(bytes_of(png::ColorType::Rgb, png::BitDepth::Sixteen, 6), 12);
        assert_eq!(bytes_of(png::ColorType::Rgba, png::BitDepth::Sixteen, 8), 16);
        assert_eq!(bytes_of(png::ColorType::Rgb, png::BitDepth::Eight, 3), 3);
    }
}
