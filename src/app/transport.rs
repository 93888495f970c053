//! Play, pause, step, scrub.

use egui::{Button, DragValue, Key, RichText, Slider, Ui};

use super::{
    help::Help,
    record::HISTORY_MIB,
    viewer::{Tab, Viewer},
};
use crate::config::{Field, MAX_SEED, ViewConfig};

/// Draws the transport.
pub fn ui(ui: &mut Ui, viewer: &mut Viewer) {
    ui.add_space(3.0);
    ui.add_enabled_ui(viewer.record.is_some(), |ui| {
        ui.horizontal_wrapped(|ui| {
            buttons(ui, viewer);
            ui.separator();
            settings(ui, viewer);
        });
        scrubber(ui, viewer);
    });
    ui.add_space(2.0);
}

/// The button that plays and pauses; whether it was pressed.
pub fn play(ui: &mut Ui, is_playing: bool) -> bool {
    let (text, hover) = match is_playing {
        true => ("⏸ Pause", "Stop here (space)."),
        false => ("▶ Play", "Let the chains run (space)."),
    };
    let play = Button::new(RichText::new(text).strong().size(16.0)).min_size(egui::vec2(86.0, 0.0));
    let play = if is_playing { play } else { play.fill(ui.visuals().selection.bg_fill) };
    ui.add(play).on_hover_text(hover).clicked()
}

/// How fast at most; whether that was changed.
pub fn speed(ui: &mut Ui, limit: &mut f64, field: &Field) -> bool {
    let (low, high) = field.range.unwrap_or((0.0, 1e3));
    let label = ui.add(egui::Label::new("at most").extend());
    let value =
        DragValue::new(limit).range(low..=high).speed(0.2).max_decimals(1).custom_formatter(
            |value, _| match value == 0.0 {
                true => "no limit".into(),
                false => format!("{value:.1} steps/s"),
            },
        );
    ui.add(value).labelled_by(label.id).on_hover_text(field.help.trim()).changed()
}

fn buttons(ui: &mut Ui, viewer: &mut Viewer) {
    let back = ui.button("⏮ Step back").on_hover_text("Show the step before (left arrow).");
    if back.clicked() {
        viewer.step_back();
    }
    if play(ui, viewer.is_playing()) {
        viewer.toggle_play();
    }
    let forward = ui.button("Step ⏭").on_hover_text("One step on (right arrow).");
    if forward.clicked() {
        viewer.step_forward();
    }
    let restart = ui.button("⟲ Restart");
    if restart.on_hover_text("The same starts and the same noise again (R).").clicked() {
        viewer.restart();
    }
    let new_seed = ui.button("New seed");
    if new_seed.on_hover_text("Other starts and other noise (N).").clicked() {
        viewer.restart_with_new_seed();
    }
}

/// How long, how fast, and with which noise.
pub fn settings(ui: &mut Ui, viewer: &mut Viewer) {
    run_to(ui, viewer);
    seed(ui, viewer);
}

fn run_to(ui: &mut Ui, viewer: &mut Viewer) {
    let mut num_steps = viewer.view.view.num_steps;
    let field = ViewConfig::field("num_steps");
    let (low, high) = field.range.unwrap_or((1.0, 1e6));
    let label = ui.label("run to step M");
    let value = DragValue::new(&mut num_steps).range(low as usize..=high as usize);
    let response = ui.add(value).labelled_by(label.id).on_hover_text(field.help.trim());
    if response.changed() {
        viewer.set_num_steps(num_steps);
    }
    let mut limit = viewer.view.view.max_steps_per_sec;
    if speed(ui, &mut limit, ViewConfig::field("max_steps_per_sec")) {
        viewer.set_max_steps_per_sec(limit);
    }
}

fn seed(ui: &mut Ui, viewer: &mut Viewer) {
    let mut seed = viewer.view.view.seed;
    let label = ui.label("seed");
    let response =
        ui.add(DragValue::new(&mut seed).range(0..=MAX_SEED).speed(0.1)).labelled_by(label.id);
    if response.on_hover_text(ViewConfig::field("seed").help.trim()).changed() {
        viewer.view.view.seed = seed;
        viewer.restart();
    }
}

/// The time line: everything recorded, up to the width that sliders have.
pub fn timeline(ui: &mut Ui, viewer: &mut Viewer) {
    let last = viewer.last_step();
    let mut shown = viewer.shown_step();
    let slider = Slider::new(&mut shown, 0..=last.max(1)).show_value(false);
    let response = ui.add_enabled(last > 0, slider);
    response.widget_info(|| egui::WidgetInfo::slider(last > 0, shown as f64, "recorded steps"));
    let response = response.on_hover_text(format!(
        "Everything seen since the start; drag to look at it again. Older pictures are thinned out when \
         they would take more than {HISTORY_MIB} MiB: every second one goes, then every second of the rest."
    ));
    if response.changed() {
        viewer.pause();
        viewer.look_at(shown);
    }
}

fn scrubber(ui: &mut Ui, viewer: &mut Viewer) {
    let (last, shown) = (viewer.last_step(), viewer.shown_step());
    ui.horizontal(|ui| {
        let stride = viewer.record.as_ref().map_or(1, |record| record.images.stride());
        let mut note = format!("step {shown} of {last}");
        if stride > 1 {
            note += &format!(" · 1 of {stride} pictures kept");
        }
        let room = ui.available_width() - 8.0 * note.chars().count() as f32 - 20.0;
        ui.spacing_mut().slider_width = room.max(80.0);
        timeline(ui, viewer);
        ui.label(note);
    });
    if let Some(step) = viewer.looking_at {
        ui.horizontal_wrapped(|ui| {
            ui.label(format!(
                "You are looking at step {step} of the past; controls act from step {last} on."
            ));
            if ui.button("Back to the newest").clicked() {
                viewer.look_at(last);
            }
            let branch = ui.button("Go on from here");
            let hover = "Take up the chains at this very step, by the rules set now, and forget what came after.";
            if branch.on_hover_text(hover).clicked() {
                viewer.branch();
            }
        });
    }
}

const DIGITS: [Key; 9] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
    Key::Num7,
    Key::Num8,
    Key::Num9,
];

/// What keys do, unless somebody is typing.
pub fn keys(ctx: &egui::Context, viewer: &mut Viewer, help: &mut Help) {
    if ctx.text_edit_focused() {
        return;
    }
    let pressed = |key: Key| ctx.input(|input| input.key_pressed(key) && input.modifiers.is_none());
    // A question mark is Shift and another key on most keyboards.
    if ctx.input(|input| input.events.iter().any(|e| matches!(e, egui::Event::Text(t) if t == "?")))
    {
        help.is_open = !help.is_open;
    }
    if pressed(Key::Escape) {
        help.is_open = false;
    }
    // A focused button takes the space bar itself.
    let is_free = ctx.memory(|memory| memory.focused().is_none());
    if viewer.shows_plane() {
        if pressed(Key::Space) && is_free {
            viewer.toggle_lab();
        }
        if pressed(Key::ArrowRight) && is_free {
            viewer.step_lab();
        }
        if pressed(Key::R) {
            viewer.restart_lab();
        }
        if pressed(Key::N) {
            viewer.reseed_lab();
        }
        return;
    }
    if viewer.record.is_none() || viewer.view.view.tab == Tab::Train {
        return;
    }
    if pressed(Key::Space) && is_free {
        viewer.toggle_play();
    }
    if pressed(Key::ArrowLeft) && is_free {
        viewer.step_back();
    }
    if pressed(Key::ArrowRight) && is_free {
        viewer.step_forward();
    }
    if pressed(Key::R) {
        viewer.restart();
    }
    if pressed(Key::N) {
        viewer.restart_with_new_seed();
    }
    if pressed(Key::Num0) && !viewer.view.view.classes.is_empty() {
        viewer.view.view.classes.clear();
        viewer.restart();
    }
    for (class, key) in DIGITS.into_iter().enumerate() {
        if pressed(key) {
            viewer.toggle_only_class(class as u32);
        }
    }
}
