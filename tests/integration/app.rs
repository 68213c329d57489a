//! The whole server in this process, on a port of its own, with a store of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kandinsky::auth::{Auth, Keyring, NewKey, UrlSigner};
use kandinsky::broker::{Broker, LocalBroker, LocalConfig};
use kandinsky::clock::SystemClock;
use kandinsky::domain::Limits;
use kandinsky::engine::Engine;
use kandinsky::http::server::{ServerHandle, serve};
use kandinsky::http::{AppContext, ConnectionLimits, DecodeBudget, HttpLimits, JudgePlaces, router};
use kandinsky::imaging::Encoder;
use kandinsky::jobs::{
    Capacity, JobBackends, JobService, JobsConfig, KeptBound, Role, WebhookConfig, WebhookTransport,
};
use kandinsky::journal::Journal;
use kandinsky::moderation::{Lexicon, LexiconFiles, Policies, PromptModeration};
use kandinsky::modes::Style;
use kandinsky::records::{ApiKey, KeyLimits, Scope};
use kandinsky::retry::RetryPolicy;
use kandinsky::signature::Signer;
use kandinsky::store::{self, BlobStore, Database};
use kandinsky::translation::Translation;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::contract_watch::ContractWatch;
use crate::embedded::{engine, limits, root};

/// The secret that webhooks of tests are signed with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Puts something around a broker.
pub type WrapBroker = Box<dyn FnOnce(Arc<dyn Broker>) -> Arc<dyn Broker> + Send>;

/// How a server of a test differs from the usual.
pub struct Setup {
    /// `None`: the one that all tests of the process share.
    pub engine: Option<Arc<Engine>>,
    pub limits: Limits,
    pub jobs: JobsConfig,
    pub http_limits: HttpLimits,
    pub connections: ConnectionLimits,
    pub max_body_bytes: usize,
    pub decoding: DecodeBudget,
    pub webhooks: Option<Arc<dyn WebhookTransport>>,
    /// Made up of terms per category.
    pub lexicon: Vec<(&'static str, Vec<&'static str>)>,
    /// `None`: prompts are drawn as they are.
    pub translation: Option<Arc<Translation>>,
    /// In place of the lexicon.
    pub moderation: Option<PromptModeration>,
    /// Where the data is; None: in a folder that goes away with the server.
    pub data: Option<PathBuf>,
    /// Replace the store and the files.
    pub store: Option<Arc<dyn Database>>,
    pub blobs: Option<Arc<dyn BlobStore>>,
    pub wrap_broker: Option<WrapBroker>,
    /// Whether requests need a key.
    pub keys: bool,
    /// What is served in place of the editor in the binary.
    pub web_dir: Option<std::path::PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            engine: None,
            limits: limits(),
            jobs: JobsConfig {
                role: Role::Server,
                capacity: Capacity { jobs: 1000, cost: u64::MAX, input_bytes: 1 << 28, working_bytes: 1 << 30 },
                max_images_in_flight: 64,
                most_losses: 3,
                most_unexplained_losses: 90,
                owner_share: 1.0,
                most_kept: KeptBound { jobs: 1000, bytes: 1 << 30 },
                journal: Journal::default(),
                ttl: Duration::from_hours(1),
                forget_after: Duration::from_hours(1),
                clean_interval: Duration::from_millis(100),
                public_url: String::new(),
                exclusive: true,
                encoder: Arc::new(Encoder::new(true, None)),
                output_moderation: None,
                clock: Arc::new(SystemClock),
            },
            http_limits: HttpLimits {
                max_body_bytes_in_flight: 64 << 20,
                body_timeout: Duration::from_secs(10),
                body_total_timeout: Duration::from_mins(1),
                min_body_rate: 1024,
                max_response_bytes_in_flight: 64 << 20,
                max_streams_per_client: 100,
                cors_origins: Vec::new(),
                // The Host of requests that tests write by hand.
                allowed_hosts: vec!["x".to_owned()],
                trusted_proxies: Vec::new(),
            },
            connections: ConnectionLimits {
                max_connections: 1000,
                max_per_address: 1000,
                header_timeout: Duration::from_secs(10),
                idle_timeout: Duration::from_secs(75),
                write_timeout: Duration::from_secs(30),
            },
            max_body_bytes: 1 << 20,
            decoding: DecodeBudget::new(1 << 28, 2),
            webhooks: None,
            lexicon: Vec::new(),
            moderation: None,
            translation: None,
            data: None,
            store: None,
            blobs: None,
            wrap_broker: None,
            keys: false,
            web_dir: None,
        }
    }
}

/// A running server, and a client.
pub struct TestApp {
    pub address: SocketAddr,
    pub client: Client,
    pub jobs: JobService,
    pub store: Arc<dyn Database>,
    handle: ServerHandle,
    /// Fails the test if the server answered what the contract does not declare.
    _watch: ContractWatch,
    /// The lock of a database that another server may open after this one.
    lock: Option<PathBuf>,
    _folder: Option<TempDir>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let engine = match setup.engine {
            Some(engine) => engine,
            None => tokio::task::spawn_blocking(|| engine().clone()).await.unwrap(),
        };
        let folder = setup.data.is_none().then(|| TempDir::new().unwrap());
        let data = setup.data.unwrap_or_else(|| folder.as_ref().unwrap().path().to_owned());
        let lock = (setup.store.is_none() && folder.is_none()).then(|| data.join("jobs.sqlite.lock"));
        let store: Arc<dyn Database> = match setup.store {
            Some(store) => store,
            None => store::open_sqlite(&data.join("jobs.sqlite")).await.unwrap(),
        };
        let blobs = setup.blobs.unwrap_or_else(|| store::open_local(&data.join("pictures")).unwrap());
        let webhooks = setup.webhooks.map(|transport| {
            let config = WebhookConfig {
                signer: Signer::new(&SECRET.into()).unwrap(),
                retry: RetryPolicy::doubling(Duration::from_millis(20), Duration::from_hours(1)).at_most(8),
            };
            (config, transport)
        });
        let (encoder, output_moderation) = (setup.jobs.encoder.clone(), setup.jobs.output_moderation.clone());
        let local = LocalConfig { process: "test".to_owned(), lease: Duration::from_secs(30) };
        let broker: Arc<dyn Broker> = Arc::new(LocalBroker::new(local, store.clone(), setup.jobs.clock.clone()));
        let broker = match setup.wrap_broker {
            Some(wrap) => wrap(broker),
            None => broker,
        };
        let backends = JobBackends { generator: engine.clone(), broker, store: store.clone(), blobs, webhooks };
        let jobs = JobService::start(setup.jobs, backends).await.unwrap();
        // Changes of keys take effect at once here.
        let auth = setup.keys.then(|| Auth {
            keys: Keyring::with_cache_lifetime(store.clone(), Duration::ZERO),
            urls: UrlSigner::new(&SECRET.to_owned().into(), Duration::from_mins(10)).unwrap(),
        });
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        let terms = setup.lexicon.into_iter().map(|(category, words)| (category.to_owned(), owned(words)));
        let lexicon = LexiconFiles::from(Lexicon::new(&[terms.collect()]).unwrap());
        let lexicon = || PromptModeration::new(vec![Arc::new(lexicon)], Policies::default());
        let context = AppContext {
            translation: setup.translation,
            jobs: jobs.clone(),
            encoder,
            output_moderation,
            auth,
            engine,
            embed_metadata: true,
            limits: setup.limits,
            styles: vec![Style {
                name: "pixel-art".to_owned(),
                title_en: "Pixel art".to_owned(),
                title_ru: "Пиксель-арт".to_owned(),
                prompt: "pixel art".to_owned(),
                negative_prompt: "photo".to_owned(),
            }],
            moderation: setup.moderation.unwrap_or_else(lexicon),
            fetcher: None,
            check_webhook: Some(Box::new(|_| Ok(()))),
            public_url: String::new(),
            web_dir: setup.web_dir,
            max_body_bytes: setup.max_body_bytes,
            decoding: setup.decoding,
            judging: JudgePlaces::new(2),
            readiness: Arc::default(),
            started: 0,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handle = ServerHandle::new();
        let watch = ContractWatch::default();
        let router = watch.over(router(context.into(), &setup.http_limits));
        tokio::spawn(serve(listener, None, router, setup.connections, handle.clone()));
        let client = kandinsky::tls::client_builder().no_proxy().build().unwrap();
        Self { address, client, jobs, store, handle, _watch: watch, lock, _folder: folder }
    }

    /// Make a key with these scopes and limits.
    pub async fn key(&self, scopes: &[Scope], limits: KeyLimits) -> Holder<'_> {
        self.make_key(scopes, limits, None).await
    }

    /// Make a key whose prompts are judged by this policy.
    pub async fn key_with_policy(&self, policy: &str) -> Holder<'_> {
        self.make_key(&[Scope::Generate], KeyLimits::default(), Some(policy.to_owned())).await
    }

    async fn make_key(&self, scopes: &[Scope], limits: KeyLimits, moderation_policy: Option<String>) -> Holder<'_> {
        let secret = NewKey::generate().unwrap();
        let key = ApiKey {
            id: secret.id,
            name: "test".to_owned(),
            scopes: scopes.iter().copied().collect(),
            limits,
            moderation_policy,
            created_at: 0,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        self.store.insert_key(&key, &secret.digest).await.unwrap();
        self.holder(key.id, secret.text.expose_secret().to_owned())
    }

    /// Whoever shows this key.
    pub fn holder(&self, id: String, text: String) -> Holder<'_> {
        Holder { app: self, id, text }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn post(&self, path: &str, body: &Json) -> Response {
        self.client.post(self.url(path)).json(body).send().await.unwrap()
    }

    /// Ask for a text-to-image.
    pub async fn draw(&self, body: &Json) -> Response {
        self.post("/v1/text-to-image", body).await
    }

    /// Ask for a text-to-image without waiting for it; the job's id.
    pub async fn queue_up(&self, body: &Json) -> String {
        let request = self.client.post(self.url("/v1/text-to-image")).header("prefer", "respond-async");
        let response = request.json(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{}", response.text().await.unwrap());
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        location.strip_prefix("/v1/jobs/").unwrap().to_owned()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Json {
        self.get(path).await.json().await.unwrap()
    }

    /// Wait until a job has ended.
    pub async fn ended(&self, id: &str) -> Json {
        let events = self.get(&format!("/v1/jobs/{id}/events")).await;
        assert_eq!(events.status(), StatusCode::OK);
        // The stream ends with the job.
        events.bytes().await.unwrap();
        self.json(&format!("/v1/jobs/{id}")).await
    }

    /// The problem that a request is answered with.
    pub async fn problem(&self, path: &str, body: &Json) -> Json {
        let response = self.post(path, body).await;
        assert!(response.status().is_client_error(), "{}", response.status());
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        response.json().await.unwrap()
    }

    /// Stop as on SIGTERM.
    pub async fn stop(self, grace: Duration) {
        self.jobs.drain(grace).await;
        self.handle.graceful_shutdown(Some(Duration::from_secs(1)));
        // Connections hold the store, and with it the lock of its file, until they are closed.
        if let Some(lock) = self.lock.clone() {
            drop(self);
            eventually("the database is closed", async || File::open(&lock).unwrap().try_lock().is_ok()).await;
        }
    }
}

/// Somebody with a key.
pub struct Holder<'a> {
    app: &'a TestApp,
    pub id: String,
    pub text: String,
}

impl Holder<'_> {
    pub async fn send(&self, request: RequestBuilder) -> Response {
        request.bearer_auth(&self.text).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(self.app.client.get(self.app.url(path))).await
    }

    pub async fn json(&self, path: &str) -> Json {
        self.get(path).await.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Json) -> Response {
        self.send(self.app.client.post(self.app.url(path)).json(body)).await
    }

    /// Ask for a text-to-image.
    pub async fn draw(&self, body: &Json) -> Response {
        self.post("/v1/text-to-image", body).await
    }

    /// Ask for a text-to-image without waiting for it.
    pub async fn queue_up(&self, body: &Json) -> Response {
        let request = self.app.client.post(self.app.url("/v1/text-to-image")).header("prefer", "respond-async");
        self.send(request.json(body)).await
    }

    /// Wait until a job has ended.
    pub async fn ended(&self, id: &str) -> Json {
        self.get(&format!("/v1/jobs/{id}/events")).await.bytes().await.unwrap();
        self.json(&format!("/v1/jobs/{id}")).await
    }
}

/// Longest that a test waits for anything: far more than it takes.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Wait until this holds.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("still waiting: {what}"));
}

/// Read a stream of events until `wanted` is in it.
pub async fn read_until(stream: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().expect("the stream ended");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{wanted} does not come"));
    text
}

/// A request of few steps, with `more` fields.
pub fn quick(more: &Json) -> Json {
    merged(json!({"prompt": "red heart", "steps": 3, "prior": {"steps": 2}}), more)
}

/// An object with `more` fields.
pub fn merged(mut body: Json, more: &Json) -> Json {
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// The bytes of an image of the goldens.
pub fn golden(name: &str) -> Vec<u8> {
    let path: &Path = &root().join("tests/goldens").join(name);
    std::fs::read(path).unwrap()
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The server-sent events of a finished stream: name, id and data.
pub fn events(text: &str) -> Vec<(String, String, Json)> {
    let field = |block: &str, name: &str| {
        let prefix = format!("{name}: ");
        block.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
    };
    text.split("\n\n")
        .filter(|block| block.contains("data:"))
        .map(|block| (field(block, "event"), field(block, "id"), serde_json::from_str(&field(block, "data")).unwrap()))
        .collect()
}
