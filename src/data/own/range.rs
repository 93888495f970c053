//! The range of the numbers in arrays of images, which is told by the smallest and the largest.

use super::{Reason, npy::Values as Elements};
use crate::{counts::counted, data::Values};

/// How the numbers of images become values in [-1, 1].
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    name: &'static str,
    factor: f32,
    shift: f32,
    /// Whether all numbers are bytes, which are kept as they are.
    is_bytes: bool,
    /// The smallest and the largest number.
    low: f32,
    high: f32,
    /// A part whose numbers alone would have another range, and that range in words.
    other: Option<(&'static str, &'static str)>,
}

/// How far floats may lie outside their range, as a share of it: computing leaves such errors. They are clamped.
const SLACK: f32 = 1e-3;

/// The numbers of an array in short.
#[derive(Clone, Copy)]
struct Extent {
    low: f32,
    high: f32,
    is_bytes: bool,
    is_floats: bool,
}

impl Extent {
    /// The extent of some numbers; `None` if there are none, or if they are points, which have no range.
    ///
    /// # Errors
    /// A number is not finite.
    fn of(elements: &Elements) -> Result<Option<Self>, Reason> {
        let (low, high) = match elements {
            Elements::Bytes(bytes) => (
                bytes.iter().copied().min().map(f32::from),
                bytes.iter().copied().max().map(f32::from),
            ),
            Elements::Integers(values) | Elements::Floats(values) => {
                let num_bad = values.iter().filter(|value| !value.is_finite()).count();
                if num_bad > 0 {
                    return Err(format!(
                        "x holds {}",
                        counted(
                            num_bad,
                            "value that is not a finite number",
                            "values that are not finite numbers"
                        )
                    ));
                }
                let all = || values.iter().copied();
                (all().reduce(f32::min), all().reduce(f32::max))
            }
            Elements::Points(_) => (None, None),
        };
        let (Some(low), Some(high)) = (low, high) else { return Ok(None) };
        let is_bytes = matches!(elements, Elements::Bytes(_));
        Ok(Some(Self { low, high, is_bytes, is_floats: matches!(elements, Elements::Floats(_)) }))
    }

    /// Whether the numbers have the same type.
    fn is_like(&self, other: &Self) -> bool {
        (self.is_bytes, self.is_floats) == (other.is_bytes, other.is_floats)
    }

    fn with(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            is_bytes: self.is_bytes && other.is_bytes,
            is_floats: self.is_floats || other.is_floats,
        }
    }
}

impl Range {
    /// The one range that the numbers of all parts fit: bytes, 0 to 1, -1 to 1, 0 to 255 or 0 to 65535. Messages call the
    /// parts by these names.
    ///
    /// # Errors
    /// A number is not finite, the numbers fit no range, or the parts have different ranges.
    pub(super) fn of(
        parts: [Option<&Elements>; 3],
        names: [&'static str; 3],
    ) -> Result<Self, Reason> {
        let mut found: Vec<(&'static str, Extent)> = Vec::new();
        for (elements, name) in parts.into_iter().zip(names) {
            let extent = elements.map(Extent::of).transpose()?.flatten();
            found.extend(extent.map(|extent| (name, extent)));
        }
        let all = found.iter().map(|(_, extent)| *extent).reduce(Extent::with);
        let all = all.ok_or("there is nothing to train on: its parts hold no image")?;
        let mut own: Vec<(&'static str, Extent, Self)> = Vec::new();
        for (name, extent) in found {
            // Black images alone say nothing of their range.
            if (extent.low, extent.high) == (0.0, 0.0) {
                continue;
            }
            let range = Self::of_extent(extent)?;
            if let Some((first, _, one)) =
                own.iter().find(|(_, other, one)| !range.may_be(one, extent.is_like(other)))
            {
                return Err(format!(
                    "values of the {first} part are {}, and those of the {name} part are {}; save all parts in one range",
                    one.name, range.name
                ));
            }
            own.push((name, extent, range));
        }
        let range = Self::of_extent(all)?;
        let other = own.iter().find(|(_, _, own)| !own.may_be(&range, false));
        Ok(Self { other: other.map(|(name, _, own)| (*name, own.name)), ..range })
    }

    /// Whether numbers of this range may be of the other one. A small part may have no number below 0 or above 255: if its
    /// numbers have the type of the others (`is_like`), that is more probable than a range of its own.
    fn may_be(&self, other: &Self, is_like: bool) -> bool {
        let is_of_units = |range: &Self| range.factor >= 1.0;
        (self.factor, self.shift) == (other.factor, other.shift)
            || is_like && is_of_units(self) == is_of_units(other)
    }

    /// # Errors
    /// The numbers fit no range.
    fn of_extent(Extent { low, high, is_bytes, is_floats }: Extent) -> Result<Self, Reason> {
        let range =
            |name, factor, shift| Self { name, factor, shift, is_bytes, low, high, other: None };
        let fits = |from: f32, to: f32| {
            let slack = if is_floats { SLACK * (to - from) } else { 0.0 };
            low >= from - slack && high <= to + slack
        };
        Ok(match (low, high) {
            _ if is_bytes => range("bytes, 0 to 255", 1.0 / 127.5, -1.0),
            _ if fits(0.0, 1.0) => range("read as 0 to 1", 2.0, -1.0),
            _ if fits(-1.0, 1.0) => range("read as -1 to 1", 1.0, 0.0),
            _ if fits(0.0, 255.0) => range("read as 0 to 255", 1.0 / 127.5, -1.0),
            (0.0.., ..=65535.0) if !is_floats => range("read as 0 to 65535", 1.0 / 32767.5, -1.0),
            _ => {
                return Err(format!(
                    "the values of x go from {low} to {high}; scale them to 0 to 1, -1 to 1 or 0 to 255"
                ));
            }
        })
    }

    /// What was chosen, in words.
    pub(super) fn in_words(&self) -> String {
        format!("values are {}", self.name)
    }

    /// Warnings if a part of the range is not used, or a part of the data alone would have another range.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let other = self.other.map(|(part, own)| {
            format!(
                "{}, but those of the {part} part alone would be {own}; if these were scaled in another way, save all parts in \
                 one range",
                self.in_words()
            )
        });
        self.unused().into_iter().chain(other)
    }

    /// A warning if the images are dark, or have no dark places, because the range is larger than the values.
    fn unused(&self) -> Option<String> {
        let darkest = self.low * self.factor + self.shift;
        if self.low < 0.0 && darkest > -0.5 {
            return Some(format!(
                "the images have no dark places: {}, and the smallest is {}; if they should go from 0 to 1, save them without \
                 values below 0",
                self.in_words(),
                self.low
            ));
        }
        let brightest = self.high * self.factor + self.shift;
        (brightest < 0.0 && self.high > 0.0).then(|| {
            format!(
                "the images are dark: {}, and the largest is {}; save x * {:.4}",
                self.in_words(),
                self.high,
                (1.0 - self.shift) / self.factor / self.high
            )
        })
    }

    /// The numbers as values of a data set; points stay as they are.
    pub(super) fn scaled(&self, values: Elements) -> Values {
        match values {
            Elements::Bytes(bytes) if self.is_bytes => Values::Bytes(bytes),
            Elements::Bytes(bytes) => {
                let values = bytes.into_iter().map(f32::from).collect();
                self.scaled(Elements::Integers(values))
            }
            Elements::Integers(mut values) | Elements::Floats(mut values) => {
                for value in &mut values {
                    *value = (*value * self.factor + self.shift).clamp(-1.0, 1.0);
                }
                Values::Floats(values)
            }
            Elements::Points(values) => {
                Values::Floats(values.into_iter().map(|value| value as f32).collect())
            }
        }
    }
}
