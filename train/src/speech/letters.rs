//! When letters begin, of the times of phonemes.
//!
//! Letters and phonemes of a word are brought together in order, as many as can be: a letter only with a phoneme that it may stand for in
//! English. A letter that is silent, or the second of two that share a phoneme, has no time.

use super::espeak::Event;

/// What a letter may stand for: the first characters of espeak-ng's names of phonemes. Vowels stand for all vowels.
fn sounds(letter: char) -> &'static str {
    const VOWELS: &str = "@aAeEiIoOuUV03";
    match letter {
        'a' | 'e' | 'i' => VOWELS,
        'o' => "@aAeEiIoOuUV03w",
        'u' => "@aAeEiIoOuUV03wj",
        'y' => "@aAeEiIoOuUV03j",
        'b' => "b",
        'c' => "kstS",
        'd' => "dt",
        'f' => "fv",
        'g' => "gdZ",
        'h' => "h",
        'j' => "dZ",
        'k' => "k",
        'l' => "lL",
        'm' => "m",
        'n' => "nN",
        'p' => "pf",
        'q' => "k",
        'r' => "rR3",
        's' => "szSZ",
        't' => "tTDdS*",
        'v' => "vf",
        'w' => "w",
        'x' => "kgz",
        'z' => "zs",
        _ => "",
    }
}

/// Whether `letter` may stand for the phoneme `name`.
fn matches(letter: char, name: &str) -> bool {
    name.chars().next().is_some_and(|first| sounds(letter.to_ascii_lowercase()).contains(first))
}

/// The phoneme of each letter of a word: the longest common subsequence, the earliest letters first.
fn of_word(letters: &[char], phonemes: &[(&str, f64)]) -> Vec<Option<f64>> {
    let (n, m) = (letters.len(), phonemes.len());
    // The most pairs that the letters from i on and the phonemes from j on make.
    let mut best = vec![vec![0; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            let pair = if matches(letters[i], phonemes[j].0) { 1 + best[i + 1][j + 1] } else { 0 };
            best[i][j] = pair.max(best[i + 1][j]).max(best[i][j + 1]);
        }
    }
    let mut out = vec![None; n];
    let (mut i, mut j) = (0, 0);
    while i < n && j < m {
        if matches(letters[i], phonemes[j].0) && best[i][j] == 1 + best[i + 1][j + 1] {
            out[i] = Some(phonemes[j].1);
            (i, j) = (i + 1, j + 1);
        } else if best[i][j] == best[i][j + 1] {
            j += 1;
        } else {
            i += 1;
        }
    }
    out
}

/// When each character of `text` begins, in seconds, of what espeak-ng says of it.
pub fn onsets(text: &str, events: &[Event]) -> Vec<Option<f64>> {
    let characters: Vec<char> = text.chars().collect();
    let mut out = vec![None; characters.len()];
    let mut words: Vec<(usize, Vec<(&str, f64)>)> = Vec::new();
    for event in events {
        match (event, words.last_mut()) {
            (Event::Word { first }, last) if last.as_ref().is_none_or(|last| last.0 < *first) => {
                words.push((*first, Vec::new()));
            }
            (Event::Phoneme { name, seconds }, Some(word)) => word.1.push((name, *seconds)),
            _ => {}
        }
    }
    for (i, (first, phonemes)) in words.iter().enumerate() {
        let end = words.get(i + 1).map_or(characters.len(), |next| next.0).min(characters.len());
        if *first < end {
            out[*first..end].copy_from_slice(&of_word(&characters[*first..end], phonemes));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_letters_and_pairs() {
        for (word, phonemes, expected) in [
            ("knight", "n aI t", "-01--2"),
            ("thought", "T O: t", "0-1---2"),
            ("one", "w V n", "02-"),
            ("phone", "f oU n", "0-12-"),
            ("box", "b 0 k s", "012"),
            ("little", "l I t @L", "012--3"),
            ("the", "D @2", "0-1"),
            ("quick", "k w I k", "0123-"),
        ] {
            let names: Vec<(&str, f64)> = phonemes.split(' ').zip(0u32..).map(|(p, i)| (p, f64::from(i))).collect();
            let got = of_word(&word.chars().collect::<Vec<_>>(), &names);
            let got: String = got.iter().map(|t| t.map_or("-".into(), |t| t.to_string())).collect();
            assert_eq!(got, expected, "{word}");
        }
    }

    #[test]
    fn words_keep_their_phonemes() {
        let phoneme = |name: &str, seconds| Event::Phoneme { name: name.into(), seconds };
        let events = [
            Event::Word { first: 0 },
            phoneme("b", 0.1),
            phoneme("i:", 0.2),
            Event::Word { first: 3 },
            phoneme("a", 0.4),
            phoneme("_:", 0.5),
        ];
        assert_eq!(onsets("be a", &events), [Some(0.1), Some(0.2), None, Some(0.4)]);
        assert_eq!(onsets("", &events), []);
    }
}
