//! What a browser can be made to send by pages that are not the server's own: refused where no key keeps it out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use kandinsky::http::HttpLimits;
use kandinsky::records::{KeyLimits, Scope};
use reqwest::multipart::Form;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, quick};

fn builder() -> ClientBuilder {
    kandinsky::tls::client_builder().no_proxy()
}

/// A client for which this name leads to the server, as one does whose owner rebinds it.
fn client_of(app: &TestApp, name: &str, builder: ClientBuilder) -> Client {
    builder.resolve(name, app.address).build().unwrap()
}

async fn with_origins(origins: &[&str], keys: bool) -> TestApp {
    let usual = Setup::default();
    let cors_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let allowed_hosts = vec!["kandinsky".to_owned()];
    let http_limits = HttpLimits { cors_origins, allowed_hosts, ..usual.http_limits.clone() };
    TestApp::with(Setup { http_limits, keys, ..usual }).await
}

async fn refused(response: Response, status: u16, kind: &str) -> Json {
    assert_eq!(response.status().as_u16(), status);
    let problem: Json = response.json().await.unwrap();
    assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_server_answers_under_its_own_names_alone() {
    let app = with_origins(&[], false).await;
    let port = app.address.port();
    for (name, is_own) in [
        ("127.0.0.1", true),
        ("localhost", true),
        ("app.localhost", true),
        ("kandinsky", true),
        ("KANDINSKY", true),
        ("kandinsky.", true),
        ("evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("localhost.evil.example", false),
        ("kandinsky.evil.example", false),
    ] {
        for builder in [builder(), builder().http2_prior_knowledge()] {
            let client = client_of(&app, name.to_ascii_lowercase().as_str(), builder);
            let get = async |path: &str| client.get(format!("http://{name}:{port}{path}")).send().await.unwrap();
            for path in ["/", "/healthz", "/readyz", "/openapi.json"] {
                assert_eq!(get(path).await.status(), StatusCode::OK, "{name} {path}");
            }
            let jobs = get("/v1/jobs").await;
            if is_own {
                assert_eq!(jobs.status(), StatusCode::OK, "{name}");
            } else {
                let problem = refused(jobs, 421, "foreign-host").await;
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains(name) && detail.contains("server.allowed_hosts"), "{detail}");
                let post = client.post(format!("http://{name}:{port}/v1/text-to-image")).json(&quick(&json!({})));
                refused(post.send().await.unwrap(), 421, "foreign-host").await;
            }
        }
    }
    // A key keeps others out by itself, so a server with keys has any name.
    let app = with_origins(&[], true).await;
    let holder = app.key(&[Scope::Generate], KeyLimits::default()).await;
    let client = client_of(&app, "img.example.org", builder());
    let url = format!("http://img.example.org:{}/v1/jobs", app.address.port());
    assert_eq!(holder.send(client.get(url)).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_host_once() {
    let app = TestApp::start().await;
    let status = |head: &str| {
        let mut stream = TcpStream::connect(app.address).unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    for path in ["/healthz", "/v1/jobs", "/nothing"] {
        for hosts in
            ["", "Host: x\r\nHost: x\r\n", "Host: x\r\nHost: y\r\n", "Host:\r\n", "Host: x/y\r\n", "Host: u@x\r\n"]
        {
            assert_eq!(status(&format!("GET {path} HTTP/1.1\r\n{hosts}")), "400", "{path} {hosts:?}");
        }
        assert_eq!(status(&format!("GET http://y{path} HTTP/1.1\r\nHost: x\r\n")), "400", "{path}");
    }
    assert_eq!(status("GET http://evil.example/v1/jobs HTTP/1.1\r\nHost: evil.example\r\n"), "421");
    assert_eq!(status("GET /v1/jobs HTTP/1.1\r\nHost: x\r\n"), "200");
    // Probes of load balancers.
    assert_eq!(status("GET /healthz HTTP/1.0\r\n"), "200");
    assert_eq!(status("GET /v1/jobs HTTP/1.0\r\n"), "400");
}

/// A form that needs no preflight.
fn form() -> Form {
    Form::new().text("prompt", "csrf").text("steps", "3")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_pages_of_other_origins_are_refused() {
    let app = with_origins(&["https://app.example.org", "app://notes"], false).await;
    let own = format!("http://{}", app.address);
    let from = |request: RequestBuilder, headers: &[(&str, &str)]| {
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send()
    };
    let foreign: &[&[(&str, &str)]] = &[
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-site")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://app.example.org.evil.example")],
        &[("origin", "https://app.example.org"), ("origin", "https://evil.example")],
    ];
    let welcome: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
        &[("origin", own.as_str())],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://app.example.org"), ("sec-fetch-site", "cross-site")],
        &[("origin", "app://notes")],
    ];
    let list = || app.client.get(app.url("/v1/jobs"));
    for headers in foreign {
        for request in [
            list(),
            app.client.get(app.url("/metrics")),
            app.client.get(app.url("/v1/jobs/events")),
            app.client.post(app.url("/v1/text-to-image")).multipart(form()),
            app.client.post(app.url("/v1/text-to-image")).json(&quick(&json!({}))),
            app.client.post(app.url("/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11/cancel")),
            app.client.delete(app.url("/v1/jobs/0192f0c4-7d7e-7cc0-b5a5-3a1f2d1f7c11")),
        ] {
            let problem = refused(from(request, headers).await.unwrap(), 403, "foreign-origin").await;
            assert!(problem["detail"].as_str().unwrap().contains("server.cors_origins"), "{problem}");
        }
        // In the form of its surface.
        let openai = from(app.client.post(app.url("/v1/images/edits")).multipart(form()), headers).await.unwrap();
        assert_eq!(openai.status(), StatusCode::FORBIDDEN);
        assert_eq!(openai.json::<Json>().await.unwrap()["error"]["code"], "foreign_origin");
        // What anybody may read.
        for path in ["/", "/healthz", "/openapi.json"] {
            assert_eq!(from(app.client.get(app.url(path)), headers).await.unwrap().status(), StatusCode::OK);
        }
    }
    assert_eq!(app.json("/v1/jobs").await["data"], json!([]), "nothing was drawn");
    for headers in welcome {
        assert_eq!(from(list(), headers).await.unwrap().status(), StatusCode::OK, "{headers:?}");
        let drawn = from(app.client.post(app.url("/v1/text-to-image")).multipart(form()), headers).await.unwrap();
        assert_eq!(drawn.status(), StatusCode::OK, "{headers:?}");
    }
    // A page that knows the address of an image may show it, and sees nothing of it.
    let job = app.json("/v1/jobs").await["data"][0]["id"].as_str().unwrap().to_owned();
    let image = || app.client.get(app.url(&format!("/v1/jobs/{job}/images/0")));
    let shown = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    assert_eq!(from(image(), &shown).await.unwrap().status(), StatusCode::OK);
    let read = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("sec-fetch-dest", "image")];
    refused(from(image(), &read).await.unwrap(), 403, "foreign-origin").await;

    let open = with_origins(&["*"], false).await;
    let anyone = open.client.get(open.url("/v1/jobs")).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(anyone.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_browsers_remember_does_not_serve_other_pages() {
    let app = with_origins(&[], true).await;
    let holder = app.key(&[Scope::Generate], KeyLimits::default()).await;
    let post = || app.client.post(app.url("/v1/text-to-image")).multipart(form());
    let basic = || post().basic_auth("me", Some(&holder.text));
    assert_eq!(basic().send().await.unwrap().status(), StatusCode::OK);
    let foreign = ("origin", "https://evil.example");
    refused(basic().header(foreign.0, foreign.1).send().await.unwrap(), 403, "foreign-origin").await;
    // A page has to ask the server before it may send the others.
    let bearer = holder.send(post().header(foreign.0, foreign.1)).await;
    assert_eq!(bearer.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_its_type_is_not_read() {
    let app = TestApp::start().await;
    let body = quick(&json!({})).to_string();
    for path in ["/v1/text-to-image", "/v1/images/generations", "/v1/moderations", "/", "/models/kandinsky-mini"] {
        for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let request = app.client.post(app.url(path)).body(body.clone());
            let request = content_type.iter().fold(request, |request, value| request.header("content-type", *value));
            assert_eq!(request.send().await.unwrap().status().as_u16(), 415, "{path} {content_type:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_remembered_by_pages_that_may_call() {
    let app = with_origins(&["https://app.example.org"], false).await;
    let preflight = app.client.request(Method::OPTIONS, app.url("/v1/text-to-image"));
    let preflight =
        preflight.header("origin", "https://app.example.org").header("access-control-request-method", "POST");
    let answer = preflight.send().await.unwrap();
    assert_eq!(answer.headers()["access-control-max-age"], "7200");
}
