//! The tab that trains.

use super::viewer::Viewer;

/// What the tab keeps between frames.
#[derive(Default)]
pub struct TrainingView {}

/// Draws the tab.
pub fn ui(_ui: &mut egui::Ui, _viewer: &mut Viewer, _state: &mut TrainingView) {}
