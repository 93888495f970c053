//! Checksums of the parts of a data set.

use serde::{Deserialize, Serialize};

use super::{Dataset, Splits, Values, origin::Place};

/// Checksums of the parts of a run's data, which tell later whether the data has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksums {
    /// That of the training part.
    pub train: u32,
    /// That of the test part.
    pub test: u32,
    /// That of the validation part; `None` if a checkpoint of an earlier jempp has none. A checkpoint holds it beside its
    /// counters, because earlier programs refuse counters with a key that they do not know.
    #[serde(skip)]
    pub validation: Option<u32>,
}

impl Checksums {
    /// The names of the parts that are other ones `now`. A part whose checksum is not known is not compared.
    pub(crate) fn changed(self, now: Self) -> Vec<&'static str> {
        let validations = self.validation.zip(now.validation);
        let parts = [
            ("training", self.train != now.train),
            ("validation", validations.is_some_and(|(before, now)| before != now)),
            ("test", self.test != now.test),
        ];
        parts.into_iter().filter_map(|(name, is_other)| is_other.then_some(name)).collect()
    }

    /// These checksums, and what they lack from `now`.
    pub(crate) fn completed(self, now: Self) -> Self {
        Self { validation: self.validation.or(now.validation), ..self }
    }
}

impl Splits {
    /// The checksums of the parts; `None` for a data set that is drawn from a formula, whose last bits may differ between
    /// computers.
    pub(crate) fn checksums(&self) -> Option<Checksums> {
        let is_drawn = self.origin.place == Place::Drawn;
        (!is_drawn).then(|| Checksums {
            train: self.train.checksum(),
            test: self.test.checksum(),
            validation: Some(self.validation.checksum()),
        })
    }
}

impl Dataset {
    /// A checksum (CRC-32) of labels and values.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        hash.update(bytemuck::cast_slice(&self.labels));
        match &self.values {
            Values::Bytes(bytes) => hash.update(bytes),
            Values::Floats(floats) => hash.update(bytemuck::cast_slice(floats)),
        }
        hash.finalize()
    }
}
