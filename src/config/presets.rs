//! The presets: named configurations to start from.

/// A named configuration to start from.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name by which it is asked for, as in `fashion-quick`.
    pub name: &'static str,
    /// One line that says what the preset is for.
    pub about: &'static str,
    /// TOML texts that change the defaults, applied in order.
    pub layers: &'static [&'static str],
}

/// The name by which the recipe that fits the data is asked for. It is no preset: it is chosen once the data is read.
pub const AUTO: &str = "auto";

// Chains at temperature 1: noise_std² = 2 · num_inner_steps · inner_step_size. A step must stay below the
// square of the density's width (0.03 for the thinnest), or Langevin's discretisation is unstable and
// training diverges.
pub(super) const TOY: &str = "
    data = { batch_size = 256, input_noise_std = 0.0 }
    model = { arch = 'mlp' }
    class_centers = { max_components = 2 }
    sampler = { num_steps = 20, inner_step_size = 0.00005, noise_std = 0.02236, proximal_radius = 100.0 }
    optimizer = { learning_rate = 2e-3, warmup_steps = 50, decay_epochs = [30, 42] }
    training = { epochs = 50, eval_every_epochs = 10 }
";

// Three settings, found by experiment (docs/showcase.md), keep a run without norm from diverging: no noise on the data
// that the chains do not have, a p(x) term that fades when the chains are behind, and energies held near 0.
pub(super) const SHOWCASE: &str = "
    data = { crop_padding = 1, augment_energy = false, input_noise_std = 0.0 }
    class_centers = { max_components = 64 }
    sampler = { num_steps = 5, step_schedule = 'cosine' }
    replay_buffer = { reinit_prob = 0.02 }
    objective = { p_x_weight = 0.2, gap_loss = 'softplus', energy_l2_weight = 0.01 }
    optimizer = { learning_rate = 1e-3, warmup_steps = 500, schedule = 'cosine', ema_decay = 0.999 }
    divergence = { max_abs_gap = 3.0 }
    training = { epochs = 12 }
";

const SHOWCASE_FASHION: &str = "
    data = { dataset = 'fashion-mnist', horizontal_flip = true }
    model = { arch = 'cnn-medium' }
";

const SHOWCASE_MNIST: &str = "
    data = { dataset = 'mnist' }
    class_centers = { max_components = 48 }
    training = { epochs = 4 }
";

// A model whose chains sample. Data and chains have the same noise, which none of them clamps: so the energy learns the density of
// noisy digits, at the temperature T = σ²/(2α) of the chains. Steps are so short that the noise in them is longer than the descent.
// Few chains that seldom start anew become thousands of steps long, so the energy also learns where long chains go.
const SAMPLER_MNIST: &str = "
    data = { input_noise_std = 0.4 }
    sampler = { kind = 'sgld', num_steps = 20, step_size = 1.0, noise_std = 0.173, step_schedule = 'constant', denoise_step = 10.2 }
    replay_buffer = { replay_buffer_size = 1000, reinit_prob = 0.01 }
    objective = { p_x_weight = 1.0 }
    divergence = { max_abs_gap = 10.0 }
    training = { epochs = 12 }
";

// The same for garments, with so little noise that their pixels stay as they are: steps are short, and the classifier need not see the
// noise. Five steps an update are enough for chains that start at the centres of classes.
const SAMPLER_FASHION: &str = "
    data = { input_noise_std = 0.06, classify_noisy = false, num_validation = 2000 }
    sampler = { kind = 'sgld', step_size = 0.2, noise_std = 0.036, step_schedule = 'constant', denoise_step = 1.0 }
    replay_buffer = { replay_buffer_size = 1000, reinit_prob = 0.01 }
    objective = { p_x_weight = 0.75 }
    divergence = { max_abs_gap = 10.0 }
    training = { epochs = 24 }
";

// With few axes, most of the variance of a colour image is in the residual. As white noise it was speckle that chains did
// not remove: they start as blurred images instead, and take longer steps.
const SHOWCASE_CIFAR10: &str = "
    data = { dataset = 'cifar10', crop_padding = 4, horizontal_flip = true }
    model = { arch = 'cnn-base' }
    class_centers = { max_components = 16, residual_scale = 0.1 }
    sampler = { inner_step_size = 0.5 }
    training = { epochs = 20 }
";

// Longer, at a higher learning rate. The energy becomes so steep that longer steps lose the chains (docs/showcase.md).
const LONG_CIFAR10: &str = "
    sampler = { inner_step_size = 0.1 }
    objective = { p_x_weight = 0.1 }
    optimizer = { learning_rate = 2e-3 }
    training = { epochs = 40 }
";

// 600 steps on the 480 pictures that are made of drawings (src/data/drawn), which are moved and bent already. With few
// components the chains start as noise around the mean picture, and one sees that the model makes the drawings.
const DRAWINGS: &str = "
    data = { dataset = 'custom', batch_size = 16, crop_padding = 0 }
    class_centers = { max_components = 2 }
    replay_buffer = { replay_buffer_size = 300 }
    optimizer = { warmup_steps = 30 }
    training = { epochs = 20, eval_every_epochs = 20 }
";

// Only the cross entropy: no chains are sampled.
const CLASSIFIER: &str = "objective = { p_x_weight = 0.0, energy_l2_weight = 0.0 }";

// Adversarial training alone: with CLASSIFIER, what DAT (arXiv:2510.13872) begins with, and a baseline of its own.
const ADVERSARIAL: &str = "objective = { adversarial_radius = 0.5 }";

// DAT's energy: the logistic loss against fresh chains along normalised gradients, of more steps whenever the network tells
// the chains from data. A step of 0.1 with pixels from 0 to 1 is 0.2 in x. The loss of its code is one mean over data and chains,
// half the sum of their two means. Energies of data and chains move apart until both are certain, so the gap has no narrow bound.
// The buffer only holds the newest chains, for the sample grids.
const DAT: &str = "
    sampler = { kind = 'normalized-gradient', num_steps = 1, step_size = 0.2, step_schedule = 'constant' }
    replay_buffer = { replay_buffer_size = 1000, reinit_prob = 1.0 }
    objective = { p_x_weight = 0.5, gap_loss = 'logistic', energy_l2_weight = 0.0 }
    divergence = { max_abs_gap = 100.0 }
    training = { max_chain_steps = 40, grow_at_auc = 0.8 }
";

// SADA-JEM (arXiv:2209.07959) by its released script and defaults.
// Differs: weights are initialised, batches drawn and centres truncated as everywhere here. The 64 images of p(x) are also those of
// the cross entropy, which takes 128 others there, in epochs of half as many updates.
const SADA_JEM: &str = "
    data = { dataset = 'cifar10', crop_padding = 4, horizontal_flip = true, augment_energy = false, input_noise_std = 0.0 }
    model = { arch = 'wrn-28-10', norm = 'batch' }
    sampler = { kind = 'proximal-sgld', num_steps = 5, step_size = 1.0, proximal_radius = 1.0 }
    optimizer = { kind = 'sgd', learning_rate = 0.1, weight_decay = 5e-4, warmup_steps = 1000, decay_epochs = [60, 120, 180], decay_factor = 0.2, sam_kind = 'adaptive', sam_radius = 2.0 }
    training = { epochs = 200 }
";

// DAT's first configuration for CIFAR-10: 300 epochs of adversarial training, then the joint stage at a learning rate of 0.001 with
// batch norm frozen. The decays end at that rate before the joint stage begins.
// Differs: the network is that of JEM (leaky ReLU, biases, no scaling of inputs by mean and deviation); plain momentum instead of
// Nesterov's; crops and flips instead of AutoAugment and cutout, with one batch for both terms; attacks begin at a random place in
// the ball instead of at the image; chains start at class centres instead of tiny images, follow the energy instead of the logit of
// a class, and begin with one step instead of none; the joint stage has a fixed length, 100 epochs, instead of ending with the
// curriculum; the best average is not searched for.
const DAT_CIFAR10: &str = "
    data = { dataset = 'cifar10', batch_size = 128, crop_padding = 4, horizontal_flip = true, augment_energy = false, input_noise_std = 0.0 }
    model = { arch = 'wrn-34-10', norm = 'frozen', norm_momentum = 0.1 }
    optimizer = { kind = 'sgd', learning_rate = 0.1, weight_decay = 5e-4, decay_epochs = [150, 225], decay_factor = 0.1, ema_decay = 0.999 }
    training = { epochs = 400, classifier_epochs = 300, max_chain_steps = 50 }
";

// Another network with another seed, and the smallest possible class centres.
const JUDGE: &str = "
    seed = 1
    model = { arch = 'cnn-base' }
    class_centers = { max_components = 1 }
    training = { epochs = 8 }
";

const QUICK: Preset = Preset {
    name: "fashion-quick",
    about: "JEM++ on 5,000 embedded Fashion-MNIST images, minutes on a laptop without a GPU",
    layers: &["
        data = { batch_size = 32 }
        optimizer = { learning_rate = 1e-3, warmup_steps = 100, decay_epochs = [8, 11] }
        sampler = { num_steps = 5 }
        replay_buffer = { replay_buffer_size = 2000 }
        training = { epochs = 13 }
    "],
};

const DRAWN: Preset = Preset {
    name: "drawings",
    about: "Drawings made in the window, from the file that it saves, at most about a minute on a CPU",
    layers: &[SHOWCASE, DRAWINGS],
};

const TWO_MOONS: Preset = toy("toy-two-moons", &[TOY, "data.dataset = 'two-moons'"]);
const EIGHT_GAUSSIANS: Preset =
    toy("toy-eight-gaussians", &[TOY, "data.dataset = 'eight-gaussians'"]);
const SPIRAL: Preset = toy("toy-spiral", &[TOY, "data.dataset = 'spiral'"]);
const RINGS: Preset = toy("toy-rings", &[TOY, "data.dataset = 'rings'"]);
const CHECKERBOARD: Preset = toy("toy-checkerboard", &[TOY, "data.dataset = 'checkerboard'"]);
const PINWHEEL: Preset = toy("toy-pinwheel", &[TOY, "data.dataset = 'pinwheel'"]);

/// The presets whose data a page has.
const IN_A_PAGE: &[Preset] =
    &[QUICK, DRAWN, TWO_MOONS, EIGHT_GAUSSIANS, SPIRAL, RINGS, CHECKERBOARD, PINWHEEL];

/// The presets of the program on a computer, where it can read every data set.
const ALL: &[Preset] = &[
    QUICK,
    Preset {
        name: "fashion-showcase",
        about: "The bundled model of Fashion-MNIST (needs its files), about an hour on one CPU core",
        layers: &[SHOWCASE, SHOWCASE_FASHION],
    },
    Preset {
        name: "fashion-sampler",
        about: "The bundled model of garments whose chains sample: SGLD at one low temperature, in training and after; about an hour",
        layers: &[SHOWCASE, SHOWCASE_FASHION, SAMPLER_FASHION],
    },
    Preset {
        name: "fashion-classifier",
        about: "The same network as a plain classifier, to compare with; minutes",
        layers: &[SHOWCASE, SHOWCASE_FASHION, CLASSIFIER],
    },
    Preset {
        name: "fashion-at",
        about: "The same classifier, trained on adversarial images (L2, ε = 0.5)",
        layers: &[SHOWCASE, SHOWCASE_FASHION, CLASSIFIER, ADVERSARIAL],
    },
    Preset {
        name: "fashion-dat",
        about: "DAT on Fashion-MNIST (needs its files): adversarial training, then also energies",
        layers: &[
            SHOWCASE,
            SHOWCASE_FASHION,
            ADVERSARIAL,
            DAT,
            "training = { epochs = 16, classifier_epochs = 8 }",
        ],
    },
    Preset {
        name: "fashion-judge",
        about: "The classifier in whose features samples of Fashion-MNIST are measured",
        layers: &[SHOWCASE, SHOWCASE_FASHION, CLASSIFIER, JUDGE],
    },
    Preset {
        name: "mnist-showcase",
        about: "The bundled model of MNIST digits (needs its files)",
        layers: &[SHOWCASE, SHOWCASE_MNIST],
    },
    Preset {
        name: "mnist-sampler",
        about: "The bundled model of digits whose chains sample, as fashion-sampler with more noise; about an hour",
        layers: &[SHOWCASE, SHOWCASE_MNIST, SAMPLER_MNIST],
    },
    Preset {
        name: "mnist-classifier",
        about: "The same network as a plain classifier, to compare with; minutes",
        layers: &[SHOWCASE, SHOWCASE_MNIST, CLASSIFIER],
    },
    Preset {
        name: "mnist-judge",
        about: "The classifier in whose features samples of MNIST are measured",
        layers: &[SHOWCASE, SHOWCASE_MNIST, CLASSIFIER, JUDGE],
    },
    Preset {
        name: "cifar10-laptop",
        about: "JEM++ on CIFAR-10 (needs its files, or a folder of its pictures), about an hour on two CPU cores",
        layers: &[SHOWCASE, SHOWCASE_CIFAR10],
    },
    Preset {
        name: "cifar10-showcase",
        about: "The recipe of the built-in model cifar10-jpeg: twice as many epochs, shorter steps; about three hours",
        layers: &[SHOWCASE, SHOWCASE_CIFAR10, LONG_CIFAR10],
    },
    Preset {
        name: "cifar10-batch-norm",
        about: "A small WideResNet with batch norm by the recipe of cifar10-laptop, about 40 minutes on two CPU cores",
        layers: &[
            SHOWCASE,
            SHOWCASE_CIFAR10,
            "model = { arch = 'wrn-10-1', norm = 'batch' }
             training.epochs = 8",
        ],
    },
    Preset {
        name: "cifar10-classifier",
        about: "The network of cifar10-showcase as a plain classifier, to compare with",
        layers: &[SHOWCASE, SHOWCASE_CIFAR10, LONG_CIFAR10, CLASSIFIER],
    },
    Preset {
        name: "cifar10-judge",
        about: "The classifier in whose features samples of CIFAR-10 are measured",
        layers: &[SHOWCASE, SHOWCASE_CIFAR10, CLASSIFIER, JUDGE, "training.epochs = 20"],
    },
    DRAWN,
    Preset {
        name: "paper-cifar10",
        about: "The recipe of the JEM++ paper on CIFAR-10 (needs its files); needs a large GPU and days",
        layers: &["
            data = { dataset = 'cifar10', crop_padding = 4, horizontal_flip = true, num_validation = 5000 }
            model = { arch = 'wrn-28-10', norm = 'batch' }
            optimizer = { kind = 'sgd', learning_rate = 0.1, momentum = 0.9, weight_decay = 4e-4, warmup_steps = 1000, decay_epochs = [50, 100, 125] }
            training = { epochs = 150 }
        "],
    },
    Preset {
        name: "jem-cifar10",
        about: "The recipe of the JEM paper on CIFAR-10 (needs its files), for comparison",
        layers: &["
            data = { dataset = 'cifar10', crop_padding = 4, horizontal_flip = true, num_validation = 5000 }
            model = { arch = 'wrn-28-10', norm = 'none' }
            sampler = { kind = 'sgld', num_steps = 20, step_size = 1.0, noise_std = 0.01, start = 'uniform' }
            optimizer = { kind = 'adam', learning_rate = 1e-4, warmup_steps = 1000, decay_epochs = [160, 180], decay_factor = 0.3 }
            training = { epochs = 200 }
        "],
    },
    Preset {
        name: "sada-jem-cifar10",
        about: "The recipe of SADA-JEM on CIFAR-10 (needs its files); needs a large GPU",
        layers: &[SADA_JEM],
    },
    Preset {
        name: "dat-cifar10",
        about: "The recipe of DAT on CIFAR-10 (needs its files); needs a large GPU",
        layers: &[ADVERSARIAL, DAT, DAT_CIFAR10],
    },
    TWO_MOONS,
    Preset {
        name: "two-moons-classifier",
        about: "The same network as a plain classifier, to compare with; seconds",
        layers: &[TOY, "data.dataset = 'two-moons'", CLASSIFIER],
    },
    EIGHT_GAUSSIANS,
    SPIRAL,
    RINGS,
    CHECKERBOARD,
    PINWHEEL,
];

/// All presets, in the order in which `jempp config` lists them. A page, which cannot read the other data sets, has those
/// whose data it has.
pub const PRESETS: &[Preset] = if cfg!(target_arch = "wasm32") { IN_A_PAGE } else { ALL };

const fn toy(name: &'static str, layers: &'static [&'static str]) -> Preset {
    Preset { name, about: "JEM++ on a 2-D density, seconds", layers }
}

#[cfg(test)]
mod tests {
    use crate::config::RunConfig;

    /// The loss of rebm/training/train.py in xuwangyin/DAT is `BCEWithLogitsLoss(reduction="mean")` of the logits -E of N images and
    /// N chains, with a `bce_weight` of 1, and its average has a decay of 0.999.
    #[test]
    fn dat_weighs_its_energy_loss_and_its_average_as_its_code_does() {
        let softplus = |x: f64| x.exp().ln_1p();
        let (data, chains) = ([-1.5, 0.25, 2.0], [0.5, -0.75, 3.0]);
        let of_data: Vec<f64> = data.iter().map(|energy| softplus(*energy)).collect();
        let of_chains: Vec<f64> = chains.iter().map(|energy: &f64| softplus(-energy)).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let released = mean(&[&of_data[..], &of_chains[..]].concat());
        for preset in ["dat-cifar10", "fashion-dat"] {
            let RunConfig { objective, optimizer, .. } = RunConfig::preset(preset).unwrap();
            let ours = objective.p_x_weight * (mean(&of_data) + mean(&of_chains));
            assert!((ours - released).abs() < 1e-12, "{preset}: {ours} instead of {released}");
            assert_eq!(objective.p_y_given_x_weight, 1.0);
            assert_eq!(optimizer.ema_decay, 0.999, "{preset}");
        }
    }
}
