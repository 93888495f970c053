//! Changes of the lanes' rules, of the number of steps, and of the speed.

use std::sync::Arc;

use super::run_state::RunState;
use crate::{
    config::{LaneConfig, MAX_LANES, ViewStart},
    worker::Command,
};

impl RunState {
    /// The rules with the M of this run, which their schedules depend on.
    pub(super) fn lanes_to_run(&self) -> Vec<LaneConfig> {
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
            self.change_setup();
            if self.last_step() == 0 {
                self.begin_with_these_rules();
            }
            self.ask(Command::SetLanes(self.lanes_to_run()));
        }
    }

    /// Notes the rules of a run that has not moved yet as those that it started with.
    fn begin_with_these_rules(&mut self) {
        let lanes = self.lanes_to_run();
        if let Some(record) = &mut self.record
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
        if self.is_running {
            self.run_until(num_steps as u64);
        }
    }

    /// Replaces the speed limit.
    pub(crate) fn set_max_steps_per_sec(&mut self, limit: f64) {
        self.settings.max_steps_per_sec = limit;
        if self.is_running {
            self.run_until(self.end_of_play());
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

    /// Sets the start image, and starts every lane from it.
    pub(crate) fn start_from(&mut self, image: Arc<[f32]>) {
        self.start_image = Some(image);
        for lane in &mut self.lanes {
            lane.start = ViewStart::Image;
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
