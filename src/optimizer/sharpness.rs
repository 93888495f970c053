//! Sharpness-aware minimisation: gradients at the nearby weights with the highest loss.
//!
//! ```text
//! plain      w + ρ g / ‖g‖
//! adaptive   w + ρ w² g / ‖w g‖      element by element; norms over all weights together
//! ```
//!
//! # Source
//! Plain: Foret et al., arXiv:2010.01412 (SAM). Adaptive: Kwon et al., arXiv:2102.11600 (ASAM), with |w| as the scale
//! of every weight, biases and norms included. For JEM: Yang, Su & Ji, arXiv:2209.07959 (SADA-JEM), whose released
//! scripts use the adaptive one with ρ = 2.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

use crate::{config::SamKind, model::Network};

/// A copy of the network whose weights are moved by `radius` in the direction of rising loss. `gradients` are those of
/// the loss at `network`.
pub(crate) fn climb(
    network: &Network,
    gradients: &GradientsParams,
    kind: SamKind,
    radius: f64,
) -> Network {
    let mut squares = Squares { gradients, kind, sum: None };
    network.visit(&mut squares);
    let Some(sum) = squares.sum else { return network.copy() };
    // Compute the norm on the device: a readback would wait for the whole first pass.
    let scale = sum.sqrt().add_scalar(1e-12).recip().mul_scalar(radius);
    network.copy().map(&mut Climb { gradients, kind, scale })
}

/// `values` in the units of `weight`: multiplied by |w| for the adaptive kind.
fn in_units<const D: usize>(kind: SamKind, weight: &Tensor<D>, values: Tensor<D>) -> Tensor<D> {
    match kind {
        SamKind::Plain => values,
        SamKind::Adaptive => values * weight.clone().abs(),
    }
}

/// Sums the squared gradients of all weights, in the units of the radius.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    kind: SamKind,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let weight = param.val().without_autodiff();
            let square = in_units(self.kind, &weight, gradient).square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Climb<'a> {
    gradients: &'a GradientsParams,
    kind: SamKind,
    scale: Tensor<1>,
}

impl ModuleMapper for Climb<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return param };
        let (id, weight, mapper) = param.consume();
        let weight = weight.without_autodiff();
        let direction = in_units(self.kind, &weight, gradient);
        let direction = in_units(self.kind, &weight, direction);
        let moved = weight + direction * self.scale.clone().reshape([1; D]);
        Param::from_mapped_value(id, moved.autodiff().require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{
        config::ModelConfig,
        device,
        model::{HostTensor, weights_of},
    };

    /// Turns gradients into a network, so that each gradient has the name of its weight.
    struct Show<'a>(&'a GradientsParams);

    impl ModuleMapper for Show<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, weight, mapper) = param.consume();
            let gradient = self.0.get::<D>(id);
            let gradient = gradient.unwrap_or_else(|| weight.without_autodiff().zeros_like());
            Param::from_mapped_value(id, gradient.autodiff(), mapper)
        }
    }

    #[test]
    fn the_climb_is_the_formula_of_its_kind() {
        let device = device::cpu().autodiff();
        let config = ModelConfig { arch: "cnn-tiny".into(), ..ModelConfig::default() };
        let Ok(network) = Network::new(&config, [1, 8, 8], 3, 5, &device) else {
            unreachable!("cnn-tiny takes images of 8×8")
        };
        let loss = |network: &Network| {
            let x = Tensor::<4>::ones([2, 1, 8, 8], &device::cpu()).mul_scalar(0.3).autodiff();
            network.logits(x).square().sum()
        };
        let value = |network: &Network| loss(network).into_data().iter::<f32>().sum::<f32>();
        let flat = |network: &Network| {
            let mut named: Vec<_> = block_on(weights_of(network)).unwrap().into_iter().collect();
            named.sort_by(|(a, _), (b, _)| a.cmp(b));
            let values = named.into_iter().flat_map(|(_, HostTensor { values, .. })| values);
            values.map(f64::from).collect::<Vec<f64>>()
        };
        let gradients = GradientsParams::from_grads(loss(&network).backward(), &network);
        let (w, g) = (flat(&network), flat(&network.copy().map(&mut Show(&gradients))));
        for (kind, radius) in [(SamKind::Plain, 0.01), (SamKind::Adaptive, 0.5)] {
            let scale = |w: f64| match kind {
                SamKind::Plain => 1.0,
                SamKind::Adaptive => w.abs(),
            };
            let squares = w.iter().zip(&g).map(|(&w, g)| (scale(w) * g).powi(2));
            let norm = squares.sum::<f64>().sqrt();
            let moved = climb(&network, &gradients, kind, radius);
            for ((w, g), found) in w.iter().zip(&g).zip(flat(&moved)) {
                let expected = w + radius * scale(*w).powi(2) * g / norm;
                assert!((found - expected).abs() < 1e-6, "{kind:?}: {found} and {expected}");
            }
            assert!(value(&moved) > value(&network), "{kind:?}");
        }
    }
}
