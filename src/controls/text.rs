//! Text in messages: one line whatever a user typed, and the nearest of several names.

/// `text` on one line: control characters escaped.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` on one line in quotes, shortened.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let head: String = text.chars().take(LONGEST).collect();
    let dots = if text.chars().nth(LONGEST).is_some() { "..." } else { "" };
    format!("'{}{dots}'", one_line(&head))
}

/// The name nearest to what was typed: by edit distance, where one that contains it whole counts as near.
pub(super) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Anything longer is no misspelling; it would only make the search slow.
    let typed: String = typed.trim().to_lowercase().chars().take(64).collect();
    let cost = |name: &str| {
        let name = name.to_lowercase();
        if typed.chars().count() > 2 && name.contains(&typed) { 1 } else { distance(&typed, &name) }
    };
    names.min_by_key(|name| cost(name))
}

/// Edit distance: insert, delete, replace a character, or swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [("", "", 0), ("", "abc", 3), ("yaw", "yaw", 0), ("ywa", "yaw", 1), ("kitten", "sitting", 3)] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name() {
        let names = ["view", "yaw_offset", "pitch_offset", "smoothing"];
        for (typed, name) in [
            ("yaw-offset", "yaw_offset"),
            ("yaw", "yaw_offset"),
            ("Pich_ofset", "pitch_offset"),
            ("smooth", "smoothing"),
            ("veiw", "view"),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), Some(name), "{typed}");
        }
        assert_eq!(nearest("x", std::iter::empty()), None);
    }

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(quoted("a\nb\u{1b}"), r"'a\nb\u{1b}'");
        assert_eq!(quoted(&"é".repeat(100)).chars().count(), 65);
    }
}
