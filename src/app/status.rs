//! The status line (device, rates, memory), and the important banners.

use std::{collections::VecDeque, time::Duration};

use egui::{Align, Color32, Label, Layout, RichText, Ui};
use web_time::Instant;

use super::{record::history_mib, state::Session, theme, viewer::Viewer};
use crate::worker::Event;

/// The time over which rates are measured.
const WINDOW: Duration = Duration::from_secs(2);

/// The shortest time from which a rate is told.
const MIN_SPAN: Duration = Duration::from_millis(250);

/// What the status line says on a computer without a GPU.
const NO_GPU: &str = "No GPU found; running on the CPU. Everything works, only slower.";

/// Measures the recent rates: steps and frames per second.
#[derive(Default)]
pub(super) struct Status {
    steps: VecDeque<Instant>,
    frames: VecDeque<Instant>,
}

/// The memory of the process, in bytes.
#[cfg(not(target_arch = "wasm32"))]
fn memory() -> Option<usize> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem)
}

/// The memory of the page, in bytes, without that of its worker.
#[cfg(target_arch = "wasm32")]
fn memory() -> Option<usize> {
    Some(core::arch::wasm32::memory_size::<0>() << 16)
}

fn rate(times: &mut VecDeque<Instant>, now: Instant) -> f64 {
    while times.front().is_some_and(|&time| now - time > WINDOW) {
        times.pop_front();
    }
    match (times.front(), times.back()) {
        // Over a shorter time, a few steps that arrive together would look like a million each second.
        (Some(first), Some(last)) if *last - *first >= MIN_SPAN => {
            (times.len() - 1) as f64 / (*last - *first).as_secs_f64()
        }
        _ => 0.0,
    }
}

impl Status {
    /// Counts the steps in an event.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Step(_) => self.steps.push_back(Instant::now()),
            Event::Started(_) => self.steps.clear(),
            _ => {}
        }
    }

    /// The recent number of steps per second.
    pub(super) fn steps_per_sec(&mut self) -> f64 {
        rate(&mut self.steps, Instant::now())
    }

    /// Draws the status line.
    pub(super) fn ui(&mut self, ui: &mut Ui, viewer: &Viewer) {
        let Viewer { run, training, session, .. } = viewer;
        let now = Instant::now();
        self.frames.push_back(now);
        let frames_per_sec = rate(&mut self.frames, now);
        let mut parts = Vec::new();
        if run.is_running {
            parts.push(format!("{:.1} steps/s", run.steps_per_sec));
        }
        if run.is_playing() && frames_per_sec > 0.0 {
            parts.push(format!("{frames_per_sec:.0} frames/s"));
        }
        if let Some(record) = &run.record {
            parts.push(format!("history {} of {} MiB", record.num_bytes() >> 20, history_mib()));
        }
        if let Some(bytes) = memory() {
            parts.push(format!("memory {} MiB", bytes >> 20));
        }
        // Always one line, so that nothing above moves: the text about the device is cut off if there is no room.
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                for part in parts.iter().rev() {
                    ui.label(part);
                    ui.separator();
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    if let Some(text) = training.record.in_sight() {
                        ui.strong(text).on_hover_text("The Train tab shows its curves.");
                        ui.separator();
                    }
                    device(ui, session);
                });
            });
        });
    }

    /// Draws the important banners. Returns whether the user asked to reopen the device and the model.
    pub(super) fn banners(&self, ui: &mut Ui, session: &mut Session) -> bool {
        let mut is_retry = false;
        if let Some(reason) = session.failure.clone() {
            banner(ui, "failure", theme::BROKEN, |ui| {
                ui.label(RichText::new(format!("Stopped: {reason}.")).color(Color32::WHITE));
                let retry = ui.button("Try again");
                is_retry = retry.on_hover_text("Open the device and the model anew.").clicked();
            });
        }
        if let Some(text) = session.warning.clone() {
            banner(ui, "warning", theme::SLOW, |ui| {
                ui.label(RichText::new(&text).color(Color32::WHITE));
                if ui.button("Close").clicked() {
                    session.warning = None;
                }
            });
        }
        is_retry
    }
}

/// Draws the device of the chains. Without a GPU, it says what follows from that.
fn device(ui: &mut Ui, session: &Session) {
    let Some((description, is_cpu)) = &session.device else {
        ui.label("opening the device…");
        return;
    };
    let text = match is_cpu {
        true => NO_GPU,
        false => description,
    };
    ui.add(Label::new(text).truncate()).on_hover_text(description);
}

fn banner(ui: &mut Ui, id: &'static str, fill: Color32, contents: impl FnOnce(&mut Ui)) {
    let frame = egui::Frame::new().fill(fill).inner_margin(egui::Margin::symmetric(8, 4));
    egui::Panel::top(id).frame(frame).show(ui, |ui| {
        ui.horizontal_wrapped(contents);
    });
}

/// Draws the messages that disappear by themselves. In a small window, they lie above the lower bars, whose
/// height is `height_below`.
pub(super) fn notices(ctx: &egui::Context, session: &Session, height_below: Option<f32>) {
    if session.notices.is_empty() {
        return;
    }
    // They must not cover a button.
    let (side, offset) = match height_below {
        Some(height) => (egui::Align2::CENTER_BOTTOM, egui::vec2(0.0, -height)),
        None => (egui::Align2::RIGHT_BOTTOM, egui::vec2(-12.0, -90.0)),
    };
    egui::Area::new(egui::Id::unique("notices"))
        .anchor(side, offset)
        .order(egui::Order::Foreground)
        .interactable(false)
        .show(ctx, |ui| {
            ui.set_max_width((ctx.content_rect().width() - 40.0).min(380.0));
            for notice in &session.notices {
                egui::Frame::popup(ui.style()).show(ui, |ui| {
                    let text = match notice.is_problem {
                        true => RichText::new(format!("⚠ {}", notice.text)).strong(),
                        false => RichText::new(&notice.text),
                    };
                    ui.label(text);
                });
            }
        });
}
