//! The keywords of `Model.sample`.

use std::path::PathBuf;

use jempp::{
    ChainSettings, RunConfig, SampleStart,
    config::{MAX_SEED, SamplerConfig, StartKind, meant, nearest},
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyString},
};

use crate::{arrays::Images, errors::ConfigError};

/// The keywords that say what is sampled.
const OWN: [&str; 8] = [
    "num_steps",
    "num_per_class",
    "labels",
    "start",
    "seed",
    "conditional",
    "chains_per_start",
    "traces",
];
/// Keys of the configuration outside the section `sampler` that change how a model is sampled.
const OTHERS: [&str; 5] =
    ["model.norm", "model.split", "data.micro_batch", "data.dir", "training.max_memory_mib"];
/// Most steps of a chain, as of `jempp sample`.
const MAX_STEPS: u64 = 1_000_000;
/// Most chains, long before which most machines run out of memory.
const MAX_CHAINS: u64 = 1_000_000;
/// Most bytes that traces may take.
const MAX_TRACES: u64 = 4 << 30;

/// What `Model.sample` was asked for.
pub(crate) struct Settings {
    /// The configuration of the model with the given keys replaced.
    pub(crate) config: RunConfig,
    pub(crate) chains: ChainSettings,
    /// Whether the classes of the chains mean anything.
    pub(crate) has_labels: bool,
    pub(crate) traces: bool,
}

impl Settings {
    /// # Errors
    /// A keyword that does not exist, is not allowed, contradicts another one or would have no effect.
    pub(crate) fn read(
        py: Python<'_>,
        model: &jempp::Model,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let empty = PyDict::new(py);
        let given = Given { keywords: keywords.unwrap_or(&empty) };
        let config = given.config(model.config())?;

        let num_steps = given.number("num_steps", 0, MAX_STEPS)?.unwrap_or(100) as usize;
        let per_start = given.number("chains_per_start", 1, MAX_CHAINS)?.unwrap_or(1) as usize;
        let per_class = given.number("num_per_class", 1, MAX_CHAINS)?;
        let labels = given.get("labels")?.map(|labels| classes(&labels, model)).transpose()?;
        let is_conditional = given.flag("conditional")?;
        let traces = given.flag("traces")?;
        let seed = given.number("seed", 0, MAX_SEED)?.unwrap_or(0);

        let mut images = None;
        let start = match given.get("start")? {
            None => SampleStart::Fresh(StartKind::ClassCenters),
            Some(start) => match named_start(&start)? {
                Some(start) => start,
                None => {
                    let given = Images::read(&start, "start", model.input_shape())?;
                    if let Some(index) = Images::first_wrong(given.values()?, model.input_shape()) {
                        return Err(given.refuse(index)?);
                    }
                    images = Some(given.count());
                    SampleStart::Images(given.values()?.into())
                }
            },
        };
        if given.has("dir")? && start != SampleStart::Data {
            return Err(ConfigError::new_err(
                "`dir` is not used: the data set is read only with start=\"data\"",
            ));
        }

        let num_classes = match (&labels, images) {
            (Some(labels), _) => labels.len(),
            (None, Some(count)) => count,
            (None, None) => model.class_names().len(),
        };
        // Who lists classes or starts means one chain for each, or the chains of one start.
        let default = if labels.is_some() || images.is_some() { per_start as u64 } else { 10 };
        let per_class = per_class.unwrap_or(default);
        let num_chains = per_class.saturating_mul(num_classes as u64);
        if num_chains > MAX_CHAINS {
            return Err(ConfigError::new_err(format!(
                "these are {num_chains} chains; at most {MAX_CHAINS} run in one call"
            )));
        }
        if let Some(count) = images {
            if count == 0 {
                return Err(ConfigError::new_err("`start` has no image to start from"));
            }
            if labels.is_none() && given.has("num_per_class")? {
                return Err(ConfigError::new_err(
                    "`num_per_class` needs `labels` when `start` is an array; for several chains from each image there \
                     is chains_per_start",
                ));
            }
            if labels.is_none() && is_conditional {
                return Err(ConfigError::new_err(
                    "conditional=True samples p(x|y): when `start` is an array, give the class of each start as `labels`",
                ));
            }
            let num_starts = num_chains / per_start as u64;
            if num_starts != count as u64 {
                return Err(ConfigError::new_err(format!(
                    "`start` has {count} images, and there are {num_starts} starts: {num_chains} chains by `labels` and \
                     `num_per_class`, {per_start} per start"
                )));
            }
        }
        let bytes = num_chains.saturating_mul(4 * 4 * (num_steps as u64 + 1));
        if traces && bytes > MAX_TRACES {
            return Err(ConfigError::new_err(format!(
                "the traces of {num_chains} chains over {num_steps} steps take {} GiB; at most {} GiB are kept",
                bytes >> 30,
                MAX_TRACES >> 30
            )));
        }

        let has_labels = labels.is_some() || images.is_none();
        let chains = ChainSettings {
            start,
            classes: labels.unwrap_or_else(|| match images {
                Some(count) => vec![0; count],
                None => Vec::new(),
            }),
            per_class: per_class as usize,
            chains_per_start: per_start,
            num_steps,
            is_conditional,
            seed,
            ..ChainSettings::default()
        };
        Ok(Self { config, chains, has_labels, traces })
    }
}

/// The keywords of a call.
struct Given<'a, 'py> {
    keywords: &'a Bound<'py, PyDict>,
}

impl<'py> Given<'_, 'py> {
    /// The value of a keyword; `None` if it is not given, or as Python's `None`.
    fn get(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.keywords.get_item(name)?.filter(|value| !value.is_none()))
    }

    fn has(&self, name: &str) -> PyResult<bool> {
        Ok(self.get(name)?.is_some())
    }

    /// A whole number in a range.
    fn number(&self, name: &str, least: u64, most: u64) -> PyResult<Option<u64>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let number = match value.is_instance_of::<PyBool>() {
            true => None,
            false => scalar(&value).extract::<u64>().ok().filter(|n| (least..=most).contains(n)),
        };
        number.map(Some).ok_or_else(|| {
            ConfigError::new_err(format!(
                "`{name}` cannot be {}: it must be a whole number from {least} to {most}",
                shown(&value)
            ))
        })
    }

    /// True or false; false if not given.
    fn flag(&self, name: &str) -> PyResult<bool> {
        let Some(value) = self.get(name)? else { return Ok(false) };
        scalar(&value).extract::<bool>().map_err(|_| {
            ConfigError::new_err(format!(
                "`{name}` cannot be {}: it must be True or False",
                shown(&value)
            ))
        })
    }

    /// The configuration with the given keys replaced.
    fn config(&self, config: &RunConfig) -> PyResult<RunConfig> {
        let refused = |error: jempp::config::ConfigError| ConfigError::new_err(error.to_string());
        let (mut config, mut used) = (config.clone(), Vec::new());
        for (name, value) in self.keywords.iter() {
            let name = name.extract::<String>()?;
            if OWN.contains(&name.as_str()) || value.is_none() {
                check_known(&name)?;
                continue;
            }
            let key = check_known(&name)?;
            let text = toml(&value).ok_or_else(|| {
                ConfigError::new_err(format!("`{name}` cannot be {}", shown(&value)))
            })?;
            config = config.with_assignment(&format!("{key}={text}")).map_err(refused)?;
            used.push(key);
        }
        used.iter().try_for_each(|key| config.sampler.check_used(key)).map_err(refused)?;
        config.validate().map_err(refused)?;
        Ok(config)
    }
}

/// The key of the configuration with this name.
///
/// # Errors
/// There is no such keyword; the error names the nearest and all.
fn check_known(name: &str) -> PyResult<String> {
    let of_sampler = SamplerConfig::FIELDS.iter().map(|field| field.name);
    let of_sampler = of_sampler.filter(|name| !OWN.contains(name));
    if let Some(key) =
        OTHERS.iter().find(|key| key.split_once('.').is_some_and(|(_, last)| last == name))
    {
        return Ok(key.to_string());
    }
    if OWN.contains(&name) || of_sampler.clone().any(|known| known == name) {
        return Ok(format!("sampler.{name}"));
    }
    let others = OTHERS.iter().filter_map(|key| key.split_once('.')).map(|(_, last)| last);
    let all: Vec<&str> = OWN.into_iter().chain(of_sampler).chain(others).collect();
    Err(ConfigError::new_err(format!(
        "sample has no keyword `{name}`{} There are: {}",
        meant(nearest(name, all.iter().copied())),
        all.join(", ")
    )))
}

/// The starts that have a name, and a picture; `None` for an array.
fn named_start(start: &Bound<'_, PyAny>) -> PyResult<Option<SampleStart>> {
    if start.is_instance_of::<PyString>() {
        match start.extract::<String>()?.as_str() {
            "class-centers" => return Ok(Some(SampleStart::Fresh(StartKind::ClassCenters))),
            "uniform" => return Ok(Some(SampleStart::Fresh(StartKind::Uniform))),
            "data" => return Ok(Some(SampleStart::Data)),
            "buffer" => return Ok(Some(SampleStart::Buffer)),
            _ => {}
        }
    } else if !start.hasattr("__fspath__")? {
        return Ok(None);
    }
    let path: PathBuf = start.extract()?;
    match path.is_file() {
        true => Ok(Some(SampleStart::File(path))),
        false => Err(ConfigError::new_err(format!(
            "start={}: no such picture, and none of class-centers, uniform, data, buffer; an array of images also does",
            shown(start)
        ))),
    }
}

/// The classes of `labels`, by number or name.
fn classes(labels: &Bound<'_, PyAny>, model: &jempp::Model) -> PyResult<Vec<u32>> {
    let names = model.class_names();
    let wanted = || {
        let all: Vec<String> =
            names.iter().enumerate().map(|(index, name)| format!("{index} {name}")).collect();
        format!("give a list of classes by number or name: {}", all.join(", "))
    };
    let refused =
        || ConfigError::new_err(format!("`labels` cannot be {}; {}", shown(labels), wanted()));
    if labels.is_instance_of::<PyString>() {
        return Err(refused());
    }
    let mut found = Vec::new();
    for label in labels.try_iter().map_err(|_| refused())? {
        let label = scalar(&label?);
        let class = match label.extract::<String>() {
            Ok(name) => names.iter().position(|known| *known == name),
            Err(_) if label.is_instance_of::<PyBool>() => None,
            Err(_) => label.extract::<usize>().ok().filter(|&class| class < names.len()),
        };
        let class = class.ok_or_else(|| {
            ConfigError::new_err(format!(
                "`labels` has {}, which is no class; {}",
                shown(&label),
                wanted()
            ))
        })?;
        found.push(class as u32);
    }
    if found.is_empty() { Err(refused()) } else { Ok(found) }
}

/// A number of NumPy's as one of Python's; anything else as it is.
fn scalar<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    match value.getattr("ndim").and_then(|ndim| ndim.extract::<usize>()) {
        Ok(0) => value.call_method0("item").unwrap_or_else(|_| value.clone()),
        _ => value.clone(),
    }
}

/// A value as TOML has it; `None` for what is no single value.
fn toml(value: &Bound<'_, PyAny>) -> Option<String> {
    let value = scalar(value);
    if value.is_instance_of::<PyBool>() {
        return Some(value.extract::<bool>().ok()?.to_string());
    }
    if value.is_instance_of::<PyString>() || value.hasattr("__fspath__").ok()? {
        let text = value.extract::<PathBuf>().ok()?;
        return serde_json::to_string(text.to_str()?).ok();
    }
    if value.is_instance_of::<PyInt>() {
        return Some(value.str().ok()?.to_string());
    }
    if value.is_instance_of::<PyFloat>() {
        let number = value.extract::<f64>().ok()?;
        return Some(if number.is_nan() { "nan".into() } else { format!("{number:?}") });
    }
    None
}

/// A value as a person wrote it, not too long.
fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value.repr().map_or_else(|_| "what was given".to_string(), |text| text.to_string());
    jempp::config::shortened(&text, 80).to_string()
}
