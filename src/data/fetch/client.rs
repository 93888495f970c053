//! The HTTP client of downloads: trusted certificates, proxies and timeouts.

use std::{
    env,
    io::ErrorKind,
    time::{Duration, Instant},
};

use ureq::{
    Agent, Body, Error, Proxy, ProxyProtocol, Timeout,
    http::Response,
    tls::{RootCerts, TlsConfig},
};

use super::{
    FetchOptions,
    error::{FetchError, MirrorError},
    server,
};
use crate::files;

/// Limit on the number of consecutive HTTP redirects.
const MAX_REDIRECTS: u32 = 8;
/// Environment variables for certificates that replace those of the system: one for a file, one for folders.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Size limit of a certificate file; the whole store of a system has about 220 kB.
const MAX_CERTIFICATES: u64 = 8 << 20;

/// An HTTP client with the proxies of the environment and the timeouts of the options.
pub(super) struct Client {
    options: FetchOptions,
    http_proxy: Option<Proxy>,
    https_proxy: Option<Proxy>,
}

impl Client {
    /// # Errors
    /// The environment names a proxy or certificates that cannot be used.
    pub(super) fn new(options: &FetchOptions) -> Result<Self, FetchError> {
        check_certificates()?;
        Ok(Self {
            options: *options,
            http_proxy: proxy(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            https_proxy: proxy(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
        })
    }

    /// Requests a file of at most `max_size` bytes.
    ///
    /// # Errors
    /// No response arrives: the connection fails, times out or is redirected too often.
    pub(super) fn get(
        &self,
        url: &str,
        max_size: u64,
        headers: &[(&str, String)],
    ) -> Result<(Response<Body>, Pace), MirrorError> {
        let is_https = url.starts_with("https://");
        let proxy = if is_https { &self.https_proxy } else { &self.http_proxy };
        let pace = Pace::begin(&self.options, max_size, proxy.as_ref());
        let call = |roots| {
            let agent = self.agent(&pace, proxy.clone(), roots);
            let request = agent.get(url).header("Accept-Encoding", "identity");
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, value))
                .call()
        };
        // A system without any certificates, such as a small container, uses Mozilla's.
        let answer = match call(RootCerts::PlatformVerifier) {
            Err(Error::Rustls(error))
                if error.to_string().contains("No CA certificates")
                    && CERTIFICATES.iter().all(|name| env::var_os(name).is_none()) =>
            {
                call(RootCerts::WebPki)
            }
            other => other,
        };
        match answer {
            Ok(response) => Ok((response, pace)),
            Err(error) => Err(pace.failure(error)),
        }
    }

    fn agent(&self, pace: &Pace, proxy: Option<Proxy>, roots: RootCerts) -> Agent {
        let timeout = Some(self.options.timeout);
        Agent::config_builder()
            .user_agent(concat!("jempp/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(pace.deadline))
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_send_request(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            .timeout_per_write(timeout)
            .build()
            .into()
    }
}

/// Measures the speed of a download and detects when it is too slow.
pub(super) struct Pace {
    began: Instant,
    num_bytes: u64,
    timeout: Duration,
    min_rate: u64,
    /// The time by which a file of the maximum size must be complete.
    deadline: Duration,
    /// The proxy of the connection, if there is one.
    via: Option<String>,
}

impl Pace {
    fn begin(options: &FetchOptions, max_size: u64, proxy: Option<&Proxy>) -> Self {
        let (timeout, min_rate) = (options.timeout, options.min_rate.max(1));
        let deadline = 2 * timeout + Duration::from_secs(max_size.div_ceil(min_rate));
        let via = proxy.map(|proxy| server(&proxy.uri().to_string()));
        Self { began: Instant::now(), num_bytes: 0, timeout, min_rate, deadline, via }
    }

    /// Counts received bytes.
    ///
    /// # Errors
    /// The download is too slow.
    pub(super) fn check(&mut self, num_bytes: usize) -> Result<(), MirrorError> {
        self.num_bytes += num_bytes as u64;
        let late = self.began.elapsed().saturating_sub(2 * self.timeout);
        match (self.num_bytes as f64) < late.as_secs_f64() * self.min_rate as f64 {
            true => Err(MirrorError::Slow { min_rate: self.min_rate }),
            false => Ok(()),
        }
    }

    /// Translates an error of the HTTP client.
    pub(super) fn failure(&self, error: Error) -> MirrorError {
        use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let secs = self.timeout.as_secs_f64();
        match error {
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                self.unreachable("it does not answer".into())
            }
            Error::Timeout(Timeout::SendRequest | Timeout::RecvResponse) => {
                MirrorError::NoAnswer { secs }
            }
            Error::Timeout(Timeout::Global) => MirrorError::Slow { min_rate: self.min_rate },
            Error::Timeout(_) => MirrorError::Stalled { secs },
            Error::TooManyRedirects => MirrorError::Redirects,
            Error::Protocol(error) => MirrorError::Broken { reason: error.to_string() },
            Error::Io(error)
                if matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
                ) =>
            {
                MirrorError::Broken { reason: error.to_string() }
            }
            other => {
                let reason = match other {
                    Error::Io(error) => error.to_string(),
                    other => other.to_string(),
                };
                if reason.contains("certificate") {
                    return MirrorError::Certificate { reason };
                }
                self.unreachable(reason.replace("failed to lookup address information: ", ""))
            }
        }
    }

    fn unreachable(&self, reason: String) -> MirrorError {
        let via = self.via.as_ref().map(|proxy| format!(" (through the proxy {proxy})"));
        MirrorError::Unreachable { reason: reason + &via.unwrap_or_default() }
    }
}

/// The proxy in the first of these variables that is set. Hosts in `NO_PROXY` bypass it.
fn proxy(names: [&'static str; 4]) -> Result<Option<Proxy>, FetchError> {
    let Some((name, value)) = names.into_iter().find_map(|name| Some((name, set(name)?))) else {
        return Ok(None);
    };
    let wrong = |reason: &str| FetchError::Environment { name, reason: reason.to_string() };
    let not_an_address = "not the address of a proxy such as http://proxy.example:3128";
    let plain = Proxy::new(&value).map_err(|_| wrong(not_an_address))?;
    if !matches!(plain.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
        return Err(wrong("only HTTP proxies are supported, such as http://proxy.example:3128"));
    }
    let mut builder = Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    if let Some(user) = plain.username() {
        builder = builder.username(user);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    let excepted = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
    for host in excepted.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        // A host name also covers its subdomains.
        builder = builder.no_proxy(host).no_proxy(&format!(".{host}"));
    }
    builder.build().map(Some).map_err(|_| wrong(not_an_address))
}

/// The value of an environment variable, if it is set and not empty.
fn set(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|v| !v.is_empty())
}

/// Checks the certificates that the environment names. A wrong path would otherwise be ignored, and every server
/// rejected.
fn check_certificates() -> Result<(), FetchError> {
    let [name, dirs_name] = CERTIFICATES;
    if let Some(file) = env::var_os(name) {
        let begin = b"-----BEGIN";
        let reason = match files::read_at_most(file.as_ref(), MAX_CERTIFICATES) {
            Err(error) => format!("cannot read {}: {error}", file.display()),
            Ok(bytes) if !bytes.windows(begin.len()).any(|at| at == begin) => {
                format!("{} holds no certificate; it must be a PEM file", file.display())
            }
            Ok(_) => return Ok(()),
        };
        return Err(FetchError::Environment { name, reason });
    }
    match env::var_os(dirs_name) {
        Some(dirs) if !env::split_paths(&dirs).any(|dir| dir.is_dir()) => {
            let reason = format!("{} is not a folder", dirs.display());
            Err(FetchError::Environment { name: dirs_name, reason })
        }
        _ => Ok(()),
    }
}
