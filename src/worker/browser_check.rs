//! A check for the browser: whether its WebGPU adapter computes what the CPU computes.

use crate::{
    browser,
    device::{self, DeviceError},
    kernel_check::{self, Comparison, Extent},
    network_check,
};

/// Where people send what they see, good or bad.
const REPORT: &str = "https://github.com/jempp/jempp/issues/new?template=gpu.yml";

/// What the page says where it has no WebGPU.
const NO_WEBGPU: &str = "\
There is nothing to check, because this browser gives no WebGPU adapter: try the current version of Chrome, Edge, Firefox or \
Safari, with graphics acceleration turned on in its settings.";

/// The lines above the rows of the table.
const HEADING: &str = "\
kernel or network       differs  allowed
  what was compared";

/// A comparison as two lines of a table that is narrow enough for a phone.
fn row(comparison: &Comparison) -> String {
    let Comparison { name, what, largest_difference, allowed, agrees, failure, .. } = comparison;
    let verdict = if *agrees { "ok" } else { "DIFFERS" };
    let failure = failure.as_ref().map_or(String::new(), |failure| format!("\n  {failure}"));
    format!("{name:<22}{largest_difference:>9.1e}{allowed:>9.0e} {verdict}\n  {what}{failure}")
}

/// Compares every kernel and a network on the WebGPU adapter with the CPU, reports each comparison as lines of a table,
/// and returns all of them as JSON: an empty list if there is no adapter. A short check leaves out the largest
/// sizes, and the variants of convolutions that the page does not use on this adapter.
pub async fn check(is_short: bool, line: &dyn Fn(String)) -> String {
    line(format!("jempp {} in {}", env!("CARGO_PKG_VERSION"), browser::user_agent()));
    let extent = if is_short { Extent::Short } else { Extent::Full };
    let comparisons = compared(extent, line).await.unwrap_or_else(|reason| {
        line(reason);
        Vec::new()
    });
    // Numbers and strings always serialise without an error.
    serde_json::to_string(&comparisons).unwrap_or_default()
}

/// The comparisons, or the reason why there are none, in words for a person.
async fn compared(extent: Extent, line: &dyn Fn(String)) -> Result<Vec<Comparison>, String> {
    let device = device::open("webgpu").await.map_err(|error| match error {
        DeviceError::Unknown { .. } => NO_WEBGPU.to_string(),
        error => error.to_string(),
    })?;
    if let Some(adapter) = device.adapter() {
        line(format!("{adapter}\n\n{HEADING}"));
    }
    let seen = |comparison: &Comparison| line(row(comparison));
    let mut all = kernel_check::check_all(&device.device, extent, seen).await;
    let networks = network_check::check_all(&device.device, seen).await;
    all.extend(networks.map_err(|error| error.to_string())?);
    let num_agreeing = all.iter().filter(|comparison| comparison.agrees).count();
    let short = if extent == Extent::Short { " (check=short)" } else { "" };
    line(format!("\n{num_agreeing} of {} comparisons agree{short}", all.len()));
    if num_agreeing < all.len() {
        line("This adapter computes wrong numbers. Until this is fixed, open the page with ?device=cpu".into());
    }
    line(format!("Please send us this text: {REPORT}"));
    Ok(all)
}
