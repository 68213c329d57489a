//! What several processes on the same NATS servers tell each other. Runs where KANDINSKY_TEST_NATS_URL names one (`.ci/fleet`).

use std::sync::Arc;
use std::time::Duration;

use kandinsky::broker::{
    Broker, Claimed, JobEvent, NatsConfig, NumberedEvent, QueuedWork, Room, Subscription, WorkerReport, WorkerState,
    connect_nats, read_fleet,
};
use kandinsky::domain::Priority;
use uuid::Uuid;

use crate::contract::{Fixture, LEASE, WIDE};
use crate::service::{PATIENCE, eventually};

fn config(url: &str, prefix: &str, process: &str) -> NatsConfig {
    NatsConfig {
        url: url.to_owned().into(),
        credentials: None,
        prefix: prefix.to_owned(),
        replicas: 1,
        model: "double".to_owned(),
        process: process.to_owned(),
        host: "host".to_owned(),
        lease: LEASE,
        accepts: true,
    }
}

/// An API node with its store, and the way to further processes beside it.
struct Fleet {
    node: Fixture,
    url: String,
    prefix: String,
}

impl Fleet {
    async fn start() -> Option<Self> {
        let url = std::env::var("KANDINSKY_TEST_NATS_URL").ok()?;
        let prefix = Uuid::new_v4().simple().to_string();
        let first = config(&url, &prefix, "node");
        let node = Fixture::new(async |store, clock| connect_nats(first, store, clock).await.unwrap()).await;
        Some(Self { node, url, prefix })
    }

    async fn join(&self, process: &str) -> Arc<dyn Broker> {
        let config = config(&self.url, &self.prefix, process);
        connect_nats(config, self.node.ledger.clone(), self.node.clock.clone()).await.unwrap()
    }
}

fn progress(step: usize) -> JobEvent {
    JobEvent::Progress { stage: "decoder", step, steps: 9, percent: 0.0, eta_ms: 0 }
}

async fn next(events: &mut Subscription) -> Option<Arc<NumberedEvent>> {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("no event comes")
}

async fn next_step(events: &mut Subscription) -> (usize, u64) {
    loop {
        let event = next(events).await.expect("the events end");
        match event.event {
            JobEvent::Progress { step, .. } => return (step, event.number),
            JobEvent::Queued { .. } | JobEvent::Preview { .. } => {}
            JobEvent::Ended { .. } => panic!("it ends"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_a_listener_that_moves_misses_nothing_and_hears_nothing_twice() {
    let Some(fleet) = Fleet::start().await else { return };
    let node = &fleet.node;
    let (worker, second) = (fleet.join("worker").await, fleet.join("second").await);
    let mut all = second.events().watch_owner(Some("owner"), None);
    let id = node.publish(1, 1, true).await;
    let mut first = node.broker.events().watch(id, 0).unwrap();
    let claim = loop {
        if let Some(Claimed::Job(claim)) = worker.claim(WIDE).await.unwrap() {
            break claim;
        }
    };
    worker.events().announce(id, progress(1));
    let (step, seen) = next_step(&mut first).await;
    assert_eq!(step, 1);
    drop(first);

    // What happens while nobody listens is told at another node, but for previews.
    worker.events().announce(id, progress(2));
    worker.events().announce(id, JobEvent::Preview { index: 0, step: 2, png: Arc::new(vec![1, 2, 3]) });
    // It hears of all that was sent before, so it is kept, too.
    while next_step(&mut all).await.0 < 2 {}
    let mut moved = second.events().watch(id, seen).unwrap();
    let (step, told) = next_step(&mut moved).await;
    assert!(step == 2 && told > seen, "{step} {told} {seen}");
    worker.events().announce(id, progress(3));
    let (step, last) = next_step(&mut moved).await;
    assert!(step == 3 && last > told);
    // Who has seen the last event hears it at no other node again.
    let third = fleet.join("third").await;
    let mut idle = third.events().watch(id, last).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), idle.next()).await.is_err());

    node.clock.advance(Duration::from_secs(1));
    let outcome = kandinsky::domain::Outcome::Canceled;
    let now = kandinsky::clock::Clock::now_ms(&*node.clock);
    let end = kandinsky::store::JobEnd { outcome: &outcome, deliveries: &[], finished_at: now, expires_at: now + 1 };
    assert!(worker.acknowledge(&claim, &end).await.unwrap());
    let job = Arc::new(kandinsky::store::JobStore::get(&*node.ledger, id).await.unwrap().unwrap());
    worker.events().announce(id, JobEvent::Ended { job, files: None });
    let mut ends = Vec::new();
    for listener in [&mut moved, &mut idle] {
        let end = next(listener).await.unwrap();
        assert!(matches!(end.event, JobEvent::Ended { .. }) && end.number > last);
        assert!(next(listener).await.is_none());
        ends.push(end.number);
    }
    // At a node that knows nothing yet: by one who missed the end, and by one who has seen it.
    let late = fleet.join("late").await;
    let mut missed = late.events().watch(id, last).unwrap();
    assert_eq!(next(&mut missed).await.unwrap().number, ends[0]);
    let mut owner = late.events().watch_owner(Some("owner"), Some(last));
    let end = next(&mut owner).await.unwrap();
    assert!(end.job == id && matches!(end.event, JobEvent::Ended { .. }));
    let other = fleet.join("other").await;
    let mut seen = other.events().watch(id, ends[0]).unwrap();
    assert!(next(&mut seen).await.is_none(), "it has seen the end");
    let mut owner = other.events().watch_owner(Some("owner"), Some(end.number));
    assert!(tokio::time::timeout(Duration::from_millis(300), owner.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_a_worker_without_room_leaves_what_comes_to_others() {
    let Some(fleet) = Fleet::start().await else { return };
    let join = async |process| {
        let config = NatsConfig { lease: Duration::from_mins(10), ..config(&fleet.url, &fleet.prefix, process) };
        connect_nats(config, fleet.node.ledger.clone(), fleet.node.clock.clone()).await.unwrap()
    };
    let publish = async |priority| {
        let (id, work) = fleet.node.insert(1, 1, true).await;
        fleet.node.broker.publish(QueuedWork { priority, ..work }).await.unwrap();
        id
    };
    let claim = async |worker: &Arc<dyn Broker>, room| {
        let wait = async {
            loop {
                if let Some(Claimed::Job(claim)) = worker.claim(room).await.unwrap() {
                    return claim.job.id;
                }
                worker.work_available().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("nothing comes")
    };
    // An idle one waits at all queues, gets a job of one of them, and is full.
    let small = join("small").await;
    assert!(small.claim(Room { free: 1, total: 1 }).await.unwrap().is_none());
    let high = publish(Priority::High).await;
    assert_eq!(claim(&small, Room { free: 1, total: 1 }).await, high);
    // Another one, which has less to say since it works already, waits for what comes in the others.
    let large = join("large").await;
    assert!(large.claim(Room { free: 1, total: 4 }).await.unwrap().is_none());
    let normal = publish(Priority::Normal).await;
    let refuse = async {
        loop {
            assert!(small.claim(Room { free: 0, total: 1 }).await.unwrap().is_none());
            small.work_available().await;
        }
    };
    tokio::select! {
        () = refuse => {}
        claimed = claim(&large, Room { free: 1, total: 4 }) => assert_eq!(claimed, normal),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_workers_tell_how_they_get_on() {
    let Some(fleet) = Fleet::start().await else { return };
    let worker = fleet.join("worker").await;
    let report = WorkerReport {
        state: WorkerState::Ready,
        version: "1.2.3".to_owned(),
        model: "double".to_owned(),
        devices: "cpu".to_owned(),
        jobs: 1,
        images: 2,
        room: 4,
        cost_per_ms: Some(12.5),
        claimed: 7,
        redelivered: 1,
        fenced: 0,
        uptime_s: 9,
    };
    worker.report(Some(report.clone())).await;
    let known = |broker: &Arc<dyn Broker>| broker.fleet().unwrap().workers;
    eventually(async || known(&fleet.node.broker).len() == 1).await;
    let told = known(&fleet.node.broker).remove(0);
    assert_eq!((told.id.as_str(), told.host.as_str(), &told.report), ("worker", "host", &report));
    // A process that comes later need not wait for the next report.
    let late = fleet.join("late").await;
    eventually(async || known(&late).len() == 1).await;

    // What a person sees who takes no part: workers, and jobs by queues.
    let (running, _) = (fleet.node.publish(1, 1, true).await, fleet.node.publish(2, 1, true).await);
    let claim = fleet.node.claim(WIDE).await.unwrap();
    assert_eq!(claim.job.id, running);
    let (workers, queues) = read_fleet(config(&fleet.url, &fleet.prefix, "person")).await.unwrap();
    assert_eq!(workers.iter().map(|worker| worker.id.as_str()).collect::<Vec<_>>(), ["worker"]);
    let full: Vec<_> = queues.iter().filter(|queue| queue.waiting + queue.in_flight > 0).collect();
    assert_eq!(full.len(), 1, "{queues:?}");
    assert_eq!((full[0].model.as_str(), full[0].waiting, full[0].in_flight), ("double", 1, 1));
    read_fleet(config(&fleet.url, "nothing", "person")).await.expect_err("nothing is made under another prefix");

    worker.report(None).await;
    eventually(async || known(&fleet.node.broker).is_empty() && known(&late).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_a_node_knows_where_jobs_wait_that_are_listened_to_there() {
    let Some(fleet) = Fleet::start().await else { return };
    let (node, second) = (&fleet.node, fleet.join("second").await);
    let (first, low) = (node.publish(1, 1, true).await, node.publish(2, 1, true).await);
    let _listener = second.events().watch(low, 0).unwrap();
    eventually(async || {
        let places = second.places();
        places.iter().any(|place| (place.job, place.position, place.cost_before, place.cost) == (low, 1, 10, 10))
            && !places.iter().any(|place| place.job == first)
    })
    .await;
    // Listeners hear of it until the job has begun.
    let mut events = second.events().watch(low, 0).unwrap();
    let place = |position| JobEvent::Queued { position, eta_ms: 0 };
    second.events().tell_place(low, place(7));
    while !matches!(next(&mut events).await.unwrap().event, JobEvent::Queued { position: 7, .. }) {}
    let worker = fleet.join("worker").await;
    worker.events().open(low, "owner");
    node.clock.advance(Duration::from_secs(1));
    worker.events().announce(low, progress(1));
    let (_, number) = next_step(&mut events).await;
    second.events().tell_place(low, place(0));
    worker.events().announce(low, progress(2));
    let event = next(&mut events).await.unwrap();
    assert!(event.number > number && matches!(event.event, JobEvent::Progress { step: 2, .. }), "{event:?}");
}
