//! Bars above a plane: the share of the chains in each valley, beside its probability.

use egui::{Align2, Color32, FontId, Rect, Sense, Ui, WidgetInfo, vec2};

use crate::app::{
    pixels::SMALL,
    state::{LabRecord, LaneRecord, shares},
    theme,
};

/// The height of a bar, and of a bar with its text.
const BAR: f32 = 6.0;
const HEIGHT: f32 = BAR + SMALL + 6.0;
/// Below this height, there is no space for the bars.
const LOW: f32 = 160.0;
/// Below this width, a text has no space for whole words.
const NARROW: f32 = 132.0;

/// Draws a bar for every valley, if there are several. A mark on it shows its probability.
pub(super) fn ui(ui: &mut Ui, record: &LabRecord, lane: &LaneRecord, nth: usize) {
    let (Some(surface), Some(now)) = (&record.surface, &lane.now) else { return };
    let count = record.valleys.len();
    // The lowest window needs the space for the plane.
    if count == 0 || ui.available_height() < LOW {
        return;
    }
    let shares = shares(surface, &now.x);
    let gap = ui.spacing().item_spacing.x;
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    let width = (row.width() - gap * (count - 1) as f32) / count as f32;
    for (index, valley) in record.valleys.iter().enumerate() {
        let left = row.left() + index as f32 * (width + gap);
        let place = Rect::from_min_size(egui::pos2(left, row.top()), vec2(width, HEIGHT));
        let percent = |share: f64| 100.0 * share;
        let share = shares.get(valley.class).copied().unwrap_or(0.0);
        let exact = lane.masses.get(valley.class).copied();
        let name = valley.name;
        let text = match exact {
            Some(exact) if width >= NARROW => {
                format!("{name} {:.0} %, should be {:.0}", percent(share), percent(exact))
            }
            Some(exact) => format!("{name} {:.0} / {:.0} %", percent(share), percent(exact)),
            None => format!("{name} {:.0} %", percent(share)),
        };
        let response =
            ui.interact(place, ui.scope_id().with(("valley", nth, index)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, &text));
        let painter = ui.painter_at(place);
        let color = ui.visuals().strong_text_color();
        let font = FontId::proportional(SMALL);
        painter.text(place.left_top(), Align2::LEFT_TOP, &text, font, color);
        let bar = place.with_min_y(place.bottom() - BAR - 2.0).with_max_y(place.bottom() - 2.0);
        painter.rect_filled(bar, 2.0, Color32::from_gray(128).gamma_multiply(0.35));
        let filled = bar.with_max_x(bar.left() + share as f32 * bar.width());
        painter.rect_filled(filled, 2.0, theme::LANES[nth % theme::LANES.len()]);
        if let Some(exact) = exact {
            let x = bar.left() + exact as f32 * bar.width();
            painter.vline(x, bar.expand(2.0).y_range(), (2.0, color));
        }
        response.on_hover_text(
            "The share of all chains in this valley. The mark shows the probability of the valley: the share that draws \
             from the density would have.",
        );
    }
}
