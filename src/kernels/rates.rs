//! What a device can do at best: multiply-adds and copies alone, to compare the layers with.

use burn::tensor::Tensor;
use jempp_cpu::threaded;

use super::{
    COPY_RATE, FMA_RATE, WORKGROUP_SIZE,
    bridge::{cpu, from_cpu, from_gpu, gpu, is_gpu},
    launch::launch,
};

/// Repeats x ← x m + a on flat values in `rounds`, to measure arithmetic speed; see [`threaded::fma_rate`].
pub fn fma_rate(x: Tensor<1>, rounds: u32, m: f32, a: f32) -> Tensor<1> {
    let (len, device) = (x.dims()[0], x.device());
    assert!(len.is_multiple_of(16), "a multiple of 16 values");
    if !is_gpu(&device) {
        let mut values = cpu(x);
        threaded::fma_rate(&mut values, rounds, m, a);
        return from_cpu(values, [len], &device);
    }
    let x = gpu(x);
    let num_workgroups = (len as u32 / 16).div_ceil(WORKGROUP_SIZE);
    let params = [len as u32, rounds, m.to_bits(), a.to_bits()];
    launch(&FMA_RATE, &x.client, num_workgroups, &[&x.handle], &params);
    from_gpu(x)
}

/// Copies `x` to `to` and returns both, to measure memory bandwidth. Both are flat and have the same length; see
/// [`threaded::copy_rate`].
pub fn copy_rate([x, to]: [Tensor<1>; 2]) -> [Tensor<1>; 2] {
    let (len, device) = (x.dims()[0], x.device());
    assert!(len.is_multiple_of(4) && to.dims() == [len], "as many values, a multiple of 4");
    if !is_gpu(&device) {
        let [x, mut to] = [x, to].map(cpu);
        threaded::copy_rate(&x, &mut to);
        return [x, to].map(|values| from_cpu(values, [len], &device));
    }
    let [x, to] = [x, to].map(gpu);
    let num_workgroups = (len as u32 / 4).div_ceil(WORKGROUP_SIZE);
    launch(&COPY_RATE, &x.client, num_workgroups, &[&x.handle, &to.handle], &[len as u32]);
    [x, to].map(from_gpu)
}
