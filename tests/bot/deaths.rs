//! Processes that die in the middle: each message is answered once.

use serde_json::json;

use crate::fake::state::State;
use crate::harness::{ADA, IVAN, World, slow};

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_killed_while_a_job_runs_answers_once_after_its_restart() {
    let mut world = World::with(slow()).await;
    let text = world.say(ADA, "red heart");
    let update = world.fake.look(|state| state.updates.front().cloned());
    world.reply(ADA, text, "Drawing").await;
    let waiting = world.say(ADA, "blue star");
    world.reply(ADA, waiting, "Your earlier request is first").await;
    // A process that dies before it has noted its message cannot know of it.
    world.bot.wait_until_twice("the answer has a message");
    world.kill_bot();
    // Telegram repeats what it had already sent.
    world.fake.with(|state| state.updates.extend(update));
    // What comes while there is no bot waits.
    let meanwhile = world.say(IVAN, "красное сердце");
    world.restart_bot();
    let images = [world.fake.image(ADA, text).await, world.fake.image(ADA, waiting).await];
    world.fake.image(IVAN, meanwhile).await;
    let replies = |chat| world.fake.look(|state: &State| state.of_bot(chat).len());
    assert_eq!((replies(ADA), replies(IVAN)), (2, 1), "{images:?}");
    let jobs = world.jobs().await;
    assert!(jobs.iter().all(|job| job["status"] == "succeeded"), "{jobs:?}");
    assert_eq!(jobs.len(), 3);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_away_loses_nothing() {
    let mut world = World::with(slow()).await;
    let running = world.say(ADA, "red heart");
    world.reply(ADA, running, "Drawing").await;
    world.kill_server();
    let meanwhile = world.say(IVAN, "красное сердце");
    world.reply(IVAN, meanwhile, "Сервер не отвечает").await;
    world.restart_server();
    world.fake.image(ADA, running).await;
    world.fake.image(IVAN, meanwhile).await;
    let replies = |chat| world.fake.look(|state: &State| state.of_bot(chat).len());
    assert_eq!((replies(ADA), replies(IVAN)), (1, 1));
    let statuses: Vec<_> = world.jobs().await.into_iter().map(|job| job["status"].clone()).collect();
    assert_eq!(statuses, [json!("succeeded"), json!("succeeded")]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_heard_while_the_server_is_away() {
    let mut world = World::with(slow()).await;
    let text = world.say(ADA, "red heart");
    let running = world.reply(ADA, text, "Drawing").await;
    world.kill_server();
    let press = world.press(ADA, &running, "Stop");
    world.fake.pressed(&press).await;
    let stopped = world.reply(ADA, text, "Stopped").await;
    assert!(stopped["reply_markup"].is_null(), "{stopped}");
    // The job is canceled once there is a server to do it.
    world.restart_server();
    let canceled = async || world.jobs().await.iter().all(|job| job["status"] == "canceled");
    world.eventually("the job is canceled", canceled).await;
    assert_eq!((world.jobs().await.len(), world.fake.look(|state: &State| state.of_bot(ADA).len())), (1, 1));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_stopped_leaves_its_answers_to_the_next_one() {
    let mut world = World::with(slow()).await;
    let text = world.say(ADA, "red heart");
    world.reply(ADA, text, "Drawing").await;
    assert_eq!(world.bot.terminate(), Some(0), "{}", world.bot.log());
    world.restart_bot();
    world.fake.image(ADA, text).await;
    assert_eq!((world.jobs().await.len(), world.fake.look(|state| state.of_bot(ADA).len())), (1, 1));
    world.finish();
}
