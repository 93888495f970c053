//! A check for the browser: every kernel on WebGPU, compared with its CPU twin.

use crate::{
    device,
    kernel_check::{self, Comparison},
};

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
    let seen = |comparison: &Comparison| line(comparison.to_string());
    let comparisons = kernel_check::check_all(&device.device, seen).await;
    let num_agreeing = comparisons.iter().filter(|comparison| comparison.agrees).count();
    line(format!("{num_agreeing} of {} comparisons agree", comparisons.len()));
    // Numbers and strings always serialise without an error.
    serde_json::to_string(&comparisons).unwrap_or_default()
}
