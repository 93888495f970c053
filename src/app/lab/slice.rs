//! The image model's energy on the plane through a chain's path.

use egui::{Color32, Pos2, RichText, Sense, Shape, Stroke, Ui, Vec2, pos2, vec2};

use super::heat::{HeatMap, HeatStyle};
use crate::{
    app::{
        magnifier::name_of,
        pixels::{WHOLE, number},
        state::{Lab, RunState, Selection},
        theme,
    },
    worker::lab::LabCommand,
};

/// The maximum number of points of a path.
const MAX_PATH: usize = 120;
/// The minimum time between two slices while the chains run, in seconds.
const INTERVAL_SECS: f64 = 3.0;

/// The state of the picture, kept between frames.
#[derive(Default)]
pub(super) struct SliceView {
    heat: HeatMap,
    /// The chain, and the number of the run, that the slice belongs to.
    of: Option<(Selection, u64)>,
    /// Whether the requested slice is that of another chain.
    is_foreign: bool,
    /// The last step of the path in the last request.
    asked: Option<u64>,
    asked_at: f64,
    /// Whether the path contains non-finite values.
    is_broken: bool,
    number: u64,
    energies: Option<std::sync::Arc<[f32]>>,
}

impl SliceView {
    /// The same slice, for another window, which has textures of its own.
    pub(super) fn again(&self) -> Self {
        let Self { of, is_foreign, asked, asked_at, is_broken, number, .. } = *self;
        let (heat, energies) = (HeatMap::default(), None);
        Self { heat, of, is_foreign, asked, asked_at, is_broken, number, energies }
    }
}

/// The chain whose path is shown.
fn subject(run: &RunState) -> Selection {
    run.selected.unwrap_or(Selection { lane: 0, chain: 0 })
}

/// Draws the slice, and requests a new one when the path has grown.
pub(super) fn ui(ui: &mut Ui, lab: &mut Lab, run: &mut RunState, view: &mut SliceView) {
    let shown = subject(run);
    let last = run.last_step();
    let of = Some((shown, run.num_beginnings));
    if view.of != of {
        lab.record.slice = None;
        (view.of, view.asked, view.asked_at) = (of, None, f64::NEG_INFINITY);
        (view.is_foreign, view.is_broken) = (lab.record.is_slicing, false);
    }
    if view.is_foreign && !lab.record.is_slicing {
        lab.record.slice = None;
        view.is_foreign = false;
    }
    let now = ui.input(|input| input.time);
    // A slice takes as long as many steps, so while the chains run, it is not computed after every step.
    let is_due = !run.is_running || now - view.asked_at > INTERVAL_SECS;
    if !lab.record.is_slicing && last > 0 && view.asked != Some(last) && is_due {
        view.asked = Some(last);
        view.asked_at = now;
        let path = run.path(shown, MAX_PATH);
        view.is_broken = path.iter().any(|value| !value.is_finite());
        if !view.is_broken {
            lab.record.is_slicing = true;
            lab.ask(LabCommand::Slice { path });
        }
    }
    let name = match (&run.model, &run.record) {
        (Some(model), Some(record)) => {
            let label = record.request.labels.get(shown.chain).copied().unwrap_or(0);
            format!("{}, chain {}", name_of(&model.class_names, label as usize), shown.chain + 1)
        }
        _ => String::new(),
    };
    let is_shown = last > 0 && !view.is_foreign && !view.is_broken;
    let Some(slice) = lab.record.slice.clone().filter(|_| is_shown) else {
        ui.vertical_centered(|ui| {
            ui.add_space(ui.available_height() * 0.4);
            if view.is_broken && last > 0 {
                ui.label(format!(
                    "{name} has exploded: its path spans no plane."
                ));
                return;
            }
            if lab.record.is_slicing {
                ui.spinner();
                return;
            }
            ui.label(
                "This plane is spanned by the path of a chain of the open model. Let the chains run first.",
            );
            if ui.button("▶ Play the chains").clicked() {
                run.play();
            }
        });
        return;
    };
    ui.horizontal_wrapped(|ui| {
        ui.label(
            RichText::new(format!("The energy of images around the path of {name}.")).strong(),
        );
        if lab.record.is_slicing {
            ui.spinner();
        }
    });
    ui.label(format!(
        "Axes: the two directions in which the path spreads most, {:.0} and {:.0} % of its spread. The other {} \
         directions are hidden; most points here are images that no chain ever visits.",
        100.0 * slice.explained[0],
        100.0 * slice.explained[1],
        run.model.as_ref().map_or(0, |m| m.shape.iter().product::<usize>()).saturating_sub(2),
    ));
    if view.energies.as_ref().is_none_or(|old| !std::sync::Arc::ptr_eq(old, &slice.energy)) {
        view.energies = Some(slice.energy.clone());
        view.number += 1;
    }
    let side = (ui.available_size() - vec2(0.0, 24.0)).min_elem().max(80.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
    response.widget_info(|| {
        egui::WidgetInfo::labeled(
            egui::Role::Image,
            true,
            "Energy on the plane through a chain's path",
        )
    });
    let style = HeatStyle { contours: true, decisions: false, is_network: true };
    let texture = view.heat.texture(ui.ctx(), view.number, &slice.energy, &[], style);
    let painter = ui.painter_at(rect);
    painter.image(texture, rect, WHOLE, Color32::WHITE);
    let to_screen = |point: &[f32]| -> Pos2 {
        let share = |axis: usize| {
            let [low, high] = slice.range[axis];
            (point[axis] - low) / (high - low)
        };
        pos2(rect.left() + share(0) * rect.width(), rect.bottom() - share(1) * rect.height())
    };
    let path: Vec<Pos2> = slice.path.chunks_exact(2).map(to_screen).collect();
    painter.add(Shape::line(path.clone(), Stroke::new(2.0, Color32::WHITE)));
    for at in &path {
        painter.circle_filled(*at, 2.0, Color32::WHITE);
    }
    let ends = [(path.first(), "start", theme::DRIFT), (path.last(), "now", theme::NOISE)];
    for ((at, text, color), energy) in
        ends.into_iter().zip([slice.path_energy.first(), slice.path_energy.last()])
    {
        let (Some(at), Some(energy)) = (at, energy) else { continue };
        painter.circle_filled(*at, 5.0, color);
        let text = format!("{text}: E = {}", number(*energy));
        super::on_screen::caption(
            &painter,
            *at + vec2(8.0, -8.0),
            egui::Align2::LEFT_BOTTOM,
            &text,
        );
    }
    let unit = slice.range[0][1] - slice.range[0][0];
    let [low, high, apart] = view.heat.scale;
    ui.label(format!(
        "A side is {unit:.1} long in units of x. Colours: energy {} (bright) to {} and more (dark), lines {apart} apart.",
        number(low),
        number(high),
    ));
}
