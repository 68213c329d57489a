//! Pictures as CLIP's image encoder wants them (transformers' `CLIPImageProcessor` on Pillow).

use serde::Deserialize;

use crate::diffusion::pixels::{Filter, Pixels};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

/// `preprocessor_config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ImageProcessor {
    size: Size,
    crop_size: Size,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    rescale_factor: f64,
    /// Pillow's number of the filter: 3 is bicubic, 1 is Lanczos.
    resample: u32,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    ShortestEdge { shortest_edge: usize },
    Exact { height: usize, width: usize },
}

#[expect(clippy::excessive_precision, reason = "CLIP's published constants")]
impl Default for ImageProcessor {
    fn default() -> Self {
        Self {
            size: Size::Side(224),
            crop_size: Size::Side(224),
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

    /// Width and height of what it gives, px.
    #[must_use]
    pub fn crop_size(&self) -> (usize, usize) {
        match self.crop_size {
            Size::Exact { height, width } => (width, height),
            Size::Side(side) | Size::ShortestEdge { shortest_edge: side } => (side, side),
        }
    }

    /// RGB resized so that its shorter edge has the configured length; the longer one is cut to an integer.
    #[must_use]
    pub fn resize(&self, picture: &Pixels) -> Pixels {
        let filter = if self.resample == 1 { Filter::Lanczos } else { Filter::Bicubic };
        let (width, height) = match self.size {
            Size::Exact { height, width } => (width, height),
            Size::Side(edge) | Size::ShortestEdge { shortest_edge: edge } => {
                let (short, long) = (picture.width.min(picture.height), picture.width.max(picture.height));
                let long = edge * long / short.max(1);
                if picture.width <= picture.height { (edge, long) } else { (long, edge) }
            }
        };
        picture.resize(width, height, filter)
    }

    /// Resized, cropped in the middle and normalised: `[3, size, size]`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "picture sizes")]
    pub fn prepare(&self, picture: &Pixels) -> Vec<f32> {
        let resized = self.resize(picture);
        let (width, height) = self.crop_size();
        let offset = |from: usize, to: usize| (from as isize - to as isize).div_euclid(2);
        let cropped = resized.crop(offset(resized.width, width), offset(resized.height, height), width, height);
        let plane = width * height;
        let mut values = cropped.planes(|x| (f64::from(x) * self.rescale_factor) as f32);
        for (c, values) in values.chunks_mut(plane).enumerate() {
            for x in values {
                *x = (*x - self.image_mean[c]) / self.image_std[c];
            }
        }
        values
    }
}
