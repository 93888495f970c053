//! Sharpness-aware minimisation: gradients at the weights that make the loss worst nearby.
//!
//! # Source
//! Foret et al., arXiv:2010.01412; for JEM, Yang, Su & Ji, arXiv:2209.07959 (SADA-JEM).

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

use crate::model::Network;

/// The network moved up its loss: `w + radius · g / ‖g‖`, ‖g‖ over all weights together. `gradients`
/// are those of the loss at `network`.
pub(crate) fn climb(network: &Network, gradients: &GradientsParams, radius: f64) -> Network {
    let mut squares = Squares { gradients, sum: None };
    network.visit(&mut squares);
    let Some(sum) = squares.sum else { return network.copy() };
    // On the device: reading the norm would wait for the whole first pass.
    let scale = sum.sqrt().add_scalar(1e-12).recip().mul_scalar(radius);
    network.copy().map(&mut Climb { gradients, scale })
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Climb<'a> {
    gradients: &'a GradientsParams,
    scale: Tensor<1>,
}

impl ModuleMapper for Climb<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return param };
        let (id, weight, mapper) = param.consume();
        let moved = weight.without_autodiff() + gradient * self.scale.clone().reshape([1; D]);
        Param::from_mapped_value(id, moved.autodiff().require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{config::ModelConfig, device, model::weights_of};

    #[test]
    fn the_climb_is_as_long_as_its_radius_and_goes_along_the_gradient() {
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
        let gradients = GradientsParams::from_grads(loss(&network).backward(), &network);
        let moved = climb(&network, &gradients, 0.01);
        let (before, after) = (block_on(weights_of(&network)), block_on(weights_of(&moved)));
        let square: f32 = before
            .iter()
            .flat_map(|(name, old)| old.values.iter().zip(&after[name].values))
            .map(|(old, new)| (new - old).powi(2))
            .sum();
        assert!((square.sqrt() - 0.01).abs() < 1e-5, "{}", square.sqrt());
        assert!(value(&moved) > value(&network));
    }
}
