//! Values of parameters: at random, from the command line, and in the host's own saved form.

use crate::abi::*;
use crate::params::{Holds, Param, ParamSet, Sample};
use crate::random::Random;
use std::ffi::{CStr, CString};
use std::sync::PoisonError;

/// A value within the declared range; parameters without numbers or choices keep what they have.
pub fn random(param: &Param, random: &mut Random) -> Sample {
    let limits = |min: &CStr, max: &CStr| param.props.doubles(min).zip(param.props.doubles(max));
    // What a user can reach: the slider's range within the legal one. Without a range, numbers of a handy size.
    let range = |i: usize| -> (f64, f64) {
        let legal = limits(kOfxParamPropMin, kOfxParamPropMax).unwrap_or_default();
        let shown = limits(kOfxParamPropDisplayMin, kOfxParamPropDisplayMax).unwrap_or_default();
        let pick = |v: &[f64], other: f64| v.get(i).copied().unwrap_or(other);
        let low = pick(&legal.0, -1e3).max(pick(&shown.0, -1e3)).max(-1e3);
        let high = pick(&legal.1, 1e3).min(pick(&shown.1, 1e3)).min(1e3);
        if low <= high { (low, high) } else { (pick(&legal.0, 0.0), pick(&legal.0, 0.0)) }
    };
    let options = param.props.strings(kOfxParamPropChoiceOption).len();
    match param.holds {
        Holds::Ints(_) if param.is(kOfxParamTypeBoolean) => Sample::Ints(vec![random.below(2) as i32]),
        Holds::Ints(_) if param.is(kOfxParamTypeChoice) => Sample::Ints(vec![random.below(options) as i32]),
        Holds::Ints(n) => Sample::Ints(
            (0..n).map(|i| random.within(range(i).0, range(i).1 + 1.0).floor().min(range(i).1) as i32).collect(),
        ),
        Holds::Doubles(n) => Sample::Doubles(
            (0..n)
                .map(|i| match (range(i), random.below(6)) {
                    ((low, _), 0) => low,
                    ((_, high), 1) => high,
                    ((low, high), _) => random.within(low, high),
                })
                .collect(),
        ),
        Holds::Text if param.is(kOfxParamTypeStrChoice) => {
            let keys = param.props.strings(kOfxParamPropChoiceEnum);
            keys.get(random.below(keys.len())).map_or_else(|| param.at(0.0), |k| Sample::Text(k.clone()))
        }
        Holds::Text | Holds::Nothing => param.at(0.0),
    }
}

/// Reads a value as a user writes it: numbers by commas, a choice by label or index, text as it is.
///
/// # Errors
/// If the text is no value of the parameter.
pub fn parse(param: &Param, text: &str) -> Result<Sample, String> {
    let name = param.name.to_string_lossy();
    let bad = |what: &str| format!("{name}: {text:?} is {what}");
    let numbers = || text.split(',').map(|n| n.trim().parse::<f64>()).collect::<Result<Vec<_>, _>>();
    match param.holds {
        Holds::Nothing => Err(bad("a value for a parameter that holds none")),
        Holds::Text => CString::new(text).map(Sample::Text).map_err(|_| bad("no string of C")),
        Holds::Ints(_) if param.is(kOfxParamTypeChoice) => {
            let options = param.props.strings(kOfxParamPropChoiceOption);
            let label = options.iter().position(|o| o.to_str().is_ok_and(|o| o.eq_ignore_ascii_case(text)));
            let index = label.or_else(|| text.parse().ok().filter(|i| *i < options.len()));
            index.map(|i| Sample::Ints(vec![i as i32])).ok_or_else(|| bad("neither a label nor an index of it"))
        }
        Holds::Ints(n) => match numbers() {
            Ok(v) if v.len() == n => Ok(Sample::Ints(v.into_iter().map(|v| v as i32).collect())),
            _ => Err(bad(&format!("not {n} numbers"))),
        },
        Holds::Doubles(n) => match numbers() {
            Ok(v) if v.len() == n => Ok(Sample::Doubles(v)),
            _ => Err(bad(&format!("not {n} numbers"))),
        },
    }
}

/// What is saved with a project: one line a parameter, its name, its value, its keys. Numbers are written exactly,
/// choices by label, strings in hexadecimal. Parameters that are not persistent are left out.
pub fn save(set: &ParamSet) -> String {
    let mut out = String::new();
    for param in
        set.all().iter().filter(|p| p.holds != Holds::Nothing && p.props.int(kOfxParamPropPersistant) != Some(0))
    {
        let track = param.track.read().unwrap_or_else(PoisonError::into_inner);
        out += &format!("{} {}", param.name.to_string_lossy(), write(param, &track.value));
        for (time, value) in &track.keys {
            out += &format!(" @{:x} {}", time.to_bits(), write(param, value));
        }
        out.push('\n');
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn write(param: &Param, value: &Sample) -> String {
    match value {
        Sample::Nothing => String::new(),
        Sample::Ints(v) if param.is(kOfxParamTypeChoice) => {
            let options = param.props.strings(kOfxParamPropChoiceOption);
            let label = v.first().and_then(|i| options.get(*i as usize));
            label.map_or_else(|| format!("i{}", v[0]), |l| format!("l{}", hex(l.as_bytes())))
        }
        Sample::Ints(v) => v.iter().map(|v| format!("i{v}")).collect::<Vec<_>>().join(","),
        Sample::Doubles(v) => v.iter().map(|v| format!("d{:x}", v.to_bits())).collect::<Vec<_>>().join(","),
        Sample::Text(v) => format!("s{}", hex(v.as_bytes())),
    }
}

/// Gives parameters the values and keys of a saved form. Names that the set lacks are passed over, as hosts do.
///
/// # Errors
/// If the text is not what `save` writes.
pub fn load(set: &ParamSet, text: &str) -> Result<(), String> {
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(param) = words.next().and_then(|n| CString::new(n).ok()).and_then(|n| set.find(&n)) else { continue };
        let bad = || format!("{}: not a saved value: {line}", param.name.to_string_lossy());
        param.set(read(&param, words.next().ok_or_else(bad)?).ok_or_else(bad)?);
        while let Some(time) = words.next() {
            let time = time.strip_prefix('@').and_then(|t| u64::from_str_radix(t, 16).ok()).ok_or_else(bad)?;
            let value = words.next().and_then(|w| read(&param, w)).ok_or_else(bad)?;
            param.set_key(f64::from_bits(time), value);
        }
    }
    Ok(())
}

fn read(param: &Param, word: &str) -> Option<Sample> {
    let unhex = |text: &str| -> Option<Vec<u8>> {
        (0..text.len()).step_by(2).map(|i| text.get(i..i + 2).and_then(|b| u8::from_str_radix(b, 16).ok())).collect()
    };
    let text = |word: &str| CString::new(unhex(word)?).ok();
    match word.split_at_checked(1)? {
        ("s", rest) => text(rest).map(Sample::Text),
        ("l", rest) => {
            let label = text(rest)?;
            let at = param.props.strings(kOfxParamPropChoiceOption).iter().position(|o| *o == label)?;
            Some(Sample::Ints(vec![at as i32]))
        }
        ("i", _) => word.split(',').map(|v| v[1..].parse().ok()).collect::<Option<_>>().map(Sample::Ints),
        ("d", _) => {
            let bits = |v: &str| u64::from_str_radix(&v[1..], 16).ok().map(f64::from_bits);
            word.split(',').map(bits).collect::<Option<_>>().map(Sample::Doubles)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::holds;
    use crate::properties;
    use crate::props::{Map, Value};
    use std::sync::Arc;

    fn set() -> Arc<ParamSet> {
        let set = ParamSet::new(0, true, Arc::default());
        let add = |name: &CStr, kind: &CStr, map: Map| set.add(name, kind, holds(kind).unwrap(), Arc::new(map));
        add(c"size", kOfxParamTypeDouble, properties! { kOfxParamPropMin => -2.0, kOfxParamPropMax => 5.0 });
        add(c"count", kOfxParamTypeInteger, properties! { kOfxParamPropMin => 1, kOfxParamPropMax => 3 });
        add(
            c"view",
            kOfxParamTypeChoice,
            properties! { kOfxParamPropChoiceOption => Value::Strings(vec![c"A b".into(), c"C".into()]) },
        );
        add(c"note", kOfxParamTypeString, Map::new());
        set
    }

    #[test]
    fn saved_values_come_back_exactly() {
        let (a, b) = (set(), set());
        a.find(c"size").unwrap().set_key(1.5, Sample::Doubles(vec![0.1 + 0.2]));
        a.find(c"size").unwrap().set_key(3.0, Sample::Doubles(vec![-0.0]));
        a.find(c"view").unwrap().set(Sample::Ints(vec![1]));
        a.find(c"note").unwrap().set(Sample::Text(c"two words\n\"\xc3\xa4\"".to_owned()));
        let text = save(&a);
        load(&b, &text).unwrap();
        for (a, b) in a.all().iter().zip(b.all()) {
            assert_eq!(*a.track.read().unwrap(), *b.track.read().unwrap(), "{:?}", a.name);
        }
        assert_eq!(save(&b), text);
    }

    #[test]
    fn random_values_keep_to_the_range() {
        let set = set();
        let mut stream = Random::new(3, "test");
        let mut counts = [0; 4];
        for _ in 0..200 {
            let Sample::Doubles(v) = random(&set.find(c"size").unwrap(), &mut stream) else { panic!() };
            assert!((-2.0..=5.0).contains(&v[0]));
            let Sample::Ints(v) = random(&set.find(c"count").unwrap(), &mut stream) else { panic!() };
            counts[v[0] as usize] += 1;
        }
        assert!(counts[0] == 0 && counts[1..].iter().all(|c| *c > 20), "{counts:?}");
    }

    #[test]
    fn choices_go_by_label_or_index() {
        let view = set().find(c"view").unwrap();
        assert_eq!(parse(&view, "c"), Ok(Sample::Ints(vec![1])));
        assert_eq!(parse(&view, "0"), Ok(Sample::Ints(vec![0])));
        assert!(parse(&view, "2").is_err());
    }
}
