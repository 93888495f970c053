//! Export of a network to ONNX, for programs that run networks without jempp or PyTorch.

mod file;

use std::collections::HashMap;

use file::{Batch, Encoded, Value, floats, ints, model, node};

use super::{InteropError, facts, names::Place};
use crate::{
    checkpoint::Checkpoint,
    config::Norm,
    model::{NEGATIVE_SLOPE, NORM_EPSILON, WeightsError, cnn_strides, num_groups},
};

/// The name of the input.
const X: &str = "x";
/// The file ending of ONNX.
pub const EXTENSION: &str = "onnx";

/// Writes the network as an ONNX file, with the weights for sampling in f32.
///
/// Its input `x` has the shape (batch, C, H, W), or (batch, C) of the network `mlp`, with values in [-1, 1]. Its outputs are
/// `logits` (batch, classes) and `energy` (batch), -log_sum_exp of the logits. Batch norm uses its running statistics. The
/// metadata hold `arch`, `norm`, and as JSON `input_shape` and `class_names`; and `temperature`, which divides the logits for
/// p(y|x), if one was fitted.
///
/// # Errors
/// The weights do not belong to a known network.
pub fn export_onnx(checkpoint: &Checkpoint) -> Result<Vec<u8>, InteropError> {
    let graph = Graph::of(checkpoint)?;
    let [c, h, w] = checkpoint.input_shape;
    let arch = &checkpoint.config.model.arch;
    let item = if arch == "mlp" { vec![c] } else { vec![c, h, w] };
    let input: &[Batch] = &[(X, item, "images or points, with values in [-1, 1]")];
    let outputs: &[Batch] = &[
        ("logits", vec![checkpoint.class_names.len()], "a number for each class"),
        ("energy", vec![], "E(x) = -log_sum_exp(logits)"),
    ];
    Ok(model(arch, &graph.nodes, &graph.constants, [input, outputs], &facts(checkpoint)))
}

/// A graph that grows node by node; the weights have their names of PyTorch.
struct Graph<'a> {
    checkpoint: &'a Checkpoint,
    places: HashMap<String, Place>,
    nodes: Vec<Encoded>,
    constants: Vec<Encoded>,
    /// The output of the last node, and its channels.
    last: String,
    channels: usize,
}

impl<'a> Graph<'a> {
    /// The whole network.
    fn of(checkpoint: &'a Checkpoint) -> Result<Self, InteropError> {
        let places = Place::all(checkpoint.sampling_weights())?;
        let mut graph = Self {
            checkpoint,
            places: places.into_iter().map(|place| (place.name.clone(), place)).collect(),
            nodes: Vec::new(),
            constants: Vec::new(),
            last: X.to_string(),
            channels: checkpoint.input_shape[0],
        };
        let arch = &checkpoint.config.model.arch;
        if arch == "mlp" {
            for layer in 0..graph.count("layers.") {
                if layer > 0 {
                    graph.activate();
                }
                graph.linear(&format!("layers.{layer}"), None)?;
            }
            graph.activate();
        } else if let Some(strides) = cnn_strides(arch) {
            for (index, stride) in strides.into_iter().enumerate() {
                if index > 0 {
                    graph.activate();
                }
                graph.conv(&format!("convs.{index}"), stride)?;
            }
            graph.activate();
            graph.pool();
        } else {
            graph.wide_resnet()?;
        }
        graph.linear("class_output", Some("logits"))?;
        let axes = [("axes", Value::Ints(&[1])), ("keepdims", Value::Int(0))];
        graph.nodes.push(node("ReduceLogSumExp", &["logits"], "log_sum_exp", &axes));
        graph.nodes.push(node("Neg", &["log_sum_exp"], "energy", &[]));
        Ok(graph)
    }

    fn wide_resnet(&mut self) -> Result<(), InteropError> {
        self.conv("f.conv1", 1)?;
        for stage in 1..=3 {
            for block in 0..self.count(&format!("f.layer{stage}.")) {
                let stride = if stage > 1 && block == 0 { 2 } else { 1 };
                let name = |part: &str| format!("f.layer{stage}.{block}.{part}");
                let x = self.last.clone();
                for (norm, conv, stride) in [("bn1", "conv1", 1), ("bn2", "conv2", stride)] {
                    self.norm(&name(norm))?;
                    self.activate();
                    self.conv(&name(conv), stride)?;
                }
                let z = std::mem::replace(&mut self.last, x);
                if self.has(&name("shortcut.0.weight")) {
                    self.conv(&name("shortcut.0"), stride)?;
                }
                let shortcut = self.last.clone();
                self.add("Add", &[&z, &shortcut], &name("sum"), &[]);
            }
        }
        self.norm("f.bn1")?;
        self.activate();
        self.pool();
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// How many layers have names that begin with `prefix` and a number.
    fn count(&self, prefix: &str) -> usize {
        let numbers = self
            .places
            .keys()
            .filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok());
        numbers.max().map_or(0, |last| last + 1)
    }

    /// The shape and the values of a weight, as in PyTorch.
    fn weight(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), InteropError> {
        let place = self.places.get(name);
        let place = place.ok_or_else(|| WeightsError::Missing(name.to_string()))?;
        let values = &self.checkpoint.sampling_weights()[&place.path].values;
        Ok((place.pytorch_shape(), place.pytorch_values(values)))
    }

    /// Adds a weight as a constant, and returns its shape.
    fn constant(&mut self, name: &str) -> Result<Vec<usize>, InteropError> {
        let (shape, values) = self.weight(name)?;
        self.constants.push(floats(name, &shape, &values));
        Ok(shape)
    }

    /// Adds a node, whose output is `output`.
    fn add(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, Value)]) {
        self.nodes.push(node(operator, inputs, output, attributes));
        self.last = output.to_string();
    }

    fn activate(&mut self) {
        let (x, output) = (self.last.clone(), format!("{}.activated", self.last));
        self.add("LeakyRelu", &[&x], &output, &[("alpha", Value::Float(NEGATIVE_SLOPE))]);
    }

    fn conv(&mut self, name: &str, stride: usize) -> Result<(), InteropError> {
        let [weight, bias] = ["weight", "bias"].map(|leaf| format!("{name}.{leaf}"));
        let kernel = self.constant(&weight)?;
        self.channels = self.constant(&bias)?[0];
        let (stride, margin) = (stride as i64, kernel.last().map_or(0, |side| side / 2) as i64);
        let attributes =
            [("strides", Value::Ints(&[stride; 2])), ("pads", Value::Ints(&[margin; 4]))];
        let x = self.last.clone();
        self.add("Conv", &[&x, &weight, &bias], name, &attributes);
        Ok(())
    }

    fn linear(&mut self, name: &str, output: Option<&str>) -> Result<(), InteropError> {
        let [weight, bias] = ["weight", "bias"].map(|leaf| format!("{name}.{leaf}"));
        self.constant(&weight)?;
        self.constant(&bias)?;
        let x = self.last.clone();
        let attributes = [("transB", Value::Int(1))];
        self.add("Gemm", &[&x, &weight, &bias], output.unwrap_or(name), &attributes);
        Ok(())
    }

    /// The input of the head: all positions, or their mean if the head has an input for each channel only.
    fn pool(&mut self) {
        let inputs = self.places["class_output.weight"].pytorch_shape()[1];
        let mut x = self.last.clone();
        if inputs == self.channels {
            self.add("GlobalAveragePool", &[&x], "pooled", &[]);
            x.clone_from(&self.last);
        }
        self.add("Flatten", &[&x], "features", &[("axis", Value::Int(1))]);
    }

    /// The norm of a layer, if the network has norms.
    fn norm(&mut self, name: &str) -> Result<(), InteropError> {
        let leaf = |leaf: &str| format!("{name}.{leaf}");
        let x = self.last.clone();
        let epsilon = ("epsilon", Value::Float(NORM_EPSILON));
        match self.checkpoint.config.model.norm {
            Norm::None => {}
            Norm::Batch | Norm::Frozen => {
                let names = ["weight", "bias", "running_mean", "running_var"].map(leaf);
                for name in &names {
                    self.constant(name)?;
                }
                let [weight, bias, mean, var] = names.each_ref().map(String::as_str);
                self.add("BatchNormalization", &[&x, weight, bias, mean, var], name, &[epsilon]);
            }
            Norm::Group => {
                // The norm of each group over its channels and positions, then a scale and a shift for each channel.
                let groups = num_groups(self.channels);
                let [ones, zeros, by_group, shape] =
                    ["ones", "zeros", "by_group", "shape"].map(leaf);
                self.constants.push(floats(&ones, &[groups], &vec![1.0; groups]));
                self.constants.push(floats(&zeros, &[groups], &vec![0.0; groups]));
                self.constants.push(ints(&by_group, &[0, groups as i64, -1]));
                self.nodes.push(node("Shape", &[&x], &shape, &[]));
                let [grouped, normed, restored] = ["grouped", "normed", "restored"].map(leaf);
                self.add("Reshape", &[&x, &by_group], &grouped, &[]);
                self.add("InstanceNormalization", &[&grouped, &ones, &zeros], &normed, &[epsilon]);
                self.add("Reshape", &[&normed, &shape], &restored, &[]);
                for (operator, name, output) in [
                    ("Mul", leaf("weight"), leaf("scaled")),
                    ("Add", leaf("bias"), leaf("shifted")),
                ] {
                    let (_, values) = self.weight(&name)?;
                    self.constants.push(floats(&name, &[self.channels, 1, 1], &values));
                    let last = self.last.clone();
                    self.add(operator, &[&last, &name], &output, &[]);
                }
            }
        }
        Ok(())
    }
}
