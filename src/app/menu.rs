//! The menu bar: tabs, models, files, lessons, help.

use egui::{ComboBox, RichText, TextWrapMode, Ui, WidgetInfo};

use super::{
    disk::DialogPurpose,
    exports::{self, NUM_LAB_FRAMES},
    files::Files,
    help::Help,
    lessons,
    state::{ExportKind, RunState, Session},
    viewer::Viewer,
    words,
};
use crate::config::{LaneConfig, Tab, ViewConfig, ViewStart};

/// The width of the buttons after the list of models, in points.
const AFTER_MODEL: f32 = 365.0;

/// Draws the menu bar of a wide window.
pub(super) fn bar(ui: &mut Ui, viewer: &mut Viewer, files: &mut Files, help: &mut Help) {
    ui.add_space(2.0);
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new("jempp").strong().size(17.0));
        ui.separator();
        tabs(ui, &mut viewer.session.tab);
        ui.separator();
        // In a small window, the name of the model is cut off, and not the buttons after it.
        let room = ui.max_rect().right() - ui.cursor().left() - AFTER_MODEL;
        ui.scope(|ui| {
            ui.set_max_width(room.max(ui.spacing().combo_width));
            ui.style_mut().wrap_mode = Some(TextWrapMode::Truncate);
            model(ui, &viewer.run, &viewer.session);
        });
        open_button(ui, &mut viewer.run, &mut viewer.session, files);
        lessons::menu(ui, &mut viewer.lesson);
        ui.menu_button("Save", |ui| save(ui, viewer, files));
        if files.is_writing() {
            ui.spinner();
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.button("? Help").on_hover_text("Keys and terms (?).").clicked() {
                help.is_open = !help.is_open;
            }
            egui::widgets::global_theme_preference_buttons(ui);
        });
    });
    ui.add_space(1.0);
}

/// Draws the tabs, which choose the content of the middle.
pub(super) fn tabs(ui: &mut Ui, chosen: &mut Tab) {
    let tabs = [
        (Tab::Chains, "Chains", "The chains and their energies."),
        (Tab::Plots, "Plots", "How the run is going, and whether it converges."),
        (Tab::Train, "Train", "Train a model here and watch its chains get better."),
        (Tab::Lab, "Lab", "Energies over a plane, where you can see everything that chains do."),
    ];
    for (tab, name, hover) in tabs {
        ui.selectable_value(chosen, tab, name).on_hover_text(hover);
    }
}

/// Draws the button that opens a file.
pub(super) fn open_button(
    ui: &mut Ui,
    run: &mut RunState,
    session: &mut Session,
    files: &mut Files,
) {
    let open = ui.button("Open…");
    let hover = "A checkpoint, or a picture to start from. Or drop it here.";
    if open.on_hover_text(hover).clicked() {
        files.ask(ui.ctx(), DialogPurpose::Open, run, session);
    }
}

/// Draws the name of the open model, with a list of the other models.
pub(super) fn model(ui: &mut Ui, run: &RunState, session: &Session) {
    let current = run.model.as_ref().map(|model| model.name.clone()).unwrap_or_default();
    let short = |name: &str| match name.len() {
        0 => match &session.loading {
            Some((_, num_bytes)) => format!("loading… {:.1} MB", *num_bytes as f64 / 1e6),
            None => "loading…".to_string(),
        },
        _ => words::model_name(name, 28),
    };
    // Until a large file is read, the model before it stays open.
    let is_loading = run.is_opening() && session.loading.is_some();
    let shown = short(if is_loading { "" } else { &current });
    let mut wanted = None;
    let response = ComboBox::new("model", "").selected_text(shown.as_str()).show_ui(ui, |ui| {
        // A model that is not bundled stands after those that are.
        let other = (!session.bundled.contains(&current)).then_some(&current);
        for name in session.bundled.iter().chain(other) {
            if ui.selectable_label(*name == current, short(name)).clicked() && *name != current {
                wanted = Some(name.clone());
            }
        }
    });
    // Its label may be the text of a spinner, so the name for screen readers is told here.
    let spoken = format!("Model: {shown}");
    response
        .response
        .widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, spoken.as_str()));
    if let Some(model) = &run.model {
        let accuracy = model
            .test_accuracy
            .map(|accuracy| format!(", test accuracy {:.1} %", accuracy * 100.0));
        response.response.on_hover_text(format!(
            "{}: {} trained on {}, {} steps{}",
            words::shown(&model.name, 60),
            model.arch,
            model.dataset,
            model.training_steps,
            accuracy.unwrap_or_default()
        ));
    }
    if let Some(name) = wanted {
        run.open(name);
    }
}

/// Draws the menu entries that save something.
pub(super) fn save(ui: &mut Ui, viewer: &mut Viewer, files: &mut Files) {
    let is_lab = viewer.shows_plane();
    let num_frames = if is_lab { NUM_LAB_FRAMES } else { exports::num_frames(&viewer.run) };
    let animation = format!("Animation (GIF), {num_frames} frames");
    let options = &mut viewer.session.picture;
    ui.horizontal(|ui| {
        for scale in [1, 2, 4] {
            ui.selectable_value(&mut options.scale, scale, format!("{scale}×"))
                .on_hover_text("The size of a saved picture.");
        }
    });
    ui.checkbox(&mut options.is_light, "light background")
        .on_hover_text("Save pictures on white, as for paper, whatever the window's theme.");
    let entries = [
        (
            ExportKind::Png,
            "Picture (PNG)",
            "What you see, with a caption: model, step, sampler, seed and link.",
        ),
        (ExportKind::Svg, "Drawing (SVG)", "The plots as vector graphics, with the same caption."),
        (
            ExportKind::Gif,
            animation.as_str(),
            match is_lab {
                true => "The next steps of the lab, at 1×, with the same caption.",
                false => "The recorded steps, at most 30 of them, at 1×, with the same caption.",
            },
        ),
        (
            ExportKind::Csv,
            "Traces (CSV)",
            match is_lab {
                true => "Position and energy of the traced chains of the lab at every step.",
                false => {
                    "Energy, gradient norm, clip rate and more of every chain at every recorded step."
                }
            },
        ),
    ];
    let is_plots = viewer.session.tab == Tab::Plots;
    for (kind, name, hover) in entries {
        let (is_enabled, why_not) = match kind {
            ExportKind::Svg => (is_plots, "Only in the Plots tab."),
            ExportKind::Gif => (!is_plots, "Plots are not saved as an animation."),
            _ => (true, ""),
        };
        let entry = ui.add_enabled(is_enabled, egui::Button::new(name)).on_hover_text(hover);
        if entry.on_disabled_hover_text(why_not).clicked() {
            viewer.session.export = Some(kind);
            ui.close();
        }
    }
    if ui.button("Model (safetensors)").on_hover_text("The open model, as one file.").clicked() {
        files.ask(ui.ctx(), DialogPurpose::SaveOpen, &mut viewer.run, &mut viewer.session);
        ui.close();
    }
    let link = ui.button("Copy link");
    let hover =
        "The whole state as a link. The web page, or `jempp view`, then shows the same chains.";
    if link.on_hover_text(hover).clicked() {
        let (link, text) = link_of(viewer, files.address());
        copy(ui, &mut viewer.session, link, &text);
        ui.close();
    }
}

/// Copies a link, and says so.
#[cfg(not(target_arch = "wasm32"))]
fn copy(ui: &Ui, session: &mut Session, link: String, said: &str) {
    ui.ctx().copy_text(link);
    session.notify(said);
}

/// Copies a link. The page says whether it could, since a browser may refuse.
#[cfg(target_arch = "wasm32")]
fn copy(_ui: &Ui, _session: &mut Session, link: String, said: &str) {
    crate::browser::copy(&link, said);
}

/// The link to what is shown, and what to say of it. A page has an address.
fn link_of(viewer: &Viewer, address: &str) -> (String, String) {
    let mut view = viewer.view();
    let model = view.view.model.clone();
    // The file of a shared model lies elsewhere on another computer, so its address is told beside the link.
    let shared = words::hub_address(&model).filter(|_| address.is_empty());
    if shared.is_some() {
        view.view.model = ViewConfig::default().model;
    }
    let query = view.to_query();
    let shown = words::shown(&query, 120);
    let mut text = match &shared {
        Some(shared) => {
            let shared = words::shown(shared, 120);
            format!("Copied. Open it with: jempp view --checkpoint {shared} '{shown}'")
        }
        None if address.is_empty() => format!("Copied. Open it with: jempp view '{shown}'"),
        None => "Link copied.".to_string(),
    };
    let bundled = &viewer.session.bundled;
    if shared.is_none() && !bundled.is_empty() && !bundled.contains(&model) {
        let file = words::shown(&model, 120);
        text += &format!(" It works only with the file {file}: send the file too.");
    }
    text += not_in_link(&viewer.run.lanes);
    (format!("{address}?{query}"), text)
}

/// What a link to these lanes does not hold, as a sentence; empty if it holds all.
fn not_in_link(lanes: &[LaneConfig]) -> &'static str {
    let starts_from = |start: ViewStart| lanes.iter().any(|lane| lane.start == start);
    match (starts_from(ViewStart::Image), starts_from(ViewStart::Buffer)) {
        (true, true) => {
            " It does not hold your image and the chains of the replay buffer, which chains start from."
        }
        (true, false) => " It does not hold your image, which chains start from.",
        (false, true) => {
            " It does not hold the chains of the replay buffer, which chains start from."
        }
        (false, false) => "",
    }
}
