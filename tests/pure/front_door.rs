//! The public interface of the library, used only through the exports at its root.

use std::path::Path;

use jempp::{
    ChainSettings, ChainState, Checkpoint, ComputeDevice, Energy, EnergyFn, Error, Model,
    RunConfig, SampleStart, Sampler, Shard, Trainer, bundled,
    burn::tensor::{Device, Tensor, TensorData},
    checkpoint,
    config::{SamplerKind, StartKind},
    data,
};

fn cpu() -> Device {
    ComputeDevice::open("cpu").unwrap().device
}

fn moons() -> Model {
    Model::new(bundled::find("two-moons").unwrap().load().unwrap(), &cpu()).unwrap()
}

#[test]
fn a_bundled_model_is_sampled_in_one_line() -> Result<(), Error> {
    let energies = jempp::Model::bundled("two-moons")?.sample(10, 5, 0)?.energies();
    assert_eq!(energies.len(), 10);
    assert!(energies.iter().all(|energy| energy.is_finite()));
    Ok(())
}

#[test]
fn samples_are_what_the_model_makes_of_them() {
    let model = moons();
    let samples = model.sample(7, 10, 3).unwrap();
    assert_eq!(samples.shape(), [7, 2, 1, 1]);
    assert_eq!(samples.labels(), [0, 0, 0, 0, 1, 1, 1]);
    assert_eq!(samples.image(6), Some(&samples.images()[12..]));
    assert_eq!(samples.image(7), None);
    for (seen, again) in samples.energies().iter().zip(model.energy(samples.images()).unwrap()) {
        assert!((seen - again).abs() < 1e-4, "{seen} {again}");
    }
    assert_eq!(samples.predictions(), model.classify(samples.images()).unwrap());
    for (logits, seen) in model.logits(samples.images()).unwrap().iter().zip(samples.predictions())
    {
        let best = if logits[0] > logits[1] { 0 } else { 1 };
        assert_eq!(seen.class, best);
        assert!((seen.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(seen.confidence(), seen.probabilities[best as usize]);
    }
}

#[test]
fn the_energy_is_minus_log_sum_exp_of_the_logits() {
    let model = moons();
    let points = [0.1, 0.2, -0.7, 0.4];
    for (energy, logits) in
        model.energy(&points).unwrap().iter().zip(model.logits(&points).unwrap())
    {
        let expected = -logits.iter().map(|logit| logit.exp()).sum::<f32>().ln();
        assert!((energy - expected).abs() < 1e-4, "{energy} {expected}");
    }
}

#[test]
fn the_gradient_is_that_of_the_energy() {
    let model = moons();
    // More points than pass at once.
    let points: Vec<f32> = (0..600).map(|i| (i as f32 * 0.37).sin()).collect();
    let (energies, gradients) = model.energy_and_gradient(&points).unwrap();
    assert_eq!((energies.len(), gradients.len()), (300, 600));
    assert_eq!(gradients, model.gradient(&points).unwrap());
    for (energy, again) in energies.iter().zip(model.energy(&points).unwrap()) {
        assert!((energy - again).abs() < 1e-4, "{energy} {again}");
    }
    for index in [0, 299, 598] {
        let moved = |by: f32| {
            let mut points = points.clone();
            points[index] += by;
            model.energy(&points).unwrap()[index / 2]
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((slope - gradients[index]).abs() < 0.05 + 0.02 * slope.abs(), "{slope}");
    }
    assert!(model.gradient(&[]).unwrap().is_empty());
    assert!(model.gradient(&[0.0; 3]).is_err());
    assert!(model.gradient(&[0.0, f32::INFINITY]).is_err());
}

#[test]
fn the_gradient_of_an_image_does_not_depend_on_the_others_with_batch_norm() {
    let config = RunConfig::preset("fashion-quick").unwrap();
    let config = config
        .with_assignment("model.arch=wrn-10-1")
        .and_then(|config| config.with_assignment("model.norm=batch"))
        .and_then(|config| config.with_assignment("data.dataset=fashion-mnist-embedded"))
        .unwrap();
    let data = data::load(&config.data, config.seed).unwrap();
    let images = data.test.gather(0..3);
    let model = Trainer::new(config, data.train, &cpu()).unwrap().model().unwrap();
    let (energies, gradients) = model.energy_and_gradient(&images).unwrap();
    let (energy, gradient) = model.energy_and_gradient(&images[2 * 784..]).unwrap();
    let gap =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap(&energies[2..], &energy) < 1e-4);
    assert!(gap(&gradients[2 * 784..], &gradient) < 1e-4);
    assert!(gap(&energies, &model.energy(&images).unwrap()) < 1e-4);
}

#[test]
fn a_seed_decides_the_chains() {
    let model = moons();
    assert_eq!(model.sample(6, 4, 1).unwrap(), model.sample(6, 4, 1).unwrap());
    assert_ne!(model.sample(6, 4, 1).unwrap(), model.sample(6, 4, 2).unwrap());
}

#[test]
fn options_are_followed() {
    let model = moons();
    let begin = |settings: &ChainSettings| model.sample_with(settings).unwrap();
    let settings = ChainSettings { per_class: 3, num_steps: 0, ..ChainSettings::default() };
    let from = |start| begin(&ChainSettings { start, classes: vec![1], ..settings.clone() });

    let point: Vec<f32> = vec![0.25, -0.5];
    let at = from(SampleStart::Image(point.clone().into()));
    assert_eq!((at.images(), at.labels()), (&*point.repeat(3), &[1, 1, 1][..]));
    let uniform = from(SampleStart::Fresh(StartKind::Uniform));
    assert_ne!(uniform.images(), from(SampleStart::Fresh(StartKind::ClassCenters)).images());

    let walk = ChainSettings { num_steps: 5, ..settings };
    let of_class = ChainSettings { is_conditional: true, ..walk.clone() };
    assert_ne!(begin(&of_class).images(), begin(&walk).images());
    let mut sampler = model.config().sampler.clone();
    sampler.kind = SamplerKind::Sgld;
    sampler.step_size = 0.01;
    let other = moons().with_sampler(sampler).unwrap();
    assert_ne!(other.sample_with(&walk).unwrap().images(), begin(&walk).images());
}

#[test]
fn every_chain_starts_from_an_image_of_its_own() {
    let model = moons();
    let points: Vec<f32> = (0..8).map(|i| i as f32 / 8.0).collect();
    let settings = ChainSettings {
        start: SampleStart::Images(points.clone().into()),
        classes: vec![0, 0, 1, 1],
        per_class: 1,
        num_steps: 0,
        ..ChainSettings::default()
    };
    assert_eq!(model.sample_with(&settings).unwrap().images(), points);

    let shared = ChainSettings { per_class: 2, chains_per_start: 2, ..settings.clone() };
    let found = model.sample_with(&shared).unwrap();
    let expected: Vec<f32> = points.chunks(2).flat_map(|point| point.repeat(2)).collect();
    assert_eq!(found.images(), expected);
    let part = ChainSettings { shard: Shard::new(2, 2).unwrap(), ..shared };
    assert_eq!(model.sample_with(&part).unwrap().images(), &expected[8..]);

    let few = SampleStart::Images(points[..6].into());
    let error = model.sample_with(&ChainSettings { start: few, ..settings }).unwrap_err();
    assert_eq!(error.to_string(), "6 values are not one image of 2 values for each of 4 starts");
}

#[test]
fn who_watches_the_chains_can_stop_them() {
    let model = moons();
    let settings = ChainSettings { per_class: 2, num_steps: 1000, ..ChainSettings::default() };
    let mut seen = Vec::new();
    let samples = model
        .sample_while(&settings, |step| {
            seen.push(step.step);
            step.step < 2
        })
        .unwrap();
    assert_eq!(seen, [0, 1, 2, 3]);
    assert_eq!(samples.len(), 4);
    for (seen, again) in samples.energies().iter().zip(model.energy(samples.images()).unwrap()) {
        assert!((seen - again).abs() < 1e-4, "{seen} {again}");
    }
}

#[test]
fn another_configuration_changes_how_a_model_is_used() {
    let model = moons();
    let config = |assignment: &str| model.config().with_assignment(assignment).unwrap();
    let settings = ChainSettings { num_steps: 5, ..ChainSettings::default() };
    let usual = model.sample_with(&settings).unwrap();
    let other = model.clone().with_config(config("sampler.inner_step_size=0.01")).unwrap();
    assert_ne!(other.sample_with(&settings).unwrap().images(), usual.images());
    let mut without_noise = config("sampler.kind=mala");
    without_noise.sampler.noise_std = 0.0;
    assert!(model.clone().with_config(without_noise).is_err());
    assert!(model.clone().with_config(config("model.arch=cnn-small")).is_err());
    assert_eq!(model.sample_with(&settings).unwrap(), usual);
}

#[test]
fn a_model_is_called_by_its_run_or_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("first");
    std::fs::create_dir(&run).unwrap();
    assert_eq!(checkpoint::name_of(&run), "first");
    assert_eq!(checkpoint::name_of(&run.join("checkpoint.safetensors")), "first");
    assert_eq!(checkpoint::name_of(&run.join("other.safetensors")), "other.safetensors");
}

#[test]
fn chains_are_watched_step_by_step() {
    let model = moons();
    let settings = ChainSettings { per_class: 2, num_steps: 3, ..ChainSettings::default() };
    let steps: Result<Vec<_>, _> = model.chains(&settings).unwrap().collect();
    let steps = steps.unwrap();
    assert_eq!(steps.iter().map(|step| step.step).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(steps[3].energies, model.sample_with(&settings).unwrap().energies());
}

#[test]
fn chains_that_diverge_are_an_error_and_no_images() {
    let mut sampler = moons().config().sampler.clone();
    (sampler.kind, sampler.step_size) = (SamplerKind::Sgld, 100.0);
    let model = moons().with_sampler(sampler).unwrap();
    // So far outside that the first gradient overflows.
    let start = SampleStart::Image(vec![3e38, -3e38].into());
    let settings = ChainSettings { start, num_steps: 5, ..ChainSettings::default() };
    let error = model.sample_with(&settings).unwrap_err().to_string();
    assert!(error.contains("diverged") && error.contains("smaller sampler.step_size"), "{error}");
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let model = moons();
    let mut mala = model.config().sampler.clone();
    (mala.kind, mala.noise_std) = (SamplerKind::Mala, 0.0);
    let settings = ChainSettings::default;
    let errors = [
        Model::bundled("two-mons").err(),
        Model::load("/no/such/file.safetensors").err(),
        ComputeDevice::open("no such adapter").map_err(Error::from).err(),
        model.sample(0, 1, 0).err(),
        model.sample_with(&ChainSettings { classes: vec![2], ..settings() }).err(),
        model.sample_with(&ChainSettings { start: SampleStart::Buffer, ..settings() }).err(),
        moons().with_sampler(mala).err(),
        model.energy(&[0.0; 3]).err(),
        model.energy(&[0.0, f32::NAN]).err(),
        model.read_picture("photo.png").err(),
        model.evaluate(&Model::bundled("fashion").unwrap().data().unwrap().test).err(),
        model.save("/no/such/folder/model.safetensors").err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("request {index} was granted")).to_string();
        assert!(!error.is_empty() && !error.contains('\n'), "{index}: {error}");
        assert!(!error.contains(" --"), "a library knows no command line: {error}");
    }
}

#[test]
fn a_checkpoint_whose_parts_do_not_fit_is_refused() {
    let whole = bundled::find("two-moons").unwrap().load().unwrap();
    let refused = |change: fn(&mut Checkpoint)| {
        let mut broken = whole.clone();
        change(&mut broken);
        assert!(Model::new(broken, &cpu()).is_err());
    };
    refused(|broken| broken.input_shape = [3, 1, 1]);
    refused(|broken| drop(broken.class_names.pop()));
    refused(|broken| broken.weights.clear());
    refused(|broken| broken.config.model.arch = "cnn-small".into());
}

#[test]
fn a_model_is_trained_saved_and_loaded_again() {
    let config = RunConfig::preset("toy-two-moons").unwrap();
    let config =
        config.with_toml("data = { num_points = 256 }\ntraining = { epochs = 2 }").unwrap();
    let data = data::load(&config.data, config.seed).unwrap();
    let batch_size = config.data.batch_size as u64;
    let mut trainer = Trainer::new(config, data.train, &cpu()).unwrap();
    let mut last = 0;
    while let Some(report) = trainer.advance().unwrap() {
        assert_eq!(report.step, last + 1);
        last = report.step;
    }
    assert_eq!(last, 2 * (256 / batch_size));
    assert!(trainer.advance().unwrap().is_none(), "the end stays the end");

    let model = trainer.model().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("moons.safetensors");
    model.save(&path).unwrap();
    let again = Model::new(Checkpoint::load(&path).unwrap(), &cpu()).unwrap();
    assert_eq!(again.evaluate(&data.test).unwrap(), model.evaluate(&data.test).unwrap());
    let train = model.data().unwrap().train;
    let resumed = Trainer::resume(again.checkpoint().clone(), train, &cpu()).unwrap();
    assert_eq!(resumed.counters().step, last);

    let picture = dir.path().join("samples.png");
    model.sample(20, 5, 0).unwrap().save_png(&picture).unwrap();
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn training_that_diverges_says_so() {
    let mut config = RunConfig::preset("toy-two-moons").unwrap();
    config.divergence.max_abs_loss = 1e-3;
    config.divergence.max_recoveries = 2;
    let data = data::load(&config.data, config.seed).unwrap();
    let mut trainer = Trainer::new(config, data.train, &cpu()).unwrap();
    match trainer.advance() {
        Err(Error::Diverged { num_recoveries: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_formula_is_differentiated() {
    let model = moons();
    let network = model.network().clone();
    let formula =
        EnergyFn::new(move |x: Tensor<4>| jempp::energy::energy_of_logits(network.logits(x)));
    let x = TensorData::new(vec![0.3f32, -0.2, 0.8, 0.1], [2, 2, 1, 1]);
    let x = Tensor::<4>::from_data(x, &cpu());
    let (ours, theirs) = (formula.gradient(x.clone()), model.joint_energy().gradient(x));
    let gap = |a: TensorData, b: TensorData| {
        a.iter::<f32>().zip(b.iter::<f32>()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(gap(ours.energy.into_data(), theirs.energy.into_data()) < 1e-4);
    assert!(gap(ours.gradient.into_data(), theirs.gradient.into_data()) < 1e-3);
}

#[test]
fn chains_of_one_seed_share_their_noise_and_those_of_another_do_not() {
    let flat = EnergyFn::new(|x: Tensor<4>| {
        let num_chains = x.dims()[0];
        x.mul_scalar(0.0).reshape([num_chains, 2]).sum_dim(1).squeeze_dim::<1>(1)
    });
    let sampler = Sampler::Sgld { step_size: 0.1, noise_std: 1.0 };
    let walk = |seed| {
        let starts = Tensor::zeros([4, 2, 1, 1], &cpu());
        let (state, _) = sampler.run(ChainState::new(starts, seed), &flat, 3);
        state.x.into_data().iter::<f32>().collect::<Vec<f32>>()
    };
    assert_eq!(walk(1), walk(1));
    assert_ne!(walk(1), walk(2));
    assert!(walk(1).iter().all(|&value| value != 0.0));
}

#[test]
fn examples_are_short_and_use_the_front_door_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() < 60, "{name} is long");
        assert!(text.starts_with("//! "), "{name} says what it shows");
        assert!(text.contains(&format!("--example {name}")), "{name} names its command");
        assert!(text.contains("//!     "), "{name} shows what it prints");
        for line in text.lines().filter(|line| line.starts_with("use ")) {
            assert!(line.starts_with("use jempp::") || line.starts_with("use std::"), "{line}");
        }
        count += 1;
    }
    assert!(count >= 4);
}
