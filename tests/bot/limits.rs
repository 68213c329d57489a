//! Who may use the bot, how much, and what is refused.

use crate::fake::state::State;
use crate::harness::{ADA, IVAN, Setup, World, settings};

#[tokio::test(flavor = "multi_thread")]
async fn strangers_quotas_and_moderation_are_answered_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("words.toml"), "violence = [\"frobnicator\"]\n").unwrap();
    let ada = ADA.to_string();
    let setup = Setup {
        bot: settings(&[("bot.allowed", &ada), ("bot.daily_images", "2")]),
        server: settings(&[("moderation.lexicon", folder.path().to_str().unwrap())]),
    };
    let mut world = World::with(setup).await;
    let stranger = world.say(IVAN, "красное сердце");
    world.reply(IVAN, stranger, "Это закрытый бот").await;

    // What is refused costs nothing.
    let refused = world.say(ADA, "a frobnicator");
    let said = world.reply(ADA, refused, "do not allow").await;
    assert!(said["text"].as_str().unwrap().contains("violence") && said["reply_markup"].is_null(), "{said}");
    for prompt in ["red heart", "blue star"] {
        let text = world.say(ADA, prompt);
        world.fake.image(ADA, text).await;
    }
    let over = world.say(ADA, "green tree");
    world.reply(ADA, over, "your 2 images a day").await;
    assert_eq!((world.jobs().await.len(), world.fake.look(|state: &State| state.of_bot(ADA).len())), (2, 4));
    // A restart changes nothing about it, a new day does.
    world.kill_bot();
    world.restart_bot();
    let over = world.say(ADA, "green tree");
    world.reply(ADA, over, "your 2 images a day").await;
    world.kill_bot();
    // Nothing is kept of what was written and is dealt with.
    let kept = "SELECT count(*) FROM updates WHERE done = 1 AND body <> ''";
    assert_eq!(world.count_notes(kept).await, 0);
    world.edit_notes("UPDATE answers SET at = at - 86400").await;
    world.restart_bot();
    let next = world.say(ADA, "green tree");
    world.fake.image(ADA, next).await;
    world.finish();
}
