//! Checksums of the parts of a data set.

use serde::{Deserialize, Serialize};

use super::{Dataset, Splits, Values, origin::Place};

/// Checksums of the training and the test part of a run, which tell later whether the data has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksums {
    /// That of the training part.
    pub train: u32,
    /// That of the test part.
    pub test: u32,
}

impl Splits {
    /// The checksums of the parts; `None` for a data set that is drawn from a formula, whose last bits may differ between
    /// computers.
    pub(crate) fn checksums(&self) -> Option<Checksums> {
        let (train, test) = (&self.train, &self.test);
        let is_drawn = self.origin.place == Place::Drawn;
        (!is_drawn).then(|| Checksums { train: train.checksum(), test: test.checksum() })
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
