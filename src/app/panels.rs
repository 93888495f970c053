//! The panels, with what each of them keeps between frames.

use super::{
    chains_panel::ChainsView, files::Files, help::Help, lab::LabView, plots::PlotsView,
    selected::SelectedView, status::Status, training::TrainingView,
};

/// What the panels keep between frames.
#[derive(Default)]
pub(super) struct Panels {
    pub(super) chains: ChainsView,
    pub(super) selected: SelectedView,
    pub(super) plots: PlotsView,
    pub(super) training: TrainingView,
    pub(super) lab: LabView,
    pub(super) files: Files,
    pub(super) help: Help,
    pub(super) status: Status,
}
