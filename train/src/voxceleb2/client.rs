//! One request for a part, and what its answer means.

use super::address::{BaseUrl, Origin, follow};
use super::credentials::Credentials;
use crate::interrupt;
use headgan::Error;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderValue, Response, StatusCode, Uri, header};
use ureq::{Agent, Body};

/// How many addresses a server may send on to.
const REDIRECTS: usize = 5;
/// How often a waiting request looks whether the user pressed Ctrl-C.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long to bear with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in a row without a byte of progress.
    pub tries: u32,
    /// The pause after the first; each is twice the one before.
    pub pause: Duration,
    /// But no pause is longer.
    pub longest: Duration,
    /// A server that is silent for so long has gone.
    pub silence: Duration,
}

impl Default for RetryPolicy {
    /// Ten tries within about five minutes; a minute of silence.
    fn default() -> RetryPolicy {
        let second = Duration::from_secs(1);
        RetryPolicy { tries: 10, pause: second, longest: 60 * second, silence: 60 * second }
    }
}

/// Why a request brought nothing.
#[derive(Debug)]
pub enum Failure {
    /// May be over after a while: what it was, without a full stop.
    Transient(String),
    /// Trying again is no use.
    Permanent(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Permanent(error)
    }
}

/// Asks one server for parts.
pub struct Client {
    agent: Agent,
    base: BaseUrl,
    authorization: Option<HeaderValue>,
    pub retry: RetryPolicy,
    /// While it lives, Ctrl-C ends requests.
    _watched: Arc<()>,
}

impl Client {
    pub fn new(base: BaseUrl, credentials: Option<&Credentials>, retry: RetryPolicy) -> Client {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .https_only(base.origin().is_https())
            .timeout_resolve(Some(retry.silence))
            .timeout_connect(Some(retry.silence))
            .timeout_recv_response(Some(retry.silence))
            .timeout_per_read(Some(retry.silence))
            .user_agent(concat!("headgan-train/", env!("CARGO_PKG_VERSION")));
        // What is meant for this machine goes through no proxy of the environment.
        if base.origin().is_loopback() {
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        let watched = watch(&agent);
        let authorization = credentials.map(|c| c.header().clone());
        Client { agent, base, authorization, retry, _watched: watched }
    }

    /// Asks for a part from a byte on. The answer is 200, 206 or 416.
    ///
    /// # Errors
    /// [`Failure`] for every other.
    pub fn get(&self, name: &str, from: u64) -> Result<Response<Body>, Failure> {
        let mut uri = self.base.join(name)?;
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&uri);
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            // The password is for the server that it was given for, not for those that this one sends to.
            if let Some(value) = self.authorization.as_ref().filter(|_| self.is_home(&uri)) {
                request = request.header(header::AUTHORIZATION, value);
            }
            let answer = request.call().map_err(|e| self.failed(name, e))?;
            if !answer.status().is_redirection() {
                return self.check_response(name, &uri, answer);
            }
            let location = answer.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
            uri =
                location.and_then(|l| follow(&uri, l)).ok_or_else(|| self.wrong(name, "it sends on to no address"))?;
            let there = Origin::from_uri(&uri).ok_or_else(|| self.wrong(name, "it sends on to no address"))?;
            if self.base.origin().is_https() && !there.is_https() {
                return Err(self.wrong(name, "it sends on from https to plain http").into());
            }
        }
        Err(self.wrong(name, "it sends on and on").into())
    }

    /// Whether an address is on the server that the user named.
    fn is_home(&self, uri: &Uri) -> bool {
        Origin::from_uri(uri).as_ref() == Some(self.base.origin())
    }

    /// Something is not as it should be, and stays so.
    pub fn wrong(&self, name: &str, what: &str) -> Error {
        Error::input(format!("{}: {name}: {what}: give another --base-url", self.base.origin()))
    }

    fn check_response(&self, name: &str, uri: &Uri, answer: Response<Body>) -> Result<Response<Body>, Failure> {
        let server = self.base.origin();
        let status = answer.status();
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
                if kind.starts_with("text/html") {
                    return Err(self.wrong(name, "the answer is a web page, not the file").into());
                }
                Ok(answer)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.is_home(uri) => {
                Err(self.wrong(name, &format!("it sends on to a server that refuses ({})", status.as_u16())).into())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let what = match &self.authorization {
                    Some(_) => "user and password are refused: check --user and the first line of --password-file",
                    None => "a user and a password are needed: give --user and --password-file",
                };
                Err(Error::usage(format!("{server}: {name}: {what} ({})", status.as_u16())).into())
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(self.wrong(name, &format!("is not there ({})", status.as_u16())).into())
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Transient(format!("{server} is busy ({})", status.as_u16())))
            }
            _ if status.is_server_error() => {
                Err(Failure::Transient(format!("{server} has trouble ({})", status.as_u16())))
            }
            _ => Err(self.wrong(name, &format!("the answer cannot be used ({})", status.as_u16())).into()),
        }
    }

    /// What a request that got no answer means. Texts of the HTTP library that could show an address are left out.
    fn failed(&self, name: &str, error: ureq::Error) -> Failure {
        if let Err(stopped) = interrupt::check() {
            return Failure::Permanent(stopped);
        }
        let server = self.base.origin();
        match error {
            // So rustls tells of certificates that it does not trust, and of servers that speak no TLS.
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                self.wrong(name, &format!("no trust in the server ({})", one_line(&e))).into()
            }
            ureq::Error::Io(e) => Failure::Transient(format!("no connection with {server} ({})", one_line(&e))),
            ureq::Error::Timeout(_) => Failure::Transient(format!("{server} is silent")),
            ureq::Error::HostNotFound => Failure::Transient(format!("{server} is not found")),
            ureq::Error::ConnectionFailed => Failure::Transient(format!("no connection with {server}")),
            ureq::Error::Protocol(e) => Failure::Transient(format!("{server} does not speak HTTP ({})", one_line(&e))),
            ureq::Error::Rustls(e) => self.wrong(name, &format!("no trust in the server ({})", one_line(&e))).into(),
            ureq::Error::Tls(e) => self.wrong(name, &format!("no trust in the server ({e})")).into(),
            ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
                Failure::Transient(format!("the proxy of the environment gives no connection with {server}"))
            }
            _ => self.wrong(name, "the request cannot be made").into(),
        }
    }
}

/// The text of an error, in a line.
pub fn one_line(e: &dyn std::fmt::Display) -> String {
    e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ends all requests when the user presses Ctrl-C, those that wait for a byte too, as long as the returned value lives.
fn watch(agent: &Agent) -> Arc<()> {
    let watched = Arc::new(());
    let (alive, agent) = (Arc::downgrade(&watched), agent.clone());
    std::thread::spawn(move || {
        while alive.strong_count() > 0 {
            if interrupt::check().is_err() {
                return agent.shutdown();
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    });
    watched
}
