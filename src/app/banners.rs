//! What the status line and the banners come down to where room is scarce.

use egui::{Align, Color32, Frame, Label, Layout, Margin, Panel, Response, RichText, Ui};

use super::{
    status::{Status, try_again},
    theme,
    viewer::Viewer,
};

impl Status {
    /// Draws device and speed on one line, as far as there is room.
    pub fn small(&self, ui: &mut Ui, viewer: &Viewer) {
        let device = viewer.device.as_ref().map_or("opening the device…", |device| &device.0);
        let mut text = RichText::new(device).small();
        if viewer.is_running {
            text = RichText::new(format!("{:.1} steps/s · {device}", viewer.steps_per_sec)).small();
        }
        ui.add(Label::new(text).truncate());
    }

    /// Draws what must not be overlooked where room is scarce: a line for each.
    pub fn small_banners(&mut self, ui: &mut Ui, viewer: &mut Viewer) {
        if let Some(reason) = viewer.failure.clone() {
            let text = format!("Stopped: {reason}.");
            if small_banner(ui, "failure", theme::BROKEN, &text, "Try again").clicked() {
                try_again(viewer);
            }
        }
        if let Some(text) = viewer.warning.clone() {
            let close = small_banner(ui, "warning", theme::SLOW, &text, "✖");
            if close.accessible_name("Close this message").clicked() {
                viewer.warning = None;
            }
        }
        if !self.is_banner_closed && viewer.device.as_ref().is_some_and(|device| device.1) {
            let text = "No GPU: slower, on the CPU.";
            let close = small_banner(ui, "cpu", theme::SLOW, text, "✖");
            self.is_banner_closed = close.accessible_name("Understood").clicked();
        }
    }
}

/// A line with a button at its end.
fn small_banner(
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
            // The reason of a failure may be long, and must leave room for the chains.
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
