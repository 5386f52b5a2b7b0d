//! Presets: named, partial settings, a JSON file each.
//!
//! `{"format": 1, "name": "Subtle", "description": "...", "controls": {"pose_strength": 0.7}}`. A preset sets what it
//! names and nothing else. Its id is the file's name without `.json`. Those in the repository's `presets` are
//! compiled in; others lie in a folder of the user's or anywhere. A shipped name always means the shipped
//! preset, on every machine: a file of the user's with the same id is listed, but only found by its path.

use super::json;
use super::tree::{CONTROLS, Control};
use super::values::Values;
use crate::controls::value::{Value, named};
use crate::error::Advice;
use crate::text::{nearest, one_line, quoted};
use crate::{Error, Result};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The format that is written, and the newest that is read.
pub const FORMAT: u64 = 1;

macro_rules! shipped {
    ($($id:literal),+ $(,)?) => {
        &[$(($id, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/", $id, ".json")))),+]
    };
}

/// Ids and texts of the presets that are compiled in, in the order in which they are shown.
const SHIPPED: &[(&str, &str)] = shipped![
    "as-performed",
    "subtle",
    "exaggerated",
    "pose-only",
    "expression-only",
    "pose-and-half-expression",
    "freeze-pose",
    "frontalise",
    "steady",
    "own-face-at-rest",
    "mouth-only",
    "eyes-and-brows",
    "smile",
    "wide-awake",
    "stabilise",
    "eyes-to-camera",
    "no-blinks",
    "calm-brows",
    "lips-only",
];

/// A preset. Every value in it is legal.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// The file's name without `.json`.
    pub id: String,
    /// Shown to the user.
    pub name: String,
    /// When an editor would want it, on one line.
    pub description: String,
    controls: BTreeMap<&'static str, Value>,
}

impl Preset {
    /// A preset of what `values` sets (keyframes are left out: they belong to a shot).
    ///
    /// # Errors
    /// `Usage` when name or description are empty or longer than one line.
    pub fn new(id: &str, name: &str, description: &str, values: &Values) -> Result<Preset> {
        for (what, text) in [("name", name), ("description", description)] {
            one_line_of_text(what, text).map_err(Error::usage)?;
        }
        let controls = values.constants().map(|(c, v)| (c.id, v.clone())).collect();
        Ok(Preset { id: id.into(), name: name.into(), description: description.into(), controls })
    }

    /// Reads a preset's text; messages call it `source`.
    ///
    /// # Errors
    /// `Input` when it is not JSON or of a newer format; `Usage` for what it says, naming source and control, the
    /// nearest name or the legal values.
    pub fn parse(id: &str, text: &str, source: &str) -> Result<Preset> {
        from_json(id, &json::parse(text, source)?, source)
    }

    /// Reads a preset's file.
    ///
    /// # Errors
    /// As [`Preset::parse`]; `Input` when the file cannot be read.
    pub fn read(path: &Path) -> Result<Preset> {
        from_json(&stem(path), &json::read(path, "preset")?, &one_line(&path.to_string_lossy()))
    }

    /// Sets what the preset names; all else stays as it is.
    pub fn apply(&self, values: &mut Values) {
        for (control, value) in self.controls() {
            values.put(control, value.clone());
        }
    }

    /// What it sets, in the order of the tree.
    pub fn controls(&self) -> impl Iterator<Item = (&'static Control, &Value)> {
        CONTROLS.iter().filter_map(|c| self.controls.get(c.id).map(|v| (c, v)))
    }

    /// The file's text: a line for each control, in the order of the tree, so that versions compare well.
    pub fn to_json(&self) -> String {
        let text = |t: &str| Json::from(t).to_string();
        let controls: Vec<String> =
            self.controls().map(|(c, v)| format!("\n    \"{}\": {}", c.id, c.to_json(v))).collect();
        let end = if controls.is_empty() { "" } else { "\n  " };
        format!(
            "{{\n  \"format\": {FORMAT},\n  \"name\": {},\n  \"description\": {},\n  \"controls\": {{{}{end}}}\n}}\n",
            text(&self.name),
            text(&self.description),
            controls.join(",")
        )
    }
}

/// Checks a preset's file; a correct one comes back.
///
/// # Errors
/// As [`Preset::read`].
pub fn check(path: &Path) -> Result<Preset> {
    Preset::read(path)
}

/// Where a preset comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    Shipped,
    /// A file in a folder of the user's.
    File(PathBuf),
}

/// One line of the list of presets.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What `--preset` takes.
    pub id: String,
    /// Where the preset comes from.
    pub origin: Origin,
    /// A preset listed before has this id: only its path finds this one.
    pub hidden: bool,
    /// The preset, or what is wrong with its file.
    pub preset: Result<Preset>,
}

/// The shipped presets and folders with others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presets {
    folders: Vec<PathBuf>,
}

impl Presets {
    /// Shipped presets and those of these folders (an absent one is empty).
    pub fn with_folders(folders: Vec<PathBuf>) -> Presets {
        Presets { folders }
    }

    /// Shipped presets and those of `$HEADGAN_PRESETS` (folders, separated as in `$PATH`) and [`user_folder`].
    /// Reads the environment: not for use while rendering.
    pub fn standard() -> Presets {
        let named = std::env::var_os("HEADGAN_PRESETS").unwrap_or_default();
        let named = std::env::split_paths(&named).filter(|p| !p.as_os_str().is_empty());
        Presets { folders: named.chain(user_folder()).collect() }
    }

    /// All presets: the shipped ones, then folder by folder, by file name. A broken file is listed with its error.
    pub fn list(&self) -> Vec<Entry> {
        let mut out: Vec<Entry> = SHIPPED
            .iter()
            .map(|(id, text)| Entry {
                id: (*id).into(),
                origin: Origin::Shipped,
                hidden: false,
                preset: Preset::parse(id, text, &format!("the shipped preset {id}")),
            })
            .collect();
        for folder in &self.folders {
            let Ok(files) = std::fs::read_dir(folder) else { continue };
            let mut paths: Vec<PathBuf> = files.flatten().map(|f| f.path()).filter(|p| is_preset_file(p)).collect();
            paths.sort();
            for path in paths {
                let id = stem(&path);
                let hidden = out.iter().any(|e| same_name(&e.id, &id));
                out.push(Entry { id, hidden, preset: Preset::read(&path), origin: Origin::File(path) });
            }
        }
        out
    }

    /// The preset with this id or name (upper and lower case, spaces and hyphens are alike), or that of this file.
    ///
    /// # Errors
    /// `Usage` for an unknown name, with the nearest one; else as [`Preset::read`].
    pub fn find(&self, name_or_file: &str) -> Result<Preset> {
        let path = Path::new(name_or_file);
        let is_path = is_preset_file(path) || path.components().count() > 1 || path.is_absolute();
        if is_path {
            return Preset::read(path);
        }
        let mut entries = self.list();
        entries.retain(|e| !e.hidden);
        let called = |e: &Entry| e.preset.as_ref().is_ok_and(|p| same_name(&p.name, name_or_file));
        let at =
            entries.iter().position(|e| same_name(&e.id, name_or_file)).or_else(|| entries.iter().position(called));
        if let Some(at) = at {
            return entries.swap_remove(at).preset;
        }
        if path.is_file() {
            return Preset::read(path);
        }
        let near = nearest(name_or_file, entries.iter().map(|e| e.id.as_str()));
        let near = near.map(|near| format!(", the nearest is '{}'", one_line(near))).unwrap_or_default();
        Err(Error::usage(format!(
            "there is no preset {}{near}: choose one that is there, or give a .json file",
            quoted(name_or_file)
        ))
        .with_advice(Advice::ListPresets))
    }
}

/// Where a user's presets lie: `headgan/presets` in the user's data folder, or `None` if the system names none.
pub fn user_folder() -> Option<PathBuf> {
    crate::paths::user_data().map(|data| data.join("presets"))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the name ends in `.json` (and does not start with a dot, as copies of other systems do).
fn is_preset_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) && !stem(path).starts_with('.')
}

fn same_name(a: &str, b: &str) -> bool {
    let plain = |t: &str| t.trim().to_lowercase().replace([' ', '_'], "-");
    plain(a) == plain(b)
}

fn one_line_of_text(what: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(format!("the {what} {} must be one line of text", quoted(text)));
    }
    Ok(())
}

fn from_json(id: &str, file: &Json, source: &str) -> Result<Preset> {
    const FIELDS: [&str; 4] = ["format", "name", "description", "controls"];
    let wrong = |text: &str| Error::usage(format!("{source}: {text}"));
    let object = file.as_object().ok_or_else(|| {
        wrong(&format!(
            "the file holds {} where {{\"format\": {FORMAT}, \"name\", \"description\", \"controls\"}} must stand",
            json::type_name(file)
        ))
    })?;
    // The format first: another one may have other fields.
    match object.get("format").map(|f| (f, f.as_u64())) {
        Some((_, Some(FORMAT))) => {}
        Some((_, Some(newer))) if newer > FORMAT => {
            return Err(Error::input(format!(
                "{source}: this preset has format {newer}, this program reads {FORMAT}: update the program"
            )));
        }
        Some((other, _)) => {
            return Err(wrong(&format!("the format cannot be {}: write {FORMAT}", one_line(&other.to_string()))));
        }
        None => return Err(wrong(&format!("it lacks \"format\": {FORMAT}: is it a preset?"))),
    }
    if let Some(name) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let near = nearest(name, FIELDS.into_iter()).unwrap_or("controls");
        return Err(wrong(&format!(
            "a preset has no {} (the nearest is '{near}'): controls belong under \"controls\"",
            quoted(name)
        )));
    }
    let text = |what: &str| {
        let found = object.get(what).and_then(Json::as_str).ok_or_else(|| {
            wrong(&format!("it lacks its {what}: write \"{what}\": \"...\", for whoever chooses among presets"))
        })?;
        one_line_of_text(what, found).map_err(|e| wrong(&e))?;
        Ok::<String, Error>(found.into())
    };
    let (name, description) = (text("name")?, text("description")?);
    let set = object
        .get("controls")
        .and_then(Json::as_object)
        .ok_or_else(|| wrong("it lacks its controls: write \"controls\": {\"pose_strength\": 0.5}"))?;
    let mut controls = BTreeMap::new();
    for (id, value) in set {
        let read = named(id).and_then(|c| Ok((c.id, c.from_json(value)?)));
        let (id, value) = read.map_err(|e| e.map_text(|t| format!("{source}: {t}")))?;
        controls.insert(id, value);
    }
    Ok(Preset { id: id.into(), name, description, controls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::{Group, Kind};
    use proptest::prelude::*;

    const HEAD: &str = "\"format\":1,\"name\":\"N\",\"description\":\"D\"";

    fn parse(text: &str) -> Result<Preset> {
        Preset::parse("p", text, "p.json")
    }

    #[test]
    fn shipped_presets_are_good_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
        let mut files: Vec<String> = std::fs::read_dir(folder).unwrap().map(|f| stem(&f.unwrap().path())).collect();
        files.sort();
        let mut ids: Vec<&str> = SHIPPED.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        assert_eq!(files, ids, "presets/ and SHIPPED differ");
        for (entry, (id, text)) in Presets::default().list().into_iter().zip(SHIPPED) {
            let preset = entry.preset.unwrap();
            assert!(same_name(&preset.name, id), "{id}: another name, {}", preset.name);
            assert_eq!(preset.to_json(), *text, "{id}: not written as `to_json` writes");
            assert!(preset.description.len() > 60 && preset.description.ends_with('.'), "{id}");
            assert!(preset.controls().next().is_some(), "{id} sets nothing");
            for (c, _) in preset.controls() {
                assert!(!matches!(c.group, Group::Faces | Group::Output), "{id}: {} belongs to a shot", c.id);
            }
            assert_eq!(Presets::default().find(id).unwrap(), preset);
            assert_eq!(Presets::default().find(&preset.name.to_uppercase()).unwrap(), preset);
        }
    }

    #[test]
    fn presets_do_what_their_names_say() {
        let with = |id: &str| {
            let mut v = Values::new();
            v.assign("yaw_offset=20").unwrap();
            Presets::default().find(id).unwrap().apply(&mut v);
            v.resolve(0.0)
        };
        let s = with("pose-only");
        assert_eq!((s.pose_strength, s.expression_strength, s.yaw_offset), (1.0, 0.0, 20.0));
        let s = with("freeze-pose");
        assert_eq!((s.pose_strength, s.motion_strength, s.yaw_offset), (0.0, 0.0, 20.0));
        let s = with("expression-only");
        assert_eq!((s.pose_strength, s.expression_strength, s.yaw_offset), (0.0, 1.0, 0.0));
        assert!(with("subtle").expression_strength < 1.0 && with("exaggerated").expression_strength > 1.0);
        assert!(with("frontalise").frontalise == 1.0 && with("steady").smoothing > 15);
        let s = with("mouth-only");
        assert_eq!((s.region_mouth, s.region_eyes, s.region_head), (1.0, 0.0, 0.0));
        let s = with("eyes-and-brows");
        assert_eq!((s.region_mouth, s.region_jaw, s.region_eyes, s.region_brows), (0.0, 0.0, 1.0, 1.0));
        assert!(with("smile").expr_smile > 0.0 && with("wide-awake").expr_eyes_wide > 0.0);
        assert!(with("stabilise").stabilise_rotation > 0.0);
        assert_eq!(with("as-performed"), crate::controls::Settings::default());
    }

    #[test]
    fn errors_name_the_file_and_the_remedy() {
        let controls = |c: &str| format!("{{{HEAD},\"controls\":{c}}}");
        for (text, says) in [
            ("3".into(), "p.json: the file holds a number where"),
            ("{}".into(), "p.json: it lacks \"format\": 1: is it a preset?"),
            ("{\"format\":2,\"new\":1}".into(), "p.json: this preset has format 2, this program reads 1: update"),
            ("{\"format\":0}".into(), "p.json: the format cannot be 0: write 1"),
            ("{\"format\":\"1\"}".into(), "p.json: the format cannot be \"1\": write 1"),
            (format!("{{{HEAD}}}"), "p.json: it lacks its controls"),
            ("{\"format\":1,\"name\":\"N\",\"controls\":{}}".into(), "p.json: it lacks its description"),
            (
                "{\"format\":1,\"name\":\"\",\"description\":\"D\",\"controls\":{}}".into(),
                "p.json: the name '' must be one line of text",
            ),
            (
                format!("{{{HEAD},\"control\":{{}}}}"),
                "p.json: a preset has no 'control' (the nearest is 'controls'): controls belong under",
            ),
            (controls("[]"), "p.json: it lacks its controls"),
            (controls("{\"yaw_ofset\":1}"), "p.json: there is no control 'yaw_ofset', the nearest is 'yaw_offset'"),
            (
                controls("{\"pose_strength\":3}"),
                "p.json: pose_strength cannot be 3: give a number from 0 to 2 (factor)",
            ),
            (controls("{\"quality\":\"fast\"}"), "p.json: quality cannot be 'fast': give one of draft, full"),
            (controls("{\"a\":1,\"a\":1}"), "p.json is not valid JSON: 'a' stands there twice"),
        ] {
            let e = parse(&text).unwrap_err();
            assert!(e.to_string().starts_with(says), "{text}\n{e}\n{says}");
        }
        assert!(matches!(parse("{\"format\":2}"), Err(Error::Input(_))));
        assert!(matches!(parse(&controls("{\"x\":1}")), Err(Error::Usage(_))));
    }

    #[test]
    fn users_presets() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let text = |name: &str, pose: f64| {
            format!(
                "{{\"format\":1,\"name\":\"{name}\",\"description\":\"D\",\"controls\":{{\"pose_strength\":{pose}}}}}"
            )
        };
        write("mine.json", &text("My look", 0.25));
        write("Subtle.json", &text("Subtle", 0.5));
        write("broken.json", "{");
        write("notes.txt", "no preset");
        write("._mine.json", "no preset");
        let presets = Presets::with_folders(vec![folder.path().join("absent"), folder.path().into()]);
        let own: Vec<(String, bool, bool)> =
            presets.list().into_iter().skip(SHIPPED.len()).map(|e| (e.id, e.hidden, e.preset.is_ok())).collect();
        let expected = [("Subtle", true, true), ("broken", false, false), ("mine", false, true)];
        assert_eq!(own, expected.map(|(id, hidden, ok)| (id.to_string(), hidden, ok)));
        assert_eq!(presets.find("mine").unwrap(), presets.find("my LOOK").unwrap());
        let pose = |p: Preset| p.controls().find(|(c, _)| c.id == "pose_strength").map(|(_, v)| v.clone());
        // A shipped name means the shipped preset; the path finds the user's.
        assert_eq!(pose(presets.find("subtle").unwrap()), Some(Value::Float(0.7)));
        let path = folder.path().join("Subtle.json");
        assert_eq!(pose(presets.find(path.to_str().unwrap()).unwrap()), Some(Value::Float(0.5)));
        assert!(matches!(presets.find("broken"), Err(Error::Input(_))));
        let e = presets.find("pose-onyl").unwrap_err();
        assert_eq!(
            e.to_string(),
            "there is no preset 'pose-onyl', the nearest is 'pose-only': choose one that is there, or give a .json file"
        );
        assert!(matches!(e, Error::Usage(_)));
        assert!(matches!(presets.find("absent.json"), Err(Error::Input(_))));
        assert!(matches!(check(&folder.path().join("broken.json")), Err(Error::Input(_))));
        assert_eq!(check(&path).unwrap().id, "Subtle");
    }

    /// Any settings: for each control, nothing or a legal value.
    fn any_values() -> impl Strategy<Value = Values> {
        prop::collection::vec(prop::option::of(0.0..=1.0f64), CONTROLS.len()).prop_map(|shares| {
            let mut values = Values::new();
            for (c, share) in CONTROLS.iter().zip(shares) {
                let Some(share) = share else { continue };
                let value = match c.kind {
                    Kind::Float { min, max, .. } => Value::Float((min + share * (max - min)).clamp(min, max)),
                    Kind::Int { min, max, .. } => Value::Int(min + (share * (max - min) as f64) as i64),
                    Kind::Bool { .. } => Value::Bool(share < 0.5),
                    Kind::Choice { options, .. } => {
                        Value::Choice((share * (options.len() - 1) as f64).round() as usize)
                    }
                    Kind::Text { .. } => Value::Text(share.to_string()),
                };
                values.set_value(c.id, value).unwrap();
            }
            values
        })
    }

    proptest! {
        /// What a preset names gets its value, what it does not name keeps the one it had.
        #[test]
        fn presets_are_partial(before in any_values(), named in any_values()) {
            let preset = Preset::new("p", "P", "D", &named).unwrap();
            let mut after = before.clone();
            preset.apply(&mut after);
            for c in CONTROLS {
                let from = if named.is_set(c.id) { &named } else { &before };
                prop_assert_eq!(after.get(c, 0.0), from.get(c, 0.0));
                prop_assert_eq!(after.is_set(c.id), named.is_set(c.id) || before.is_set(c.id));
            }
        }

        #[test]
        fn files_round_trip(values in any_values(), name in "[^\\p{C}\\p{Z}]{1,10}", description in "[^\\p{C}\\p{Z}]{1,10}") {
            let preset = Preset::new("p", &name, &description, &values).unwrap();
            prop_assert_eq!(parse(&preset.to_json()).unwrap(), preset);
        }

        #[test]
        fn no_text_panics(text in "[\\[\\]{}\":,a-z0-9_ .-]{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("{{{HEAD},\"controls\":{{{text}}}}}"));
        }
    }
}
