//! Text of messages: user input on one line, text from files shortened, the name nearest to a misspelling.

/// `text` on one line: control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
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
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let head: String = text.chars().take(LONGEST).collect();
    let dots = if text.chars().nth(LONGEST).is_some() { "..." } else { "" };
    format!("'{}{dots}'", one_line(&head))
}

/// The name nearest to what was typed: by edit distance, where one that contains it whole counts as near.
pub(crate) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Anything longer is no misspelling; it would only make the search slow.
    let typed: String = typed.trim().to_lowercase().chars().take(64).collect();
    let cost = |name: &str| {
        let name = name.to_lowercase();
        // Of several names that contain it, the shortest says the least else.
        let contained = typed.chars().count() > 2 && name.contains(&typed);
        if contained { (1, name.len()) } else { (strsim::osa_distance(&typed, &name), 0) }
    };
    names.min_by_key(|name| cost(name))
}

/// The name that differs least from `name`, or `None` if none is a likely misspelling of it.
pub(crate) fn likely<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 2).max(2);
    names.map(|n| (strsim::levenshtein(name, n), n)).filter(|(d, _)| *d <= limit).min().map(|(_, n)| n)
}

/// The first characters of a text from a file, fit for a one-line message.
pub(crate) fn clip(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_likely_misspelling() {
        assert_eq!(likely("3ddfa_v2", ["retinaface", "3ddfa-v2"].into_iter()), Some("3ddfa-v2"));
        assert_eq!(likely("zebra", ["retinaface", "3ddfa-v2"].into_iter()), None);
    }

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(quoted("a\nb\u{1b}"), r"'a\nb\u{1b}'");
        assert_eq!(quoted(&"é".repeat(100)).chars().count(), 65);
    }
}
