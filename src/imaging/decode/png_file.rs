//! PNG: its chunks are looked at before its decoder sees them.
//!
//! Invariant: what is not pixels (texts, profiles, previews) takes no more memory than a few times its bytes in the file, and
//! texts are not looked at.

use std::borrow::Cow;
use std::io::{Cursor, Read as _};

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, RgbImage, RgbaImage};
use png::{BitDepth, ColorType, DecodingError, Transformations};

use super::color::{Colors, MAX_PROFILE};
use super::decoded::Decoded;
use super::error::DecodeError;

/// Most bytes of one chunk that is kept, such as EXIF.
const MAX_CHUNK: usize = 16 << 20;
const SIGNATURE: usize = 8;
/// Length, type and checksum.
const FRAME: usize = 12;
/// The chunk that ends a file.
const END: [u8; FRAME] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82];
/// gAMA of sRGB.
const SRGB_GAMMA: f32 = 0.45455;

/// Width and height that a PNG's header has, px; `None` for other files.
pub(super) fn declared_size(file: &[u8]) -> Option<(u32, u32)> {
    let header = file.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    (header.get(4..8)? == b"IHDR").then_some((number(8)?, number(12)?))
}

/// A file whose header was read.
pub(super) struct PngFile<'a> {
    reader: png::Reader<Cursor<Cow<'a, [u8]>>>,
    profile: Option<Vec<u8>>,
    late_exif: Option<&'a [u8]>,
}

/// What the chunks of a file say.
struct Outline<'a> {
    /// The file, with the end that it lacks.
    file: Cow<'a, [u8]>,
    /// Contents of the chunk iCCP.
    profile: Option<&'a [u8]>,
    /// Contents of the chunk eXIf behind the pixels, where the decoder does not see it in time.
    late_exif: Option<&'a [u8]>,
}

impl<'a> PngFile<'a> {
    pub(super) fn open(file: &'a [u8]) -> Result<Self, DecodeError> {
        let Outline { file, profile, late_exif } = outline(file)?;
        let mut options = png::DecodeOptions::default();
        options.set_ignore_text_chunk(true);
        options.set_ignore_iccp_chunk(true);
        let mut decoder = png::Decoder::new_with_options(Cursor::new(file), options);
        decoder.set_limits(png::Limits { bytes: MAX_CHUNK });
        decoder.set_transformations(Transformations::EXPAND);
        let reader = decoder.read_info().map_err(wrong)?;
        Ok(Self { reader, profile: profile.and_then(inflate_profile), late_exif })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.reader.info().size()
    }

    /// Bytes of a pixel as it is decoded.
    pub(super) fn pixel_bytes(&self) -> u64 {
        let (color, depth) = self.reader.output_color_type();
        color.samples() as u64 * if depth == BitDepth::Sixteen { 2 } else { 1 }
    }

    /// Whether samples have 16 bits.
    pub(super) fn is_deep(&self) -> bool {
        self.reader.output_color_type().1 == BitDepth::Sixteen
    }

    pub(super) fn is_gray(&self) -> bool {
        matches!(self.reader.output_color_type(), (ColorType::Grayscale, BitDepth::Eight))
    }

    pub(super) fn has_alpha(&self) -> bool {
        matches!(self.reader.output_color_type().0, ColorType::GrayscaleAlpha | ColorType::Rgba)
    }

    /// Whether the pixels are used as they are decoded.
    pub(super) fn is_plain(&self) -> bool {
        let is_turned = self.exif().is_some();
        let is_rgb = self.reader.output_color_type() == (ColorType::Rgb, BitDepth::Eight);
        is_rgb && !is_turned && matches!(self.colors(), Ok(Colors::Srgb))
    }

    fn exif(&self) -> Option<&[u8]> {
        self.reader.info().exif_metadata.as_deref().or(self.late_exif)
    }

    pub(super) fn read(mut self) -> Result<Decoded, DecodeError> {
        let (width, height) = self.size();
        let colors = self.colors()?;
        let orientation = self.exif().and_then(Orientation::from_exif_chunk);
        let (color, depth) = self.reader.output_color_type();
        let bytes = self.reader.output_buffer_size().ok_or_else(|| wrong(DecodingError::LimitsExceeded))?;
        let mut data = vec![0; bytes];
        self.reader.next_frame(&mut data).map_err(wrong)?;
        let pixels = if depth == BitDepth::Sixteen {
            deep(color, (width, height), &data)
        } else {
            match color {
                ColorType::Grayscale => GrayImage::from_raw(width, height, data).map(DynamicImage::from),
                ColorType::GrayscaleAlpha => GrayAlphaImage::from_raw(width, height, data).map(DynamicImage::from),
                ColorType::Rgb => RgbImage::from_raw(width, height, data).map(DynamicImage::from),
                ColorType::Rgba => RgbaImage::from_raw(width, height, data).map(DynamicImage::from),
                ColorType::Indexed => None,
            }
        };
        let pixels = pixels.ok_or_else(|| DecodeError::Damaged("its pixels are not those of its header".to_owned()))?;
        Ok(Decoded { pixels, colors, orientation: orientation.unwrap_or(Orientation::NoTransforms) })
    }

    /// What the file says of its colours; the first of cICP, iCCP, sRGB, gAMA and cHRM that it has (PNG third edition, 12.1).
    fn colors(&self) -> Result<Colors, DecodeError> {
        let info = self.reader.info();
        if let Some(points) = info.coding_independent_code_points {
            const PQ: u8 = 16;
            const HLG: u8 = 18;
            if [PQ, HLG].contains(&points.transfer_function) {
                return Err(DecodeError::Unsupported("an HDR image (PQ or HLG)".to_owned()));
            }
            return Ok(of_code_points(points.color_primaries, points.transfer_function));
        }
        if self.profile.is_some() {
            return Ok(Colors::of_icc(self.profile.as_deref()));
        }
        if info.srgb.is_some() {
            return Ok(Colors::Srgb);
        }
        let gamma = info.gama_chunk.map_or(SRGB_GAMMA, png::ScaledFloat::into_value);
        let near = |a: f32, b: f32, within: f32| (a - b).abs() <= within;
        let primaries = info.chrm_chunk.map(|chrm| {
            let value = |(x, y): (png::ScaledFloat, png::ScaledFloat)| (x.into_value(), y.into_value());
            (value(chrm.white), [chrm.red, chrm.green, chrm.blue].map(value))
        });
        let srgb = ((0.3127, 0.3290), [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]);
        let (white, primaries) = primaries.unwrap_or(srgb);
        let same = |a: (f32, f32), b: (f32, f32)| near(a.0, b.0, 0.005) && near(a.1, b.1, 0.005);
        let has_srgb_primaries = same(white, srgb.0) && primaries.into_iter().zip(srgb.1).all(|(a, b)| same(a, b));
        let is_gamma_sensible = (0.1..=1.5).contains(&gamma);
        let are_primaries_sensible =
            [white].into_iter().chain(primaries).all(|(x, y)| (0.0..=1.0).contains(&x) && y > 0.01);
        if (has_srgb_primaries && near(gamma, SRGB_GAMMA, 0.02)) || !is_gamma_sensible || !are_primaries_sensible {
            return Ok(Colors::Srgb);
        }
        Ok(Colors::of_gamma(1.0 / gamma, white, primaries))
    }
}

/// Colours by the numbers of ITU-T H.273.
fn of_code_points(primaries: u8, transfer: u8) -> Colors {
    let (Ok(color_primaries), Ok(transfer_characteristics)) = (primaries.try_into(), transfer.try_into()) else {
        return Colors::Srgb;
    };
    let profile = moxcms::ColorProfile::new_from_cicp(moxcms::CicpProfile {
        color_primaries,
        transfer_characteristics,
        matrix_coefficients: moxcms::MatrixCoefficients::Identity,
        full_range: true,
    });
    if profile.red_trc.is_none() { Colors::Srgb } else { Colors::Profile(Box::new(profile)) }
}

/// Samples of 16 bits in the order of the file: the most significant byte first.
fn deep(color: ColorType, (width, height): (u32, u32), data: &[u8]) -> Option<DynamicImage> {
    let samples = data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    match color {
        ColorType::Grayscale => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma16),
        ColorType::GrayscaleAlpha => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA16),
        ColorType::Rgb => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16),
        ColorType::Rgba => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba16),
        ColorType::Indexed => None,
    }
}

fn outline(file: &[u8]) -> Result<Outline<'_>, DecodeError> {
    let mut at = SIGNATURE;
    let (mut profile, mut late_exif, mut has_pixels) = (None, None, false);
    while let Some(&[a, b, c, d, ref kind @ ..]) = file.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let contents = at + 8..(at + 8).saturating_add(length);
        match kind {
            // `png` 0.18 panics where a colour is not whole.
            b"PLTE" if !length.is_multiple_of(3) => {
                return Err(DecodeError::Damaged("its palette ends within a colour".to_owned()));
            }
            b"iCCP" if profile.is_none() => profile = file.get(contents.clone()),
            b"eXIf" if has_pixels && late_exif.is_none() => late_exif = file.get(contents.clone()),
            b"IDAT" => has_pixels = true,
            b"IEND" => return Ok(Outline { file: with_end(file, at), profile, late_exif }),
            _ => {}
        }
        if contents.end.saturating_add(4) > file.len() {
            return Ok(Outline { file: Cow::Borrowed(file), profile, late_exif });
        }
        at = contents.end + 4;
    }
    let file = if has_pixels && END.starts_with(file.get(at..).unwrap_or(&[1])) {
        with_end(file, at)
    } else {
        Cow::Borrowed(file)
    };
    Ok(Outline { file, profile, late_exif })
}

/// The file up to its end chunk at `at`, and a whole one.
fn with_end(file: &[u8], at: usize) -> Cow<'_, [u8]> {
    if file.get(at..at + FRAME) == Some(&END) { Cow::Borrowed(file) } else { [&file[..at], &END].concat().into() }
}

/// The profile in a chunk iCCP: a name, a zero, the method of compression, and the compressed profile.
fn inflate_profile(chunk: &[u8]) -> Option<Vec<u8>> {
    let name = chunk.iter().take(80).position(|byte| *byte == 0)?;
    let mut profile = Vec::new();
    let limit = MAX_PROFILE as u64 + 1;
    flate2::read::ZlibDecoder::new(chunk.get(name + 2..)?).take(limit).read_to_end(&mut profile).ok()?;
    (profile.len() <= MAX_PROFILE).then_some(profile)
}

fn wrong(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => DecodeError::cut_off(),
        DecodingError::LimitsExceeded => DecodeError::Damaged("what it says beside its pixels is too long".to_owned()),
        _ => DecodeError::garbled(),
    }
}
