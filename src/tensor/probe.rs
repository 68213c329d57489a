//! Records what single layers give, so that a port can be compared with the reference layer by layer.
//!
//! Invariant: off unless [`record`] is running on this thread; then names are the checkpoint's module paths.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use candle_core::Tensor;

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Recorder {
    scope: Vec<String>,
    found: BTreeMap<String, Recorded>,
}

/// One layer's output.
pub struct Recorded {
    /// Whether `tensor` is an NHWC image (else a sequence or vector in its own order).
    pub image: bool,
    pub tensor: Tensor,
}

/// Run `f` and give what layers recorded meanwhile, by path.
pub fn record<R>(f: impl FnOnce() -> R) -> (R, BTreeMap<String, Recorded>) {
    RECORDER.with_borrow_mut(|recorder| *recorder = Some(Recorder::default()));
    let result = f();
    let found = RECORDER.take().map(|recorder| recorder.found).unwrap_or_default();
    (result, found)
}

/// Whether anything is recorded; for what is only made to be recorded.
pub fn is_recording() -> bool {
    RECORDER.with_borrow(Option::is_some)
}

/// Run `f` inside the module called `name`.
pub fn within<R>(name: impl Display, f: impl FnOnce() -> R) -> R {
    RECORDER.with_borrow_mut(|recorder| {
        if let Some(recorder) = recorder {
            recorder.scope.push(name.to_string());
        }
    });
    let result = f();
    RECORDER.with_borrow_mut(|recorder| {
        if let Some(recorder) = recorder {
            recorder.scope.pop();
        }
    });
    result
}

/// Note a sequence or vector.
pub fn sequence(name: impl Display, tensor: &Tensor) {
    note(name, tensor, false);
}

/// Note an NHWC image.
pub fn image(name: impl Display, tensor: &Tensor) {
    note(name, tensor, true);
}

fn note(name: impl Display, tensor: &Tensor, image: bool) {
    RECORDER.with_borrow_mut(|recorder| {
        if let Some(recorder) = recorder {
            let mut path = recorder.scope.clone();
            let name = name.to_string();
            if !name.is_empty() {
                path.push(name);
            }
            recorder.found.insert(path.join("."), Recorded { image, tensor: tensor.clone() });
        }
    });
}
