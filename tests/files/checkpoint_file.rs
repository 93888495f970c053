//! A checkpoint file split into its parts, which can be changed and written with a valid checksum. So a test reaches
//! the checks that follow the checksum.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its own part")]

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

/// One tensor as in the file; its parts need not fit together.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub name: String,
    /// The element type as in the header, for example `F32`.
    pub dtype: String,
    pub shape: Vec<u64>,
    pub bytes: Vec<u8>,
}

/// The parts of a checkpoint file.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointFile {
    /// The configuration as a table of sections.
    pub config: toml::Table,
    /// The JSON value with counters, class names and input shape.
    pub run: Value,
    /// The other entries in the metadata of the header.
    pub metadata: BTreeMap<String, String>,
    pub tensors: Vec<Entry>,
}

impl CheckpointFile {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap().into_iter().collect();
        metadata.remove("crc32");
        let config = metadata.remove("config").unwrap().parse().unwrap();
        let run = serde_json::from_str(&metadata.remove("run").unwrap()).unwrap();
        let file = SafeTensors::deserialize(bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| Entry {
            name,
            dtype: format!("{:?}", view.dtype()),
            shape: view.shape().iter().map(|&dim| dim as u64).collect(),
            bytes: view.data().to_vec(),
        });
        Self { config, run, metadata, tensors: tensors.collect() }
    }

    /// The tensor with this name.
    pub(crate) fn tensor(&mut self, name: &str) -> &mut Entry {
        self.tensors.iter_mut().find(|entry| entry.name == name).unwrap()
    }

    /// Sets a key such as `model.arch`, if its section exists.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        let (section, name) = key.split_once('.').unwrap();
        if let Some(section) = self.config.get_mut(section).and_then(toml::Value::as_table_mut) {
            section.insert(name.into(), value.into());
        }
    }

    /// Encodes the file, with a valid checksum.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (config, run) = (self.config.to_string(), self.run.to_string());
        let mut sorted: Vec<&Entry> = self.tensors.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut crc = crc32fast::Hasher::new();
        let texts = [("config", config.as_bytes()), ("run", run.as_bytes())];
        let tensors = sorted.iter().map(|entry| (entry.name.as_str(), entry.bytes.as_slice()));
        for (name, bytes) in texts.into_iter().chain(tensors) {
            crc.update(name.as_bytes());
            crc.update(bytes);
        }
        let mut metadata = self.metadata.clone();
        metadata.entry("config".into()).or_insert(config);
        metadata.entry("run".into()).or_insert(run);
        metadata.entry("crc32".into()).or_insert(format!("{:08x}", crc.finalize()));
        let mut header = Map::from_iter([("__metadata__".to_string(), json!(metadata))]);
        let mut data = Vec::new();
        for entry in sorted {
            let begin = data.len();
            data.extend(&entry.bytes);
            let offsets = [begin, data.len()];
            let value =
                json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": offsets });
            header.insert(entry.name.clone(), value);
        }
        let header = Value::Object(header).to_string();
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
    }
}
