//! Where the parts lie, and who may be told the password.

use headgan::{Error, Result};
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;

/// Where VoxCeleb2's parts lay at the University of Oxford, as many download scripts have it. The files have moved
/// before and may be gone: whoever registers is told the address of the day.
pub const DEFAULT: &str = "https://thor.robots.ox.ac.uk/~vgg/data/voxceleb/vox1a";

/// A server: scheme, host and port, which is all that messages show of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

/// The address that parts' names are put behind, or into, where it has `{name}`.
///
/// Everything but the server stays out of messages: there are servers that take a key in the address.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    origin: Origin,
}

impl Origin {
    /// None where the address has another scheme than http and https, or no host.
    pub fn from_uri(uri: &Uri) -> Option<Origin> {
        let https = match uri.scheme_str()?.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host().filter(|h| !h.is_empty())?.to_ascii_lowercase();
        Some(Origin { https, host, port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }) })
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// This machine itself.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "BaseUrl({})", self.origin)
    }
}

impl BaseUrl {
    /// Plain http is for this machine alone, or where the user insists.
    ///
    /// # Errors
    /// [`Error::Usage`] for what is no such address.
    pub fn new(text: &str, allow_http: bool) -> Result<BaseUrl> {
        let wrong = |what: &str| Error::usage(format!("--base-url: {what}"));
        let sample: Uri =
            text.replace("{name}", "x").parse().map_err(|_| wrong("is no address: write https://HOST/FOLDER"))?;
        let origin = Origin::from_uri(&sample).ok_or_else(|| wrong("is no address: write https://HOST/FOLDER"))?;
        if sample.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(wrong("has a user in it: give --user and --password-file instead"));
        }
        if !origin.https && !origin.is_loopback() && !allow_http {
            let text = "is plain http: the password and the data could be read and changed on the way";
            return Err(wrong(&format!("{text}; use https, or insist with --allow-http")));
        }
        if sample.query().is_some() && !text.contains("{name}") {
            return Err(wrong("has a '?': write {name} where a file's name belongs"));
        }
        Ok(BaseUrl { text: text.to_owned(), origin })
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The address of a part; not to be shown.
    ///
    /// # Errors
    /// [`Error::Usage`] where that is none.
    pub fn join(&self, name: &str) -> Result<Uri> {
        let text = if self.text.contains("{name}") {
            self.text.replace("{name}", name)
        } else {
            format!("{}/{name}", self.text.trim_end_matches('/'))
        };
        text.parse().map_err(|_| Error::usage(format!("--base-url: with '{name}' it is no address")))
    }
}

/// Where a server sends to, from the address that was asked for.
pub fn follow(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let authority = from.authority()?;
    if location.contains("://") {
        location.parse().ok()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}").parse().ok()
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}").parse().ok()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_behind_the_address_or_into_it() {
        let of = |base: &str| BaseUrl::new(base, false).unwrap().join("a.zip").unwrap().to_string();
        assert_eq!(of(DEFAULT), format!("{DEFAULT}/a.zip"));
        assert_eq!(of("https://h.org:8443/x/"), "https://h.org:8443/x/a.zip");
        assert_eq!(of("https://h.org/get?key=k&file={name}"), "https://h.org/get?key=k&file=a.zip");
        let shown = format!("{:?}", BaseUrl::new("https://h.org/get?key=secret&file={name}", false).unwrap());
        assert_eq!(shown, "BaseUrl(https://h.org)");
    }

    #[test]
    fn plain_http_is_for_this_machine_or_who_insists() {
        for local in ["http://127.0.0.1:80/x", "http://127.9.9.9", "http://localhost:1/", "http://[::1]:7/"] {
            assert!(BaseUrl::new(local, false).unwrap().origin().is_loopback(), "{local}");
        }
        for far in ["http://h.org/", "http://localhost.h.org/", "http://128.0.0.1/"] {
            assert!(BaseUrl::new(far, false).unwrap_err().to_string().contains("--allow-http"), "{far}");
            BaseUrl::new(far, true).unwrap();
        }
        for wrong in ["h.org/x", "ftp://h.org", "https://", "https://u:secret@h.org/", "https://h.org/?key=secret", ""]
        {
            let text = BaseUrl::new(wrong, true).unwrap_err().to_string();
            assert!(!text.contains("secret") && text.starts_with("--base-url"), "{wrong}: {text}");
        }
    }

    #[test]
    fn redirects_are_read() {
        let from: Uri = "https://h.org/a/b.zip?key=k".parse().unwrap();
        let to = |location: &str| follow(&from, location).unwrap().to_string();
        assert_eq!(to("http://o.org/c"), "http://o.org/c");
        assert_eq!(to("//o.org/c"), "https://o.org/c");
        assert_eq!(to("/c?x=1"), "https://h.org/c?x=1");
        assert_eq!(to("c"), "https://h.org/a/c");
        let origin = |text: &str| Origin::from_uri(&text.parse().unwrap()).unwrap();
        assert_eq!(origin("https://H.org/"), origin("https://h.org:443/x"));
        assert_ne!(origin("https://h.org/"), origin("https://h.org:8443/"));
        assert_ne!(origin("https://h.org/"), origin("http://h.org/"));
    }
}
