//! A scripted worker: garments that appear from noise, with falling energies.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its own part")]

use std::sync::{
    Arc,
    mpsc::{Receiver, Sender, channel},
};

use half::f16;
use jempp::{
    app::Link,
    config::{DataConfig, DatasetName, Norm, SamplerConfig, SamplerKind},
    data::{self, Dataset},
    worker::{
        Batch, Command, Event, LaneImages, LaneNumbers, ModelInfo, References, RunRequest, Step,
        lab::{LabCommand, LabUpdate, Slice},
    },
};

/// The worker's ends of the channels, and the commands that it has received.
pub(crate) struct Scripted {
    commands: Receiver<Command>,
    events: Sender<Batch>,
    test: Dataset,
    train: Arc<Dataset>,
    request: Option<RunRequest>,
    /// The next step.
    step: u64,
    /// The step at which the run stops, and the number of the run, while there is one.
    run: Option<(u64, u64)>,
    /// All commands received so far.
    pub asked: Vec<Command>,
    /// Whether the gradients of the chains are not read.
    pub lacks_gradients: bool,
    /// Whether new chains and other rules are refused.
    pub refuses: bool,
}

/// The description of the scripted model.
pub(crate) fn model() -> ModelInfo {
    ModelInfo {
        name: "fashion".into(),
        arch: "cnn-medium".into(),
        dataset: "fashion-mnist".into(),
        class_names: data::class_names(DatasetName::FashionMnist).unwrap(),
        shape: [1, 28, 28],
        sampler: SamplerConfig { num_steps: 5, ..SamplerConfig::default() },
        norm: Norm::None,
        num_pieces: 6,
        has_buffer: false,
        training_steps: 11_244,
        test_accuracy: Some(0.911),
        temperature: None,
    }
}

/// The description of a model whose chains have noise.
fn sampler(name: &str) -> ModelInfo {
    let model = model();
    let sampler = SamplerConfig {
        kind: SamplerKind::Sgld,
        noise_std: 0.05,
        denoise_step: 10.0,
        ..model.sampler
    };
    ModelInfo { name: name.into(), sampler, ..model }
}

impl Scripted {
    /// Creates a worker, and the window's link to it.
    pub(crate) fn new() -> (Self, Link) {
        let ((commands, inbox), (outbox, events)) = (channel(), channel());
        let splits = data::load(&DataConfig::default(), 0).unwrap();
        let worker = Self {
            commands: inbox,
            events: outbox,
            test: splits.test,
            train: Arc::new(splits.train),
            request: None,
            step: 0,
            run: None,
            asked: Vec::new(),
            lacks_gradients: false,
            refuses: false,
        };
        (worker, Link { commands, events })
    }

    /// Sends an event.
    pub(crate) fn say(&self, event: Event) {
        self.events.send(vec![event].into()).unwrap();
    }

    /// Answers the commands, and computes at most `max_steps` of the requested steps.
    pub(crate) fn work(&mut self, max_steps: usize) {
        while let Ok(command) = self.commands.try_recv() {
            self.asked.push(command.clone());
            match command {
                Command::Open(name) if name.starts_with("gone") => {
                    self.say(Event::Refused(format!("no file `{name}`")));
                }
                Command::Open(name) => {
                    self.stop();
                    self.say(Event::Device {
                        description: "CPU back end (no graphics adapter found)".into(),
                        is_cpu: true,
                        bundled: vec!["fashion".into(), "mnist".into()],
                    });
                    let opened = match name.ends_with("-sampler") {
                        true => sampler(&name),
                        false => ModelInfo { name, ..model() },
                    };
                    self.say(Event::Opened(Box::new(opened)));
                    let test_energies = (0..1000).map(|i| -3.0 + noise(i, 7)).collect();
                    let train = self.train.clone();
                    self.say(Event::References(References { test_energies, train }));
                }
                Command::Restart(_) if self.refuses => {
                    self.say(Event::Refused("there is no room for these chains".into()));
                }
                Command::SetLanes(_) if self.refuses => {
                    let lanes = self.request.as_ref().unwrap().lanes.clone();
                    self.say(Event::Lanes(lanes));
                    self.say(Event::Refused("these chains cannot run so".into()));
                }
                Command::Restart(request) => {
                    self.request = Some(request.clone());
                    self.step = 0;
                    self.say(Event::Started(request));
                    self.compute();
                }
                Command::Run { run, until, .. } => self.run = Some((until, run)),
                Command::Pause => self.stop(),
                Command::Branch { step, .. } => {
                    self.step = step;
                    self.compute();
                }
                Command::Classify(image) => {
                    let mut probabilities = vec![0.02; 10];
                    probabilities[7] = 0.82;
                    self.say(Event::Classified { image, energy: -2.5, probabilities });
                }
                Command::Lab(LabCommand::Slice { path }) => {
                    self.say(Event::Lab(Box::new(LabUpdate::Slice(slice(path)))));
                }
                _ => {}
            }
        }
        for _ in 0..max_steps {
            let Some((until, _)) = self.run else { break };
            // The next step to compute is one past the last.
            if self.step <= until {
                self.compute();
            }
            if self.step > until {
                self.stop();
            }
        }
    }

    fn stop(&mut self) {
        if let Some((_, run)) = self.run.take() {
            self.say(Event::Paused(run));
        }
    }

    /// Evaluates the chains at the next step.
    fn compute(&mut self) {
        let Some(request) = self.request.clone() else { return };
        let step = self.step;
        let lanes = request.lanes.iter().enumerate().map(|(lane, config)| {
            // Without a clamp, the scripted chains explode after a while if the step size is large.
            let explodes =
                config.sampler.kind == SamplerKind::Sgld && config.sampler.step_size > 10.0;
            let t = 1.0 - (-(step as f32) / (15.0 + 10.0 * lane as f32)).exp();
            let (mut x, mut gradient) = (Vec::new(), Vec::new());
            let mut numbers = LaneNumbers {
                seconds: step as f64 * 0.03,
                num_gradients: step,
                ..LaneNumbers::default()
            };
            for (chain, &label) in request.labels.iter().enumerate() {
                let salt = (request.seed as u32) * 1000 + chain as u32;
                let image = self.image_of(label, salt as usize);
                for (pixel, &target) in image.iter().enumerate() {
                    let from = noise(pixel as u32, salt);
                    x.push((from + (target - from) * t) * if explodes { 1e3 } else { 1.0 });
                    gradient.push(f16::from_f32((from - target) * (1.0 - t) * 2.0));
                }
                let broken = explodes && step > 20;
                let wiggle = 0.3 * noise(step as u32, salt);
                let energy = 2.0 - 5.0 * t + wiggle + chain as f32 % 7.0 * 0.2;
                numbers.energy.push(if broken { f32::NAN } else { energy });
                numbers.gradient_norm.push(20.0 * (1.0 - t) + 1.0 + wiggle);
                numbers.clamp_rate.push(0.5 * (1.0 - t));
                numbers.saturation.push(0.4 * t);
                numbers.distance.push(30.0 * t);
                let seen = if salt.is_multiple_of(9) { (label + 1) % 10 } else { label };
                for class in 0..10 {
                    let p = if class == seen { 0.1 + 0.85 * t } else { (0.9 - 0.85 * t) / 9.0 };
                    numbers.probabilities.push(f16::from_f32(p));
                }
            }
            if self.lacks_gradients {
                gradient.clear();
            }
            let kind = config.sampler.kind;
            let clips = matches!(kind, SamplerKind::ProximalSgld | SamplerKind::Pyld);
            let images =
                LaneImages { x: x.into(), gradient, proximal_radius: clips.then_some(1.0) };
            jempp::worker::LaneStep { images, numbers }
        });
        let lanes = lanes.collect();
        self.say(Event::Step(Box::new(Step { step, lanes })));
        self.step += 1;
    }

    fn image_of(&self, label: u32, nth: usize) -> Vec<f32> {
        let mut of_class = (0..self.test.len()).filter(|&i| self.test.labels[i] == label);
        self.test.gather(of_class.nth(nth % 90))
    }
}

/// A plane through the ends of a path of garments, whose energy is a bowl.
fn slice(path: Vec<f32>) -> Slice {
    let unit = |x: Vec<f32>| {
        let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        x.into_iter().map(|x| x / length).collect::<Vec<f32>>()
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let images: Vec<&[f32]> = path.chunks_exact(784).collect();
    let (origin, last) = (images[0].to_vec(), images[images.len() - 1]);
    let first = unit(last.iter().zip(&origin).map(|(a, b)| a - b).collect());
    let random: Vec<f32> = (0..784).map(|pixel| noise(pixel, 3)).collect();
    let along = dot(&random, &first);
    let second = unit(random.iter().zip(&first).map(|(a, b)| a - along * b).collect());
    let of = |image: &[f32], axis: &[f32]| {
        let moved: Vec<f32> = image.iter().zip(&origin).map(|(a, b)| a - b).collect();
        dot(&moved, axis)
    };
    let length = of(last, &first);
    let side = 41;
    let place = |nth: usize| (nth as f32 + 0.5) / side as f32 * 2.0 - 1.0;
    let energy: Vec<f32> =
        (0..side * side).map(|at| place(at % side).hypot(place(at / side))).collect();
    Slice {
        energy: energy.into(),
        range: [[-0.3 * length, 1.3 * length], [-0.8 * length, 0.8 * length]],
        path: images.iter().flat_map(|image| [of(image, &first), of(image, &second)]).collect(),
        path_energy: (0..images.len()).map(|nth| 60.0 - nth as f32).collect(),
        explained: [0.9, 0.05],
        axes: [first, second],
        origin,
    }
}

/// Reproducible values in (-1, 1) that look random.
fn noise(index: u32, salt: u32) -> f32 {
    let mut bits = index.wrapping_mul(0x9e37_79b9) ^ salt.wrapping_mul(0x85eb_ca6b);
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(0x2c1b_3c6d);
    bits ^= bits >> 12;
    bits as f32 / u32::MAX as f32 * 2.0 - 1.0
}
