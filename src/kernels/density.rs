//! Energies of analytic 2-D densities, on a GPU or on the CPU.

use burn::tensor::{Device, Tensor, TensorData};
use jempp_cpu::{reference::DensityForm, threaded};

use super::{
    DENSITY_ENERGY, WORKGROUP_SIZE,
    bridge::{cpu, from_cpu, from_gpu, gpu, is_gpu},
    launch::{empty_like, launch},
};

/// An analytic 2-D density on a device. A GPU receives its numbers once, when this is made, so that the steps of a
/// chain upload nothing.
#[derive(Clone, Debug)]
pub struct Density {
    form: DensityForm,
    /// On a GPU, the table of the form (rows · 6).
    table: Option<Tensor<1>>,
}

impl Density {
    /// Copies the numbers of a form to a device.
    pub fn new(form: DensityForm, device: &Device) -> Self {
        let table = is_gpu(device).then(|| {
            let rows = form.table().1;
            Tensor::from_data(TensorData::new(rows.concat(), [6 * rows.len()]), device)
        });
        Self { form, table }
    }
}

/// Energies (N) and gradients (N, 2, 1, 1) of a density at `x` (N, 2, 1, 1), on the device of the density; see
/// [`jempp_cpu::reference::density_energy`].
pub fn density_energy(x: Tensor<4>, density: &Density) -> (Tensor<1>, Tensor<4>) {
    let Density { form, table } = density;
    let (shape, device) = (x.dims(), x.device());
    let num_points = shape[0];
    let Some(table) = table.clone() else {
        let (energy, gradient) = threaded::density_energy(&cpu(x), form);
        return (from_cpu(energy, [num_points], &device), from_cpu(gradient, shape, &device));
    };
    let (number, rows) = form.table();
    let num_rows = rows.len() as u32;
    let (x, table) = (gpu(x), gpu(table));
    let (energy, gradient) = (empty_like(&x, [num_points]), empty_like(&x, shape));
    launch(
        &DENSITY_ENERGY,
        &x.client,
        (num_points as u32).div_ceil(WORKGROUP_SIZE),
        &[&x.handle, &table.handle, &energy.handle, &gradient.handle],
        &[num_points as u32, number, num_rows],
    );
    (from_gpu(energy), from_gpu(gradient))
}
