//! Scalar types of the file formats, decoded to the two that [`Data`] holds.

#![allow(missing_docs, reason = "the variants are number formats by their usual names")]

use crate::weights::Data;

/// The type of one value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// An integer that 32 bits cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge(pub i128);

impl Element {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::F16 | Element::Bf16 | Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 | Element::U64 => 8,
        }
    }

    /// Whether values become [`Data::F32`]; the others become [`Data::I32`].
    pub fn is_float(self) -> bool {
        matches!(self, Element::F16 | Element::Bf16 | Element::F32 | Element::F64)
    }

    /// An empty [`Data`] of the kind this type is decoded to, with room for `n` values.
    pub fn empty(self, n: usize) -> Data {
        if self.is_float() { Data::F32(Vec::with_capacity(n)) } else { Data::I32(Vec::with_capacity(n)) }
    }

    /// Decodes whole values; bytes left over at the end are ignored.
    ///
    /// # Errors
    /// An integer that does not fit into 32 bits.
    pub fn decode(self, bytes: &[u8], big_endian: bool) -> Result<Data, TooLarge> {
        let mut data = self.empty(bytes.len() / self.size());
        self.append(bytes, big_endian, &mut data)?;
        Ok(data)
    }

    /// [`Element::decode`] behind what `data` holds already. Integers become floats if `data` is float; floats
    /// are truncated if it is integer (no caller asks for that).
    ///
    /// # Errors
    /// An integer that does not fit into 32 bits (never with float `data`).
    pub fn append(self, bytes: &[u8], big_endian: bool, data: &mut Data) -> Result<(), TooLarge> {
        match data {
            Data::F32(out) => {
                self.floats(bytes, big_endian, out);
                Ok(())
            }
            Data::I32(out) => self.integers(bytes, big_endian, out),
        }
    }

    fn floats(self, bytes: &[u8], big: bool, out: &mut Vec<f32>) {
        match self {
            Element::F16 => each(bytes, big, out, |b| half::f16::from_le_bytes(b).to_f32()),
            Element::Bf16 => each(bytes, big, out, |b| half::bf16::from_le_bytes(b).to_f32()),
            Element::F32 => each(bytes, big, out, f32::from_le_bytes),
            Element::F64 => each(bytes, big, out, |b| f64::from_le_bytes(b) as f32),
            Element::I8 => each(bytes, big, out, |b| f32::from(i8::from_le_bytes(b))),
            Element::U8 => each(bytes, big, out, |b| f32::from(u8::from_le_bytes(b))),
            Element::Bool => each(bytes, big, out, |b| f32::from(u8::from(b != [0]))),
            Element::I16 => each(bytes, big, out, |b| f32::from(i16::from_le_bytes(b))),
            Element::U16 => each(bytes, big, out, |b| f32::from(u16::from_le_bytes(b))),
            Element::I32 => each(bytes, big, out, |b| i32::from_le_bytes(b) as f32),
            Element::U32 => each(bytes, big, out, |b| u32::from_le_bytes(b) as f32),
            Element::I64 => each(bytes, big, out, |b| i64::from_le_bytes(b) as f32),
            Element::U64 => each(bytes, big, out, |b| u64::from_le_bytes(b) as f32),
        }
    }

    fn integers(self, bytes: &[u8], big: bool, out: &mut Vec<i32>) -> Result<(), TooLarge> {
        let mut bad = None;
        let mut fit = |wide: i128| match i32::try_from(wide) {
            Ok(v) => v,
            Err(_) => {
                bad.get_or_insert(TooLarge(wide));
                0
            }
        };
        match self {
            Element::F16 => each(bytes, big, out, |b| half::f16::from_le_bytes(b).to_f32() as i32),
            Element::Bf16 => each(bytes, big, out, |b| half::bf16::from_le_bytes(b).to_f32() as i32),
            Element::F32 => each(bytes, big, out, |b| f32::from_le_bytes(b) as i32),
            Element::F64 => each(bytes, big, out, |b| f64::from_le_bytes(b) as i32),
            Element::I8 => each(bytes, big, out, |b| i32::from(i8::from_le_bytes(b))),
            Element::U8 => each(bytes, big, out, |b| i32::from(u8::from_le_bytes(b))),
            Element::Bool => each(bytes, big, out, |b| i32::from(b != [0])),
            Element::I16 => each(bytes, big, out, |b| i32::from(i16::from_le_bytes(b))),
            Element::U16 => each(bytes, big, out, |b| i32::from(u16::from_le_bytes(b))),
            Element::I32 => each(bytes, big, out, i32::from_le_bytes),
            Element::U32 => each(bytes, big, out, |b| fit(u32::from_le_bytes(b).into())),
            Element::I64 => each(bytes, big, out, |b| fit(i64::from_le_bytes(b).into())),
            Element::U64 => each(bytes, big, out, |b| fit(u64::from_le_bytes(b).into())),
        }
        bad.map_or(Ok(()), Err)
    }
}

/// Appends `f` of every group of `N` bytes, handed over in little-endian order.
fn each<const N: usize, T>(bytes: &[u8], big: bool, out: &mut Vec<T>, mut f: impl FnMut([u8; N]) -> T) {
    let (groups, _) = bytes.as_chunks::<N>();
    if big {
        out.extend(groups.iter().map(|g| {
            let mut g = *g;
            g.reverse();
            f(g)
        }));
    } else {
        out.extend(groups.iter().map(|g| f(*g)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders() {
        let le: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let be: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(Element::F64.decode(&le, false), Ok(Data::F32(vec![1.5, -2.0])));
        assert_eq!(Element::F64.decode(&be, true), Ok(Data::F32(vec![1.5, -2.0])));
        assert_eq!(Element::I16.decode(&[0xff, 0xfe], true), Ok(Data::I32(vec![-2])));
        assert_eq!(Element::Bool.decode(&[0, 1, 7], false), Ok(Data::I32(vec![0, 1, 1])));
        assert_eq!(Element::F16.decode(&[0x00, 0x3c], false), Ok(Data::F32(vec![1.0])));
        assert_eq!(Element::Bf16.decode(&[0x80, 0x3f], false), Ok(Data::F32(vec![1.0])));
    }

    #[test]
    fn integers_must_fit() {
        assert_eq!(Element::I64.decode(&(-5i64).to_le_bytes(), false), Ok(Data::I32(vec![-5])));
        let big = 1i64 << 40;
        assert_eq!(Element::I64.decode(&big.to_le_bytes(), false), Err(TooLarge(big.into())));
        assert_eq!(Element::U32.decode(&u32::MAX.to_le_bytes(), false), Err(TooLarge(u32::MAX.into())));
        let mut floats = Data::F32(Vec::new());
        Element::U32.append(&7u32.to_le_bytes(), false, &mut floats).unwrap();
        assert_eq!(floats, Data::F32(vec![7.0]));
    }
}
