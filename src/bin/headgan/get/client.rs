//! Requests to the index and to where it sends: proxies, certificates, users, redirects, and what is told of failures.

use super::address::Address;
use super::pip::Pip;
use headgan::{CancelToken, Error, Result};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

/// How often one request may be sent on.
const REDIRECTS: usize = 10;
/// How often it is seen whether the user pressed Ctrl-C, while a request waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait for servers.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes.
    pub silence: Duration,
    /// Before a connection that broke is made anew.
    pub pause: Duration,
    /// Connections in a row that bring nothing.
    pub tries: usize,
}

impl Default for Patience {
    fn default() -> Patience {
        let seconds = Duration::from_secs;
        Patience { connect: seconds(15), silence: seconds(60), pause: seconds(1), tries: 3 }
    }
}

/// Agents by the proxy that they go through.
type Agents = Mutex<BTreeMap<Option<String>, Agent>>;

/// Asks an index and the servers that it names.
pub struct Client<'a> {
    pip: &'a Pip,
    /// The user and the password are for its server alone.
    index: &'a Address,
    /// What to do where the network does not work.
    advice: String,
    pub patience: Patience,
    roots: RootCerts,
    pub cancel: &'a CancelToken,
    agents: Arc<Agents>,
}

impl<'a> Client<'a> {
    /// # Errors
    /// [`Error::Input`] where the certificates that the user names cannot be read.
    pub fn new(
        pip: &'a Pip,
        index: &'a Address,
        advice: String,
        patience: Patience,
        cancel: &'a CancelToken,
    ) -> Result<Client<'a>> {
        let roots = match pip.certificates() {
            Some((path, source)) => RootCerts::Specific(Arc::new(certificates(&path, &source)?)),
            None => RootCerts::PlatformVerifier,
        };
        let agents = Arc::new(Agents::default());
        watch(&agents, cancel.clone());
        Ok(Client { pip, index, advice, patience, roots, cancel, agents })
    }

    /// Asks for an address, from a byte on, and follows where it is sent; the answer's address and the answer, whose status is 200, 206
    /// or 416.
    ///
    /// # Errors
    /// [`Error::Input`] for everything else, [`Error::Interrupted`].
    pub fn get(&self, from: &Address, accept: Option<&str>, start: u64) -> Result<(Address, Response<Body>)> {
        let mut address = from.clone();
        for _ in 0..=REDIRECTS {
            self.cancel.check()?;
            let proxy = self.pip.proxy(address.is_https(), address.host(), address.port());
            let mut request = self.agent(proxy.as_deref(), &address)?.get(address.uri());
            if let Some(accept) = accept {
                request = request.header(header::ACCEPT, accept);
            }
            if start > 0 {
                request = request.header(header::RANGE, format!("bytes={start}-"));
            }
            if let Some(user) = self.authorization(&address) {
                request = request.header(header::AUTHORIZATION, user);
            }
            let answer = request.call().map_err(|e| self.no_answer(&address, proxy.as_deref(), e))?;
            if !answer.status().is_redirection() {
                return self.checked(&address, answer).map(|answer| (address, answer));
            }
            let location = answer.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
            let next = location.and_then(|l| address.join(l));
            address = next.ok_or_else(|| self.failure(&address, "sends on to no address"))?;
        }
        Err(self.failure(&address, "sends on and on"))
    }

    /// The error of a server that does not do what it should, with what to do instead.
    pub fn failure(&self, address: &Address, what: &str) -> Error {
        Error::input(format!("{} {what}: {}", address.server(), self.advice))
    }

    /// The user that the address itself states, else that of the index on its own server.
    fn authorization(&self, address: &Address) -> Option<header::HeaderValue> {
        let of_index = || self.index.authorization().filter(|_| self.index.shares_server(address));
        address.authorization().or_else(of_index)
    }

    fn agent(&self, proxy: Option<&str>, address: &Address) -> Result<Agent> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let key = proxy.map(str::to_owned);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let through = proxy.map(|text| self.proxy(text, address)).transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, as each server has its own proxy and user.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(through)
            .tls_config(TlsConfig::builder().root_certs(self.roots.clone()).build())
            .timeout_resolve(Some(self.patience.connect))
            .timeout_connect(Some(self.patience.connect))
            .timeout_recv_response(Some(self.patience.silence))
            .timeout_per_read(Some(self.patience.silence))
            .user_agent(concat!("headgan/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::new_with_config(config);
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn proxy(&self, text: &str, address: &Address) -> Result<Proxy> {
        let proxy =
            Proxy::new(text).ok().filter(|p| matches!(p.protocol(), ProxyProtocol::Http | ProxyProtocol::Https));
        proxy.ok_or_else(|| {
            let what = "cannot be asked: the proxy that the environment or pip's settings name is not http://HOST:PORT";
            self.failure(address, what)
        })
    }

    fn checked(&self, address: &Address, answer: Response<Body>) -> Result<Response<Body>> {
        let status = answer.status();
        let what = match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => return Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.authorization(address).is_some() => {
                "refuses the user and the password of the index's address"
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "gives it to no one unknown (USER:PASSWORD@ before the host's name says who you are)"
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => "does not have it",
            _ if status.is_server_error() => "has trouble",
            _ => "gives an answer that cannot be used",
        };
        Err(self.failure(address, &format!("{what} ({})", status.as_u16())))
    }

    /// What a request that got no answer means. Texts that could show an address with its password are left out.
    fn no_answer(&self, address: &Address, proxy: Option<&str>, error: ureq::Error) -> Error {
        if let Err(stopped) = self.cancel.check() {
            return stopped;
        }
        let way = match proxy.map(Proxy::new) {
            Some(Ok(p)) => format!(" through the proxy {}:{}", p.host(), p.port()),
            _ => String::new(),
        };
        let untrusted = "cannot be trusted: name the file with your network's certificates in SSL_CERT_FILE";
        let what = match &error {
            // So rustls tells of certificates, and of servers that speak no TLS.
            ureq::Error::Io(e) if e.kind() == ErrorKind::InvalidData => format!("{untrusted} ({e})"),
            ureq::Error::Rustls(e) => format!("{untrusted} ({e})"),
            ureq::Error::Tls(e) => format!("{untrusted} ({e})"),
            ureq::Error::Io(e) => format!("cannot be reached{way} ({e})"),
            ureq::Error::Timeout(_) => format!("is silent{way}"),
            ureq::Error::HostNotFound => format!("is not found{way}"),
            ureq::Error::ConnectProxyFailed(e) => format!("cannot be reached{way} ({e})"),
            ureq::Error::Protocol(e) => format!("does not speak HTTP{way} ({e})"),
            _ => format!("cannot be reached{way}"),
        };
        self.failure(address, &what).with_source(error)
    }
}

/// The certificates of a file, or of all files in a folder.
fn certificates(path: &Path, source: &str) -> Result<Vec<Certificate<'static>>> {
    let unreadable = |path: &Path, e: std::io::Error| {
        let text = format!("{}: the certificates that {source} names cannot be read ({e})", path.display());
        Error::input(text).with_source(e)
    };
    let files: Vec<PathBuf> = if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| unreadable(path, e))?;
        entries.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect()
    } else {
        vec![path.to_owned()]
    };
    let mut out = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| unreadable(&file, e))?;
        out.extend(parse_pem(&bytes).flatten().filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        }));
    }
    if out.is_empty() {
        let text = format!("{}: {source} names it, but it holds no certificates in PEM: correct it", path.display());
        return Err(Error::input(text));
    }
    Ok(out)
}

/// Ends all requests when the user presses Ctrl-C, those that wait for a byte too, as long as the agents live.
fn watch(agents: &Arc<Agents>, cancel: CancelToken) {
    let agents = Arc::downgrade(agents);
    std::thread::spawn(move || {
        while let Some(agents) = agents.upgrade() {
            if cancel.is_cancelled() {
                let agents = agents.lock().unwrap_or_else(PoisonError::into_inner);
                return agents.values().for_each(|agent| agent.clone().shutdown());
            }
            drop(agents);
            std::thread::sleep(POLL_INTERVAL);
        }
    });
}
