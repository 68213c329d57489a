//! The canvas of outpainting: a window over the picture, with what lies beyond it masked.

use crate::domain::{Mask, Picture, Window};

/// An outpainting turned into an inpainting.
pub struct Canvas {
    /// The window's content; beyond the picture its border is repeated.
    pub picture: Picture,
    /// 255 beyond the picture.
    pub mask: Mask,
}

/// Cut `window` out of `picture`, which must overlap it.
#[must_use]
pub fn canvas(picture: &Picture, window: Window) -> Canvas {
    let (width, height) = (window.width, window.height);
    let pixels = width as usize * height as usize;
    let (mut rgb, mut grey) = (Vec::with_capacity(3 * pixels), Vec::with_capacity(pixels));
    for y in 0..i64::from(height) {
        for x in 0..i64::from(width) {
            let (px, py) = (window.x.saturating_add(x), window.y.saturating_add(y));
            let (cx, cy) = (px.clamp(0, i64::from(picture.width) - 1), py.clamp(0, i64::from(picture.height) - 1));
            let index = 3 * usize::try_from(cy * i64::from(picture.width) + cx).unwrap_or(0);
            rgb.extend_from_slice(&picture.rgb[index..index + 3]);
            grey.push(if (px, py) == (cx, cy) { 0 } else { 255 });
        }
    }
    Canvas { picture: Picture { width, height, rgb }, mask: Mask { width, height, grey } }
}
