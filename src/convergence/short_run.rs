//! The comparison of long chains with short ones: do long chains stay where short ones end?
//!
//! Training uses the ends of short runs. If a model has learned a distribution, its chains stay there when they
//! continue. If it has only learned how a short run transforms its start, longer chains drift away, to low energies
//! or to one image (Nijkamp et al., arXiv:1904.09770 and arXiv:1903.12370).

use std::{collections::BTreeSet, ops::ControlFlow};

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{
    Superchains, refusal_of,
    summaries::{Seen, Summaries},
};
use crate::{
    chains::ChainRun,
    data::{self, Dataset, spread},
    device::{ReadError, read_now},
    diagnostics::{DoesNotApply, KolmogorovSmirnov, kolmogorov_smirnov, mean_and_std},
    energy::{Energy, JointEnergy, denoised},
    kernels,
    sampler::{ChainState, Sampler},
};

/// The largest number of test images in the comparison.
const MAX_TEST_IMAGES: usize = 1000;

/// The mean and standard deviation of one summary at one time.
pub type Spread = Result<(f64, f64), DoesNotApply>;
/// The test whether a summary has different distributions at two times.
pub type Distance = Result<KolmogorovSmirnov, DoesNotApply>;

/// One summary at the end of the short run, at the end of the long run, and for test images.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryEnds {
    /// Over the chains after the short run.
    pub short: Spread,
    /// Over the chains after the long run.
    pub long: Spread,
    /// Over test images, if there are any and the summary can be computed for images.
    pub test: Option<Spread>,
    /// The short run against the long one. Both have the same starts, which makes D smaller rather than larger.
    pub short_long: Distance,
    /// The short run against test images.
    pub short_test: Option<Distance>,
    /// The long run against test images.
    pub long_test: Option<Distance>,
}

/// The comparison of all summaries.
#[derive(Clone, Debug, PartialEq)]
pub struct ShortRun {
    /// The number of steps of the short run. It has the same starts and the same sampler; a step size schedule spans
    /// only these steps.
    pub num_steps: usize,
    /// The number of test images, of the sampled classes, or the reason why there are none.
    pub num_test_images: Result<usize, String>,
    /// The comparisons, one entry per summary.
    pub summaries: Vec<SummaryEnds>,
}

/// The reason why long chains are not compared with short ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NoShortRun {
    /// The run is not longer than a short run.
    #[error(
        "the run is no longer than the {num_short} steps of a run in training: run the chains for more steps"
    )]
    NotShorter {
        /// The number of steps of the short run.
        num_short: usize,
    },
    /// The job was stopped.
    #[error("the job was stopped before the short run was done")]
    Stopped,
}

/// The ends of short chains and test images, as columns of summaries: one column per summary, with a value for each chain or
/// image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ShortSeen {
    /// The number of test images, or the reason why there are none.
    num_test_images: Result<usize, String>,
    short: Vec<Vec<f32>>,
    test: Vec<Vec<f32>>,
}

/// Runs short chains from the starts of the long ones and evaluates test images.
///
/// # Errors
/// The device failed. The inner error says that `progress` stopped the run.
pub(super) fn see(
    run: &ChainRun,
    summaries: &Summaries,
    num_steps: usize,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Result<ShortSeen, NoShortRun>, ReadError> {
    let (section, energy) = (&run.checkpoint().config.sampler, run.energy());
    let mut state = ChainState { x: run.start().clone(), noise: run.first_noise() };
    let device = state.x.device();
    for step in 0..num_steps {
        if progress(step, num_steps).is_break() {
            return Ok(Err(NoShortRun::Stopped));
        }
        state = Sampler::at_step(section, step, num_steps).step(state, energy).0;
    }
    let radius = Sampler::new(section).proximal_radius().unwrap_or_default();
    let config = &run.checkpoint().config;
    let denoise_step = config.class_denoise_step();
    let evaluate = |energy: &JointEnergy, x, start| {
        evaluate(summaries, energy, x, denoise_step, radius, start)
    };
    let short = evaluate(energy, state.x, Some(run.start().clone()))?;
    let mut test = vec![Vec::new(); short.len()];
    let num_test_images = match test_images(run) {
        Ok((images, indices)) => {
            // Use the batch size of the chains, because batch norm may depend on it.
            let noise = config.shared_noise();
            for batch in indices.chunks(run.labels().len()) {
                let [c, h, w] = images.shape;
                let mut values = images.gather(batch.iter().copied());
                data::add_shared_noise(&mut values, noise, batch.iter().copied(), config.seed);
                let labels = batch.iter().map(|&index| images.labels[index]).collect();
                let data = TensorData::new(values, [batch.len(), c, h, w]);
                let x = Tensor::from_data(data, &device);
                let energy = run.energy_of_classes(labels);
                let found = evaluate(&energy, x, None)?;
                test.iter_mut().zip(found).for_each(|(all, found)| all.extend(found));
            }
            Ok(indices.len())
        }
        Err(reason) => Err(reason),
    };
    Ok(Ok(ShortSeen { num_test_images, short, test }))
}

impl ShortSeen {
    /// Appends the chains and test images of a further part of the run.
    pub(super) fn join(&mut self, part: Self) {
        for (whole, part) in [(&mut self.short, part.short), (&mut self.test, part.test)] {
            whole.iter_mut().zip(part).for_each(|(column, part)| column.extend(part));
        }
        if let (Ok(whole), Ok(part)) = (&mut self.num_test_images, part.num_test_images) {
            *whole += part;
        }
    }

    /// Whether there is a column for each of the summaries, with a value for each chain.
    pub(super) fn fits(&self, num_summaries: usize, num_chains: usize) -> bool {
        self.short.len() == num_summaries
            && self.test.len() == num_summaries
            && self.short.iter().all(|column| column.len() == num_chains)
    }

    /// Compares the ends of these short chains with those of the long ones, of which `long` has the summaries, one column
    /// each.
    pub(super) fn compare(
        &self,
        num_steps: usize,
        long: &[Vec<f32>],
        names: &[String],
        superchains: Superchains,
        chains_per_start: usize,
    ) -> ShortRun {
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        // Chains from the same start are similar: the distances use only the first of them.
        let firsts = |values: &[f64]| {
            values.iter().copied().step_by(chains_per_start.max(1)).collect::<Vec<_>>()
        };
        let columns = names.iter().zip(&self.short).zip(long).zip(&self.test);
        let ends = columns.map(|(((name, short), long), test)| {
            let [short, long, test] = [short, long, test].map(|values| wide(values));
            let to_test = |chains: &[f64]| {
                (!test.is_empty()).then(|| kolmogorov_smirnov(&firsts(chains), &test))
            };
            SummaryEnds {
                short: mean_and_std(&short),
                long: mean_and_std(&long),
                test: (!test.is_empty()).then(|| mean_and_std(&test)),
                // Chains that forget their starts keep moving away from them: this does not say where the chains are.
                short_long: match refusal_of(superchains, name) {
                    Some(reason) => Err(reason),
                    None => kolmogorov_smirnov(&firsts(&short), &firsts(&long)),
                },
                short_test: to_test(&short),
                long_test: to_test(&long),
            }
        });
        let num_test_images = self.num_test_images.clone();
        ShortRun { num_steps, num_test_images, summaries: ends.collect() }
    }
}

/// The test images of the data that the model was trained on and the indices of those in the sampled classes, of which a
/// part of a run takes a part; or the reason why there are none.
fn test_images(run: &ChainRun) -> Result<(Dataset, Vec<usize>), String> {
    let config = &run.checkpoint().config;
    let splits =
        data::load_at_hand(&config.data, config.seed).map_err(|error| error.to_string())?;
    let test = splits.in_classes(&run.checkpoint().class_names).test;
    run.checkpoint().check_data(&test).map_err(|error| error.to_string())?;
    let indices = pick(&test, &run.classes());
    match indices.is_empty() {
        true => Err("the data set has no test image of the sampled classes".into()),
        false => {
            let part = run.settings().shard.range(indices.len());
            Ok((test, indices[part].to_vec()))
        }
    }
}

/// The indices of images in these classes, spread evenly.
fn pick(images: &Dataset, classes: &BTreeSet<u32>) -> Vec<usize> {
    let of_classes: Vec<usize> =
        (0..images.len()).filter(|&index| classes.contains(&images.labels[index])).collect();
    spread(of_classes.len(), MAX_TEST_IMAGES).map(|index| of_classes[index]).collect()
}

/// The summaries at `x`, one column each. Classes are read at `x` after a step of length `denoise_step` down the energy.
fn evaluate(
    summaries: &Summaries,
    energy: &JointEnergy,
    x: Tensor<4>,
    denoise_step: f64,
    radius: f32,
    start: Option<Tensor<4>>,
) -> Result<Vec<Vec<f32>>, ReadError> {
    let found = energy.gradient(x.clone());
    let logits = match denoise_step {
        0.0 => found.logits,
        step => Some(energy.logits(denoised(x.clone(), found.gradient.clone(), step))),
    };
    let health = kernels::chain_summary(x.clone(), found.gradient, radius);
    let has_starts = start.is_some();
    let places = summaries.places().of(x, start);
    let reads = (found.energy, health, places, logits);
    let (energies, health, places, logits) = read_now(reads)?;
    let logits = logits.unwrap_or_default();
    let health = |nth: usize| health.iter().skip(nth).step_by(3).copied().collect::<Vec<f32>>();
    let seen = Seen {
        places: &places,
        energies: &energies,
        gradient_norms: &health(0),
        clamp_rates: &health(1),
        saturations: &health(2),
        logits: &logits,
    };
    Ok(summaries.of(&seen, has_starts))
}
