//! Turned weights are kept as long as the weights that they were made from.
//!
//! Weights are frozen while chains run, and every step needs the same turned weights for its gradient. They are found again
//! by the memory of the weights. The list holds on to that memory, so it is not used for anything else, and burn writes to
//! memory in place only if nobody else holds on to it. So what is kept always belongs to the values in the memory.

use std::sync::{Mutex, PoisonError};

use burn_wgpu::CubeTensor;

use super::{
    super::{
        CONV_TURN_WEIGHTS, WORKGROUP_SIZE,
        launch::{empty_like, launch},
    },
    shape::ConvShape,
};

struct Kept {
    weight: CubeTensor,
    turned: CubeTensor,
}

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Whether two contiguous tensors are the same values in the same memory of one device, in the same shape.
fn is_same(a: &CubeTensor, b: &CubeTensor) -> bool {
    let start = |tensor: &CubeTensor| tensor.handle.offset_start.unwrap_or(0);
    a.device == b.device
        && a.handle.memory.descriptor() == b.handle.memory.descriptor()
        && start(a) == start(b)
        && a.meta.shape() == b.meta.shape()
}

/// The weights (k, k, outputs, inputs) with which the input gradient is a convolution, from contiguous weights (k, k,
/// inputs, outputs): the ones that were kept, or new ones.
pub(super) fn turned_weights(shape: &ConvShape, weight: CubeTensor) -> CubeTensor {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kept.iter().find(|kept| is_same(&kept.weight, &weight)) {
        return found.turned.clone();
    }
    // If only the list still holds on to weights, nobody will ask for them again.
    kept.retain(|kept| !kept.weight.handle.can_mut());
    let ConvShape { inputs, outputs, kernel, .. } = *shape;
    let turned = empty_like(&weight, [kernel, kernel, outputs, inputs]);
    launch(
        &CONV_TURN_WEIGHTS,
        &weight.client,
        ((shape.patch_len() * outputs) as u32).div_ceil(WORKGROUP_SIZE),
        &[&weight.handle, &turned.handle],
        &[inputs as u32, outputs as u32, kernel as u32],
    );
    kept.push(Kept { weight, turned: turned.clone() });
    turned
}
