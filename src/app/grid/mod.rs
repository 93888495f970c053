//! The chains of all lanes as grids side by side, with a row per class and a column per chain.

mod cell_layout;

use egui::{
    Color32, FontId, Mesh, Rect, Role, ScrollArea, Sense, Shape, Stroke, StrokeKind, TextStyle,
    Tooltip, Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};

use self::cell_layout::{CellLayout, LANE_GAP};
use super::{
    atlas::Atlas,
    fit::fit,
    magnifier::{ChainDetails, elided, name_of},
    pixels::SMALL,
    size_class,
    state::{RunState, Selection},
    theme,
};
use crate::worker::{LaneNumbers, ModelInfo};

/// The approximate width of the row names.
pub(super) const NAMES: f32 = 60.0;
/// The minimum cell size in points. If cells would be smaller, the grid scrolls.
const MIN_PITCH: f32 = 14.0;
/// The minimum cell size on a small screen, which has finer pixels and should show all chains at once.
const SMALL_MIN_PITCH: f32 = 8.0;
/// Screens of at least this size have space for an enlarged chain.
const MAGNIFIED: Vec2 = vec2(440.0, 420.0);

/// An element of the grid that was clicked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    /// The cell of a chain.
    Select(Selection),
    /// The name of a row.
    OnlyClass(u32),
}

/// Draws the grids. Returns the element that was clicked.
pub(super) fn ui(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    atlases: &[Atlas],
) -> Option<Action> {
    let (record, (step, lanes)) = (run.record.as_ref()?, run.shown_images()?);
    let labels = &record.request.labels;
    let columns = labels.iter().take_while(|&label| Some(label) == labels.first()).count().max(1);
    let chains = run.shown_chains();
    let (rows, num_lanes) = (chains.len().div_ceil(columns).max(1), lanes.len().max(1));
    let numbers = run.shown_numbers().map(|(_, numbers)| numbers.as_slice());

    let whole = ui.available_rect_before_wrap();
    let ppp = ui.pixels_per_point();
    let font = FontId::proportional(SMALL);
    let color = ui.visuals().text_color();
    let width_of = |class: &u32| {
        let name = name_of(&model.class_names, *class as usize);
        ui.painter().layout_no_wrap(name, font.clone(), color).size().x
    };
    let row_labels: Vec<u32> = chains.iter().step_by(columns).map(|&chain| labels[chain]).collect();
    let names_width = row_labels.iter().map(width_of).fold(0.0, f32::max) + 8.0;
    let names_width = names_width.min(whole.width() * 0.22).min(100.0);
    let header = if num_lanes > 1 { 18.0 } else { 0.0 };
    let snap = |value: f32| (value * ppp).round() / ppp;
    let min = pos2(snap(whole.left() + names_width), snap(whole.top() + header));
    let area = Rect::from_min_max(min, whole.max.max(min));

    let [_, h, w] = model.shape;
    let is_small = size_class::is_small(ui.ctx());
    let min_pitch = if is_small { SMALL_MIN_PITCH } else { MIN_PITCH };
    let cells = CellLayout::fit([h, w], [rows, columns], num_lanes, area.size(), min_pitch, ppp);
    let total = vec2(
        cells.lane_width() * num_lanes as f32 + LANE_GAP * (num_lanes - 1) as f32,
        cells.height(),
    );
    // On a small screen, the chains are centred.
    let spare = if is_small { (area.width() - total.x).max(0.0) } else { 0.0 };
    let shift = snap(spare / 2.0);
    let whole = whole.with_min_x(whole.left() + shift);
    let area = area.with_min_x(area.left() + shift);
    let mut action = None;
    let scrolled = ui.scope_builder(UiBuilder::new().max_rect(area), |ui| {
        // The scroll bar is always visible if there is more to see, not only under the mouse.
        ui.spacing_mut().scroll = egui::style::ScrollStyle::thin();
        ScrollArea::both().id_salt("grid").auto_shrink(false).show(ui, |ui| {
            let (rect, _) = ui.allocate_exact_size(total, Sense::hover());
            let corner = pos2(snap(rect.left()), snap(rect.top()));
            for lane in 0..lanes.len() {
                let left = corner.x + lane as f32 * snap(cells.lane_width() + LANE_GAP);
                let painter = LaneGrid {
                    run,
                    model,
                    labels,
                    chains: &chains,
                    numbers: numbers.and_then(|numbers| numbers.get(lane)),
                    lane,
                    step: *step,
                };
                let clicked = painter.ui(ui, pos2(left, corner.y), &cells, atlases.get(lane));
                action = action.or(clicked);
            }
            corner
        })
    });
    let corner = scrolled.inner.inner;

    // The names stay in place while the cells scroll below them.
    for (row, &class) in row_labels.iter().enumerate() {
        let top = corner.y + row as f32 * cells.pitch;
        let rect = Rect::from_min_size(
            pos2(whole.left(), top),
            vec2(names_width - 2.0, cells.pitch - cells.frame),
        );
        let clip = Rect::from_min_max(pos2(whole.left(), area.top()), area.max);
        if row_name(ui, rect, clip, row, &name_of(&model.class_names, class as usize)) {
            action = Some(Action::OnlyClass(class));
        }
    }
    for lane in 0..lanes.len() * usize::from(num_lanes > 1) {
        let left = corner.x + lane as f32 * snap(cells.lane_width() + LANE_GAP);
        let rect = Rect::from_min_size(
            pos2(left, whole.top()),
            vec2(cells.lane_width() + LANE_GAP - 4.0, header),
        );
        let clip = Rect::from_min_max(pos2(area.left(), whole.top()), area.max);
        lane_name(ui, rect, clip, lane, &run.lane_name(lane));
    }
    action
}

/// Draws the name of a row. Returns whether it was clicked.
fn row_name(ui: &Ui, rect: Rect, clip: Rect, row: usize, name: &str) -> bool {
    let seen = rect.intersect(clip);
    if !seen.is_positive() {
        return false;
    }
    let response = ui.interact(seen, ui.scope_id().with(("row", row)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Only {name}")));
    let visuals = ui.style().interact(&response);
    let painter = ui.painter().with_clip_rect(clip.intersect(ui.clip_rect()));
    if response.hovered() || response.has_focus() {
        painter.rect_filled(rect, 2.0, visuals.weak_bg_fill);
    }
    let color = visuals.text_color();
    let font = FontId::proportional(SMALL.min(rect.height()));
    let galley = elided(ui, name, font, rect.width() - 4.0, color);
    let at = pos2(rect.right() - 4.0 - galley.size().x, rect.center().y - galley.size().y / 2.0);
    painter.galley(at, galley, color);
    let text = format!("Row {name}. Click to show this class only; again to show all.");
    response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(text).clicked()
}

/// Draws the rule above a lane, as far as it is visible.
fn lane_name(ui: &Ui, rect: Rect, clip: Rect, lane: usize, name: &str) {
    let seen = rect.intersect(clip);
    if !seen.is_positive() {
        return;
    }
    let text = format!("{}: {name}", lane + 1);
    let response = ui.interact(seen, ui.scope_id().with(("lane", lane)), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
    let color = theme::LANES[lane % theme::LANES.len()];
    let galley = elided(ui, &text, TextStyle::Body.resolve(ui.style()), seen.width(), color);
    let at = pos2(seen.left(), seen.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, color);
    response.on_hover_text(format!("Lane {text}"));
}

/// Draws the outline of a cell under the mouse, or, thicker, of the selected cell. It consists of two lines, so
/// that one of them stands out from any image and any frame.
fn outline(ui: &Ui, frame: Rect, is_selected: bool, shapes: &mut Vec<Shape>) {
    let width = if is_selected { 2.0 } else { 1.0 };
    let contrast = Stroke::new(width, ui.visuals().strong_text_color());
    let ground = Stroke::new(1.0, ui.visuals().panel_fill);
    shapes.push(Shape::rect_stroke(frame, 0.0, ground, StrokeKind::Outside));
    shapes.push(Shape::rect_stroke(frame.expand(1.0), 0.0, contrast, StrokeKind::Outside));
}

/// The grid of one lane.
struct LaneGrid<'a> {
    run: &'a RunState,
    model: &'a ModelInfo,
    labels: &'a [u32],
    /// The chains of the rows that are shown.
    chains: &'a [usize],
    numbers: Option<&'a LaneNumbers>,
    lane: usize,
    step: u64,
}

impl LaneGrid<'_> {
    fn ui(
        &self,
        ui: &Ui,
        corner: egui::Pos2,
        cells: &CellLayout,
        atlas: Option<&Atlas>,
    ) -> Option<Action> {
        let texture = atlas?.cell(0)?.0;
        let (mut frames, mut images) = (Mesh::default(), Mesh::with_texture(texture));
        let mut above = Vec::new();
        let screen = ui.ctx().content_rect().size();
        let can_magnify = screen.x >= MAGNIFIED.x && screen.y >= MAGNIFIED.y;
        let mut action = None;
        for (place, &chain) in self.chains.iter().enumerate() {
            let (frame, image) = cells.rects(corner, place);
            if !ui.is_rect_visible(frame) {
                continue;
            }
            let Some((_, uv)) = atlas?.cell(chain) else { continue };
            frames.add_colored_rect(frame, self.frame_color(ui, chain));
            images.add_rect_with_uv(image, uv, Color32::WHITE);
            if self.is_broken(chain) {
                let stroke = Stroke::new(fit(image.width() / 16.0, 1.0, 3.0), theme::BROKEN);
                above.push(Shape::line_segment([image.left_top(), image.right_bottom()], stroke));
                above.push(Shape::line_segment([image.right_top(), image.left_bottom()], stroke));
            }
            let selection = Selection { lane: self.lane, chain };
            let is_selected = self.run.selected == Some(selection);
            let id = ui.scope_id().with(("cell", self.lane, chain));
            // Only one cell can take the keyboard focus, because a hundred tab stops would make the controls
            // hard to reach.
            let takes_focus = match self.run.selected {
                Some(selected) => selected == selection,
                None => self.lane == 0 && place == 0,
            };
            let takes_focus = takes_focus || ui.memory(|memory| memory.has_focus(id));
            let sense = if takes_focus { Sense::click() } else { Sense::CLICK };
            let response = ui.interact(frame, id, sense);
            response.widget_info(|| {
                let label = format!("{}, lane {}", self.title(chain, cells.columns), self.lane + 1);
                WidgetInfo::selected(Role::Button, true, is_selected, label)
            });
            if response.clicked() {
                action = Some(Action::Select(selection));
            }
            if response.has_focus() {
                action = action.or(self.move_by_arrows(ui, id, place, cells.columns));
            }
            if is_selected || response.has_focus() || response.hovered() {
                outline(ui, frame, is_selected, &mut above);
            }
            if response.hovered() && can_magnify && !is_selected {
                let shown = self.chain(chain, cells.columns);
                let tooltip = Tooltip::for_widget(&response).gap(8.0).width(400.0);
                tooltip.show(|ui| shown.ui(ui, Some((texture, uv))));
            }
        }
        ui.painter().add(Shape::mesh(frames));
        ui.painter().add(Shape::mesh(images));
        // The outline of a cell at the edge reaches outside it.
        let mut painter = ui.painter().clone();
        painter.set_clip_rect(ui.clip_rect().expand(3.0));
        painter.extend(above);
        action
    }

    /// Moves the selection with the arrow keys while it has the focus.
    fn move_by_arrows(
        &self,
        ui: &Ui,
        id: egui::Id,
        place: usize,
        columns: usize,
    ) -> Option<Action> {
        let arrows = egui::EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..egui::EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, arrows));
        // Consumed, because the next cell gets the focus in the same frame and would move it again.
        let pressed = |key| ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, key));
        let count = self.chains.len();
        let next = if pressed(egui::Key::ArrowRight) && place + 1 < count {
            place + 1
        } else if pressed(egui::Key::ArrowLeft) && place > 0 {
            place - 1
        } else if pressed(egui::Key::ArrowDown) && place + columns < count {
            place + columns
        } else if pressed(egui::Key::ArrowUp) && place >= columns {
            place - columns
        } else {
            return None;
        };
        let next = self.chains[next];
        let id = ui.scope_id().with(("cell", self.lane, next));
        ui.memory_mut(|memory| memory.request_focus(id));
        Some(Action::Select(Selection { lane: self.lane, chain: next }))
    }

    fn is_broken(&self, chain: usize) -> bool {
        self.numbers.is_some_and(|n| chain < n.energy.len() && n.is_broken(chain))
    }

    /// The colour of a frame: it shows whether the model predicts the row's class, and is brighter with more
    /// confidence.
    fn frame_color(&self, ui: &Ui, chain: usize) -> Color32 {
        if self.is_broken(chain) {
            return theme::BROKEN;
        }
        match self.numbers.and_then(|numbers| numbers.prediction(chain)) {
            Some((class, probability)) => {
                let is_own = self.labels.get(chain) == Some(&(class as u32));
                let color = if is_own { theme::AGREES } else { theme::DIFFERS };
                color.gamma_multiply(fit(probability, 0.08, 1.0))
            }
            None => ui.visuals().faint_bg_color,
        }
    }

    fn title(&self, chain: usize, columns: usize) -> String {
        let class = self.labels.get(chain).copied().unwrap_or(0) as usize;
        format!("{}, chain {}", name_of(&self.model.class_names, class), chain % columns + 1)
    }

    fn chain(&self, chain: usize, columns: usize) -> ChainDetails<'_> {
        ChainDetails {
            model: self.model,
            numbers: self.numbers,
            chain,
            label: self.labels.get(chain).copied().unwrap_or(0),
            title: self.title(chain, columns),
            lane_name: format!("lane {}: {}", self.lane + 1, self.run.lane_name(self.lane)),
            step: self.step,
        }
    }
}
