//! The command `jempp view`, which opens the window; so does `jempp` without a command.

mod desktop;
mod measure;
mod session;

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use eframe::glow::HasContext;

use self::{
    desktop::Desktop,
    measure::{MeasuredWindow, headless_rate},
    session::LastSession,
};
use super::{fetched, tune::TuneArgs};
use crate::{
    app::{App, Link, SIZE},
    bundled::{self, BundledModel},
    checkpoint::Checkpoint,
    config::ViewState,
    device::{self, AdapterSummary},
    kernel_choices::Tuning,
    lessons,
    say::complain,
    signals,
    worker::{self, Worker},
};

/// The name of the window, and of the folder in which its sessions are kept.
const NAME: &str = "jempp";
/// The time between two checks for a request to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(200);

/// The time between two frames that show new steps, if the window is drawn on the CPU. Such a frame takes about 20 ms
/// of both of two cores, and the chains need that time.
const SOFTWARE_FRAME: Duration = Duration::from_millis(125);

#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// Query of a link, as copied by `Copy link`: every key that the window sets.
    #[arg(value_name = "LINK")]
    link: Option<String>,
    /// Checkpoint of a run, a packed model, or the address of one, as in hf:OWNER/NAME or https://…/FILE.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Bundled model: fashion, fashion-sampler, mnist, mnist-sampler, cifar10-jpeg, fashion-classifier, cifar10-jpeg-classifier, two-moons or two-moons-classifier.
    #[arg(long, value_name = "NAME", value_parser = bundled::find, conflicts_with = "checkpoint")]
    model: Option<BundledModel>,
    /// Compute device: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    tune: TuneArgs,
    /// Start to play at once.
    #[arg(long)]
    play: bool,
    /// Save pictures, animations and traces to this folder without asking.
    #[arg(long, value_name = "DIR")]
    save_to: Option<PathBuf>,
    /// Read the lessons from this folder: 1.md to 8.md, as in assets/lessons.
    #[arg(long, value_name = "DIR")]
    lessons: Option<PathBuf>,
    /// Play this many seconds without and with the window, print rates and frame times, and exit.
    #[arg(
        long,
        value_name = "SECS",
        conflicts_with = "save_to",
        value_parser = clap::value_parser!(u16).range(1..=3600)
    )]
    measure: Option<u16>,
}

impl Default for ViewArgs {
    fn default() -> Self {
        Self {
            link: None,
            checkpoint: None,
            model: None,
            device: "auto".into(),
            tune: TuneArgs::default(),
            play: false,
            save_to: None,
            lessons: None,
            measure: None,
        }
    }
}

impl ViewArgs {
    /// The view that the command line requests; `None` restores the last session.
    fn view(&self) -> anyhow::Result<Option<ViewState>> {
        let link = self.link.as_deref();
        let mut view =
            link.map(ViewState::from_query).transpose().context("the link cannot be shown")?;
        let path = self.checkpoint.as_deref().map(checkpoint_path).transpose()?;
        if let Some(name) = path.or(self.model.map(|model| model.name.to_string())) {
            anyhow::ensure!(
                !link.is_some_and(names_model),
                "the link names a model, and so does the command line: give one of the two"
            );
            view.get_or_insert_default().view.model = name;
        }
        Ok(view)
    }
}

/// Whether a link names a model.
fn names_model(link: &str) -> bool {
    let query = link.rsplit_once('?').map_or(link, |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "model")
}

/// The absolute path of the checkpoint at a path or in a run folder. It is absolute because the session may be restored
/// from another folder.
fn checkpoint_path(path: &Path) -> anyhow::Result<String> {
    let path = &fetched::local(path)?;
    let file = if path.is_dir() { path.join("checkpoint.safetensors") } else { path.to_path_buf() };
    anyhow::ensure!(file.is_file(), "there is no checkpoint {}", file.display());
    // What the window could not open would show as another model.
    Checkpoint::load(&file)?;
    Ok(std::path::absolute(&file)?.display().to_string())
}

/// Checks that a folder holds lessons, and says which ones are missing.
fn check_lessons(folder: &Path) -> anyhow::Result<()> {
    let names = (1..=lessons::TITLES.len()).map(|number| format!("{number}.md"));
    let missing: Vec<String> = names.filter(|name| !folder.join(name).is_file()).collect();
    anyhow::ensure!(
        missing.len() < lessons::TITLES.len(),
        "{} holds no lessons: copy assets/lessons, 1.md to 8.md, there and edit them",
        folder.display()
    );
    if !missing.is_empty() {
        complain!("{}: not there: {}", folder.display(), missing.join(", "));
    }
    Ok(())
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// There is no display, or no graphics adapter that can draw.
pub(super) fn run(args: &ViewArgs) -> anyhow::Result<()> {
    let view = args.view()?;
    args.tune.start(&args.device, Tuning::On)?;
    if let Some(folder) = &args.save_to {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    if let Some(folder) = &args.lessons {
        check_lessons(folder)?;
    }
    let stop = signals::stop_flag()?;
    let headless = match args.measure {
        Some(secs) => match headless_rate(&args.device, view.clone(), secs, &stop)? {
            None => return Ok(()),
            rate => rate,
        },
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
    wake_to_stop(stop.clone(), window.clone())?;
    // A measurement must not depend on the last session.
    let session = match measure {
        None => LastSession::begin(eframe::storage_dir(NAME)),
        Some(_) => LastSession::default(),
    };
    let link = Link { commands, events };
    let parts = Rc::new(Cell::new(Some((link, view, save_to, lessons, session))));
    let [first, second] = renderers();
    let options = |renderer| eframe::NativeOptions {
        renderer,
        viewport: egui::ViewportBuilder::default()
            .with_inner_size(SIZE)
            .with_min_inner_size([640.0, 480.0]),
        persist_window: measure.is_none(),
        // Only colour gradients need dithering, and it is slow on software adapters.
        dithering: false,
        ..Default::default()
    };
    let create = || -> eframe::AppCreator<'static> {
        let (parts, window, sender) = (parts.clone(), window.clone(), sender.clone());
        let stop = stop.clone();
        Box::new(move |creation| {
            let (link, view, save_to, lessons, mut session) =
                parts.take().ok_or("the window was opened before")?;
            let pause = if is_drawn_by_cpu(creation) { SOFTWARE_FRAME } else { Duration::ZERO };
            let _ = window.set((creation.egui_ctx.clone(), pause));
            let last = session.restore(creation.storage);
            let is_first = view.is_none() && last.is_none() && measure.is_none();
            let mut app = App::new(link, view.or(last).unwrap_or_default());
            if is_first && session.warning().is_none() {
                app.welcome();
            }
            if let Some(text) = session.memory(creation.storage) {
                app.viewer_mut().recall(&text);
            }
            session.restore_drawings(creation.storage, |text| {
                app.viewer_mut().training.drawn.restore(text)
            });
            app.viewer_mut().session.warning = session.warning();
            if let Some(folder) = save_to {
                app.save_to(folder);
            }
            // Start the chains as soon as the model is loaded.
            if play {
                app.viewer_mut().play_when_ready(true);
            }
            app.viewer_mut().lesson.folder = lessons;
            let desktop = Desktop::new(app, session, stop);
            Ok(match measure {
                Some(secs) => Box::new(MeasuredWindow::new(desktop, begin, secs, sender)),
                None => Box::new(desktop),
            })
        })
    };
    let open = |renderer| eframe::run_native(NAME, options(renderer), create());
    // eframe panics if OpenGL has no configuration for a window.
    let opened = catch_unwind(AssertUnwindSafe(|| open(first)));
    let opened = match (opened, parts.take()) {
        // The window opened: it took the parts.
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
                    "neither wgpu nor OpenGL can draw here: {first} (on Linux, libgl1-mesa-dri or mesa-vulkan-drivers \
                     will do)"
                ))
            })
        }
    };
    // The worker ends when its link is dropped. A training run is saved before the process ends.
    if let Some((.., session)) = parts.take() {
        session.end();
    }
    let saved = thread.join();
    opened?;
    if let Ok(Err(reason)) = saved {
        anyhow::bail!("{reason}");
    }
    if let (Ok(report), Some(headless)) = (receiver.try_recv(), headless) {
        report.print(headless);
    }
    Ok(())
}

/// Wakes the window when the program is asked to stop, because it may not draw at that moment.
fn wake_to_stop(
    stop: Arc<AtomicBool>,
    window: Arc<OnceLock<(egui::Context, Duration)>>,
) -> std::io::Result<()> {
    let wait = move || {
        loop {
            std::thread::sleep(STOP_INTERVAL);
            if let (true, Some((ctx, _))) = (stop.load(Ordering::Relaxed), window.get()) {
                ctx.request_repaint();
            }
        }
    };
    std::thread::Builder::new().name("stop".into()).spawn(wait).map(drop)
}

fn why_not(error: &eframe::Error) -> anyhow::Error {
    match error {
        // The text of this error names source files, so it is replaced.
        eframe::Error::WinitEventLoop(_) => {
            anyhow::anyhow!("no window could be opened: there is no display")
        }
        error => anyhow::anyhow!("no window could be opened: {error}"),
    }
}

/// Whether a software renderer draws the window.
fn is_drawn_by_cpu(creation: &eframe::CreationContext<'_>) -> bool {
    if let Some(state) = &creation.wgpu_render_state {
        return state.adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    }
    let Some(gl) = &creation.gl else { return false };
    // SAFETY: eframe makes the context current before it makes the app.
    let renderer = unsafe { gl.get_parameter_string(eframe::glow::RENDERER) };
    ["llvmpipe", "softpipe", "swrast"].iter().any(|name| renderer.contains(name))
}

/// The renderer to try first, and the one to try if it fails: wgpu first, unless there are only software adapters. On
/// Linux, a software renderer draws a window with OpenGL in a quarter of the time that it needs with Vulkan.
fn renderers() -> [eframe::Renderer; 2] {
    let has_gpu = || pollster::block_on(device::list()).iter().any(AdapterSummary::is_hardware);
    match cfg!(target_os = "linux") && !has_gpu() {
        true => [eframe::Renderer::Glow, eframe::Renderer::Wgpu],
        false => [eframe::Renderer::Wgpu, eframe::Renderer::Glow],
    }
}
