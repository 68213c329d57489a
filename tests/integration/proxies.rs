//! Addresses in answers, behind proxies: what the proxy says counts if it is trusted, and then as a whole.

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value as Json, json};

use crate::app::quick;
use crate::server::{Started, start};

const TRUSTED: (&str, &str) = ("server.trusted_proxies", "127.0.0.0/8");
/// The names that proxies pass on.
const NAMED: (&str, &str) = ("server.allowed_hosts", "img.example.org");

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn draw(app: &Started, path: &str, more: &Json, headers: &[(&str, &str)]) -> Response {
    let request = app.client.post(format!("http://{}{path}", app.server.address)).json(&quick(more));
    let response = with(request, headers).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    response
}

/// The address of an image, without the parts that differ.
async fn image_address(app: &Started, headers: &[(&str, &str)]) -> String {
    let drawn: Json =
        draw(app, "/v1/text-to-image", &json!({"response_format": "url"}), headers).await.json().await.unwrap();
    let url = drawn["images"][0]["url"].as_str().unwrap();
    let (base, _) = url.split_once("/v1/jobs/").unwrap();
    assert!(drawn["events_url"].as_str().unwrap().starts_with(&format!("{base}/v1/jobs/")), "{drawn}");
    base.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_of_a_trusted_proxy_are_read_as_pairs() {
    let app = start(&[TRUSTED, NAMED]).await;
    let own = format!("http://{}", app.server.address);
    for (headers, wanted) in [
        (&[][..], own.as_str()),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "img.example.org")], "https://img.example.org"),
        (&[("forwarded", "for=192.0.2.1;proto=https;host=img.example.org")], "https://img.example.org"),
        // Half of an address is none.
        (&[("x-forwarded-proto", "https")], own.as_str()),
        (&[("x-forwarded-host", "img.example.org")], own.as_str()),
        (&[("forwarded", "proto=https")], own.as_str()),
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "a b")], own.as_str()),
        // This proxy leaves Host as it was.
        (&[("host", "img.example.org"), ("x-forwarded-proto", "https")], "https://img.example.org"),
    ] {
        assert_eq!(image_address(&app, headers).await, wanted, "{headers:?}");
    }
    let pair = [("x-forwarded-proto", "https"), ("x-forwarded-host", "img.example.org")];
    let openai = json!({"response_format": "url"});
    let openai: Json = draw(&app, "/v1/images/generations", &openai, &pair).await.json().await.unwrap();
    assert!(openai["data"][0]["url"].as_str().unwrap().starts_with("https://img.example.org/v1/jobs/"), "{openai}");
    // The page behind the proxy is the server's own.
    let post = app.client.post(format!("{own}/v1/text-to-image")).json(&quick(&json!({})));
    let page = with(post, &pair).header("origin", "https://img.example.org").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    app.server.stop().await.unwrap();

    let app = start(&[("server.trusted_proxies", "192.0.2.0/24")]).await;
    assert_eq!(image_address(&app, &pair).await, format!("http://{}", app.server.address), "not a trusted proxy");
    app.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_has_the_path_below_which_the_server_is_shown() {
    let configured = [("server.public_url", "https://img.example.org/kandinsky")];
    for (settings, headers, base) in [
        (&configured[..], &[][..], "https://img.example.org/kandinsky"),
        (
            &[],
            &[
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "img.example.org"),
                ("x-forwarded-prefix", "/kandinsky"),
            ],
            "https://img.example.org/kandinsky",
        ),
    ] {
        let app = start(settings).await;
        assert_eq!(image_address(&app, headers).await, base);
        let later = [headers, &[("prefer", "respond-async")]].concat();
        let accepted = draw(&app, "/v1/text-to-image", &json!({}), &later).await;
        let location = accepted.headers()["location"].to_str().unwrap().to_owned();
        assert!(location.starts_with("/kandinsky/v1/jobs/"), "{location}");
        let get = |path: &str| with(app.client.get(format!("http://{}{path}", app.server.address)), headers).send();
        let contract: Json = get("/openapi.json").await.unwrap().json().await.unwrap();
        let server = contract["servers"][0]["url"].as_str().unwrap().to_owned();
        assert!(base.ends_with(&server), "{server}");
        let page = get("/").await.unwrap().text().await.unwrap();
        assert!(
            !page.contains("=\"assets/") && page.contains("=\"/kandinsky/assets/"),
            "the page leaves its folder: {page}"
        );
        app.server.stop().await.unwrap();
    }
    let app = start(&[]).await;
    let client =
        kandinsky::tls::client_builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = |path: &str| client.get(format!("http://{}{path}", app.server.address)).send();
    assert!(get("/openapi.json").await.unwrap().json::<Json>().await.unwrap()["servers"].is_null());
    if cfg!(feature = "swagger-ui") {
        assert_eq!(get("/docs").await.unwrap().headers()["location"], "docs/");
        let script = get("/docs/swagger-initializer.js").await.unwrap().text().await.unwrap();
        assert!(script.contains("../openapi.json") && !script.contains("\"/openapi.json"), "{script}");
    }
    app.server.stop().await.unwrap();
}
