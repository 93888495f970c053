//! The panel of the selected chain.

use egui::{CollapsingHeader, Grid, Rect, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

use super::{
    canvas::{self, Canvas},
    contrast,
    inpaint::Inpaint,
    magnifier::{ChainDetails, bars, name_of, probabilities},
    nearest::NearestSearch,
    pixels::{Picture, SMALL, WHOLE, number, percent},
    state::{RunState, Selection},
    theme,
};
use crate::worker::{LaneNumbers, ModelInfo};

/// The number of bars of p(y|x).
const NUM_BARS: usize = 10;
/// In a small window, the numbers are beside the images from this width on, and values are in a column from the other one on.
const TWO_COLUMNS: f32 = 340.0;
const NARROW: f32 = 190.0;
/// The maximum length of the large image's longer side, in points.
const SIDE: f32 = 252.0;

/// The state of the panel, kept between frames.
#[derive(Default)]
pub(super) struct SelectedView {
    now: Picture,
    start: Picture,
    nearest_picture: Picture,
    nearest: NearestSearch,
    inpaint: Inpaint,
    canvas: Canvas,
}

/// Draws the panel of the selected chain.
pub(super) fn ui(ui: &mut Ui, run: &mut RunState, state: &mut SelectedView) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.add_space(4.0);
        let Some(model) = run.model.clone() else {
            ui.weak("The selected chain is shown here.");
            return;
        };
        let shown = run.selected.and_then(|selection| ShownChain::new(run, &model, selection));
        match &shown {
            Some(shown) => chain(ui, run, &model, state, shown),
            None => {
                ui.label("Click a chain to see its details.");
                ui.separator();
            }
        }
        let selection = shown.map(|shown| shown.selection);
        CollapsingHeader::new("Draw").default_open(true).show_unindented(ui, |ui| {
            state.canvas.ui(ui, run, &model, selection);
        });
        ui.add_space(8.0);
    });
}

/// Draws the panel in a low and wide space, with the numbers beside the images.
pub(super) fn small(ui: &mut Ui, run: &mut RunState, state: &mut SelectedView) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let Some(model) = run.model.clone() else { return };
        let shown = run.selected.and_then(|selection| ShownChain::new(run, &model, selection));
        if let Some(shown) = &shown {
            lane_name(ui, run, shown);
            if ui.available_width() >= TWO_COLUMNS {
                ui.columns(2, |columns| {
                    // Text in a column of `columns` is justified, so this uses its own layout.
                    columns[0].vertical(|ui| look(ui, run, &model, state, shown));
                    columns[1].vertical(|ui| small_numbers(ui, run, &model, shown));
                });
            } else {
                look(ui, run, &model, state, shown);
                small_numbers(ui, run, &model, shown);
            }
            inpaint(ui, run, &model, state, shown);
        } else {
            ui.label("Tap a chain to see its details.");
        }
        let selection = shown.map(|shown| shown.selection);
        CollapsingHeader::new("Draw").default_open(true).show_unindented(ui, |ui| {
            state.canvas.ui(ui, run, &model, selection);
        });
        ui.add_space(8.0);
    });
}

/// Draws the numbers with rows as high as text, not as high as buttons.
fn small_numbers(ui: &mut Ui, run: &RunState, model: &ModelInfo, shown: &ShownChain) {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 0.0;
        numbers(ui, run, model, shown);
    });
}

/// The name of the selected chain.
pub(super) fn title(run: &RunState) -> Option<String> {
    title_of(run, run.selected?)
}

/// The name of a chain: its class, and its place in the row of that class.
pub(super) fn title_of(run: &RunState, selection: Selection) -> Option<String> {
    let model = run.model.as_ref()?;
    let labels = &run.record.as_ref()?.request.labels;
    let class = name_of(&model.class_names, *labels.get(selection.chain)? as usize);
    let columns = labels.iter().take_while(|&&other| other == labels[0]).count().max(1);
    Some(format!("{class}, chain {}", selection.chain % columns + 1))
}

/// The selected chain at the shown step.
struct ShownChain {
    selection: Selection,
    step: u64,
    label: u32,
    title: String,
    x: Vec<f32>,
    /// The chain without the noise of the data, if the grid shows chains so.
    denoised: Option<Vec<f32>>,
    start: Option<Vec<f32>>,
    is_broken: bool,
    /// Whether its sampler clips the gradient.
    is_clipped: bool,
}

impl ShownChain {
    /// Returns `None` if the selected chain does not exist, for example after a restart with fewer chains.
    fn new(run: &RunState, model: &ModelInfo, selection: Selection) -> Option<Self> {
        let (step, lanes) = run.shown_images()?;
        let labels = &run.record.as_ref()?.request.labels;
        let label = *labels.get(selection.chain)?;
        let size: usize = model.shape.iter().product();
        let at = selection.chain * size..(selection.chain + 1) * size;
        let starts = run.start_images().and_then(|lanes| lanes.get(selection.lane));
        let numbers = numbers_of(run, selection);
        let lane = lanes.get(selection.lane)?;
        let denoised = match run.denoise_step(selection.lane) {
            0.0 => None,
            step => lane.denoised(at.clone(), step),
        };
        Some(Self {
            selection,
            step: *step,
            label,
            title: title(run)?,
            x: lane.x.get(at.clone())?.to_vec(),
            denoised,
            start: starts.and_then(|lane| lane.x.get(at)).map(<[f32]>::to_vec),
            is_broken: numbers.is_some_and(|numbers| numbers.is_broken(selection.chain)),
            is_clipped: lane.proximal_radius.is_some(),
        })
    }
}

/// The measured numbers of the lane of an existing chain.
fn numbers_of(run: &RunState, selection: Selection) -> Option<&LaneNumbers> {
    let (_, lanes) = run.shown_numbers()?;
    lanes.get(selection.lane).filter(|lane| selection.chain < lane.energy.len())
}

fn chain(
    ui: &mut Ui,
    run: &mut RunState,
    model: &ModelInfo,
    state: &mut SelectedView,
    shown: &ShownChain,
) {
    let mut is_kept = true;
    ui.horizontal(|ui| {
        let close = ui.small_button("✖").on_hover_text("Deselect this chain.");
        is_kept = !close.accessible_name("Deselect this chain").clicked();
        ui.add(egui::Label::new(RichText::new(&shown.title).strong().size(15.0)).truncate());
    });
    lane_name(ui, run, shown);
    look(ui, run, model, state, shown);
    ui.add_space(4.0);
    // Next to the image that the user paints on.
    inpaint(ui, run, model, state, shown);
    CollapsingHeader::new("Numbers").default_open(true).show_unindented(ui, |ui| {
        numbers(ui, run, model, shown);
    });
    if !is_kept {
        run.selected = None;
    }
}

/// Draws the rule of the chain's lane, if there are several lanes.
fn lane_name(ui: &mut Ui, run: &RunState, shown: &ShownChain) {
    let lane = shown.selection.lane;
    if run.lanes.len() > 1 {
        let name = format!("lane {}: {}", lane + 1, run.lane_name(lane));
        let text = RichText::new(name)
            .color(contrast::readable(ui, theme::LANES[lane % theme::LANES.len()]));
        ui.add(egui::Label::new(text).truncate());
    }
}

/// Draws the image of the chain, or its position in the plane.
fn look(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    state: &mut SelectedView,
    shown: &ShownChain,
) {
    if model.is_planar() {
        let at = shown.x.iter().map(|value| number(*value)).collect::<Vec<_>>().join(", ");
        ui.label(format!("at ({at})"));
    } else {
        state.inpaint.follow(run, shown.selection, model);
        images(ui, run, model, state, shown);
    }
}

fn inpaint(
    ui: &mut Ui,
    run: &mut RunState,
    model: &ModelInfo,
    state: &mut SelectedView,
    shown: &ShownChain,
) {
    let inpaint = CollapsingHeader::new("Inpaint").show_unindented(ui, |ui| {
        state.inpaint.ui(ui, run, shown.selection, model);
    });
    state.inpaint.is_open = inpaint.body_returned.is_some();
}

/// Draws the current image, enlarged, and beside it the start and the nearest training image.
fn images(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    state: &mut SelectedView,
    shown: &ShownChain,
) {
    let [_, h, w] = model.shape;
    let shape = vec2(w as f32, h as f32) / h.max(w) as f32;
    let gap = 8.0;
    let room = ui.available_width() - gap;
    let large = (room * 0.64).min(SIDE).floor();
    let small = (room - large).min(large * 0.5).floor();
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = gap;
        ui.vertical(|ui| {
            ui.set_width(large);
            let size = shape * large;
            let sense = if state.inpaint.is_open { Sense::drag() } else { Sense::hover() };
            let (rect, response) = ui.allocate_exact_size(size, sense);
            let name = format!("{} at step {}", shown.title, shown.step);
            response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
            // One paints on the chain itself.
            let denoised = shown.denoised.as_ref().filter(|_| !state.inpaint.is_open);
            let image = denoised.unwrap_or(&shown.x);
            let texture = state.now.texture(ui.ctx(), image, model.shape);
            ui.painter().image(texture, rect, WHOLE, egui::Color32::WHITE);
            if shown.is_broken {
                cross_out(ui, rect);
            }
            if state.inpaint.is_open {
                state.inpaint.paint(ui, &response, rect, model.shape);
            }
            ui.label(RichText::new(format!("now, step {}", shown.step)).size(SMALL));
        });
        ui.vertical(|ui| {
            ui.set_width(small);
            ui.spacing_mut().item_spacing.y = 2.0;
            let size = shape * small;
            if let Some(start) = &shown.start {
                let texture = state.start.texture(ui.ctx(), start, model.shape);
                canvas::image(ui, texture, size, "Where this chain started");
                ui.label(RichText::new("start").size(SMALL));
            }
            nearest(ui, run, model, state, shown, size);
        });
    });
}

fn nearest(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    state: &mut SelectedView,
    shown: &ShownChain,
    size: egui::Vec2,
) {
    let Some(references) = &run.references else { return };
    // The data has no noise.
    let image = shown.denoised.as_ref().unwrap_or(&shown.x);
    let Some(found) = state.nearest.search(ui, image, &references.train) else { return };
    let texture = state.nearest_picture.texture(ui.ctx(), &found.image, model.shape);
    let class = name_of(&model.class_names, found.label as usize);
    let distance = number(found.distance);
    let hover = format!(
        "The training image nearest to this chain: {class}, Euclidean distance {distance}. A chain that copies \
         a training image comes very close to it."
    );
    canvas::image(ui, texture, size, &hover);
    ui.label(
        RichText::new(format!("nearest training image: {class} (distance {:.1})", found.distance))
            .size(SMALL),
    );
}

fn cross_out(ui: &Ui, rect: Rect) {
    let stroke = egui::Stroke::new(3.0, theme::BROKEN);
    ui.painter().line_segment([rect.left_top(), rect.right_bottom()], stroke);
    ui.painter().line_segment([rect.right_top(), rect.left_bottom()], stroke);
}

fn numbers(ui: &mut Ui, run: &RunState, model: &ModelInfo, shown: &ShownChain) {
    let Some(numbers) = numbers_of(run, shown.selection) else { return };
    let chain = shown.selection.chain;
    let value = |values: &[f32]| values.get(chain).copied().unwrap_or(f32::NAN);
    let clipped = (
        "gradient clipped",
        percent(value(&numbers.clamp_rate)),
        "Share of gradient components clipped to the proximal radius.",
    );
    let mut rows = vec![
        ("energy", number(value(&numbers.energy)), "−log Σ exp of the logits. Low means likely."),
        (
            "gradient norm",
            number(value(&numbers.gradient_norm)),
            "|∂E/∂x|, in energy per unit of x: how steep it is here.",
        ),
        (
            "pixels at black or white",
            percent(value(&numbers.saturation)),
            "Share of pixels at −1 or 1, the ends of their range.",
        ),
        (
            "distance from start",
            number(value(&numbers.distance)),
            "|x − x₀|, the Euclidean distance.",
        ),
        ("step", shown.step.to_string(), "Steps since the start."),
    ];
    if let Some(&acceptance) = numbers.acceptance.get(chain) {
        let hover = "The probability that MALA accepts the next proposal.";
        rows.insert(4, ("acceptance", percent(acceptance), hover));
    }
    if shown.is_clipped {
        rows.insert(2, clipped);
    }
    if let Some(rank) = run.rank_of(value(&numbers.energy)) {
        ui.label(format!("Its energy is {rank}."));
    }
    let row = |ui: &mut Ui, (name, value, hover): (&str, String, &str)| {
        ui.label(name).on_hover_text(hover);
        ui.monospace(value);
    };
    if ui.available_width() < NARROW {
        for one in rows {
            ui.horizontal_wrapped(|ui| row(ui, one));
        }
    } else {
        Grid::new("numbers").num_columns(2).spacing(vec2(10.0, 2.0)).show(ui, |ui| {
            for one in rows {
                row(ui, one);
                ui.end_row();
            }
        });
    }
    ui.add_space(4.0);
    let details = ChainDetails {
        run,
        model,
        numbers: Some(numbers),
        chain,
        label: shown.label,
        title: shown.title.clone(),
        lane_name: run.lane_name(shown.selection.lane),
        step: shown.step,
        is_clipped: shown.is_clipped,
    };
    details.verdict(ui);
    ui.scope(|ui| {
        let probabilities = probabilities(numbers, chain);
        bars(ui, model, &probabilities, NUM_BARS, Some(shown.label));
    });
}
