//! The tooltip of a cell: one chain, enlarged, with its numbers and class probabilities.

use egui::{Color32, Image, Rect, RichText, Role, Sense, TextureId, Ui, WidgetInfo, vec2};

use super::{
    fit::fit,
    pixels::{SMALL, number, percent},
    state::RunState,
    theme,
};
use crate::worker::{LaneNumbers, ModelInfo};

/// The longer side of the image, in points.
const SIDE: f32 = 168.0;
/// The number of probability bars in a tooltip.
const NUM_BARS: usize = 5;

/// The details of one chain at one step.
pub(super) struct ChainDetails<'a> {
    /// The run of the chain.
    pub(super) run: &'a RunState,
    /// The open model.
    pub(super) model: &'a ModelInfo,
    /// The measured numbers of the chain's lane.
    pub(super) numbers: Option<&'a LaneNumbers>,
    /// The index of the chain in the lane.
    pub(super) chain: usize,
    /// The class of the chain's row.
    pub(super) label: u32,
    /// The title of the tooltip.
    pub(super) title: String,
    /// The rule of the chain's lane.
    pub(super) lane_name: String,
    /// The step that is shown.
    pub(super) step: u64,
    /// Whether the lane's sampler clips the gradient.
    pub(super) is_clipped: bool,
}

impl ChainDetails<'_> {
    /// Draws the enlarged chain with its numbers.
    pub(super) fn ui(&self, ui: &mut Ui, image: Option<(TextureId, Rect)>) {
        ui.set_max_width(400.0);
        ui.horizontal_top(|ui| {
            if let Some((texture, uv)) = image {
                let [_, h, w] = self.model.shape.map(|side| side as f32);
                let size = vec2(w, h) * SIDE / w.max(h);
                ui.add(Image::from_texture((texture, size)).uv(uv).fit_to_exact_size(size));
            }
            ui.vertical(|ui| {
                ui.set_width(210.0);
                ui.strong(&self.title);
                let rule = format!("{}, step {}", self.lane_name, self.step);
                ui.label(RichText::new(rule).size(SMALL));
                self.verdict(ui);
                let Some(numbers) = self.numbers else { return };
                let value = |values: &[f32]| values.get(self.chain).copied().unwrap_or(f32::NAN);
                let energy = value(&numbers.energy);
                ui.label(format!("energy {}", number(energy)));
                if let Some(rank) = self.run.rank_of(energy) {
                    ui.label(RichText::new(rank).size(SMALL));
                }
                ui.label(format!("gradient norm {}", number(value(&numbers.gradient_norm))));
                if self.is_clipped {
                    ui.label(format!("gradient clipped {}", percent(value(&numbers.clamp_rate))));
                }
                let probabilities = probabilities(numbers, self.chain);
                bars(ui, self.model, &probabilities, NUM_BARS, Some(self.label));
            });
        });
    }

    /// Draws whether the model predicts the class of the row.
    pub(super) fn verdict(&self, ui: &mut Ui) {
        let Some(numbers) = self.numbers.filter(|n| self.chain < n.energy.len()) else { return };
        if numbers.is_broken(self.chain) {
            let text = "Exploded: its energy is no longer a finite number.";
            ui.colored_label(theme::warning(ui), text);
            return;
        }
        let Some((class, probability)) = numbers.prediction(self.chain) else { return };
        let name = name_of(&self.model.class_names, class);
        ui.label(if class == self.label as usize {
            format!("The model sees {name}, its row's class (p = {probability:.2}).")
        } else {
            format!("The model sees {name}, not its row's class (p = {probability:.2}).")
        });
    }
}

/// The name of a class.
pub(super) fn name_of(names: &[String], class: usize) -> String {
    names.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
}

/// The class probabilities p(y|x) of one chain.
pub(super) fn probabilities(numbers: &LaneNumbers, chain: usize) -> Vec<f32> {
    let num_classes = numbers.probabilities.len() / numbers.energy.len().max(1);
    let row = numbers.probabilities.get(chain * num_classes..(chain + 1) * num_classes);
    row.unwrap_or_default().iter().map(|p| p.to_f32()).collect()
}

/// Draws the `most` largest probabilities as bars, largest first, and how they are calibrated. The bar of class `own` is
/// brighter.
pub(super) fn bars(
    ui: &mut Ui,
    model: &ModelInfo,
    probabilities: &[f32],
    most: usize,
    own: Option<u32>,
) {
    let names = &model.class_names;
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let width = ui.available_width();
    let (name_width, value_width) = ((width * 0.42).min(96.0), 40.0);
    ui.spacing_mut().item_spacing.y = 1.0;
    for &class in order.iter().take(most) {
        let share = probabilities[class];
        let (rect, response) = ui.allocate_exact_size(vec2(width, 15.0), Sense::hover());
        let text = format!("{} {}", name_of(names, class), percent(share));
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
        if !ui.is_rect_visible(rect) {
            continue;
        }
        let is_own = own == Some(class as u32);
        let font = egui::FontId::proportional(SMALL);
        let color = ui.visuals().text_color();
        let name = elided(ui, &name_of(names, class), font.clone(), name_width - 4.0, color);
        let middle = rect.center().y;
        let at = egui::pos2(rect.left(), middle - name.size().y / 2.0);
        ui.painter().galley(at, name, color);
        let span = (width - name_width - value_width).max(0.0);
        let track = Rect::from_min_size(
            egui::pos2(rect.left() + name_width, middle - 4.0),
            vec2(span, 8.0),
        );
        ui.painter().rect_filled(track, 2.0, ui.visuals().extreme_bg_color);
        let filled = fit(share, 0.0, 1.0) * span;
        let fill = match is_own {
            true => ui.visuals().strong_text_color(),
            false => ui.visuals().weak_text_color(),
        };
        let bar = Rect::from_min_size(track.min, vec2(filled, 8.0));
        ui.painter().rect_filled(bar, 2.0, fill);
        let right = egui::Align2::RIGHT_CENTER;
        ui.painter().text(egui::pos2(rect.right(), middle), right, percent(share), font, color);
    }
    if let Some(temperature) = model.temperature {
        let text = format!("calibrated after training, T = {temperature:.2}");
        ui.label(RichText::new(text).size(SMALL).weak()).on_hover_text(
            "For p(y|x) the logits are divided by T, so that the probabilities match how often the model is \
             right. T was fitted on held-out training images. Energies and chains do not use it.",
        );
    }
}

/// Shortens the name of a lane to `width`: first the sampler, so that what differs between lanes stays.
pub(super) fn elided_lane(
    ui: &Ui,
    name: &str,
    font: egui::FontId,
    width: f32,
    color: Color32,
) -> std::sync::Arc<egui::Galley> {
    const LEAST: usize = 6;
    let is_wide = |text: &str| {
        let text = ui.painter().layout_no_wrap(text.to_string(), font.clone(), color);
        text.size().x > width
    };
    let (kind, rest) = name.split_at(name.find(", ").unwrap_or(name.len()));
    let (mut kind, mut text) = (kind.to_string(), name.to_string());
    while !rest.is_empty() && kind.chars().count() > LEAST && is_wide(&text) {
        kind.pop();
        text = format!("{kind}…{rest}");
    }
    elided(ui, &text, font, width, color)
}

/// Shortens text to one line, with an ellipsis if it is wider than `width`.
pub(super) fn elided(
    ui: &Ui,
    text: &str,
    font: egui::FontId,
    width: f32,
    color: Color32,
) -> std::sync::Arc<egui::Galley> {
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_string(), font, color);
    job.wrap = egui::text::TextWrapping::truncate_at_width(width.max(0.0));
    ui.painter().layout_job(job)
}
