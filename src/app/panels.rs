//! The state of the panels, kept between frames.

use super::{
    chains_panel::ChainsView, exports::Recording, files::Files, help::Help, lab::LabView,
    lessons::Scrolled, plots::PlotsView, presentation::Presentation, selected::SelectedView,
    status::Status, training::TrainingView, welcome::Welcome,
};

/// The state of all panels, kept between frames.
#[derive(Default)]
pub(super) struct Panels {
    pub(super) chains: ChainsView,
    pub(super) selected: SelectedView,
    pub(super) plots: PlotsView,
    pub(super) training: TrainingView,
    pub(super) lab: LabView,
    pub(super) files: Files,
    pub(super) recording: Recording,
    pub(super) help: Help,
    pub(super) status: Status,
    pub(super) welcome: Welcome,
    pub(super) presentation: Presentation,
    /// The parts of an embedded lesson that keep the wheel and the finger from its host.
    pub(super) holds: Vec<egui::Rect>,
    /// Its text, which keeps them only as far as it scrolls.
    pub(super) scrolled: Option<Scrolled>,
    /// Whether the text of an embedded lesson is shown; `None` before a person decided.
    pub(super) is_strip_open: Option<bool>,
}
