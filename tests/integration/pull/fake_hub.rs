//! A hub and its CDN on two ports of this machine, answering as huggingface.co does, with faults on demand.
//!
//! Invariant: every request is recorded before it is answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Hub,
    Cdn,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub server: Server,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

/// How the hub misbehaves. Lists are used up, one entry per matching request.
#[derive(Debug, Default)]
pub struct Behaviour {
    pub no_ranges: bool,
    /// The listing has names only.
    pub bare_listing: bool,
    /// All requests to the hub need this token.
    pub token: Option<String>,
    /// File, and after how many bytes the connection breaks.
    pub cut: Vec<(String, usize)>,
    /// Part of a path, status, `Retry-After`.
    pub refuse: Vec<(String, u16, Option<&'static str>)>,
    /// A file that is sent with one bit changed.
    pub corrupt: Option<String>,
    /// A file that is sent with a byte too much.
    pub append: Option<String>,
}

#[derive(Debug, Clone)]
struct File {
    bytes: Vec<u8>,
    lfs: bool,
}

type Repo = BTreeMap<String, File>;

#[derive(Debug, Default)]
struct Inner {
    cdn: String,
    repos: BTreeMap<String, Repo>,
    seen: Vec<Seen>,
    behaviour: Behaviour,
}

type Shared = Arc<Mutex<Inner>>;

pub struct FakeHub {
    pub url: String,
    inner: Shared,
}

/// The name of a blob: sha256 for LFS files, git's blob id for others.
pub fn digest_of(bytes: &[u8], lfs: bool) -> String {
    let hex = |digest: &[u8]| {
        digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    };
    if lfs {
        return hex(&Sha256::digest(bytes));
    }
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

pub fn commit_of(repo: &str) -> String {
    digest_of(repo.as_bytes(), false)
}

/// Bytes that differ from file to file and from place to place.
fn weights(seed: &str, length: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(1_u32, |state, byte| state.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn repo(id: &str, models: &[&str], others: &[(&str, &str)]) -> Repo {
    let mut index = json!({"_class_name": "KandinskyPipeline"});
    let mut repo = Repo::new();
    let mut put = |path: String, bytes: Vec<u8>, lfs| repo.insert(path, File { bytes, lfs });
    for model in models {
        index[model] = json!(["diffusers", "Model"]);
        put(format!("{model}/config.json"), format!("{{\"of\": \"{id} {model}\"}}").into_bytes(), false);
        let plain = "diffusion_pytorch_model.safetensors";
        put(format!("{model}/{plain}"), weights(&format!("{id}{model}"), 90_000), true);
        put(format!("{model}/diffusion_pytorch_model.bin"), weights("bin", 70_000), true);
    }
    if models.contains(&"unet") {
        put("unet/diffusion_pytorch_model.fp16.safetensors".to_owned(), weights(id, 100_000), true);
    }
    for (folder, file) in others {
        index[folder] = json!(["transformers", "Other"]);
        put(format!("{folder}/{file}"), format!("{{\"file\": \"{file}\"}}").into_bytes(), false);
    }
    put("README.md".to_owned(), b"# A model".to_vec(), false);
    put("model_index.json".to_owned(), index.to_string().into_bytes(), false);
    repo
}

impl FakeHub {
    /// Serves `id`, `id-prior` and `id-inpaint` until the test ends.
    pub async fn with_family(id: &str) -> Self {
        let tokenizer = [("tokenizer", "tokenizer.json"), ("tokenizer", "tokenizer_config.json")];
        let with_scheduler = [&[("scheduler", "scheduler_config.json")], &tokenizer[..]].concat();
        let mut repos = BTreeMap::new();
        for (suffix, models) in [("-prior", &["prior"][..]), ("", &["movq", "unet"]), ("-inpaint", &["movq", "unet"])] {
            let id = format!("{id}{suffix}");
            let repo = repo(&id, models, &with_scheduler);
            repos.insert(id, repo);
        }
        let inner = Shared::new(Mutex::new(Inner { repos, ..Inner::default() }));
        let cdn = serve(Router::new().fallback(answer_as_cdn).with_state(inner.clone())).await;
        lock(&inner).cdn = cdn;
        let url = serve(Router::new().fallback(answer_as_hub).with_state(inner.clone())).await;
        Self { url, inner }
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.inner).behaviour);
    }

    pub fn remove(&self, repo: &str) {
        lock(&self.inner).repos.remove(repo);
    }

    pub fn add(&self, repo: &str, path: &str, bytes: &[u8], lfs: bool) {
        let mut inner = lock(&self.inner);
        inner.repos.entry(repo.to_owned()).or_default().insert(path.to_owned(), File { bytes: bytes.to_vec(), lfs });
    }

    pub fn bytes(&self, repo: &str, path: &str) -> Vec<u8> {
        lock(&self.inner).repos[repo][path].bytes.clone()
    }

    pub fn forget_requests(&self) {
        lock(&self.inner).seen.clear();
    }

    /// Requests whose path contains `part`, in order.
    pub fn requests(&self, part: &str) -> Vec<Seen> {
        lock(&self.inner).seen.iter().filter(|request| request.path.contains(part)).cloned().collect()
    }

    /// Downloads of one file from the CDN, in order.
    pub fn cdn_requests(&self, repo: &str, path: &str) -> Vec<Seen> {
        self.requests(&format!("/cdn/{repo}/{path}"))
    }

    /// What `DiffusionPipeline.download(repo, variant="fp16")` leaves: links into `blobs`, no newline in the ref.
    pub fn write_python_cache(&self, repo: &str, cache: &Path) {
        let root = cache.join(format!("models--{}", repo.replace('/', "--")));
        let snapshot = root.join("snapshots").join(commit_of(repo));
        fs::create_dir_all(root.join("blobs")).unwrap();
        fs::create_dir_all(root.join("refs")).unwrap();
        fs::write(root.join("refs/main"), commit_of(repo)).unwrap();
        let files = lock(&self.inner).repos[repo].clone();
        let unneeded = |path: &str| path.contains("model.bin") || path == "unet/diffusion_pytorch_model.safetensors";
        for (path, file) in files.iter().filter(|(path, _)| !unneeded(path)) {
            let name = digest_of(&file.bytes, file.lfs);
            let link = snapshot.join(path);
            fs::write(root.join("blobs").join(&name), &file.bytes).unwrap();
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            let up = "../".repeat(2 + path.matches('/').count());
            std::os::unix::fs::symlink(format!("{up}blobs/{name}"), link).unwrap();
        }
    }
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn lock(inner: &Shared) -> std::sync::MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}

impl Inner {
    /// Records the request, and gives the answer if it is to be refused.
    fn meet(&mut self, server: Server, request: &Request) -> Option<Response> {
        let seen = Seen {
            server,
            path: request.uri().path().to_owned(),
            range: header_text(request.headers(), header::RANGE),
            authorization: header_text(request.headers(), header::AUTHORIZATION),
        };
        self.seen.push(seen.clone());
        let bearer = self.behaviour.token.as_ref().map(|token| format!("Bearer {token}"));
        if server == Server::Hub && bearer.is_some() && seen.authorization != bearer {
            return Some((StatusCode::UNAUTHORIZED, "Invalid username or password.").into_response());
        }
        let refusals = &mut self.behaviour.refuse;
        let at = refusals.iter().position(|(part, ..)| seen.path.contains(part.as_str()))?;
        let (_, status, retry_after) = refusals.remove(at);
        let mut response = StatusCode::from_u16(status).unwrap().into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.parse().unwrap());
        }
        Some(response)
    }

    fn listing(&self, id: &str, files: &Repo) -> Value {
        let sibling = |(path, file): (&String, &File)| {
            if self.behaviour.bare_listing {
                return json!({"rfilename": path});
            }
            let size = file.bytes.len();
            let mut entry = json!({"rfilename": path, "size": size, "blobId": digest_of(&file.bytes, false)});
            if file.lfs {
                entry["lfs"] = json!({"sha256": digest_of(&file.bytes, true), "size": size, "pointerSize": 134});
            }
            entry
        };
        let siblings: Vec<_> = files.iter().map(sibling).collect();
        json!({"id": id, "sha": commit_of(id), "private": false, "siblings": siblings})
    }

    /// The bytes, with whatever is to be wrong about them.
    fn content(&mut self, path: &str, file: &File, headers: &HeaderMap) -> Response {
        let mut bytes = file.bytes.clone();
        if self.behaviour.corrupt.as_deref() == Some(path) {
            bytes[0] ^= 1;
        }
        if self.behaviour.append.as_deref() == Some(path) {
            bytes.push(0);
        }
        let whole = bytes.len();
        let range = if self.behaviour.no_ranges { None } else { header_text(headers, header::RANGE) };
        let start =
            range.map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
        let rest = bytes.split_off(start.unwrap_or(0));
        let mut response = Response::builder().header(header::CONTENT_LENGTH, rest.len());
        if let Some(start) = start {
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {start}-{}/{whole}", whole - 1));
        }
        let cuts = &mut self.behaviour.cut;
        let body = match cuts.iter().position(|(cut, _)| cut == path) {
            Some(at) => broken_after(Bytes::from(rest).slice(..cuts.remove(at).1)),
            None => Body::from(rest),
        };
        response.body(body).unwrap()
    }
}

/// A body that sends these bytes, lets them leave the socket, and then breaks the connection.
fn broken_after(bytes: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(bytes), |bytes| async move {
        match bytes {
            Some(bytes) if bytes.is_empty() => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::other("cut")), None))
            }
            Some(bytes) => Some((Ok(bytes), Some(Bytes::new()))),
            None => None,
        }
    }))
}

async fn answer_as_hub(State(inner): State<Shared>, request: Request) -> Response {
    let mut inner = lock(&inner);
    if let Some(refusal) = inner.meet(Server::Hub, &request) {
        return refusal;
    }
    let path = request.uri().path();
    if let Some(id) = path.strip_prefix("/api/models/").and_then(|rest| rest.strip_suffix("/revision/main")) {
        return match inner.repos.get(id) {
            Some(files) => axum::Json(inner.listing(id, files)).into_response(),
            None => not_found("RepoNotFound"),
        };
    }
    let (path, direct) = match path.strip_prefix("/api/resolve-cache") {
        Some(rest) => (rest, true),
        None => (path, false),
    };
    let Some((id, rest)) = path.trim_start_matches('/').split_once("/resolve/") else { return not_found("") };
    let Some((_, file_path)) = rest.split_once('/') else { return not_found("") };
    let Some(file) = inner.repos.get(id).and_then(|files| files.get(file_path)).cloned() else {
        return not_found("EntryNotFound");
    };
    let etag = format!("\"{}\"", digest_of(&file.bytes, file.lfs));
    let redirect =
        |status: StatusCode, location: String| Response::builder().status(status).header(header::LOCATION, location);
    if file.lfs {
        redirect(StatusCode::FOUND, format!("{}/cdn/{id}/{file_path}?Signature=s", inner.cdn))
            .header("x-repo-commit", commit_of(id))
            .header("x-linked-size", file.bytes.len())
            .header("x-linked-etag", etag)
            .header(header::ETAG, "\"of-the-cdn\"")
            .body(Body::empty())
            .unwrap()
    } else if !direct {
        redirect(StatusCode::TEMPORARY_REDIRECT, format!("/api/resolve-cache{path}")).body(Body::empty()).unwrap()
    } else {
        let mut response = inner.content(file_path, &file, request.headers());
        response.headers_mut().insert(header::ETAG, etag.parse().unwrap());
        response.headers_mut().insert("x-repo-commit", commit_of(id).parse().unwrap());
        response
    }
}

async fn answer_as_cdn(State(inner): State<Shared>, request: Request) -> Response {
    assert_eq!(request.method(), Method::GET, "a CDN's signed links are for GET");
    let mut inner = lock(&inner);
    if let Some(refusal) = inner.meet(Server::Cdn, &request) {
        return refusal;
    }
    let path = request.uri().path().trim_start_matches("/cdn/").to_owned();
    let mut parts = path.splitn(3, '/');
    let id = format!("{}/{}", parts.next().unwrap(), parts.next().unwrap());
    let file_path = parts.next().unwrap();
    let file = inner.repos[&id][file_path].clone();
    inner.content(file_path, &file, request.headers())
}

fn not_found(code: &'static str) -> Response {
    (StatusCode::NOT_FOUND, [("x-error-code", code)]).into_response()
}
