//! Named arrays in memory: what every importer produces and every network reads.

use std::collections::BTreeMap;

/// The values of an [`Array`].
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Floats.
    F32(Vec<f32>),
    /// Whole numbers.
    I32(Vec<i32>),
}

/// A dense row-major array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The values, the last axis running fastest.
    pub data: Data,
}

impl Array {
    /// A float array; `data.len()` must equal the product of `shape`.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Array {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Array { shape, data: Data::F32(data) }
    }

    /// The float values, or `None` for an integer array.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            Data::I32(_) => None,
        }
    }

    /// The integer values, or `None` for a float array.
    pub fn as_i32(&self) -> Option<&[i32]> {
        match &self.data {
            Data::I32(v) => Some(v),
            Data::F32(_) => None,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Arrays by name (the upstream checkpoint's keys) and the file's metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    /// By name.
    pub arrays: BTreeMap<String, Array>,
    /// Texts beside the arrays.
    pub metadata: BTreeMap<String, String>,
}

impl Weights {
    /// The array of a name.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// Puts an array in, in place of one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, array: Array) {
        self.arrays.insert(name.into(), array);
    }

    /// The arrays whose name starts with `prefix`, with the prefix cut off.
    pub fn strip_prefix(&self, prefix: &str) -> Weights {
        let arrays =
            self.arrays.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone()))).collect();
        Weights { arrays, metadata: self.metadata.clone() }
    }
}
