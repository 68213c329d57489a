//! A worker's thread: it loads the model, serves, and starts again with a fresh model when it was lost.
//!
//! Invariant: a request that was under way when the worker was lost is told so; one that was still waiting is served by
//! the worker that comes back. A worker that cannot come back closes its door.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;

use super::load::{Ticket, WorkerState};
use super::question::Question;
use super::request::Request;
use super::serve::{Lost, Serving};
use super::{DeviceChoice, EngineConfig, Event, ModelInfo, Order, device};
use crate::domain::{Failure, FailureKind};
use crate::families::kandinsky21::{Kandinsky, LoadOptions};
use crate::metrics::WORKER_RESTARTS;
use crate::tensor::Error;

/// Requests that may wait for a worker.
const WAITING: usize = 64;
/// Questions that may wait for it.
const QUESTIONS: usize = 64;
/// Attempts to load the model again, and the pause before the second one; it doubles.
const RELOADS: u32 = 5;
const RELOAD_PAUSE: Duration = Duration::from_millis(200);

/// A request on its way to a worker.
pub(super) struct Command {
    pub(super) order: Box<Order>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) ticket: Ticket,
}

/// A handle to a worker.
pub(super) struct Worker {
    pub(super) state: Arc<WorkerState>,
    commands: Option<mpsc::Sender<Command>>,
    questions: Option<mpsc::Sender<Question>>,
    thread: Option<JoinHandle<()>>,
}

/// A worker whose model is being loaded.
pub(super) struct Starting {
    worker: Worker,
    ready: oneshot::Receiver<Result<ModelInfo, Error>>,
}

impl Starting {
    /// Wait until the model is resident.
    pub(super) fn wait(self) -> anyhow::Result<(Worker, ModelInfo)> {
        let info =
            self.ready.blocking_recv().map_err(|_| anyhow::anyhow!("a worker died while loading the model"))??;
        Ok((self.worker, info))
    }
}

/// Start a worker for each device.
pub(super) fn start(
    config: &Arc<EngineConfig>,
    report: impl FnMut(&str) + Send + 'static,
) -> std::io::Result<Vec<Starting>> {
    let report = Arc::new(Mutex::new(report));
    let start = |(number, device): (usize, &DeviceChoice)| {
        let (commands, orders) = mpsc::channel(WAITING);
        let (ask, questions) = mpsc::channel(QUESTIONS);
        let inbox = Inbox { orders, questions };
        let (ready, loaded) = oneshot::channel();
        let state = Arc::new(WorkerState::default());
        let report = report.clone();
        let mut thread = Thread { number, device: *device, config: config.clone(), inbox, state: state.clone() };
        let handle = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let mut report = move |component: &str| {
                (report.lock().unwrap_or_else(PoisonError::into_inner))(component);
            };
            thread.run(&mut report, ready);
        })?;
        let worker = Worker { state, commands: Some(commands), questions: Some(ask), thread: Some(handle) };
        Ok(Starting { worker, ready: loaded })
    };
    config.devices.iter().enumerate().map(start).collect()
}

impl Worker {
    /// Put an order into the inbox; it comes back if the inbox is full or closed.
    pub(super) fn offer(
        &self,
        order: Box<Order>,
        events: mpsc::UnboundedSender<Event>,
        cost: u64,
    ) -> Result<(), Box<Order>> {
        let Some(commands) = &self.commands else { return Err(order) };
        let ticket = Ticket::new(&self.state, order.generation.common.n as usize, cost);
        commands.try_send(Command { order, events, ticket }).map_err(|error| match error {
            TrySendError::Full(command) | TrySendError::Closed(command) => command.order,
        })
    }

    /// Where questions are put.
    pub(super) fn questions(&self) -> Option<mpsc::Sender<Question>> {
        self.questions.clone()
    }

    /// Whether it takes requests.
    pub(super) fn is_alive(&self) -> bool {
        self.commands.as_ref().is_some_and(|commands| !commands.is_closed())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Closing the channels ends the loop once it has served what it has.
        (self.commands, self.questions) = (None, None);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a worker panicked");
        }
    }
}

struct Thread {
    number: usize,
    device: DeviceChoice,
    config: Arc<EngineConfig>,
    inbox: Inbox,
    state: Arc<WorkerState>,
}

/// What comes to a worker.
pub(super) struct Inbox {
    pub(super) orders: mpsc::Receiver<Command>,
    /// Apart from orders, which stay where they are while the worker has its fill of them.
    pub(super) questions: mpsc::Receiver<Question>,
}

/// The next thing to do for a worker without pictures.
pub(super) enum Incoming {
    Order(Command),
    Question(Question),
}

impl Inbox {
    /// Wait for either; None: nobody can send any more.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        tokio::select! {
            biased;
            Some(question) = self.questions.recv() => Some(Incoming::Question(question)),
            order = self.orders.recv() => order.map(Incoming::Order),
        }
    }
}

/// How a life of the worker ended.
enum End {
    /// All was served and nobody can send more.
    Finished,
    /// The model could not be loaded.
    Unloadable(Error),
    /// It was lost under way.
    Lost,
}

impl Thread {
    fn run(&mut self, report: &mut (dyn FnMut(&str) + Send), ready: oneshot::Sender<Result<ModelInfo, Error>>) {
        let mut ready = Some(ready);
        let mut requests: Vec<Request> = Vec::new();
        let mut failures = 0;
        loop {
            let mut loaded = false;
            let end = self.live(
                &mut requests,
                &mut |model| {
                    loaded = true;
                    if let Some(ready) = ready.take() {
                        // Nobody to tell is the same as nobody to send requests.
                        let _ = ready.send(Ok(model));
                    }
                },
                report,
            );
            if loaded {
                failures = 0;
            }
            match end {
                End::Finished => return,
                End::Unloadable(error) => {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(Err(error));
                        return;
                    }
                    failures += 1;
                    tracing::error!(worker.number = self.number, %error, "the model cannot be loaded again");
                }
                End::Lost => {
                    for request in requests.drain(..) {
                        request.fail(lost());
                    }
                    if ready.is_some() {
                        return;
                    }
                    tracing::error!(worker.number = self.number, "worker lost; loading the model again");
                    WORKER_RESTARTS.add(1, [&self.number.to_string()]);
                    self.state.lost();
                    if !loaded {
                        failures += 1;
                    }
                }
            }
            if failures >= RELOADS {
                tracing::error!(worker.number = self.number, "worker given up");
                return self.close();
            }
            if failures > 0 {
                std::thread::sleep(RELOAD_PAUSE * 2_u32.pow(failures - 1));
            }
        }
    }

    /// Load the model and serve until the channel closes or the worker is lost.
    fn live(
        &mut self,
        requests: &mut Vec<Request>,
        loaded: &mut (dyn FnMut(ModelInfo) + Send),
        report: &mut (dyn FnMut(&str) + Send),
    ) -> End {
        let (config, number, device, state) = (self.config.clone(), self.number, self.device, self.state.clone());
        let inbox = &mut self.inbox;
        let life = AssertUnwindSafe(|| {
            let compute = match device::compute(device, config.dtype, config.backend) {
                Ok(compute) => compute,
                Err(error) => return End::Unloadable(error),
            };
            tracing::info!(worker.number = number, backend.name = compute.backend().name(), "backend chosen");
            let on_cpu = compute.device().is_cpu();
            let mut life = || {
                let options = LoadOptions { inpainting: config.inpainting, ..LoadOptions::default() };
                let model = match Kandinsky::load(&config.checkpoint, &compute, options, report) {
                    Ok(model) => model,
                    Err(error) => return End::Unloadable(error),
                };
                loaded(ModelInfo::new(&model, config.inpainting));
                state.back();
                match Serving::new(model, number, &config, &state, inbox, requests).map(Serving::serve) {
                    Ok(Ok(())) => End::Finished,
                    Ok(Err(Lost)) => End::Lost,
                    Err(error) => {
                        tracing::error!(worker.number = number, %error, "a worker cannot wait for requests");
                        End::Lost
                    }
                }
            };
            // On the CPU the loop itself is one of the threads that compute: handing every layer from a thread outside
            // to the pool and back costs more than the small layers themselves.
            match if on_cpu { device::threads(&config.devices, number) } else { None } {
                Some(pool) => pool.install(life),
                None => life(),
            }
        });
        catch_unwind(life).unwrap_or(End::Lost)
    }

    /// Take no more, and tell those who wait.
    fn close(&mut self) {
        self.inbox.orders.close();
        self.inbox.questions.close();
        while let Ok(command) = self.inbox.orders.try_recv() {
            let _ = command.events.send(Event::Failed(lost()));
        }
        // Whoever asked hears of it by the end of the channel.
        while self.inbox.questions.try_recv().is_ok() {}
    }
}

fn lost() -> Failure {
    Failure::new(FailureKind::Lost, "the worker was lost")
}
