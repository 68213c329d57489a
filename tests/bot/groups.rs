//! Groups: the bot speaks when it is spoken to.

use serde_json::json;

use crate::fake::state::State;
use crate::fake::users::Post;
use crate::harness::{ADA, IVAN, World};

const GROUP: i64 = -100_123;
const MOVED: i64 = -100_124;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_answered_on_commands_mentions_and_replies_alone() {
    let world = World::start().await;
    world.fake.with(|state| {
        state.add_group(GROUP);
        state.administrators.push(IVAN);
    });
    let say = |user: i64, post: Post| world.fake.with(|state| state.post(user, GROUP, post));
    let ignored = [
        say(ADA, Post::text("a red heart would be nice")),
        say(ADA, Post::text("/draw@other_bot red heart")),
        say(ADA, Post::photo(&world.photo("text_english.png"))),
    ];
    let command = say(ADA, Post { topic: Some(7), ..Post::text("/draw red heart") });
    let image = world.fake.image(GROUP, command).await;
    assert_eq!(image["message_thread_id"], 7, "the topic is kept");
    let mention = say(IVAN, Post::text("@Kandinsky_Test_Bot, улыбающееся лицо"));
    world.fake.image(GROUP, mention).await;
    let reply = say(ADA, Post { reply_to: image["message_id"].as_i64(), ..Post::text("winter") });
    world.fake.image(GROUP, reply).await;
    let answered = |state: &State| ignored.iter().filter(|message| state.reply_to(GROUP, **message).is_some()).count();
    assert_eq!(world.fake.look(answered), 0);

    // Administrators can silence it.
    let refused = say(ADA, Post::text("/off"));
    world.reply(GROUP, refused, "Only administrators").await;
    let off = say(IVAN, Post::text("/off"));
    world.reply(GROUP, off, "я молчу").await;
    let silent = say(ADA, Post::text("/draw blue star"));
    let on = say(IVAN, Post::text("/on"));
    world.reply(GROUP, on, "Я отвечаю").await;
    let last = say(ADA, Post::text("/help"));
    world.reply(GROUP, last, "In this group I answer").await;
    assert_eq!(world.fake.look(|state| state.reply_to(GROUP, silent)), None);

    // Where Telegram gives the group another id, what was chosen in it stays.
    let off = say(IVAN, Post::text("/off@kandinsky_test_bot"));
    world.reply(GROUP, off, "я молчу").await;
    world.fake.with(|state| state.add_group(MOVED));
    say(ADA, Post { more: json!({"migrate_to_chat_id": MOVED}), ..Post::default() });
    world.fake.until("that is read", |state| state.updates.is_empty().then_some(())).await;
    let silent = world.fake.with(|state| state.post(ADA, MOVED, Post::text("/draw blue star")));
    let on = world.fake.with(|state| state.post(IVAN, MOVED, Post::text("/on")));
    world.reply(MOVED, on, "Я отвечаю").await;
    assert_eq!(world.fake.look(|state| state.reply_to(MOVED, silent)), None);
    assert_eq!(world.jobs().await.len(), 3);
    world.finish();
}
