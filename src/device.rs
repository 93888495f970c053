//! Compute devices: the list of graphics adapters, the automatic choice, the CPU back end, and reading tensors from a
//! device.

mod readback;

use std::fmt;

use burn::tensor::{Device, wgpu::WgpuSetup};
use burn_std::config::BurnConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use serde::Serialize;

use crate::{kernels, ranks::Ranks};
pub use readback::{Arrived, ReadError, Readable, Readbacks, count_readbacks, read};
pub(crate) use readback::{Mark, read_while};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use readback::{read_now, read_now_while};

/// Why no device could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// `gpu` was requested, but there is no hardware GPU.
    #[error("no hardware GPU found. There is: {0}")]
    NoGpu(String),
    /// No adapter has the requested name or index.
    #[error("no such adapter: `{asked}`. There is: {available}")]
    Unknown {
        /// The requested name or index.
        asked: String,
        /// The available adapters, and the CPU back end.
        available: String,
    },
    /// The driver refused to open the adapter.
    #[error("adapter `{name}` could not be opened: {reason}")]
    Open {
        /// The name of the adapter that could not be opened.
        name: String,
        /// The error message of the driver.
        reason: String,
    },
}

/// A summary of a graphics adapter, available before it is opened.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterSummary {
    /// Position in the list; [`open`] accepts it as a name.
    pub index: usize,
    /// The name of the adapter, from the driver.
    pub name: String,
    /// The graphics API: vulkan, metal or dx12.
    pub backend: String,
    /// discrete-gpu, integrated-gpu, virtual-gpu, cpu or other.
    pub kind: String,
    /// The name and the version of the driver.
    pub driver: String,
    /// Largest buffer that a kernel may bind, in bytes.
    pub max_storage_buffer_bytes: u64,
    /// Largest number of workgroups along one dimension of a dispatch.
    pub max_workgroups_per_dimension: u32,
    /// Largest number of invocations in a workgroup.
    pub max_invocations_per_workgroup: u32,
}

impl AdapterSummary {
    /// Whether the adapter is a real GPU and not a software renderer.
    pub fn is_hardware(&self) -> bool {
        self.kind != "cpu"
    }
}

impl fmt::Display for AdapterSummary {
    /// Two lines: the adapter and its driver, then its limits.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { index, name, backend, kind, driver, .. } = self;
        writeln!(f, "{index}  {name} ({backend}, {kind}, {driver})")?;
        write!(
            f,
            "   buffers to {} MiB, {} invocations per workgroup, {} workgroups per dimension",
            self.max_storage_buffer_bytes >> 20,
            self.max_invocations_per_workgroup,
            self.max_workgroups_per_dimension
        )
    }
}

/// An open compute device and its description; in a run of several ranks, the device of this one.
#[derive(Clone, Debug)]
pub struct ComputeDevice {
    /// The device on which tensors are created.
    pub device: Device,
    /// One line for people: the device, and the reason if it was chosen automatically.
    pub description: String,
    /// The ranks that train together, each on a device of its own; alone, unless MPI started the program.
    #[doc(hidden)]
    pub ranks: Ranks,
    adapter: Option<AdapterSummary>,
    /// The place of the adapter on the bus of its computer; empty if it is not known.
    slot: String,
    queue: Option<wgpu::Queue>,
}

impl ComputeDevice {
    /// Opens a device by name and waits for it: `auto`, `gpu`, `cpu`, an adapter's index or a part of its name. See
    /// [`open`].
    ///
    /// # Errors
    /// The same errors as [`open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(wanted: &str) -> Result<Self, DeviceError> {
        pollster::block_on(open(wanted))
    }

    /// The CPU back end as a compute device, with a description.
    pub fn cpu(description: impl Into<String>) -> Self {
        Self {
            device: cpu(),
            description: description.into(),
            ranks: Ranks::alone(),
            adapter: None,
            slot: String::new(),
            queue: None,
        }
    }

    /// Whether the device is the CPU back end.
    pub fn is_cpu(&self) -> bool {
        self.queue.is_none()
    }

    /// Whether the device is a software adapter, which imitates a GPU on the CPU and is slow.
    pub fn is_software_adapter(&self) -> bool {
        self.adapter.as_ref().is_some_and(|adapter| !adapter.is_hardware())
    }

    /// The graphics adapter; `None` for the CPU back end.
    pub fn adapter(&self) -> Option<&AdapterSummary> {
        self.adapter.as_ref()
    }

    /// The place of the adapter on the bus of its computer, as in `0000:01:00.0`; empty if it is not known.
    pub(crate) fn slot(&self) -> &str {
        &self.slot
    }

    /// Waits until the device has computed `result`. Errors are ignored here, because any later read reports them too.
    pub fn wait<T>(&self, result: T) {
        let _ = self.device.sync();
        kernels::note_submission();
        drop(result);
    }

    /// The number of command buffers that `work` sends to the GPU, without those of the final wait for the device;
    /// `work` must end with such a wait. 0 on the CPU back end.
    pub fn count_submissions(&self, work: impl FnOnce()) -> u64 {
        let begin = self.submission_number();
        self.wait(());
        let middle = self.submission_number();
        work();
        (self.submission_number() - middle).saturating_sub(middle - begin)
    }

    /// The number of an empty submission made now. wgpu shows this number only in its debug text.
    fn submission_number(&self) -> u64 {
        let Some(queue) = &self.queue else { return 0 };
        let shown = format!("{:?}", queue.submit([]));
        let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    }
}

/// The description of the CPU back end when there is no graphics adapter.
const NO_ADAPTER: &str = match cfg!(target_arch = "wasm32") {
    true => "CPU back end (this browser gives no WebGPU adapter)",
    false => "CPU back end (no graphics adapter found)",
};

#[cfg(not(target_arch = "wasm32"))]
async fn adapters() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    instance(backends).enumerate_adapters(backends).await
}

/// A browser offers one adapter, which it chooses itself.
#[cfg(target_arch = "wasm32")]
async fn adapters() -> Vec<wgpu::Adapter> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance(wgpu::Backends::BROWSER_WEBGPU).request_adapter(&options).await;
    adapter.into_iter().collect()
}

/// burn computes on a device of this instance, so wgpu's choice of a shader compiler for DX12 holds for all kernels: DXC
/// if it is linked in (feature `static-dxc`) or a `dxcompiler.dll` is found, else FXC.
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    wgpu::Instance::new(descriptor)
}

async fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete-gpu",
        wgpu::DeviceType::IntegratedGpu => "integrated-gpu",
        wgpu::DeviceType::VirtualGpu => "virtual-gpu",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    };
    AdapterSummary {
        index,
        name: name_of(info.name).await,
        backend: info.backend.to_string(),
        kind: kind.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        max_storage_buffer_bytes: limits.max_storage_buffer_binding_size,
        max_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
        max_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
    }
}

#[cfg(not(target_arch = "wasm32"))]
async fn name_of(name: String) -> String {
    name
}

/// The name of the adapter from the browser, because the name that wgpu passes on is often empty.
#[cfg(target_arch = "wasm32")]
async fn name_of(name: String) -> String {
    if name.is_empty() { crate::browser::adapter_name().await } else { name }
}

async fn summaries(adapters: &[wgpu::Adapter]) -> Vec<AdapterSummary> {
    let mut summaries = Vec::new();
    for (index, adapter) in adapters.iter().enumerate() {
        summaries.push(summary(index, adapter).await);
    }
    summaries
}

/// All adapters of the native graphics APIs, or the one of the browser.
pub async fn list() -> Vec<AdapterSummary> {
    summaries(&adapters().await).await
}

fn available(summaries: &[AdapterSummary]) -> String {
    let adapters =
        summaries.iter().map(|a| format!("{} `{}` ({}, {})", a.index, a.name, a.backend, a.kind));
    adapters.chain(["cpu (the CPU back end)".to_string()]).collect::<Vec<_>>().join("; ")
}

/// Whether the program may block until it has values from this device. If not, it must read asynchronously, as [`read`]
/// does.
pub(crate) fn is_blocking(device: &Device) -> bool {
    !cfg!(target_arch = "wasm32") || *device == cpu()
}

/// Sets the settings of burn and cubecl before they are used. By default, both libraries read the nearest `burn.toml`
/// or `cubecl.toml` in the working folder or a folder above it, and a logger in such a file truncates the file that it
/// names.
fn settle_libraries() {
    // The first settings win: an application that uses this library may have set its own.
    CubeClRuntimeConfig::try_set(CubeClRuntimeConfig::default());
    BurnConfig::try_set(BurnConfig::default());
}

/// The device of the CPU back end, which every computer has.
pub fn cpu() -> Device {
    settle_libraries();
    Device::flex()
}

/// Opens a device by name: `auto`, `gpu`, `cpu`, an adapter's index, a part of its name, or its graphics API, as in
/// `webgpu`.
///
/// `auto` selects a hardware GPU, preferably a discrete one. If there is only a software adapter or none, it selects
/// the CPU back end, which is many times faster than a software adapter.
///
/// # Errors
/// There is no such adapter, or it cannot be opened.
pub async fn open(wanted: &str) -> Result<ComputeDevice, DeviceError> {
    open_nth(wanted, 0).await
}

/// Checks that there is a device of this name, as [`open`] takes it, and opens none.
///
/// # Errors
/// There is no such adapter.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn check_name(wanted: &str) -> Result<(), DeviceError> {
    // These two are always there, and a driver is not asked for them.
    if matches!(wanted, "cpu" | "auto") {
        return Ok(());
    }
    choose(wanted, &pollster::block_on(list())).map(drop)
}

/// The names of the devices that programs on this computer take in turn: the indices of the adapters that are as good for
/// `wanted`, or `wanted` itself if there are not several.
///
/// # Errors
/// There is no such adapter.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn names_in_turn(wanted: &str) -> Result<Vec<String>, DeviceError> {
    // Drivers are not asked for what every computer has.
    let summaries = if wanted == "cpu" { Vec::new() } else { pollster::block_on(list()) };
    Ok(match choose(wanted, &summaries)? {
        Choice::Adapters(equal) if equal.len() > 1 => {
            equal.iter().map(|adapter| adapter.index.to_string()).collect()
        }
        Choice::Adapters(_) | Choice::Cpu(_) => vec![wanted.to_string()],
    })
}

/// What a name stands for.
enum Choice<'a> {
    /// The CPU back end, with its description.
    Cpu(String),
    /// Adapters that are all as good.
    Adapters(Vec<&'a AdapterSummary>),
}

fn choose<'a>(wanted: &str, summaries: &'a [AdapterSummary]) -> Result<Choice<'a>, DeviceError> {
    let equal = |first: &AdapterSummary| {
        let is_equal =
            |other: &&AdapterSummary| other.kind == first.kind && other.backend == first.backend;
        summaries.iter().filter(is_equal).collect::<Vec<_>>()
    };
    let hardware = ["discrete-gpu", "integrated-gpu", "virtual-gpu", "other"]
        .iter()
        .find_map(|kind| summaries.iter().find(|adapter| adapter.kind == *kind));
    Ok(match wanted {
        "cpu" => Choice::Cpu("CPU back end".into()),
        "auto" => match (hardware, summaries.first()) {
            (Some(adapter), _) => Choice::Adapters(equal(adapter)),
            (None, Some(software)) => Choice::Cpu(format!(
                "CPU back end (the only adapter, `{}`, is a software one)",
                software.name
            )),
            (None, None) => Choice::Cpu(NO_ADAPTER.into()),
        },
        "gpu" => Choice::Adapters(equal(
            hardware.ok_or_else(|| DeviceError::NoGpu(available(summaries)))?,
        )),
        _ => {
            let index = wanted.parse::<usize>().ok();
            let word = wanted.to_lowercase();
            let is_named = |adapter: &&AdapterSummary| match index {
                Some(index) => adapter.index == index,
                None => adapter.backend == word || adapter.name.to_lowercase().contains(&word),
            };
            let first = summaries.iter().find(is_named).ok_or_else(|| DeviceError::Unknown {
                asked: wanted.to_string(),
                available: available(summaries),
            })?;
            Choice::Adapters(equal(first).into_iter().filter(is_named).collect())
        }
    })
}

/// Opens the device of one of the programs that share this computer, from 0: as [`open`], but if several adapters are as
/// good, each program takes the next of them.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_nth(wanted: &str, nth: usize) -> Result<ComputeDevice, DeviceError> {
    // Drivers are not asked for what every computer has.
    let adapters = if wanted == "cpu" { Vec::new() } else { adapters().await };
    let summaries = summaries(&adapters).await;
    let candidates = match choose(wanted, &summaries)? {
        Choice::Cpu(description) => return Ok(ComputeDevice::cpu(description)),
        Choice::Adapters(adapters) => adapters,
    };
    let chosen = candidates[nth % candidates.len()];
    let description = format!("{} ({}, {})", chosen.name, chosen.backend, chosen.kind);
    let (device, queue) = open_adapter(&adapters[chosen.index])
        .await
        .map_err(|reason| DeviceError::Open { name: chosen.name.clone(), reason })?;
    let slot = adapters[chosen.index].get_info().device_pci_bus_id;
    let (ranks, adapter, queue) = (Ranks::alone(), Some(chosen.clone()), Some(queue));
    Ok(ComputeDevice { device, description, ranks, adapter, slot, queue })
}

/// What tells an adapter and its driver from all others, also on other computers.
#[cfg(not(target_arch = "wasm32"))]
fn whole_name(info: &wgpu::AdapterInfo) -> String {
    let wgpu::AdapterInfo { name, vendor, device, backend, driver, driver_info, .. } = info;
    format!("{name} ({vendor:04x}:{device:04x}), {backend}, {driver} {driver_info}")
}

async fn open_adapter(adapter: &wgpu::Adapter) -> Result<(Device, wgpu::Queue), String> {
    settle_libraries();
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("jempp"),
        // burn's runtime reads the supported features from the adapter, so all of them must be enabled.
        required_features: adapter
            .features()
            .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
            .difference(wgpu::Features::all_experimental_mask()),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) = adapter.request_device(&descriptor).await.map_err(|e| e.to_string())?;
    let setup = WgpuSetup {
        instance: instance(adapter.get_info().backend.into()),
        adapter: adapter.clone(),
        device,
        queue: queue.clone(),
        backend: adapter.get_info().backend,
    };
    let device = Device::wgpu_options()
        .setup(setup)
        .tasks_max(kernels::MAX_WAITING as usize)
        .init()
        .map_err(|error| error.to_string())?;
    #[cfg(not(target_arch = "wasm32"))]
    kernels::tuner::name_adapter(&device, &whole_name(&adapter.get_info()));
    Ok((device, queue))
}
