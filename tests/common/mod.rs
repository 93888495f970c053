//! Helpers that several test programs share.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its own part")]

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
pub(crate) use jempp::kernel_check::scrambled;
use jempp::{
    config::RunConfig,
    data::Dataset,
    device,
    kernels::{self, ConvPass, Kernel, Variant},
};
use pollster::block_on;

/// A hardware or software GPU. Without one, prints a note and returns `None`; with `REQUIRE_GPU=1` it fails instead.
pub(crate) fn gpu() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    let open = || match block_on(device::open("gpu")).or_else(|_| block_on(device::open("0"))) {
        Ok(found) => {
            eprintln!("GPU tests run on {}", found.description);
            Some(found.device)
        }
        Err(error) => {
            assert!(std::env::var("REQUIRE_GPU").is_err(), "REQUIRE_GPU is set, but: {error}");
            eprintln!("SKIPPED: {error}");
            None
        }
    };
    GPU.get_or_init(open).clone()
}

/// The variants of a convolution kernel that compute `pass` and run on [`gpu`]: those that may be chosen there, and the
/// one with subgroups also on a software adapter that has them.
pub(crate) fn variants(pass: ConvPass, device: &Device) -> Vec<&'static Variant> {
    let mut adapter = kernels::adapter_of(device).unwrap();
    adapter.has_subgroups |= adapters_have_subgroups();
    kernels::candidates(pass, adapter).collect()
}

/// Whether wgpu lets 8 or more invocations exchange values on all adapters of this machine.
fn adapters_have_subgroups() -> bool {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    let adapters = block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    adapters.iter().all(|adapter| {
        adapter.features().contains(wgpu::Features::SUBGROUP)
            && adapter.get_info().subgroup_min_size >= 8
    })
}

/// The CPU, and a GPU if there is one.
pub(crate) fn devices() -> Vec<Device> {
    std::iter::once(device::cpu()).chain(gpu()).collect()
}

/// A tensor of [`scrambled`] values.
pub(crate) fn scrambled_tensor(shape: [usize; 4], salt: u32, device: &Device) -> Tensor<4> {
    let values = scrambled(shape.iter().product(), salt);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Copies the values of a tensor to the host.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// The largest absolute difference of two rows of equal length.
pub(crate) fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest absolute value.
pub(crate) fn max_abs(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

/// Two classes of 8×8 images: bright at the top or at the bottom, with some texture.
pub(crate) fn tiny_dataset(count: usize) -> Dataset {
    let noise = scrambled(count * 64, 7);
    let bytes = (0..count * 64).map(|at| {
        let (item, row) = (at / 64, at % 64 / 8);
        let bright = (row < 4) == (item % 2 == 0);
        ((if bright { 200.0 } else { 40.0 }) + 30.0 * noise[at]) as u8
    });
    let labels = (0..count).map(|item| (item % 2) as u32).collect();
    Dataset::from_bytes(bytes.collect(), labels, [1, 8, 8], vec!["up".into(), "down".into()])
        .unwrap()
}

/// A configuration that is small enough for a test.
pub(crate) fn tiny_config() -> RunConfig {
    RunConfig::default()
        .with_toml(
            "data = { batch_size = 8, input_noise_std = 0.01 }
             sampler = { num_steps = 3 }
             replay_buffer = { replay_buffer_size = 32 }
             optimizer = { learning_rate = 2e-3 }
             class_centers = { max_components = 8 }",
        )
        .unwrap()
}

const POISON: f32 = 12_345.0;
/// Elements after the end, which a kernel without a bounds check would overwrite.
const TAIL: usize = 300;

/// The floats as bytes.
pub(crate) fn bytes(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// The bytes as floats.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(bytes)
}

/// A buffer for `len` values, filled with poison values to show what a kernel writes.
pub(crate) fn poisoned(len: usize) -> Vec<f32> {
    vec![POISON; len + TAIL]
}

/// Returns the written part, after checking that the part after it is still poison.
pub(crate) fn written(buffer: &[u8], len: usize) -> Vec<f32> {
    let all = floats(buffer);
    assert!(all[len..].iter().all(|&value| value == POISON), "wrote past its end");
    all[..len].to_vec()
}

/// The number of workgroups for `len` invocations.
pub(crate) fn groups(len: usize) -> u32 {
    len.div_ceil(256) as u32
}

/// Runs `kernel` with the last buffer poisoned and returns the part of it that must be written.
pub(crate) fn last_of(
    kernel: &'static Kernel,
    device: &Device,
    num_workgroups: u32,
    inputs: &[&[u8]],
    len: usize,
    params: &[u32],
) -> Vec<f32> {
    let poison = poisoned(len);
    let buffers: Vec<&[u8]> = inputs.iter().copied().chain([bytes(&poison)]).collect();
    let out = run_on_bytes(kernel, device, num_workgroups, &buffers, params);
    written(out.last().unwrap(), len)
}

/// Runs `kernel` on the given buffers and returns their contents.
pub(crate) fn run_on_bytes(
    kernel: &'static Kernel,
    device: &Device,
    num_workgroups: u32,
    buffers: &[&[u8]],
    params: &[u32],
) -> Vec<Vec<u8>> {
    block_on(kernels::run_and_read(kernel, device, num_workgroups, buffers, params)).unwrap()
}
