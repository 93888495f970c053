//! Playing and pausing the run, and showing past steps.

use super::run_state::{RunState, next_seed};
use crate::{
    app::record::Record,
    worker::{Command, RunRequest},
};

/// The number of recorded steps per second in a replay.
const REPLAY_STEPS_PER_SEC: f64 = 30.0;

impl RunState {
    /// Runs the chains to a step, or with `None` to step M.
    pub(super) fn run_to(&mut self, end: Option<u64>) {
        self.is_running = true;
        self.end = end;
        self.run_on();
    }

    /// Runs the chains to the end that the present run has, with the settings of now.
    pub(super) fn run_on(&mut self) {
        let until = self.end.unwrap_or(self.settings.num_steps as u64);
        let max_steps_per_sec = self.settings.max_steps_per_sec;
        self.run_number += 1;
        self.ask(Command::Run { run: self.run_number, until, max_steps_per_sec });
    }

    /// The last step of the run so far.
    pub fn last_step(&self) -> u64 {
        self.record.as_ref().and_then(|record| record.numbers.last_step()).unwrap_or(0)
    }

    /// The step that is shown.
    pub fn shown_step(&self) -> u64 {
        // While the chains run on, the record may lose a step of the past that is looked at.
        self.looking_at.map_or_else(|| self.last_step(), |step| self.recorded(step))
    }

    /// The last step at or before this one whose images are recorded.
    fn recorded(&self, step: u64) -> u64 {
        let found = self.record.as_ref().and_then(|record| record.images.at(step));
        found.map_or(step, |found| found.0)
    }

    /// Whether the run or its replay is playing.
    pub fn is_playing(&self) -> bool {
        self.is_running || self.replay.is_some()
    }

    /// Whether recorded steps are being replayed.
    pub(crate) fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Plays the rest of the record, and then the run up to step M. Beyond step M, it plays another M steps.
    pub fn play(&mut self) {
        if self.looking_at.is_some() {
            self.replay = Some(0.0);
            return;
        }
        self.run_to(self.end_of_play());
    }

    /// Plays this many steps beyond the newest one.
    pub(crate) fn play_on(&mut self, count: u64) {
        self.looking_at = None;
        self.replay = None;
        self.run_to(Some(self.last_step() + count));
    }

    /// The step at which play stops: `None` for M, or M steps after the last step once step M is reached.
    pub(super) fn end_of_play(&self) -> Option<u64> {
        let (last, length) = (self.last_step(), self.settings.num_steps as u64);
        (last >= length).then_some(last + length)
    }

    /// Stops the run and its replay.
    pub fn pause(&mut self) {
        self.replay = None;
        if std::mem::take(&mut self.is_running) {
            self.ask(Command::Pause);
        }
    }

    /// Starts or stops playing.
    pub(crate) fn toggle_play(&mut self) {
        if self.is_playing() { self.pause() } else { self.play() }
    }

    /// Moves one step forward, to a recorded step or a new one.
    pub(crate) fn step_forward(&mut self) {
        self.pause();
        match self.looking_at {
            Some(step) => {
                let next = self.record.as_ref().and_then(|record| record.images.after(step));
                self.look_at(next.unwrap_or_else(|| self.last_step()));
            }
            None if !self.is_running => self.run_to(Some(self.last_step() + 1)),
            None => {}
        }
    }

    /// Moves one recorded step back.
    pub(crate) fn step_back(&mut self) {
        self.pause();
        let shown = self.shown_step();
        if let Some(step) = self.record.as_ref().and_then(|record| record.images.before(shown)) {
            self.looking_at = Some(step);
        }
    }

    /// Shows a step, or the last recorded one before it. The last one of all means that the display follows the run again.
    pub fn look_at(&mut self, step: u64) {
        self.looking_at = (step < self.last_step()).then(|| self.recorded(step));
    }

    /// Advances the replay by `secs` seconds.
    pub(crate) fn advance_replay(&mut self, secs: f64) {
        let (Some(fraction), Some(mut step)) = (self.replay, self.looking_at) else {
            self.replay = None;
            return;
        };
        let limit = self.settings.max_steps_per_sec;
        let rate = if limit > 0.0 { limit } else { REPLAY_STEPS_PER_SEC };
        let mut fraction = fraction + secs * rate;
        while fraction >= 1.0 {
            fraction -= 1.0;
            match self.record.as_ref().and_then(|record| record.images.after(step)) {
                Some(next) => step = next,
                None => break,
            }
        }
        self.look_at(step);
        self.replay = Some(fraction);
        if self.looking_at.is_none() {
            self.replay = None;
            if self.last_step() < self.settings.num_steps as u64 && !self.is_running {
                self.play();
            }
        }
    }

    /// Restarts the chains with the chosen seed. A run that was playing continues to play.
    pub fn restart(&mut self) {
        // Whatever was coming back gives way to what is asked for now.
        self.returning = None;
        let per_class = self.settings.per_class;
        let labels = self.classes().iter().flat_map(|&c| vec![c; per_class]).collect();
        self.begin_setup();
        self.looking_at = None;
        self.replay = None;
        self.ask(Command::Restart(RunRequest {
            seed: self.settings.seed,
            labels,
            lanes: self.lanes_to_run(),
            image: self.start_image.clone(),
        }));
        if self.is_running {
            self.run_to(None);
        }
    }

    /// Restarts the chains with another seed.
    pub fn restart_with_new_seed(&mut self) {
        self.settings.seed = next_seed(self.settings.seed);
        self.restart();
    }

    /// Continues the run from the shown step, and discards the later steps; an undo brings them back.
    pub(crate) fn branch(&mut self) {
        let Some(step) = self.looking_at else { return };
        let Some(branch) = self.record.as_ref().and_then(|record| branch_to(record, step)) else {
            return;
        };
        self.keep_whole();
        self.looking_at = None;
        self.replay = None;
        self.num_beginnings += 1;
        self.ask(branch);
        self.ask(Command::SetLanes(self.lanes_to_run()));
    }
}

/// The command that continues from a step of a record.
pub(super) fn branch_to(record: &Record, step: u64) -> Option<Command> {
    let (step, lanes) = record.images.at(step)?;
    let numbers = record.numbers.at(*step).map_or(&[][..], |(_, lanes)| lanes);
    let spent = |lane: usize| {
        numbers
            .get(lane)
            .map(|numbers| (numbers.seconds, numbers.num_gradients))
            .unwrap_or_default()
    };
    Some(Command::Branch {
        step: *step,
        x: lanes.iter().map(|lane| lane.x.clone()).collect(),
        spent: (0..lanes.len()).map(spent).collect(),
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        app::{
            record::Thinned,
            state::{Requests, RunState},
        },
        config::{LaneConfig, ViewState},
        worker::{LaneImages, LaneNumbers, LaneStep, RunRequest, Step},
    };

    #[test]
    fn the_shown_step_is_the_one_whose_images_are_shown() {
        let (sender, _receiver) = std::sync::mpsc::channel();
        let mut run = RunState::new(&ViewState::default(), Requests::new(sender));
        let lanes = vec![LaneConfig::default()];
        run.started(RunRequest { seed: 0, labels: vec![0], lanes, image: None }, false);
        run.record.as_mut().unwrap().images = Thinned::new(8 * 520);
        let step = |run: &mut RunState, step: u64| {
            let numbers = LaneNumbers { energy: vec![0.0], ..LaneNumbers::default() };
            let x = vec![0.0f32].into();
            let images = LaneImages { x, gradient: vec![], proximal_radius: None };
            run.stepped(Step { step, lanes: vec![LaneStep { images, numbers }] });
        };
        (0..100).for_each(|at| step(&mut run, at));
        for asked in 0..99 {
            run.look_at(asked);
            let shown = run.shown_images().unwrap().0;
            assert_eq!((run.shown_step(), run.looking_at), (shown, Some(shown)), "{asked}");
            assert!(shown <= asked);
        }
        assert!(run.record.as_ref().unwrap().images.at(37).unwrap().0 < 37);
        // Images that are looked at may be dropped later.
        let kept = run.record.as_ref().unwrap().images.before(90).unwrap();
        run.look_at(kept);
        (100..2000).for_each(|at| step(&mut run, at));
        assert!(run.looking_at == Some(kept) && run.shown_step() < kept);
        assert_eq!(run.shown_step(), run.shown_images().unwrap().0);
    }
}
