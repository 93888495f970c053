//! What the window shows, in words: for those who cannot see it.

use super::{
    pixels::number,
    state::{Agreement, LabRecord, LaneRecord},
    viewer::Viewer,
    window::App,
    words,
};
use crate::{
    config::Tab,
    lessons::{Block, TITLES},
};

/// What the window shows, as text for a screen reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// The open lesson and its step, or the tab and the model.
    pub title: String,
    /// The text of the lesson's step; its answer is among them once it is open.
    pub paragraphs: Vec<String>,
    /// Where the chains are now.
    pub now: String,
}

impl App {
    /// What the window shows, in words.
    pub fn spoken(&mut self) -> Spoken {
        let (title, paragraphs) = self.viewer().lesson_in_words().unwrap_or_else(|| {
            let model = self.viewer().run.model.as_ref();
            let model = model.map_or(String::new(), |model| words::model_name(&model.name, 60));
            let title = match self.viewer().session.tab {
                Tab::Chains => format!("chains of {model}"),
                Tab::Plots => format!("plots of the chains of {model}"),
                Tab::Train => "training".into(),
                Tab::Lab => "the lab: chains in the plane".into(),
            };
            (title, Vec::new())
        });
        Spoken { title, paragraphs, now: self.now() }
    }

    fn now(&mut self) -> String {
        let session = &self.viewer().session;
        let mut parts = Vec::new();
        if let Some(reason) = &session.failure {
            parts.push(format!("Stopped: {reason}."));
        }
        parts.extend(session.warning.clone());
        parts.extend(session.notices.iter().map(|notice| notice.text.clone()));
        let training = &self.viewer().training.record;
        parts.extend(training.in_sight());
        if self.viewer().shows_plane() {
            parts.extend(lab_in_words(&self.viewer().lab.record));
        } else if session.tab != Tab::Train {
            match self.viewer().run.why_not.clone() {
                Some(reason) => parts.push(format!("No model is open: {}.", trimmed(&reason))),
                None => parts.extend(self.verdict()),
            }
        }
        parts.join(" ")
    }
}

/// A reason without the full stop that the sentence around it has.
fn trimmed(reason: &str) -> &str {
    reason.trim_end_matches('.')
}

/// Where the chains of the lab are, or why there are none.
fn lab_in_words(record: &LabRecord) -> Vec<String> {
    if let Some(reason) = &record.why_not {
        return vec![format!("There is nothing to show: {}.", trimmed(reason))];
    }
    let mut parts = vec![format!("Step {}.", record.step)];
    for (nth, (lane, variation)) in record.lanes.iter().zip(record.total_variations()).enumerate() {
        let told = lane_in_words(lane, variation);
        parts.extend(told.map(|told| format!("Lane {}: {told}", nth + 1)));
    }
    parts
}

/// The measurements of the chains of a lane; `None` before the first.
fn lane_in_words(lane: &LaneRecord, variation: Option<f64>) -> Option<String> {
    let mut told = Vec::new();
    told.extend(lane.energy.last().map(|energy| format!("mean energy {}", number(energy as f32))));
    told.extend(variation.map(|variation| format!("total variation {variation:.2}")));
    let absent = lane.absent();
    let has_problem = absent.as_ref().is_some_and(|absent| absent.1);
    match (lane.why_no_r_hat(), &lane.agreement) {
        (None, Some(Agreement { r_hat: Ok(r_hat), .. })) => told.push(format!("R-hat {r_hat:.3}")),
        (Some(reason), _) if !has_problem => told.push(format!("no R-hat: {reason}")),
        _ => {}
    }
    let told = (!told.is_empty()).then(|| told.join(", ") + ".");
    let texts: Vec<String> = told.into_iter().chain(absent.map(|absent| absent.0)).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

impl Viewer {
    /// Whether chains or a training run move by themselves.
    pub fn is_moving(&self) -> bool {
        self.run.is_playing() || self.lab.record.is_running || self.training.is_running
    }

    /// The title of the open lesson's step and its paragraphs.
    fn lesson_in_words(&self) -> Option<(String, Vec<String>)> {
        let lesson = self.lesson.text()?;
        let (number, step) = (self.lesson.number, self.lesson.open_step()?);
        let mut title = format!("lesson {number} of {}, {}", TITLES.len(), lesson.title);
        if !step.title.is_empty() {
            title += &format!(": {}", step.title);
        }
        let text_of = |block: &Block| block.spans.iter().map(|span| span.text.as_str()).collect();
        let mut paragraphs: Vec<String> = step.blocks.iter().map(text_of).collect();
        if self.lesson.is_answer_open {
            paragraphs.extend(step.answer.iter().map(text_of));
        } else if !step.answer.is_empty() {
            paragraphs.push("There is an answer: press Show the answer.".into());
        }
        Some((title, paragraphs))
    }
}
