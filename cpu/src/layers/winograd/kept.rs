//! Transformed filters are kept as long as the weights that they were made from.
//!
//! Weights are frozen while chains run, and every step uses the same filters. They are found again by the memory of the
//! weights. That memory cannot change unseen: burn writes to it only if nobody else refers to it, and a weak reference
//! counts. If there is one, burn moves the values to other memory first, and the weak reference is dead. It also keeps the
//! address from being used for other weights.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use burn_std::Bytes;

use super::{super::Weights, Filters};

/// The largest number of bytes of transformed filters that are kept, enough for a network such as `cnn-base`. Filters beyond it are made anew
/// each time.
pub const MAX_KEPT_BYTES: usize = 32 << 20;
const MAX_KEPT: usize = MAX_KEPT_BYTES / size_of::<f32>();

/// Which filters of some weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    pub inputs: usize,
    pub outputs: usize,
    pub stride: usize,
    /// Whether they are for the input gradient.
    pub turned: bool,
}

struct Kept {
    memory: Weak<Bytes>,
    /// The address of the first value in that memory, as two tensors may share it.
    first: usize,
    kind: Kind,
    filters: Arc<Filters>,
}

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

fn all_kept() -> MutexGuard<'static, Vec<Kept>> {
    // The list stays valid after a panic in another thread, because it only ever holds complete filters.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The filters of `weights`: those kept since the last call, or what `make` returns.
pub(super) fn filters(
    weights: &Weights<'_>,
    kind: Kind,
    make: impl FnOnce() -> Filters,
) -> Arc<Filters> {
    let Some(memory) = &weights.memory else { return Arc::new(make()) };
    let first = weights.values.as_ptr() as usize;
    let is_same = |kept: &Kept| {
        std::ptr::eq(kept.memory.as_ptr(), Arc::as_ptr(memory))
            && (kept.first, kept.kind) == (first, kind)
    };
    let found = all_kept().iter().find(|kept| is_same(kept)).map(|kept| kept.filters.clone());
    if let Some(filters) = found {
        return filters;
    }
    let filters = Arc::new(make());
    let mut kept = all_kept();
    kept.retain(|kept| kept.memory.strong_count() > 0);
    let num_kept: usize = kept.iter().map(|kept| kept.filters.len()).sum();
    if num_kept + filters.len() <= MAX_KEPT && !kept.iter().any(is_same) {
        let memory = Arc::downgrade(memory);
        kept.push(Kept { memory, first, kind, filters: filters.clone() });
    }
    filters
}

#[cfg(test)]
mod tests {
    use burn_flex::{FlexTensor, Layout};
    use burn_std::DType;

    use super::*;
    use crate::{layers::Buffer, shape::ConvShape};

    const SHAPE: ConvShape =
        ConvShape { batch: 1, height: 4, width: 4, inputs: 16, outputs: 16, kernel: 3, stride: 1 };
    const KIND: Kind = Kind { inputs: 16, outputs: 16, stride: 1, turned: false };

    fn weights_of(value: f32) -> FlexTensor {
        let values = Buffer::from(vec![value; 9 * 16 * 16]);
        FlexTensor::new(values.into_bytes(), Layout::contiguous([3, 3, 16, 16].into()), DType::F32)
    }

    /// The filters of a tensor, and whether they were made for it.
    fn filters_of(tensor: &FlexTensor, kind: Kind) -> (Arc<Filters>, bool) {
        let weights =
            Weights { values: tensor.as_slice().unwrap().into(), memory: Some(tensor.data_arc()) };
        let mut is_made = false;
        let filters = filters(&weights, kind, || {
            is_made = true;
            Filters::transformed(&SHAPE, &weights.values, kind.turned)
        });
        (filters, is_made)
    }

    #[test]
    fn filters_of_frozen_weights_are_made_once() {
        let tensor = weights_of(1.0);
        let made = (0..10).filter(|_| filters_of(&tensor, KIND).1).count();
        assert_eq!(made, 1);
        assert!(!filters_of(&tensor.clone(), KIND).1);
        // The filters of the input gradient are others.
        assert!(filters_of(&tensor, Kind { turned: true, ..KIND }).1);
    }

    #[test]
    fn weights_that_change_in_place_have_new_filters() {
        let mut tensor = weights_of(1.0);
        let (before, _) = filters_of(&tensor, KIND);
        tensor.storage_mut::<f32>().fill(2.0);
        let (after, is_made) = filters_of(&tensor, KIND);
        assert!(is_made);
        let double: Vec<f32> = before.values.iter().map(|value| 2.0 * value).collect();
        assert_eq!(after.values[..], double[..]);
    }

    #[test]
    fn memory_that_other_weights_had_gives_no_old_filters() {
        for round in 1..100 {
            let (filters, is_made) = filters_of(&weights_of(round as f32), KIND);
            assert!(is_made, "round {round}");
            // The filter of place 0 is the corner tap divided by 16.
            assert_eq!(filters.values[0], round as f32 / 16.0);
        }
    }
}
