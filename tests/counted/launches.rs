//! How often a step calls on the GPU. Launches are counted for the whole process.

use jempp::{
    bench::{StepWork, Work, Works},
    device, kernels,
};
use pollster::block_on;

use crate::{alone, common};

#[test]
fn a_step_is_two_launches_a_layer_and_one_submission() {
    let _alone = alone();
    if common::gpu().is_none() {
        return;
    }
    let device = block_on(device::open("gpu")).or_else(|_| block_on(device::open("0"))).unwrap();
    for (work, num_layers) in [("W1", 7), ("W2", 3)] {
        let Work::Steps(work) = work.parse().unwrap() else { unreachable!("steps") };
        let works = Works::new(&StepWork { batch_size: 2, ..work }, &device).unwrap();
        let named = works.named();
        let (_, step) = named.iter().find(|(name, _)| *name == "proximal step").unwrap();
        step();
        let launches = kernels::count_launches(step);
        assert!((1..=2 * num_layers + 4).contains(&launches), "{launches} launches");
        assert_eq!(device.count_submissions(step), 1);
    }
}

#[test]
fn a_step_of_a_deep_network_is_one_submission() {
    let _alone = alone();
    if common::gpu().is_none() {
        return;
    }
    let device = block_on(device::open("gpu")).or_else(|_| block_on(device::open("0"))).unwrap();
    let Work::Steps(work) = "W3".parse().unwrap() else { unreachable!("steps") };
    let works = Works::new(&StepWork { batch_size: 2, ..work }, &device).unwrap();
    let named = works.named();
    let (_, step) = named.iter().find(|(name, _)| *name == "proximal step").unwrap();
    step();
    assert_eq!(device.count_submissions(step), 1);
}
