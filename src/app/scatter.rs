//! Scatter plots for models whose chains are points in the plane.

use std::sync::Arc;

use egui::{Color32, Label, RichText, Sense, Stroke, Tooltip, Ui, vec2};
use egui_plot::{Arrows, Plot, PlotPoint, Points};

use super::{
    atlas::far,
    contrast,
    grid::Action,
    magnifier::{ChainDetails, name_of},
    pixels::{SMALL, number},
    points,
    state::{Overlay, RunState, Selection},
    theme,
};
use crate::{
    data::Dataset,
    worker::{LaneImages, ModelInfo},
};

/// The maximum number of training points that are drawn.
const NUM_TRAIN: usize = 1500;
/// A click within this distance of a point selects it, in screen points.
const REACH: f32 = 14.0;
/// The length of the longest arrow, in units of x.
const ARROW: f32 = 0.2;
/// Half the side of the visible square: the box [-1, 1] with a margin.
const BOUND: f32 = 1.1;

/// Points in the plane.
type Places = Vec<[f64; 2]>;

/// The state of the plots, kept between frames.
#[derive(Default)]
pub(super) struct Scatter {
    /// The training points of each class, and the dataset that they come from.
    train: Option<(Arc<Dataset>, Vec<Places>)>,
    /// The gradient norm that the longest arrow stands for, one per lane.
    scales: Vec<f32>,
}

impl Scatter {
    /// Takes an evenly spaced part of the training points of the open model.
    fn update(&mut self, run: &RunState, num_classes: usize) {
        let Some(references) = &run.references else {
            self.train = None;
            return;
        };
        if self.train.as_ref().is_some_and(|(set, _)| Arc::ptr_eq(set, &references.train)) {
            return;
        }
        let set = &references.train;
        let mut points = vec![Vec::new(); num_classes];
        if set.num_pixels() == 2 {
            for index in (0..set.len()).step_by((set.len() / NUM_TRAIN).max(1)) {
                let point = set.gather([index]);
                if let Some(of_class) = points.get_mut(set.labels[index] as usize) {
                    of_class.push([f64::from(point[0]), f64::from(point[1])]);
                }
            }
        }
        self.train = Some((set.clone(), points));
    }
}

/// Draws one plot per lane. Returns the point that was clicked.
pub(super) fn ui(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    state: &mut Scatter,
) -> Option<Action> {
    state.update(run, model.class_names.len());
    let (_, lanes) = run.shown_images()?;
    state.scales = lanes.iter().map(gradient_scale).collect();
    let mut action = None;
    let num_lanes = lanes.len().max(1);
    ui.columns(num_lanes, |columns| {
        for (lane, ui) in columns.iter_mut().enumerate() {
            if num_lanes > 1 {
                let name = format!("{}: {}", lane + 1, run.lane_name(lane));
                let color = contrast::readable(ui, theme::LANES[lane % theme::LANES.len()]);
                let text = egui::RichText::new(name).color(color);
                ui.add(egui::Label::new(text).truncate());
            }
            action = action.or(plot(ui, run, model, state, lane));
        }
    });
    action
}

fn plot(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    state: &Scatter,
    lane: usize,
) -> Option<Action> {
    let (step, lanes) = run.shown_images()?;
    let labels = &run.record.as_ref()?.request.labels;
    let images = lanes.get(lane)?;
    let places = shown_points(run, images, lane);
    let plot = Plot::new(("plane", lane))
        .data_aspect(1.0)
        .auto_bounds(false)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show_crosshair(false)
        .show_x(false)
        .show_y(false)
        .height(ui.available_height());
    let is_dark = ui.visuals().dark_mode;
    let contrast = ui.visuals().strong_text_color();
    let selected = run.selected.filter(|selected| selected.lane == lane);
    let numbers = run.shown_numbers().and_then(|(_, numbers)| numbers.get(lane));
    let drawn = plot.show(ui, |ui| {
        // The box fills the shorter side, and the longer side shows more of the plane.
        let size = ui.transform().frame().size();
        let shorter = size.min_elem().max(1.0);
        let half = (size / shorter * BOUND).max(egui::Vec2::splat(BOUND));
        let (x, y) = (f64::from(half.x), f64::from(half.y));
        ui.set_plot_bounds_x(-x..=x);
        ui.set_plot_bounds_y(-y..=y);
        for (class, points) in state.train.iter().flat_map(|train| train.1.iter().enumerate()) {
            let color = class_color(class).gamma_multiply(if is_dark { 0.22 } else { 0.35 });
            let faint = Points::new("", points.clone()).color(color).radius(1.3);
            ui.points(faint.allow_hover(false));
        }
        if let Some(arrows) = arrows(run, images, &places, state, lane) {
            ui.arrows(arrows.color(contrast.gamma_multiply(0.45)).allow_hover(false));
        }
        let ring = |places: Places, radius| {
            Points::new("", places).radius(radius).filled(false).color(contrast).allow_hover(false)
        };
        if run.shown_overlay() == Overlay::Clamped {
            ui.points(ring(clamped(images, &places), 6.0));
        }
        let selected = selected.and_then(|selected| places.get(selected.chain));
        if let Some(place) = selected.filter(|place| is_finite(place)) {
            ui.points(ring(vec![*place], 8.0));
        }
    });
    drawn.response.widget_info(|| {
        let label = format!("Chains of lane {} in the plane", lane + 1);
        egui::WidgetInfo::labeled(egui::Role::Button, true, label)
    });
    let energies = numbers.map_or(&[][..], |numbers| &numbers.energy);
    let always = selected.map(|selected| selected.chain);
    chains(&ui.painter_at(drawn.response.rect), &places, labels, energies, always, |place| {
        drawn.transform.position_from_point(&PlotPoint::new(place[0], place[1]))
    });
    let pointer = drawn.response.hover_pos()?;
    let distance = |place: &[f64; 2]| {
        let at = PlotPoint::new(place[0], place[1]);
        drawn.transform.position_from_point(&at).distance(pointer)
    };
    let reached = places.iter().map(distance).enumerate().filter(|(_, distance)| *distance < REACH);
    let (chain, _) = reached.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let label = labels.get(chain).copied()?;
    let columns = labels.iter().take_while(|&&other| Some(&other) == labels.first()).count().max(1);
    let class = name_of(&model.class_names, label as usize);
    let shown = ChainDetails {
        run,
        model,
        numbers,
        chain,
        label,
        title: format!("{class}, chain {}", chain % columns + 1),
        lane_name: format!("lane {}: {}", lane + 1, run.lane_name(lane)),
        step: *step,
        is_clipped: images.proximal_radius.is_some(),
    };
    Tooltip::for_widget(&drawn.response).at_pointer().show(|ui| shown.ui(ui, None));
    let selection = Selection { lane, chain };
    drawn.response.clicked().then_some(Action::Select(selection))
}

/// The range of the energies that the colours cover: that of all but the rarest finite ones.
fn energy_range(energies: &[f32]) -> Option<[f32; 2]> {
    let mut finite: Vec<f32> = energies.iter().copied().filter(|value| value.is_finite()).collect();
    finite.sort_unstable_by(f32::total_cmp);
    let last = finite.len().checked_sub(1)?;
    Some([finite[last / 50], finite[last - last / 50]])
}

/// Draws the chains as round points: filled by their energy, with a rim in the colour of their class. Of many, a sample is
/// drawn; the chain `always` is in it.
fn chains(
    painter: &egui::Painter,
    places: &[[f64; 2]],
    labels: &[u32],
    energies: &[f32],
    always: Option<usize>,
    to_screen: impl Fn(&[f64; 2]) -> egui::Pos2,
) {
    let (radius, opacity) = points::look(places.len());
    let [low, high] = energy_range(energies).unwrap_or([0.0, 1.0]);
    let span = (high - low).max(1e-6);
    for chain in points::drawn(places.len(), always) {
        let place = &places[chain];
        if !is_finite(place) {
            continue;
        }
        let at = to_screen(place);
        let share = energies.get(chain).map_or(0.5, |energy| (energy - low) / span);
        let class = labels.get(chain).copied().unwrap_or(0) as usize;
        painter.circle(
            at,
            radius,
            theme::energy(share).gamma_multiply(opacity),
            Stroke::new(0.35 * radius, class_color(class)),
        );
    }
}

/// Draws the legend: the rims of the classes, the colour bar, and what is drawn.
pub(super) fn legend(ui: &mut Ui, run: &RunState, model: &ModelInfo) {
    let small = |text: String| Label::new(RichText::new(text).size(SMALL)).extend();
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 0.0;
        ui.spacing_mut().item_spacing = vec2(4.0, 1.0);
        ui.horizontal_wrapped(|ui| {
            for (class, name) in model.class_names.iter().enumerate() {
                let (rect, _) = ui.allocate_exact_size(vec2(12.0, SMALL + 3.0), Sense::hover());
                let rim = Stroke::new(2.0, class_color(class));
                ui.painter().circle_stroke(rect.center(), 4.0, rim);
                ui.add(small(name.clone()));
                ui.add_space(4.0);
            }
            ui.add(small("(rim: class of the start; faint: training points)".into()));
            let hover = "Chains: bright where the energy is low, dark where it is high.";
            points::colour_bar(ui, theme::energy, hover);
            let num_chains = run.record.as_ref().map_or(0, |record| record.num_chains());
            if let Some(text) = points::sample_text(num_chains) {
                ui.add(small(format!("· {text}")));
            }
        });
    });
}

/// An explanation of the arrows.
pub(super) fn caption(run: &RunState, state: &Scatter) -> String {
    match run.shown_overlay() {
        Overlay::Gradient => {
            let scales: Vec<String> = state.scales.iter().map(|scale| number(*scale)).collect();
            format!(
                "Arrows point downhill, along −∂E/∂x; a length of {ARROW} means a gradient norm of {}{}.",
                scales.join(", "),
                if scales.len() > 1 { " (lane by lane)" } else { "" },
            )
        }
        _ => "Arrows lead from a chain's start to where it is now.".into(),
    }
}

/// The number of chains of a lane that are far outside the box.
pub(super) fn num_far(run: &RunState, lane: usize) -> usize {
    let far = far(run.lanes.get(lane));
    let images = run.shown_images().and_then(|(_, lanes)| lanes.get(lane));
    let is_far = |point: &&[f32]| {
        point.iter().all(|value| value.is_finite()) && point.iter().any(|value| value.abs() > far)
    };
    images.map_or(0, |images| images.x.chunks(2).filter(is_far).count())
}

fn class_color(class: usize) -> Color32 {
    theme::CLASSES[class % theme::CLASSES.len()]
}

fn is_finite(place: &[f64; 2]) -> bool {
    place.iter().all(|value| value.is_finite())
}

fn points_of(images: &LaneImages) -> Places {
    places_of(&images.x)
}

/// The chains of a lane, without the noise of the data where they are shown so.
fn shown_points(run: &RunState, images: &LaneImages, lane: usize) -> Places {
    let denoised = match run.denoise_step(lane) {
        0.0 => None,
        step => images.denoised(0..images.x.len(), step),
    };
    places_of(denoised.as_deref().unwrap_or(&images.x))
}

fn places_of(values: &[f32]) -> Places {
    values.chunks_exact(2).map(|point| [f64::from(point[0]), f64::from(point[1])]).collect()
}

/// The gradient norm of a lane that the longest arrow stands for: the 95th percentile.
fn gradient_scale(images: &LaneImages) -> f32 {
    let norms = images.gradient.chunks_exact(2).map(|g| g[0].to_f32().hypot(g[1].to_f32()));
    let mut norms: Vec<f32> = norms.filter(|norm| norm.is_finite()).collect();
    let Some(last) = norms.len().checked_sub(1) else { return 1.0 };
    norms.select_nth_unstable_by(last * 95 / 100, f32::total_cmp).1.max(f32::MIN_POSITIVE)
}

fn arrows(
    run: &RunState,
    images: &LaneImages,
    places: &[[f64; 2]],
    state: &Scatter,
    lane: usize,
) -> Option<Arrows<'static>> {
    let pairs: Vec<([f64; 2], [f64; 2])> = match run.shown_overlay() {
        Overlay::Gradient => {
            let unit = f64::from(ARROW / state.scales.get(lane)?);
            let gradients = images.gradient.chunks_exact(2);
            let tips = places.iter().zip(gradients).map(|(place, g)| {
                let along = |k: usize| place[k] - f64::from(g[k].to_f32()) * unit;
                (*place, [along(0), along(1)])
            });
            tips.collect()
        }
        Overlay::Change => {
            let starts = points_of(run.start_images()?.get(lane)?);
            starts.into_iter().zip(places.iter().copied()).collect()
        }
        Overlay::Images | Overlay::Denoised | Overlay::Clamped => return None,
    };
    let finite = pairs.into_iter().filter(|(from, to)| is_finite(from) && is_finite(to));
    let (from, to): (Vec<_>, Vec<_>) = finite.unzip();
    Some(Arrows::new("", from, to).tip_length(5.0))
}

/// The points with a clamped gradient component.
fn clamped(images: &LaneImages, places: &[[f64; 2]]) -> Places {
    let Some(radius) = images.proximal_radius else { return Vec::new() };
    let gradients = images.gradient.chunks_exact(2);
    let of_points = places.iter().zip(gradients).filter(|(place, gradient)| {
        is_finite(place) && gradient.iter().any(|g| g.to_f32().abs() > radius)
    });
    of_points.map(|(place, _)| *place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_energies_do_not_stretch_the_colours() {
        let mut energies: Vec<f32> = (0..100).map(|value| value as f32).collect();
        energies.extend([f32::NAN, f32::INFINITY]);
        assert_eq!(energy_range(&energies), Some([1.0, 98.0]));
        assert_eq!(energy_range(&[f32::NAN]), None);
    }
}
