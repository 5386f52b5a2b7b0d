//! Connectionist temporal classification: from a probability of each label at each moment to what was said, and when.
//!
//! Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006.
//! An alignment gives each moment a label or the blank; what it says is its labels without repetitions and without blanks. The prefix
//! beam search is that of Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent
//! DNNs", <https://arxiv.org/abs/1408.2873>, without a language model.

use crate::{Error, Result};
use std::collections::HashMap;
use std::ops::Range;

/// Log probabilities of labels, moment by moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Emissions {
    labels: usize,
    blank: usize,
    /// `[moments, labels]`, natural logarithms.
    log: Vec<f32>,
}

/// A label that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Index of the label.
    pub label: usize,
    /// The first moment that is aligned with it.
    pub first: usize,
    /// The last one.
    pub last: usize,
}

/// What may have been said.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Indices of the labels, without blanks.
    pub labels: Vec<usize>,
    /// Of all alignments that were followed, together; natural logarithm.
    pub log_probability: f64,
}

impl Emissions {
    /// From log probabilities, `[moments, labels]`.
    ///
    /// # Errors
    /// [`Error::Usage`] where they do not make whole moments, or `blank` is none of the labels.
    pub fn new(labels: usize, blank: usize, log: Vec<f32>) -> Result<Emissions> {
        if blank >= labels || !log.len().is_multiple_of(labels) {
            return Err(Error::usage(format!(
                "{} values are no moments of {labels} labels with the blank {blank}",
                log.len()
            )));
        }
        Ok(Emissions { labels, blank, log })
    }

    /// From a network's outputs before the softmax, `[moments, labels]`.
    ///
    /// # Errors
    /// As [`Emissions::new`].
    pub fn from_logits(labels: usize, blank: usize, mut logits: Vec<f32>) -> Result<Emissions> {
        for moment in logits.chunks_exact_mut(labels.max(1)) {
            let top = moment.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = moment.iter().map(|v| f64::from(v - top).exp()).sum();
            let log_sum = f64::from(top) + sum.ln();
            moment.iter_mut().for_each(|v| *v = (f64::from(*v) - log_sum) as f32);
        }
        Emissions::new(labels, blank, logits)
    }

    /// Number of labels, the blank among them.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Index of the blank label.
    pub fn blank(&self) -> usize {
        self.blank
    }

    /// Number of moments.
    pub fn moments(&self) -> usize {
        self.log.len() / self.labels
    }

    /// All values, moment by moment.
    pub fn values(&self) -> &[f32] {
        &self.log
    }

    /// The moments `range`, which must lie inside.
    pub fn part(&self, range: Range<usize>) -> Emissions {
        Emissions { log: self.log[range.start * self.labels..range.end * self.labels].to_vec(), ..*self }
    }

    fn at(&self, moment: usize, label: usize) -> f64 {
        f64::from(self.log[moment * self.labels + label])
    }

    /// Where to cut into pieces of at most `most` moments, between half of it and all of it where the blank is surest.
    pub fn pieces(&self, most: usize) -> Vec<Range<usize>> {
        let (most, mut from, mut out) = (most.max(2), 0, Vec::new());
        while self.moments() - from > most {
            let surest = (from + most / 2..from + most)
                .max_by(|a, b| self.at(*a, self.blank).total_cmp(&self.at(*b, self.blank)))
                .unwrap_or(from + most - 1);
            out.push(from..surest + 1);
            from = surest + 1;
        }
        out.push(from..self.moments());
        out
    }
}

/// What the most probable alignment says.
pub fn greedy(emissions: &Emissions) -> Vec<Token> {
    let mut greedy = Greedy::default();
    let mut out = greedy.push(emissions);
    out.extend(greedy.finish());
    out
}

/// [`greedy`] of emissions that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Greedy {
    /// Moments so far.
    moments: usize,
    /// The label that is being said.
    open: Option<Token>,
}

impl Greedy {
    /// The tokens that end with the next moments; moments count from the first piece's first.
    pub fn push(&mut self, emissions: &Emissions) -> Vec<Token> {
        let mut out = Vec::new();
        for row in emissions.log.chunks_exact(emissions.labels) {
            let mut label = 0;
            for (i, v) in row.iter().enumerate() {
                if *v > row[label] {
                    label = i;
                }
            }
            match &mut self.open {
                Some(token) if token.label == label => token.last = self.moments,
                open => {
                    out.extend(open.take());
                    *open =
                        (label != emissions.blank).then_some(Token { label, first: self.moments, last: self.moments });
                }
            }
            self.moments += 1;
        }
        out
    }

    /// The token that has not ended.
    pub fn finish(self) -> Option<Token> {
        self.open
    }
}

/// The log probability that `labels` were said: of all alignments that say so, together.
pub fn log_probability(emissions: &Emissions, labels: &[usize]) -> f64 {
    let mut now = vec![f64::NEG_INFINITY; 2 * labels.len() + 1];
    for moment in 0..emissions.moments() {
        let before = now.clone();
        for (s, p) in now.iter_mut().enumerate() {
            let from = arrivals(labels, s).map(|from| before[from]);
            let sum = if moment == 0 { start(s) } else { from.fold(f64::NEG_INFINITY, add) };
            *p = sum + emissions.at(moment, label_at(emissions, labels, s));
        }
    }
    match emissions.moments() {
        0 if labels.is_empty() => 0.0,
        0 => f64::NEG_INFINITY,
        _ => now.iter().rev().take(2).copied().fold(f64::NEG_INFINITY, add),
    }
}

/// When `labels` were said: the most probable alignment that says so. `None` where none does.
pub fn align(emissions: &Emissions, labels: &[usize]) -> Option<Vec<Token>> {
    let (moments, states) = (emissions.moments(), 2 * labels.len() + 1);
    if moments == 0 || labels.is_empty() {
        return labels.is_empty().then(Vec::new);
    }
    let mut best = vec![f64::NEG_INFINITY; states];
    // How many states back each came from.
    let mut back = vec![0u8; moments * states];
    for moment in 0..moments {
        let before = best.clone();
        for s in 0..states {
            let mut from = (s, if moment == 0 { start(s) } else { before[s] });
            if moment > 0 {
                from = arrivals(labels, s).map(|f| (f, before[f])).fold(from, |a, b| if b.1 > a.1 { b } else { a });
            }
            back[moment * states + s] = (s - from.0) as u8;
            best[s] = from.1 + emissions.at(moment, label_at(emissions, labels, s));
        }
    }
    let mut s = if best[states - 1] > best[states - 2] { states - 1 } else { states - 2 };
    if best[s] == f64::NEG_INFINITY {
        return None;
    }
    let mut out: Vec<Token> = labels.iter().map(|&label| Token { label, first: moments, last: 0 }).collect();
    for moment in (0..moments).rev() {
        if s % 2 == 1 {
            let token = &mut out[s / 2];
            (token.first, token.last) = (moment, token.last.max(moment));
        }
        s -= usize::from(back[moment * states + s]);
    }
    Some(out)
}

/// The label of state `s`: blanks stand around and between all labels.
fn label_at(emissions: &Emissions, labels: &[usize], s: usize) -> usize {
    if s.is_multiple_of(2) { emissions.blank } else { labels[s / 2] }
}

/// The states from which `s` is reached: itself, the one before, and over a blank that may be left out the one before that.
fn arrivals(labels: &[usize], s: usize) -> impl Iterator<Item = usize> {
    let skips = s % 2 == 1 && s >= 3 && labels[s / 2] != labels[s / 2 - 1];
    let first = if skips { s - 2 } else { s.saturating_sub(1) };
    (first..=s).rev()
}

/// An alignment begins with a blank or the first label.
fn start(s: usize) -> f64 {
    if s < 2 { 0.0 } else { f64::NEG_INFINITY }
}

/// `ln(e^a + e^b)`
fn add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// A prefix as the one before it and a label.
type Prefix = (usize, usize);

/// Log probabilities of a prefix whose alignment ends with a blank, and with its last label.
#[derive(Clone, Copy)]
struct Ends {
    blank: f64,
    label: f64,
}

impl Ends {
    const NONE: Ends = Ends { blank: f64::NEG_INFINITY, label: f64::NEG_INFINITY };

    fn all(self) -> f64 {
        add(self.blank, self.label)
    }
}

/// The most probable hypotheses, at most `width` of them, which are also the prefixes that are followed from moment to moment; the most
/// probable one first. As wide as there are prefixes the search is exact.
pub fn beam(emissions: &Emissions, width: usize) -> Vec<Hypothesis> {
    const NOTHING: Prefix = (usize::MAX, usize::MAX);
    let blank = emissions.blank;
    // Prefixes by number; each has one number for good.
    let mut prefixes = vec![NOTHING];
    let mut numbers = HashMap::from([(NOTHING, 0usize)]);
    let mut beam = vec![(0usize, Ends { blank: 0.0, label: f64::NEG_INFINITY })];
    for moment in 0..emissions.moments() {
        let mut next: HashMap<Prefix, Ends> = HashMap::with_capacity(beam.len() * emissions.labels);
        for &(number, ends) in &beam {
            let prefix = prefixes[number];
            let stays = next.entry(prefix).or_insert(Ends::NONE);
            stays.blank = add(stays.blank, ends.all() + emissions.at(moment, blank));
            if prefix != NOTHING {
                stays.label = add(stays.label, ends.label + emissions.at(moment, prefix.1));
            }
            for label in (0..emissions.labels).filter(|l| *l != blank) {
                // A label follows itself only over a blank.
                let before = if label == prefix.1 { ends.blank } else { ends.all() };
                let p = before + emissions.at(moment, label);
                if p > f64::NEG_INFINITY {
                    let grows = next.entry((number, label)).or_insert(Ends::NONE);
                    grows.label = add(grows.label, p);
                }
            }
        }
        let mut ranked: Vec<(Prefix, Ends)> = next.into_iter().collect();
        ranked.sort_by(|a, b| b.1.all().total_cmp(&a.1.all()).then(a.0.cmp(&b.0)));
        ranked.truncate(width.max(1));
        beam.clear();
        for (prefix, ends) in ranked {
            let number = *numbers.entry(prefix).or_insert_with(|| {
                prefixes.push(prefix);
                prefixes.len() - 1
            });
            beam.push((number, ends));
        }
    }
    let said = |mut number: usize| {
        let mut labels = Vec::new();
        while prefixes[number] != NOTHING {
            labels.push(prefixes[number].1);
            number = prefixes[number].0;
        }
        labels.reverse();
        labels
    };
    beam.iter().map(|&(n, ends)| Hypothesis { labels: said(n), log_probability: ends.all() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;
    use std::collections::BTreeMap;

    fn random(labels: usize, moments: usize, seed: u64) -> Emissions {
        let logits = Rng(seed).vec(labels * moments).iter().map(|v| 3.0 * v).collect();
        Emissions::from_logits(labels, seed as usize % labels, logits).unwrap()
    }

    /// All alignments, each with what it says and its log probability.
    fn alignments(e: &Emissions) -> Vec<(Vec<usize>, Vec<usize>, f64)> {
        let (n, t) = (e.labels(), e.moments());
        let path = |i: usize| (0..t).map(|at| i / n.pow(at as u32) % n).collect::<Vec<_>>();
        (0..n.pow(t as u32))
            .map(|i| {
                let path = path(i);
                let mut says = path.clone();
                says.dedup();
                says.retain(|l| *l != e.blank());
                let p = path.iter().enumerate().map(|(t, l)| e.at(t, *l)).sum();
                (path, says, p)
            })
            .collect()
    }

    const SIZES: [(usize, usize); 6] = [(2, 1), (2, 6), (3, 4), (3, 7), (4, 5), (5, 4)];

    #[test]
    fn against_all_alignments() {
        for (seed, (labels, moments)) in (1..).zip(SIZES) {
            let e = random(labels, moments, seed);
            let all = alignments(&e);
            let mut said: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
            for (_, says, p) in &all {
                *said.entry(says.clone()).or_default() += p.exp();
            }
            assert!((said.values().sum::<f64>() - 1.0).abs() < 1e-6, "probabilities add up");
            for (says, p) in &said {
                assert!((log_probability(&e, says) - p.ln()).abs() < 1e-9, "{says:?}");
            }
            // Wide enough the beam is exact: every hypothesis, in order.
            let found = beam(&e, usize::MAX);
            assert_eq!(found.len(), said.len());
            for h in &found {
                assert!((h.log_probability - said[&h.labels].ln()).abs() < 1e-9, "{h:?}");
            }
            assert!(found.is_sorted_by(|a, b| a.log_probability >= b.log_probability));
            // Narrow it stays below.
            for width in 1..8 {
                let narrow = beam(&e, width);
                assert!(narrow.len() <= width);
                assert!(narrow.iter().all(|h| h.log_probability <= said[&h.labels].ln() + 1e-9));
            }
            let best = all.iter().max_by(|a, b| a.2.total_cmp(&b.2)).unwrap();
            assert_eq!(greedy(&e).iter().map(|t| t.label).collect::<Vec<_>>(), best.1);
            for cut in 0..=moments {
                let mut pieces = Greedy::default();
                let mut tokens = pieces.push(&e.part(0..cut));
                tokens.extend(pieces.push(&e.part(cut..moments)));
                assert!(tokens.iter().all(|t| t.last + 1 < moments), "what has not ended is not said");
                tokens.extend(pieces.finish());
                assert_eq!(tokens, greedy(&e));
            }
            // The most probable alignment of everything that can be said.
            for says in said.keys() {
                let best = all.iter().filter(|a| a.1 == *says).max_by(|a, b| a.2.total_cmp(&b.2)).unwrap();
                let tokens = align(&e, says).unwrap();
                let mut path = vec![e.blank(); moments];
                tokens.iter().for_each(|t| path[t.first..=t.last].fill(t.label));
                assert_eq!(path, best.0, "{says:?}");
            }
            let too_many = vec![(e.blank() + 1) % labels; moments + 1];
            assert_eq!(log_probability(&e, &too_many), f64::NEG_INFINITY);
            assert!(align(&e, &too_many).is_none());
        }
    }

    #[test]
    fn times() {
        // 0 is the blank: - a a - a b b
        let path = [0, 1, 1, 0, 1, 2, 2];
        let log = path.iter().flat_map(|l| (0..3).map(move |i| if i == *l { -0.1 } else { -3.0 })).collect();
        let e = Emissions::new(3, 0, log).unwrap();
        let token = |label, first, last| Token { label, first, last };
        let expected = [token(1, 1, 2), token(1, 4, 4), token(2, 5, 6)];
        assert_eq!(greedy(&e), expected);
        assert_eq!(align(&e, &[1, 1, 2]).unwrap(), expected);
        assert_eq!(beam(&e, 8)[0].labels, [1, 1, 2]);
    }

    #[test]
    fn pieces_are_cut_where_the_blank_is_surest() {
        let e = random(3, 100, 1);
        for most in [2, 7, 30, 99, 100, 1000] {
            let pieces = e.pieces(most);
            assert_eq!((pieces[0].start, pieces.last().unwrap().end), (0, 100));
            assert!(pieces.windows(2).all(|p| p[0].end == p[1].start));
            assert!(pieces.iter().all(|p| !p.is_empty() && p.len() <= most));
        }
        let mut log = vec![-1.0f32; 30];
        log[3 * 6] = -0.1;
        let e = Emissions::new(3, 0, log).unwrap();
        assert_eq!(e.pieces(8), [0..7, 7..10]);
    }

    #[test]
    fn nothing_and_what_is_no_emission() {
        let none = Emissions::new(3, 0, vec![]).unwrap();
        assert_eq!(
            (greedy(&none).len(), log_probability(&none, &[]), log_probability(&none, &[1])),
            (0, 0.0, f64::NEG_INFINITY)
        );
        assert_eq!(beam(&none, 4), [Hypothesis { labels: vec![], log_probability: 0.0 }]);
        assert_eq!(align(&none, &[]), Some(vec![]));
        assert!(Emissions::new(3, 3, vec![0.0; 3]).is_err());
        assert!(Emissions::new(3, 0, vec![0.0; 4]).is_err());
    }
}
