//! The sections of the configuration: every key with its default, its range and its help text.

use serde::{Deserialize, Serialize};

use super::{Field, ImageSize};

choices! {
    /// The data set: images, or points of a 2-D density.
    DatasetName {
        /// 5,000 training and 1,000 test images of Fashion-MNIST, built into the program.
        FashionMnistEmbedded,
        /// Fashion-MNIST, read from the official IDX files.
        FashionMnist,
        /// MNIST, read from the official IDX files.
        Mnist,
        /// CIFAR-10, read from the official binary version.
        Cifar10,
        /// CIFAR-100 with the fine labels, read from the official binary version.
        Cifar100,
        /// SVHN, cropped 32×32 digits, read from the official MATLAB files.
        Svhn,
        /// 2-D points on two interleaved half circles.
        TwoMoons,
        /// 2-D points of eight Gaussians on a circle.
        EightGaussians,
        /// 2-D points on two intertwined spirals.
        Spiral,
        /// 2-D points on four concentric rings.
        Rings,
        /// 2-D points in the dark squares of a checkerboard.
        Checkerboard,
        /// 2-D points on the five curved blades of a pinwheel.
        Pinwheel,
        /// Your own images or points in the plane, read from `data.dir`.
        Custom,
    }
}

choices! {
    /// How an image of another shape is brought to the size of a data set.
    ImageFit {
        /// The centre of the image is cut out; what lies beyond it is lost.
        Crop,
        /// The whole image is kept, and padded with the mean colour of its border.
        Pad,
    }
}

choices! {
    /// The channels of the images of a data set.
    ImageColor {
        /// Grey if every image is grey, colour otherwise.
        Auto,
        /// One channel; colour images become grey.
        Gray,
        /// Three channels: red, green and blue.
        Rgb,
    }
}

choices! {
    /// The normalisation of the activations.
    Norm {
        /// No normalisation: chains are independent; JEM's choice.
        None,
        /// Batch norm with the statistics of the current batch, also during sampling: JEM++'s choice; the chains of a batch depend on each other.
        Batch,
        /// Batch norm with the running statistics: for diagnostics of a trained network, or training that begins with `classifier_epochs`.
        Frozen,
        /// Group norm: chains are independent.
        Group,
    }
}

choices! {
    /// The update rule of a chain.
    SamplerKind {
        /// x ← x - α ∇E + σ ξ, no clamp (JEM).
        Sgld,
        /// Gradient clipped to the proximal radius, x kept in [-1, 1].
        ProximalSgld,
        /// JEM++: N inner steps through the first layer per full gradient (`num_inner_steps`).
        Pyld,
        /// x ← x - α ∇E / ‖∇E‖₂ + σ ξ, kept in [-1, 1]: every step has the length α, however steep the energy is (DAT).
        NormalizedGradient,
        /// SGLD with a Metropolis-Hastings accept or reject step: no bias from the step size, two gradients per step, x is not kept in [-1, 1].
        Mala,
    }
}

choices! {
    /// The norm that measures the size of an attack on an image.
    BallNorm {
        /// The largest change of a pixel, in 255ths of the pixel range.
        Linf,
        /// The Euclidean norm of the change, with pixels from 0 to 1.
        L2,
    }
}

impl Norm {
    /// The name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no norm",
            Self::Batch => "batch norm",
            Self::Frozen => "frozen batch norm",
            Self::Group => "group norm",
        }
    }
}

impl BallNorm {
    /// The name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linf => "L∞",
            Self::L2 => "L2",
        }
    }
}

choices! {
    /// The attacks that measure how robust a classifier is.
    AttackKind {
        /// All of the following, one after the other; each attacks only what withstood those before.
        All,
        /// Projected gradient descent on the cross entropy, with steps of a fixed size (Madry et al., arXiv:1706.06083).
        Pgd,
        /// Auto-PGD on the cross entropy: momentum, and steps that halve where they no longer help (Croce & Hein, arXiv:2003.01690).
        ApgdCe,
        /// Auto-PGD on the difference of logits ratio, which does not depend on the scale of the logits; for three or more classes.
        ApgdDlr,
    }
}

impl AttackKind {
    /// The attacks that this choice stands for, in the order in which they run.
    pub const fn members(self) -> &'static [Self] {
        match self {
            Self::All => &[Self::Pgd, Self::ApgdCe, Self::ApgdDlr],
            Self::Pgd => &[Self::Pgd],
            Self::ApgdCe => &[Self::ApgdCe],
            Self::ApgdDlr => &[Self::ApgdDlr],
        }
    }

    /// The name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all attacks",
            Self::Pgd => "PGD",
            Self::ApgdCe => "APGD-CE",
            Self::ApgdDlr => "APGD-DLR",
        }
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
    /// The function of the gap d = mean E(x_data) - mean E(x_model) that the loss contains.
    GapLoss {
        /// The gap d, unchanged (JEM).
        Linear,
        /// log(1 + e^d): its gradient goes to 0 where the chains have a higher energy than the data.
        Softplus,
        /// mean log(1 + e^E(x_data)) + mean log(1 + e^-E(x_model)): data and chains are separated one by one, and energies are held near 0 (DAT).
        Logistic,
    }
}

choices! {
    /// The schedule of the step size over the steps of a chain.
    StepSchedule {
        /// The step size stays the same.
        Constant,
        /// The step size falls linearly to `final_step_factor` of its value.
        Linear,
        /// The step size falls along half a cosine to `final_step_factor` of its value.
        Cosine,
    }
}

choices! {
    /// The learning rate schedule after warm-up.
    LearningRateSchedule {
        /// The learning rate is multiplied by `decay_factor` after each of `decay_epochs`.
        Steps,
        /// The learning rate falls along half a cosine and is 0 at the last step of the run.
        Cosine,
    }
}

choices! {
    /// The optimiser of the weights.
    OptimizerKind {
        /// Stochastic gradient descent with momentum.
        Sgd,
        /// Adam, with β₁ from `momentum`.
        Adam,
    }
}

choices! {
    /// The measure of the radius ρ of sharpness-aware minimisation; g is the gradient at the weights w.
    SamKind {
        /// Moves the weights by ρ g / ‖g‖.
        Plain,
        /// Moves the weights by ρ w² g / ‖w g‖: large weights move further than small ones, so that rescaling one layer against another has no effect (ASAM).
        Adaptive,
    }
}

section! {
    /// The data set and its batches.
    DataConfig {
        /// Data set: fashion-mnist-embedded, fashion-mnist, mnist, cifar10, cifar100, svhn, two-moons, eight-gaussians, spiral, rings, checkerboard, pinwheel, or custom for your own images or points.
        dataset: DatasetName = DatasetName::FashionMnistEmbedded;
        /// Folder with the official files of the data set; for custom, your folder of images with one folder per class, or your .npz, .npy, IDX or CSV file. Not needed for a data set that `jempp fetch` has downloaded, the embedded one and the 2-D densities.
        dir: String = String::new();
        /// Size of the images of a custom data set: a side, as in 28, or height and width, as in 20x30. auto keeps images that all have one size of at most 32×32, and otherwise takes the smallest side of all images, from 8 to 32. A run writes here what auto has chosen.
        size: ImageSize = ImageSize::Auto;
        /// What happens to images of another shape in a custom data set: crop cuts out the centre, pad keeps the whole image and fills the rest with the mean colour of its border.
        fit: ImageFit = ImageFit::Crop;
        /// Channels of a custom data set: gray, rgb, or auto, which is gray only if every image is grey. A run writes here what auto has chosen.
        color: ImageColor = ImageColor::Auto;
        /// Centre (x, y) and half width of the square that becomes [-1, 1]² for the points of a custom data set, as in [0.5, 2.0, 3.0]. The empty list takes the square around all points, with a margin of a tenth. A run writes here what it took: x = centre + half width · x of the model.
        frame: Vec<f64> = Vec::new(), in -2e15 ..= 2e15;
        /// Batch size: images per training step, and chains per training step.
        batch_size: usize = 64, in 1 ..= 4096;
        /// Number of images, and of chains, that pass through the network at a time: a training step adds up the gradients of parts of the batch of this size, so that activations need less memory. 0 means all images and all chains at once. The result is that of the whole batch up to rounding, except with model.norm = batch, where each part has its own statistics. A step takes one more forward pass.
        micro_batch: usize = 0, in 0 ..= 4096;
        /// Number of training images held out for validation.
        num_validation: usize = 0, in 0 ..= 50000;
        /// Number of training images that are used: the same share of every class, chosen by the seed, after the validation part is held out. 0 means all.
        num_train: usize = 0, in 0 ..= 100000000;
        /// Random crops: pixels of reflection padding on each side before the crop back to the original size. 0 turns crops off.
        crop_padding: usize = 0, in 0 ..= 16;
        /// Whether images are flipped horizontally at random. Do not use it for digits (MNIST, SVHN).
        horizontal_flip: bool = false;
        /// Whether the energy terms of the loss see cropped and flipped images too (JEM++). With false, only the cross entropy sees them, as in SADA-JEM, and the model learns the density of the original images.
        augment_energy: bool = true;
        /// Standard deviation of Gaussian noise added to training inputs, in units of x.
        input_noise_std: f64 = 0.03, in 0.0 ..= 1.0;
        /// Whether the cross entropy sees this noise too (JEM++). With false, only the energy terms of the loss see it: the model learns to classify images as they are, and the density of noisy images. Without energy terms nothing sees the noise.
        classify_noisy: bool = true;
        /// Number of points drawn from a 2-D density.
        num_points: usize = 5000, in 16 ..= 1000000;
    }
}

section! {
    /// The network.
    ModelConfig {
        /// Architecture: cnn-small, cnn-medium, cnn-base, cnn-tiny, mlp or `wrn-<depth>-<width>`.
        arch: String = "cnn-small".to_string();
        /// Normalisation of the activations in a WideResNet: none, batch, frozen or group. frozen uses the running statistics, which the epochs of `training.classifier_epochs` gather.
        norm: Norm = Norm::None;
        /// Weight of the current batch in the running statistics of batch norm, which evaluation uses (PyTorch's momentum). Only the images of the cross entropy count, never chains. 0.9, as in the code of JEM, JEM++ and SADA-JEM, is little more than the last batch; 0.1 averages about ten batches and lags behind weights that change fast: better for norm = frozen, which keeps them.
        norm_momentum: f64 = 0.9, in 0.001 ..= 1.0;
        /// On several ranks (MPI), takes batch norm's statistics of an update from the images of all ranks. A layer then exchanges a few numbers per channel in each pass of the update; chains keep the statistics of their own rank. Only for norm = batch.
        sync_batch_norm: bool = false;
        /// Number of leading pieces (layers or residual blocks) of the network that form `first_layer`, the part that the inner steps of PYLD go through. 1 is the first layer alone, which is affine.
        split: usize = 1, in 1 ..= 64;
    }
}

impl ModelConfig {
    /// A short description of the network for people, as in `wrn-28-10, batch norm`.
    pub fn describe(&self) -> String {
        format!("{}, {}", self.arch, self.norm.name())
    }
}

section! {
    /// The Gaussian of each class that chains start from.
    ClassCentersConfig {
        /// Share of each class's variance that its principal axes must explain; the rest becomes a residual variance per pixel.
        explained_variance: f64 = 0.95, in 0.0 ..= 1.0;
        /// Largest number of principal axes per class.
        max_components: usize = 128, in 1 ..= 4096;
        /// Factor on the residual standard deviation. 1 gives each pixel of a start the variance that it has in the data; but the residual knows nothing of neighbouring pixels, so in larger images it is speckle that a chain must remove first. Smaller factors start chains as blurred images.
        residual_scale: f64 = 1.0, in 0.0 ..= 1.0;
    }
}

section! {
    /// The sampler of the Langevin chains.
    SamplerConfig {
        /// Update rule: sgld, proximal-sgld, pyld, normalized-gradient or mala.
        kind: SamplerKind = SamplerKind::Pyld;
        /// Steps per chain and training step (K of SGLD, M of PYLD). Each needs one full gradient, a step of mala two.
        num_steps: usize = 10, in 1 ..= 100000, slider 1 ..= 1000;
        /// Step size α of sgld, proximal-sgld and mala, in x² per unit of energy; of normalized-gradient, the length of a step in units of x.
        step_size: f64 = 1.0, in 0.0 ..= 1e6, slider 0.001 ..= 1000.0;
        /// Standard deviation σ of the noise added in each step, in units of x. With small steps the chain samples p^β with β = 2α/σ², or 2Nα/σ² for PYLD; what normalised gradients sample is not known.
        noise_std: f64 = 0.0, in 0.0 ..= 10.0, slider 0.0 ..= 2.0;
        /// Proximal radius r: bound on each component of the gradient, in energy per unit of x.
        proximal_radius: f64 = 1.0, in 1e-6 ..= 1e6, slider 0.001 ..= 100.0;
        /// Number N of pyld's inner steps through the first layer, per full gradient.
        num_inner_steps: usize = 5, in 1 ..= 1000, slider 1 ..= 50;
        /// Step size α of one inner step of pyld.
        inner_step_size: f64 = 0.2, in 0.0 ..= 1e6, slider 0.001 ..= 100.0;
        /// Schedule of the step size over the steps of a chain: constant, linear or cosine. The noise shrinks with the square root of the step size, so that the temperature stays the same.
        step_schedule: StepSchedule = StepSchedule::Constant;
        /// Factor on the step size at the last step of a chain, unless the schedule is constant.
        final_step_factor: f64 = 0.1, in 0.0 ..= 1.0;
        /// Step down the energy that removes the noise of the data from chains where they are shown, saved or judged; the chains keep it. In x² per unit of energy. 0 leaves them as they are. For a model whose data and chains had the same noise it is α/(1 - √(1 - σ²/s²)) for SGLD with a constant step size, with s = data.input_noise_std; for small steps that is s²/T = 2αs²/σ². The result is the mean of the images that a noisy one may come from.
        denoise_step: f64 = 0.0, in 0.0 ..= 1e6;
        /// Where fresh chains start: class-centers or uniform.
        start: StartKind = StartKind::ClassCenters;
    }
}

section! {
    /// The replay buffer of persistent chains.
    ReplayBufferConfig {
        /// Number of chains in the replay buffer, the same number per class.
        replay_buffer_size: usize = 10000, in 1 ..= 1000000;
        /// Probability that a chain of a batch gets a new start instead of a chain from the replay buffer. 1 means chains without a buffer: all chains of every training step are fresh (DAT).
        reinit_prob: f64 = 0.05, in 0.0 ..= 1.0;
    }
}

section! {
    /// The terms of the loss.
    ObjectiveConfig {
        /// Weight of the p(x) term, whose form `gap_loss` sets.
        p_x_weight: f64 = 1.0, in 0.0 ..= 1000.0;
        /// Form of the p(x) term, from the gap d = mean E(x_data) - mean E(x_model): linear is d, softplus is log(1 + e^d). When d is far below 0, the sampler is behind the model: softplus then lets the chains catch up, while linear pushes further and the run may diverge. logistic compares no means: it is mean log(1 + e^E) of the data plus mean log(1 + e^-E) of the chains, so that data get energies below 0 and chains above. Its gradient is bounded, and it fixes the zero of the energy. But where the model distinguishes data from chains with certainty, the energy is flat. Such a model learns where images are, but a temperature means little for it.
        gap_loss: GapLoss = GapLoss::Linear;
        /// Weight of the cross entropy of p(y|x).
        p_y_given_x_weight: f64 = 1.0, in 0.0 ..= 1000.0;
        /// Weight of the class-conditional term, mean E(x_data, y) - mean E(x_model, y). With a weight above 0, each chain follows p(x|y) of its class.
        p_x_y_weight: f64 = 0.0, in 0.0 ..= 1000.0;
        /// Weight of the energy regularisation, mean E(x_data)² + mean E(x_model)².
        energy_l2_weight: f64 = 0.0, in 0.0 ..= 1000.0;
        /// Weight γ of the gradient penalty γ/2 · mean ‖∂E/∂x‖² on the data (R1), which keeps the energy smooth around images. Needs one gradient and two more passes per step; 0 turns it off.
        gradient_penalty_weight: f64 = 0.0, in 0.0 ..= 1000.0;
        /// Radius ε of adversarial training, in the unit of `adversarial_norm`: the cross entropy is taken at the images within ε that the classifier finds hardest, as in DAT. 0 turns it off.
        adversarial_radius: f64 = 0.0, in 0.0 ..= 255.0;
        /// Norm of `adversarial_radius`: linf, in 255ths of the pixel range, or l2, with pixels from 0 to 1.
        adversarial_norm: BallNorm = BallNorm::L2;
        /// Steps of projected gradient ascent that find the hardest images, each one gradient.
        adversarial_steps: usize = 10, in 1 ..= 1000;
        /// Weight of the adversarial energy gap, mean E(x_high) - mean E(x_data), where x_high is within `adversarial_radius` of the data and has a high energy (EB-JDAT): the energy shall not rise next to an image. Finding x_high takes `adversarial_steps` more gradients per step; 0 turns it off.
        adversarial_gap_weight: f64 = 0.0, in 0.0 ..= 1000.0;
    }
}

section! {
    /// The optimiser of the weights and its schedule.
    OptimizerConfig {
        /// Optimiser: sgd or adam.
        kind: OptimizerKind = OptimizerKind::Adam;
        /// Learning rate after warm-up.
        learning_rate: f64 = 1e-4, in 0.0 ..= 10.0;
        /// Momentum of sgd, or β₁ of adam.
        momentum: f64 = 0.9, in 0.0 ..= 0.9999;
        /// Factor of the weight decay (L2).
        weight_decay: f64 = 0.0, in 0.0 ..= 1.0;
        /// Gradient clipping: largest norm of the gradient of each parameter tensor. 0 turns it off.
        gradient_clip_norm: f64 = 0.0, in 0.0 ..= 1e6;
        /// Warm-up: training steps over which the learning rate rises linearly from 0.
        warmup_steps: usize = 0, in 0 ..= 1000000;
        /// Learning rate schedule after warm-up: steps or cosine. The cosine ends at training.epochs, so the learning rate rises again when a run is resumed for more epochs.
        schedule: LearningRateSchedule = LearningRateSchedule::Steps;
        /// Epochs after which the learning rate is multiplied by `decay_factor`.
        decay_epochs: Vec<usize> = Vec::new(), in 0 ..= 100000;
        /// Factor on the learning rate at each of `decay_epochs`.
        decay_factor: f64 = 0.2, in 0.0 ..= 1.0;
        /// Radius ρ of sharpness-aware minimisation: the gradient is taken at the weights moved by ρ in the direction of rising loss, as `sam_kind` measures ρ. Needs a second forward and backward pass; 0 turns it off.
        sam_radius: f64 = 0.0, in 0.0 ..= 100.0;
        /// What `sam_radius` measures: plain, the length of the move (around 0.05), or adaptive, its length relative to the size of each weight (SADA-JEM's code: 2). Has no effect while `sam_radius` is 0.
        sam_kind: SamKind = SamKind::Plain;
        /// Decay of the exponential moving average of the weights, which evaluation and sampling then use. 0 turns it off.
        ema_decay: f64 = 0.0, in 0.0 ..= 0.99999;
    }
}

section! {
    /// The length of the run, and when evaluations and checkpoints happen.
    TrainingConfig {
        /// Number of epochs, passes over the training set.
        epochs: usize = 10, in 1 ..= 100000;
        /// Number of epochs at the start of the run that train the classifier alone: the loss is the cross entropy, adversarial if objective.adversarial_radius is above 0, and no chains are sampled. All terms count in the epochs after them (DAT). With model.norm = frozen, these epochs take the statistics of each batch, and the later ones keep the running statistics. 0 means that all terms count from the start.
        classifier_epochs: usize = 0, in 0 ..= 100000;
        /// Epochs between evaluations on the test set; each also writes a sample grid.
        eval_every_epochs: usize = 1, in 1 ..= 100000;
        /// Limit of a curriculum: chains begin with sampler.num_steps and get one more, up to this number, each time `grow_at_auc` is reached (DAT). 0 turns it off: chains always have sampler.num_steps.
        max_chain_steps: usize = 0, in 0 ..= 100000;
        /// Area under the ROC curve of E, data against chains, averaged over about twenty training steps, at which the curriculum adds a step: 0.5 means that the chains are as good as the data, 1 that every chain has a higher energy than every image.
        grow_at_auc: f64 = 0.8, in 0.5 ..= 1.0;
        /// End the run when the accuracy on the validation part has not risen for this many epochs. It needs data.num_validation, or data with a validation part of its own. 0 turns it off.
        early_stop_epochs: usize = 0, in 0 ..= 100000;
        /// Time between two checkpoints of up to 32 MiB, in seconds. A larger one is written more rarely, in proportion to its size.
        checkpoint_every_secs: f64 = 60.0, in 0.0 ..= 86400.0;
        /// Memory limit in MiB for a run, and for sampling or measuring its model. Work whose estimate is higher is refused before it starts. 0 means the memory of this machine, at most 16384.
        max_memory_mib: usize = 0, in 0 ..= 4194304;
    }
}

section! {
    /// When a training step counts as diverged, and how often the run recovers before it gives up.
    DivergenceConfig {
        /// Bound on |loss|; a step above it counts as diverged.
        max_abs_loss: f64 = 1e4, in 1e-3 ..= 1e12;
        /// Bound on |mean energy| of data and of chains.
        max_abs_energy: f64 = 1e4, in 1e-3 ..= 1e12;
        /// Bound on the smoothed gap |d|, d = mean E(x_data) - mean E(x_model).
        max_abs_gap: f64 = 100.0, in 1e-3 ..= 1e12;
        /// Bound on the mean norm of the gradient along the chains.
        max_gradient_norm: f64 = 1e3, in 1e-3 ..= 1e12;
        /// Bound on the share of gradient components that are clipped to the proximal radius.
        max_clamp_rate: f64 = 0.9, in 0.0 ..= 1.0;
        /// Training steps between two snapshots. Two are kept, and a diverged run returns to the older one: the newer may already be affected.
        snapshot_every_steps: usize = 50, in 1 ..= 100000;
        /// Number of returns to a snapshot before the run gives up.
        max_recoveries: usize = 5, in 0 ..= 1000;
        /// Factor on the learning rate at each return to a snapshot.
        learning_rate_cut: f64 = 0.5, in 0.01 ..= 1.0;
    }
}

section! {
    /// What `jempp eval` measures, and on how many images.
    EvalConfig {
        /// Number of bootstrap resamples for a confidence interval.
        num_resamples: usize = 1000, in 100 ..= 100000;
        /// Number of test images, and of images from each other data set, for out-of-distribution detection.
        num_ood: usize = 1000, in 2 ..= 100000;
        /// Number of test images that are attacked.
        num_attacked: usize = 200, in 1 ..= 100000;
        /// Radii ε of the L∞ attacks, in 255ths of the pixel range.
        linf_radii: Vec<f64> = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0], in 0.0 ..= 255.0;
        /// Radii ε of the L2 attacks, with pixels from 0 to 1.
        l2_radii: Vec<f64> = vec![0.25, 0.5, 1.0, 1.5, 2.0, 3.0], in 0.0 ..= 10000.0;
        /// Which attacks run. An image counts as correct only if all of them fail.
        attack: AttackKind = AttackKind::All;
        /// Steps of each attack. AutoAttack takes 100.
        attack_steps: usize = 20, in 1 ..= 10000;
        /// PGD attacks per image, each from a random start in the ball; the strongest one counts.
        attack_restarts: usize = 2, in 1 ..= 1000;
        /// APGD attacks per image and loss, each from a random start in the ball; the strongest one counts. AutoAttack makes one.
        apgd_restarts: usize = 1, in 1 ..= 1000;
        /// Sampler steps that refine an image before it is classified. 0 turns refinement off.
        refine_steps: usize = 5, in 0 ..= 1000;
        /// Standard deviation of the noise in a refinement step, in units of x. It shrinks with the step size if sampler.step_schedule is not constant.
        refine_noise_std: f64 = 0.05, in 0.0 ..= 10.0;
        /// Number of refinements, each with its own noise, that are averaged for a prediction.
        refine_draws: usize = 2, in 1 ..= 1000;
        /// Number of refinements that the attacks that know of it average for a gradient. AutoAttack takes 20 for a defence with noise (`rand`), which costs ten times as much.
        attack_draws: usize = 2, in 1 ..= 1000;
        /// Number of test images that are attacked with refinement on.
        num_attacked_refined: usize = 50, in 1 ..= 100000;
        /// Whether the attack on refined images also differentiates through the sampler's steps. It takes three times as long as the attack that does not.
        attack_through_sampler: bool = false;
        /// Number of fresh chains, and of chains from the replay buffer, whose quality is measured. At most the number of test images, because the samples are compared with as many real images.
        num_samples: usize = 1000, in 2 ..= 100000;
        /// Number of training images, at most, that FID compares the samples with.
        fid_reference: usize = 50000, in 2 ..= 10000000;
        /// Number of steps of a fresh chain.
        sample_steps: usize = 100, in 1 ..= 100000;
        /// Number of nearest neighbours that define the manifold for precision and recall.
        num_neighbors: usize = 3, in 1 ..= 100;
    }
}

/// Every section of the configuration: its name and its fields.
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
