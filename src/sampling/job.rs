//! The sampling job: chains from a checkpoint, as pictures and numbers.

use std::{path::PathBuf, time::Instant};

use burn::{
    module::Module,
    tensor::{Device, Tensor, Transaction, activation::softmax},
};

use super::{
    NOISE_STREAM, SampleStart, check_memory,
    diagnose::{DiagnoseRequest, Diagnosis, Recorder, Run, Seen},
    film::{self, Film},
    network_of, starts,
    table::Table,
};
use crate::{
    checkpoint::Checkpoint,
    energy::JointEnergy,
    files::write_atomically,
    kernels::{index_tensor, reference::NoiseKey},
    model::Network,
    picture,
    results_folder::{Destination, MadeBy, ResultsError},
    sampler::{ChainState, Sampler, StepInfo},
    worker::JobError,
};

/// The last three stand empty where there is no MALA or no judge.
const TRACE_COLUMNS: &str = "step,chain,class,energy,gradient_norm,clamp_rate,saturation,\
                             acceptance_probability,judged_class,judged_confidence";

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
    /// The folder of the pictures and numbers.
    pub out: Destination,
    /// What is noted there of the job.
    pub made_by: MadeBy,
}

/// How far a sampling job is: what it does, and how many of how many steps are done.
pub type Report<'a> = &'a mut dyn FnMut(&'static str, usize, usize);

/// What a sampling job made.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Steps done: fewer than asked for where the job was stopped.
    pub num_steps: usize,
    /// Whether nothing is missing of what was asked for.
    pub is_complete: bool,
    /// The last state, rows = classes.
    pub grid: PathBuf,
    /// The chains leaving their starts.
    pub animation: PathBuf,
    /// Energies and health of every chain at every step.
    pub traces: PathBuf,
    /// Summaries of the chains after the warm-up, where a diagnosis was asked for.
    pub draws: Option<PathBuf>,
    /// What was asked for on top, unless the job was stopped before.
    pub diagnosis: Option<DiagnosisFiles>,
}

/// Files of a diagnosis, and the diagnosis itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DiagnosisFiles {
    /// The numbers of the diagnosis.
    pub report: PathBuf,
    /// The same.
    pub diagnosis: Diagnosis,
}

/// Samples chains and writes `grid.png`, `chains.gif` and `traces.csv` to a folder of results; the sampler is the
/// one in the checkpoint's configuration. `report` hears of every step done. A diagnosis adds `draws.csv` and
/// `diagnostics.json`; the chains are the same with it and without.
///
/// Tables and animation are written while the chains run, so that memory does not grow with the number of steps. Once
/// `stop` says so, the job ends after the step in hand: what was sampled so far is kept, and the folder says that it is
/// unfinished.
///
/// # Errors
/// A class or start that does not fit the model, a diagnosis that the request cannot give, a folder that may not be
/// used, or files that cannot be written.
pub fn sample(
    checkpoint: Checkpoint,
    request: &SampleRequest,
    device: &Device,
    stop: &dyn Fn() -> bool,
    report: Report,
) -> Result<Sampled, JobError> {
    checkpoint.config.validate()?;
    request.out.check(request.made_by.job)?;
    let labels = request.labels(&checkpoint)?;
    check_memory(&checkpoint, labels.len())?;
    if let Some(diagnose) = &request.diagnose {
        diagnose.check(labels.len(), request)?;
    }
    let chains_per_start = request.diagnose.as_ref().map_or(1, |wanted| wanted.chains_per_start);
    let firsts: Vec<u32> = labels.iter().step_by(chains_per_start).copied().collect();
    let mut x = starts(&checkpoint, &request.start, &firsts, request.seed, device)?;
    if chains_per_start > 1 {
        let rows: Vec<u32> = (0..labels.len()).map(|row| (row / chains_per_start) as u32).collect();
        x = x.select(0, index_tensor(&rows, device));
    }
    let judge = match &request.judge {
        Some(judge) => Some(judge_of(judge, &checkpoint, device)?),
        None => None,
    };
    let network = network_of(&checkpoint, &checkpoint.config.model, device)?;
    let energy = match request.is_conditional {
        true => JointEnergy::for_labels(&network, labels.clone()),
        false => JointEnergy::new(&network),
    };
    let energy = if request.diagnose.is_some() { energy.with_logits() } else { energy };
    let run = Run { checkpoint: &checkpoint, request, network: &network, labels: &labels };
    let draw = |x: &[f32]| film::frame(x, &labels, checkpoint.input_shape, request.per_class);
    // Whatever is wrong with the request is found before anything is written.
    draw(&vec![0.0; labels.len() * checkpoint.input_shape.iter().product::<usize>()])?;

    let folder = request.out.claim(request.made_by.clone())?;
    let mut traces = Table::new(folder.file("traces.csv"), TRACE_COLUMNS)?;
    let mut film = Film::new(&folder)?;
    let mut recorder = match &request.diagnose {
        Some(wanted) => Some(Recorder::new(&run, wanted, x.clone(), folder.file("draws.csv"))?),
        None => None,
    };
    let section = &checkpoint.config.sampler;
    let noise = NoiseKey { seed: request.seed, stream: NOISE_STREAM, step: 0 };
    let mut state = ChainState { x, noise };
    let stride = request.num_steps.div_ceil(request.max_frames - 1).max(1);
    let mut step = 0;
    let last = loop {
        let begin = Instant::now();
        // The last state is evaluated, which gives it its energy, but not left.
        let is_last = step == request.num_steps || stop();
        let sampler = match step == request.num_steps {
            true => Sampler::new(section),
            false => Sampler::at_step(section, step, request.num_steps),
        };
        let x = state.x.clone();
        let (next, info) = sampler.step(state, &energy);
        let read = Columns::read(&x, &info, judge.as_ref(), !is_last);
        let secs = begin.elapsed().as_secs_f64();
        read.add_to(&mut traces, step, &labels);
        traces.keep()?;
        if step % stride == 0 || is_last {
            film.push(draw(&read.x)?)?;
        }
        if let Some(recorder) = &mut recorder {
            let logits = read.logits.as_deref().unwrap_or_default();
            let Columns { x: values, energies, health, .. } = &read;
            let seen = Seen { x: values, energies, health, logits };
            recorder.see(step, (!is_last).then_some(&sampler), x, &info, &seen, secs)?;
        }
        report("Sampling", step, request.num_steps);
        if is_last {
            break read.x;
        }
        state = next;
        step += 1;
    };

    let traces = traces.finish()?;
    let grid = folder.file("grid.png");
    picture::save_png(draw(&last)?, &grid)?;
    let animation = film.finish()?;
    let mut sampled = Sampled {
        num_steps: step,
        is_complete: step == request.num_steps,
        grid,
        animation,
        traces,
        draws: None,
        diagnosis: None,
    };
    if let Some(recorder) = recorder {
        sampled.draws = Some(folder.file("draws.csv"));
        if sampled.is_complete {
            let diagnosis = recorder.finish(&run, &energy, stop, report)?;
            sampled.is_complete = diagnosis.is_complete();
            let path = folder.file("diagnostics.json");
            let json = format!("{:#}\n", diagnosis.to_json());
            write_atomically(&path, json.as_bytes()).map_err(ResultsError::io(&path))?;
            sampled.diagnosis = Some(DiagnosisFiles { report: path, diagnosis });
        } else {
            recorder.stop()?;
        }
    }
    if sampled.is_complete {
        folder.finish()?;
    }
    Ok(sampled)
}

impl SampleRequest {
    /// The class of each chain.
    ///
    /// # Errors
    /// A class that the model has not.
    fn labels(&self, checkpoint: &Checkpoint) -> Result<Vec<u32>, JobError> {
        let num_classes = checkpoint.class_names.len();
        if let Some(class) = self.classes.iter().find(|&&class| class as usize >= num_classes) {
            return Err(JobError::Request(format!(
                "--class {class}: the model has classes 0 to {}: {}",
                num_classes - 1,
                checkpoint.class_names.join(", ")
            )));
        }
        let classes = match self.classes.is_empty() {
            true => (0..num_classes as u32).collect(),
            false => self.classes.clone(),
        };
        Ok(classes.iter().flat_map(|&class| vec![class; self.per_class]).collect())
    }
}

/// The network of a judge, if it is one of the model's data.
fn judge_of(judge: &Checkpoint, model: &Checkpoint, device: &Device) -> Result<Network, JobError> {
    if judge.input_shape != model.input_shape || judge.class_names != model.class_names {
        return Err(JobError::Request(format!(
            "--judge classifies inputs of shape {:?} (C, H, W) into {}; the model has {:?} and {}",
            judge.input_shape,
            judge.class_names.join(", "),
            model.input_shape,
            model.class_names.join(", ")
        )));
    }
    // Its verdict on one chain must not depend on the others.
    Ok(network_of(judge, &judge.config.model, device)?.valid().freeze())
}

/// What is read of all chains at one step.
struct Columns {
    /// Shape (N, C, H, W), flattened.
    x: Vec<f32>,
    /// Shape (N).
    energies: Vec<f32>,
    /// Gradient norm, clamp rate and saturation, shape (N, 3).
    health: Vec<f32>,
    /// MALA's acceptance probability, the judge's class and its confidence, each (N) where there is one.
    extra: [Option<Vec<f32>>; 3],
    /// Shape (N, classes), where the energy gives them.
    logits: Option<Vec<f32>>,
}

impl Columns {
    /// By one readback.
    fn read(x: &Tensor<4>, info: &StepInfo, judge: Option<&Network>, is_left: bool) -> Self {
        let judged = judge.map(|judge| softmax(judge.logits(x.clone()), 1).max_dim_with_indices(1));
        let (confidence, class) = judged.unzip();
        // What only some jobs have, each (N, 1) or (N, classes).
        let some = [
            info.acceptance.clone().filter(|_| is_left).map(|a| a.narrow(1, 1, 1)),
            class.map(|class| class.float()),
            confidence,
            info.logits.clone(),
        ];
        let reads = Transaction::default()
            .register(info.energy.clone())
            .register(info.summary.clone())
            .register(x.clone());
        let reads = some.iter().flatten().fold(reads, |reads, c| reads.register(c.clone()));
        let mut read = reads.execute().into_iter();
        let mut next = || -> Vec<f32> {
            read.next().map(|data| data.iter::<f32>().collect()).unwrap_or_default()
        };
        let [energies, health, x] = [(); 3].map(|()| next());
        let [acceptance, class, confidence, logits] = some.map(|column| column.map(|_| next()));
        Self { x, energies, health, extra: [acceptance, class, confidence], logits }
    }

    /// A row of the traces for each chain.
    fn add_to(&self, traces: &mut Table, step: usize, labels: &[u32]) {
        for (chain, label) in labels.iter().enumerate() {
            traces.add(format_args!("{step},{chain},{label},{}", self.energies[chain]));
            self.health[3 * chain..][..3].iter().for_each(|v| traces.add(format_args!(",{v}")));
            for column in &self.extra {
                match column {
                    Some(column) => traces.add(format_args!(",{}", column[chain])),
                    None => traces.add(format_args!(",")),
                }
            }
            traces.end_row();
        }
    }
}
