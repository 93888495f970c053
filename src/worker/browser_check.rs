//! A check for the browser: whether its WebGPU adapter computes what the CPU computes.

use crate::{
    browser,
    device::{self, DeviceError},
    kernel_check::{self, Comparison},
    network_check,
};

/// Where people send what they see, good or bad.
const REPORT: &str = "https://github.com/jempp/jempp/issues/new?template=gpu.yml";

/// What the page says where it has no WebGPU.
const NO_WEBGPU: &str = "\
There is nothing to check: this browser gives no WebGPU adapter, so the page computes on the CPU. Current versions of Chrome, \
Edge, Firefox and Safari have WebGPU on most computers; some need a setting, or a newer driver.";

/// Compares every kernel and a network on the WebGPU adapter with the CPU, reports each comparison as a line, and
/// returns all of them as JSON: an empty list if there is no adapter.
pub async fn check(line: &dyn Fn(String)) -> String {
    line(format!("jempp {} in {}", env!("CARGO_PKG_VERSION"), browser::user_agent()));
    let comparisons = compared(line).await.unwrap_or_else(|reason| {
        line(reason);
        Vec::new()
    });
    // Numbers and strings always serialise without an error.
    serde_json::to_string(&comparisons).unwrap_or_default()
}

/// The comparisons, or the reason why there are none, in words for a person.
async fn compared(line: &dyn Fn(String)) -> Result<Vec<Comparison>, String> {
    let device = device::open("webgpu").await.map_err(|error| match error {
        DeviceError::Unknown { .. } => NO_WEBGPU.to_string(),
        error => error.to_string(),
    })?;
    if let Some(adapter) = device.adapter() {
        line(format!("{adapter}\n\n{}", Comparison::HEADING));
    }
    let seen = |comparison: &Comparison| line(comparison.to_string());
    let mut all = kernel_check::check_all(&device.device, seen).await;
    let networks = network_check::check_all(&device.device, seen).await;
    all.extend(networks.map_err(|error| error.to_string())?);
    let num_agreeing = all.iter().filter(|comparison| comparison.agrees).count();
    line(format!("\n{num_agreeing} of {} comparisons agree", all.len()));
    if num_agreeing < all.len() {
        line("This adapter computes wrong numbers. Until that is mended, open the page with ?device=cpu".into());
    }
    line(format!("Please send us this text: {REPORT}"));
    Ok(all)
}
