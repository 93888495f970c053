//! The keyboard shortcuts.

use egui::{Context, Key, Modifiers};

use super::{
    disk::DialogPurpose, files::Files, help::Help, state::ExportKind, transport, viewer::Viewer,
};
use crate::config::Tab;

/// Handles shortcuts with Ctrl (or the command key).
pub(super) fn file_keys(ctx: &Context, viewer: &mut Viewer, files: &mut Files) {
    let pressed = |key| ctx.input_mut(|input| input.consume_key(Modifiers::COMMAND, key));
    if pressed(Key::O) {
        files.ask(ctx, DialogPurpose::Open, &mut viewer.run, &mut viewer.session);
    }
    let kinds = [(Key::S, ExportKind::Png), (Key::G, ExportKind::Gif), (Key::E, ExportKind::Csv)];
    for (key, kind) in kinds {
        if pressed(key) {
            viewer.session.export = Some(kind);
        }
    }
}

const DIGITS: [Key; 10] = [
    Key::Num0,
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

/// Handles the other shortcuts, unless the user is typing text.
pub(super) fn keys(ctx: &Context, viewer: &mut Viewer, help: &mut Help) {
    if ctx.text_edit_focused() {
        return;
    }
    let pressed = |key: Key| ctx.input(|input| input.key_pressed(key) && input.modifiers.is_none());
    // On most keyboards, a question mark is Shift and another key.
    if ctx.input(|input| input.events.iter().any(|e| matches!(e, egui::Event::Text(t) if t == "?")))
    {
        help.is_open = !help.is_open;
    }
    if pressed(Key::Escape) {
        help.is_open = false;
    }
    if ctx.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Z)) {
        undo(viewer);
    }
    // A focused button handles the space bar itself.
    let is_free = ctx.memory(|memory| memory.focused().is_none());
    if viewer.shows_plane() {
        if pressed(Key::Space) && is_free {
            viewer.lab.toggle();
        }
        if pressed(Key::ArrowRight) && is_free {
            viewer.lab.step();
        }
        if pressed(Key::R) {
            viewer.lab.restart();
        }
        if pressed(Key::N) {
            viewer.lab.reseed();
        }
        return;
    }
    let run = &mut viewer.run;
    if run.record.is_none() || viewer.session.tab == Tab::Train {
        return;
    }
    if pressed(Key::Space) && is_free {
        run.toggle_play();
    }
    if pressed(Key::ArrowLeft) && is_free {
        run.step_back();
    }
    if pressed(Key::ArrowRight) && is_free {
        run.step_forward();
    }
    if pressed(Key::R) {
        run.restart();
    }
    if pressed(Key::N) {
        run.restart_with_new_seed();
    }
    if pressed(Key::A) {
        run.only = None;
    }
    for (digit, key) in (0..).zip(DIGITS) {
        if pressed(key) {
            run.toggle_row_of_digit(digit);
        }
    }
}

/// Brings back the last run of the visible chains, or says why not.
fn undo(viewer: &mut Viewer) {
    if viewer.session.tab == Tab::Train {
        viewer.session.notify(
            "Ctrl+Z brings back runs of chains, in Chains, Plots and Lab. For drawings and data, use the \
             button Undo beside them.",
        );
    } else if !viewer.undo() {
        viewer.session.notify(transport::NOTHING_TO_UNDO);
    }
}
