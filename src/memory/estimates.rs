//! What runs, chains and evaluations need: the estimates, part by part.

use burn::tensor::Device;
use jempp_cpu::{
    layers::{MAX_KEPT_BYTES, TaskMemory},
    parallel::num_threads,
};

use super::{Buffer, Demand, FLOAT, Part, product};
use crate::{
    config::{Norm, OptimizerKind, RunConfig},
    kernels::max_binding_bytes,
    model::{Layout, ModelError, Pass},
};

/// The number of outputs of the largest layer that a backward pass holds besides what it keeps: gradients on their way
/// and scratch memory of a convolution.
const NUM_IN_TRANSIT: u64 = 4;

/// The number of values that the layers of a network store for the backward pass of one input: for the gradient of the
/// input alone, and for that of the weights too.
///
/// On a GPU, batch norm with the statistics of the batch is a part of the convolutions around it, which store nothing
/// normalised; not so in a browser. Everywhere else, the inputs of norm layers are stored, one bit for each input of a
/// convolution, and for its weights the input itself.
fn stored(config: &RunConfig, layout: &Layout, max_binding: Option<u64>) -> [u64; 2] {
    let is_fused = max_binding.is_some() && config.model.norm == Norm::Batch;
    let (all, bits) = (layout.num_activations, layout.num_activations / 32);
    match is_fused && cfg!(not(target_arch = "wasm32")) {
        true => [all - layout.num_normalised; 2],
        false => [bits + layout.num_normalised, bits + all],
    }
}

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
        device: &Device,
    ) -> Result<Self, ModelError> {
        let layout = Layout::of(&config.model, input_shape, num_classes)?;
        let max_binding = max_binding_bytes(device);
        Ok(Self::of_run(config, &layout, input_shape, num_classes, num_items, max_binding))
    }

    fn of_run(
        config: &RunConfig,
        layout: &Layout,
        input_shape: [usize; 3],
        num_classes: usize,
        num_items: usize,
        max_binding: Option<u64>,
    ) -> Self {
        let num_pixels: usize = input_shape.iter().product();
        let (arch, optimizer) = (&config.model.arch, &config.optimizer);
        let num_moments = match optimizer.kind {
            OptimizerKind::Adam => 2,
            OptimizerKind::Sgd => u64::from(optimizer.momentum > 0.0),
        };
        let num_kept = 1 + num_moments + u64::from(optimizer.ema_decay > 0.0);
        let capacity = config.replay_buffer.replay_buffer_size;
        let batch = config.data.batch_size;
        let axes = config.class_centers.max_components.min(num_pixels);
        let axes = axes.min((num_items / num_classes.max(1)).max(1));
        let mut demand = Self { max_binding, ..Self::default() };

        let what = format!(
            "replay_buffer.replay_buffer_size = {capacity}: chains of {num_pixels} values and the copies that a run keeps"
        );
        // The chains and two states to return to; two copies for a save, and the file.
        let chains = product([capacity, num_pixels]);
        demand.parts.push(Part::of("replay buffer", what, chains, [3, 3]));
        let most = max_binding.unwrap_or(u64::MAX) / product([num_pixels]).max(1);
        demand.buffers.push(Buffer {
            what: format!(
                "replay_buffer.replay_buffer_size = {capacity}, chains of {num_pixels} values"
            ),
            bytes: chains,
            remedy: format!("set it to at most {most}"),
        });

        let what = format!("data.dataset: {num_items} training items of {num_pixels} bytes");
        let items = (num_items as u64).saturating_mul(num_pixels as u64);
        let remedy = "choose a smaller one";
        demand.parts.push(Part { remedy, ..Part::of("data set", what, items, [0, 1]) });

        let what = format!("model.arch = {arch}: weights and the copies that a run keeps");
        // Weights with moments and average: in use, and in two states to return to; also gradients and the working copy
        // of a step, a second pair of them for sharpness-aware minimisation, and the sum of the gradients of parts. On the
        // host: as read back, and in the file.
        // A GPU has the new weights and moments beside the old ones until the loss arrives.
        let num_updated = if max_binding.is_some() { 1 + num_moments } else { 0 };
        let num_of_step = 2
            + num_updated
            + 2 * u64::from(optimizer.sam_radius > 0.0)
            + u64::from(config.data.micro_batch > 0);
        let copies = [3 * num_kept + num_of_step, 2 * num_kept];
        let weights = product([layout.num_weights() as usize]);
        demand.parts.push(Part::of("weights and optimiser", what, weights, copies));
        demand.add_weight_buffer(arch, layout);

        let (first, last) = (config.sampler.num_steps, config.training.max_chain_steps);
        let what = match last > first {
            true => {
                format!("training.max_chain_steps = {last}: what each step tells of {batch} chains")
            }
            false => format!("sampler.num_steps = {first}: what each step tells of {batch} chains"),
        };
        let told = product([first.max(last), batch, 4]);
        demand.parts.push(Part::of("steps", what, told, [1, 0]));
        let what = format!("class_centers.max_components = {axes} axes of {num_classes} classes");
        let centers = product([num_classes, axes + 2, num_pixels]);
        demand.parts.push(Part::of("class centres", what, centers, [1, 2]));

        // The number of forward passes that the gradient needs at once. Parts of a batch pass one after the other.
        let objective = &config.objective;
        let has_gap = objective.adversarial_gap_weight > 0.0;
        let has_penalty = objective.gradient_penalty_weight > 0.0;
        let is_attacked = objective.attacks_images();
        let data = &config.data;
        let differs = !data.augment_energy || !data.classify_noisy && data.input_noise_std > 0.0;
        let sees_others = is_attacked || objective.needs_energies() && differs;
        let num_passes = 1
            + u64::from(sees_others)
            + u64::from(objective.needs_chains())
            + u64::from(has_gap)
            + 2 * u64::from(has_penalty);
        let (key, rows, num_passes, remedy) = match config.data.micro_batch {
            0 => ("batch_size", batch, num_passes, "lower that key or set data.micro_batch"),
            rows => ("micro_batch", rows.min(batch), 1, "lower that key"),
        };
        let what = format!("data.{key} = {rows}: activations of {arch}");
        let [_, with_weights] = stored(config, layout, max_binding);
        let image = num_passes * with_weights + NUM_IN_TRANSIT * layout.largest_activation;
        let mut update = Part::of("activations of the update", what, product([rows]), [image, 0]);
        let [frozen, weights] = layout.tasks;
        update.device = update.device.saturating_add(demand.task_bytes(frozen.max(weights), rows));
        demand.passes.push(Part { remedy, ..update });
        // Attacks and probes take the same gradient by the input as chains.
        if objective.needs_chains() || is_attacked || has_gap || has_penalty {
            let items = if objective.needs_chains() { "chains" } else { "images" };
            demand.add_sampling(config, layout, batch, items);
        }
        let what = format!("data.{key} = {rows}, the largest layer of {arch}");
        demand.add_layer_buffer(layout, rows, what, |most| {
            format!("set data.micro_batch to at most {most}")
        });
        demand
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
        device: &Device,
    ) -> Result<Self, ModelError> {
        let layout = Layout::of(&config.model, input_shape, num_classes)?;
        Ok(Self::of_sampling(config, &layout, input_shape, num_chains, max_binding_bytes(device)))
    }

    fn of_sampling(
        config: &RunConfig,
        layout: &Layout,
        input_shape: [usize; 3],
        num_chains: usize,
        max_binding: Option<u64>,
    ) -> Self {
        let (arch, num_pixels) = (&config.model.arch, input_shape.iter().product());
        let mut demand = Self { max_binding, ..Self::default() };
        let what = format!("{num_chains} chains at once, images of {num_pixels} values");
        // The state, its gradient and the next state; the readback.
        let images = product([num_chains, num_pixels]);
        demand.parts.push(Part::of("images", what.clone(), images, [3, 1]));
        let most = max_binding.unwrap_or(u64::MAX) / product([num_pixels]).max(1);
        let remedy = format!("ask for at most {most}");
        demand.buffers.push(Buffer { what, bytes: images, remedy });
        let weights = product([layout.num_weights() as usize]);
        let what = format!("model.arch = {arch}: weights");
        demand.parts.push(Part::of("weights", what, weights, [1, 1]));
        demand.add_weight_buffer(arch, layout);
        let rows = demand.add_sampling(config, layout, num_chains, "chains");
        let what = format!("{rows} chains at once, the largest layer of {arch}");
        demand.add_layer_buffer(layout, rows, what, |most| {
            format!("ask for at most {most}, or set data.micro_batch to that")
        });
        demand
    }

    /// Estimates the demand of an evaluation: chains and attacks in batches of the training, and images that pass in
    /// batches that fit.
    ///
    /// # Errors
    /// The configuration does not describe a valid network.
    pub(crate) fn of_evaluation(
        config: &RunConfig,
        input_shape: [usize; 3],
        num_classes: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let layout = Layout::of(&config.model, input_shape, num_classes)?;
        let (batch, max_binding) = (config.data.batch_size, max_binding_bytes(device));
        let mut demand = Self::of_sampling(config, &layout, input_shape, batch, max_binding);
        let rows = layout.images_at_once(Pass::Gradient, max_binding);
        let what = format!("{rows} images at once through {}", config.model.arch);
        let images = product([rows, layout.num_activations as usize]);
        demand.passes.push(Part::of("activations of measuring", what, images, [1, 0]));
        Ok(demand)
    }

    /// Adds the activations of the gradient by the input of `num_chains` items, chains or images; returns how many of them
    /// pass at once.
    fn add_sampling(
        &mut self,
        config: &RunConfig,
        layout: &Layout,
        num_chains: usize,
        items: &str,
    ) -> usize {
        let micro_batch = match config.data.micro_batch {
            0 => num_chains,
            rows => rows.min(num_chains),
        };
        // Batch norm mixes the images of a batch, so that only what was asked for splits it.
        let rows = match config.model.norm {
            Norm::Batch => micro_batch,
            _ => micro_batch.min(layout.most_at_once(self.max_binding)),
        };
        let what = format!("{num_chains} {items} at once through {}", config.model.arch);
        let [frozen, _] = stored(config, layout, self.max_binding);
        let image = frozen + NUM_IN_TRANSIT * layout.largest_activation;
        let mut part = Part::of("activations of sampling", what, product([rows]), [image, 0]);
        part.device = part.device.saturating_add(self.task_bytes(layout.tasks[0], rows));
        self.passes.push(part);
        rows
    }

    /// The bytes that the tasks of a convolution of `rows` images hold on the CPU back end.
    fn task_bytes(&self, tasks: TaskMemory, rows: usize) -> u64 {
        match self.max_binding {
            Some(_) => 0,
            None => FLOAT.saturating_mul(tasks.num_values(rows, num_threads())),
        }
    }

    /// Adds the outputs of the largest layer for `rows` images; `remedy` says what to do, from the number that fits.
    fn add_layer_buffer(
        &mut self,
        layout: &Layout,
        rows: usize,
        what: String,
        remedy: impl FnOnce(u64) -> String,
    ) {
        let largest = product([layout.largest_activation as usize]);
        let remedy = match self.max_binding.unwrap_or(u64::MAX) / largest.max(1) {
            0 => "choose a smaller network".into(),
            most => remedy(most),
        };
        self.buffers.push(Buffer { what, bytes: largest.saturating_mul(rows as u64), remedy });
    }

    /// Adds the largest weights, which a kernel binds, and what is made of weights and kept while they are frozen.
    fn add_weight_buffer(&mut self, arch: &str, layout: &Layout) {
        let what = format!("model.arch = {arch}: what convolutions keep of frozen weights");
        let convolutions = layout.tensors.iter().filter(|(_, shape)| shape.len() == 4);
        let bytes_of = |shape: &[usize]| product(shape.iter().copied());
        let kept = match self.max_binding {
            // Turned for the gradient.
            Some(_) => convolutions.map(|(_, shape)| bytes_of(shape)).sum(),
            // Transformed, 36 values for the 9 of a filter, for both passes.
            None => {
                let filters = convolutions.filter(|(_, shape)| shape[0] == 3);
                let bytes: u64 = filters.map(|(_, shape)| bytes_of(shape)).sum();
                (8 * bytes).min(MAX_KEPT_BYTES as u64)
            }
        };
        self.parts.push(Part::of("kept filters", what, kept, [1, 0]));
        let sizes = layout.tensors.iter().map(|(_, shape)| product(shape.iter().copied()));
        self.buffers.push(Buffer {
            what: format!("model.arch = {arch}, the weights of its largest layer"),
            bytes: sizes.max().unwrap_or(0),
            remedy: "choose a smaller network".into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::size, *};

    const MIB: u64 = 1 << 20;
    /// Enough memory on every machine, so that only buffers are refused.
    const AMPLE: &str = "training.max_memory_mib=100000";

    /// The demand of a run of a preset with other settings.
    fn run(preset: &str, settings: &[&str], max_binding: Option<u64>) -> (RunConfig, Demand) {
        let config = settings.iter().try_fold(RunConfig::preset(preset).unwrap(), |config, set| {
            config.with_assignment(set)
        });
        let config = config.unwrap();
        let (shape, classes) = match config.model.arch.as_str() {
            "mlp" => ([2, 1, 1], 5),
            arch if arch.starts_with("wrn") => ([3, 32, 32], 10),
            _ => ([1, 28, 28], 10),
        };
        let layout = Layout::of(&config.model, shape, classes).unwrap();
        let demand = Demand::of_run(&config, &layout, shape, classes, 50_000, max_binding);
        (config, demand)
    }

    fn refusal(preset: &str, settings: &[&str], max_binding: Option<u64>) -> String {
        let (config, demand) = run(preset, settings, max_binding);
        demand.check(&config).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_names_the_key_the_numbers_and_the_remedy() {
        let said = refusal("paper-cifar10", &["training.max_memory_mib=4000"], None);
        assert!(said.starts_with("data.batch_size = 64: activations of wrn-28-10 need "), "{said}");
        assert!(
            said.contains("; the bound is 3.9 GiB: lower that key or set data.micro_batch"),
            "{said}"
        );
        let settings =
            ["replay_buffer.replay_buffer_size=1000000", "training.max_memory_mib=12000"];
        let said = refusal("fashion-quick", &settings, None);
        assert!(
            said.starts_with("replay_buffer.replay_buffer_size = 1000000: chains of 784"),
            "{said}"
        );
        assert!(
            said.contains("17.5 GiB") && said.contains("11.7 GiB: lower that key, or"),
            "{said}"
        );
    }

    #[test]
    fn a_micro_batch_makes_the_activations_smaller() {
        let activations = |micro_batch: usize| {
            let set = format!("data.micro_batch={micro_batch}");
            let (_, demand) = run("paper-cifar10", &[&set], Some(2048 * MIB));
            demand.passes.iter().map(|part| part.device).max().unwrap()
        };
        let [whole, of_64, of_16, of_99] = [0, 64, 16, 99].map(activations);
        // Images and chains pass one after the other.
        assert!(of_64 < 6 * whole / 10 && of_64 > 4 * whole / 10, "{of_64} of {whole}");
        assert_eq!(of_64, 4 * of_16);
        assert_eq!(of_99, of_64, "a batch has 64 images");
        let said = refusal(
            "paper-cifar10",
            &["data.micro_batch=4", "training.max_memory_mib=100"],
            Some(2048 * MIB),
        );
        assert!(said.contains("everything together"), "{said}");
    }

    #[test]
    fn terms_next_to_the_data_need_passes_of_their_own() {
        let most = Some(2048 * MIB);
        let update = |settings: &[&str]| {
            let (_, demand) = run("paper-cifar10", settings, most);
            let bytes = |name| demand.passes.iter().find(|part| part.name == name);
            let [update, sampling] =
                ["activations of the update", "activations of sampling"].map(bytes);
            (update.unwrap().device, sampling.is_some())
        };
        let (plain, (none, chains)) = (update(&[]).0, update(&["objective.p_x_weight=0"]));
        // A pass of the data and one of the chains, each as large as the difference.
        let (pass, radius) = (plain - none, "objective.adversarial_radius=0.5");
        assert!(!chains);
        let alone = "objective.p_x_weight=0";
        assert_eq!(
            update(&[radius, alone]),
            (none + pass, true),
            "attacked images beside the data"
        );
        assert_eq!(update(&[radius]).0, plain + pass);
        assert_eq!(update(&[radius, "objective.adversarial_gap_weight=1"]).0, plain + 2 * pass);
        let penalty = "objective.gradient_penalty_weight=1";
        assert_eq!(update(&[penalty, alone]), (none + 2 * pass, true), "two probes");
    }

    #[test]
    fn a_buffer_that_no_kernel_can_bind_is_refused_with_what_fits() {
        let most = Some(128 * MIB);
        let (config, demand) = run("paper-cifar10", &["data.batch_size=32", AMPLE], most);
        demand.check(&config).unwrap();
        // 320 channels of 32 × 32: 80 MiB for 64 images.
        let (config, demand) = run("paper-cifar10", &[AMPLE], most);
        demand.check(&config).unwrap();
        let said = refusal("paper-cifar10", &["data.batch_size=128", AMPLE], most);
        assert_eq!(
            said,
            "data.batch_size = 128, the largest layer of wrn-28-10: this needs a buffer of 160 MiB, and a kernel on this device \
             uses at most 128 MiB at once: set data.micro_batch to at most 102, or choose another device"
        );
        let settings = ["data.batch_size=128", "data.micro_batch=102", AMPLE];
        let (config, demand) = run("paper-cifar10", &settings, most);
        demand.check(&config).unwrap();
        let said =
            refusal("paper-cifar10", &["replay_buffer.replay_buffer_size=11000", AMPLE], most);
        assert!(said.contains("129 MiB") && said.contains("set it to at most 10922"), "{said}");
        let said = refusal("paper-cifar10", &["model.arch=wrn-10-64", AMPLE], most);
        assert!(said.contains("model.arch = wrn-10-64, the weights"), "{said}");
        let chains = |norm: &str, num_chains: usize| {
            let set = format!("model.norm={norm}");
            let config = run("paper-cifar10", &[&set, AMPLE], most).0;
            let layout = Layout::of(&config.model, [3, 32, 32], 10).unwrap();
            let demand = Demand::of_sampling(&config, &layout, [3, 32, 32], num_chains, most);
            demand.check(&config).map_err(|error| error.to_string())
        };
        assert_eq!(
            chains("none", 200),
            Ok(()),
            "chains that do not depend on each other pass in parts"
        );
        let said = chains("batch", 200).unwrap_err();
        assert!(said.contains("at most 102, or set data.micro_batch to that"), "{said}");
    }

    #[test]
    fn one_line_says_what_a_run_needs_and_where() {
        let line = run("paper-cifar10", &[], Some(2048 * MIB)).1.to_string();
        assert!(line.starts_with("about ") && line.contains("GiB of it on the device: "), "{line}");
        for part in
            ["activations of the update", "activations of sampling", "weights and", "replay buffer"]
        {
            assert!(line.contains(part), "{line}");
        }
        let line = run("fashion-quick", &[], None).1.to_string();
        assert!(line.contains("MiB") && !line.contains("device"), "{line}");
    }

    /// The memory of the recipes of papers on a GPU, as docs/commands.md has it: of the whole batch in one pass, and of the
    /// largest parts with which the run fits into 8 GB.
    #[test]
    fn the_documents_say_what_recipes_of_papers_need() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let of_gpu = Some(2048 * MIB);
        let row = |preset: &str| {
            let device = |part: usize| {
                let demand = run(preset, &[&format!("data.micro_batch={part}")], of_gpu).1;
                demand.bytes()[0]
            };
            // A desktop and the driver take half a gigabyte. 0 is the whole batch in one pass.
            let fits = [0, 128, 64, 32, 16].into_iter().find(|&part| device(part) < 7_500_000_000);
            let fits = match fits {
                Some(0) => "the whole batch in one pass".into(),
                Some(part) => format!("`data.micro_batch = {part}`: {}", size(device(part))),
                None => "nothing".into(),
            };
            format!("| `{preset}` | {} | {fits} |\n", size(device(0)))
        };
        let presets = ["paper-cifar10", "jem-cifar10", "sada-jem-cifar10", "dat-cifar10"];
        let missing: String =
            presets.map(row).into_iter().filter(|row| !docs.contains(row)).collect();
        assert!(missing.is_empty(), "{missing}");
    }

    #[test]
    fn every_preset_is_below_the_default_bound() {
        for preset in crate::config::PRESETS {
            let total = run(preset.name, &[], None).1.total();
            assert!(total < super::super::DEFAULT_MIB << 20, "{}: {}", preset.name, size(total));
        }
    }
}
