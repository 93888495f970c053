//! Measures how fast the chains run with and without the window, and the time of its frames.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

use anyhow::Context;

use super::desktop::Desktop;
use crate::{
    app::Viewer,
    config::{Tab, ViewState},
    say::say,
    worker::{self, Event, Worker},
};

/// Steps per second of the same worker without a window; `None` if the program was asked to stop first.
///
/// # Errors
/// The worker failed.
pub(super) fn headless_rate(
    device: &str,
    view: Option<ViewState>,
    secs: u16,
    stop: &AtomicBool,
) -> anyhow::Result<Option<f64>> {
    let Worker { commands, events, .. } = worker::spawn(device.to_string(), || {})?;
    let mut viewer = Viewer::new(view.unwrap_or_default());
    let mut counter = StepCounter::default();
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        for command in viewer.take_commands() {
            commands.send(command)?;
        }
        let batch =
            events.recv_timeout(Duration::from_secs(300)).context("the worker is silent")?;
        for event in batch {
            if let Event::Failed(reason) | Event::Refused(reason) = &event {
                anyhow::bail!("{reason}");
            }
            viewer.take(event);
        }
        if let Some(rate) = counter.count(&mut viewer, secs) {
            return Ok(Some(rate));
        }
    }
}

/// Keeps the chains running and counts their steps.
#[derive(Default)]
struct StepCounter {
    begin: Option<(Instant, u64)>,
}

impl StepCounter {
    /// The number of first steps that do not count, because caches still fill.
    const WARM_UP: u64 = 10;

    /// Steps per second, once they were counted for `secs` seconds.
    fn count(&mut self, viewer: &mut Viewer, secs: u16) -> Option<f64> {
        viewer.follow_lab();
        let is_lab = viewer.session.tab == Tab::Lab;
        if is_lab && viewer.lab.record.surface.is_some() && !viewer.lab.record.is_running {
            viewer.lab.toggle();
        } else if !is_lab && viewer.run.record.is_some() && !viewer.run.is_running {
            viewer.run.play();
        }
        let step = if is_lab { viewer.lab.record.step } else { viewer.run.last_step() };
        let now = Instant::now();
        if step < Self::WARM_UP {
            return None;
        }
        let (begin, first) = *self.begin.get_or_insert((now, step));
        let elapsed = (now - begin).as_secs_f64();
        (elapsed >= f64::from(secs)).then(|| (step - first) as f64 / elapsed)
    }
}

/// The window during a measurement.
pub(super) struct MeasuredWindow {
    desktop: Desktop,
    begin: Instant,
    secs: u16,
    counter: StepCounter,
    report: Report,
    last_frame: Option<Instant>,
    sender: Sender<Report>,
}

impl MeasuredWindow {
    /// Measures for `secs` seconds, then sends the report and closes; `begin` is the start time of the program.
    pub(super) fn new(desktop: Desktop, begin: Instant, secs: u16, sender: Sender<Report>) -> Self {
        let (counter, report) = (StepCounter::default(), Report::default());
        Self { desktop, begin, secs, counter, report, last_frame: None, sender }
    }
}

/// The measurements of a window.
#[derive(Default)]
pub(super) struct Report {
    /// The time from the start of the process to the first step of the chains in the window.
    first_step: Option<Duration>,
    /// Steps of the chains per second, with the window open.
    rate: f64,
    /// The seconds between each frame and the next.
    intervals: Vec<f64>,
    /// The seconds to build each frame, without painting it.
    building: Vec<f64>,
    /// The seconds of work of the window's thread per frame, with painting, without waiting for the screen.
    work: Vec<f64>,
}

impl Report {
    /// Prints the measurements, next to the rate without a window.
    pub(super) fn print(mut self, headless: f64) {
        let first_step = self.first_step.unwrap_or_default().as_secs_f64();
        say!("first step of the chains seen: {first_step:.2} s after start");
        let share = 100.0 * self.rate / headless;
        say!(
            "steps per second: {headless:.2} without a window, {:.2} with it ({share:.1} %)",
            self.rate
        );
        let of = |values: &mut Vec<f64>, share: f64| {
            values.sort_by(f64::total_cmp);
            let last = values.len().saturating_sub(1);
            1e3 * values.get((last as f64 * share) as usize).copied().unwrap_or_default()
        };
        for (what, values) in [
            ("from frame to frame", &mut self.intervals),
            ("building a frame", &mut self.building),
            ("building and painting", &mut self.work),
        ] {
            say!(
                "{what}, {} frames: median {:.1} ms, 99th percentile {:.1} ms, longest {:.1} ms",
                values.len(),
                of(values, 0.5),
                of(values, 0.99),
                of(values, 1.0)
            );
        }
    }
}

impl eframe::App for MeasuredWindow {
    fn on_exit(&mut self, gl: Option<&eframe::glow::Context>) {
        self.desktop.on_exit(gl);
    }

    fn logic(&mut self, ctx: &egui::Context, frame: &mut eframe::Frame) {
        self.desktop.logic(ctx, frame);
        let viewer = self.desktop.app.viewer_mut();
        if viewer.run.last_step() > 0 || viewer.lab.record.step > 0 {
            self.report.first_step.get_or_insert_with(|| self.begin.elapsed());
        }
        if let Some(rate) = self.counter.count(viewer, self.secs) {
            let report = std::mem::take(&mut self.report);
            let _ = self.sender.send(Report { rate, ..report });
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        let begin = Instant::now();
        self.desktop.ui(ui, frame);
        let shown = begin.elapsed().as_secs_f64();
        if let Some(last) = self.last_frame.replace(begin)
            && self.counter.begin.is_some()
        {
            self.report.intervals.push((begin - last).as_secs_f64());
            self.report.building.push(shown);
            // This time is the one of the previous frame.
            self.report.work.push(frame.info().cpu_usage.map_or(shown, f64::from));
        }
    }
}
