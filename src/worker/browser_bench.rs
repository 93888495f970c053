//! A benchmark for the browser: the time of a step of the viewer's chains on each device.

use serde::Serialize;
use web_time::Instant;

use super::{Event, JobError, RunRequest, open_model::OpenModel};
use crate::{
    assets, browser,
    bundled::BUNDLED_MODELS,
    config::RunConfig,
    data,
    device::{self, ComputeDevice},
    trainer::Trainer,
};

/// The preset whose untrained network represents the models of 2-D points.
const TOY: &str = "toy-two-moons";
const CHAINS_PER_CLASS: usize = 4;
/// The number of first steps that are not timed, because pipelines are compiled and caches are filled.
const WARM_UP: u64 = 3;
/// The duration of the measurement, in seconds.
const SECS: f64 = 5.0;

/// The measurements of one model on one device.
#[derive(Serialize)]
struct Measured {
    device: String,
    model: String,
    num_chains: usize,
    /// The time from the opened model to the first evaluated step.
    first_step_secs: f64,
    steps_per_sec: f64,
    /// The number of GPU kernels launched per step; 0 on the CPU back end.
    launches_per_step: f64,
    /// The number of command buffers submitted per step; 0 on the CPU back end.
    submissions_per_step: f64,
}

/// Runs the benchmark, reports each result as a line, and returns all of them as JSON.
pub async fn bench(line: &dyn Fn(String)) -> String {
    let mut report = Vec::new();
    for wanted in ["webgpu", "cpu"] {
        let device = match device::open(wanted).await {
            Ok(device) => device,
            Err(error) => {
                line(format!("{wanted}: not measured: {error}"));
                continue;
            }
        };
        for model in [BUNDLED_MODELS[0].name, TOY] {
            match measure(model, &device).await {
                Ok(found) => {
                    line(format!(
                        "{}, {} ({} chains): first step after {:.2} s, then {:.2} steps/s, {:.1} kernel launches \
                         and {:.1} queue submissions a step",
                        found.device,
                        found.model,
                        found.num_chains,
                        found.first_step_secs,
                        found.steps_per_sec,
                        found.launches_per_step,
                        found.submissions_per_step,
                    ));
                    report.push(found);
                }
                Err(error) => line(format!("{}, {model}: {error}", device.description)),
            }
        }
    }
    line("done".into());
    // Numbers and strings always serialise without an error.
    serde_json::to_string(&report).unwrap_or_default()
}

async fn open(name: &str, device: &ComputeDevice) -> Result<OpenModel, JobError> {
    if name != TOY {
        assets::bring(&[BUNDLED_MODELS[0].file]).await?;
        let attached = Default::default();
        let mut model = OpenModel::open(name, &attached, &device.device)?;
        if device.is_cpu() {
            model.allow_help(&attached);
        }
        return Ok(model);
    }
    let config = RunConfig::preset(name)?;
    let train = data::load(&config.data, config.seed)?.train;
    let checkpoint = Trainer::new(config, train, &device.device)?.checkpoint().await?;
    OpenModel::of(name.to_string(), checkpoint, &device.device)
}

async fn measure(name: &str, device: &ComputeDevice) -> Result<Measured, JobError> {
    let mut model = open(name, device).await?;
    let info = model.info();
    let num_classes = info.class_names.len() as u32;
    let labels: Vec<u32> = (0..num_classes).flat_map(|class| [class; CHAINS_PER_CLASS]).collect();
    let num_chains = labels.len();
    let begin = Instant::now();
    model.restart(RunRequest { seed: 0, labels, lanes: vec![info.lane()], image: None }).await?;
    model.evaluate().await?;
    let first_step_secs = begin.elapsed().as_secs_f64();
    let (mut begin, mut before) = (Instant::now(), (0.0, 0.0));
    loop {
        let step = model.step();
        if step == WARM_UP {
            (begin, before) = (Instant::now(), browser::counts());
        }
        let secs = begin.elapsed().as_secs_f64();
        if step > WARM_UP && secs >= SECS {
            let (after, steps) = (browser::counts(), (step - WARM_UP) as f64);
            return Ok(Measured {
                device: device.description.clone(),
                model: name.to_string(),
                num_chains,
                first_step_secs,
                steps_per_sec: steps / secs,
                launches_per_step: (after.0 - before.0) / steps,
                submissions_per_step: (after.1 - before.1) / steps,
            });
        }
        model.advance();
        if let Some(Event::Step(step)) = model.evaluate().await?
            && step.lanes.iter().flat_map(|lane| &lane.numbers.energy).any(|e| !e.is_finite())
        {
            return Err(JobError::Request("the chains are no longer finite".into()));
        }
        browser::pause(0.0).await;
    }
}
