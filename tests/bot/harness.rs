//! A server, a bot and a fake of Telegram, and what holds after every test.

use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::fake::methods::secret_of_token;
use crate::fake::users::Post;
use crate::fake::{Fake, TOKEN};

/// Longest that a process may take to say something: far more than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Those who play along.
pub const ADA: i64 = 1001;
pub const IVAN: i64 = 1002;

/// A process whose log is read.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stderr.take().unwrap(), log.clone());
        Self { child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Wait for a line; the rest of it.
    fn wait_for(&mut self, said: &str) -> String {
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Some((_, rest)) = self.log.lock().split_once(said) {
                return rest.lines().next().unwrap_or_default().to_owned();
            }
            let has_ended = self.child.try_wait().unwrap().is_some();
            assert!(!has_ended && Instant::now() < patience, "{said:?} is not said:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_until(&mut self, said: &str) {
        self.wait_for(said);
    }

    /// Wait until this was said in two lines.
    pub fn wait_until_twice(&self, said: &str) {
        let patience = Instant::now() + PATIENCE;
        while self.log().matches(said).count() < 2 {
            assert!(Instant::now() < patience, "{said:?} is not said twice:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As `kill`; the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Wait until it ends by itself; the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(log: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let mut log = into.lock();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// How a test differs from the usual.
#[derive(Default)]
pub struct Setup {
    pub bot: Vec<(&'static str, String)>,
    pub server: Vec<(&'static str, String)>,
}

/// Everything together.
pub struct World {
    pub fake: Fake,
    pub server: Process,
    pub bot: Process,
    pub port: u16,
    setup: Setup,
    folder: TempDir,
    /// Logs of processes that have ended.
    logs: Vec<String>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let fake = Fake::start().await;
        fake.with(|state| {
            state.add_user(ADA, "en");
            state.add_user(IVAN, "ru");
        });
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let server = start_server(folder.path(), port, &setup);
        let mut bot = start_bot(folder.path(), port, &fake, &setup);
        bot.wait_for("ready as @");
        Self { fake, server, bot, port, setup, folder, logs: Vec::new() }
    }

    /// The bot dies, and is started again.
    pub fn kill_bot(&mut self) {
        self.bot.kill();
        self.logs.push(self.bot.log());
    }

    pub fn restart_bot(&mut self) {
        self.bot = start_bot(self.folder.path(), self.port, &self.fake, &self.setup);
        self.bot.wait_for("ready as @");
    }

    async fn open_notes(&self) -> sqlx::SqlitePool {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("bot/bot.sqlite"));
        sqlx::SqlitePool::connect_with(options).await.unwrap()
    }

    /// Change the file of a bot that is not running.
    pub async fn edit_notes(&self, statement: &'static str) {
        let notes = self.open_notes().await;
        sqlx::query(statement).execute(&notes).await.unwrap();
        notes.close().await;
    }

    /// A number from the file of a bot that is not running.
    pub async fn count_notes(&self, statement: &'static str) -> i64 {
        let notes = self.open_notes().await;
        let (count,): (i64,) = sqlx::query_as(statement).fetch_one(&notes).await.unwrap();
        notes.close().await;
        count
    }

    /// Whether only its owner can read the bot's file.
    pub fn has_private_file(&self) -> bool {
        let about = std::fs::metadata(self.folder.path().join("bot/bot.sqlite")).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&about.permissions()).trailing_zeros() >= 6
    }

    /// Another process of the same bot, with the same file or one of its own.
    pub fn second_bot(&self, has_own_file: bool) -> (Process, TempDir) {
        let own = TempDir::new().unwrap();
        let folder = if has_own_file { own.path() } else { self.folder.path() };
        (start_bot(folder, self.port, &self.fake, &self.setup), own)
    }

    pub fn kill_server(&mut self) {
        self.server.kill();
    }

    pub fn restart_server(&mut self) {
        self.server = start_server(self.folder.path(), self.port, &self.setup);
    }

    /// Ada or Ivan writes to the bot.
    pub fn say(&self, user: i64, text: &str) -> i64 {
        self.post(user, Post::text(text))
    }

    pub fn post(&self, user: i64, post: Post) -> i64 {
        self.fake.with(|state| state.post(user, user, post))
    }

    pub fn press(&self, user: i64, message: &Json, button: &str) -> String {
        let id = message["message_id"].as_i64().unwrap();
        self.fake.with(|state| state.press(user, message["chat"]["id"].as_i64().unwrap(), id, button)).unwrap()
    }

    /// The bot's reply whose words contain this.
    pub async fn reply(&self, chat: i64, message: i64, words: &str) -> Json {
        let said = |reply: &Json| {
            let text = reply["text"].as_str().or(reply["caption"].as_str()).unwrap_or_default();
            text.contains(words)
        };
        let find = |state: &crate::fake::state::State| state.reply_to(chat, message).filter(said);
        self.fake.until(&format!("a reply with {words:?}"), find).await
    }

    /// The server's jobs, newest first.
    pub async fn jobs(&self) -> Vec<Json> {
        let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{}/v1/jobs?limit=100", self.port);
        let list: Json = client.get(url).send().await.unwrap().json().await.unwrap();
        list["data"].as_array().unwrap().clone()
    }

    /// The server's images of a job are gone, as they are after some days.
    pub async fn delete_job(&self, job: &Json) {
        let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
        let url = format!("http://127.0.0.1:{}/v1/jobs/{}", self.port, job["id"].as_str().unwrap());
        assert!(client.delete(url).send().await.unwrap().status().is_success());
    }

    /// Wait until this holds of the server, which tells no test of itself.
    pub async fn eventually(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("still waiting: {what}"));
    }

    /// A photo at Telegram, of a golden image.
    pub fn photo(&self, golden: &str) -> String {
        let bytes = golden_file(golden);
        self.fake.with(|state| state.add_file(bytes, "photos"))
    }

    /// End the test: the bot stops as it is asked to, and has behaved all along.
    pub fn finish(mut self) {
        assert_eq!(self.bot.terminate(), Some(0), "{}", self.bot.log());
        self.logs.push(self.bot.log());
        for log in &self.logs {
            assert!(!log.contains(secret_of_token()), "the token is in the log");
        }
        self.fake.look(|state| {
            assert!(state.refusals.is_empty(), "{:#?}", state.refusals);
            assert_eq!(state.floods, 0, "the bot went beyond the limits\n{}", state.transcript());
        });
    }
}

fn start_server(folder: &Path, port: u16, setup: &Setup) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--device", "cpu", "--data"]);
    command.arg(folder.join("server")).envs(variables(&setup.server));
    let mut server = Process::start(&mut command);
    server.wait_for("ready on http://");
    server
}

/// A bot that is not waited for.
pub fn start_bot(folder: &Path, port: u16, fake: &Fake, setup: &Setup) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.args(["bot", "--server", &format!("http://127.0.0.1:{port}"), "--data"]);
    command
        .arg(folder.join("bot"))
        .env("KANDINSKY__BOT__TOKEN", TOKEN)
        .env("KANDINSKY__BOT__API_ROOT", &fake.url)
        .env("KANDINSKY__BOT__STEPS", "6")
        .env("KANDINSKY__BOT__EDIT_PAUSE_S", "0.2")
        .env("KANDINSKY__BOT__GROUP_EDIT_PAUSE_S", "0.2")
        // Where the token would be, if anywhere.
        .env("KANDINSKY__LOG__LEVEL", "trace,sqlx=warn")
        .env("NO_COLOR", "1")
        .envs(variables(&setup.bot));
    Process::start(&mut command)
}

fn variables(settings: &[(&str, String)]) -> Vec<(String, String)> {
    let name = |key: &str| format!("KANDINSKY__{}", key.replace('.', "__").to_uppercase());
    settings.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

pub fn golden_file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)).unwrap()
}

/// The words of a message.
pub fn words(message: &Json) -> String {
    message["text"].as_str().or(message["caption"].as_str()).unwrap_or_default().to_owned()
}

/// Many steps, for what must happen while a job runs.
pub fn slow() -> Setup {
    Setup { bot: settings(&[("bot.steps", "300")]), ..Setup::default() }
}

pub fn settings(settings: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
}
