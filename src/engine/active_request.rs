//! A request in flight: who listens, how far its images are, and where its time went.
//!
//! Invariants: it ends with exactly one of `Done` and `Failed`; progress within a stage never goes back, whatever order
//! its images are stepped in.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::event::{Event, StageTimes};
use super::load::LoadGuard;
use super::request::Caution;
use crate::diffusion::{SampleState, StageInfo};
use crate::domain::{Failure, Image};
use crate::journal::JobRef;

/// What a request is made of when a worker begins with it.
pub(super) struct NewRequest {
    pub(super) id: u64,
    /// Whose it is, by name and as the planner counts owners.
    pub(super) owner: (String, u64),
    /// Number of its images.
    pub(super) images: usize,
    pub(super) preview_interval: usize,
    /// For logs.
    pub(super) label: String,
    pub(super) events: UnboundedSender<Event>,
    pub(super) load: LoadGuard,
    /// The stages of the model.
    pub(super) stages: &'static [StageInfo],
    pub(super) job: Option<JobRef>,
    pub(super) caution: Option<Caution>,
}

/// A request with images still to come.
pub(super) struct ActiveRequest {
    pub(super) id: u64,
    pub(super) owner: (String, u64),
    pub(super) preview_interval: usize,
    pub(super) label: String,
    pub(super) job: Option<JobRef>,
    pub(super) caution: Option<Caution>,
    /// Since when it waits at the place of its caution.
    waits_since: Option<Instant>,
    events: UnboundedSender<Event>,
    load: Option<LoadGuard>,
    stages: &'static [StageInfo],
    images: Vec<ImageProgress>,
    /// The stage of the image that is furthest behind.
    stage: usize,
    /// Since when its time counts for that stage.
    since: Instant,
    /// Time in each stage.
    spent: Vec<Duration>,
}

/// How far an image is.
#[derive(Clone)]
struct ImageProgress {
    /// `None`: finished.
    stage: Option<usize>,
    /// Steps taken and steps in all of each stage it has been in.
    steps: Vec<(usize, usize)>,
}

impl ActiveRequest {
    /// A request that a worker begins with.
    pub(super) fn start(new: NewRequest) -> Self {
        let NewRequest { id, owner, images, preview_interval, label, events, load, stages, job, caution } = new;
        let progress = ImageProgress { stage: Some(0), steps: vec![(0, 0); stages.len()] };
        let request = Self {
            id,
            owner,
            preview_interval,
            label,
            job,
            caution,
            waits_since: None,
            events,
            load: Some(load),
            stages,
            images: vec![progress; images],
            stage: 0,
            since: Instant::now(),
            spent: vec![Duration::ZERO; stages.len()],
        };
        request.send(Event::Started);
        request
    }

    /// Whether its receiver is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Whether it has to wait before it is executed at this place.
    pub(super) fn waits_at(&mut self, place: &str, now: Instant) -> bool {
        let Some(caution) = &self.caution else { return false };
        if caution.place.as_deref() != Some(place) {
            return false;
        }
        now.duration_since(*self.waits_since.get_or_insert(now)) < caution.pause
    }

    /// Record how far image `index` is.
    pub(super) fn record_progress(&mut self, index: usize, state: &SampleState) {
        let stage = state.key.stage;
        let Some(image) = self.images.get_mut(index).filter(|image| stage < image.steps.len()) else { return };
        for (step, steps) in &mut image.steps[..stage] {
            *step = *steps;
        }
        image.steps[stage] = (state.step, state.steps);
        image.stage = Some(stage);
    }

    /// Send how far the images together are in the stage of the one that is furthest behind.
    pub(super) fn send_progress(&mut self) {
        let Some(stage) = self.images.iter().filter_map(|image| image.stage).min() else { return };
        self.enter(stage);
        let each = self.images.iter().map(|image| image.steps[stage]);
        let (step, steps) = each.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        if let Some(stage) = self.stages.get(stage) {
            self.send(Event::Progress { stage, step, steps });
        }
    }

    /// Send a rough image.
    pub(super) fn send_preview(&self, index: usize, step: usize, image: Image) {
        self.send(Event::Preview { index, step, image });
    }

    /// Send image `index`, which is finished. True if it was the last one.
    pub(super) fn finish_image(&mut self, index: usize, image: Image) -> bool {
        self.send(Event::Image { index, image });
        if let Some(progress) = self.images.get_mut(index) {
            progress.stage = None;
            for (step, steps) in &mut progress.steps {
                *step = *steps;
            }
        }
        self.images.iter().all(|image| image.stage.is_none())
    }

    /// All images came.
    pub(super) fn finish(mut self) {
        self.enter(self.stage);
        let ms = |spent: &Duration| u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        let times = self.stages.iter().zip(&self.spent).map(|(stage, spent)| (stage.id, ms(spent))).collect();
        self.end(Event::Done(StageTimes(times)));
    }

    /// Nothing more will come.
    pub(super) fn fail(mut self, failure: Failure) {
        self.end(Event::Failed(failure));
    }

    /// The load is taken back before the end is sent, so that the receiver finds it gone.
    fn end(&mut self, event: Event) {
        self.load = None;
        self.send(event);
    }

    /// Count the time since the last call for the stage it was in, and go to `stage`.
    fn enter(&mut self, stage: usize) {
        let now = Instant::now();
        if let Some(spent) = self.spent.get_mut(self.stage) {
            *spent += now.duration_since(self.since);
        }
        self.since = now;
        self.stage = stage;
    }

    fn send(&self, event: Event) {
        // The receiver may be gone; that shows before the next step.
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::diffusion::{BatchKey, RowMemory};
    use crate::engine::load::WorkerState;

    const STAGE: StageInfo = StageInfo {
        id: "encode",
        title: "encoding",
        progress: (0.0, 0.0),
        batchable: true,
        exclusive: false,
        denoises: false,
        memory: RowMemory::Fixed(1),
    };
    static STAGES: [StageInfo; 3] = [STAGE, StageInfo { id: "prior", ..STAGE }, StageInfo { id: "decoder", ..STAGE }];

    fn state(stage: usize, step: usize, steps: usize) -> SampleState {
        let key = BatchKey { stage, network: 0, height: 0, width: 0 };
        SampleState { key, rows: 1, step, steps, occupies: false, preview_step: None }
    }

    fn start(images: usize) -> (ActiveRequest, UnboundedReceiver<Event>) {
        let (events, receiver) = unbounded_channel();
        let load = LoadGuard::new(&Arc::new(WorkerState::default()), images, 1);
        let (id, preview_interval, label, stages, job, caution) = (0, 0, String::new(), &STAGES, None, None);
        let mut request = ActiveRequest::start(NewRequest {
            id,
            owner: (String::new(), 1),
            images,
            preview_interval,
            label,
            events,
            load,
            stages,
            job,
            caution,
        });
        (0..images).for_each(|index| request.record_progress(index, &state(0, 0, 1)));
        (request, receiver)
    }

    fn last_progress(receiver: &mut UnboundedReceiver<Event>) -> Option<(&'static str, usize, usize)> {
        let mut last = None;
        while let Ok(event) = receiver.try_recv() {
            if let Event::Progress { stage, step, steps } = event {
                last = Some((stage.id, step, steps));
            }
        }
        last
    }

    #[test]
    fn an_image_that_is_ahead_counts_as_done_in_the_stage_of_the_others() {
        let (mut request, mut events) = start(2);
        for (index, (stage, step, steps), want) in [
            (0, (1, 0, 5), ("encode", 1, 2)),
            (1, (1, 0, 5), ("prior", 0, 10)),
            (0, (1, 4, 5), ("prior", 4, 10)),
            (0, (2, 0, 9), ("prior", 5, 10)),
            (0, (2, 3, 9), ("prior", 5, 10)),
            (1, (1, 1, 5), ("prior", 6, 10)),
        ] {
            request.record_progress(index, &state(stage, step, steps));
            request.send_progress();
            assert_eq!(last_progress(&mut events), Some(want));
        }
    }

    #[test]
    fn the_last_image_ends_it_with_the_time_of_each_stage() {
        let (mut request, mut events) = start(2);
        let image = || Image::rgb(1, 1, vec![0; 3]);
        assert!(!request.finish_image(1, image()));
        assert!(request.finish_image(0, image()));
        request.finish();
        let mut end = None;
        while let Ok(event) = events.try_recv() {
            end = Some(event);
        }
        let Some(Event::Done(StageTimes(times))) = end else { panic!("{end:?}") };
        assert_eq!(times.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["encode", "prior", "decoder"]);
    }
}
