//! Exports of what is seen: a picture, an animation, a table.

mod film;
mod traces;

use egui::{Color32, Context, FontId, RichText, Theme, Ui, Vec2, vec2};
use image::RgbImage;

use self::{film::Film, traces::TracesJob};
use super::{
    chains_panel::{self, ChainsView},
    lab::{self, LabView},
    offscreen::{Drawing, Studio},
    pixels::SMALL,
    plots::{self, PlotsView},
    state::{Export, ExportKind, PictureOptions},
    viewer::Viewer,
    words,
};
use crate::{config::Tab, picture};

pub(super) use film::{NUM_LAB_FRAMES, num_frames};

const FRAME_MILLIS: u32 = 100;
/// The space beside the caption of a picture, on both sides together.
const BESIDE_CAPTION: f32 = 32.0;

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

impl Recording {
    /// The next file of the animation that is being drawn, once it is complete.
    pub(super) fn finished(
        &mut self,
        ctx: &Context,
        viewer: &mut Viewer,
    ) -> Option<(Export, ExportJob)> {
        let mut film = self.0.take()?;
        if film.follow(ctx, viewer) {
            let export = Export { kind: ExportKind::Gif, tab: film.tab() };
            return film.job(viewer).map(|job| (export, job));
        }
        self.0 = Some(film);
        None
    }
}

/// What the user asked to save in this frame: of the view that is seen. An animation begins in `recording`.
pub(super) fn asked(
    ctx: &Context,
    viewer: &mut Viewer,
    recording: &mut Recording,
    lab: &LabView,
) -> Option<(Export, ExportJob)> {
    let tab = viewer.session.tab;
    let kind = viewer.session.export.take()?;
    let options = viewer.session.picture;
    let is_plane = viewer.shows_plane();
    let job = match (tab, kind) {
        (Tab::Train, _) => None,
        (_, ExportKind::Png) => draw(ctx, viewer, lab, options).map(ExportJob::Pixels),
        (_, ExportKind::Svg) => draw(ctx, viewer, lab, options).map(ExportJob::Vectors),
        (_, ExportKind::Csv) if is_plane => {
            traces::of_lab(&viewer.lab, &caption(viewer, tab)).map(ExportJob::Text)
        }
        (_, ExportKind::Csv) => {
            TracesJob::new(&viewer.run, &caption(viewer, Tab::Chains)).map(ExportJob::Traces)
        }
        // Plots have no frames, and what is not seen is not saved.
        (Tab::Plots, ExportKind::Gif) => None,
        (_, ExportKind::Gif) => match Film::new(ctx, viewer, lab, options) {
            Some(film) => {
                let count = film.length();
                viewer.session.notify(match is_plane {
                    true => format!(
                        "Recording the next {count} steps of the lab. They are saved when they are complete. Leaving the lab stops the recording."
                    ),
                    false => format!("Drawing {count} frames. They are saved when they are complete."),
                });
                recording.0 = Some(film);
                ctx.request_repaint();
                return None;
            }
            None => None,
        },
    };
    let Some(job) = job else {
        let why = match (tab, kind) {
            (Tab::Train, _) => "Open the tab whose view you want to save: Chains, Plots or Lab.",
            (Tab::Plots, ExportKind::Gif) => {
                "Plots are not saved as an animation. Open the tab Chains or Lab."
            }
            _ => "There is nothing to save yet.",
        };
        viewer.session.complain(why);
        return None;
    };
    Some((Export { kind, tab }, job))
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
    let caption = picture_caption(viewer, tab);
    let (chains, lab) = (&mut ChainsView::default(), &mut view.again());
    let mut contents = Contents { tab, caption: &caption, chains, lab };
    let mut plots = PlotsView::default();
    let scale = f32::from(options.scale);
    let size = size(ctx, tab, &caption);
    let mut studio = Studio::new(ctx, size, scale, light_or_dark(ctx, options));
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
        egui::Panel::bottom("caption").show(ui, |ui| {
            for line in self.caption {
                ui.add(egui::Label::new(RichText::new(line).size(SMALL)).wrap());
            }
        });
    }

    fn show(&mut self, ui: &mut Ui, viewer: &mut Viewer) {
        self.caption(ui);
        match self.tab {
            Tab::Lab => lab::bare(ui, &mut viewer.lab, &mut viewer.run, self.lab),
            _ => chains_panel::bare(ui, &mut viewer.run, self.chains),
        }
    }
}

/// The size of a picture at 1×, in points. A caption that takes more than a row for each of its lines takes no space from the
/// view.
fn size(ctx: &Context, tab: Tab, caption: &[String]) -> Vec2 {
    let size = match tab {
        Tab::Plots => vec2(960.0, 1400.0),
        Tab::Lab => vec2(800.0, 860.0),
        Tab::Chains | Tab::Train => vec2(800.0, 760.0),
    };
    let height = |line: &str| {
        let (line, width) = (line.to_string(), size.x - BESIDE_CAPTION);
        let font = FontId::proportional(SMALL);
        ctx.fonts_mut(|fonts| fonts.layout(line, font, Color32::WHITE, width)).size().y
    };
    let more: f32 = caption.iter().map(|line| height(line) - height("x")).sum();
    size + vec2(0.0, more.round())
}

/// What a file shows: the model, the step, the rules, the seed, and the link to it. The link is whole, for a part of it leads
/// nowhere.
fn caption(viewer: &Viewer, tab: Tab) -> [String; 2] {
    let link = format!("jempp view '{}'", viewer.view().to_query());
    let first = if tab == Tab::Lab && viewer.lab.is_plane() {
        let config = &viewer.lab.settings.config;
        let names = words::lane_names(&viewer.lab.settings.rules).join(" | ");
        let (target, step) = (lab::target_name(config.target), viewer.lab.record.step);
        format!("{target} · step {step} · {names} · seed {}", config.seed)
    } else {
        let names = words::lane_names(&viewer.run.lanes).join(" | ");
        let settings = &viewer.run.settings;
        let model = words::model_name(&settings.model, 60);
        let (step, seed) = (viewer.run.shown_step(), settings.seed);
        format!("{model} · step {step} · {names} · seed {seed}")
    };
    [first, link]
}

/// The same below a picture, which may show chains without the noise that they have.
fn picture_caption(viewer: &Viewer, tab: Tab) -> [String; 2] {
    let [mut first, link] = caption(viewer, tab);
    let run = &viewer.run;
    if tab == Tab::Chains && (0..run.lanes.len()).any(|lane| run.is_denoised(lane)) {
        first += " · without the noise of the data";
    }
    [first, link]
}

#[cfg(test)]
mod tests {
    use egui::RawInput;
    use half::f16;

    use super::*;
    use crate::{
        config::{LaneConfig, ViewState},
        worker::{LaneImages, LaneNumbers, LaneStep, RunRequest, Step},
    };

    #[test]
    fn a_long_link_is_whole_and_takes_no_space_from_the_view() {
        let mut view = ViewState::default();
        view.view.tab = Tab::Lab;
        view.lab.config.painted = (0..256).map(|nth| nth % 97 - 48).collect();
        let viewer = Viewer::new(view);
        let long = caption(&viewer, Tab::Lab);
        let link = long[1].strip_prefix("jempp view '").and_then(|link| link.strip_suffix('\''));
        let link = link.unwrap();
        assert!(link.len() > 500, "{link}");
        assert_eq!(ViewState::from_query(link).unwrap(), viewer.view());
        let short = ["one".to_string(), "two".to_string()];
        let mut heights = [0.0; 2];
        let _ = Context::default().run_ui(RawInput::default(), |ui| {
            heights = [&short, &long].map(|lines| size(ui.ctx(), Tab::Lab, lines).y);
        });
        assert_eq!(heights[0], 860.0);
        assert!(heights[1] > 870.0, "{heights:?}");
    }

    #[test]
    fn a_caption_speaks_of_noise_only_below_chains_without_it() {
        let mut lane = LaneConfig::default();
        (lane.sampler.noise_std, lane.sampler.denoise_step) = (0.1, 5.0);
        let mut viewer = Viewer::new(ViewState::default());
        viewer.run.lanes = vec![lane.clone()];
        let request = RunRequest { seed: 0, labels: vec![0], lanes: vec![lane], image: None };
        viewer.run.started(request, false);
        for step in 0..4 {
            // The gradients of step 2 were not read.
            let num_gradients = if step == 2 { 0 } else { 1 };
            let images = LaneImages {
                x: vec![0.0].into(),
                gradient: vec![f16::ONE; num_gradients],
                proximal_radius: None,
            };
            let numbers = LaneNumbers { energy: vec![0.0], ..LaneNumbers::default() };
            viewer.run.stepped(Step { step, lanes: vec![LaneStep { images, numbers }] });
        }
        for (step, is_denoised) in [(0, false), (1, true), (2, false), (3, true)] {
            viewer.run.look_at(step);
            let says = |lines: [String; 2]| lines[0].ends_with(" · without the noise of the data");
            assert_eq!(says(picture_caption(&viewer, Tab::Chains)), is_denoised, "{step}");
            assert!(!says(picture_caption(&viewer, Tab::Plots)));
            assert!(!says(picture_caption(&viewer, Tab::Lab)));
            // A table has the chains' own numbers.
            assert!(!says(caption(&viewer, Tab::Chains)));
        }
    }
}
