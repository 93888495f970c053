//! What is known of a data set and of a method beyond the checkpoint: titles, licences, papers.

use crate::{
    config::{DatasetName, GapLoss, RunConfig, SamKind},
    data,
};

/// What is known of a data set.
pub(super) struct Facts {
    /// The name in texts.
    pub(super) title: String,
    /// The name on Hugging Face, if it is there.
    pub(super) hub: Option<&'static str>,
    /// A sentence about the licence of the data.
    pub(super) licence: &'static str,
    /// The paper, or the page, that introduced the data.
    pub(super) paper: Option<&'static str>,
}

/// What is known of this data set. If the user calls the data by a name of their own, as a changed copy needs, that is its
/// title, and it is not the data set on Hugging Face.
pub(super) fn of(dataset: DatasetName, own_name: Option<&str>) -> Facts {
    let known = of_official(dataset);
    match own_name {
        Some(name) => Facts { title: name.to_string(), hub: None, ..known },
        None => known,
    }
}

fn of_official(dataset: DatasetName) -> Facts {
    let set = |title: &str, hub, licence, paper| Facts {
        title: title.to_string(),
        hub: Some(hub),
        licence,
        paper: Some(paper),
    };
    match dataset {
        DatasetName::FashionMnist | DatasetName::FashionMnistEmbedded => set(
            "Fashion-MNIST",
            "zalando-datasets/fashion_mnist",
            "The data is published by Zalando SE under the MIT licence.",
            "Xiao, Rasul and Vollgraf, *Fashion-MNIST*, [arXiv:1708.07747](https://arxiv.org/abs/1708.07747)",
        ),
        DatasetName::Mnist => set(
            "MNIST",
            "ylecun/mnist",
            "The data is published under CC BY-SA 3.0.",
            "LeCun, Cortes and Burges, *The MNIST database of handwritten digits*",
        ),
        DatasetName::Cifar10 => set(
            "CIFAR-10",
            "uoft-cs/cifar10",
            "The licence of the data is unknown: its authors name none.",
            "Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009",
        ),
        DatasetName::Cifar100 => set(
            "CIFAR-100",
            "uoft-cs/cifar100",
            "The licence of the data is unknown: its authors name none.",
            "Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009",
        ),
        DatasetName::Svhn => set(
            "SVHN",
            "ufldl-stanford/svhn",
            "Its authors allow non-commercial use of the data only.",
            "Netzer et al., *Reading Digits in Natural Images with Unsupervised Feature Learning*, 2011",
        ),
        DatasetName::Custom => Facts {
            title: "data of the person who trained it".into(),
            hub: None,
            licence: "Where the data comes from, and its licence, are unknown: the model file does not hold them.",
            paper: None,
        },
        drawn @ (DatasetName::TwoMoons
        | DatasetName::EightGaussians
        | DatasetName::Spiral
        | DatasetName::Rings
        | DatasetName::Checkerboard
        | DatasetName::Pinwheel) => Facts {
            title: format!("{} (points in the plane)", data::name(drawn)),
            hub: None,
            licence: "jempp draws the points from a formula, so the data has no licence.",
            paper: None,
        },
    }
}

/// Whether the loss of a model has a cross entropy, so that its p(y|x) is trained.
pub(super) fn classifies(config: &RunConfig) -> bool {
    config.objective.p_y_given_x_weight > 0.0
}

/// The tags of a model.
pub(super) fn tags(config: &RunConfig) -> Vec<&'static str> {
    let objective = &config.objective;
    let (classifies, has_chains) = (classifies(config), objective.needs_chains());
    let tags = [
        ("energy-based-model", has_chains || !classifies),
        ("joint-energy-model", has_chains && classifies),
        ("langevin-dynamics", has_chains),
        ("adversarial-training", objective.attacks_images()),
        ("classifier", classifies && !has_chains && !objective.attacks_images()),
    ];
    tags.into_iter().filter_map(|(tag, is_true)| is_true.then_some(tag)).collect()
}

/// What Hugging Face lists a model of images under; none if it was trained for no task that is known there.
pub(super) fn pipeline_tag(config: &RunConfig) -> Option<&'static str> {
    match (classifies(config), config.objective.needs_chains()) {
        (true, _) => Some("image-classification"),
        (false, true) => Some("unconditional-image-generation"),
        (false, false) => None,
    }
}

/// The papers whose methods a run used, with links.
pub(super) fn papers(config: &RunConfig) -> Vec<&'static str> {
    let RunConfig { objective, optimizer, .. } = config;
    let has_chains = objective.needs_chains();
    let used = [
        (has_chains, "JEM: [arXiv:1912.03263](https://arxiv.org/abs/1912.03263)"),
        (has_chains, "JEM++: [arXiv:2109.09032](https://arxiv.org/abs/2109.09032)"),
        (
            has_chains && objective.gap_loss == GapLoss::Logistic,
            "logistic energy loss (DAT): [arXiv:2510.13872](https://arxiv.org/abs/2510.13872)",
        ),
        (
            objective.attacks_images(),
            "adversarial training: [arXiv:1706.06083](https://arxiv.org/abs/1706.06083)",
        ),
        (
            objective.adversarial_radius > 0.0 && objective.adversarial_gap_weight > 0.0,
            "adversarial energy gap (EB-JDAT): [arXiv:2505.19459](https://arxiv.org/abs/2505.19459)",
        ),
        (
            objective.gradient_penalty_weight > 0.0,
            "gradient penalty R1: [arXiv:1801.04406](https://arxiv.org/abs/1801.04406)",
        ),
        (
            optimizer.sam_radius > 0.0 && optimizer.sam_kind == SamKind::Plain,
            "sharpness-aware minimisation: [arXiv:2010.01412](https://arxiv.org/abs/2010.01412)",
        ),
        (
            optimizer.sam_radius > 0.0 && optimizer.sam_kind == SamKind::Adaptive,
            "adaptive sharpness-aware minimisation: [arXiv:2102.11600](https://arxiv.org/abs/2102.11600)",
        ),
    ];
    used.into_iter().filter_map(|(is_used, paper)| is_used.then_some(paper)).collect()
}
