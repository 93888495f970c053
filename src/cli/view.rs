//! `jempp view`, and the window that bare `jempp` opens.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, OnceLock, mpsc::Sender},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use eframe::glow::HasContext;

use crate::{
    app::{App, Link, SESSION_KEY, SIZE, Viewer},
    bundled::{self, BundledModel},
    config::{Tab, ViewState},
    device::{self, AdapterSummary},
    say::say,
    worker::{self, Event, Worker},
};

/// Between two frames that show new steps where a program draws the window on the CPU. Such a frame
/// takes some 20 ms of all of two cores, which the chains need more.
const SOFTWARE_FRAME: Duration = Duration::from_millis(125);

#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// The query of a link, as `Copy link` gives it: every key that the window sets.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// Checkpoint of a run, or a packed model.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A model that travels inside the program: fashion, mnist, fashion-classifier, two-moons or two-moons-classifier.
    #[arg(long, value_name = "NAME", value_parser = bundled::find, conflicts_with = "checkpoint")]
    model: Option<BundledModel>,
    /// Compute device: auto, gpu, cpu, or an adapter's index or name.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Begin to play at once.
    #[arg(long)]
    play: bool,
    /// Write pictures, animations and traces into this folder without asking.
    #[arg(long, value_name = "DIR")]
    save_to: Option<PathBuf>,
    /// Read the lessons from this folder: 1.md to 8.md, as in assets/lessons.
    #[arg(long, value_name = "DIR")]
    lessons: Option<PathBuf>,
    /// Play so many seconds without and with the window, print rates and frame times, and leave.
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    measure: Option<u16>,
}

impl Default for ViewArgs {
    fn default() -> Self {
        Self {
            link: None,
            checkpoint: None,
            model: None,
            device: "auto".into(),
            play: false,
            save_to: None,
            lessons: None,
            measure: None,
        }
    }
}

impl ViewArgs {
    /// What the command line asks for; `None` goes on where the last session stopped.
    fn view(&self) -> anyhow::Result<Option<ViewState>> {
        let mut view = self.link.as_deref().map(ViewState::from_query).transpose()?;
        let path = self.checkpoint.as_ref().map(|path| path.display().to_string());
        if let Some(name) = path.or(self.model.map(|model| model.name.to_string())) {
            view.get_or_insert_default().view.model = name;
        }
        Ok(view)
    }
}

/// Opens the window and stays until it is closed.
///
/// # Errors
/// There is no display, or nothing to draw with.
pub(super) fn run(args: &ViewArgs) -> anyhow::Result<()> {
    let view = args.view()?;
    if let Some(folder) = &args.save_to {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    if let Some(folder) = args.lessons.as_ref().filter(|folder| !folder.join("1.md").is_file()) {
        anyhow::bail!(
            "{} holds no lessons: copy assets/lessons, 1.md to 8.md, there and edit them",
            folder.display()
        );
    }
    let headless = match args.measure {
        Some(secs) => Some(headless_rate(&args.device, view.clone(), secs)?),
        None => None,
    };
    let begin = Instant::now();
    let window: Arc<OnceLock<(egui::Context, Duration)>> = Arc::default();
    let waker = window.clone();
    let wake = move || {
        if let Some((ctx, pause)) = waker.get() {
            ctx.request_repaint_after(*pause);
        }
    };
    let Worker { commands, events, thread } = worker::spawn(args.device.clone(), wake)?;
    let (play, save_to, measure) = (args.play, args.save_to.clone(), args.measure);
    let lessons = args.lessons.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    let parts = Rc::new(Cell::new(Some((Link { commands, events }, view, save_to, lessons))));
    let [first, second] = renderers();
    let options = |renderer| eframe::NativeOptions {
        renderer,
        viewport: egui::ViewportBuilder::default()
            .with_inner_size(SIZE)
            .with_min_inner_size([640.0, 480.0]),
        persist_window: measure.is_none(),
        // Only gradients need it, and software adapters feel it.
        dithering: false,
        ..Default::default()
    };
    let create = || -> eframe::AppCreator<'static> {
        let (parts, window, sender) = (parts.clone(), window.clone(), sender.clone());
        Box::new(move |creation| {
            let (link, view, save_to, lessons) =
                parts.take().ok_or("the window was opened before")?;
            let pause = if is_drawn_by_cpu(creation) { SOFTWARE_FRAME } else { Duration::ZERO };
            let _ = window.set((creation.egui_ctx.clone(), pause));
            let last = creation.storage.and_then(|storage| eframe::get_value(storage, SESSION_KEY));
            // What is measured must not hang on the last session.
            let last = if measure.is_some() { None } else { last };
            let view = view.or(last).unwrap_or_default();
            let mut app = App::new(link, view);
            if let Some(folder) = save_to {
                app.save_to(folder);
            }
            // Chains that run when the model comes go on running.
            match app.viewer().shows_plane() {
                true if play => app.viewer_mut().prepare_lab(true),
                true => {}
                false => app.viewer_mut().is_running |= play,
            }
            app.viewer_mut().lesson_folder = lessons;
            Ok(match measure {
                Some(secs) => Box::new(Measured {
                    app,
                    begin,
                    secs,
                    watch: Watch::default(),
                    report: Report::default(),
                    last_frame: None,
                    sender,
                }),
                None => Box::new(app),
            })
        })
    };
    let open = |renderer| eframe::run_native("jempp", options(renderer), create());
    // eframe panics where OpenGL has no configuration for a window.
    let opened = catch_unwind(AssertUnwindSafe(|| open(first)));
    let opened = match (opened, parts.take()) {
        // A window that opened took them.
        (Ok(opened), None) => opened.map_err(|error| why_not(&error)),
        (Err(panic), None) => resume_unwind(panic),
        (Ok(Err(error @ eframe::Error::WinitEventLoop(_))), _) => Err(why_not(&error)),
        (Ok(Ok(())), Some(_)) => Ok(()),
        (failed, unused) => {
            parts.set(unused);
            let first = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => "OpenGL has no configuration for a window".into(),
            };
            open(second).map_err(|error| {
                why_not(&error).context(format!(
                    "neither wgpu nor OpenGL draws here: {first} (on Linux, libgl1-mesa-dri or mesa-vulkan-drivers \
                     will do)"
                ))
            })
        }
    };
    // The worker ends with the link to it. A training run is saved before the process ends.
    parts.take();
    let _ = thread.join();
    opened?;
    if let (Ok(report), Some(headless)) = (receiver.try_recv(), headless) {
        report.print(headless);
    }
    Ok(())
}

fn why_not(error: &eframe::Error) -> anyhow::Error {
    match error {
        // Its text names source files.
        eframe::Error::WinitEventLoop(_) => {
            anyhow::anyhow!("no window could be opened: there is no display")
        }
        error => anyhow::anyhow!("no window could be opened: {error}"),
    }
}

/// Whether the window is drawn by a program that stands in for a GPU.
fn is_drawn_by_cpu(creation: &eframe::CreationContext<'_>) -> bool {
    if let Some(state) = &creation.wgpu_render_state {
        return state.adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    }
    let Some(gl) = &creation.gl else { return false };
    // SAFETY: eframe makes the context current before it makes the app.
    let renderer = unsafe { gl.get_parameter_string(eframe::glow::RENDERER) };
    ["llvmpipe", "softpipe", "swrast"].iter().any(|name| renderer.contains(name))
}

/// Who is to draw the window, and who else where that fails: wgpu, unless only programs stand in for GPUs.
/// On Linux such a program fills a window with OpenGL in a quarter of the time that it takes with Vulkan.
fn renderers() -> [eframe::Renderer; 2] {
    let has_gpu = || pollster::block_on(device::list()).iter().any(AdapterSummary::is_hardware);
    match cfg!(target_os = "linux") && !has_gpu() {
        true => [eframe::Renderer::Glow, eframe::Renderer::Wgpu],
        false => [eframe::Renderer::Wgpu, eframe::Renderer::Glow],
    }
}

/// Steps per second of the same worker when nobody draws.
fn headless_rate(device: &str, view: Option<ViewState>, secs: u16) -> anyhow::Result<f64> {
    let Worker { commands, events, .. } = worker::spawn(device.to_string(), || {})?;
    let mut viewer = Viewer::new(view.unwrap_or_default());
    let mut watch = Watch::default();
    loop {
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
        if let Some(rate) = watch.look(&mut viewer, secs) {
            return Ok(rate);
        }
    }
}

/// Keeps the chains running and counts their steps.
#[derive(Default)]
struct Watch {
    begin: Option<(Instant, u64)>,
}

impl Watch {
    /// Steps in which caches fill; they do not count.
    const WARM_UP: u64 = 10;

    /// Steps per second, once they were counted for so long.
    fn look(&mut self, viewer: &mut Viewer, secs: u16) -> Option<f64> {
        viewer.follow_lab();
        let is_lab = viewer.view.view.tab == Tab::Lab;
        if is_lab && viewer.lab.surface.is_some() && !viewer.lab.is_running {
            viewer.toggle_lab();
        } else if !is_lab && viewer.record.is_some() && !viewer.is_running {
            viewer.play();
        }
        let step = if is_lab { viewer.lab.step } else { viewer.last_step() };
        let now = Instant::now();
        if step < Self::WARM_UP {
            return None;
        }
        let (begin, first) = *self.begin.get_or_insert((now, step));
        let elapsed = (now - begin).as_secs_f64();
        (elapsed >= f64::from(secs)).then(|| (step - first) as f64 / elapsed)
    }
}

/// The window with a watch.
struct Measured {
    app: App,
    begin: Instant,
    secs: u16,
    watch: Watch,
    report: Report,
    last_frame: Option<Instant>,
    sender: Sender<Report>,
}

/// What was measured of a window.
#[derive(Default)]
struct Report {
    /// From the start of the process to the first step of the chains in the window.
    first_step: Option<Duration>,
    /// Steps per second.
    rate: f64,
    /// Seconds from frame to frame.
    intervals: Vec<f64>,
    /// Seconds of building each frame, without painting it.
    building: Vec<f64>,
    /// Seconds of the window's thread on each frame, painting included, waiting for the screen not.
    work: Vec<f64>,
}

impl Report {
    fn print(mut self, headless: f64) {
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

impl eframe::App for Measured {
    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.app.leave();
    }

    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.app.drain(ctx);
        let viewer = self.app.viewer_mut();
        if viewer.last_step() > 0 || viewer.lab.step > 0 {
            self.report.first_step.get_or_insert_with(|| self.begin.elapsed());
        }
        if let Some(rate) = self.watch.look(viewer, self.secs) {
            let report = std::mem::take(&mut self.report);
            let _ = self.sender.send(Report { rate, ..report });
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        let begin = Instant::now();
        self.app.show(ui);
        let shown = begin.elapsed().as_secs_f64();
        if let Some(last) = self.last_frame.replace(begin)
            && self.watch.begin.is_some()
        {
            self.report.intervals.push((begin - last).as_secs_f64());
            self.report.building.push(shown);
            // Known of the frame before.
            self.report.work.push(frame.info().cpu_usage.map_or(shown, f64::from));
        }
    }
}
