//! From the colours that a file means to sRGB, which is what the networks were trained on and what answers have.
//!
//! Invariant: pixels of sRGB images stay as they are, bit for bit, whatever profile says that they are sRGB.

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, ToneReprCurve, TransformExecutor, TransformOptions};

/// Longest ICC profile that is read, bytes. Those of printers have about 3 MB.
pub(super) const MAX_PROFILE: usize = 8 << 20;
/// How much a transform may differ from none at all, levels of 255: profiles of sRGB round their curves in their own ways.
const SAME: u8 = 2;

/// What the samples of a file mean.
#[derive(Debug, Default)]
pub(super) enum Colors {
    /// sRGB, or nothing is said.
    #[default]
    Srgb,
    Profile(Box<ColorProfile>),
}

impl Colors {
    /// What an ICC profile says. One that cannot be read says nothing, as for every viewer.
    pub(super) fn of_icc(icc: Option<&[u8]>) -> Self {
        let profile = icc.filter(|icc| icc.len() <= MAX_PROFILE).and_then(|icc| ColorProfile::new_from_slice(icc).ok());
        profile.map_or(Self::Srgb, |profile| Self::Profile(Box::new(profile)))
    }

    /// Red, green and blue of these chromaticities and white (x and y of each), with a plain gamma.
    pub(super) fn of_gamma(gamma: f32, white: (f32, f32), primaries: [(f32, f32); 3]) -> Self {
        let chromaticity = |(x, y): (f32, f32)| moxcms::Chromaticity::new(x, y);
        let [red, green, blue] = primaries.map(chromaticity);
        let mut profile = ColorProfile::new_srgb();
        profile.update_rgb_colorimetry(chromaticity(white).to_xyyb(), moxcms::ColorPrimaries { red, green, blue });
        let curve = ToneReprCurve::Parametric(vec![gamma]);
        profile.red_trc = Some(curve.clone());
        profile.green_trc = Some(curve.clone());
        profile.blue_trc = Some(curve);
        Self::Profile(Box::new(profile))
    }

    /// The pixels in sRGB, with 8 bits a sample.
    pub(super) fn convert(&self, pixels: DynamicImage) -> DynamicImage {
        let Self::Profile(profile) = self else { return pixels };
        match profile.color_space {
            DataColorSpace::Gray if !pixels.color().has_color() => from_gray(profile, &pixels).unwrap_or(pixels),
            DataColorSpace::Rgb => from_rgb(profile, &pixels).unwrap_or(pixels),
            // It is another kind of image that the profile speaks of.
            _ => pixels,
        }
    }

    /// Shares of cyan, magenta, yellow and black ink (255 is all of it) in sRGB; `None`: no profile says how these inks look.
    pub(super) fn convert_inks(&self, inks: &[u8], (width, height): (u32, u32)) -> Option<RgbImage> {
        let Self::Profile(profile) = self else { return None };
        if profile.color_space != DataColorSpace::Cmyk {
            return None;
        }
        let srgb = ColorProfile::new_srgb();
        let transform =
            profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
        RgbImage::from_raw(width, height, by_rows(&*transform, inks, (4, 3), width, |x| x)?)
    }
}

/// `None`: the transform cannot be made, or changes nothing.
fn from_rgb(profile: &ColorProfile, pixels: &DynamicImage) -> Option<DynamicImage> {
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let (width, height) = (pixels.width(), pixels.height());
    let plain = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options).ok()?;
    if is_identity(&*plain, &color_samples())? {
        return None;
    }
    let has_alpha = pixels.color().has_alpha();
    let layout = if has_alpha { Layout::Rgba } else { Layout::Rgb };
    let channels = if has_alpha { (4, 4) } else { (3, 3) };
    let is_deep = pixels.color().bytes_per_pixel() / pixels.color().channel_count() > 1;
    let converted = if is_deep {
        let transform = profile.create_transform_16bit(layout, &srgb, layout, options).ok()?;
        let deep = if has_alpha { pixels.to_rgba16().into_raw() } else { pixels.to_rgb16().into_raw() };
        by_rows(&*transform, &deep, channels, width, shallow)?
    } else if has_alpha {
        let transform = profile.create_transform_8bit(layout, &srgb, layout, options).ok()?;
        by_rows(&*transform, &pixels.to_rgba8().into_raw(), channels, width, |x| x)?
    } else {
        by_rows(&*plain, &pixels.to_rgb8().into_raw(), channels, width, |x| x)?
    };
    if has_alpha {
        RgbaImage::from_raw(width, height, converted).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, converted).map(DynamicImage::from)
    }
}

/// The same of a gray image, which stays gray: white and black of its profile are those of sRGB.
fn from_gray(profile: &ColorProfile, pixels: &DynamicImage) -> Option<DynamicImage> {
    let levels: Vec<u8> = (0..=255).collect();
    let curve = gray_curve(profile, &levels).or_else(|| lightness_curve(profile, &levels))?;
    if levels.iter().zip(&curve).all(|(a, b)| a.abs_diff(*b) <= SAME) {
        return None;
    }
    let (width, height) = (pixels.width(), pixels.height());
    let convert = |x: u8| curve[usize::from(x)];
    if pixels.color().has_alpha() {
        let gray = pixels.to_luma_alpha8().into_raw().chunks_exact(2).flat_map(|p| [convert(p[0]), p[1]]).collect();
        return GrayAlphaImage::from_raw(width, height, gray).map(DynamicImage::from);
    }
    let gray = pixels.to_luma8().into_raw().into_iter().map(convert).collect();
    GrayImage::from_raw(width, height, gray).map(DynamicImage::from)
}

/// Gray levels in sRGB; `None`: not a curve over light.
fn gray_curve(profile: &ColorProfile, levels: &[u8]) -> Option<Vec<u8>> {
    let srgb = ColorProfile::new_srgb();
    let transform =
        profile.create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let colors = by_rows(&*transform, levels, (1, 3), 256, |x| x)?;
    Some(colors.chunks_exact(3).map(|color| color[1]).collect())
}

/// The same of a profile whose curve is over lightness (CIE L*) instead of light, which `moxcms` does not know: its transform of a
/// curve over light is undone as far as that curve, and what the curve gives is read as lightness.
fn lightness_curve(profile: &ColorProfile, levels: &[u8]) -> Option<Vec<u8>> {
    if profile.pcs != DataColorSpace::Lab {
        return None;
    }
    let mut over_light = profile.clone();
    over_light.pcs = DataColorSpace::Xyz;
    let srgb = ColorProfile::new_srgb();
    let transform =
        over_light.create_transform_16bit(Layout::Gray, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let deep: Vec<u16> = levels.iter().map(|x| u16::from(*x) * 257).collect();
    let mut colors = vec![0; 3 * deep.len()];
    transform.transform(&deep, &mut colors).ok()?;
    Some(colors.chunks_exact(3).map(|color| gray_of_lightness(light_of(f64::from(color[1]) / 65_535.0))).collect())
}

/// The light of a value of sRGB (IEC 61966-2-1), both 0 to 1.
fn light_of(value: f64) -> f64 {
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// The level of sRGB that has a lightness of 0 to 1 (CIE 1976).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn gray_of_lightness(lightness: f64) -> u8 {
    let root = (100.0 * lightness + 16.0) / 116.0;
    let light = if lightness > 0.08 { root.powi(3) } else { 100.0 * lightness / 903.296_3 };
    let value = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (255.0 * value).round().clamp(0.0, 255.0) as u8
}

/// Transform row by row, so that nothing but the result is as large as the image.
fn by_rows<T: Copy + Default>(
    transform: &(dyn TransformExecutor<T> + Send + Sync),
    source: &[T],
    (from, to): (usize, usize),
    width: u32,
    finish: impl Fn(T) -> u8,
) -> Option<Vec<u8>> {
    let width = width as usize;
    let mut row = vec![T::default(); to * width];
    let mut converted = Vec::with_capacity(source.len() / from * to);
    for pixels in source.chunks_exact((from * width).max(1)) {
        transform.transform(pixels, &mut row).ok()?;
        converted.extend(row.iter().map(|x| finish(*x)));
    }
    Some(converted)
}

/// A sample of 16 bits as one of 8 bits, as the `image` crate rounds it.
#[expect(clippy::cast_possible_truncation, reason = "65535 / 257 is 255")]
fn shallow(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

/// Whether a transform leaves these pixels as they are.
fn is_identity(transform: &(dyn TransformExecutor<u8> + Send + Sync), samples: &[u8]) -> Option<bool> {
    let mut converted = vec![0; samples.len()];
    transform.transform(samples, &mut converted).ok()?;
    Some(samples.iter().zip(&converted).all(|(a, b)| a.abs_diff(*b) <= SAME))
}

/// Colours from all over the cube.
fn color_samples() -> Vec<u8> {
    const LEVELS: [u8; 11] = [0, 8, 20, 40, 70, 100, 130, 160, 195, 230, 255];
    let pairs = |r: u8| LEVELS.into_iter().flat_map(move |g| LEVELS.into_iter().flat_map(move |b| [r, g, b]));
    LEVELS.into_iter().flat_map(pairs).collect()
}
