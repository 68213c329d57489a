//! Holds the server of a test to the contract: whatever it answers must be declared.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use kandinsky::http::contract;
use serde_json::Value as Json;

pub static CONTRACT: LazyLock<Json> = LazyLock::new(|| serde_json::to_value(contract()).unwrap());

/// Headers that any response may have: HTTP's own, what browsers are told, and the request's id.
const ANY_RESPONSE: [&str; 18] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "referrer-policy",
    "transfer-encoding",
    "vary",
    "x-accel-buffering",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
];

/// What a server answered that the contract does not declare.
type Breaches = Arc<Mutex<BTreeSet<String>>>;

/// Watches what a server answers. Dropping it fails the test if there were breaches.
#[derive(Default)]
pub struct ContractWatch(Breaches);

impl ContractWatch {
    /// Watch what these routes answer.
    pub fn over(&self, router: Router) -> Router {
        // Made before the first request, which it would delay.
        LazyLock::force(&CONTRACT);
        router.layer(from_fn_with_state(self.0.clone(), watch))
    }

    /// Take what was noted so far.
    pub fn take_breaches(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().collect()
    }
}

impl Drop for ContractWatch {
    fn drop(&mut self) {
        let breaches = self.0.lock().unwrap();
        assert!(breaches.is_empty() || std::thread::panicking(), "the contract does not declare: {breaches:#?}");
    }
}

async fn watch(State(breaches): State<Breaches>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let operation = operation(&method, request.uri().path());
    let response = next.run(request).await;
    if let Some((route, operation)) = operation {
        let undeclared = undeclared(operation, &response).into_iter();
        breaches.lock().unwrap().extend(undeclared.map(|what| format!("{method} {route}: {what}")));
    }
    response
}

/// What the contract says of a request, if anything: routes that stand for others are not in it.
fn operation(method: &Method, path: &str) -> Option<(&'static str, &'static Json)> {
    let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
    let is_match = |route: &str| {
        let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
        let fits = |(part, given): (&&str, &&str)| part == given || part.starts_with('{') && !given.is_empty();
        route.len() == path.len() && route.iter().zip(&path).all(fits)
    };
    let routes = CONTRACT["paths"].as_object().unwrap();
    let of_route = routes.get_key_value(path).or_else(|| routes.iter().find(|(route, _)| is_match(route)));
    let (route, item) = of_route?;
    Some((route, item.get(method.as_str().to_ascii_lowercase())?))
}

/// What of a response an operation does not declare.
fn undeclared(operation: &Json, response: &Response) -> Vec<String> {
    let status = response.status();
    let Some(declared) = operation["responses"].get(status.as_str()) else {
        return vec![format!("the status {status}")];
    };
    let names = |key: &str| -> Vec<String> {
        declared[key].as_object().into_iter().flatten().map(|(name, _)| name.to_ascii_lowercase()).collect()
    };
    let (headers, types) = (names("headers"), names("content"));
    let is_known = |name: &str| ANY_RESPONSE.contains(&name) || headers.iter().any(|known| known == name);
    let given = response.headers().keys().filter(|name| !is_known(name.as_str()));
    let mut undeclared: Vec<String> = given.map(|name| format!("the header {name} with {status}")).collect();
    if let Some(given) = response.headers().get("content-type").and_then(|given| given.to_str().ok()) {
        let essence = given.split(';').next().unwrap();
        if !types.iter().any(|known| known == essence) {
            undeclared.push(format!("{essence} with {status}"));
        }
    }
    undeclared
}
