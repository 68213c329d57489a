//! Which jobs are being executed at this very moment, kept where it can still be read after the process has died.
//!
//! Invariants: a note is written before the work that it is about begins, and is taken back when that has ended; it is one
//! write into the page cache, without a sync (the death of a process loses nothing of it, and the death of the machine is
//! no job's fault); the file has its size from the start, so that a full disk does not matter.
//!
//! After a death, the jobs of the last note are suspects: one of them may have caused it. A job that is a suspect is
//! executed exclusively, so that the next death accuses it alone or clears it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of a file that was just made: more than a worker's samples take.
const FILE_BYTES: usize = 16 << 10;
/// Digits of the length that a note starts with.
const LENGTH_DIGITS: usize = 8;
/// Losses that are never asked for are forgotten beyond so many.
const MAX_LOSSES: usize = 4096;
/// Processes that may share a folder, each with a journal of its own.
const MAX_JOURNALS: u32 = 16;

/// The place of a job whose worker was lost between two executions.
const BETWEEN: &str = "between steps";

/// One claim of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRef {
    pub id: Uuid,
    /// The claim's.
    pub epoch: i64,
}

/// A job in execution, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub job: JobRef,
    /// The same each time that the job gets to the same point: `decoder 12`.
    pub place: String,
}

/// What a lost worker says of a job that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The job was not in execution when it happened.
    Innocent,
    Suspect {
        place: String,
        /// No other job was in execution.
        alone: bool,
    },
}

/// See the module. Cheap to clone; the default one is kept in memory alone.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// What the last process left, until it was taken.
    previous: Option<Vec<Entry>>,
    holds: BTreeMap<u64, Vec<Entry>>,
    is_exclusive: bool,
    next_ticket: u64,
    /// The ticket whose turn it is: they are served in order, so that none waits for ever.
    serving: u64,
    losses: HashMap<Uuid, Loss>,
}

impl Journal {
    /// Open the first journal of this name that no other process uses, and read what the last process left in it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        for number in 0..MAX_JOURNALS {
            let path = if number == 0 { path.to_owned() } else { path.with_extension(number.to_string()) };
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&path)?;
            if file.try_lock().is_err() {
                continue;
            }
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let previous = read_note(&text);
            if text.len() < FILE_BYTES {
                file.write_all(&vec![b' '; FILE_BYTES - text.len()])?;
            }
            let state = State { file: Some(file), previous, ..State::default() };
            return Ok(Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() })));
        }
        Err(std::io::Error::other(format!("{} and its siblings are in use", path.display())))
    }

    /// The jobs that were in execution when the last process died; `None`: it left no note, or the note was taken.
    #[must_use]
    pub fn take_previous(&self) -> Option<Vec<Entry>> {
        self.0.state.lock().previous.take()
    }

    /// Note that these jobs are in execution as long as the guard lives. Blocks until an exclusive execution is over; an
    /// exclusive one waits for all others. Not for asynchronous code.
    #[must_use]
    pub fn hold(&self, entries: Vec<Entry>, is_exclusive: bool) -> HoldGuard {
        let mut state = self.0.state.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while state.serving != ticket || state.is_exclusive || (is_exclusive && !state.holds.is_empty()) {
            self.0.changed.wait(&mut state);
        }
        state.serving += 1;
        state.is_exclusive = is_exclusive;
        state.holds.insert(ticket, entries);
        state.write();
        drop(state);
        self.0.changed.notify_all();
        HoldGuard { journal: self.clone(), ticket }
    }

    /// Record that a worker was lost while it had these jobs. Those that it was not executing are innocent, unless it was
    /// lost between two executions: then any of them may have caused it.
    pub fn record_lost_worker(&self, jobs: &[Uuid]) {
        let mut state = self.0.state.lock();
        let is_explained = jobs.iter().any(|job| state.losses.contains_key(job));
        for job in jobs {
            let suspect = || Loss::Suspect { place: BETWEEN.to_owned(), alone: jobs.len() == 1 };
            state.record(*job, if is_explained { Loss::Innocent } else { suspect() });
        }
    }

    /// What is known of a job whose worker was lost in this process, told once.
    #[must_use]
    pub fn take_loss(&self, job: Uuid) -> Option<Loss> {
        self.0.state.lock().losses.remove(&job)
    }

    /// The process ends because it was asked to: what it leaves half-way accuses no job.
    pub fn close(&self) {
        let mut state = self.0.state.lock();
        state.holds.clear();
        state.write();
        state.file = None;
    }
}

/// The jobs of a note, where what was found is one.
fn read_note(text: &[u8]) -> Option<Vec<Entry>> {
    let (length, rest) = text.split_at_checked(LENGTH_DIGITS)?;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    serde_json::from_slice(rest.get(..length)?).ok()
}

impl State {
    fn write(&mut self) {
        let entries: Vec<&Entry> = self.holds.values().flatten().collect();
        let Some(file) = &mut self.file else { return };
        let Ok(json) = serde_json::to_string(&entries) else { return };
        let note = format!("{:0LENGTH_DIGITS$}{json}", json.len());
        // A note that cannot be written costs knowledge, not jobs.
        let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(note.as_bytes()));
    }

    fn record(&mut self, job: Uuid, loss: Loss) {
        if self.losses.len() >= MAX_LOSSES {
            self.losses.clear();
        }
        self.losses.entry(job).or_insert(loss);
    }

    fn record_lost(&mut self, ticket: u64) {
        let entries = self.holds.get(&ticket).cloned().unwrap_or_default();
        for (entry, alone) in accused(&entries) {
            self.record(entry.job.id, Loss::Suspect { place: entry.place.clone(), alone });
        }
    }
}

/// The jobs of a note, and whether each was the only one.
pub fn accused(entries: &[Entry]) -> impl Iterator<Item = (&Entry, bool)> {
    let alone = entries.iter().all(|entry| entry.job.id == entries[0].job.id);
    entries.iter().map(move |entry| (entry, alone))
}

/// Jobs in execution, until it is dropped. A panic that drops it counts as the loss of its worker.
#[derive(Debug)]
pub struct HoldGuard {
    journal: Journal,
    ticket: u64,
}

impl HoldGuard {
    /// The worker was lost under way.
    pub fn lose(self) {
        self.journal.0.state.lock().record_lost(self.ticket);
    }
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        let mut state = self.journal.0.state.lock();
        if std::thread::panicking() {
            state.record_lost(self.ticket);
        }
        state.holds.remove(&self.ticket);
        state.is_exclusive = false;
        state.write();
        drop(state);
        self.journal.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u128, place: &str) -> Entry {
        Entry { job: JobRef { id: Uuid::from_u128(n), epoch: 1 }, place: place.to_owned() }
    }

    #[test]
    fn what_was_in_execution_when_a_process_died_is_read_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let both = [entry(1, "decoder 3"), entry(2, "decoder 9")];
        let first = Journal::open(&path).unwrap();
        assert_eq!(first.take_previous(), None, "a new file says nothing");
        drop(first.hold(vec![entry(9, "prior 1")], false));
        // It dies: nothing is dropped that would take the note back.
        std::mem::forget(first.hold(both.to_vec(), false));
        let copy = folder.path().join("left");
        std::fs::copy(&path, &copy).unwrap();
        let next = Journal::open(&copy).unwrap();
        assert_eq!(next.take_previous().as_deref(), Some(&both[..]));
        assert_eq!(next.take_previous(), None);
        drop(next.hold(vec![entry(3, "prior 1")], true));
        drop(next);
        assert_eq!(Journal::open(&copy).unwrap().take_previous(), Some(Vec::new()), "it died while it did nothing");
        // The first one is still in use: another process gets a file of its own.
        assert_eq!(Journal::open(&path).unwrap().take_previous(), None);
        // Asked to stop, it accuses no job.
        first.close();
        assert_eq!(read_note(&std::fs::read(&path).unwrap()), Some(Vec::new()));
    }

    #[test]
    fn an_exclusive_execution_is_alone_and_all_get_a_turn() {
        let journal = Journal::default();
        let running = Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for thread in 0..4_u128 {
                let (journal, running) = (journal.clone(), running.clone());
                scope.spawn(move || {
                    for _ in 0..200 {
                        let hold = journal.hold(vec![entry(thread, "step 1")], thread < 2);
                        running.lock().push(thread);
                        std::thread::yield_now();
                        let mut running = running.lock();
                        assert!(thread >= 2 || running.as_slice() == [thread], "{running:?}");
                        running.retain(|other| *other != thread);
                        drop((running, hold));
                    }
                });
            }
        });
    }

    #[test]
    fn a_lost_worker_accuses_what_it_executed_and_nothing_else() {
        let journal = Journal::default();
        journal.hold(vec![entry(1, "decoder 3"), entry(2, "decoder 4")], false).lose();
        journal.record_lost_worker(&[2, 3].map(Uuid::from_u128));
        journal.record_lost_worker(&[5, 6].map(Uuid::from_u128));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _hold = journal.hold(vec![entry(4, "encode 0")], true);
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        let take = |n: u128| journal.take_loss(Uuid::from_u128(n));
        let suspect = |place: &str, alone| Some(Loss::Suspect { place: place.to_owned(), alone });
        assert_eq!([take(1), take(2)], [suspect("decoder 3", false), suspect("decoder 4", false)]);
        assert_eq!([take(3), take(4), take(4)], [Some(Loss::Innocent), suspect("encode 0", true), None]);
        assert_eq!([take(5), take(6)], [suspect(BETWEEN, false), suspect(BETWEEN, false)], "nothing tells them apart");
    }
}
