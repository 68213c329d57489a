//! Buttons below messages: what is in their 64 bytes, and the keyboards made of them.
//!
//! Invariant: a button needs no memory of the bot: it names the job, so it works after any restart for as long as the server keeps the job.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::server::Style;
use super::text::{Language, Phrase};

/// Most bytes of a button's data.
const MOST_DATA: usize = 64;
/// Buttons in a row of a menu.
const IN_ROW: usize = 3;

/// An image of a job, with its own seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub job: Uuid,
    pub index: u32,
    pub seed: u64,
}

/// What was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Press {
    /// By the number of the answer.
    Stop(i64),
    Again(Uuid),
    Variations(Made),
    Styles(Made),
    Ratios(Made),
    Back(Made),
    File(Made),
    Seed(Made),
    Redraw {
        job: Uuid,
        index: u32,
        change: Change,
    },
    /// Show an image of several alone.
    Pick {
        job: Uuid,
        index: u32,
    },
    Ask {
        ask: i64,
        what: Ask,
    },
    Chat(ChatChange),
    /// A button that is there because inline messages must have one.
    Nothing,
}

/// What is different when an image is drawn once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Style(Option<String>),
    Ratio(Option<String>),
}

/// What to do with a photo that came alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Variations,
    FuseText,
    FusePhoto,
}

/// A setting of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChatChange {
    Style(Option<String>),
    Ratio(Option<String>),
    Language(Language),
}

impl Press {
    /// As a button's data.
    pub fn data(&self) -> String {
        let id = |job: &Uuid| URL_SAFE_NO_PAD.encode(job.as_bytes());
        let made = |what: &str, Made { job, index, seed }: &Made| format!("1:{}:{what}:{index}:{seed}", id(job));
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        match self {
            Self::Stop(answer) => format!("s:{answer}"),
            Self::Again(job) => format!("1:{}:a", id(job)),
            Self::Variations(image) => made("v", image),
            Self::Styles(image) => made("y", image),
            Self::Ratios(image) => made("r", image),
            Self::Back(image) => made("b", image),
            Self::File(image) => made("f", image),
            Self::Seed(image) => made("e", image),
            Self::Redraw { job, index, change: Change::Style(style) } => {
                format!("1:{}:Y:{index}:{}", id(job), name(style))
            }
            Self::Redraw { job, index, change: Change::Ratio(ratio) } => {
                format!("1:{}:R:{index}:{}", id(job), name(ratio))
            }
            Self::Pick { job, index } => format!("1:{}:i:{index}", id(job)),
            Self::Ask { ask, what } => {
                let what = match what {
                    Ask::Variations => 'v',
                    Ask::FuseText => 't',
                    Ask::FusePhoto => 'p',
                };
                format!("p:{ask}:{what}")
            }
            Self::Chat(ChatChange::Style(style)) => format!("c:y:{}", name(style)),
            Self::Chat(ChatChange::Ratio(ratio)) => format!("c:r:{}", name(ratio)),
            Self::Chat(ChatChange::Language(language)) => format!("c:l:{}", language.name()),
            Self::Nothing => "w".to_owned(),
        }
    }

    /// From a button's data. `None`: of another version of the bot.
    pub fn read(data: &str) -> Option<Self> {
        let (kind, rest) = data.split_once(':').unwrap_or((data, ""));
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        Some(match kind {
            "s" => Self::Stop(rest.parse().ok()?),
            "w" => Self::Nothing,
            "c" => Self::Chat(match rest.split_once(':')? {
                ("y", name) => ChatChange::Style(named(name)),
                ("r", name) => ChatChange::Ratio(named(name)),
                ("l", name) => ChatChange::Language(Language::named(name)),
                _ => return None,
            }),
            "p" => {
                let (ask, what) = rest.split_once(':')?;
                let what = match what {
                    "v" => Ask::Variations,
                    "t" => Ask::FuseText,
                    "p" => Ask::FusePhoto,
                    _ => return None,
                };
                Self::Ask { ask: ask.parse().ok()?, what }
            }
            "1" => {
                let (id, rest) = rest.split_once(':')?;
                let job = Uuid::from_slice(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
                let (what, rest) = rest.split_once(':').unwrap_or((rest, ""));
                if what == "a" {
                    return Some(Self::Again(job));
                }
                let (index, rest) = rest.split_once(':').unwrap_or((rest, ""));
                let index = index.parse().ok()?;
                match what {
                    "Y" => return Some(Self::Redraw { job, index, change: Change::Style(named(rest)) }),
                    "R" => return Some(Self::Redraw { job, index, change: Change::Ratio(named(rest)) }),
                    "i" => return Some(Self::Pick { job, index }),
                    _ => {}
                }
                let image = Made { job, index, seed: rest.parse().ok()? };
                match what {
                    "v" => Self::Variations(image),
                    "y" => Self::Styles(image),
                    "r" => Self::Ratios(image),
                    "b" => Self::Back(image),
                    "f" => Self::File(image),
                    "e" => Self::Seed(image),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

fn button(text: &str, press: &Press) -> Json {
    json!({"text": text, "callback_data": press.data()})
}

fn keyboard(rows: &[Vec<Json>]) -> Json {
    json!({"inline_keyboard": rows})
}

/// Below an answer that is under way.
pub(super) fn stop_keyboard(language: Language, answer: i64) -> Json {
    keyboard(&[vec![button(&language.say(&Phrase::Stop), &Press::Stop(answer))]])
}

/// Below an image. Without a prompt there is nothing that a style could be added to.
pub(super) fn image_keyboard(language: Language, image: Made, has_prompt: bool) -> Json {
    let button = |phrase: &Phrase<'_>, press: Press| button(&language.say(phrase), &press);
    let mut second = vec![button(&Phrase::Ratio, Press::Ratios(image))];
    if has_prompt {
        second.insert(0, button(&Phrase::Style, Press::Styles(image)));
    }
    keyboard(&[
        vec![button(&Phrase::Again, Press::Again(image.job)), button(&Phrase::Variations, Press::Variations(image))],
        second,
        vec![button(&Phrase::File, Press::File(image)), button(&Phrase::SeedButton, Press::Seed(image))],
    ])
}

/// Below an image in a message that was sent by way of the bot: what needs no chat of the bot's.
pub(super) fn inline_keyboard(language: Language, image: Made) -> Json {
    let again = button(&language.say(&Phrase::Again), &Press::Again(image.job));
    keyboard(&[vec![again, button(&language.say(&Phrase::SeedButton), &Press::Seed(image))]])
}

/// Which image of several.
pub(super) fn pick_keyboard(language: Language, job: Uuid, images: &[u32]) -> Json {
    let numbers = images.iter().enumerate();
    let numbers = numbers.map(|(i, index)| button(&(i + 1).to_string(), &Press::Pick { job, index: *index }));
    keyboard(&[numbers.collect(), vec![button(&language.say(&Phrase::Again), &Press::Again(job))]])
}

/// What to do with a photo.
pub(super) fn ask_keyboard(language: Language, ask: i64) -> Json {
    let button = |phrase: &Phrase<'_>, what| vec![button(&language.say(phrase), &Press::Ask { ask, what })];
    keyboard(&[
        button(&Phrase::Variations, Ask::Variations),
        button(&Phrase::FuseText, Ask::FuseText),
        button(&Phrase::FusePhoto, Ask::FusePhoto),
    ])
}

/// Choices, as titles with what they do; those whose data would be too long are left out.
fn menu(choices: impl Iterator<Item = (String, Press)>, last: Option<Json>) -> Json {
    let fitting = choices.filter(|(_, press)| press.data().len() <= MOST_DATA);
    let buttons: Vec<Json> = fitting.map(|(title, press)| button(&title, &press)).collect();
    let mut rows: Vec<Vec<Json>> = buttons.chunks(IN_ROW).map(<[Json]>::to_vec).collect();
    rows.extend(last.map(|button| vec![button]));
    keyboard(&rows)
}

/// The styles' names with `None` first, each with its title.
fn styles_with_titles(language: Language, styles: &[Style]) -> Vec<(String, Option<String>)> {
    let title = |style: &Style| match language {
        Language::English => style.title.en.clone(),
        Language::Russian => style.title.ru.clone(),
    };
    let none = (language.say(&Phrase::NoStyle), None);
    [none].into_iter().chain(styles.iter().map(|style| (title(style), Some(style.name.clone())))).collect()
}

fn ratios_with_titles(language: Language, ratios: &[String]) -> Vec<(String, Option<String>)> {
    let none = (language.say(&Phrase::ModelsRatio), None);
    [none].into_iter().chain(ratios.iter().map(|ratio| (ratio.clone(), Some(ratio.clone())))).collect()
}

/// The styles that an image can be drawn in once more.
pub(super) fn style_menu(language: Language, image: Made, styles: &[Style]) -> Json {
    let Made { job, index, .. } = image;
    let choices = styles_with_titles(language, styles).into_iter();
    let choices = choices.map(|(title, name)| (title, Press::Redraw { job, index, change: Change::Style(name) }));
    menu(choices, Some(button(&language.say(&Phrase::Back), &Press::Back(image))))
}

/// The shapes that an image can be drawn in once more.
pub(super) fn ratio_menu(language: Language, image: Made, ratios: &[String]) -> Json {
    let Made { job, index, .. } = image;
    let choices = ratios_with_titles(language, ratios).into_iter();
    let choices = choices.map(|(title, name)| (title, Press::Redraw { job, index, change: Change::Ratio(name) }));
    menu(choices, Some(button(&language.say(&Phrase::Back), &Press::Back(image))))
}

/// The styles that a chat can have.
pub(super) fn chat_style_menu(language: Language, styles: &[Style]) -> Json {
    let choices = styles_with_titles(language, styles).into_iter();
    menu(choices.map(|(title, name)| (title, Press::Chat(ChatChange::Style(name)))), None)
}

/// The shapes that a chat can have.
pub(super) fn chat_ratio_menu(language: Language, ratios: &[String]) -> Json {
    let choices = ratios_with_titles(language, ratios).into_iter();
    menu(choices.map(|(title, name)| (title, Press::Chat(ChatChange::Ratio(name)))), None)
}

/// The languages that a chat can have.
pub(super) fn language_menu() -> Json {
    let choices = [("English", Language::English), ("Русский", Language::Russian)];
    let choices = choices.map(|(title, language)| (title.to_owned(), Press::Chat(ChatChange::Language(language))));
    menu(choices.into_iter(), None)
}

/// The one button of a message that waits to be chosen in inline mode.
pub(super) fn waiting_keyboard() -> Json {
    keyboard(&[vec![button("⏳", &Press::Nothing)]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presses_are_read_as_they_were_written_and_fit_into_64_bytes() {
        let (job, index) = (Uuid::from_u128(u128::MAX - 5), 7);
        let image = Made { job, index, seed: u64::MAX };
        let name = Some("oil-painting".to_owned());
        let presses = [
            Press::Stop(i64::MAX),
            Press::Again(job),
            Press::Variations(image),
            Press::Styles(image),
            Press::Ratios(image),
            Press::Back(image),
            Press::File(image),
            Press::Seed(image),
            Press::Redraw { job, index, change: Change::Style(name.clone()) },
            Press::Redraw { job, index, change: Change::Style(None) },
            Press::Redraw { job, index, change: Change::Ratio(Some("16:9".to_owned())) },
            Press::Pick { job, index },
            Press::Ask { ask: 5, what: Ask::FusePhoto },
            Press::Chat(ChatChange::Style(name)),
            Press::Chat(ChatChange::Ratio(None)),
            Press::Chat(ChatChange::Language(Language::Russian)),
            Press::Nothing,
        ];
        for press in presses {
            let data = press.data();
            assert!(data.len() <= MOST_DATA, "{data}");
            assert_eq!(Press::read(&data), Some(press), "{data}");
        }
        for wrong in ["", "1:", "1:short:a", "2:x", "s:x", "p:1:z", "c:z:z"] {
            assert_eq!(Press::read(wrong), None, "{wrong}");
        }
    }
}
