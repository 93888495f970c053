//! The panel that shows the chains of every lane, with the controls for rows, columns and overlays.

use egui::{
    DragValue, Label, PopupCloseBehavior, RichText, Ui, Vec2,
    containers::menu::{MenuButton, MenuConfig},
};

use super::{
    atlas::{Atlas, Look, far},
    grid::{self, Action},
    magnifier::name_of,
    pixels::{SMALL, number},
    scatter::{self, Scatter},
    state::{Overlay, RunState, Selection},
    theme,
    verdict::{self, Question, questions},
    words::rounded,
};
use crate::{
    config::ViewConfig,
    worker::{LaneImages, LaneNumbers, ModelInfo},
};

/// Below this height in points, a small window shows nothing above the lanes.
const LOW: f32 = 230.0;

/// The state of the grid, kept between frames.
#[derive(Default)]
pub(super) struct ChainsView {
    /// One texture per lane.
    atlases: Vec<Atlas>,
    scatter: Scatter,
    /// The number of chains per class while the user drags the control.
    per_class: Option<usize>,
}

/// The height of the controls above the grid and of the gaps around it.
const ABOVE: f32 = 48.0;

/// The width with which the grid is as high as `height` allows, with its names and the gaps around it.
pub(super) fn wanted_width(run: &RunState, height: f32) -> f32 {
    let [columns, rows] = run.grid_size().map(|count| count as f32);
    grid::NAMES + 28.0 + (height - ABOVE).max(0.0) / rows * columns
}

/// About the largest size of a cell in `room`.
pub(super) fn cell_size(run: &RunState, room: Vec2) -> f32 {
    let [columns, rows] = run.grid_size().map(|count| count as f32);
    ((room.x - grid::NAMES - 28.0) / columns).min((room.y - ABOVE) / rows)
}

/// Draws the lanes in as large a space as there is.
pub(super) fn ui(ui: &mut Ui, run: &mut RunState, state: &mut ChainsView) {
    let Some(model) = run.model.clone() else {
        return without_chains(ui, run, "Loading the model…");
    };
    toolbar(ui, run, &model, state);
    lanes(ui, run, &model, state, captions, grid::MIN_PITCH);
}

/// Draws the lanes in a small window. The controls above them are left out if the space is needed. Returns what a person
/// asks.
pub(super) fn small(
    ui: &mut Ui,
    run: &mut RunState,
    state: &mut ChainsView,
    has_toolbar: bool,
    has_questions: bool,
) -> Option<Question> {
    let Some(model) = run.model.clone() else {
        without_chains(ui, run, "Loading the model…");
        return None;
    };
    if has_toolbar && ui.available_height() > LOW {
        ui.horizontal(|ui| small_toolbar(ui, run));
    }
    if ui.available_height() > LOW - 60.0 {
        verdict::ui(ui, run);
    }
    let asked = if has_questions { questions(ui, run) } else { None };
    let captions = if ui.available_height() > LOW { short_captions } else { warnings };
    lanes(ui, run, &model, state, captions, grid::SMALL_MIN_PITCH);
    asked
}

/// Draws the lanes and their warnings only, for a picture or a frame of another page.
pub(super) fn bare(ui: &mut Ui, run: &mut RunState, state: &mut ChainsView) {
    let Some(model) = run.model.clone() else {
        return without_chains(ui, run, "Loading the model…");
    };
    lanes(ui, run, &model, state, warnings, grid::BARE_MIN_PITCH);
}

fn lanes(
    ui: &mut Ui,
    run: &mut RunState,
    model: &ModelInfo,
    state: &mut ChainsView,
    captions: fn(&mut Ui, &RunState, &ModelInfo, &ChainsView),
    min_pitch: f32,
) {
    if !is_there(run, model) {
        return without_chains(ui, run, "Preparing the starts of the chains…");
    }
    let action = if model.is_planar() {
        captions(ui, run, model, state);
        scatter::ui(ui, run, model, &mut state.scatter)
    } else {
        update_atlases(ui, run, model, state);
        captions(ui, run, model, state);
        grid::ui(ui, run, model, &state.atlases, min_pitch)
    };
    match action {
        Some(Action::Select(selection)) if run.selected == Some(selection) => {
            run.selected = None;
        }
        Some(Action::Select(selection)) => run.selected = Some(selection),
        Some(Action::OnlyClass(class)) => run.toggle_only_class(class),
        None => {}
    }
}

/// What is there without chains: what is awaited, or why there are none.
fn without_chains(ui: &mut Ui, run: &mut RunState, awaited: &str) {
    let Some(reason) = &run.why_not else { return loading(ui, awaited) };
    let button = ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.3);
        ui.add(Label::new(reason.as_str()).wrap());
        ui.add_space(6.0);
        ui.button("Try again")
    });
    if button.inner.clicked() {
        run.open_again();
    }
}

fn loading(ui: &mut Ui, text: &str) {
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.4);
        ui.add(egui::Spinner::new().size(28.0));
        ui.add_space(6.0);
        ui.label(text);
    });
}

/// Whether there are chains of this model to show. Just after another model was opened, there are none.
fn is_there(run: &RunState, model: &ModelInfo) -> bool {
    let size: usize = model.shape.iter().product();
    let num_values = run.record.as_ref().map_or(0, |record| record.num_chains() * size);
    run.shown_images().is_some_and(|(_, lanes)| {
        num_values > 0 && lanes.iter().all(|lane| lane.x.len() == num_values)
    })
}

fn update_atlases(ui: &Ui, run: &RunState, model: &ModelInfo, state: &mut ChainsView) {
    let Some((_, lanes)) = run.shown_images() else { return };
    state.atlases.resize_with(lanes.len(), Atlas::default);
    for (index, (lane, atlas)) in lanes.iter().zip(&mut state.atlases).enumerate() {
        let start = run.start_images().and_then(|starts| starts.get(index));
        let look = Look {
            overlay: run.shown_overlay(),
            denoise_step: run.denoise_step(index),
            far: far(run.lanes.get(index)),
        };
        atlas.update(ui.ctx(), lane, start, model.shape, look);
    }
}

fn toolbar(ui: &mut Ui, run: &mut RunState, model: &ModelInfo, state: &mut ChainsView) {
    // If the controls need two lines, a separator between the halves would look wrong.
    let is_wide = ui.available_width() > 480.0;
    ui.horizontal_wrapped(|ui| {
        overlays(ui, run, model);
        if is_wide {
            ui.separator();
        }
        rows(ui, run, model, state);
    });
}

/// Draws the choice of the overlay.
pub(super) fn small_toolbar(ui: &mut Ui, run: &mut RunState) {
    if let Some(model) = run.model.clone() {
        overlays(ui, run, &model);
    }
}

fn overlays(ui: &mut Ui, run: &mut RunState, model: &ModelInfo) {
    let images = if model.is_planar() { "Points" } else { "Images" };
    let overlays = [
        (Overlay::Images, images, "The chains themselves."),
        (
            Overlay::Denoised,
            "Denoised",
            "The mean of the images that each noisy chain may come from: a step down the energy removes the noise of \
             the data. The chains keep it.",
        ),
        (
            Overlay::Gradient,
            "Gradient",
            "∂E/∂x, the direction in which the energy rises. Every step goes the other way, towards more likely \
             images, and may add noise.",
        ),
        (Overlay::Change, "Change", "x − x₀: what the chain has changed since its start."),
        (
            Overlay::Clamped,
            "Clipped",
            "Where a gradient component exceeds the proximal radius, the step uses the radius instead. This \
             keeps single pixels from running away.",
        ),
    ];
    let shown = run.shown_overlay();
    for (overlay, text, hover) in overlays {
        if !run.offers(overlay) {
            continue;
        }
        if ui.selectable_label(shown == overlay, text).on_hover_text(hover).clicked() {
            run.overlay = Some(overlay);
        }
    }
}

/// Draws the choice of the rows, and of the number of chains in each.
pub(super) fn rows(ui: &mut Ui, run: &mut RunState, model: &ModelInfo, state: &mut ChainsView) {
    per_class(ui, run, state);
    classes(ui, run, model);
}

fn per_class(ui: &mut Ui, run: &mut RunState, state: &mut ChainsView) {
    let field = ViewConfig::field("per_class");
    let help = format!("{} A change restarts the chains.", field.help.trim());
    let (low, high) = field.range.unwrap_or((1.0, 32.0));
    let old = run.settings.per_class;
    let mut count = state.per_class.unwrap_or(old);
    let label = ui.add(Label::new("chains per class").extend());
    let label = label.on_hover_text(help.as_str());
    let value = DragValue::new(&mut count)
        .range(low as usize..=high as usize)
        .speed(0.1)
        .update_while_editing(false);
    let response = ui.add(value).labelled_by(label.id).on_hover_text(help);
    // While the user drags, the value is only shown, because restarting at every change would be too slow.
    state.per_class = response.dragged().then_some(count);
    if state.per_class.is_none() && count != old {
        run.settings.per_class = count;
        // Keep the selection at the same row and column, if that cell still exists.
        run.selected = run.selected.and_then(|selection| {
            let (row, column) = (selection.chain / old.max(1), selection.chain % old.max(1));
            let chain = row * count + column;
            (column < count).then_some(Selection { chain, ..selection })
        });
        run.restart();
    }
}

fn classes(ui: &mut Ui, run: &mut RunState, model: &ModelInfo) {
    let shown = run.classes();
    let count = model.class_names.len() as u32;
    let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let mut chosen = shown.clone();
    let (button, _) = MenuButton::new("Classes").config(config).ui(ui, |ui| {
        if ui.button("All").on_hover_text("A row for every class.").clicked() {
            chosen = (0..count).collect();
        }
        egui::ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
            for class in 0..count {
                let mut is_shown = shown.contains(&class);
                let is_last = is_shown && shown.len() == 1;
                let name = name_of(&model.class_names, class as usize);
                let checkbox = egui::Checkbox::new(&mut is_shown, name);
                let response = ui.add_enabled(!is_last, checkbox);
                let response = response.on_disabled_hover_text("At least one row must stay.");
                if response.changed() && is_shown {
                    chosen.push(class);
                } else if response.changed() {
                    chosen.retain(|&other| other != class);
                }
            }
        });
    });
    button.on_hover_text("Choose the classes that have a row. A change restarts the chains.");
    if chosen != shown {
        chosen.sort_unstable();
        let is_all = chosen.len() as u32 == count;
        run.settings.classes = if is_all { Vec::new() } else { chosen };
        run.selected = None;
        run.restart();
    }
}

/// Draws the warnings and the explanation of the overlay. Images need no legend: a tick is explained by the verdict.
fn captions(ui: &mut Ui, run: &RunState, model: &ModelInfo, state: &ChainsView) {
    for [what, advice] in chain_problems(run, model, state) {
        ui.colored_label(theme::warning(ui), what + &advice);
    }
    if model.is_planar() {
        scatter::legend(ui, run, model);
    }
    if let Some(text) = overlay_text(run, model, state) {
        ui.label(RichText::new(text).size(SMALL));
    }
}

/// Draws the verdict or the explanation of the overlay in one or two lines.
fn short_captions(ui: &mut Ui, run: &RunState, model: &ModelInfo, state: &ChainsView) {
    warnings(ui, run, model, state);
    if let Some(text) = overlay_text(run, model, state) {
        ui.add(Label::new(RichText::new(text).size(SMALL)).truncate());
    } else if model.is_planar() {
        scatter::legend(ui, run, model);
    }
}

/// Draws the warnings, one line per lane.
fn warnings(ui: &mut Ui, run: &RunState, model: &ModelInfo, state: &ChainsView) {
    for [what, _] in chain_problems(run, model, state) {
        ui.add(Label::new(RichText::new(what).color(theme::warning(ui))).truncate());
    }
}

/// An explanation of the overlay, if it needs one.
fn overlay_text(run: &RunState, model: &ModelInfo, state: &ChainsView) -> Option<String> {
    let overlay = run.shown_overlay();
    // Chains that have no noise are shown as they are.
    let needs_gradient = |lane: usize| match overlay {
        Overlay::Denoised => run.denoise_step(lane) > 0.0,
        overlay => overlay.shows_gradients(),
    };
    let is_unread = |(lane, images): (usize, &LaneImages)| {
        images.gradient.is_empty() && !images.x.is_empty() && needs_gradient(lane)
    };
    if let Some((_, lanes)) = run.shown_images()
        && lanes.iter().enumerate().any(is_unread)
    {
        let text = "No gradient was recorded at this step: gradients are read only while this overlay is on.";
        return Some(text.into());
    }
    Some(match (overlay, model.is_planar()) {
        (Overlay::Images, _) => return None,
        (Overlay::Denoised, _) => return denoised_text(run),
        (Overlay::Clamped, _) => clamped_text(run),
        (_, true) => scatter::caption(run, &state.scatter),
        (overlay, false) => {
            let scales: Vec<String> =
                state.atlases.iter().map(|atlas| format!("±{}", number(atlas.scale))).collect();
            let what = match overlay {
                Overlay::Gradient => {
                    "∂E/∂x: yellow where a brighter pixel raises the energy, violet where it lowers it"
                }
                _ => "x − x₀: yellow pixels are brighter than at the start, violet ones darker",
            };
            let by_lane = if scales.len() > 1 { " (lane by lane)" } else { "" };
            format!(
                "{what}. Full colour at {}{by_lane}; 99 of 100 pixels lie within it.",
                scales.join(", ")
            )
        }
    })
}

/// The lanes that are shown without the noise of the data, as text; none if no lane is.
fn denoised_text(run: &RunState) -> Option<String> {
    let denoised = |lane: &usize| run.is_denoised(*lane);
    let lanes: Vec<String> =
        (0..run.lanes.len()).filter(denoised).map(|lane| (lane + 1).to_string()).collect();
    let whose = match lanes.len() {
        0 => return None,
        found if found == run.lanes.len() => "Shown".into(),
        1 => format!("Lane {} is shown", lanes[0]),
        _ => format!("Lanes {} are shown", lanes.join(" and ")),
    };
    Some(format!("{whose} without the noise of the data, which the chains keep."))
}

/// The bounds of the clamp in each lane, as text.
fn clamped_text(run: &RunState) -> String {
    let Some((_, lanes)) = run.shown_images() else { return String::new() };
    let said = lanes.iter().enumerate().map(|(index, lane)| {
        let text = match lane.proximal_radius {
            Some(radius) => format!("There the step uses ±{}.", number(radius)),
            None => "This sampler clips nothing.".into(),
        };
        if lanes.len() > 1 { format!("Lane {}: {text}", index + 1) } else { text }
    });
    let said: Vec<String> = said.collect();
    if lanes.iter().all(|lane| lane.proximal_radius.is_none()) {
        return said.join(" ");
    }
    format!(
        "Where the gradient is clipped: yellow at the upper bound, violet at the lower. {}",
        said.join(" ")
    )
}

/// Warnings about chains that exploded or left the box: what happened, and an explanation.
fn chain_problems(run: &RunState, model: &ModelInfo, state: &ChainsView) -> Vec<[String; 2]> {
    let Some((_, numbers)) = run.shown_numbers() else { return Vec::new() };
    let of_lane = |(index, lane): (usize, &LaneNumbers)| {
        let who = if numbers.len() > 1 { format!("Lane {}: ", index + 1) } else { String::new() };
        let count = lane.energy.len();
        let num_broken = (0..count).filter(|&chain| lane.is_broken(chain)).count();
        let num_far = match model.is_planar() {
            true => scatter::num_far(run, index),
            false => state.atlases.get(index).map_or(0, |atlas| atlas.num_far),
        };
        if num_broken > 0 {
            let advice = ": energy no longer finite. Lower the step size, or use Proximal SGLD.";
            Some([format!("⚠ {who}{num_broken} of {count} chains exploded"), advice.into()])
        } else if num_far > 0 {
            let what = format!("⚠ {who}{num_far} of {count} chains left the box [−1, 1]");
            let far = rounded(f64::from(far(run.lanes.get(index))));
            Some([what, format!(": some value is beyond ±{far}.")])
        } else {
            None
        }
    };
    numbers.iter().enumerate().filter_map(of_lane).collect()
}
