//! A person's own data sets that the window gave as lists of files, and what is in them.

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;
#[cfg(target_arch = "wasm32")]
use std::path::PathBuf;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::message::data::DataReport;
use crate::{
    config::{DataConfig, DatasetName},
    data::{self, DataError, Dataset, OwnFile, Splits},
};

/// The largest number of classes and of items of each that a contact sheet shows.
const SHEET_CLASSES: usize = 100;
const SHEET_ITEMS: usize = 24;

/// The lists of files that the window gave, by name.
#[derive(Default)]
pub(super) struct OwnData {
    lists: HashMap<String, Vec<OwnFile>>,
    /// The names of the lists that runs were started on.
    used: HashSet<String>,
    /// The files of a person that the page has handed over, by the name that the page gave them.
    #[cfg(target_arch = "wasm32")]
    read: HashMap<PathBuf, Arc<[u8]>>,
}

impl OwnData {
    /// Keeps a list. From now on, `data.dir` = `name` finds it. Earlier lists are let go, but for those of runs.
    ///
    /// # Errors
    /// The browser cannot read a file.
    pub(super) async fn give(&mut self, name: String, files: Vec<OwnFile>) -> Result<(), String> {
        #[cfg(target_arch = "wasm32")]
        let files = self.bring(files).await?;
        self.lists.retain(|name, _| self.used.contains(name));
        self.lists.insert(name, files);
        Ok(())
    }

    /// Reads the files of a person that the page has handed over.
    #[cfg(target_arch = "wasm32")]
    async fn bring(&mut self, mut files: Vec<OwnFile>) -> Result<Vec<OwnFile>, String> {
        let mut read = HashMap::new();
        for file in &mut files {
            let data::OwnContent::Path(path) = &file.content else { continue };
            let path = path.clone();
            let bytes = match self.read.get(&path) {
                Some(bytes) => bytes.clone(),
                None => {
                    let bytes = crate::browser::given(&path.display().to_string()).await;
                    bytes.map_err(|reason| format!("cannot read {}: {reason}", file.name))?.into()
                }
            };
            read.insert(path, Arc::clone(&bytes));
            file.content = data::OwnContent::Bytes(bytes);
        }
        self.read = read;
        Ok(files)
    }

    /// The list that a configuration names, if the window gave it.
    fn list(&self, config: &DataConfig) -> Option<&Vec<OwnFile>> {
        let is_own = config.dataset == DatasetName::Custom;
        self.lists.get(&config.dir).filter(|_| is_own)
    }

    /// Reads the data set of a run, which `config` names, as [`data::load`] does; it may be one of these lists, which then
    /// stays.
    ///
    /// # Errors
    /// As [`data::load`].
    pub(super) fn load(&mut self, config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
        match self.list(config) {
            Some(files) => {
                let splits = data::load_files(&config.dir, files, config, seed)?;
                self.used.insert(config.dir.clone());
                Ok(splits)
            }
            None => data::load(config, seed),
        }
    }

    /// As [`data::load_at_hand`]; it may be one of these lists.
    ///
    /// # Errors
    /// As [`data::load`].
    pub(super) fn load_at_hand(&self, config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
        match self.list(config) {
            Some(files) => data::load_files(&config.dir, files, &config.whole(), seed),
            None => data::load_at_hand(config, seed),
        }
    }

    /// Whether a configuration names one of these lists.
    pub(super) fn holds(&self, config: &DataConfig) -> bool {
        self.list(config).is_some()
    }

    /// For a list of files: writes it as a zip archive into the folder of a run, so that the run can be resumed.
    ///
    /// # Errors
    /// A file cannot be read or written.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn save(&self, name: &str, archive: &Path) -> Result<(), DataError> {
        match self.lists.get(name) {
            Some(files) => data::save_zip(files, archive),
            None => Ok(()),
        }
    }
}

/// What is in a data set, with a contact sheet.
///
/// # Errors
/// None for a data set that was read.
pub(super) fn report(splits: &Splits, config: &DataConfig) -> Result<DataReport, DataError> {
    let mut settings = config.clone();
    splits.settle(&mut settings);
    let sheet = sheet(&splits.train)?;
    Ok(DataReport { facts: splits.facts(), settings, sheet: Arc::new(sheet) })
}

/// The first items of each class, spread over the data set; of points, as many as of ten rows of images.
fn sheet(train: &Dataset) -> Result<Dataset, DataError> {
    let is_planar = train.num_pixels() == 2;
    let most = if is_planar { 10 * SHEET_ITEMS } else { SHEET_ITEMS };
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for class in 0..train.num_classes().min(SHEET_CLASSES) {
        let examples = train.examples(class, most);
        labels.extend(std::iter::repeat_n(class as u32, examples.len() / train.num_pixels()));
        values.extend(examples);
    }
    Dataset::from_floats(values, labels, train.shape, train.class_names.clone())
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn earlier_lists_are_let_go_unless_a_run_uses_them() {
        let named = |dir: &str| DataConfig {
            dataset: DatasetName::Custom,
            dir: dir.into(),
            batch_size: 1,
            ..DataConfig::default()
        };
        let table = OwnFile {
            name: "points.csv".into(),
            content: data::OwnContent::Bytes((*b"0,0,a\n1,1,b\n").into()),
        };
        let mut own = OwnData::default();
        for name in ["first", "second", "third"] {
            pollster::block_on(own.give(name.into(), vec![table.clone()])).unwrap();
            assert!(own.load_at_hand(&named(name), 0).is_ok());
            if name == "second" {
                assert_eq!(own.load(&named(name), 0).unwrap().train.len(), 2);
            }
        }
        let held = ["first", "second", "third"].map(|name| own.holds(&named(name)));
        assert_eq!(held, [false, true, true]);
    }
}
