//! Old presets and projects must render the same: what `released.txt` records does not change.

use super::{CONTROLS, Control, Kind, tree};

/// What presets, key files and host projects rely on.
fn line(c: &Control) -> String {
    let kind = match c.kind {
        Kind::Float { min, max, .. } => format!("float {min} {max}"),
        Kind::Int { min, max, .. } => format!("int {min} {max}"),
        Kind::Bool { .. } => "bool".into(),
        Kind::Choice { options, .. } => {
            format!("choice {}", options.iter().map(|o| o.id).collect::<Vec<_>>().join(","))
        }
        Kind::Text { .. } => "text".into(),
    };
    let keys = if c.keyframable { "keys" } else { "shot" };
    format!("{} {} {} {keys} {kind}", c.since, c.id, c.to_json(&c.default_value()))
}

fn id(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default()
}

/// A range may be widened and options may be added; then the line changes, and this test says how. An id, a
/// default and the order of options never change; a control that goes is listed in `RETIRED`.
#[test]
fn released_controls_stay() {
    let released: Vec<&str> =
        include_str!("released.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let changed: Vec<String> =
        CONTROLS.iter().map(line).filter(|now| !released.iter().any(|before| before == now)).collect();
    assert!(
        changed.is_empty(),
        "released.txt lacks these lines: add those of new controls, never change an old one's id or default\n{}",
        changed.join("\n")
    );
    for l in released {
        let known = tree::find(id(l)).is_some() || tree::RETIRED.iter().any(|(old, _)| *old == id(l));
        assert!(known, "{}: a control that goes must be listed in RETIRED", id(l));
    }
}
