//! Estimates of the memory that a run or a request needs, before any of it is allocated. Only what every device needs
//! at one time is counted, so a rejected request could not have worked.

use crate::{
    config::{OptimizerKind, RunConfig},
    model::{Layout, ModelError},
};

/// The number of bytes of an f32 value.
const FLOAT: u64 = 4;
/// The bound if the memory of the machine is not known, and the largest bound by default, in MiB; a page has no more
/// than 4 GiB.
const DEFAULT_MIB: u64 = if cfg!(target_arch = "wasm32") { 3072 } else { 16384 };

/// A run or a request needs more memory than the bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} need {} of memory{}; the bound is {}: lower it, or raise training.max_memory_mib",
    gib(*.bytes),
    if bytes == total { String::new() } else { format!(", everything together {}", gib(*.total)) },
    gib(*.bound)
)]
pub struct TooMuchMemory {
    /// The configuration key that causes the largest part of the demand.
    pub what: String,
    /// The size of that part, in bytes.
    pub bytes: u64,
    /// The total demand, in bytes.
    pub total: u64,
    /// The bound, in bytes.
    pub bound: u64,
}

fn gib(bytes: u64) -> String {
    match bytes {
        u64::MAX => "more than can be counted".into(),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// A memory demand: the bytes of each part, with its cause.
#[derive(Clone, Debug, Default)]
pub struct Demand(Vec<(String, u64)>);

impl Demand {
    /// Estimates the demand of a training run with this configuration, on `num_items` training items of shape (C, H,
    /// W).
    ///
    /// # Errors
    /// The configuration does not describe a valid network.
    pub(crate) fn of_training(
        config: &RunConfig,
        input_shape: [usize; 3],
        num_classes: usize,
        num_items: usize,
    ) -> Result<Self, ModelError> {
        let layout = Layout::of(&config.model, input_shape, num_classes)?;
        let num_pixels: usize = input_shape.iter().product();
        let optimizer = &config.optimizer;
        let num_moments = match optimizer.kind {
            OptimizerKind::Adam => 2,
            OptimizerKind::Sgd => usize::from(optimizer.momentum > 0.0),
        };
        let num_kept = 1 + num_moments + usize::from(optimizer.ema_decay > 0.0);
        let capacity = config.replay_buffer.replay_buffer_size;
        let batch = config.data.batch_size;
        let axes = config.class_centers.max_components.min(num_pixels);
        let axes = axes.min((num_items / num_classes.max(1)).max(1));
        // The number of forward passes that the gradient needs at once: data, chains if there are any, and a third if
        // the energy sees other images than the classifier.
        let num_passes = 1 + usize::from(config.objective.needs_chains())
            * (1 + usize::from(!config.data.augment_energy));
        let mut demand = Self::default();
        demand.add(
            format!(
                "replay_buffer.replay_buffer_size = {capacity}: chains of {num_pixels} values and the copies that a run keeps"
            ),
            // The chains, two states to return to, two copies for a save, and the file.
            [capacity, num_pixels, 6],
        );
        demand.add(
            format!("model.arch = {}: weights and the copies that a run keeps", config.model.arch),
            // Weights with moments and average: in use, in two states to return to, as read back and in the file; also
            // gradients and the working copy of a step.
            [layout.num_weights() as usize, 5 * num_kept + 2],
        );
        demand.add(
            format!("data.batch_size = {batch}: activations of {}", config.model.arch),
            [num_passes, batch, layout.num_activations as usize],
        );
        demand.add(
            format!(
                "sampler.num_steps = {}: what each step tells of {batch} chains",
                config.sampler.num_steps
            ),
            [config.sampler.num_steps, batch, 4],
        );
        demand.add(
            format!("class_centers.max_components = {axes} axes of {num_classes} classes"),
            [num_classes, axes + 2, num_pixels, 3],
        );
        Ok(demand)
    }

    /// Estimates the demand of `num_chains` chains sampled at once with the energy of a network.
    ///
    /// # Errors
    /// The configuration does not describe a valid network.
    pub fn of_chains(
        config: &RunConfig,
        input_shape: [usize; 3],
        num_classes: usize,
        num_chains: usize,
    ) -> Result<Self, ModelError> {
        let layout = Layout::of(&config.model, input_shape, num_classes)?;
        let num_pixels: usize = input_shape.iter().product();
        let mut demand = Self::default();
        let what = format!("{num_chains} chains at once through {}", config.model.arch);
        let activations = layout.num_activations as usize;
        // The state, its gradient, the next state and the readback.
        demand.add(what, [num_chains, activations.saturating_add(4 * num_pixels)]);
        demand.add(
            format!("model.arch = {}: weights", config.model.arch),
            [layout.num_weights() as usize, 2],
        );
        Ok(demand)
    }

    /// Adds a part of the demand: as many f32 values as the product of `factors`.
    pub fn add(&mut self, what: String, factors: impl IntoIterator<Item = usize>) {
        let numbers =
            factors.into_iter().fold(FLOAT, |product, n| product.saturating_mul(n as u64));
        self.0.push((what, numbers));
    }

    /// The total demand, in bytes.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// Checks the demand against the bound of the configuration.
    ///
    /// # Errors
    /// The demand exceeds the bound.
    pub fn check(&self, config: &RunConfig) -> Result<(), TooMuchMemory> {
        let (total, bound) = (self.total(), bound(config.training.max_memory_mib));
        let largest = self.0.iter().max_by_key(|(_, bytes)| *bytes);
        match largest.filter(|_| total > bound) {
            Some((what, bytes)) => {
                Err(TooMuchMemory { what: what.clone(), bytes: *bytes, total, bound })
            }
            None => Ok(()),
        }
    }
}

/// The bound in bytes for a value of `training.max_memory_mib`; 0 means the memory of this machine.
pub fn bound(max_memory_mib: usize) -> u64 {
    let mib = match max_memory_mib {
        0 => of_machine_mib().unwrap_or(DEFAULT_MIB).min(DEFAULT_MIB),
        mib => mib as u64,
    };
    mib << 20
}

/// The memory that this process may use, in MiB, if the system reports it.
#[cfg(target_os = "linux")]
fn of_machine_mib() -> Option<u64> {
    let number_in = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    // The machine reports KiB; cgroups of both versions, which limit containers, report bytes.
    let machine = number_in("/proc/meminfo", "MemTotal:").map(|kib| kib >> 10);
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let groups = groups.into_iter().filter_map(|path| number_in(path, "").map(|bytes| bytes >> 20));
    machine.into_iter().chain(groups).min()
}

#[cfg(not(target_os = "linux"))]
fn of_machine_mib() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(assignment: &str, preset: &str) -> String {
        let config =
            RunConfig::preset(preset).and_then(|config| config.with_assignment(assignment));
        let config = config.unwrap();
        let (shape, classes) = match config.model.arch.as_str() {
            "mlp" => ([2, 1, 1], 2),
            "wrn-28-10" => ([3, 32, 32], 10),
            _ => ([1, 28, 28], 10),
        };
        let demand = Demand::of_training(&config, shape, classes, 50_000).unwrap();
        demand.check(&config).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_names_the_key_and_both_numbers() {
        let said = refused("training.max_memory_mib=4000", "paper-cifar10");
        assert!(said.contains("GiB of memory") && said.contains("the bound is 3.9 GiB"), "{said}");
        let config = RunConfig::default();
        let config = config.with_toml(
            "replay_buffer.replay_buffer_size = 1000000\ntraining.max_memory_mib = 12000",
        );
        let config = config.unwrap();
        let demand = Demand::of_training(&config, [1, 28, 28], 10, 5000).unwrap();
        let said = demand.check(&config).unwrap_err().to_string();
        assert!(
            said.starts_with("replay_buffer.replay_buffer_size = 1000000: chains of 784"),
            "{said}"
        );
        assert!(said.contains("17.5 GiB") && said.contains("11.7 GiB"), "{said}");
    }

    #[test]
    fn every_preset_is_below_the_default_bound() {
        for preset in crate::config::PRESETS {
            let config = RunConfig::preset(preset.name).unwrap();
            let (shape, classes) = match config.model.arch.as_str() {
                "mlp" => ([2, 1, 1], 5),
                arch if arch.starts_with("wrn") => ([3, 32, 32], 10),
                _ => ([1, 28, 28], 10),
            };
            let demand = Demand::of_training(&config, shape, classes, 60_000).unwrap();
            assert!(demand.total() < 10 << 30, "{}: {}", preset.name, gib(demand.total()));
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let mut demand = Demand::default();
        demand.add("chains".into(), [usize::MAX, usize::MAX]);
        demand.add("more".into(), [1]);
        assert!(demand.check(&RunConfig::default()).is_err());
    }
}
