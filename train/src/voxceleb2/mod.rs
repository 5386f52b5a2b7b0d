//! VoxCeleb2's videos: downloaded so that a stop costs nothing, checked, and unpacked.
//!
//! Each step goes on where it was left: parts ([`download`]) continue at their last byte, files ([`unpack`]) that are
//! there with the right size and CRC-32 stay. Parts are read as the one archive that they are cut from ([`multipart_reader`]);
//! no joined copy is made.
//!
//! Names of parts: lists of download scripts, such as
//! <https://github.com/walkoncross/voxceleb2-download/blob/master/vox2_urls_video_files.txt>. The data set:
//! <https://arxiv.org/abs/1806.05622>.

pub mod address;
pub mod checksums;
pub mod client;
pub mod credentials;
pub mod download;
pub mod multipart_reader;
pub mod unpack;

pub use address::BaseUrl;
pub use checksums::Checksums;
pub use credentials::Credentials;

use crate::data::store::write_text;
use client::{Client, RetryPolicy};
use download::{Record, done_path};
use headgan::{Error, Result};
use multipart_reader::MultipartReader;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which subset of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    /// 118 persons, one archive.
    Test,
    /// 5994 persons ("dev"), an archive in nine parts.
    Train,
}

impl Subset {
    /// Its folder.
    pub fn name(self) -> &'static str {
        match self {
            Subset::Test => "test",
            Subset::Train => "train",
        }
    }

    /// The files that a server has, in order.
    pub fn parts(self) -> Vec<String> {
        match self {
            Subset::Test => vec!["vox2_test_mp4.zip".into()],
            Subset::Train => ('a'..='i').map(|c| format!("vox2_dev_mp4_parta{c}")).collect(),
        }
    }

    /// The name that the joined parts go by.
    pub fn archive(self) -> &'static str {
        match self {
            Subset::Test => "vox2_test_mp4.zip",
            Subset::Train => "vox2_mp4.zip",
        }
    }
}

/// What to fetch, where from, where to.
pub struct Settings<'a> {
    pub subset: Subset,
    /// Gets the parts and the folder `test` or `train`.
    pub out: &'a Path,
    pub base: BaseUrl,
    /// None for servers that ask for none.
    pub credentials: Option<Credentials>,
    pub checksums: Option<Checksums>,
    pub retry: RetryPolicy,
    /// Hears in a line what the user should know and goes on all the same.
    pub say: &'a dyn Fn(&str),
    pub quiet: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchReport {
    /// The folder with a folder for each person.
    pub persons: PathBuf,
    /// Bytes of parts received.
    pub received: u64,
    /// Parts and archives whose checksum was compared in this run.
    pub checked: usize,
    pub unpacked: UnpackReport,
}

/// `unpacked.json`: the folder that it lies in has all of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackReport {
    /// Files of the archive.
    pub files: usize,
    /// Of those, the ones that were there already.
    pub kept: usize,
    pub bytes: u64,
}

/// What was done, in a line.
pub fn text(fetched: &FetchReport) -> String {
    let FetchReport { persons, received, checked, unpacked } = fetched;
    let new = unpacked.files - unpacked.kept;
    let checked = match checked {
        0 => "no checksum compared".to_owned(),
        n => format!("checksums compared: {n}"),
    };
    format!(
        "{}: {} files, {new} of them new; {received} bytes downloaded; {checked}",
        persons.display(),
        unpacked.files
    )
}

/// Downloads, checks and unpacks a subset of the data set.
///
/// # Errors
/// [`Error::Usage`] where the server refuses user and password or the checksums are for other files; [`Error::Input`]
/// for a server, file, disk or archive that cannot be used; [`Error::Interrupted`]. What was received stays.
pub fn fetch(settings: &Settings) -> Result<FetchReport> {
    let (subset, out) = (settings.subset, settings.out);
    let folder = out.join(subset.name());
    std::fs::create_dir_all(&folder).map_err(|e| {
        Error::input(format!("{}: cannot be made ({e}): choose another folder", folder.display())).with_source(e)
    })?;
    let parts = subset.parts();
    let mark = folder.join("unpacked.json");
    let before = std::fs::read_to_string(&mark).ok().and_then(|text| serde_json::from_str::<UnpackReport>(&text).ok());
    if let Some(unpacked) = before {
        (settings.say)(&format!("{}: is unpacked already; remove {} to do it again", folder.display(), mark.display()));
        let unpacked = UnpackReport { kept: unpacked.files, ..unpacked };
        return Ok(FetchReport { persons: persons(&folder)?, received: 0, checked: 0, unpacked });
    }
    if let Some(checksums) = &settings.checksums {
        checksums.must_name_one_of(&parts, subset.archive())?;
    }
    let client = Client::new(settings.base.clone(), settings.credentials.as_ref(), settings.retry);
    let (mut received, mut checked) = (0, 0);
    for part in &parts {
        received += download::download(&client, part, out, settings.say, settings.quiet)?;
        checked += usize::from(check_part(settings, part)?);
    }
    checked += usize::from(check_archive(settings, &parts)?);
    let reader = MultipartReader::open(out, &parts)?;
    let unpacked = unpack::unpack(reader, subset.archive(), &folder, settings.quiet)?;
    let text = serde_json::to_string_pretty(&unpacked)
        .map_err(|e| Error::engine(format!("unpacked.json: {e}")).with_source(e))?;
    let persons = persons(&folder)?;
    write_text(&mark, &text)?;
    Ok(FetchReport { persons, received, checked, unpacked })
}

/// The folder with the persons' folders: the dev archive has one more around it.
fn persons(folder: &Path) -> Result<PathBuf> {
    let found = ["mp4", "dev/mp4"].map(|inner| folder.join(inner)).into_iter().find(|path| path.is_dir());
    found.ok_or_else(|| {
        Error::input(format!(
            "{}: the archive had no folder 'mp4' or 'dev/mp4': this is not VoxCeleb2's video; give another --base-url",
            folder.display()
        ))
    })
}

/// Compares a part with its checksum, where there is one and that was not done before. Whether it was done now.
fn check_part(settings: &Settings, part: &str) -> Result<bool> {
    let Some(sum) = settings.checksums.as_ref().and_then(|c| c.of(part)) else { return Ok(false) };
    let mut record = Record::load(settings.out, part).unwrap_or_default();
    if record.verified.as_ref() == Some(sum) {
        return Ok(false);
    }
    let reader = MultipartReader::open(settings.out, std::slice::from_ref(&part.to_owned()))?;
    let length = reader.length();
    let found = sum.of_same_kind(reader, length, part, settings.quiet)?;
    if found != *sum {
        let aside = download::set_aside(settings.out, part)?;
        return Err(Error::input(format!(
            "{part}: its {} is {found}, not {sum}; it was set aside as {}: run again to download it anew",
            sum.kind(),
            aside.display()
        )));
    }
    record.verified = Some(found);
    record.save(settings.out, part)?;
    Ok(true)
}

/// The same for all parts as one, remembered with the first.
fn check_archive(settings: &Settings, parts: &[String]) -> Result<bool> {
    let name = settings.subset.archive();
    let first = &parts[0];
    let Some(sum) = settings.checksums.as_ref().and_then(|c| c.of(name)).filter(|_| name != first) else {
        return Ok(false);
    };
    let mut record = Record::load(settings.out, first).unwrap_or_default();
    if record.verified_joined.as_ref() == Some(sum) {
        return Ok(false);
    }
    let reader = MultipartReader::open(settings.out, parts)?;
    let length = reader.length();
    let found = sum.of_same_kind(reader, length, name, settings.quiet)?;
    if found == *sum {
        record.verified_joined = Some(found);
        record.save(settings.out, first)?;
        return Ok(true);
    }
    let proven = |part: &String| Record::load(settings.out, part).is_some_and(|r| r.verified.is_some());
    let suspects: Vec<&String> = parts.iter().filter(|p| !proven(p)).collect();
    let kind = sum.kind();
    let begin = format!("{name} (its {} parts as one): its {kind} is {found}, not {sum}", parts.len());
    if suspects.is_empty() {
        return Err(Error::input(format!(
            "{begin}, although each part has its own: the list of --checksums is at odds with itself, correct it"
        )));
    }
    for part in &suspects {
        download::set_aside(settings.out, part)?;
    }
    let names: Vec<String> = suspects.iter().map(|p| done_path(settings.out, p).display().to_string()).collect();
    Err(Error::input(format!(
        "{begin}; parts without a checksum of their own were set aside with .bad behind their names ({}): run again to \
         download them anew",
        names.join(", ")
    )))
}
