//! The tree of values that a pickle becomes.

#![allow(missing_docs, reason = "the nodes have the names of what pickles hold")]

use crate::weights::element::Element;
use serde_json::Value;
use std::borrow::Cow;

/// Index of a value in its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(pub(super) u32);

/// One value.
#[derive(Debug)]
pub enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// In insertion order; later entries of the same key win.
    Dict(Vec<(Id, Id)>),
    Class(Class),
    Storage(Box<Storage<'a>>),
    Tensor(Box<Tensor>),
    Dtype(Dtype),
    Array(Box<NdArray>),
    /// A class or function that is not on the list, by module and name; only where [`read_with`](super::read_with) allows it.
    Foreign(String),
    /// What such a class, or what it made, was called with.
    Object(Box<Object>),
}

/// The classes and functions a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
    TorchSize,
    NumpyReconstruct,
    NumpyArray,
    NumpyDtype,
    NumpyScalar,
    NumpyFromBuffer,
    CodecsEncode,
}

/// A torch storage, referred to by key; its bytes are elsewhere in the file.
#[derive(Debug)]
pub struct Storage<'a> {
    pub element: Element,
    pub key: Cow<'a, str>,
    /// Number of values of the whole storage.
    pub numel: usize,
    /// First value and length of the part that is meant (legacy views).
    pub view: Option<(usize, usize)>,
}

/// A torch tensor: a strided view of a storage. All in values, not bytes.
#[derive(Debug)]
pub struct Tensor {
    /// A [`Node::Storage`].
    pub storage: Id,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

/// A numpy dtype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtype {
    pub element: Element,
    pub big_endian: bool,
}

/// A numpy array (or scalar, with no dimensions).
#[derive(Debug)]
pub struct NdArray {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Column-major.
    pub fortran: bool,
    /// A [`Node::Bytes`] of exactly the array's size; `None` until the state was set.
    pub data: Option<Id>,
}

/// An object that is not made: what its pickle says of it.
#[derive(Debug)]
pub struct Object {
    /// What is called: a [`Node::Foreign`] or a [`Node::Object`].
    pub class: Id,
    /// A [`Node::Tuple`].
    pub args: Id,
    pub state: Option<Id>,
    /// Entries that are put into it, in order.
    pub entries: Vec<(Id, Id)>,
}

/// All values of one pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Id,
    /// Bytes read, the STOP opcode included.
    pub end: usize,
}

impl<'a> Pickle<'a> {
    /// The value that was pickled.
    pub fn root(&self) -> Id {
        self.root
    }

    pub fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    /// The text of a string (or of a Python 2 string).
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(t) => Some(t),
            Node::Bytes(b) => std::str::from_utf8(b).ok(),
            _ => None,
        }
    }

    /// The number of an integer or bool.
    pub fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(v) => Some(*v),
            Node::Bool(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// An integer that is a size: not negative.
    pub fn size(&self, id: Id) -> Option<usize> {
        self.int(id).and_then(|v| usize::try_from(v).ok())
    }

    /// The entries of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dict, in insertion order.
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// Every torch storage that is referred to.
    pub fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.nodes.iter().filter_map(|node| if let Node::Storage(s) = node { Some(&**s) } else { None })
    }

    /// The value as JSON, for configurations: dicts with their textual keys; objects by what they hold, which is an enum's value, an
    /// omegaconf node's value or content, another's attributes or entries; classes by their last name. What has no such form, lies
    /// deeper than 16 levels, or comes after the first 10000 values, is null.
    pub fn json(&self, id: Id) -> Value {
        self.json_within(id, 16, &mut 10_000)
    }

    fn json_within(&self, id: Id, depth: usize, left: &mut usize) -> Value {
        if depth == 0 || *left == 0 {
            return Value::Null;
        }
        *left -= 1;
        let dict = |entries: &[(Id, Id)], left: &mut usize| {
            let named = entries.iter().filter_map(|(k, v)| Some((self.text(*k)?.to_owned(), v)));
            Value::Object(named.map(|(k, v)| (k, self.json_within(*v, depth - 1, left))).collect())
        };
        match self.node(id) {
            Node::Bool(v) => (*v).into(),
            Node::Int(v) => (*v).into(),
            Node::Float(v) => (*v).into(),
            Node::Text(_) | Node::Bytes(_) => self.text(id).into(),
            Node::List(items) | Node::Tuple(items) => {
                items.iter().map(|item| self.json_within(*item, depth - 1, left)).collect()
            }
            Node::Dict(entries) => dict(entries, left),
            Node::Foreign(name) => name.rsplit('.').next().into(),
            Node::Object(object) => {
                let state = object.state.map(|s| self.items(s).and_then(|i| i.first().copied()).unwrap_or(s));
                if let Some(state) = state.filter(|s| self.dict(*s).is_some()) {
                    let held = ["_val", "_content"].iter().find_map(|key| self.get(state, key));
                    return self.json_within(held.unwrap_or(state), depth - 1, left);
                }
                match self.items(object.args) {
                    _ if !object.entries.is_empty() => dict(&object.entries, left),
                    Some([only]) => self.json_within(*only, depth - 1, left),
                    Some([]) => self.json_within(object.class, depth - 1, left),
                    _ => Value::Null,
                }
            }
            _ => Value::Null,
        }
    }

    /// The entry of a dict with this key.
    pub fn get(&self, dict: Id, key: &str) -> Option<Id> {
        self.dict(dict)?.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }
}
