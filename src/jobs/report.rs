//! Tells the other processes of a fleet how this one gets on, and takes from them how fast all are.
//!
//! Invariant: it decides nothing about a job; without it estimates are worse, and that is all.

use std::sync::Arc;

use super::policy::Speed;
use super::state::State;
use crate::broker::{REPORT_INTERVAL, WorkerReport, WorkerState};
use crate::metrics;

/// Report until the service closes. Where there is no other process, nothing is told.
pub(super) async fn report_regularly(state: Arc<State>) {
    if state.broker.shares_memory() {
        return;
    }
    let mut tick = tokio::time::interval(REPORT_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = state.closed.cancelled() => return state.broker.report(None).await,
            _ = tick.tick() => state.report().await,
        }
    }
}

impl State {
    /// Tell the others how this process gets on, if it works.
    pub(super) async fn report(&self) {
        if !self.config.role.works() {
            return;
        }
        let done = self.tally.read();
        let report = WorkerReport {
            state: match (self.is_draining(), self.storage.is_closed()) {
                (true, _) => WorkerState::Draining,
                (false, true) => WorkerState::Paused,
                (false, false) => WorkerState::Ready,
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.generator.model_name().to_owned(),
            devices: self.generator.devices(),
            jobs: self.claims.lock().len() as u64,
            images: self.in_flight.images(),
            room: self.total_room(),
            cost_per_ms: self.rate.lock().measured(),
            claimed: done.claimed,
            redelivered: done.redelivered,
            fenced: done.fenced,
            uptime_s: done.uptime.as_secs(),
        };
        self.broker.report(Some(report)).await;
    }

    /// Take over how fast the fleet is, and how much of the bounds its other processes use.
    pub(super) fn look_at_fleet(&self) {
        let Some(fleet) = self.broker.fleet() else { return };
        let guess = self.rate.lock().per_ms();
        *self.fleet_speed.lock() = Some(Speed::of_fleet(&fleet.workers, self.generator.model_name(), guess));
        if let Some(backlog) = fleet.backlog {
            self.admission.note_total(backlog.queued + backlog.running, backlog.queued_cost + backlog.running_cost);
        }
    }

    /// Publish the state of the fleet as metrics; of one that this process does not look at, nothing.
    pub(super) fn measure_fleet(&self) {
        let Some(fleet) = self.broker.fleet() else { return };
        let Some(backlog) = fleet.backlog else { return };
        metrics::FLEET_JOBS.set(backlog.queued, ["queued"]);
        metrics::FLEET_JOBS.set(backlog.running, ["running"]);
        metrics::FLEET_COST.set(backlog.queued_cost + backlog.running_cost, []);
        for state in WorkerState::ALL {
            let workers = fleet.workers.iter().filter(|worker| worker.report.state == state).count();
            metrics::FLEET_WORKERS.set(workers as u64, [state.name()]);
        }
    }
}
