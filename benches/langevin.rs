//! What a Langevin step costs beside the energy gradient it needs: `cargo bench`.
//!
//! `JEMPP_DEVICE` chooses the device as `--device` does (default `auto`).

use criterion::{Criterion, criterion_group, criterion_main};
use jempp::{
    bench::{StepWork, Works},
    config::Norm,
    device,
};

fn langevin(criterion: &mut Criterion) {
    let wanted = std::env::var("JEMPP_DEVICE").unwrap_or_else(|_| "auto".to_string());
    let device = pollster::block_on(device::open(&wanted)).expect("JEMPP_DEVICE names a device");
    let work = StepWork {
        name: "steps".to_string(),
        arch: "cnn-small".to_string(),
        norm: Norm::None,
        // A software adapter takes seconds for what the CPU back end does in 0.1 s.
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

criterion_group!(benches, langevin);
criterion_main!(benches);
