//! The sections of the configuration: every key with its default, its range and its help text.

use serde::{Deserialize, Serialize};

use super::Field;

choices! {
    /// Which images (or points) are modelled.
    DatasetName {
        /// 5,000 + 1,000 Fashion-MNIST images that travel inside the program.
        FashionMnistEmbedded,
        /// Fashion-MNIST, IDX files.
        FashionMnist,
        /// MNIST, IDX files.
        Mnist,
        /// CIFAR-10, binary version.
        Cifar10,
        /// CIFAR-100, binary version, fine labels.
        Cifar100,
        /// SVHN, cropped 32×32 digits, MATLAB files.
        Svhn,
        /// Two interleaved half circles.
        TwoMoons,
        /// Eight Gaussians on a circle.
        EightGaussians,
        /// Two intertwined spirals.
        Spiral,
        /// Four concentric rings.
        Rings,
        /// The dark squares of a checkerboard.
        Checkerboard,
        /// Five curved blades.
        Pinwheel,
    }
}

choices! {
    /// What normalises activations.
    Norm {
        /// Nothing: chains are independent; JEM's choice.
        None,
        /// Statistics of the current batch, while sampling too: JEM++'s choice; couples the chains of a batch.
        Batch,
        /// Batch norm with its running statistics: for diagnostics on a trained network.
        Frozen,
        /// Group norm: chains stay independent.
        Group,
    }
}

choices! {
    /// Update rule of a chain.
    SamplerKind {
        /// x ← x - α ∇E + σ ξ, no clamp (JEM).
        Sgld,
        /// Gradient clamped to the proximal radius, x kept in [-1, 1].
        ProximalSgld,
        /// JEM++: `num_inner_steps` steps through the first layer per full gradient.
        Pyld,
        /// Sgld with Metropolis and Hastings' accept or reject: no bias, two gradients a step, no box.
        Mala,
    }
}

choices! {
    /// Where new chains start.
    StartKind {
        /// A draw from the class's Gaussian (JEM++).
        ClassCenters,
        /// Uniform noise on [-1, 1] (JEM).
        Uniform,
    }
}

choices! {
    /// What the loss takes of the gap d = mean E(x_data) - mean E(x_model).
    GapLoss {
        /// d itself (JEM).
        Linear,
        /// log(1 + e^d): its pull fades as chains come to lie above the data.
        Softplus,
    }
}

choices! {
    /// How the step size changes along a chain's steps.
    StepSchedule {
        /// Not at all.
        Constant,
        /// On a straight line to `final_step_factor`.
        Linear,
        /// On half a cosine to `final_step_factor`.
        Cosine,
    }
}

choices! {
    /// How the learning rate falls after warm-up.
    LearningRateSchedule {
        /// By `decay_factor` at each of `decay_epochs`.
        Steps,
        /// On half a cosine to 0 at the run's last step.
        Cosine,
    }
}

choices! {
    /// Optimiser of the weights.
    OptimizerKind {
        /// Stochastic gradient descent with momentum.
        Sgd,
        /// Adam.
        Adam,
    }
}

choices! {
    /// How sharpness-aware minimisation measures its radius ρ; g is the gradient at the weights w.
    SamKind {
        /// Moves the weights by ρ g / ‖g‖.
        Plain,
        /// Moves the weights by ρ w² g / ‖w g‖: large weights far, small ones little, so that scaling layers against each other changes nothing (ASAM).
        Adaptive,
    }
}

section! {
    /// Data set and batches.
    DataConfig {
        /// Data set: fashion-mnist-embedded, fashion-mnist, mnist, cifar10, cifar100, svhn, two-moons, eight-gaussians, spiral, rings, checkerboard or pinwheel.
        dataset: DatasetName = DatasetName::FashionMnistEmbedded;
        /// Folder with the official files; not needed for what `jempp fetch` got, the embedded set and the 2-D densities.
        dir: String = String::new();
        /// Images per training step; also chains per step.
        batch_size: usize = 64, in 1 ..= 4096;
        /// Training images held out for validation.
        num_validation: usize = 0, in 0 ..= 50000;
        /// Reflect-pad by this many pixels, then crop back at random; 0 is off.
        crop_padding: usize = 0, in 0 ..= 16;
        /// Mirror images at random; wrong for digits and SVHN.
        horizontal_flip: bool = false;
        /// Whether crops and flips reach the energy terms too (JEM++). false keeps them to the cross entropy, as SADA-JEM does: the model then learns the density of the images as they are.
        augment_energy: bool = true;
        /// Standard deviation of Gaussian noise added to training inputs, in units of x.
        input_noise_std: f64 = 0.03, in 0.0 ..= 1.0;
        /// Points drawn for a 2-D density.
        num_points: usize = 5000, in 16 ..= 1000000;
    }
}

section! {
    /// Network.
    ModelConfig {
        /// Architecture: cnn-small, cnn-medium, cnn-base, cnn-tiny, mlp or `wrn-<depth>-<width>`.
        arch: String = "cnn-small".to_string();
        /// Normalisation: none, batch, frozen or group (WideResNet).
        norm: Norm = Norm::None;
        /// Share that each training step's batch has in batch norm's running statistics, which evaluation reads (PyTorch's momentum). Only the images that the cross entropy sees count, never chains. 0.9, as in the code of JEM, JEM++ and SADA-JEM, is little more than the last batch; 0.1 averages about ten, which lags behind weights that change fast.
        norm_momentum: f64 = 0.9, in 0.0 ..= 1.0;
        /// How many leading pieces of the network form `first_layer`, the part that PYLD's inner steps go through. 1 is the bare first convolution, which is affine.
        split: usize = 1, in 1 ..= 64;
    }
}

impl ModelConfig {
    /// The network in a few words for people, as in `wrn-28-10, batch norm`.
    pub fn describe(&self) -> String {
        let norm = match self.norm {
            Norm::None => "no norm",
            Norm::Batch => "batch norm",
            Norm::Frozen => "frozen batch norm",
            Norm::Group => "group norm",
        };
        format!("{}, {norm}", self.arch)
    }
}

section! {
    /// Gaussian per class that chains start from.
    ClassCentersConfig {
        /// Share of each class's variance that its principal axes must hold; the rest becomes a residual per pixel.
        explained_variance: f64 = 0.95, in 0.0 ..= 1.0;
        /// Most principal axes kept per class.
        max_components: usize = 128, in 1 ..= 4096;
    }
}

section! {
    /// Langevin chains.
    SamplerConfig {
        /// Update rule: sgld, proximal-sgld, pyld or mala.
        kind: SamplerKind = SamplerKind::Pyld;
        /// Full gradient evaluations per chain and training step (K of SGLD, M of PYLD).
        num_steps: usize = 10, in 1 ..= 100000, slider 1 ..= 1000;
        /// Step size α of sgld, proximal-sgld and mala, in x² per unit of energy.
        step_size: f64 = 1.0, in 0.0 ..= 1e6, slider 0.001 ..= 1000.0;
        /// Standard deviation σ of the noise actually added per step, in units of x. The chain targets p^β with β = 2α/σ².
        noise_std: f64 = 0.0, in 0.0 ..= 10.0, slider 0.0 ..= 2.0;
        /// Bound r on each gradient component, in energy per unit of x.
        proximal_radius: f64 = 1.0, in 1e-6 ..= 1e6, slider 0.001 ..= 100.0;
        /// Inner steps N of pyld through the first layer.
        num_inner_steps: usize = 5, in 1 ..= 1000, slider 1 ..= 50;
        /// Step size α of one inner step of pyld.
        inner_step_size: f64 = 0.2, in 0.0 ..= 1e6, slider 0.001 ..= 100.0;
        /// How the step size changes along a chain's steps: constant, linear or cosine. The noise shrinks with its square root, so that the temperature stays.
        step_schedule: StepSchedule = StepSchedule::Constant;
        /// Share of the step size left at a chain's last step, unless the schedule is constant.
        final_step_factor: f64 = 0.1, in 0.0 ..= 1.0;
        /// Where fresh chains start: class-centers or uniform.
        start: StartKind = StartKind::ClassCenters;
    }
}

section! {
    /// Persistent chains.
    ReplayBufferConfig {
        /// Chains kept, the same number per class.
        replay_buffer_size: usize = 10000, in 1 ..= 1000000;
        /// Share of a batch that starts afresh.
        reinit_prob: f64 = 0.05, in 0.0 ..= 1.0;
    }
}

section! {
    /// Loss terms.
    ObjectiveConfig {
        /// Weight of mean E(x_data) - mean E(x_model).
        p_x_weight: f64 = 1.0, in 0.0 ..= 1000.0;
        /// What the p(x) term takes of the gap d = mean E(x_data) - mean E(x_model): linear is d, softplus is log(1 + e^d). A gap far below 0 says that the sampler, not the model, is behind; softplus then lets the chains catch up, where linear pulls on and the run may run away.
        gap_loss: GapLoss = GapLoss::Linear;
        /// Weight of the cross entropy of p(y|x).
        p_y_given_x_weight: f64 = 1.0, in 0.0 ..= 1000.0;
        /// Weight of the class-conditional term mean E(x_data, y) - mean E(x_model, y). Above 0 the chains follow p(x|y) of their class.
        p_x_y_weight: f64 = 0.0, in 0.0 ..= 1000.0;
        /// Weight of mean E(x_data)² + mean E(x_model)².
        energy_l2_weight: f64 = 0.0, in 0.0 ..= 1000.0;
    }
}

section! {
    /// Optimiser and schedule.
    OptimizerConfig {
        /// Optimiser: sgd or adam.
        kind: OptimizerKind = OptimizerKind::Adam;
        /// Learning rate after warm-up.
        learning_rate: f64 = 1e-4, in 0.0 ..= 10.0;
        /// Momentum of sgd, β₁ of adam.
        momentum: f64 = 0.9, in 0.0 ..= 0.9999;
        /// Weight decay (L2).
        weight_decay: f64 = 0.0, in 0.0 ..= 1.0;
        /// Largest gradient norm per parameter tensor; 0 is no bound.
        gradient_clip_norm: f64 = 0.0, in 0.0 ..= 1e6;
        /// Steps over which the learning rate rises linearly from 0.
        warmup_steps: usize = 0, in 0 ..= 1000000;
        /// How the learning rate falls after warm-up: steps or cosine. A cosine is measured against training.epochs: a run resumed for more of them learns faster again.
        schedule: LearningRateSchedule = LearningRateSchedule::Steps;
        /// Epochs at whose end the learning rate is multiplied by `decay_factor`.
        decay_epochs: Vec<usize> = Vec::new(), in 0 ..= 100000;
        /// Factor of each decay.
        decay_factor: f64 = 0.2, in 0.0 ..= 1.0;
        /// Radius ρ of sharpness-aware minimisation: gradients are taken at the weights moved up the loss by ρ, as `sam_kind` measures it. Costs a second pass; 0 is off.
        sam_radius: f64 = 0.0, in 0.0 ..= 100.0;
        /// What `sam_radius` measures: plain, the length of the move (around 0.05), or adaptive, its length beside the weights' own sizes (SADA-JEM's code: 2). Nothing while `sam_radius` is 0.
        sam_kind: SamKind = SamKind::Plain;
        /// Decay of the exponential moving average of the weights, which evaluation and sampling then use; 0 is off.
        ema_decay: f64 = 0.0, in 0.0 ..= 0.99999;
    }
}

section! {
    /// Length of the run and what is written when.
    TrainingConfig {
        /// Passes over the training set.
        epochs: usize = 10, in 1 ..= 100000;
        /// Epochs between evaluations on the test set; each also writes a sample grid.
        eval_every_epochs: usize = 1, in 1 ..= 100000;
        /// Seconds between checkpoints.
        checkpoint_every_secs: f64 = 60.0, in 0.0 ..= 86400.0;
        /// Most memory, in MiB, that a run or what is asked of its model may need by estimate; more is refused before it begins. 0 is the memory of this machine, but no more than 16384.
        max_memory_mib: usize = 0, in 0 ..= 4194304;
    }
}

section! {
    /// When a step counts as diverged, and what is tried before giving up.
    DivergenceConfig {
        /// Bound on |loss|.
        max_abs_loss: f64 = 1e4, in 1e-3 ..= 1e12;
        /// Bound on |mean energy| of data and of chains.
        max_abs_energy: f64 = 1e4, in 1e-3 ..= 1e12;
        /// Bound on the smoothed gap |d|, d = mean E(x_data) - mean E(x_model).
        max_abs_gap: f64 = 100.0, in 1e-3 ..= 1e12;
        /// Bound on the mean gradient norm r along the chains.
        max_gradient_norm: f64 = 1e3, in 1e-3 ..= 1e12;
        /// Bound on the share of clamped gradient components.
        max_clamp_rate: f64 = 0.9, in 0.0 ..= 1.0;
        /// Steps between the states that a diverged run returns to.
        snapshot_every_steps: usize = 50, in 1 ..= 100000;
        /// Returns to the last good state before the run gives up.
        max_recoveries: usize = 5, in 0 ..= 1000;
        /// Factor on the learning rate at each return.
        learning_rate_cut: f64 = 0.5, in 0.01 ..= 1.0;
    }
}

section! {
    /// What `jempp eval` measures, and how long it takes over it.
    EvalConfig {
        /// Resamples behind a bootstrap interval.
        num_resamples: usize = 1000, in 100 ..= 100000;
        /// Test images that are told from other images, and images of every other kind.
        num_ood: usize = 1000, in 2 ..= 100000;
        /// Test images attacked.
        num_attacked: usize = 200, in 1 ..= 100000;
        /// Radii ε of the L∞ balls, in 255ths of the pixel range.
        linf_radii: Vec<f64> = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0], in 0.0 ..= 255.0;
        /// Radii ε of the L2 balls, pixels counted from 0 to 1.
        l2_radii: Vec<f64> = vec![0.25, 0.5, 1.0, 1.5, 2.0, 3.0], in 0.0 ..= 10000.0;
        /// Steps of projected gradient descent per attack.
        attack_steps: usize = 20, in 1 ..= 10000;
        /// Attacks per image, each from a random point of the ball; the worst counts.
        attack_restarts: usize = 2, in 1 ..= 1000;
        /// Sampler steps that refine an image before it is classified; 0 leaves refinement out.
        refine_steps: usize = 5, in 0 ..= 1000;
        /// Standard deviation of the noise of a refining step, in units of x; it shrinks with the steps where sampler.step_schedule lets them fall.
        refine_noise_std: f64 = 0.05, in 0.0 ..= 10.0;
        /// Refinements, each with noise of its own, that a prediction and a gradient of the adaptive attack average over.
        refine_draws: usize = 2, in 1 ..= 1000;
        /// Test images attacked where they are refined.
        num_attacked_refined: usize = 50, in 1 ..= 100000;
        /// Whether refined images are attacked through the derivative of the sampler's steps too, which takes three times as long as the attack that leaves them out.
        attack_through_sampler: bool = false;
        /// Fresh chains judged, and chains of the replay buffer: no more than there are test images, for the floor must be of as many.
        num_samples: usize = 1000, in 2 ..= 100000;
        /// Steps of a fresh chain.
        sample_steps: usize = 100, in 1 ..= 100000;
        /// Neighbours that span the manifold of precision and recall.
        num_neighbors: usize = 3, in 1 ..= 100;
    }
}

/// Every section with its fields.
pub const SECTIONS: &[(&str, &[Field])] = &[
    ("data", DataConfig::FIELDS),
    ("model", ModelConfig::FIELDS),
    ("class_centers", ClassCentersConfig::FIELDS),
    ("sampler", SamplerConfig::FIELDS),
    ("replay_buffer", ReplayBufferConfig::FIELDS),
    ("objective", ObjectiveConfig::FIELDS),
    ("optimizer", OptimizerConfig::FIELDS),
    ("training", TrainingConfig::FIELDS),
    ("divergence", DivergenceConfig::FIELDS),
    ("eval", EvalConfig::FIELDS),
];
