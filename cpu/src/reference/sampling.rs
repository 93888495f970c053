//! CPU twins of the chain kernels: noise, starts, steps, summaries, and the replay buffer.

/// The key of a noise draw: seed, stream and step fill separate words of the Philox counter and key, so neighbouring
/// keys give independent noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseKey {
    /// The seed of the run (both key words).
    pub seed: u64,
    /// The stream, one for each use of noise; a kernel may also use `stream + 1`.
    pub stream: u32,
    /// The number of times that this stream was used.
    pub step: u32,
    /// The place of the tensor's first chain among all chains of the run: 0, unless the tensor holds a part of them. A
    /// part of the chains then has the noise that it has in the whole.
    pub first_chain: u32,
}

impl NoiseKey {
    /// The key for the chains from `first_chain` on, counted from the first chain of the whole run.
    pub const fn from_chain(self, first_chain: u32) -> Self {
        Self { first_chain, ..self }
    }

    /// The place in the stream of the first value of `num_chains` chains of `num_pixels` values each.
    ///
    /// # Panics
    /// The stream has no noise for so many values: it would come again.
    pub fn first_element(self, num_chains: usize, num_pixels: usize) -> u32 {
        let first = self.first_chain as usize * num_pixels;
        let end = first + num_chains * num_pixels;
        assert!(end as u64 <= 1 << 32, "a step has noise for 2^32 values, not for {end}");
        first as u32
    }
}

/// Four 32-bit words of Philox-4x32-10 for one counter and key.
///
/// # Source
/// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
pub fn philox_4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let product_0 = 0xd251_1f53_u64 * u64::from(counter[0]);
        let product_1 = 0xcd9e_8d57_u64 * u64::from(counter[2]);
        counter = [
            (product_1 >> 32) as u32 ^ counter[1] ^ key[0],
            product_1 as u32,
            (product_0 >> 32) as u32 ^ counter[3] ^ key[1],
            product_0 as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

fn noise_bits(block: u32, key: NoiseKey) -> [u32; 4] {
    philox_4x32([block, key.step, key.stream, 0], [key.seed as u32, (key.seed >> 32) as u32])
}

fn unit_interval(bits: u32) -> f32 {
    ((bits >> 9) as f32 + 0.5) * 1.192_092_9e-7
}

/// ln(u), u in (0, 1), as `log_unit` in `shaders/common.wgsl` computes it on every adapter.
fn log_unit(u: f32) -> f32 {
    let bits = u.to_bits() as i32;
    let exponent = (bits - 0x3f35_04f3) >> 23;
    let mantissa = f32::from_bits((bits - (exponent << 23)) as u32);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let tail = square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent as f32 * std::f32::consts::LN_2 + 2.0 * (s + s * tail)
}

/// (cos, sin) of 2π(u - ½), u in (0, 1), as `unit_circle` in `shaders/common.wgsl`.
fn unit_circle(u: f32) -> [f32; 2] {
    let turn = 4.0 * (u - 0.5);
    let quarter = (turn + 0.5).floor();
    let r = (turn - quarter) * std::f32::consts::FRAC_PI_2;
    let q = r * r;
    let sine = r
        * (1.0
            - q * (1.0 / 6.0)
                * (1.0 - q * (1.0 / 20.0) * (1.0 - q * (1.0 / 42.0) * (1.0 - q * (1.0 / 72.0)))));
    let cosine = 1.0
        - 0.5 * q * (1.0 - q * (1.0 / 12.0) * (1.0 - q * (1.0 / 30.0) * (1.0 - q * (1.0 / 56.0))));
    match quarter as i32 & 3 {
        0 => [cosine, sine],
        1 => [-sine, cosine],
        2 => [-cosine, -sine],
        _ => [sine, -cosine],
    }
}

/// Four draws from N(0, 1), elements `4 * block ..` of the stream (Box-Muller).
pub fn standard_normal_4(block: u32, key: NoiseKey) -> [f32; 4] {
    let [u0, u1, u2, u3] = noise_bits(block, key).map(unit_interval);
    let radii = [u0, u2].map(|u| (-2.0 * log_unit(u)).sqrt());
    let [[x0, y0], [x1, y1]] = [unit_circle(u1), unit_circle(u3)];
    [radii[0] * x0, radii[0] * y0, radii[1] * x1, radii[1] * y1]
}

/// The values in groups of at most four that share a block; the first is element `first_element` of the stream. Each
/// group comes with its block and with the lane of its first value.
fn by_block(
    values: &mut [f32],
    first_element: u32,
) -> impl Iterator<Item = (u32, usize, &mut [f32])> {
    let lane = first_element as usize % 4;
    let (head, rest) = values.split_at_mut(((4 - lane) % 4).min(values.len()));
    let head = (!head.is_empty()).then_some((first_element / 4, lane, head));
    let rest = (first_element.div_ceil(4)..).zip(rest.chunks_mut(4));
    head.into_iter().chain(rest.map(|(block, values)| (block, 0, values)))
}

/// Adds `std` times N(0, 1) noise to every value: elements `first_element`, … of the stream.
pub fn add_normal(values: &mut [f32], std: f32, first_element: u32, key: NoiseKey) {
    for (block, lane, values) in by_block(values, first_element) {
        for (value, xi) in values.iter_mut().zip(&standard_normal_4(block, key)[lane..]) {
            *value += std * xi;
        }
    }
}

/// The parameters of one Langevin update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProximalStep {
    /// Step size along the negative gradient, in x² per unit of energy.
    pub step_size: f32,
    /// Standard deviation of the added noise, in units of x; 0 adds none.
    pub noise_std: f32,
    /// Bound on each gradient component, in energy per unit of x; 0 means no bound.
    pub proximal_radius: f32,
    /// Whether the result is projected onto [-1, 1].
    pub project: bool,
    /// The key of the added noise.
    pub noise: NoiseKey,
}

/// Moves `x` in place by one Langevin update; twin of `shaders/proximal_step.wgsl`.
///
/// A gradient or pixel that is NaN gives NaN (`f32::clamp` keeps it).
///
/// The first value of `x` is element `first_element` of the noise, see [`NoiseKey::first_element`]; more, if `x` and
/// `gradient` are a part of a tensor.
pub fn proximal_step(x: &mut [f32], gradient: &[f32], first_element: u32, update: &ProximalStep) {
    let radius = update.proximal_radius;
    for (value, &slope) in x.iter_mut().zip(gradient) {
        let direction = if radius > 0.0 { slope.clamp(-radius, radius) } else { slope };
        *value -= update.step_size * direction;
    }
    if update.noise_std > 0.0 {
        add_normal(x, update.noise_std, first_element, update.noise);
    }
    if update.project {
        for value in x {
            *value = value.clamp(-1.0, 1.0);
        }
    }
}

/// Moves `x` (N, D) in place by one step along the normalised gradient of each chain; twin of
/// `shaders/normalized_step.wgsl`.
///
/// `summary` (N, 3) begins with the norm of each chain's gradient. A chain whose gradient is 0 moves by the noise alone;
/// one whose norm is NaN becomes NaN. `update.proximal_radius` is not used.
pub fn normalized_step(
    x: &mut [f32],
    gradient: &[f32],
    summary: &[f32],
    num_pixels: usize,
    update: &ProximalStep,
) {
    let chains = x.chunks_mut(num_pixels).zip(gradient.chunks(num_pixels));
    for ((x, gradient), summary) in chains.zip(summary.chunks(3)) {
        let norm = summary[0];
        let scale = if norm == 0.0 { 0.0 } else { update.step_size / norm };
        for (value, &slope) in x.iter_mut().zip(gradient) {
            *value -= scale * slope;
        }
    }
    if update.noise_std > 0.0 {
        let first_element = update.noise.first_element(x.len() / num_pixels, num_pixels);
        add_normal(x, update.noise_std, first_element, update.noise);
    }
    if update.project {
        for value in x {
            *value = value.clamp(-1.0, 1.0);
        }
    }
}

/// Fills `x` with uniform noise on (-1, 1), elements `first_element`, … of the stream; twin of
/// `shaders/uniform_start.wgsl`.
pub fn uniform_start(x: &mut [f32], first_element: u32, noise: NoiseKey) {
    for (block, lane, values) in by_block(x, first_element) {
        for (value, bits) in values.iter_mut().zip(&noise_bits(block, noise)[lane..]) {
            *value = 2.0 * unit_interval(*bits) - 1.0;
        }
    }
}

/// One Gaussian per class: mean, truncated factor, and a residual standard deviation for the remaining variance.
#[derive(Clone, Copy, Debug)]
pub struct ClassGaussians<'a> {
    /// The means, shape (classes, D), in units of x.
    pub mean: &'a [f32],
    /// The factors, shape (classes, k, D): principal axes multiplied by the square root of their variances.
    pub factor: &'a [f32],
    /// The residuals, shape (classes, D): standard deviation per pixel of the variance that the factor leaves out.
    pub residual_std: &'a [f32],
    /// The number of pixels D.
    pub num_pixels: usize,
    /// The number of principal axes k.
    pub num_components: usize,
}

/// The label of a chain whose class is not among the given ones.
pub const NO_CLASS: u32 = u32::MAX;

/// One start per label, drawn from the Gaussian of its class, shape (N, D) with N = `labels.len()`; zeros for
/// [`NO_CLASS`]. Twin of `shaders/class_center_start.wgsl`.
pub fn class_center_start(gaussians: ClassGaussians, labels: &[u32], noise: NoiseKey) -> Vec<f32> {
    let ClassGaussians { num_pixels, num_components, .. } = gaussians;
    let residual_noise = NoiseKey { stream: noise.stream + 1, ..noise };
    let mut x = vec![0.0; labels.len() * num_pixels];
    let chains = x.chunks_mut(num_pixels).zip(labels).enumerate();
    for (chain, (x, &label)) in chains.filter(|(_, (_, label))| **label != NO_CLASS) {
        let class = label as usize;
        let mut coordinates = vec![0.0; num_components];
        normals_of_chain(&mut coordinates, chain, noise);
        for (j, z) in coordinates.into_iter().enumerate() {
            let row = (class * num_components + j) * num_pixels;
            for (value, axis) in x.iter_mut().zip(&gaussians.factor[row..row + num_pixels]) {
                *value += axis * z;
            }
        }
        let mut residual = vec![0.0; num_pixels];
        normals_of_chain(&mut residual, chain, residual_noise);
        let at = class * num_pixels..(class + 1) * num_pixels;
        let (mean, std) = (&gaussians.mean[at.clone()], &gaussians.residual_std[at]);
        for (((value, mean), std), xi) in x.iter_mut().zip(mean).zip(std).zip(residual) {
            *value = (*value + mean + std * xi).clamp(-1.0, 1.0);
        }
    }
    x
}

/// Fills the values of one chain with N(0, 1) draws; each chain starts at a new block of the stream.
fn normals_of_chain(values: &mut [f32], chain: usize, key: NoiseKey) {
    let first_block = (key.first_chain as usize + chain) * values.len().div_ceil(4);
    for (block, values) in values.chunks_mut(4).enumerate() {
        let normals = standard_normal_4((first_block + block) as u32, key);
        values.copy_from_slice(&normals[..values.len()]);
    }
}

/// Gathers the rows of `buffer` with the indices `source`, or rows of `fresh` for indices past its end; twin of
/// `shaders/replay_gather.wgsl`.
pub fn replay_gather(buffer: &[f32], fresh: &[f32], source: &[u32], num_pixels: usize) -> Vec<f32> {
    let capacity = buffer.len() / num_pixels;
    let mut x = Vec::with_capacity(source.len() * num_pixels);
    for &row in source {
        let row = row as usize;
        let (rows, row) = if row < capacity { (buffer, row) } else { (fresh, row - capacity) };
        x.extend_from_slice(&rows[row * num_pixels..(row + 1) * num_pixels]);
    }
    x
}

/// Writes the rows of `x` into `buffer` at `slots`; twin of `shaders/replay_scatter.wgsl`.
pub fn replay_scatter(x: &[f32], slots: &[u32], buffer: &mut [f32], num_pixels: usize) {
    for (row, &slot) in x.chunks(num_pixels).zip(slots) {
        let at = slot as usize * num_pixels;
        buffer[at..at + num_pixels].copy_from_slice(row);
    }
}

/// Gradient norm, clamped share and saturated share of each chain, shape (N, 3); twin of
/// `shaders/chain_summary.wgsl`.
pub fn chain_summary(x: &[f32], gradient: &[f32], num_pixels: usize, radius: f32) -> Vec<f32> {
    let mut summary = Vec::with_capacity(3 * x.len() / num_pixels);
    for (x, gradient) in x.chunks(num_pixels).zip(gradient.chunks(num_pixels)) {
        let norm = gradient.iter().map(|slope| slope * slope).sum::<f32>().sqrt();
        let clamped = gradient.iter().filter(|slope| radius > 0.0 && slope.abs() >= radius).count();
        let saturated = x.iter().filter(|value| value.abs() >= 1.0).count();
        summary.push(norm);
        summary.push(clamped as f32 / num_pixels as f32);
        summary.push(saturated as f32 / num_pixels as f32);
    }
    summary
}

/// The current state and the proposal of one chain, with their energies and gradients.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The current state, shape (D).
    pub x: &'a [f32],
    /// ∂E/∂x at the current state, shape (D).
    pub gradient: &'a [f32],
    /// E at the current state.
    pub energy: f32,
    /// The proposal, shape (D).
    pub proposal: &'a [f32],
    /// ∂E/∂x at the proposal, shape (D).
    pub proposal_gradient: &'a [f32],
    /// E at the proposal.
    pub proposal_energy: f32,
}

/// Accepts or rejects the proposal of a chain, the `chain`-th of its tensor. Returns the next state, whether the chain moved (0 or 1), and the acceptance
/// probability; twin of `shaders/mala_accept.wgsl`.
pub fn mala_accept(
    ends: &Proposal,
    chain: u32,
    step_size: f32,
    inverse_temperature: f32,
    noise: NoiseKey,
) -> (Vec<f32>, [f32; 2]) {
    let here = ends.x.iter().zip(ends.gradient);
    let there = ends.proposal.iter().zip(ends.proposal_gradient);
    let sum: f32 = here
        .zip(there)
        .map(|((x, g), (x_there, g_there))| {
            (g + g_there) * (2.0 * (x_there - x) + step_size * (g - g_there))
        })
        .sum();
    let log_ratio = inverse_temperature * (ends.energy - ends.proposal_energy + 0.25 * sum);
    let key = [noise.seed as u32, (noise.seed >> 32) as u32];
    let bits = philox_4x32([noise.first_chain + chain, noise.step, noise.stream, 1], key);
    // If the ratio is NaN, the comparison is false and the proposal is rejected.
    let is_accepted = log_unit(unit_interval(bits[0])) < log_ratio;
    let x_next = if is_accepted { ends.proposal } else { ends.x };
    let probability = if log_ratio.is_nan() { 0.0 } else { log_ratio.min(0.0).exp() };
    (x_next.to_vec(), [f32::from(u8::from(is_accepted)), probability])
}
