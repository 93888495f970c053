//! Benchmarks of a Langevin step and of the energy gradient within it: `cargo bench`.
//!
//! The environment variable `JEMPP_DEVICE` selects the device, as `--device` does (default `auto`).

use criterion::{Criterion, criterion_group, criterion_main};
use jempp::{
    bench::{StepWork, Works},
    config::{Norm, ViewState},
    device,
    worker::lab::Lab,
};

fn langevin(criterion: &mut Criterion) {
    let wanted = std::env::var("JEMPP_DEVICE").unwrap_or_else(|_| "auto".to_string());
    let device = pollster::block_on(device::open(&wanted)).expect("JEMPP_DEVICE names a device");
    let work = StepWork {
        name: "steps".to_string(),
        arch: "cnn-small".to_string(),
        norm: Norm::None,
        // A software adapter needs seconds for what the CPU back end does in 0.1 s.
        batch_size: if device.is_software_adapter() { 8 } else { 64 },
        channels: 1,
        image_size: 28,
    };
    let works = Works::new(&work, &device).expect("cnn-small exists");
    println!("{}\n{}, {} chains", device.description, work.arch, work.batch_size);
    let mut group = criterion.benchmark_group("langevin");
    group.sample_size(10);
    for (name, work) in works.named() {
        group.bench_function(name, |bencher| bencher.iter(&work));
    }
    group.finish();
}

/// Benchmarks the work of the lab between two frames, and after a slider of its energy moves.
fn lab(criterion: &mut Criterion) {
    let wanted = std::env::var("JEMPP_DEVICE").unwrap_or_else(|_| "auto".to_string());
    let device = pollster::block_on(device::open(&wanted)).expect("JEMPP_DEVICE names a device");
    let open = |query: &str| {
        let state = ViewState::from_query(query).expect("the keys exist").lab;
        pollster::block_on(Lab::open(state, &device.device)).expect("the lab opens")
    };
    let mut group = criterion.benchmark_group("lab");
    group.sample_size(10);
    for (name, query) in [
        ("step of 10000 chains, formula", "lab.target=two-moons&lab.num_chains=10000"),
        ("step of 2000 chains, network", "lab.target=model&lab.num_chains=2000"),
    ] {
        let mut lab = open(query);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                pollster::block_on(lab.advance()).expect("the device works");
                lab.frame()
            });
        });
    }
    let mut lab = open("lab.target=two-moons&lab.num_chains=10000");
    let mut width = 1.0;
    group.bench_function("surface after a slider moved", |bencher| {
        bencher.iter(|| {
            width = if width > 2.0 { 1.0 } else { width + 0.01 };
            let mut state = lab.state().clone();
            state.config.width = width;
            pollster::block_on(lab.set(state)).expect("the width is in range")
        });
    });
    group.finish();
}

criterion_group!(benches, langevin, lab);
criterion_main!(benches);
