//! What the user has told pip: which index, which proxy, which certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Settings of pip, from variables and files.
pub struct Pip {
    /// The variables that are set.
    variables: BTreeMap<String, String>,
    /// `[global]` of each file, with its path; the first counts most.
    files: Vec<(PathBuf, BTreeMap<String, String>)>,
}

impl Pip {
    pub fn from_environment() -> Pip {
        Pip::new(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))))
    }

    /// The settings under these variables, and of the files that they name.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Pip {
        let variables: BTreeMap<String, String> = variables.into_iter().collect();
        let files = config_files(&variables).into_iter().filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path, global_section(&text)))
        });
        Pip { files: files.collect(), variables }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// A setting such as `index-url`, and what it comes from: `PIP_INDEX_URL`, else the files.
    pub fn setting(&self, name: &str) -> Option<(String, String)> {
        let variable = format!("PIP_{}", name.replace('-', "_").to_uppercase());
        if let Some(value) = self.variable(&variable) {
            return Some((value.to_owned(), variable));
        }
        self.files.iter().find_map(|(path, section)| {
            let value = section.get(name).filter(|v| !v.is_empty())?;
            Some((value.clone(), format!("{name} in {}", path.display())))
        })
    }

    /// The file (or the folder) of certificates to trust instead of the system's, and what names it.
    pub fn certificates(&self) -> Option<(PathBuf, String)> {
        let named = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];
        let variable = || named.iter().find_map(|n| Some((self.variable(n)?.to_owned(), (*n).to_owned())));
        self.setting("cert").or_else(variable).map(|(path, source)| (path.into(), source))
    }

    /// The address of the proxy to reach a host through.
    pub fn proxy(&self, https: bool, host: &str, port: u16) -> Option<String> {
        // As every program has it: either case counts, the lower one first.
        let either = |name: &str| self.variable(name).or_else(|| self.variable(&name.to_uppercase()));
        if either("no_proxy").is_some_and(|list| excepted(list, host, port)) {
            return None;
        }
        let scheme = if https { "https_proxy" } else { "http_proxy" };
        let told = || either(scheme).or_else(|| either("all_proxy")).map(str::to_owned);
        self.setting("proxy").map(|(proxy, _)| proxy).or_else(told)
    }
}

/// Whether a list of hosts that need no proxy has this one: `*`, `host`, `.domain`, `*.domain`, each perhaps with a port. A host stands
/// for all that is below it.
fn excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']);
    list.split([',', ' ']).map(str::trim).filter(|e| !e.is_empty()).any(|entry| {
        let (name, stated) = match entry.rsplit_once(':') {
            // More than one colon: an IPv6 address.
            Some((name, digits)) if !name.contains(':') => (name, digits.parse().ok()),
            _ => (entry, None),
        };
        let name = name.trim_matches(['[', ']']).trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
        let below = host.strip_suffix(name.as_str()).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        stated.is_none_or(|s: u16| s == port) && (entry == "*" || (!name.is_empty() && below))
    })
}

/// The files that pip reads, the one that counts most first.
fn config_files(variables: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let get = |name: &str| variables.get(name).filter(|v| !v.is_empty());
    let folder = |name: &str| get(name).map(PathBuf::from);
    let named = folder("PIP_CONFIG_FILE");
    // So the user says that no file counts.
    if named.as_deref().is_some_and(|n| n == Path::new(if cfg!(windows) { "nul" } else { "/dev/null" })) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = named.into_iter().collect();
    let file = if cfg!(windows) { "pip.ini" } else { "pip.conf" };
    files.extend(folder("VIRTUAL_ENV").map(|f| f.join(file)));
    let home = folder("HOME");
    let in_home = |path: &str| home.as_ref().map(|h| h.join(path));
    if cfg!(windows) {
        files.extend(folder("APPDATA").map(|f| f.join("pip").join(file)));
        files.extend(folder("PROGRAMDATA").map(|f| f.join("pip").join(file)));
        return files;
    }
    if cfg!(target_os = "macos") {
        files.extend(in_home("Library/Application Support/pip/pip.conf"));
    }
    files.extend(folder("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(|f| f.join("pip/pip.conf")));
    files.extend(in_home(".pip/pip.conf"));
    if cfg!(target_os = "macos") {
        files.push("/Library/Application Support/pip/pip.conf".into());
    }
    files.push("/etc/pip.conf".into());
    files
}

/// The section `[global]` of an ini file. pip takes `index_url` for `index-url`.
fn global_section(text: &str) -> BTreeMap<String, String> {
    let mut section = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        let entry = line.trim();
        if let Some(name) = entry.strip_prefix('[') {
            inside = name.strip_suffix(']').is_some_and(|n| n.trim() == "global");
        } else if inside
            && !entry.starts_with(['#', ';'])
            && !line.starts_with(char::is_whitespace)
            && let Some((key, value)) = entry.split_once(['=', ':'])
        {
            section.insert(key.trim().to_lowercase().replace('_', "-"), value.trim().to_owned());
        }
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pip(variables: &[(&str, &str)]) -> Pip {
        Pip::new(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn variables_count_more_than_files_and_near_files_more_than_far_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (own, named) = (dir.path().join("pip/pip.conf"), dir.path().join("named.conf"));
        std::fs::create_dir(dir.path().join("pip")).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        let text = "[install]\nindex-url = https://no/\n[global]\n; index-url = https://no/\nIndex_URL: https://own/x=y\ncert =\n";
        std::fs::write(&own, text).unwrap();
        std::fs::write(dir.path().join("pip/pip.ini"), text).unwrap();
        std::fs::write(&named, "[ global ]\nindex-url=https://named/\n  extra\n[other]\nproxy = no\n").unwrap();
        let path = |p: &Path| p.display().to_string();
        let (root, home) = (path(dir.path()), path(&dir.path().join("home")));
        let user = [("XDG_CONFIG_HOME", root.as_str()), ("APPDATA", &root), ("HOME", &home)];
        let value = |extra: &[(&str, &str)]| pip(&[&user[..], extra].concat()).setting("index-url").unwrap();
        let (url, source) = value(&[]);
        assert!(url == "https://own/x=y" && source.starts_with("index-url in "), "{url} {source}");
        let named = path(&named);
        assert_eq!(value(&[("PIP_CONFIG_FILE", &named)]).0, "https://named/");
        let both = [("PIP_CONFIG_FILE", named.as_str()), ("PIP_INDEX_URL", "https://variable/")];
        assert_eq!(value(&both), ("https://variable/".to_owned(), "PIP_INDEX_URL".to_owned()));
        assert_eq!(value(&[("PIP_INDEX_URL", " ")]).0, "https://own/x=y");
        if cfg!(unix) {
            let none = pip(&[&user[..], &[("PIP_CONFIG_FILE", "/dev/null")]].concat());
            assert!(none.setting("index-url").is_none() && none.setting("proxy").is_none());
        }
    }

    #[test]
    fn certificates_as_pip_takes_them() {
        let none = ("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" });
        assert!(pip(&[none]).certificates().is_none());
        let all = [none, ("SSL_CERT_FILE", "/s"), ("REQUESTS_CA_BUNDLE", "/r"), ("PIP_CERT", "/p")];
        assert_eq!(pip(&all).certificates(), Some(("/p".into(), "PIP_CERT".into())));
        assert_eq!(pip(&all[..3]).certificates(), Some(("/r".into(), "REQUESTS_CA_BUNDLE".into())));
        assert_eq!(pip(&all[..2]).certificates(), Some(("/s".into(), "SSL_CERT_FILE".into())));
    }

    #[test]
    fn proxies_go_by_scheme_and_have_exceptions() {
        let none = ("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" });
        let p =
            pip(&[none, ("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://h:1"), ("HTTP_PROXY", "http://no:1")]);
        assert_eq!(p.proxy(true, "host.org", 443).as_deref(), Some("http://s:1"));
        assert_eq!(p.proxy(false, "host.org", 80).as_deref(), Some("http://h:1"));
        assert_eq!(pip(&[none, ("ALL_PROXY", "http://a:1")]).proxy(true, "h", 443).as_deref(), Some("http://a:1"));
        assert_eq!(pip(&[none, ("HTTP_PROXY", "http://a:1")]).proxy(true, "h", 443), None);
        let both = pip(&[none, ("https_proxy", "http://a:1"), ("PIP_PROXY", "http://p:1")]);
        assert_eq!(both.proxy(true, "h", 443).as_deref(), Some("http://p:1"));
        for (list, host, port, free) in [
            ("*", "host.org", 443, true),
            ("other.org, host.org", "host.org", 443, true),
            ("HOST.org", "pypi.host.org", 443, true),
            (".host.org", "pypi.host.org", 443, true),
            ("*.host.org", "pypi.host.org", 443, true),
            ("host.org", "ghost.org", 443, false),
            ("host.org:8080", "host.org", 443, false),
            ("host.org:443", "host.org", 443, true),
            ("127.0.0.1,::1", "[::1]", 80, true),
            (",", "host.org", 443, false),
        ] {
            let p = pip(&[none, ("https_proxy", "http://a:1"), ("NO_PROXY", list)]);
            assert_eq!(p.proxy(true, host, port).is_none(), free, "{list} {host}");
        }
    }
}
