//! The weights of a network on the host, by path.

use std::collections::HashMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};

use super::Network;
use crate::device::{self, ReadError};

/// Why weights could not be loaded into a network.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum WeightsError {
    /// The network has a parameter that the file does not have.
    #[error("checkpoint lacks tensor `{0}`")]
    Missing(String),
    /// The file has a tensor that the network does not have.
    #[error("checkpoint has a tensor `{0}` that the network has no place for")]
    Extra(String),
    /// A parameter has another shape in the file.
    #[error(
        "tensor `{name}` has shape {found:?} in the checkpoint, the network needs {expected:?}"
    )]
    Shape {
        /// The path of the parameter.
        name: String,
        /// The shape of the parameter in the network.
        expected: Vec<usize>,
        /// The shape of the parameter in the file.
        found: Vec<usize>,
    },
}

/// A tensor on the host: f32 values and their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// The shape of the tensor.
    pub shape: Vec<usize>,
    /// All values, in row-major order.
    pub values: Vec<f32>,
}

/// Reads the parameters and running statistics of a network to the host, by path, in one readback.
///
/// # Errors
/// The device failed.
pub async fn weights_of(network: &Network) -> Result<HashMap<String, HostTensor>, ReadError> {
    let (names, tensors): (Vec<_>, Vec<_>) =
        tensors_of(network).map(|(name, shape, tensor)| ((name, shape), tensor)).unzip();
    let values = device::read(tensors).await?;
    let tensors = names.into_iter().zip(values);
    Ok(tensors.map(|((name, shape), values)| (name, HostTensor { shape, values })).collect())
}

/// Replaces the parameters of a network by `weights`.
///
/// # Errors
/// A tensor is missing, has another shape, or does not belong to the network.
pub fn with_weights(
    network: Network,
    weights: HashMap<String, HostTensor>,
) -> Result<Network, WeightsError> {
    let of_host = |(name, HostTensor { shape, values })| (name, (shape, Values::Host(values)));
    replaced(network, weights.into_iter().map(of_host).collect())
}

/// Replaces the parameters and running statistics of a network by those of `other`, on the same device. Both networks
/// then share the memory, so that nothing is read or uploaded.
///
/// # Errors
/// The same errors as [`with_weights`].
#[cfg(feature = "gui")]
pub(crate) fn with_weights_from(
    network: Network,
    other: &Network,
) -> Result<Network, WeightsError> {
    let on_device = |(name, shape, tensor)| (name, (shape, Values::Device(Box::new(tensor))));
    replaced(network, tensors_of(other).map(on_device).collect())
}

/// Path, shape and flattened values of the parameters and running statistics of a network.
fn tensors_of(network: &Network) -> impl Iterator<Item = (String, Vec<usize>, Tensor<1>)> {
    #[derive(Default)]
    struct Collect {
        path: Vec<String>,
        found: Vec<(String, Vec<usize>, Tensor<1>)>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val().without_autodiff();
            let shape = tensor.dims();
            let flat = tensor.reshape([shape.iter().product::<usize>()]);
            self.found.push((self.path.join("."), shape.to_vec(), flat));
        }
    }
    let mut collect = Collect::default();
    // `valid` updates the running statistics.
    network.valid().visit(&mut collect);
    collect.found.into_iter()
}

/// The new values of a parameter.
enum Values {
    Host(Vec<f32>),
    #[cfg(feature = "gui")]
    Device(Box<Tensor<1>>),
}

fn replaced(
    network: Network,
    weights: HashMap<String, (Vec<usize>, Values)>,
) -> Result<Network, WeightsError> {
    struct Replace {
        path: Vec<String>,
        weights: HashMap<String, (Vec<usize>, Values)>,
        error: Option<WeightsError>,
    }
    impl ModuleMapper for Replace {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.join(".");
            let Some((found, values)) = self.weights.remove(&name) else {
                self.error.get_or_insert(WeightsError::Missing(name));
                return param;
            };
            let expected = param.dims();
            if found != expected {
                let expected = expected.to_vec();
                self.error.get_or_insert(WeightsError::Shape { name, expected, found });
                return param;
            }
            let (id, tensor, mapper) = param.consume();
            let value = match values {
                Values::Host(values) => {
                    Tensor::from_data(TensorData::new(values, found), &tensor.device())
                }
                #[cfg(feature = "gui")]
                Values::Device(values) => {
                    let value = values.reshape(expected);
                    if tensor.is_autodiff() { value.autodiff() } else { value }
                }
            };
            let value = value.set_require_grad(tensor.is_require_grad());
            Param::from_mapped_value(id, value, mapper)
        }
    }
    let mut replace = Replace { path: Vec::new(), weights, error: None };
    let network = network.map(&mut replace);
    match (replace.error, replace.weights.into_keys().min()) {
        (Some(error), _) => Err(error),
        (None, Some(extra)) => Err(WeightsError::Extra(extra)),
        (None, None) => Ok(network),
    }
}
