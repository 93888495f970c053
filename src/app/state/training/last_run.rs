//! A training run that was not over when the window closed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Phase, Training};
use crate::worker::Command;

/// A training run that can be continued at the next start of the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The folder of the run, as an absolute path.
    pub folder: PathBuf,
    /// The last step that is known to be done.
    pub step: u64,
    /// The number of steps of the whole run.
    pub num_steps: u64,
}

impl LastRun {
    /// The question whether to continue the run.
    pub(in crate::app) fn question(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches("-window");
        format!("Continue {name}, step {} of {}?", self.step, self.num_steps)
    }
}

impl Training {
    /// The run that can be continued at the next start: the one of this window, or else the one of the last session.
    pub(in crate::app) fn run_to_continue(&self) -> Option<LastRun> {
        let record = &self.record;
        match &record.phase {
            // A run that could not begin does not replace the one before.
            _ if !record.has_begun() => self.last_run.clone(),
            Phase::None | Phase::Complete(_) => None,
            _ if record.step >= record.num_steps => None,
            Phase::Running | Phase::Paused(_) | Phase::Failed(_) => Some(LastRun {
                folder: std::path::absolute(&record.folder).unwrap_or(record.folder.clone()),
                step: record.step,
                num_steps: record.num_steps,
            }),
        }
    }

    /// Continues the run of the last session. It is offered until it has begun.
    pub(in crate::app) fn continue_last_run(&mut self) {
        let folder = self.last_run.as_ref().map(|run| run.folder.clone());
        if let Some(folder) = folder {
            self.begin(Command::ResumeTraining(folder));
        }
    }
}
