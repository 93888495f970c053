//! How often a step calls on the GPU. Launches are counted for the whole process.

use jempp::{
    bench::{StepWork, Work, Works},
    config::{ModelConfig, Norm},
    device, kernels,
    model::Network,
};
use pollster::block_on;

use crate::{alone, common};

/// Without batch norm, a layer is a launch forward and one backward. With batch norm, each has another one that combines
/// statistics; and what is left over of a residual block is in the launches that do not belong to a layer. In W3, the sums of
/// a block are launches too.
#[test]
fn a_step_is_two_launches_a_layer_or_four_with_batch_norm_and_one_submission() {
    let _alone = alone();
    if common::gpu().is_none() {
        return;
    }
    let device = block_on(device::open("gpu")).or_else(|_| block_on(device::open("0"))).unwrap();
    let works = [("W1", 2 * 7 + 4), ("W2", 2 * 3 + 4), ("W3", 52), ("W3-batch-norm", 4 * 17 + 8)];
    for (work, at_most) in works {
        let Work::Steps(steps) = work.parse().unwrap() else { unreachable!("steps") };
        let works = Works::new(&StepWork { batch_size: 2, ..steps }, &device).unwrap();
        let named = works.named();
        let (_, step) = named.iter().find(|(name, _)| *name == "proximal step").unwrap();
        step();
        let launches = kernels::count_launches(step);
        assert!((1..=at_most).contains(&launches), "{launches} launches of {work}");
        assert_eq!(device.count_submissions(step), 1, "{work}");
    }
}

#[test]
fn a_pass_aside_launches_nothing_for_running_statistics() {
    let _alone = alone();
    let Some(device) = common::gpu() else { return };
    let config = ModelConfig { arch: "wrn-10-1".into(), norm: Norm::Batch, ..Default::default() };
    let network = Network::new(&config, [1, 8, 8], 3, 1, &device.clone().autodiff()).unwrap();
    let x = common::scrambled_tensor([4, 1, 8, 8], 1, &device).autodiff();
    let launches = |network: &Network| {
        let pass = || drop(common::values(network.logits(x.clone()).without_autodiff()));
        pass();
        kernels::count_launches(pass)
    };
    let (aside, own) = (launches(&network.aside()), launches(&network));
    // Seven norms, of which each has a mean and a variance.
    assert!(aside + 14 <= own, "{aside} launches aside, {own} with statistics");
}
