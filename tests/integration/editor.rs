//! The editor's files: what browsers are told of them, that they need no key, and that nothing else can be read.

use reqwest::StatusCode;

use crate::app::{Setup, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_need_no_key_and_run_nothing_else() {
    let app = TestApp::with(Setup { keys: true, ..Setup::default() }).await;
    let page = app.get("/").await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for part in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "require-trusted-types-for 'script'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.headers()[name], value, "{name}");
    }
    let page = page.text().await.unwrap();
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("<script>"), "{page}");
    let files: Vec<&str> = page.split("=\"assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for kind in ["css", "js"] {
        assert!(files.iter().any(|file| file.rsplit('.').next() == Some(kind)), "{kind}: {files:?}");
    }
    for file in files {
        assert_eq!(app.get(&format!("/assets/{file}")).await.status(), StatusCode::OK, "{file}");
    }
    let module = app.get("/assets/vendor/lit-html/lit-html.js").await;
    assert_eq!(module.headers()["content-type"], "text/javascript; charset=utf-8");
    for absent in
        ["", "nothing.js", "vendor/VENDOR.md", "vendor/lit-html/lit-html.d.ts", "../Cargo.toml", "%2e%2e/Cargo.toml"]
    {
        assert_eq!(app.get(&format!("/assets/{absent}")).await.status(), StatusCode::NOT_FOUND, "{absent}");
    }
    assert_eq!(app.client.post(app.url("/assets/page.js")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_costs_nothing_and_files_travel_compressed() {
    let app = TestApp::start().await;
    let get = async |encoding: &str, etag: &str| {
        let request = app.client.get(app.url("/assets/vendor/lit-html/lit-html.js"));
        request.header("accept-encoding", encoding).header("if-none-match", etag).send().await.unwrap()
    };
    let (plain, packed) = (get("identity", "\"none\"").await, get("gzip", "\"none\"").await);
    assert!(plain.headers().get("content-encoding").is_none());
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let tag = |response: &reqwest::Response| response.headers()["etag"].to_str().unwrap().to_owned();
    let (plain_tag, packed_tag) = (tag(&plain), tag(&packed));
    assert_ne!(plain_tag, packed_tag, "a cache must not mix the two");
    assert_eq!(get("identity", &plain_tag).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get("gzip", &packed_tag).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get("gzip", &plain_tag).await.status(), StatusCode::OK);
    let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
    assert!(packed.len() * 2 < plain.len(), "{} of {}", packed.len(), plain.len());
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_takes_the_editors_place_and_nothing_beside_it_is_read() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("web");
    std::fs::create_dir_all(folder.join("css/.git")).unwrap();
    for (path, text) in [
        ("web/index.html", "<p>one</p>"),
        ("web/css/own.css", "p {}"),
        ("web/css/.git/config.css", "secret"),
        ("web/.env.js", "secret"),
        ("secret.js", "secret"),
    ] {
        std::fs::write(around.path().join(path), text).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(around.path().join("secret.js"), folder.join("link.js")).unwrap();
    let app = TestApp::with(Setup { web_dir: Some(folder.clone()), ..Setup::default() }).await;
    assert_eq!(app.get("/").await.text().await.unwrap(), "<p>one</p>");
    std::fs::write(folder.join("index.html"), "<p>two</p>").unwrap();
    assert_eq!(app.get("/").await.text().await.unwrap(), "<p>two</p>");
    assert_eq!(app.get("/assets/css/own.css").await.text().await.unwrap(), "p {}");
    for path in [
        "page.js",
        "css",
        "link.js",
        ".env.js",
        "css/.git/config.css",
        "..%2fsecret.js",
        "css/..%2f..%2fsecret.js",
        "%2fetc%2fpasswd",
        "css%5c..%5cindex.html",
        "css/own.css%00",
    ] {
        let answer = app.get(&format!("/assets/{path}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}: {}", answer.text().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn styles_have_thumbnails_and_capabilities_say_what_the_page_starts_with() {
    let app = TestApp::start().await;
    let read = async |path: &str| app.get(path).await.json::<serde_json::Value>().await.unwrap();
    let styles = read("/v1/styles").await;
    let thumbnail = styles["data"][0]["thumbnail"].as_str().unwrap();
    let image = app.get(thumbnail).await;
    assert_eq!((image.status(), &image.headers()["content-type"]), (StatusCode::OK, &"image/webp".parse().unwrap()));
    let said = read("/v1/capabilities").await;
    assert_eq!((&said["keys_required"], &said["upscaling"]), (&false.into(), &false.into()));
    for example in said["examples"].as_array().unwrap() {
        assert!(example["en"].as_str().unwrap().is_ascii(), "{example}");
        assert!(example["ru"].as_str().unwrap().chars().any(|c| ('а'..='я').contains(&c)), "{example}");
    }
    let defaults = &said["defaults"];
    assert_eq!((&defaults["steps"], &defaults["prior"]["kind"]), (&50.into(), &"diffusion".into()));
}
