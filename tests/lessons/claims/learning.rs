//! Claims of the lesson in which a model is trained.

use jempp::{
    config::{LabState, LabTarget},
    worker::lab::{Lab, LearningFrame},
};
use pollster::block_on;

use super::{at, lab_of, mean, state};

/// Trains for up to `num_steps` steps. Returns the last frame, and whether training diverged.
fn learn(lab: &mut Lab, num_steps: usize) -> (LearningFrame, bool) {
    assert_eq!(lab.state().config.target, LabTarget::Learned);
    let diverged = (0..num_steps).any(|_| block_on(lab.learner().unwrap().advance()).is_err());
    block_on(lab.follow_learner()).unwrap();
    (block_on(lab.learner().unwrap().frame()).unwrap(), diverged)
}

/// Like `learn`, but training must not diverge.
fn learn_well(lab: &mut Lab, num_steps: usize) -> LearningFrame {
    let (frame, diverged) = learn(lab, num_steps);
    assert!(!diverged);
    frame
}

/// The lab of a step of lesson 8, with a change.
fn changed(step: usize, change: &dyn Fn(&mut LabState)) -> Lab {
    let mut state = state(8, step).lab;
    change(&mut state);
    lab_of(&state)
}

fn largest(gaps: &[f32]) -> f32 {
    gaps.iter().map(|gap| gap.abs()).fold(0.0, f32::max)
}

/// How much lower the mean energy of the data is than that of the plane.
fn contrast(lab: &mut Lab) -> f32 {
    let (points, _) = lab.learner().unwrap().data();
    let energy = &lab.surface().energy;
    mean(energy) - mean(&at(energy, &points))
}

/// The difference between the highest and the lowest energy of the plane.
fn range(lab: &Lab) -> f32 {
    let energy = &lab.surface().energy;
    let most = energy.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    most - energy.iter().copied().fold(f32::INFINITY, f32::min)
}

/// The total variation between the data and the learned density, or 1 if the density is narrower than the grid.
fn variation(lab: &mut Lab) -> f64 {
    let (points, _) = lab.learner().unwrap().data();
    lab.surface().masses(1.0).map_or(1.0, |masses| masses.total_variation(&points))
}

#[test]
fn lesson_8_healthy_learning_swings_about_0_and_lagging_chains_make_it_swing_by_tens() {
    let mut healthy = changed(1, &|_| {});
    let gaps = learn_well(&mut healthy, 400).gaps;
    let (late, contrast) = (&gaps[300..], contrast(&mut healthy));
    println!("lesson 8, healthy: mean {} largest {} {contrast}", mean(late), largest(late));
    assert!(largest(late) < 2.5 && mean(late).abs() < 0.4);
    assert!(contrast > 1.0, "data lie lower than the plane: {contrast}");
    let signs = late.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
    assert!(signs > 5, "d swings about 0: {signs}");

    let mut lagging = changed(2, &|_| {});
    let (early, _) = learn(&mut lagging, 200);
    let early_range = range(&lagging);
    let (late, diverged) = learn(&mut lagging, 200);
    let ranges = [range(&healthy), early_range, range(&lagging)];
    let largest = [largest(&early.gaps), largest(&late.gaps)];
    println!("lesson 8, lagging: largest {largest:?}, ranges {ranges:?}, diverged {diverged}");
    assert!(largest[0].max(largest[1]) > 20.0, "{largest:?}");
    assert!(diverged || ranges[2] > ranges[1], "steeper and steeper: {ranges:?}");
    assert!(ranges[1] > 10.0 * ranges[0], "{ranges:?}");
}

/// Statistics of the second half of 400 steps.
#[derive(Debug)]
struct Late {
    /// The maximum of |d|.
    largest: f32,
    /// The mean of |d|.
    mean: f32,
    /// The mean total variation between the data and the learned density.
    variation: f32,
}

#[test]
fn lesson_8_more_steps_cure_it_and_chains_without_noise_learn_no_density() {
    let late = |change: &dyn Fn(&mut LabState)| {
        let mut lab = changed(2, change);
        learn_well(&mut lab, 200);
        let (mut gaps, mut variations) = (Vec::new(), Vec::new());
        // The learned density fluctuates between steps.
        for _ in 0..8 {
            gaps.extend(learn_well(&mut lab, 25).gaps.iter().map(|gap| gap.abs()));
            variations.push(variation(&mut lab) as f32);
        }
        Late { largest: largest(&gaps), mean: mean(&gaps), variation: mean(&variations) }
    };
    let more_steps = late(&|state| state.config.learn_chain_steps = 20);
    let lower_rate = late(&|state| state.config.learn_rate = 0.002);
    let no_noise = late(&|state| {
        state.config.learn_chain_steps = 20;
        state.config.learn_noise_std = 0.0;
    });
    println!("lesson 8: K = 20 {more_steps:?}, rate {lower_rate:?}, no noise {no_noise:?}");
    assert!(more_steps.largest < 2.0, "{more_steps:?}");
    assert!((2.5..30.0).contains(&lower_rate.largest), "several units: {lower_rate:?}");
    assert!(no_noise.mean < more_steps.mean, "quieter than ever: {no_noise:?}");
    let apart = no_noise.variation - more_steps.variation;
    assert!(apart > 0.05, "and no density: {no_noise:?} {more_steps:?}");
}

#[test]
fn lesson_8_without_the_second_half_only_classes_are_learned() {
    let mut lab = changed(3, &|_| {});
    let cross_entropies = learn_well(&mut lab, 400).cross_entropies;
    let last = mean(&cross_entropies[380..]);
    let plain = contrast(&mut lab);
    println!("lesson 8, classifier: cross entropy {last}, contrast {plain}");
    assert!(last < 0.05 && plain < 0.5, "{last} {plain}");
    // Increase the weight.
    let mut state = lab.state().clone();
    state.config.learn_weight = 1.0;
    block_on(lab.set(state)).unwrap();
    learn_well(&mut lab, 400);
    let joint = contrast(&mut lab);
    println!("lesson 8, then with p(x): contrast {joint}");
    assert!(joint > 1.0, "{joint}");
}
