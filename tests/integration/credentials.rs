//! How keys arrive: in which headers, by signed addresses, from files; and what of them others can read.

use std::process::{Command, Output};

use kandinsky::records::{KeyLimits, Scope};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::app::{Setup, TestApp, events, quick};
use crate::server::start;

async fn with_keys() -> TestApp {
    TestApp::with(Setup { keys: true, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_come_in_any_of_the_usual_headers_and_only_once() {
    let app = with_keys().await;
    let limits = KeyLimits::default();
    let (holder, other) = (app.key(&[Scope::Generate], limits).await, app.key(&[Scope::Generate], limits).await);
    let (key, bearer) = (holder.text.as_str(), format!("Bearer {}", holder.text));
    let foreign = format!("Bearer {}", other.text);
    let get = async |headers: &[(&str, &str)]| {
        let request = app.client.get(app.url("/v1/jobs"));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
    };
    for headers in [
        &[("authorization", bearer.as_str())][..],
        &[("api-key", key)],
        &[("x-api-key", key)],
        &[("authorization", bearer.as_str()), ("api-key", key)],
    ] {
        assert_eq!(get(headers).await.status(), StatusCode::OK, "{headers:?}");
    }
    let basic = app.client.get(app.url("/v1/jobs")).basic_auth("anything", Some(key)).send().await.unwrap();
    assert_eq!(basic.status(), StatusCode::OK);
    for headers in [
        &[("authorization", bearer.as_str()), ("authorization", bearer.as_str())][..],
        &[("authorization", bearer.as_str()), ("authorization", "Bearer none")],
        &[("authorization", foreign.as_str()), ("x-api-key", key)],
        &[("api-key", key), ("x-api-key", "none")],
    ] {
        let answer = get(headers).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{headers:?}");
        assert!(!answer.text().await.unwrap().contains(key));
    }
    for headers in [&[("api-key", "none")][..], &[("authorization", "Basic bm9uZTpub25l")]] {
        let answer = get(headers).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        // A browser that reads of Basic would ask for a password and remember it.
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    // Azure's paths.
    for path in ["/openai/deployments/mine/images/generations?api-version=2024-02-01", "/openai/v1/images/generations"]
    {
        let drawn =
            app.client.post(app.url(path)).header("api-key", key).json(&quick(&json!({}))).send().await.unwrap();
        assert_eq!(drawn.status(), StatusCode::OK, "{path}");
        let refused = app.client.post(app.url(path)).json(&quick(&json!({}))).send().await.unwrap();
        assert!(refused.json::<Json>().await.unwrap()["error"]["message"].is_string(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_listens_to_a_job_by_its_signed_address() {
    let app = with_keys().await;
    let holder = app.key(&[Scope::Generate], KeyLimits::default()).await;
    let accepted: Json = holder.queue_up(&quick(&json!({}))).await.json().await.unwrap();
    let url = accepted["events_url"].as_str().unwrap();
    let heard = app.client.get(url).send().await.unwrap();
    assert_eq!(heard.status(), StatusCode::OK);
    let heard = events(&heard.text().await.unwrap());
    let (name, _, last) = heard.last().unwrap();
    assert_eq!((name.as_str(), &last["id"]), ("completed", &accepted["id"]));

    let (path, query) = url.split_once('?').unwrap();
    let job = path.strip_suffix("/events").unwrap();
    for (url, status) in [
        (path.to_owned(), 401),
        (format!("{path}?{}", query.replace("expires=1", "expires=2")), 403),
        // It opens nothing else.
        (format!("{job}?{query}"), 401),
        (format!("{job}/images/0?{query}"), 403),
        (format!("{}?{query}", app.url("/v1/jobs/events")), 401),
    ] {
        assert_eq!(app.client.get(&url).send().await.unwrap().status().as_u16(), status, "{url}");
    }
    assert_eq!(app.client.post(format!("{job}/cancel?{query}")).send().await.unwrap().status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_have_names_to_be_saved_by() {
    let app = with_keys().await;
    let holder = app.key(&[Scope::Generate], KeyLimits::default()).await;
    let body = quick(&json!({"response_format": "url", "output_format": "jpeg"}));
    let drawn: Json = holder.draw(&body).await.json().await.unwrap();
    let (path, query) = drawn["images"][0]["url"].as_str().unwrap().split_once('?').unwrap();
    let get = async |name: &str| app.client.get(format!("{path}{name}?{query}")).send().await.unwrap();
    for name in ["", ".jpg", ".jpeg"] {
        let image = get(name).await;
        assert_eq!(
            (image.status(), &image.headers()["content-type"]),
            (StatusCode::OK, &"image/jpeg".parse().unwrap())
        );
        let wanted = format!("inline; filename=\"{}-0.jpg\"", drawn["id"].as_str().unwrap());
        assert_eq!(image.headers()["content-disposition"], wanted);
    }
    assert_eq!(get(".png").await.status(), StatusCode::NOT_FOUND, "what it is not");
    assert_eq!(get(".gif").await.status(), StatusCode::FORBIDDEN, "no name of an image");
    let direct = app.client.post(app.url("/v1/text-to-image")).header("accept", "image/png").json(&quick(&json!({})));
    let direct = holder.send(direct).await;
    assert!(direct.headers()["content-disposition"].to_str().unwrap().ends_with("-0.png\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_file_are_good_as_long_as_they_are_in_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys");
    let (mine, metrics) = ("b7c1e0f29d83a4651c7e9f0b2d4a6831", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b");
    let path = file.to_str().unwrap();
    let settings = [("auth.required", "always"), ("auth.keys_file", path)];
    let answers = async |lines: String| {
        std::fs::write(&file, lines).unwrap();
        let app = start(&settings).await;
        let get = |path: &str, key: &str| {
            app.client.get(format!("http://{}{path}", app.server.address)).bearer_auth(key).send()
        };
        let mut statuses = Vec::new();
        for (path, key) in [("/v1/jobs", mine), ("/metrics", mine), ("/metrics", metrics)] {
            statuses.push(get(path, key).await.unwrap().status().as_u16());
        }
        app.server.stop().await.unwrap();
        statuses
    };
    // This process records no metrics, so those who may read them find none (404).
    assert_eq!(answers(format!("{mine}\n{metrics} name=prometheus scopes=metrics\n")).await, [200, 403, 404]);
    assert_eq!(answers(format!("{metrics} scopes=admin\n")).await, [401, 401, 404]);
}

fn keys(data: &TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.arg("keys").args(arguments).arg("--data").arg(data.path()).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_given_key_is_taken_once_and_only_if_it_cannot_be_guessed() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("secret");
    let key = "sk-9qTzV2bLr7XnW4pYd8GkJ1sHc6FmA3eQ";
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let from_file = ["create", "--from-file", file.to_str().unwrap(), "--name", "given"];
    for said in ["took the key", "is in"] {
        let output = keys(&data, &from_file, &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && text.contains(said) && output.stdout.is_empty(), "{text}");
        assert!(!text.contains(key), "{text}");
    }
    let from_env = ["create", "--from-env", "MY_KEY"];
    for (value, said) in [("change-me-change-me-change-me-change-me", "could be guessed"), ("short", "32 to 256")] {
        let output = keys(&data, &from_env, &[("MY_KEY", value)]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(said) && !text.contains(value), "{text}");
    }
    assert_eq!(keys(&data, &from_env, &[]).status.code(), Some(2), "the variable is not set");
    let list = String::from_utf8(keys(&data, &["list"], &[]).stdout).unwrap();
    assert!(list.matches("given").count() == 1 && list.lines().count() == 2, "{list}");
    let found = std::fs::read(data.path().join("jobs.sqlite")).unwrap();
    assert!(!found.windows(key.len()).any(|window| window == key.as_bytes()), "only its digest is kept");
}

#[cfg(unix)]
#[test]
fn what_the_server_writes_is_for_its_own_user() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = TempDir::new().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data = folder.path().join("new");
    let run = |data: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
        command.args(["keys", "create", "--data"]).arg(data).output().unwrap()
    };
    assert!(run(&data).status.success());
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    // What an earlier version left open is closed.
    let database = data.join("jobs.sqlite");
    for path in [&database, &data] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(run(&data).status.success());
    assert_eq!(mode(&database), 0o600);
}
