//! The check of an adapter finds kernels that compute something else than their twins.

use crate::common::gpu;
use jempp::{
    bench::DeviceCheck,
    cli,
    device::{self, ComputeDevice},
    kernel_check::{self, Comparison, Extent},
    kernels::{self, Kernel},
};
use pollster::block_on;

/// A copy of a kernel in which `from`, which its source has once, became `to`.
fn broken(kernel: &Kernel, from: &str, to: &str) -> &'static Kernel {
    assert_eq!(kernel.source.matches(from).count(), 1, "{from} in {}", kernel.name);
    let source = kernel.source.replace(from, to).leak();
    Box::leak(Box::new(Kernel { source, ..*kernel }))
}

fn compare(kernel: &'static Kernel) -> Option<Vec<Comparison>> {
    Some(block_on(kernel_check::check(kernel, Extent::Full, &gpu()?)))
}

#[test]
fn a_kernel_with_a_sign_flipped_differs() {
    let flipped = broken(&kernels::UNIFORM_START, "[draw % 4u] - 1.0", "[draw % 4u] + 1.0");
    let Some(found) = compare(flipped) else { return };
    assert!(found.iter().all(|comparison| !comparison.agrees), "{found:?}");
    assert!(found[0].to_string().ends_with("DIFFERS"), "{}", found[0]);
    assert!(found[0].largest_difference >= 1.0, "{}", found[0]);
}

#[test]
fn a_head_that_keeps_wrong_signs_differs_in_them_alone() {
    let wrong = broken(&kernels::HEAD_ENERGY, "len - 1u)] > 0.0", "len - 1u)] < 0.0");
    let Some(found) = compare(wrong) else { return };
    assert_eq!(found.iter().map(|one| one.agrees).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_kernel_that_writes_too_little_too_much_or_nan_differs() {
    let copy = &kernels::COPY_RATE;
    for (from, to, reason) in [
        ("< params.len", "< params.len / 2u", "DIFFERS"),
        ("< params.len", "< params.len + 4u", "writes past the end"),
        ("= x[", "= (bitcast<f32>(params.len | 0x7fc00000u)) + x[", "DIFFERS"),
    ] {
        let Some(found) = compare(broken(copy, from, to)) else { return };
        assert!(!found[0].agrees && found[0].to_string().contains(reason), "{to}: {}", found[0]);
    }
}

#[test]
fn a_kernel_that_does_not_compile_is_a_failure_and_the_next_one_runs() {
    let Some(found) = compare(broken(&kernels::COPY_RATE, "fn copy_rate", "fn copy_rate nonsense"))
    else {
        return;
    };
    assert!(!found[0].agrees && found[0].failure.is_some(), "{found:?}");
    assert!(compare(&kernels::COPY_RATE).unwrap()[0].agrees, "the device still works");
}

#[test]
fn a_check_that_finds_a_difference_says_so_and_has_exit_status_1() {
    let Some(device) = adapter() else { return };
    let of = |kernel| {
        let compare = || block_on(kernel_check::check(kernel, Extent::Full, &device.device));
        DeviceCheck::of(compare, &device).unwrap()
    };
    let sound = of(&kernels::COPY_RATE);
    assert!(sound.agrees, "{sound}");
    assert!(sound.to_string().contains("5 of 5 comparisons agree"), "{sound}");
    assert_eq!(
        cli::exit_status(cli::devices::conclude(std::slice::from_ref(&sound)), Some("devices")),
        0
    );

    let flipped = broken(&kernels::UNIFORM_START, "[draw % 4u] - 1.0", "[draw % 4u] + 1.0");
    let check = of(flipped);
    assert!(!check.agrees && check.to_string().contains("DIFFERS"), "{check}");
    assert!(check.to_string().contains(&check.adapter.driver), "{check}");
    let error = cli::devices::conclude(&[sound, check.clone()]).unwrap_err();
    assert!(error.to_string().contains("1 of 5 comparisons: uniform_start"), "{error}");
    assert_eq!(cli::exit_status(Err(error), Some("devices")), 1);
    let json = serde_json::to_value(&check).unwrap();
    assert_eq!(
        (&json["agrees"], &json["comparisons"][0]["agrees"]),
        (&false.into(), &false.into())
    );
}

/// The adapter of the other tests, with its description.
fn adapter() -> Option<ComputeDevice> {
    gpu()?;
    Some(block_on(device::open("gpu")).or_else(|_| block_on(device::open("0"))).unwrap())
}
