//! Reads FlatBuffers tables and FlexBuffers maps, checking every offset. What the tables mean does not belong here.
//!
//! The crate `flatbuffers` reads tables by code generated from a schema and trusts it with `unsafe`; `flexbuffers` brings a
//! second generation of `syn`. What a TensorFlow Lite file needs of both formats is this much.
//!
//! Formats: <https://flatbuffers.dev/internals/>, <https://flatbuffers.dev/flexbuffers/>.

use std::collections::BTreeMap;

/// A table in a buffer. Each access fails (`None`) where the buffer is not what it should be.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    buffer: &'a [u8],
    at: usize,
}

fn bytes<const N: usize>(buffer: &[u8], at: usize) -> Option<[u8; N]> {
    buffer.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Where the offset at `at` leads.
fn follow(buffer: &[u8], at: usize) -> Option<usize> {
    at.checked_add(u32::from_le_bytes(bytes(buffer, at)?) as usize).filter(|to| *to < buffer.len())
}

impl<'a> Table<'a> {
    /// The table that the buffer begins with.
    pub fn root(buffer: &'a [u8]) -> Option<Table<'a>> {
        Some(Table { buffer, at: follow(buffer, 0)? })
    }

    /// Where field `id` lies; `Some(None)` where the table leaves it out.
    fn field(&self, id: usize) -> Option<Option<usize>> {
        let back = i32::from_le_bytes(bytes(self.buffer, self.at)?) as isize;
        let fields = usize::try_from((self.at as isize).checked_sub(back)?).ok()?;
        let size = usize::from(u16::from_le_bytes(bytes(self.buffer, fields)?));
        let slot = 4 + 2 * id;
        if slot + 2 > size {
            return Some(None);
        }
        let offset = usize::from(u16::from_le_bytes(bytes(self.buffer, fields + slot)?));
        Some((offset > 0).then_some(self.at + offset))
    }

    /// A byte, 0 where it is left out.
    pub fn byte(&self, id: usize) -> Option<u8> {
        self.field(id)?.map_or(Some(0), |at| self.buffer.get(at).copied())
    }

    /// A whole number of four bytes, `default` where it is left out.
    pub fn int(&self, id: usize, default: i32) -> Option<i32> {
        self.field(id)?.map_or(Some(default), |at| bytes(self.buffer, at).map(i32::from_le_bytes))
    }

    /// A table; `None` also where it is left out.
    pub fn table(&self, id: usize) -> Option<Table<'a>> {
        Some(Table { buffer: self.buffer, at: follow(self.buffer, self.field(id)??)? })
    }

    /// The items of a vector, each `size` bytes; empty where it is left out.
    fn vector(&self, id: usize, size: usize) -> Option<(usize, &'a [u8])> {
        let Some(field) = self.field(id)? else { return Some((0, &[])) };
        let at = follow(self.buffer, field)?;
        let count = u32::from_le_bytes(bytes(self.buffer, at)?) as usize;
        let from = at + 4;
        Some((from, self.buffer.get(from..from.checked_add(count.checked_mul(size)?)?)?))
    }

    /// Bytes, or text.
    pub fn bytes(&self, id: usize) -> Option<&'a [u8]> {
        Some(self.vector(id, 1)?.1)
    }

    /// Numbers of two bytes.
    pub fn shorts(&self, id: usize) -> Option<Vec<i32>> {
        Some(self.vector(id, 2)?.1.as_chunks().0.iter().map(|b| i32::from(u16::from_le_bytes(*b))).collect())
    }

    /// Numbers of four bytes.
    pub fn ints(&self, id: usize) -> Option<Vec<i32>> {
        Some(self.vector(id, 4)?.1.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect())
    }

    /// The tables of a vector.
    pub fn tables(&self, id: usize) -> Option<Vec<Table<'a>>> {
        let (from, items) = self.vector(id, 4)?;
        (0..items.len() / 4)
            .map(|i| Some(Table { buffer: self.buffer, at: follow(self.buffer, from + 4 * i)? }))
            .collect()
    }
}

/// A value of a FlexBuffers map that holds nothing but numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// One.
    One(f64),
    /// A vector of them.
    Many(Vec<f64>),
}

/// A FlexBuffers map of numbers and vectors of numbers.
pub fn numbers(buffer: &[u8]) -> Option<BTreeMap<String, Number>> {
    let end = buffer.len().checked_sub(2)?;
    let (kind, width) = (buffer[end], usize::from(buffer[end + 1]));
    if kind >> 2 != MAP {
        return None;
    }
    let values = back(buffer, end.checked_sub(width)?, width)?;
    let width = 1 << (kind & 3);
    let count = usize::try_from(unsigned(buffer, values.checked_sub(width)?, width)?).ok()?;
    let key_width = usize::try_from(unsigned(buffer, values.checked_sub(2 * width)?, width)?).ok()?;
    let keys = back(buffer, values.checked_sub(3 * width)?, width)?;
    let kinds = buffer.get(values.checked_add(count.checked_mul(width)?)?..)?.get(..count)?;
    let mut out = BTreeMap::new();
    for (i, kind) in kinds.iter().enumerate() {
        let key = buffer.get(back(buffer, keys.checked_add(i.checked_mul(key_width)?)?, key_width)?..)?;
        let key = &key[..key.iter().position(|b| *b == 0)?];
        let number = number(buffer, values + i * width, width, *kind)?;
        out.insert(String::from_utf8(key.to_vec()).ok()?, number);
    }
    Some(out)
}

const INT: u8 = 1;
const UINT: u8 = 2;
const FLOAT: u8 = 3;
const MAP: u8 = 9;
const INTS: u8 = 11;
const UINTS: u8 = 12;
const FLOATS: u8 = 13;

fn unsigned(buffer: &[u8], at: usize, width: usize) -> Option<u64> {
    Some(match width {
        1 => u64::from(*buffer.get(at)?),
        2 => u64::from(u16::from_le_bytes(bytes(buffer, at)?)),
        4 => u64::from(u32::from_le_bytes(bytes(buffer, at)?)),
        8 => u64::from_le_bytes(bytes(buffer, at)?),
        _ => return None,
    })
}

/// Where the offset at `at`, which counts backwards, leads.
fn back(buffer: &[u8], at: usize, width: usize) -> Option<usize> {
    at.checked_sub(usize::try_from(unsigned(buffer, at, width)?).ok()?)
}

fn scalar(buffer: &[u8], at: usize, width: usize, kind: u8) -> Option<f64> {
    let raw = unsigned(buffer, at, width)?;
    Some(match (kind, width) {
        (INT, _) => {
            let unused = 64 - 8 * width as u32;
            ((raw << unused) as i64 >> unused) as f64
        }
        (UINT, _) => raw as f64,
        (FLOAT, 4) => f64::from(f32::from_bits(raw as u32)),
        (FLOAT, 8) => f64::from_bits(raw),
        _ => return None,
    })
}

fn number(buffer: &[u8], at: usize, width: usize, kind: u8) -> Option<Number> {
    let (kind, own) = (kind >> 2, 1 << (kind & 3));
    Some(match kind {
        INT | UINT | FLOAT => Number::One(scalar(buffer, at, width, kind)?),
        INTS | UINTS | FLOATS => {
            let from = back(buffer, at, width)?;
            let count = usize::try_from(unsigned(buffer, from.checked_sub(own)?, own)?).ok()?;
            // No more than there are bytes for.
            let end = from.checked_add(count.checked_mul(own)?)?;
            buffer.get(from..end)?;
            let items = (0..count).map(|i| scalar(buffer, from + i * own, own, kind - INTS + INT));
            Number::Many(items.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map as `flexbuffers` writes it: two numbers and a vector of two-byte ones.
    #[test]
    fn a_map_of_numbers() {
        // Keys "a", "b", "v"; a = 3 (int), b = 1.5 (float), v = [7, 300].
        let mut b: Vec<u8> = b"a\0b\0v\0".to_vec();
        b.extend([2, 0]); // two values
        let v = b.len();
        b.extend([7, 0, 0x2c, 1]);
        b.push(3); // three keys, one byte each
        let keys = b.len();
        for at in [0usize, 2, 4] {
            b.push((b.len() - at) as u8);
        }
        while !b.len().is_multiple_of(4) {
            b.push(0);
        }
        b.extend(((b.len() - keys) as u32).to_le_bytes());
        b.extend(1u32.to_le_bytes());
        b.extend(3u32.to_le_bytes());
        let values = b.len();
        b.extend(3u32.to_le_bytes());
        b.extend(1.5f32.to_le_bytes());
        b.extend(((b.len() - v) as u32).to_le_bytes());
        b.extend([INT << 2 | 2, FLOAT << 2 | 2, INTS << 2 | 1]);
        b.push((b.len() - values) as u8);
        b.extend([MAP << 2 | 2, 1]);
        let found = numbers(&b).unwrap();
        assert_eq!(found["a"], Number::One(3.0));
        assert_eq!(found["b"], Number::One(1.5));
        assert_eq!(found["v"], Number::Many(vec![7.0, 300.0]));
        for n in 0..b.len() {
            numbers(&b[..n]);
            for bit in 0..8 {
                let mut c = b.clone();
                c[n] ^= 1 << bit;
                numbers(&c);
            }
        }
    }
}
