//! `kandinsky pull` against a hub on this machine: what lands in the cache, what is asked of whom, and what is refused.
//!
//! Invariant: each test has its own hub and its own cache, and none reads the environment.

mod bench;
mod fake_hub;

use std::fs;
use std::path::PathBuf;

use kandinsky::hub::{Family, Hub, HubError, Precision, Silent};

use kandinsky::tensor::Compute;
use kandinsky::tensor::files::Folder;
use kandinsky::translation::marian::{MarianModel, Target};

use bench::{Bench, ID, Meters, files_under};
use fake_hub::{Seen, Server, digest_of};

const PRIOR: &str = "acme/kandinsky-2-1-prior";
const INPAINT: &str = "acme/kandinsky-2-1-inpaint";
const UNET: &str = "unet/diffusion_pytorch_model.fp16.safetensors";
const TOKEN: &str = "hf_verysecret";

fn ranges(seen: &[Seen]) -> Vec<Option<&str>> {
    seen.iter().map(|request| request.range.as_deref()).collect()
}

#[tokio::test]
async fn the_whole_family_lands_in_the_standard_layout() {
    let bench = Bench::new().await;
    let pulled = bench.pull().await.unwrap();

    let family =
        Family { prior: Some(bench.snapshot(PRIOR)), main: bench.snapshot(ID), inpaint: Some(bench.snapshot(INPAINT)) };
    assert_eq!(pulled.family, family);
    assert_eq!(bench.client().cached(ID), Some(family.clone()));
    assert_eq!(bench.client().cached(INPAINT), Some(family), "each member's id names the family");
    assert_eq!(pulled.report.warnings, [""; 0]);

    // The fp16 safetensors of each component and the small files; not the readme, nor other forms of the same weights.
    let main = bench.snapshot(ID);
    let expected = [
        "model_index.json",
        "movq/config.json",
        "movq/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        UNET,
    ];
    assert_eq!(files_under(&main), expected.map(PathBuf::from));

    let bytes = bench.hub.bytes(ID, UNET);
    assert_eq!(fs::read(main.join(UNET)).unwrap(), bytes);
    assert_eq!(
        fs::read_link(main.join(UNET)).unwrap(),
        PathBuf::from("../../../blobs").join(digest_of(&bytes, true)),
        "relative links, as python makes them"
    );
    let config = bench.hub.bytes(ID, "unet/config.json");
    assert_eq!(fs::read(bench.repo(ID).join("blobs").join(digest_of(&config, false))).unwrap(), config);
    assert_eq!(fs::read_to_string(bench.repo(ID).join("refs/main")).unwrap(), fake_hub::commit_of(ID));
    assert!(bench.leftovers(ID).is_empty());
}

#[tokio::test]
async fn a_second_pull_downloads_nothing() {
    let bench = Bench::new().await;
    let first = bench.pull().await.unwrap().report;
    bench.hub.forget_requests();
    let second = bench.pull().await.unwrap().report;

    assert_eq!((second.fetched, second.fetched_bytes), (0, 0));
    assert_eq!((second.already_there, second.already_there_bytes), (first.fetched, first.fetched_bytes));
    let seen = bench.hub.requests("");
    assert_eq!(seen.len(), 3, "one listing per repository: {seen:?}");
    assert!(seen.iter().all(|request| request.path.starts_with("/api/models/")));

    // Nor does a new commit whose files are the old ones.
    for id in [PRIOR, ID, INPAINT] {
        fs::remove_dir_all(bench.snapshot(id)).unwrap();
    }
    let third = bench.pull().await.unwrap();
    assert_eq!(third.report, second);
    assert_eq!(fs::read(third.family.main.join(UNET)).unwrap(), bench.hub.bytes(ID, UNET));
}

#[tokio::test]
async fn the_other_precision_adds_only_its_weights() {
    let bench = Bench::new().await;
    bench.pull().await.unwrap();
    let full = bench.client().pull(ID, Precision::Full, &Silent).await.unwrap();
    assert_eq!(full.report.fetched, 2, "only the two unets have both variants here");
    assert!(full.family.main.join("unet/diffusion_pytorch_model.safetensors").is_file());
}

#[tokio::test]
async fn a_cut_connection_is_resumed_where_it_broke() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.cut.push((UNET.to_owned(), 40_000)));
    let pulled = bench.pull().await.unwrap();

    let bytes = bench.hub.bytes(ID, UNET);
    assert_eq!(ranges(&bench.hub.cdn_requests(ID, UNET)), [None, Some("bytes=40000-")]);
    assert_eq!(fs::read(pulled.family.main.join(UNET)).unwrap(), bytes);
}

#[tokio::test]
async fn the_next_pull_resumes_what_the_last_one_left() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.cut.extend([(UNET.to_owned(), 40_000), (UNET.to_owned(), 1_000)]));
    let mut config = bench.config();
    config.retry.policy.max_attempts = Some(1);
    let impatient = Hub::new(config).unwrap();

    let error = impatient.pull(ID, Precision::Half, &Silent).await.unwrap_err();
    assert!(matches!(&error, HubError::Network { what, .. } if what.ends_with(UNET)), "{error:?}");
    assert_eq!(bench.client().cached(ID), None, "an unfinished family is not offered");
    assert!(!bench.snapshot(ID).join(UNET).exists());
    impatient.pull(ID, Precision::Half, &Silent).await.unwrap_err();

    let meters = Meters::default();
    let pulled = bench.client().pull(ID, Precision::Half, &meters).await.unwrap();
    assert_eq!(ranges(&bench.hub.cdn_requests(ID, UNET)), [None, Some("bytes=40000-"), Some("bytes=41000-")]);
    assert_eq!(meters.of(&format!("kandinsky-2-1/{UNET}")), Some((41_000, 100_000, 100_000)));
    assert_eq!(fs::read(pulled.family.main.join(UNET)).unwrap(), bench.hub.bytes(ID, UNET));
    assert!(bench.leftovers(ID).is_empty());
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_starts_over() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| {
        hub.no_ranges = true;
        hub.cut.push((UNET.to_owned(), 40_000));
    });
    let meters = Meters::default();
    let pulled = bench.client().pull(ID, Precision::Half, &meters).await.unwrap();
    assert_eq!(bench.hub.cdn_requests(ID, UNET).len(), 2);
    assert_eq!(meters.of(&format!("kandinsky-2-1/{UNET}")), Some((0, 100_000, 100_000)), "each byte counts once");
    assert_eq!(fs::read(pulled.family.main.join(UNET)).unwrap(), bench.hub.bytes(ID, UNET));
}

#[tokio::test]
async fn a_line_that_always_breaks_at_the_same_place_is_given_up() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| {
        hub.no_ranges = true;
        hub.cut = vec![(UNET.to_owned(), 40_000); 50];
    });
    bench.pull().await.unwrap_err();
    assert!(bench.hub.cdn_requests(ID, UNET).len() <= 4, "restarts must not count as progress");
}

#[tokio::test]
async fn bytes_with_the_wrong_checksum_never_reach_the_snapshot() {
    for (file, lfs) in [(UNET, true), ("unet/config.json", false)] {
        let bench = Bench::new().await;
        bench.hub.behave(|hub| hub.corrupt = Some(file.to_owned()));
        let error = bench.pull().await.unwrap_err();

        let expected = digest_of(&bench.hub.bytes(ID, file), lfs);
        let HubError::Checksum { file: named, expected: by_hub, got } = &error else { panic!("{error:?}") };
        assert_eq!((named.as_str(), by_hub), (format!("{ID}/{file}").as_str(), &expected));
        assert_ne!(got, &expected);
        for part in [named, by_hub, got] {
            assert!(error.to_string().contains(part.as_str()), "{error}");
        }
        assert!(fs::symlink_metadata(bench.snapshot(ID).join(file)).is_err());
        assert!(!bench.repo(ID).join("blobs").join(&expected).exists());
        assert!(
            !bench.repo(ID).join("blobs").join(format!("{expected}.incomplete")).exists(),
            "a bad partial file stays"
        );
        assert!(!bench.repo(ID).join("refs/main").exists());
        assert_eq!(bench.client().cached(ID), None);

        bench.hub.behave(|hub| hub.corrupt = None);
        bench.pull().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_of_the_wrong_size_is_refused() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.append = Some(UNET.to_owned()));
    let error = bench.pull().await.unwrap_err();
    let size = bench.hub.bytes(ID, UNET).len() as u64;
    assert!(
        matches!(&error, HubError::Size { file, expected, got }
            if file.ends_with(UNET) && *expected == size && *got == size + 1),
        "{error:?}"
    );
    assert!(
        bench
            .leftovers(ID)
            .iter()
            .all(|path| !path.to_string_lossy().contains(&digest_of(&bench.hub.bytes(ID, UNET), true)))
    );
}

#[tokio::test]
async fn only_a_missing_inpainting_repository_is_forgiven() {
    let bench = Bench::new().await;
    bench.hub.remove(INPAINT);
    let pulled = bench.pull().await.unwrap();
    assert_eq!(pulled.family.inpaint, None);
    assert!(matches!(pulled.report.warnings.as_slice(), [warning] if warning.contains(INPAINT)), "{:?}", pulled.report);

    for gone in [PRIOR, ID] {
        let bench = Bench::new().await;
        bench.hub.remove(gone);
        let error = bench.pull().await.unwrap_err();
        assert!(matches!(&error, HubError::NotFound { repo, .. } if repo == gone), "{error:?}");
        assert!(bench.hub.requests("/resolve/").is_empty(), "nothing is fetched for a family that cannot be whole");
    }
}

#[tokio::test]
async fn a_hub_that_wants_a_token_is_understood() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.token = Some(TOKEN.to_owned()));
    let error = bench.pull().await.unwrap_err();
    assert!(matches!(error, HubError::Access { status: 401, with_token: false, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("HF_TOKEN") && text.contains("licence") && text.contains(PRIOR), "{text}");

    let mut config = bench.config();
    config.token = Some("hf_wrong".into());
    let client = Hub::new(config).unwrap();
    let error = client.pull(ID, Precision::Half, &Silent).await.unwrap_err();
    assert!(matches!(error, HubError::Access { with_token: true, .. }), "{error:?}");
    assert!(!format!("{error} {error:?} {client:?}").contains("hf_wrong"), "the token leaked");
    assert_eq!(bench.hub.requests("").len(), 2, "a refusal is not retried");
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.token = Some(TOKEN.to_owned()));
    let mut config = bench.config();
    config.token = Some(TOKEN.into());
    Hub::new(config).unwrap().pull(ID, Precision::Half, &Silent).await.unwrap();

    let (hub, cdn): (Vec<_>, Vec<_>) =
        bench.hub.requests("").into_iter().partition(|request| request.server == Server::Hub);
    assert!(!cdn.is_empty());
    assert!(hub.iter().all(|request| request.authorization.as_deref() == Some("Bearer hf_verysecret")));
    assert!(cdn.iter().all(|request| request.authorization.is_none()), "{cdn:?}");
}

#[tokio::test]
async fn failures_that_pass_are_sat_out() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| {
        hub.refuse.push(("/api/models/".to_owned(), 503, None));
        hub.refuse.push(("/resolve/".to_owned(), 429, Some("0")));
        hub.refuse.push(("/cdn/".to_owned(), 403, None));
    });
    bench.pull().await.expect("a 503, a 429 and an expired link of the CDN");

    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.refuse.push(("/resolve/".to_owned(), 429, Some("86400"))));
    let error = bench.pull().await.unwrap_err();
    assert!(matches!(&error, HubError::RateLimited { wait, .. } if wait.as_secs() == 86_400), "{error:?}");

    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.refuse = vec![("/api/models/".to_owned(), 502, None); 9]);
    let error = bench.pull().await.unwrap_err();
    assert!(error.to_string().contains("502"), "{error}");
    assert_eq!(bench.hub.requests("").len(), 3, "as many tries as were configured");
}

#[tokio::test]
async fn a_mirror_that_lists_bare_names_is_asked_per_file() {
    let bench = Bench::new().await;
    bench.hub.behave(|hub| hub.bare_listing = true);
    let pulled = bench.pull().await.unwrap();
    assert_eq!(fs::read(pulled.family.main.join(UNET)).unwrap(), bench.hub.bytes(ID, UNET));

    let bench = Bench::new().await;
    bench.hub.behave(|hub| {
        hub.bare_listing = true;
        hub.corrupt = Some(UNET.to_owned());
    });
    let error = bench.pull().await.unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "verified all the same: {error:?}");
}

#[tokio::test]
async fn a_file_name_that_leaves_the_cache_is_refused() {
    let bench = Bench::new().await;
    bench.hub.add(ID, "../config.json", b"{}", false);
    bench.hub.add(ID, "../model.safetensors", b"x", true);
    let error = bench.pull().await.unwrap_err();
    assert!(matches!(&error, HubError::UnsafePath { path, .. } if path.starts_with("../")), "{error:?}");
    assert!(bench.hub.requests("/resolve/").is_empty());
}

#[tokio::test]
async fn offline_uses_the_cache_and_never_the_network() {
    let bench = Bench::new().await;
    let mut config = bench.config();
    config.offline = true;
    let offline = Hub::new(config).unwrap();
    let pull = || offline.pull(ID, Precision::Half, &Silent);

    let error = pull().await.unwrap_err();
    assert!(matches!(&error, HubError::NotCached { repo, offline: true, .. } if repo == ID), "{error:?}");
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert!(bench.hub.requests("").is_empty());

    let online = bench.pull().await.unwrap();
    bench.hub.forget_requests();
    assert_eq!(pull().await.unwrap().family, online.family);

    fs::remove_dir_all(bench.repo(INPAINT)).unwrap();
    assert!(matches!(pull().await.unwrap().report.warnings.as_slice(), [warning] if warning.contains(INPAINT)));

    fs::remove_dir_all(bench.snapshot(PRIOR).join("prior")).unwrap();
    let error = pull().await.unwrap_err();
    assert!(
        matches!(&error, HubError::Incomplete { repo, missing, .. } if repo == PRIOR && missing == "prior"),
        "{error:?}"
    );
    assert!(bench.hub.requests("").is_empty());
}

#[tokio::test]
async fn a_cache_made_by_python_is_used_as_it_is() {
    let bench = Bench::new().await;
    for id in [PRIOR, ID, INPAINT] {
        bench.hub.write_python_cache(id, bench.cache.path());
    }
    let family = bench.client().cached(ID).expect("found without the network");
    assert!(bench.hub.requests("").is_empty());
    let pulled = bench.pull().await.unwrap();
    assert_eq!((pulled.family, pulled.report.fetched), (family, 0));

    // A blob that went missing (a dangling link, as `hf cache` may leave it) is fetched again, and only that.
    let blob = fs::canonicalize(bench.snapshot(ID).join(UNET)).unwrap();
    fs::remove_file(&blob).unwrap();
    assert_eq!(bench.client().cached(ID), None);
    assert_eq!(bench.pull().await.unwrap().report.fetched, 1);
    assert!(bench.client().cached(ID).is_some());
}

#[tokio::test]
async fn two_pulls_at_once_download_each_file_once() {
    let bench = Bench::new().await;
    let (one, two) = tokio::join!(bench.pull(), bench.pull());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.family, two.family);
    assert_eq!(bench.hub.cdn_requests(ID, UNET).len(), 1);
}

#[test]
fn a_pull_can_run_on_any_executor_thread() {
    fn is_send<T: Send>(_: impl FnOnce(&'static Hub) -> T) {}
    is_send(|hub| hub.pull(ID, Precision::Half, &Silent));
}

#[tokio::test]
async fn a_translation_model_is_pulled_as_it_is_published() {
    const TRANSLATOR: &str = "acme/opus-mt-ru-en";
    let bench = Bench::new().await;
    let client = bench.client();
    let pull = async || client.pull_translator(TRANSLATOR, Precision::Half, &Silent).await;
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/marian");
    for path in files_under(&fixture) {
        let name = path.to_str().unwrap();
        bench.hub.add(
            TRANSLATOR,
            name,
            &fs::read(fixture.join(name)).unwrap(),
            path.extension().is_some_and(|extension| extension == "bin"),
        );
    }
    bench.hub.add(TRANSLATOR, "tf_model.h5", b"other weights", true);
    let report = pull().await.unwrap();
    let files = [
        "config.json",
        "generation_config.json",
        "pytorch_model.bin",
        "source.spm",
        "target.spm",
        "tokenizer_config.json",
        "vocab.json",
    ];
    assert_eq!(files_under(&bench.snapshot(TRANSLATOR)), files.map(PathBuf::from));
    assert_eq!(report.fetched, files.len());
    let folder = bench.client().cached_translator(TRANSLATOR).unwrap();
    assert!(MarianModel::load(&Folder::Disk(folder.clone()), Target::Only, &Compute::cpu()).is_ok());
    assert_eq!(pull().await.unwrap().fetched, 0);
    fs::remove_file(folder.join("vocab.json")).unwrap();
    assert_eq!(bench.client().cached_translator(TRANSLATOR), None);
    // A checkpoint of images is none.
    let wrong = bench.client().pull_translator(ID, Precision::Half, &Silent).await;
    assert!(matches!(wrong, Err(HubError::NotATranslator { .. })), "{wrong:?}");
}
