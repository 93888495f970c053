//! What waits for a device: readbacks, and uploads, each of which submits the work before it. All are counted for the
//! whole process.

use std::time::Duration;

use burn::tensor::Tensor;
use jempp::{
    chains::{ChainRun, ChainSettings},
    config::{LabState, ModelConfig, RunConfig},
    convergence::{ConvergenceSettings, Recorder},
    device::{self, ComputeDevice, Readbacks, count_readbacks},
    energy::{AnalyticEnergy, Energy, JointEnergy},
    model::Network,
    sampler::{ChainState, Sampler},
    trainer::Trainer,
    training::Training,
    worker::{self, Command, Event, RunRequest, lab::Lab},
};
use jempp_cpu::reference::DensityForm;
use pollster::block_on;

use crate::{
    alone,
    common::{self, scrambled_tensor, tiny_config, tiny_dataset},
};

const NUM_STEPS: usize = 10;
const SAMPLERS: [Sampler; 4] = [
    Sampler::Sgld { step_size: 0.1, noise_std: 0.01 },
    Sampler::ProximalSgld { step_size: 0.1, noise_std: 0.01, proximal_radius: 1.0 },
    Sampler::Pyld {
        num_inner_steps: 3,
        inner_step_size: 0.1,
        noise_std: 0.01,
        proximal_radius: 1.0,
    },
    Sampler::Mala { step_size: 0.01, noise_std: 0.1 },
];

/// The most submissions of a chain: one for each gradient, of which a step of PYLD has one for each inner step.
fn most_submissions(sampler: Sampler) -> u64 {
    let gradients_per_step = match sampler {
        Sampler::Pyld { num_inner_steps, .. } => num_inner_steps,
        _ => 1,
    };
    (NUM_STEPS * gradients_per_step) as u64
}

fn opened() -> Option<ComputeDevice> {
    common::gpu()?;
    Some(block_on(device::open("gpu")).or_else(|_| block_on(device::open("0"))).unwrap())
}

/// The readbacks and the submissions of a chain.
fn cost(
    device: &ComputeDevice,
    sampler: Sampler,
    energy: &dyn Energy,
    x: &Tensor<4>,
) -> (Readbacks, u64) {
    let chain = || {
        let start = ChainState::new(x.clone(), 0);
        device.wait(sampler.run(start, energy, NUM_STEPS));
    };
    // The first time, the shaders are compiled.
    chain();
    (count_readbacks(chain), device.count_submissions(chain))
}

#[test]
fn a_chain_reads_nothing_and_uploads_nothing() {
    let _alone = alone();
    let Some(device) = opened() else { return };
    let nothing = Readbacks { number: 0, values: 0 };
    for split in [1, 2] {
        let config = ModelConfig { arch: "cnn-tiny".into(), split, ..ModelConfig::default() };
        let network = Network::new(&config, [1, 8, 8], 3, 0, &device.device).unwrap();
        let x = scrambled_tensor([4, 1, 8, 8], 1, &device.device);
        for sampler in SAMPLERS {
            let of = |energy: JointEnergy| cost(&device, sampler, &energy, &x);
            let (read, submissions) = of(JointEnergy::new(&network));
            assert_eq!(read, nothing);
            assert!(submissions <= most_submissions(sampler), "{submissions} of {sampler:?}");
            let (read, of_classes) = of(JointEnergy::for_labels(&network, vec![0, 1, 2, 0]));
            assert_eq!(read, nothing);
            assert_eq!(of_classes, submissions, "labels are uploaded once: {sampler:?}");
        }
    }
    let form = DensityForm::Ring { radius: 0.6, width: 0.1 };
    let energy = AnalyticEnergy::new(form, &device.device);
    let points = scrambled_tensor([100, 2, 1, 1], 2, &device.device);
    for sampler in SAMPLERS {
        let (read, submissions) = cost(&device, sampler, &energy, &points);
        assert_eq!(read, nothing);
        assert!(submissions <= most_submissions(sampler), "{submissions} of {sampler:?}");
    }
}

#[test]
fn a_training_step_reads_once() {
    let _alone = alone();
    for device in common::devices() {
        for changes in [
            &[][..],
            &["objective.p_x_y_weight=0.1", "sampler.start=uniform"],
            &["optimizer.sam_radius=0.05", "optimizer.ema_decay=0.9"],
            &["data.crop_padding=1", "data.augment_energy=false", "optimizer.gradient_clip_norm=1"],
            &["model.arch=wrn-10-1", "model.norm=batch"],
            // Beyond the number of steps that a GPU may have waiting.
            &["sampler.num_steps=100"],
        ] {
            let config = changes
                .iter()
                .fold(tiny_config(), |config, set| config.with_assignment(set).unwrap());
            let mut trainer = Trainer::new(config, tiny_dataset(32), &device).unwrap();
            for _ in 0..2 {
                let read = count_readbacks(|| {
                    block_on(trainer.step()).unwrap();
                });
                // The loss, ten terms of it, and three measurements of the chains.
                assert_eq!(read, Readbacks { number: 1, values: 14 }, "{changes:?}");
            }
        }
    }
}

#[test]
fn a_run_of_chains_reads_once_a_step_and_images_only_when_asked() {
    let _alone = alone();
    let model = jempp::bundled::find("two-moons").unwrap().load().unwrap();
    for device in common::devices() {
        let settings = ChainSettings { per_class: 3, num_steps: 8, ..ChainSettings::default() };
        let num_chains = 3 * model.class_names.len() as u64;
        let mut run = ChainRun::new(&model, &settings, &device).unwrap();
        let mut count = |reads_images, per_chain: u64| {
            run.read_images(reads_images);
            let read = count_readbacks(|| drop(run.next().unwrap().unwrap()));
            assert_eq!(read, Readbacks { number: 1, values: num_chains * per_chain });
        };
        // The energy and three measurements; the two coordinates of a point.
        count(false, 4);
        count(true, 6);
        count(false, 4);

        let mut run = ChainRun::new(&model, &settings, &device).unwrap();
        let mut recorder = Recorder::new(&mut run, &ConvergenceSettings::default()).unwrap();
        let read = count_readbacks(|| {
            for step in run.by_ref() {
                recorder.see(&step.unwrap()).unwrap();
            }
        });
        assert_eq!(read.number, 9, "a diagnosis reads nothing else");
    }
}

#[test]
fn the_window_reads_once_a_step_for_all_its_lanes() {
    let _alone = alone();
    let mut state = LabState::default();
    while state.rules.len() < 2 {
        state.rules.push(state.rules[0].clone());
    }
    let mut lab = block_on(Lab::open(state, &device::cpu())).unwrap();
    let read = count_readbacks(|| block_on(lab.advance()).unwrap());
    assert_eq!(read.number, 1);

    let worker = worker::spawn("cpu".into(), || {}).unwrap();
    let ask = |command| worker.commands.send(command).unwrap();
    let mut waiting = Vec::new();
    let mut wait = |is_wanted: &dyn Fn(&Event) -> bool| {
        loop {
            let mut events = std::mem::take(&mut waiting).into_iter();
            if let Some(found) = events.by_ref().find(|event| is_wanted(event)) {
                waiting = events.collect();
                return found;
            }
            waiting =
                worker.events.recv_timeout(Duration::from_secs(60)).unwrap().into_iter().collect();
        }
    };
    ask(Command::Open("two-moons".into()));
    let Event::Opened(model) = wait(&|event| matches!(event, Event::Opened(_))) else { return };
    let request =
        RunRequest { seed: 0, labels: vec![0, 1], lanes: vec![model.lane(); 3], image: None };
    ask(Command::Restart(request));
    wait(&|event| matches!(event, Event::References(_)));
    let read = count_readbacks(|| {
        ask(Command::Run { run: 1, until: 5, max_steps_per_sec: 0.0 });
        wait(&|event| matches!(event, Event::Paused(1)));
    });
    // Energies, three measurements, two logits and two coordinates of two chains in three lanes; no gradient.
    assert_eq!(read, Readbacks { number: 5, values: 5 * 3 * 2 * 8 });
}

#[test]
fn the_chains_that_are_shown_of_a_buffer_are_the_only_ones_read() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let config = RunConfig::preset("fashion-quick").unwrap();
    let config = ["replay_buffer.replay_buffer_size=400", "class_centers.max_components=2"]
        .iter()
        .fold(config, |config, set| config.with_assignment(set).unwrap());
    let device = ComputeDevice::cpu("CPU");
    let run = block_on(Training::start(config, &folder.path().join("run"), &device, &mut |_| {}))
        .unwrap();
    let mut shown = (Vec::new(), Vec::new());
    let read = count_readbacks(|| shown = block_on(run.buffer_grid()).unwrap());
    assert_eq!(read, Readbacks { number: 1, values: 100 * 784 });
    let chains = common::values(run.trainer().buffer().chains());
    // Ten chains of each of ten classes, which have forty each.
    for (row, (image, &label)) in shown.0.chunks(784).zip(&shown.1).enumerate() {
        let slot = 40 * (row / 10) + row % 10;
        assert_eq!(label as usize, row / 10);
        assert_eq!(image, &chains[784 * slot..][..784]);
    }
}
