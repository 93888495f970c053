//! What the lanes do, and how long.

use std::sync::Arc;

use super::{Tab, Viewer};
use crate::{
    config::{LaneConfig, MAX_LANES, ViewStart},
    worker::Command,
};

impl Viewer {
    /// Replaces the rule of a lane: another start begins anew, anything else acts from the next step on.
    pub fn set_lane(&mut self, index: usize, lane: LaneConfig) {
        let Some(old) = self.view.lanes.get_mut(index) else { return };
        if *old == lane {
            return;
        }
        let is_other_start = old.start != lane.start;
        *old = lane;
        if is_other_start {
            self.restart();
        } else {
            self.send(Command::SetLanes(self.lanes_to_run()));
        }
    }

    /// Replaces M; the rules' schedules are laid out for it.
    pub fn set_num_steps(&mut self, num_steps: usize) {
        self.view.view.num_steps = num_steps;
        self.send(Command::SetLanes(self.lanes_to_run()));
        if self.is_running {
            self.run_until(num_steps as u64);
        }
    }

    /// Replaces the speed limit.
    pub fn set_max_steps_per_sec(&mut self, limit: f64) {
        self.view.view.max_steps_per_sec = limit;
        if self.is_running {
            let (last, length) = (self.last_step(), self.view.view.num_steps as u64);
            self.run_until(if last < length { length } else { last + length });
        }
    }

    /// Shows these rules side by side and plays them.
    pub fn compare(&mut self, lanes: Vec<LaneConfig>, num_steps: usize) {
        self.view.lanes = lanes;
        self.view.lanes.truncate(MAX_LANES);
        self.view.view.num_steps = num_steps;
        // The rows must fit beside each other.
        self.view.view.per_class = self.view.view.per_class.min(6);
        self.selected = None;
        self.view.view.tab = Tab::Chains;
        self.is_running = true;
        self.restart();
    }

    /// Takes another image to start from; every lane starts from it.
    pub fn start_from(&mut self, image: Arc<[f32]>) {
        self.start_image = Some(image);
        for lane in &mut self.view.lanes {
            lane.start = ViewStart::Image;
        }
        self.restart();
    }

    /// Adds a lane like the last one.
    pub fn add_lane(&mut self) {
        if let Some(last) = self.view.lanes.last().cloned()
            && self.view.lanes.len() < MAX_LANES
        {
            self.view.lanes.push(last);
            self.lesson = None;
            self.restart();
        }
    }

    /// Takes a lane away, but for the only one.
    pub fn remove_lane(&mut self, index: usize) {
        if self.view.lanes.len() > 1 && index < self.view.lanes.len() {
            self.view.lanes.remove(index);
            self.selected = None;
            self.lesson = None;
            self.restart();
        }
    }
}
