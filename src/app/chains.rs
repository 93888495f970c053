//! The grid of chains.

use super::viewer::Viewer;

/// What the grid keeps between frames.
#[derive(Default)]
pub struct ChainsView {}

/// Draws the lanes side by side.
pub fn ui(_ui: &mut egui::Ui, _viewer: &mut Viewer, _state: &mut ChainsView) {}
