//! Random sequences of operations, on the store and on a model of it that fits on a page; both must say the same.

use std::collections::BTreeMap;

use kandinsky::domain::{JobState, Outcome};
use kandinsky::records::Job;
use kandinsky::store::{InsertOutcome, JobFilter, Lease, NewDelivery, RecoveryPolicy};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use crate::harness::{Store, StoreExt, delivery, failure, id, job, key, lease, recovery};

/// Numbers choose among the jobs there ever were.
#[derive(Debug, Clone)]
enum Op {
    Insert { durable: bool, key: Option<(u8, u8)>, holder: u8, lasts: i64 },
    Claim { job: usize, worker: u8, lasts: i64 },
    Heartbeat { worker: u8, lasts: i64 },
    Finish { job: usize, stale: bool, succeeds: bool },
    Release { job: usize, stale: bool, lost: bool },
    Cancel { job: usize },
    Recover,
    Delete { job: usize },
    PurgeExpired,
    Forget,
    Due { lasts: i64, limit: u32 },
    Delivered { delivery: usize },
    DeliveryFailed { delivery: usize, again: Option<i64> },
}

fn op() -> impl Strategy<Value = Op> {
    let job = 0..usize::MAX;
    let lasts = 0..60_i64;
    prop_oneof![
        4 => (any::<bool>(), prop::option::of((0..2_u8, 0..2_u8)), 0..2_u8, lasts.clone())
            .prop_map(|(durable, key, holder, lasts)| Op::Insert { durable, key, holder, lasts }),
        6 => (job.clone(), 0..2_u8, lasts.clone()).prop_map(|(job, worker, lasts)| Op::Claim { job, worker, lasts }),
        2 => (0..2_u8, lasts.clone()).prop_map(|(worker, lasts)| Op::Heartbeat { worker, lasts }),
        4 => (job.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(job, stale, succeeds)| Op::Finish { job, stale, succeeds }),
        2 => (job.clone(), any::<bool>(), any::<bool>()).prop_map(|(job, stale, lost)| Op::Release { job, stale, lost }),
        2 => job.clone().prop_map(|job| Op::Cancel { job }),
        3 => Just(Op::Recover),
        1 => job.clone().prop_map(|job| Op::Delete { job }),
        1 => Just(Op::PurgeExpired),
        1 => Just(Op::Forget),
        2 => (lasts.clone(), 1..4_u32).prop_map(|(lasts, limit)| Op::Due { lasts, limit }),
        1 => job.clone().prop_map(|delivery| Op::Delivered { delivery }),
        1 => (job, prop::option::of(lasts)).prop_map(|(delivery, again)| Op::DeliveryFailed { delivery, again }),
    ]
}

#[derive(Debug, Clone)]
struct Entry {
    state: JobState,
    durable: bool,
    epoch: i64,
    losses: i64,
    lease: Option<Lease>,
    wish: bool,
    expires_at: Option<i64>,
    purged: bool,
    key: Option<(String, String)>,
    failure: Option<String>,
}

#[derive(Debug)]
struct Told {
    job: Uuid,
    attempts: u32,
    created_at: i64,
    due_at: Option<i64>,
}

#[derive(Debug, Default)]
struct Model {
    jobs: BTreeMap<Uuid, Entry>,
    outbox: BTreeMap<String, Told>,
    /// All that ever were.
    ids: Vec<Uuid>,
    messages: Vec<String>,
    now: i64,
}

fn worker(n: u8) -> String {
    format!("worker-{n}")
}

impl Model {
    fn id(&self, n: usize) -> Uuid {
        if self.ids.is_empty() { id(999_999) } else { self.ids[n % self.ids.len()] }
    }

    fn message(&self, n: usize) -> String {
        if self.messages.is_empty() { "msg_none".to_owned() } else { self.messages[n % self.messages.len()].clone() }
    }

    fn epoch(&self, id: Uuid, stale: bool) -> i64 {
        self.jobs.get(&id).map_or(1, |entry| entry.epoch - i64::from(stale))
    }

    fn tell(&mut self, job: Uuid, message: String) {
        let told = Told { job, attempts: 0, created_at: self.now, due_at: Some(self.now) };
        self.messages.push(message.clone());
        self.outbox.insert(message, told);
    }

    fn end(&mut self, id: Uuid, state: JobState, expires_at: i64, failure: Option<&str>) {
        let entry = self.jobs.get_mut(&id).unwrap();
        (entry.state, entry.lease, entry.expires_at) = (state, None, Some(expires_at));
        entry.failure = failure.map(str::to_owned);
    }

    fn running(&self, id: Uuid, epoch: i64) -> bool {
        self.jobs.get(&id).is_some_and(|entry| entry.state == JobState::Running && entry.epoch == epoch)
    }

    fn has_succeeded(&self, id: Uuid, epoch: i64) -> bool {
        self.jobs.get(&id).is_some_and(|entry| entry.state == JobState::Succeeded && entry.epoch == epoch)
    }

    fn requeue(&mut self, id: Uuid, lost: bool) {
        let entry = self.jobs.get_mut(&id).unwrap();
        entry.state = JobState::Queued;
        entry.losses += i64::from(lost);
        entry.lease.take_if(|_| entry.durable);
    }

    /// What `op` is to answer, the `n`th one.
    fn apply(&mut self, op: &Op, n: u64) -> String {
        let now = self.now;
        match op {
            Op::Insert { durable, key, holder, lasts } => {
                let key = key.map(|(key, fingerprint)| (key.to_string(), fingerprint.to_string()));
                if let Some((word, fingerprint)) = &key {
                    let known = self.jobs.iter_mut().find(|(_, e)| e.key.as_ref().is_some_and(|key| key.0 == *word));
                    if let Some((id, entry)) = known {
                        if entry.state == JobState::Canceled || entry.wish && !entry.state.is_final() {
                            entry.key = None;
                        } else if entry.key.as_ref().unwrap().1 == *fingerprint {
                            return format!("existing {id}");
                        } else {
                            return "conflict".to_owned();
                        }
                    }
                }
                let entry = Entry {
                    state: JobState::Queued,
                    durable: *durable,
                    epoch: 0,
                    losses: 0,
                    lease: (!durable).then(|| lease(&worker(*holder), now + lasts)),
                    wish: false,
                    expires_at: None,
                    purged: false,
                    key,
                    failure: None,
                };
                self.jobs.insert(id(n), entry);
                self.ids.push(id(n));
                "new".to_owned()
            }
            Op::Claim { job, worker: by, lasts } => {
                let id = self.id(*job);
                let Some(entry) = self.jobs.get_mut(&id).filter(|e| e.state == JobState::Queued) else {
                    return "None".to_owned();
                };
                (entry.state, entry.lease) = (JobState::Running, Some(lease(&worker(*by), now + lasts)));
                entry.epoch += 1;
                format!("Some({})", entry.epoch)
            }
            Op::Heartbeat { worker: by, lasts } => {
                let mut wishes = Vec::new();
                for (id, entry) in &mut self.jobs {
                    if let Some(held) = entry.lease.as_mut().filter(|held| held.worker == worker(*by)) {
                        held.until = now + lasts;
                        wishes.extend(entry.wish.then_some(*id));
                    }
                }
                format!("{wishes:?}")
            }
            Op::Finish { job, stale, succeeds } => {
                let id = self.id(*job);
                let epoch = self.epoch(id, *stale);
                let (done, again) = (self.running(id, epoch), *succeeds && self.has_succeeded(id, epoch));
                if done {
                    let failure = (!succeeds).then_some("no");
                    let state = if *succeeds { JobState::Succeeded } else { JobState::Failed };
                    self.end(id, state, now + 30, failure);
                    self.tell(id, format!("msg_end-{n}"));
                }
                (done || again).to_string()
            }
            Op::Release { job, stale, lost } => {
                let id = self.id(*job);
                let done = self.running(id, self.epoch(id, *stale));
                if done {
                    self.requeue(id, *lost);
                }
                done.to_string()
            }
            Op::Cancel { job } => {
                let id = self.id(*job);
                let Some(entry) = self.jobs.get_mut(&id) else { return "Unknown".to_owned() };
                match entry.state {
                    JobState::Queued => {
                        entry.wish = true;
                        self.end(id, JobState::Canceled, now + 30, None);
                        self.tell(id, format!("msg_end-{n}"));
                        "Canceled".to_owned()
                    }
                    JobState::Running => {
                        entry.wish = true;
                        "Requested".to_owned()
                    }
                    ended => format!("Ended({ended:?})"),
                }
            }
            Op::Recover => {
                let held = |entry: &Entry| entry.lease.as_ref().is_some_and(|lease| lease.until < now);
                let lost: Vec<Uuid> = self.jobs.iter().filter(|(_, e)| held(e)).map(|(id, _)| *id).collect();
                let mut failed = Vec::new();
                for id in &lost {
                    let entry = &self.jobs[id];
                    let why = match (entry.durable, entry.losses + 1 >= recovery(now).most_losses) {
                        (true, false) => {
                            self.requeue(*id, true);
                            continue;
                        }
                        (true, true) => "poisonous",
                        (false, _) => "abandoned",
                    };
                    self.end(*id, JobState::Failed, now + 30, Some(why));
                    self.tell(*id, format!("msg_{id}"));
                    failed.push(*id);
                }
                format!("{} again, failed {failed:?}", lost.len() - failed.len())
            }
            Op::Delete { job } => {
                let id = self.id(*job);
                self.outbox.retain(|_, told| told.job != id);
                format!("{:?}", self.jobs.remove(&id).map(|entry| entry.state))
            }
            Op::PurgeExpired => {
                let mut expired = Vec::new();
                for (id, entry) in &mut self.jobs {
                    if entry.expires_at.is_some_and(|at| at < now) && !entry.purged {
                        entry.purged = true;
                        expired.push(*id);
                    }
                }
                format!("{expired:?}")
            }
            Op::Forget => {
                let gone = |entry: &Entry| entry.purged && entry.expires_at.is_some_and(|at| at < now - 20);
                let before = self.jobs.len();
                self.jobs.retain(|_, entry| !gone(entry));
                self.outbox.retain(|_, told| self.jobs.contains_key(&told.job));
                (before - self.jobs.len()).to_string()
            }
            Op::Due { lasts, limit } => {
                let mut due: Vec<_> =
                    self.outbox.iter_mut().filter(|(_, told)| told.due_at.is_some_and(|at| at <= now)).collect();
                // An attempt that was made counts like a minute less of age.
                due.sort_by_key(|(id, told)| (told.created_at + i64::from(told.attempts) * 60_000, (*id).clone()));
                due.truncate(*limit as usize);
                due.sort_by_key(|(id, told)| (told.created_at, (*id).clone()));
                let mut answers = Vec::new();
                for (id, told) in due {
                    answers.push((id.clone(), told.attempts));
                    told.attempts += 1;
                    told.due_at = Some(now + lasts);
                }
                format!("{answers:?}")
            }
            Op::Delivered { delivery } => {
                self.outbox.remove(&self.message(*delivery));
                String::new()
            }
            Op::DeliveryFailed { delivery, again } => {
                let message = self.message(*delivery);
                if let Some(told) = self.outbox.get_mut(&message) {
                    told.due_at = again.map(|again| now + again);
                }
                String::new()
            }
        }
    }

    /// All jobs, newest first.
    fn listing(&self) -> String {
        let all = self.jobs.iter().rev();
        let all = all.map(|(id, e)| (id, e.state, e.durable, e.epoch, e.wish, e.expires_at, e.failure.clone()));
        format!("{:?}", all.collect::<Vec<_>>())
    }
}

/// What the store answers to the same; `model` is as it was before.
async fn apply(store: &Store, model: &Model, op: &Op, n: u64) -> String {
    let now = model.now;
    match op {
        Op::Insert { durable, key: word, holder, lasts } => {
            let job = Job { durable: *durable, ..job(n) };
            let key = word.map(|(word, fingerprint)| key(&word.to_string(), &fingerprint.to_string()));
            match store.insert(&job, key.as_ref(), Some(&lease(&worker(*holder), now + lasts))).await.unwrap() {
                InsertOutcome::New => "new".to_owned(),
                InsertOutcome::Existing(job) => format!("existing {}", job.id),
                InsertOutcome::Conflict => "conflict".to_owned(),
                InsertOutcome::OverQuota => "over the quota".to_owned(),
                InsertOutcome::OverJobs => "too many jobs".to_owned(),
            }
        }
        Op::Claim { job, worker: by, lasts } => {
            let claimed = store.claim(model.id(*job), &lease(&worker(*by), now + lasts), now).await.unwrap();
            format!("{:?}", claimed.map(|job| job.epoch))
        }
        Op::Heartbeat { worker: by, lasts } => {
            let mut wishes = store.extend_leases(&lease(&worker(*by), now + lasts)).await.unwrap();
            wishes.sort();
            format!("{wishes:?}")
        }
        Op::Finish { job, stale, succeeds } => {
            let id = model.id(*job);
            let outcome = if *succeeds { crate::harness::success() } else { Outcome::Failed(failure("no")) };
            let told = [delivery(&format!("end-{n}"))];
            store.end(id, model.epoch(id, *stale), &outcome, &told, now, now + 30).await.unwrap().to_string()
        }
        Op::Release { job, stale, lost } => {
            let id = model.id(*job);
            store.release(id, model.epoch(id, *stale), *lost).await.unwrap().to_string()
        }
        Op::Cancel { job } => {
            let told = [delivery(&format!("end-{n}"))];
            format!("{:?}", store.cancel(model.id(*job), &told, now, now + 30).await.unwrap())
        }
        Op::Recover => {
            let recovery = RecoveryPolicy { expires_at: now + 30, ..recovery(now) };
            let announce = |job: &Job, _: &_| -> Vec<NewDelivery> { vec![delivery(&job.id.to_string())] };
            let report = store.recover(now, &recovery, &announce).await.unwrap();
            assert!(report.failed.iter().all(|job| job.state == JobState::Failed && job.finished_at == Some(now)));
            let mut failed: Vec<Uuid> = report.failed.iter().map(|job| job.id).collect();
            failed.sort();
            format!("{} again, failed {failed:?}", report.requeued)
        }
        Op::Delete { job } => format!("{:?}", store.delete(model.id(*job)).await.unwrap()),
        Op::PurgeExpired => {
            let mut expired = store.list_expired(now, 1000).await.unwrap();
            store.mark_purged(&expired).await.unwrap();
            expired.sort();
            format!("{expired:?}")
        }
        Op::Forget => store.delete_expired(now - 20).await.unwrap().to_string(),
        Op::Due { lasts, limit } => {
            let due = store.lease_due_deliveries(now, now + lasts, *limit).await.unwrap();
            format!("{:?}", due.into_iter().map(|told| (told.id, told.attempts)).collect::<Vec<_>>())
        }
        Op::Delivered { delivery } => {
            store.complete_delivery(&model.message(*delivery)).await.unwrap();
            String::new()
        }
        Op::DeliveryFailed { delivery, again } => {
            store.postpone_delivery(&model.message(*delivery), again.map(|again| now + again)).await.unwrap();
            String::new()
        }
    }
}

async fn listing(store: &Store) -> (String, Vec<Uuid>) {
    let filter = JobFilter { owner: Some("owner".to_owned()), limit: 10_000, ..JobFilter::default() };
    let jobs = store.list(&filter).await.unwrap();
    let seen = jobs.iter().map(|job| {
        let why = job.failure.as_ref().map(|failure| failure.message.clone());
        (job.id, job.state, job.durable, job.epoch, job.cancel_requested, job.expires_at, why)
    });
    (format!("{:?}", seen.collect::<Vec<_>>()), jobs.iter().map(|job| job.id).collect())
}

/// One sequence, from an empty store.
async fn agree(store: &Store, ops: &[(Op, i64)]) -> Result<(), TestCaseError> {
    for id in listing(store).await.1 {
        store.delete(id).await.unwrap();
    }
    let mut model = Model { now: 1000, ..Model::default() };
    for (n, (op, later)) in ops.iter().enumerate() {
        model.now += later;
        let answer = apply(store, &model, op, n as u64).await;
        prop_assert_eq!(answer, model.apply(op, n as u64), "answer to operation {}: {:?}", n, op);
        prop_assert_eq!(listing(store).await.0, model.listing(), "after operation {}: {:?}", n, op);
    }
    Ok(())
}

pub async fn the_store_agrees_with_a_model_of_it(store: Store) {
    let sequences = prop::collection::vec((op(), 0..25_i64), 1..60);
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| runner.run(&sequences, |ops| handle.block_on(agree(&store, &ops)))).unwrap();
}
