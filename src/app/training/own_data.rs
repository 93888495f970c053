//! A person's own data on the training tab: where to drop it, its classes, what is in it, and the button that trains.

use egui::{Button, Frame, Key, RichText, Stroke, TextEdit, Ui, vec2};

use super::{Wish, items::Items};
use crate::{
    app::{
        chart::note,
        disk::DialogPurpose,
        state::{Chosen, OwnData, duration_text},
        theme,
    },
    worker::DataReport,
};

/// The state of this part of the tab, kept between frames.
#[derive(Default)]
pub(super) struct OwnView {
    /// The name that is being typed for pictures that wait for one.
    waiting_name: String,
    /// The names of the classes, as they are being edited.
    names: Vec<String>,
    /// The number of waiting pictures for which the field of the name was given the keyboard.
    num_asked: usize,
    sheet: Items,
    /// The number of the report whose contact sheet is shown.
    shown: usize,
}

/// What a person asked for here.
pub(super) enum Asked {
    /// Something outside the tab.
    Wish(Wish),
    /// To train on the data.
    Train,
}

/// Draws the place to drop data on, while there is none.
pub(super) fn invitation(ui: &mut Ui) -> Option<Asked> {
    let mut asked = None;
    zone(ui, |ui| {
        ui.vertical_centered(|ui| {
            ui.add_space(6.0);
            ui.label(RichText::new("Drop a folder, a zip or pictures here").heading().strong());
            ui.label("and train a model on them.");
            ui.add_space(4.0);
            asked = buttons(ui);
            ui.add_space(4.0);
            note(
                ui,
                "A folder with one folder of pictures for each class, or a zip of it. Or pictures class by class. Or \
                 an .npz, IDX or CSV file.",
            );
            note(ui, NOTHING_LEAVES);
            ui.add_space(6.0);
        });
    });
    asked
}

/// What a person should know before giving pictures away.
const NOTHING_LEAVES: &str =
    "Nothing leaves this computer: your files are read here, and the model is trained here.";

/// A frame that looks like a place to drop something on.
fn zone(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    let color = ui.visuals().weak_text_color();
    let response = Frame::new()
        .inner_margin(10.0)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            add(ui);
        })
        .response;
    let rect = response.rect.shrink(1.0);
    let corners = [
        rect.left_top(),
        rect.right_top(),
        rect.right_bottom(),
        rect.left_bottom(),
        rect.left_top(),
    ];
    ui.painter().extend(egui::Shape::dashed_line(&corners, Stroke::new(1.5, color), 7.0, 5.0));
}

/// Draws the buttons that choose a folder or files.
fn buttons(ui: &mut Ui) -> Option<Asked> {
    let mut asked = None;
    let mut button = |ui: &mut Ui, text, hover, purpose| {
        if ui.button(text).on_hover_text(hover).clicked() {
            asked = Some(Asked::Wish(Wish::Dialog(purpose)));
        }
    };
    // In the middle of the line, where a layout cannot place a row of its own.
    let width = 232.0f32.min(ui.available_width());
    ui.allocate_ui_with_layout(
        vec2(width, ui.spacing().interact_size.y),
        egui::Layout::left_to_right(egui::Align::Center).with_main_wrap(true),
        |ui| {
            let hover = "A folder with one folder for each class, or the pictures of one class.";
            button(ui, "Choose folder…", hover, DialogPurpose::DataFolder);
            let hover = "A zip, pictures, an .npz, IDX or CSV file.";
            button(ui, "Choose files…", hover, DialogPurpose::DataFiles);
        },
    );
    asked
}

/// Draws the data set: its classes, what is in it, its recipe. `can_train` says whether training can start now.
pub(super) fn ui(
    ui: &mut Ui,
    own: &mut OwnData,
    view: &mut OwnView,
    can_train: bool,
) -> Option<Asked> {
    let mut asked = None;
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new("Your data").heading());
        match own.chosen() {
            Chosen::Path(name) | Chosen::Files(name, _) => {
                ui.label(name);
            }
            Chosen::Classes(_) | Chosen::Nothing => {}
        }
    });
    ui.horizontal_wrapped(|ui| {
        asked = buttons(ui);
        if own.can_undo() && ui.button("Undo").on_hover_text("Take the last change back.").clicked()
        {
            own.undo();
        }
        let clear = ui.button("Other data");
        if clear.on_hover_text("Start over with other files.").clicked() {
            own.clear();
        }
    });
    waiting(ui, own, view);
    classes(ui, own, view);
    if own.is_reading() {
        ui.horizontal(|ui| {
            ui.spinner();
            ui.label("Looking at the files…");
        });
    }
    let dir = own.dir();
    match &own.report {
        Some(Err(reason)) => {
            let text = reason.trim_start_matches(&format!("cannot use {dir}: "));
            ui.label(RichText::new(format!("⚠ {text}")).strong().color(theme::warning(ui)));
        }
        Some(Ok(report)) => {
            if view.shown != own.num_reports() {
                view.sheet = sheet(report);
                view.shown = own.num_reports();
            }
            if let Some(found) = recipe(ui, own, can_train) {
                asked = Some(found);
            }
            facts(ui, report);
            view.sheet.ui(ui, "training items of your data");
            details(ui, report);
        }
        None => {}
    }
    note(ui, NOTHING_LEAVES);
    ui.add_space(6.0);
    asked
}

/// Asks for the class of pictures that were dropped without a folder.
fn waiting(ui: &mut Ui, own: &mut OwnData, view: &mut OwnView) {
    let count = own.waiting.len();
    if count == 0 {
        view.num_asked = 0;
        return;
    }
    zone(ui, |ui| {
        ui.label(RichText::new(format!("{}. What do they show?", pictures(count))).strong());
        ui.horizontal_wrapped(|ui| {
            let field = TextEdit::singleline(&mut view.waiting_name)
                .hint_text("name of the class")
                .desired_width(150.0);
            let field = ui.add(field);
            field.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Name of the class")
            });
            let is_entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let name = view.waiting_name.trim().to_string();
            let add = ui.add_enabled(!name.is_empty(), Button::new("Add class"));
            if (add.clicked() || is_entered) && !name.is_empty() {
                own.name_waiting(&name);
                view.waiting_name.clear();
            } else if view.num_asked != count {
                field.request_focus();
            }
            view.num_asked = count;
            let names: Vec<String> = own.classes().iter().map(|class| class.name.clone()).collect();
            if !names.is_empty() && !own.waiting.is_empty() {
                ui.label("or add them to");
                for name in names {
                    if ui.button(&name).clicked() {
                        own.name_waiting(&name);
                    }
                }
            }
            if ui.button("✖").on_hover_text("Leave these pictures out.").clicked() {
                own.waiting.clear();
            }
        });
    });
}

/// Draws the classes that were put together from pictures: they can be renamed and removed.
fn classes(ui: &mut Ui, own: &mut OwnData, view: &mut OwnView) {
    let names: Vec<String> = own.classes().iter().map(|class| class.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    if view.names.len() != names.len() {
        view.names.clone_from(&names);
    }
    let (mut renamed, mut removed) = (None, None);
    for (index, name) in names.iter().enumerate() {
        ui.horizontal(|ui| {
            let field = ui.add(TextEdit::singleline(&mut view.names[index]).desired_width(150.0));
            let field = field.on_hover_text("The name of the class. Change it as you like.");
            field.widget_info(|| {
                let name = format!("Name of class {}", index + 1);
                egui::WidgetInfo::labeled(egui::Role::TextInput, true, name)
            });
            if field.lost_focus() {
                renamed = Some(index);
            } else if !field.has_focus() && renamed.is_none() {
                view.names[index].clone_from(name);
            }
            ui.label(pictures(own.classes()[index].len()));
            let remove = ui.button("✖").on_hover_text("Remove this class.");
            let remove = remove.on_hover_cursor(egui::CursorIcon::PointingHand);
            if remove.clicked() {
                removed = Some(index);
            }
        });
    }
    if let Some(index) = renamed
        && view.names[index].trim() != names[index]
    {
        own.rename(index, &view.names[index].clone());
        view.names.clear();
    }
    if let Some(index) = removed {
        own.remove(index);
        view.names.clear();
    }
    if own.waiting.is_empty() {
        ui.weak(match names.len() {
            1 => "Now drop the pictures of the next class.",
            _ => "More pictures: drop them, for a class of these or for another.",
        });
    }
}

fn pictures(count: usize) -> String {
    match count {
        1 => "1 picture".into(),
        _ => format!("{count} pictures"),
    }
}

/// The contact sheet of a data set.
fn sheet(report: &DataReport) -> Items {
    let data = &report.sheet;
    let notes = report.facts.classes.iter().map(|class| {
        let count = class.train + class.validation + class.test;
        if count == 1 { "1 item".to_string() } else { format!("{count} items") }
    });
    Items {
        x: data.gather(0..data.len()),
        labels: data.labels.clone(),
        class_names: data.class_names.clone(),
        shape: data.shape,
        notes: notes.collect(),
        ..Items::default()
    }
}

/// Draws what is in the data, in one line, and the warnings.
fn facts(ui: &mut Ui, report: &DataReport) {
    let facts = &report.facts;
    let sum =
        |part: fn(&crate::data::ClassFacts) -> usize| facts.classes.iter().map(part).sum::<usize>();
    let [c, h, w] = facts.shape;
    let items = match [c, h * w] {
        [_, 1] => "points in the plane".to_string(),
        [1, _] => format!("grey images of {h}×{w}"),
        _ => format!("colour images of {h}×{w}"),
    };
    let classes = match facts.classes.len() {
        1 => "1 class".to_string(),
        count => format!("{count} classes"),
    };
    ui.label(format!(
        "{} to train on and {} to test with, in {classes}; the model sees {items}.",
        sum(|class| class.train),
        sum(|class| class.test)
    ));
    for warning in &facts.warnings {
        ui.label(format!("⚠ {}", sentence(warning)));
    }
    for skipped in &facts.skipped {
        ui.label(format!("Left out: {skipped}."));
    }
}

/// Draws what was chosen while the data was read.
fn details(ui: &mut Ui, report: &DataReport) {
    ui.add_space(4.0);
    for choice in &report.facts.choices {
        note(ui, format!("{}.", sentence(choice)));
    }
}

/// A text with a capital letter at its start.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Draws the recipe, its time, and the button that starts it.
fn recipe(ui: &mut Ui, own: &OwnData, can_train: bool) -> Option<Asked> {
    let Some(recipe) = &own.recipe else {
        ui.horizontal(|ui| {
            let button = train_button(ui);
            ui.add_enabled(false, button);
            ui.spinner();
            ui.label("Measuring how long it will take…");
        });
        return None;
    };
    let mut is_clicked = false;
    ui.horizontal_wrapped(|ui| {
        let button = train_button(ui);
        let train = ui.add_enabled(can_train, button);
        let train = train.on_hover_text(format!("Train a model {}.", recipe.about));
        let why_not = "A run is active: pause it first.";
        is_clicked = train.on_disabled_hover_text(why_not).clicked();
        let time = recipe.secs.map(|secs| format!("about {}", rounded(secs)));
        ui.label(
            RichText::new(
                time.unwrap_or("Its time cannot be measured while another run is active.".into()),
            )
            .strong(),
        );
    });
    is_clicked.then_some(Asked::Train)
}

fn train_button(ui: &Ui) -> Button<'static> {
    let text = RichText::new("▶ Train on this").strong().size(15.0);
    Button::new(text).fill(ui.visuals().selection.bg_fill).min_size(vec2(150.0, 32.0))
}

/// A duration in words that promise no more than an estimate can.
fn rounded(secs: f64) -> String {
    match secs {
        ..90.0 => format!("{} s", ((secs / 10.0).ceil() * 10.0).max(10.0)),
        ..5400.0 => match (secs / 60.0).round() {
            1.0 => "1 minute".into(),
            minutes => format!("{minutes} minutes"),
        },
        _ => duration_text(secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_round() {
        assert_eq!(
            [3.0, 42.0, 89.0, 100.0, 725.0, 9000.0].map(rounded),
            ["10 s", "50 s", "90 s", "2 minutes", "12 minutes", "2 h 30 min"]
        );
        assert_eq!(sentence("size 8x8: all"), "Size 8x8: all");
    }
}
