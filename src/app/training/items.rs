//! The chains of the replay buffer: samples of the model that is being trained.

use egui::{Color32, ColorImage, RichText, TextureHandle, TextureOptions, Ui, pos2, vec2};
use egui_plot::{MarkerShape, Points};

use crate::{
    app::{
        chart::{NOTE_SIZE, chart, entry, legend_row, note, points},
        fit::fit,
        pixels::within_texture,
        theme,
    },
    data,
    worker::TrainingUpdate,
};

/// The maximum number of chains of a class that are drawn.
const MAX_PER_CLASS: usize = 16;
/// The minimum side of a drawn image, in points.
const MIN_SIDE: f32 = 24.0;
/// The maximum side of a drawn image, in points.
const MAX_SIDE: f32 = 44.0;
/// The width of the class names.
const NAME_WIDTH: f32 = 90.0;
const SHAPES: [MarkerShape; 4] =
    [MarkerShape::Circle, MarkerShape::Square, MarkerShape::Up, MarkerShape::Diamond];

/// The chains that were received last.
#[derive(Default)]
pub(super) struct BufferView {
    x: Vec<f32>,
    labels: Vec<u32>,
    class_names: Vec<String>,
    texture: Option<TextureHandle>,
}

/// The channels and the side of square images with this many values; `None` for points in the plane.
fn image_shape(num_values: usize) -> Option<[usize; 2]> {
    let side = |num_pixels: usize| {
        let side = num_pixels.isqrt();
        (side > 1 && side * side == num_pixels).then_some(side)
    };
    if num_values.is_multiple_of(3)
        && let Some(side) = side(num_values / 3)
    {
        return Some([3, side]);
    }
    side(num_values).map(|side| [1, side])
}

/// The indices of the items of each class, at most `most` per class.
fn rows(labels: &[u32], most: usize) -> Vec<(u32, Vec<usize>)> {
    let mut rows = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (index, &label) in labels.iter().enumerate() {
        let row = rows.entry(label).or_default();
        if row.len() < most {
            row.push(index);
        }
    }
    rows.into_iter().collect()
}

impl BufferView {
    /// Processes an update of a training run: stores the chains and the class names.
    pub(super) fn take(&mut self, update: &TrainingUpdate) {
        match update {
            TrainingUpdate::Started { config, step, .. } => {
                if *step == 0 {
                    *self = Self::default();
                }
                self.class_names = data::class_names(config.data.dataset).unwrap_or_default();
            }
            TrainingUpdate::Buffer { x, labels } => {
                self.x.clone_from(x);
                self.labels.clone_from(labels);
                self.texture = None;
            }
            _ => {}
        }
    }

    fn class_name(&self, class: u32) -> String {
        self.class_names.get(class as usize).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Draws the chains of the replay buffer, as images or as points.
    pub(super) fn ui(&mut self, ui: &mut Ui) {
        if self.labels.is_empty() {
            return;
        }
        ui.add_space(4.0);
        ui.label(RichText::new("Replay buffer").strong());
        note(
            ui,
            "Chains that training goes on with from step to step: what the model now considers probable. They \
             should come to look like the data.",
        );
        let num_values = self.x.len() / self.labels.len();
        match image_shape(num_values) {
            Some(shape) => self.images(ui, shape),
            None if num_values == 2 => self.scatter(ui),
            None => {
                ui.weak("No picture of inputs of this shape.");
            }
        }
    }

    fn images(&mut self, ui: &mut Ui, [channels, side]: [usize; 2]) {
        let rows = rows(&self.labels, MAX_PER_CLASS);
        let num_columns = rows.iter().map(|row| row.1.len()).max().unwrap_or(1);
        let (width, height) = (num_columns * side, rows.len() * side);
        let background = ui.visuals().panel_fill;
        let texture = self.texture.get_or_insert_with(|| {
            let mut picture = ColorImage::filled([width, height], background);
            for (row, (_, items)) in rows.iter().enumerate() {
                for (column, &item) in items.iter().enumerate() {
                    let size = channels * side * side;
                    let image = &self.x[item * size..(item + 1) * size];
                    for y in 0..side {
                        for x in 0..side {
                            let byte = |channel: usize| {
                                let value = image[(channel * side + y) * side + x];
                                ((fit(value, -1.0, 1.0) + 1.0) * 127.5) as u8
                            };
                            let color = match channels {
                                3 => Color32::from_rgb(byte(0), byte(1), byte(2)),
                                _ => Color32::from_gray(byte(0)),
                            };
                            picture.pixels[(row * side + y) * width + column * side + x] = color;
                        }
                    }
                }
            }
            let picture = within_texture(ui.ctx(), picture);
            ui.ctx().load_texture("replay buffer", picture, TextureOptions::NEAREST)
        });
        let room = ui.available_width() - NAME_WIDTH;
        let cell = fit(room / num_columns as f32, MIN_SIDE, MAX_SIDE).floor();
        let num_shown = fit((room / cell).floor() as usize, 1, num_columns);
        let size = vec2(NAME_WIDTH + cell * num_shown as f32, cell * rows.len() as f32);
        let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
        let text = format!("{} chains of the replay buffer, one row a class", self.labels.len());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
        let painter = ui.painter_at(rect);
        let font = egui::FontId::proportional(NOTE_SIZE);
        for (row, (class, _)) in rows.iter().enumerate() {
            let at = rect.left_top() + vec2(0.0, (row as f32 + 0.5) * cell);
            let name = self.class_names.get(*class as usize);
            let name = name.cloned().unwrap_or_else(|| format!("class {class}"));
            let ink = ui.visuals().text_color();
            painter.text(at, egui::Align2::LEFT_CENTER, name, font.clone(), ink);
        }
        let place = rect.with_min_x(rect.left() + NAME_WIDTH);
        let share = num_shown as f32 / num_columns as f32;
        let uv = egui::Rect::from_min_max(pos2(0.0, 0.0), pos2(share, 1.0));
        painter.image(texture.id(), place, uv, Color32::WHITE);
    }

    fn scatter(&self, ui: &mut Ui) {
        let classes: Vec<u32> = rows(&self.labels, 1).into_iter().map(|row| row.0).collect();
        legend_row(ui, |ui| {
            for &class in &classes {
                entry(ui, &self.class_name(class), |painter, rect| {
                    let center = rect.center();
                    let at = |(x, y): (f32, f32)| center + 5.0 * vec2(x, y);
                    let corners = corners(shape(class)).into_iter().map(at).collect();
                    painter.add(egui::Shape::convex_polygon(
                        corners,
                        color(class),
                        egui::Stroke::NONE,
                    ));
                });
            }
        });
        let side = ui.available_width().min(380.0);
        chart("buffer points", side, "x₁", "x₂").width(side).data_aspect(1.0).show(ui, |plot| {
            plot.set_plot_bounds_x(-1.05..=1.05);
            plot.set_plot_bounds_y(-1.05..=1.05);
            for &class in &classes {
                let of_class = self.x.chunks_exact(2).zip(&self.labels);
                let of_class = of_class.filter(|&(_, &label)| label == class);
                let places = of_class.map(|(x, _)| (f64::from(x[0]), f64::from(x[1])));
                let series = Points::new(self.class_name(class), points(places))
                    .color(color(class))
                    .shape(shape(class))
                    .radius(2.5);
                plot.points(series.allow_hover(false));
            }
        });
    }
}

fn shape(class: u32) -> MarkerShape {
    SHAPES[class as usize % SHAPES.len()]
}

fn color(class: u32) -> Color32 {
    theme::CLASSES[class as usize % theme::CLASSES.len()]
}

/// The corners of a marker within the unit circle.
fn corners(shape: MarkerShape) -> Vec<(f32, f32)> {
    let (count, turn) = match shape {
        MarkerShape::Square => (4, 0.125),
        MarkerShape::Diamond => (4, 0.25),
        MarkerShape::Up => (3, 0.25),
        _ => (24, 0.0),
    };
    (0..count)
        .map(|corner| std::f32::consts::TAU * (corner as f32 / count as f32 + turn))
        .map(|angle| (angle.cos(), -angle.sin()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_guessed_and_rows_are_classes() {
        assert_eq!(image_shape(28 * 28), Some([1, 28]));
        assert_eq!(image_shape(3 * 32 * 32), Some([3, 32]));
        assert_eq!(image_shape(2), None);
        assert_eq!(rows(&[1, 0, 1, 1], 2), [(0, vec![1]), (1, vec![0, 2])]);
    }
}
