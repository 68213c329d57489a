//! What a message asks for.
//!
//! Invariant: pure: the same message, settings and account give the same plan. In groups nothing is planned for messages that are
//! not commands, mentions or replies to the bot.

use super::drawing::{Drawing, MOST_FUSED, Source};
use super::telegram::MOST_DOWNLOADED;
use super::text::Phrase;
use super::types::{Message, User};

/// A command that is not a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Style,
    Ratio,
    Language,
    Stop,
    Mute,
    Unmute,
    Inpaint,
}

/// What is to be done about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    Nothing,
    Draw(Drawing),
    /// Images like these: as many as is configured.
    Variations(Source),
    /// Ask what to do with an image.
    Ask(Source),
    Say(Phrase<'static>),
    Command(Command),
}

/// What a message begins with.
struct Begun<'a> {
    command: Option<&'a str>,
    /// Whether the command names this bot.
    names_bot: bool,
    rest: &'a str,
}

/// Read a command. `None`: it is another bot's.
fn read_command<'a>(words: &'a str, me: &User) -> Option<Begun<'a>> {
    let Some(begun) = words.strip_prefix('/') else {
        return Some(Begun { command: None, names_bot: false, rest: words });
    };
    let (name, rest) = begun.split_once(char::is_whitespace).unwrap_or((begun, ""));
    let (name, bot) = name.split_once('@').map_or((name, None), |(name, bot)| (name, Some(bot)));
    let names_bot = bot.is_some_and(|bot| is_my_name(bot, me));
    if bot.is_some() && !names_bot {
        return None;
    }
    Some(Begun { command: Some(name), names_bot, rest: rest.trim() })
}

fn is_my_name(name: &str, me: &User) -> bool {
    me.username.as_ref().is_some_and(|mine| mine.eq_ignore_ascii_case(name))
}

/// The words without `@bot`, if they mention it.
fn without_mention(words: &str, me: &User) -> Option<String> {
    let name = format!("@{}", me.username.as_deref()?.to_ascii_lowercase());
    let lower = words.to_ascii_lowercase();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (at, end) = lower
        .match_indices(&name)
        .map(|(at, name)| (at, at + name.len()))
        .find(|(at, end)| !lower[*end..].starts_with(is_word) && !lower[..*at].ends_with(is_word))?;
    let (before, after) = (words[..at].trim_end(), words[end..].trim_start_matches([',', ':', ' ']));
    Some(format!("{before} {after}").trim().to_owned())
}

/// Whether a message is a reply to one of the bot's.
fn is_reply_to_me(message: &Message, me: &User) -> bool {
    let replied = message.reply_to_message.as_ref().and_then(|replied| replied.from.as_ref());
    replied.is_some_and(|from| from.id == me.id)
}

/// What to do about a message, or about an album. `replied` is the image of the message that it replies to, if there is one.
pub(super) fn plan(messages: &[Message], replied: Option<Source>, me: &User) -> Plan {
    let Some(first) = messages.first() else { return Plan::Nothing };
    if first.via_bot.is_some() || first.sender().is_none() {
        return Plan::Nothing;
    }
    let is_private = first.chat.is_private();
    let words =
        messages.iter().map(|message| message.words().trim()).find(|words| !words.is_empty()).unwrap_or_default();
    let Some(Begun { command, names_bot, rest }) = read_command(words, me) else { return Plan::Nothing };
    let mentioned = without_mention(rest, me);
    let is_addressed = is_private || command.is_some() || mentioned.is_some() || is_reply_to_me(first, me);
    if !is_addressed {
        return Plan::Nothing;
    }
    let text = mentioned.unwrap_or_else(|| rest.to_owned());
    if messages.iter().any(|message| message.image_bytes() > MOST_DOWNLOADED as u64) {
        return Plan::Say(Phrase::FileTooBig);
    }
    let own: Vec<Source> =
        messages.iter().filter_map(Message::image).map(|file| Source::File(file.to_owned())).collect();
    // What is below a video is about the video.
    if command.is_none() && own.is_empty() && messages.iter().any(Message::has_other_content) {
        return Plan::Say(Phrase::Unsupported);
    }
    let mut images: Vec<Source> = replied.into_iter().chain(own).collect();
    match command {
        Some("start" | "help" | "settings") => return Plan::Command(Command::Help),
        Some("draw" | "imagine") if text.is_empty() && images.is_empty() => return Plan::Say(Phrase::SendPrompt),
        None | Some("draw" | "imagine") => {}
        Some("variations") => {
            return images.into_iter().next().map_or(Plan::Say(Phrase::ReplyToPhoto), Plan::Variations);
        }
        Some("style") => return Plan::Command(Command::Style),
        Some("ratio") => return Plan::Command(Command::Ratio),
        Some("lang" | "language") => return Plan::Command(Command::Language),
        Some("stop" | "cancel") => return Plan::Command(Command::Stop),
        Some("inpaint") => return Plan::Command(Command::Inpaint),
        Some("on") if !is_private => return Plan::Command(Command::Unmute),
        Some("off") if !is_private => return Plan::Command(Command::Mute),
        Some(_) if is_private || names_bot => return Plan::Say(Phrase::UnknownCommand),
        Some(_) => return Plan::Nothing,
    }
    images.truncate(if text.is_empty() { MOST_FUSED } else { MOST_FUSED - 1 });
    match (images.len(), text.is_empty()) {
        // Telegram's own messages, such as that something was pinned, ask for nothing.
        (0, true) if words.is_empty() => Plan::Nothing,
        (0, true) => Plan::Say(Phrase::SendPrompt),
        (0, false) => Plan::Draw(Drawing::of_prompt(text)),
        (1, true) => Plan::Ask(images.remove(0)),
        (_, true) => Plan::Draw(Drawing::of_images(images, None)),
        (_, false) => Plan::Draw(Drawing::of_images(images, Some(text))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn me() -> User {
        serde_json::from_value(json!({"id": 1, "is_bot": true, "username": "DrawBot"})).unwrap()
    }

    fn message(chat: &str, more: &Json) -> Message {
        let mut message = json!({"message_id": 7, "chat": {"id": 5, "type": chat}, "from": {"id": 9, "is_bot": false}});
        for (name, value) in more.as_object().unwrap() {
            message[name] = value.clone();
        }
        serde_json::from_value(message).unwrap()
    }

    fn photo(file: &str) -> Json {
        json!([{"file_id": format!("{file}-small"), "width": 90, "height": 60}, {"file_id": file, "width": 900, "height": 600}])
    }

    fn file(name: &str) -> Source {
        Source::File(name.to_owned())
    }

    fn plan_one(message: Message, replied: Option<Source>) -> Plan {
        plan(&[message], replied, &me())
    }

    #[test]
    fn private_messages_mean_the_four_features() {
        let text = plan_one(message("private", &json!({"text": " red heart "})), None);
        assert_eq!(text, Plan::Draw(Drawing::of_prompt("red heart")));
        let caption = plan_one(message("private", &json!({"photo": photo("a"), "caption": "winter"})), None);
        assert_eq!(caption, Plan::Draw(Drawing::of_images(vec![file("a")], Some("winter".to_owned()))));
        let reply = plan_one(message("private", &json!({"text": "winter"})), Some(file("b")));
        assert_eq!(reply, Plan::Draw(Drawing::of_images(vec![file("b")], Some("winter".to_owned()))));
        let photos = plan_one(message("private", &json!({"photo": photo("a")})), Some(file("main")));
        assert_eq!(photos, Plan::Draw(Drawing::of_images(vec![file("main"), file("a")], None)));
        let alone = plan_one(message("private", &json!({"photo": photo("a")})), None);
        assert_eq!(alone, Plan::Ask(file("a")));
        let document = json!({"document": {"file_id": "d", "mime_type": "image/png"}, "caption": "/variations"});
        assert_eq!(plan_one(message("private", &document), None), Plan::Variations(file("d")));
        let album = [json!({"photo": photo("a")}), json!({"photo": photo("b"), "caption": "winter"})];
        let album = album.map(|item| message("private", &item));
        let both = Drawing::of_images(vec![file("a"), file("b")], Some("winter".to_owned()));
        assert_eq!(plan(&album, None, &me()), Plan::Draw(both));
        for other in [json!({"sticker": {}}), json!({"video": {}, "caption": "winter"}), json!({"poll": {}})] {
            assert_eq!(plan_one(message("private", &other), None), Plan::Say(Phrase::Unsupported), "{other}");
        }
        // A film without sound has a document, too, for older bots.
        let film = json!({"animation": {}, "document": {"file_id": "d", "mime_type": "video/mp4"}});
        assert_eq!(plan_one(message("private", &film), None), Plan::Say(Phrase::Unsupported));
        // Said by Telegram itself.
        let pinned = json!({"pinned_message": {"message_id": 3, "chat": {"id": 5}, "text": "red heart"}});
        assert_eq!(plan_one(message("private", &pinned), None), Plan::Nothing);
        let huge = json!({"document": {"file_id": "d", "mime_type": "image/png", "file_size": 30_000_000}});
        assert_eq!(plan_one(message("private", &huge), None), Plan::Say(Phrase::FileTooBig));
    }

    #[test]
    fn groups_are_answered_when_the_bot_is_meant() {
        let group = |text: &str| plan_one(message("supergroup", &json!({"text": text})), None);
        let heart = Plan::Draw(Drawing::of_prompt("red heart"));
        for text in [
            "/draw red heart",
            "/draw@drawbot red heart",
            "@DrawBot, red heart",
            "red heart @drawbot",
            "/imagine red heart",
        ] {
            assert_eq!(group(text), heart, "{text}");
        }
        for text in [
            "red heart",
            "/draw@OtherBot red heart",
            "@drawbot2 red heart",
            "me@drawbot.example",
            "/roll",
            "mail@drawbot",
        ] {
            assert_eq!(group(text), Plan::Nothing, "{text}");
        }
        let reply = |from: i64| {
            let replied =
                json!({"message_id": 3, "chat": {"id": 5, "type": "group"}, "from": {"id": from, "is_bot": true}});
            plan_one(message("group", &json!({"text": "red heart", "reply_to_message": replied})), None)
        };
        assert_eq!((reply(1), reply(2)), (heart, Plan::Nothing));
        assert_eq!(plan_one(message("group", &json!({"photo": photo("a")})), None), Plan::Nothing);
        assert_eq!(group("@drawbot"), Plan::Say(Phrase::SendPrompt));
        assert_eq!((group("/off"), group("/on")), (Plan::Command(Command::Mute), Plan::Command(Command::Unmute)));
    }

    #[test]
    fn what_bots_send_is_not_answered() {
        let own = json!({"text": "x", "via_bot": {"id": 1, "is_bot": true}});
        assert_eq!(plan_one(message("private", &own), None), Plan::Nothing);
        let bot = json!({"id": 4, "is_bot": true});
        assert_eq!(plan_one(message("private", &json!({"text": "x", "from": bot})), None), Plan::Nothing);
        // An administrator who stays anonymous is no bot.
        let anonymous = json!({"text": "/draw x", "from": bot, "sender_chat": {"id": 5, "type": "supergroup"}});
        assert_eq!(plan_one(message("supergroup", &anonymous), None), Plan::Draw(Drawing::of_prompt("x")));
    }
}
