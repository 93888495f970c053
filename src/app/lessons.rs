//! The lesson panel: the text of a lesson, beside the prepared state that it is about.

use egui::{
    Button, Color32, FontId, Label, Panel, RichText, ScrollArea, TextFormat, Ui, text::LayoutJob,
};

use super::{fit::fit, state::OpenLesson};
use crate::lessons::{Block, Span, TITLES};

/// The width of the text beside a wide window.
const WIDTH: f32 = 310.0;
/// The fraction of a tall window that the text takes.
const SHARE: f32 = 0.34;
const TEXT: f32 = 14.0;

/// Draws the list of lessons.
pub(super) fn menu(ui: &mut Ui, lesson: &mut OpenLesson) {
    let response = ui.menu_button("Lessons", |ui| {
        for (index, title) in TITLES.iter().enumerate() {
            let is_open = lesson.number == index + 1;
            let tick = if lesson.finished.contains(&(index + 1)) { "✔ " } else { "" };
            let name = format!("{tick}{}. {title}", index + 1);
            if ui.selectable_label(is_open, name).clicked() {
                lesson.open(index + 1, 1);
                ui.close();
            }
        }
    });
    response.response.on_hover_text("Eight short lessons on how chains converge, or fail to.");
}

/// Draws the open lesson at the side of a wide window, or at the top of a tall one. Returns the link to set up,
/// if one was clicked.
pub(super) fn panel(ui: &mut Ui, lesson: &mut OpenLesson, is_small: bool) -> Option<String> {
    if lesson.number == 0 {
        return None;
    }
    match is_small {
        false => {
            let panel = Panel::right("lesson text").resizable(false).exact_size(WIDTH);
            panel.show(ui, |ui| text(ui, lesson)).inner
        }
        true => {
            let height = SHARE * ui.available_height();
            let panel = Panel::top("lesson text").resizable(false).exact_size(height);
            panel.show(ui, |ui| text(ui, lesson)).inner
        }
    }
}

fn text(ui: &mut Ui, open: &mut OpenLesson) -> Option<String> {
    let (number, step, lesson) = (open.number, open.step, open.text().cloned());
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        ui.weak(format!("Lesson {number} of {}", TITLES.len()));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.small_button("✖").on_hover_text("Close the lesson.").clicked() {
                open.open(0, 1);
            }
        });
    });
    if open.has_ended {
        closing_words(ui, open);
        return None;
    }
    let Some(lesson) = lesson else {
        ui.spinner();
        if ui.button("Load it again").clicked() {
            open.ask_again();
        }
        return None;
    };
    ui.add(Label::new(RichText::new(&lesson.title).heading()).wrap());
    let count = lesson.steps.len();
    let step = fit(step, 1, count);
    ui.horizontal(|ui| {
        for nth in 1..=count {
            let button = ui.selectable_label(nth == step, format!("  {nth}  "));
            if button.on_hover_text(&lesson.steps[nth - 1].title).clicked() {
                open.open(number, nth);
            }
        }
        if step < count {
            if ui.button("Next ▶").clicked() {
                open.open(number, step + 1);
            }
        } else {
            let name = if number < TITLES.len() { "Next lesson ▶" } else { "✔ Finish" };
            if ui.button(name).clicked() {
                open.finish(TITLES.len());
            }
        }
    });
    ui.separator();
    let current = lesson.steps.get(step.saturating_sub(1))?;
    let mut link = None;
    ScrollArea::vertical().id_salt(("lesson", number, step)).auto_shrink(false).show(ui, |ui| {
        ui.add(Label::new(RichText::new(&current.title).strong().size(TEXT + 1.0)).wrap());
        ui.add_space(2.0);
        link = blocks(ui, &current.blocks);
        if !current.answer.is_empty() {
            ui.add_space(4.0);
            let is_open = open.is_answer_open;
            let name = if is_open { "Hide the answer" } else { "Show the answer" };
            if ui.button(name).clicked() {
                open.is_answer_open = !is_open;
            }
            if open.is_answer_open {
                let frame = egui::Frame::new().fill(ui.visuals().faint_bg_color).inner_margin(6.0);
                let answer = frame.corner_radius(4.0).show(ui, |ui| blocks(ui, &current.answer));
                link = link.take().or(answer.inner);
            }
        }
        ui.add_space(8.0);
    });
    link
}

/// Draws the end of the lessons: which are finished, and what to do next.
fn closing_words(ui: &mut Ui, open: &mut OpenLesson) {
    ui.add(Label::new(RichText::new("That was the last lesson").heading()).wrap());
    let missing: Vec<usize> =
        (1..=TITLES.len()).filter(|nth| !open.finished.contains(nth)).collect();
    let text = match missing.is_empty() {
        true => format!("✔ You have finished all {} lessons.", TITLES.len()),
        false => format!("You have finished {} of {}.", open.finished.len(), TITLES.len()),
    };
    ui.add(Label::new(RichText::new(text).size(TEXT)).wrap());
    for nth in missing {
        if ui.add(Button::new(format!("▶ {nth}. {}", TITLES[nth - 1])).wrap()).clicked() {
            open.open(nth, 1);
        }
    }
    ui.add_space(6.0);
    let next = "What next? Draw your own data in the Train tab and watch a model learn it. Or paint a density \
                in the Lab tab and see which sampler finds all of it.";
    ui.add(Label::new(RichText::new(next).size(TEXT)).wrap());
    ui.add_space(6.0);
    if ui.button("Close the lessons").clicked() {
        open.open(0, 1);
    }
}

/// Draws paragraphs. Returns the link to set up, if one was clicked.
fn blocks(ui: &mut Ui, blocks: &[Block]) -> Option<String> {
    let mut clicked = None;
    for block in blocks {
        let mut job = LayoutJob::default();
        if block.is_item {
            job.append("•  ", 0.0, format_of(ui, &Span::default()));
        }
        let mut links = Vec::new();
        for span in &block.spans {
            match &span.link {
                Some(link) => links.push((span.text.clone(), link.clone())),
                None => job.append(&span.text, 0.0, format_of(ui, span)),
            }
        }
        if job.text.trim().chars().any(char::is_alphanumeric) {
            ui.add(Label::new(job).wrap());
        }
        for (name, link) in links {
            if link.starts_with('?') {
                let button = Button::new(format!("▶ {name}")).wrap();
                if ui.add(button).on_hover_text("Set this up.").clicked() {
                    clicked = Some(link);
                }
            } else {
                ui.hyperlink_to(name, link);
            }
        }
        ui.add_space(5.0);
    }
    clicked
}

fn format_of(ui: &Ui, span: &Span) -> TextFormat {
    let visuals = ui.visuals();
    let font_id = match span.is_code {
        true => FontId::monospace(TEXT - 1.0),
        false => FontId::proportional(TEXT),
    };
    let is_stressed = span.is_strong || span.is_code;
    // This is longer text, which would be hard to read in the colour of labels.
    let plain = visuals.widgets.inactive.text_color();
    let color = if is_stressed { visuals.strong_text_color() } else { plain };
    let background = if span.is_code { visuals.code_bg_color } else { Color32::TRANSPARENT };
    TextFormat { font_id, color, background, italics: span.is_emphasis, ..Default::default() }
}
