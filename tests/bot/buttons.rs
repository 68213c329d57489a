//! Buttons below images.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::fake::users::{Post, button_data, is_finished};
use crate::harness::{ADA, IVAN, Setup, World, settings, words};

#[tokio::test(flavor = "multi_thread")]
async fn every_button_does_what_it_says() {
    let world = World::start().await;
    let text = world.say(ADA, "red heart");
    let image = world.fake.image(ADA, text).await;
    let id = image["message_id"].as_i64().unwrap();
    let first = world.jobs().await.remove(0);
    let seed = first["images"][0]["seed"].as_u64().unwrap();

    let press = world.press(ADA, &image, "Seed");
    let answer = world.fake.pressed(&press).await;
    assert_eq!((&answer["text"], &answer["alert"]), (&json!(format!("Seed: {seed}")), &json!(true)));

    // The file is the server's, byte for byte, with what it says about itself.
    let press = world.press(ADA, &image, "File");
    world.fake.pressed(&press).await;
    let document = |state: &crate::fake::state::State| {
        let message = state.of_bot(ADA).into_iter().find(|message| message["document"].is_object())?;
        Some(state.files[message["document"]["file_id"].as_str()?].bytes.clone())
    };
    let file = world.fake.until("a document", document).await;
    assert!(file.starts_with(b"\x89PNG") && file.windows(9).any(|window| window == b"red heart"));

    // Styles and shapes are menus in place of the buttons, and draw the same seed.
    for (button, choice, field, value) in [("Style", 1, "style", None), ("Ratio", 4, "width", Some(json!(null)))] {
        let current = world.fake.look(|state| state.messages[&(ADA, id)].clone());
        let press = world.press(ADA, &current, button);
        world.fake.pressed(&press).await;
        let is_menu = |message: &Json| message["reply_markup"].to_string().contains("Back");
        let menu = world.fake.until("a menu", |state| Some(state.messages[&(ADA, id)].clone()).filter(is_menu)).await;
        let rows = menu["reply_markup"]["inline_keyboard"].as_array().unwrap().iter();
        let titles: Vec<String> =
            rows.flat_map(|row| row.as_array().unwrap()).map(|b| b["text"].as_str().unwrap().to_owned()).collect();
        let before = world.jobs().await.len();
        let press = world.press(ADA, &menu, &titles[choice]);
        assert_eq!(world.fake.pressed(&press).await["text"], "👌");
        let count = before;
        world
            .fake
            .until("another image", |state| {
                let images = state.of_bot(ADA).into_iter().filter(is_finished).count();
                (images == count + 1).then_some(())
            })
            .await;
        let job = world.jobs().await.remove(0);
        assert_eq!(job["parameters"]["seed"], seed, "{job}");
        assert_ne!(job["parameters"][field], first["parameters"][field], "{value:?} {job}");
        let is_back = |message: &Json| message["reply_markup"].to_string().contains("Again");
        world.fake.until("the buttons again", |state| Some(()).filter(|()| is_back(&state.messages[&(ADA, id)]))).await;
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn again_pressed_twenty_times_draws_what_a_user_may_have_and_never_the_same() {
    let setup = Setup { bot: settings(&[("bot.waiting", "4")]), ..Setup::default() };
    let world = World::with(setup).await;
    let text = world.say(ADA, "red heart");
    let image = world.fake.image(ADA, text).await;
    let presses: Vec<String> = (0..20).map(|_| world.press(ADA, &image, "Again")).collect();
    let mut accepted = 0;
    for press in &presses {
        let answer = world.fake.pressed(press).await;
        assert!(answer["at_ms"].as_u64().unwrap() < 10_000, "{answer}");
        let text = answer["text"].as_str().unwrap_or_default();
        assert!(text == "👌" || text.contains("under way"), "{answer}");
        accepted += usize::from(text == "👌");
    }
    assert!(accepted >= 5, "one is drawn and four wait: {accepted}");
    let drawn = |state: &crate::fake::state::State| {
        (state.of_bot(ADA).into_iter().filter(is_finished).count() == accepted + 1).then_some(())
    };
    world.fake.until("all that were accepted", drawn).await;
    let jobs = world.jobs().await;
    let seeds: BTreeSet<u64> = jobs.iter().map(|job| job["parameters"]["seed"].as_u64().unwrap()).collect();
    assert_eq!((jobs.len(), seeds.len()), (accepted + 1, accepted + 1));
    let (least, most) = (seeds.first().unwrap(), seeds.last().unwrap());
    assert_eq!(most - least, accepted as u64, "the next seed each time");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_stops_ones_own_job_while_it_runs() {
    // More than could be drawn meanwhile.
    let setup = Setup { bot: settings(&[("bot.steps", "500"), ("bot.variations", "8")]), ..Setup::default() };
    let world = World::with(setup).await;
    let photo = Post { caption: Some("/variations".to_owned()), ..Post::photo(&world.photo("text_english.png")) };
    let text = world.post(ADA, photo);
    let running = world.reply(ADA, text, "Drawing").await;
    // Another request of the same user waits for its turn, and can be stopped too.
    let second = world.say(ADA, "blue star");
    let waiting = world.reply(ADA, second, "Your earlier request is first").await;
    let press = world.press(ADA, &waiting, "Stop");
    world.fake.pressed(&press).await;
    world.reply(ADA, second, "Stopped").await;
    // Another user's button does nothing.
    let press = world.press(IVAN, &running, "Stop");
    assert!(world.fake.pressed(&press).await["text"].as_str().unwrap().contains("чужой"));
    let press = world.press(ADA, &running, "Stop");
    world.fake.pressed(&press).await;
    let stopped = world.reply(ADA, text, "Stopped").await;
    assert!(stopped["reply_markup"].is_null(), "{stopped}");
    let jobs = world.jobs().await;
    assert_eq!((jobs.len(), &jobs[0]["status"]), (1, &json!("canceled")), "{}", words(&stopped));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn buttons_of_old_messages_and_replies_to_images_that_are_gone_are_answered() {
    let world = World::start().await;
    let text = world.say(ADA, "red heart");
    let image = world.fake.image(ADA, text).await;
    let again = button_data(&image, "Again").unwrap();
    let press = world.fake.with(|state| state.press_old(ADA, &image, &again));
    assert_eq!(world.fake.pressed(&press).await["text"], "👌");
    let both = |state: &crate::fake::state::State| {
        (state.of_bot(ADA).into_iter().filter(is_finished).count() == 2).then_some(())
    };
    world.fake.until("another image", both).await;
    for unknown in ["0:of an older version", "1:AAAAAAAAAAAAAAAAAAAAAA:a"] {
        let press = world.fake.with(|state| state.press_old(ADA, &image, unknown));
        let answer = world.fake.pressed(&press).await;
        let said = answer["text"].as_str().unwrap_or_default().to_owned();
        // Of a job that is to be looked for, it is said below the message.
        if !said.contains("expired") {
            let is_said = |state: &crate::fake::state::State| {
                state.of_bot(ADA).iter().any(|message| words(message).contains("expired")).then_some(())
            };
            world.fake.until("that it has expired", is_said).await;
        }
    }
    for job in world.jobs().await {
        world.delete_job(&job).await;
    }
    let reply = world.post(ADA, Post { reply_to: image["message_id"].as_i64(), ..Post::text("winter") });
    world.reply(ADA, reply, "expired").await;
    world.finish();
}
