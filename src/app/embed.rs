//! The layout of a single lesson embedded in another page: the chains, play, restart and two sliders.

use egui::{
    Align, Button, CentralPanel, Frame, Layout, Margin, Panel, Rect, RichText, TextStyle, Ui, Vec2,
    vec2,
};

use super::{
    chains_panel, compact,
    controls::{format_number, slider},
    fit::fit,
    grid::NAMES,
    lab, lessons,
    panels::Panels,
    pixels::number,
    state::RunState,
    status, transport,
    viewer::Viewer,
};
use crate::config::{Field, SamplerConfig, SamplerKind, Tab};

/// The frame height at which the text has its base size. Larger frames have larger text, up to a limit.
const HEIGHT: f32 = 240.0;
const TEXT: f32 = 11.5;
const MAX_SCALE: f32 = 1.4;
/// The width of the controls beside the chains, and their height below them, at the base text size.
const BESIDE: f32 = 104.0;
const BELOW: f32 = 118.0;

/// Draws the chains with few controls, and a link to `full_page`, which has all controls.
pub(super) fn ui(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels, full_page: &str) {
    panels.holds.clear();
    let (link, scrolled) = lessons::strip(ui, &mut viewer.lesson, &mut panels.is_strip_open);
    panels.scrolled = scrolled;
    if let Some(link) = link {
        viewer.set_up(&link);
    }
    let is_followed = match viewer.session.tab {
        Tab::Lab => show_lab(ui, viewer, panels),
        _ => show_run(ui, viewer, panels),
    };
    status::notices(ui.ctx(), &viewer.session, compact::height_below(ui.ctx()));
    if is_followed {
        let url = format!("{full_page}{}", viewer.view().to_query());
        ui.ctx().open_url(egui::OpenUrl::new_tab(url));
    }
}

/// Draws the lab. Returns whether the link was clicked.
fn show_lab(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels) -> bool {
    banners(ui, viewer, panels);
    let mut is_followed = false;
    let Panels { lab: view, holds, .. } = panels;
    lab::embedded(ui, &mut viewer.lab, &mut viewer.run, view, holds, |ui| {
        is_followed = open_link(ui);
    });
    is_followed
}

/// Draws the open model's chains. Returns whether the link was clicked.
fn show_run(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels) -> bool {
    let size = ui.available_size();
    let scale = fit((size.min_elem() / HEIGHT).sqrt(), 1.0, MAX_SCALE);
    fit_text(ui, scale);
    let beside = width_beside(&viewer.run, size, scale);
    let frame = Frame::central_panel(ui.style()).inner_margin(Margin::same(6));
    let is_followed = match beside {
        Some(width) => {
            let panel = Panel::right("controls").resizable(false).exact_size(width);
            let panel = panel.frame(frame).show(ui, |ui| {
                column(ui, &mut viewer.run, scale, &mut panels.holds);
                ui.with_layout(Layout::bottom_up(Align::Min), open_link).inner
            });
            panel.inner
        }
        None => {
            let panel = Panel::bottom("controls").resizable(false);
            panel
                .frame(frame)
                .show(ui, |ui| rows(ui, &mut viewer.run, scale, &mut panels.holds))
                .inner
        }
    };
    // Above the chains only, so that the controls keep their space.
    banners(ui, viewer, panels);
    CentralPanel::default().frame(frame).show(ui, |ui| {
        chains_panel::bare(ui, &mut viewer.run, &mut panels.chains);
    });
    // No panel would show the selected chain.
    viewer.run.selected = None;
    is_followed
}

fn banners(ui: &mut Ui, viewer: &mut Viewer, panels: &mut Panels) {
    if panels.status.small_banners(ui, &mut viewer.session) {
        viewer.try_again();
    }
}

fn fit_text(ui: &mut Ui, scale: f32) {
    let style = ui.style_mut();
    for kind in [TextStyle::Body, TextStyle::Button] {
        if let Some(font) = style.text_styles.get_mut(&kind) {
            font.size = TEXT * scale;
        }
    }
    style.spacing.interact_size.y = 22.0 * scale;
}

/// The width of the controls beside the chains, if the chains are larger this way than with controls below.
fn width_beside(run: &RunState, size: Vec2, scale: f32) -> Option<f32> {
    let grid = Vec2::from(run.grid_size().map(|count| count as f32));
    // With several lanes, their names stand above them.
    let header = if run.lanes.len() > 1 { 18.0 } else { 0.0 };
    let pitch = |room: Vec2| (room / grid).min_elem();
    let beside = pitch(size - vec2(BESIDE * scale + NAMES + 24.0, header + 12.0));
    let above = pitch(size - vec2(NAMES + 12.0, BELOW * scale + header + 12.0));
    let rest = size.x - beside * grid.x - NAMES - 24.0;
    let least = BESIDE * scale;
    (beside >= above).then(|| fit(rest, least, least.max(0.36 * size.x)))
}

fn column(ui: &mut Ui, run: &mut RunState, scale: f32, holds: &mut Vec<Rect>) {
    let width = ui.available_width();
    // The smallest frame has no space to waste.
    ui.spacing_mut().item_spacing.y = if scale < 1.1 { 1.0 } else { 4.0 };
    ui.add_enabled_ui(run.record.is_some(), |ui| {
        transport::large_play(ui, run, vec2(width, 40.0 * scale), 15.0 * scale);
        restart(ui, run, vec2(width, 24.0 * scale));
    });
    numbers(ui, run, scale);
    for knob in [STEP_SIZE, NOISE] {
        holds.extend(knob.ui(ui, run, width));
    }
}

/// Draws the controls in rows. Returns whether the link was clicked.
fn rows(ui: &mut Ui, run: &mut RunState, scale: f32, holds: &mut Vec<Rect>) -> bool {
    let is_followed = ui.horizontal(|ui| {
        ui.add_enabled_ui(run.record.is_some(), |ui| {
            let height = 40.0 * scale;
            transport::large_play(ui, run, vec2(96.0 * scale, height), 15.0 * scale);
            restart(ui, run, vec2(78.0 * scale, height));
        });
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            numbers(ui, run, scale);
            open_link(ui)
        })
        .inner
    });
    ui.columns(2, |columns| {
        let width = columns[0].available_width();
        for (ui, knob) in columns.iter_mut().zip([STEP_SIZE, NOISE]) {
            holds.extend(ui.vertical(|ui| knob.ui(ui, run, width)).inner);
        }
    });
    is_followed.inner
}

fn restart(ui: &mut Ui, run: &mut RunState, size: Vec2) {
    if ui.add_sized(size, Button::new("⟲ Restart")).clicked() {
        run.restart();
    }
}

/// Shows the current step and the mean energy.
fn numbers(ui: &mut Ui, run: &RunState, scale: f32) {
    ui.label(format!("step {}", run.shown_step()));
    if let Some((_, lanes)) = run.shown_numbers() {
        let means: Vec<String> = lanes.iter().map(|lane| number(lane.mean_energy())).collect();
        // The smallest frame has no space for a second line.
        let is_short = ui.available_width() < 116.0 && scale < 1.1;
        let name = if is_short { "energy" } else { "mean energy" };
        ui.label(format!("{name} {}", means.join(" | "))).on_hover_text(
            "Mean energy of the chains of each lane. Low means likely to the model.",
        );
    }
}

/// A number of the rule that the user can change. The change applies to every lane.
struct Knob {
    name: &'static str,
    /// The configuration key of the number, for each kind of sampler.
    key: fn(SamplerKind) -> &'static str,
    of: fn(&mut SamplerConfig) -> &mut f64,
}

const STEP_SIZE: Knob = Knob {
    name: "step size α",
    key: |kind| if kind == SamplerKind::Pyld { "inner_step_size" } else { "step_size" },
    of: |sampler| match sampler.kind {
        SamplerKind::Pyld => &mut sampler.inner_step_size,
        _ => &mut sampler.step_size,
    },
};
const NOISE: Knob =
    Knob { name: "noise σ", key: |_| "noise_std", of: |sampler| &mut sampler.noise_std };

impl Knob {
    /// Draws the slider. Returns its place, from which a finger moves it and not the page.
    fn ui(&self, ui: &mut Ui, run: &mut RunState, width: f32) -> Option<Rect> {
        let first = run.lanes.first()?;
        let mut sampler = first.sampler.clone();
        let field: &Field = SamplerConfig::field((self.key)(sampler.kind));
        let value = (self.of)(&mut sampler);
        let label = ui.horizontal(|ui| {
            let label = ui.label(self.name);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(RichText::new(format_number(*value)).strong());
            });
            label
        });
        ui.spacing_mut().slider_width = width;
        let slider = ui.add(slider(value, field).show_value(false));
        let place = Some(slider.rect.expand(6.0));
        if !slider.labelled_by(label.inner.id).on_hover_text(field.help.trim()).changed() {
            return place;
        }
        let (low, high) = field.range.unwrap_or((0.0, f64::INFINITY));
        let value = fit(*value, low, high);
        for index in 0..run.lanes.len() {
            let mut lane = run.lanes[index].clone();
            // Without noise, MALA proposes no moves.
            if value > 0.0 || lane.sampler.kind != SamplerKind::Mala {
                *(self.of)(&mut lane.sampler) = value;
                run.set_lane(index, lane);
            }
        }
        place
    }
}

/// Draws the link to the full page. Returns whether it was clicked.
fn open_link(ui: &mut Ui) -> bool {
    let link = ui.link(RichText::new("Open in jempp").size(TEXT));
    link.on_hover_text("The same chains with all controls, in a new tab.").clicked()
}

#[cfg(test)]
mod tests {
    use egui::{
        Context, Event, Modifiers, MouseWheelSource, MouseWheelUnit, Pos2, RawInput, TouchPhase,
    };

    use super::*;
    use crate::{config::ViewState, worker};

    #[test]
    fn in_the_lab_a_finger_moves_sliders_and_the_timeline_and_not_the_page() {
        let screen = Rect::from_min_size(Pos2::ZERO, vec2(480.0, 360.0));
        for (link, num_holds) in [("tab=lab", 2), ("tab=lab&lab.view=slice", 1)] {
            let mut viewer = Viewer::new(ViewState::from_query(link).unwrap());
            let mut panels = Panels::default();
            let ctx = Context::default();
            for _ in 0..3 {
                let input = RawInput { screen_rect: Some(screen), ..RawInput::default() };
                let _ = ctx.run_ui(input, |ui| {
                    super::ui(ui, &mut viewer, &mut panels, "./index.html");
                });
            }
            assert_eq!(panels.holds.len(), num_holds, "{link}");
            for part in &panels.holds {
                let is_seen = screen.expand(6.0).contains_rect(*part);
                assert!(is_seen && part.width() > 60.0 && part.height() > 15.0, "{link}: {part}");
            }
        }
    }

    /// Draws a frame with a lesson of so many lines, and turns the wheel over its text. Returns whether the text can then move
    /// down and up.
    fn scrolled(num_lines: usize, wheel: &[f32]) -> [bool; 2] {
        let screen = Rect::from_min_size(Pos2::ZERO, vec2(640.0, 480.0));
        let mut viewer = Viewer::new(ViewState::from_query("lesson=3").unwrap());
        let text = format!("# Noise\n\n## First\n\n{}", "A line.\n\n".repeat(num_lines));
        viewer.take(worker::Event::Lesson { number: 3, text });
        let mut panels = Panels::default();
        let ctx = Context::default();
        let mut frame = |events| {
            let input = RawInput { screen_rect: Some(screen), events, ..RawInput::default() };
            let _ = ctx.run_ui(input, |ui| {
                super::ui(ui, &mut viewer, &mut panels, "./index.html");
            });
            panels.scrolled.unwrap()
        };
        let (place, _) = frame(Vec::new());
        for &delta in wheel {
            let turn = Event::MouseWheel {
                unit: MouseWheelUnit::Point,
                delta: vec2(0.0, delta),
                phase: TouchPhase::Move,
                source: MouseWheelSource::Unknown,
                modifiers: Modifiers::NONE,
            };
            frame(vec![Event::PointerMoved(place.center())]);
            frame(vec![turn]);
            (0..90).for_each(|_| _ = frame(Vec::new()));
        }
        frame(Vec::new()).1
    }

    #[test]
    fn the_text_of_a_lesson_keeps_the_wheel_only_where_it_moves() {
        assert_eq!(scrolled(1, &[]), [false, false], "it fits");
        assert_eq!(scrolled(60, &[]), [false, true]);
        assert_eq!(scrolled(60, &[-100.0]), [true, true]);
        assert_eq!(scrolled(60, &[-9000.0]), [true, false]);
        assert_eq!(scrolled(60, &[-9000.0, 9900.0]), [false, true]);
    }
}
