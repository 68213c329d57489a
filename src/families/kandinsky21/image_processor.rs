//! Images as CLIP's image encoder wants them (transformers' `CLIPImageProcessor` on Pillow).

use serde::Deserialize;

use crate::diffusion::pixels::{self, Filter};
use crate::domain::{Image, Rect, Size};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

/// `preprocessor_config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ImageProcessor {
    size: Target,
    crop_size: Target,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    rescale_factor: f64,
    /// Pillow's number of the filter: 3 is bicubic, 1 is Lanczos.
    resample: u32,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Target {
    Side(u32),
    ShortestEdge { shortest_edge: u32 },
    Exact { height: u32, width: u32 },
}

#[expect(clippy::excessive_precision, reason = "CLIP's published constants")]
impl Default for ImageProcessor {
    fn default() -> Self {
        Self {
            size: Target::Side(224),
            crop_size: Target::Side(224),
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
            rescale_factor: 1.0 / 255.0,
            resample: 3,
        }
    }
}

impl ImageProcessor {
    /// Load from an `image_processor` folder.
    pub fn load(folder: &Folder) -> Result<Self> {
        let processor: Self = folder.json("preprocessor_config.json", "the image processor's configuration")?;
        if processor.resample != 1 && processor.resample != 3 {
            return Err(Error::config(
                folder.name_of("preprocessor_config.json"),
                format!("unknown resample {}; known: 1 (Lanczos), 3 (bicubic)", processor.resample),
            ));
        }
        if !processor.image_std.iter().all(|std| *std > 0.0) {
            return Err(Error::config(
                folder.name_of("preprocessor_config.json"),
                format!("image_std {:?} must be above 0", processor.image_std),
            ));
        }
        Ok(processor)
    }

    /// Size of what it gives.
    #[must_use]
    pub fn crop_size(&self) -> Size {
        match self.crop_size {
            Target::Exact { height, width } => Size { width, height },
            Target::Side(side) | Target::ShortestEdge { shortest_edge: side } => Size { width: side, height: side },
        }
    }

    /// RGB resized so that its shorter edge has the configured length; the longer one is cut to an integer.
    #[must_use]
    pub fn resize(&self, image: &Image) -> Image {
        pixels::resize(image, self.resized_size(image), self.filter())
    }

    fn filter(&self) -> Filter {
        if self.resample == 1 { Filter::Lanczos } else { Filter::Bicubic }
    }

    fn resized_size(&self, image: &Image) -> Size {
        match self.size {
            Target::Exact { height, width } => Size { width, height },
            Target::Side(edge) | Target::ShortestEdge { shortest_edge: edge } => {
                let (width, height) = (image.width(), image.height());
                let long = u64::from(edge) * u64::from(width.max(height)) / u64::from(width.min(height).max(1));
                let long = u32::try_from(long).unwrap_or(u32::MAX);
                if width <= height { Size { width: edge, height: long } } else { Size { width: long, height: edge } }
            }
        }
    }

    /// Resized, cropped in the middle and normalised: `[3, size, size]`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "f64 to f32 as the reference does")]
    pub fn prepare(&self, image: &Image) -> Vec<f32> {
        let (resized, size) = (self.resized_size(image), self.crop_size());
        // Of a thin image nearly all is cut off: only what stays is made.
        let kept = |from: u32, to: u32| (from.saturating_sub(to) / 2, from.min(to));
        let ((x, width), (y, height)) = (kept(resized.width, size.width), kept(resized.height, size.height));
        let kept = pixels::resize_part(image, resized, Rect { x, y, width, height }, self.filter());
        let offset = |from: u32, to: u32| (i64::from(from) - i64::from(to)).div_euclid(2);
        let cropped = pixels::crop(&kept, offset(width, size.width), offset(height, size.height), size);
        let plane = size.width as usize * size.height as usize;
        let mut values = pixels::planes(&cropped, |x| (f64::from(x) * self.rescale_factor) as f32);
        for (c, values) in values.chunks_mut(plane).enumerate() {
            for x in values {
                *x = (*x - self.image_mean[c]) / self.image_std[c];
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_prepared_is_the_middle_of_the_whole() {
        let plain = |size, crop_size| ImageProcessor {
            size,
            crop_size,
            image_mean: [0.0; 3],
            image_std: [1.0; 3],
            rescale_factor: 1.0,
            ..ImageProcessor::default()
        };
        let exact = Target::Exact { height: 9, width: 30 };
        for processor in [
            plain(Target::Side(16), Target::Side(16)),
            plain(Target::Side(17), Target::Side(12)),
            plain(exact, Target::Side(16)),
        ] {
            for (width, height) in [(1, 1), (1, 50), (61, 1), (16, 40), (41, 16), (7, 100), (301, 20), (64, 64), (5, 4)]
            {
                let bytes = (0..width * height * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
                let image = Image::rgb(width, height, bytes.collect());
                let (whole, size) = (processor.resize(&image), processor.crop_size());
                let offset = |from: u32, to: u32| (i64::from(from) - i64::from(to)).div_euclid(2);
                let (left, top) = (offset(whole.width(), size.width), offset(whole.height(), size.height));
                let cropped = pixels::crop(&whole, left, top, size);
                assert!(processor.prepare(&image) == pixels::planes(&cropped, f32::from), "{width}x{height}");
            }
        }
    }
}
