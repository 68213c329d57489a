//! Compares the four priors on kandinsky-mini, as the paper's table 3 compares them on Kandinsky: prints docs/priors.md's
//! table.
//!
//!     cargo run --release --example compare_priors

#![allow(clippy::cast_precision_loss, reason = "counts are small")]

use std::path::Path;

use kandinsky::diffusion::generate;
use kandinsky::domain::{Common, Limits, PriorKind, PriorSettings, VariantArray as _};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::modes::{CheckedGeneration, Generation, TextToImage};
use kandinsky::tensor::Compute;

/// Subjects in English and Russian.
const SUBJECTS: [(&str, &str); 8] = [
    ("red heart", "красное сердце"),
    ("smiling face", "улыбающееся лицо"),
    ("pizza", "пицца"),
    ("panda", "панда"),
    ("rocket", "ракета"),
    ("skull", "череп"),
    ("dog", "собака"),
    ("automobile", "автомобиль"),
];

/// Backgrounds in both languages, and which channels (red, green, blue) they are bright in.
const BACKGROUNDS: [(&str, &str, [bool; 3]); 5] = [
    ("blue", "синем", [false, false, true]),
    ("red", "красном", [true, false, false]),
    ("green", "зелёном", [false, true, false]),
    ("yellow", "жёлтом", [true, true, false]),
    ("white", "белом", [true, true, true]),
];

/// A channel is bright from this level on.
const BRIGHT: u32 = 122;

struct Case {
    text: String,
    bright: [bool; 3],
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (english, russian)) in SUBJECTS.iter().enumerate() {
        for (k, (colour, russian_colour, bright)) in BACKGROUNDS.iter().enumerate() {
            let text = if (i + k) % 2 == 0 {
                format!("{english} on a {colour} background")
            } else {
                format!("{russian} на {russian_colour} фоне")
            };
            cases.push(Case { text, bright: *bright });
        }
    }
    cases
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/kandinsky-mini");
    let options = LoadOptions { inpainting: false, ..LoadOptions::default() };
    let model = Kandinsky::load(&Checkpoint::find(&folder)?, &Compute::cpu(), options, &mut |_| {})?;
    let cases = cases();
    let texts = model.text_embeds(&cases.iter().map(|case| case.text.as_str()).collect::<Vec<_>>())?;
    println!("| prior | CLIP similarity | prompt ranked first | in the first five | background |");
    println!("|---|---|---|---|---|");
    for &kind in PriorKind::VARIANTS {
        let (mut similarity, mut first, mut five, mut background) = (0.0, 0, 0, 0);
        for (i, case) in cases.iter().enumerate() {
            let picture = generate(&model, request(&case.text, kind, 100 + i as u64)?, 0)?;
            let image = model.image_embed(&picture)?;
            let scores: Vec<f32> = texts.iter().map(|text| cosine(text, &image)).collect();
            let better = scores.iter().filter(|score| **score > scores[i]).count();
            similarity += scores[i];
            first += usize::from(better == 0);
            five += usize::from(better < 5);
            let corners = [(1, 1), (62, 1), (1, 62), (62, 62)];
            let mean = |c: usize| corners.iter().map(|(x, y)| u32::from(picture.pixel(*x, *y)[c])).sum::<u32>() / 4;
            background += usize::from([0, 1, 2].map(|c| mean(c) >= BRIGHT) == case.bright);
        }
        let count = cases.len() as f32;
        println!(
            "| {kind} | {:.3} | {:.2} | {:.2} | {:.2} |",
            similarity / count,
            first as f32 / count,
            five as f32 / count,
            background as f32 / count
        );
    }
    Ok(())
}

fn request(prompt: &str, kind: PriorKind, seed: u64) -> anyhow::Result<CheckedGeneration> {
    let prior = PriorSettings { kind, ..PriorSettings::default() };
    let common = Common { seed, steps: 25, prior, ..Common::default() };
    let input = TextToImage { prompt: prompt.to_owned() }.into();
    Ok(Generation { input, common }.check(&Limits::UNBOUNDED, None)?)
}
