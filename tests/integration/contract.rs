//! The contract: what every route declares, and that tests notice what it does not.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json as Answer, Router};
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

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
