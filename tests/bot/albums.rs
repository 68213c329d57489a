//! Albums, whose items come one by one.

use std::time::Duration;

use crate::fake::state::Fault;
use crate::fake::users::Post;
use crate::harness::{ADA, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_album_is_one_fusion_whatever_order_its_items_come_in() {
    let world = World::start().await;
    let item = |golden: &str, caption: Option<&str>| Post {
        album: Some("album-1".to_owned()),
        caption: caption.map(str::to_owned),
        ..Post::photo(&world.photo(golden))
    };
    let items = [item("text_english.png", None), item("text_wide.png", Some("winter"))];
    // Files that are slow to be had do not make two of it.
    world.fake.fail("getFile", [Fault::Slow(Duration::from_secs(3))]);
    let first = world.fake.with(|state| {
        let [first, second] = items.map(|item| state.compose(ADA, ADA, item));
        let id = first["message_id"].as_i64().unwrap();
        state.push_update("message", &second);
        state.push_update("message", &first);
        id
    });
    world.fake.image(ADA, first).await;
    let jobs = world.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0]["mode"], "text-image-fusion");
    assert_eq!(jobs[0]["parameters"]["inputs"].as_array().unwrap().len(), 3);

    // An item that comes when the album is answered belongs to it.
    let late = world.post(ADA, item("text_russian.png", None));
    let text = world.say(ADA, "red heart");
    world.fake.image(ADA, text).await;
    let answer = world.fake.look(|state| state.reply_to(ADA, late));
    assert_eq!((world.jobs().await.len(), answer), (2, None));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_item_of_an_album_may_come_seconds_later() {
    let mut world = World::start().await;
    let item = |golden: &str| Post { album: Some("album-2".to_owned()), ..Post::photo(&world.photo(golden)) };
    let (first, second) = (item("text_english.png"), item("text_wide.png"));
    let first = world.post(ADA, first);
    // The bot has it, and dies: the next one still waits for the rest.
    world.fake.until("the update is confirmed", |state| state.updates.is_empty().then_some(())).await;
    world.kill_bot();
    world.restart_bot();
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.post(ADA, second);
    world.fake.image(ADA, first).await;
    let jobs = world.jobs().await;
    assert_eq!(jobs.iter().map(|job| job["mode"].as_str().unwrap()).collect::<Vec<_>>(), ["image-fusion"]);
    world.finish();
}
