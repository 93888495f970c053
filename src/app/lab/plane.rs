//! The plane: the energy, the chains, their trails, and the gradient as arrows.

use egui::{
    Align2, Color32, FontId, Painter, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui, Vec2,
    pos2, vec2,
};

use super::{
    arrows,
    dots::Dots,
    heat::{HeatMap, HeatStyle},
    legend,
    notes::{self, Note},
    on_screen::PlaneOnScreen,
    tool::PointerAction,
    trails::Trails,
};
use crate::{
    app::{
        pixels::{SMALL, WHOLE, number},
        points, size_class,
        state::{LabRecord, LaneRecord},
        theme,
    },
    config::{LabConfig, LabTarget, LaneConfig, ViewStart},
    diagnostics::cells::{self, EXTENT},
};

/// The height of the marginal above the plane, and the width of the one beside it.
const MARGINAL: f32 = 44.0;
/// A click within this distance of a chain selects it, in screen points.
const REACH: f32 = 14.0;
/// In less height than this, there is no space for a legend.
const LOW: f32 = 260.0;
/// The notes of a plane smaller than this are beside it, where at least this width is free.
const LARGE: f32 = 240.0;
const BESIDE: f32 = 110.0;
/// Where notes on the plane begin below its upper edge, without and with the caption of the arrows above them.
const NOTES: [f32; 2] = [4.0, 24.0];

/// The state of one plane, kept between frames.
#[derive(Default)]
pub(super) struct PlaneView {
    heat: HeatMap,
    trails: Trails,
    dots: Dots,
    /// The width and the height of the legend, if there was one. At the same width it gets no lower, so that the plane stays
    /// where it is while entries come and go.
    legend: Option<[f32; 2]>,
}

/// One plane, with its marginals.
pub(super) struct Plane<'a> {
    pub record: &'a LabRecord,
    pub config: &'a LabConfig,
    pub rule: &'a LaneConfig,
    pub lane: usize,
    /// What is said about the chains on the plane.
    pub notes: &'a [Note],
    /// Whether a press uses a tool, in place of selecting a chain.
    pub is_tool: bool,
}

impl Plane<'_> {
    /// Draws the plane and its marginals into all the remaining space.
    pub(super) fn show(&self, ui: &mut Ui, view: &mut PlaneView) -> Option<PointerAction> {
        let room = ui.available_size();
        let has_legend = room.y >= LOW;
        let below = match has_legend {
            true => {
                let height = view.legend.map_or(legend::HEIGHT, |[_, height]| height);
                height + ui.spacing().item_spacing.y
            }
            false => 0.0,
        };
        let side = (room - vec2(MARGINAL, MARGINAL + below)).min_elem().max(80.0);
        let size = vec2(room.x.max(side + MARGINAL), side + MARGINAL);
        // On a small screen, a drag scrolls the page, unless it paints.
        let sense = match size_class::is_small(ui.ctx()) && !self.is_tool {
            true => Sense::click(),
            false => Sense::click_and_drag(),
        };
        let (whole, response) = ui.allocate_exact_size(size, sense);
        let corner = pos2(whole.center().x - 0.5 * (side + MARGINAL), whole.top());
        let all = Rect::from_min_size(corner, Vec2::splat(side + MARGINAL));
        let rect = Rect::from_min_size(all.left_top() + vec2(0.0, MARGINAL), Vec2::splat(side));
        let place = PlaneOnScreen { rect };
        response.widget_info(|| {
            let text = format!("Energy and chains of lane {}", self.lane + 1);
            egui::WidgetInfo::labeled(egui::Role::Button, true, text)
        });
        if has_legend {
            let below = whole.bottom() + ui.spacing().item_spacing.y;
            let height = legend::ui(ui, all.x_range(), below, &self.legend());
            let before = view.legend.filter(|[width, _]| *width == all.width());
            view.legend =
                Some([all.width(), before.map_or(height, |before| height.max(before[1]))]);
        }
        let painter = ui.painter_at(all);
        self.ground(ui, &painter, place, view);
        let lane = self.record.lanes.get(self.lane)?;
        self.marginals(ui, &painter, place, lane);
        let inside = painter.with_clip_rect(rect);
        self.learned_from(&inside, place);
        if let Some(now) = &lane.now {
            if self.config.trails {
                let texture = view.trails.update(
                    ui.ctx(),
                    (self.record.num_starts, self.record.step),
                    &now.x,
                );
                inside.image(texture, rect, WHOLE, Color32::WHITE);
            } else {
                // Otherwise later moves would begin at the chains' current positions.
                view.trails = Trails::default();
            }
            self.chains(&inside, place, lane, &now.x, &mut view.dots);
            if let Some(at) =
                self.record.tracked.and_then(|chain| now.x.get(2 * chain..2 * chain + 2))
            {
                let ring = Stroke::new(2.0, Color32::WHITE);
                inside.circle_stroke(place.to_screen([at[0], at[1]]), 7.0, ring);
            }
        }
        if self.config.arrows {
            arrows::field(&inside, place, self.record, self.rule);
        }
        if let Some(step) = lane.now.as_ref().and_then(|now| now.tracked)
            && self.record.tracked == Some(step.chain)
        {
            arrows::step(&inside, place, self.record, &step);
        }
        // On a small plane, notes would hide the chains.
        let beside = Rect::from_min_max(pos2(whole.left(), rect.top()), rect.left_bottom());
        let fits_beside = side < LARGE && beside.width() >= BESIDE;
        self.notes(ui, if fits_beside { beside } else { rect }, lane, view.heat.scale);
        self.hover(ui, &response, place);
        self.touch(&response, place, lane)
    }

    fn ground(&self, ui: &Ui, painter: &Painter, place: PlaneOnScreen, view: &mut PlaneView) {
        let rect = place.rect;
        let Some(surface) = &self.record.surface else {
            painter.rect_filled(rect, 0.0, ui.visuals().extreme_bg_color);
            return;
        };
        let style = HeatStyle {
            contours: self.config.contours,
            decisions: self.config.decisions,
            is_network: matches!(self.config.target, LabTarget::Model | LabTarget::Learned),
        };
        let texture = view.heat.texture(
            ui.ctx(),
            self.record.num_surfaces,
            &surface.energy,
            &surface.classes,
            style,
        );
        painter.image(texture, rect, WHOLE, Color32::WHITE);
        let corners = [place.to_screen([-1.0, 1.0]), place.to_screen([1.0, -1.0])];
        let the_box = Rect::from_two_pos(corners[0], corners[1]);
        let stroke = Stroke::new(1.0, Color32::from_white_alpha(90));
        painter.rect_stroke(the_box, 0.0, stroke, StrokeKind::Middle);
    }

    /// What the colours and the bars around the plane mean.
    fn legend(&self) -> legend::Legend {
        let lane = self.record.lanes.get(self.lane);
        legend::Legend {
            lane: self.lane,
            has_classes: self.has_classes(),
            shows_classes: self.config.decisions,
            exact: lane.is_some_and(|lane| lane.exact().is_some()).then_some(self.config.reference),
        }
    }

    /// Whether the chains have classes, which their colours show.
    fn has_classes(&self) -> bool {
        matches!(self.rule.start, ViewStart::ClassCenters | ViewStart::Data | ViewStart::Buffer)
            && self.record.surface.as_ref().is_some_and(|surface| surface.num_classes > 1)
    }

    /// Draws what is said about the chains, which energies the colours cover, and how many chains are drawn.
    fn notes(&self, ui: &Ui, rect: Rect, lane: &LaneRecord, [low, high, apart]: [f32; 3]) {
        let energies = match self.config.contours {
            true => format!(
                "colours: energy {} to {}, lines {} apart",
                number(low),
                number(high),
                apart
            ),
            false => format!("colours: energy {} to {}", number(low), number(high)),
        };
        let num_chains = lane.now.as_ref().map_or(0, |now| now.x.len() / 2);
        let up: Vec<Note> = std::iter::once(energies)
            .chain(points::sample_text(num_chains))
            .map(Note::plain)
            .collect();
        let top = NOTES[usize::from(self.config.arrows)];
        notes::ui(ui, rect, self.lane, top, self.notes, &up);
    }

    /// Draws histograms of the chains beside the exact density, along both axes.
    fn marginals(&self, ui: &Ui, painter: &Painter, place: PlaneOnScreen, lane: &LaneRecord) {
        let Some(now) = &lane.now else { return };
        let strong = ui.visuals().strong_text_color();
        let fill = theme::LANES[self.lane % theme::LANES.len()].gamma_multiply(0.75);
        for axis in 0..2 {
            let [top, right] = [place.rect.top(), place.rect.right()];
            let strip = match axis {
                0 => Rect::from_x_y_ranges(place.rect.x_range(), top - MARGINAL..=top),
                _ => Rect::from_x_y_ranges(right..=right + MARGINAL, place.rect.y_range()),
            };
            let painter = painter.with_clip_rect(strip);
            let shares = cells::marginal_of_points(&now.x, axis);
            let exact = lane.exact().map(|exact| exact.marginal(axis));
            let exact_top = exact.iter().flatten().copied().fold(0.0, f64::max);
            // The scale fits the highest bar, because lesson 2 compares the bars.
            let most = shares.iter().copied().fold(1e-9, f64::max);
            let top = most.max(1.6 * exact_top);
            let height = |share: f64| (share / top).min(1.0) as f32 * (MARGINAL - 4.0);
            let at = |cell: f32, share: f64| match axis {
                0 => {
                    let x = place.rect.left() + cell / cells::NUM_CELLS as f32 * place.rect.width();
                    pos2(x, place.rect.top() - 2.0 - height(share))
                }
                _ => {
                    let share_of_side = cell / cells::NUM_CELLS as f32;
                    let y = place.rect.bottom() - share_of_side * place.rect.height();
                    pos2(place.rect.right() + 2.0 + height(share), y)
                }
            };
            for (cell, &share) in shares.iter().enumerate() {
                let (from, to) = (at(cell as f32, 0.0), at(cell as f32 + 0.9, share));
                painter.rect_filled(Rect::from_two_pos(from, to), 0.0, fill);
            }
            if let Some(exact) = exact {
                let curve = exact.iter().enumerate();
                let curve = curve.map(|(cell, &mass)| at(cell as f32 + 0.5, mass)).collect();
                painter.add(Shape::line(curve, Stroke::new(1.5, strong)));
            }
        }
        let beside = [
            (place.rect.left_top() + vec2(2.0, 1.0 - MARGINAL), "chains along x₀"),
            (place.rect.right_top() + vec2(6.0, 1.0), "x₁"),
        ];
        for (at, name) in beside {
            let color = ui.visuals().text_color();
            painter.text(at, Align2::LEFT_TOP, name, FontId::proportional(SMALL), color);
        }
    }

    /// Draws the data and the replay buffer during training.
    fn learned_from(&self, painter: &Painter, place: PlaneOnScreen) {
        if self.config.target != LabTarget::Learned {
            return;
        }
        let (points, labels) = &self.record.data;
        for (point, &label) in points.chunks_exact(2).zip(labels) {
            let color = theme::CLASSES[label as usize % theme::CLASSES.len()];
            let at = place.to_screen([point[0], point[1]]);
            painter.circle_filled(at, 1.6, color.gamma_multiply(0.8));
        }
        let dark = Color32::from_black_alpha(190);
        for point in self.record.learning.buffer.chunks_exact(2) {
            let at = place.to_screen([point[0], point[1]]);
            let arm = vec2(1.8, 1.8);
            let other = vec2(1.8, -1.8);
            painter.line_segment([at - arm, at + arm], (1.0, dark));
            painter.line_segment([at - other, at + other], (1.0, dark));
        }
    }

    /// Draws the chains, or an even sample of many. The tracked chain is always among them.
    fn chains(
        &self,
        painter: &Painter,
        place: PlaneOnScreen,
        lane: &LaneRecord,
        x: &[f32],
        dots: &mut Dots,
    ) {
        let has_classes = self.has_classes();
        let color = |chain: usize| match (has_classes, lane.labels.get(chain)) {
            (true, Some(&label)) => theme::CLASSES[label as usize % theme::CLASSES.len()],
            _ => Color32::WHITE,
        };
        let num_chains = x.len() / 2;
        let places = points::drawn(num_chains, self.record.tracked).filter_map(|chain| {
            let point = [x[2 * chain], x[2 * chain + 1]];
            let is_in = point.iter().all(|value| value.abs() <= EXTENT);
            is_in.then(|| (place.to_screen(point), color(chain)))
        });
        dots.show(painter, points::look(num_chains), places);
    }

    fn hover(&self, ui: &Ui, response: &Response, place: PlaneOnScreen) {
        let Some(at) = response.hover_pos().filter(|at| place.rect.contains(*at)) else { return };
        let point = place.of_screen(at);
        let Some(energy) = self.record.energy_at(point) else { return };
        let text = format!("({:.2}, {:.2})  E = {}", point[0], point[1], number(energy));
        let painter = ui.painter();
        let font = FontId::proportional(SMALL);
        let galley = painter.layout_no_wrap(text, font, Color32::WHITE);
        let corner = place.rect.right_top() + vec2(-galley.size().x - 6.0, 4.0);
        let back = Rect::from_min_size(corner, galley.size()).expand(2.0);
        painter.rect_filled(back, 2.0, Color32::from_black_alpha(150));
        painter.galley(corner, galley, Color32::WHITE);
    }

    fn touch(
        &self,
        response: &Response,
        place: PlaneOnScreen,
        lane: &LaneRecord,
    ) -> Option<PointerAction> {
        let at = response.interact_pointer_pos().filter(|at| place.rect.contains(*at))?;
        if self.is_tool {
            let is_pressed = response.is_pointer_button_down_on() || response.clicked();
            return is_pressed.then(|| PointerAction::Press(place.of_screen(at)));
        }
        if !response.clicked() {
            return None;
        }
        let x = &lane.now.as_ref()?.x;
        let drawn = points::drawn(x.len() / 2, self.record.tracked);
        let distances = drawn.map(|chain| {
            let point = [x[2 * chain], x[2 * chain + 1]];
            (chain, place.to_screen(point).distance(at))
        });
        let near = distances.filter(|(_, distance)| *distance < REACH);
        let nearest = near.min_by(|a, b| a.1.total_cmp(&b.1)).map(|near| near.0);
        Some(PointerAction::Choose(nearest.filter(|&chain| self.record.tracked != Some(chain))))
    }
}
