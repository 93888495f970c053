//! What ranks tell one another before the first step: their program, their computers and devices, their settings.

#[cfg(any(feature = "mpi", test))]
use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::{RankDevice, RankError, Ranks, account::Purpose};

/// The number of what ranks exchange after they have met. Raise it with every change of that: two builds may have the same
/// version.
#[cfg(any(feature = "mpi", test))]
const PROTOCOL: u32 = 2;

/// The settings that each rank may have for itself: where its files are, and how much memory its computer has.
const OF_EACH_RANK: [&str; 2] = ["data.dir", "training.max_memory_mib"];

impl Ranks {
    /// The first exchange: checks that all ranks run the same version of the program, with the same exchanges, and learns
    /// their computers.
    ///
    /// # Errors
    /// A rank runs another version.
    #[cfg(any(feature = "mpi", test))]
    pub(crate) fn meet(&self, computer: &str) -> Result<(), RankError> {
        self.meet_as(&version_with(PROTOCOL), computer)
    }

    /// This exchange stays as it is in all versions.
    #[cfg(any(feature = "mpi", test))]
    fn meet_as(&self, version: &str, computer: &str) -> Result<(), RankError> {
        let Some(group) = &self.0 else { return Ok(()) };
        let all = self.exchange(&format!("{version}\n{computer}"))?;
        let parts: Vec<(&str, &str)> =
            all.iter().map(|text| text.split_once('\n').unwrap_or((text, "?"))).collect();
        let computers: HashSet<&str> = parts.iter().map(|(_, computer)| *computer).collect();
        let place = |(rank, (_, computer)): (usize, &(&str, &str))| match computers.len() {
            1 => format!("rank {rank}"),
            _ => format!("rank {rank} on {computer}"),
        };
        // Only one exchange is the first.
        let _ = group.places.set(parts.iter().enumerate().map(place).collect());
        let versions: Vec<&str> = parts.iter().map(|(version, _)| *version).collect();
        self.compare(&versions, |first, own| {
            (first != own).then(|| {
                format!(
                    "it runs jempp {own}, and rank 0 runs {first}: start the same version on all computers"
                )
            })
        })
    }

    /// Learns the devices of all ranks, and whether they differ, so that their results differ in the last digits.
    ///
    /// # Errors
    /// A rank has left.
    pub(crate) fn compare_devices(&self, own: &RankDevice) -> Result<(), RankError> {
        let Some(group) = &self.0 else { return Ok(()) };
        let own = [&own.name, &own.details, &own.slot].map(|text| text.replace('\n', " "));
        let all = self.exchange(&own.join("\n"))?;
        let device = |text: &String| {
            let mut parts = text.split('\n').map(str::to_string);
            let mut next = || parts.next().unwrap_or_default();
            RankDevice { name: next(), details: next(), slot: next() }
        };
        let all: Vec<RankDevice> = all.iter().map(device).collect();
        let kind = |device: &RankDevice| (device.name.clone(), device.details.clone());
        let is_mixed = all.iter().any(|other| kind(other) != kind(&all[0]));
        group.is_mixed.store(is_mixed, Ordering::Relaxed);
        // They are compared once.
        let _ = group.devices.set(all);
        Ok(())
    }

    /// The devices of all ranks; none before they were compared, or for the only rank.
    pub(crate) fn devices(&self) -> &[RankDevice] {
        match self.0.as_ref().and_then(|group| group.devices.get()) {
            Some(devices) => devices,
            None => &[],
        }
    }

    /// Whether each rank may have a value of its own for a key.
    pub(crate) fn may_differ(key: &str) -> bool {
        OF_EACH_RANK.contains(&key)
    }

    /// Checks that `own` of every rank fits that of rank 0; `difference` says what does not: (first, own) to words.
    ///
    /// # Errors
    /// The difference of the first rank that has one.
    pub(crate) fn check_same(
        &self,
        own: &str,
        difference: impl Fn(&str, &str) -> Option<String>,
    ) -> Result<(), RankError> {
        if self.is_alone() {
            return Ok(());
        }
        let all = self.exchange(own)?;
        self.compare(&all.iter().map(String::as_str).collect::<Vec<_>>(), difference)
    }

    fn compare(
        &self,
        all: &[&str],
        difference: impl Fn(&str, &str) -> Option<String>,
    ) -> Result<(), RankError> {
        let differing = |rank: usize| Some((rank, difference(all[0], all[rank])?));
        match (1..all.len()).find_map(differing) {
            None => Ok(()),
            Some((rank, message)) => {
                Err(self.over(RankError::Failed { place: self.place(rank), message }))
            }
        }
    }

    /// The texts of all ranks.
    pub(crate) fn exchange(&self, own: &str) -> Result<Vec<String>, RankError> {
        let all = self.gather_bytes(Purpose::Rest, Ok(own.as_bytes().to_vec()))?;
        Ok(all.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect())
    }
}

/// The version of this program, with that of its exchanges.
#[cfg(any(feature = "mpi", test))]
fn version_with(protocol: u32) -> String {
    format!("{} (exchanges {protocol})", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Order, threads},
        *,
    };

    /// What each of `size` ranks finds.
    fn on_each<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let started: Vec<_> = threads::group(size)
                .into_iter()
                .map(|ranks| scope.spawn(move || work(ranks)))
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn ranks_of_different_versions_part_with_the_same_line() {
        let said = on_each(3, |ranks| {
            let version = if ranks.rank() == 2 { "0.2.0" } else { "0.1.0" };
            let computer = if ranks.rank() == 2 { "b" } else { "a" };
            ranks.meet_as(version, computer).unwrap_err().to_string()
        });
        for said in said {
            assert_eq!(
                said,
                "rank 2 on b: it runs jempp 0.2.0, and rank 0 runs 0.1.0: start the same version on all computers"
            );
        }
    }

    #[test]
    fn builds_of_one_version_with_other_exchanges_part() {
        let met = on_each(2, |ranks| match ranks.follows() {
            true => ranks.meet_as(&version_with(PROTOCOL + 1), "a"),
            false => ranks.meet("a"),
        });
        assert_eq!(met[0], met[1]);
        let [own, first] = [PROTOCOL + 1, PROTOCOL].map(version_with);
        assert_eq!(
            met[0].clone().unwrap_err().to_string(),
            format!(
                "rank 1: it runs jempp {own}, and rank 0 runs {first}: start the same version on all computers"
            )
        );
    }

    #[test]
    fn weights_count_as_compared_at_one_moment_only() {
        let found = on_each(2, |ranks| {
            let before = ranks.are_compared((7, 0));
            ranks.set_compared((7, 0));
            let after = [(7, 0), (7, 1), (8, 0)].map(|moment| ranks.are_compared(moment));
            (before, after)
        });
        assert_eq!(found, [(false, [true, false, false]); 2]);
        assert!(Ranks::alone().are_compared((7, 0)), "nobody has others");
    }

    #[test]
    fn only_the_last_order_ends_the_run() {
        for last in [Order::Leave, Order::Pause, Order::Fail] {
            let found = on_each(2, |ranks| {
                for order in [Order::Step, Order::Compare, Order::Return, last] {
                    assert!(!ranks.is_over());
                    match ranks.follows() {
                        true => assert_eq!(ranks.next_order(), Ok(order)),
                        false => ranks.order(order).unwrap(),
                    }
                }
                ranks.is_over()
            });
            assert_eq!(found, [true, true]);
        }
    }

    #[test]
    fn an_error_of_one_rank_is_the_error_of_all() {
        let said = on_each(4, |ranks| {
            let own = match ranks.rank() {
                2 => Err(RankError::Ended),
                _ => Ok(()),
            };
            (ranks.agree(own).unwrap_err().to_string(), ranks.is_over())
        });
        assert!(
            said.iter().all(|(said, is_over)| said == "rank 2: rank 0 ended the run" && *is_over)
        );
    }

    #[test]
    fn sums_have_the_same_bits_on_all_ranks_and_carry_errors() {
        let sums = on_each(4, |ranks| {
            let values = vec![0.1 + ranks.rank() as f32, 1e-8];
            ranks.sum(Ok::<_, RankError>(values), 2).unwrap()
        });
        assert!(sums.iter().all(|sum| *sum == sums[0]) && (sums[0][0] - 6.4).abs() < 1e-6);
        let failed = on_each(3, |ranks| {
            let values = if ranks.rank() == 1 { Err("no memory") } else { Ok(vec![1.0; 5]) };
            ranks.sum(values, 5).unwrap_err().to_string()
        });
        assert_eq!(failed, ["rank 1: no memory"; 3]);
    }

    #[test]
    fn a_rank_that_ends_frees_those_that_wait_for_it() {
        let said = on_each(3, |ranks| match ranks.rank() {
            1 => None,
            _ => Some(ranks.exchange("here").unwrap_err()),
        });
        assert_eq!(said, [Some(RankError::Gone), None, Some(RankError::Gone)]);
    }

    #[test]
    fn rows_are_shared_evenly_and_devices_compared() {
        let rows = on_each(4, |ranks| {
            let name = if ranks.rank() == 3 { "cpu" } else { "gpu" };
            let device = RankDevice { name: name.into(), ..RankDevice::default() };
            ranks.compare_devices(&device).unwrap();
            (ranks.rows(12), ranks.is_mixed())
        });
        assert_eq!(rows, [(0..3, true), (3..6, true), (6..9, true), (9..12, true)]);
    }

    #[test]
    fn devices_differ_by_their_drivers_and_not_by_their_places() {
        let is_mixed = |details: [&str; 2], slots: [&str; 2]| {
            let found = on_each(2, |ranks| {
                let [details, slot] = [details, slots].map(|of| of[ranks.rank()].to_string());
                let device = RankDevice { name: "gpu".into(), details, slot };
                ranks.compare_devices(&device).unwrap();
                (ranks.devices()[1].slot.clone(), ranks.is_mixed())
            });
            assert_eq!(found[0], found[1]);
            assert_eq!(found[0].0, slots[1]);
            found[0].1
        };
        assert!(!is_mixed(["driver 1", "driver 1"], ["a", ""]));
        assert!(is_mixed(["driver 1", "driver 2"], ["a", "a"]));
    }
}
