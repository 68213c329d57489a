//! The probe of container engines.

use std::process::Command;

use axum::http::StatusCode;
use axum::routing::get;

async fn server(ready: StatusCode) -> String {
    let router = axum::Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(move || async move { ready }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn health(flags: Vec<String>, listen: String) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || {
        let output = Command::new(env!("CARGO_BIN_EXE_kandinsky"))
            .arg("health")
            .args(flags)
            .env("KANDINSKY__SERVER__LISTEN", listen)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_healthy_when_it_is_ready() {
    let ready = server(StatusCode::OK).await;
    assert_eq!(health(vec![], ready.clone()).await, (Some(0), String::new()));
    // A container listens on all addresses.
    let everywhere = ready.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(health(vec![], everywhere).await.0, Some(0));

    let loading = server(StatusCode::SERVICE_UNAVAILABLE).await;
    let (code, said) = health(vec![], loading.clone()).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("503"), "{said}");
    let flags = vec!["--live".to_owned(), "--url".to_owned(), format!("http://{loading}/")];
    assert_eq!(health(flags, ready).await.0, Some(0));

    let (code, said) = health(vec!["--url".to_owned(), "http://127.0.0.1:9".to_owned()], loading).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("does not answer"), "{said}");
}
