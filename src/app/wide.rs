//! The layout for large windows: menu and status line, controls at the left, the selected chain at the right.

use egui::{Align2, Area, CentralPanel, Id, Panel, Ui, vec2};

use super::{
    chains_panel, controls,
    fit::fit,
    lab, lessons, menu,
    panels::Panels,
    plots, selected,
    state::RunState,
    training, transport,
    verdict::{self, Question},
    viewer::Viewer,
};
use crate::config::Tab;

/// Draws the large layout. In a presentation, there are no panels beside what is shown, and a button in the corner ends it.
pub(super) fn ui(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels) {
    let is_presented = panels.presentation.is_on();
    if is_presented {
        let corner =
            Area::new(Id::unique("end presentation")).anchor(Align2::RIGHT_TOP, vec2(-8.0, 4.0));
        corner.show(ui.ctx(), |ui| panels.presentation.end_button(ui));
    } else {
        Panel::top("menu").show(ui, |ui| {
            menu::bar(ui, viewer, &mut panels.files, &mut panels.help);
        });
        Panel::bottom("status").show(ui, |ui| panels.status.ui(ui, viewer));
    }
    // Before the banners, which come and go and must not move its buttons.
    if let Some(link) = lessons::panel(ui, &mut viewer.lesson, false) {
        viewer.set_up(&link);
    }
    if panels.status.banners(ui, &mut viewer.session) {
        viewer.try_again();
    }
    training::continue_banner(ui, &mut viewer.training, &mut viewer.session);
    let Viewer { run, lab, training, session, .. } = viewer;
    match session.tab {
        Tab::Lab => {
            CentralPanel::default().show(ui, |ui| {
                lab::ui(ui, lab, run, &mut panels.lab, is_presented);
            });
        }
        Tab::Train => {
            CentralPanel::default().show(ui, |ui| {
                training::ui(ui, training, run, &mut panels.training, is_presented);
            });
        }
        Tab::Chains | Tab::Plots => show_run(ui, run, &mut session.tab, panels),
    }
}

/// The width of the controls in a wide window and in a narrow one, and the least width of what is beside the chains.
const CONTROLS: [f32; 2] = [270.0, 220.0];
const BESIDE: [f32; 2] = [250.0, 190.0];
/// The largest width of the selected chain's panel.
const SELECTED: f32 = 290.0;
/// Below this width, there is no space beside the chains.
const NARROW: f32 = 480.0;
/// From this width on, the plot of energies has a column of its own.
const OWN_COLUMN: f32 = SELECTED + 300.0;

/// The plot of energies lies below the chains if that makes their cells larger by at least this factor.
const WORTH_IT: f32 = 1.15;

/// Draws the open model's chains, or their plots. In a presentation, there are no panels beside them.
fn show_run(ui: &mut Ui, run: &mut RunState, tab: &mut Tab, panels: &mut Panels) {
    let is_presented = panels.presentation.is_on();
    Panel::bottom("transport").show(ui, |ui| transport::ui(ui, run));
    let side = usize::from(ui.available_width() <= 1000.0);
    // The widths depend on the window only, because a panel that follows its contents jumps when a number gets one
    // more digit.
    if !is_presented {
        let panel = Panel::left("controls").resizable(false).exact_size(CONTROLS[side]);
        panel.show(ui, |ui| controls::ui(ui, run, tab));
    }
    comparison(ui, run);
    if *tab == Tab::Chains {
        // As wide as there is room, so that the verdict takes few lines.
        let height = verdict::height(ui, run);
        let asked = Panel::bottom("verdict")
            .resizable(false)
            .exact_size(height)
            .show(ui, |ui| verdict::ui(ui, run));
        if asked.inner == Some(Question::DoesItConverge) {
            *tab = Tab::Plots;
            panels.plots.show_convergence = true;
        }
        beside_chains(ui, run, panels, side, is_presented);
    } else if !is_presented && (side == 0 || run.selected.is_some()) {
        let panel = Panel::right("selected").resizable(false).exact_size(BESIDE[side]);
        panel.show(ui, |ui| selected::ui(ui, run, &mut panels.selected));
    }
    CentralPanel::default().show(ui, |ui| match *tab {
        Tab::Plots => plots::ui(ui, run, &mut panels.plots),
        _ => chains_panel::ui(ui, run, &mut panels.chains),
    });
}

/// Draws the plot of energies and the selected chain beside the chains, in the width that these leave free.
fn beside_chains(
    ui: &mut Ui,
    run: &mut RunState,
    panels: &mut Panels,
    side: usize,
    is_presented: bool,
) {
    let room = ui.available_size();
    // Several lanes may be so wide that their chains are larger with the plot below them.
    let beside = chains_panel::cell_size(run, room - vec2(BESIDE[side], 0.0));
    let below = chains_panel::cell_size(run, room - vec2(0.0, energies_below(room.y)));
    if room.x < NARROW || run.lanes.len() > 1 && below > beside * WORTH_IT {
        return below_chains(ui, run, panels, side, is_presented);
    }
    let spare = room.x - chains_panel::wanted_width(run, room.y);
    let most = fit(0.5 * room.x, BESIDE[side], f32::INFINITY);
    let width = fit(spare, BESIDE[side], most);
    if is_presented || width >= OWN_COLUMN {
        if !is_presented {
            let panel = Panel::right("selected").resizable(false).exact_size(SELECTED);
            panel.show(ui, |ui| selected::ui(ui, run, &mut panels.selected));
        }
        let width = if is_presented { width } else { width - SELECTED };
        Panel::right("energies").resizable(false).exact_size(width).show(ui, |ui| {
            plots::energies(ui, run, &mut panels.plots);
        });
        return;
    }
    Panel::right("selected").resizable(false).exact_size(width).show(ui, |ui| {
        let height = fit(ui.available_height() * 0.34, 110.0, 260.0);
        Panel::top("energies").resizable(false).exact_size(height).show(ui, |ui| {
            plots::energies(ui, run, &mut panels.plots);
        });
        selected::ui(ui, run, &mut panels.selected);
    });
}

/// Draws the plot of energies below the chains, and the selected chain beside them only while there is one.
fn below_chains(
    ui: &mut Ui,
    run: &mut RunState,
    panels: &mut Panels,
    side: usize,
    is_presented: bool,
) {
    if run.selected.is_some() && !is_presented {
        let panel = Panel::right("selected").resizable(false).exact_size(BESIDE[side]);
        panel.show(ui, |ui| selected::ui(ui, run, &mut panels.selected));
    }
    let height = energies_below(ui.available_height());
    Panel::bottom("energies").resizable(false).exact_size(height).show(ui, |ui| {
        plots::energies(ui, run, &mut panels.plots);
    });
}

/// The height of the plot of energies below the chains.
fn energies_below(height: f32) -> f32 {
    fit(height * 0.2, 96.0, 200.0)
}

/// Draws the explanation of a comparison.
fn comparison(ui: &mut Ui, run: &mut RunState) {
    let Some(point) = run.comparison else { return };
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
