//! Telegram at its worst: floods, bad gateways, broken connections, blocked users, two processes.

use serde_json::json;

use crate::fake::state::Fault;
use crate::fake::users::is_finished;
use crate::fake::{Fake, methods};
use crate::harness::{ADA, IVAN, Setup, World, slow, start_bot};

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_floods_and_broken_connections_loses_no_message() {
    let world = World::start().await;
    for method in ["getUpdates", "sendMessage", "editMessageMedia", "editMessageText", "getFile"] {
        world.fake.fail(method, [Fault::Flood(1), Fault::BadGateway, Fault::Reset, Fault::Flood(1)]);
    }
    let messages: Vec<i64> = (0..4).map(|i| world.say(if i % 2 == 0 { ADA } else { IVAN }, "red heart")).collect();
    for (i, message) in messages.iter().enumerate() {
        world.fake.image(if i % 2 == 0 { ADA } else { IVAN }, *message).await;
    }
    let replies = world.fake.look(|state| state.of_bot(ADA).len() + state.of_bot(IVAN).len());
    assert_eq!((replies, world.jobs().await.len()), (4, 4));
    assert!(world.fake.look(|state| state.injected_floods) >= 6);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_blocks_the_bot_costs_nothing_more() {
    let world = World::with(slow()).await;
    let text = world.say(ADA, "red heart");
    world.reply(ADA, text, "Drawing").await;
    world.fake.with(|state| state.blocked.push(ADA));
    // Others are served.
    let other = world.say(IVAN, "/help");
    world.reply(IVAN, other, "Я рисую").await;
    let canceled = async || world.jobs().await.iter().all(|job| job["status"] == "canceled");
    world.eventually("the job is canceled", canceled).await;
    world.fake.with(|state| state.blocked.clear());
    let again = world.say(ADA, "/help");
    world.reply(ADA, again, "I draw").await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_user_deletes_comes_as_a_new_one() {
    let world = World::with(slow()).await;
    let text = world.say(ADA, "red heart");
    let status = world.reply(ADA, text, "Drawing").await;
    let id = status["message_id"].as_i64().unwrap();
    world.fake.with(|state| state.messages.remove(&(ADA, id)));
    let image = world.fake.image(ADA, text).await;
    assert_ne!(image["message_id"], id);
    assert_eq!(world.fake.look(|state| state.of_bot(ADA).into_iter().filter(is_finished).count()), 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_and_a_wrong_token_are_said_without_the_token() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    fake.fail("getUpdates", std::iter::repeat_n(Fault::Conflict, 40));
    let setup = Setup::default();
    let mut bot = start_bot(folder.path(), 9, &fake, &setup);
    assert_eq!(bot.ended(), Some(1));
    assert!(bot.log().contains("another process reads the updates of this bot"), "{}", bot.log());

    let wrong = "7000000001:AAwrongwrongwrongwrongwrongwrongwro";
    let setup = Setup { bot: vec![("bot.token", wrong.to_owned())], ..Setup::default() };
    let mut other = start_bot(folder.path(), 9, &fake, &setup);
    assert_eq!(other.ended(), Some(2));
    assert!(other.log().contains("Telegram does not know the token"), "{}", other.log());

    // Telegram is away: an address, with the token in it, is what HTTP clients like to say.
    let setup = Setup { bot: vec![("bot.api_root", "http://127.0.0.1:9".to_owned())], ..Setup::default() };
    let mut away = start_bot(folder.path(), 9, &fake, &setup);
    away.wait_until("Telegram does not answer");
    away.kill();
    for log in [bot.log(), other.log(), away.log()] {
        assert!(!log.contains(methods::secret_of_token()) && !log.contains("AAwrong"), "{log}");
    }
    assert_eq!(json!([]), fake.look(|state| json!(state.refusals)));
}
