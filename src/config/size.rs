//! The size of the images of a data set, as a value of the configuration.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Unexpected, Visitor},
};

use super::{ConfigError, Field, fields::Value};

/// The sides that an image may have, in pixels.
const SIDES: std::ops::RangeInclusive<usize> = 4..=256;

/// The size of the images of a data set: chosen from the images, or given. As text, it is `auto` or height and width, as
/// in `20x30`; a single number is the side of a square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageSize {
    /// The images decide.
    #[default]
    Auto,
    /// Height and width in pixels.
    Fixed([usize; 2]),
}

impl ImageSize {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "auto" {
            return Some(Self::Auto);
        }
        let sides = text.split(['x', '×']).map(|side| side.trim().parse().ok());
        match sides.collect::<Option<Vec<usize>>>()?[..] {
            [side] => Self::of([side, side]),
            [height, width] => Self::of([height, width]),
            _ => None,
        }
    }

    /// This height and width, if images may have them.
    pub(crate) fn of(size: [usize; 2]) -> Option<Self> {
        size.iter().all(|side| SIDES.contains(side)).then_some(Self::Fixed(size))
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed([height, width]) => write!(f, "{height}x{width}"),
        }
    }
}

impl Serialize for ImageSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A format that does not say what follows, as the page's messages, holds the text.
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(AnySize),
            false => deserializer.deserialize_str(AnySize),
        }
    }
}

/// Reads a size from a text, a number or a list of two numbers.
struct AnySize;

impl<'de> Visitor<'de> for AnySize {
    type Value = ImageSize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (low, high) = (SIDES.start(), SIDES.end());
        write!(f, "auto, a side of {low} to {high} pixels, or height and width, as in 20x30")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ImageSize, E> {
        ImageSize::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, side: i64) -> Result<ImageSize, E> {
        let size = usize::try_from(side).ok().and_then(|side| ImageSize::of([side, side]));
        size.ok_or_else(|| E::invalid_value(Unexpected::Signed(side), &self))
    }

    fn visit_u64<E: de::Error>(self, side: u64) -> Result<ImageSize, E> {
        self.visit_i64(i64::try_from(side).unwrap_or(i64::MAX))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ImageSize, A::Error> {
        let mut sides = Vec::new();
        while let Some(side) = list.next_element::<i64>()? {
            sides.push(usize::try_from(side).unwrap_or(0));
            if sides.len() > 2 {
                break;
            }
        }
        let size = <[usize; 2]>::try_from(sides).ok().and_then(ImageSize::of);
        size.ok_or_else(|| de::Error::invalid_value(Unexpected::Seq, &self))
    }
}

impl Value for ImageSize {
    fn check(&self, _: &Field, _: &str) -> Result<(), ConfigError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;

    fn size(text: &str) -> Result<ImageSize, String> {
        let config = RunConfig::default().with_assignment(&format!("data.size={text}"));
        config.map(|config| config.data.size).map_err(|error| error.to_string())
    }

    #[test]
    fn a_size_is_a_word_a_side_or_two_sides() {
        assert_eq!(size("auto"), Ok(ImageSize::Auto));
        assert_eq!(size("28"), Ok(ImageSize::Fixed([28, 28])));
        for text in ["20x30", "'20x30'", "20×30", "[20, 30]"] {
            assert_eq!(size(text), Ok(ImageSize::Fixed([20, 30])), "{text}");
        }
        for text in ["0", "3", "-28", "257", "28.5", "big", "20x", "[20]", "[1, 2, 3]", "true"] {
            let said = size(text).unwrap_err();
            assert!(said.contains("it must be auto, a side of 4 to 256 pixels, or"), "{said}");
        }
    }

    #[test]
    fn a_size_survives_toml() {
        let config = RunConfig::default().with_assignment("data.size=[20, 30]").unwrap();
        assert!(config.to_toml().contains("size = \"20x30\""), "{}", config.to_toml());
        assert_eq!(RunConfig::default().with_toml(&config.to_toml()).unwrap(), config);
    }
}
