//! A path that the user types, where the desktop has neither a file portal nor a dialog program.

use std::path::{Path, PathBuf};

use egui::{Context, Id, Key, Modal, TextEdit};

use super::DialogPurpose;

/// The question for a path, while it is open.
pub(in crate::app) struct Prompt {
    purpose: DialogPurpose,
    text: String,
}

impl Prompt {
    /// A question with a path to begin from.
    pub(in crate::app) fn new(purpose: DialogPurpose, path: &Path) -> Self {
        Self { purpose, text: path.display().to_string() }
    }

    /// Draws the question, if there is one. Returns the answer.
    pub(in crate::app) fn follow(
        prompt: &mut Option<Self>,
        ctx: &Context,
    ) -> Option<(DialogPurpose, PathBuf)> {
        let Self { purpose, text } = prompt.as_mut()?;
        let verb = if purpose.opens() { "Open" } else { "Save" };
        let shown = Modal::new(Id::unique("path")).show(ctx, |ui| {
            ui.set_width((ctx.content_rect().width() - 40.0).min(420.0));
            let label = ui.label(match purpose.opens() {
                true => "This desktop has no file dialog. Path of the file or folder to open:",
                false => "This desktop has no file dialog. Path of the file to save:",
            });
            let edit = TextEdit::singleline(text).desired_width(f32::INFINITY);
            let edit = ui.add(edit).labelled_by(label.id);
            let is_entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            if !is_entered && ui.memory(|memory| memory.focused().is_none()) {
                edit.request_focus();
            }
            ui.horizontal(|ui| {
                let is_given =
                    ui.add_enabled(!text.trim().is_empty(), egui::Button::new(verb)).clicked();
                (is_given || is_entered, ui.button("Cancel").clicked())
            })
            .inner
        });
        let (is_given, is_cancelled) = shown.inner;
        if !is_given && !is_cancelled && !shown.should_close() {
            return None;
        }
        let Self { purpose, text } = prompt.take()?;
        is_given.then(|| (purpose, text.trim().into()))
    }
}

#[cfg(test)]
mod tests {
    use egui::{Event, Modifiers, Pos2, RawInput, Rect, vec2};

    use super::*;

    /// Draws a frame with these events. Returns the answer.
    fn frame(
        ctx: &Context,
        prompt: &mut Option<Prompt>,
        events: Vec<Event>,
    ) -> Option<(DialogPurpose, PathBuf)> {
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, vec2(800.0, 600.0)));
        let input = RawInput { screen_rect, events, ..RawInput::default() };
        let mut answer = None;
        let _ = ctx.run_ui(input, |ui| {
            let given = Prompt::follow(prompt, ui.ctx());
            answer = answer.take().or(given);
        });
        answer
    }

    fn press(key: Key) -> Event {
        let modifiers = Modifiers::NONE;
        Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }
    }

    /// A question that has the keys.
    fn asked(purpose: DialogPurpose, path: &str) -> (Context, Option<Prompt>) {
        let (ctx, mut prompt) = (Context::default(), Some(Prompt::new(purpose, path.as_ref())));
        for _ in 0..4 {
            assert_eq!(frame(&ctx, &mut prompt, Vec::new()), None);
        }
        assert!(ctx.memory(|memory| memory.focused().is_some()), "one can type at once");
        (ctx, prompt)
    }

    #[test]
    fn a_path_is_typed_and_entered() {
        for purpose in [DialogPurpose::Open, DialogPurpose::SaveModel] {
            let (ctx, mut prompt) = asked(purpose, "/data");
            let typed = Event::Text("/new.safetensors ".into());
            assert_eq!(frame(&ctx, &mut prompt, vec![typed]), None);
            let answer = frame(&ctx, &mut prompt, vec![press(Key::Enter)]);
            assert_eq!(answer, Some((purpose, "/data/new.safetensors".into())));
            assert!(prompt.is_none());
        }
    }

    #[test]
    fn escape_closes_the_question_without_an_answer() {
        let (ctx, mut prompt) = asked(DialogPurpose::Open, "/data");
        assert_eq!(frame(&ctx, &mut prompt, vec![press(Key::Escape)]), None);
        assert!(prompt.is_none());
        assert_eq!(frame(&ctx, &mut prompt, Vec::new()), None);
    }
}
