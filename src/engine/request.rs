//! A request in flight: whom to tell, how far its images are, and where its time went.
//!
//! Invariants: it ends with exactly one of `Done` and `Failed`; progress within a stage never goes back, whatever order
//! its images are stepped in.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::load::Ticket;
use super::{Event, StageName, StageTimes};
use crate::domain::{Failure, Image};
use crate::families::kandinsky21::{Progress, Stage};

/// A request with images still to come.
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) preview_interval: usize,
    /// For logs.
    pub(super) label: String,
    events: UnboundedSender<Event>,
    images: Vec<Advance>,
    stage: StageName,
    since: Instant,
    spent: [Duration; StageName::ALL.len()],
    ticket: Option<Ticket>,
}

/// How far an image is.
#[derive(Clone, Default)]
struct Advance {
    /// None: finished.
    stage: Option<StageName>,
    /// Steps taken and steps in all of each stage it has been in.
    steps: [(usize, usize); StageName::ALL.len()],
}

/// The name of a stage.
pub(super) fn name(stage: Stage) -> StageName {
    match stage {
        Stage::Encode => StageName::Encode,
        Stage::Prior => StageName::Prior,
        Stage::Decoder => StageName::Decoder,
        Stage::Decode => StageName::Decode,
    }
}

impl Request {
    /// A request of `images` images that is being taken up.
    pub(super) fn new(
        id: u64,
        images: usize,
        preview_interval: usize,
        label: String,
        events: UnboundedSender<Event>,
        ticket: Ticket,
    ) -> Self {
        let mut advance = Advance { stage: Some(StageName::Encode), ..Advance::default() };
        advance.steps[StageName::Encode as usize] = (0, 1);
        advance.steps[StageName::Decode as usize] = (0, 1);
        let request = Self {
            id,
            preview_interval,
            label,
            events,
            images: vec![advance; images],
            stage: StageName::Encode,
            since: Instant::now(),
            spent: [Duration::ZERO; StageName::ALL.len()],
            ticket: Some(ticket),
        };
        request.tell(Event::Started);
        request
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Note how far image `index` is.
    pub(super) fn note(&mut self, index: usize, progress: Progress) {
        let Some(image) = self.images.get_mut(index) else { return };
        let stage = name(progress.stage);
        for (step, steps) in &mut image.steps[..stage as usize] {
            *step = *steps;
        }
        image.steps[stage as usize] = (progress.step, progress.steps);
        image.stage = Some(stage);
    }

    /// Tell how far the images together are in the stage of the one that is furthest behind.
    pub(super) fn announce(&mut self) {
        let Some(stage) = self.images.iter().filter_map(|image| image.stage).min() else { return };
        self.enter(stage);
        let each = self.images.iter().map(|image| image.steps[stage as usize]);
        let (step, steps) = each.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        self.tell(Event::Progress { stage, step, steps });
    }

    /// A rough image.
    pub(super) fn preview(&self, index: usize, step: usize, image: Image) {
        self.tell(Event::Preview { index, step, image });
    }

    /// Image `index` is finished. True if it was the last one.
    pub(super) fn finish(&mut self, index: usize, image: Image) -> bool {
        self.tell(Event::Image { index, image });
        if let Some(advance) = self.images.get_mut(index) {
            advance.stage = None;
            advance.steps[StageName::Decode as usize] = (1, 1);
        }
        self.images.iter().all(|image| image.stage.is_none())
    }

    /// All images came.
    pub(super) fn done(mut self) {
        self.enter(self.stage);
        let ms = |stage: StageName| u64::try_from(self.spent[stage as usize].as_millis()).unwrap_or(u64::MAX);
        let times = StageTimes {
            text_ms: ms(StageName::Encode),
            prior_ms: ms(StageName::Prior),
            decoder_ms: ms(StageName::Decoder),
            decode_ms: ms(StageName::Decode),
        };
        self.end(Event::Done(times));
    }

    /// Nothing more will come.
    pub(super) fn fail(mut self, failure: Failure) {
        self.end(Event::Failed(failure));
    }

    /// Whoever hears of the end finds the load taken back.
    fn end(&mut self, event: Event) {
        self.ticket = None;
        self.tell(event);
    }

    /// Book the time since the last call on the stage it was in, and go to `stage`.
    fn enter(&mut self, stage: StageName) {
        let now = Instant::now();
        self.spent[self.stage as usize] += now.duration_since(self.since);
        self.since = now;
        self.stage = stage;
    }

    fn tell(&self, event: Event) {
        // Whoever asked may be gone; that shows before the next step.
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::engine::load::WorkerState;

    fn request(images: usize) -> (Request, UnboundedReceiver<Event>) {
        let (events, receiver) = unbounded_channel();
        let ticket = Ticket::new(&Arc::new(WorkerState::default()), images, 1);
        (Request::new(0, images, 0, String::new(), events, ticket), receiver)
    }

    fn told(receiver: &mut UnboundedReceiver<Event>) -> Option<(StageName, usize, usize)> {
        let mut last = None;
        while let Ok(event) = receiver.try_recv() {
            if let Event::Progress { stage, step, steps } = event {
                last = Some((stage, step, steps));
            }
        }
        last
    }

    #[test]
    fn an_image_that_is_ahead_counts_as_done_in_the_stage_of_the_others() {
        let (mut request, mut events) = request(2);
        for (index, stage, step, steps, want) in [
            (0, Stage::Prior, 0, 5, (StageName::Encode, 1, 2)),
            (1, Stage::Prior, 0, 5, (StageName::Prior, 0, 10)),
            (0, Stage::Prior, 4, 5, (StageName::Prior, 4, 10)),
            (0, Stage::Decoder, 0, 9, (StageName::Prior, 5, 10)),
            (0, Stage::Decoder, 3, 9, (StageName::Prior, 5, 10)),
            (1, Stage::Prior, 1, 5, (StageName::Prior, 6, 10)),
        ] {
            request.note(index, Progress { stage, step, steps });
            request.announce();
            assert_eq!(told(&mut events), Some(want));
        }
    }

    #[test]
    fn the_last_image_ends_it() {
        let (mut request, _events) = request(2);
        let image = || Image::rgb(1, 1, vec![0; 3]);
        assert!(!request.finish(1, image()));
        assert!(request.finish(0, image()));
    }
}
