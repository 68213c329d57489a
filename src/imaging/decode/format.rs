//! Which format bytes have, by how they begin.
//!
//! Invariant: the formats that people send and that are not read here are refused by their names, with what to do.

use super::error::DecodeError;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    WebP,
    Gif,
    Bmp,
    Tiff,
}

const AVIF: &str = "AVIF images are not read; save it as PNG, JPEG or WebP";
const HEIC: &str =
    "HEIC images are not read; save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)";
const JPEG_XL: &str = "JPEG XL images are not read; save it as PNG, JPEG or WebP";
const JPEG_2000: &str = "JPEG 2000 images are not read; save it as PNG, JPEG or WebP";
const RAW: &str = "camera raw files are not read; develop it and save it as JPEG or PNG";
const VIDEO: &str = "it is a video or a sound; send one frame of it as PNG or JPEG";
const SVG: &str = "SVG is a drawing without pixels; export it as PNG";
const PDF: &str = "PDF and PostScript are documents; export a page of it as PNG";
const HTML: &str = "it is a web page, not an image; send the image that the page shows";
const PSD: &str = "Photoshop documents are not read; export it as PNG";
const ICO: &str = "icon files are not read; save it as PNG";
const OTHER: &str = "images of this format are not read; save it as PNG, JPEG or WebP";
const ARCHIVE: &str = "it is an archive, not an image; send the image in it";
const POINTER: &str = "it is a Git LFS pointer, not the image itself; fetch the file with `git lfs pull`";
const TWICE: &str = "it is a data: URL that was encoded in base64 once more; send it as it is";

/// What files begin with, of formats that are not read.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\xff\x0a", JPEG_XL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", JPEG_XL),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JPEG_2000),
    (b"\xff\x4f\xff\x51", JPEG_2000),
    (b"%PDF", PDF),
    (b"%!PS", PDF),
    (b"8BPS", PSD),
    (b"\x00\x00\x01\x00", ICO),
    // A cursor says how many it has; a Targa file has no palette there.
    (b"\x00\x00\x02\x00\x00", OTHER),
    (b"\x00\x00\x02\x00", ICO),
    (b"\x1a\x45\xdf\xa3", VIDEO),
    (b"OggS", VIDEO),
    (b"ID3", VIDEO),
    (b"FLV", VIDEO),
    (b"\x00\x00\x01\xba", VIDEO),
    (b"\x00\x00\x01\xb3", VIDEO),
    (b"PK\x03\x04", ARCHIVE),
    (b"\x1f\x8b", ARCHIVE),
    (b"Rar!", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"version https://git-lfs", POINTER),
    (b"data:image/", TWICE),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIU\x00", RAW),
    (b"IIRO", RAW),
    (b"MMOR", RAW),
    (b"qoif", OTHER),
    (b"DDS ", OTHER),
    (b"\x76\x2f\x31\x01", OTHER),
    (b"#?RADIANCE", OTHER),
    (b"farbfeld", OTHER),
    (b"gimp xcf", OTHER),
    (b"P1\n", OTHER),
    (b"P2\n", OTHER),
    (b"P3\n", OTHER),
    (b"P4\n", OTHER),
    (b"P5\n", OTHER),
    (b"P6\n", OTHER),
    (b"P7\n", OTHER),
];

/// The format of a file.
pub(super) fn recognize(file: &[u8]) -> Result<Format, DecodeError> {
    let read = match file {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Format::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..] => return Err(DecodeError::OtherFormat(RAW)),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Format::Tiff),
        // Reserved bytes tell a BMP from a text that begins with BM.
        [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12..=124, 0, 0, 0, ..] => Some(Format::Bmp),
        _ => None,
    };
    read.ok_or_else(|| unread(file).map_or(DecodeError::UnknownFormat, DecodeError::OtherFormat))
}

/// What is said of a file of a format that is not read.
fn unread(file: &[u8]) -> Option<&'static str> {
    if let [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] = file {
        return Some(by_brand(brands));
    }
    if let [b'R', b'I', b'F', b'F', ..] = file {
        return Some(VIDEO);
    }
    let known = OTHERS.iter().find(|(start, _)| file.starts_with(start));
    known.map(|(_, message)| *message).or_else(|| by_text(file))
}

/// What is said of a file of the ISO base media format, by the brands that it names.
fn by_brand(brands: &[u8]) -> &'static str {
    let listed: Vec<&[u8]> = brands.chunks_exact(4).take(16).collect();
    let names = |brands: &[&[u8]]| listed.iter().any(|brand| brands.contains(brand));
    match listed.first() {
        _ if names(&[b"avif", b"avis"]) => AVIF,
        _ if names(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"]) => HEIC,
        Some(&b"mif1" | &b"msf1") => HEIC,
        Some(&b"crx ") => RAW,
        _ => VIDEO,
    }
}

/// What is said of a file that is a text.
fn by_text(file: &[u8]) -> Option<&'static str> {
    const LOOKED_AT: usize = 1024;
    let start = &file[..file.len().min(LOOKED_AT)];
    let text = String::from_utf8_lossy(start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start)).to_ascii_lowercase();
    let text = text.trim_start();
    if !text.starts_with('<') {
        return None;
    }
    if text.contains("<svg") {
        return Some(SVG);
    }
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| text.contains(tag)).then_some(HTML)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_are_not_read_are_named() {
        let said = |file: &[u8]| recognize(file).unwrap_err().to_string();
        for (file, name) in [
            (b"\x00\x00\x00\x20ftypavif\0\0\0\0avifmif1".as_slice(), "AVIF"),
            (b"\x00\x00\x00\x20ftypmif1\0\0\0\0mif1avif", "AVIF"),
            (b"\x00\x00\x00\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
            (b"\x00\x00\x00\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
            (b"\x00\x00\x00\x18ftypisom\0\0\0\0isomavc1", "video"),
            (b"\x1a\x45\xdf\xa3....", "video"),
            (b"RIFF\0\0\0\0AVI LIST", "video"),
            (b"\xff\x0a....", "JPEG XL"),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns=\"\">", "SVG"),
            (b"\xef\xbb\xbf  <SVG>", "SVG"),
            (b"%PDF-1.7", "PDF"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"II*\0\x10\0\0\0CR\x02\0", "raw"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (b"data:image/png;base64,", "once more"),
            (b"hello", "PNG, JPEG, WebP, GIF, BMP or TIFF"),
            (b"BM is no image", "not an image"),
            (b"", "not an image"),
        ] {
            assert!(said(file).contains(name), "{:?}: {}", String::from_utf8_lossy(file), said(file));
        }
    }
}
