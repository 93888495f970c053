//! The names of the grid's rows, with the number of chains that show the row's class.

use std::sync::Arc;

use egui::{FontId, Galley, Rect, Role, Sense, Ui, WidgetInfo, pos2};

use super::{
    super::{magnifier::elided, pixels::SMALL},
    shows_own_class,
};
use crate::worker::LaneNumbers;

/// The name of a row, which shows only that class when it is clicked.
pub(super) struct RowName {
    /// The lane and the row.
    pub(super) id: (usize, usize),
    pub(super) name: String,
    /// How many of its chains show the class.
    pub(super) counts: Counts,
}

impl RowName {
    /// Draws the name. Returns whether it was clicked.
    pub(super) fn ui(&self, ui: &Ui, rect: Rect, clip: Rect) -> bool {
        let seen = rect.intersect(clip);
        if !seen.is_positive() {
            return false;
        }
        let name = &self.name;
        let response = ui.interact(seen, ui.scope_id().with(("row", self.id)), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Only {name}")));
        let visuals = ui.style().interact(&response);
        let painter = ui.painter().with_clip_rect(clip.intersect(ui.clip_rect()));
        if response.hovered() || response.has_focus() {
            painter.rect_filled(rect, 2.0, visuals.weak_bg_fill);
        }
        let font = FontId::proportional(SMALL.min(rect.height()));
        let width = rect.width() - 4.0;
        let mut lines = vec![elided(ui, name, font.clone(), width, visuals.text_color())];
        if rect.height() >= 2.0 * SMALL + 6.0 {
            lines.extend(self.counts.line(ui, &font, width));
        }
        let height: f32 = lines.iter().map(|line| line.size().y).sum();
        let mut y = rect.center().y - height / 2.0;
        for line in lines {
            let size = line.size();
            painter.galley(pos2(rect.right() - 4.0 - size.x, y), line, visuals.text_color());
            y += size.y;
        }
        let text = format!(
            "Row {name}: {}. Click to show this class only; again to show all.",
            match self.counts.of_lanes.is_empty() {
                true => "no step yet".into(),
                false => format!("the model sees this class in {}", self.counts.long()),
            }
        );
        response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(text).clicked()
    }
}

/// How many chains of a row show the row's class, in each lane. No lanes before there are numbers.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) of_lanes: Vec<usize>,
    pub(super) num_chains: usize,
}

impl Counts {
    pub(super) fn of(lanes: &[LaneNumbers], labels: &[u32], chains: &[usize]) -> Self {
        let of_lane = |numbers: &LaneNumbers| {
            let agrees = |&&chain: &&usize| shows_own_class(numbers, labels, chain);
            chains.iter().filter(agrees).count()
        };
        Self { of_lanes: lanes.iter().map(of_lane).collect(), num_chains: chains.len() }
    }

    /// As in `9 of 10`, or `9 | 8` for two lanes. Empty without lanes.
    fn long(&self) -> String {
        match self.of_lanes[..] {
            [count] => format!("{count} of {}", self.num_chains),
            _ => self.joined(" | "),
        }
    }

    /// As in `9/10`, or `9|8` for two lanes.
    pub(super) fn short(&self) -> String {
        match self.of_lanes[..] {
            [count] => format!("{count}/{}", self.num_chains),
            _ => self.joined("|"),
        }
    }

    fn joined(&self, between: &str) -> String {
        self.of_lanes.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
    }

    /// The longest form that is not wider than `width`, as one line; none if all are wider.
    fn line(&self, ui: &Ui, font: &FontId, width: f32) -> Option<Arc<Galley>> {
        let forms = [format!("✔ {}", self.long()), self.long(), self.short()];
        let color = ui.visuals().text_color();
        let lines = forms.map(|form| ui.painter().layout_no_wrap(form, font.clone(), color));
        lines.into_iter().find(|line| !self.of_lanes.is_empty() && line.size().x <= width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_at_any_width_or_not_there() {
        let counts = |of_lanes: &[usize]| Counts { of_lanes: of_lanes.to_vec(), num_chains: 10 };
        let context = egui::Context::default();
        let run = |body: &mut dyn FnMut(&mut Ui)| {
            let _ = context.run_ui(egui::RawInput::default(), |ui| body(ui));
        };
        run(&mut |ui| {
            let font = FontId::proportional(SMALL);
            let shown = |counts: &Counts, width: f32| {
                counts.line(ui, &font, width).map(|line| (line.text().to_string(), line.size().x))
            };
            for counts in [counts(&[9]), counts(&[9, 10, 8])] {
                for width in 0..100 {
                    let Some((text, size)) = shown(&counts, width as f32) else { continue };
                    assert!(size <= width as f32, "{text}");
                    let forms = [format!("✔ {}", counts.long()), counts.long(), counts.short()];
                    assert!(forms.contains(&text), "{text}");
                }
                assert_eq!(shown(&counts, 5.0), None);
                assert!(shown(&counts, 100.0).unwrap().0.starts_with('✔'));
            }
            assert_eq!(shown(&counts(&[]), 100.0), None, "before the first step");
            let narrow = shown(&counts(&[9]), 26.0).unwrap();
            assert_eq!(narrow.0, "9/10");
        });
    }
}
