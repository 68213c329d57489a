//! Inline mode.

use serde_json::json;

use crate::harness::{ADA, Setup, World, settings};

const STORAGE: i64 = -100_777;

#[tokio::test(flavor = "multi_thread")]
async fn an_inline_query_is_drawn_once_it_is_chosen() {
    let storage = STORAGE.to_string();
    let setup = Setup { bot: settings(&[("bot.storage_chat", &storage)]), ..Setup::default() };
    let world = World::with(setup).await;
    world.fake.with(|state| state.add_group(STORAGE));
    world.fake.until("the bot asks for inline queries", |state| (state.allowed.len() == 4).then_some(())).await;
    let query = world.fake.with(|state| state.ask_inline(ADA, "red heart"));
    let offers = world.fake.until("offers", |state| state.inline_queries[&query].clone()).await;
    assert_eq!(offers.as_array().unwrap().len(), 1);
    assert_eq!(world.jobs().await.len(), 0, "nothing is drawn before it is chosen");

    let message = world.fake.with(|state| state.choose(ADA, &query, "draw", "red heart")).unwrap();
    let image = world.fake.until("the image", |state| {
        Some(state.inline_messages[&message].clone()).filter(|message| message["photo"].is_array())
    });
    let image = image.await;
    assert!(image["caption"].as_str().unwrap().starts_with("red heart"), "{image}");
    assert_eq!(world.fake.look(|state| state.of_bot(STORAGE).len()), 1, "by way of the storage chat");

    // It has buttons that work where the bot is not.
    let press = world.fake.with(|state| state.press_inline(ADA, &message, "Again")).unwrap();
    assert_eq!(world.fake.pressed(&press).await["text"], "👌");
    let file = image["photo"][1]["file_id"].clone();
    world
        .fake
        .until("another image", |state| {
            Some(()).filter(|()| state.inline_messages[&message]["photo"][1]["file_id"] != file)
        })
        .await;

    // The latest images are offered from now on.
    let query = world.fake.with(|state| state.ask_inline(ADA, ""));
    let offers = world.fake.until("offers", |state| state.inline_queries[&query].clone()).await;
    assert_eq!(offers.as_array().unwrap().iter().map(|offer| &offer["type"]).collect::<Vec<_>>(), [&json!("photo"); 2]);
    world.finish();
}
