//! The worker that helps: it answers the messages of another one.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};

use super::{
    JobError,
    help::{Answer, Ask, Part, encoded},
    image_lane::{Weights, energy_of},
};
use crate::{
    checkpoint::Checkpoint,
    config::LaneConfig,
    device::{self, read},
    energy::{Energy, EnergyGradient, JointEnergy},
};

/// A worker that computes gradients for another one.
#[derive(Default)]
pub struct Helper {
    checkpoint: Option<Checkpoint>,
    energy: Option<(LaneConfig, Vec<u32>, JointEnergy)>,
}

impl Helper {
    /// The answer to a message of the worker that is helped.
    ///
    /// # Errors
    /// The message is none, or the model cannot be used.
    pub async fn answer(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        match postcard::from_bytes(message).map_err(|error| error.to_string())? {
            Ask::Model(bytes) => {
                let checkpoint = Checkpoint::from_bytes(&bytes, Path::new("the model"));
                self.checkpoint = Some(checkpoint.map_err(|error| error.to_string())?);
                self.energy = None;
                Ok(Vec::new())
            }
            Ask::Gradient(part) => self.gradient(part).await.map_err(|error| error.to_string()),
        }
    }

    async fn gradient(&mut self, Part { lane, labels, x }: Part) -> Result<Vec<u8>, JobError> {
        let checkpoint = self.checkpoint.as_ref();
        let checkpoint = checkpoint.ok_or_else(|| JobError::Request("no model".into()))?;
        let device = device::cpu();
        let [c, h, w] = checkpoint.input_shape;
        let x = Tensor::<4>::from_data(TensorData::new(x, [labels.len(), c, h, w]), &device);
        let is_same = |(other, own, _): &(LaneConfig, Vec<u32>, JointEnergy)| {
            *own == labels && is_same_energy(other, &lane)
        };
        let energy = match self.energy.take_if(|energy| is_same(energy)) {
            Some((.., energy)) => energy,
            None => energy_of(Weights { checkpoint, followed: None }, &lane, &labels, &device)?,
        };
        let EnergyGradient { energy: energies, gradient, logits } = energy.gradient(x);
        self.energy = Some((lane, labels, energy));
        let (energy, gradient, logits) = read((energies, gradient, logits)).await?;
        Ok(encoded(&Answer { energy, gradient, logits: logits.unwrap_or_default() }))
    }
}

fn is_same_energy(one: &LaneConfig, other: &LaneConfig) -> bool {
    (one.split, one.norm, one.is_conditional) == (other.split, other.norm, other.is_conditional)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{
        super::help::{gathered, model_message},
        *,
    };
    use crate::{assets, bundled, config::Norm};

    /// Gradients of chains that helpers in this process share, and those of one worker.
    fn both(num_helpers: usize, is_conditional: bool) -> [EnergyGradient; 2] {
        let file = assets::get(bundled::find("mnist").unwrap().file).unwrap();
        let checkpoint = Checkpoint::from_bytes(file, Path::new("mnist")).unwrap();
        let lane = LaneConfig { is_conditional, norm: Norm::None, ..LaneConfig::default() };
        let labels = [3, 1, 4, 1, 5];
        let weights = Weights { checkpoint: &checkpoint, followed: None };
        let energy = energy_of(weights, &lane, &labels, &device::cpu()).unwrap();
        let values: Vec<f32> =
            (0..5 * 784).map(|at| ((at * 37 % 199) as f32) / 99.5 - 1.0).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values, [5, 1, 28, 28]), &device::cpu());
        let helpers: Vec<RefCell<Helper>> = (0..num_helpers).map(|_| RefCell::default()).collect();
        for helper in &helpers {
            let (message, mut helper) = (model_message(file), helper.borrow_mut());
            assert_eq!(pollster::block_on(helper.answer(&message)), Ok(Vec::new()));
        }
        let ask = |helper: usize, message: Vec<u8>| {
            let answer = pollster::block_on(helpers[helper].borrow_mut().answer(&message));
            std::future::ready(Some(answer.unwrap()))
        };
        let shared = gathered(&energy, &lane, &labels, &x, num_helpers, ask);
        let shared = pollster::block_on(shared).unwrap().unwrap();
        [shared, energy.gradient(x)]
    }

    #[test]
    fn shared_gradients_are_those_of_one_worker() {
        for (num_helpers, is_conditional) in [(1, false), (2, true), (7, false)] {
            let [one, other] = both(num_helpers, is_conditional).map(|found| {
                let found = (found.energy, found.gradient, found.logits.unwrap());
                let (energy, gradient, logits) = pollster::block_on(read(found)).unwrap();
                [energy, gradient, logits]
            });
            for (one, other) in one.iter().zip(&other) {
                assert_eq!(one.len(), other.len());
                let largest = other.iter().fold(0f32, |most, value| most.max(value.abs()));
                let is_near = |(one, other): (&f32, &f32)| (one - other).abs() < 1e-5 * largest;
                assert!(one.iter().zip(other).all(is_near), "{num_helpers} {is_conditional}");
            }
        }
    }

    #[test]
    fn a_helper_that_fails_leaves_the_work_to_the_worker() {
        let file = assets::get(bundled::find("two-moons").unwrap().file).unwrap();
        let checkpoint = Checkpoint::from_bytes(file, Path::new("two-moons")).unwrap();
        let lane = LaneConfig::default();
        let weights = Weights { checkpoint: &checkpoint, followed: None };
        let energy = energy_of(weights, &lane, &[0, 1], &device::cpu()).unwrap();
        let x = Tensor::<4>::zeros([2, 2, 1, 1], &device::cpu());
        for answer in [None, Some(Vec::new()), Some(vec![1, 2, 3])] {
            let ask = |_, _| std::future::ready(answer.clone());
            let found = pollster::block_on(gathered(&energy, &lane, &[0, 1], &x, 1, ask)).unwrap();
            assert!(found.is_none());
        }
        let mut helper = Helper::default();
        let part = Part { lane: lane.clone(), labels: vec![0], x: vec![0.0; 2] };
        let early = pollster::block_on(helper.answer(&encoded(&Ask::Gradient(part))));
        assert!(early.is_err() && pollster::block_on(helper.answer(&[9])).is_err());
    }
}
