//! The thread that translates, and those that compute for it.
//!
//! Invariant: a model that fails on one text serves the next one; a text whose caller is gone costs at most one more step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use async_trait::async_trait;
use rayon::ThreadPool;
use tokio::sync::oneshot;

use super::model::MarianModel;
use super::vocabulary::Target;
use crate::tensor::Compute;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::translation::translator::{BegunFlag, TranslationError, Translator};

/// Requests that may wait; each has a handful of texts.
const WAITING: usize = 64;

/// A model on a thread of its own.
pub struct Marian {
    tasks: SyncSender<Task>,
}

struct Task {
    texts: Vec<String>,
    begun: BegunFlag,
    answer: oneshot::Sender<std::result::Result<Vec<String>, String>>,
}

impl Marian {
    /// Load a model on the CPU, and start its thread. Takes as long as reading its weights.
    pub fn start(folder: &Folder, target: Target<'_>) -> Result<Self> {
        let model = MarianModel::load(folder, target, &Compute::cpu())?;
        let failed = |error: String| Error::Request(format!("the translator cannot start its threads: {error}"));
        let pool = rayon::ThreadPoolBuilder::new().thread_name(|i| format!("translate-{i}")).build();
        let pool = pool.map_err(|error| failed(error.to_string()))?;
        let (tasks, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("translate".to_owned());
        thread.spawn(move || serve(&model, &pool, &waiting)).map_err(|error| failed(error.to_string()))?;
        Ok(Self { tasks })
    }
}

/// Translate until all senders are gone.
fn serve(model: &MarianModel, pool: &ThreadPool, waiting: &Receiver<Task>) {
    for Task { texts, begun, answer } in waiting {
        if answer.is_closed() {
            continue;
        }
        begun.set();
        let canceled = || answer.is_closed();
        let work = || texts.iter().map(|text| model.translate(text, &canceled)).collect::<Result<Option<Vec<_>>>>();
        // The model keeps nothing from one text to the next.
        let done = pool.install(|| catch_unwind(AssertUnwindSafe(work)));
        let translations = match done {
            Ok(Ok(Some(translations))) => Ok(translations),
            Ok(Ok(None)) => continue,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the translation model panicked".to_owned()),
        };
        // An error means that the caller is gone.
        let _ = answer.send(translations);
    }
}

#[async_trait]
impl Translator for Marian {
    fn name(&self) -> &'static str {
        "marian"
    }

    async fn translate(&self, texts: Vec<String>) -> std::result::Result<Vec<String>, TranslationError> {
        self.translate_noting(texts, BegunFlag::default()).await
    }

    async fn translate_noting(
        &self,
        texts: Vec<String>,
        begun: BegunFlag,
    ) -> std::result::Result<Vec<String>, TranslationError> {
        let (answer, answered) = oneshot::channel();
        let gone = || TranslationError::Failed("its thread is gone".to_owned());
        match self.tasks.try_send(Task { texts, begun, answer }) {
            Ok(()) => answered.await.map_err(|_| gone())?.map_err(TranslationError::Failed),
            Err(TrySendError::Full(_)) => Err(TranslationError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}
