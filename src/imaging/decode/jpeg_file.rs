//! JPEG: its segments are looked at before its decoder sees them.
//!
//! Invariant: an image of which a part is missing is refused, never filled with grey.

use std::borrow::Cow;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::{ZByteReaderTrait, ZCursor};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::color::Colors;
use super::decoded::Decoded;
use super::error::DecodeError;
use super::jpeg_outline::{END, Frame, Outline, outline};
use super::jpeg_scans::{ScanError, check_scans};

/// Adobe RGB (1998), for cameras that name it in EXIF alone: white, primaries, gamma.
const ADOBE_WHITE: (f32, f32) = (0.3127, 0.3290);
const ADOBE_PRIMARIES: [(f32, f32); 3] = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)];
const ADOBE_GAMMA: f32 = 2.199_218_8;

/// A file whose header was read.
pub(super) struct JpegFile<'a> {
    decoder: JpegDecoder<ZCursor<Cow<'a, [u8]>>>,
    file: &'a [u8],
    frame: Frame,
    has_end: bool,
}

impl<'a> JpegFile<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Self, DecodeError> {
        let Outline { frame, has_scans, has_end } = outline(file);
        let frame = frame.ok_or_else(DecodeError::cut_off)?;
        if let Some(kind) = frame.unsupported() {
            return Err(DecodeError::Unsupported(kind.to_owned()));
        }
        if !has_scans {
            return Err(DecodeError::cut_off());
        }
        // Some cameras leave out the end. Whether that alone is missing is seen before the pixels are read.
        let ended = if has_end { Cow::Borrowed(file) } else { [file, &[0xff, END]].concat().into() };
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(ended), options(ColorSpace::RGB, &frame));
        decoder.decode_headers().map_err(|error| wrong(&error, &frame))?;
        check_frame(&decoder, &frame)?;
        Ok(Self { decoder, file, frame, has_end })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        (self.frame.width, self.frame.height)
    }

    /// Bytes of a pixel while it is decoded: samples, and where there are several scans, coefficients of 16 bits as well.
    pub(super) fn pixel_bytes(&self) -> u64 {
        let components = u64::from(self.frame.components);
        components.max(3) + if self.frame.has_several_scans { 2 * components } else { 0 }
    }

    /// Whether the pixels are used as they are decoded.
    pub(super) fn is_plain(&self) -> bool {
        self.frame.components == 3 && self.decoder.exif().is_none() && self.decoder.icc_profile().is_none()
    }

    pub(super) fn read(mut self) -> Result<Decoded, DecodeError> {
        check_data(self.file, &self.frame, self.has_end)?;
        let input = self.decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
        let exif = self.decoder.exif().cloned();
        let icc = self.decoder.icc_profile();
        let orientation = exif.as_deref().and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
        let colors = match &icc {
            None if exif.as_deref().is_some_and(names_adobe_rgb) => {
                Colors::of_gamma(ADOBE_GAMMA, ADOBE_WHITE, ADOBE_PRIMARIES)
            }
            icc => Colors::of_icc(icc.as_deref()),
        };
        let (width, height) = self.size();
        let whole = |pixels: Option<DynamicImage>| {
            pixels.ok_or_else(|| DecodeError::Damaged("its pixels are not those of its header".to_owned()))
        };
        if icc.is_some() && matches!(input, ColorSpace::CMYK | ColorSpace::YCCK) {
            let inks = into_inks(self.samples(input)?, input);
            if let Some(pixels) = colors.convert_inks(&inks, (width, height)) {
                return Ok(Decoded { pixels: pixels.into(), colors: Colors::Srgb, orientation });
            }
            let rgb = inks.chunks_exact(4).flat_map(|p| [0, 1, 2].map(|c| light(p[c], p[3]))).collect();
            let pixels = whole(RgbImage::from_raw(width, height, rgb).map(DynamicImage::from))?;
            return Ok(Decoded { pixels, colors: Colors::Srgb, orientation });
        }
        let pixels = if input == ColorSpace::Luma {
            GrayImage::from_raw(width, height, self.samples(ColorSpace::Luma)?).map(DynamicImage::from)
        } else {
            RgbImage::from_raw(width, height, self.samples(ColorSpace::RGB)?).map(DynamicImage::from)
        };
        Ok(Decoded { pixels: whole(pixels)?, colors, orientation })
    }

    /// All samples, in a colour space. Headers are read leniently, as people's files want it; pixels are not.
    fn samples(&mut self, space: ColorSpace) -> Result<Vec<u8>, DecodeError> {
        self.decoder.set_options(options(space, &self.frame).set_strict_mode(true));
        self.decoder.decode().map_err(|error| wrong(&error, &self.frame))
    }
}

/// Whether a JPEG within another file has all of its coded data. Its pixels are taken from those that are `left` for it.
pub(super) fn check_coded(file: &[u8], left: &mut u64) -> Result<(), DecodeError> {
    let Outline { frame, has_end, .. } = outline(file);
    let frame = frame.ok_or_else(DecodeError::cut_off)?;
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    *left = left
        .checked_sub(pixels)
        .ok_or_else(|| DecodeError::Damaged("parts of it are larger than the whole".to_owned()))?;
    // What it is not read of is for its decoder to say.
    if frame.unsupported().is_some() {
        return Ok(());
    }
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options(ColorSpace::RGB, &frame));
    if decoder.decode_headers().is_ok() {
        check_frame(&decoder, &frame)?;
    }
    check_data(file, &frame, has_end)
}

/// Whether all coded data are there: decoders make up what is not.
fn check_data(file: &[u8], frame: &Frame, has_end: bool) -> Result<(), DecodeError> {
    check_scans(file, frame).map_err(|error| match error {
        ScanError::CutOff => DecodeError::cut_off(),
        ScanError::LacksDetail if !has_end => DecodeError::cut_off(),
        ScanError::LacksDetail => DecodeError::Unsupported("a progressive JPEG without its last scans".to_owned()),
        ScanError::Invalid => DecodeError::Damaged("its coded data cannot be read".to_owned()),
    })
}

/// The decoder must have found the frame whose size was checked and whose memory is counted.
fn check_frame<T: ZByteReaderTrait>(decoder: &JpegDecoder<T>, frame: &Frame) -> Result<(), DecodeError> {
    let found = decoder.info().map(|info| (u32::from(info.width), u32::from(info.height), info.components));
    if found == Some((frame.width, frame.height, frame.components)) { Ok(()) } else { Err(DecodeError::garbled()) }
}

fn options(space: ColorSpace, frame: &Frame) -> DecoderOptions {
    let bounded = DecoderOptions::default().set_max_width(frame.width as usize).set_max_height(frame.height as usize);
    bounded.set_strict_mode(false).jpeg_set_out_colorspace(space)
}

fn wrong(error: &DecodeErrors, frame: &Frame) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(_) => DecodeError::Unsupported("this kind of JPEG".to_owned()),
        _ if frame.has_unusual_sampling() => DecodeError::Unsupported("a JPEG of this chroma subsampling".to_owned()),
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => DecodeError::cut_off(),
        _ => DecodeError::garbled(),
    }
}

/// Shares of ink (255 is all of it), from samples as Adobe's programs write them: inverted, and of YCCK with the first three
/// as luma and chroma of what is not absorbed.
fn into_inks(mut samples: Vec<u8>, space: ColorSpace) -> Vec<u8> {
    for pixel in samples.chunks_exact_mut(4) {
        if space == ColorSpace::YCCK {
            let [y, cb, cr] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
            let (cb, cr) = (cb - 128.0, cr - 128.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
            let byte = |x: f32| x.round().clamp(0.0, 255.0) as u8;
            pixel[0] = byte(y + 1.402 * cr);
            pixel[1] = byte(y - 0.344_136 * cb - 0.714_136 * cr);
            pixel[2] = byte(y + 1.772 * cb);
        } else {
            for ink in &mut pixel[..3] {
                *ink = 255 - *ink;
            }
        }
        pixel[3] = 255 - pixel[3];
    }
    samples
}

/// What two inks leave of the light.
#[expect(clippy::cast_possible_truncation, reason = "a product of shares")]
fn light(ink: u8, black: u8) -> u8 {
    let (a, b) = (u32::from(255 - ink), u32::from(255 - black));
    ((a * b + 127) / 255) as u8
}

/// Whether EXIF says by the "Design rule for Camera File system" that the colours are Adobe RGB.
fn names_adobe_rgb(exif: &[u8]) -> bool {
    let Ok(exif) = exif::Reader::new().read_raw(exif.to_vec()) else { return false };
    exif.fields().any(|field| {
        let is_index = field.tag == exif::Tag::InteroperabilityIndex;
        is_index
            && matches!(&field.value, exif::Value::Ascii(texts) if texts.iter().any(|text| text.starts_with(b"R03")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 8x8 in front of the file's own, behind a marker that one reader takes for a segment and another does not: its
    /// size would be checked, and the other's pixels made.
    #[test]
    fn a_file_has_one_frame_whoever_reads_it() {
        let frame = [0xff, 0xc0, 0, 17, 8, 0, 8, 0, 8, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
        let length = u16::try_from(frame.len() + 2).unwrap().to_be_bytes();
        for name in ["quad.jpg", "progressive.jpg"] {
            let path = format!("{}/tests/fixtures/pictures/{name}", env!("CARGO_MANIFEST_DIR"));
            let file = std::fs::read(path).unwrap();
            assert!(JpegFile::open(&file).is_ok(), "{name}");
            for marker in [0x01, 0xd0, 0xd7, 0xd8] {
                let mut file = file.clone();
                file.splice(2..2, [0xff, marker].into_iter().chain(length).chain(frame));
                assert!(JpegFile::open(&file).is_err(), "{name}: {marker:x}");
            }
            // What the decoder finds must be what was measured, however both came to it.
            let mut other = outline(&file).frame.unwrap();
            other.width = 8;
            let decoder = JpegFile::open(&file).unwrap().decoder;
            assert!(check_frame(&decoder, &other).is_err(), "{name}");
        }
    }
}
