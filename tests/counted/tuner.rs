//! The choice between the variants of the kernels, measured on the adapter of the tests. It is one for the process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use burn::tensor::{Device, Tensor};
use jempp::kernels::{
    self, ConvOptions2d, ConvPass,
    tuner::{self, ChoiceStore, KeptChoice, Measuring, Reason},
};

use crate::{
    alone,
    common::{gpu, max_abs, max_difference, scrambled_tensor, values},
};

/// Choices by adapter and layer, which a test can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<BTreeMap<(String, String), KeptChoice>>>);

impl ChoiceStore for Shared {
    fn kept(&mut self, adapter: &str, layer: &str) -> Option<KeptChoice> {
        self.0.lock().unwrap().get(&(adapter.into(), layer.into())).cloned()
    }

    fn keep(&mut self, adapter: &str, layer: &str, choice: &KeptChoice) {
        self.0.lock().unwrap().insert((adapter.into(), layer.into()), choice.clone());
    }
}

const OPTIONS: ConvOptions2d = ConvOptions2d { stride: 1, negative_slope: Some(0.2) };
const MEASURED: Measuring = Measuring { budget: Duration::from_secs(60), on_software: true };

type Conv = fn(Tensor<4>, Tensor<4>, Tensor<1>, ConvOptions2d) -> Tensor<4>;

/// The output of a convolution, and its gradients.
fn results(conv: Conv, device: &Device) -> Vec<Vec<f32>> {
    let leaf = |tensor: Tensor<4>| tensor.autodiff().require_grad();
    let x = leaf(scrambled_tensor([2, 6, 7, 12], 1, device));
    let weight = leaf(scrambled_tensor([3, 3, 12, 20], 2, device));
    let bias = Tensor::<1>::ones([20], device).autodiff().require_grad();
    let y = conv(x.clone(), weight.clone(), bias.clone(), OPTIONS);
    let direction = scrambled_tensor([2, 6, 7, 20], 3, device).autodiff();
    let gradients = (y.clone() * direction).sum().backward();
    vec![
        values(y.without_autodiff()),
        values(x.grad(&gradients).unwrap()),
        values(weight.grad(&gradients).unwrap()),
        values(bias.grad(&gradients).unwrap()),
    ]
}

#[test]
fn layers_are_measured_once_and_what_is_chosen_computes_the_same() {
    let _alone = alone();
    let Some(device) = gpu() else { return };
    let adapter = kernels::adapter_of(&device).unwrap();
    let store = Shared::default();
    tuner::start(Box::new(store.clone()), MEASURED);
    let expected = results(kernels::reference_conv2d, &device);
    let found = results(kernels::conv2d, &device);
    for (found, expected) in found.iter().zip(&expected) {
        assert!(max_difference(found, expected) < 1e-5 * max_abs(expected).max(1.0));
    }

    let choices = tuner::choices();
    assert_eq!(choices.len(), 3, "{choices:?}");
    for (name, pass) in [
        ("forward", ConvPass::Forward),
        ("input gradient", ConvPass::InputGradient),
        ("weight gradient", ConvPass::WeightGradient),
    ] {
        let choice = choices.iter().find(|choice| choice.layer.starts_with(name)).unwrap();
        let all = kernels::candidates(pass, adapter).count();
        assert_eq!((choice.reason, choice.micros.len()), (Reason::Measured, all), "{choice:?}");
        assert!(choice.micros.iter().any(|(name, _)| name == choice.variant), "{choice:?}");
    }
    assert_eq!(store.0.lock().unwrap().len(), 3);

    // The same kernels in the next layer, and in the next program: every bit is the same.
    assert_eq!(results(kernels::conv2d, &device), found);
    assert_eq!(tuner::choices(), choices);
    tuner::start(Box::new(store.clone()), Measuring { budget: Duration::ZERO, ..MEASURED });
    assert_eq!(results(kernels::conv2d, &device), found);
    let kept = tuner::choices();
    assert!(kept.iter().all(|choice| choice.reason == Reason::Kept), "{kept:?}");
    tuner::start(Box::<Shared>::default(), Measuring { on_software: false, ..MEASURED });
}

#[test]
fn a_software_adapter_takes_the_guess_and_launches_nothing_to_measure() {
    let _alone = alone();
    let Some(device) = gpu() else { return };
    if !kernels::adapter_of(&device).unwrap().is_software {
        return;
    }
    let store = Shared::default();
    tuner::start(Box::new(store.clone()), Measuring { on_software: false, ..MEASURED });
    results(kernels::conv2d, &device);
    assert!(tuner::choices().iter().all(|choice| choice.reason == Reason::Guessed));
    assert!(store.0.lock().unwrap().is_empty());
}
