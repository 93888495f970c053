//! What the grid shows of a run, and whether chains are shown without the noise of the data.

use super::{
    overlay::Overlay,
    run_state::{RunState, Selection},
};
use crate::config::{LaneConfig, SamplerKind};

impl RunState {
    /// What the grid shows: what a person chose, if it can be shown; else the chains without the noise of the data if they have it,
    /// or as they are.
    pub fn shown_overlay(&self) -> Overlay {
        match self.overlay {
            Some(chosen) if self.offers(chosen) => chosen,
            _ if self.offers(Overlay::Denoised) => Overlay::Denoised,
            _ => Overlay::Images,
        }
    }

    /// Whether an overlay has something to show: noise to remove, or a gradient that is clipped.
    pub(in crate::app) fn offers(&self, overlay: Overlay) -> bool {
        let clips = |lane: &LaneConfig| {
            matches!(lane.sampler.kind, SamplerKind::ProximalSgld | SamplerKind::Pyld)
        };
        match overlay {
            Overlay::Denoised => self.lanes.iter().any(|lane| lane.has_noise(false)),
            Overlay::Clamped => self.lanes.iter().any(clips),
            Overlay::Images | Overlay::Gradient | Overlay::Change => true,
        }
    }

    /// The step that removes the noise of the data from the shown chains of a lane. It is 0 if they are shown as they are.
    pub(in crate::app) fn denoise_step(&self, lane: usize) -> f32 {
        self.denoise_step_at(lane, self.shown_images().map_or(0, |shown| shown.0))
    }

    /// The same for the chains of a recorded step.
    pub(in crate::app) fn denoise_step_at(&self, lane: usize, step: u64) -> f32 {
        match self.lanes.get(lane).filter(|lane| lane.has_noise(step == 0)) {
            Some(lane) if self.shown_overlay() == Overlay::Denoised => {
                lane.sampler.denoise_step as f32
            }
            _ => 0.0,
        }
    }

    /// Whether the shown chains of a lane are drawn without the noise of the data, for which their gradients are needed.
    pub(in crate::app) fn is_denoised(&self, lane: usize) -> bool {
        let images = self.shown_images().and_then(|(_, lanes)| lanes.get(lane));
        self.denoise_step(lane) > 0.0 && images.is_some_and(|images| !images.gradient.is_empty())
    }

    /// The recorded image of a chain at a step, or at the last recorded one before it, without the noise of the data; none if it is
    /// shown as it is.
    pub(in crate::app) fn denoised_image_of(
        &self,
        chain: Selection,
        step: u64,
    ) -> Option<Vec<f32>> {
        let (at, lanes) = self.record.as_ref()?.images.at(step)?;
        let images = lanes.get(chain.lane)?;
        match self.denoise_step_at(chain.lane, *at) {
            0.0 => None,
            step => images.denoised(self.values_of(images, chain)?, step),
        }
    }
}
