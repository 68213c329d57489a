//! HTTP/2, where bodies need not say how long they are.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body as HttpBody, Frame};
use kandinsky::http::HttpLimits;
use reqwest::{Body, Client, StatusCode, Version};
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, eventually, quick};

/// A body that does not say how long it is.
struct OfUnknownLength(Option<Bytes>);

impl OfUnknownLength {
    fn body(bytes: impl Into<Bytes>) -> Body {
        Body::wrap(Self(Some(bytes.into())))
    }
}

impl HttpBody for OfUnknownLength {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn client() -> Client {
    kandinsky::tls::client_builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

fn post(app: &TestApp, body: Body) -> reqwest::RequestBuilder {
    client().post(app.url("/v1/text-to-image")).header("content-type", "application/json").body(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_count_as_they_arrive_whether_or_not_they_say_how_long_they_are() {
    const BODY: usize = 64 << 10;
    let usual = Setup::default();
    let http_limits = HttpLimits { max_body_bytes_in_flight: BODY as u64, ..usual.http_limits.clone() };
    let app = TestApp::with(Setup { http_limits, max_body_bytes: BODY, ..usual }).await;

    // What is announced takes nothing.
    let mut announced: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(app.address).unwrap()).collect();
    let head = format!(
        "POST /v1/text-to-image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {BODY}\r\n\r\n"
    );
    for stream in &mut announced {
        stream.write_all(head.as_bytes()).unwrap();
    }
    let half = || OfUnknownLength::body(format!("{{{}}}", " ".repeat(BODY / 2)));
    let answer = post(&app, half()).send().await.unwrap();
    assert_eq!((answer.version(), answer.status()), (Version::HTTP_2, StatusCode::UNPROCESSABLE_ENTITY));

    // What has arrived leaves no room, and one body has gone beyond it.
    for stream in &mut announced {
        stream.write_all(&vec![b' '; BODY * 3 / 4]).unwrap();
    }
    let waits = async || tokio::time::timeout(Duration::from_millis(500), post(&app, half()).send()).await.is_err();
    eventually("a body waits for room", waits).await;
    let small = post(&app, OfUnknownLength::body("{}")).send().await.unwrap();
    assert_eq!(small.status(), StatusCode::UNPROCESSABLE_ENTITY, "a small body has room of its own");

    // And it is given back when its client is gone.
    let waiting = tokio::spawn(post(&app, half()).send());
    drop(announced);
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_served_as_http1_is() {
    let app = TestApp::with(Setup { max_body_bytes: 1 << 10, ..Setup::default() }).await;
    let body = || quick(&json!({})).to_string();
    for body in [Body::from(body()), OfUnknownLength::body(body())] {
        let response = post(&app, body).send().await.unwrap();
        assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::OK));
        assert_eq!(response.json::<Json>().await.unwrap()["images"].as_array().unwrap().len(), 1);
    }
    for body in [Body::from(" ".repeat(2 << 10)), OfUnknownLength::body(" ".repeat(2 << 10))] {
        assert_eq!(post(&app, body).send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let healthy = client().get(app.url("/healthz")).send().await.unwrap();
    assert_eq!((healthy.version(), healthy.status()), (Version::HTTP_2, StatusCode::OK));
}
