//! Configuration: which layer wins, what is refused and how it is said, and that secrets stay secret.

use std::path::PathBuf;
use std::process::Command;

use kandinsky::config::{Config, ConfigError, Overrides};

const DEFAULTS: &str = include_str!("../../config/default.toml");

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kandinsky.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(text: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Config, ConfigError> {
    let (_folder, path) = file(text);
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::from_layers(Some(&path), environment, overrides)
}

fn message(text: &str, environment: &[(&str, &str)]) -> String {
    load(text, environment, &Overrides::default()).unwrap_err().to_string()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text =
        "[server]\nlisten = '127.0.0.1:1'\nmax_connections = 1\ndata = 'file'\n[model]\ndevice = ['cpu', 'cuda:1']";
    let environment = [("server.listen", "127.0.0.1:2"), ("server.data", "environment")];
    let overrides = Overrides { listen: Some("127.0.0.1:3".to_owned()), ..Overrides::default() };
    let config = load(text, &environment, &overrides).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.server.data, PathBuf::from("environment"));
    assert_eq!(config.server.max_connections, 1);
    assert_eq!(config.server.header_timeout_s, 10);
    let devices: Vec<String> = config.model.device.iter().map(ToString::to_string).collect();
    assert_eq!(devices, ["cpu", "cuda:1"]);
    let resolved = config.resolved();
    for (key, source) in [
        ("listen = \"127.0.0.1:3\"", "# --listen"),
        ("data = \"environment\"", "# KANDINSKY__SERVER__DATA"),
        ("max_connections = 1", "kandinsky.toml"),
        ("header_timeout_s = 10", "# default"),
    ] {
        assert!(resolved.lines().any(|line| line.starts_with(key) && line.contains(source)), "{key}: {resolved}");
    }
}

#[test]
fn variables_are_read_as_the_type_of_their_key() {
    let environment = [
        ("pictures.secret_access_key", "12345"),
        ("pictures.access_key_id", "true"),
        ("server.cors_origins", "https://a.example.org, http://localhost:3000"),
        ("model.device", "cpu,cpu"),
        ("fetch.enabled", "true"),
        ("traces.sample_ratio", "0.25"),
        ("queue.lease_s", "60"),
        ("server.public_url", "https://pictures.example.org/"),
    ];
    let config = load("", &environment, &Overrides::default()).unwrap();
    assert_eq!(config.pictures.access_key_id, "true");
    assert_eq!(config.server.cors_origins, ["https://a.example.org", "http://localhost:3000"]);
    assert_eq!(config.model.device.len(), 2);
    assert!(config.fetch.enabled);
    assert!((config.traces.sample_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.queue.lease_s, 60);
    assert_eq!(config.server.public_url, "https://pictures.example.org");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let said = message("[server]\nlisen = 'x'", &[]);
    assert!(said.contains("server.lisen: unknown key; did you mean server.listen?"), "{said}");
    let said = message("", &[("server.lisen", "x")]);
    assert!(
        said.contains("server.lisen: unknown key; did you mean server.listen? (KANDINSKY__SERVER__LISEN)"),
        "{said}"
    );
    let said = message("[sever]\nlisten = 'x'", &[]);
    assert!(said.contains("sever: unknown section; did you mean server?"), "{said}");
    let said = message("[server]\nttl_s = 1", &[]);
    assert!(said.contains("server.ttl_s: unknown key; did you mean jobs.ttl_s?"), "{said}");
    let said = message("[server]\nwhatever_this_is = 1", &[]);
    assert!(said.contains("server.whatever_this_is: unknown key ("), "{said}");
}

#[test]
fn all_violations_are_told_at_once_with_key_and_source() {
    let said = message(
        "[server]\nmax_connections = 0\nlisten = 8080\n[webhooks]\nsecret = 'whsec_c2hvcnQ='\n[log]\nlevel = 'chatty'",
        &[("traces.sample_ratio", "2"), ("jobs.ttl_s", "soon"), ("model.device", "tpu"), ("store.url", "mysql://x")],
    );
    for part in [
        "server.max_connections: must be 1 to 1000000, not 0 (",
        "kandinsky.toml)",
        "server.listen: must be text (",
        "webhooks.secret: must be empty or whsec_",
        "log.level: must be one of trace, debug, info, warn, error, off, or a filter",
        "traces.sample_ratio: must be 0 to 1, not 2 (KANDINSKY__TRACES__SAMPLE_RATIO)",
        "jobs.ttl_s: must be a whole number (KANDINSKY__JOBS__TTL_S)",
        "model.device: unknown device \"tpu\"",
        "store.url: must be empty or an address such as postgres://",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!said.contains("c2hvcnQ") && !said.contains("mysql"), "{said}");
}

#[test]
fn settings_that_need_each_other_are_checked_together() {
    let said = message("[server]\nmax_body_bytes_in_flight = 2048", &[]);
    assert!(said.contains("server.max_body_bytes_in_flight: must be at least server.max_body_bytes, or 0"), "{said}");
    let said = message("[pictures]\naccess_key_id = 'a'\nendpoint = 'http://minio:9000'", &[]);
    assert!(said.contains("pictures.secret_access_key: is empty, but its other half is not"), "{said}");
    assert!(said.contains("pictures.endpoint: is without TLS"), "{said}");
    let said = message("[marking]\nc2pa_key = 'key.pem'\nc2pa_algorithm = 'rs256'", &[]);
    assert!(said.contains("marking.c2pa_certificates: is empty, but its other half is not"), "{said}");
    assert!(said.contains("marking.c2pa_algorithm: must be es256 or es384"), "{said}");
}

#[test]
fn keys_are_needed_where_other_machines_come_unless_the_operator_says_so() {
    let needs = |listen: &str, required: &str, anonymous: &str| {
        let environment = [("server.listen", listen), ("auth.required", required), ("auth.allow_anonymous", anonymous)];
        load("", &environment, &Overrides::default()).map(|config| config.needs_keys()).ok()
    };
    for (listen, required, anonymous, needed) in [
        ("127.0.0.1:80", "auto", "false", Some(false)),
        ("127.9.9.9:80", "auto", "false", Some(false)),
        ("[::1]:80", "auto", "false", Some(false)),
        ("[::ffff:127.0.0.1]:80", "auto", "false", Some(false)),
        ("0.0.0.0:80", "auto", "false", Some(true)),
        ("[::]:80", "auto", "false", Some(true)),
        ("192.168.1.2:80", "auto", "false", Some(true)),
        ("localhost:80", "auto", "false", Some(false)),
        (":80", "auto", "false", Some(true)),
        (":80", "never", "false", None),
        ("no-such-name.invalid:80", "auto", "false", Some(true)),
        ("0.0.0.0:80", "auto", "true", Some(false)),
        ("127.0.0.1:80", "always", "false", Some(true)),
        ("127.0.0.1:80", "never", "false", Some(false)),
        ("0.0.0.0:80", "never", "true", Some(false)),
        // What contradicts itself is no configuration.
        ("0.0.0.0:80", "never", "false", None),
        ("127.0.0.1:80", "always", "true", None),
        ("127.0.0.1:80", "sometimes", "false", None),
    ] {
        assert_eq!(needs(listen, required, anonymous), needed, "{listen} {required} {anonymous}");
    }
    let flag = Overrides { allow_anonymous: Some(true), ..Overrides::default() };
    assert!(load("", &[], &flag).unwrap().resolved().contains("# --allow-anonymous"));
    assert!(message("[auth]\nurl_secret = 'hunter5'", &[]).contains("auth.url_secret: must be empty or at least 32"));
}

#[test]
fn origins_and_hosts_are_named_in_full() {
    let said =
        |key: &str, value: &str| load("", &[(key, value)], &Overrides::default()).map_err(|error| error.to_string());
    for (value, wanted) in [
        ("https://*.example.org", "has a wildcard"),
        ("*.example.org", "has a wildcard"),
        ("https://app.example.org/", "is not an origin"),
        ("null", "is not an origin"),
        ("file:///", "is not an origin"),
        ("https://me:hunter2@app.example.org", "is not an origin"),
    ] {
        let said = said("server.cors_origins", value).unwrap_err();
        assert!(said.contains("server.cors_origins") && said.contains(wanted) && !said.contains("hunter2"), "{said}");
    }
    for good in ["*", "https://app.example.org", "http://localhost:3000", "app://obsidian.md", "tauri://localhost"] {
        said("server.cors_origins", good).unwrap();
    }
    for wrong in ["http://kandinsky", "kandinsky:8080", "*.example.org", "a/b"] {
        assert!(said("server.allowed_hosts", wrong).unwrap_err().contains("without scheme and port"), "{wrong}");
    }
    for good in ["*", "kandinsky", "kandinsky.default.svc.cluster.local, kandinsky_cpu"] {
        said("server.allowed_hosts", good).unwrap();
    }
    assert!(said("server.trusted_proxies", "proxy").unwrap_err().contains("nor a network such as 10.0.0.0/8"));
    said("server.trusted_proxies", "10.0.0.0/8, 192.0.2.7, fd00::/8").unwrap();
}

#[test]
fn secrets_are_shown_nowhere() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let environment = [
        ("webhooks.secret", secret),
        ("store.url", "postgres://me:hunter2@db/kandinsky"),
        ("pictures.access_key_id", "id"),
        ("pictures.secret_access_key", "hunter3"),
        ("auth.url_secret", "hunter4-hunter4-hunter4-hunter4-"),
    ];
    let config = load("", &environment, &Overrides::default()).unwrap();
    for shown in [format!("{config:?}"), config.resolved().to_owned()] {
        for secret in [secret, "hunter2", "hunter3", "hunter4"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert!(config.resolved().contains("url = \"[redacted]\""));
    // Nor as a part of any address.
    for key in ["traces.otlp_endpoint", "moderation.remote_url", "pictures.endpoint"] {
        let with_password =
            [(key, "https://user5:hunter5@host:4318/path"), ("model.path", "https://user5:hunter5@hub")];
        let config = load("", &with_password, &Overrides::default()).unwrap();
        let shown = config.resolved();
        assert!(!shown.contains("hunter5") && !shown.contains("user5"), "{shown}");
        assert!(shown.contains("\"https://[redacted]@host:4318/path\""), "{shown}");
    }
    // What every answer names has none at all.
    let said = message("", &[("server.public_url", "https://user5:hunter5@images.example.org")]);
    assert!(said.contains("server.public_url: must have no user name and no password"), "{said}");
    assert!(!said.contains("hunter5") && !said.contains("user5"), "{said}");
    // A file that is not TOML is quoted by parsers.
    let said = message("[webhooks]\nsecret = whsec_hunter4", &[]);
    assert!(said.contains("line 2") && !said.contains("hunter4"), "{said}");
}

#[test]
fn a_file_that_is_missing_is_an_error() {
    let error = Config::from_layers(Some("no/such.toml".as_ref()), [], &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("no/such.toml"), "{error}");
}

#[test]
fn the_defaults_are_a_whole_configuration_and_explain_every_key() {
    // Sections refuse unknown keys and have no defaults of their own, so loading compares both sets of keys.
    Config::from_layers(None, [], &Overrides::default()).unwrap();
    let mut above = "";
    for line in DEFAULTS.lines() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || above.starts_with("# "), "{line} is not explained");
        above = line;
    }
}

#[test]
fn check_says_what_is_resolved_or_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = |flags: &[&str], variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kandinsky"))
            .args(["serve", "--check", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .args(flags)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    #[cfg(feature = "embedded-model")]
    {
        let (code, out, err) = run(&[], &[("KANDINSKY__AUTH__URL_SECRET", "hunter2-hunter2-hunter2-hunter2-")]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("[server]") && !out.contains("hunter2"), "{out}");
        assert!(!folder.path().join("data").exists(), "nothing is left behind");
    }
    for (variable, value, feature, is_built) in [
        ("KANDINSKY__STORE__URL", "postgres://me:hunter2@db/kandinsky", "postgres", cfg!(feature = "postgres")),
        ("KANDINSKY__PICTURES__URL", "s3://bucket", "s3", cfg!(feature = "s3")),
        ("KANDINSKY__TRACES__OTLP_ENDPOINT", "http://127.0.0.1:9", "otlp", cfg!(feature = "otlp")),
    ] {
        let (code, _, err) = run(&[], &[(variable, value)]);
        let names_feature = err.contains(&format!("build it with --features {feature}"));
        assert_eq!(names_feature, !is_built, "{variable}: {err}");
        assert!(is_built || code == Some(2), "{variable}: {code:?} {err}");
        assert!(!err.contains("hunter2"), "{err}");
    }

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let broken = folder.path().join("terms.toml");
    std::fs::write(&broken, "category = 'not a list'").unwrap();
    let variables = [
        ("KANDINSKY__MODERATION__LEXICON", broken.to_str().unwrap()),
        ("KANDINSKY__STYLES__FILE", "/no/such/styles.toml"),
        ("KANDINSKY__SERVER__DATA", "/proc/kandinsky"),
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_kandinsky"))
        .args(["serve", "--check", "--model", "/no/such/model", "--listen", &address])
        .envs(variables)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for key in ["model.path: ", "server.listen: ", "moderation.lexicon: ", "styles.file: ", "server.data: "] {
        assert!(err.contains(key), "{key}: {err}");
    }

    let (code, _, err) = run(&[], &[("KANDINSKY__SERVER__LISEN", "x")]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("did you mean server.listen?"), "{err}");
}
