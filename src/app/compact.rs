//! The layout for small windows, such as on a phone. The chains fill the width, their controls are within reach
//! of a thumb, and the panels are sheets that open one at a time.

use egui::{
    Align, Button, CentralPanel, Frame, Label, Layout, Margin, Panel, RichText, ScrollArea,
    TextWrapMode, Ui, Vec2, vec2,
};

use super::{
    chains_panel, controls,
    fit::fit,
    grid::{BESIDE_SCROLLED, NAMES, SMALL_MIN_PITCH},
    lab, lessons, menu,
    panels::Panels,
    plots, selected,
    size_class::{TOUCH, is_small},
    state::{RunState, Selection},
    training, transport,
    verdict::Question,
    viewer::Viewer,
};
use crate::config::Tab;

/// The width of a button that shows only a symbol.
const SIGN: f32 = 46.0;
/// The transport takes two rows from the first of these widths on, and one row from the second.
const TWO_ROWS: f32 = 530.0;
const ONE_ROW: f32 = 700.0;
/// A window lower than this has no height to spare: from the next width on, its transport takes two rows, and the timeline
/// leaves this width to the buttons of the sheets beside it.
const LOW: f32 = 400.0;
const TWO_LOW_ROWS: f32 = 360.0;
const BESIDE_TIMELINE: f32 = 210.0;
/// The height of the controls above the grid, in a tall window and in a wide one.
const ABOVE_GRID: [f32; 2] = [88.0, 48.0];
/// The height of the row with the questions of the verdict, for which only a tall window has room.
const QUESTIONS: f32 = TOUCH + 4.0;
/// The minimum and maximum height of a sheet, as fractions of the height of a tall window.
const SHARES_BELOW: [f32; 2] = [0.32, 0.46];
/// The minimum and maximum width of a sheet, as fractions of the width of a wide window.
const SHARES_BESIDE: [f32; 2] = [0.4, 0.58];
/// The plot of energies opens by itself if this much space below or beside the chains would stay empty.
const ENERGIES: [f32; 2] = [130.0, 260.0];

/// A panel that opens as a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sheet {
    Controls,
    Chain,
    Energies,
}

const SHEETS: [(Sheet, &str); 3] =
    [(Sheet::Controls, "Controls"), (Sheet::Chain, "Chain"), (Sheet::Energies, "Energies")];

/// The state of the small layout, kept between frames.
#[derive(Default)]
pub(super) struct Compact {
    /// The sheet that the user chose, or `Some(None)` for no sheet. With `None`, the energies fill empty space.
    chosen: Option<Option<Sheet>>,
    /// The chain that was selected in the last frame.
    selected: Option<Selection>,
    is_lesson_open: bool,
}

impl Compact {
    /// Opens the sheet of a chain that was tapped, and closes it when the chain is deselected.
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

/// Draws the small layout.
pub(super) fn ui(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels, compact: &mut Compact) {
    Window { viewer, panels, compact }.ui(ui);
}

/// The small layout while it is drawn.
struct Window<'a> {
    viewer: &'a mut Viewer,
    panels: &'a mut Panels,
    compact: &'a mut Compact,
}

impl Window<'_> {
    fn ui(&mut self, ui: &mut Ui) {
        let is_tall = ui.available_height() > ui.available_width();
        let is_presented = self.panels.presentation.is_on();
        Panel::top("menu").show(ui, |ui| {
            if is_presented {
                return self.panels.presentation.end_button(ui);
            }
            let is_narrow = is_tall || ui.available_width() < TWO_ROWS;
            ui.horizontal(|ui| self.menu(ui, is_narrow));
        });
        if is_tall && !is_presented {
            Panel::bottom("status").show(ui, |ui| self.status_line(ui));
        }
        // Before the banners, which come and go and must not move its buttons.
        if let Some(link) = lessons::panel(ui, &mut self.viewer.lesson, true) {
            self.viewer.set_up(&link);
        }
        if self.panels.status.small_banners(ui, &mut self.viewer.session) {
            self.viewer.try_again();
        }
        training::continue_banner(ui, &mut self.viewer.training, &mut self.viewer.session);
        let Viewer { run, lab, training, session, .. } = &mut *self.viewer;
        match session.tab {
            Tab::Lab => {
                let view = &mut self.panels.lab;
                CentralPanel::default().show(ui, |ui| lab::ui(ui, lab, run, view, is_presented));
            }
            Tab::Train => {
                let view = &mut self.panels.training;
                CentralPanel::default()
                    .show(ui, |ui| training::ui(ui, training, run, view, is_presented));
            }
            Tab::Chains | Tab::Plots => self.run(ui, is_tall),
        }
    }

    fn status_line(&self, ui: &mut Ui) {
        self.panels.status.small(ui, self.viewer);
    }

    fn menu(&mut self, ui: &mut Ui, is_narrow: bool) {
        menu::tabs(ui, &mut self.viewer.session.tab);
        ui.style_mut().wrap_mode = Some(TextWrapMode::Truncate);
        if !is_narrow {
            ui.spacing_mut().combo_width = 96.0;
            menu::model(ui, &self.viewer.run, &self.viewer.session);
            if self.viewer.session.tab == Tab::Chains {
                chains_panel::small_toolbar(ui, &mut self.viewer.run);
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.menu_button("☰", |ui| {
                ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
                ui.spacing_mut().button_padding.x = 12.0;
                if self.viewer.can_undo() && ui.button("Undo").clicked() {
                    self.viewer.undo();
                    ui.close();
                }
                let Viewer { run, session, .. } = &mut *self.viewer;
                menu::open_button(ui, run, session, &mut self.panels.files);
                ui.separator();
                menu::save(ui, self.viewer, &mut self.panels.files);
                ui.separator();
                lessons::menu(ui, &mut self.viewer.lesson);
                egui::widgets::global_theme_preference_buttons(ui);
                if ui.button("Help").clicked() {
                    self.panels.help.is_open = true;
                    ui.close();
                }
            })
            .response
            .accessible_name("Menu");
            if is_narrow {
                ui.spacing_mut().combo_width = ui.available_width();
                menu::model(ui, &self.viewer.run, &self.viewer.session);
            } else {
                self.status_line(ui);
            }
        });
    }

    fn run(&mut self, ui: &mut Ui, is_tall: bool) {
        self.compact.follow(self.viewer.run.selected);
        let room = ui.available_size();
        let side = usize::from(!is_tall);
        let is_low = is_low(ui.ctx());
        let margins = vec2(16.0, transport_height(room.x, is_low) + ABOVE_GRID[side]);
        let [below, beside] = spare(&self.viewer.run, room - margins);
        // A sheet that a person opened takes this space too.
        let has_questions = is_tall
            && below >= QUESTIONS
            && self.viewer.session.tab == Tab::Chains
            && self.compact.chosen.flatten().is_none();
        let spare = [if has_questions { below - QUESTIONS } else { below }, beside][side];
        let has_height = (room - margins).y > ENERGIES[0];
        let is_idle =
            spare > ENERGIES[side] && has_height && self.viewer.session.tab == Tab::Chains;
        let sheet = self.compact.chosen.unwrap_or(is_idle.then_some(Sheet::Energies));
        // The tab shows these plots already.
        let sheet =
            sheet.filter(|&s| s != Sheet::Energies || self.viewer.session.tab == Tab::Chains);
        let sheet = sheet.filter(|_| !self.panels.presentation.is_on());
        Panel::bottom("transport").show(ui, |ui| self.transport(ui, sheet));
        if let Some(sheet) = sheet {
            let screen = ui.ctx().content_rect().size();
            let (panel, [least, most]) = match is_tall {
                true => (Panel::bottom("sheet below"), SHARES_BELOW.map(|s| s * screen.y)),
                false => (Panel::right("sheet beside"), SHARES_BESIDE.map(|s| s * screen.x)),
            };
            // A sheet that opened by itself takes no space from the chains.
            let least = if self.compact.chosen.is_none() { ENERGIES[side] } else { least };
            let panel = panel.exact_size(fit(spare, least, most));
            panel.resizable(false).show(ui, |ui| self.sheet(ui, sheet));
        }
        self.comparison(ui);
        let frame = Frame::central_panel(ui.style());
        let frame = if is_low { frame.inner_margin(Margin::same(4)) } else { frame };
        let centre = CentralPanel::default().frame(frame);
        let asked = centre.show(ui, |ui| match self.viewer.session.tab {
            Tab::Plots => {
                plots::ui(ui, &mut self.viewer.run, &mut self.panels.plots);
                None
            }
            _ => {
                let has_toolbar = is_tall || room.x < TWO_ROWS;
                let (run, chains) = (&mut self.viewer.run, &mut self.panels.chains);
                chains_panel::small(ui, run, chains, has_toolbar, has_questions)
            }
        });
        if asked.inner == Some(Question::DoesItConverge) {
            self.viewer.session.tab = Tab::Plots;
            self.panels.plots.show_convergence = true;
        }
    }

    /// Draws the explanation of a comparison: one line, and all of it after a tap.
    fn comparison(&mut self, ui: &mut Ui) {
        let Some(point) = self.viewer.run.comparison else { return };
        Panel::top("lesson").show(ui, |ui| {
            let is_open = &mut self.compact.is_lesson_open;
            let align = if *is_open { Align::Min } else { Align::Center };
            let size = vec2(ui.available_width(), TOUCH);
            ui.allocate_ui_with_layout(size, Layout::left_to_right(align), |ui| {
                if ui.button("✖").accessible_name("Close this text").clicked() {
                    self.viewer.run.comparison = None;
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
                Sheet::Chain => selected::title(&self.viewer.run).unwrap_or("Chain".into()),
                Sheet::Energies => "Energies".into(),
            };
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let close = ui.add(Button::new("✖").min_size(Vec2::splat(TOUCH)));
                if close.accessible_name("Close this panel").clicked() {
                    self.close(sheet);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.add(Label::new(RichText::new(title).strong()).truncate());
                });
            });
        });
        match sheet {
            Sheet::Controls => self.controls(ui),
            Sheet::Chain => selected::small(ui, &mut self.viewer.run, &mut self.panels.selected),
            Sheet::Energies => plots::energies(ui, &mut self.viewer.run, &mut self.panels.plots),
        }
    }

    fn close(&mut self, sheet: Sheet) {
        self.compact.chosen = Some(None);
        if sheet == Sheet::Chain {
            self.viewer.run.selected = None;
            self.compact.selected = None;
        }
    }

    /// Draws the sliders first, because the sheet is low, and then what the wide layout shows elsewhere.
    fn controls(&mut self, ui: &mut Ui) {
        let Viewer { run, session, .. } = &mut *self.viewer;
        let Some(model) = run.model.clone() else {
            ui.weak("The controls appear once the model is loaded.");
            return;
        };
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            controls::lanes(ui, run, &model);
            ui.separator();
            ui.horizontal_wrapped(|ui| {
                chains_panel::rows(ui, run, &model, &mut self.panels.chains)
            });
            ui.horizontal_wrapped(|ui| transport::settings(ui, run));
            controls::compare(ui, run, &mut session.tab, &model, false);
            ui.add_space(8.0);
        });
    }

    /// Draws the timeline, the buttons of the run and those of the sheets, in as few rows as possible.
    fn transport(&mut self, ui: &mut Ui, sheet: Option<Sheet>) {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.add_space(2.0);
        if self.viewer.run.looking_at.is_some() {
            ui.horizontal(|ui| past(ui, &mut self.viewer.run));
        }
        let width = ui.available_width();
        if width >= ONE_ROW {
            ui.horizontal(|ui| {
                buttons(ui, &mut self.viewer.run, 300.0);
                timeline(ui, &mut self.viewer.run, width - 300.0 - 236.0);
                self.toggles(ui, sheet);
            });
        } else if width >= TWO_ROWS {
            ui.horizontal(|ui| timeline(ui, &mut self.viewer.run, width));
            ui.horizontal(|ui| {
                buttons(ui, &mut self.viewer.run, 300.0);
                self.toggles(ui, sheet);
            });
        } else if width >= TWO_LOW_ROWS && is_low(ui.ctx()) {
            ui.horizontal(|ui| {
                timeline(ui, &mut self.viewer.run, width - BESIDE_TIMELINE);
                self.toggles(ui, sheet);
            });
            ui.horizontal(|ui| buttons(ui, &mut self.viewer.run, width));
        } else {
            ui.horizontal(|ui| timeline(ui, &mut self.viewer.run, width));
            ui.horizontal(|ui| buttons(ui, &mut self.viewer.run, width));
            ui.horizontal(|ui| self.toggles(ui, sheet));
        }
        ui.add_space(2.0);
    }

    fn toggles(&mut self, ui: &mut Ui, shown: Option<Sheet>) {
        if self.panels.presentation.is_on() {
            return;
        }
        let count = if self.viewer.session.tab == Tab::Plots { 2 } else { SHEETS.len() };
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

/// The height of the bars below the chains of a small window, which notices must not cover.
pub(super) fn height_below(ctx: &egui::Context) -> Option<f32> {
    is_small(ctx).then(|| transport_height(ctx.content_rect().width(), is_low(ctx)) + 32.0)
}

fn is_low(ctx: &egui::Context) -> bool {
    ctx.content_rect().height() < LOW
}

fn transport_height(width: f32, is_low: bool) -> f32 {
    let rows = match width - 16.0 {
        width if width >= ONE_ROW => 1.0,
        width if width >= TWO_ROWS || is_low && width >= TWO_LOW_ROWS => 2.0,
        _ => 3.0,
    };
    rows * (TOUCH + 3.0) + 8.0
}

/// The height left over when the chains fill the width, and the width left over when they fill the height, or scroll because
/// they would be too small.
fn spare(run: &RunState, room: Vec2) -> [f32; 2] {
    let cells = Vec2::from(run.grid_size().map(|count| count as f32));
    let width = room.x - NAMES;
    let below = room.y - (width / cells.x).max(SMALL_MIN_PITCH) * cells.y;
    let beside = match room.y / cells.y {
        cell if cell < SMALL_MIN_PITCH => width - SMALL_MIN_PITCH * cells.x - BESIDE_SCROLLED,
        cell => width - cell * cells.x,
    };
    [below, beside]
}

/// Draws the buttons for a step of the past.
fn past(ui: &mut Ui, run: &mut RunState) {
    if ui.button("Jump to newest").clicked() {
        run.look_at(run.last_step());
    }
    if ui.button("Continue from here").clicked() {
        run.branch();
    }
}

fn timeline(ui: &mut Ui, run: &mut RunState, width: f32) {
    let note = format!("{} / {}", run.shown_step(), run.last_step());
    let note_width = 8.0 * note.chars().count().max(9) as f32;
    ui.spacing_mut().slider_width = (width - note_width - 8.0).max(80.0);
    transport::timeline(ui, run);
    let note = Label::new(RichText::new(note));
    ui.add_sized(vec2(note_width, TOUCH), note).on_hover_text("step shown / last step");
}

fn buttons(ui: &mut Ui, run: &mut RunState, width: f32) {
    ui.add_enabled_ui(run.record.is_some(), |ui| {
        let sign = |ui: &mut Ui, text: &str, name: &str| {
            let button = Button::new(RichText::new(text).size(16.0));
            ui.add_sized(vec2(SIGN, TOUCH), button).accessible_name(name).clicked()
        };
        if sign(ui, "⏮", "Step back") {
            run.step_back();
        }
        let gap = ui.spacing().item_spacing.x;
        transport::large_play(ui, run, vec2(width - 4.0 * (SIGN + gap), TOUCH), 16.0);
        if sign(ui, "⏭", "Step forward") {
            run.step_forward();
        }
        if sign(ui, "⟲", "Restart") {
            run.restart();
        }
        if sign(ui, "🎲", "New seed") {
            run.restart_with_new_seed();
        }
    });
}
