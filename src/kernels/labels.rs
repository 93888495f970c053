//! The classes of a batch, where the kernels read them.

use std::{ops::Range, sync::Arc};

use burn::tensor::{Device, Int, IntDType, Tensor};
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};

use super::{bridge::is_gpu, index_tensor};

/// One class per row of a batch, on the host and on a device. A GPU receives the classes once, when this is made, so
/// that the steps of a conditional chain upload nothing.
#[derive(Clone, Debug)]
pub struct Labels {
    host: Arc<[u32]>,
    tensor: Tensor<1, Int>,
}

impl Labels {
    /// Copies the classes to a device.
    pub fn new(labels: impl Into<Arc<[u32]>>, device: &Device) -> Self {
        let (host, device) = (labels.into(), device.clone().without_autodiff());
        let tensor = index_tensor(&host, &device);
        let tensor = if is_gpu(&device) { tensor.cast(IntDType::I32) } else { tensor };
        Self { host, tensor }
    }

    /// The classes of some of the rows; nothing is uploaded.
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        if rows.len() == self.host.len() {
            return self.clone();
        }
        let tensor = self.tensor().narrow(0, rows.start, rows.len());
        Self { host: self.host[rows].into(), tensor }
    }

    /// The classes on the host.
    pub fn host(&self) -> &[u32] {
        &self.host
    }

    /// The classes on the device, shape (N).
    pub fn tensor(&self) -> Tensor<1, Int> {
        self.tensor.clone()
    }

    /// The classes for a kernel: 32-bit integers, none of them negative, so that it may read them as unsigned.
    pub(super) fn on_gpu(&self) -> CubeTensor {
        match self.tensor().try_into_primitive::<Wgpu>() {
            Ok(primitive) => into_contiguous(primitive),
            Err(error) => unreachable!("labels are on the device of their batch: {error:?}"),
        }
    }
}
