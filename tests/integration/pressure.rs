//! Clients that are many, slow, endless or rude: the server bounds what they cost, and stays there for the others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use kandinsky::http::{ConnectionLimits, HttpLimits};
use reqwest::StatusCode;
use serde_json::json;

use crate::app::{Setup, TestApp, eventually};

/// Short of patience.
fn strict() -> Setup {
    let usual = Setup::default();
    Setup {
        http_limits: HttpLimits { body_timeout: Duration::from_millis(300), ..usual.http_limits.clone() },
        connections: ConnectionLimits { header_timeout: Duration::from_millis(300), ..usual.connections },
        ..usual
    }
}

fn connect(app: &TestApp) -> TcpStream {
    let stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// All that comes until the server closes the connection; a reset counts as closed.
fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("it stayed open"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_say_what_it_wants_is_closed() {
    let app = TestApp::with(strict()).await;
    let silent = connect(&app);
    let mut slow = connect(&app);
    slow.write_all(b"POST /v1/text-to-image HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let mut starving = connect(&app);
    starving
        .write_all(
            b"POST /v1/text-to-image HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
              Content-Length: 100\r\n\r\n{\"prompt\"",
        )
        .unwrap();
    let ends = tokio::task::spawn_blocking(|| [silent, slow, starving].map(until_closed)).await.unwrap();
    for end in &ends {
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 4"), "{end}");
    }
    assert_eq!(app.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_heads_and_endless_bodies_are_cut_off() {
    let app = TestApp::with(strict()).await;
    let mut head = connect(&app);
    let mut body = connect(&app);
    let ends = tokio::task::spawn_blocking(move || {
        let _ = head.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Huge: ");
        // It may be closed at any point of this.
        let _ = head.write_all(&vec![b'a'; 1 << 20]);
        body.write_all(
            b"POST /v1/text-to-image HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
        let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
        // 64 MiB where 1 MiB is allowed.
        let sent = (0..1024).take_while(|_| body.write_all(&chunk).is_ok()).count();
        assert!(sent < 1024, "all of it was taken");
        [head, body].map(until_closed)
    })
    .await
    .unwrap();
    assert!(ends[0].is_empty() || ends[0].starts_with("HTTP/1.1 431"), "{}", ends[0]);
    assert!(ends[1].is_empty() || ends[1].starts_with("HTTP/1.1 413"), "{}", ends[1]);
    assert_eq!(app.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_while_it_sends_gets_to_hear_why() {
    let app = TestApp::start().await;
    let mut stream = connect(&app);
    let answers = tokio::task::spawn_blocking(move || {
        // More than is taken, and than fits between the two.
        let body = vec![b' '; 8 << 20];
        let head = "POST /v1/text-to-image HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        // Its connection is still good for the next request.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        until_closed(stream)
    });
    let answers = answers.await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 413"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_half_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let mut half = connect(&app);
    let body = json!({"prompt": "red heart", "steps": 100, "width": 256, "height": 256}).to_string();
    let request = format!(
        "POST /v1/text-to-image HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    half.write_all(request.as_bytes()).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let end = tokio::task::spawn_blocking(|| until_closed(half)).await.unwrap();
    // Either it was answered, or it was taken for gone; then its job was canceled.
    for status in ["queued", "running"] {
        let path = format!("/v1/jobs?status={status}");
        let is_empty = async || app.json(&path).await["data"].as_array().unwrap().is_empty();
        eventually("nothing is left behind", is_empty).await;
    }
    assert!(end.is_empty() || end.starts_with("HTTP/1.1 200"), "{end:.100}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_are_refused_and_come_in_once_there_is_room() {
    let usual = Setup::default();
    let app =
        TestApp::with(Setup { connections: ConnectionLimits { max_connections: 4, ..usual.connections }, ..usual })
            .await;
    let held: Vec<TcpStream> = (0..4).map(|_| connect(&app)).collect();
    // The four are in, in whatever order they were accepted, once a fifth is turned away.
    let ask = || {
        let client = kandinsky::tls::client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        client.get(app.url("/healthz")).send()
    };
    eventually("a fifth connection is turned away", async || ask().await.is_err()).await;
    drop(held);
    eventually("there is room again", async || ask().await.is_ok()).await;
}
