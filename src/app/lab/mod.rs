//! The lab: energies one can see, and chains on them.

mod arrows;
mod controls;
mod curve;
mod heat;
mod lane;
mod measures;
mod plane;
pub(super) mod record;
mod slice;
mod trails;

use egui::{CentralPanel, Panel, RichText, ScrollArea, Ui};

use self::plane::{Plane, PlaneView, Touch};
use super::{
    compact,
    fit::fit,
    theme, transport,
    viewer::{Viewer, next_seed},
};
use crate::{
    config::{LabTarget, LabView as What, MAX_DABS, ViewStart},
    worker::{Command, lab::LabCommand},
};

/// Width of the controls, in a wide window and in one that is not.
const CONTROLS: [f32; 2] = [270.0, 220.0];
/// Widths of the measures beside the plane, at least and at most.
const BESIDE: [f32; 2] = [260.0, 420.0];
/// A dab is set at least so far from the last one, in units of x.
const DAB_SPACING: f32 = 0.05;

/// What presses in the plane do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tool {
    /// Choose a chain.
    #[default]
    Choose,
    /// Let all chains begin there.
    Drop,
    /// Add to the painted density.
    Paint,
}

/// What the tab keeps between frames.
#[derive(Default)]
pub(super) struct LabView {
    planes: [PlaneView; crate::config::MAX_RULES],
    slice: slice::SliceView,
    tool: Tool,
    plots: measures::Shown,
}

impl Viewer {
    /// Asks the lab for something.
    pub(super) fn ask_lab(&mut self, command: LabCommand) {
        self.send(Command::Lab(command));
    }

    /// Lets the lab's chains run, or stops them.
    pub fn toggle_lab(&mut self) {
        self.lab.is_running = !self.lab.is_running;
        let command = if self.lab.is_running { LabCommand::Play } else { LabCommand::Pause };
        self.ask_lab(command);
    }

    /// One step of the lab's chains.
    pub fn step_lab(&mut self) {
        if self.lab.is_running {
            self.toggle_lab();
        }
        self.ask_lab(LabCommand::Step);
    }

    /// The same starts and the same noise again.
    pub fn restart_lab(&mut self) {
        match self.lab.surface.is_some() {
            true => self.ask_lab(LabCommand::Restart),
            // What was asked before was refused.
            false => self.lab.reset(),
        }
    }

    /// Other starts and other noise; what is learned keeps its weights until it starts over.
    pub fn reseed_lab(&mut self) {
        let seed = &mut self.view.lab.config.seed;
        *seed = next_seed(*seed);
    }

    /// Lets the lab's network learn, or stops it.
    pub fn toggle_learning(&mut self) {
        self.lab.is_learning = !self.lab.is_learning;
        self.lab.learning.diverged = None;
        self.ask_lab(LabCommand::Learn(self.lab.is_learning));
    }

    fn touch_lab(&mut self, touch: Touch, tool: Tool) {
        match (touch, tool) {
            (Touch::Choose(chain), _) => {
                self.lab.tracked = chain;
                if let Some(chain) = chain {
                    self.ask_lab(LabCommand::Track(chain));
                }
            }
            (Touch::Press(point), Tool::Drop) => {
                let lab = &mut self.view.lab;
                lab.config.point = hundredths(point).to_vec();
                for rule in &mut lab.rules {
                    rule.start = ViewStart::Image;
                }
            }
            (Touch::Press(point), Tool::Paint) => {
                let config = &mut self.view.lab.config;
                config.target = LabTarget::Painted;
                let is_far = config.dabs().last().is_none_or(|last| {
                    (last[0] - point[0]).hypot(last[1] - point[1]) >= DAB_SPACING
                });
                let is_inside = point.iter().all(|value| value.abs() <= 1.2);
                if is_far && is_inside && config.dabs().count() < MAX_DABS {
                    config.painted.extend(hundredths(point));
                }
            }
            (Touch::Press(_), Tool::Choose) => {}
        }
    }
}

fn hundredths(point: [f32; 2]) -> [i32; 2] {
    point.map(|value| (100.0 * value).round() as i32)
}

/// Draws the tab.
pub(super) fn ui(ui: &mut Ui, viewer: &mut Viewer, state: &mut LabView) {
    let is_small = compact::is_small(ui.ctx());
    if is_small {
        return small(ui, viewer, state);
    }
    Panel::bottom("lab transport").show(ui, |ui| match viewer.shows_plane() {
        true => controls::transport(ui, viewer),
        false => transport::ui(ui, viewer),
    });
    let width = CONTROLS[usize::from(ui.available_width() < 1000.0)];
    Panel::left("lab controls").resizable(false).exact_size(width).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            controls::ui(ui, viewer, &mut state.tool);
        });
    });
    if viewer.view.lab.config.view == What::Slice {
        CentralPanel::default().show(ui, |ui| slice::ui(ui, viewer, &mut state.slice));
        return;
    }
    let room = ui.available_size();
    // One plane leaves room at its side.
    if viewer.view.lab.rules.len() == 1 && room.x > room.y + BESIDE[0] {
        let width = (room.x - room.y).min(BESIDE[1]);
        Panel::right("lab measures beside").resizable(false).exact_size(width).show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| measures::ui(ui, viewer, &mut state.plots));
        });
    } else {
        let height = fit(room.y * 0.25, 110.0, 190.0);
        Panel::bottom("lab measures").resizable(false).exact_size(height).show(ui, |ui| {
            measures::ui(ui, viewer, &mut state.plots);
        });
    }
    CentralPanel::default().show(ui, |ui| planes(ui, viewer, state));
}

/// The planes and what one needs to play with them, for a frame within another page.
pub(super) fn embedded(
    ui: &mut Ui,
    viewer: &mut Viewer,
    state: &mut LabView,
    link: impl FnOnce(&mut Ui, &Viewer),
) {
    Panel::bottom("lab controls").show(ui, |ui| {
        match viewer.shows_plane() {
            true => controls::play_and_knobs(ui, viewer),
            false => transport::ui(ui, viewer),
        }
        link(ui, viewer);
    });
    CentralPanel::default().show(ui, |ui| match viewer.shows_plane() {
        true => planes(ui, viewer, state),
        false => slice::ui(ui, viewer, &mut state.slice),
    });
}

/// Everything below each other, for a thumb to scroll through.
fn small(ui: &mut Ui, viewer: &mut Viewer, state: &mut LabView) {
    Panel::bottom("lab transport").show(ui, |ui| match viewer.shows_plane() {
        true => controls::transport(ui, viewer),
        false => transport::ui(ui, viewer),
    });
    CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let size = egui::vec2(
                ui.available_width(),
                ui.available_width().min(0.8 * ui.available_height()),
            );
            let layout = egui::Layout::top_down(egui::Align::Min);
            let is_slice = viewer.view.lab.config.view == What::Slice;
            ui.allocate_ui_with_layout(size, layout, |ui| match is_slice {
                true => slice::ui(ui, viewer, &mut state.slice),
                false => planes(ui, viewer, state),
            });
            controls::ui(ui, viewer, &mut state.tool);
            if !is_slice {
                ui.add_space(8.0);
                measures::ui(ui, viewer, &mut state.plots);
            }
        });
    });
}

fn planes(ui: &mut Ui, viewer: &mut Viewer, state: &mut LabView) {
    if viewer.lab.surface.is_none() {
        match viewer.lab.why_not.clone() {
            None => {
                ui.centered_and_justified(|ui| ui.spinner());
            }
            Some(why) => {
                ui.vertical_centered(|ui| {
                    ui.add_space(0.4 * ui.available_height());
                    ui.label(format!("There is nothing to show: {why}"));
                    if ui.button("Try again").clicked() {
                        viewer.lab.reset();
                    }
                });
            }
        }
        return;
    }
    warnings(ui, viewer);
    let rules = viewer.view.lab.rules.clone();
    let count = rules.len().min(viewer.lab.lanes.len()).max(1);
    let mut touched = None;
    ui.columns(count, |columns| {
        for (index, (ui, view)) in columns.iter_mut().zip(&mut state.planes).enumerate() {
            if count > 1 {
                let text = format!("{}: {}", index + 1, super::lane_name(&rules[index]));
                let color = theme::LANES[index % theme::LANES.len()];
                ui.add(egui::Label::new(RichText::new(text).color(color).strong()).truncate());
            }
            let plane = Plane {
                record: &viewer.lab,
                config: &viewer.view.lab.config,
                rule: &rules[index],
                lane: index,
                is_tool: state.tool != Tool::Choose,
            };
            touched = plane.show(ui, view).or(touched.take());
        }
    });
    if let Some(touch) = touched {
        viewer.touch_lab(touch, state.tool);
    }
}

/// What went wrong, a line a rule.
fn warnings(ui: &mut Ui, viewer: &Viewer) {
    let count = viewer.lab.lanes.len();
    for (index, lane) in viewer.lab.lanes.iter().enumerate() {
        let who = if count > 1 { format!("Rule {}: ", index + 1) } else { String::new() };
        let (lost, all) = (lane.num_lost(), lane.labels.len());
        let text = if lane.is_exploded() {
            format!("⚠ {who}the chains exploded; {lost} of {all} have left the plane.")
        } else if lost > 0 {
            format!("⚠ {who}{lost} of {all} chains have left the plane.")
        } else {
            continue;
        };
        ui.colored_label(theme::BROKEN, text);
    }
    if let Some(why) = &viewer.lab.learning.diverged {
        let text = format!("⚠ Learning stopped: {why}. Lower the learning rate, or start over.");
        ui.colored_label(theme::BROKEN, text);
    }
}
