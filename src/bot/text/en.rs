//! English.

use super::phrase::{Phrase, excerpt};

/// A phrase in English.
pub(super) fn say(phrase: &Phrase<'_>) -> String {
    match phrase {
        Phrase::Help { name, is_group } => {
            let how = if *is_group {
                format!("In this group I answer commands, messages that mention @{name}, and replies to mine.\n\n")
            } else {
                String::new()
            };
            format!(
                "{how}I draw with Kandinsky 2.1.\n\n\
                 • Send a text: I draw it. English and Russian.\n\
                 • Send a photo with a caption, or reply to a photo with a text: I mix them.\n\
                 • Send several photos at once, or reply to a photo with a photo: I mix them, the first counts most.\n\
                 • Send a photo alone: I ask what to do, variations for example.\n\n\
                 /draw TEXT draws a text, /style and /ratio set this chat's defaults, /stop stops your images, \
                 /lang changes the language."
            )
        }
        Phrase::Line(0) => "🕒 You are next in line.".to_owned(),
        Phrase::Line(ahead) => format!("🕒 You are number {} in line.", *ahead + 1),
        Phrase::WaitsForYours => "🕒 Your earlier request is first; this one follows.".to_owned(),
        Phrase::Drawing(percent) => format!("🎨 Drawing: {percent} %"),
        Phrase::Starting => "🕒 On its way.".to_owned(),
        Phrase::ServerAway => "🕒 The image server does not answer. I keep trying.".to_owned(),
        Phrase::ServerBusy => "🕒 The image server is busy. I keep trying.".to_owned(),
        Phrase::Stopped => "⏹ Stopped.".to_owned(),
        Phrase::Failed(why) => format!("⚠️ That did not work: {}", excerpt(why, 300)),
        Phrase::Refused([]) => "🚫 The rules of this server do not allow this request.".to_owned(),
        Phrase::Refused(categories) => {
            format!("🚫 The rules of this server do not allow this request: {}.", categories.join(", "))
        }
        Phrase::Invalid(why) => format!("⚠️ The server cannot draw this: {}", excerpt(why, 300)),
        Phrase::BotRefused => {
            "⚠️ The image server does not let me in. Please tell the person who runs this bot.".to_owned()
        }
        Phrase::Expired => "⌛ This image has expired. Send the prompt again.".to_owned(),
        Phrase::FileTooBig => "⚠️ This file is too big: I can read images of up to 20 MB.".to_owned(),
        Phrase::FileGone => "⚠️ Telegram does not give me this file. Please send it again.".to_owned(),
        Phrase::PromptTooLong(most) => format!("⚠️ This text is too long: at most {most} characters."),
        Phrase::ModeMissing => "⚠️ The model of this server cannot do that.".to_owned(),
        Phrase::TooMany(open) => {
            format!("✋ You have {open} requests under way. Wait for one, or stop one, and send this again.")
        }
        Phrase::QuotaUsed(most) => {
            format!("✋ That is more than your {most} images a day. It starts anew at 00:00 UTC.")
        }
        Phrase::NotAllowed(id) => {
            format!("🔒 This bot is private. Ask the person who runs it to allow the id {id}.")
        }
        Phrase::Accepted => "👌".to_owned(),
        Phrase::NotYours => "This is another person's request.".to_owned(),
        Phrase::WhatToDo => "What shall I do with this image?".to_owned(),
        Phrase::SendText => "Reply to this message with the text to mix in.".to_owned(),
        Phrase::SendPhoto => "Reply to this message with the photo to mix in.".to_owned(),
        Phrase::SendPrompt => {
            "Write what to draw after the command, for example:\n/draw red heart on a blue background".to_owned()
        }
        Phrase::ReplyToPhoto => "Use this command as a reply to an image, or as a caption of one.".to_owned(),
        Phrase::NothingToStop => "You have nothing under way.".to_owned(),
        Phrase::StopRequested => "⏹ Stopping.".to_owned(),
        Phrase::Unsupported => "I understand texts and photos. /help says more.".to_owned(),
        Phrase::UnknownCommand => "I do not know this command. /help says what there is.".to_owned(),
        Phrase::Editor("") => "Repainting a part of an image needs a mask, which I cannot take here.".to_owned(),
        Phrase::Editor(url) => {
            format!("Repainting a part of an image needs a mask. There is an editor for that: {url}")
        }
        Phrase::ChooseStyle => "The style of this chat:".to_owned(),
        Phrase::ChooseRatio => "The ratio of this chat's images:".to_owned(),
        Phrase::ChooseLanguage => "Language / Язык:".to_owned(),
        Phrase::StyleSet(name) => format!("Style: {name}."),
        Phrase::RatioSet(name) => format!("Ratio: {name}."),
        Phrase::LanguageSet => "I speak English here.".to_owned(),
        Phrase::NoStyle => "None".to_owned(),
        Phrase::ModelsRatio => "The model's own".to_owned(),
        Phrase::Muted => "I am silent in this group now. An administrator can say /on.".to_owned(),
        Phrase::Unmuted => "I answer in this group.".to_owned(),
        Phrase::AdministratorsOnly => "Only administrators of this group can do that.".to_owned(),
        Phrase::Seed(seed) => format!("Seed: {seed}"),
        Phrase::Pick => "Which one? A number shows it alone, with its buttons.".to_owned(),
        Phrase::PromptCut(cut) => format!("✂️ The model did not read the end of the prompt: “{}”", excerpt(cut, 100)),
        Phrase::Translated(text) => format!("🌐 Drawn as “{}”", excerpt(text, 120)),
        Phrase::NotTranslated => "🌐 The prompt was not translated: the translator does not answer.".to_owned(),
        Phrase::InlineTitle => "Draw".to_owned(),
        Phrase::InlineWaiting(prompt) => format!("🕒 {}", excerpt(prompt, 900)),
        Phrase::Caption { prompt, seed, width, height } => {
            let facts = format!("{width}×{height} · seed {seed}");
            match prompt {
                Some(prompt) => format!("{}\n{facts}", excerpt(prompt, 600)),
                None => facts,
            }
        }
        Phrase::Again => "🔁 Again".to_owned(),
        Phrase::Variations => "🎲 Variations".to_owned(),
        Phrase::Style => "🖌 Style".to_owned(),
        Phrase::Ratio => "📐 Ratio".to_owned(),
        Phrase::File => "📄 File".to_owned(),
        Phrase::SeedButton => "🌱 Seed".to_owned(),
        Phrase::Stop => "⏹ Stop".to_owned(),
        Phrase::Back => "← Back".to_owned(),
        Phrase::FuseText => "✍️ Mix with a text".to_owned(),
        Phrase::FusePhoto => "🖼 Mix with a photo".to_owned(),
        Phrase::CommandDraw => "draw a text".to_owned(),
        Phrase::CommandVariations => "as a reply to an image: images like it".to_owned(),
        Phrase::CommandStyle => "the style of this chat".to_owned(),
        Phrase::CommandRatio => "the ratio of this chat's images".to_owned(),
        Phrase::CommandLanguage => "language".to_owned(),
        Phrase::CommandStop => "stop your images".to_owned(),
        Phrase::CommandHelp => "what I can do".to_owned(),
        Phrase::Description => {
            "I draw with Kandinsky 2.1: send a text, a photo with a caption, or several photos.".to_owned()
        }
    }
}
