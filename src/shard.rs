//! Shards: a job that is divided among several processes, each of which does one part of it.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};

/// The part of a job that one process does: the `number`-th of `count` parts, counted from 1. Written as in `2/3`.
///
/// The items of a job, such as its chains or images, are divided into `count` consecutive ranges of nearly equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: usize,
    count: usize,
}

impl Shard {
    /// The whole job in one part.
    pub const WHOLE: Self = Self { number: 1, count: 1 };

    /// The part `number` of `count`, counted from 1; `None` if there is no such part.
    pub fn new(number: usize, count: usize) -> Option<Self> {
        (1..=count).contains(&number).then_some(Self { number, count })
    }

    /// The number of this part, counted from 1.
    pub fn number(self) -> usize {
        self.number
    }

    /// The number of parts.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether this is the whole job.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// The items of this part, of `total` items in the whole job; none if there are fewer items than parts before it.
    pub fn range(self, total: usize) -> Range<usize> {
        // In 128 bits, because a person may ask for any number of parts.
        let end = |parts: usize| (parts as u128 * total as u128 / self.count as u128) as usize;
        end(self.number - 1)..end(self.number)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}/{}", self.number, self.count)
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

/// The text names no part of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The text is not two numbers.
    #[error("a shard is written i/n, as in 2/3 for the second of three parts")]
    Form,
    /// There are no parts.
    #[error("a job has at least 1 part: write i/n with n of 1 or more")]
    NoParts,
    /// The number of the part is not from 1 to n.
    #[error("parts are counted from 1 to {0}")]
    Number(usize),
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (number, count) = text.split_once('/').ok_or(ShardError::Form)?;
        let number_of = |text: &str| text.parse::<usize>().map_err(|_| ShardError::Form);
        let (number, count) = (number_of(number)?, number_of(count)?);
        if count == 0 {
            return Err(ShardError::NoParts);
        }
        Self::new(number, count).ok_or(ShardError::Number(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole_without_gap_or_overlap() {
        for total in [0, 1, 5, 12, 1000] {
            for count in [1, 2, 3, 7, 20] {
                let ranges =
                    (1..=count).map(|number| Shard::new(number, count).unwrap().range(total));
                let items: Vec<usize> = ranges.clone().flatten().collect();
                assert!(items.into_iter().eq(0..total), "{total} in {count}");
                let lens = || ranges.clone().map(|range| range.len());
                assert!(lens().max().unwrap() - lens().min().unwrap() <= 1, "{total} in {count}");
            }
        }
        assert!(Shard::new(usize::MAX, usize::MAX).unwrap().range(usize::MAX).len() <= 1);
    }

    #[test]
    fn what_names_no_part_is_refused() {
        assert_eq!("2/3".parse(), Ok(Shard { number: 2, count: 3 }));
        assert_eq!("1/1".parse(), Ok(Shard::WHOLE));
        for (text, error) in [
            ("0/4", ShardError::Number(4)),
            ("5/4", ShardError::Number(4)),
            ("1/0", ShardError::NoParts),
            ("0/0", ShardError::NoParts),
            ("a/b", ShardError::Form),
            ("2", ShardError::Form),
            ("", ShardError::Form),
            ("1/2/3", ShardError::Form),
            ("-1/3", ShardError::Form),
            ("99999999999999999999/3", ShardError::Form),
        ] {
            assert_eq!(text.parse::<Shard>(), Err(error), "{text}");
        }
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
    }
}
