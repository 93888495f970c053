//! The lab: two-dimensional energies as pictures, with chains on them.

mod arrows;
mod controls;
mod dots;
mod heat;
mod legend;
mod measures;
mod notes;
mod on_screen;
mod plane;
mod slice;
mod slice_pictures;
mod tool;
mod trails;
mod valleys;

use egui::{CentralPanel, Panel, Rect, RichText, ScrollArea, Ui};

pub(super) use self::controls::target_name;
use self::{
    notes::Note,
    plane::{Plane, PlaneView},
    tool::Tool,
};
use super::{
    contrast,
    fit::fit,
    size_class,
    state::{Lab, LaneRecord, RunState},
    theme, transport, words,
};
use crate::config::LabTarget;

/// The width of the controls, in a wide window and in a narrower one.
const CONTROLS: [f32; 2] = [270.0, 220.0];
/// Below this width, as beside the text of a lesson, everything is in one column.
const NARROW: f32 = 520.0;
/// The minimum and maximum width of the plots beside the plane.
const BESIDE: [f32; 2] = [260.0, 420.0];
/// The height of the legend below a plane that is as wide as a phone.
const LEGEND: f32 = 46.0;
/// The state of the tab, kept between frames.
#[derive(Default)]
pub(super) struct LabView {
    planes: [PlaneView; crate::config::MAX_RULES],
    slice: slice::SliceView,
    tool: Tool,
    plots: measures::MeasuresView,
    /// The last frame in which the tab was shown, and what it showed.
    frame: u64,
    setup: Option<(u64, crate::config::LabView)>,
}

impl LabView {
    /// The same view, for another window, which has textures of its own.
    pub(super) fn again(&self) -> Self {
        Self { slice: self.slice.again(), ..Self::default() }
    }
}

/// Draws the tab of the lab. In a presentation, there are no controls beside the plane.
pub(super) fn ui(
    ui: &mut Ui,
    lab: &mut Lab,
    run: &mut RunState,
    state: &mut LabView,
    is_presented: bool,
) {
    // A tool that is in hand is put down when the user comes from another tab or another setup.
    let frame = ui.ctx().cumulative_frame_nr();
    let setup = (lab.num_setups, lab.settings.config.view);
    if frame > state.frame + 1 || state.setup != Some(setup) {
        state.tool = Tool::Choose;
    }
    (state.frame, state.setup) = (frame, Some(setup));
    if is_presented {
        transport_panel(ui, lab, run);
        CentralPanel::default().show(ui, |ui| bare(ui, lab, run, state));
        return;
    }
    if size_class::is_small(ui.ctx()) || ui.available_width() < NARROW {
        return small(ui, lab, run, state);
    }
    transport_panel(ui, lab, run);
    let width = CONTROLS[usize::from(ui.available_width() < 1000.0)];
    Panel::left("lab controls").resizable(false).exact_size(width).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            controls::ui(ui, lab, &mut state.tool);
        });
    });
    if !lab.is_plane() {
        CentralPanel::default().show(ui, |ui| slice::ui(ui, lab, run, &mut state.slice));
        return;
    }
    let room = ui.available_size();
    // A single plane leaves space at its side.
    if lab.settings.rules.len() == 1 && room.x > room.y + BESIDE[0] {
        let width = (room.x - room.y).min(BESIDE[1]);
        Panel::right("lab measures beside").resizable(false).exact_size(width).show(ui, |ui| {
            ScrollArea::vertical().show(ui, |ui| measures::ui(ui, lab, &mut state.plots));
        });
    } else {
        let height = fit(room.y * 0.25, 110.0, 190.0);
        Panel::bottom("lab measures").resizable(false).exact_size(height).show(ui, |ui| {
            match measures::is_wide(ui) {
                true => measures::ui(ui, lab, &mut state.plots),
                // One below the other.
                false => {
                    ScrollArea::vertical()
                        .show(ui, |ui| measures::ui(ui, lab, &mut state.plots))
                        .inner
                }
            }
        });
    }
    CentralPanel::default().show(ui, |ui| planes(ui, lab, state));
}

/// Draws the controls of the chains that are shown.
fn transport_panel(ui: &mut Ui, lab: &mut Lab, run: &mut RunState) {
    Panel::bottom("lab transport").show(ui, |ui| match lab.is_plane() {
        true => controls::transport(ui, lab),
        false => transport::ui(ui, run),
    });
}

/// Draws the planes and the most important controls, for a frame within another page. The parts in which a finger moves
/// something, and not the page, are added to `holds`.
pub(super) fn embedded(
    ui: &mut Ui,
    lab: &mut Lab,
    run: &mut RunState,
    state: &mut LabView,
    holds: &mut Vec<Rect>,
    link: impl FnOnce(&mut Ui),
) {
    Panel::bottom("lab controls").show(ui, |ui| {
        match lab.is_plane() {
            true => holds.extend(controls::play_and_knobs(ui, lab)),
            false => {
                // The timeline, and numbers that are dragged.
                let controls = ui.scope(|ui| transport::ui(ui, run));
                holds.push(controls.response.rect);
            }
        }
        link(ui);
    });
    CentralPanel::default().show(ui, |ui| match lab.is_plane() {
        true => planes(ui, lab, state),
        false => slice::ui(ui, lab, run, &mut state.slice),
    });
}

/// Draws the planes or the slice alone, for a picture.
pub(super) fn bare(ui: &mut Ui, lab: &mut Lab, run: &mut RunState, state: &mut LabView) {
    match lab.is_plane() {
        true => planes(ui, lab, state),
        false => slice::ui(ui, lab, run, &mut state.slice),
    }
}

/// Draws everything in one column that scrolls, for small screens. In a larger window, what is measured comes before the
/// controls.
fn small(ui: &mut Ui, lab: &mut Lab, run: &mut RunState, state: &mut LabView) {
    transport_panel(ui, lab, run);
    CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let width = ui.available_width();
            let size = egui::vec2(width, (width + LEGEND).min(0.8 * ui.available_height()));
            let layout = egui::Layout::top_down(egui::Align::Min);
            let is_slice = !lab.is_plane();
            ui.allocate_ui_with_layout(size, layout, |ui| match is_slice {
                true => slice::ui(ui, lab, run, &mut state.slice),
                false => planes(ui, lab, state),
            });
            let is_small = size_class::is_small(ui.ctx());
            let mut plots = |ui: &mut Ui, lab: &mut Lab| {
                if !is_slice {
                    ui.add_space(8.0);
                    measures::ui(ui, lab, &mut state.plots);
                }
            };
            if !is_small {
                plots(ui, lab);
            }
            controls::ui(ui, lab, &mut state.tool);
            if is_small {
                plots(ui, lab);
            }
        });
    });
}

fn planes(ui: &mut Ui, lab: &mut Lab, state: &mut LabView) {
    if lab.record.surface.is_none() {
        match lab.record.why_not.clone() {
            None => {
                ui.centered_and_justified(|ui| ui.spinner());
            }
            Some(why) => {
                ui.vertical_centered(|ui| {
                    ui.add_space(0.4 * ui.available_height());
                    ui.label(format!("There is nothing to show: {why}"));
                    if ui.button("Try again").clicked() {
                        lab.record.reset();
                    }
                });
            }
        }
        return;
    }
    let rules = lab.settings.rules.clone();
    let names = words::lane_names(&rules);
    let count = rules.len().min(lab.record.lanes.len()).max(1);
    let stopped = learning_stopped(lab);
    let mut touched = None;
    ui.columns(count, |columns| {
        for (index, (ui, view)) in columns.iter_mut().zip(&mut state.planes).enumerate() {
            if count > 1 {
                let text = format!("{}: {}", index + 1, names[index]);
                let color = contrast::readable(ui, theme::LANES[index % theme::LANES.len()]);
                ui.add(egui::Label::new(RichText::new(text).color(color).strong()).truncate());
            }
            if let Some(lane) = lab.record.lanes.get(index) {
                valleys::ui(ui, &lab.record, lane, index);
            }
            let mut notes: Vec<Note> =
                lab.record.lanes.get(index).and_then(note).into_iter().collect();
            if index == 0 {
                notes.extend(stopped.clone());
            }
            let plane = Plane {
                record: &lab.record,
                config: &lab.settings.config,
                rule: &rules[index],
                lane: index,
                notes: &notes,
                is_tool: state.tool != Tool::Choose,
            };
            touched = plane.show(ui, view).or(touched.take());
        }
    });
    if let Some(touch) = touched {
        state.tool.apply(touch, lab);
    }
}

/// What is said about chains that are not on the plane, if there are some.
fn note(lane: &LaneRecord) -> Option<Note> {
    let (text, is_problem) = lane.absent()?;
    let text = if is_problem { format!("⚠ {text}") } else { text };
    Some(Note { text, is_problem })
}

/// The warning that training has stopped, if what is shown is the network that it trained.
fn learning_stopped(lab: &Lab) -> Option<Note> {
    let is_learned = lab.settings.config.target == LabTarget::Learned;
    let why = lab.record.learning.diverged.as_ref().filter(|_| is_learned)?;
    let text = format!("⚠ Learning stopped: {why}. Lower the learning rate, or start over.");
    Some(Note { text, is_problem: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::state::Requests, config::LabState, worker::lab::LabUpdate};

    #[test]
    fn learning_has_stopped_only_where_a_network_learns() {
        let (sender, _receiver) = std::sync::mpsc::channel();
        let mut lab = Lab::new(LabState::default(), Requests::new(sender));
        lab.settings.config.target = LabTarget::Learned;
        assert_eq!(learning_stopped(&lab), None);
        lab.take(LabUpdate::Diverged("the gap is too large".into()));
        let note = learning_stopped(&lab).unwrap();
        assert!(note.is_problem && note.text.contains("the gap is too large"));
        lab.settings.config.target = LabTarget::Ring;
        assert_eq!(learning_stopped(&lab), None);
    }
}
