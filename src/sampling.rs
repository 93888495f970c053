//! The sampling job: chains from a checkpoint, as pictures and numbers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, Transaction, activation::softmax},
};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    config::{ModelConfig, StartKind},
    data,
    energy::JointEnergy,
    files::write_atomically,
    kernels::reference::NoiseKey,
    model::{Network, with_weights},
    picture,
    replay_buffer::Start,
    run_folder::RunFolderError,
    sampler::{ChainState, Sampler},
    trainer::TrainerError,
    worker::JobError,
};

/// Philox stream of a chain's noise.
pub(crate) const NOISE_STREAM: u32 = 48;
const START_STREAM: u32 = 50;
const FRAME_MILLIS: u32 = 150;
/// The last three stand empty where there is no MALA or no judge.
const TRACE_COLUMNS: &str = "step,chain,class,energy,gradient_norm,clamp_rate,saturation,\
                             acceptance_probability,judged_class,judged_confidence\n";

/// Where sampled chains start.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleStart {
    /// Fresh starts of a kind.
    Fresh(StartKind),
    /// Test images of each class.
    Data,
    /// Chains of the checkpoint's replay buffer.
    Buffer,
    /// One picture for all.
    File(PathBuf),
    /// One image (C, H, W) in [-1, 1] for all.
    Image(Arc<[f32]>),
}

/// What to sample.
#[derive(Clone, Debug)]
pub struct SampleRequest {
    /// Starts.
    pub start: SampleStart,
    /// Classes, one row each; all if empty.
    pub classes: Vec<u32>,
    /// Chains per class.
    pub per_class: usize,
    /// Steps per chain.
    pub num_steps: usize,
    /// Whether the chain of class y follows p(x|y) instead of p(x).
    pub is_conditional: bool,
    /// Seed of starts and noise.
    pub seed: u64,
    /// Most frames in the animation, at least 2: where the chains start and where they end.
    pub max_frames: usize,
    /// Another classifier, which says at every step what it sees in each chain.
    pub judge: Option<Checkpoint>,
}

/// Files of a sampling job.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleFiles {
    /// The last state, rows = classes.
    pub grid: PathBuf,
    /// The chains leaving their starts.
    pub animation: PathBuf,
    /// Energies and health of every chain at every step.
    pub traces: PathBuf,
}

/// Samples chains and writes `grid.png`, `chains.gif` and `traces.csv` to `out`; the sampler is the
/// one in the checkpoint's configuration. `on_step` hears of every step done.
///
/// # Errors
/// A class or start that does not fit the model, or files that cannot be written.
pub fn sample(
    checkpoint: Checkpoint,
    request: &SampleRequest,
    device: &Device,
    out: &Path,
    on_step: &mut dyn FnMut(usize),
) -> Result<SampleFiles, JobError> {
    checkpoint.config.check()?;
    let num_classes = checkpoint.class_names.len();
    let shape = checkpoint.input_shape;
    if let Some(class) = request.classes.iter().find(|&&class| class as usize >= num_classes) {
        return Err(JobError::Request(format!(
            "--class {class}: the model has classes 0 to {}: {}",
            num_classes - 1,
            checkpoint.class_names.join(", ")
        )));
    }
    let classes = match request.classes.is_empty() {
        true => (0..num_classes as u32).collect(),
        false => request.classes.clone(),
    };
    let labels: Vec<u32> =
        classes.iter().flat_map(|&class| vec![class; request.per_class]).collect();

    let io = |path: &Path, source| RunFolderError::Io { path: path.to_path_buf(), source };
    std::fs::create_dir_all(out).map_err(|source| io(out, source))?;
    let x = starts(&checkpoint, &request.start, &labels, request.seed, device)?;
    let judge = match &request.judge {
        Some(judge)
            if judge.input_shape != shape || judge.class_names != checkpoint.class_names =>
        {
            return Err(JobError::Request(format!(
                "--judge classifies inputs of shape {:?} (C, H, W) into {}; the model has {shape:?} and {}",
                judge.input_shape,
                judge.class_names.join(", "),
                checkpoint.class_names.join(", ")
            )));
        }
        // Its verdict on one chain must not depend on the others.
        Some(judge) => Some(network_of(judge, &judge.config.model, device)?.valid().freeze()),
        None => None,
    };
    let network = network_of(&checkpoint, &checkpoint.config.model, device)?;
    let energy = match request.is_conditional {
        true => JointEnergy::for_labels(&network, labels.clone()),
        false => JointEnergy::new(&network),
    };
    let section = &checkpoint.config.sampler;
    let mut samplers = Sampler::for_steps(section, request.num_steps);
    // One evaluation past the last step gives the last state its energy.
    samplers.push(Sampler::new(section));
    let noise = NoiseKey { seed: request.seed, stream: NOISE_STREAM, step: 0 };
    let mut state = ChainState { x, noise };
    let stride = request.num_steps.div_ceil(request.max_frames - 1).max(1);
    let mut frames = Vec::new();
    let mut traces = String::from(TRACE_COLUMNS);
    for (step, sampler) in samplers.iter().enumerate() {
        let x = state.x.clone();
        let (next, info) = sampler.step(state, &energy);
        let judged =
            judge.as_ref().map(|judge| softmax(judge.logits(x.clone()), 1).max_dim_with_indices(1));
        let (confidence, class) = judged.unzip();
        // What only some jobs have, each (N, 1).
        let extra = [
            // The last step is evaluated, but not taken.
            info.acceptance.filter(|_| step < request.num_steps).map(|a| a.narrow(1, 1, 1)),
            class.map(|class| class.float()),
            confidence,
        ];
        let reads = Transaction::default().register(info.energy).register(info.summary).register(x);
        let reads = extra.iter().flatten().fold(reads, |reads, c| reads.register(c.clone()));
        let mut read = reads.execute().into_iter();
        let mut next_column = || -> Vec<f32> {
            read.next().map(|data| data.iter::<f32>().collect()).unwrap_or_default()
        };
        let [energies, summaries, x] = [(); 3].map(|()| next_column());
        let extra = extra.map(|column| column.map(|_| next_column()));
        for (chain, summary) in summaries.chunks(3).enumerate() {
            let class = labels[chain];
            let [norm, clamped, saturated] = [summary[0], summary[1], summary[2]];
            let energy = energies[chain];
            traces += &format!("{step},{chain},{class},{energy},{norm},{clamped},{saturated}");
            for column in &extra {
                let value = column.as_ref().map(|column| column[chain].to_string());
                traces += &format!(",{}", value.unwrap_or_default());
            }
            traces.push('\n');
        }
        if step % stride == 0 || step == request.num_steps {
            frames.push(picture::draw(&x, &labels, shape, request.per_class));
        }
        state = next;
        on_step(step);
    }

    let files = SampleFiles {
        grid: out.join("grid.png"),
        animation: out.join("chains.gif"),
        traces: out.join("traces.csv"),
    };
    write_atomically(&files.traces, traces.as_bytes())
        .map_err(|source| io(&files.traces, source))?;
    if let Some(last) = frames.last() {
        picture::save_png(last.clone(), &files.grid)?;
    }
    picture::save_gif(frames, FRAME_MILLIS, &files.animation)?;
    Ok(files)
}

/// The network of a checkpoint, with the weights to sample with; `config` is the checkpoint's own, or
/// differs from it in split and norm.
///
/// # Errors
/// Weights or a split that do not fit.
pub(crate) fn network_of(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    device: &Device,
) -> Result<Network, JobError> {
    let num_classes = checkpoint.class_names.len();
    let network = Network::new(config, checkpoint.input_shape, num_classes, 0, device)
        .map_err(TrainerError::from)?;
    Ok(with_weights(network, checkpoint.sampling_weights().clone())?)
}

/// One start per label, shape (N, C, H, W).
///
/// # Errors
/// A start that the checkpoint or its data cannot give.
pub(crate) fn starts(
    checkpoint: &Checkpoint,
    start: &SampleStart,
    labels: &[u32],
    seed: u64,
    device: &Device,
) -> Result<Tensor<4>, JobError> {
    let [c, h, w] = checkpoint.input_shape;
    let num_pixels = c * h * w;
    let values = match start {
        SampleStart::Fresh(kind) => {
            let centers = checkpoint.class_centers.to_device(checkpoint.input_shape, device);
            let noise = NoiseKey { seed, stream: START_STREAM, step: 0 };
            return Ok(Start::new(*kind, &centers).draw(labels, noise, device));
        }
        SampleStart::Data => {
            let test = data::load_at_hand(&checkpoint.config.data, checkpoint.config.seed)?.test;
            checkpoint.check_data(&test)?;
            let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); test.num_classes()];
            for (index, &label) in test.labels.iter().enumerate() {
                of_class[label as usize].push(index);
            }
            let pick = nth_of_class(labels);
            let pick = labels.iter().zip(pick).map(|(&label, nth)| {
                let indices = &of_class[label as usize];
                indices.get((nth + seed as usize) % indices.len().max(1)).copied()
            });
            let indices: Option<Vec<usize>> = pick.collect();
            let missing = || JobError::Request("a class has no test image to start from".into());
            test.gather(indices.ok_or_else(missing)?)
        }
        SampleStart::Buffer if checkpoint.is_packed() => {
            return Err(CheckpointError::Packed.into());
        }
        SampleStart::Buffer => {
            let buffer = &checkpoint.replay_buffer;
            let (capacity, num_classes) = (buffer.shape[0], checkpoint.class_names.len());
            let rows = labels.iter().zip(nth_of_class(labels)).map(|(&label, nth)| {
                let first = (label as usize * capacity).div_ceil(num_classes);
                let last = ((label as usize + 1) * capacity).div_ceil(num_classes);
                first + (nth + seed as usize) % (last - first).max(1)
            });
            rows.flat_map(|row| &buffer.values[row * num_pixels..(row + 1) * num_pixels])
                .copied()
                .collect()
        }
        SampleStart::Image(image) if image.len() == num_pixels => image.repeat(labels.len()),
        SampleStart::Image(_) => {
            return Err(JobError::Request("the image has another size than the model's".into()));
        }
        SampleStart::File(path) => {
            if h * w == 1 {
                return Err(JobError::Request(
                    "a model of points in the plane cannot start from a picture".into(),
                ));
            }
            picture::load_item(path, checkpoint.input_shape)?.repeat(labels.len())
        }
    };
    Ok(Tensor::from_data(TensorData::new(values, [labels.len(), c, h, w]), device))
}

/// How many equal labels stand before each.
fn nth_of_class(labels: &[u32]) -> Vec<usize> {
    let mut seen = std::collections::HashMap::new();
    let count = |&label| {
        let nth = seen.entry(label).or_insert(0);
        *nth += 1;
        *nth - 1
    };
    labels.iter().map(count).collect()
}
