//! A check for the browser: every kernel on WebGPU, compared with its CPU twin.

use crate::{device, kernel_check, kernels::KERNELS};

/// Compares the kernels, reports each comparison as a line, and returns all of them as JSON.
pub async fn check(line: &dyn Fn(String)) -> String {
    let device = match device::open("webgpu").await {
        Ok(device) => device,
        Err(error) => {
            line(format!("nothing to check: {error}"));
            return "[]".to_string();
        }
    };
    line(format!("jempp {}, {}", env!("CARGO_PKG_VERSION"), device.description));
    let mut comparisons = Vec::new();
    for kernel in KERNELS {
        for comparison in kernel_check::check(kernel, &device.device).await {
            line(comparison.to_string());
            comparisons.push(comparison);
        }
    }
    let num_agreeing = comparisons.iter().filter(|comparison| comparison.agrees).count();
    line(format!("{num_agreeing} of {} comparisons agree", comparisons.len()));
    // Numbers and strings always serialise without an error.
    serde_json::to_string(&comparisons).unwrap_or_default()
}
