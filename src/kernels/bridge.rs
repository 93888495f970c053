//! Conversion between burn's tensors and the arguments of the kernels and their CPU twins.

use burn::{
    backend::DispatchDevice,
    tensor::{Device, Tensor, TensorData},
};
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use cubecl::server::Handle;

pub(super) fn is_gpu(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

pub(super) fn gpu<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    match tensor.without_autodiff().try_into_primitive::<Wgpu>() {
        Ok(primitive) => into_contiguous(primitive),
        // Callers check `is_gpu` first, and fusion, which would wrap the primitive, is never enabled.
        Err(error) => unreachable!("a GPU tensor is a cubecl tensor: {error:?}"),
    }
}

pub(super) fn from_gpu<const D: usize>(tensor: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(tensor)
}

/// The same tensor; on a GPU its values are in row-major order in memory, so that no kernel copies them for itself.
pub(crate) fn contiguous<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if is_gpu(&tensor.device()) { from_gpu(gpu(tensor)) } else { tensor }
}

pub(super) fn cpu<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    match tensor.without_autodiff().into_data().try_into_vec() {
        Ok(values) => values,
        Err(error) => unreachable!("every tensor here holds f32: {error:?}"),
    }
}

pub(super) fn from_cpu<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(super) fn upload(tensor: &CubeTensor, words: &[u32]) -> Handle {
    tensor.client.create_from_slice(bytemuck::cast_slice(words))
}
