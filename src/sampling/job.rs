//! The sampling job: chains from a checkpoint, as pictures and numbers.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use burn::{
    module::Module,
    tensor::{Device, Transaction, activation::softmax},
};

use super::{
    NOISE_STREAM, SampleStart, check_memory,
    diagnose::{DiagnoseRequest, Diagnosis, Recorder, Run, Seen},
    network_of, starts,
};
use crate::{
    checkpoint::Checkpoint,
    energy::JointEnergy,
    files::write_atomically,
    kernels::{index_tensor, reference::NoiseKey},
    picture,
    run_folder::RunFolderError,
    sampler::{ChainState, Sampler},
    worker::JobError,
};

const FRAME_MILLIS: u32 = 150;
/// The last three stand empty where there is no MALA or no judge.
const TRACE_COLUMNS: &str = "step,chain,class,energy,gradient_norm,clamp_rate,saturation,\
                             acceptance_probability,judged_class,judged_confidence\n";

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
    /// Whether and how to diagnose the chains.
    pub diagnose: Option<DiagnoseRequest>,
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
    /// What was asked for on top.
    pub diagnosis: Option<DiagnosisFiles>,
}

/// Files of a diagnosis, and the diagnosis itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DiagnosisFiles {
    /// Summaries of every chain at every step after the warm-up.
    pub draws: PathBuf,
    /// The numbers of the diagnosis.
    pub report: PathBuf,
    /// The same.
    pub diagnosis: Diagnosis,
}

/// Samples chains and writes `grid.png`, `chains.gif` and `traces.csv` to `out`; the sampler is the
/// one in the checkpoint's configuration. `on_step` hears of every step done. A diagnosis adds `draws.csv` and
/// `diagnostics.json`; the chains are the same with it and without.
///
/// # Errors
/// A class or start that does not fit the model, a diagnosis that the request cannot give, or files that
/// cannot be written.
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
    check_memory(&checkpoint, labels.len())?;
    if let Some(diagnose) = &request.diagnose {
        diagnose.check(labels.len(), request)?;
    }

    let io = |path: &Path, source| RunFolderError::Io { path: path.to_path_buf(), source };
    std::fs::create_dir_all(out).map_err(|source| io(out, source))?;
    let chains_per_start = request.diagnose.as_ref().map_or(1, |wanted| wanted.chains_per_start);
    let firsts: Vec<u32> = labels.iter().step_by(chains_per_start).copied().collect();
    let mut x = starts(&checkpoint, &request.start, &firsts, request.seed, device)?;
    if chains_per_start > 1 {
        let rows: Vec<u32> = (0..labels.len()).map(|row| (row / chains_per_start) as u32).collect();
        x = x.select(0, index_tensor(&rows, device));
    }
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
    let energy = if request.diagnose.is_some() { energy.with_logits() } else { energy };
    let run = Run { checkpoint: &checkpoint, request, network: &network, labels: &labels };
    let mut recorder = match &request.diagnose {
        Some(wanted) => Some(Recorder::new(&run, wanted, x.clone())?),
        None => None,
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
        let begin = Instant::now();
        let x = state.x.clone();
        let (next, info) = sampler.step(state, &energy);
        let judged =
            judge.as_ref().map(|judge| softmax(judge.logits(x.clone()), 1).max_dim_with_indices(1));
        let (confidence, class) = judged.unzip();
        // What only some jobs have, each (N, 1).
        let extra = [
            // The last step is evaluated, but not taken.
            info.acceptance.clone().filter(|_| step < request.num_steps).map(|a| a.narrow(1, 1, 1)),
            class.map(|class| class.float()),
            confidence,
            info.logits.clone(),
        ];
        let reads = Transaction::default()
            .register(info.energy.clone())
            .register(info.summary.clone())
            .register(x.clone());
        let reads = extra.iter().flatten().fold(reads, |reads, c| reads.register(c.clone()));
        let mut read = reads.execute().into_iter();
        let mut next_column = || -> Vec<f32> {
            read.next().map(|data| data.iter::<f32>().collect()).unwrap_or_default()
        };
        let [energies, summaries, values] = [(); 3].map(|()| next_column());
        let [acceptance, class, confidence, logits] =
            extra.map(|column| column.map(|_| next_column()));
        let secs = begin.elapsed().as_secs_f64();
        for (chain, summary) in summaries.chunks(3).enumerate() {
            let label = labels[chain];
            let [norm, clamped, saturated] = [summary[0], summary[1], summary[2]];
            let energy = energies[chain];
            traces += &format!("{step},{chain},{label},{energy},{norm},{clamped},{saturated}");
            for column in [&acceptance, &class, &confidence] {
                let value = column.as_ref().map(|column| column[chain].to_string());
                traces += &format!(",{}", value.unwrap_or_default());
            }
            traces.push('\n');
        }
        if step % stride == 0 || step == request.num_steps {
            frames.push(picture::draw(&values, &labels, shape, request.per_class));
        }
        if let Some(recorder) = &mut recorder {
            let logits = logits.as_deref().unwrap_or_default();
            let seen = Seen { x: &values, energies: &energies, health: &summaries, logits };
            recorder.see(step, sampler, x, &info, &seen, secs);
        }
        state = next;
        on_step(step);
    }
    let diagnosed = recorder.map(|recorder| recorder.finish(&run, &energy)).transpose()?;

    let mut files = SampleFiles {
        grid: out.join("grid.png"),
        animation: out.join("chains.gif"),
        traces: out.join("traces.csv"),
        diagnosis: None,
    };
    write_atomically(&files.traces, traces.as_bytes())
        .map_err(|source| io(&files.traces, source))?;
    if let Some(last) = frames.last() {
        picture::save_png(last.clone(), &files.grid)?;
    }
    picture::save_gif(frames, FRAME_MILLIS, &files.animation)?;
    if let Some((diagnosis, table)) = diagnosed {
        let (draws, report) = (out.join("draws.csv"), out.join("diagnostics.json"));
        let json = format!("{:#}\n", diagnosis.to_json());
        for (path, text) in [(&draws, &table), (&report, &json)] {
            write_atomically(path, text.as_bytes()).map_err(|source| io(path, source))?;
        }
        files.diagnosis = Some(DiagnosisFiles { draws, report, diagnosis });
    }
    Ok(files)
}
