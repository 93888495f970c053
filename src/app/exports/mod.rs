//! Exports of what is seen: a picture, an animation, a table.

mod chains;

use egui::{Context, Theme, Ui, Vec2, vec2};
use image::RgbImage;

use self::chains::ChainsJob;
use super::{
    chains_panel::{self, ChainsView},
    lab::{self, LabView},
    offscreen::Drawing,
    panels::Panels,
    plots::{self, PlotsView},
    state::{ExportKind, Lab, PictureOptions},
    viewer::Viewer,
    words,
};
use crate::{config::Tab, picture};

/// The number of steps in an animation of the lab.
const NUM_LAB_FRAMES: usize = 60;
const FRAME_MILLIS: u32 = 80;
/// The longest link in a caption, in characters.
const MAX_LINK: usize = 400;

/// A file to save: what it shows, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Export {
    pub(super) kind: ExportKind,
    pub(super) tab: Tab,
}

impl Export {
    /// The file name that the dialog suggests.
    pub(super) fn file_name(self) -> &'static str {
        match (self.tab, self.kind) {
            (Tab::Plots, ExportKind::Png) => "plots.png",
            (Tab::Plots, ExportKind::Svg) => "plots.svg",
            (Tab::Lab, ExportKind::Png) => "lab.png",
            (Tab::Lab, ExportKind::Svg) => "lab.svg",
            (Tab::Lab, ExportKind::Gif) => "lab.gif",
            (Tab::Lab, ExportKind::Csv) => "lab.csv",
            (_, ExportKind::Png) => "chains.png",
            (_, ExportKind::Svg) => "chains.svg",
            (_, ExportKind::Gif) => "chains.gif",
            (_, ExportKind::Csv) => "traces.csv",
        }
    }
}

/// A file to export, with all the data it needs, so that another thread can write it.
pub(super) enum ExportJob {
    /// A drawing of the view, as pixels.
    Pixels(Drawing),
    /// A drawing of the view, as vector graphics.
    Vectors(Drawing),
    /// The recorded images of the chains, or their numbers.
    Chains(ChainsJob),
    /// The frames of an animation.
    Frames(Vec<RgbImage>),
    /// A text.
    Text(String),
}

impl ExportJob {
    /// Encodes the content of the file.
    ///
    /// # Errors
    /// Returns a message for the user if encoding fails.
    pub(super) fn bytes(self) -> Result<Vec<u8>, String> {
        let encoded = match self {
            Self::Text(text) => return Ok(text.into_bytes()),
            Self::Vectors(drawing) => return Ok(drawing.svg().into_bytes()),
            Self::Chains(job) => return job.bytes(),
            Self::Pixels(drawing) => picture::png_of(drawing.pixels()),
            Self::Frames(frames) => picture::gif_of(frames, FRAME_MILLIS),
        };
        encoded.map_err(|error| format!("cannot encode the picture: {error}"))
    }
}

/// An animation of the lab while its steps are recorded.
#[derive(Default)]
pub(super) struct LabRecording {
    frames: Option<Vec<RgbImage>>,
    last_step: Option<u64>,
}

impl LabRecording {
    /// Records the current step of the lab, if it is new. Returns the animation once it is complete.
    fn follow(&mut self, ctx: &Context, viewer: &mut Viewer, view: &LabView) -> Option<ExportJob> {
        self.frames.as_ref()?;
        let step = viewer.lab.record.step;
        if viewer.shows_plane() && self.last_step != Some(step) {
            self.last_step = Some(step);
            let options = PictureOptions { scale: 1, ..viewer.session.picture };
            let frame = draw(ctx, viewer, view, options)?.pixels();
            self.frames.as_mut()?.push(frame);
        }
        let is_whole = self.frames.as_ref()?.len() >= NUM_LAB_FRAMES;
        (is_whole || !viewer.shows_plane()).then(|| self.frames.take().map(ExportJob::Frames))?
    }
}

/// Does what the user asked to save in this frame: of the view that is seen.
pub(super) fn follow(ctx: &Context, viewer: &mut Viewer, panels: &mut Panels) {
    let tab = viewer.session.tab;
    if let Some(job) = panels.recording.follow(ctx, viewer, &panels.lab) {
        let export = Export { kind: ExportKind::Gif, tab: Tab::Lab };
        panels.files.save(ctx, export, job, &mut viewer.run, &mut viewer.session);
    }
    let Some(kind) = viewer.session.export.take() else { return };
    let options = viewer.session.picture;
    let job = match (tab, kind) {
        (Tab::Train, _) => None,
        (_, ExportKind::Png) => draw(ctx, viewer, &panels.lab, options).map(ExportJob::Pixels),
        (_, ExportKind::Svg) => draw(ctx, viewer, &panels.lab, options).map(ExportJob::Vectors),
        (Tab::Lab, ExportKind::Gif) if viewer.lab.is_plane() => {
            panels.recording = LabRecording { frames: Some(Vec::new()), last_step: None };
            viewer.session.notify(format!(
                "Recording {NUM_LAB_FRAMES} steps of the lab, then saving them. Leaving the lab stops the \
                 recording."
            ));
            return;
        }
        (Tab::Lab, ExportKind::Csv) if viewer.lab.is_plane() => {
            traces(&viewer.lab).map(ExportJob::Text)
        }
        (_, ExportKind::Gif | ExportKind::Csv) => {
            ChainsJob::new(kind == ExportKind::Csv, &viewer.run).map(ExportJob::Chains)
        }
    };
    let Some(job) = job else {
        let why = match tab {
            Tab::Train => "Open the tab whose view you want to save: Chains, Plots or Lab.",
            _ => "There is nothing to save yet.",
        };
        return viewer.session.complain(why);
    };
    panels.files.save(ctx, Export { kind, tab }, job, &mut viewer.run, &mut viewer.session);
}

/// Draws the view that is seen, with a caption. `None` if there is nothing to see.
fn draw(
    ctx: &Context,
    viewer: &mut Viewer,
    view: &LabView,
    options: PictureOptions,
) -> Option<Drawing> {
    let is_empty = match viewer.shows_plane() {
        true => viewer.lab.record.surface.is_none(),
        false => viewer.run.shown_images().is_none(),
    };
    if is_empty {
        return None;
    }
    let caption = caption(viewer);
    let theme = match options.is_light {
        true => Theme::Light,
        false => ctx.theme(),
    };
    let (mut chains, mut plots, mut lab_view) =
        (ChainsView::default(), PlotsView::default(), view.again());
    let Viewer { run, lab, session, .. } = viewer;
    let contents = |ui: &mut Ui| {
        egui::Panel::bottom("caption")
            .show(ui, |ui| caption.iter().for_each(|line| drop(ui.small(line))));
        match session.tab {
            Tab::Lab => lab::bare(ui, lab, run, &mut lab_view),
            Tab::Plots => plots::ui(ui, run, &mut plots),
            Tab::Chains | Tab::Train => chains_panel::bare(ui, run, &mut chains),
        }
    };
    Some(Drawing::new(ctx, size(session.tab), f32::from(options.scale), theme, contents))
}

/// The size of a picture at 1×, in points.
fn size(tab: Tab) -> Vec2 {
    match tab {
        Tab::Plots => vec2(960.0, 1400.0),
        Tab::Lab => vec2(800.0, 860.0),
        Tab::Chains | Tab::Train => vec2(800.0, 760.0),
    }
}

/// What a picture shows: the model, the step, the rules, the seed, and the link to it.
fn caption(viewer: &Viewer) -> [String; 2] {
    let link = words::shown(&format!("jempp view '{}'", viewer.view().to_query()), MAX_LINK);
    let first = match viewer.shows_plane() {
        true => {
            let config = &viewer.lab.settings.config;
            let names = words::lane_names(&viewer.lab.settings.rules).join(" | ");
            format!(
                "{} · step {} · {names} · seed {}",
                lab::target_name(config.target),
                viewer.lab.record.step,
                config.seed
            )
        }
        false => {
            let names = words::lane_names(&viewer.run.lanes).join(" | ");
            let settings = &viewer.run.settings;
            let model = words::model_name(&settings.model, 60);
            format!("{model} · step {} · {names} · seed {}", viewer.run.shown_step(), settings.seed)
        }
    };
    [first, link]
}

/// The traces of the lab's chains as a table, or `None` if there are none yet.
fn traces(lab: &Lab) -> Option<String> {
    use std::fmt::Write;
    let mut text = String::from("step,rule,chain,x0,x1,energy\n");
    let head = text.len();
    for (rule, lane) in lab.record.lanes.iter().enumerate() {
        for (chain, trace) in lane.traces.iter().enumerate() {
            for (step, [x0, x1, energy]) in (lane.first_traced..).zip(trace) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{step},{rule},{chain},{x0},{x1},{energy}");
            }
        }
    }
    (text.len() > head).then_some(text)
}
