//! The roles of processes in a fleet: what they lack is said before they start, and an API node knows the model that it has not
//! loaded.

use std::path::Path;
use std::process::{Command, Output};

use kandinsky::families;
use kandinsky::modes::Mode;
use tempfile::TempDir;

use crate::embedded::{engine, model_folder};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kandinsky"));
    command.args(arguments).arg("--data").arg(folder.path()).args(["--listen", "127.0.0.1:0"]);
    command.envs(environment.iter().copied()).output().unwrap()
}

/// The keys at the beginnings of the lines that say what is wrong.
fn refused(output: &Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let keys = ["broker.url", "store.url", "pictures.url", "moderation.chain"];
    keys.into_iter().filter(|key| text.contains(&format!("{key}: "))).map(str::to_owned).collect()
}

#[test]
fn a_fleet_that_lacks_a_service_is_refused_with_what_is_missing() {
    for arguments in [&["api"][..], &["worker"], &["api", "--check"], &["worker", "--check"]] {
        assert_eq!(refused(&run(arguments, &[])), ["broker.url", "store.url", "pictures.url"], "{arguments:?}");
    }
    let broker = ("KANDINSKY__BROKER__URL", "nats://127.0.0.1:1");
    let store = ("KANDINSKY__STORE__URL", "postgres://u:hunter2@127.0.0.1:1/d");
    let images = ("KANDINSKY__PICTURES__URL", "s3://bucket");
    for arguments in [&["serve"][..], &["serve", "--check"], &["api"], &["worker", "--check"]] {
        assert_eq!(refused(&run(arguments, &[broker])), ["store.url", "pictures.url"]);
        assert_eq!(refused(&run(arguments, &[broker, store])), ["pictures.url"]);
    }
    let classifier = ("KANDINSKY__MODERATION__CHAIN", "classifier");
    let concepts = ("KANDINSKY__MODERATION__CONCEPTS", "concepts.json");
    assert_eq!(refused(&run(&["api"], &[broker, store, images, classifier, concepts])), ["moderation.chain"]);
    if cfg!(feature = "fleet") {
        let checked = run(&["api", "--check"], &[broker, store, images]);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        assert!(!String::from_utf8(checked.stdout).unwrap().contains("hunter2"));
    }
}

/// Copy a checkpoint without its weights.
fn copy_small_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_small_files(&path, &target);
        } else if path.extension().is_none_or(|extension| extension != "safetensors") {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

#[test]
fn an_api_node_needs_no_weights_and_whoever_makes_images_does() {
    let folder = TempDir::new().unwrap();
    copy_small_files(&model_folder(), folder.path());
    let path = folder.path().to_str().unwrap();
    let fleet = [
        ("KANDINSKY__BROKER__URL", "nats://127.0.0.1:1"),
        ("KANDINSKY__STORE__URL", "postgres://u:p@127.0.0.1:1/d"),
        ("KANDINSKY__PICTURES__URL", "s3://bucket"),
    ];
    let check = |role, environment: &[(&str, &str)]| run(&[role, "--check", "--model", path], environment);
    for (role, environment) in [("worker", &fleet[..]), ("serve", &[])] {
        let checked = check(role, environment);
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(2), "{role}: {said}");
        let unet = "unet/diffusion_pytorch_model.safetensors: not found (weights";
        assert!(said.contains("model.path: ") && said.contains(unet), "{role}: {said}");
    }
    if cfg!(feature = "fleet") {
        let checked = check("api", &fleet);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        // What it does read must be whole.
        std::fs::write(folder.path().join("kandinsky-mini/tokenizer/tokenizer.json"), "{").unwrap();
        let checked = check("api", &fleet);
        assert_eq!(checked.status.code(), Some(2), "{checked:?}");
        assert!(String::from_utf8(checked.stderr).unwrap().contains("tokenizer.json"));
    }
}

#[test]
fn a_single_server_has_no_fleet_to_show() {
    for arguments in [&["fleet"][..], &["fleet", "--json"], &["fleet", "--watch"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_kandinsky")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("broker.url") && text.contains("single server") && output.stdout.is_empty(), "{text}");
    }
}

#[test]
fn a_model_is_described_as_it_is_when_it_is_loaded() {
    let described = families::open_folder(&model_folder()).unwrap().describe().unwrap();
    let loaded = engine().info();
    assert_eq!(described.name, loaded.name);
    assert_eq!((described.native_size, described.size_step), (loaded.native_size, loaded.size_step));
    assert_eq!((described.clip_width, described.embeds_images), (loaded.clip_width, loaded.embeds_images));
    assert_eq!((&described.unavailable, &described.priors), (&loaded.unavailable, &loaded.priors));
    assert_eq!((&described.scheduler, described.stages), (&loaded.scheduler, loaded.stages));
    assert!(described.reader.is_some() && described.unavailable.len() < Mode::ALL.len());
}
