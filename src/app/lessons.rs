//! The lesson panel: the text of a lesson, beside the prepared state that it is about.

use egui::{
    Align, Button, Color32, FontId, Label, Layout, Panel, Rect, RichText, ScrollArea, Sense,
    TextFormat, Ui, UiBuilder, text::LayoutJob, vec2,
};

use super::{fit::fit, state::OpenLesson};
use crate::lessons::{Block, Lesson, MAX_STEPS, Span, TITLES};

/// The width of the text beside a wide window.
const WIDTH: f32 = 310.0;
/// The fraction of a small window that the text takes: of the height of a tall one, of the width of a wide one.
const SHARES: [f32; 2] = [0.4, 0.42];
/// The least height of the text above the chains, for the way, the title, a link and a few lines; but at most half of all.
const LEAST_HEIGHT: f32 = 190.0;
/// The width of the text beside a small window.
const SMALL_WIDTHS: [f32; 2] = [170.0, 320.0];
/// The fraction of a frame's height that its open strip takes.
const STRIP: f32 = 0.5;
/// The height from which a frame has space for the text.
const HIGH: f32 = 460.0;
/// The width below which the buttons of the way are signs only.
const SIGNS: f32 = 200.0;
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
        ui.separator();
        let back = ui.add_enabled(lesson.has_before(), Button::new("Back to my settings"));
        let back = back.on_hover_text("Close the lesson and show what you had before it.");
        if back.on_disabled_hover_text("No lesson was opened yet.").clicked() {
            lesson.go_back();
            ui.close();
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
            panel.show(ui, |ui| text(ui, lesson, is_small).0).inner
        }
        true => {
            let room = ui.available_size();
            let [tall, wide] = SHARES;
            let panel = match room.y > room.x {
                true => {
                    let height = (tall * room.y).max(LEAST_HEIGHT.min(0.5 * room.y));
                    Panel::top("lesson text").exact_size(height)
                }
                false => {
                    let [least, most] = SMALL_WIDTHS;
                    Panel::right("lesson text").exact_size(fit(wide * room.x, least, most))
                }
            };
            panel.resizable(false).show(ui, |ui| text(ui, lesson, is_small).0).inner
        }
    }
}

/// A place that scrolls, and whether its contents can move down and up, which shows what is above and what is below.
pub(super) type Scrolled = (Rect, [bool; 2]);

/// Draws the open lesson of a frame in another page as a strip at its top: one line, and the text when it is opened.
/// Returns the link to set up, if one was clicked, and the place of the text.
pub(super) fn strip(
    ui: &mut Ui,
    lesson: &mut OpenLesson,
    chosen: &mut Option<bool>,
) -> (Option<String>, Option<Scrolled>) {
    if lesson.number == 0 {
        return (None, None);
    }
    let (room, height) = (ui.available_height(), ui.spacing().interact_size.y);
    // Before a person chooses, it is open in a high frame. Without the text, it says why.
    if lesson.why_not.is_some() {
        chosen.get_or_insert(true);
    }
    let is_open = chosen.unwrap_or(room >= HIGH) && room >= 2.0 * height;
    let whole = if is_open { STRIP * room } else { height + 4.0 };
    let frame = egui::Frame::side_top_panel(ui.style()).inner_margin(egui::Margin::symmetric(6, 2));
    let panel = Panel::top("lesson strip").resizable(false).exact_size(whole.max(height + 4.0));
    let shown = panel.frame(frame).show(ui, |ui| {
        let title = lesson.title().unwrap_or_else(|| TITLES[lesson.number - 1]).to_string();
        let sign = if is_open { "⏷" } else { "⏵" };
        let name = RichText::new(format!("{sign} {}. {title}", lesson.number)).strong();
        let button = Button::new(name).frame(false).truncate();
        let button = ui.add_sized(vec2(ui.available_width(), height), button);
        let hover = if is_open { "Hide the text." } else { "Read the lesson." };
        if button.on_hover_text(hover).clicked() {
            *chosen = Some(!is_open);
        }
        is_open.then(|| text(ui, lesson, true))
    });
    shown.inner.map_or((None, None), |(link, scrolled)| (link, Some(scrolled)))
}

/// Draws the way through the open lesson and its text. Returns the link to set up, if one was clicked, and the text's place.
fn text(ui: &mut Ui, open: &mut OpenLesson, is_small: bool) -> (Option<String>, Scrolled) {
    let (number, lesson) = (open.number, open.text().cloned());
    let titles: Vec<&str> =
        lesson.iter().flat_map(|lesson| &lesson.steps).map(|step| step.title.as_str()).collect();
    let step = fit(open.step, 1, titles.len());
    ui.add_space(4.0);
    way(ui, open, step, &titles, is_small);
    let id = ("lesson", number, step, open.has_ended);
    let shown = ScrollArea::vertical().id_salt(id).auto_shrink(false).show(ui, |ui| match lesson {
        _ if open.has_ended => {
            the_end(ui, open);
            None
        }
        Some(lesson) => step_text(ui, open, &lesson, step, is_small),
        None => absent(ui, open),
    });
    let (above, seen) = (shown.state.clamped_offset().y, shown.inner_rect);
    let is_more_below = above + seen.height() + 0.5 < shown.content_size.y;
    (shown.inner, (seen, [above > 0.0, is_more_below]))
}

/// Draws what is there without the text: a sign that it is on its way, or why it did not come.
fn absent(ui: &mut Ui, open: &mut OpenLesson) -> Option<String> {
    match &open.why_not {
        Some(reason) => ui.add(Label::new(reason.as_str()).wrap()),
        None => ui.spinner(),
    };
    if ui.button("Load it again").clicked() {
        open.ask_again();
    }
    None
}

/// Draws the text of a step, and its answer. Returns the link to set up, if one was clicked.
fn step_text(
    ui: &mut Ui,
    open: &mut OpenLesson,
    lesson: &Lesson,
    step: usize,
    is_small: bool,
) -> Option<String> {
    let current = lesson.steps.get(step.saturating_sub(1))?;
    let mut title = current.title.clone();
    if is_small {
        // Both titles in one, since the text needs the height.
        title = format!("{}: {title}", lesson.title);
    } else {
        ui.add(Label::new(RichText::new(&lesson.title).heading()).wrap());
    }
    let title = RichText::new(title.trim_end_matches(": ")).strong().size(TEXT + 1.0);
    ui.add(Label::new(title).wrap());
    ui.add_space(2.0);
    let mut link = blocks(ui, &current.blocks);
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
            link = link.or(answer.inner);
        }
    }
    ui.add_space(8.0);
    link
}

/// The widths of the buttons for the way back and on, and the most that each takes of a narrow panel.
const BACK: f32 = 70.0;
const NEXT: f32 = 124.0;
const MOST: [f32; 2] = [0.24, 0.42];
/// With more steps than this, there is no space for a button for each.
const MAX_STEP_BUTTONS: usize = 4;

/// Draws the way through the lesson: back, the steps, and on. Each button has the same place in every step of every
/// lesson, so that a second click does what the first one did.
fn way(ui: &mut Ui, open: &mut OpenLesson, step: usize, titles: &[&str], is_small: bool) {
    let (number, count) = (open.number, titles.len());
    let name = format!("Lesson {number} of {}", TITLES.len());
    let height = ui.spacing().interact_size.y;
    let gap = ui.spacing().item_spacing.x;
    let close = |ui: &mut Ui, at: Rect, open: &mut OpenLesson| {
        if ui.put(at, Button::new("✖")).on_hover_text("Close the lesson.").clicked() {
            open.open(0, 1);
        }
    };
    let row =
        |ui: &mut Ui| ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::empty()).0;
    let square =
        |row: Rect| Rect::from_min_max(row.right_top() - vec2(height, 0.0), row.right_bottom());
    let mut way = row(ui);
    if is_small {
        close(ui, square(way), open);
        way.max.x -= height + gap;
    } else {
        let builder = UiBuilder::new().max_rect(way).layout(Layout::left_to_right(Align::Center));
        ui.scope_builder(builder, |ui| ui.weak(name.as_str()));
        close(ui, square(way), open);
        way = row(ui);
    }
    let back = BACK.min(MOST[0] * way.width());
    let next = NEXT.min(MOST[1] * way.width());
    let (back, next) = (way.with_max_x(way.left() + back), way.with_min_x(way.right() - next));
    let between =
        Rect::from_min_max(back.right_top() + vec2(gap, 0.0), next.left_bottom() - vec2(gap, 0.0));
    let has_back = open.has_ended || step > 1 || number > 1;
    let has_signs = way.width() < SIGNS;
    let shown = |name: &'static str, sign| if has_signs { sign } else { name };
    let go_back = put_enabled(ui, has_back, back, shown("◀ Back", "◀"), "◀ Back");
    if go_back && open.has_ended {
        open.has_ended = false;
    } else if go_back && step > 1 {
        open.open(number, step - 1);
    } else if go_back {
        open.open(number - 1, MAX_STEPS);
    }
    let [name_of_next, sign] = match (step < count, number < TITLES.len()) {
        (true, _) => ["Next ▶", "▶"],
        (false, true) => ["Next lesson ▶", "▶"],
        (false, false) => ["✔ Finish", "✔"],
    };
    let has_next = count > 0 && !open.has_ended;
    if put_enabled(ui, has_next, next, shown(name_of_next, sign), name_of_next) {
        match step < count {
            true => open.open(number, step + 1),
            false => open.finish(TITLES.len()),
        }
    }
    if is_small || count > MAX_STEP_BUTTONS {
        let place = if count > 0 { format!("{number}.{step}") } else { number.to_string() };
        ui.put(between, Label::new(RichText::new(place).strong()).truncate())
            .on_hover_text(format!("{name}, step {step} of {count}"));
        return;
    }
    let width = between.width() / count.max(1) as f32;
    for (index, title) in titles.iter().enumerate() {
        let left = between.left() + index as f32 * width;
        let at = Rect::from_min_size(egui::pos2(left, between.top()), vec2(width, height));
        let is_open = index + 1 == step && !open.has_ended;
        let button = Button::selectable(is_open, (index + 1).to_string());
        if ui.put(at, button).on_hover_text(*title).clicked() {
            open.open(number, index + 1);
        }
    }
}

/// Draws a button at a place, with a text or a sign for its name. Returns whether it was clicked.
fn put_enabled(ui: &mut Ui, is_enabled: bool, at: Rect, text: &str, name: &str) -> bool {
    ui.scope(|ui| {
        if !is_enabled {
            ui.disable();
        }
        ui.put(at, Button::new(text).truncate()).accessible_name(name).clicked()
    })
    .inner
}

/// Draws the end of the lessons: which are finished, and what to do next.
fn the_end(ui: &mut Ui, open: &mut OpenLesson) {
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
