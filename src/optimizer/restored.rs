//! An optimiser whose saved state is restored without a graphics adapter.

use burn::{
    optim::{Optimizer, RecordState, StateSink, StateSource},
    tensor::{Device, Tensor},
};

use crate::device;

/// An optimiser that behaves like `O`, but restores its state on the CPU back end.
///
/// burn restores a state on its default device, and the first step moves it to the device of the weights. The default
/// device is the first graphics adapter, and without one, restoring fails. Only the environment variable `BURN_DEVICE`
/// changes the default, and a library must not set it.
#[derive(Clone)]
pub(super) struct RestoredOnCpu<O>(pub(super) O);

/// The state of [`RestoredOnCpu`] for one parameter.
#[derive(Clone)]
pub(super) struct OnCpu<S>(S);

impl<S: RecordState> RecordState for OnCpu<S> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.0.state_flatten(prefix, out);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _default: &Device) -> Option<Self> {
        S::state_unflatten(prefix, source, &device::cpu()).map(Self)
    }
}

impl<O: Optimizer> Optimizer for RestoredOnCpu<O> {
    type State<const D: usize> = OnCpu<O::State<D>>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let state = state.map(|state| state.0);
        let (tensor, state) = self.0.step(learning_rate, tensor, gradient, state);
        (tensor, state.map(OnCpu))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        OnCpu(O::to_device(state.0, device))
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::AdamConfig;

    use super::*;

    #[test]
    fn a_state_is_restored_on_the_cpu_whatever_the_default_device_is() {
        let adam = RestoredOnCpu(AdamConfig::new().build());
        let ones = Tensor::<1>::ones([3], &device::cpu());
        let (_, state) = adam.step(0.1, ones.clone(), ones, None);
        let mut saved = StateSink::default();
        state.unwrap().state_flatten("1", &mut saved);

        let mut source = StateSource::new(saved.scalars.into_iter().collect());
        for (name, data) in saved.tensors {
            source.insert_tensor(name, data);
        }
        // The default device is a graphics adapter, but only its name; nothing is opened.
        let default = Device::default();
        assert_ne!(default, device::cpu(), "BURN_DEVICE is set, so that this test shows nothing");
        let restored =
            OnCpu::<burn::optim::AdamState<1>>::state_unflatten("1", &mut source, &default);
        assert_eq!(restored.unwrap().0.momentum.moment_1.device(), device::cpu());
    }
}
