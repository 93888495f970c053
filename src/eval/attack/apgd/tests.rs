use std::cell::RefCell;

use burn::tensor::{Int, Tensor, TensorData, activation::softmax};
use serde_json::Value;

use super::*;
use crate::{
    config::BallNorm,
    device,
    kernels::index_tensor,
    pgd::{AttackLoss, log_odds},
};

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device::cpu())
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_attack_goes_where_that_of_torchattacks_goes() {
    let text = include_str!("../../../../tests/autoattack/golden.json");
    let golden: Value = serde_json::from_str(text).unwrap();
    let size = |key: &str| golden[key].as_u64().unwrap() as usize;
    let shape: [usize; 4] = serde_json::from_value(golden["shape"].clone()).unwrap();
    let num_pixels = shape[1] * shape[2] * shape[3];
    let (hidden, classes, num_steps) = (size("hidden"), size("classes"), size("steps"));
    let first = tensor(&numbers(&golden["first"]), [num_pixels, hidden]);
    let second = tensor(&numbers(&golden["second"]), [hidden, classes]);
    let center = tensor(&numbers(&golden["images"]), shape);
    let labels: Vec<u32> = serde_json::from_value(golden["labels"].clone()).unwrap();
    let labels = index_tensor(&labels, &device::cpu());
    for run in golden["runs"].as_array().unwrap() {
        let radius = run["radius"].as_f64().unwrap();
        let ball = match run["norm"].as_str() {
            Some("Linf") => Ball::new(BallNorm::Linf, 255.0 * radius),
            _ => Ball::new(BallNorm::L2, radius),
        };
        let loss: AttackLoss = match run["loss"].as_str() {
            Some("dlr") => difference_of_logits_ratio,
            _ => log_odds,
        };
        let places = numbers(&run["places"]);
        let visited = RefCell::new(Vec::new());
        let ascend_from = |knows: bool| {
            visited.borrow_mut().clear();
            let see = |x: &Tensor<4>, step: u32| {
                assert_eq!(visited.borrow().len(), step as usize * values(x.clone()).len());
                visited.borrow_mut().extend(values(x.clone()));
                let x = x.clone().autodiff().require_grad();
                let rows = x.clone().reshape([shape[0], num_pixels]);
                let logits = rows.matmul(first.clone()).tanh().matmul(second.clone());
                let probabilities = softmax(logits.clone().detach().without_autodiff(), 1);
                let losses = loss(logits, labels.clone().unsqueeze_dim(1));
                let gradient = x.grad_remove(&mut losses.clone().sum().backward()).unwrap();
                let loss = losses.detach().without_autodiff().squeeze_dim(1);
                Seen { loss, gradient, probabilities: knows.then_some(probabilities) }
            };
            let start = tensor(&places[..center.shape().num_elements()], shape);
            ascend(&see, &ball, &center, start, &labels, num_steps)
        };
        let best = values(ascend_from(false));
        let what = format!("{} {}", run["norm"], run["loss"]);
        let apart = largest_difference(&visited.borrow(), &places);
        assert!(apart < 1e-3, "{what}: {apart} apart on the way");
        let apart = largest_difference(&best, &numbers(&run["best"]));
        assert!(apart < 1e-3, "{what}: {apart} apart at the end");

        // An attacker who sees predictions stops at a misclassified image wherever there was one.
        let fooling = ascend_from(true).reshape([shape[0], num_pixels]);
        let logits = fooling.matmul(first.clone()).tanh().matmul(second.clone());
        let is_right = logits.argmax(1).squeeze_dim::<1>(1).equal(labels.clone());
        let withstands: Vec<bool> = serde_json::from_value(run["withstands"].clone()).unwrap();
        assert_eq!(is_right.into_data().iter::<bool>().collect::<Vec<_>>(), withstands, "{what}");
    }
}

/// The loss of one row of logits and a label, and its gradient with respect to the logits.
fn of_row(loss: AttackLoss, logits: &[f32], label: u32) -> (f32, Vec<f32>) {
    let logits = tensor(logits, [1, logits.len()]).autodiff().require_grad();
    let label: Tensor<2, Int> = index_tensor(&[label], &device::cpu()).unsqueeze_dim(1);
    let found = loss(logits.clone(), label);
    let gradient = logits.grad_remove(&mut found.clone().sum().backward()).unwrap();
    (values(found.without_autodiff())[0], values(gradient))
}

#[test]
fn the_ratio_is_that_of_the_paper() {
    let ratio = |logits: &[f32], label| of_row(difference_of_logits_ratio, logits, label);
    // By hand: -(3 - 1) / (3 - 0.5) for the right class, -(0.5 - 3) / (3 - 0.5) for a wrong one.
    let logits = [1.0, 3.0, -2.0, 0.5];
    assert!((ratio(&logits, 1).0 + 0.8).abs() < 1e-6);
    assert!((ratio(&logits, 3).0 - 1.0).abs() < 1e-6);
    // The scale and the offset of the logits do not matter.
    let scaled = logits.map(|logit| 100.0 * logit + 7.0);
    assert!((ratio(&scaled, 1).0 + 0.8).abs() < 1e-4);
    // A classifier that is sure to the last digit still has a direction, and so have the log odds.
    let sure = [0.0, 300.0, -5.0];
    assert!(ratio(&sure, 1).1.iter().any(|slope| slope.abs() > 1e-4));
    assert!(of_row(log_odds, &sure, 1).1.iter().any(|slope| slope.abs() > 1e-4));
    for label in 0..4 {
        let (_, gradient) = ratio(&logits, label);
        for (class, slope) in gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut logits = logits;
                logits[class] += by;
                ratio(&logits, label).0
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - numeric).abs() < 1e-3, "{label} {class}: {slope} {numeric}");
        }
    }
    // Equal logits have no largest; nothing may become NaN.
    let (loss, gradient) = ratio(&[1.0; 4], 2);
    assert!(loss.is_finite() && gradient.iter().all(|slope| slope.is_finite()));
}

#[test]
fn checkpoints_are_those_of_the_paper() {
    // The paper's table for 100 steps: 0.22, then stretches that shrink by 0.03, to 0.06 at least.
    assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
    // Few steps still have checkpoints, and never one after the last step.
    assert_eq!(checkpoints(1), [1]);
    assert_eq!(checkpoints(10), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
}
