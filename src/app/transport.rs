//! The transport: controls that play, pause, step, and move through the recorded steps.

use egui::{
    Button, DragValue, Label, Response, RichText, Slider, TextStyle, Ui, Vec2, Widget, vec2,
};

use super::{record::history_mib, state::RunState};
use crate::config::{Field, MAX_SEED, ViewConfig};

/// The width of the note beside the timeline, so that the timeline stays where it is while the numbers grow.
const NOTE_WIDTH: f32 = 190.0;
/// The least width of the timeline.
const MIN_TIMELINE: f32 = 40.0;
/// The width of a number, so that what follows stays where it is.
pub(super) const NUMBER_WIDTH: f32 = 64.0;
/// The width of the speed, which may be words.
const SPEED_WIDTH: f32 = 128.0;
/// What the button Undo does, and why it does nothing.
const UNDO: &str = "Bring back the run before the last restart, seed, model or Continue from here: settings, record and step (Ctrl+Z).";
pub(super) const NOTHING_TO_UNDO: &str = "There is no earlier run to bring back.";
const AT_NEWEST: &str = "You are viewing the newest step.";

/// Draws the buttons of the run, its settings and the timeline.
pub(super) fn ui(ui: &mut Ui, run: &mut RunState) {
    ui.add_space(3.0);
    let is_there = run.record.is_some();
    ui.horizontal_wrapped(|ui| {
        ui.add_enabled(is_there, |ui: &mut Ui| buttons(ui, run));
        // While another model loads or cannot be opened, the run before it can still come back.
        undo(ui, run);
        if !is_there {
            ui.disable();
        }
        ui.separator();
        ui.spacing_mut().interact_size.x = NUMBER_WIDTH;
        settings(ui, run);
    });
    ui.add_enabled_ui(is_there, |ui| scrubber(ui, run));
    ui.add_space(2.0);
}

/// Draws the button that plays and pauses. Returns whether it was clicked.
pub(super) fn play(ui: &mut Ui, is_playing: bool) -> bool {
    let (text, hover) = match is_playing {
        true => ("⏸ Pause", "Stop here (space)."),
        false => ("▶ Play", "Let the chains run (space)."),
    };
    let play = Button::new(RichText::new(text).strong().size(16.0)).min_size(egui::vec2(86.0, 0.0));
    let play = if is_playing { play } else { play.fill(ui.visuals().selection.bg_fill) };
    ui.add(play).on_hover_text(hover).clicked()
}

/// Draws a large button that starts and stops the chains.
pub(super) fn large_play(ui: &mut Ui, run: &mut RunState, size: Vec2, text_size: f32) {
    let is_playing = run.is_playing();
    let text = if is_playing { "⏸ Pause" } else { "▶ Play" };
    let button = Button::new(RichText::new(text).strong().size(text_size));
    let button = if is_playing { button } else { button.fill(ui.visuals().selection.bg_fill) };
    if ui.add_sized(size, button).clicked() {
        run.toggle_play();
    }
}

/// Draws the control of the speed limit. Returns whether the limit was changed.
pub(super) fn speed(ui: &mut Ui, limit: &mut f64, field: &Field) -> bool {
    let (low, high) = field.range.unwrap_or((0.0, 1e3));
    let value =
        DragValue::new(limit).range(low..=high).speed(0.2).max_decimals(1).custom_formatter(
            |value, _| match value == 0.0 {
                true => "as fast as possible".into(),
                false => format!("{value:.1} steps/s"),
            },
        );
    labelled(ui, "speed", SPEED_WIDTH, value).on_hover_text(field.help.trim()).changed()
}

/// Draws a control with its name before it, both on the same line where controls wrap.
fn labelled(ui: &mut Ui, name: &str, width: f32, control: impl Widget) -> Response {
    let font = TextStyle::Body.resolve(ui.style());
    let text = ui.painter().layout_no_wrap(name.into(), font, ui.visuals().text_color());
    let needed = text.size().x + ui.spacing().item_spacing.x + width;
    if ui.layout().main_wrap() && ui.available_size_before_wrap().x < needed {
        ui.end_row();
    }
    let size = vec2(text.size().x, ui.spacing().interact_size.y);
    let label = ui.add_sized(size, Label::new(name).extend());
    ui.add(control).labelled_by(label.id)
}

/// Draws the buttons that move the chains. Returns the last of them.
fn buttons(ui: &mut Ui, run: &mut RunState) -> Response {
    let back = ui.button("⏮ Step back").on_hover_text("Show the previous step (left arrow).");
    if back.clicked() {
        run.step_back();
    }
    if play(ui, run.is_playing()) {
        run.toggle_play();
    }
    let forward = ui.button("Step ⏭").on_hover_text("One step forward (right arrow).");
    if forward.clicked() {
        run.step_forward();
    }
    let restart = ui.button("⟲ Restart");
    if restart.on_hover_text("The same starts and the same noise again (R).").clicked() {
        run.restart();
    }
    let new_seed = ui.button("New seed").on_hover_text("Other starts and other noise (N).");
    if new_seed.clicked() {
        run.restart_with_new_seed();
    }
    new_seed
}

fn undo(ui: &mut Ui, run: &mut RunState) {
    let undo = ui.add_enabled(run.can_undo(), Button::new("Undo"));
    let undo = undo.on_hover_text(UNDO);
    if undo.on_disabled_hover_text(NOTHING_TO_UNDO).clicked() {
        run.undo();
    }
}

/// Draws the controls for the number of steps, the speed and the seed.
pub(super) fn settings(ui: &mut Ui, run: &mut RunState) {
    run_to(ui, run);
    seed(ui, run);
}

fn run_to(ui: &mut Ui, run: &mut RunState) {
    let mut num_steps = run.settings.num_steps;
    let field = ViewConfig::field("num_steps");
    let (low, high) = field.range.unwrap_or((1.0, 1e6));
    let value = DragValue::new(&mut num_steps).range(low as usize..=high as usize);
    if labelled(ui, "steps to run", NUMBER_WIDTH, value).on_hover_text(field.help.trim()).changed()
    {
        run.set_num_steps(num_steps);
    }
    let mut limit = run.settings.max_steps_per_sec;
    if speed(ui, &mut limit, ViewConfig::field("max_steps_per_sec")) {
        run.set_max_steps_per_sec(limit);
    }
}

fn seed(ui: &mut Ui, run: &mut RunState) {
    let mut seed = run.settings.seed;
    let value = DragValue::new(&mut seed).range(0..=MAX_SEED).speed(0.1);
    let response = labelled(ui, "seed", NUMBER_WIDTH, value);
    if response.on_hover_text(ViewConfig::field("seed").help.trim()).changed() {
        run.settings.seed = seed;
        run.restart();
    }
}

/// Draws the timeline of all recorded steps, as wide as sliders are.
pub(super) fn timeline(ui: &mut Ui, run: &mut RunState) {
    let last = run.last_step();
    let mut shown = run.shown_step();
    let slider = Slider::new(&mut shown, 0..=last.max(1)).show_value(false);
    let response = ui.add_enabled(last > 0, slider);
    response.widget_info(|| egui::WidgetInfo::slider(last > 0, shown as f64, "recorded steps"));
    let response = response.on_hover_text(format!(
        "All recorded steps. Drag to view one again. When older pictures need more than {} MiB, \
         every second one is dropped, then every second of the rest.",
        history_mib()
    ));
    if response.changed() {
        run.pause();
        run.look_at(shown);
    }
}

/// Draws the timeline, and what can be done at a step of the past. Everything has a fixed place, so that a second click
/// on a button hits the same button.
fn scrubber(ui: &mut Ui, run: &mut RunState) {
    let (last, shown) = (run.last_step(), run.shown_step());
    let is_past = run.looking_at.is_some();
    ui.horizontal(|ui| {
        let stride = run.record.as_ref().map_or(1, |record| record.images.stride());
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let branch = ui.add_enabled(is_past, Button::new("Continue from here"));
            let branch = branch.on_hover_text(
                "Continue the chains from this step with the current settings. Undo brings the later steps back.",
            );
            if branch.on_disabled_hover_text(AT_NEWEST).clicked() {
                run.branch();
            }
            let newest = ui.add_enabled(is_past, Button::new("Jump to newest"));
            let newest = newest.on_hover_text(format!(
                "You are viewing step {shown} of {last}. Changes apply at the newest step."
            ));
            if newest.on_disabled_hover_text(AT_NEWEST).clicked() {
                run.look_at(last);
            }
            let note = match is_past {
                true => format!("viewing step {shown} of {last}"),
                false => format!("step {last}"),
            };
            // In a narrow frame, the timeline needs the room.
            let room = (ui.available_width() - MIN_TIMELINE - 20.0).max(0.0);
            let size = vec2(NOTE_WIDTH.min(room), ui.spacing().interact_size.y);
            let note = ui.add_sized(size, Label::new(note).truncate());
            if stride > 1 {
                note.on_hover_text(format!("1 of {stride} older pictures is kept."));
            }
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).max(MIN_TIMELINE);
            timeline(ui, run);
        });
    });
}
