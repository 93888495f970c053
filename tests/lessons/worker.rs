//! The viewer's worker, with the real model on the CPU back end.
use std::{cell::RefCell, collections::VecDeque, sync::Arc, time::Duration};

use half::f16;
use jempp::{
    app::Viewer,
    bundled,
    chains::{ChainRun, ChainSettings},
    checkpoint::Checkpoint,
    config::{ConfigError, RunConfig, SamplerKind, ViewStart, ViewState},
    device,
    worker::{self, Command, Event, LaneStep, ModelInfo, RunRequest, TrainingUpdate, Worker},
};

/// A worker and what is asked of it.
pub(crate) struct Desk {
    worker: Worker,
    /// Events that were received while waiting for another event.
    waiting: RefCell<VecDeque<Event>>,
}

impl Desk {
    pub(crate) fn open(model: &str) -> (Self, ModelInfo) {
        let worker = worker::spawn("cpu".into(), || {}).unwrap();
        let desk = Self { worker, waiting: RefCell::default() };
        desk.ask(Command::Open(model.into()));
        let info = desk.wait(|event| match event {
            Event::Opened(info) => Some(*info),
            _ => None,
        });
        (desk, info)
    }

    pub(crate) fn ask(&self, command: Command) {
        self.worker.commands.send(command).unwrap();
    }

    fn next(&self) -> Event {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            waiting.extend(self.worker.events.recv_timeout(Duration::from_secs(120)).unwrap());
        }
        waiting.pop_front().unwrap()
    }

    pub(crate) fn wait<T>(&self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = self.next();
            if let Event::Failed(reason) = &event {
                panic!("{reason}");
            }
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    /// The lanes at a step.
    fn step(&self, number: u64) -> Vec<LaneStep> {
        self.wait(|event| match event {
            Event::Step(step) if step.step == number => Some(step.lanes),
            Event::Refused(reason) => panic!("{reason}"),
            _ => None,
        })
    }

    fn run_to(&self, until: u64) -> Vec<LaneStep> {
        self.ask(Command::Run { run: 1, until, max_steps_per_sec: 0.0 });
        let lanes = self.step(until);
        self.wait(|event| matches!(event, Event::Paused(1)).then_some(()));
        lanes
    }

    fn refusal(&self) -> String {
        self.wait(|event| match event {
            Event::Refused(reason) => Some(reason),
            _ => None,
        })
    }
}

/// A request for two chains of each of two classes, for three steps.
fn request(model: &ModelInfo) -> RunRequest {
    let mut lane = model.lane();
    lane.sampler.num_steps = 3;
    RunRequest { seed: 5, labels: vec![1, 1, 8, 8], lanes: vec![lane], image: None }
}

#[test]
fn the_viewer_shows_the_chains_that_the_command_line_samples() {
    let (desk, model) = Desk::open("fashion");
    desk.ask(Command::Restart(request(&model)));
    desk.step(0);
    let lanes = desk.run_to(3);
    let out = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["sample", "--class", "1", "--class", "8", "--per-class", "2", "--steps", "3"])
        .args(["--seed", "5", "--device", "cpu", "--out"])
        .arg(out.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    let table = std::fs::read_to_string(out.path().join("traces.csv")).unwrap();
    let sampled: Vec<f32> = table
        .lines()
        .filter(|line| line.starts_with("3,"))
        .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
        .collect();
    for (shown, sampled) in lanes[0].numbers.energy.iter().zip(&sampled) {
        assert!((shown - sampled).abs() < 1e-4, "{shown} {sampled}");
    }
}

/// A run with noise, at its start.
fn noisy_run() -> (Desk, RunRequest) {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    request.lanes[0].sampler.kind = SamplerKind::ProximalSgld;
    request.lanes[0].sampler.noise_std = 0.05;
    desk.ask(Command::Restart(request.clone()));
    desk.step(0);
    (desk, request)
}

#[test]
fn a_run_repeats_itself_and_goes_on_from_any_recorded_step() {
    let (desk, request) = noisy_run();
    let at_one = desk.run_to(1);
    let at_three = desk.run_to(3);
    desk.ask(Command::Branch {
        step: 1,
        x: vec![at_one[0].images.x.clone()],
        spent: vec![(0.0, 1)],
    });
    assert_eq!(desk.step(1)[0].images.x, at_one[0].images.x);
    assert_eq!(desk.run_to(3)[0].images.x, at_three[0].images.x);
    desk.ask(Command::Restart(request));
    desk.step(0);
    let again = desk.run_to(3);
    assert_eq!(again[0].images.x, at_three[0].images.x);
    assert_eq!(again[0].numbers.energy, at_three[0].numbers.energy);
    assert_eq!(again[0].numbers.num_gradients, 3);
}

#[test]
fn a_run_that_was_replaced_is_continued_at_its_last_step() {
    let (desk, request) = noisy_run();
    let last = desk.run_to(3);
    let next = desk.run_to(4);
    // Another run, and back: the new run has done no step yet.
    desk.ask(Command::Restart(RunRequest { seed: request.seed + 1, ..request.clone() }));
    desk.step(0);
    desk.ask(Command::Restart(request));
    desk.step(0);
    let spent = vec![(2.5, last[0].numbers.num_gradients)];
    desk.ask(Command::Branch { step: 3, x: vec![last[0].images.x.clone()], spent });
    let back = desk.step(3);
    assert_eq!(back[0].images.x, last[0].images.x);
    assert!(back[0].numbers.seconds >= 2.5);
    let again = desk.run_to(4);
    assert_eq!(again[0].images.x, next[0].images.x, "with the noise of that step");
    assert_eq!(again[0].numbers.num_gradients, 4);
}

#[test]
fn lanes_share_starts_and_noise() {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    let sampler = &mut request.lanes[0].sampler;
    (sampler.kind, sampler.noise_std, sampler.step_size) = (SamplerKind::ProximalSgld, 0.02, 0.5);
    request.lanes.push(request.lanes[0].clone());
    desk.ask(Command::Restart(request.clone()));
    desk.step(0);
    let lanes = desk.run_to(2);
    assert_eq!(lanes[0].images.x, lanes[1].images.x);
    // A change of one lane applies from the next step on, and only to that lane.
    request.lanes[1].sampler.step_size = 0.1;
    desk.ask(Command::SetLanes(request.lanes));
    let lanes = desk.run_to(3);
    assert_ne!(lanes[0].images.x, lanes[1].images.x);
}

#[test]
fn a_change_acts_on_the_very_next_step() {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    request.lanes[0].sampler.kind = SamplerKind::ProximalSgld;
    desk.ask(Command::Restart(request.clone()));
    let start = desk.step(0);
    (request.lanes[0].sampler.step_size, request.lanes[0].sampler.noise_std) = (0.0, 0.0);
    desk.ask(Command::SetLanes(request.lanes));
    assert_eq!(desk.run_to(1)[0].images.x, start[0].images.x);
}

#[test]
fn fixed_pixels_stay_and_the_others_move() {
    let (desk, model) = Desk::open("fashion");
    desk.ask(Command::Restart(request(&model)));
    desk.step(0);
    let image: Arc<[f32]> = vec![-0.5; 784].into();
    let is_fixed: Vec<bool> = (0..784).map(|pixel| pixel < 392).collect();
    desk.ask(Command::Replace { lane: 0, chain: 2, image: image.clone(), is_fixed });
    assert_eq!(desk.step(0)[0].images.x[2 * 784..3 * 784], image[..]);
    let x = desk.run_to(3)[0].images.x.clone();
    assert_eq!(x[2 * 784..2 * 784 + 392], image[..392]);
    assert_ne!(x[2 * 784 + 392..3 * 784], image[392..]);
    assert_ne!(x[..392], image[..392]);
}

#[test]
fn going_back_lets_all_pixels_move_again() {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    desk.ask(Command::Restart(request.clone()));
    let start = desk.step(0)[0].images.x.clone();
    let image: Arc<[f32]> = vec![-0.5; 784].into();
    desk.ask(Command::Replace { lane: 0, chain: 0, image, is_fixed: vec![true; 784] });
    desk.step(0);
    // MALA would count moves that the held pixels do not make.
    request.lanes[0].sampler.kind = SamplerKind::Mala;
    request.lanes[0].sampler.noise_std = 0.1;
    desk.ask(Command::SetLanes(request.lanes));
    assert!(desk.refusal().contains("pixels are frozen"));
    desk.run_to(1);
    desk.ask(Command::Branch { step: 0, x: vec![start.clone()], spent: vec![(0.0, 0)] });
    assert_eq!(desk.step(0)[0].images.x, start);
    let moved = desk.run_to(1)[0].images.x.clone();
    assert!(moved[..784] != start[..784]);
}

#[test]
fn chains_of_a_class_show_energies_that_compare_with_any_images() {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    desk.ask(Command::Restart(request.clone()));
    let joint = desk.step(0)[0].numbers.energy.clone();
    request.lanes[0].is_conditional = true;
    desk.ask(Command::Restart(request));
    let conditional = desk.step(0)[0].numbers.energy.clone();
    for (a, b) in joint.iter().zip(&conditional) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

#[test]
fn the_window_reads_classes_as_the_command_line_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moons.safetensors");
    let mut checkpoint = bundled::find("two-moons").unwrap().load().unwrap();
    // Chains with noise, of a classifier that has seen none.
    checkpoint.config.data.classify_noisy = false;
    let sampler = &mut checkpoint.config.sampler;
    (sampler.kind, sampler.noise_std, sampler.denoise_step) = (SamplerKind::Sgld, 0.1, 0.5);
    checkpoint.save(&path).unwrap();
    let (desk, model) = Desk::open(path.to_str().unwrap());
    let request =
        RunRequest { seed: 5, labels: vec![0, 0, 1, 1], lanes: vec![model.lane()], image: None };
    desk.ask(Command::Restart(request));
    desk.step(0);
    let shown = desk.run_to(3)[0].numbers.probabilities.clone();
    let settings =
        ChainSettings { per_class: 2, num_steps: 3, seed: 5, ..ChainSettings::default() };
    let mut run = ChainRun::new(&checkpoint, &settings, &device::cpu()).unwrap();
    run.read_logits();
    let last = run.last().unwrap().unwrap();
    let expected = last.class_probabilities().unwrap();
    let near = |shown: &[f16], expected: &[f32]| {
        shown.iter().zip(expected).all(|(a, b)| (a.to_f32() - b).abs() < 2e-3)
    };
    assert!(near(&shown, &expected), "{shown:?} {expected:?}");
    // At the chains with their noise, the same classifier says something else.
    let as_is = checkpoint.network(&device::cpu()).unwrap().logits(last.x);
    let as_is = as_is.into_data().try_to_vec::<f32>().unwrap();
    let as_is: Vec<f32> = as_is
        .chunks(2)
        .flat_map(|row| {
            let p = 1.0 / (1.0 + (row[1] - row[0]).exp());
            [p, 1.0 - p]
        })
        .collect();
    assert!(!near(&shown, &as_is), "{as_is:?}");
}

#[test]
fn numbers_say_what_they_are_named_for() {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    request.lanes[0].start = ViewStart::Data;
    desk.ask(Command::ReadGradients(true));
    desk.ask(Command::Restart(request));
    let start = desk.step(0);
    let numbers = &start[0].numbers;
    assert!(numbers.distance.iter().all(|&distance| distance == 0.0));
    for chain in 0..4 {
        let sum: f32 = numbers.probabilities[10 * chain..][..10].iter().map(|p| p.to_f32()).sum();
        assert!((sum - 1.0).abs() < 0.01, "{sum}");
        let gradient = &start[0].images.gradient[784 * chain..][..784];
        let norm = gradient.iter().map(|g| g.to_f32().powi(2)).sum::<f32>().sqrt();
        assert!((norm / numbers.gradient_norm[chain] - 1.0).abs() < 0.01, "{norm}");
        // The chains start at test images of trousers and bags, which the model classifies correctly.
        assert_eq!(numbers.prediction(chain).unwrap().0, [1, 1, 8, 8][chain]);
    }
    let moved = desk.run_to(2);
    let (now, then) = (&moved[0].images.x, &start[0].images.x);
    let squares = now[..784].iter().zip(&then[..784]).map(|(a, b)| (a - b) * (a - b));
    assert!((squares.sum::<f32>().sqrt() - moved[0].numbers.distance[0]).abs() < 1e-4);
}

#[test]
fn gradients_are_read_only_while_the_window_shows_them() {
    let (desk, model) = Desk::open("fashion");
    desk.ask(Command::Restart(request(&model)));
    assert!(desk.step(0)[0].images.gradient.is_empty());
    let before = desk.run_to(1);
    assert!(before[0].images.gradient.is_empty());
    desk.ask(Command::ReadGradients(true));
    let again = desk.step(1);
    assert_eq!(again[0].images.x, before[0].images.x, "the same step, now with its gradients");
    assert_eq!(again[0].images.gradient.len(), again[0].images.x.len());
    desk.ask(Command::ReadGradients(false));
    let after = desk.run_to(3);
    assert!(after[0].images.gradient.is_empty());
    // Reading gradients does not change the chains.
    desk.ask(Command::Restart(request(&model)));
    desk.step(0);
    assert_eq!(desk.run_to(3)[0].images.x, after[0].images.x);
}

#[test]
fn what_cannot_be_done_is_refused_and_all_goes_on() {
    let (desk, model) = Desk::open("fashion");
    let mut request = request(&model);
    desk.ask(Command::Restart(request.clone()));
    desk.step(0);
    desk.ask(Command::Open("no-such-model".into()));
    assert!(desk.refusal().contains("no-such-model"));
    request.lanes[0].start = ViewStart::Buffer;
    desk.ask(Command::Restart(request.clone()));
    assert!(desk.refusal().contains("packed model"));
    request.lanes[0].start = ViewStart::Image;
    desk.ask(Command::Restart(request.clone()));
    assert!(desk.refusal().contains("no image to start from"));
    request.lanes[0].sampler.kind = SamplerKind::Mala;
    request.lanes[0].sampler.noise_std = 0.0;
    desk.ask(Command::SetLanes(request.lanes));
    // The worker reports the rules that it uses.
    let lanes = desk.wait(|event| match event {
        Event::Lanes(lanes) => Some(lanes),
        _ => None,
    });
    assert_eq!(lanes[0].sampler.kind, model.sampler.kind);
    assert!(desk.refusal().contains("noise_std"));
    desk.run_to(2);
}

#[test]
fn chains_that_have_not_begun_pause_when_they_are_asked_to_run() {
    let (desk, _) = Desk::open("two-moons");
    desk.ask(Command::Run { run: 7, until: 3, max_steps_per_sec: 0.0 });
    desk.wait(|event| matches!(event, Event::Paused(7)).then_some(()));
}

#[test]
fn a_device_that_is_not_there_is_a_failure_with_a_retry() {
    let worker = worker::spawn("no-such-adapter".into(), || {}).unwrap();
    for _ in 0..2 {
        let batch = worker.events.recv_timeout(Duration::from_secs(60)).unwrap();
        let events: Vec<Event> = batch.into_iter().collect();
        assert!(
            matches!(&events[..], [Event::Failed(reason)] if reason.contains("no-such-adapter"))
        );
        worker.commands.send(Command::Retry).unwrap();
    }
}

#[test]
fn chains_follow_the_weights_in_training_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut config = RunConfig::preset("toy-two-moons").unwrap();
    config.training.epochs = 200;
    let (desk, _) = Desk::open("fashion");
    desk.ask(Command::Train { config: Box::new(config), out: out.clone() });
    let model = desk.wait(|event| match event {
        Event::Opened(info) => Some(*info),
        _ => None,
    });
    assert!(model.is_planar() && model.has_buffer);
    let labels = (0..40).map(|chain| chain / 20).collect();
    let mut lanes = vec![model.lane()];
    lanes[0].sampler.num_steps = 3;
    desk.ask(Command::Restart(RunRequest { seed: 0, labels, lanes, image: None }));
    desk.ask(Command::Run { run: 1, until: 3, max_steps_per_sec: 0.0 });
    let mut energies = Vec::new();
    let (mut points, mut buffers) = (0, 0);
    // The same starts, evaluated repeatedly with changing weights.
    while energies.len() < 2 || energies.first() == energies.last() || buffers == 0 {
        match desk.next() {
            Event::Step(step) if step.step == 0 => {
                energies.push(step.lanes[0].numbers.energy.clone());
            }
            Event::Training(update) => match *update {
                TrainingUpdate::Step(_) => points += 1,
                TrainingUpdate::Buffer { labels, .. } => buffers += usize::from(!labels.is_empty()),
                _ => {}
            },
            Event::Failed(reason) => panic!("{reason}"),
            _ => {}
        }
    }
    assert!(points > 0 && buffers > 0);
    desk.ask(Command::PauseTraining);
    let checkpoint = desk.wait(|event| match event {
        Event::Training(update) => match *update {
            TrainingUpdate::Stopped { is_complete: false, checkpoint, .. } => Some(checkpoint),
            _ => None,
        },
        _ => None,
    });
    assert!(checkpoint.is_file());
    let copy = folder.path().join("copy.safetensors");
    desk.ask(Command::Save(copy.clone()));
    desk.wait(|event| matches!(event, Event::Saved(_)).then_some(()));
    // The copy contains the whole run, not the new weights with the state from the start of the run.
    let [saved, run] = [&copy, &checkpoint].map(|path| Checkpoint::load(path).unwrap());
    assert_eq!(saved.counters.step, run.counters.step);
    assert!(saved.replay_buffer.values == run.replay_buffer.values);
    assert!(saved.optimizer == run.optimizer);
    desk.ask(Command::Save(copy));
    assert!(desk.refusal().contains("already exists"));
    // With another model open, the model that was trained last can still be saved, and so can the open one.
    desk.ask(Command::Open("fashion".into()));
    let second = folder.path().join("second.safetensors");
    desk.ask(Command::Save(second.clone()));
    desk.wait(|event| matches!(event, Event::Saved(_)).then_some(()));
    assert_eq!(Checkpoint::load(&second).unwrap().counters.step, run.counters.step);
    let open = folder.path().join("open.safetensors");
    desk.ask(Command::SaveOpen(open.clone()));
    desk.wait(|event| matches!(event, Event::Saved(_)).then_some(()));
    assert_eq!(Checkpoint::load(&open).unwrap().input_shape, [1, 28, 28]);
    desk.ask(Command::ResumeTraining(out.clone()));
    let resumed = desk.wait(|event| match event {
        Event::Training(update) => match *update {
            TrainingUpdate::Started { step, .. } => Some(step),
            _ => None,
        },
        _ => None,
    });
    assert!(resumed > 0);
    // Closing the window saves the run, too, before the process may end.
    desk.wait(|event| match event {
        Event::Training(update) => matches!(*update, TrainingUpdate::Step(_)).then_some(()),
        _ => None,
    });
    let Worker { commands, events, thread } = desk.worker;
    drop((commands, events));
    assert_eq!(thread.join().unwrap(), Ok(()));
    assert!(Checkpoint::load(&checkpoint).unwrap().counters.step > resumed);
}

#[test]
fn a_link_carries_the_whole_view() {
    let mut view = ViewState::from_query("model=mnist&classes=3,8&per_class=4&seed=9").unwrap();
    assert_eq!(view.view.classes, [3, 8]);
    assert!(view.lanes.is_empty(), "the model's own rule");
    let query = "https://example.org/?sampler.kind=sgld&sampler.step_size=5&lane2.start=uniform\
                 &lane2.is_conditional=true&lane3.norm=frozen";
    view.lanes = ViewState::from_query(query).unwrap().lanes;
    assert_eq!(view.lanes.len(), 3);
    assert_eq!(view.lanes[0].sampler.kind, SamplerKind::Sgld);
    assert_eq!(view.lanes[1].start, ViewStart::Uniform);
    assert_eq!(ViewState::from_query(&view.to_query()).unwrap(), view);
    let defaults = ViewState { lanes: vec![Default::default(); 2], ..Default::default() };
    assert_eq!(ViewState::from_query(&defaults.to_query()).unwrap(), defaults);

    let error = |query| ViewState::from_query(query).unwrap_err();
    assert!(
        matches!(error("sampler.step=1"), ConfigError::UnknownKey { nearest, .. } if nearest.as_deref() == Some("sampler.step_size"))
    );
    assert!(matches!(error("per_class=900"), ConfigError::OutOfRange { .. }));
    assert!(
        matches!(error("lane2.sampler.noise_std=-1"), ConfigError::OutOfRange { key, .. } if key == "lane2.sampler.noise_std")
    );
    assert!(matches!(error("seed=many"), ConfigError::Invalid(_)));
}

#[test]
fn a_link_that_others_changed_loses_only_what_they_added() {
    let (view, ignored) =
        ViewState::from_link("lesson=4&fbclid=abc&utm_source=mail&per_class=x&seed=3");
    assert_eq!((view.view.lesson, view.view.seed), (4, 3));
    assert_eq!(view.view.per_class, ViewState::default().view.per_class);
    assert_eq!(
        ignored.unwrap(),
        "Ignored in the link: `per_class` cannot be `x`: it must be a whole number from 1 to 32; \
         unknown keys: `fbclid`, `utm_source`"
    );
    for (bad, words) in [
        ("classes=1,b", "a list of numbers, as in 1,2"),
        ("play=1", "true or false"),
        ("seed=-1", "a whole number from 0 to 9223372036854775807"),
        ("max_steps_per_sec=fast", "a number from 0 to 1000"),
        ("sampler.kind=hmc", "one of sgld"),
        ("lane3.start=here", "one of class-centers"),
        ("lab.target=square", "one of gaussian"),
        ("per_class=900", "out of range"),
        ("sampler.step_size=1e999", "out of range"),
        ("sampler=1", "unknown key"),
        ("sampler.step_sise=1", "`sampler.step_sise` (did you mean `sampler.step_size`?)"),
        ("lane9.start=data", "unknown key"),
        ("lab.start=", "one of class-centers"),
        ("tab=\n\x1b[2J", "one of chains"),
    ] {
        let (view, ignored) = ViewState::from_link(&format!("{bad}&lesson=2"));
        let ignored = ignored.unwrap();
        assert!(ignored.contains(words), "{bad}: {ignored}");
        for word in ["u64", "usize", "i64", "f64", "bool", "serde", "\n", "\x1b", "expected"] {
            assert!(!ignored.contains(word), "{bad}: {ignored}");
        }
        assert_eq!(view, ViewState::from_query("lesson=2").unwrap(), "{bad}");
    }
    // However long the link is, the notice is short.
    let long: String = (0..3000).map(|nth| format!("key{nth}=1&")).collect();
    assert!(ViewState::from_link(&long).1.unwrap().chars().count() < 450);
    assert_eq!(ViewState::from_link("").1, None);
}

#[test]
fn a_viewer_plays_the_real_worker_without_a_window() {
    let worker = worker::spawn("cpu".into(), || {}).unwrap();
    let mut viewer = Viewer::new(ViewState::from_query("num_steps=4&per_class=1").unwrap());
    viewer.run.is_running = true;
    while viewer.run.last_step() < 4 {
        for command in viewer.take_commands() {
            worker.commands.send(command).unwrap();
        }
        let events = worker.events.recv_timeout(Duration::from_secs(120)).unwrap();
        events.into_iter().for_each(|event| viewer.take(event));
        assert_eq!(viewer.session.failure, None);
    }
    let record = viewer.run.record.as_ref().unwrap();
    let energy = |index: usize| record.numbers.entries()[index].1[0].energy.iter().sum::<f32>();
    assert!(energy(4) < energy(0) - 1.0, "{} {}", energy(4), energy(0));
}
