//! Pixels to PNG, JPEG or WebP, with what the file says of its origin and, if wished for, of its making.
//!
//! Invariants: PNG is lossless, and so is WebP at quality 100; both keep transparency, which JPEG has on white. Whether a file is marked is up to the operator alone, and
//! marks change no pixel.

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use img_parts::jpeg::{Jpeg, JpegSegment, markers};
use img_parts::riff::{RiffChunk, RiffContent};
use img_parts::webp::{CHUNK_XMP, WebP};
use img_parts::{Bytes, ImageEXIF};

use super::alpha::on_white;
use super::metadata::Metadata;
use super::provenance::Origin;
use crate::domain::{Format, Image, Output};

/// The quality at which WebP is lossless.
const LOSSLESS: u8 = 100;
/// Most bytes of EXIF in a JPEG: one segment, whose length has 16 bits and counts itself, less EXIF's head.
const JPEG_EXIF: usize = 0xffff - 2 - 6;
/// Where readers look for XMP (XMP specification part 3): the keyword of PNG's text chunk, the head of JPEG's segment.
const PNG_XMP: &str = "XML:com.adobe.xmp";
const JPEG_XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the image cannot be encoded: {0}")]
pub struct EncodeError(pub(super) String);

pub(super) fn failed(error: impl fmt::Display) -> EncodeError {
    EncodeError(error.to_string())
}

/// Signs a finished file.
pub trait Sign: fmt::Debug + Send + Sync {
    /// The file with a signature in it; the pixels stay as they are.
    fn sign(&self, file: Vec<u8>, format: Format, origin: Origin) -> Result<Vec<u8>, EncodeError>;
}

/// Writes images that were made here, marked as the operator decides.
#[derive(Debug)]
pub struct Encoder {
    xmp: bool,
    signer: Option<Box<dyn Sign>>,
}

/// What goes into a file besides the pixels.
struct Words<'a> {
    xmp: Option<String>,
    metadata: Option<&'a Metadata<'a>>,
}

impl Encoder {
    /// `xmp`: say in every file where it comes from; `signer`: sign the finished images.
    #[must_use]
    pub fn new(xmp: bool, signer: Option<Box<dyn Sign>>) -> Self {
        Self { xmp, signer }
    }

    /// A finished image's file.
    pub fn finished(&self, image: &Image, output: &Output, metadata: &Metadata<'_>) -> Result<Vec<u8>, EncodeError> {
        let file = self.unsigned(image, output, metadata)?;
        match &self.signer {
            Some(signer) => signer.sign(file, output.format, metadata.origin),
            None => Ok(file),
        }
    }

    /// The file of a smaller copy: marked, but not signed, since it is encoded anew for each request.
    pub fn unsigned(&self, image: &Image, output: &Output, metadata: &Metadata<'_>) -> Result<Vec<u8>, EncodeError> {
        let xmp = self.xmp(metadata.origin);
        write(image, *output, Words { xmp, metadata: output.embed_metadata.then_some(metadata) })
    }

    /// A preview, as a PNG: marked, but not signed.
    pub fn preview(&self, image: &Image, origin: Origin) -> Result<Vec<u8>, EncodeError> {
        write(image, Output::default(), Words { xmp: self.xmp(origin), metadata: None })
    }

    fn xmp(&self, origin: Origin) -> Option<String> {
        self.xmp.then(|| origin.source.xmp())
    }
}

fn write(image: &Image, output: Output, words: Words<'_>) -> Result<Vec<u8>, EncodeError> {
    let Words { xmp, metadata } = words;
    let exif = || metadata.map(Metadata::exif).transpose().map_err(failed);
    match output.format {
        Format::Png => {
            let mut text = metadata.map(Metadata::text).unwrap_or_default();
            text.extend(xmp.map(|xmp| (PNG_XMP, xmp)));
            encode_png(image, &text).map_err(failed)
        }
        Format::Jpeg => {
            let mut exif = exif()?;
            if exif.as_ref().is_some_and(|exif| exif.len() > JPEG_EXIF) {
                exif = metadata.map(Metadata::exif_of_seed).transpose().map_err(failed)?;
            }
            with_jpeg_words(encode_jpeg(image, output.quality)?, xmp, exif)
        }
        Format::Webp => with_webp_words(encode_webp(image, output.quality)?, xmp, exif()?),
    }
}

/// An image or a mask of a request as a PNG without further words, to be kept for a while.
pub fn to_png(image: &Image) -> Result<Vec<u8>, EncodeError> {
    encode_png(image, &[]).map_err(failed)
}

fn encode_jpeg(image: &Image, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality)
        .write_image(on_white(image).pixels(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(failed)?;
    Ok(out)
}

fn with_jpeg_words(file: Vec<u8>, xmp: Option<String>, exif: Option<Vec<u8>>) -> Result<Vec<u8>, EncodeError> {
    if xmp.is_none() && exif.is_none() {
        return Ok(file);
    }
    let mut jpeg = Jpeg::from_bytes(Bytes::from(file)).map_err(failed)?;
    jpeg.set_exif(exif.map(Bytes::from));
    if let Some(xmp) = xmp {
        // After JFIF's segment and EXIF's, which readers expect first.
        let is_first = |segment: &JpegSegment| matches!(segment.marker(), markers::APP0 | markers::APP1);
        let at = jpeg.segments().iter().take_while(|segment| is_first(segment)).count();
        let contents = [JPEG_XMP, xmp.as_bytes()].concat();
        jpeg.segments_mut().insert(at, JpegSegment::new_with_contents(markers::APP1, contents.into()));
    }
    Ok(jpeg.encoder().bytes().to_vec())
}

fn encode_webp(image: &Image, quality: u8) -> Result<Vec<u8>, EncodeError> {
    if quality < LOSSLESS {
        let (width, height) = (image.width(), image.height());
        let encoder = if image.has_alpha() {
            webp::Encoder::from_rgba(image.pixels(), width, height)
        } else {
            webp::Encoder::from_rgb(image.pixels(), width, height)
        };
        let encoded = encoder.encode_simple(false, f32::from(quality));
        return Ok(encoded.map_err(|error| EncodeError(format!("{error:?}")))?.to_vec());
    }
    let mut out = Vec::new();
    let color = if image.has_alpha() { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
    WebPEncoder::new_lossless(&mut out)
        .write_image(image.pixels(), image.width(), image.height(), color)
        .map_err(failed)?;
    Ok(out)
}

fn with_webp_words(file: Vec<u8>, xmp: Option<String>, exif: Option<Vec<u8>>) -> Result<Vec<u8>, EncodeError> {
    if xmp.is_none() && exif.is_none() {
        return Ok(file);
    }
    let mut webp = WebP::from_bytes(Bytes::from(file)).map_err(failed)?;
    if let Some(xmp) = xmp {
        webp.chunks_mut().push(RiffChunk::new(CHUNK_XMP, RiffContent::Data(xmp.into())));
    }
    // This writes the header of an extended file as well, with a flag for each chunk that is there by now.
    webp.set_exif(exif.map(Bytes::from));
    // XMP comes last in the container's layout.
    webp.chunks_mut().sort_by_key(|chunk| chunk.id() == CHUNK_XMP);
    Ok(webp.encoder().bytes().to_vec())
}

fn encode_png(image: &Image, text: &[(&str, String)]) -> Result<Vec<u8>, png::EncodingError> {
    let color = match image.channels() {
        Image::GRAY => png::ColorType::Grayscale,
        Image::RGBA => png::ColorType::Rgba,
        _ => png::ColorType::Rgb,
    };
    let mut out = Cursor::new(Vec::new());
    let mut encoder = png::Encoder::new(&mut out, image.width(), image.height());
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    for (key, value) in text {
        // iTXt holds any text, tEXt only Latin-1.
        encoder.add_itxt_chunk((*key).to_owned(), value.clone())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(image.pixels())?;
    writer.finish()?;
    Ok(out.into_inner())
}
