//! The layout for large windows: menu and status line, controls at the left, the selected chain at the right.

use egui::{CentralPanel, Panel, Ui};

use super::{
    chains_panel, controls, fit::fit, lab, lessons, menu, panels::Panels, plots, selected,
    state::RunState, training, transport, viewer::Viewer,
};
use crate::config::Tab;

/// Draws the large layout.
pub(super) fn ui(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels) {
    Panel::top("menu").show(ui, |ui| {
        menu::bar(ui, viewer, &mut panels.files, &mut panels.help);
    });
    if panels.status.banners(ui, &mut viewer.session) {
        viewer.try_again();
    }
    Panel::bottom("status").show(ui, |ui| panels.status.ui(ui, &viewer.run, &viewer.session));
    if let Some(link) = lessons::panel(ui, &mut viewer.lesson, false) {
        viewer.set_up(&link);
    }
    let Viewer { run, lab, training, session, .. } = viewer;
    match session.tab {
        Tab::Lab => {
            CentralPanel::default().show(ui, |ui| lab::ui(ui, lab, run, &mut panels.lab));
        }
        Tab::Train => {
            CentralPanel::default().show(ui, |ui| {
                training::ui(ui, training, run, &mut panels.training);
            });
        }
        Tab::Chains | Tab::Plots => show_run(ui, run, &mut session.tab, panels),
    }
}

/// Draws the open model's chains, or their plots.
fn show_run(ui: &mut Ui, run: &mut RunState, tab: &mut Tab, panels: &mut Panels) {
    Panel::bottom("transport").show(ui, |ui| transport::ui(ui, run));
    let is_wide = ui.available_width() > 1000.0;
    // The widths are fixed, because a panel that follows its contents jumps when a number gets one more digit.
    let width = if is_wide { 270.0 } else { 220.0 };
    Panel::left("controls").resizable(false).exact_size(width).show(ui, |ui| {
        controls::ui(ui, run, tab);
    });
    if is_wide || run.selected.is_some() {
        let width = if is_wide { 250.0 } else { 190.0 };
        Panel::right("selected").resizable(false).exact_size(width).show(ui, |ui| {
            selected::ui(ui, run, &mut panels.selected);
        });
    }
    if *tab == Tab::Chains {
        let height = fit(ui.available_height() * 0.2, 96.0, 200.0);
        Panel::bottom("energies").resizable(false).exact_size(height).show(ui, |ui| {
            plots::energies(ui, run, &mut panels.plots);
        });
    }
    if let Some(point) = run.comparison {
        Panel::top("lesson").show(ui, |ui| {
            ui.horizontal_top(|ui| {
                if ui.small_button("✖").on_hover_text("Close this text.").clicked() {
                    run.comparison = None;
                }
                // In a small window, the chains need the space.
                let label = egui::Label::new(point);
                let is_small = ui.available_width() < 500.0;
                let label = if is_small { label.truncate() } else { label.wrap() };
                ui.add(label).on_hover_text(point);
            });
        });
    }
    CentralPanel::default().show(ui, |ui| match *tab {
        Tab::Chains => chains_panel::ui(ui, run, &mut panels.chains),
        _ => plots::ui(ui, run, &mut panels.plots),
    });
}
