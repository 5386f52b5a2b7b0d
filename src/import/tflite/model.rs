//! A TensorFlow Lite file as it is stored: operators, tensors, constants. What the operators compute does not belong here.
//!
//! Schema: tensorflow/lite/schema/schema.fbs of <https://github.com/tensorflow/tensorflow>. Only the first subgraph is read.

use super::flat::Table;

/// The most values of one constant: bounds what a damaged file can make the reader allocate.
const MOST_VALUES: usize = 1 << 24;
/// The most operators and tensors.
const MOST: usize = 1 << 14;

/// A file.
pub struct Model<'a> {
    pub tensors: Vec<Tensor<'a>>,
    pub operators: Vec<Operator<'a>>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// A tensor; `data` is empty unless it is a constant.
pub struct Tensor<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: Kind,
    data: &'a [u8],
    sparsity: Option<Table<'a>>,
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Float,
    Half,
    Int,
    Other(u8),
}

/// An operator.
pub struct Operator<'a> {
    pub code: Code,
    /// Tensors; -1 for one that is left out.
    pub inputs: Vec<i32>,
    pub outputs: Vec<usize>,
    /// The operator's own table, where it has one.
    pub options: Option<Table<'a>>,
    /// The options of a custom operator.
    pub custom: &'a [u8],
}

/// Which operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// Its number in the schema.
    Builtin(i32),
    Custom(String),
}

impl<'a> Model<'a> {
    /// Reads a file's tables; `None` where they are damaged.
    pub fn read(bytes: &'a [u8]) -> Option<Model<'a>> {
        let root = Table::root(bytes)?;
        let buffers = root.tables(4)?;
        let codes = root.tables(1)?.into_iter().map(|c| code(&c)).collect::<Option<Vec<_>>>()?;
        let graph = *root.tables(2)?.first()?;
        let (tensors, operators) = (graph.tables(0)?, graph.tables(3)?);
        if tensors.len() > MOST || operators.len() > MOST {
            return None;
        }
        let count = tensors.len();
        let known = |list: Vec<i32>| -> Option<Vec<usize>> {
            list.into_iter().map(|i| usize::try_from(i).ok().filter(|i| *i < count)).collect()
        };
        let tensor = |t: &Table<'a>| -> Option<Tensor<'a>> {
            let kind = match t.byte(1)? {
                0 => Kind::Float,
                1 => Kind::Half,
                2 => Kind::Int,
                other => Kind::Other(other),
            };
            let buffer = buffers.get(usize::try_from(t.int(2, 0)?).ok()?)?;
            let shape = t.ints(0)?.into_iter().map(|n| usize::try_from(n).ok()).collect::<Option<_>>()?;
            let name = String::from_utf8_lossy(t.bytes(3)?).into_owned();
            Some(Tensor { name, shape, kind, data: buffer.bytes(0)?, sparsity: t.table(6) })
        };
        let operator = |o: &Table<'a>| -> Option<Operator<'a>> {
            let code = codes.get(usize::try_from(o.int(0, 0)?).ok()?)?.clone();
            let inputs = o.ints(1)?;
            if inputs.iter().any(|i| *i >= count as i32) {
                return None;
            }
            Some(Operator { code, inputs, outputs: known(o.ints(2)?)?, options: o.table(4), custom: o.bytes(5)? })
        };
        Some(Model {
            tensors: tensors.iter().map(tensor).collect::<Option<_>>()?,
            operators: operators.iter().map(operator).collect::<Option<_>>()?,
            inputs: known(graph.ints(1)?)?,
            outputs: known(graph.ints(2)?)?,
        })
    }
}

fn code(table: &Table) -> Option<Code> {
    // Numbers from 128 on are in the newer field alone.
    let number = i32::from(table.byte(0)?).max(table.int(3, 0)?);
    const CUSTOM: i32 = 32;
    Some(if number == CUSTOM {
        Code::Custom(String::from_utf8_lossy(table.bytes(1)?).into_owned())
    } else {
        Code::Builtin(number)
    })
}

impl Tensor<'_> {
    /// Whether its values are in the file.
    pub fn is_constant(&self) -> bool {
        !self.data.is_empty()
    }

    /// Values of its shape.
    pub fn len(&self) -> Option<usize> {
        let all = self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
        (all <= MOST_VALUES).then_some(all)
    }

    /// A constant's numbers, as floats; sparse ones filled up.
    pub fn floats(&self) -> Option<Vec<f32>> {
        let stored: Vec<f32> = match self.kind {
            Kind::Float => self.data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Kind::Half => self.data.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
            _ => return None,
        };
        let all = self.len()?;
        match &self.sparsity {
            None => (stored.len() == all).then_some(stored),
            Some(table) => fill(table, &self.shape, all, &stored),
        }
    }

    /// A constant's whole numbers.
    pub fn ints(&self) -> Option<Vec<i32>> {
        let values: Vec<i32> = match self.kind {
            Kind::Int => self.data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect(),
            _ => return None,
        };
        (values.len() == self.len()?).then_some(values)
    }
}

/// The values of a sparse tensor. Of the layouts that the schema allows this reads the one in use: rows in their order, and within
/// a row the places of what is not zero.
fn fill(sparsity: &Table, shape: &[usize], all: usize, stored: &[f32]) -> Option<Vec<f32>> {
    let in_order = sparsity.ints(0)?.iter().enumerate().all(|(i, d)| *d == i as i32);
    let dims = sparsity.tables(2)?;
    let (last, outer) = dims.split_last()?;
    let dense = |d: &Table| d.byte(0) == Some(0);
    if !in_order
        || !sparsity.ints(1)?.is_empty()
        || dims.len() != shape.len()
        || !outer.iter().all(dense)
        || dense(last)
    {
        return None;
    }
    let indices = |kind: usize| -> Option<Vec<i32>> {
        let (kind, table) = (last.byte(kind)?, last.table(kind + 1)?);
        match kind {
            1 => table.ints(0),
            2 => table.shorts(0),
            3 => Some(table.bytes(0)?.iter().map(|b| i32::from(*b)).collect()),
            _ => None,
        }
    };
    let (segments, places) = (indices(2)?, indices(4)?);
    let width = *shape.last()?;
    if segments.len() != all.checked_div(width)? + 1 {
        return None;
    }
    let mut out = vec![0.0; all];
    for (row, pair) in out.chunks_exact_mut(width).zip(segments.windows(2)) {
        let range = usize::try_from(pair[0]).ok()?..usize::try_from(pair[1]).ok()?;
        for (place, value) in places.get(range.clone())?.iter().zip(stored.get(range)?) {
            *row.get_mut(usize::try_from(*place).ok()?)? = *value;
        }
    }
    Some(out)
}
