//! What a Langevin step costs beside the energy gradient it needs: `cargo bench`.
//!
//! `JEMPP_DEVICE` chooses the device as `--device` does (default `auto`).

use criterion::{Criterion, criterion_group, criterion_main};
use jempp::{
    bench::{BenchRequest, Works},
    device,
};

fn langevin(criterion: &mut Criterion) {
    let wanted = std::env::var("JEMPP_DEVICE").unwrap_or_else(|_| "auto".to_string());
    let device = device::open(&wanted).expect("JEMPP_DEVICE names a device");
    let request = BenchRequest {
        arch: "cnn-small".to_string(),
        // A software adapter takes seconds for what the CPU back end does in 0.1 s.
        batch_size: if wanted == "auto" || wanted == "cpu" { 64 } else { 8 },
        image_size: 28,
        repetitions: 1,
    };
    let works = Works::new(&request, &device).expect("cnn-small exists");
    let [gradient, step] = works.launches();
    println!("{}", device.description);
    println!("{}, {} chains", request.arch, request.batch_size);
    println!("kernel launches: {gradient} an energy gradient, {step} a proximal step");
    let mut group = criterion.benchmark_group("langevin");
    group.sample_size(10);
    for (name, work) in works.named() {
        group.bench_function(name, |bencher| bencher.iter(&work));
    }
    group.finish();
}

criterion_group!(benches, langevin);
criterion_main!(benches);
