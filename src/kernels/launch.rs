//! Launches a [`Kernel`] on burn's queue, with its WGSL unchanged.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use burn::tensor::{Device, Tensor};
use burn_wgpu::{CubeTensor, KernelMetadata};
use cubecl::{
    client::Client,
    ir::{AddressType, ElemType, UIntKind, metadata::Info},
    logging::{LaunchObservation, LaunchObserver},
    prelude::*,
    server::{Handle, KernelArguments, MetadataBindingInfo},
    {CubeKernel, PrecompiledSource},
};

use super::{
    Kernel,
    bridge::{gpu, is_gpu},
};

/// The number of workgroups along one dimension that WebGPU guarantees.
const MAX_WORKGROUPS_PER_DIMENSION: u32 = 65_535;

/// The number of waiting launches at which cubecl submits them by itself. A step of a network has fewer, so that it is one
/// submission.
pub(crate) const MAX_WAITING: u32 = 128;
/// The largest work of convolutions that waits for one submission, in multiplications and additions. Drivers end a
/// submission that runs for about two seconds (Windows). A slow laptop does 10¹¹ in a second, and has twice this work in
/// one submission at worst; on a fast card it is some milliseconds, next to which a submission costs nothing.
const MAX_WAITING_FLOPS: u64 = 50_000_000_000;
/// The largest work of a single launch for the same reason, in multiplications and additions.
pub(crate) const MAX_LAUNCH_FLOPS: u64 = 2 * MAX_WAITING_FLOPS;

/// The work of convolutions that may still wait for a submission.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting { launches: 0, flops: 0 });

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
    assert!(are_distinct(buffers), "a buffer is bound twice: {}", kernel.name);
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

/// Whether no buffer is there twice. All bindings are for writing, and WebGPU refuses a buffer that is bound twice for
/// that; other graphics APIs do not tell.
fn are_distinct(buffers: &[&Handle]) -> bool {
    let is_same = |a: &Handle, b: &Handle| {
        std::ptr::eq(a.memory.descriptor(), b.memory.descriptor())
            && a.offset_start == b.offset_start
    };
    buffers
        .iter()
        .enumerate()
        .all(|(nth, buffer)| !buffers[..nth].iter().any(|earlier| is_same(earlier, buffer)))
}

/// Says that all launches so far were submitted, for a readback or for a wait.
pub(crate) fn note_submission() {
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = Waiting { launches: 0, flops: 0 };
}

/// Submits the waiting launches if `flops` more would be too much for one submission; call it before every large launch.
pub(super) fn submit_before(client: &Client, flops: u64) {
    if WAITING.lock().unwrap_or_else(PoisonError::into_inner).is_too_much_with(flops) {
        // A failed submission is an error of the next readback.
        let _ = client.flush();
    }
}

/// The large launches since the last submission that is known of, and their multiplications and additions.
struct Waiting {
    launches: u32,
    flops: u64,
}

impl Waiting {
    /// Counts a launch of `flops`; returns whether the launches before it must be submitted first.
    ///
    /// Uploads submit too, unseen here. But after [`MAX_WAITING`] launches there was a submission for certain, so the
    /// count begins again: small work never causes a submission of its own.
    fn is_too_much_with(&mut self, flops: u64) -> bool {
        let is_too_much = self.launches > 0 && self.flops + flops > MAX_WAITING_FLOPS;
        if is_too_much || self.launches == MAX_WAITING {
            *self = Self { launches: 0, flops: 0 };
        }
        self.launches += 1;
        self.flops += flops;
        is_too_much
    }
}

/// The largest buffer in bytes that a kernel may bind on this device; `None` on the CPU back end, which has no such limit.
pub(crate) fn max_binding_bytes(device: &Device) -> Option<u64> {
    let device = device.clone().without_autodiff();
    is_gpu(&device).then(|| {
        let client = gpu(Tensor::<1>::empty([1], &device)).client;
        client.properties().memory.max_page_size
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of launches in each submission that this work causes by itself.
    fn submissions(work: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let (mut waiting, mut counts) = (Waiting { launches: 0, flops: 0 }, vec![0]);
        for flops in work {
            if waiting.is_too_much_with(flops) {
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        }
        counts
    }

    #[test]
    fn a_submission_holds_little_enough_work_for_a_slow_laptop() {
        // The widest convolutions of WRN-28-10 at batch 64.
        assert_eq!(submissions([30_000_000_000; 4]), [1, 1, 1, 1]);
        assert_eq!(submissions([20_000_000_000; 5]), [2, 2, 1]);
        assert_eq!(submissions([2 * MAX_LAUNCH_FLOPS, 1, 1]), [1, 2], "one launch is never split");
        // Steps of W2 (0.16 GFLOP) in a row, which cubecl submits every 128 launches, and a step of W3.
        assert_eq!(submissions([160_000_000 / 5; 5000]), [5000]);
        assert_eq!(submissions([32_000_000_000 / 32; 32]), [32]);
    }
}
