//! The session of the window: which tab is open, what computes, and what the person is told.

use crate::{
    app::words::shown,
    config::{Tab, ViewConfig},
};

/// Messages at a time, at most, and characters of one.
const MAX_NOTICES: usize = 5;
const MAX_NOTICE: usize = 400;
/// Characters of the reason of a failure, at most.
const MAX_FAILURE: usize = 400;
/// What becomes of a training run when the worker fails.
pub(in crate::app) const TRAINING_AFTER_FAILURE: &str = match cfg!(target_arch = "wasm32") {
    true => "the run is lost: in a browser it lives in the memory that failed",
    false => "go on from the run's last checkpoint",
};

/// A message that goes away by itself.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// Whether something was refused.
    pub is_problem: bool,
    /// Seconds left.
    pub secs_left: f32,
}

/// The open tab, the device, files on their way, and messages.
#[derive(Debug)]
pub struct Session {
    /// What is shown in the middle.
    pub tab: Tab,
    /// Whether the link asked for chains that run at once.
    pub play: bool,
    /// What computes, and whether it is the CPU back end.
    pub device: Option<(String, bool)>,
    /// Models that travel with the program.
    pub bundled: Vec<String>,
    /// A file on its way, and the bytes of it that are here.
    pub loading: Option<(String, u64)>,
    /// Files for the person to keep that wait to be handed over.
    pub downloads: Vec<(String, Vec<u8>)>,
    /// Messages that go away by themselves.
    pub notices: Vec<Notice>,
    /// Why the worker stopped, if it did.
    pub failure: Option<String>,
    /// What has to be known from the start, until somebody closes it.
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
            notices: Vec::new(),
            failure: None,
            warning: None,
        }
    }

    /// Tells the person something.
    pub fn notify(&mut self, text: impl AsRef<str>) {
        self.notice(text.as_ref(), false, 5.0);
    }

    /// Tells the person what is wrong.
    pub fn complain(&mut self, text: impl AsRef<str>) {
        self.notice(text.as_ref(), true, 12.0);
    }

    fn notice(&mut self, text: &str, is_problem: bool, secs_left: f32) {
        // What keeps going wrong must not pile up until it hides the window.
        let excess = (self.notices.len() + 1).saturating_sub(MAX_NOTICES);
        self.notices.drain(..excess);
        self.notices.push(Notice { text: shown(text, MAX_NOTICE), is_problem, secs_left });
    }

    /// Takes away the messages whose time is over.
    pub(in crate::app) fn expire_notices(&mut self, secs: f32) {
        self.notices.retain_mut(|notice| {
            notice.secs_left -= secs;
            notice.secs_left > 0.0
        });
    }

    /// The worker failed. What follows a failure says less than the first word of it.
    pub(in crate::app) fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| shown(reason, MAX_FAILURE));
    }
}
