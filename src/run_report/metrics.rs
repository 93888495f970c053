//! The metrics that training writes: their names, in which unit they are shown, and how they are summed up.

use crate::page::text::Unit;

/// When training writes a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// After an epoch, on a whole data set.
    Epoch,
    /// At every step, on one batch.
    Step,
}

/// A metric of `metrics.jsonl`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    /// Its key in the file.
    pub(super) key: &'static str,
    /// Its name in words.
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    pub(super) when: When,
}

const fn metric(key: &'static str, title: &'static str, unit: Unit, when: When) -> Metric {
    Metric { key, title, unit, when }
}

/// All metrics, in the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    metric("test_accuracy", "Test accuracy", Unit::Percent, When::Epoch),
    metric("test_calibration_error", "Calibration error, test", Unit::Percent, When::Epoch),
    metric("test_energy", "Mean energy, test", Unit::Digits, When::Epoch),
    metric("validation_accuracy", "Validation accuracy", Unit::Percent, When::Epoch),
    metric(
        "validation_calibration_error",
        "Calibration error, validation",
        Unit::Percent,
        When::Epoch,
    ),
    metric("validation_energy", "Mean energy, validation", Unit::Digits, When::Epoch),
    metric("loss", "Loss", Unit::Digits, When::Step),
    metric("cross_entropy", "Cross entropy", Unit::Digits, When::Step),
    metric("train_accuracy", "Accuracy on the batch", Unit::Percent, When::Step),
    metric("gap", "Energy gap d", Unit::Digits, When::Step),
    metric("energy_data", "Mean energy of the data", Unit::Digits, When::Step),
    metric("energy_model", "Mean energy of the chains", Unit::Digits, When::Step),
    metric("auc", "AUC of energies, chains against data", Unit::Decimals(3), When::Step),
    metric("chain_steps", "Steps of a chain", Unit::Digits, When::Step),
    metric("gradient_norm", "Gradient norm of the chains", Unit::Digits, When::Step),
    metric("clamp_rate", "Share of gradients clipped", Unit::Percent, When::Step),
    metric("saturation", "Share of pixels at ±1 in the chains", Unit::Percent, When::Step),
    metric("p_x", "Loss of p(x)", Unit::Digits, When::Step),
    metric("p_x_y", "Loss of p(x, y)", Unit::Digits, When::Step),
    metric("energy_l2", "Squared energies", Unit::Digits, When::Step),
    metric("gradient_penalty", "Gradient penalty R1", Unit::Digits, When::Step),
    metric("adversarial_gap", "Adversarial energy gap", Unit::Digits, When::Step),
    metric("learning_rate", "Learning rate", Unit::Decimals(6), When::Step),
];

/// The number of last steps whose mean stands for the end of a metric that is measured at every step.
pub(super) const NUM_LAST: usize = 100;
