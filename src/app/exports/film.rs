//! Animations: of the run's recorded steps, and of the lab's next ones. One frame is drawn in each frame of the window.

use egui::Context;
use image::RgbImage;

use super::{Contents, ExportJob, is_empty, light_or_dark, picture_caption, size};
use crate::{
    app::{
        chains_panel::ChainsView,
        lab::LabView,
        offscreen::Studio,
        record::Record,
        state::{PictureOptions, RunState},
        viewer::Viewer,
    },
    config::Tab,
    worker::LaneImages,
};

/// The number of steps in an animation of the lab, and the largest number in one of the run.
pub(in crate::app) const NUM_LAB_FRAMES: usize = 60;
const MAX_FRAMES: usize = 30;

/// The number of frames that an animation of the run has now.
pub(in crate::app) fn num_frames(run: &RunState) -> usize {
    recorded(run).len().min(MAX_FRAMES)
}

/// What an animation shows.
enum Scenes {
    /// The next steps of the lab, after the last one that has a frame. Chains that were paused run for it, and pause again.
    Lab { last_step: Option<u64>, was_paused: bool },
    /// These steps of the recorded run of this model, the last one first.
    Run { steps: Vec<u64>, model: String },
}

/// An animation while its frames are drawn.
pub(in crate::app) struct Film {
    /// The tab whose view it shows.
    tab: Tab,
    scenes: Scenes,
    /// The recorded run that it shows, which a restart would discard; `None` for the lab.
    record: Option<Record>,
    studio: Studio,
    chains: ChainsView,
    lab: LabView,
    frames: Vec<RgbImage>,
}

impl Film {
    /// Begins an animation of the view that is seen; `None` if there is nothing to see.
    pub(super) fn new(
        ctx: &Context,
        viewer: &mut Viewer,
        lab: &LabView,
        options: PictureOptions,
    ) -> Option<Self> {
        if is_empty(viewer) {
            return None;
        }
        let (scenes, record) = if viewer.shows_plane() {
            let was_paused = !viewer.lab.record.is_running;
            if was_paused {
                viewer.lab.toggle();
            }
            (Scenes::Lab { last_step: None, was_paused }, None)
        } else {
            let steps = steps(&viewer.run);
            let model = viewer.run.model.as_ref().filter(|_| !steps.is_empty())?.name.clone();
            (Scenes::Run { steps, model }, viewer.run.record.clone())
        };
        let tab = if viewer.session.tab == Tab::Lab { Tab::Lab } else { Tab::Chains };
        let size = size(ctx, tab, &picture_caption(viewer, tab));
        // A larger scale would make a large file.
        let studio = Studio::new(ctx, size, 1.0, light_or_dark(ctx, options));
        let (chains, lab) = (ChainsView::default(), lab.again());
        Some(Self { tab, scenes, record, studio, chains, lab, frames: Vec::new() })
    }

    /// The tab that it shows.
    pub(super) fn tab(&self) -> Tab {
        self.tab
    }

    /// The number of frames that the animation will have.
    pub(super) fn length(&self) -> usize {
        match &self.scenes {
            Scenes::Lab { .. } => NUM_LAB_FRAMES,
            Scenes::Run { steps, .. } => self.frames.len() + steps.len(),
        }
    }

    /// Draws the next frame, if there is something new. Returns whether the animation is complete.
    pub(super) fn follow(&mut self, ctx: &Context, viewer: &mut Viewer) -> bool {
        match &mut self.scenes {
            Scenes::Lab { last_step, was_paused } => {
                let (step, was_paused) = (viewer.lab.record.step, *was_paused);
                let is_new = *last_step != Some(step);
                if viewer.shows_plane() && is_new && viewer.lab.record.surface.is_some() {
                    *last_step = Some(step);
                    self.draw(viewer);
                }
                let is_complete = self.frames.len() >= NUM_LAB_FRAMES;
                if is_complete && was_paused && viewer.lab.record.is_running {
                    viewer.lab.toggle();
                }
                is_complete || !viewer.shows_plane()
            }
            Scenes::Run { steps, model } => {
                let run = &mut viewer.run;
                // Names, rules and caption are those of the chains that are shown, which may be the same after a restart.
                let (shown, kept) = (run.record.as_ref(), self.record.as_ref());
                let is_same = run.model.as_ref().is_some_and(|open| open.name == *model)
                    && shown.map(|record| &record.request) == kept.map(|record| &record.request);
                let Some(step) = steps.pop_if(|_| is_same) else { return true };
                let is_complete = steps.is_empty();
                let looking_at = run.looking_at.replace(step);
                std::mem::swap(&mut run.record, &mut self.record);
                self.draw(viewer);
                std::mem::swap(&mut viewer.run.record, &mut self.record);
                viewer.run.looking_at = looking_at;
                ctx.request_repaint();
                is_complete
            }
        }
    }

    fn draw(&mut self, viewer: &mut Viewer) {
        let caption = picture_caption(viewer, self.tab);
        let Self { studio, chains, lab, frames, tab, .. } = self;
        let tab = *tab;
        let mut contents = Contents { tab, caption: &caption, chains, lab };
        frames.push(studio.draw(|ui| contents.show(ui, viewer)).pixels());
    }

    /// The file of the frames, if there are any. If some are missing, a person is told.
    pub(super) fn job(self, viewer: &mut Viewer) -> Option<ExportJob> {
        let (count, length) = (self.frames.len(), self.length());
        if count < length {
            viewer.session.complain(format!(
                "The chains or the view changed, so the animation ended early: {count} of {length} frames are saved."
            ));
        }
        (count > 0).then_some(ExportJob::Frames(self.frames))
    }
}

/// The recorded steps that have a frame, equally spaced, the last one first.
fn steps(run: &RunState) -> Vec<u64> {
    let recorded = recorded(run);
    let count = recorded.len().min(MAX_FRAMES);
    let last = recorded.len().saturating_sub(1);
    (0..count).rev().map(|nth| recorded[nth * last / count.saturating_sub(1).max(1)]).collect()
}

/// The recorded steps that can be drawn as the grid is now. Chains are drawn without their noise only where their gradients were
/// read, and a frame with noise between others would flicker.
fn recorded(run: &RunState) -> Vec<u64> {
    let entries = run.record.as_ref().map_or(&[][..], |record| record.images.entries());
    let can_be_drawn = |step: u64, lanes: &[LaneImages]| {
        let mut lanes = lanes.iter().enumerate();
        lanes.all(|(lane, images)| {
            run.denoise_step_at(lane, step) == 0.0 || !images.gradient.is_empty()
        })
    };
    let drawn = entries.iter().filter(|(step, lanes)| can_be_drawn(*step, lanes));
    drawn.map(|(step, _)| *step).collect()
}
