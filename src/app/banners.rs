//! Short versions of the status line and the banners for small windows.

use egui::{Align, Color32, Frame, Label, Layout, Margin, Panel, Response, RichText, Ui};

use super::{pixels::SMALL, state::Session, status::Status, theme, viewer::Viewer};

impl Status {
    /// Draws the device and the speed on one line, as far as they fit.
    pub(super) fn small(&self, ui: &mut Ui, viewer: &Viewer) {
        let Viewer { run, training, session, .. } = viewer;
        let device = match &session.device {
            None => "opening the device…",
            Some((_, true)) => "No GPU: slower, on the CPU.",
            Some((description, false)) => description,
        };
        let hover = session.device.as_ref().map_or(device, |device| &device.0);
        let mut parts: Vec<String> = training.record.in_sight().into_iter().collect();
        if run.is_running {
            parts.push(format!("{:.1} steps/s", run.steps_per_sec));
        }
        parts.push(device.to_string());
        let text = RichText::new(parts.join(" · ")).size(SMALL);
        ui.add(Label::new(text).truncate()).on_hover_text(hover);
    }

    /// Draws the important banners of a small window, one line each. Returns whether the user asked to reopen
    /// the device and the model.
    pub(super) fn small_banners(&self, ui: &mut Ui, session: &mut Session) -> bool {
        let mut is_retry = false;
        if let Some(reason) = session.failure.clone() {
            let text = format!("Stopped: {reason}.");
            is_retry = small_banner(ui, "failure", theme::BROKEN, &text, "Try again").clicked();
        }
        if let Some(text) = session.warning.clone() {
            let close = small_banner(ui, "warning", theme::SLOW, &text, "✖");
            if close.accessible_name("Close this message").clicked() {
                session.warning = None;
            }
        }
        is_retry
    }
}

/// A line of text with a button at its end.
pub(super) fn small_banner(
    ui: &mut Ui,
    id: &'static str,
    fill: Color32,
    text: &str,
    button: &str,
) -> Response {
    let frame = Frame::new().fill(fill).inner_margin(Margin::symmetric(8, 2));
    let row = |ui: &mut Ui| {
        let label = RichText::new(text).color(Color32::WHITE);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let button = ui.button(button);
            // The reason of a failure may be long, and must leave space for the chains.
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(Label::new(label).truncate()).on_hover_text(text);
            });
            button
        })
        .inner
    };
    let height = ui.spacing().interact_size.y + 4.0;
    Panel::top(id).exact_size(height).frame(frame).show(ui, row).inner
}
