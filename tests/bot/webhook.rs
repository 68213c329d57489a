//! A webhook instead of long polling.

use reqwest::StatusCode;
use serde_json::json;

use crate::fake::state::State;
use crate::fake::users::{Post, is_finished};
use crate::harness::{ADA, Setup, World, settings};

const SECRET: &str = "abcdefgh_12345678";

#[tokio::test(flavor = "multi_thread")]
async fn updates_come_by_webhook_and_only_with_the_secret() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/telegram"));
    let bot = [("bot.webhook_url", url.as_str()), ("bot.webhook_listen", &listen), ("bot.webhook_secret", SECRET)];
    let world = World::with(Setup { bot: settings(&bot), ..Setup::default() }).await;
    let text = world.say(ADA, "red heart");
    world.fake.image(ADA, text).await;

    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    let forged = json!({"update_id": 1, "message": {"message_id": 1, "chat": {"id": ADA, "type": "private"},
        "from": {"id": ADA, "is_bot": false}, "text": "blue star"}});
    for secret in [None, Some("abcdefgh_12345679")] {
        let mut request = client.post(&url).json(&forged);
        if let Some(secret) = secret {
            request = request.header("x-telegram-bot-api-secret-token", secret);
        }
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    // Telegram repeats what it thinks was not taken, also while the first is under way.
    let message = world.fake.with(|state| state.compose(ADA, ADA, Post::text("blue star")));
    let update = json!({"update_id": 900_000, "message": message});
    let send = || client.post(&url).header("x-telegram-bot-api-secret-token", SECRET).json(&update).send();
    let (first, second) = tokio::join!(send(), send());
    for response in [first, second, send().await] {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    let drawn =
        |state: &State| (state.of_bot(ADA).iter().filter(|message| is_finished(message)).count() == 2).then_some(());
    world.fake.until("the second image", drawn).await;
    assert_eq!((world.jobs().await.len(), world.fake.look(|state| state.of_bot(ADA).len())), (2, 2));
    world.finish();
}
