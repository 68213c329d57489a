//! TIFF: its tags are looked at before its decoder sees them.
//!
//! Invariant: what is decoded is the file's image, not a preview of it, and all of its strips or tiles have their data.

use std::io::Cursor;

use exif::{Exif, In, Tag, Value};
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::error::DecodeError;
use super::jpeg_file;

/// Tags of TIFF 6.0, its supplements, and DNG.
mod tag {
    pub(super) const SUBFILE_TYPE: u16 = 254;
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const STRIP_BYTES: u16 = 279;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTES: u16 = 325;
    pub(super) const JPEG_TABLES: u16 = 347;
    pub(super) const DNG_VERSION: u16 = 50706;
}

const UNCOMPRESSED: u32 = 1;
const JPEG: u32 = 7;
/// Luma and chroma, of which there may be fewer samples than pixels.
const YCBCR: u32 = 6;

/// Pixels that strips or tiles of JPEGs may have together beside four times those of the image: tiles are larger than it.
const SPARE_PIXELS: u64 = 1 << 20;

/// Most bytes of tables of JPEGs that are read, all strips or tiles together.
const MOST_TABLES: usize = 64 << 20;

/// Refuse a file whose first image is a preview.
pub(super) fn check_kind(file: &[u8]) -> Result<(), DecodeError> {
    let Ok(tags) = exif::Reader::new().read_raw(file.to_vec()) else { return Ok(()) };
    let is_preview = number(&tags, tag::SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1);
    if is_preview || value(&tags, tag::DNG_VERSION).is_some() {
        return Err(DecodeError::Unsupported("a camera's raw file, or a TIFF that begins with a preview,".to_owned()));
    }
    Ok(())
}

/// Refuse a file that lacks some of its data. `pixels`: of its image, which are within the limits.
pub(super) fn check_data(file: &[u8], pixels: u64) -> Result<(), DecodeError> {
    let Ok(tags) = exif::Reader::new().read_raw(file.to_vec()) else { return Ok(()) };
    let pieces = pieces(file, &tags)?;
    if pieces.is_empty() {
        return Ok(());
    }
    match number(&tags, tag::COMPRESSION).unwrap_or(UNCOMPRESSED) {
        UNCOMPRESSED if number(&tags, tag::PHOTOMETRIC) != Some(YCBCR) => {
            let has: usize = pieces.iter().map(|piece| piece.len()).sum();
            if needed_bytes(&tags).is_some_and(|needed| (has as u64) < needed) {
                return Err(DecodeError::cut_off());
            }
        }
        JPEG => {
            if pieces.len().saturating_mul(jpeg_tables(&tags).len()) > MOST_TABLES {
                return Err(DecodeError::Damaged("its tables are too long".to_owned()));
            }
            let mut left = pixels.saturating_mul(4).saturating_add(SPARE_PIXELS);
            pieces.iter().try_for_each(|piece| check_jpeg(piece, &tags, &mut left))?;
        }
        // Other decoders say themselves if there is too little.
        _ => {}
    }
    Ok(())
}

fn value(tags: &Exif, number: u16) -> Option<&Value> {
    tags.get_field(Tag(exif::Context::Tiff, number), In::PRIMARY).map(|field| &field.value)
}

fn number(tags: &Exif, number: u16) -> Option<u32> {
    value(tags, number).and_then(|value| value.get_uint(0))
}

fn numbers(tags: &Exif, number: u16) -> Option<Vec<u32>> {
    value(tags, number).and_then(Value::iter_uint).map(Iterator::collect)
}

/// The data of all strips or tiles. A file that leaves some out (as a hole) has none of them.
fn pieces<'a>(file: &'a [u8], tags: &Exif) -> Result<Vec<&'a [u8]>, DecodeError> {
    let both = |offsets, bytes| numbers(tags, offsets).zip(numbers(tags, bytes));
    let tables = both(tag::STRIP_OFFSETS, tag::STRIP_BYTES).or_else(|| both(tag::TILE_OFFSETS, tag::TILE_BYTES));
    let Some((offsets, bytes)) = tables else { return Ok(Vec::new()) };
    let piece = |(offset, bytes): (u32, u32)| {
        let (from, length) = (offset as usize, bytes as usize);
        let piece = file.get(from..).map(|rest| &rest[..length.min(rest.len())]);
        piece.filter(|piece| !piece.is_empty() && from > 0).ok_or_else(DecodeError::cut_off)
    };
    let pieces: Vec<&[u8]> = offsets.into_iter().zip(bytes).map(piece).collect::<Result<_, _>>()?;
    let all = pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
    if all > file.len().saturating_mul(2) {
        return Err(DecodeError::Damaged("its parts overlap".to_owned()));
    }
    Ok(pieces)
}

/// Bytes of all rows; tiles have more.
fn needed_bytes(tags: &Exif) -> Option<u64> {
    let side = |tag| number(tags, tag).map(u64::from);
    let samples = side(tag::SAMPLES).unwrap_or(1);
    let bits = side(tag::BITS).unwrap_or(1);
    let row = side(tag::WIDTH)?.checked_mul(samples)?.checked_mul(bits)?.div_ceil(8);
    row.checked_mul(side(tag::HEIGHT)?)
}

/// A strip or tile that is a JPEG; its tables may be apart. `left`: how many pixels it may say that it has.
fn check_jpeg(piece: &[u8], tags: &Exif, left: &mut u64) -> Result<(), DecodeError> {
    // Each begins with the marker of a start, and the tables end with that of an end.
    match (jpeg_tables(tags), piece) {
        ([start @ .., 0xff, 0xd9], [0xff, 0xd8, rest @ ..]) => jpeg_file::check_coded(&[start, rest].concat(), left),
        _ => jpeg_file::check_coded(piece, left),
    }
}

fn jpeg_tables(tags: &Exif) -> &[u8] {
    match value(tags, tag::JPEG_TABLES) {
        Some(Value::Undefined(bytes, _) | Value::Byte(bytes)) => bytes,
        _ => &[],
    }
}

/// Shares of cyan, magenta, yellow and black ink, 255 for all of it. `None`: it has no such samples.
pub(super) fn read_inks(file: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(Cursor::new(file)).ok()?.with_limits(Limits::unlimited());
    match decoder.read_image().ok()? {
        DecodingResult::U8(inks) => Some(inks),
        _ => None,
    }
}
