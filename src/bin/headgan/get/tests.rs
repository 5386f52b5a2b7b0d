//! Downloads from a server of the test's own, on this machine.

// Shared with the tests of the program.
#[path = "../../../../tests/common/http.rs"]
mod http;

use super::client::{Client, Patience};
use super::download::{Wheel, download, hex};
use super::pip::Pip;
use super::{MEDIAPIPE, address::Address, advice, import_wheel, index_address};
use headgan::{CancelToken, Error, Result};
use http::{Answer, Request, Server, nobody};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const FILE: &str = "thing-1.0-py3-none-any.whl";
/// What the index answers.
const JSON: &str =
    r#"{"files": [{"filename": "thing-1.0-py3-none-any.whl", "url": "../../files/thing-1.0-py3-none-any.whl"}]}"#;

fn content() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn pip(variables: &[(&str, &str)]) -> Pip {
    let none = ("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" });
    Pip::new([&[none], variables].concat().iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

/// Downloads the thing, whose content must be [`content`], from an index.
fn get(url: &str, folder: &Path) -> Result<PathBuf> {
    get_with(url, folder, &[], &CancelToken::new())
}

fn get_with(url: &str, folder: &Path, variables: &[(&str, &str)], cancel: &CancelToken) -> Result<PathBuf> {
    let sha256 = hex(&Sha256::digest(content()));
    let wheel = Wheel { project: "thing", file: FILE, size: content().len() as u64, sha256: &sha256 };
    let index = Address::parse(url).unwrap();
    let patience = Patience { pause: Duration::from_millis(1), ..Patience::default() };
    let pip = pip(variables);
    let client = Client::new(&pip, &index, advice(&wheel), patience, cancel)?;
    download(&wheel, &client, &index, folder, true)
}

/// An index at `/simple` and its file; `file` gives the file's answers, by their number from 0.
fn server(file: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |request| match request.path.as_str() {
        "/simple/thing/" => Answer::new(200, JSON),
        "/files/thing-1.0-py3-none-any.whl" => file(request, count.fetch_add(1, Ordering::SeqCst)),
        _ => Answer::new(404, "no"),
    })
}

fn part(folder: &Path) -> PathBuf {
    folder.join(format!("{FILE}.part"))
}

#[track_caller]
fn refused(result: Result<PathBuf>, says: &[&str]) {
    let Err(Error::Input(text)) = result else { panic!("{result:?}") };
    assert!(!text.contains('\n'), "{text:?}");
    for s in says.iter().chain(&["PIP_INDEX_URL", "`headgan models import thing --from FILE`"]) {
        assert!(text.contains(s), "'{s}' is not in: {}", &*text);
    }
}

/// The wheel is there, and nothing else.
#[track_caller]
fn whole(result: Result<PathBuf>, folder: &Path) {
    let path = result.unwrap();
    assert_eq!(path, folder.join(FILE));
    assert!(std::fs::read(&path).unwrap() == content());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn from_both_forms_of_an_index() {
    let html = format!(
        "<html><a href=\"/files/other.whl\">x</a><a href=\"/files/{FILE}#sha256={}\">y</a></html>",
        hex(&Sha256::digest(content()))
    );
    for list in [JSON.to_owned(), html] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/downloads");
        let server = Server::start(move |r| match r.path.as_str() {
            "/simple/thing/" => Answer::new(200, list.as_str()),
            _ => Answer::file(r, &content()),
        });
        whole(get(&server.url("/simple"), &folder), &folder);
        let asked = server.requests();
        assert!(asked[0].header("accept").unwrap().starts_with("application/vnd.pypi.simple.v1+json, text/html"));
        assert!(
            asked[0].header("user-agent").unwrap().starts_with("headgan/")
                && asked[0].header("authorization").is_none()
        );
        // What is there and right is not asked for again.
        whole(get(&server.url("/simple/"), &folder), &folder);
        assert_eq!(server.requests().len(), 2);
        // What is there and wrong is.
        std::fs::write(folder.join(FILE), b"damaged").unwrap();
        whole(get(&server.url("/simple/"), &folder), &folder);
        assert_eq!(server.requests().len(), 4);
    }
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_no_byte_asked_for_twice() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(|r, n| Answer::file(r, &content()).cut_after(if n < 4 { 50_000 } else { usize::MAX }));
    whole(get(&server.url("/simple"), dir.path()), dir.path());
    let starts: Vec<_> = server.requests()[1..].iter().map(Request::start).collect();
    assert_eq!(starts, [None, Some(50_000), Some(100_000), Some(150_000), Some(200_000)]);
}

#[test]
fn a_server_that_gives_up_leaves_the_part_for_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let stops = server(|r, n| Answer::file(r, &content()).cut_after(if n == 0 { 120_000 } else { 0 }));
    refused(get(&stops.url("/simple"), dir.path()), &["breaks the connection", "0 of 1 MiB are here"]);
    assert_eq!(std::fs::metadata(part(dir.path())).unwrap().len(), 120_000);
    let works = server(|r, _| Answer::file(r, &content()));
    whole(get(&works.url("/simple"), dir.path()), dir.path());
    assert_eq!(works.requests()[1].start(), Some(120_000));
}

#[test]
fn a_server_without_pieces_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), b"what was there").unwrap();
    let all = server(|_, _| Answer::new(200, content()));
    whole(get(&all.url("/simple"), dir.path()), dir.path());
    assert_eq!(all.requests()[1].start(), Some(14));
    // One that always breaks off at the same place is given up.
    let dir = tempfile::tempdir().unwrap();
    let stuck = server(|_, _| Answer::new(200, content()).cut_after(50_000));
    refused(get(&stuck.url("/simple"), dir.path()), &["breaks the connection"]);
    assert_eq!(stuck.requests().len(), 4);
    // One that knows no such piece, or sends another, is asked for all.
    for status in [416, 206] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(part(dir.path()), b"what was there").unwrap();
        let odd = server(move |r, _| match r.start() {
            None => Answer::file(r, &content()),
            Some(_) => Answer::new(status, "x").with("Content-Range", "bytes 0-0/300000"),
        });
        whole(get(&odd.url("/simple"), dir.path()), dir.path());
        assert_eq!(odd.requests().len(), 3);
    }
}

#[test]
fn a_part_that_is_whole_is_only_verified() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), content()).unwrap();
    whole(get(&nobody(), dir.path()), dir.path());
    // As long, but not the same: all of it anew.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(part(dir.path()), vec![0; content().len()]).unwrap();
    let server = server(|r, _| Answer::file(r, &content()));
    whole(get(&server.url("/simple"), dir.path()), dir.path());
    assert_eq!(server.requests()[1].start(), None);
}

#[test]
fn another_file_is_refused_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = server(|r, _| Answer::file(r, &vec![7; content().len()]));
    refused(get(&wrong.url("/simple"), dir.path()), &[&wrong.url(" sends another file"), FILE, "SHA-256", "deleted"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let longer = server(|r, _| Answer::file(r, &vec![7; 1 + content().len()]));
    refused(get(&longer.url("/simple"), dir.path()), &["another file", "300001 bytes, not 300000"]);
    // An index that says so itself is not even asked for the file.
    let says = Server::start(|_| Answer::new(200, format!("<a href=\"/{FILE}#sha256=00ff00ff00ff\">x</a>")));
    refused(get(&says.url("/simple"), dir.path()), &["another file", "00ff00ff..."]);
    assert_eq!(says.requests().len(), 1);
}

#[test]
fn what_the_index_does_not_have() {
    let dir = tempfile::tempdir().unwrap();
    let empty = Server::start(|_| Answer::new(404, "no"));
    refused(get(&empty.url("/simple"), dir.path()), &[&empty.url(" does not have it (404)")]);
    let other = Server::start(|_| Answer::new(200, r#"{"files": []}"#));
    refused(get(&other.url("/simple"), dir.path()), &["does not list thing-1.0"]);
    let page = Server::start(|_| Answer::new(200, "<html>Welcome!</html>"));
    refused(get(&page.url("/simple"), dir.path()), &["does not list thing-1.0"]);
    let broken = Server::start(|_| Answer::new(200, "{\"files"));
    refused(get(&broken.url("/simple"), dir.path()), &["no index that can be read"]);
    let trouble = Server::start(|_| Answer::new(503, "later"));
    refused(get(&trouble.url("/simple"), dir.path()), &["has trouble (503)"]);
    let gone = server(|_, _| Answer::new(404, "no"));
    refused(get(&gone.url("/simple"), dir.path()), &["does not have it (404)"]);
}

#[test]
fn nobody_there() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let url = nobody();
    refused(get(&url, dir.path()), &[url.trim_end_matches("/simple"), "cannot be reached"]);
    // Not even a proxy: it is named, its password is not.
    let proxy = url.replace("http://", "http://user:secret@");
    let result = get_with("http://host.invalid/simple", dir.path(), &[("HTTP_PROXY", &proxy)], &CancelToken::new());
    let port = url.trim_start_matches("http://").trim_end_matches("/simple");
    assert!(!result.as_ref().unwrap_err().to_string().contains("secret"));
    refused(result, &["http://host.invalid", "through the proxy", port]);
    let result =
        get_with("http://host.invalid/simple", dir.path(), &[("ALL_PROXY", "socks5://h:1")], &CancelToken::new());
    refused(result, &["proxy", "http://HOST:PORT"]);
    // Nothing is left behind.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn redirects_and_users() {
    let dir = tempfile::tempdir().unwrap();
    let files = Server::start(|r| Answer::file(r, &content()));
    let elsewhere = files.url(&format!("/x/{FILE}"));
    let index = Server::start(move |r| match r.path.as_str() {
        _ if r.header("authorization") != Some("Basic dXNlcjpwQHNz") => Answer::new(401, "who?"),
        "/simple/thing/" => Answer::new(301, "").with("Location", "/real/simple/thing/"),
        "/real/simple/thing/" => Answer::new(200, format!("<a href=\"../../files/{FILE}\">x</a>")),
        "/real/files/thing-1.0-py3-none-any.whl" => Answer::new(302, "").with("Location", elsewhere.as_str()),
        _ => Answer::new(404, "no"),
    });
    let url = index.url("/simple");
    whole(get(&url.replace("http://", "http://user:p%40ss@"), dir.path()), dir.path());
    // The other server is not told the password.
    assert!(files.requests().len() == 1 && files.requests()[0].header("authorization").is_none());
    let dir = tempfile::tempdir().unwrap();
    refused(get(&url, dir.path()), &["(401)", "USER:PASSWORD@"]);
    let wrong = get(&url.replace("http://", "http://user:secret@"), dir.path());
    assert!(!wrong.as_ref().unwrap_err().to_string().contains("secret"));
    refused(wrong, &["refuses the user and the password"]);
    let circle = Server::start(|r| Answer::new(302, "").with("Location", r.path.as_str()));
    refused(get(&circle.url("/simple"), dir.path()), &["sends on and on"]);
    assert_eq!(circle.requests().len(), 11);
    let nowhere = Server::start(|_| Answer::new(302, "").with("Location", "ftp://x/"));
    refused(get(&nowhere.url("/simple"), dir.path()), &["sends on to no address"]);
}

#[test]
fn ctrl_c_ends_a_request_that_waits_and_leaves_the_part() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancelToken::new();
    let stop = cancel.clone();
    let slow = server(move |r, n| {
        if n == 1 {
            stop.cancel();
            std::thread::sleep(Duration::from_secs(20));
        }
        Answer::file(r, &content()).cut_after(70_000)
    });
    let begun = Instant::now();
    let result = get_with(&slow.url("/simple"), dir.path(), &[], &cancel);
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(std::fs::metadata(part(dir.path())).unwrap().len(), 70_000);
}

#[test]
fn two_runs_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let other = std::fs::File::create(part(dir.path())).unwrap();
    other.lock().unwrap();
    let Err(Error::Input(text)) = get(&nobody(), dir.path()) else { panic!() };
    assert!(text.contains("another headgan is downloading it"), "{text:?}");
}

#[test]
fn certificates_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, empty) = (dir.path().join("missing.pem"), dir.path().join("empty.pem"));
    std::fs::write(&empty, "none here").unwrap();
    for (path, says) in [(&missing, "cannot be read"), (&empty, "no certificates in PEM")] {
        let variables = [("PIP_CERT", path.to_str().unwrap())];
        let Err(error) = get_with(&nobody(), dir.path(), &variables, &CancelToken::new()) else { panic!() };
        let text = error.to_string();
        assert!(text.contains("PIP_CERT") && text.contains(says), "{text}");
        assert_eq!(error.exit_code(), 3);
    }
}

#[test]
fn the_index_is_named_or_pips_or_pypi() {
    let told =
        |named: Option<&str>, variables: &[(&str, &str)]| index_address(&pip(variables), named.map(str::to_owned));
    let variables = [("PIP_INDEX_URL", "https://u:secret@host.org/simple")];
    assert_eq!(told(None, &[]).unwrap().server(), "https://pypi.org");
    assert_eq!(told(None, &variables).unwrap().server(), "https://host.org");
    assert_eq!(told(Some("http://o.org/"), &variables).unwrap().server(), "http://o.org");
    let error = told(None, &[("PIP_INDEX_URL", "u:secret@host.org/simple")]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().starts_with("PIP_INDEX_URL is not the address"), "{error}");
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn an_import_that_fails_says_where_the_download_is() {
    let dir = tempfile::tempdir().unwrap();
    let wheel = dir.path().join("missing.whl");
    let text = import_wheel(&wheel, dir.path()).unwrap_err().to_string();
    assert!(text.ends_with(&format!("the download stays: {}", wheel.display())), "{text}");
    assert!(MEDIAPIPE.sha256.len() == 64 && MEDIAPIPE.file.starts_with("mediapipe-0.10.14-"));
}
