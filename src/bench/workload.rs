//! What is asked for.
//!
//! Invariant: request number `i` is a function of the workload and `i`; no two of a run are equal, so no cache of results
//! can answer one.

use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::arrivals::Random;
use crate::domain::{Image, Size};
use crate::imaging;
use crate::modes::{GenerationMode, Mode, ModeVisitor, Samples};

const COLOURS: [(&str, &str); 6] = [
    ("red", "красный"),
    ("green", "зелёный"),
    ("blue", "синий"),
    ("yellow", "жёлтый"),
    ("white", "белый"),
    ("black", "чёрный"),
];
const THINGS: [(&str, &str); 6] = [
    ("circle", "круг"),
    ("square", "квадрат"),
    ("cat", "кот"),
    ("house", "дом"),
    ("flower", "цветок"),
    ("forest", "лес"),
];

/// A mode and its share of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixPart {
    pub mode: Mode,
    pub weight: u32,
}

impl std::str::FromStr for MixPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, weight) = text.split_once(':').unwrap_or((text, "1"));
        let weight = weight.parse().ok().filter(|weight| (1..=1_000_000).contains(weight));
        let weight = weight.ok_or_else(|| "a weight must be a whole number from 1 to 1000000".to_owned())?;
        Ok(Self { mode: mode.parse()?, weight })
    }
}

/// What requests are drawn from. None of the lists may be empty.
#[derive(Debug, Clone)]
pub struct Workload {
    pub mix: Vec<MixPart>,
    pub sizes: Vec<Size>,
    pub steps: Vec<u32>,
    pub prior_steps: u32,
    /// Images per request.
    pub n: u32,
    pub seed: u64,
}

/// One request, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) mode: Mode,
    pub(super) body: Vec<u8>,
}

impl Workload {
    /// Request number `index`.
    pub(super) fn request(&self, index: u64) -> Request {
        let mut random = Random::new(self.seed, index);
        let mode = self.mode(&mut random);
        let size = *random.pick(&self.sizes);
        let mut body = mode.visit(Example { size, random: &mut random });
        body["steps"] = json!(random.pick(&self.steps));
        body["prior"] = json!({"steps": self.prior_steps});
        body["n"] = json!(self.n);
        body["seed"] = json!(random.next() >> 32);
        body["width"] = json!(size.width);
        body["height"] = json!(size.height);
        Request { mode, body: body.to_string().into_bytes() }
    }

    fn mode(&self, random: &mut Random) -> Mode {
        let mut left = random.below(self.mix.iter().map(|part| u64::from(part.weight)).sum());
        for part in &self.mix {
            match left.checked_sub(u64::from(part.weight)) {
                None => return part.mode,
                Some(rest) => left = rest,
            }
        }
        Mode::TextToImage
    }
}

/// The own fields of a mode's request.
struct Example<'a> {
    size: Size,
    random: &'a mut Random,
}

impl ModeVisitor for Example<'_> {
    type Output = Json;

    fn visit<M: GenerationMode>(self) -> Json {
        M::example(self.size, &mut RandomSamples(self.random))
    }
}

struct RandomSamples<'a>(&'a mut Random);

impl Samples for RandomSamples<'_> {
    fn prompt(&mut self) -> String {
        prompt(self.0)
    }

    fn image(&mut self, size: Size) -> String {
        drawing(size, self.0)
    }

    fn mask(&mut self, size: Size) -> String {
        encoded(&half_white(size))
    }
}

/// English or Russian, as people write.
fn prompt(random: &mut Random) -> String {
    let (colour, thing, ground) = (random.pick(&COLOURS), random.pick(&THINGS), random.pick(&COLOURS));
    if random.below(2) == 0 {
        format!("{} {} on a {} background", colour.0, thing.0, ground.0)
    } else {
        format!("{} {} и {} фон", colour.1, thing.1, ground.1)
    }
}

/// A disc on a gradient, in random colours.
#[expect(clippy::cast_possible_truncation, reason = "a channel times a share of 255 stays a channel")]
fn drawing(size: Size, random: &mut Random) -> String {
    let [ground, disc] = [random.next().to_le_bytes(), random.next().to_le_bytes()];
    let (width, height) = (u64::from(size.width), u64::from(size.height));
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = ((2 * x).abs_diff(width), (2 * y).abs_diff(height));
            let inside = 2 * (dx * dx + dy * dy) < width.min(height).pow(2);
            let colour = if inside { disc } else { ground };
            let light = 128 + 127 * y / height;
            rgb.extend(colour[..3].iter().map(|channel| (u64::from(*channel) * light / 255) as u8));
        }
    }
    encoded(&Image::new(size, Image::RGB, rgb))
}

fn half_white(size: Size) -> Image {
    let row = (0..size.width).flat_map(|x| [if x < size.width / 2 { 0 } else { 255 }; 3]);
    let row: Vec<u8> = row.collect();
    Image::new(size, Image::RGB, row.repeat(size.height as usize))
}

/// As base64 of a PNG.
fn encoded(image: &Image) -> String {
    // Writing a PNG into memory fails only for an image without pixels, and the server says so then.
    let png = imaging::to_png(image).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.encode(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(seed: u64) -> Workload {
        let part = |mode, weight| MixPart { mode, weight };
        Workload {
            mix: vec![part(Mode::TextToImage, 3), part(Mode::Inpainting, 1)],
            sizes: vec![Size { width: 16, height: 24 }, Size { width: 32, height: 32 }],
            steps: vec![10, 25],
            prior_steps: 5,
            n: 2,
            seed,
        }
    }

    #[test]
    fn requests_are_reproducible_and_all_different() {
        let bodies = |seed| (0..200).map(|i| workload(seed).request(i).body).collect::<Vec<_>>();
        let first = bodies(1);
        assert_eq!(first, bodies(1));
        assert!(first.iter().zip(bodies(2)).all(|(a, b)| *a != b));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), first.len());
    }

    /// Five standard errors of 8,000 draws with probability 3/4, and of 1/2 for sizes and steps.
    #[test]
    fn the_mix_is_kept() {
        let workload = workload(3);
        let count = 8000;
        let (mut texts, mut narrow, mut few) = (0_i32, 0_i32, 0_i32);
        for index in 0..count {
            let mut random = Random::new(workload.seed, index);
            texts += i32::from(workload.mode(&mut random) == Mode::TextToImage);
            narrow += i32::from(random.pick(&workload.sizes).width == 16);
            few += i32::from(*random.pick(&workload.steps) == 10);
        }
        assert!((texts - 6000).abs() < 194, "{texts}");
        assert!((narrow - 4000).abs() < 224 && (few - 4000).abs() < 224, "{narrow} {few}");
    }

    #[test]
    fn a_mix_is_read_from_text() {
        assert_eq!("inpainting:4".parse(), Ok(MixPart { mode: Mode::Inpainting, weight: 4 }));
        assert_eq!("image-fusion".parse(), Ok(MixPart { mode: Mode::ImageFusion, weight: 1 }));
        for wrong in ["painting:1", "inpainting:0", "inpainting:-1", "inpainting:", ":1", ""] {
            assert!(wrong.parse::<MixPart>().is_err(), "{wrong}");
        }
    }
}
