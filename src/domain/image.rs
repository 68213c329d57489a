//! Images as plain bytes, shared rather than copied: a clone costs a counter.
//!
//! Invariant: an image has exactly `width * height * channels` bytes, unless it was serialised: JSON carries its shape
//! alone, and readers replace it by an image with pixels.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Width and height, px.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// Interleaved 8-bit samples, row by row: RGB, RGBA where transparency is kept (not premultiplied), or gray for masks (255
/// repaints, 0 keeps).
///
/// ```
/// use kandinsky::domain::Image;
///
/// let image = Image::rgb(2, 1, vec![255, 0, 0, 0, 0, 255]);
/// assert_eq!(image.pixel(1, 0), [0, 0, 255]);
/// assert!(image.clone().shares_pixels_with(&image));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    width: u32,
    height: u32,
    #[serde(default = "rgb_channels")]
    channels: usize,
    #[serde(skip)]
    pixels: Arc<Vec<u8>>,
}

/// Images of rows that were stored without their number of channels.
fn rgb_channels() -> usize {
    Image::RGB
}

impl Image {
    /// Channels of a gray image.
    pub const GRAY: usize = 1;
    /// Channels of a color image.
    pub const RGB: usize = 3;
    /// Channels of a color image with transparency.
    pub const RGBA: usize = 4;

    /// An image of `size` with `channels` samples a pixel. The bytes are not copied.
    ///
    /// # Panics
    ///
    /// If `pixels` does not have `width * height * channels` bytes.
    #[must_use]
    pub fn new(size: Size, channels: usize, pixels: Vec<u8>) -> Self {
        let Size { width, height } = size;
        let bytes = width as usize * height as usize * channels;
        assert!(pixels.len() == bytes, "{} bytes for {width}x{height} px of {channels} channels", pixels.len());
        Self { width, height, channels, pixels: Arc::new(pixels) }
    }

    /// A color image of `3 * width * height` bytes.
    ///
    /// # Panics
    ///
    /// If there are more or fewer bytes.
    #[must_use]
    pub fn rgb(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self::new(Size { width, height }, Self::RGB, pixels)
    }

    /// A color image with transparency, of `4 * width * height` bytes.
    ///
    /// # Panics
    ///
    /// If there are more or fewer bytes.
    #[must_use]
    pub fn rgba(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self::new(Size { width, height }, Self::RGBA, pixels)
    }

    /// A gray image of `width * height` bytes.
    ///
    /// # Panics
    ///
    /// If there are more or fewer bytes.
    #[must_use]
    pub fn gray(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self::new(Size { width, height }, Self::GRAY, pixels)
    }

    /// An image whose samples all have one value.
    #[must_use]
    pub fn filled(size: Size, channels: usize, value: u8) -> Self {
        Self::new(size, channels, vec![value; size.width as usize * size.height as usize * channels])
    }

    /// px.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// px.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// Samples of a pixel.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether it has a channel of transparency.
    #[must_use]
    pub fn has_alpha(&self) -> bool {
        self.channels == Self::RGBA
    }

    /// All samples: channel by channel within a pixel, pixel by pixel within a row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The samples of one pixel.
    ///
    /// # Panics
    ///
    /// If the pixel lies outside of the image.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> &[u8] {
        &self.pixels[(y as usize * self.width as usize + x as usize) * self.channels..][..self.channels]
    }

    /// All samples, to be changed. They are copied first if another image shares them.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        let pixels: &mut Vec<u8> = Arc::make_mut(&mut self.pixels);
        pixels
    }

    /// All samples. They are copied if another image shares them.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.pixels)
    }

    /// The shape alone, as it is after serialisation.
    #[must_use]
    pub fn without_pixels(&self) -> Self {
        Self { pixels: Arc::default(), ..*self }
    }

    /// Whether both have the same bytes in memory, not only equal ones.
    #[must_use]
    pub fn shares_pixels_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pixels, &other.pixels)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{}x{})", self.width, self.height, self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_shape_alone_and_older_rows_are_read() {
        let image = Image::gray(2, 1, vec![0, 255]);
        let json = serde_json::to_string(&image).unwrap();
        assert_eq!(json, r#"{"width":2,"height":1,"channels":1}"#);
        let read: Image = serde_json::from_str(&json).unwrap();
        assert_eq!(read, image.without_pixels());
        let old: Image = serde_json::from_str(r#"{"width":2,"height":1}"#).unwrap();
        assert_eq!((old.size(), old.pixels().len()), (image.size(), 0));
    }

    #[test]
    fn changing_a_clone_leaves_the_original_alone() {
        let original = Image::gray(1, 1, vec![7]);
        let mut copy = original.clone();
        copy.pixels_mut()[0] = 9;
        assert_eq!((original.pixels(), copy.pixels()), (&[7][..], &[9][..]));
    }
}
