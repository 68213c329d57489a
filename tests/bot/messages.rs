//! What people send beside texts and photos, and what is said with an image.

use axum::Router;
use axum::routing::post;
use serde_json::{Value as Json, json};

use crate::fake::state::State;
use crate::fake::users::Post;
use crate::harness::{ADA, IVAN, Setup, World, golden_file, settings, slow, words};

const GROUP: i64 = -100_321;

/// A message with a file that is no photo.
fn document(file: &str, media_type: &str, size: Option<u64>) -> Post {
    let document = json!({"file_id": file, "file_unique_id": file, "mime_type": media_type, "file_size": size});
    Post { more: json!({"document": document}), ..Post::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_may_be_files_and_what_is_no_image_is_said_to_be_none() {
    let world = World::start().await;
    assert!(world.bot.log().contains("WARN") && world.bot.log().contains("anyone who finds this bot"));
    let add = |bytes: Vec<u8>| world.fake.with(|state| state.add_file(bytes, "documents"));
    let image = add(golden_file("text_english.png"));
    let fused = Post { caption: Some("winter".to_owned()), ..document(&image, "image/png", Some(5_000)) };
    let fused = world.post(ADA, fused);
    assert!(words(&world.fake.image(ADA, fused).await).starts_with("winter"));

    let other = add(b"%PDF".to_vec());
    let sticker = Post { more: json!({"sticker": {"file_id": "s", "file_unique_id": "s"}}), ..Post::default() };
    for post in [document(&other, "application/pdf", Some(4)), sticker] {
        let sent = world.post(ADA, post);
        world.reply(ADA, sent, "I understand texts and photos").await;
    }
    let inpaint = world.say(ADA, "/inpaint");
    world.reply(ADA, inpaint, "needs a mask").await;
    let drawing = add(b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec());
    let sent =
        world.post(ADA, Post { caption: Some("winter".to_owned()), ..document(&drawing, "image/svg+xml", Some(40)) });
    world.reply(ADA, sent, "cannot draw this: SVG is a drawing").await;
    // Telegram may say at once how large a file is, or when it is asked for.
    let large = add(vec![0; (20 << 20) + 1]);
    for size in [Some(30_000_000), None] {
        let sent = Post { caption: Some("winter".to_owned()), ..document(&large, "image/png", size) };
        let sent = world.post(ADA, sent);
        world.reply(ADA, sent, "up to 20 MB").await;
    }
    // Which it then refuses.
    world.fake.with(|state| state.refusals.retain(|why| !why.contains("file is too big")));
    // Nothing is drawn for a message that is changed later.
    let edited = world.fake.with(|state| {
        let message = state.compose(ADA, ADA, Post::text("blue star"));
        state.push_update("edited_message", &message);
        message["message_id"].as_i64().unwrap()
    });
    let last = world.say(ADA, "/help");
    world.reply(ADA, last, "I draw").await;
    assert_eq!(world.fake.look(|state: &State| state.reply_to(ADA, edited)), None);
    assert_eq!(world.jobs().await.len(), 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caption_holds_what_fits_and_says_what_was_drawn_and_what_was_not_read() {
    let server = settings(&[("translate.backend", "marian")]);
    let world = World::with(Setup { server, ..Setup::default() }).await;
    let russian = world.say(IVAN, "красное сердце");
    let said = words(&world.fake.image(IVAN, russian).await);
    assert!(said.starts_with("красное сердце") && said.contains("Нарисовано как «red heart»"), "{said}");
    // What looks like markup is text.
    let strange = "<b>heart</b> *a* _b_ [c](http://d.example) &amp; 👩‍👩‍👧 \u{202e}לב\u{202c}";
    let marked = world.say(ADA, strange);
    assert!(words(&world.fake.image(ADA, marked).await).starts_with(strange));
    let long = world.say(ADA, &"a red heart 🎨 ".repeat(100));
    let said = words(&world.fake.image(ADA, long).await);
    assert!(said.contains('…') && said.contains("seed") && said.contains("did not read the end"), "{said}");
    assert!(said.encode_utf16().count() <= 1024);
    world.finish();
}

/// A service that finds something in every image; its address.
async fn stern_service() -> String {
    let judge = async || {
        axum::Json(json!({"results": [
            {"flagged": true, "categories": {"violence": true}, "category_scores": {"violence": 0.99}},
        ]}))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(judge))).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_moderation_blurs_is_covered() {
    let url = stern_service().await;
    let server = settings(&[
        ("moderation.results", "blur"),
        ("moderation.results_chain", "remote"),
        ("moderation.remote_kind", "webhook"),
        ("moderation.remote_key", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
        ("moderation.remote_url", &url),
    ]);
    let world = World::with(Setup { server, ..Setup::default() }).await;
    let sent = world.say(ADA, "red heart");
    let image = world.fake.image(ADA, sent).await;
    assert_eq!(image["has_media_spoiler"], true, "{image}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_only_those_who_asked_stop_an_image() {
    let world = World::with(slow()).await;
    let say = |user: i64, post: Post| world.fake.with(|state| state.post(user, GROUP, post));
    world.fake.with(|state| {
        state.add_group(GROUP);
        state.administrators.push(IVAN);
    });
    let answered = async |press: String| -> Json {
        world.fake.until("an answer to a button", |state| state.pressed[&press].answer.clone()).await
    };
    let sent = say(ADA, Post::text("/draw red heart"));
    let status = world.reply(GROUP, sent, "").await;
    assert_eq!(answered(world.press(IVAN, &status, "Stop")).await["text"], "Это чужой запрос.");
    assert_eq!(answered(world.press(ADA, &status, "Stop")).await["text"], Json::Null);
    world.reply(GROUP, sent, "Stopped").await;

    // An administrator who stays anonymous is answered, too, and each of them may stop that.
    let anonymous = |text: &str| Post {
        more: json!({
            "from": {"id": 1_087_968_824, "is_bot": true, "first_name": "Group"},
            "sender_chat": {"id": GROUP, "type": "supergroup", "title": "Painters"},
        }),
        ..Post::text(text)
    };
    let sent = say(IVAN, anonymous("/draw blue star"));
    let status = world.reply(GROUP, sent, "").await;
    assert_eq!(answered(world.press(ADA, &status, "Stop")).await["text"], "This is another person's request.");
    assert_eq!(answered(world.press(IVAN, &status, "Stop")).await["text"], Json::Null);
    world.reply(GROUP, sent, "Stopped").await;
    let off = say(IVAN, anonymous("/off"));
    world.reply(GROUP, off, "I am silent").await;
    world.finish();
}
