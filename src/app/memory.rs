//! What the window remembers from one session to the next beside the view: finished lessons, and a training run that
//! was not over.

use serde::{Deserialize, Serialize};

use super::{state::LastRun, viewer::Viewer};

/// What is remembered, as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    lessons: Vec<usize>,
    run: Option<LastRun>,
}

impl Viewer {
    /// What to remember until the next session, as text.
    pub fn memory(&self) -> String {
        let memory = Memory {
            lessons: self.lesson.finished.iter().copied().collect(),
            // In a browser, no run outlives its page.
            run: match cfg!(target_arch = "wasm32") {
                true => None,
                false => self.training.run_to_continue(),
            },
        };
        serde_json::to_string(&memory).unwrap_or_default()
    }

    /// Recalls what the last session remembered. A text that is not understood is as good as none, and a run whose
    /// folder is gone is forgotten.
    pub fn recall(&mut self, text: &str) {
        let memory: Memory = serde_json::from_str(text).unwrap_or_default();
        self.lesson.finished = memory.lessons.into_iter().collect();
        self.training.last_run = memory.run.filter(|run| run.folder.is_dir());
    }
}
