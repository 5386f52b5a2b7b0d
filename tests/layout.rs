//! The layout of the library: no folder of `src/` imports, through others, itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// For each top-level module of `src/` the ones that it imports, and a file that does.
type Imports = BTreeMap<String, BTreeMap<String, PathBuf>>;

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The code of a file without comments and without what is compiled for tests alone; and the modules among the latter.
fn shipped(text: &str) -> (String, Vec<String>) {
    let (mut code, mut tests) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim() != "#[cfg(test)]" {
            code.push_str(line.split(" // ").next().unwrap_or_default());
            code.push('\n');
            continue;
        }
        // The item that follows: to its `;`, or to the brace that closes it at the same depth.
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let Some(item) = lines.find(|l| !l.trim_start().starts_with(['#', '/'])) else { break };
        if let Some(name) = item.trim().strip_suffix(';').and_then(|i| i.rsplit_once("mod ")) {
            tests.push(name.1.to_owned());
        } else if !item.trim_end().ends_with([';', '}']) {
            lines.find(|l| *l == close);
        }
    }
    (code, tests)
}

/// The first names after `crate::` in a file's code: `use crate::a::b`, `use crate::{a, b::c}`, `crate::a::b()`.
fn named(code: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => {
                out.insert(word(rest));
            }
            Some(list) => {
                let (mut depth, mut start) = (0, true);
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            out.insert(word(&list[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    out
}

fn imports(src: &Path) -> Imports {
    let mut files = Vec::new();
    rust_files(src, &mut files);
    files.sort();
    let code: Vec<(PathBuf, (String, Vec<String>))> =
        files.into_iter().map(|f| (f.clone(), shipped(&fs::read_to_string(f).unwrap()))).collect();
    // Files of modules that only tests have: `tests.rs`, `testkit.rs`, wherever their parent says so.
    let mut only_tests = BTreeSet::new();
    for (file, (_, tests)) in &code {
        let home = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" | "lib" => file.parent().unwrap().to_owned(),
            stem => file.parent().unwrap().join(stem),
        };
        only_tests.extend(tests.iter().map(|name| home.join(format!("{name}.rs"))));
    }
    let rooms: BTreeSet<String> =
        code.iter().map(|(file, _)| room(src, file)).filter(|room| room != "bin" && room != "lib").collect();
    let mut out = Imports::new();
    for (file, (text, _)) in &code {
        let from = room(src, file);
        if !rooms.contains(&from) || only_tests.contains(file) {
            continue;
        }
        let to = named(text).into_iter().filter(|name| rooms.contains(name) && *name != from);
        let entry = out.entry(from.clone()).or_default();
        for name in to {
            entry.entry(name).or_insert_with(|| file.strip_prefix(src).unwrap().to_owned());
        }
    }
    out
}

fn room(src: &Path, file: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// A circle, as `a (file) -> b (file) -> a`.
fn circle(imports: &Imports) -> Option<String> {
    fn visit<'a>(room: &'a str, imports: &'a Imports, path: &mut Vec<&'a str>, done: &mut BTreeSet<&'a str>) -> bool {
        if done.contains(room) {
            return false;
        }
        if let Some(at) = path.iter().position(|r| *r == room) {
            path.drain(..at);
            return true;
        }
        path.push(room);
        if imports.get(room).is_some_and(|to| to.keys().any(|next| visit(next, imports, path, done))) {
            return true;
        }
        path.pop();
        done.insert(room);
        false
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|room| {
        let mut path = Vec::new();
        visit(room, imports, &mut path, &mut done).then(|| {
            let next = path.iter().cycle().skip(1);
            let steps = path.iter().zip(next).map(|(a, b)| format!("{a} ({}) -> ", imports[*a][*b].display()));
            steps.chain([path[0].to_owned()]).collect()
        })
    })
}

#[test]
fn no_folder_imports_in_a_circle() {
    let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(imports.len() > 15 && imports["reenact"].contains_key("shot"), "the imports were not read: {imports:?}");
    if let Some(circle) = circle(&imports) {
        panic!("folders of src/ import in a circle: {circle}");
    }
}

#[test]
fn a_circle_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod a;\npub mod b;\nmod c;\n");
    write("a/mod.rs", "mod deep;\n");
    write("a/deep.rs", "use crate::{c::C, b::{B, D}};\n");
    write("b.rs", "// use crate::a::A;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n");
    write("c.rs", "fn f() { crate::b::g() }\n");
    assert_eq!(circle(&imports(folder.path())), None);
    write("c.rs", "fn f() { crate::a::g() }\n");
    assert_eq!(circle(&imports(folder.path())).unwrap(), "a (a/deep.rs) -> c (c.rs) -> a");
    write("c.rs", "#[cfg(test)]\nmod tests;\n");
    write("c/tests.rs", "use crate::a::A;\n");
    assert_eq!(circle(&imports(folder.path())), None);
}

#[test]
fn each_file_says_what_belongs_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&src).unwrap().display();
        let test = text.starts_with("use super::") || text.starts_with("#[") || name.to_string().contains("tests");
        assert!(test || text.starts_with("//! "), "{name}: the first line does not say what belongs there");
    }
}
