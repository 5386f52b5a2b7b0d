//! Addresses on the web, with the user that may be told to their server.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use ureq::http::{HeaderValue, Uri};

/// An http or https address. User and password are kept apart, so that no message and no other server sees them.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    user: Option<String>,
}

impl Address {
    /// `None` for what is no address, or one of another scheme.
    pub fn parse(text: &str) -> Option<Address> {
        let text = text.trim().split('#').next()?;
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return None;
        }
        let (server, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, server) = match server.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, server),
        };
        let uri: Uri = format!("{scheme}://{}{path}", server.to_ascii_lowercase()).parse().ok()?;
        uri.host().filter(|h| !h.is_empty())?;
        let user = user.map(percent_decoded).filter(|u| !u.is_empty());
        Some(Address { uri, user })
    }

    /// The address of a project in an index, with the `/` at its end that relative links need.
    pub fn project(&self, name: &str) -> Option<Address> {
        let text = format!("{}{}/{name}/", self.server(), self.uri.path().trim_end_matches('/'));
        Some(Address { user: self.user.clone(), ..Address::parse(&text)? })
    }

    /// Where a link leads that stands in the answer of this address. The user stays behind.
    pub fn join(&self, link: &str) -> Option<Address> {
        let link = link.trim();
        if link.split('/').next().is_some_and(|first| first.ends_with(':')) {
            return Address::parse(link);
        }
        if link.starts_with("//") {
            return Address::parse(&format!("{}:{link}", self.uri.scheme_str()?));
        }
        let (path, query) = link.split_at(link.find(['?', '#']).unwrap_or(link.len()));
        let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/').skip(1) {
            match part {
                "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        Address::parse(&format!("{}/{}{query}", self.server(), parts.join("/")))
    }

    /// What is asked for.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Scheme, host and port: what messages show.
    pub fn server(&self) -> String {
        let authority = self.uri.authority().map_or("", |a| a.as_str());
        format!("{}://{authority}", self.uri.scheme_str().unwrap_or_default())
    }

    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The port, stated or usual.
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether both are on one server, which may be told the same user.
    pub fn shares_server(&self, other: &Address) -> bool {
        (self.is_https(), self.host(), self.port()) == (other.is_https(), other.host(), other.port())
    }

    /// The header that tells the server user and password.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let user = self.user.as_ref()?;
        let user = if user.contains(':') { user.clone() } else { format!("{user}:") };
        let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(user))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The last part of the path, as a file's name.
    pub fn file_name(&self) -> String {
        percent_decoded(self.uri.path().rsplit('/').next().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.server(), self.uri.path())
    }
}

/// `%41` as `A`; what is no such code stays.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|c| bytes[at] == b'%' && c.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|c| u8::from_str_radix(c, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn addresses_keep_the_password_to_themselves() {
        let a = address("HTTPS://us%40er:pa%3Ass@Host.org:8443/simple?x=1#sha256=00");
        assert_eq!(a.uri().to_string(), "https://host.org:8443/simple?x=1");
        assert_eq!(a.authorization().unwrap(), format!("Basic {}", BASE64_STANDARD.encode("us@er:pa:ss")).as_str());
        assert_eq!((a.server().as_str(), a.port()), ("https://host.org:8443", 8443));
        assert!(!format!("{a:?}").contains("pa"));
        let token = address("http://token@host.org/").authorization().unwrap();
        assert_eq!(token, format!("Basic {}", BASE64_STANDARD.encode("token:")).as_str());
        assert!(address("http://host.org").authorization().is_none());
        for wrong in
            ["", "host.org/simple", "ftp://host.org", "file:///etc/passwd", "https://", "https://u:p@/x", "http://a b/"]
        {
            assert!(Address::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn links_are_followed_from_where_they_stand() {
        let project = address("https://u:p@host.org/root/simple//").project("thing").unwrap();
        assert_eq!(project.uri().to_string(), "https://host.org/root/simple/thing/");
        assert!(project.authorization().is_some());
        for (link, to) in [
            ("https://other.org/a.whl#sha256=1", "https://other.org/a.whl"),
            ("//other.org/a.whl", "https://other.org/a.whl"),
            ("/a.whl?x=../y", "https://host.org/a.whl?x=../y"),
            ("a.whl", "https://host.org/root/simple/thing/a.whl"),
            ("../../files/./a%20b.whl#x", "https://host.org/root/files/a%20b.whl"),
            ("../../../../../a.whl", "https://host.org/a.whl"),
        ] {
            let joined = project.join(link).unwrap();
            assert_eq!(joined.uri().to_string(), to, "{link}");
            assert!(joined.authorization().is_none());
        }
        assert_eq!(project.join("../a%20b.whl").unwrap().file_name(), "a b.whl");
        assert!(project.join("javascript:alert(1)").is_none_or(|a| a.host() == "host.org"));
        assert!(project.join("file:///etc/passwd").is_none());
    }

    #[test]
    fn a_server_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| address(a).shares_server(&address(b));
        assert!(same("https://host.org/a", "https://HOST.org:443/b"));
        assert!(!same("https://host.org/", "http://host.org/"));
        assert!(!same("https://host.org/", "https://host.org:8443/"));
        assert!(!same("https://host.org/", "https://host.org.evil.org/"));
    }
}
