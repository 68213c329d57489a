//! The four features of the paper's bot, in English and Russian.

use serde_json::json;

use crate::fake::BOT;
use crate::fake::users::Post;
use crate::harness::{ADA, IVAN, Setup, World, settings, slow, words};

#[tokio::test(flavor = "multi_thread")]
async fn a_text_becomes_an_image_in_one_message() {
    let world = World::start().await;
    let id = world.say(ADA, "red heart on a blue background");
    let image = world.fake.image(ADA, id).await;
    assert!(words(&image).starts_with("red heart on a blue background\n"), "{image}");
    let seen = world.fake.look(|state| (state.of_bot(ADA).len(), state.reactions.get(&(ADA, id)).cloned()));
    assert_eq!(seen, (1, Some(json!([{"type": "emoji", "emoji": "👀"}]))), "one message, and a sign that it was seen");
    let jobs = world.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        (&jobs[0]["mode"], &jobs[0]["parameters"]["prompt"]),
        (&json!("text-to-image"), &json!("red heart on a blue background"))
    );
    // What is shown is what the server made.
    let file = image["photo"][1]["file_id"].as_str().unwrap().to_owned();
    let shown = world.fake.look(|state| state.files[&file].bytes.clone());
    let url = format!("http://127.0.0.1:{}/v1/jobs/{}/images/0", world.port, jobs[0]["id"].as_str().unwrap());
    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    assert_eq!(shown, client.get(url).send().await.unwrap().bytes().await.unwrap());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_features_are_answered_in_the_users_language() {
    let world = World::start().await;
    for (user, prompt, again, seed) in
        [(ADA, "smiling face", "Again", "seed"), (IVAN, "улыбающееся лицо", "Ещё", "зерно")]
    {
        let text = world.say(user, prompt);
        let image = world.fake.image(user, text).await;
        assert!(words(&image).contains(prompt) && words(&image).contains(seed), "{image}");
        assert!(image["reply_markup"].to_string().contains(again), "{image}");

        // A photo with a caption, then a text as a reply to the bot's own image.
        let photo = world.photo("text_english.png");
        let caption = Post { caption: Some(prompt.to_owned()), ..Post::photo(&photo) };
        let fused = world.post(user, caption);
        world.fake.image(user, fused).await;
        let reply = world.post(user, Post { reply_to: image["message_id"].as_i64(), ..Post::text(prompt) });
        world.fake.image(user, reply).await;

        // A photo as a reply to a photo, whose own is the main one.
        let second = world.post(user, Post { reply_to: Some(fused), ..Post::photo(&world.photo("text_wide.png")) });
        world.fake.image(user, second).await;

        // A photo alone.
        let alone = world.post(user, Post::photo(&photo));
        let question = world.fake.until("a question", |state| state.reply_to(user, alone)).await;
        let buttons = question["reply_markup"]["inline_keyboard"].as_array().unwrap().len();
        assert_eq!(buttons, 3, "{question}");
    }
    let mut modes: Vec<String> =
        world.jobs().await.iter().map(|job| job["mode"].as_str().unwrap().to_owned()).collect();
    modes.truncate(4);
    assert_eq!(modes, ["image-fusion", "text-image-fusion", "text-image-fusion", "text-to-image"]);
    // Images by reference: the bot did not load its own image down.
    let downloads = world.fake.look(|state| state.count("getFile"));
    assert_eq!(downloads, 2 * 3, "a caption's photo, and two of a fusion, for both");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_asked_about_and_a_reply_to_the_question_means_it() {
    let world = World::start().await;
    let alone = world.post(ADA, Post::photo(&world.photo("text_english.png")));
    let question = world.reply(ADA, alone, "What shall I do").await;

    let press = world.press(ADA, &question, "text");
    world.fake.pressed(&press).await;
    let ask = world.reply(ADA, question["message_id"].as_i64().unwrap(), "Reply to this message with the text").await;
    let reply = world.post(ADA, Post { reply_to: ask["message_id"].as_i64(), ..Post::text("winter") });
    world.fake.image(ADA, reply).await;

    let press = world.press(ADA, &question, "Variations");
    world.fake.pressed(&press).await;
    let album = |state: &crate::fake::state::State| {
        let of_album: Vec<_> = state.of_bot(ADA).into_iter().filter(|m| m["media_group_id"].is_string()).collect();
        let pick = state.of_bot(ADA).into_iter().find(|message| words(message).starts_with("Which one"));
        pick.map(|pick| (of_album, pick))
    };
    let (images, pick) = world.fake.until("an album", album).await;
    assert_eq!(images.len(), 4);

    // The third of four, alone and with its buttons.
    let press = world.press(ADA, &pick, "3");
    world.fake.pressed(&press).await;
    let third = world.fake.image(ADA, pick["message_id"].as_i64().unwrap()).await;
    let bytes = |file: &str| world.fake.look(|state| state.files[file].bytes.clone());
    let file = |message: &serde_json::Value| message["photo"][1]["file_id"].as_str().unwrap().to_owned();
    assert_eq!(bytes(&file(&third)), bytes(&file(&images[2])));
    let jobs = world.jobs().await;
    assert_eq!([&jobs[0]["mode"], &jobs[1]["mode"]], ["image-variations", "text-image-fusion"]);
    // Of the status nothing is left; it goes after the image has come.
    let is_gone = |state: &crate::fake::state::State| {
        (!state.of_bot(ADA).into_iter().any(|message| words(&message).starts_with('🕒'))).then_some(())
    };
    world.fake.until("the status is gone", is_gone).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_commands_are_in_both_languages() {
    let world = World::start().await;
    let (english, russian) = (world.say(ADA, "/start"), world.say(IVAN, "/start"));
    world.reply(ADA, english, "I draw with Kandinsky 2.1").await;
    world.reply(IVAN, russian, "Я рисую с помощью Kandinsky 2.1").await;
    let commands = world.fake.look(|state| state.commands.clone());
    assert_eq!(commands.keys().collect::<Vec<_>>(), ["", "ru"]);
    assert!(commands["ru"].to_string().contains("нарисовать") && commands[""].to_string().contains("draw a text"));

    // /lang overrides what Telegram says of the user.
    let choice = world.say(IVAN, "/lang");
    let menu = world.reply(IVAN, choice, "Language").await;
    let press = world.press(IVAN, &menu, "English");
    world.fake.pressed(&press).await;
    world.reply(IVAN, choice, "I speak English here").await;
    let help = world.say(IVAN, "/help");
    world.reply(IVAN, help, "I draw with Kandinsky 2.1").await;

    // The chat's style is in what is drawn from then on.
    let choice = world.say(ADA, "/style");
    let menu = world.reply(ADA, choice, "The style of this chat").await;
    let style = menu["reply_markup"]["inline_keyboard"][0][1]["text"].as_str().unwrap().to_owned();
    let press = world.press(ADA, &menu, &style);
    world.fake.pressed(&press).await;
    world.reply(ADA, choice, &format!("Style: {style}")).await;
    let text = world.say(ADA, "red heart");
    world.fake.image(ADA, text).await;
    assert!(world.jobs().await[0]["parameters"]["style"].is_string());
    let others = world.fake.look(|state| state.messages.values().filter(|m| m["from"]["id"] == BOT).count());
    assert_eq!(others, 6, "each message is answered once");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_see_their_place_in_line() {
    const CY: i64 = 1003;
    // Room for one job, which takes longer than a message waits for its next change on any machine.
    let server = settings(&[("engine.max_pictures_in_flight", "1"), ("model.backend", "portable")]);
    let world = World::with(Setup { server, ..slow() }).await;
    world.fake.with(|state| state.add_user(CY, "en"));
    let first = world.say(ADA, "red heart");
    let mut shown = vec![(ADA, world.reply(ADA, first, "Drawing").await)];
    let second = world.say(IVAN, "синяя звезда");
    shown.push((IVAN, world.reply(IVAN, second, "Вы следующий в очереди").await));
    let third = world.say(CY, "green tree");
    shown.push((CY, world.reply(CY, third, "You are number 2 in line").await));
    for (user, message) in shown.iter().rev() {
        let button = if *user == IVAN { "Стоп" } else { "Stop" };
        world.fake.pressed(&world.press(*user, message, button)).await;
    }
    world.reply(ADA, first, "Stopped").await;
    world.finish();
}
