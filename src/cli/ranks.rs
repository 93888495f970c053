//! The ranks of `jempp train`: their start by `mpirun`, the device of each, and their end.

use anyhow::bail;

use super::tune::TuneArgs;
use crate::{
    device::ComputeDevice,
    kernel_choices::Tuning,
    ranks::{
        Ranks,
        launch::{self, Launch},
    },
    say::{self, complain, set_silent},
};

/// Connects this process to the other ranks, if a launcher of MPI started it as one of several. From then on only rank 0
/// prints.
///
/// # Errors
/// The program was built without MPI, or the ranks are not of the same version.
pub(super) fn join() -> anyhow::Result<Ranks> {
    let Some(launch) = launch::launch() else { return Ok(Ranks::alone()) };
    set_silent(launch.rank > 0);
    connect(launch)
}

#[cfg(feature = "mpi")]
fn connect(launch: Launch) -> anyhow::Result<Ranks> {
    use crate::ranks::mpi;
    let ranks = mpi::connect(launch.size, |own, other, silence| {
        // One line, of a rank that lives.
        set_silent(own > 1);
        complain!(
            "error: rank {other} has not been heard of for {} seconds, so all ranks end. The run's last checkpoint is whole: \
             `jempp train --resume` continues from it",
            silence.as_secs()
        );
    })?;
    leave(&ranks, ranks.meet(&mpi::computer()).map_err(Into::into))?;
    share_cores(&ranks);
    Ok(ranks)
}

#[cfg(not(feature = "mpi"))]
fn connect(launch: Launch) -> anyhow::Result<Ranks> {
    bail!(
        "{} started {} processes, and each of them would train the same run, because {}",
        launch.launcher,
        launch.size,
        super::absent::refusal("MPI", "mpi")
    )
}

/// Gives each rank of a computer its share of the cores, unless the launcher or the user did.
#[cfg(feature = "mpi")]
fn share_cores(ranks: &Ranks) {
    let num_ranks = ranks.position().local_size;
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    if std::env::var_os("RAYON_NUM_THREADS").is_some() || usable < num_cores() {
        return;
    }
    let share = (usable / num_ranks).max(1);
    // It fails if the threads run already; then they stay as they are.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(share).build_global();
}

/// The number of cores of the computer, also of those that this process may not use.
#[cfg(all(feature = "mpi", unix))]
fn num_cores() -> usize {
    // SAFETY: it reads a number.
    let found = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(found).unwrap_or(1)
}

#[cfg(all(feature = "mpi", not(unix)))]
fn num_cores() -> usize {
    1
}

/// Opens the device of this rank: the one of its place in a list, or the next of those that are as good.
///
/// # Errors
/// A rank has no device.
pub(super) fn open(
    tune: TuneArgs,
    wanted: &str,
    default: Tuning,
    ranks: &Ranks,
) -> anyhow::Result<ComputeDevice> {
    let position = ranks.position();
    let opened = match ranks.is_alone() {
        true => tune.open(wanted, default),
        false => choose(wanted, position.local_rank, position.local_size)
            .and_then(|(wanted, nth)| tune.open_nth(wanted, nth, default)),
    };
    let mut device = ranks.agree(opened)?;
    ranks.compare_devices(&format!("{}{}", device.description, arithmetic(&device)))?;
    device.ranks = ranks.clone();
    Ok(device)
}

/// The device of a rank in `wanted`, a name for all ranks or a list with one for each, and how many of the ranks before it
/// have the same name.
fn choose(wanted: &str, local_rank: usize, local_size: usize) -> anyhow::Result<(&str, usize)> {
    let names: Vec<&str> = wanted.split(',').map(str::trim).collect();
    if names.len() == 1 {
        return Ok((wanted, local_rank));
    }
    let Some(&name) = names.get(local_rank) else {
        bail!(
            "--device {wanted} names {} devices, and there are {local_size} ranks on this computer: name one for each",
            names.len()
        );
    };
    Ok((name, names[..local_rank].iter().filter(|other| **other == name).count()))
}

/// What else decides how the CPU back end rounds.
fn arithmetic(device: &ComputeDevice) -> String {
    #[cfg(target_arch = "x86_64")]
    if device.is_cpu() {
        let has_avx512 = std::arch::is_x86_feature_detected!("avx512f");
        let has_fma = std::arch::is_x86_feature_detected!("fma");
        return format!(" avx512={has_avx512} fma={has_fma}");
    }
    let _ = device;
    String::new()
}

/// The ranks in words, for the opening: their number and their share of a batch.
pub(super) fn describe(ranks: &Ranks, batch_size: usize) -> String {
    let (size, share) = (ranks.size(), batch_size / ranks.size());
    let mixed = match ranks.is_mixed() {
        true => "; their devices differ, so rank 0 sends its weights to all after every update",
        false => "",
    };
    format!("{size}, each with {share} of the {batch_size} images and chains of a step{mixed}")
}

/// Ends the run on this rank. If it failed and the others do not know, all are ended at once.
///
/// An error of all ranks is printed here, while they are connected and wait for each other. Afterwards it can be too late:
/// when the first rank exits with an error, the launcher ends the others.
pub(super) fn leave<T>(ranks: &Ranks, result: anyhow::Result<T>) -> anyhow::Result<T> {
    match &result {
        Ok(_) => {}
        Err(_) if ranks.is_alone() => {}
        Err(error) if ranks.is_over() => {
            super::print_error(error, Some("train"));
            set_silent(true);
        }
        Err(error) => {
            set_silent(false);
            complain!("error: rank {}: {}", ranks.rank(), say::one_line(error));
            ranks.abort();
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_each_rank_of_a_computer_its_device() {
        let of = |wanted, rank| choose(wanted, rank, 3).map_err(|error| error.to_string());
        assert_eq!(of("auto", 2), Ok(("auto", 2)));
        assert_eq!(of("0, 1,cpu", 1), Ok(("1", 0)));
        assert_eq!(of("H200,cpu,H200", 2), Ok(("H200", 1)));
        assert_eq!(
            of("0,1", 2),
            Err("--device 0,1 names 2 devices, and there are 3 ranks on this computer: name one for each".into())
        );
    }
}
