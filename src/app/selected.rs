//! The panel of the selected chain.

use super::viewer::Viewer;

/// What the panel keeps between frames.
#[derive(Default)]
pub struct SelectedView {}

/// Draws the panel.
pub fn ui(_ui: &mut egui::Ui, _viewer: &mut Viewer, _state: &mut SelectedView) {}
