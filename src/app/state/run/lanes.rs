//! Changes of the lanes' rules, of the number of steps, and of the speed.

use std::sync::Arc;

use super::run_state::RunState;
use crate::{
    config::{LaneConfig, MAX_LANES, ViewStart},
    worker::Command,
};

/// What is said of chains that start from one image without noise.
pub(in crate::app) const IDENTICAL: &str = "σ = 0 and a single start: all chains of a row stay identical. Raise the noise σ, or at least \
     steer each row towards its class.";

impl RunState {
    /// The rules with the M of this run, which their schedules depend on.
    pub(in crate::app) fn lanes_to_run(&self) -> Vec<LaneConfig> {
        let mut lanes = self.lanes.clone();
        for lane in &mut lanes {
            lane.sampler.num_steps = self.settings.num_steps;
        }
        lanes
    }

    /// Replaces the rule of a lane. A new start restarts the chains; other changes apply from the next step on.
    pub fn set_lane(&mut self, index: usize, lane: LaneConfig) {
        let Some(old) = self.lanes.get_mut(index) else { return };
        if *old == lane {
            return;
        }
        let is_other_start = old.start != lane.start;
        *old = lane;
        if is_other_start {
            self.restart();
        } else {
            self.note_rules();
            self.ask(Command::SetLanes(self.lanes_to_run()));
        }
    }

    /// Puts back the rules with which the chains run, because the worker refused others.
    pub(in crate::app) fn keep_lanes(&mut self, lanes: Vec<LaneConfig>) {
        self.lanes = lanes;
        self.note_rules();
    }

    /// Notes the rules as those of the recorded run. If it has not moved yet, it started with them.
    fn note_rules(&mut self) {
        self.change_setup();
        let lanes = self.lanes_to_run();
        if self.last_step() == 0
            && let Some(record) = &mut self.record
            && record.request.lanes.len() == lanes.len()
        {
            record.request.lanes = lanes;
        }
    }

    /// Replaces the number of steps M, which the rules' schedules depend on.
    pub(crate) fn set_num_steps(&mut self, num_steps: usize) {
        self.settings.num_steps = num_steps;
        self.change_setup();
        self.ask(Command::SetLanes(self.lanes_to_run()));
        // A run beyond step M has an end of its own.
        if self.is_running && self.end.is_none() {
            self.run_on();
        }
    }

    /// Replaces the speed limit.
    pub(crate) fn set_max_steps_per_sec(&mut self, limit: f64) {
        self.settings.max_steps_per_sec = limit;
        if self.is_running {
            self.run_on();
        }
    }

    /// Shows these rules side by side and plays them; `point` says what the comparison shows.
    pub fn compare(&mut self, point: &'static str, lanes: Vec<LaneConfig>, num_steps: usize) {
        self.comparison = Some(point);
        self.lanes = lanes;
        self.lanes.truncate(MAX_LANES);
        self.settings.num_steps = num_steps;
        // All columns of all lanes must fit side by side.
        self.settings.per_class = self.settings.per_class.min(6);
        self.selected = None;
        self.is_running = true;
        self.restart();
    }

    /// Whether chains of some lane that start from one image would stay identical, as nothing parts them.
    pub(in crate::app) fn lacks_noise(&self) -> bool {
        self.lanes.iter().any(|lane| lane.sampler.noise_std == 0.0)
    }

    /// Sets the start image, and starts every lane from it. If the chains then stay identical, a note says so.
    pub(crate) fn start_from(&mut self, image: Arc<[f32]>) {
        self.start_image = Some(image);
        for lane in &mut self.lanes {
            lane.start = ViewStart::Image;
        }
        if self.lacks_noise() {
            self.notes.push(IDENTICAL);
        }
        self.restart();
    }

    /// Adds a lane with the rule of the last one.
    pub(crate) fn add_lane(&mut self) {
        if let Some(last) = self.lanes.last().cloned()
            && self.lanes.len() < MAX_LANES
        {
            self.lanes.push(last);
            self.comparison = None;
            self.restart();
        }
    }

    /// Removes a lane, unless it is the only one.
    pub(crate) fn remove_lane(&mut self, index: usize) {
        if self.lanes.len() > 1 && index < self.lanes.len() {
            self.lanes.remove(index);
            self.selected = None;
            self.comparison = None;
            self.restart();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::{
        app::state::Requests,
        config::ViewState,
        worker::{LaneImages, LaneNumbers, LaneStep, RunRequest, Step},
    };

    /// Chains whose last step is `last`, and the commands to the worker.
    fn run_at(last: u64) -> (RunState, Receiver<Command>) {
        let (sender, receiver) = channel();
        let mut run = RunState::new(&ViewState::default(), Requests::new(sender));
        run.lanes = vec![LaneConfig::default()];
        let lanes = run.lanes.clone();
        run.started(RunRequest { seed: 0, labels: vec![0], lanes, image: None }, false);
        for step in [0, last] {
            let numbers = LaneNumbers { energy: vec![0.0], ..LaneNumbers::default() };
            let x = vec![0.0f32].into();
            let images = LaneImages { x, gradient: vec![], proximal_radius: None };
            run.stepped(Step { step, lanes: vec![LaneStep { images, numbers }] });
        }
        (run, receiver)
    }

    /// The steps to which the worker was asked to run since the last call.
    fn ends(commands: &Receiver<Command>) -> Vec<u64> {
        let end = |command: Command| match command {
            Command::Run { until, .. } => Some(until),
            _ => None,
        };
        commands.try_iter().filter_map(end).collect()
    }

    #[test]
    fn a_run_keeps_its_end_while_speed_and_length_change() {
        let (mut run, commands) = run_at(150);
        run.play();
        assert_eq!(ends(&commands), [250], "another M steps");
        run.set_max_steps_per_sec(5.0);
        run.set_max_steps_per_sec(0.0);
        assert_eq!(ends(&commands), [250, 250]);
        run.set_num_steps(120);
        assert!(run.is_running && ends(&commands).is_empty(), "it runs on to its end");
        run.set_max_steps_per_sec(1.0);
        assert_eq!(ends(&commands), [250]);
        // Before step M, the end is M, wherever a person puts it.
        let (mut run, commands) = run_at(50);
        run.play();
        run.set_num_steps(80);
        run.set_max_steps_per_sec(5.0);
        run.set_num_steps(300);
        assert_eq!(ends(&commands), [100, 80, 80, 300]);
    }

    #[test]
    fn identical_chains_are_announced_wherever_their_image_comes_from() {
        let (mut run, _commands) = run_at(1);
        run.lanes[0].sampler.noise_std = 0.0;
        run.start_from(vec![0.0].into());
        assert_eq!(run.take_notes(), [IDENTICAL]);
        run.lanes[0].sampler.noise_std = 0.1;
        run.start_from(vec![0.0].into());
        assert!(run.take_notes().is_empty());
    }
}
