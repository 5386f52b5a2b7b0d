//! User and password: read from a file, sent to one server, shown nowhere.

use base64::Engine;
use headgan::{Error, Result};
use std::fmt;
use std::path::Path;
use ureq::http::HeaderValue;

/// For HTTP basic authentication (RFC 7617).
#[derive(Clone)]
pub struct Credentials {
    header: HeaderValue,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// The password is the first line of a file.
    ///
    /// # Errors
    /// [`Error::Usage`] where the file cannot be read or its first line is empty, or a colon is in the user's name.
    pub fn read(user: &str, file: &Path) -> Result<Credentials> {
        let wrong = |what: &str| Error::usage(format!("--password-file {}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|e| wrong(&format!("cannot be read ({e})")))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            return Err(wrong("its first line is empty: write the password there"));
        }
        if user.contains(':') {
            return Err(Error::Usage("--user: a colon cannot be part of a user's name".into()));
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let mut header = HeaderValue::from_str(&format!("Basic {encoded}")).map_err(|_| wrong("cannot be sent"))?;
        header.set_sensitive(true);
        Ok(Credentials { header })
    }

    /// The value of `Authorization`.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }
}

/// A line of warning where others may read the file.
#[cfg(unix)]
pub fn exposed(file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    let text = "others may read the password: chmod 600 it";
    (mode & 0o077 != 0).then(|| format!("--password-file {}: {text}", file.display()))
}

/// Where files have no such bits, nothing is said.
#[cfg(not(unix))]
pub fn exposed(_file: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_and_stays_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "pass wörd:1\r\nnotes\n").unwrap();
        let known = Credentials::read("me", &file).unwrap();
        let expected = base64::engine::general_purpose::STANDARD.encode("me:pass wörd:1");
        assert_eq!(known.header().to_str().unwrap(), format!("Basic {expected}"));
        assert_eq!(format!("{known:?} {:?}", known.header()), "Credentials Sensitive");
        assert!(Credentials::read("m:e", &file).is_err());
        std::fs::write(&file, "\nlater").unwrap();
        assert!(Credentials::read("me", &file).unwrap_err().to_string().contains("first line is empty"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "x").unwrap();
        let with = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            exposed(&file)
        };
        assert_eq!(with(0o600), None);
        assert!(with(0o640).is_some() && with(0o604).unwrap().contains("chmod 600"));
    }
}
