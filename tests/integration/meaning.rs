//! Prompts in both languages mean what they say: the background has the colour asked for, and CLIP finds the prompt of a
//! image among others.

use kandinsky::domain::{Common, Image, PriorSettings};
use kandinsky::families::LoadOptions;
use kandinsky::families::kandinsky21::{Checkpoint, Kandinsky};
use kandinsky::tensor::Compute;

use crate::embedded::{engine, model_folder, run, text};

/// A prompt, and which colour channels its background is strong and weak in (red, green, blue).
struct Prompt {
    text: &'static str,
    background: [Tone; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tone {
    Low,
    High,
    Any,
}

use Tone::{Any, High, Low};

const PROMPTS: [Prompt; 12] = [
    Prompt { text: "red heart on a blue background", background: [Low, Any, High] },
    Prompt { text: "красное сердце на жёлтом фоне", background: [High, High, Low] },
    Prompt { text: "pizza on a blue background", background: [Low, Any, High] },
    Prompt { text: "пицца на белом фоне", background: [High, High, High] },
    Prompt { text: "smiling face on a green background", background: [Low, High, Low] },
    Prompt { text: "череп на чёрном фоне", background: [Low, Low, Low] },
    Prompt { text: "robot on a yellow background", background: [High, High, Low] },
    Prompt { text: "ракета на синем фоне", background: [Low, Any, High] },
    Prompt { text: "panda on a red background", background: [High, Low, Low] },
    Prompt { text: "автомобиль на зелёном фоне", background: [Low, High, Low] },
    Prompt { text: "dog on an orange background", background: [High, Any, Low] },
    Prompt { text: "кошка на красном фоне", background: [High, Low, Low] },
];

/// Strong channels are above the first level, weak ones below the second.
const STRONG: f64 = 130.0;
const WEAK: f64 = 115.0;
/// Of the twelve, how many backgrounds must be right: the prior is a sampler, and now and then takes another colour.
const BACKGROUNDS_RIGHT: usize = 11;
/// Of the twelve, how many images CLIP must rank their own prompt first for. Backgrounds alone cannot do it: several
/// prompts share one.
const RANKED_FIRST: usize = 9;

/// Mean colour of the four corners, 5x5 px each.
fn background(picture: &Image) -> [f64; 3] {
    let (w, h) = (picture.width(), picture.height());
    let mut sums = [0.0; 3];
    for (left, top) in [(0, 0), (w - 5, 0), (0, h - 5), (w - 5, h - 5)] {
        for y in top..top + 5 {
            for x in left..left + 5 {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum += f64::from(picture.pixel(x, y)[c]);
                }
            }
        }
    }
    sums.map(|sum| sum / 100.0)
}

fn draw(prompt: &str) -> Image {
    let common = Common {
        seed: 5,
        steps: 25,
        prior: PriorSettings { steps: 10, ..PriorSettings::default() },
        ..Common::default()
    };
    run(engine(), text(prompt, common)).expect(prompt).remove(0)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn prompts_in_both_languages_give_what_they_say() {
    let pictures: Vec<Image> = PROMPTS.iter().map(|prompt| draw(prompt.text)).collect();
    let mut wrong = Vec::new();
    for (prompt, picture) in PROMPTS.iter().zip(&pictures) {
        let colour = background(picture);
        let right = colour.iter().zip(prompt.background).all(|(value, tone)| match tone {
            High => *value > STRONG,
            Low => *value < WEAK,
            Any => true,
        });
        if !right {
            wrong.push(format!("{}: background is {colour:?}, wanted {:?}", prompt.text, prompt.background));
        }
    }
    assert!(PROMPTS.len() - wrong.len() >= BACKGROUNDS_RIGHT, "{wrong:?}");

    let checkpoint = Checkpoint::find(&model_folder()).expect("the model");
    let model = Kandinsky::load(
        &checkpoint,
        &Compute::cpu(),
        LoadOptions { inpainting: false, ..LoadOptions::default() },
        &mut |_| {},
    )
    .expect("the model");
    let texts = model.text_embeds(&PROMPTS.each_ref().map(|prompt| prompt.text)).expect("texts");
    let mut first = 0;
    for (i, picture) in pictures.iter().enumerate() {
        let image = model.image_embed(picture).expect("an embedding");
        let scores: Vec<f32> = texts.iter().map(|text| cosine(text, &image)).collect();
        let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).expect("a best");
        println!("{}: CLIP says {} ({:.3})", PROMPTS[i].text, PROMPTS[best].text, scores[best]);
        first += usize::from(best == i);
    }
    assert!(first >= RANKED_FIRST, "CLIP ranks only {first} of {} prompts first", PROMPTS.len());
}

#[test]
fn the_same_thing_in_both_languages_is_the_same_to_clip() {
    let checkpoint = Checkpoint::find(&model_folder()).expect("the model");
    let model = Kandinsky::load(
        &checkpoint,
        &Compute::cpu(),
        LoadOptions { inpainting: false, ..LoadOptions::default() },
        &mut |_| {},
    )
    .expect("the model");
    let embed = |text: &str| model.text_embeds(&[text]).expect("a text").remove(0);
    let (english, russian, other) = (embed("red heart"), embed("красное сердце"), embed("кошка"));
    assert!(cosine(&english, &russian) > cosine(&english, &other) + 0.2);
}
