//! The messages of an ONNX file, of which only the fields that are written stand here.
//!
//! # Source
//! `onnx.proto` of the ONNX project, and its intermediate representation, version 8.

use prost::encoding::{bytes, float, int32, int64, string};

/// The version of the format, for operator set [`OPSET`].
const IR_VERSION: i64 = 8;
/// The version of the set of operators.
pub(super) const OPSET: i64 = 17;
/// The numbers of element types.
const FLOAT: i32 = 1;
const INT64: i32 = 7;
/// The numbers of types of attributes.
const A_FLOAT: i32 = 1;
const AN_INT: i32 = 2;
const INTS: i32 = 7;

/// A message that has been encoded.
pub(super) type Encoded = Vec<u8>;

/// The fields of a message that are messages themselves are encoded like bytes.
fn nested(tag: u32, message: &Encoded, into: &mut Encoded) {
    bytes::encode(tag, message, into);
}

fn text(tag: u32, value: &str, into: &mut Encoded) {
    string::encode(tag, &value.to_string(), into);
}

/// The value of an attribute of a node.
pub(super) enum Value<'a> {
    Float(f32),
    Int(i64),
    Ints(&'a [i64]),
}

fn attribute(name: &str, value: &Value) -> Encoded {
    let mut message = Encoded::new();
    text(1, name, &mut message);
    let kind = match value {
        Value::Float(value) => {
            float::encode(2, value, &mut message);
            A_FLOAT
        }
        Value::Int(value) => {
            int64::encode(3, value, &mut message);
            AN_INT
        }
        Value::Ints(values) => {
            int64::encode_repeated(8, values, &mut message);
            INTS
        }
    };
    int32::encode(20, &kind, &mut message);
    message
}

/// An operation with one output.
pub(super) fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[(&str, Value)],
) -> Encoded {
    let mut message = Encoded::new();
    inputs.iter().for_each(|input| text(1, input, &mut message));
    text(2, output, &mut message);
    text(3, output, &mut message);
    text(4, operator, &mut message);
    for (name, value) in attributes {
        nested(5, &attribute(name, value), &mut message);
    }
    message
}

/// A constant tensor of floats.
pub(super) fn floats(name: &str, shape: &[usize], values: &[f32]) -> Encoded {
    tensor(name, shape, FLOAT, bytemuck::cast_slice(values).to_vec())
}

/// A constant list of numbers.
pub(super) fn ints(name: &str, values: &[i64]) -> Encoded {
    tensor(name, &[values.len()], INT64, bytemuck::cast_slice(values).to_vec())
}

fn tensor(name: &str, shape: &[usize], kind: i32, values: Vec<u8>) -> Encoded {
    let mut message = Encoded::new();
    let dims: Vec<i64> = shape.iter().map(|&len| len as i64).collect();
    int64::encode_repeated(1, &dims, &mut message);
    int32::encode(2, &kind, &mut message);
    text(8, name, &mut message);
    bytes::encode(9, &values, &mut message);
    message
}

/// An input or output of floats: a batch of any size, of items of this shape.
fn batch(name: &str, shape: &[usize], about: &str) -> Encoded {
    let mut dims = Encoded::new();
    let mut any = Encoded::new();
    text(2, "batch", &mut any);
    nested(1, &any, &mut dims);
    for &len in shape {
        let mut dim = Encoded::new();
        int64::encode(1, &(len as i64), &mut dim);
        nested(1, &dim, &mut dims);
    }
    let mut tensor = Encoded::new();
    int32::encode(1, &FLOAT, &mut tensor);
    nested(2, &dims, &mut tensor);
    let mut kind = Encoded::new();
    nested(1, &tensor, &mut kind);
    let mut message = Encoded::new();
    text(1, name, &mut message);
    nested(2, &kind, &mut message);
    text(3, about, &mut message);
    message
}

/// An input or output: its name, the shape of an item, and what it is.
pub(super) type Batch<'a> = (&'a str, Vec<usize>, &'a str);

/// A file with one graph, and what is known of it as pairs of texts.
pub(super) fn model(
    name: &str,
    nodes: &[Encoded],
    constants: &[Encoded],
    [input, outputs]: [&[Batch]; 2],
    facts: &[(&str, String)],
) -> Encoded {
    let mut graph = Encoded::new();
    nodes.iter().for_each(|node| nested(1, node, &mut graph));
    text(2, name, &mut graph);
    constants.iter().for_each(|constant| nested(5, constant, &mut graph));
    for (tag, batches) in [(11, input), (12, outputs)] {
        for (name, shape, about) in batches {
            nested(tag, &batch(name, shape, about), &mut graph);
        }
    }
    let mut message = Encoded::new();
    int64::encode(1, &IR_VERSION, &mut message);
    text(2, "jempp", &mut message);
    text(3, env!("CARGO_PKG_VERSION"), &mut message);
    nested(7, &graph, &mut message);
    let mut operators = Encoded::new();
    text(1, "", &mut operators);
    int64::encode(2, &OPSET, &mut operators);
    nested(8, &operators, &mut message);
    for (key, value) in facts {
        let mut fact = Encoded::new();
        text(1, key, &mut fact);
        text(2, value, &mut fact);
        nested(14, &fact, &mut message);
    }
    message
}
