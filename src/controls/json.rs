//! Strict JSON files: of bounded size, UTF-8, no name twice in one object.

use crate::text::{one_line, quoted};
use crate::{Error, Result};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::io::Read;
use std::path::Path;

/// The largest file that is read, bytes.
const LARGEST: u64 = 16 << 20;

/// The file's JSON.
///
/// # Errors
/// `Input` when the file cannot be read, is larger than 16 MiB or is not strict JSON.
pub(super) fn read(path: &Path, what: &str) -> Result<Value> {
    let shown = one_line(&path.to_string_lossy());
    let unreadable = |e: std::io::Error| {
        Error::input(format!("cannot read the {what} {shown}: {e}: check its name and permissions")).with_source(e)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::input(format!("{shown} is larger than 16 MiB: it cannot be a {what}, give another file")));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        Error::input(format!("{shown} is not text in UTF-8: save the {what} as UTF-8 JSON")).with_source(e)
    })?;
    parse(&text, &shown)
}

/// The JSON of `text`, which comes from `source`.
///
/// # Errors
/// `Input` with line and column.
pub(super) fn parse(text: &str, source: &str) -> Result<Value> {
    // Some editors put a byte order mark in front.
    serde_json::from_str::<Strict>(text.trim_start_matches('\u{feff}'))
        .map(|strict| strict.0)
        .map_err(|e| Error::input(format!("{source} is not valid JSON: {e}: correct it there")).with_source(e))
}

/// How a message calls the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value none of whose objects has a name twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> std::result::Result<Strict, E> {
        Ok(Strict(Value::Null))
    }
    fn visit_bool<E>(self, v: bool) -> std::result::Result<Strict, E> {
        Ok(Strict(v.into()))
    }
    fn visit_i64<E>(self, v: i64) -> std::result::Result<Strict, E> {
        Ok(Strict(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> std::result::Result<Strict, E> {
        Ok(Strict(v.into()))
    }
    fn visit_f64<E>(self, v: f64) -> std::result::Result<Strict, E> {
        Ok(Strict(v.into()))
    }
    fn visit_str<E>(self, v: &str) -> std::result::Result<Strict, E> {
        Ok(Strict(v.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Strict(list.into()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Strict, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format_args!("{} stands there twice", quoted(&name))));
            }
            map.insert(name, value);
        }
        Ok(Strict(map.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once() {
        let e = parse("{\"a\": {\"b\": 1,\n \"b\": 2}}", "f.json").unwrap_err();
        assert!(matches!(e, Error::Input(_)));
        assert!(e.to_string().starts_with("f.json is not valid JSON: 'b' stands there twice at line 2"), "{e}");
        assert!(parse("[1,", "f").is_err() && parse("", "f").is_err() && parse("1 2", "f").is_err());
        assert!(parse(&"[".repeat(100_000), "f").is_err(), "deep nesting must not overflow the stack");
    }

    #[test]
    fn values_come_through() {
        let text = "\u{feff}{\"a\":[null,true,-3,18446744073709551615,0.1,\"x\"],\"b\":{}}";
        assert_eq!(parse(text, "f").unwrap().to_string(), &text[3..]);
    }
}
