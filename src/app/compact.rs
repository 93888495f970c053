//! The window where room is scarce, as on a phone: the chains fill the width, what steers them is within
//! reach of a thumb, and the panels are sheets that open one at a time.

use egui::{
    Align, Button, CentralPanel, Label, Layout, Panel, RichText, ScrollArea, TextWrapMode, Ui,
    Vec2,
    style::{Spacing, default_text_styles},
    vec2,
};

use super::{
    App, chains, controls, files,
    fit::fit,
    lab, lessons, plots, selected, training, transport,
    viewer::{Selection, Tab, Viewer},
};

/// A window narrower or lower than this in points is small.
const SMALL: Vec2 = vec2(600.0, 480.0);
/// Least height of what a thumb must hit.
const TOUCH: f32 = 36.0;
/// Width of a button that bears a sign only.
const SIGN: f32 = 46.0;
/// Width of the names of rows.
pub(super) const NAMES: f32 = 60.0;
/// From these widths on the transport takes two rows, and one.
const TWO_ROWS: f32 = 530.0;
const ONE_ROW: f32 = 700.0;
/// Height of what stands above the grid of a tall window, and of a wide one.
const ABOVE_GRID: [f32; 2] = [88.0, 48.0];
/// A sheet takes at least and at most these shares of the height of a tall window.
const SHARES_BELOW: [f32; 2] = [0.32, 0.46];
/// And these of the width of a wide one.
const SHARES_BESIDE: [f32; 2] = [0.4, 0.58];
/// Energies open by themselves where so much would be empty below or beside the chains.
const ENERGIES: [f32; 2] = [130.0, 260.0];

/// Whether the window is small.
pub(super) fn is_small(ctx: &egui::Context) -> bool {
    let size = ctx.content_rect().size();
    size.x < SMALL.x || size.y < SMALL.y
}

/// Makes everything large enough for a finger, menus and lists too, or as it was.
pub(super) fn fit_style(ui: &mut Ui, is_small: bool) {
    let usual = Spacing::default();
    let height = if is_small { TOUCH } else { usual.interact_size.y };
    if ui.ctx().global_style().spacing.interact_size.y == height {
        return;
    }
    ui.ctx().all_styles_mut(|style| {
        style.spacing = usual.clone();
        style.text_styles = default_text_styles();
        if is_small {
            style.spacing.interact_size.y = height;
            style.spacing.icon_width = 20.0;
            style.spacing.icon_width_inner = 12.0;
        }
    });
    ui.set_style(ui.ctx().global_style());
}

/// What can be unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sheet {
    Controls,
    Chain,
    Energies,
}

const SHEETS: [(Sheet, &str); 3] =
    [(Sheet::Controls, "Controls"), (Sheet::Chain, "Chain"), (Sheet::Energies, "Energies")];

/// What the small window keeps between frames.
#[derive(Default)]
pub(super) struct Compact {
    /// The sheet that was asked for, or that none was; before that the energies fill what is empty.
    chosen: Option<Option<Sheet>>,
    /// The chain that was selected a frame ago.
    selected: Option<Selection>,
    is_lesson_open: bool,
}

impl Compact {
    /// A chain that was tapped is shown, and one that is let go makes room.
    fn follow(&mut self, selected: Option<Selection>) {
        if self.selected == selected {
            return;
        }
        self.selected = selected;
        match (selected, self.chosen) {
            (Some(_), Some(Some(Sheet::Energies))) => {}
            (Some(_), _) => self.chosen = Some(Some(Sheet::Chain)),
            (None, Some(Some(Sheet::Chain))) => self.chosen = None,
            (None, _) => {}
        }
    }
}

impl App {
    pub(super) fn show_compact(&mut self, ui: &mut Ui) {
        let is_tall = ui.available_height() > ui.available_width();
        Panel::top("menu").show(ui, |ui| {
            let is_narrow = is_tall || ui.available_width() < TWO_ROWS;
            ui.horizontal(|ui| self.small_menu(ui, is_narrow));
        });
        self.status.small_banners(ui, &mut self.viewer);
        if is_tall {
            Panel::bottom("status").show(ui, |ui| self.status.small(ui, &self.viewer));
        }
        lessons::panel(ui, &mut self.viewer, true);
        if self.viewer.view.view.tab == Tab::Lab {
            CentralPanel::default().show(ui, |ui| lab::ui(ui, &mut self.viewer, &mut self.lab));
        } else if self.viewer.view.view.tab == Tab::Train {
            CentralPanel::default().show(ui, |ui| {
                training::ui(ui, &mut self.viewer, &mut self.training);
            });
        } else {
            self.small_run(ui, is_tall);
        }
    }

    fn small_menu(&mut self, ui: &mut Ui, is_narrow: bool) {
        files::tabs(ui, &mut self.viewer);
        ui.style_mut().wrap_mode = Some(TextWrapMode::Truncate);
        if !is_narrow {
            ui.spacing_mut().combo_width = 96.0;
            files::model(ui, &mut self.viewer);
            if self.viewer.view.view.tab == Tab::Chains {
                chains::small_toolbar(ui, &mut self.viewer);
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.menu_button("☰", |ui| {
                ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
                ui.spacing_mut().button_padding.x = 12.0;
                files::open_button(ui, &mut self.viewer, &mut self.files);
                ui.separator();
                files::save(ui, &mut self.viewer, &mut self.files);
                ui.separator();
                lessons::menu(ui, &mut self.viewer);
                egui::widgets::global_theme_preference_buttons(ui);
                if ui.button("Help").clicked() {
                    self.help.is_open = true;
                    ui.close();
                }
            })
            .response
            .accessible_name("Menu");
            if is_narrow {
                ui.spacing_mut().combo_width = ui.available_width();
                files::model(ui, &mut self.viewer);
            } else {
                self.status.small(ui, &self.viewer);
            }
        });
    }

    fn small_run(&mut self, ui: &mut Ui, is_tall: bool) {
        self.compact.follow(self.viewer.selected);
        let room = ui.available_size();
        let side = usize::from(!is_tall);
        let margins = vec2(16.0, transport_height(room.x) + ABOVE_GRID[side]);
        let spare = spare(&self.viewer, room - margins)[side];
        let has_height = (room - margins).y > ENERGIES[0];
        let is_idle =
            spare > ENERGIES[side] && has_height && self.viewer.view.view.tab == Tab::Chains;
        let sheet = self.compact.chosen.unwrap_or(is_idle.then_some(Sheet::Energies));
        // The plots are in the tab already.
        let sheet =
            sheet.filter(|&s| s != Sheet::Energies || self.viewer.view.view.tab == Tab::Chains);
        Panel::bottom("transport").show(ui, |ui| self.small_transport(ui, sheet));
        if let Some(sheet) = sheet {
            let screen = ui.ctx().content_rect().size();
            let (panel, [least, most]) = match is_tall {
                true => (Panel::bottom("sheet below"), SHARES_BELOW.map(|s| s * screen.y)),
                false => (Panel::right("sheet beside"), SHARES_BESIDE.map(|s| s * screen.x)),
            };
            // What nobody asked for takes nothing from the chains.
            let least = if self.compact.chosen.is_none() { ENERGIES[side] } else { least };
            let panel = panel.exact_size(fit(spare, least, most));
            panel.resizable(false).show(ui, |ui| self.sheet(ui, sheet));
        }
        self.small_lesson(ui);
        CentralPanel::default().show(ui, |ui| match self.viewer.view.view.tab {
            Tab::Plots => plots::ui(ui, &mut self.viewer, &mut self.plots),
            _ => {
                let has_toolbar = is_tall || room.x < TWO_ROWS;
                chains::small(ui, &mut self.viewer, &mut self.chains, has_toolbar);
            }
        });
    }

    /// What a comparison is about: a line, and all of it once tapped.
    fn small_lesson(&mut self, ui: &mut Ui) {
        let Some(point) = self.viewer.lesson else { return };
        Panel::top("lesson").show(ui, |ui| {
            let is_open = &mut self.compact.is_lesson_open;
            let align = if *is_open { Align::Min } else { Align::Center };
            let size = vec2(ui.available_width(), TOUCH);
            ui.allocate_ui_with_layout(size, Layout::left_to_right(align), |ui| {
                if ui.button("✖").accessible_name("Close this text").clicked() {
                    self.viewer.lesson = None;
                }
                let label = Label::new(point).sense(egui::Sense::click());
                let label = if *is_open { label.wrap() } else { label.truncate() };
                *is_open ^= ui.add(label).clicked();
            });
        });
    }

    fn sheet(&mut self, ui: &mut Ui, sheet: Sheet) {
        ui.horizontal(|ui| {
            let title = match sheet {
                Sheet::Controls => "Controls".into(),
                Sheet::Chain => selected::title(&self.viewer).unwrap_or("Chain".into()),
                Sheet::Energies => "Energies".into(),
            };
            ui.strong(title);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let close = ui.add(Button::new("✖").min_size(Vec2::splat(TOUCH)));
                if close.accessible_name("Close this panel").clicked() {
                    self.close(sheet);
                }
            });
        });
        match sheet {
            Sheet::Controls => self.small_controls(ui),
            Sheet::Chain => selected::small(ui, &mut self.viewer, &mut self.selected),
            Sheet::Energies => plots::energies(ui, &mut self.viewer, &mut self.plots),
        }
    }

    fn close(&mut self, sheet: Sheet) {
        self.compact.chosen = Some(None);
        if sheet == Sheet::Chain {
            self.viewer.selected = None;
            self.compact.selected = None;
        }
    }

    /// The sliders first, for the sheet is low; then what the wide window has elsewhere.
    fn small_controls(&mut self, ui: &mut Ui) {
        let viewer = &mut self.viewer;
        let Some(model) = viewer.model.clone() else {
            ui.weak("The controls come with the model.");
            return;
        };
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            controls::lanes(ui, viewer, &model);
            ui.separator();
            ui.horizontal_wrapped(|ui| chains::rows(ui, viewer, &model, &mut self.chains));
            ui.horizontal_wrapped(|ui| transport::settings(ui, viewer));
            controls::compare(ui, viewer, &model, false);
            ui.add_space(8.0);
        });
    }

    /// The time line, the buttons of the run and those of the sheets, in as few rows as they fit into.
    fn small_transport(&mut self, ui: &mut Ui, sheet: Option<Sheet>) {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.add_space(2.0);
        if self.viewer.looking_at.is_some() {
            ui.horizontal(|ui| past(ui, &mut self.viewer));
        }
        let width = ui.available_width();
        if width >= ONE_ROW {
            ui.horizontal(|ui| {
                buttons(ui, &mut self.viewer, 300.0);
                timeline(ui, &mut self.viewer, width - 300.0 - 236.0);
                self.toggles(ui, sheet);
            });
        } else if width >= TWO_ROWS {
            ui.horizontal(|ui| timeline(ui, &mut self.viewer, width));
            ui.horizontal(|ui| {
                buttons(ui, &mut self.viewer, 300.0);
                self.toggles(ui, sheet);
            });
        } else {
            ui.horizontal(|ui| timeline(ui, &mut self.viewer, width));
            ui.horizontal(|ui| buttons(ui, &mut self.viewer, width));
            ui.horizontal(|ui| self.toggles(ui, sheet));
        }
        ui.add_space(2.0);
    }

    fn toggles(&mut self, ui: &mut Ui, shown: Option<Sheet>) {
        let count = if self.viewer.view.view.tab == Tab::Plots { 2 } else { SHEETS.len() };
        let gaps = ui.spacing().item_spacing.x * (count - 1) as f32;
        let size = vec2((ui.available_width() - gaps) / count as f32, TOUCH);
        for (sheet, name) in &SHEETS[..count] {
            let is_shown = shown == Some(*sheet);
            let button = Button::selectable(is_shown, *name).frame_when_inactive(true);
            if ui.add_sized(size, button).clicked() {
                match is_shown {
                    true => self.close(*sheet),
                    false => self.compact.chosen = Some(Some(*sheet)),
                }
            }
        }
    }
}

/// Height of the bars below the chains, where notices must not lie.
pub(super) fn height_below(ctx: &egui::Context) -> f32 {
    transport_height(ctx.content_rect().width()) + 32.0
}

fn transport_height(width: f32) -> f32 {
    let rows = match width - 16.0 {
        width if width >= ONE_ROW => 1.0,
        width if width >= TWO_ROWS => 2.0,
        _ => 3.0,
    };
    rows * (TOUCH + 3.0) + 8.0
}

/// Columns and rows of the chains of all lanes; points in the plane are one square a lane.
pub(super) fn cells(viewer: &Viewer) -> Vec2 {
    let num_lanes = viewer.view.lanes.len().max(1);
    match &viewer.model {
        Some(model) if model.is_planar() => vec2(num_lanes as f32, 1.0),
        _ => {
            let columns = viewer.view.view.per_class * num_lanes;
            vec2(columns as f32, viewer.classes().len().max(1) as f32)
        }
    }
}

/// The height that the chains leave once they fill the width, and the width once they fill the height.
fn spare(viewer: &Viewer, room: Vec2) -> [f32; 2] {
    let cells = cells(viewer);
    let width = room.x - NAMES;
    [room.y - width / cells.x * cells.y, width - room.y / cells.y * cells.x]
}

/// What can be done at a step of the past.
fn past(ui: &mut Ui, viewer: &mut Viewer) {
    if ui.button("Back to the newest").clicked() {
        viewer.look_at(viewer.last_step());
    }
    if ui.button("Go on from here").clicked() {
        viewer.branch();
    }
}

fn timeline(ui: &mut Ui, viewer: &mut Viewer, width: f32) {
    let note = format!("{} / {}", viewer.shown_step(), viewer.last_step());
    let note_width = 8.0 * note.chars().count().max(9) as f32;
    ui.spacing_mut().slider_width = (width - note_width - 8.0).max(80.0);
    transport::timeline(ui, viewer);
    let note = Label::new(RichText::new(note));
    ui.add_sized(vec2(note_width, TOUCH), note).on_hover_text("step shown / last step");
}

fn buttons(ui: &mut Ui, viewer: &mut Viewer, width: f32) {
    ui.add_enabled_ui(viewer.record.is_some(), |ui| {
        let sign = |ui: &mut Ui, text: &str, name: &str| {
            let button = Button::new(RichText::new(text).size(16.0));
            ui.add_sized(vec2(SIGN, TOUCH), button).accessible_name(name).clicked()
        };
        if sign(ui, "⏮", "Step back") {
            viewer.step_back();
        }
        let gap = ui.spacing().item_spacing.x;
        play(ui, viewer, vec2(width - 4.0 * (SIGN + gap), TOUCH), 16.0);
        if sign(ui, "⏭", "Step forward") {
            viewer.step_forward();
        }
        if sign(ui, "⟲", "Restart") {
            viewer.restart();
        }
        if sign(ui, "🎲", "New seed") {
            viewer.restart_with_new_seed();
        }
    });
}

/// The button that runs and stops the chains.
pub(super) fn play(ui: &mut Ui, viewer: &mut Viewer, size: Vec2, text_size: f32) {
    let is_playing = viewer.is_playing();
    let text = if is_playing { "⏸ Pause" } else { "▶ Play" };
    let button = Button::new(RichText::new(text).strong().size(text_size));
    let button = if is_playing { button } else { button.fill(ui.visuals().selection.bg_fill) };
    if ui.add_sized(size, button).clicked() {
        viewer.toggle_play();
    }
}
