//! Ports that stay the same from one start to the next, so that what a person has
//! bookmarked or written into a client goes on working.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::Progress;

/// The remembered ports of one data directory.
#[derive(Debug)]
pub struct Ports {
    path: PathBuf,
    remembered: BTreeMap<String, u16>,
}

/// What somebody wants to listen on.
#[derive(Debug, Clone, Copy)]
pub struct PortRequest<'a> {
    /// Under which name the port is remembered, and what it is called in messages.
    pub name: &'a str,
    /// On which address it will be listened.
    pub host: IpAddr,
    /// The port that the person asked for: this one or none.
    pub configured: Option<u16>,
    /// The port to try before any free one, when none is remembered.
    pub preferred: Option<u16>,
    /// The option that sets `configured`, such as `--port`, for the message.
    pub option: &'a str,
}

impl<'a> PortRequest<'a> {
    /// Any free port on loopback.
    pub fn any(name: &'a str, option: &'a str) -> Self {
        Self {
            name,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            configured: None,
            preferred: None,
            option,
        }
    }
}

/// Why no port could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The configured port is taken.
    #[error("port {port} for {name} is taken by another program; stop that, or choose another with {option}")]
    Taken {
        /// What the port was for.
        name: String,
        /// The port.
        port: u16,
        /// The option that chooses another.
        option: String,
    },
    /// The port or address cannot be listened on for another reason.
    #[error("cannot listen on {address} for {name}: {source}")]
    Unusable {
        /// What the port was for.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file that remembers the ports could not be written.
    #[error("cannot remember the ports in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Ports {
    /// The ports remembered in `ports.json` of this directory. A file that cannot be
    /// read is the same as none: ports are a convenience, not data.
    pub fn open(dir: &Path) -> Self {
        let path = dir.join("ports.json");
        let remembered = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { path, remembered }
    }

    /// The configured port, or the remembered one, or the preferred one, or a free one;
    /// says so when a port that was used before is taken now.
    pub fn choose(&mut self, request: &PortRequest<'_>, progress: &dyn Progress) -> Result<u16, PortError> {
        let PortRequest {
            name,
            host,
            configured,
            preferred,
            option,
        } = *request;
        if let Some(port) = configured {
            return match probe(host, port) {
                Ok(port) => Ok(port),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(PortError::Taken {
                    name: name.to_owned(),
                    port,
                    option: option.to_owned(),
                }),
                Err(source) => Err(unusable(name, host, port, source)),
            };
        }
        let before = self.remembered.get(name).copied();
        for port in [before, preferred].into_iter().flatten() {
            // Another name of ours may have it, and just not listen yet.
            let ours = self
                .remembered
                .iter()
                .any(|(other, taken)| other != name && *taken == port);
            if !ours && probe(host, port).is_ok() {
                return self.remember(name, port);
            }
        }
        let port = probe(host, 0).map_err(|source| unusable(name, host, 0, source))?;
        if let Some(before) = before {
            progress.say(&format!(
                "port {before} of {name} is taken now; using {port} instead"
            ));
        }
        self.remember(name, port)
    }

    fn remember(&mut self, name: &str, port: u16) -> Result<u16, PortError> {
        if self.remembered.insert(name.to_owned(), port) == Some(port) {
            return Ok(port);
        }
        let failed = |source| PortError::File {
            path: self.path.clone(),
            source,
        };
        let json =
            serde_json::to_vec_pretty(&self.remembered).map_err(|error| failed(io::Error::other(error)))?;
        fs::write(&self.path, json).map_err(failed)?;
        Ok(port)
    }
}

/// A port on loopback that was free just now.
pub(super) fn free_port() -> io::Result<u16> {
    probe(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

fn probe(host: IpAddr, port: u16) -> io::Result<u16> {
    Ok(TcpListener::bind((host, port))?.local_addr()?.port())
}

fn unusable(name: &str, host: IpAddr, port: u16, source: io::Error) -> PortError {
    PortError::Unusable {
        name: name.to_owned(),
        address: SocketAddr::new(host, port),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::SilentProgress;
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn say(&self, line: &str) {
            self.0
                .lock()
                .expect("no test panics in here")
                .push(line.to_owned());
        }
    }

    #[test]
    fn a_port_is_remembered_until_it_is_taken() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let request = PortRequest::any("nats", "--nats-port");
        let first = Ports::open(dir.path()).choose(&request, &SilentProgress)?;
        assert_eq!(Ports::open(dir.path()).choose(&request, &SilentProgress)?, first);
        let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, first))?;
        let heard = Heard::default();
        let other = Ports::open(dir.path()).choose(&request, &heard)?;
        assert_ne!(other, first);
        let lines = heard.0.into_inner().expect("no test panics in here");
        assert!(
            lines[0].contains(&format!("port {first} of nats is taken")),
            "{lines:?}"
        );
        Ok(())
    }

    #[test]
    fn a_configured_port_is_that_one_or_an_error_naming_the_option() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = holder.local_addr()?.port();
        let mut request = PortRequest::any("edge", "--port");
        request.configured = Some(port);
        let error = Ports::open(dir.path())
            .choose(&request, &SilentProgress)
            .expect_err("it is taken");
        let message = error.to_string();
        assert!(
            message.contains(&port.to_string()) && message.contains("--port"),
            "{message}"
        );
        drop(holder);
        assert_eq!(Ports::open(dir.path()).choose(&request, &SilentProgress)?, port);
        Ok(())
    }

    #[test]
    fn two_names_never_share_a_port() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut ports = Ports::open(dir.path());
        let port = free_port()?;
        let wish = |name| PortRequest {
            preferred: Some(port),
            ..PortRequest::any(name, "--port")
        };
        let a = ports.choose(&wish("a"), &SilentProgress)?;
        let b = ports.choose(&wish("b"), &SilentProgress)?;
        assert_ne!(a, b);
        Ok(())
    }
}
