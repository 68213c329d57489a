//! Checkpoints in other forms than safetensors.

use kandinsky::families::kandinsky21::clip_text::ClipText;
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::{self, Compute};

use crate::embedded::root;

#[test]
fn pytorch_files_are_read_where_there_are_no_safetensors() {
    let from = root().join("tests/parity/a/models/kandinsky-2-1-prior/text_encoder");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(from.join("config.json"), folder.path().join("config.json")).unwrap();
    std::fs::copy(root().join("tests/fixtures/clip_text.bin"), folder.path().join("pytorch_model.bin")).unwrap();
    let load = |path: &std::path::Path| ClipText::load(&Folder::Disk(path.to_owned()), &Compute::cpu()).unwrap();
    let ids: Vec<u32> = (0..77).collect();
    let [got, want] =
        [load(folder.path()), load(&from)].map(|encoder| encoder.forward(std::slice::from_ref(&ids)).unwrap());
    assert_eq!(tensor::to_vec(&got.states).unwrap(), tensor::to_vec(&want.states).unwrap());
}
