//! Runs the opcodes of a pickle and builds its tree of values.

use super::tree::*;
use crate::text::clip;
use crate::weights::element::Element;
use crate::{Error, Result};
use std::borrow::Cow;
use std::collections::HashMap;

/// Opcodes in one pickle. The checkpoints in use have some ten thousand.
pub(super) const MAX_OPCODES: usize = 2_000_000;
/// Cells of all containers together.
const MAX_CELLS: usize = 4_000_000;
/// Dimensions of an array or tensor.
const MAX_DIMS: usize = 32;

/// Reads the pickle at the start of `bytes` (what follows its STOP is left alone, see [`Pickle::end`]).
///
/// `what` names the file in errors; `base` is where `bytes` starts in it.
///
/// # Errors
/// [`Error::Model`] for anything that is not a well-formed pickle of known opcodes and classes.
pub fn read<'a>(bytes: &'a [u8], what: &str, base: usize) -> Result<Pickle<'a>> {
    read_with(bytes, what, base, false)
}

/// [`read`]; with `foreign` classes that are not on the list are no errors: what their pickles say of them is kept as it is, and nothing is
/// made of it.
///
/// # Errors
/// As [`read`].
pub fn read_with<'a>(bytes: &'a [u8], what: &str, base: usize, foreign: bool) -> Result<Pickle<'a>> {
    let mut reader = Reader {
        bytes,
        at: 0,
        op_at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        cells: 0,
        owned: 0,
        foreign,
    };
    match reader.run() {
        Ok(root) => Ok(Pickle { nodes: reader.nodes, root, end: reader.at }),
        Err(text) => Err(Error::model(format!("{what}: {text} (pickle, byte {})", base + reader.op_at))),
    }
}

/// Inner errors are texts; the file and the offset are added once, in [`read`].
type Step<T> = std::result::Result<T, String>;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the current opcode stands.
    op_at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Stack heights at the open MARKs.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    cells: usize,
    owned: usize,
    /// Whether classes that are not on the list may be named.
    foreign: bool,
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Step<Id> {
        for _ in 0..MAX_OPCODES {
            self.op_at = self.at;
            let op = self.byte()?;
            if op == b'.' {
                return self.pop();
            }
            self.step(op)?;
        }
        Err(format!("more than {MAX_OPCODES} opcodes"))
    }

    fn step(&mut self, op: u8) -> Step<()> {
        match op {
            // Protocol and framing.
            0x80 => match self.byte()? {
                0..=5 => Ok(()),
                other => Err(format!("pickle protocol {other} is not supported (0 to 5 are)")),
            },
            0x95 => self.take(8).map(drop),
            // The stack and the memo.
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                    return Ok(());
                }
                self.pop().map(drop)
            }
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'p' => {
                let index = self.line_number()?;
                self.put(index)
            }
            b'q' => {
                let index = self.byte()?;
                self.put(index.into())
            }
            b'r' => {
                let index = self.u32()?;
                self.put(index.into())
            }
            0x94 => self.put(self.memo.len() as u64),
            b'g' => {
                let index = self.line_number()?;
                self.recall(index)
            }
            b'h' => {
                let index = self.byte()?;
                self.recall(index.into())
            }
            b'j' => {
                let index = self.u32()?;
                self.recall(index.into())
            }
            // Scalars.
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'I' => match self.line()? {
                "00" => self.push(Node::Bool(false)),
                "01" => self.push(Node::Bool(true)),
                text => {
                    let value = text.parse().map_err(|_| format!("'{}' is not an integer", clip(text)))?;
                    self.push(Node::Int(value))
                }
            },
            b'L' => {
                let text = self.line()?;
                let value = text.trim_end_matches('L').parse();
                let value = value.map_err(|_| format!("'{}' is not a 64-bit integer", clip(text)))?;
                self.push(Node::Int(value))
            }
            b'J' => {
                let value = self.u32()? as i32;
                self.push(Node::Int(value.into()))
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Node::Int(value.into()))
            }
            b'M' => {
                let value = self.array::<2>().map(u16::from_le_bytes)?;
                self.push(Node::Int(value.into()))
            }
            0x8a => {
                let n = self.byte()?;
                self.long(n.into())
            }
            0x8b => {
                let n = self.length(4)?;
                self.long(n)
            }
            b'F' => {
                let text = self.line()?;
                let value = text.parse().map_err(|_| format!("'{}' is not a number", clip(text)))?;
                self.push(Node::Float(value))
            }
            b'G' => {
                let value = self.array::<8>().map(f64::from_be_bytes)?;
                self.push(Node::Float(value))
            }
            // Texts and bytes.
            b'S' => self.quoted(),
            b'T' | b'B' => self.counted_bytes(4),
            b'U' | b'C' => self.counted_bytes(1),
            0x8e | 0x96 => self.counted_bytes(8),
            b'V' => self.escaped(),
            b'X' => self.counted_text(4),
            0x8c => self.counted_text(1),
            0x8d => self.counted_text(8),
            // Containers.
            b']' | 0x8f => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' => {
                let items = self.marked()?;
                self.push(Node::List(items))
            }
            b't' | 0x91 => {
                let items = self.marked()?;
                self.push(Node::Tuple(items))
            }
            b'd' => {
                let entries = pairs(&self.marked()?)?;
                self.push(Node::Dict(entries))
            }
            0x85..=0x87 => {
                let n = usize::from(op - 0x84);
                let start = self.floor_for(n)?;
                let items = self.stack.split_off(start);
                self.charge(n)?;
                self.push(Node::Tuple(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.extend_list(&items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])
            }
            b'u' => {
                let items = self.marked()?;
                self.extend_dict(&items)
            }
            // Classes and what they make.
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.class(module, name)
            }
            0x93 => {
                let name = self.pop_text()?;
                let module = self.pop_text()?;
                self.class(&module, &name)
            }
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)
            }
            b'R' | 0x81 => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.reduce(callable, args)
            }
            0x92 if self.foreign => {
                let _named = self.pop()?;
                let args = self.pop()?;
                let callable = self.pop()?;
                self.reduce(callable, args)
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                self.build(object, state)
            }
            _ => Err(format!("the opcode 0x{op:02x}{} is not allowed here", opcode_name(op))),
        }
    }

    // ---- bytes ----

    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let left = self.bytes.len() - self.at;
        if n > left {
            return Err(format!("{n} bytes are announced where only {left} are left; the file is cut off or damaged"));
        }
        let part = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Step<u8> {
        self.array::<1>().map(|b| b[0])
    }

    fn u32(&mut self) -> Step<u32> {
        self.array::<4>().map(u32::from_le_bytes)
    }

    /// A length of `n` bytes; whether that much is there is checked by [`Reader::take`].
    fn length(&mut self, n: usize) -> Step<usize> {
        let mut out = [0; 8];
        out[..n].copy_from_slice(self.take(n)?);
        usize::try_from(u64::from_le_bytes(out)).map_err(|_| "a length does not fit into memory".to_owned())
    }

    /// Up to the end of the line, without it.
    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|b| *b == b'\n').ok_or("a line has no end; the file is cut off or damaged")?;
        self.at += n + 1;
        let line = std::str::from_utf8(&rest[..n]).map_err(|_| "a line is not text".to_owned())?;
        Ok(line.trim_end_matches('\r'))
    }

    fn line_number(&mut self) -> Step<u64> {
        let text = self.line()?;
        text.parse().map_err(|_| format!("'{}' is not a memo index", clip(text)))
    }

    // ---- stack and memo ----

    /// Makes room in the budget of container cells.
    fn charge(&mut self, cells: usize) -> Step<()> {
        self.cells = self.cells.saturating_add(cells);
        if self.cells > MAX_CELLS {
            return Err(format!("more than {MAX_CELLS} entries in lists and dicts"));
        }
        Ok(())
    }

    /// Makes room in the budget of copied bytes: no well-formed pickle copies more than it is long.
    fn charge_bytes(&mut self, n: usize) -> Step<()> {
        self.owned = self.owned.saturating_add(n);
        if self.owned > 2 * self.bytes.len() {
            return Err("the same text is converted again and again".into());
        }
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) -> Step<()> {
        // At most MAX_OPCODES nodes exist, so the index fits.
        let id = Id(self.nodes.len() as u32);
        self.nodes.push(node);
        self.stack.push(id);
        Ok(())
    }

    /// The stack height below which the innermost MARK forbids to go.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn floor_for(&self, n: usize) -> Step<usize> {
        match self.stack.len().checked_sub(n) {
            Some(start) if start >= self.floor() => Ok(start),
            _ => Err("an opcode takes more values than there are".into()),
        }
    }

    fn pop(&mut self) -> Step<Id> {
        let start = self.floor_for(1)?;
        let id = self.stack[start];
        self.stack.truncate(start);
        Ok(id)
    }

    fn top(&self) -> Step<Id> {
        Ok(self.stack[self.floor_for(1)?])
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let start = self.marks.pop().ok_or("a MARK is missing")?;
        Ok(self.stack.split_off(start))
    }

    /// What stands above the innermost MARK, for a container.
    fn marked(&mut self) -> Step<Vec<Id>> {
        let items = self.pop_mark()?;
        self.charge(items.len())?;
        Ok(items)
    }

    fn put(&mut self, index: u64) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Step<()> {
        let id = *self.memo.get(&index).ok_or_else(|| format!("memo entry {index} does not exist"))?;
        self.stack.push(id);
        Ok(())
    }

    fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(t) => Some(t),
            Node::Bytes(b) => std::str::from_utf8(b).ok(),
            _ => None,
        }
    }

    fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(v) => Some(*v),
            Node::Bool(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    fn pop_text(&mut self) -> Step<String> {
        let id = self.pop()?;
        match self.text(id) {
            Some(text) if text.len() <= 256 => Ok(text.to_owned()),
            _ => Err("the name of a class is not a text".into()),
        }
    }

    // ---- scalars and texts ----

    fn long(&mut self, n: usize) -> Step<()> {
        let bytes = self.take(n)?;
        if n > 8 {
            return self.push(Node::Long(bytes));
        }
        let negative = bytes.last().is_some_and(|b| *b >= 0x80);
        let mut out = if negative { [0xff; 8] } else { [0; 8] };
        out[..n].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(out)))
    }

    fn counted_bytes(&mut self, width: usize) -> Step<()> {
        let n = self.length(width)?;
        let bytes = self.take(n)?;
        self.push(Node::Bytes(Cow::Borrowed(bytes)))
    }

    fn counted_text(&mut self, width: usize) -> Step<()> {
        let n = self.length(width)?;
        let text = std::str::from_utf8(self.take(n)?).map_err(|_| "a text is not UTF-8".to_owned())?;
        self.push(Node::Text(Cow::Borrowed(text)))
    }

    /// STRING: a Python 2 literal in quotes.
    fn quoted(&mut self) -> Step<()> {
        let line = self.line()?;
        let inner = ["'", "\""].iter().find_map(|q| line.strip_prefix(q)?.strip_suffix(q));
        let inner = inner.ok_or("a string has no quotes")?;
        self.charge_bytes(inner.len())?;
        let bytes = unescape(inner).ok_or("a string holds an unknown escape")?;
        self.push(Node::Bytes(Cow::Owned(bytes)))
    }

    /// UNICODE: raw-unicode-escape, where only `\uXXXX` and `\UXXXXXXXX` are escapes and other bytes are Latin-1.
    fn escaped(&mut self) -> Step<()> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|b| *b == b'\n').ok_or("a line has no end; the file is cut off or damaged")?;
        self.at += n + 1;
        self.charge_bytes(n)?;
        let line = &rest[..n];
        let mut out = String::new();
        let mut i = 0;
        while i < n {
            let digits = match line[i..] {
                [b'\\', b'u', ..] => 4,
                [b'\\', b'U', ..] => 8,
                _ => {
                    out.push(char::from(line[i]));
                    i += 1;
                    continue;
                }
            };
            let code = line.get(i + 2..i + 2 + digits).and_then(|d| std::str::from_utf8(d).ok());
            let code = code.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
            out.push(code.ok_or("a text holds an unknown escape")?);
            i += 2 + digits;
        }
        self.push(Node::Text(Cow::Owned(out)))
    }

    // ---- containers ----

    fn extend_list(&mut self, items: &[Id]) -> Step<()> {
        self.charge(items.len())?;
        let list = self.top()?;
        match &mut self.nodes[list.0 as usize] {
            Node::List(out) => out.extend_from_slice(items),
            Node::Object(_) => {}
            _ => return Err("values are appended to something that is not a list".into()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Step<()> {
        self.charge(items.len())?;
        let entries = pairs(items)?;
        let dict = self.top()?;
        match &mut self.nodes[dict.0 as usize] {
            Node::Dict(out) => out.extend(entries),
            Node::Object(out) => out.entries.extend(entries),
            _ => return Err("entries are put into something that is not a dict".into()),
        }
        Ok(())
    }

    // ---- classes ----

    fn class(&mut self, module: &str, name: &str) -> Step<()> {
        match known_class(module, name) {
            Some(class) => self.push(Node::Class(class)),
            None if self.foreign => {
                self.charge_bytes(module.len() + name.len() + 1)?;
                self.push(Node::Foreign(format!("{module}.{name}")))
            }
            None => Err(format!(
                "the class or function '{}.{}' is not on the list of what may be read; nothing was executed",
                clip(module),
                clip(name)
            )),
        }
    }

    /// The persistent id of a torch storage: `("storage", class, key, device, numel[, view])`.
    fn storage(&mut self, id: Id) -> Step<()> {
        let bad = || "a storage reference is malformed".to_owned();
        let Node::Tuple(parts) = self.node(id) else { return Err(bad()) };
        let (&[tag, class, key, _device, numel], view) = match parts.len() {
            5 => (parts.first_chunk::<5>().ok_or_else(bad)?, None),
            6 => (parts.first_chunk::<5>().ok_or_else(bad)?, Some(parts[5])),
            _ => return Err(bad()),
        };
        let Node::Class(Class::Storage(element)) = *self.node(class) else { return Err(bad()) };
        if self.text(tag) != Some("storage") {
            return Err(bad());
        }
        let key = match self.node(key) {
            Node::Text(Cow::Borrowed(key)) => Cow::Borrowed(*key),
            _ => {
                let key = self.text(key).ok_or_else(bad)?.to_owned();
                self.charge_bytes(key.len())?;
                Cow::Owned(key)
            }
        };
        let size = |id| self.int(id).and_then(|v| usize::try_from(v).ok()).ok_or_else(bad);
        let numel = size(numel)?;
        let view = match view.map(|v| self.node(v)) {
            None | Some(Node::None) => None,
            Some(Node::Tuple(v)) if v.len() == 3 => Some((size(v[1])?, size(v[2])?)),
            Some(_) => return Err(bad()),
        };
        self.push(Node::Storage(Box::new(Storage { element, key, numel, view })))
    }

    fn reduce(&mut self, callable: Id, args: Id) -> Step<()> {
        if matches!(self.node(callable), Node::Foreign(_) | Node::Object(_)) {
            let object = Object { class: callable, args, state: None, entries: Vec::new() };
            return self.push(Node::Object(Box::new(object)));
        }
        let Node::Class(class) = *self.node(callable) else {
            return Err("something is called that is not a known class".into());
        };
        let Node::Tuple(args) = self.node(args) else { return Err("the arguments of a call are not a tuple".into()) };
        // Every call below takes a handful of arguments; more of them cannot be meant.
        if args.len() > 8 {
            return Err(format!("{class:?} is called with {} arguments", args.len()));
        }
        let args = args.clone();
        let bad = || format!("{class:?} is called with arguments it does not take");
        let arg = |i: usize| args.get(i).copied().ok_or_else(bad);
        match class {
            Class::OrderedDict => {
                let entries = match args.first() {
                    None => Vec::new(),
                    Some(list) => self.pair_list(*list).ok_or_else(bad)?,
                };
                self.charge(2 * entries.len())?;
                self.push(Node::Dict(entries))
            }
            Class::RebuildTensor => {
                let (storage, offset) = (arg(0)?, self.int(arg(1)?).ok_or_else(bad)?);
                if !matches!(self.node(storage), Node::Storage(_)) {
                    return Err(bad());
                }
                let offset = usize::try_from(offset).map_err(|_| bad())?;
                let (shape, stride) = (self.sizes(arg(2)?)?, self.sizes(arg(3)?)?);
                if shape.len() != stride.len() {
                    return Err(format!("a tensor has {} dimensions but {} strides", shape.len(), stride.len()));
                }
                self.push(Node::Tensor(Box::new(Tensor { storage, offset, shape, stride })))
            }
            Class::RebuildParameter => {
                let tensor = arg(0)?;
                if !matches!(self.node(tensor), Node::Tensor(_)) {
                    return Err(bad());
                }
                self.stack.push(tensor);
                Ok(())
            }
            Class::TorchSize => {
                let items = match args.first().map(|a| self.node(*a)) {
                    None => Vec::new(),
                    Some(Node::Tuple(items) | Node::List(items)) => items.clone(),
                    Some(_) => return Err(bad()),
                };
                self.charge(items.len())?;
                self.push(Node::Tuple(items))
            }
            Class::NumpyReconstruct => {
                if !matches!(self.node(arg(0)?), Node::Class(Class::NumpyArray)) {
                    return Err(bad());
                }
                let dtype = Dtype { element: Element::U8, big_endian: false };
                self.push(Node::Array(Box::new(NdArray { dtype, shape: vec![0], fortran: false, data: None })))
            }
            Class::NumpyDtype => {
                let code = arg(0)?;
                let code = self.text(code).ok_or_else(bad)?;
                let dtype =
                    dtype(code).ok_or_else(|| format!("arrays of the type '{}' are not supported", clip(code)))?;
                self.push(Node::Dtype(dtype))
            }
            Class::NumpyScalar => {
                let Node::Dtype(dtype) = *self.node(arg(0)?) else { return Err(bad()) };
                let array = self.filled(dtype, Vec::new(), false, arg(1)?)?;
                self.push(array)
            }
            Class::NumpyFromBuffer => {
                let Node::Dtype(dtype) = *self.node(arg(1)?) else { return Err(bad()) };
                let shape = self.sizes(arg(2)?)?;
                let fortran = match self.text(arg(3)?) {
                    Some("C") => false,
                    Some("F") => true,
                    // Newer versions of numpy keep permuted axes ("K"), in protocol 5 only.
                    _ => return Err("an array's axes are permuted; write the file with protocol 4".into()),
                };
                let array = self.filled(dtype, shape, fortran, arg(0)?)?;
                self.push(array)
            }
            Class::CodecsEncode => {
                let (text, codec) = (arg(0)?, arg(1)?);
                if !matches!(self.text(codec), Some("latin1" | "latin-1" | "iso-8859-1")) {
                    return Err("a text is encoded in another way than Latin-1".into());
                }
                let n = self.text(text).ok_or_else(bad)?.len();
                self.charge_bytes(n)?;
                let bytes: Option<Vec<u8>> =
                    self.text(text).ok_or_else(bad)?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                let bytes = bytes.ok_or("a text is not Latin-1")?;
                self.push(Node::Bytes(Cow::Owned(bytes)))
            }
            Class::NumpyArray | Class::Storage(_) => Err(format!("{class:?} is called directly")),
        }
    }

    /// Sets the state of a freshly made object.
    fn build(&mut self, object: Id, state: Id) -> Step<()> {
        let bad = |of: &str| format!("the state of {of} is malformed");
        if let Node::Object(foreign) = &mut self.nodes[object.0 as usize] {
            foreign.state = Some(state);
            return Ok(());
        }
        let new = match self.node(object) {
            // Attributes of an OrderedDict (torch keeps version numbers there) carry no values of ours.
            Node::Dict(_) => return Ok(()),
            Node::Dtype(dtype) => {
                let Node::Tuple(parts) = self.node(state) else { return Err(bad("a dtype")) };
                let [_, order, sub, names, ..] = parts[..] else { return Err(bad("a dtype")) };
                if !matches!(self.node(sub), Node::None) || !matches!(self.node(names), Node::None) {
                    return Err("arrays of structures are not supported".into());
                }
                let big_endian = match self.text(order) {
                    Some("<" | "|" | "=") => false,
                    Some(">") => true,
                    _ => return Err(bad("a dtype")),
                };
                Node::Dtype(Dtype { big_endian, ..*dtype })
            }
            Node::Array(_) => {
                let Node::Tuple(parts) = self.node(state) else { return Err(bad("an array")) };
                let [shape, dtype, fortran, data] = match parts[..] {
                    [_, shape, dtype, fortran, data] | [shape, dtype, fortran, data] => [shape, dtype, fortran, data],
                    _ => return Err(bad("an array")),
                };
                let Node::Dtype(dtype) = *self.node(dtype) else { return Err(bad("an array")) };
                let fortran = self.int(fortran).ok_or_else(|| bad("an array"))? != 0;
                let shape = self.sizes(shape)?;
                self.filled(dtype, shape, fortran, data)?
            }
            _ => return Err("a state is set on something that takes none".into()),
        };
        self.nodes[object.0 as usize] = new;
        Ok(())
    }

    fn filled(&self, dtype: Dtype, shape: Vec<usize>, fortran: bool, data: Id) -> Step<Node<'a>> {
        let Node::Bytes(bytes) = self.node(data) else {
            return Err("an array's values are not bytes (arrays of objects are not supported)".into());
        };
        let size = shape.iter().try_fold(dtype.element.size(), |n, d| n.checked_mul(*d));
        if size != Some(bytes.len()) {
            return Err(format!("an array of shape {shape:?} comes with {} bytes, which does not fit", bytes.len()));
        }
        Ok(Node::Array(Box::new(NdArray { dtype, shape, fortran, data: Some(data) })))
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        let (Node::Tuple(items) | Node::List(items)) = self.node(id) else {
            return Err("a shape is not a tuple".into());
        };
        if items.len() > MAX_DIMS {
            return Err(format!("an array has {} dimensions", items.len()));
        }
        let size = |id: &Id| self.int(*id).and_then(|v| usize::try_from(v).ok());
        items.iter().map(|id| size(id).ok_or_else(|| "a shape holds something that is not a size".into())).collect()
    }

    /// The pairs of a list of 2-tuples or 2-lists.
    fn pair_list(&self, list: Id) -> Option<Vec<(Id, Id)>> {
        let (Node::Tuple(items) | Node::List(items)) = self.node(list) else { return None };
        let pair = |id: &Id| match self.node(*id) {
            Node::Tuple(p) | Node::List(p) if p.len() == 2 => Some((p[0], p[1])),
            _ => None,
        };
        if self.cells.saturating_add(2 * items.len()) > MAX_CELLS {
            return None;
        }
        items.iter().map(pair).collect()
    }
}

fn pairs(items: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a dict has a key without a value".into());
    }
    Ok(pairs.iter().map(|[k, v]| (*k, *v)).collect())
}

fn known_class(module: &str, name: &str) -> Option<Class> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Class::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Class::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Class::RebuildParameter,
        ("torch", "Size") => Class::TorchSize,
        ("torch", "FloatStorage") => Class::Storage(Element::F32),
        ("torch", "HalfStorage") => Class::Storage(Element::F16),
        ("torch", "DoubleStorage") => Class::Storage(Element::F64),
        ("torch", "BFloat16Storage") => Class::Storage(Element::Bf16),
        ("torch", "LongStorage") => Class::Storage(Element::I64),
        ("torch", "IntStorage") => Class::Storage(Element::I32),
        ("torch", "ShortStorage") => Class::Storage(Element::I16),
        ("torch", "ByteStorage") => Class::Storage(Element::U8),
        ("torch", "CharStorage") => Class::Storage(Element::I8),
        ("torch", "BoolStorage") => Class::Storage(Element::Bool),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Class::NumpyReconstruct,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Class::NumpyScalar,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Class::NumpyFromBuffer,
        ("numpy", "ndarray") => Class::NumpyArray,
        ("numpy", "dtype") => Class::NumpyDtype,
        ("_codecs", "encode") => Class::CodecsEncode,
        _ => return None,
    })
}

/// A numpy type code such as `f4`, `<i8` or `|u1`.
pub(in crate::weights) fn dtype(code: &str) -> Option<Dtype> {
    let (order, kind) = match code.as_bytes().first()? {
        b'<' | b'|' | b'=' => (false, &code[1..]),
        b'>' => (true, &code[1..]),
        _ => (false, code),
    };
    let element = match kind {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "i1" => Element::I8,
        "i2" => Element::I16,
        "i4" => Element::I32,
        "i8" => Element::I64,
        "u1" => Element::U8,
        "u2" => Element::U16,
        "u4" => Element::U32,
        "u8" => Element::U64,
        "b1" | "?" => Element::Bool,
        _ => return None,
    };
    Some(Dtype { element, big_endian: order })
}

/// The escapes of a Python 2 string literal.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        out.push(match bytes.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (16 * high + low) as u8
            }
            same @ (b'\\' | b'\'' | b'"') => same,
            _ => return None,
        });
    }
    Some(out)
}

/// Names of the opcodes that are known and refused.
fn opcode_name(op: u8) -> &'static str {
    match op {
        b'P' => " (PERSID)",
        b'i' => " (INST)",
        b'o' => " (OBJ)",
        0x82..=0x84 => " (EXT)",
        0x92 => " (NEWOBJ_EX)",
        0x97 => " (NEXT_BUFFER)",
        0x98 => " (READONLY_BUFFER)",
        _ => "",
    }
}
