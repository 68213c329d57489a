//! As much of S3 as the blobs use: PUT, GET and DELETE of objects, and the listing of a prefix.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Bytes>,
    /// Answer everything with this.
    refusal: Option<StatusCode>,
}

type Shared = Arc<Mutex<Bucket>>;

pub struct FakeS3 {
    pub url: String,
    bucket: Shared,
}

impl FakeS3 {
    pub async fn start() -> Self {
        let bucket = Shared::default();
        let app = axum::Router::new()
            .route("/pictures", get(list))
            .route("/pictures/{*key}", get(read).put(write).delete(remove))
            .layer(axum::middleware::from_fn_with_state(bucket.clone(), signed))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(bucket.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, bucket }
    }

    pub fn keys(&self) -> Vec<String> {
        self.bucket.lock().unwrap().objects.keys().cloned().collect()
    }

    pub fn refuse(&self, status: u16) {
        self.bucket.lock().unwrap().refusal = Some(StatusCode::from_u16(status).unwrap());
    }
}

async fn signed(
    State(bucket): State<Shared>,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    if let Some(status) = bucket.lock().unwrap().refusal {
        return status.into_response();
    }
    let signature = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signature.starts_with("AWS4-HMAC-SHA256 Credential=key/") {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

async fn list(State(bucket): State<Shared>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let bucket = bucket.lock().unwrap();
    let objects = bucket.objects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(key, bytes)| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"e\"</ETag>\
             <Size>{}</Size></Contents>",
            bytes.len()
        )
    });
    let objects: String = objects.collect();
    let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>");
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

async fn read(State(bucket): State<Shared>, Path(key): Path<String>) -> Response {
    match bucket.lock().unwrap().objects.get(&key) {
        Some(bytes) => {
            let headers = [(header::ETAG, "\"e\""), (header::LAST_MODIFIED, "Thu, 01 Jan 2026 00:00:00 GMT")];
            (headers, bytes.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn write(State(bucket): State<Shared>, Path(key): Path<String>, bytes: Bytes) -> Response {
    bucket.lock().unwrap().objects.insert(key, bytes);
    [(header::ETAG, "\"e\"")].into_response()
}

async fn remove(State(bucket): State<Shared>, Path(key): Path<String>) -> StatusCode {
    bucket.lock().unwrap().objects.remove(&key);
    StatusCode::NO_CONTENT
}
