//! Fetching from URLs that callers name: what is refused, and what is dialled.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use kandinsky::fetch::{FetchError, FetchPolicy, Fetcher, Lookup, check_url};

const STRICT: FetchPolicy =
    FetchPolicy { allow_private: false, allow_http: true, timeout: Duration::from_secs(20), max_bytes: 1000 };
const OPEN: FetchPolicy = FetchPolicy { allow_private: true, ..STRICT };

/// Literal addresses, however they are written, that callers must not reach.
const PRIVATE_ADDRESSES: [&str; 98] = [
    // This machine, in every spelling of IPv4.
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "http://127.0.0.1:8080/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7F.0.0.1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://0177.1/",
    "http://017700000001/",
    "http://00000177.00000000.00000000.00000001/",
    "http://127.0.0.1./",
    "http://127%2e0%2e0%2e1/",
    "http://%31%32%37.0.0.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://127.0.0.1/",
    "http://127.\u{ad}0.0.1/",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0.0.1\\@example.com/",
    "ht\ntp://127.0.0.1/",
    " http://127.0.0.1/ ",
    "HTTP://127.0.0.1/",
    // "Any" address, which is this machine on Linux.
    "http://0.0.0.0/",
    "http://0/",
    "http://0x0/",
    "http://0.1.2.3/",
    "http://[::]/",
    // Private networks.
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://167772161/",
    "http://0xa000001/",
    "http://012.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://3232235777/",
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    // Metadata services.
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://[fd20:ce::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    // Link-local, documentation, benchmarking, multicast, reserved, broadcast.
    "http://169.254.0.1/",
    "http://192.0.0.8/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://198.51.100.7/",
    "http://203.0.113.9/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    // The same in IPv6.
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:7f00:0001]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[fe80::1]/",
    "http://[febf::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[ff0e::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    // IPv4 inside of IPv6: NAT64, its local prefix, 6to4, Teredo.
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::8.8.8.8]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:808:808::1]/",
    "http://[2001:0:7f00:1::80ff:fffe]/",
];

/// Names that can only mean something local.
const LOCAL_NAMES: [&str; 12] = [
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://localhost./",
    "http://foo.localhost/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://printer.local/",
    "http://metadata.google.internal/",
    "http://metadata.google.internal./",
    "http://router.home.arpa/",
    "http://intranet/",
    "http://kubernetes.default.svc.cluster.local/",
    "http://localhost.localdomain/",
];

#[test]
fn private_addresses_and_local_names_are_refused_in_every_spelling() {
    for url in PRIVATE_ADDRESSES.into_iter().chain(LOCAL_NAMES) {
        let answer = check_url(url, &STRICT);
        assert!(matches!(answer, Err(FetchError::Address(_))), "{url}: {answer:?}");
    }
}

#[test]
fn other_bad_urls_are_refused_for_what_they_are() {
    let kind = |url: &str, policy| check_url(url, policy).unwrap_err().to_string();
    for url in [
        "file:///etc/passwd",
        "gopher://example.com/_x",
        "ftp://example.com/",
        "data:image/png;base64,aaaa",
        "dict://127.0.0.1:6379/",
        "ldap://example.com/",
        "unix:/run/docker.sock",
        "javascript:alert(1)",
    ] {
        assert_eq!(kind(url, &STRICT), "the scheme must be https or http", "{url}");
    }
    let https_only = FetchPolicy { allow_http: false, ..STRICT };
    assert_eq!(kind("http://example.com/", &https_only), "the scheme must be https");
    for url in [
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://:pass@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1:80@example.com/",
    ] {
        assert!(matches!(check_url(url, &STRICT), Err(FetchError::Credentials)), "{url}");
    }
    for port in [1, 22, 25, 53, 143, 445, 587, 993, 2049, 6000, 6379, 6667, 11211] {
        let url = format!("https://example.com:{port}/");
        assert!(matches!(check_url(&url, &STRICT), Err(FetchError::Port(p)) if p == port), "{url}");
    }
    for url in [
        "",
        "/relative",
        "//example.com/",
        "https://",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://exa mple.com/",
        "https://256.0.0.1/",
        "https://1.2.3.4.5/",
        "https://example.com:99999/",
    ] {
        assert!(matches!(check_url(url, &STRICT), Err(FetchError::Url(_))), "{url}");
    }
    assert!(matches!(
        check_url(&format!("https://example.com/{}", "x".repeat(3000)), &STRICT),
        Err(FetchError::Url(_))
    ));
}

#[test]
fn public_urls_pass_and_an_open_policy_lets_private_ones_in() {
    for url in [
        "https://example.com/a.png",
        "http://example.com:8080/",
        "https://пример.рф/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://[64:ff9b::8.8.8.8]/",
        "https://172.32.0.1/",
        "https://100.128.0.1/",
        "https://example.com:443/?next=http://127.0.0.1/",
        "https://localhost.example.com/",
    ] {
        assert!(check_url(url, &STRICT).is_ok(), "{url}: {:?}", check_url(url, &STRICT));
    }
    for url in ["http://127.0.0.1:8000/", "http://[::1]/", "http://10.1.2.3/", "http://localhost/", "http://hooks/"] {
        assert!(check_url(url, &OPEN).is_ok(), "{url}: {:?}", check_url(url, &OPEN));
    }
    // Not even then.
    for url in [
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:127.0.0.1]/",
        "http://100.100.100.200/",
        "http://224.0.0.1/",
        "http://[64:ff9b::127.0.0.1]/",
    ] {
        assert!(matches!(check_url(url, &OPEN), Err(FetchError::Address(_))), "{url}");
    }
}

/// Answers with one list of addresses after the other; the last one again and again.
struct Answers {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Lookup for Answers {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 {
            Ok(answers.pop_front().unwrap())
        } else {
            answers.front().cloned().ok_or(io::ErrorKind::NotFound.into())
        }
    }
}

/// A server that counts what reaches it.
struct Site {
    address: SocketAddr,
    hits: Arc<AtomicUsize>,
}

impl Site {
    async fn start() -> Self {
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        let png =
            |length: usize| move || async move { ([(header::CONTENT_TYPE, "image/PNG; x=y")], vec![7_u8; length]) };
        let router = Router::new()
            .route("/small.png", get(png(10)))
            .route("/large.png", get(png(5000)))
            .route("/endless.png", get(endless))
            .route("/page.html", get(|| async { axum::response::Html("<p>") }))
            .route("/never", get(std::future::pending::<StatusCode>))
            .route("/once", get(|| async { Redirect::temporary("/small.png") }))
            .route("/inwards", get(|| async { Redirect::temporary("http://169.254.169.254/latest/") }))
            .route("/by-name", get(|| async { Redirect::temporary("http://other.example.com/") }))
            .route("/round", get(|| async { Redirect::temporary("/round") }))
            .route("/hook", post(hook))
            .route("/moved", post(|| async { Redirect::permanent("/hook") }))
            .layer(axum::middleware::map_request(move |request: axum::extract::Request| {
                counted.fetch_add(1, Ordering::SeqCst);
                async move { request }
            }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, hits }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same server under a name.
    fn named(&self, path: &str) -> String {
        format!("http://pictures.example.com:{}{path}", self.address.port())
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

/// An image without a length and without an end.
async fn endless() -> Response {
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 64])));
    ([(header::CONTENT_TYPE, "image/png")], axum::body::Body::from_stream(chunks)).into_response()
}

async fn hook(headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers["webhook-id"] == "msg_1" && body == "hello" { StatusCode::NO_CONTENT } else { StatusCode::IM_A_TEAPOT }
}

#[tokio::test]
async fn a_name_that_turns_inwards_after_the_check_is_not_followed() {
    let site = Site::start().await;
    // First a public address, at which nothing answers in time, then this machine.
    let lookup = Answers::new(&[&["192.31.196.1"], &["127.0.0.1"]]);
    let policy = FetchPolicy { timeout: Duration::from_millis(300), ..STRICT };
    let fetcher = Fetcher::with_lookup(policy, lookup.clone()).unwrap();
    let first = fetcher.get(&site.named("/small.png")).await.unwrap_err();
    assert!(matches!(first, FetchError::Timeout | FetchError::Connection(..)), "{first:?}");
    assert_eq!(lookup.asked(), 1, "what was dialled is the answer that was checked, not a second one");
    let second = fetcher.get(&site.named("/small.png")).await.unwrap_err();
    assert!(matches!(second, FetchError::Address(_)), "{second:?}");
    let post = fetcher.post(&site.named("/hook"), &[], Vec::new()).await.unwrap_err();
    assert!(matches!(post, FetchError::Address(_)), "{post:?}");
    assert_eq!(site.hits(), 0);
}

#[tokio::test]
async fn the_checked_answer_is_the_one_that_is_dialled() {
    let site = Site::start().await;
    let lookup = Answers::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let fetcher = Fetcher::with_lookup(OPEN, lookup.clone()).unwrap();
    assert_eq!(fetcher.get(&site.named("/small.png")).await.unwrap().bytes, [7; 10]);
    assert_eq!((lookup.asked(), site.hits()), (1, 1));
}

#[tokio::test]
async fn one_private_address_among_public_ones_condemns_a_name() {
    let site = Site::start().await;
    for answer in [&["8.8.8.8", "127.0.0.1"][..], &["::1"], &["::ffff:127.0.0.1"], &["64:ff9b::7f00:1"], &[]] {
        let fetcher = Fetcher::with_lookup(STRICT, Answers::new(&[answer])).unwrap();
        let error = fetcher.get(&site.named("/small.png")).await.unwrap_err();
        assert!(matches!(error, FetchError::Address(_)), "{answer:?}: {error:?}");
    }
    assert_eq!(site.hits(), 0);
}

#[tokio::test]
async fn images_are_taken_within_limits() {
    let site = Site::start().await;
    let fetcher = Fetcher::new(OPEN).unwrap();
    let fetched = fetcher.get(&site.url("/small.png")).await.unwrap();
    assert_eq!((fetched.bytes.len(), fetched.content_type.as_str()), (10, "image/png"));
    for path in ["/large.png", "/endless.png"] {
        assert!(matches!(fetcher.get(&site.url(path)).await, Err(FetchError::TooLarge(1000))), "{path}");
    }
    assert!(matches!(fetcher.get(&site.url("/page.html")).await, Err(FetchError::ContentType(t)) if t == "text/html"));
    assert!(matches!(fetcher.get(&site.url("/nothing")).await, Err(FetchError::Status(404))));
    let hasty = Fetcher::new(FetchPolicy { timeout: Duration::from_millis(200), ..OPEN }).unwrap();
    assert!(matches!(hasty.get(&site.url("/never")).await, Err(FetchError::Timeout)));
}

#[tokio::test]
async fn every_hop_of_a_redirect_is_checked() {
    let site = Site::start().await;
    let fetcher = Fetcher::new(OPEN).unwrap();
    assert_eq!(fetcher.get(&site.url("/once")).await.unwrap().bytes.len(), 10);
    assert!(matches!(fetcher.get(&site.url("/inwards")).await, Err(FetchError::Address(_))));
    assert!(matches!(fetcher.get(&site.url("/round")).await, Err(FetchError::TooManyRedirects(3))));
    // Literal addresses of this machine are allowed here, but not what the next hop's name stands for.
    let lookup = Answers::new(&[&["169.254.169.254"]]);
    let fetcher = Fetcher::with_lookup(OPEN, lookup.clone()).unwrap();
    assert!(matches!(fetcher.get(&site.url("/by-name")).await, Err(FetchError::Address(_))));
    assert_eq!(lookup.asked(), 1);
}

#[tokio::test]
async fn webhooks_are_posted_and_not_redirected() {
    let site = Site::start().await;
    let fetcher = Fetcher::new(OPEN).unwrap();
    let headers = [("webhook-id", "msg_1".to_owned())];
    assert_eq!(fetcher.post(&site.url("/hook"), &headers, b"hello".to_vec()).await.unwrap(), 204);
    assert_eq!(fetcher.post(&site.url("/hook"), &headers, b"other".to_vec()).await.unwrap(), 418);
    let hits = site.hits();
    assert!(matches!(fetcher.post(&site.url("/moved"), &headers, Vec::new()).await, Err(FetchError::Redirected(308))));
    assert_eq!(site.hits(), hits + 1);
    let strict = Fetcher::new(STRICT).unwrap();
    assert!(matches!(strict.post(&site.url("/hook"), &headers, Vec::new()).await, Err(FetchError::Address(_))));
    assert_eq!(site.hits(), hits + 1);
}
