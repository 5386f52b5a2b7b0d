//! VoxCeleb2's download against a server of the test's own, which counts what it sends.

use headgan::Error;
use headgan::random::Rng;
use headgan_train::voxceleb2::client::{Client, Failure, RetryPolicy};
use headgan_train::voxceleb2::download::Record;
use headgan_train::voxceleb2::{BaseUrl, Checksums, Credentials, FetchReport, Settings, Subset, fetch};
use md5::{Digest, Md5};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PASSWORD: &str = "Op3n sesame";
/// `me:Op3n sesame`
const AUTHORIZATION: &str = "Basic bWU6T3AzbiBzZXNhbWU=";

/// What a server has and does, and what it saw.
#[derive(Default)]
struct Site {
    files: BTreeMap<String, Vec<u8>>,
    etag: String,
    open: bool,
    ignores_range: bool,
    /// Answers of other kinds, by path: status and headers.
    instead: BTreeMap<String, (u16, String)>,
    /// After so many bytes of a body the connection ends; one for each of the next bodies.
    drops: Vec<usize>,
    /// Where a drop would be, it falls silent instead.
    silent: bool,
    /// A path and the byte that was asked for from, if one was; with what it was authorised.
    seen: Vec<(String, Option<u64>, Option<String>)>,
    sent: usize,
    /// Requests that are being answered.
    answering: usize,
}

struct Server {
    site: Arc<Mutex<Site>>,
    port: u16,
}

impl Server {
    fn new(files: &[(&str, Vec<u8>)]) -> Server {
        let files = files.iter().map(|(name, bytes)| (format!("/{name}"), bytes.clone())).collect();
        let site = Arc::new(Mutex::new(Site { files, etag: "\"one\"".into(), ..Site::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = site.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let site = shared.clone();
                site.lock().unwrap().answering += 1;
                std::thread::spawn(move || {
                    answer(stream.unwrap(), &site);
                    site.lock().unwrap().answering -= 1;
                });
            }
        });
        Server { site, port }
    }

    fn site(&self) -> std::sync::MutexGuard<'_, Site> {
        self.site.lock().unwrap()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Bytes of bodies sent since this was asked last. A client may have read all before they are counted.
    fn sent(&self) -> usize {
        let begun = Instant::now();
        while self.site().answering > 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "a request is still being answered");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::mem::take(&mut self.site().sent)
    }

    fn requests(&self) -> usize {
        self.site().seen.len()
    }
}

/// One request on one connection. Errors mean that the client has gone.
fn answer(mut stream: TcpStream, site: &Mutex<Site>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|l| l.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
    };
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let from = header("range").map(|r| r.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap());
    let authorization = header("authorization");
    let (reply, body, silent) = {
        let mut site = site.lock().unwrap();
        site.seen.push((path.clone(), from, authorization.clone()));
        let plain = |status: u16, more: &str| format!("HTTP/1.1 {status} x\r\nConnection: close\r\n{more}");
        if let Some((status, more)) = site.instead.get(&path) {
            (plain(*status, more), Vec::new(), false)
        } else if !site.open && authorization.as_deref() != Some(AUTHORIZATION) {
            (plain(401, "Content-Length: 0\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"), Vec::new(), false)
        } else if let Some(bytes) = site.files.get(&path) {
            let total = bytes.len() as u64;
            let start = from.filter(|_| !site.ignores_range);
            let reply = match start {
                Some(start) if start >= total => plain(416, &format!("Content-Range: bytes */{total}\r\n")),
                Some(start) => {
                    let range = format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1);
                    plain(206, &format!("{range}Content-Length: {}\r\n", total - start))
                }
                None => plain(200, &format!("Content-Length: {total}\r\n")),
            };
            let reply = format!("{reply}ETag: {}\r\nLast-Modified: Mon, 02 Jan 2023 00:00:00 GMT\r\n", site.etag);
            let mut body = bytes[start.unwrap_or(0).min(total) as usize..].to_vec();
            if !site.drops.is_empty() {
                let at = site.drops.remove(0);
                body.truncate(at);
            }
            (reply, body, site.silent)
        } else {
            (plain(404, "Content-Length: 0\r\n"), Vec::new(), false)
        }
    };
    if stream.write_all(format!("{reply}\r\n").as_bytes()).is_err() {
        return;
    }
    for piece in body.chunks(1 << 14) {
        if stream.write_all(piece).is_err() {
            return;
        }
        site.lock().unwrap().sent += piece.len();
    }
    if silent {
        // Until the client goes.
        let _ = stream.read(&mut byte);
    }
}

/// Half of a tiny data set: two persons' folders with these files.
fn archive(prefix: &str, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (i, (name, bytes)) in files.iter().enumerate() {
        let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated][i % 2];
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        out.start_file(format!("{prefix}{name}"), options).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut rng = Rng::from_parts(&[seed]);
    (0..n).map(|_| (rng.within(128.0) + 128.0) as u8).collect()
}

fn clips() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("id00017/aaaaaaaaaaa/00001.mp4", noise(1, 200_000)),
        ("id00017/bbbbbbbbbbb/00001.mp4", noise(2, 150_000)),
        ("id00061/ccccccccccc/00007.mp4", noise(3, 70_000)),
    ]
}

const TEST: &str = "vox2_test_mp4.zip";

fn test_server() -> (Server, Vec<u8>) {
    let bytes = archive("mp4/", &clips());
    (Server::new(&[(TEST, bytes.clone())]), bytes)
}

fn credentials(folder: &Path, password: &str) -> Credentials {
    Credentials::read("me", &password_file(folder, password)).unwrap()
}

fn password_file(folder: &Path, password: &str) -> PathBuf {
    let path = folder.join(format!("password-{}", password.len()));
    std::fs::write(&path, format!("{password}\n")).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn quick(tries: u32) -> RetryPolicy {
    let ms = Duration::from_millis;
    RetryPolicy { tries, pause: ms(1), longest: ms(4), silence: Duration::from_secs(20) }
}

/// A run of the library, and what it said meanwhile.
struct Run<'a> {
    server: &'a Server,
    folder: &'a Path,
    subset: Subset,
    tries: u32,
    sums: Option<&'a str>,
}

impl<'a> Run<'a> {
    fn of(server: &'a Server, folder: &'a Path) -> Run<'a> {
        Run { server, folder, subset: Subset::Test, tries: 6, sums: None }
    }

    fn go(&self) -> (Result<FetchReport, Error>, Vec<String>) {
        let said = RefCell::new(Vec::new());
        let checksums = self.sums.map(|text| {
            let path = self.folder.join("sums");
            std::fs::write(&path, text).unwrap();
            Checksums::read(&path).unwrap()
        });
        let result = fetch(&Settings {
            subset: self.subset,
            out: &self.folder.join("out"),
            base: BaseUrl::new(&self.server.url(), false).unwrap(),
            credentials: Some(credentials(self.folder, PASSWORD)),
            checksums,
            retry: quick(self.tries),
            say: &|line| said.borrow_mut().push(line.to_owned()),
            quiet: true,
        });
        (result, said.into_inner())
    }

    fn ok(&self) -> (FetchReport, Vec<String>) {
        let (result, said) = self.go();
        (result.unwrap(), said)
    }

    /// The text of an error that is one line and keeps the secret.
    fn fails(&self) -> String {
        let error = self.go().0.unwrap_err();
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.contains(PASSWORD) && !text.contains("bWU6"), "{text}");
        text
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.join("out").join(name)
    }
}

fn assert_unpacked(persons: &Path, clips: &[(&str, Vec<u8>)]) {
    for (name, bytes) in clips {
        assert!(std::fs::read(persons.join(name)).unwrap() == *bytes, "{name}");
    }
}

#[test]
fn half_of_the_set_is_downloaded_and_unpacked() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&server, folder.path());
    let (fetched, said) = run.ok();
    assert_eq!(said, [""; 0]);
    assert_eq!(fetched.persons, run.out("test/mp4"));
    assert_eq!((fetched.received, fetched.unpacked.files, fetched.unpacked.kept), (bytes.len() as u64, 3, 0));
    assert_unpacked(&fetched.persons, &clips());
    assert_eq!(server.sent(), bytes.len());
    assert!(!run.out("vox2_test_mp4.zip.part").exists());

    // Once more: not a request, and nothing is read.
    let requests = server.requests();
    let (again, said) = run.ok();
    assert_eq!((again.received, again.unpacked.kept, server.requests()), (0, 3, requests));
    assert!(said[0].contains("unpacked already"), "{said:?}");

    // Files that are missing, shorter or of another content are unpacked again; the others stay.
    std::fs::remove_file(run.out("test/unpacked.json")).unwrap();
    std::fs::remove_file(fetched.persons.join(clips()[0].0)).unwrap();
    std::fs::write(fetched.persons.join(clips()[1].0), noise(9, 150_000)).unwrap();
    let (again, _) = run.ok();
    assert_eq!((again.received, again.unpacked.kept, server.requests()), (0, 1, requests));
    assert_unpacked(&fetched.persons, &clips());
}

#[test]
fn parts_are_read_as_one_archive() {
    let bytes = archive("dev/mp4/", &clips());
    let names = Subset::Train.parts();
    assert_eq!((names.len(), names[0].as_str(), names[8].as_str()), (9, "vox2_dev_mp4_partaa", "vox2_dev_mp4_partai"));
    let size = bytes.len().div_ceil(9);
    let parts: Vec<(&str, Vec<u8>)> =
        names.iter().map(String::as_str).zip(bytes.chunks(size).map(<[u8]>::to_vec)).collect();
    let server = Server::new(&parts);
    let folder = tempfile::tempdir().unwrap();
    let sum = format!("{:x}", Md5::digest(&bytes));
    let third = format!("{:x}", Md5::digest(&parts[2].1));
    let sums = format!("{sum}  vox2_mp4.zip\n{third}  {}\n", names[2]);
    let run = Run { subset: Subset::Train, sums: Some(&sums), ..Run::of(&server, folder.path()) };
    let (fetched, _) = run.ok();
    assert_eq!((fetched.persons.clone(), fetched.checked), (run.out("train/dev/mp4"), 2));
    assert_unpacked(&fetched.persons, &clips());
    // No joined copy was made.
    let files: u64 = names.iter().map(|n| std::fs::metadata(run.out(n)).unwrap().len()).sum();
    assert_eq!(files, bytes.len() as u64);
    assert!(!run.out("vox2_mp4.zip").exists());

    // Two parts of one length change places: each is as long as the server's, together they are not the archive.
    std::fs::remove_file(run.out("train/unpacked.json")).unwrap();
    std::fs::rename(run.out(&names[0]), run.out("x")).unwrap();
    std::fs::rename(run.out(&names[1]), run.out(&names[0])).unwrap();
    std::fs::rename(run.out("x"), run.out(&names[1])).unwrap();
    std::fs::remove_file(run.out(&format!("{}.json", names[0]))).unwrap();
    let text = run.fails();
    assert!(text.contains("vox2_mp4.zip") && text.contains(".bad"), "{text}");
    assert!(run.out(&format!("{}.bad", names[0])).exists() && run.out(&names[2]).exists());
    server.sent();
    let (fetched, _) = run.ok();
    assert_unpacked(&fetched.persons, &clips());
    assert_eq!(server.sent(), bytes.len() - parts[2].1.len(), "what had been checked was not asked for again");
}

#[test]
fn a_connection_that_breaks_costs_no_byte() {
    let (server, bytes) = test_server();
    server.site().drops = vec![100_000, 0, 0, 30_000, 1, 0, 50_000];
    let folder = tempfile::tempdir().unwrap();
    // At most two tries in a row bring nothing.
    let (fetched, said) = Run { tries: 4, ..Run::of(&server, folder.path()) }.ok();
    assert_unpacked(&fetched.persons, &clips());
    assert_eq!((fetched.received, server.sent()), (bytes.len() as u64, bytes.len()));
    assert_eq!(said.len(), 7, "{said:?}");
    let asked: Vec<Option<u64>> = server.site().seen.iter().map(|s| s.1).collect();
    let at = |n: u64| Some(100_000 + n);
    assert_eq!(asked, [None, at(0), at(0), at(0), at(30_000), at(30_001), at(30_001), at(80_001)]);
}

#[test]
fn patience_ends_and_what_is_there_stays() {
    let (server, bytes) = test_server();
    server.site().drops = vec![100_000, 0, 0, 0];
    let folder = tempfile::tempdir().unwrap();
    let run = Run { tries: 3, ..Run::of(&server, folder.path()) };
    let text = run.fails();
    assert!(text.contains("3 times in a row") && text.contains("run again"), "{text}");
    assert_eq!(std::fs::metadata(run.out("vox2_test_mp4.zip.part")).unwrap().len(), 100_000);
    server.site().drops.clear();
    server.sent();
    assert_unpacked(&run.ok().0.persons, &clips());
    assert_eq!(server.sent(), bytes.len() - 100_000);
}

#[test]
fn trouble_of_a_server_passes_and_silence_too() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    server.site().instead.insert(format!("/{TEST}"), (503, "Content-Length: 0\r\n".into()));
    let text = Run { tries: 3, ..Run::of(&server, folder.path()) }.fails();
    assert!(text.contains("503") && server.requests() == 3, "{text}");

    // A server that falls silent in the middle counts as a connection that broke.
    server.site().instead.clear();
    server.site().silent = true;
    server.site().drops = vec![5_000];
    let retry = RetryPolicy { silence: Duration::from_millis(300), ..quick(3) };
    let base = BaseUrl::new(&server.url(), false).unwrap();
    let client = Client::new(base, Some(&credentials(folder.path(), PASSWORD)), retry);
    let out = folder.path().join("out");
    let begun = Instant::now();
    let say = |_: &str| server.site().silent = false;
    let got = headgan_train::voxceleb2::download::download(&client, TEST, &out, &say, true).unwrap();
    assert_eq!(got as usize, bytes.len());
    assert!(begun.elapsed() < Duration::from_secs(10) && begun.elapsed() > Duration::from_millis(300));

    // Nobody is there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(BaseUrl::new(&format!("http://{closed}"), false).unwrap(), None, quick(1));
    assert!(matches!(client.get("x", 0), Err(Failure::Transient(why)) if why.contains("no connection")));
}

/// What is no trustworthy TLS is not tried again.
#[test]
fn a_server_that_speaks_no_tls_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            *count.lock().unwrap() += 1;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(BaseUrl::new(&url, false).unwrap(), None, quick(5));
    let result = headgan_train::voxceleb2::download::download(&client, TEST, folder.path(), &|_| {}, true);
    let text = result.unwrap_err().to_string();
    assert!(text.contains("no trust in the server") && *connections.lock().unwrap() == 1, "{text}");
}

#[test]
fn a_wrong_password_is_told_at_once() {
    let (server, _) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let client = |password: Option<&str>| {
        let credentials = password.map(|p| credentials(folder.path(), p));
        Client::new(BaseUrl::new(&server.url(), false).unwrap(), credentials.as_ref(), quick(5))
    };
    let refused = |client: Client| {
        let result = headgan_train::voxceleb2::download::download(&client, TEST, folder.path(), &|_| {}, true);
        match result.unwrap_err() {
            Error::Usage(text) => text.to_string(),
            other => panic!("{other}"),
        }
    };
    let text = refused(client(Some("wrong")));
    assert!(text.contains("--password-file") && !text.contains("wrong"), "{text}");
    assert_eq!(server.requests(), 1, "asked once");
    let text = refused(client(None));
    assert!(text.contains("are needed"), "{text}");
    assert!(!folder.path().join(format!("{TEST}.part")).exists());
}

#[test]
fn what_no_server_should_answer_is_told() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&server, folder.path());
    let cases = [
        ((404, "Content-Length: 0\r\n"), "is not there (404)"),
        ((200, "Content-Type: text/html\r\nContent-Length: 0\r\n"), "web page"),
        ((200, "Content-Type: application/zip\r\n"), "does not say how long"),
        ((206, "Content-Range: bytes 5-9/10\r\nContent-Length: 5\r\n"), "piece"),
        ((416, "Content-Range: bytes */10\r\n"), "416"),
        ((418, "Content-Length: 0\r\n"), "418"),
        ((302, "Location: /vox2_test_mp4.zip\r\nContent-Length: 0\r\n"), "on and on"),
    ];
    for ((status, headers), expected) in cases {
        server.site().instead.insert(format!("/{TEST}"), (status, headers.into()));
        server.site().seen.clear();
        let text = run.fails();
        assert!(text.contains(expected) && text.contains("--base-url"), "{status}: {text}");
        assert!(server.requests() == if status == 302 { 6 } else { 1 }, "{status}: {}", server.requests());
    }
    server.site().instead.clear();
    assert_eq!(run.ok().0.received, bytes.len() as u64);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let (server, bytes) = test_server();
    server.site().ignores_range = true;
    server.site().drops = vec![100_000];
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&server, folder.path());
    assert_unpacked(&run.ok().0.persons, &clips());
    assert_eq!(server.sent(), 100_000 + bytes.len());

    // One that never gets through is given up, although bytes arrive each time.
    let other = tempfile::tempdir().unwrap();
    server.site().drops = vec![100_000; 50];
    let text = Run { tries: 4, ..Run::of(&server, other.path()) }.fails();
    assert!(text.contains("4 times in a row"), "{text}");
}

#[test]
fn a_file_that_changed_is_begun_again() {
    let (server, _) = test_server();
    let folder = tempfile::tempdir().unwrap();
    server.site().drops = vec![100_000];
    let run = Run { tries: 1, ..Run::of(&server, folder.path()) };
    run.fails();
    // As long as before, of other content.
    let mut other = clips();
    other[0].1 = noise(7, 200_000);
    let bytes = archive("mp4/", &other);
    server.site().files.insert(format!("/{TEST}"), bytes.clone());
    server.site().etag = "\"two\"".into();
    server.sent();
    let (fetched, said) = run.ok();
    assert!(said.len() == 1 && said[0].contains("starting over"), "{said:?}");
    assert_unpacked(&fetched.persons, &other);
    assert_eq!(Record::load(&folder.path().join("out"), TEST).unwrap().etag.unwrap(), "\"two\"");

    // One that is shorter now than what is there: 416.
    let third = tempfile::tempdir().unwrap();
    let run = Run { tries: 1, ..Run::of(&server, third.path()) };
    server.site().drops = vec![bytes.len() - 10];
    run.fails();
    let short = archive("mp4/", &clips()[2..]);
    server.site().files.insert(format!("/{TEST}"), short.clone());
    let (fetched, said) = run.ok();
    assert!(said[0].contains("starting over"), "{said:?}");
    assert_unpacked(&fetched.persons, &clips()[2..]);
}

#[test]
fn whole_files_of_other_programs_count() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&server, folder.path());
    std::fs::create_dir_all(run.out("")).unwrap();
    std::fs::write(run.out(TEST), &bytes[..5000]).unwrap();
    let text = run.fails();
    assert!(text.contains("5000 bytes") && text.contains("move it away"), "{text}");
    assert_eq!(std::fs::metadata(run.out(TEST)).unwrap().len(), 5000, "it was touched");
    std::fs::write(run.out(TEST), &bytes).unwrap();
    let (fetched, _) = run.ok();
    assert_eq!(fetched.received, 0);
    assert_unpacked(&fetched.persons, &clips());

    // A whole .part, as after a kill between the last byte and the renaming, needs no request.
    std::fs::rename(run.out(TEST), run.out("vox2_test_mp4.zip.part")).unwrap();
    std::fs::remove_file(run.out("test/unpacked.json")).unwrap();
    let requests = server.requests();
    assert_eq!(run.ok().0.unpacked.kept, 3);
    assert_eq!(server.requests(), requests);
}

#[test]
fn a_wrong_checksum_sets_the_file_aside() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let good = format!("{:x}", Md5::digest(&bytes));
    let bad = format!("{}  {TEST}", good.chars().rev().collect::<String>());
    let run = Run { sums: Some(&bad), ..Run::of(&server, folder.path()) };
    let text = run.fails();
    assert!(text.contains(&good) && text.contains("MD5") && text.contains("vox2_test_mp4.zip.bad"), "{text}");
    assert!(!run.out(TEST).exists() && !run.out("test/mp4").exists());
    assert!(std::fs::read(run.out("vox2_test_mp4.zip.bad")).unwrap() == bytes);
    // The next one is kept beside it.
    run.fails();
    assert!(run.out("vox2_test_mp4.zip.bad2").exists());

    let right = format!("{good}  {TEST}");
    let run = Run { sums: Some(&right), ..run };
    assert_eq!(run.ok().0.checked, 1);
    std::fs::remove_file(run.out("test/unpacked.json")).unwrap();
    assert_eq!(run.ok().0.checked, 0, "what was checked is remembered");
    std::fs::remove_file(run.out("test/unpacked.json")).unwrap();
    let none = format!("{good}  another.zip");
    let text = Run { sums: Some(&none), ..run }.fails();
    assert!(text.contains("check nothing"), "{text}");
}

#[test]
fn archives_that_are_none_are_told() {
    let whole = archive("mp4/", &clips());
    let server = Server::new(&[(TEST, whole[..whole.len() - 500].to_vec())]);
    let folder = tempfile::tempdir().unwrap();
    let text = Run::of(&server, folder.path()).fails();
    assert!(text.contains("cut off") && text.contains("--checksums"), "{text}");
    assert!(folder.path().join("out").join(TEST).exists());

    // A bit of the stored clip is wrong: nothing stands under its name.
    let mut damaged = whole.clone();
    damaged[5_000] ^= 1;
    let server = Server::new(&[(TEST, damaged)]);
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&server, folder.path());
    let text = run.fails();
    assert!(text.contains("00001.mp4' is damaged") && text.contains(&format!("move {TEST} away")), "{text}");
    assert_eq!(std::fs::read_dir(run.out("test/mp4/id00017/aaaaaaaaaaa")).unwrap().count(), 0);
    assert!(!run.out("test/unpacked.json").exists());

    // An archive of something else.
    let server = Server::new(&[(TEST, archive("aac/", &clips()))]);
    let folder = tempfile::tempdir().unwrap();
    assert!(Run::of(&server, folder.path()).fails().contains("not VoxCeleb2's video"));
}

#[test]
fn no_entry_leaves_the_folder() {
    for evil in ["../../evil.mp4", "/evil.mp4", "mp4/../../evil.mp4", "mp4\\..\\evil.mp4"] {
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["mp4/id1/x/good.mp4", evil] {
            out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            out.write_all(b"x").unwrap();
        }
        let server = Server::new(&[(TEST, out.finish().unwrap().into_inner())]);
        let folder = tempfile::tempdir().unwrap();
        let run = Run::of(&server, folder.path());
        let text = run.fails();
        assert!(text.contains("outside the folder"), "{evil}: {text}");
        // Nothing of it was written.
        assert_eq!(std::fs::read_dir(run.out("test")).unwrap().count(), 0, "{evil}");
        assert!(!folder.path().join("evil.mp4").exists() && !run.out("evil.mp4").exists());
    }
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    out.add_symlink("mp4/id1", "/tmp", zip::write::SimpleFileOptions::default()).unwrap();
    let server = Server::new(&[(TEST, out.finish().unwrap().into_inner())]);
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&server, folder.path());
    assert!(run.fails().contains("is a link"));
    assert!(!run.out("test/mp4/id1").exists());
}

/// The password is for the server that it was given for: not for another host, nor another port of the same.
#[test]
fn other_servers_are_not_told_the_password() {
    let bytes = archive("mp4/", &clips());
    let mirror = Server::new(&[("there.zip", bytes.clone())]);
    mirror.site().open = true;
    let server = Server::new(&[("here.zip", bytes)]);
    for host in ["localhost", "127.0.0.1"] {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("Location: http://{host}:{}/there.zip\r\nContent-Length: 0\r\n", mirror.port);
        server.site().instead.insert(format!("/{TEST}"), (302, location));
        assert_unpacked(&Run::of(&server, folder.path()).ok().0.persons, &clips());
        assert_eq!(server.site().seen.pop().unwrap().2.as_deref(), Some(AUTHORIZATION));
        assert_eq!(mirror.site().seen.pop().unwrap(), ("/there.zip".into(), None, None), "{host}");
    }
    // On the same server it is.
    server.site().instead.insert(format!("/{TEST}"), (307, "Location: here.zip\r\nContent-Length: 0\r\n".into()));
    let folder = tempfile::tempdir().unwrap();
    assert_unpacked(&Run::of(&server, folder.path()).ok().0.persons, &clips());
    // A server that refuses is not asked for a better password.
    mirror.site().open = false;
    let location = format!("Location: http://localhost:{}/there.zip\r\nContent-Length: 0\r\n", mirror.port);
    server.site().instead.insert(format!("/{TEST}"), (302, location));
    let folder = tempfile::tempdir().unwrap();
    assert!(Run::of(&server, folder.path()).fails().contains("sends on to a server that refuses"));
}

/// The program itself.
struct Program<'a> {
    server: &'a Server,
    folder: &'a Path,
}

impl Program<'_> {
    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgan-train"));
        command.args(["voxceleb2", "--split", "test", "--user", "me", "--quiet"]);
        command.arg("--password-file").arg(password_file(self.folder, PASSWORD));
        command.arg("--out").arg(self.folder.join("out"));
        command.args(["--base-url", &self.server.url()]).args(more);
        command
    }

    fn run(&self, more: &[&str]) -> (i32, String, String) {
        message_with_advice(&self.command(more).output().unwrap())
    }
}

/// Exit code, stdout, stderr; neither has the password.
fn message_with_advice(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD) && !err.contains("bWU6"), "{out}{err}");
    (output.status.code().unwrap(), out, err)
}

#[test]
fn the_program_downloads_and_says_so() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let program = Program { server: &server, folder: folder.path() };
    let (code, out, err) = program.run(&[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(&format!("3 files, 3 of them new; {} bytes downloaded", bytes.len())), "{out}");
    assert_unpacked(&folder.path().join("out/test/mp4"), &clips());

    // Usage: one line each, exit code 2.
    let last = |err: &str| err.lines().last().unwrap_or_default().to_owned();
    let (code, _, err) = program.run(&["--checksums", "/nonexistent"]);
    assert!(code == 2 && err.lines().count() == 1 && last(&err).contains("--checksums"), "{err}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgan-train"));
    command.args(["voxceleb2", "--split", "test", "--out", "x", "--base-url", "http://192.0.2.1/"]);
    let (code, _, err) = message_with_advice(&command.output().unwrap());
    assert!(code == 2 && err.lines().count() == 1 && err.contains("--allow-http"), "{err}");

    // A missing part is bad input, a wrong password bad usage.
    server.site().files.clear();
    let other = tempfile::tempdir().unwrap();
    let (code, _, err) = Program { server: &server, folder: other.path() }.run(&[]);
    assert!(code == 3 && err.lines().count() == 1 && err.contains("(404)"), "{err}");
    let wrong = password_file(folder.path(), "wrong");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgan-train"));
    command.args(["voxceleb2", "--split", "test", "--user", "me", "--password-file"]).arg(&wrong);
    command.args(["--base-url", &server.url(), "--out"]).arg(other.path());
    let (code, _, err) = message_with_advice(&command.output().unwrap());
    assert!(code == 2 && err.lines().count() == 1 && err.contains("refused"), "{err}");
    #[cfg(unix)]
    {
        std::fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let (_, _, err) = message_with_advice(&command.output().unwrap());
        assert!(err.lines().count() == 2 && err.contains("chmod 600"), "{err}");
    }
}

/// Ctrl-C while the server is silent: the program ends at once and keeps what it has.
#[cfg(unix)]
#[test]
fn a_stopped_download_goes_on() {
    let (server, bytes) = test_server();
    server.site().drops = vec![120_000];
    server.site().silent = true;
    let folder = tempfile::tempdir().unwrap();
    let program = Program { server: &server, folder: folder.path() };
    let child = program.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let part = folder.path().join("out/vox2_test_mp4.zip.part");
    let begun = Instant::now();
    while std::fs::metadata(&part).map_or(0, |m| m.len()) < 120_000 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let stopped = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let (code, _, err) = message_with_advice(&child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (130, "headgan-train: interrupted\n"));
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    assert_eq!(std::fs::metadata(&part).unwrap().len(), 120_000);

    server.site().silent = false;
    server.sent();
    assert_eq!(program.run(&[]).0, 0);
    assert_eq!(server.sent(), bytes.len() - 120_000, "only what was missing");
    assert_unpacked(&folder.path().join("out/test/mp4"), &clips());
}

/// A disk that takes no more (here: a limit on the size of files) is a message; what there is room for stays.
#[cfg(unix)]
#[test]
fn a_full_disk_is_a_message() {
    let (server, bytes) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let program = Program { server: &server, folder: folder.path() };
    let command = program.command(&[]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\""]).arg(command.get_program());
    let (code, _, err) = message_with_advice(&limited.args(command.get_args()).output().unwrap());
    assert!(code == 3 && err.lines().count() == 1 && err.contains("make room and run again"), "{err}");
    let kept = std::fs::metadata(folder.path().join("out/vox2_test_mp4.zip.part")).unwrap().len() as usize;
    assert!(kept > 0 && kept < bytes.len(), "{kept}");
    server.sent();
    assert_eq!(program.run(&[]).0, 0);
    assert_eq!(server.sent(), bytes.len() - kept);
}

/// Without the packs that preparing needs, nothing is downloaded first.
#[test]
fn what_preparing_needs_is_looked_for_first() {
    let (server, _) = test_server();
    let folder = tempfile::tempdir().unwrap();
    let program = Program { server: &server, folder: folder.path() };
    let data = folder.path().join("data");
    let mut command = program.command(&["--prepare", data.to_str().unwrap(), "--pack", "no-such-pack"]);
    let (code, _, err) = message_with_advice(&command.output().unwrap());
    assert!(code == 4 && err.lines().count() == 1, "{code}: {err}");
    assert_eq!(server.requests(), 0);
}

/// Files that are no video, and three clips where there are some and the packs: all the way to a data set.
#[test]
fn the_program_prepares_what_it_unpacked() {
    let packs = headgan::models::ModelSet::discover(&[]);
    let ready = headgan::reenact::networks::Networks::load(&packs, None, None, &Default::default()).is_ok();
    if !ready {
        eprintln!("skipped: no model pack is imported");
        return;
    }
    let run = |clips: &[(&str, Vec<u8>)]| {
        let server = Server::new(&[(TEST, archive("mp4/", clips))]);
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let program = Program { server: &server, folder: folder.path() };
        let (code, out, err) = program.run(&["--prepare", data.to_str().unwrap(), "--hold-out", "1"]);
        let read = |name: &str| -> serde_json::Value {
            std::fs::read(data.join(name)).map_or(serde_json::Value::Null, |b| serde_json::from_slice(&b).unwrap())
        };
        (code, format!("{out}{err}"), read("report.json"), read("split.json"))
    };
    let (code, text, report, _) = run(&clips());
    assert!(code == 3 && text.contains("there is no prepared clip"), "{text}");
    let report = report.as_array().unwrap();
    assert!(report.len() == 3 && report.iter().all(|e| e["rejected"].is_string()), "{report:?}");
    assert_eq!(report[0]["source"], "id00017/aaaaaaaaaaa/00001.mp4");

    let shared = std::env::var_os("HEADGAN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(shared.join("clips")) else {
        eprintln!("skipped: there are no clips to prepare");
        return;
    };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "mp4")).collect();
    files.sort();
    let folder = tempfile::tempdir().unwrap();
    let cut = |i: usize, file: &PathBuf| {
        let out = folder.path().join(format!("{i}.mp4"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(file).args(["-frames:v", "24", "-an", "-crf", "18"]).arg(&out);
        assert!(ffmpeg.status().unwrap().success());
        std::fs::read(out).unwrap()
    };
    let names = ["id00017/aaaaaaaaaaa/00001.mp4", "id00017/bbbbbbbbbbb/00001.mp4", "id00061/ccccccccccc/00001.mp4"];
    let clips: Vec<(&str, Vec<u8>)> = names.into_iter().zip(files.iter().enumerate().map(|(i, f)| cut(i, f))).collect();
    let (code, text, report, split) = run(&clips);
    assert!(code == 0, "{text}\n{report}");
    assert!(text.contains("2 persons, 1 held out"), "{text}\n{report}");
    let persons: Vec<&str> = split["persons"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(persons, ["id00017", "id00061"]);
    assert!(split["same"].is_null());
    assert!(split["persons"][0]["clips"][0].as_str().unwrap().starts_with("id00017+aaaaaaaaaaa+00001"), "{split}");
}
