//! Exports of what is seen: a picture, an animation, a table.

mod film;
mod traces;

use egui::{Context, Theme, Ui, Vec2, vec2};
use image::RgbImage;

use self::{film::Film, traces::TracesJob};
use super::{
    chains_panel::{self, ChainsView},
    lab::{self, LabView},
    offscreen::{Drawing, Studio},
    panels::Panels,
    plots::{self, PlotsView},
    state::{ExportKind, PictureOptions},
    viewer::Viewer,
    words,
};
use crate::{config::Tab, picture};

pub(super) use film::{NUM_LAB_FRAMES, num_frames};

const FRAME_MILLIS: u32 = 100;
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
    /// The recorded numbers of the chains.
    Traces(TracesJob),
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
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Traces(job) => Ok(job.text().into_bytes()),
            Self::Vectors(drawing) => Ok(drawing.svg().into_bytes()),
            Self::Pixels(drawing) => picture::png_of(drawing.pixels())
                .map_err(|error| format!("cannot encode the picture: {error}")),
            Self::Frames(frames) => picture::gif_of(&frames, FRAME_MILLIS)
                .map_err(|error| format!("cannot encode the animation: {error}")),
        }
    }
}

/// An animation while it is drawn, if there is one.
#[derive(Default)]
pub(super) struct Recording(Option<Film>);

/// Does what the user asked to save in this frame: of the view that is seen.
pub(super) fn follow(ctx: &Context, viewer: &mut Viewer, panels: &mut Panels) {
    let tab = viewer.session.tab;
    if let Some(mut film) = panels.recording.0.take() {
        match film.follow(ctx, viewer) {
            true => {
                let export = Export { kind: ExportKind::Gif, tab: film.tab() };
                panels.files.save(ctx, export, film.job(), &mut viewer.run, &mut viewer.session);
            }
            false => panels.recording.0 = Some(film),
        }
    }
    let Some(kind) = viewer.session.export.take() else { return };
    let options = viewer.session.picture;
    let is_plane = viewer.shows_plane();
    let job = match (tab, kind) {
        (Tab::Train, _) => None,
        (_, ExportKind::Png) => draw(ctx, viewer, &panels.lab, options).map(ExportJob::Pixels),
        (_, ExportKind::Svg) => draw(ctx, viewer, &panels.lab, options).map(ExportJob::Vectors),
        (_, ExportKind::Csv) if is_plane => {
            traces::of_lab(&viewer.lab, &caption(viewer, tab)).map(ExportJob::Text)
        }
        (_, ExportKind::Csv) => {
            TracesJob::new(&viewer.run, &caption(viewer, Tab::Chains)).map(ExportJob::Traces)
        }
        (_, ExportKind::Gif) => match Film::new(ctx, viewer, &panels.lab, options) {
            Some(film) => {
                let count = film.length();
                viewer.session.notify(match is_plane {
                    true => format!(
                        "Recording {count} steps of the lab. They are saved when they are complete. Leaving the lab stops the recording."
                    ),
                    false => format!("Drawing {count} frames. They are saved when they are complete."),
                });
                panels.recording.0 = Some(film);
                return ctx.request_repaint();
            }
            None => None,
        },
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
    if is_empty(viewer) {
        return None;
    }
    let tab = viewer.session.tab;
    let caption = caption(viewer, tab);
    let (chains, lab) = (&mut ChainsView::default(), &mut view.again());
    let mut contents = Contents { tab, caption: &caption, chains, lab };
    let mut plots = PlotsView::default();
    let scale = f32::from(options.scale);
    let mut studio = Studio::new(ctx, size(tab), scale, light_or_dark(ctx, options));
    Some(studio.draw(|ui| match tab {
        Tab::Plots => {
            contents.caption(ui);
            plots::ui(ui, &mut viewer.run, &mut plots);
        }
        _ => contents.show(ui, viewer),
    }))
}

/// Draws the chains or the lab alone on a light background, for a document. `None` if there is nothing to see.
pub(super) fn for_print(
    ctx: &Context,
    viewer: &mut Viewer,
    view: &LabView,
    size: Vec2,
) -> Option<RgbImage> {
    if is_empty(viewer) {
        return None;
    }
    let (chains, lab) = (&mut ChainsView::default(), &mut view.again());
    let mut contents = Contents { tab: viewer.session.tab, caption: &[], chains, lab };
    let mut studio = Studio::new(ctx, size, 1.0, Theme::Light);
    Some(studio.draw(|ui| contents.show(ui, viewer)).pixels())
}

/// Whether there is nothing to save yet.
fn is_empty(viewer: &Viewer) -> bool {
    match viewer.shows_plane() {
        true => viewer.lab.record.surface.is_none(),
        false => viewer.run.shown_images().is_none(),
    }
}

fn light_or_dark(ctx: &Context, options: PictureOptions) -> Theme {
    if options.is_light { Theme::Light } else { ctx.theme() }
}

/// The chains or the lab as they are drawn for a picture, with a caption.
struct Contents<'a> {
    tab: Tab,
    caption: &'a [String],
    chains: &'a mut ChainsView,
    lab: &'a mut LabView,
}

impl Contents<'_> {
    fn caption(&self, ui: &mut Ui) {
        if self.caption.is_empty() {
            return;
        }
        egui::Panel::bottom("caption")
            .show(ui, |ui| self.caption.iter().for_each(|line| drop(ui.small(line))));
    }

    fn show(&mut self, ui: &mut Ui, viewer: &mut Viewer) {
        self.caption(ui);
        match self.tab {
            Tab::Lab => lab::bare(ui, &mut viewer.lab, &mut viewer.run, self.lab),
            _ => chains_panel::bare(ui, &mut viewer.run, self.chains),
        }
    }
}

/// The size of a picture at 1×, in points.
fn size(tab: Tab) -> Vec2 {
    match tab {
        Tab::Plots => vec2(960.0, 1400.0),
        Tab::Lab => vec2(800.0, 860.0),
        Tab::Chains | Tab::Train => vec2(800.0, 760.0),
    }
}

/// What a file shows: the model, the step, the rules, the seed, and the link to it.
fn caption(viewer: &Viewer, tab: Tab) -> [String; 2] {
    let link = words::shown(&format!("jempp view '{}'", viewer.view().to_query()), MAX_LINK);
    let first = if tab == Tab::Lab && viewer.lab.is_plane() {
        let config = &viewer.lab.settings.config;
        let names = words::lane_names(&viewer.lab.settings.rules).join(" | ");
        let (target, step) = (lab::target_name(config.target), viewer.lab.record.step);
        format!("{target} · step {step} · {names} · seed {}", config.seed)
    } else {
        let names = words::lane_names(&viewer.run.lanes).join(" | ");
        let settings = &viewer.run.settings;
        let model = words::model_name(&settings.model, 60);
        format!("{model} · step {} · {names} · seed {}", viewer.run.shown_step(), settings.seed)
    };
    [first, link]
}
