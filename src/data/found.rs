//! What the readers of data sets give.

use super::{Dataset, origin::Origin};
use crate::config::DataConfig;

/// A data set as its reader gives it.
pub(super) struct Found {
    pub(super) train: Dataset,
    /// The validation part, if the files hold one.
    pub(super) validation: Option<Dataset>,
    pub(super) test: Dataset,
    pub(super) origin: Origin,
    /// The settings that the reader chose, as `data.size`: they replace those of the configuration.
    pub(super) settings: Option<DataConfig>,
}

impl Found {
    /// A data set without a validation part, read with the settings as they are.
    pub(super) fn new(train: Dataset, test: Dataset, origin: Origin) -> Self {
        Self { train, validation: None, test, origin, settings: None }
    }
}
