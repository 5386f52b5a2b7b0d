//! What is said about controls elsewhere: the tables of docs/USER_GUIDE.md, `headgan presets show --controls`.

use super::presets::{Origin, Presets};
use super::tree::{CONTROLS, Control, Group, Kind};
use crate::controls::value::Value;
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// Legal values in a few words: `-90..90 degrees`.
fn range(c: &Control) -> String {
    match c.kind {
        Kind::Float { min, max, unit, .. } => format!("{min}..{max} {}", unit.name()),
        Kind::Int { min, max, unit, .. } => format!("{min}..{max} {}, whole", unit.name()),
        Kind::Bool { .. } => "true, false".into(),
        Kind::Choice { options, .. } => options.iter().map(|o| o.id).collect::<Vec<_>>().join(", "),
        Kind::Text { .. } => "text".into(),
    }
}

/// The tables of controls in Markdown, one for each group.
pub fn markdown() -> String {
    let mut out = String::new();
    for group in Group::ALL {
        // Writing into a String cannot fail.
        let _ = write!(out, "### {}\n\n{}\n\n", group.label(), group.hint());
        out += "| control | label | default | values | keys | what it does |\n|---|---|---|---|---|---|\n";
        for c in group.controls() {
            let mut hint = c.hint.to_string();
            if let Kind::Choice { options, .. } = c.kind {
                for o in options {
                    let _ = write!(hint, " **{}** (`{}`): {}", o.label, o.id, o.hint);
                }
            }
            let keys = if c.keyframable { "yes" } else { "no" };
            let default = c.print(&c.default_value());
            let (id, label) = (c.id, c.label);
            let _ = writeln!(out, "| `{id}` | {label} | {default} | {} | {keys} | {} |", cell(&range(c)), cell(&hint));
        }
        out.push('\n');
    }
    out
}

/// The table of the shipped presets in Markdown.
pub fn presets_markdown() -> String {
    let mut out = String::from("| preset | what it is for | sets |\n|---|---|---|\n");
    for entry in Presets::default().list().into_iter().filter(|e| e.origin == Origin::Shipped) {
        if let Ok(p) = entry.preset {
            let sets: Vec<String> = p.controls().map(|(c, v)| format!("`{}={}`", c.id, c.print(v))).collect();
            let _ = writeln!(out, "| `{}` | {} | {} |", p.id, cell(&p.description), sets.join(" "));
        }
    }
    out.push('\n');
    out
}

/// Text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The list of controls for a terminal: two lines each.
pub fn terminal() -> String {
    let mut out = String::new();
    for group in Group::ALL {
        let _ = writeln!(out, "{}: {}", group.label(), group.hint());
        for c in group.controls() {
            let keys = if c.keyframable { ", keyframes" } else { "" };
            let default = c.print(&c.default_value());
            let _ = writeln!(out, "  {}={default}  [{}{keys}]\n      {}", c.id, range(c), c.hint);
        }
        out.push('\n');
    }
    out
}

/// The list of controls for programs: `{"controls": [{"id", "label", "hint", "group", "type", "default", ..}]}`.
pub fn document() -> Json {
    let controls: Vec<Json> = CONTROLS
        .iter()
        .map(|c| {
            let mut one = json!({
                "id": c.id, "label": c.label, "hint": c.hint, "group": c.group.id(), "keyframable": c.keyframable,
                "since": c.since, "default": c.to_json(&c.default_value()),
            });
            let number = |v: f64| c.to_json(&Value::Float(v));
            let kind = match c.kind {
                Kind::Float { min, max, unit, .. } => {
                    json!({"type": "float", "min": number(min), "max": number(max), "unit": unit.name()})
                }
                Kind::Int { min, max, unit, .. } => json!({"type": "int", "min": min, "max": max, "unit": unit.name()}),
                Kind::Bool { .. } => json!({"type": "bool"}),
                Kind::Choice { options, .. } => {
                    let options: Vec<Json> =
                        options.iter().map(|o| json!({"id": o.id, "label": o.label, "hint": o.hint})).collect();
                    json!({"type": "choice", "options": options})
                }
                Kind::Text { .. } => json!({"type": "text"}),
            };
            if let (Json::Object(one), Json::Object(kind)) = (&mut one, kind) {
                one.extend(kind);
            }
            one
        })
        .collect();
    json!({ "controls": controls })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` with what stands between the marks `name:begin` and `name:end` replaced.
    fn with_section(text: &str, name: &str, section: &str) -> String {
        let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->\n"));
        let from = text.find(&begin).unwrap_or_else(|| panic!("the guide lacks {begin}")) + begin.len();
        let to = from + text[from..].find(&end).unwrap_or_else(|| panic!("the guide lacks {end}"));
        format!("{}\n{section}{}", &text[..from], &text[to..])
    }

    #[test]
    fn the_user_guide_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/USER_GUIDE.md");
        let text = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
        let wanted = with_section(&text, "controls", &markdown());
        let wanted = with_section(&wanted, "presets", &presets_markdown());
        if std::env::var_os("UPDATE_GUIDE").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        } else {
            assert!(
                text == wanted,
                "docs/USER_GUIDE.md is out of date: run `UPDATE_GUIDE=1 cargo test --release --lib guide`"
            );
        }
    }

    #[test]
    fn lists_are_complete() {
        let (terminal, document, guide) = (terminal(), document(), markdown());
        for (c, one) in CONTROLS.iter().zip(document["controls"].as_array().unwrap()) {
            assert!(terminal.contains(&format!("\n  {}=", c.id)) && guide.contains(&format!("| `{}` |", c.id)));
            assert_eq!(one["id"], c.id);
            assert_eq!(c.from_json(&one["default"]).unwrap(), c.default_value());
        }
        assert_eq!(document["controls"].as_array().unwrap().len(), CONTROLS.len());
    }

    #[test]
    fn tables_have_six_columns() {
        for line in markdown().lines().filter(|l| l.starts_with('|')) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 7, "{line}");
        }
    }
}
