//! Plots and diagnostics of the run.

use super::viewer::Viewer;

/// What the plots keep between frames.
#[derive(Default)]
pub struct PlotsView {}

/// The strip under the chains: energies of every chain.
pub fn energies(_ui: &mut egui::Ui, _viewer: &Viewer, _state: &mut PlotsView) {}

/// All plots.
pub fn ui(_ui: &mut egui::Ui, _viewer: &mut Viewer, _state: &mut PlotsView) {}
