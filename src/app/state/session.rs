//! The session of the window: the open tab, the device, and the messages to the user.

use crate::{
    app::words::shown,
    config::{Tab, ViewConfig},
};

/// The maximum number of messages at a time; the next constant is the maximum length of each, in characters.
const MAX_NOTICES: usize = 5;
const MAX_NOTICE: usize = 400;
/// The maximum length of the reason of a failure, in characters.
const MAX_FAILURE: usize = 400;
/// What happens to a training run when the worker fails.
pub(in crate::app) const TRAINING_AFTER_FAILURE: &str = match cfg!(target_arch = "wasm32") {
    true => "the run is lost: in a browser it exists only in memory",
    false => "continue from the run's last checkpoint",
};

/// A message that disappears by itself.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The text of the message.
    pub text: String,
    /// Whether the message reports a problem.
    pub is_problem: bool,
    /// The remaining time, in seconds.
    pub secs_left: f32,
}

/// A kind of file that shows what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// The view as pixels.
    Png,
    /// The view as vector graphics.
    Svg,
    /// The recorded steps as an animation.
    Gif,
    /// The numbers of every chain at every recorded step.
    Csv,
}

/// A file to save: what it shows, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Export {
    pub(in crate::app) kind: ExportKind,
    pub(in crate::app) tab: Tab,
}

impl Export {
    /// The file name that the dialog suggests.
    pub(in crate::app) fn file_name(self) -> &'static str {
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

/// How pictures are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureOptions {
    /// The number of pixels per point: 1, 2 or 4.
    pub scale: u8,
    /// Whether the background is light, as on paper, whatever the theme of the window is.
    pub is_light: bool,
}

/// The open tab, the device, files being loaded or saved, and messages.
#[derive(Debug)]
pub struct Session {
    /// The open tab.
    pub tab: Tab,
    /// Whether the link asked for chains that run at once.
    pub play: bool,
    /// The description of the device, and whether it is the CPU back end.
    pub device: Option<(String, bool)>,
    /// The names of the models included in the program.
    pub bundled: Vec<String>,
    /// The file that is being loaded, and the number of bytes loaded so far.
    pub loading: Option<(String, u64)>,
    /// Downloads that wait to be given to the browser: name, content.
    pub downloads: Vec<(String, Vec<u8>)>,
    /// What is to be saved of the view that is seen.
    pub export: Option<ExportKind>,
    /// How pictures are saved.
    pub picture: PictureOptions,
    /// The messages that disappear by themselves.
    pub notices: Vec<Notice>,
    /// The reason why the worker failed, if it did.
    pub failure: Option<String>,
    /// A warning that is shown from the start until the user closes it.
    pub warning: Option<String>,
}

impl Session {
    /// A session that begins with the tab of a link.
    pub(in crate::app) fn new(config: &ViewConfig) -> Self {
        Self {
            tab: config.tab,
            play: config.play,
            device: None,
            bundled: Vec::new(),
            loading: None,
            downloads: Vec::new(),
            export: None,
            picture: PictureOptions { scale: 2, is_light: false },
            notices: Vec::new(),
            failure: None,
            warning: None,
        }
    }

    /// Shows a message to the user.
    pub(crate) fn notify(&mut self, text: impl AsRef<str>) {
        self.notice(text.as_ref(), false, 5.0);
    }

    /// Shows a problem with what follows from it, until the user closes the text.
    pub(in crate::app) fn warn(&mut self, problem: &str, what_follows: &str) {
        let problem = shown(problem, MAX_FAILURE);
        self.warning = Some(format!("{}. {what_follows}", problem.trim_end_matches('.')));
    }

    /// Shows a problem to the user.
    pub fn complain(&mut self, text: impl AsRef<str>) {
        self.notice(text.as_ref(), true, 12.0);
    }

    fn notice(&mut self, text: &str, is_problem: bool, secs_left: f32) {
        // Repeated problems must not fill the window.
        let excess = (self.notices.len() + 1).saturating_sub(MAX_NOTICES);
        self.notices.drain(..excess);
        self.notices.push(Notice { text: shown(text, MAX_NOTICE), is_problem, secs_left });
    }

    /// Removes the messages whose time is over.
    pub(in crate::app) fn expire_notices(&mut self, secs: f32) {
        self.notices.retain_mut(|notice| {
            notice.secs_left -= secs;
            notice.secs_left > 0.0
        });
    }

    /// Records that the worker failed. Only the first reason is kept, because later ones are consequences.
    pub(in crate::app) fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| shown(reason, MAX_FAILURE));
    }
}
