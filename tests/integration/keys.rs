//! `kandinsky keys` and the server beside it, as an operator runs them: each a process of its own on one folder.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::app::quick;

fn kandinsky(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.args(arguments).arg("--data").arg(data);
    command
}

fn keys(data: &Path, arguments: &[&str]) -> Output {
    kandinsky(data, &[&["keys"], arguments].concat()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command printed.
fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Make a key; it alone is on the standard output.
fn create(data: &Path, flags: &[&str]) -> String {
    let key = printed(&keys(data, &[&["create"], flags].concat()));
    assert!(key.starts_with("kd_") && key.ends_with('\n') && key.lines().count() == 1, "{key}");
    key.trim().to_owned()
}

fn id(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

/// The secret part.
fn secret(key: &str) -> &str {
    &key[key.len() - 43..]
}

/// The line of a key in the list.
fn listed(data: &Path, key: &str) -> String {
    let list = printed(&keys(data, &["list"]));
    assert!(!list.contains(secret(key)), "{list}");
    list.lines().find(|line| line.starts_with(id(key))).unwrap_or_default().to_owned()
}

/// A server that says all it can say.
struct Server {
    process: Child,
    url: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = kandinsky(data, &["serve", "--listen", "127.0.0.1:0", "--device", "cpu"])
            .env("KANDINSKY__AUTH__REQUIRED", "always")
            .env("KANDINSKY__LOG__LEVEL", "trace")
            .env("RUST_BACKTRACE", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (mut all, mut line) = (String::new(), String::new());
        let url = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server did not get ready: {all}");
            all.push_str(&line);
            if let Some((_, rest)) = line.split_once("ready on ") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        let log = std::thread::spawn(move || {
            let mut rest = Vec::new();
            log.read_to_end(&mut rest).unwrap();
            all + &text(&rest)
        });
        Self { process, url, log: Some(log) }
    }

    /// Stop, and give the log.
    fn log(mut self) -> String {
        self.process.kill().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_and_revoked_beside_a_running_server_whose_log_holds_none() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    // Before there is a database, and while a server uses it.
    let early = create(data, &["--name", "early bird", "--rate", "600", "--daily-images", "50", "--expires", "90d"]);
    let server = Server::start(data);
    let late =
        create(data, &["--name", "late", "--scope", "inpainting", "--scope", "metrics", "--max-priority", "low"]);
    let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
    let get = async |path: &str, key: &str| {
        client.get(format!("{}{path}", server.url)).bearer_auth(key).send().await.unwrap()
    };
    let draw = async |key: &str, body: Json| {
        let request = client.post(format!("{}/v1/text-to-image", server.url)).bearer_auth(key);
        request.json(&body).send().await.unwrap()
    };
    let drawn = draw(&early, quick(&json!({"response_format": "url"}))).await;
    assert_eq!(drawn.status(), StatusCode::OK);
    let drawn: Json = drawn.json().await.unwrap();
    let url = drawn["images"][0]["url"].as_str().unwrap();
    assert_eq!(client.get(url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(draw(&late, quick(&json!({}))).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(get("/metrics", &late).await.status(), StatusCode::OK);
    // Whatever is wrong with a request, its key is nobody's business.
    assert_eq!(draw(&early, json!({"prompt": 5, "steps": "x"})).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = early.replace(secret(&early), secret(&late));
    assert_eq!(get("/v1/jobs", &wrong).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.get(format!("{}/v1/jobs", server.url)).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    let line = listed(data, &early);
    for part in ["early bird", "generate", "600/min, 50 images/day", "good until"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let line = listed(data, &late);
    assert!(line.contains("inpainting,metrics") && line.contains("priority low") && line.contains("good"), "{line}");

    assert!(printed(&keys(data, &["revoke", id(&early)])).contains(id(&early)));
    assert!(listed(data, &early).contains("revoked"));
    let unknown = keys(data, &["revoke", "0000000000000000"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there is no key 0000000000000000"), "{}", text(&unknown.stderr));
    // The server hears of it within seconds; the test waits as long as it takes.
    while get("/v1/jobs", &early).await.status() != StatusCode::UNAUTHORIZED {
        tokio::task::yield_now().await;
    }
    // Its use was noted, some time after the first request.
    while listed(data, &late).contains("never") {
        tokio::task::yield_now().await;
    }

    let log = server.log();
    assert!(log.contains(id(&early)), "who asked is known by the key's id");
    for key in [&early, &late] {
        assert!(!log.contains(secret(key)), "a key is in the log");
    }
    assert!(!log.contains(url.rsplit('=').next().unwrap()), "a signature is in the log");
    for entry in std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&entry).unwrap();
        for key in [&early, &late] {
            let found = bytes.windows(43).any(|window| window == secret(key).as_bytes());
            assert!(!found, "a key is in {}", entry.display());
        }
    }
}

#[test]
fn a_server_that_other_machines_reach_wants_keys_or_the_operators_word() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let start = |flags: &[&str], variables: &[(&str, &str)]| {
        let output =
            kandinsky(data, &[&["serve", "--listen", "0.0.0.0:0", "--model", "/no/such/model"], flags].concat())
                .envs(variables.iter().copied())
                .output()
                .unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = start(&[], &[]);
    assert_eq!(code, Some(2), "{said}");
    for part in ["auth.required", "0.0.0.0:0", "kandinsky keys create", "--allow-anonymous", "auth.allow_anonymous"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let elsewhere = folder.path().join("new");
    let check = kandinsky(&elsewhere, &["serve", "--check", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(check.status.code(), Some(2));
    assert!(text(&check.stderr).contains("there is no key yet"), "{}", text(&check.stderr));
    let (code, said) = start(&[], &[("KANDINSKY__AUTH__REQUIRED", "never")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("auth.required: is \"never\"") && said.contains("--allow-anonymous"), "{said}");
    let (code, said) = start(&["--allow-anonymous"], &[("KANDINSKY__AUTH__REQUIRED", "always")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("auth.allow_anonymous: contradicts"), "{said}");

    // What follows gets as far as the model, which is not there.
    let (code, said) = start(&["--allow-anonymous"], &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("anyone who can reach this address can use the server") && said.contains("/no/such/model"),
        "{said}"
    );
    let (code, said) = start(&[], &[("KANDINSKY__AUTH__REQUIRED", "always")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is none yet") && said.contains("/no/such/model"), "{said}");
    create(data, &[]);
    let (code, said) = start(&[], &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("keys are on") && said.contains("/no/such/model"), "{said}");
}

#[test]
fn keys_of_a_file_are_listed_and_say_how_they_end() {
    const GIVEN: &str = "b7c1e0f29d83a4651c7e9f0b2d4a6831";
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("{GIVEN} name=app\n")).unwrap();
    let with_file = |arguments: &[&str]| {
        let mut command = kandinsky(folder.path(), &[&["keys"], arguments].concat());
        command.env("KANDINSKY__AUTH__KEYS_FILE", &file).output().unwrap()
    };
    let own = create(folder.path(), &[]);
    let list = printed(&with_file(&["list"]));
    let line = list.lines().find(|line| line.contains("app")).unwrap();
    assert!(line.ends_with("good (auth.keys_file)") && !list.contains(GIVEN) && list.contains(id(&own)), "{list}");
    let revoked = with_file(&["revoke", line.split_whitespace().next().unwrap()]);
    let said = text(&revoked.stderr);
    assert!(revoked.status.code() == Some(1) && said.contains("auth.keys_file"), "{said}");
    printed(&with_file(&["revoke", id(&own)]));
}

#[test]
fn wrong_usage_says_what_is_right() {
    let folder = TempDir::new().unwrap();
    for (flags, said) in [
        (["--scope", "everything"], "must be one of admin, generate, metrics, text-to-image"),
        (["--expires", "yesterday"], "must be a time such as 90d"),
        (["--expires", "2001-01-01"], "must be in the future"),
        (["--max-priority", "urgent"], "must be one of low, normal, high"),
        (["--rate", "0"], "0 is not in 1.."),
    ] {
        let output = keys(folder.path(), &[&["create"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(text(&output.stderr).contains(said), "{flags:?}: {}", text(&output.stderr));
    }
}
