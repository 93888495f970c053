//! The image model's energy on the plane through a chain's path.

use egui::{
    Color32, Label, Painter, Pos2, Rect, Response, RichText, ScrollArea, Sense, Shape, Stroke, Ui,
    Vec2, pos2, vec2,
};

use super::{
    heat::{HeatMap, HeatStyle},
    slice_pictures::{SlicePictures, UnderPointer},
};
use crate::{
    app::{
        fit::fit,
        pixels::{SMALL, WHOLE, number},
        selected, size_class,
        state::{Lab, RunState, Selection},
    },
    worker::lab::{LabCommand, Slice},
};

/// The maximum number of points of a path.
const MAX_PATH: usize = 120;
/// The minimum time between two slices while the chains run, in seconds.
const INTERVAL_SECS: f64 = 3.0;
/// The minimum and maximum width of what is beside the slice; with less space, it stands above and below.
const BESIDE: [f32; 2] = [150.0, 260.0];
/// What the legend says if pictures of the chain are shown as the grid shows it. The path and its energies are the chain's own.
const DENOISED: &str = " They are without the noise of the data where the gradient was read; the path is that of the noisy chain.";
/// The side of the image under the pointer where it covers a corner of the slice, as a share of the slice.
const IN_CORNER: f32 = 0.28;

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
    pictures: SlicePictures,
    under_pointer: UnderPointer,
    /// Whether this is a copy for another window.
    is_copy: bool,
}

impl SliceView {
    /// The same slice, for another window, which has textures of its own.
    pub(super) fn again(&self) -> Self {
        let Self { of, is_foreign, asked, asked_at, is_broken, number, .. } = *self;
        let is_copy = true;
        Self { of, is_foreign, asked, asked_at, is_broken, number, is_copy, ..Self::default() }
    }
}

/// The chain whose path is shown.
fn subject(run: &RunState) -> Selection {
    run.selected.unwrap_or(Selection { lane: 0, chain: 0 })
}

/// Draws the slice, and requests a new one when the path has grown.
pub(super) fn ui(ui: &mut Ui, lab: &mut Lab, run: &mut RunState, view: &mut SliceView) {
    let shown = subject(run);
    // Another window shows the slice that there is, and asks for none.
    let last = view.asked.filter(|_| view.is_copy).unwrap_or_else(|| run.shown_step());
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
    let is_due = !run.is_playing() || now - view.asked_at > INTERVAL_SECS;
    if !lab.record.is_slicing && last > 0 && view.asked != Some(last) && is_due {
        view.asked = Some(last);
        view.asked_at = now;
        let path = run.path(shown, last, MAX_PATH);
        view.is_broken = path.iter().any(|value| !value.is_finite());
        if !view.is_broken {
            lab.record.is_slicing = true;
            lab.ask(LabCommand::Slice { path });
        }
    }
    let name = selected::title_of(run, shown).unwrap_or_default();
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
    if view.energies.as_ref().is_none_or(|old| !std::sync::Arc::ptr_eq(old, &slice.energy)) {
        view.energies = Some(slice.energy.clone());
        view.number += 1;
        // Only one slice is requested at a time, so this is the one whose path ends there.
        let last = view.asked.unwrap_or(last);
        view.pictures = SlicePictures::new(run, shown, last, &slice);
    }
    let shape = run.model.as_ref().map_or([0; 3], |model| model.shape);
    let mut plane = SlicePlane { slice: &slice, name: &name, shape, view };
    let room = ui.available_size();
    let beside = room.y.min(room.x - BESIDE[0] - ui.spacing().item_spacing.x);
    if beside > 0.75 * room.y {
        ui.horizontal_top(|ui| {
            let point = plane.square(ui, beside);
            ui.vertical(|ui| {
                ui.set_max_width(ui.available_width().min(BESIDE[1]));
                plane.beside(ui, point);
                ScrollArea::vertical().show(ui, |ui| {
                    plane.heading(ui, lab.record.is_slicing);
                    plane.axes(ui);
                    plane.colors(ui);
                    plane.legend(ui);
                });
            });
        });
        return;
    }
    // A small window scrolls to the texts.
    let is_small = size_class::is_small(ui.ctx());
    plane.heading(ui, lab.record.is_slicing);
    if !is_small {
        plane.axes(ui);
    }
    let below = if is_small { 0.0 } else { 24.0 };
    let side = (ui.available_size() - vec2(0.0, below)).min_elem().max(80.0);
    let rect = Rect::from_min_size(ui.next_widget_position(), Vec2::splat(side));
    if let Some(point) = plane.square(ui, side) {
        plane.in_corner(ui, rect, point);
    }
    if is_small {
        plane.axes(ui);
    }
    plane.colors(ui);
    if is_small {
        plane.legend(ui);
    }
}

/// The slice while it is drawn.
struct SlicePlane<'a> {
    slice: &'a Slice,
    name: &'a str,
    /// The shape of an image (C, H, W).
    shape: [usize; 3],
    view: &'a mut SliceView,
}

impl SlicePlane<'_> {
    /// Whether points of the plane are images, which points of a plane model are not.
    fn has_images(&self) -> bool {
        let [channels, height, width] = self.shape;
        height * width > 1 && self.slice.origin.len() == channels * height * width
    }

    fn heading(&self, ui: &mut Ui, is_slicing: bool) {
        let text = format!("The energy of images around the path of {}.", self.name);
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(text).strong());
            if is_slicing {
                ui.spinner();
            }
        });
    }

    fn axes(&self, ui: &mut Ui) {
        let num_pixels: usize = self.shape.iter().product();
        ui.label(format!(
            "Axes: the two directions in which the path spreads most, {:.0} and {:.0} % of its spread. The other {} \
             directions are hidden; most points here are images that no chain ever visits.",
            100.0 * self.slice.explained[0],
            100.0 * self.slice.explained[1],
            num_pixels.saturating_sub(2),
        ));
    }

    fn colors(&self, ui: &mut Ui) {
        let unit = self.slice.range[0][1] - self.slice.range[0][0];
        let [low, high, apart] = self.view.heat.scale;
        ui.label(format!(
            "A side is {unit:.1} long in units of x. Colours: energy {} (bright) to {} and more (dark), lines {apart} apart.",
            number(low),
            number(high),
        ));
    }

    /// Draws the square: the energies, the path, and pictures of the chain along it. Returns the point of the plane under
    /// the pointer.
    fn square(&mut self, ui: &mut Ui, side: f32) -> Option<[f32; 2]> {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
        let style = HeatStyle { contours: true, decisions: false, is_network: true };
        let Self { slice, view, shape, .. } = self;
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
        let shape = *shape;
        if self.has_images() {
            self.view.pictures.show(&painter, rect, shape, &path, to_screen);
        }
        response.widget_info(|| {
            let seen = self.view.pictures.seen();
            let text = format!("Energy on the plane through a chain's path. Pictures: {seen}");
            egui::WidgetInfo::labeled(egui::Role::Image, true, text)
        });
        let at = response.hover_pos().filter(|at| rect.contains(*at))?;
        let along = |axis: usize, share: f32| {
            let [low, high] = self.slice.range[axis];
            low + share * (high - low)
        };
        let across = along(0, (at.x - rect.left()) / rect.width());
        Some([across, along(1, (rect.bottom() - at.y) / rect.height())])
    }

    /// Says which pictures there are.
    fn legend(&self, ui: &mut Ui) {
        if self.has_images() {
            let SlicePictures { every, is_denoised, .. } = self.view.pictures;
            let noise = if is_denoised { DENOISED } else { "" };
            ui.label(format!(
                "Pictures: the chain at its start, at every {every}th step where there is space, and at the shown step.{noise}"
            ));
        }
    }

    /// Draws the image under the pointer beside the slice, or says in its place how to see one.
    fn beside(&mut self, ui: &mut Ui, point: Option<[f32; 2]>) {
        if !self.has_images() {
            return;
        }
        let width = fit(ui.available_width() - 2.0, 0.0, 0.5 * ui.available_height());
        let size = vec2(width, width + 2.0 * SMALL);
        let Some(point) = point else {
            let hint = "Hold the pointer over the slice to see the image there.";
            ui.add_sized(size, Label::new(RichText::new(hint).weak()).wrap());
            return;
        };
        let (room, response) = ui.allocate_exact_size(size, Sense::hover());
        self.under_pointer(&ui.painter_at(room.expand(2.0)), &response, point);
    }

    /// Draws the image under the pointer in the corner of the slice that is farthest from it.
    fn in_corner(&mut self, ui: &Ui, square: Rect, point: [f32; 2]) {
        if !self.has_images() {
            return;
        }
        let is_upper_half = |axis: usize| 2.0 * point[axis] > self.slice.range[axis].iter().sum();
        let side = IN_CORNER * square.width();
        let size = vec2(side, side + 2.0 * SMALL);
        let left = if is_upper_half(0) { square.left() + 4.0 } else { square.right() - side - 4.0 };
        let top =
            if is_upper_half(1) { square.bottom() - size.y - 4.0 } else { square.top() + 4.0 };
        let room = Rect::from_min_size(pos2(left, top), size);
        let response = ui.interact(room, ui.scope_id().with("under pointer"), Sense::empty());
        self.under_pointer(&ui.painter_at(square), &response, point);
    }

    fn under_pointer(&mut self, painter: &Painter, response: &Response, point: [f32; 2]) {
        let energy = self.slice.energy_at(point).map_or(String::new(), number);
        let text = format!("here: E = {energy}");
        response.widget_info(|| {
            let text = format!("The image under the pointer. {text}");
            egui::WidgetInfo::labeled(egui::Role::Image, true, text)
        });
        let image = self.slice.image_at(point);
        self.view.under_pointer.show(painter, response.rect, self.shape, &image, &text);
    }
}
