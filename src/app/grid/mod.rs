//! The chains of all lanes as grids, with a row or a block of rows for each class.

mod cell_layout;
mod row_name;

use egui::{
    Color32, FontId, Label, Mesh, Rect, RichText, Role, ScrollArea, Sense, Shape, Stroke,
    StrokeKind, TextStyle, Tooltip, Ui, UiBuilder, Vec2, WidgetInfo, pos2, style::ScrollStyle,
    vec2,
};

use self::{
    cell_layout::{CellLayout, Contents, HEADER},
    row_name::{Counts, RowName},
};
use super::{
    atlas::Atlas,
    contrast,
    fit::fit,
    magnifier::{ChainDetails, elided_lane, name_of},
    pixels::SMALL,
    size_class,
    state::{RunState, Selection},
    theme,
};
use crate::{
    counts::grouped,
    worker::{LaneNumbers, ModelInfo},
};

/// The approximate width of the row names.
pub(super) const NAMES: f32 = 60.0;
/// The minimum cell size in points. If cells would be smaller, the grid scrolls.
pub(super) const MIN_PITCH: f32 = 14.0;
/// The minimum cell size in a small window, which has no magnifier: a garment can still be recognized.
pub(super) const SMALL_MIN_PITCH: f32 = 25.0;
/// The minimum cell size in a picture and in a frame of another page, where all chains should be seen without scrolling.
pub(super) const BARE_MIN_PITCH: f32 = 8.0;
/// In a narrow window, the cells may be smaller by this factor.
const NARROW: f32 = 0.8;
/// The width beside the cells of a grid that scrolls, beyond [`NAMES`]: the bar, and space for longer names.
pub(super) const BESIDE_SCROLLED: f32 = 24.0;
/// The height of the line that says how many chains a grid that scrolls shows.
const NOTE: f32 = 16.0;
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

/// Draws the grids with cells of at least `min_pitch`. If these do not fit, the grid scrolls and says how many it shows. Returns
/// the element that was clicked.
pub(super) fn ui(
    ui: &mut Ui,
    run: &RunState,
    model: &ModelInfo,
    atlases: &[Atlas],
    min_pitch: f32,
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
    let row_labels: Vec<u32> = chains.iter().step_by(columns).map(|&chain| labels[chain]).collect();
    let all_numbers = numbers.unwrap_or_default();
    let counts: Vec<Counts> =
        chains.chunks(columns).map(|row| Counts::of(all_numbers, labels, row)).collect();
    let width_of = |text: String| ui.painter().layout_no_wrap(text, font.clone(), color).size().x;
    let names = row_labels.iter().map(|&class| name_of(&model.class_names, class as usize));
    // Short names leave room for the counts too, which the first step brings.
    let most = Counts { of_lanes: vec![columns; num_lanes], num_chains: columns };
    let names_width = names.chain([most.short()]).map(width_of).fold(0.0, f32::max) + 8.0;
    let names_width = names_width.min(whole.width() * 0.22).min(100.0);
    let snap = |value: f32| (value * ppp).round() / ppp;
    let min = pos2(snap(whole.left() + names_width), snap(whole.top()));
    let mut area = Rect::from_min_max(min, whole.max.max(min));

    let [_, h, w] = model.shape;
    let is_small = size_class::is_small(ui.ctx());
    let contents = Contents { image: [h, w], classes: rows, per_class: columns, lanes: num_lanes };
    let bar = ScrollStyle::thin().allocated_width();
    let min_pitch = match is_small {
        // Somewhat smaller cells are better than a grid that also scrolls sideways.
        true => fit((area.width() - bar) / columns.max(1) as f32, NARROW * min_pitch, min_pitch),
        false => min_pitch,
    };
    let mut cells = CellLayout::fit(contents, area.size(), min_pitch, ppp);
    let scrolls = !cells.fits(area.size());
    let has_note = scrolls && area.height() >= 2.0 * min_pitch + NOTE;
    let bars = if scrolls { Vec2::splat(bar) } else { Vec2::ZERO };
    if scrolls {
        area.max.y -= if has_note { NOTE } else { 0.0 };
        cells = CellLayout::fit(contents, area.size() - bars, min_pitch, ppp);
    }
    let total = cells.total();
    // Names and cells are centred together.
    let spare = (area.size() - total - bars).max(Vec2::ZERO);
    let shift =
        vec2(snap(spare.x / 2.0), if is_small { 0.0 } else { snap(spare.y.min(12.0) / 2.0) });
    let (whole, mut area) = (
        Rect::from_min_max(whole.min + shift, whole.max),
        Rect::from_min_max(area.min + shift, area.max),
    );
    if scrolls {
        // The bars are next to the cells.
        area.max = area.max.min(area.min + total + bars);
    }
    let mut action = None;
    let scrolled = ui.scope_builder(UiBuilder::new().max_rect(area), |ui| {
        // The scroll bar is always visible if there is more to see, not only under the mouse.
        ui.spacing_mut().scroll = ScrollStyle::thin();
        let scroll = ScrollArea::both().id_salt("grid").auto_shrink(false).animated(false);
        scroll.show(ui, |ui| {
            let (rect, _) = ui.allocate_exact_size(total, Sense::hover());
            let corner = pos2(snap(rect.left()), snap(rect.top()));
            for lane in 0..lanes.len() {
                let painter = LaneGrid {
                    run,
                    model,
                    labels,
                    chains: &chains,
                    numbers: numbers.and_then(|numbers| numbers.get(lane)),
                    lane,
                    per_class: columns,
                    step: *step,
                    is_clipped: lanes.get(lane).is_some_and(|l| l.proximal_radius.is_some()),
                };
                let at = corner + cells.lane_at(lane, ppp);
                action = action.or(painter.ui(ui, at, &cells, atlases.get(lane)));
            }
            // A chain that was selected with the keys, or whose panel takes a part of the space, comes into view.
            if let Some(selected) = newly_selected(ui, run.selected, area.size())
                && let Some(place) = chains.iter().position(|&chain| chain == selected.chain)
            {
                let at = corner + cells.lane_at(selected.lane, ppp);
                // Without the edges, which may lie a fraction of a point outside a grid that does not scroll.
                let mut cell = cells.rects(at, place).0.shrink(1.0);
                // The names of lanes lie over the upper edge.
                cell.min.y -= if num_lanes > 1 { HEADER } else { 0.0 };
                ui.scroll_to_rect(cell, None);
            }
            corner
        })
    });
    let corner = scrolled.inner.inner;

    // The names stay in place while the cells scroll below them. Lanes side by side share them.
    for lane in 0..if cells.is_stacked { num_lanes } else { 1 } {
        let top = corner.y + cells.lane_at(lane, ppp).y;
        for (row, &class) in row_labels.iter().enumerate() {
            let [from, height] = cells.class_rows(row);
            let rect = Rect::from_min_size(
                pos2(whole.left(), top + from),
                vec2(names_width - 2.0, height - cells.frame),
            );
            let clip = Rect::from_min_max(pos2(whole.left(), area.top()), area.max);
            let name = RowName {
                id: (lane, row),
                name: name_of(&model.class_names, class as usize),
                counts: match cells.is_stacked {
                    false => counts[row].clone(),
                    true => {
                        let of_lane = all_numbers.get(lane..=lane).unwrap_or_default();
                        let row = row * columns..((row + 1) * columns).min(chains.len());
                        Counts::of(of_lane, labels, &chains[row])
                    }
                },
            };
            if name.ui(ui, rect, clip) {
                action = Some(Action::OnlyClass(class));
            }
        }
    }
    for lane in 0..lanes.len() * usize::from(num_lanes > 1) {
        let at = corner + cells.lane_at(lane, ppp);
        // The names of lanes side by side stay in place too.
        let top = if cells.is_stacked { at.y - HEADER } else { area.top() };
        let rect = Rect::from_min_size(pos2(at.x, top), vec2(cells.lane_width() + 8.0, HEADER));
        lane_name(ui, rect, area, lane, &run.lane_name(lane));
    }
    if has_note {
        let seen = scrolled.inner.inner_rect.expand(1.0);
        let is_seen = |lane: usize, place: usize| {
            seen.contains_rect(cells.rects(corner + cells.lane_at(lane, ppp), place).0)
        };
        let num_seen: usize = (0..lanes.len())
            .map(|lane| (0..chains.len()).filter(|&place| is_seen(lane, place)).count())
            .sum();
        let (num_seen, count) = (grouped(num_seen), grouped(chains.len() * lanes.len()));
        let text = format!("{num_seen} of {count} chains shown: scroll for more");
        let below = area.bottom()..=area.bottom() + NOTE;
        let line = Rect::from_x_y_ranges(whole.x_range(), below);
        ui.put(line, Label::new(RichText::new(text).size(SMALL)).truncate());
    }
    action
}

/// The selected chain, if in the last frame another one or none was selected, or the chains had more space.
fn newly_selected(ui: &Ui, selected: Option<Selection>, space: Vec2) -> Option<Selection> {
    let id = ui.scope_id().with("selected");
    let before = ui.ctx().data_mut(|data| {
        let before = data.get_temp::<(Option<Selection>, Vec2)>(id);
        data.insert_temp(id, (selected, space));
        before
    });
    let is_new =
        before.is_none_or(|(before, had)| before != selected || space.x < had.x || space.y < had.y);
    selected.filter(|_| is_new)
}

/// Whether the model predicts the class of the row for a chain that has not exploded.
pub(super) fn shows_own_class(numbers: &LaneNumbers, labels: &[u32], chain: usize) -> bool {
    chain < numbers.energy.len()
        && !numbers.is_broken(chain)
        && numbers.prediction(chain).map(|(class, _)| class as u32) == labels.get(chain).copied()
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
    let color = contrast::readable(ui, theme::LANES[lane % theme::LANES.len()]);
    let galley = elided_lane(ui, &text, TextStyle::Body.resolve(ui.style()), seen.width(), color);
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

fn frame_color(ui: &Ui, is_broken: bool) -> Color32 {
    if is_broken { theme::BROKEN } else { ui.visuals().faint_bg_color }
}

/// Draws a small tick in the corner of a chain that shows the class of its row. It is white on black, so that it
/// stands out from any image.
fn mark(image: Rect, shapes: &mut Vec<Shape>) {
    let size = fit(image.width() / 5.0, 4.0, 12.0);
    let corner = image.right_bottom() - Vec2::splat(size);
    let at = |x: f32, y: f32| corner + vec2(x, y) * size;
    let tick = vec![at(0.18, 0.5), at(0.42, 0.78), at(0.84, 0.22)];
    let ground = Rect::from_min_max(corner, image.max);
    shapes.push(Shape::rect_filled(ground, size / 4.0, Color32::from_black_alpha(220)));
    shapes.push(Shape::line(tick, Stroke::new(fit(size / 7.0, 1.0, 2.0), Color32::WHITE)));
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
    /// The number of chains of a class.
    per_class: usize,
    step: u64,
    is_clipped: bool,
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
        // Where the mouse rests after a click, as after Play on the card, it asks for nothing.
        let has_moved = ui.input(|input| {
            input.pointer.time_since_last_movement() < input.pointer.time_since_last_click()
        });
        let can_magnify = has_moved && screen.x >= MAGNIFIED.x && screen.y >= MAGNIFIED.y;
        let mut action = None;
        for (place, &chain) in self.chains.iter().enumerate() {
            let (frame, image) = cells.rects(corner, place);
            let selection = Selection { lane: self.lane, chain };
            let is_selected = self.run.selected == Some(selection);
            // The selected cell keeps the focus of the keyboard while it comes into view.
            if !ui.is_rect_visible(frame) && !is_selected {
                continue;
            }
            let Some((_, uv)) = atlas?.cell(chain) else { continue };
            frames.add_colored_rect(frame, frame_color(ui, self.is_broken(chain)));
            images.add_rect_with_uv(image, uv, Color32::WHITE);
            if self.is_broken(chain) {
                let stroke = Stroke::new(fit(image.width() / 16.0, 1.0, 3.0), theme::BROKEN);
                above.push(Shape::line_segment([image.left_top(), image.right_bottom()], stroke));
                above.push(Shape::line_segment([image.right_top(), image.left_bottom()], stroke));
            } else if self.numbers.is_some_and(|n| shows_own_class(n, self.labels, chain)) {
                mark(image, &mut above);
            }
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
                let label = format!("{}, lane {}", self.title(chain), self.lane + 1);
                WidgetInfo::selected(Role::Button, true, is_selected, label)
            });
            if response.clicked() {
                action = Some(Action::Select(selection));
            }
            if response.has_focus() {
                action = action.or(self.move_by_arrows(ui, id, place, cells));
            }
            if is_selected || response.has_focus() || response.hovered() {
                outline(ui, frame, is_selected, &mut above);
            }
            if response.hovered() && can_magnify && !is_selected {
                let shown = self.chain(chain);
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
        cells: &CellLayout,
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
        } else if pressed(egui::Key::ArrowDown) {
            cells.above_or_below(place, true)?
        } else if pressed(egui::Key::ArrowUp) {
            cells.above_or_below(place, false)?
        } else {
            return None;
        };
        let next = *self.chains.get(next)?;
        let id = ui.scope_id().with(("cell", self.lane, next));
        ui.memory_mut(|memory| memory.request_focus(id));
        Some(Action::Select(Selection { lane: self.lane, chain: next }))
    }

    fn is_broken(&self, chain: usize) -> bool {
        self.numbers.is_some_and(|n| chain < n.energy.len() && n.is_broken(chain))
    }

    fn title(&self, chain: usize) -> String {
        let class = self.labels.get(chain).copied().unwrap_or(0) as usize;
        format!("{}, chain {}", name_of(&self.model.class_names, class), chain % self.per_class + 1)
    }

    fn chain(&self, chain: usize) -> ChainDetails<'_> {
        ChainDetails {
            run: self.run,
            model: self.model,
            numbers: self.numbers,
            chain,
            label: self.labels.get(chain).copied().unwrap_or(0),
            title: self.title(chain),
            lane_name: format!("lane {}: {}", self.lane + 1, self.run.lane_name(self.lane)),
            step: self.step,
            is_clipped: self.is_clipped,
        }
    }
}
