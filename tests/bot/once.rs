//! Each message is answered once: by processes that die at the worst moment, and by two that should be one.

use std::time::Duration;

use serde_json::Value as Json;

use crate::fake::state::{Fault, State};
use crate::fake::users::Post;
use crate::harness::{ADA, Setup, World, settings, words};

fn is_number_message(message: &Json) -> bool {
    words(message).starts_with("Which one")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_dies_before_the_status_of_an_album_is_gone_numbers_the_album_once() {
    let mut world = World::start().await;
    world.fake.fail("deleteMessage", [Fault::Slow(Duration::from_mins(2))]);
    world.post(ADA, Post { caption: Some("/variations".to_owned()), ..Post::photo(&world.photo("text_english.png")) });
    world.fake.until("the status is being deleted", |state| state.faults.is_empty().then_some(())).await;
    world.kill_bot();
    world.restart_bot();
    let is_left = |message: &Json| message["media_group_id"].is_null() && !is_number_message(message);
    let is_gone = |state: &State| (!state.of_bot(ADA).iter().any(is_left)).then_some(());
    world.fake.until("the status is gone", is_gone).await;
    let messages = world.fake.look(|state| state.of_bot(ADA));
    let numbers = messages.iter().filter(|message| is_number_message(message)).count();
    assert_eq!((messages.len(), numbers), (5, 1), "{messages:#?}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bot_did_and_could_not_note_is_done_again_in_its_place() {
    let mut world = World::start().await;
    let text = world.say(ADA, "red heart");
    world.fake.image(ADA, text).await;
    // It submitted the job, and showed the image, and noted neither.
    for lost in ["UPDATE answers SET ended = 0", "UPDATE answers SET ended = 0, job = NULL, seed = NULL"] {
        world.kill_bot();
        world.edit_notes(lost).await;
        let shown = world.fake.look(|state| state.count("editMessageMedia"));
        world.restart_bot();
        let is_shown = |state: &State| (state.count("editMessageMedia") > shown).then_some(());
        world.fake.until("the image, once more", is_shown).await;
        let image = world.fake.image(ADA, text).await;
        assert_eq!((world.jobs().await.len(), world.fake.look(|state| state.of_bot(ADA).len())), (1, 1), "{image}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_the_second_gives_way() {
    let world = World::start().await;
    let (mut same, _) = world.second_bot(false);
    assert_eq!(same.ended(), Some(1));
    assert!(same.log().contains("a bot can have one process only"), "{}", same.log());
    assert!(world.has_private_file());
    // The first is one that has been there for a while.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (mut other, _folder) = world.second_bot(true);
    assert_eq!(other.ended(), Some(1));
    assert!(other.log().contains("another process reads the updates of this bot"), "{}", other.log());
    let text = world.say(ADA, "red heart");
    world.fake.image(ADA, text).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_token_that_replaces_a_revoked_one() {
    // Without previews, so that the first edit is the last.
    let mut world = World::with(Setup { bot: settings(&[("bot.steps", "2")]), ..Setup::default() }).await;
    world.fake.fail("editMessageMedia", [Fault::Unauthorized]);
    let text = world.say(ADA, "red heart");
    world.fake.until("the image is refused", |state| state.faults.is_empty().then_some(())).await;
    assert_eq!(world.bot.terminate(), Some(0), "{}", world.bot.log());
    world.restart_bot();
    world.fake.image(ADA, text).await;
    assert_eq!((world.jobs().await.len(), world.fake.look(|state| state.of_bot(ADA).len())), (1, 1));
    world.finish();
}
