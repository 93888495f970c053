//! Any valid configuration of limited size can do one training step and one sampling step.

use jempp::{
    checkpoint::Checkpoint,
    config::{
        AttackKind, BallNorm, Field, GapLoss, LearningRateSchedule, Norm, OptimizerKind, RunConfig,
        SECTIONS, SamKind, SamplerKind, StartKind, StepSchedule,
    },
    data::Dataset,
    device,
    energy::JointEnergy,
    sampler::{ChainState, Sampler},
    trainer::Trainer,
};
use jempp_cpu::reference::NoiseKey;
use pollster::block_on;
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use toml::{Table, Value};

use crate::common::scrambled;

/// Limits on numeric settings, so that a case takes little time.
const CAPS: &[(&str, f64)] = &[
    ("data.batch_size", 6.0),
    ("sampler.num_steps", 3.0),
    ("sampler.num_inner_steps", 3.0),
    ("objective.adversarial_steps", 3.0),
    ("replay_buffer.replay_buffer_size", 24.0),
];

const ARCHS: &[&str] = &["cnn-tiny", "cnn-small", "mlp", "wrn-10-1"];

fn names<T: serde::Serialize + Copy>(all: &[(T, &str)]) -> Vec<String> {
    let name = |choice: &T| Value::try_from(*choice).unwrap().as_str().unwrap().to_string();
    all.iter().map(|(choice, _)| name(choice)).collect()
}

fn choices(key: &str) -> Vec<String> {
    match key {
        "model.arch" => ARCHS.iter().map(|arch| (*arch).to_string()).collect(),
        "model.norm" => names(Norm::ALL),
        "sampler.kind" => names(SamplerKind::ALL),
        "sampler.start" => names(StartKind::ALL),
        "sampler.step_schedule" => names(StepSchedule::ALL),
        "objective.adversarial_norm" => names(BallNorm::ALL),
        "objective.gap_loss" => names(GapLoss::ALL),
        "eval.attack" => names(AttackKind::ALL),
        "optimizer.kind" => names(OptimizerKind::ALL),
        "optimizer.schedule" => names(LearningRateSchedule::ALL),
        "optimizer.sam_kind" => names(SamKind::ALL),
        // The data set and how it is read do not matter here.
        "data.dataset" | "data.dir" | "data.size" | "data.fit" | "data.color" => Vec::new(),
        key => panic!("choices of {key}"),
    }
}

/// The value that `pick` chooses for a key; 0 is the default.
fn value(key: &str, field: &Field, known: &Value, pick: u32) -> Option<Value> {
    if pick == 0 {
        return None;
    }
    let pick = pick as usize;
    let number = || {
        let (low, mut high) = field.range?;
        high = CAPS.iter().find(|(capped, _)| *capped == key).map_or(high, |(_, cap)| *cap);
        let share = (pick / 4 % 1000) as f64 / 1000.0;
        Some(match pick % 4 {
            0 => low,
            1 => high,
            // Near the lower end, or anywhere in the range.
            2 => low + (high - low) * share.powi(8),
            _ => low + (high - low) * share,
        })
    };
    Some(match known {
        Value::Integer(_) => Value::Integer(number()? as i64),
        Value::Float(_) => Value::Float(number()?),
        Value::Boolean(_) => Value::Boolean(pick % 2 == 1),
        Value::Array(_) => Value::Array(vec![Value::Integer((pick % 3) as i64)]),
        _ => {
            let choices = choices(key);
            Value::String(choices.get(pick % choices.len().max(1))?.clone())
        }
    })
}

fn config(picks: &[u32]) -> RunConfig {
    let small =
        "data.batch_size = 4\nreplay_buffer.replay_buffer_size = 16\nsampler.num_steps = 2\n";
    let mut config = RunConfig::default().with_toml(small).unwrap();
    let known: Table = config.to_toml().parse().unwrap();
    let fields = SECTIONS
        .iter()
        .flat_map(|(section, fields)| fields.iter().map(move |field| (*section, field)));
    for ((section, field), pick) in fields.zip(picks) {
        let key = format!("{section}.{}", field.name);
        if let Some(value) = value(&key, field, &known[section][field.name], *pick) {
            config = config.with_assignment(&format!("{key}={value}")).unwrap();
        }
    }
    config.seed = u64::from(picks[0]);
    // Most networks have no batch norm whose statistics could be shared.
    config.model.sync_batch_norm &= matches!(config.model.norm, Norm::Batch | Norm::Frozen);
    config
}

fn dataset(config: &RunConfig, pick: u32) -> Dataset {
    let pick = pick as usize;
    let [c, h, w] = match config.model.arch.as_str() {
        "mlp" => [2, 1, 1],
        _ => [[1, 3][pick % 2], 4 + pick / 2 % 5, 4 + pick / 10 % 5],
    };
    let (classes, count) = (1 + pick / 50 % 3, 12);
    let names = (0..classes).map(|class| format!("class {class}")).collect();
    let labels = (0..count as u32).map(|item| item % classes as u32).collect();
    Dataset::from_floats(scrambled(count * c * h * w, pick as u32), labels, [c, h, w], names)
        .unwrap()
}

/// Does one step; returns false if the configuration allows none.
fn one_step(config: RunConfig, data: Dataset) -> Result<bool, TestCaseError> {
    if config.validate().is_err() || config.data.batch_size > data.len() {
        return Ok(false);
    }
    let Ok(mut trainer) = Trainer::new(config.clone(), data.clone(), &device::cpu()) else {
        return Ok(false);
    };
    // A divergence is also a valid result.
    let _ = block_on(trainer.step());
    let checkpoint = block_on(trainer.checkpoint()).unwrap();
    let energy = JointEnergy::new(trainer.evaluated_network());
    let batch = trainer.buffer().chains().narrow(0, 0, 1);
    let [c, h, w] = checkpoint.input_shape;
    let noise = NoiseKey { seed: 0, stream: 1, step: 0, first_chain: 0 };
    let state = ChainState { x: batch.reshape([1, c, h, w]), noise };
    let (state, _) = Sampler::new(&config.sampler).step(state, &energy);
    assert_eq!(state.x.dims(), [1, c, h, w]);
    let _ = state.x.into_data();
    if checkpoint.is_finite() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.safetensors");
        checkpoint.save(&path).unwrap();
        let read =
            Checkpoint::load(&path).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let resumed = Trainer::resume(read, data, &device::cpu());
        resumed.map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
    Ok(true)
}

#[test]
fn any_legal_configuration_takes_one_step_of_training_and_one_of_sampling() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let num_keys: usize = SECTIONS.iter().map(|(_, fields)| fields.len()).sum();
    let config_of_runner =
        Config { cases: cases.unwrap_or(60), failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config_of_runner, rng);
    // Most keys keep their defaults, so that the effect of one extreme value shows.
    let pick = any::<(u32, u8)>().prop_map(|(pick, coin)| if coin % 5 == 0 { pick } else { 0 });
    let num_run = std::cell::Cell::new(0u32);
    let result = runner.run(&(vec(pick, num_keys), any::<u32>()), |(picks, data)| {
        let config = config(&picks);
        let data = dataset(&config, data);
        num_run.set(num_run.get() + u32::from(one_step(config, data)?));
        Ok(())
    });
    result.unwrap();
    assert!(num_run.get() > cases.unwrap_or(60) / 4, "only {} cases could run", num_run.get());
}
