//! A restricted reader of Python pickles: it builds a tree of values and never executes anything.
//!
//! This module knows the pickle language alone. [`super::torch`] and [`super::numpy`] interpret a checkpoint's values.
//!
//! Protocols 0 to 5 as far as torch checkpoints and numpy arrays need them. An opcode or a class that is not on the
//! list is an error that names it. The opcodes are those of Python's `pickletools`; the reductions are what torch
//! (`torch._utils`) and numpy (`numpy.core.multiarray`) write.
//!
//! Values live in one list and refer to each other by index: a pickle may share values or contain itself, and
//! neither deep nesting nor cycles can overflow a stack or leak. What a corrupted file can make the reader allocate
//! is bounded by the number of opcodes (`MAX_OPCODES`) and container cells; payloads stay in the file's bytes.

mod reader;
#[cfg(test)]
mod tests;
mod tree;

pub(super) use reader::dtype;
pub use reader::{read, read_with};
pub use tree::{Class, Dtype, Id, NdArray, Node, Object, Pickle, Storage, Tensor};
