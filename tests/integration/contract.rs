//! The contract: what every route declares, that tests notice what it does not, and the messages of webhooks.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json as Answer, Router};
use kandinsky::jobs::WebhookTransport;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower::ServiceExt as _;

use crate::app::{Setup, TestApp, quick};
use crate::contract_watch::{CONTRACT, ContractWatch};

#[tokio::test]
async fn an_answer_beyond_the_contract_is_noticed() {
    let watch = ContractWatch::default();
    let teapot = || async { (StatusCode::IM_A_TEAPOT, "") };
    let styles = || async { ([("x-new", "1")], Answer(json!({"data": []}))) };
    let router = watch.over(Router::new().route("/v1/jobs/{id}", get(teapot)).route("/v1/styles", get(styles)));
    for path in ["/v1/jobs/1", "/v1/styles", "/nothing"] {
        router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    }
    let status = "GET /v1/jobs/{id}: the status 418 I'm a teapot";
    assert_eq!(watch.take_breaches(), [status, "GET /v1/styles: the header x-new with 200 OK"]);
}

#[test]
fn every_route_declares_what_any_route_may_answer() {
    let declares = |operation: &Json, statuses: &[&str]| -> Vec<String> {
        let missing = statuses.iter().filter(|status| operation["responses"].get(status).is_none());
        missing.map(ToString::to_string).collect()
    };
    let mut routes = 0;
    for (path, item) in CONTRACT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            routes += 1;
            let at = format!("{method} {path}");
            if operation["security"].is_null() {
                let missing = declares(operation, &["400", "401", "403", "421", "429", "500", "503"]);
                assert!(missing.is_empty(), "{at}: {missing:?}");
            }
            if operation["requestBody"].is_object() {
                let missing = declares(operation, &["400", "408", "413", "415"]);
                assert!(missing.is_empty(), "{at}: {missing:?}");
            }
            for (status, header) in [("401", "WWW-Authenticate"), ("429", "Retry-After"), ("503", "Retry-After")] {
                let response = &operation["responses"][status];
                assert!(response.is_null() || response["headers"][header].is_object(), "{at}: {header} of {status}");
            }
        }
    }
    assert!(routes > 40, "{routes}");
}

/// Assert that a value has all that its schema requires, and nothing that it does not know.
fn assert_fits(schema: &Json, value: &Json, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return assert_fits(CONTRACT.pointer(reference.trim_start_matches('#')).unwrap(), value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let is_null = |choice: &&Json| choice["type"] == "null";
        let choice = choices.iter().find(|choice| is_null(choice) == value.is_null());
        return assert_fits(choice.unwrap_or_else(|| panic!("{at}: {value}")), value, at);
    }
    let kinds = &schema["type"];
    let is_kind = |kind: &str| *kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)));
    let fits = match value {
        Json::Null => is_kind("null"),
        Json::Bool(_) => is_kind("boolean"),
        Json::Number(number) => is_kind("number") || number.is_u64() && is_kind("integer"),
        Json::String(_) => is_kind("string"),
        Json::Array(_) => is_kind("array"),
        Json::Object(_) => is_kind("object"),
    };
    assert!(fits, "{at}: {value} is not of {kinds}");
    let names = schema["enum"].as_array();
    assert!(names.is_none_or(|names| names.contains(value)), "{at}: {value} is none of {names:?}");
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        assert_fits(&schema["items"], item, &format!("{at}/{i}"));
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(name.as_str().unwrap()), "{at} has no {name}");
        }
        for (name, field) in fields {
            let schema = schema["properties"].get(name).unwrap_or_else(|| panic!("{at}/{name} is not declared"));
            assert_fits(schema, field, &format!("{at}/{name}"));
        }
    }
}

/// What a webhook is sent: its headers and its body.
type Message = (Vec<(String, String)>, Json);

struct Receiver(UnboundedSender<Message>);

#[async_trait]
impl WebhookTransport for Receiver {
    async fn post(&self, _: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<u16, String> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.0.send((headers, serde_json::from_slice(&body).unwrap())).unwrap();
        Ok(200)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_sent_as_the_contract_describes_them() {
    let (sender, mut sent) = unbounded_channel();
    let app = TestApp::with(Setup { webhooks: Some(Arc::new(Receiver(sender))), ..Setup::default() }).await;
    let webhook = json!({"webhook": {"url": "https://example.com/hook"}});
    app.queue_up(&quick(&webhook)).await;
    let mut long = quick(&webhook);
    long["steps"] = json!(100);
    let canceled = app.queue_up(&long).await;
    app.post(&format!("/v1/jobs/{canceled}/cancel"), &json!({})).await;
    let mut events = BTreeSet::new();
    for _ in 0..2 {
        let (headers, message) = sent.recv().await.unwrap();
        let event = message["type"].as_str().unwrap();
        let described = &CONTRACT["webhooks"][event]["post"];
        assert_fits(&described["requestBody"]["content"]["application/json"]["schema"], &message, event);
        for header in described["parameters"].as_array().unwrap() {
            assert!(headers.iter().any(|(name, _)| header["name"] == name.as_str()), "{header} of {headers:?}");
        }
        assert_eq!(message["data"]["timings"].is_null(), event != "job.succeeded", "{message}");
        events.insert(event.to_owned());
    }
    assert_eq!(events.into_iter().collect::<Vec<_>>(), ["job.canceled", "job.succeeded"]);
}
