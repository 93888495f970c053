//! What the window shows, in words: for those who cannot see it.

use super::{viewer::Viewer, window::App, words};
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
            let record = &self.viewer().lab.record;
            parts.push(format!("Step {}.", record.step));
            for (lane, distance) in record.total_variations().into_iter().enumerate() {
                let Some(distance) = distance else { continue };
                parts.push(format!("Lane {}: total variation {distance:.2}.", lane + 1));
            }
        } else if session.tab != Tab::Train {
            parts.extend(self.verdict());
        }
        parts.join(" ")
    }
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
