//! Which device computes: the adapters there are, the automatic choice, the CPU back end; and how its tensors are read.

mod readback;

use burn::tensor::{Device, wgpu::WgpuSetup};
use burn_std::config::BurnConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use serde::Serialize;

#[cfg(not(target_arch = "wasm32"))]
pub use readback::read_now;
pub use readback::{Arrived, ReadError, Readable, read};

/// Why no device could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// `gpu` was asked for where there is none.
    #[error("no hardware GPU found. There is: {0}")]
    NoGpu(String),
    /// No adapter of that name or index.
    #[error("no such adapter: `{asked}`. There is: {available}")]
    Unknown {
        /// The name or index that was asked for.
        asked: String,
        /// The adapters there are, and the CPU back end.
        available: String,
    },
    /// The driver refused to open the adapter.
    #[error("adapter `{name}` could not be opened: {reason}")]
    Open {
        /// The adapter's name.
        name: String,
        /// What the driver said.
        reason: String,
    },
}

/// What is known of a graphics adapter before it is opened.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterSummary {
    /// Position in the list, by which [`open`] takes it.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// The graphics API: vulkan, metal or dx12.
    pub backend: String,
    /// discrete-gpu, integrated-gpu, virtual-gpu, cpu or other.
    pub kind: String,
    /// The driver's name and version.
    pub driver: String,
    /// Largest buffer one kernel may bind, in bytes.
    pub max_storage_buffer_bytes: u64,
    /// Most workgroups along one dimension of a dispatch.
    pub max_workgroups_per_dimension: u32,
    /// Most invocations in a workgroup.
    pub max_invocations_per_workgroup: u32,
}

impl AdapterSummary {
    /// Whether it is hardware and not a program that imitates it.
    pub fn is_hardware(&self) -> bool {
        self.kind != "cpu"
    }
}

/// An open device and how to name it.
#[derive(Clone, Debug)]
pub struct ComputeDevice {
    /// The device that tensors are made on.
    pub device: Device,
    /// One line for people: what computes, and why if it was chosen.
    pub description: String,
    is_software_adapter: bool,
    queue: Option<wgpu::Queue>,
}

impl ComputeDevice {
    /// Opens the device of that name and waits for it: `auto`, `gpu`, `cpu`, an adapter's index or a part of its name.
    /// See [`open`].
    ///
    /// # Errors
    /// As [`open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(wanted: &str) -> Result<Self, DeviceError> {
        pollster::block_on(open(wanted))
    }

    /// The CPU back end with a description.
    pub fn cpu(description: impl Into<String>) -> Self {
        Self {
            device: cpu(),
            description: description.into(),
            is_software_adapter: false,
            queue: None,
        }
    }

    /// Whether it is the CPU back end.
    pub fn is_cpu(&self) -> bool {
        self.queue.is_none()
    }

    /// Whether it is a graphics adapter that only imitates hardware, and slow for it.
    pub fn is_software_adapter(&self) -> bool {
        self.is_software_adapter
    }

    /// Waits until the device has made `result`. An error it reports would show in any later read as well.
    pub fn wait<T>(&self, result: T) {
        let _ = self.device.sync();
        drop(result);
    }

    /// How many command buffers `work`, which ends by waiting for the device, sends to the GPU beside those
    /// of the waiting; 0 on the CPU back end.
    pub fn count_submissions(&self, work: impl FnOnce()) -> u64 {
        let begin = self.submission_number();
        self.wait(());
        let middle = self.submission_number();
        work();
        (self.submission_number() - middle).saturating_sub(middle - begin)
    }

    /// The number of an empty submission made now. wgpu shows it only to people.
    fn submission_number(&self) -> u64 {
        let Some(queue) = &self.queue else { return 0 };
        let shown = format!("{:?}", queue.submit([]));
        let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    }
}

/// Why the CPU back end computes where nothing else could.
const NO_ADAPTER: &str = match cfg!(target_arch = "wasm32") {
    true => "CPU back end (this browser gives no WebGPU adapter)",
    false => "CPU back end (no graphics adapter found)",
};

#[cfg(not(target_arch = "wasm32"))]
async fn adapters() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    instance(backends).enumerate_adapters(backends).await
}

/// A browser shows one adapter, its choice.
#[cfg(target_arch = "wasm32")]
async fn adapters() -> Vec<wgpu::Adapter> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance(wgpu::Backends::BROWSER_WEBGPU).request_adapter(&options).await;
    adapter.into_iter().collect()
}

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

/// Browsers describe an adapter in several words, of which wgpu passes on one that is mostly empty.
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

/// Every adapter of the native graphics APIs, or the browser's.
pub async fn list() -> Vec<AdapterSummary> {
    summaries(&adapters().await).await
}

fn available(summaries: &[AdapterSummary]) -> String {
    let adapters =
        summaries.iter().map(|a| format!("{} `{}` ({}, {})", a.index, a.name, a.backend, a.kind));
    adapters.chain(["cpu (the CPU back end)".to_string()]).collect::<Vec<_>>().join("; ")
}

/// Whether the program may wait for what this device holds; where it may not, it must ask, as [`read`] does.
pub fn is_blocking(device: &Device) -> bool {
    !cfg!(target_arch = "wasm32") || *device == cpu()
}

/// Settles the settings of burn and cubecl, before anything asks for them. Left alone, both read the nearest
/// `burn.toml` or `cubecl.toml` in the working folder or any above it, and a logger named there truncates
/// whichever file it names.
fn settle_libraries() {
    // Whoever was first keeps what they set: an application around this library may have its own.
    CubeClRuntimeConfig::try_set(CubeClRuntimeConfig::default());
    BurnConfig::try_set(BurnConfig::default());
}

/// The CPU back end, which every computer has.
pub fn cpu() -> Device {
    settle_libraries();
    Device::flex()
}

/// Opens the device of that name: `auto`, `gpu`, `cpu`, an adapter's index, a part of its name, or
/// its graphics API, as in `webgpu`.
///
/// `auto` takes a hardware GPU, a discrete one first; where there is only a software adapter or none,
/// the CPU back end is many times faster and is taken.
///
/// # Errors
/// No such adapter, or one that cannot be opened.
pub async fn open(wanted: &str) -> Result<ComputeDevice, DeviceError> {
    let on_cpu = |description: &str| Ok(ComputeDevice::cpu(description));
    if wanted == "cpu" {
        return on_cpu("CPU back end");
    }
    let adapters = adapters().await;
    let summaries = summaries(&adapters).await;
    let hardware = ["discrete-gpu", "integrated-gpu", "virtual-gpu", "other"]
        .iter()
        .find_map(|kind| summaries.iter().find(|adapter| adapter.kind == *kind));
    let chosen = match wanted {
        "auto" => match (hardware, summaries.first()) {
            (Some(adapter), _) => adapter,
            (None, Some(software)) => {
                return on_cpu(&format!(
                    "CPU back end (the only adapter, `{}`, is a software one)",
                    software.name
                ));
            }
            (None, None) => return on_cpu(NO_ADAPTER),
        },
        "gpu" => hardware.ok_or_else(|| DeviceError::NoGpu(available(&summaries)))?,
        _ => {
            let index = wanted.parse::<usize>().ok();
            let word = wanted.to_lowercase();
            summaries
                .iter()
                .find(|adapter| match index {
                    Some(index) => adapter.index == index,
                    None => adapter.backend == word || adapter.name.to_lowercase().contains(&word),
                })
                .ok_or_else(|| DeviceError::Unknown {
                    asked: wanted.to_string(),
                    available: available(&summaries),
                })?
        }
    };
    let description = format!("{} ({}, {})", chosen.name, chosen.backend, chosen.kind);
    let (device, queue) = open_adapter(&adapters[chosen.index])
        .await
        .map_err(|reason| DeviceError::Open { name: chosen.name.clone(), reason })?;
    let is_software_adapter = !chosen.is_hardware();
    Ok(ComputeDevice { device, description, is_software_adapter, queue: Some(queue) })
}

async fn open_adapter(adapter: &wgpu::Adapter) -> Result<(Device, wgpu::Queue), String> {
    settle_libraries();
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("jempp"),
        // What burn's runtime asks for: it reads support from the adapter, so all of it must be on.
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
    let device = Device::wgpu_options().setup(setup).init().map_err(|error| error.to_string())?;
    Ok((device, queue))
}
