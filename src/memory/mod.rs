//! Estimates of the memory that a run or a request needs, before any of it is allocated, and the checks of these estimates
//! against the bound of the configuration and against what the device can bind at once.

mod estimates;

use std::fmt;

use jempp_cpu::layers::MAX_POOLED_BYTES;

use crate::config::RunConfig;

/// The number of bytes of an f32 value.
const FLOAT: u64 = 4;
/// The bound if the memory of the machine is not known, and the largest bound by default, in MiB; a page has no more
/// than 4 GiB.
const DEFAULT_MIB: u64 = if cfg!(target_arch = "wasm32") { 3072 } else { 16384 };

/// The reason why a run or a request is refused for its memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuchMemory {
    /// It needs more than the bound.
    #[error(
        "{what} need {} of memory{}; the bound is {}: {remedy}, or raise training.max_memory_mib",
        size(*.bytes),
        if bytes == total { String::new() } else { format!(", everything together {}", size(*.total)) },
        size(*.bound)
    )]
    Total {
        /// The configuration key that causes the largest part of the demand, and what needs it.
        what: String,
        /// The size of that part, in bytes.
        bytes: u64,
        /// The total demand, in bytes.
        total: u64,
        /// The bound, in bytes.
        bound: u64,
        /// What makes that part smaller.
        remedy: &'static str,
    },
    /// A kernel would have to bind a larger buffer than the device can.
    #[error(
        "{what}: this needs a buffer of {}, and a kernel on this device uses at most {} at once: {remedy}, or choose another device",
        size(*.bytes),
        size(*.most)
    )]
    Binding {
        /// The configuration key that causes the buffer, and what is in it.
        what: String,
        /// The size of the buffer, in bytes.
        bytes: u64,
        /// The largest buffer that a kernel can bind, in bytes.
        most: u64,
        /// What makes the buffer small enough.
        remedy: String,
    },
}

/// A size for people, in MiB or GiB.
fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    match bytes {
        u64::MAX => "more than can be counted".into(),
        _ if mib < 999.5 => format!("{:.0} MiB", mib.ceil()),
        _ => format!("{:.1} GiB", mib / 1024.0),
    }
}

fn product(factors: impl IntoIterator<Item = usize>) -> u64 {
    factors.into_iter().fold(FLOAT, |product, n| product.saturating_mul(n as u64))
}

/// A part of a demand.
#[derive(Clone, Debug)]
struct Part {
    /// Its name in the line that describes the demand.
    name: &'static str,
    /// The configuration key that causes it, and what it is.
    what: String,
    /// What makes it smaller.
    remedy: &'static str,
    /// The bytes on the device. On the CPU back end, that is the memory of the program too.
    device: u64,
    /// The bytes in the memory of the program.
    host: u64,
}

impl Part {
    /// A part with copies of the same bytes on the device and in the memory of the program.
    fn of(name: &'static str, what: String, bytes: u64, [device, host]: [u64; 2]) -> Self {
        let (device, host) = (bytes.saturating_mul(device), bytes.saturating_mul(host));
        Self { name, what, remedy: "lower that key", device, host }
    }

    fn bytes(&self) -> u64 {
        self.device.saturating_add(self.host)
    }
}

/// A buffer that a kernel binds as a whole.
#[derive(Clone, Debug)]
struct Buffer {
    what: String,
    bytes: u64,
    remedy: String,
}

/// An estimate of the memory that a run or a request needs: the bytes of each part with its cause, and the largest
/// buffers.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// What is in memory all the time.
    parts: Vec<Part>,
    /// What is in memory one after the other: the largest counts, and the buffers that the CPU back end keeps of the others.
    passes: Vec<Part>,
    buffers: Vec<Buffer>,
    /// The largest buffer that a kernel can bind, in bytes; `None` on the CPU back end.
    max_binding: Option<u64>,
}

impl Demand {
    /// The bytes on the device and in the memory of the program.
    fn bytes(&self) -> [u64; 2] {
        let largest = self.passes.iter().max_by_key(|part| part.bytes());
        let parts = self.parts.iter().chain(largest);
        parts.fold([self.pooled_bytes(), 0], |[device, host], part| {
            [u64::saturating_add(device, part.device), u64::saturating_add(host, part.host)]
        })
    }

    /// The bytes of free buffers that the CPU back end keeps: what the smaller passes need, whose buffers have other sizes
    /// than those of the largest.
    fn pooled_bytes(&self) -> u64 {
        let passes = || self.passes.iter().map(Part::bytes);
        let smaller = passes().fold(0, u64::saturating_add) - passes().max().unwrap_or(0);
        match self.max_binding {
            Some(_) => 0,
            None => smaller.min(MAX_POOLED_BYTES as u64),
        }
    }

    /// The total demand, in bytes.
    pub fn total(&self) -> u64 {
        let [device, host] = self.bytes();
        device.saturating_add(host)
    }

    /// Checks the demand against the bound of the configuration, and its buffers against what a kernel can bind.
    ///
    /// # Errors
    /// The demand exceeds the bound, or a buffer is too large.
    pub fn check(&self, config: &RunConfig) -> Result<(), TooMuchMemory> {
        self.check_among(config, 1)
    }

    /// As [`Demand::check`], as one of `num_ranks` on this computer: on the CPU back end they share its memory, so that by
    /// default each has its part of it.
    ///
    /// # Errors
    /// As [`Demand::check`].
    pub(crate) fn check_among(
        &self,
        config: &RunConfig,
        num_ranks: usize,
    ) -> Result<(), TooMuchMemory> {
        let num_sharing = if self.max_binding.is_none() { num_ranks } else { 1 };
        let bound = bound_among(config.training.max_memory_mib, num_sharing);
        let total = self.total();
        let parts = self.parts.iter().chain(&self.passes);
        if total > bound
            && let Some(Part { what, remedy, .. }) = parts.clone().max_by_key(|part| part.bytes())
        {
            let bytes = parts.map(Part::bytes).max().unwrap_or(0);
            return Err(TooMuchMemory::Total { what: what.clone(), bytes, total, bound, remedy });
        }
        let Some(most) = self.max_binding else { return Ok(()) };
        match self.buffers.iter().find(|buffer| buffer.bytes > most) {
            Some(Buffer { what, bytes, remedy }) => Err(TooMuchMemory::Binding {
                what: what.clone(),
                bytes: *bytes,
                most,
                remedy: remedy.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// One line for people, as in `about 5.6 GiB, 4.7 GiB of it on the device: activations of the update 3.0 GiB, …`.
impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {}", size(self.total()))?;
        if self.max_binding.is_some() {
            write!(f, ", {} of it on the device", size(self.bytes()[0]))?;
        }
        let mut parts: Vec<&Part> = self.parts.iter().chain(&self.passes).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes()));
        // What is too small to matter is part of the sum only.
        let worth_saying = |part: &&&Part| part.bytes() >= self.total() / 50;
        for (index, part) in parts.iter().filter(worth_saying).enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{} {}", part.name, size(part.bytes()))?;
        }
        Ok(())
    }
}

/// The bound in bytes for a value of `training.max_memory_mib`; 0 means the memory of this machine.
pub fn bound(max_memory_mib: usize) -> u64 {
    bound_among(max_memory_mib, 1)
}

/// As [`bound`], for one of `num_sharing` programs that share the memory of this machine.
fn bound_among(max_memory_mib: usize, num_sharing: usize) -> u64 {
    let mib = match max_memory_mib {
        0 => default_mib(of_machine_mib(), num_sharing),
        mib => mib as u64,
    };
    mib << 20
}

/// The default bound in MiB, for one of `num_sharing` programs on a machine with this memory.
fn default_mib(of_machine: Option<u64>, num_sharing: usize) -> u64 {
    let share = of_machine.unwrap_or(DEFAULT_MIB) / num_sharing.max(1) as u64;
    share.min(DEFAULT_MIB)
}

/// The memory that this process may use, in MiB, if the system reports it.
#[cfg(target_os = "linux")]
fn of_machine_mib() -> Option<u64> {
    let number_in = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    // The machine reports KiB; cgroups of both versions, which limit containers, report bytes.
    let machine = number_in("/proc/meminfo", "MemTotal:").map(|kib| kib >> 10);
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let groups = groups.into_iter().filter_map(|path| number_in(path, "").map(|bytes| bytes >> 20));
    machine.into_iter().chain(groups).min()
}

#[cfg(not(target_os = "linux"))]
fn of_machine_mib() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let part = Part::of("chains", "chains".into(), product([usize::MAX, usize::MAX]), [2, 1]);
        let demand = Demand { parts: vec![part.clone(), part], ..Demand::default() };
        assert!(demand.check(&RunConfig::default()).is_err());
    }

    #[test]
    fn programs_that_share_a_machine_each_have_a_part_of_its_memory() {
        assert_eq!(default_mib(Some(8000), 1), 8000);
        assert_eq!(default_mib(Some(8000), 4), 2000);
        // A large machine has enough for all of them.
        assert_eq!(default_mib(Some(1 << 20), 4), DEFAULT_MIB);
        assert_eq!(default_mib(None, 2), DEFAULT_MIB / 2);
        let half = Part::of("chains", "chains".into(), bound(0) / 2, [1, 0]);
        let on_cpu = Demand { parts: vec![half], ..Demand::default() };
        let on_gpu = Demand { max_binding: Some(1 << 30), ..on_cpu.clone() };
        let mut config = RunConfig::default();
        for (demand, num_ranks, is_enough) in
            [(&on_cpu, 1, true), (&on_cpu, 1 << 20, false), (&on_gpu, 1 << 20, true)]
        {
            let checked = demand.check_among(&config, num_ranks);
            assert_eq!(checked.is_ok(), is_enough, "{num_ranks} ranks");
        }
        // What a person allows holds for each.
        config.training.max_memory_mib = (bound(0) >> 20) as usize;
        on_cpu.check_among(&config, 1 << 20).unwrap();
    }

    #[test]
    fn the_cpu_back_end_keeps_buffers_of_the_smaller_passes_within_its_bound() {
        const MIB: u64 = 1 << 20;
        let total = |others: u64, max_binding| {
            let pass = |bytes| Part::of("pass", "pass".into(), bytes, [1, 0]);
            let passes = [40 * MIB, 300 * MIB, others].map(pass).to_vec();
            Demand { passes, max_binding, ..Demand::default() }.total() / MIB
        };
        assert_eq!(total(10 * MIB, None), 350);
        assert_eq!(total(200 * MIB, None), 428);
        assert_eq!(total(200 * MIB, Some(MIB)), 300);
    }
}
