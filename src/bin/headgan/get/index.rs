//! The list of a project's files, as a Python package index gives it: JSON (PEP 691) or HTML (PEP 503).

use super::address::Address;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What an index is asked for.
pub const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";

/// A file that an index offers.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    pub address: Address,
    /// As the index states it, in lower case.
    pub sha256: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// The link to a file in the answer of `page`, or `None` if it is not listed.
///
/// # Errors
/// What is wrong with the answer, if it is no list.
pub fn find(page: &Address, answer: &str, file: &str) -> Result<Option<Link>, String> {
    if !answer.trim_start().starts_with('{') {
        return Ok(hrefs(answer).iter().find_map(|href| html_link(page, href, file)));
    }
    let project: Project = serde_json::from_str(answer).map_err(|e| format!("the answer is no list of files ({e})"))?;
    let Some(found) = project.files.iter().find(|f| f.filename == file) else { return Ok(None) };
    let address = page.join(&found.url).ok_or_else(|| format!("the answer has no usable address of {file}"))?;
    Ok(Some(Link { address, sha256: found.hashes.get("sha256").map(|h| h.to_ascii_lowercase()) }))
}

fn html_link(page: &Address, href: &str, file: &str) -> Option<Link> {
    let address = page.join(href).filter(|a| a.file_name() == file)?;
    let sha256 = href.split_once('#').and_then(|(_, fragment)| {
        fragment.split('&').find_map(|part| part.strip_prefix("sha256=")).map(str::to_ascii_lowercase)
    });
    Some(Link { address, sha256 })
}

/// The `href` of every `<a>`.
fn hrefs(html: &str) -> Vec<String> {
    // Lower case of ASCII alone keeps the places of bytes.
    let lower = html.to_ascii_lowercase();
    let starts = lower.match_indices("<a").map(|(at, _)| at + 2);
    starts.filter_map(|at| html.get(at..).filter(|t| t.starts_with(char::is_whitespace)).and_then(href)).collect()
}

/// The attribute `href` of a tag that is given from behind its name. A `>` in quotes does not end the tag.
fn href(mut tag: &str) -> Option<String> {
    loop {
        tag = tag.trim_start();
        let end = tag.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>'))?;
        let (name, rest) = tag.split_at(end);
        let rest = rest.trim_start();
        let Some(rest) = rest.strip_prefix('=') else {
            if rest.starts_with('>') {
                return None;
            }
            tag = rest;
            continue;
        };
        let rest = rest.trim_start();
        let (value, rest) = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split_once(quote)?,
            _ => rest.split_at(rest.find(|c: char| c.is_whitespace() || c == '>')?),
        };
        if name.eq_ignore_ascii_case("href") {
            return Some(value.replace("&amp;", "&"));
        }
        tag = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Address {
        Address::parse("https://host.org/simple/thing/").unwrap()
    }

    fn found(answer: &str, file: &str) -> Option<(String, Option<String>)> {
        let link = find(&page(), answer, file).unwrap()?;
        Some((link.address.uri().to_string(), link.sha256))
    }

    #[test]
    fn json() {
        let answer = r#" {"meta": {"api-version": "1.1"}, "name": "thing", "versions": ["1"], "files": [
            {"filename": "thing-1.tar.gz", "url": "https://o.org/x", "hashes": {}},
            {"filename": "thing-1.whl", "url": "../../f/thing-1.whl", "hashes": {"sha256": "ABC", "md5": "1"}, "yanked": "old"},
            {"filename": "thing-2.whl", "url": "https://o.org/thing-2.whl"}]}"#;
        assert_eq!(found(answer, "thing-1.whl"), Some(("https://host.org/f/thing-1.whl".into(), Some("abc".into()))));
        assert_eq!(found(answer, "thing-2.whl"), Some(("https://o.org/thing-2.whl".into(), None)));
        assert_eq!(found(answer, "thing-3.whl"), None);
        assert!(find(&page(), "{\"files\": 1}", "x").unwrap_err().contains("no list of files"));
        let wrong = r#"{"files": [{"filename": "x", "url": "ftp://o.org/x"}]}"#;
        assert!(find(&page(), wrong, "x").unwrap_err().contains("address of x"));
    }

    #[test]
    fn html() {
        let answer = "<!DOCTYPE html>\n<html><body><abbr>x</abbr><A class=x\n HREF='../../f/thing-1.whl#sha256=AB'>one</a><br/>
            <a data-requires-python=\">=3.9\" disabled href=\"https://o.org/p/thing%2D2.whl?a=1&amp;b=2#md5=1&sha256=cd\">2</a>
            <a href=thing-3.whl>3</a> <a>no link</a> <a name=x href = \"thing-4.whl\" >4</a> <a href=\"cut";
        assert_eq!(found(answer, "thing-1.whl"), Some(("https://host.org/f/thing-1.whl".into(), Some("ab".into()))));
        let second = ("https://o.org/p/thing%2D2.whl?a=1&b=2".to_owned(), Some("cd".to_owned()));
        assert_eq!(found(answer, "thing-2.whl"), Some(second));
        assert_eq!(found(answer, "thing-3.whl"), Some(("https://host.org/simple/thing/thing-3.whl".into(), None)));
        assert_eq!(found(answer, "thing-4.whl"), Some(("https://host.org/simple/thing/thing-4.whl".into(), None)));
        assert_eq!(found(answer, "thing-5.whl"), None);
        assert_eq!(found("", "thing-1.whl"), None);
    }
}
