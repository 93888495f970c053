//! The running statistics of batch norm: the images from which training computes them.

use std::collections::HashMap;

use crate::common::{tiny_config, tiny_dataset};
use burn::tensor::{Tensor, TensorData};
use jempp::{
    config::RunConfig,
    data::{Batch, Batches},
    device,
    model::{HostTensor, Network, weights_of, with_weights},
    trainer::Trainer,
};
use pollster::block_on;

type Weights = HashMap<String, HostTensor>;

/// Chains of noise, whose batch statistics clearly differ from those of images.
const FAR_CHAINS: &str = "
    model = { arch = 'wrn-10-1', norm = 'batch' }
    sampler = { start = 'uniform', num_steps = 2 }
    replay_buffer = { reinit_prob = 1.0 }
";

fn is_statistic(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// The network's statistics after one batch of images, by PyTorch's rule for training mode.
fn statistics_after(config: &RunConfig, before: &Weights, batch: &[f32]) -> Weights {
    let device = device::cpu().autodiff();
    let network = Network::new(&config.model, [1, 8, 8], 2, 0, &device).unwrap();
    let network = with_weights(network, before.clone()).unwrap();
    let data = TensorData::new(batch.to_vec(), [batch.len() / 64, 1, 8, 8]);
    network.logits(Tensor::<4>::from_data(data, &device));
    let mut found = block_on(weights_of(&network)).unwrap();
    found.retain(|name, _| is_statistic(name));
    found
}

fn assert_close(found: &Weights, expected: &Weights, what: &str) {
    for (name, expected) in expected {
        let largest = crate::common::max_abs(&expected.values).max(1e-3);
        let difference = crate::common::max_difference(&found[name].values, &expected.values);
        assert!(difference < 1e-4 * largest, "{what}: {name} off by {difference} of {largest}");
    }
}

#[test]
fn running_statistics_are_those_of_the_classified_images_alone() {
    for changes in [
        "",
        "model = { norm_momentum = 0.1 }",
        "data = { augment_energy = false, crop_padding = 2 }",
        "optimizer = { sam_radius = 0.1 }",
        "objective = { p_x_weight = 0.0, p_x_y_weight = 1.0 }",
    ] {
        let config = tiny_config().with_toml(FAR_CHAINS).unwrap().with_toml(changes).unwrap();
        let config = config.with_assignment("optimizer.ema_decay=0.5").unwrap();
        let set = tiny_dataset(32);
        let mut trainer = Trainer::new(config.clone(), set.clone(), &device::cpu()).unwrap();
        let mut batches = Batches::new(set, config.data.clone(), config.seed);
        let mut average = block_on(weights_of(trainer.network())).unwrap();
        average.retain(|name, _| is_statistic(name));
        for step in 0..4u64 {
            let before = block_on(weights_of(trainer.network())).unwrap();
            // The statistics come from the augmented images, which are classified, even if the energies use others.
            let Batch { values, .. } = batches.get(step);
            let expected = statistics_after(&config, &before, &values);
            block_on(trainer.step()).unwrap();
            let after = block_on(weights_of(trainer.network())).unwrap();
            assert_close(&after, &expected, changes);

            let decay = 0.5f64.min((1 + step) as f64 / (10 + step) as f64) as f32;
            for (name, average) in &mut average {
                for (average, new) in average.values.iter_mut().zip(&expected[name].values) {
                    *average = decay * *average + (1.0 - decay) * new;
                }
            }
            let averaged = block_on(weights_of(trainer.evaluated_network())).unwrap();
            assert_close(&averaged, &average, &format!("{changes}, averaged"));
        }
    }
}

#[test]
fn chains_of_noise_are_told_from_images_by_their_statistics() {
    // Otherwise the test above would pass for any batch.
    let config = tiny_config().with_toml(FAR_CHAINS).unwrap();
    let trainer = Trainer::new(config.clone(), tiny_dataset(32), &device::cpu()).unwrap();
    let before = block_on(weights_of(trainer.network())).unwrap();
    let of = |values: Vec<f32>| statistics_after(&config, &before, &values);
    let images = Batches::new(tiny_dataset(32), config.data.clone(), 0).get(0).values;
    let (images, noise) = (of(images), of(crate::common::scrambled(8 * 64, 3)));
    let differs = |(name, images): (&String, &HostTensor)| {
        crate::common::max_difference(&images.values, &noise[name].values)
            > 0.01 * crate::common::max_abs(&images.values)
    };
    assert!(images.iter().filter(|named| differs(*named)).count() > images.len() / 2);
}

#[test]
fn the_papers_recipe_has_the_official_momentum() {
    assert_eq!(RunConfig::preset("paper-cifar10").unwrap().model.norm_momentum, 0.9);
}
