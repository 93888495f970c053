//! One typed function per kernel: it runs the WGSL for a GPU tensor and the twin for a CPU tensor.

use burn::tensor::{Device, Int, Tensor, TensorData};
use cubecl::server::Handle;
use jempp_cpu::{
    reference::{self, NO_CLASS, NoiseKey, ProximalStep},
    threaded,
};

use super::{
    CHAIN_SUMMARY, CLASS_CENTER_START, Kernel, MALA_ACCEPT, NORMALIZED_STEP, PROXIMAL_STEP,
    REPLAY_GATHER, REPLAY_SCATTER, UNIFORM_START, WORKGROUP_SIZE,
    bridge::{cpu, from_cpu, from_gpu, gpu, is_gpu, upload},
    launch::{empty_like, launch},
    layers::Adapter,
};

/// The Gaussians of some classes, on the device; see [`reference::ClassGaussians`].
#[derive(Clone, Debug)]
pub struct ClassGaussians {
    /// The means, shape (classes, D).
    pub mean: Tensor<2>,
    /// The factors, shape (classes, k, D).
    pub factor: Tensor<3>,
    /// The residual standard deviations, shape (classes, D).
    pub residual_std: Tensor<2>,
}

/// Row numbers or labels as an integer tensor (N).
pub(crate) fn index_tensor(indices: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    Tensor::from_data(TensorData::new(values, [indices.len()]), device)
}

/// Runs `kernel` on the given buffers, bound in table order, and reads their contents afterwards. Nothing else is
/// allocated, so bytes that the kernel does not write stay the same.
///
/// # Errors
/// The device does not take the kernel, or failed; says why.
///
/// # Panics
/// Panics if the device is not a GPU.
pub async fn run_and_read(
    kernel: &'static Kernel,
    device: &Device,
    num_workgroups: u32,
    buffers: &[&[u8]],
    params: &[u32],
) -> Result<Vec<Vec<u8>>, String> {
    assert!(is_gpu(device), "kernels run on a GPU device");
    let client = gpu(Tensor::<1>::empty([1], device)).client;
    let handles: Vec<Handle> =
        buffers.iter().map(|bytes| client.create_from_slice(bytes)).collect();
    launch(kernel, &client, num_workgroups, &handles.iter().collect::<Vec<_>>(), params);
    let read = client.read_async(handles).await.map_err(|error| error.to_string())?;
    Ok(read.into_iter().map(|bytes| bytes.to_vec()).collect())
}

/// What the choice of kernels depends on, of a GPU; `None` for the CPU back end.
pub fn adapter_of(device: &Device) -> Option<Adapter> {
    is_gpu(device).then(|| Adapter::of(&gpu(Tensor::<1>::empty([1], device)).client))
}

/// The parameters of a kernel that draws noise: `first`, the place of the first chain or value, and the key.
fn words_of(first: u32, noise: NoiseKey) -> [u32; 5] {
    [first, noise.step, noise.stream, noise.seed as u32, (noise.seed >> 32) as u32]
}

/// The place of the first value of chains (N, C, H, W) in the stream of their noise.
fn first_element([num_chains, c, h, w]: [usize; 4], noise: NoiseKey) -> u32 {
    noise.first_element(num_chains, c * h * w)
}

/// Moves `x` by one Langevin update; see [`reference::proximal_step`] for the rule.
///
/// # Shapes
/// `x`, `gradient` and the result: (N, C, H, W).
pub fn proximal_step(x: Tensor<4>, gradient: Tensor<4>, update: &ProximalStep) -> Tensor<4> {
    let (shape, device) = (x.dims(), x.device());
    let first = first_element(shape, update.noise);
    if !is_gpu(&device) {
        let (mut values, gradient) = (cpu(x), cpu(gradient));
        threaded::proximal_step(&mut values, &gradient, first, update);
        return from_cpu(values, shape, &device);
    }
    let (x, gradient) = (gpu(x), gpu(gradient));
    let x_next = empty_like(&x, shape);
    let len = shape.iter().product::<usize>() as u32;
    let [first_element, step, stream, seed_low, seed_high] = words_of(first, update.noise);
    launch(
        &PROXIMAL_STEP,
        &x.client,
        len.div_ceil(WORKGROUP_SIZE),
        &[&x.handle, &gradient.handle, &x_next.handle],
        &[
            len,
            update.step_size.to_bits(),
            update.noise_std.to_bits(),
            update.proximal_radius.to_bits(),
            update.project.into(),
            first_element,
            step,
            stream,
            seed_low,
            seed_high,
        ],
    );
    from_gpu(x_next)
}

/// Moves each chain by a step of the same length; see [`reference::normalized_step`] for the rule.
///
/// # Shapes
/// `x`, `gradient` and the result: (N, C, H, W); `summary`: (N, 3), from [`chain_summary`].
pub fn normalized_step(
    x: Tensor<4>,
    gradient: Tensor<4>,
    summary: Tensor<2>,
    update: &ProximalStep,
) -> Tensor<4> {
    let (shape, device) = (x.dims(), x.device());
    let num_pixels = shape[1..].iter().product::<usize>();
    if !is_gpu(&device) {
        let (mut values, gradient, summary) = (cpu(x), cpu(gradient), cpu(summary));
        reference::normalized_step(&mut values, &gradient, &summary, num_pixels, update);
        return from_cpu(values, shape, &device);
    }
    let first = first_element(shape, update.noise);
    let (x, gradient, summary) = (gpu(x), gpu(gradient), gpu(summary));
    let x_next = empty_like(&x, shape);
    let len = shape.iter().product::<usize>() as u32;
    let [first_element, step, stream, seed_low, seed_high] = words_of(first, update.noise);
    launch(
        &NORMALIZED_STEP,
        &x.client,
        len.div_ceil(WORKGROUP_SIZE),
        &[&x.handle, &gradient.handle, &summary.handle, &x_next.handle],
        &[
            len,
            num_pixels as u32,
            update.step_size.to_bits(),
            update.noise_std.to_bits(),
            update.project.into(),
            first_element,
            step,
            stream,
            seed_low,
            seed_high,
        ],
    );
    from_gpu(x_next)
}

/// Uniform noise on (-1, 1) of the given shape (N, C, H, W).
pub fn uniform_start(shape: [usize; 4], noise: NoiseKey, device: &Device) -> Tensor<4> {
    let len = shape.iter().product::<usize>();
    let first = first_element(shape, noise);
    if !is_gpu(device) {
        let mut values = vec![0.0; len];
        reference::uniform_start(&mut values, first, noise);
        return from_cpu(values, shape, device);
    }
    let x = gpu(Tensor::<4>::empty(shape, device));
    let [first_element, step, stream, seed_low, seed_high] = words_of(first, noise);
    launch(
        &UNIFORM_START,
        &x.client,
        (len as u32).div_ceil(WORKGROUP_SIZE),
        &[&x.handle],
        &[len as u32, first_element, step, stream, seed_low, seed_high],
    );
    from_gpu(x)
}

/// One start per label, drawn from the Gaussian of its class, shape (N, D). `parts` are the Gaussians of all classes in
/// order, several of them where a GPU cannot bind the factors of all classes at once.
pub fn class_center_start(parts: &[ClassGaussians], labels: &[u32], noise: NoiseKey) -> Tensor<2> {
    let num_classes = |part: &ClassGaussians| part.factor.dims()[0] as u32;
    let total = parts.iter().map(num_classes).sum();
    assert!(labels.iter().all(|&label| label < total), "a label has no class");
    let [_, num_components, num_pixels] = parts[0].factor.dims();
    let device = parts[0].mean.device();
    let shape = [labels.len(), num_pixels];
    // Each chain begins with a block of its own, in both streams. The place is asked for only to see that it exists.
    noise.first_element(labels.len(), num_pixels.max(num_components).next_multiple_of(4));
    // The parts, each with the number of its first class.
    let parts = parts.iter().scan(0, |next, part| {
        let first = *next;
        *next += num_classes(part);
        Some((first, part))
    });
    if !is_gpu(&device) {
        // Read only the requested classes: a batch restarts few chains, and the factors of all classes are large.
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let position = |label: &u32| classes.partition_point(|class| class < label) as u32;
        let labels: Vec<u32> = labels.iter().map(position).collect();
        let (mut mean, mut factor, mut residual_std) = (Vec::new(), Vec::new(), Vec::new());
        for (first, part) in parts {
            let within = first..first + num_classes(part);
            let own = classes.iter().filter(|class| within.contains(class)).map(|c| c - first);
            let own: Vec<u32> = own.collect();
            if own.is_empty() {
                continue;
            }
            let chosen = index_tensor(&own, &device);
            mean.extend(cpu(part.mean.clone().select(0, chosen.clone())));
            factor.extend(cpu(part.factor.clone().select(0, chosen.clone())));
            residual_std.extend(cpu(part.residual_std.clone().select(0, chosen)));
        }
        let host = reference::ClassGaussians {
            mean: &mean,
            factor: &factor,
            residual_std: &residual_std,
            num_pixels,
            num_components,
        };
        return from_cpu(reference::class_center_start(host, &labels, noise), shape, &device);
    }
    let x = gpu(Tensor::<2>::empty(shape, &device));
    let tiles_per_chain = (num_pixels as u32).div_ceil(WORKGROUP_SIZE);
    let [first_chain, step, stream, seed_low, seed_high] = words_of(noise.first_chain, noise);
    for (first, part) in parts {
        let within = first..first + num_classes(part);
        if !labels.iter().any(|label| within.contains(label)) {
            continue;
        }
        let own = |&label| if within.contains(&label) { label - first } else { NO_CLASS };
        let labels_on_gpu = upload(&x, &labels.iter().map(own).collect::<Vec<_>>());
        let (mean, factor) = (gpu(part.mean.clone()), gpu(part.factor.clone()));
        let residual_std = gpu(part.residual_std.clone());
        launch(
            &CLASS_CENTER_START,
            &x.client,
            tiles_per_chain * labels.len() as u32,
            &[&mean.handle, &factor.handle, &residual_std.handle, &labels_on_gpu, &x.handle],
            &[
                labels.len() as u32,
                num_pixels as u32,
                num_components as u32,
                tiles_per_chain,
                first_chain,
                step,
                stream,
                seed_low,
                seed_high,
            ],
        );
    }
    from_gpu(x)
}

/// Gathers the rows of `buffer` with the indices `source`; indices past its end are rows of `fresh`.
///
/// # Shapes
/// `buffer` (capacity, D), `fresh` (F, D), result (`source.len()`, D).
pub fn replay_gather(buffer: &Tensor<2>, fresh: Tensor<2>, source: &[u32]) -> Tensor<2> {
    let [capacity, num_pixels] = buffer.dims();
    let rows = capacity + fresh.dims()[0];
    assert!(source.iter().all(|&row| (row as usize) < rows), "a chain has no source");
    let device = buffer.device();
    let shape = [source.len(), num_pixels];
    if !is_gpu(&device) {
        // Copy only the requested rows, because the buffer is many times larger.
        let rows: Vec<u32> = source.iter().map(|&row| row.min(capacity as u32 - 1)).collect();
        let rows = cpu(buffer.clone().select(0, index_tensor(&rows, &device)));
        let among_rows = |(at, &row): (u32, &u32)| match row.checked_sub(capacity as u32) {
            Some(fresh_row) => source.len() as u32 + fresh_row,
            None => at,
        };
        let source: Vec<u32> = (0..).zip(source).map(among_rows).collect();
        let x = reference::replay_gather(&rows, &cpu(fresh), &source, num_pixels);
        return from_cpu(x, shape, &device);
    }
    let (buffer, fresh) = (gpu(buffer.clone()), gpu(fresh));
    let source_on_gpu = upload(&buffer, source);
    let x = empty_like(&buffer, shape);
    let len = (source.len() * num_pixels) as u32;
    launch(
        &REPLAY_GATHER,
        &buffer.client,
        len.div_ceil(WORKGROUP_SIZE),
        &[&buffer.handle, &fresh.handle, &source_on_gpu, &x.handle],
        &[len, num_pixels as u32, capacity as u32],
    );
    from_gpu(x)
}

/// Writes the rows of `x` to `buffer` at `slots`, which must be distinct.
///
/// On a GPU, the memory of the buffer is written in place, so no other tensor may share it.
pub fn replay_scatter(x: Tensor<2>, slots: &[u32], buffer: Tensor<2>) -> Tensor<2> {
    let [capacity, num_pixels] = buffer.dims();
    assert!(slots.iter().all(|&slot| (slot as usize) < capacity), "a slot lies past the buffer");
    let device = buffer.device();
    if !is_gpu(&device) {
        let mut values = cpu(buffer);
        reference::replay_scatter(&cpu(x), slots, &mut values, num_pixels);
        return from_cpu(values, [capacity, num_pixels], &device);
    }
    let (x, buffer) = (gpu(x), gpu(buffer));
    let slots_on_gpu = upload(&x, slots);
    let len = (slots.len() * num_pixels) as u32;
    launch(
        &REPLAY_SCATTER,
        &x.client,
        len.div_ceil(WORKGROUP_SIZE),
        &[&x.handle, &slots_on_gpu, &buffer.handle],
        &[len, num_pixels as u32],
    );
    from_gpu(buffer)
}

/// Gradient norm, clamped share and saturated share of each chain, shape (N, 3).
pub fn chain_summary(x: Tensor<4>, gradient: Tensor<4>, proximal_radius: f32) -> Tensor<2> {
    let ([num_chains, c, h, w], device) = (x.dims(), x.device());
    let num_pixels = c * h * w;
    if !is_gpu(&device) {
        let summary = threaded::chain_summary(&cpu(x), &cpu(gradient), num_pixels, proximal_radius);
        return from_cpu(summary, [num_chains, 3], &device);
    }
    let (x, gradient) = (gpu(x), gpu(gradient));
    let summary = empty_like(&x, [num_chains, 3]);
    launch(
        &CHAIN_SUMMARY,
        &x.client,
        num_chains as u32,
        &[&x.handle, &gradient.handle, &summary.handle],
        &[num_chains as u32, num_pixels as u32, proximal_radius.to_bits()],
    );
    from_gpu(summary)
}

/// The current states and the proposals of a batch of chains, with their energies and gradients.
#[derive(Clone, Debug)]
pub struct Proposals {
    /// The current states, shape (N, C, H, W).
    pub x: Tensor<4>,
    /// ∂E/∂x at the current states, shape (N, C, H, W).
    pub gradient: Tensor<4>,
    /// E at the current states, shape (N).
    pub energy: Tensor<1>,
    /// The proposals, shape (N, C, H, W).
    pub proposal: Tensor<4>,
    /// ∂E/∂x at the proposals, shape (N, C, H, W).
    pub proposal_gradient: Tensor<4>,
    /// E at the proposals, shape (N).
    pub proposal_energy: Tensor<1>,
}

/// Accepts or rejects each proposal. Returns the next states, shape (N, C, H, W), and for each chain whether it moved
/// and the acceptance probability, shape (N, 2); see [`reference::mala_accept`] for the rule.
pub fn mala_accept(
    ends: Proposals,
    step_size: f32,
    inverse_temperature: f32,
    noise: NoiseKey,
) -> (Tensor<4>, Tensor<2>) {
    let Proposals { x, gradient, energy, proposal, proposal_gradient, proposal_energy } = ends;
    let (shape, device) = (x.dims(), x.device());
    let (num_chains, num_pixels) = (shape[0], shape[1..].iter().product::<usize>());
    if !is_gpu(&device) {
        let ends = threaded::Proposals {
            x: &cpu(x),
            gradient: &cpu(gradient),
            energy: &cpu(energy),
            proposal: &cpu(proposal),
            proposal_gradient: &cpu(proposal_gradient),
            proposal_energy: &cpu(proposal_energy),
        };
        let (x_next, acceptance) =
            threaded::mala_accept(&ends, step_size, inverse_temperature, noise);
        return (from_cpu(x_next, shape, &device), from_cpu(acceptance, [num_chains, 2], &device));
    }
    let energies = gpu(Tensor::cat(vec![energy, proposal_energy], 0));
    let [x, gradient, proposal, proposal_gradient] =
        [x, gradient, proposal, proposal_gradient].map(gpu);
    let (x_next, acceptance) = (empty_like(&x, shape), empty_like(&x, [num_chains, 2]));
    let [first_chain, step, stream, seed_low, seed_high] = words_of(noise.first_chain, noise);
    let buffers = [&x, &gradient, &proposal, &proposal_gradient, &energies, &acceptance, &x_next];
    launch(
        &MALA_ACCEPT,
        &x.client,
        num_chains as u32,
        &buffers.map(|tensor| &tensor.handle),
        &[
            num_chains as u32,
            num_pixels as u32,
            step_size.to_bits(),
            inverse_temperature.to_bits(),
            first_chain,
            step,
            stream,
            seed_low,
            seed_high,
        ],
    );
    (from_gpu(x_next), from_gpu(acceptance))
}
