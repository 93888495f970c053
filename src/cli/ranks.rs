//! The ranks of `jempp train`: their start by `mpirun`, the device of each, and their end.

use anyhow::bail;

use super::{processes::let_first_speak, tune::TuneArgs};
use crate::{
    device::ComputeDevice,
    kernel_choices::Tuning,
    ranks::{
        RankDevice, Ranks,
        account::Spent,
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
    use crate::{
        ranks::mpi::{self, Program},
        signals,
    };
    let ranks = mpi::connect(
        launch.size,
        Program {
            is_asked_to_stop: signals::is_requested,
            on_silence: |other, silence| {
                // One line, of the first rank that lives: the others wait longer.
                set_silent(false);
                complain!(
                    "error: rank {other} has not been heard of for {} seconds, so all ranks end. The run's last checkpoint is \
                     whole: `jempp train --resume` continues from it",
                    silence.as_secs()
                );
            },
            on_standstill: |waited| {
                complain!(
                    "error: the run was asked to stop, and a rank has not answered for {} seconds, so all ranks end. What came \
                     after the run's last checkpoint is not saved: `jempp train --resume` continues from it",
                    waited.as_secs()
                );
            },
        },
    );
    // The library does not fit any of the ranks.
    let ranks = ranks.inspect_err(|_| let_first_speak())?;
    let computer = mpi::computer();
    leave(&ranks, ranks.meet(&computer).map_err(Into::into))?;
    leave(&ranks, share_cores(&ranks, &computer).map_err(Into::into))?;
    Ok(ranks)
}

#[cfg(not(feature = "mpi"))]
fn connect(launch: Launch) -> anyhow::Result<Ranks> {
    let_first_speak();
    bail!(
        "{} started {} processes, and each of them would train the same run, because {}",
        launch.launcher,
        launch.size,
        super::absent::refusal("MPI", "mpi")
    )
}

/// Gives each rank of a computer its share of the cores, unless the user did.
///
/// # Errors
/// A rank has left.
#[cfg(feature = "mpi")]
fn share_cores(ranks: &Ranks, computer: &str) -> Result<(), crate::ranks::RankError> {
    let own = allowed_cores();
    // All ranks take part, whether or not they use what they hear.
    let all = ranks.exchange(&format!("{own}\n{computer}"))?;
    if std::env::var_os("RAYON_NUM_THREADS").is_some() {
        return Ok(());
    }
    let here = all.iter().filter_map(|text| {
        let (cores, other) = text.split_once('\n')?;
        (other == computer).then(|| cores_of(cores))
    });
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let share = num_threads(usable, &cores_of(&own), &here.collect::<Vec<_>>());
    // It fails if the threads run already; then they stay as they are.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(share).build_global();
    Ok(())
}

/// The cores that this process may use, as Linux lists them; nothing on other systems.
#[cfg(feature = "mpi")]
fn allowed_cores() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.unwrap_or_default().trim().to_string()
}

/// The cores in a list of Linux, as in `0-3,8`.
#[cfg(any(feature = "mpi", test))]
fn cores_of(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok();
        Some(number(first)?..=number(last)?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// The number of threads of a rank that may use `usable` of the cores `own`, when the ranks of its computer, this one among
/// them, may use the cores `here`: those who may use a core share it.
#[cfg(any(feature = "mpi", test))]
fn num_threads(usable: usize, own: &[usize], here: &[Vec<usize>]) -> usize {
    let even = usable as f64 / here.len().max(1) as f64;
    let part =
        |core: &usize| 1.0 / here.iter().filter(|cores| cores.contains(core)).count().max(1) as f64;
    let share = match own.len() {
        // There is no list.
        0 => even,
        // A container may use less time than its cores have, and all ranks in it share that.
        listed if usable < listed => even.min(own.iter().map(part).sum()),
        _ => own.iter().map(part).sum(),
    };
    // Three thirds may be a little less than one.
    ((share + 1e-6) as usize).max(1)
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
    ranks.compare_devices(&RankDevice {
        name: device.description.clone(),
        details: details(&device),
        slot: device.slot().to_string(),
    })?;
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

/// What else decides how a device rounds: the driver of an adapter, or what the processor can do.
fn details(device: &ComputeDevice) -> String {
    #[cfg(target_arch = "x86_64")]
    if device.is_cpu() {
        let has_avx512 = std::arch::is_x86_feature_detected!("avx512f");
        let has_fma = std::arch::is_x86_feature_detected!("fma");
        let word = |has: bool| if has { "with" } else { "without" };
        return format!("{} AVX-512, {} FMA", word(has_avx512), word(has_fma));
    }
    device.adapter().map(|adapter| adapter.driver.clone()).unwrap_or_default()
}

/// The ranks in words, for the opening: their number and their share of a batch, and their devices if these differ or some
/// ranks have the same.
pub(super) fn describe(ranks: &Ranks, batch_size: usize) -> String {
    let (size, share) = (ranks.size(), batch_size / ranks.size());
    let mut said =
        format!("{size}, each with {share} of the {batch_size} images and chains of a step");
    let devices = ranks.devices();
    if ranks.is_mixed() {
        said += "; their devices differ, so rank 0 sends its weights to all after every update";
        let words = |device: &RankDevice| match device.details.is_empty() {
            true => device.name.clone(),
            false => format!("{}, {}", device.name, device.details),
        };
        for (device, of) in grouped(devices.iter().map(words)) {
            said += &format!("; {}: {device}", numbers(&of));
        }
    }
    // A place is that of one computer; `place` names it if there are several.
    let computer = |rank| ranks.place(rank).split_once(" on ").map(|(_, name)| name.to_string());
    let places = devices.iter().enumerate();
    let places = places.map(|(rank, device)| (computer(rank), device.slot.as_str()));
    for ((_, slot), of) in grouped(places) {
        if !slot.is_empty() && of.len() > 1 {
            said += &format!("; {} share the adapter {}", numbers(&of), devices[of[0]].name);
        }
    }
    said
}

/// The time in exchanges in words, for the end of a run.
pub(super) fn in_exchanges(spent: &Spent) -> String {
    let Spent { whole, sums, logits, chains, rest } = spent;
    let [all, whole, sums, logits, chains, rest] =
        [*sums + *logits + *chains + *rest, *whole, *sums, *logits, *chains, *rest]
            .map(|time| format!("{:.1}", time.as_secs_f64()));
    format!(
        "{all} of {whole} s, with the waits for slower ranks: {sums} s for sums of gradients, {logits} s for logits, {chains} s \
         for chains, {rest} s for the rest"
    )
}

/// The different ones of what the ranks have, each with its ranks.
fn grouped<T: PartialEq>(of_ranks: impl Iterator<Item = T>) -> Vec<(T, Vec<usize>)> {
    let mut groups: Vec<(T, Vec<usize>)> = Vec::new();
    for (rank, own) in of_ranks.enumerate() {
        match groups.iter_mut().find(|(known, _)| *known == own) {
            Some((_, ranks)) => ranks.push(rank),
            None => groups.push((own, vec![rank])),
        }
    }
    groups
}

/// Some ranks in words.
fn numbers(ranks: &[usize]) -> String {
    let numbers: Vec<String> = ranks.iter().map(usize::to_string).collect();
    format!("{} {}", if ranks.len() == 1 { "rank" } else { "ranks" }, numbers.join(", "))
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
    use std::time::Duration;

    use super::*;
    use crate::ranks::threads;

    /// What rank 0 says of ranks with these devices: name, details and place.
    fn said_of(devices: [[&'static str; 3]; 3]) -> String {
        let all = threads::group(devices.len());
        let said: Vec<String> = std::thread::scope(|scope| {
            let start = |(ranks, [name, details, slot]): (Ranks, [&'static str; 3])| {
                scope.spawn(move || {
                    let [name, details, slot] = [name, details, slot].map(String::from);
                    ranks.compare_devices(&RankDevice { name, details, slot }).unwrap();
                    describe(&ranks, 12)
                })
            };
            let started: Vec<_> = all.into_iter().zip(devices).map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(said.iter().all(|other| *other == said[0]), "{said:?}");
        said[0].clone()
    }

    #[test]
    fn devices_are_named_if_they_differ_or_are_shared() {
        let (same, begin) =
            (["H200", "550", ""], "3, each with 4 of the 12 images and chains of a step");
        assert_eq!(said_of([same, same, same]), begin);
        let own = ["a", "b", "c"].map(|slot| ["H200", "550", slot]);
        assert_eq!(said_of(own), begin);
        assert_eq!(
            said_of([own[0], own[1], own[0]]),
            format!("{begin}; ranks 0, 2 share the adapter H200")
        );
        assert_eq!(
            said_of([own[0], ["H200", "560", "b"], ["CPU back end", "", ""]]),
            format!(
                "{begin}; their devices differ, so rank 0 sends its weights to all after every update; rank 0: H200, 550; \
                 rank 1: H200, 560; rank 2: CPU back end"
            )
        );
    }

    #[test]
    fn the_time_in_exchanges_is_told_in_one_line() {
        let secs = Duration::from_secs_f64;
        let spent = Spent {
            whole: secs(30.0),
            sums: secs(1.2),
            logits: secs(0.3),
            chains: secs(0.1),
            rest: Duration::ZERO,
        };
        assert_eq!(
            in_exchanges(&spent),
            "1.6 of 30.0 s, with the waits for slower ranks: 1.2 s for sums of gradients, 0.3 s for logits, 0.1 s for chains, \
             0.0 s for the rest"
        );
    }

    #[test]
    fn ranks_share_the_cores_that_several_may_use() {
        assert_eq!(cores_of("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(cores_of(" 5"), [5]);
        assert!(cores_of("").is_empty());
        let threads = |usable, lists: &[&str]| {
            let here: Vec<Vec<usize>> = lists.iter().map(|list| cores_of(list)).collect();
            num_threads(usable, &here[0], &here)
        };
        // Nobody is bound: on a whole computer, and in a smaller set of its cores.
        assert_eq!(threads(16, &["0-15"; 4]), 4);
        assert_eq!(threads(4, &["8-11"; 4]), 1);
        assert_eq!(threads(3, &["0-2"; 3]), 1);
        // Each has its own, or two share a socket.
        assert_eq!(threads(4, &["0-3", "4-7"]), 4);
        assert_eq!(threads(8, &["0-7", "0-7", "8-15", "8-15"]), 4);
        assert_eq!(threads(8, &["0-7", "4-11"]), 6);
        // A container with the time of four cores on a computer of 64, and a system without such lists.
        assert_eq!(threads(4, &["0-63"; 2]), 2);
        assert_eq!(threads(8, &["", ""]), 4);
        assert_eq!(threads(1, &["0", "0"]), 1);
    }

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
