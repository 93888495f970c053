//! Launches a [`Kernel`] on burn's queue, with its WGSL unchanged.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use burn_wgpu::{CubeTensor, KernelMetadata};
use cubecl::{
    client::Client,
    ir::{AddressType, ElemType, UIntKind, metadata::Info},
    logging::{LaunchObservation, LaunchObserver},
    prelude::*,
    server::{Handle, KernelArguments, MetadataBindingInfo},
    {CubeKernel, PrecompiledSource},
};

use super::Kernel;

/// The number of workgroups along one dimension that WebGPU guarantees.
const MAX_WORKGROUPS_PER_DIMENSION: u32 = 65_535;

/// The total bytes of the buffers of all launches of our kernels.
static BOUND_BYTES: AtomicU64 = AtomicU64::new(0);

/// Without checks: our kernels guard each access with bounds of their own, and each of their loops ends. With checks, naga
/// counts the rounds of every loop, which costs some GPUs half of their speed (`benches/isa/README.md`).
const MODE: ExecutionMode = ExecutionMode::Unchecked;

struct WgslKernel(&'static Kernel);

impl KernelMetadata for WgslKernel {
    fn name(&self) -> &'static str {
        self.0.name
    }

    // Pipelines are cached by this id. The address stands for the source, which is long to hash at every launch.
    fn id(&self) -> KernelId {
        let address = std::ptr::from_ref(self.0).addr();
        KernelId::new::<Self>().info((self.0.name, address)).mode(MODE)
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for WgslKernel {
    fn define(&self) -> KernelDefinition {
        let settings = KernelSettings::new(CubeDim::new_single().0, MODE, AddressType::U32);
        KernelDefinition { body: Scope::root(settings.clone()), settings, info: Info::default() }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        Some(PrecompiledSource {
            source: self.0.source.to_string(),
            entrypoint_name: self.0.name.to_string(),
            lang: "wgsl",
        })
    }
}

/// Enqueues `kernel` over `num_workgroups`, with the bindings in table order and the members of
/// `Params` as their bits.
pub(super) fn launch(
    kernel: &'static Kernel,
    client: &Client,
    num_workgroups: u32,
    buffers: &[&Handle],
    params: &[u32],
) {
    assert_eq!(buffers.len() + 1, kernel.bindings.len(), "bindings of {}", kernel.name);
    assert_eq!(params.len(), kernel.params.len(), "params of {}", kernel.name);
    if num_workgroups == 0 {
        return;
    }
    let bytes: u64 = buffers.iter().map(|buffer| buffer.size_in_used()).sum();
    BOUND_BYTES.fetch_add(bytes, Ordering::Relaxed);
    let words = params
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 32)
        .collect();
    let arguments = KernelArguments::new()
        .with_buffers(buffers.iter().map(|&buffer| buffer.clone().binding()).collect())
        .with_info(MetadataBindingInfo::custom(words));
    let columns = num_workgroups.min(MAX_WORKGROUPS_PER_DIMENSION);
    let count = CubeCount::Static(columns, num_workgroups.div_ceil(columns), 1);
    client.launch(Box::new(WgslKernel(kernel)), count, arguments);
}

/// An uninitialised tensor for `kernel` to fill.
pub(super) fn empty_like(tensor: &CubeTensor, shape: impl Into<burn::tensor::Shape>) -> CubeTensor {
    let shape = shape.into();
    let handle = tensor.client.empty(shape.num_elements() * size_of::<f32>());
    CubeTensor::new_contiguous(
        tensor.client.clone(),
        tensor.device.clone(),
        shape,
        handle,
        burn::tensor::DType::F32,
    )
}

/// The number of GPU kernels that `work` launches, burn's and ours. Launches of other threads are counted too.
pub fn count_launches(work: impl FnOnce()) -> usize {
    struct Counter(AtomicUsize);
    impl LaunchObserver for Counter {
        fn launched(&self, _kernel: &'static str) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let observation = LaunchObservation::new(counter.clone());
    work();
    drop(observation);
    counter.0.load(Ordering::Relaxed)
}

/// The bytes of the buffers that `work` launches our kernels on: a lower bound on the memory traffic. Launches of other
/// threads are counted too.
pub fn count_bound_bytes(work: impl FnOnce()) -> u64 {
    let before = BOUND_BYTES.load(Ordering::Relaxed);
    work();
    BOUND_BYTES.load(Ordering::Relaxed) - before
}
