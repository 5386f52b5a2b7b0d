//! Just enough of the protobuf wire format to write an ONNX model.
//!
//! Field numbers and enumeration values are those of `onnx.proto`, <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>;
//! the wire format is <https://protobuf.dev/programming-guides/encoding/>.

use std::borrow::Cow;

/// The version of the file format (opset 17 asks for 8).
const IR_VERSION: i64 = 8;
/// The version of the operator set: GridSample came with 16.
const OPSET: i64 = 17;

const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// Fields of one message.
#[derive(Default)]
struct Message(Vec<u8>);

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Bytes that [`varint`] writes.
fn varint_len(v: u64) -> usize {
    (64 - (v | 1).leading_zeros() as usize).div_ceil(7)
}

impl Message {
    fn int(mut self, field: u64, v: i64) -> Message {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, v as u64);
        self
    }
    fn ints(self, field: u64, vs: impl IntoIterator<Item = i64>) -> Message {
        vs.into_iter().fold(self, |m, v| m.int(field, v))
    }
    fn float(mut self, field: u64, v: f32) -> Message {
        varint(&mut self.0, field << 3 | 5);
        self.0.extend(v.to_le_bytes());
        self
    }
    fn bytes(mut self, field: u64, v: &[u8]) -> Message {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, v.len() as u64);
        self.0.extend(v);
        self
    }
    fn text(self, field: u64, v: &str) -> Message {
        self.bytes(field, v.as_bytes())
    }
    fn message(self, field: u64, v: Message) -> Message {
        self.bytes(field, &v.0)
    }
    /// The start of a length-delimited field whose `len` bytes follow.
    fn open(mut self, field: u64, len: usize) -> Message {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, len as u64);
        self
    }
}

/// Length of a length-delimited field (number below 16) with `len` bytes inside.
fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// The value of a node's attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Attr {
    Int(i64),
    Float(f32),
    Text(&'static str),
    Ints(Vec<i64>),
}

/// An operator with one result.
pub(super) struct Node<'a> {
    pub op: &'static str,
    pub inputs: Vec<&'a str>,
    pub output: &'a str,
    pub attrs: &'a [(&'static str, Attr)],
}

impl Node<'_> {
    fn encode(&self) -> Message {
        let mut m = self.inputs.iter().fold(Message::default(), |m, name| m.text(1, name));
        m = m.text(2, self.output).text(3, self.output).text(4, self.op);
        for (name, value) in self.attrs {
            let a = Message::default().text(1, name);
            let a = match value {
                Attr::Float(v) => a.float(2, *v).int(20, 1),
                Attr::Int(v) => a.int(3, *v).int(20, 2),
                Attr::Text(v) => a.text(4, v).int(20, 3),
                Attr::Ints(v) => a.ints(8, v.iter().copied()).int(20, 7),
            };
            m = m.message(5, a);
        }
        m
    }
}

/// The values of an initializer.
#[derive(Debug, Clone)]
pub(super) enum Payload<'w> {
    F32(Cow<'w, [f32]>),
    I64(Vec<i64>),
}

impl Payload<'_> {
    fn byte_len(&self) -> usize {
        match self {
            Payload::F32(v) => 4 * v.len(),
            Payload::I64(v) => 8 * v.len(),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Payload::F32(v) => v.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
            Payload::I64(v) => v.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
        }
    }
}

/// A constant tensor.
pub(super) struct Initializer<'a, 'w> {
    pub name: &'a str,
    pub dims: &'a [usize],
    pub payload: &'a Payload<'w>,
}

impl Initializer<'_, '_> {
    /// Everything before the values.
    fn head(&self) -> Message {
        let data_type = if matches!(self.payload, Payload::F32(_)) { FLOAT } else { INT64 };
        Message::default()
            .ints(1, self.dims.iter().map(|&d| d as i64))
            .int(2, data_type)
            .text(8, self.name)
            .open(9, self.payload.byte_len())
    }
}

/// Name and shape of an input or output of the graph; f32.
pub(super) struct Value<'a> {
    pub name: &'a str,
    pub dims: &'a [usize],
}

impl Value<'_> {
    fn encode(&self) -> Message {
        let shape =
            self.dims.iter().fold(Message::default(), |m, &d| m.message(1, Message::default().int(1, d as i64)));
        let tensor = Message::default().int(1, FLOAT).message(2, shape);
        Message::default().text(1, self.name).message(2, Message::default().message(1, tensor))
    }
}

/// A whole model.
pub(super) struct Model<'a, 'w> {
    pub name: &'a str,
    pub doc: &'a str,
    pub metadata: Vec<(&'a str, &'a str)>,
    pub inputs: Vec<Value<'a>>,
    pub outputs: Vec<Value<'a>>,
    pub initializers: Vec<Initializer<'a, 'w>>,
    pub nodes: Vec<Node<'a>>,
}

impl Model<'_, '_> {
    /// The file. The weights are copied once, straight into it.
    pub fn encode(&self) -> Vec<u8> {
        let mut graph = self.nodes.iter().fold(Message::default(), |m, node| m.message(1, node.encode()));
        graph = graph.text(2, self.name).text(10, self.doc);
        graph = self.inputs.iter().fold(graph, |m, v| m.message(11, v.encode()));
        graph = self.outputs.iter().fold(graph, |m, v| m.message(12, v.encode()));
        let heads: Vec<(Message, usize)> = self
            .initializers
            .iter()
            .map(|i| {
                let head = i.head();
                let len = head.0.len() + i.payload.byte_len();
                (head, len)
            })
            .collect();
        let graph_len = graph.0.len() + heads.iter().map(|&(_, len)| field_len(len)).sum::<usize>();

        let mut model = Message::default()
            .int(1, IR_VERSION)
            .text(2, "headgan")
            .text(3, env!("CARGO_PKG_VERSION"))
            .text(6, self.doc)
            .message(8, Message::default().text(1, "").int(2, OPSET));
        for (key, value) in &self.metadata {
            model = model.message(14, Message::default().text(1, key).text(2, value));
        }
        let Message(mut out) = model.open(7, graph_len);
        out.reserve_exact(graph_len);
        out.extend_from_slice(&graph.0);
        for ((head, len), initializer) in heads.iter().zip(&self.initializers) {
            varint(&mut out, 5 << 3 | 2);
            varint(&mut out, *len as u64);
            out.extend_from_slice(&head.0);
            initializer.payload.write(&mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_long_as_said() {
        for v in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            let mut out = Vec::new();
            varint(&mut out, v);
            assert_eq!(out.len(), varint_len(v), "{v}");
        }
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }

    #[test]
    fn fields_follow_the_wire_format() {
        assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").0, b"\x12\x07testing");
        assert_eq!(Message::default().float(2, 1.0).0, [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::default().int(1, -1).0.len(), 11);
    }
}
