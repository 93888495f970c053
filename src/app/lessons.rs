//! Lessons: a text beside a state that is prepared for it.

use std::sync::Arc;

use egui::{
    Button, Color32, FontId, Label, Panel, RichText, ScrollArea, TextFormat, Ui, text::LayoutJob,
};

use super::{fit::fit, viewer::Viewer};
use crate::{
    config::{LabView, Tab, ViewConfig, ViewState},
    lessons::{Block, Lesson, MAX_STEPS, Span, TITLES},
    worker::Command,
};

/// Width of the text beside a wide window.
const WIDTH: f32 = 310.0;
/// Share of a tall window that the text takes.
const SHARE: f32 = 0.34;
const TEXT: f32 = 14.0;

/// The lesson that is open.
#[derive(Debug, Default)]
pub struct Reading {
    /// Its number and its text, once that is here.
    text: Option<(usize, Arc<Lesson>)>,
    /// The number that was asked for.
    asked: usize,
    /// Lesson and step that were set up last.
    set_up: (usize, usize),
    is_answer_open: bool,
}

impl Viewer {
    /// Opens a lesson at a step and sets up what it shows; 0 closes it.
    pub fn open_lesson(&mut self, number: usize, step: usize) {
        self.view.view.lesson = number;
        self.view.view.lesson_step = step;
        self.reading.set_up = (0, 0);
        self.reading.ask_again();
        if self.lesson_folder.is_some() {
            // Somebody may be writing it.
            self.reading.text = None;
        }
    }

    /// A state of the window that names a lesson and nothing else sets up the lesson's own.
    pub(super) fn begin_lesson(&mut self) {
        let mut bare = ViewState::default();
        bare.view.lesson = self.view.view.lesson;
        bare.view.lesson_step = self.view.view.lesson_step;
        bare.view.model.clone_from(&self.view.view.model);
        if self.view != bare {
            // Somebody's own state beside the lesson: the text comes, the state stays.
            self.reading.set_up = (self.view.view.lesson, self.view.view.lesson_step);
        }
    }

    /// Asks for the text of the open lesson, and sets up its step when it is there.
    pub(super) fn follow_lesson(&mut self) {
        let (number, step) = (self.view.view.lesson, self.view.view.lesson_step);
        if number == 0 {
            return;
        }
        let is_here = self.reading.text.as_ref().is_some_and(|text| text.0 == number);
        if !is_here && self.reading.asked != number && self.device.is_some() {
            self.reading.asked = number;
            let folder = self.lesson_folder.clone();
            self.send(Command::Lesson { number, folder });
        }
        // What is set up must not be undone by the model that is still on its way.
        if is_here && self.reading.set_up != (number, step) && self.model.is_some() {
            self.reading.set_up = (number, step);
            self.reading.is_answer_open = false;
            let state = self.reading.step(step).and_then(|step| Some(step.state()?.to_string()));
            if let Some(state) = state {
                self.set_up(&state);
            }
        }
    }

    /// The title of the open lesson, once its text is here.
    pub fn lesson_title(&self) -> Option<&str> {
        let (number, lesson) = self.reading.text.as_ref()?;
        (*number == self.view.view.lesson).then_some(lesson.title.as_str())
    }

    /// Takes the text of a lesson.
    pub(super) fn take_lesson(&mut self, number: usize, text: &str) {
        let mut lesson = Lesson::parse(text);
        if lesson.steps.len() > MAX_STEPS {
            let count = lesson.steps.len();
            self.complain(format!(
                "Lesson {number} has {count} steps; only the first {MAX_STEPS} are shown."
            ));
            lesson.steps.truncate(MAX_STEPS);
        }
        self.reading.text = Some((number, Arc::new(lesson)));
    }

    /// Shows the state of a link within a lesson, and keeps the lesson open.
    pub fn set_up(&mut self, link: &str) {
        match ViewState::from_query(link) {
            Ok(mut state) => {
                state.view.lesson = self.view.view.lesson;
                state.view.lesson_step = self.view.view.lesson_step;
                self.show_state(state);
            }
            Err(error) => {
                self.complain(format!("This step of the lesson cannot be set up: {error}"))
            }
        }
    }

    /// Shows another state of the window, as if it had been opened with it.
    pub fn show_state(&mut self, state: ViewState) {
        let plays = state.view.play;
        let is_lab = state.view.tab == Tab::Lab && state.lab.config.view == LabView::Plane;
        let is_other_model =
            !is_lab && self.model.as_ref().is_none_or(|model| model.name != state.view.model);
        self.selected = None;
        self.lesson = None;
        self.overlay = Default::default();
        let old = std::mem::replace(&mut self.view, state);
        // What somebody painted is kept where the state brings no painting of its own.
        if self.view.lab.config.painted.is_empty() {
            self.view.lab.config.painted = old.lab.config.painted;
        }
        if is_lab {
            // The chains of the open model wait where they are, and so does all that is said of them.
            self.pause();
            let ViewConfig { tab, play, lesson, lesson_step, .. } = self.view.view;
            self.view.view = ViewConfig { tab, play, lesson, lesson_step, ..old.view };
            self.view.lanes = old.lanes;
            self.prepare_lab(plays);
        } else if is_other_model {
            // As at the start of the window: what the state says of the lanes holds.
            self.leave_model();
            self.is_running = plays;
            let name = self.view.view.model.clone();
            self.open(name);
        } else {
            self.pause();
            if let Some(model) = self.model.clone() {
                self.keep_known_classes(model.class_names.len());
                if self.view.lanes.is_empty() {
                    self.view.lanes = vec![model.lane()];
                }
            }
            self.is_running = plays;
            self.restart();
        }
    }
}

impl Reading {
    /// What was asked for may not have come.
    pub(super) fn ask_again(&mut self) {
        self.asked = 0;
    }

    fn step(&self, step: usize) -> Option<&crate::lessons::LessonStep> {
        let (_, lesson) = self.text.as_ref()?;
        lesson.steps.get(fit(step, 1, lesson.steps.len()).saturating_sub(1))
    }
}

/// The list of lessons.
pub(super) fn menu(ui: &mut Ui, viewer: &mut Viewer) {
    let response = ui.menu_button("Lessons", |ui| {
        for (index, title) in TITLES.iter().enumerate() {
            let is_open = viewer.view.view.lesson == index + 1;
            if ui.selectable_label(is_open, format!("{}. {title}", index + 1)).clicked() {
                viewer.open_lesson(index + 1, 1);
                ui.close();
            }
        }
    });
    response.response.on_hover_text("Eight short lessons on how chains converge, or fail to.");
}

/// Draws the open lesson at the side of a wide window, or at the top of a tall one.
pub(super) fn panel(ui: &mut Ui, viewer: &mut Viewer, is_small: bool) {
    if viewer.view.view.lesson == 0 {
        return;
    }
    match is_small {
        false => {
            let panel = Panel::right("lesson text").resizable(false).exact_size(WIDTH);
            panel.show(ui, |ui| text(ui, viewer));
        }
        true => {
            let height = SHARE * ui.available_height();
            let panel = Panel::top("lesson text").resizable(false).exact_size(height);
            panel.show(ui, |ui| text(ui, viewer));
        }
    }
}

fn text(ui: &mut Ui, viewer: &mut Viewer) {
    let (number, step) = (viewer.view.view.lesson, viewer.view.view.lesson_step);
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        ui.weak(format!("Lesson {number} of {}", TITLES.len()));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.small_button("✖").on_hover_text("Close the lesson.").clicked() {
                viewer.open_lesson(0, 1);
            }
        });
    });
    let Some((_, lesson)) = viewer.reading.text.clone().filter(|text| text.0 == number) else {
        ui.spinner();
        if ui.button("Load it again").clicked() {
            viewer.reading.ask_again();
        }
        return;
    };
    ui.add(Label::new(RichText::new(&lesson.title).heading()).wrap());
    let count = lesson.steps.len();
    let step = fit(step, 1, count);
    ui.horizontal(|ui| {
        for nth in 1..=count {
            let button = ui.selectable_label(nth == step, format!("  {nth}  "));
            if button.on_hover_text(&lesson.steps[nth - 1].title).clicked() {
                viewer.open_lesson(number, nth);
            }
        }
        if step < count {
            if ui.button("Next ▶").clicked() {
                viewer.open_lesson(number, step + 1);
            }
        } else if number < TITLES.len() && ui.button("Next lesson ▶").clicked() {
            viewer.open_lesson(number + 1, 1);
        }
    });
    ui.separator();
    let Some(current) = lesson.steps.get(step.saturating_sub(1)) else { return };
    ScrollArea::vertical().id_salt(("lesson", number, step)).auto_shrink(false).show(ui, |ui| {
        ui.add(Label::new(RichText::new(&current.title).strong().size(TEXT + 1.0)).wrap());
        ui.add_space(2.0);
        blocks(ui, viewer, &current.blocks);
        if !current.answer.is_empty() {
            ui.add_space(4.0);
            let is_open = viewer.reading.is_answer_open;
            let name = if is_open { "Hide the answer" } else { "Show the answer" };
            if ui.button(name).clicked() {
                viewer.reading.is_answer_open = !is_open;
            }
            if viewer.reading.is_answer_open {
                let frame = egui::Frame::new().fill(ui.visuals().faint_bg_color).inner_margin(6.0);
                frame.corner_radius(4.0).show(ui, |ui| blocks(ui, viewer, &current.answer));
            }
        }
        ui.add_space(8.0);
    });
}

fn blocks(ui: &mut Ui, viewer: &mut Viewer, blocks: &[Block]) {
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
                    viewer.set_up(&link);
                }
            } else {
                ui.hyperlink_to(name, link);
            }
        }
        ui.add_space(5.0);
    }
}

fn format_of(ui: &Ui, span: &Span) -> TextFormat {
    let visuals = ui.visuals();
    let font_id = match span.is_code {
        true => FontId::monospace(TEXT - 1.0),
        false => FontId::proportional(TEXT),
    };
    let is_stressed = span.is_strong || span.is_code;
    // Prose of some length, which the colour of labels would make hard to read.
    let plain = visuals.widgets.inactive.text_color();
    let color = if is_stressed { visuals.strong_text_color() } else { plain };
    let background = if span.is_code { visuals.code_bg_color } else { Color32::TRANSPARENT };
    TextFormat { font_id, color, background, italics: span.is_emphasis, ..Default::default() }
}
