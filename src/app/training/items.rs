//! Labelled images as rows, one for each class with its name, or labelled points in the plane: the chains of the replay
//! buffer, and the contact sheet of a data set.

use egui::{
    Align2, Color32, ColorImage, FontId, Rect, RichText, TextureHandle, TextureOptions, Ui, pos2,
    text::{LayoutJob, TextWrapping},
    vec2,
};
use egui_plot::{MarkerShape, Points};

use crate::{
    app::{
        chart::{NOTE_SIZE, chart, entry, legend_row, note, points},
        fit::fit,
        pixels::{color as color_of_pixel, within_texture},
        theme,
    },
    worker::TrainingUpdate,
};

/// The maximum number of items of a class that are drawn.
const MAX_PER_CLASS: usize = 16;
/// The minimum height of a drawn image, in points: that of a class name with its note.
const MIN_SIDE: f32 = 26.0;
/// The maximum height of a drawn image, in points.
const MAX_SIDE: f32 = 44.0;
/// The width of the class names.
const NAME_WIDTH: f32 = 90.0;
const SHAPES: [MarkerShape; 4] =
    [MarkerShape::Circle, MarkerShape::Square, MarkerShape::Up, MarkerShape::Diamond];

/// Labelled items of one shape.
#[derive(Default)]
pub(super) struct Items {
    /// The items (N, C, H, W), flattened.
    pub(super) x: Vec<f32>,
    /// The class of each item.
    pub(super) labels: Vec<u32>,
    /// The name of each class.
    pub(super) class_names: Vec<String>,
    /// The shape (C, H, W) of an item; (2, 1, 1) for points in the plane.
    pub(super) shape: [usize; 3],
    /// A short text beside the name of each class, as a count; may be empty.
    pub(super) notes: Vec<String>,
    pub(super) texture: Option<TextureHandle>,
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

impl Items {
    /// Shows other items of the same classes.
    fn replace(&mut self, x: &[f32], labels: &[u32]) {
        self.x = x.to_vec();
        self.labels = labels.to_vec();
        self.texture = None;
    }

    fn class_name(&self, class: u32) -> String {
        self.class_names.get(class as usize).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Draws the items, as images or as points. `what` names them for a screen reader.
    pub(super) fn ui(&mut self, ui: &mut Ui, what: &str) {
        match self.shape {
            _ if self.labels.is_empty() => {}
            [2, 1, 1] => self.scatter(ui, what),
            _ => self.images(ui, what),
        }
    }

    /// The images of all rows side by side in one picture.
    fn picture(&self, rows: &[(u32, Vec<usize>)], background: Color32) -> ColorImage {
        let [channels, height, width] = self.shape;
        let num_columns = rows.iter().map(|row| row.1.len()).max().unwrap_or(1);
        let whole = num_columns * width;
        let mut picture = ColorImage::filled([whole, rows.len() * height], background);
        let size = channels * height * width;
        for (row, (_, items)) in rows.iter().enumerate() {
            for (column, &item) in items.iter().enumerate() {
                let image = &self.x[item * size..(item + 1) * size];
                for at in 0..height * width {
                    let (x, y) = (column * width + at % width, row * height + at / width);
                    picture.pixels[y * whole + x] = color_of_pixel(image, height * width, at);
                }
            }
        }
        picture
    }

    fn images(&mut self, ui: &mut Ui, what: &str) {
        let rows = rows(&self.labels, MAX_PER_CLASS);
        let num_columns = rows.iter().map(|row| row.1.len()).max().unwrap_or(1);
        let texture = match &self.texture {
            Some(texture) => texture.clone(),
            None => {
                let picture = self.picture(&rows, ui.visuals().panel_fill);
                let picture = within_texture(ui.ctx(), picture);
                let texture = ui.ctx().load_texture(what, picture, TextureOptions::NEAREST);
                self.texture.insert(texture).clone()
            }
        };
        let [_, height, width] = self.shape;
        let ratio = fit(width as f32 / height as f32, 0.25, 4.0);
        let room = ui.available_width() - NAME_WIDTH;
        let tall = fit(room / num_columns as f32 / ratio, MIN_SIDE, MAX_SIDE).floor();
        let wide = (tall * ratio).floor().max(1.0);
        let num_shown = fit((room / wide).floor() as usize, 1, num_columns);
        let size = vec2(NAME_WIDTH + wide * num_shown as f32, tall * rows.len() as f32);
        let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
        let names: Vec<String> = rows.iter().map(|row| self.class_name(row.0)).collect();
        let text = format!("{} {what}, one row per class: {}", self.labels.len(), names.join(", "));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
        let painter = ui.painter_at(rect);
        for (row, (name, (class, _))) in names.iter().zip(&rows).enumerate() {
            let at = rect.left_top() + vec2(0.0, (row as f32 + 0.5) * tall);
            let note = self.notes.get(*class as usize).filter(|note| !note.is_empty());
            let name_at = if note.is_some() { at - vec2(0.0, 6.5) } else { at };
            let ink = ui.visuals().text_color();
            let mut job =
                LayoutJob::simple_singleline(name.clone(), FontId::proportional(NOTE_SIZE), ink);
            job.wrap = TextWrapping::truncate_at_width(NAME_WIDTH - 6.0);
            let galley = painter.layout_job(job);
            painter.galley(name_at - vec2(0.0, galley.size().y / 2.0), galley, ink);
            if let Some(note) = note {
                let (font, ink) = (FontId::proportional(NOTE_SIZE), ui.visuals().weak_text_color());
                painter.text(at + vec2(0.0, 6.5), Align2::LEFT_CENTER, note, font, ink);
            }
        }
        let place = rect.with_min_x(rect.left() + NAME_WIDTH);
        let share = num_shown as f32 / num_columns as f32;
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(share, 1.0));
        painter.image(texture.id(), place, uv, Color32::WHITE);
        // A long name is cut off in its row.
        response.on_hover_ui_at_pointer(|ui| {
            let at = ui.input(|input| input.pointer.hover_pos()).unwrap_or(rect.min);
            let row = ((at.y - rect.top()) / tall) as usize;
            if let Some(name) = names.get(row) {
                ui.label(name);
            }
        });
    }

    fn scatter(&self, ui: &mut Ui, what: &str) {
        let classes: Vec<u32> = rows(&self.labels, 1).into_iter().map(|row| row.0).collect();
        legend_row(ui, |ui| {
            for &class in &classes {
                let note = self.notes.get(class as usize).map(|note| format!(" ({note})"));
                let name = self.class_name(class) + &note.unwrap_or_default();
                entry(ui, &name, |painter, rect| {
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
        chart(what, side, "x₁", "x₂").width(side).data_aspect(1.0).show(ui, |plot| {
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

/// The chains of the replay buffer: samples of the model that is being trained.
#[derive(Default)]
pub(super) struct BufferView {
    chains: Items,
    /// Whether the chains are shown without the noise that they have.
    is_denoised: bool,
}

impl BufferView {
    /// Processes an update of a training run: stores the chains and the class names.
    pub(super) fn take(&mut self, update: &TrainingUpdate) {
        match update {
            TrainingUpdate::Started { config, step, class_names, shape, .. } => {
                // Another run that is continued may have other classes, or inputs of another shape.
                let is_other =
                    self.chains.shape != *shape || self.chains.class_names != *class_names;
                if *step == 0 || is_other {
                    self.chains = Items::default();
                }
                self.chains.class_names.clone_from(class_names);
                self.chains.shape = *shape;
                self.is_denoised = config.sampler.denoise_step > 0.0;
            }
            TrainingUpdate::Buffer { x, labels } => self.chains.replace(x, labels),
            _ => {}
        }
    }

    /// Whether there are chains to show.
    pub(super) fn has_chains(&self) -> bool {
        !self.chains.labels.is_empty()
    }

    /// Draws the chains, as images or as points.
    pub(super) fn ui(&mut self, ui: &mut Ui) {
        if self.chains.labels.is_empty() {
            return;
        }
        ui.add_space(4.0);
        ui.label(RichText::new("Replay buffer").strong());
        note(
            ui,
            "Chains that training continues from step to step: what the model now finds likely. They should \
             come to look like the data.",
        );
        if self.is_denoised {
            note(
                ui,
                "They are shown without the noise that data and chains have in this training.",
            );
        }
        self.chains.ui(ui, "chains of the replay buffer");
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
    fn images_of_any_shape_stand_in_rows_of_their_class() {
        assert_eq!(rows(&[1, 0, 1, 1], 2), [(0, vec![1]), (1, vec![0, 2])]);
        let items = Items {
            x: vec![-1.0, -1.0, 1.0, 1.0, 1.0, 1.0],
            labels: vec![1, 0, 1],
            shape: [1, 1, 2],
            ..Items::default()
        };
        let picture = items.picture(&rows(&items.labels, 2), Color32::RED);
        assert_eq!(picture.size, [4, 2]);
        let (black, white) = (Color32::BLACK, Color32::WHITE);
        let expected = [white, white, Color32::RED, Color32::RED, black, black, white, white];
        assert_eq!(picture.pixels, expected);
    }

    #[test]
    fn the_chains_of_a_run_go_when_another_one_is_continued() {
        let started = |step, shape: [usize; 3], class_names: &[&str]| TrainingUpdate::Started {
            folder: "runs/a".into(),
            config: Box::default(),
            step,
            num_steps: 10,
            memory: String::new(),
            class_names: class_names.iter().map(ToString::to_string).collect(),
            shape,
        };
        let mut view = BufferView::default();
        view.take(&started(0, [2, 1, 1], &["a", "b"]));
        view.take(&TrainingUpdate::Buffer { x: vec![0.5; 4], labels: vec![0, 1] });
        view.take(&started(3, [2, 1, 1], &["a", "b"]));
        assert!(view.has_chains(), "the same run continues");
        view.take(&started(3, [1, 28, 28], &["a", "b"]));
        assert!(!view.has_chains());
        // Nothing is drawn, and nothing panics.
        egui::__run_test_ui(|ui| view.chains.ui(ui, "chains"));
    }
}
