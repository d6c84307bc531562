//! TLS that ends at the edge: a certificate and its key from files, which are read again when they change.
//! Connections that are open go on with what they began with.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use natterjack_runtime::{lifecycle::Tasks, metrics::Metrics};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::sleep;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};
use x509_cert::{Certificate, der::Decode as _};

/// The largest file that is taken for a certificate or a key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// TLS of the listener.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TlsArgs {
    /// Serve HTTPS and WSS with this certificate: a PEM file with the whole chain. It is read again when it
    /// changes [default: HTTP and WS]
    #[arg(long, env = "EDGE_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate: a PEM file
    #[arg(long, env = "EDGE_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// How often it is looked whether the two files changed
    #[arg(long, env = "EDGE_TLS_RELOAD_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=86_400_000), value_name = "MS")]
    pub tls_reload_ms: u64,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}; is it there, and may this process's user read it?")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is too large to be one of ours.
    #[error("{0} is larger than a certificate or a key can be (1 MiB)")]
    TooLarge(PathBuf),
    /// There is no certificate in the file.
    #[error("{0} holds no certificate: it must be a PEM file with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// There is no private key in the file.
    #[error(
        "{0} holds no private key: it must be a PEM file with -----BEGIN PRIVATE KEY-----, without a password"
    )]
    NoKey(PathBuf),
    /// The key is not that of the certificate, or of a kind that is not known.
    #[error("{key} is not the key of {cert}, or of an unknown kind: {source}")]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// TLS itself cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate that is served now, and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    files: Arc<Files>,
    served: Arc<Served>,
    acceptor: Acceptor,
}

/// [`TlsAcceptor`] with a `Debug` that names it.
#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Acceptor")
    }
}

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What the two files held.
type Contents = (Vec<u8>, Vec<u8>);

#[derive(Debug)]
struct Served {
    key: RwLock<Arc<CertifiedKey>>,
    /// When its certificate ends, in Unix seconds.
    end: Gauge,
}

impl Served {
    fn new(key: CertifiedKey, end: Gauge) -> Self {
        end.set(end_of(&key));
        Self {
            key: RwLock::new(Arc::new(key)),
            end,
        }
    }

    fn replace(&self, key: CertifiedKey) {
        self.end.set(end_of(&key));
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

/// In Unix seconds; 0, of which nobody is told, if it cannot be read.
fn end_of(key: &CertifiedKey) -> i64 {
    let read = key.cert.first().map(|first| Certificate::from_der(first));
    match read {
        Some(Ok(read)) => {
            let end = read.tbs_certificate.validity.not_after.to_unix_duration();
            i64::try_from(end.as_secs()).unwrap_or(i64::MAX)
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "it cannot be read from the certificate when it ends: watch that yourself");
            0
        }
        None => 0,
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&key))
    }
}

impl Tls {
    /// Reads the files, and has them read again when they change, until the edge drains; `None` if none are
    /// named. When the certificate ends is told among `metrics`.
    ///
    /// # Errors
    /// [`TlsError`]: the message says which file, and what to do.
    pub(crate) async fn start(
        args: &TlsArgs,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Option<Self>, TlsError> {
        let end: Gauge = metrics.register(
            "certificate_end_seconds",
            "When the certificate that is served ends, in Unix seconds; 0 if none is",
            Gauge::default(),
        );
        let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) else {
            return Ok(None);
        };
        let files = Arc::new(Files {
            cert: cert.clone(),
            key: key.clone(),
        });
        let contents = files.read().await?;
        let served = Arc::new(Served::new(files.parse(&contents)?, end));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Self {
            files,
            served,
            acceptor: Acceptor(TlsAcceptor::from(Arc::new(config))),
        };
        tls.follow(contents, Duration::from_millis(args.tls_reload_ms), tasks);
        Ok(Some(tls))
    }

    /// What shakes hands.
    pub(crate) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor.0
    }

    /// Serves what the files hold, as soon as they hold something else that makes sense.
    fn follow(&self, mut seen: Contents, every: Duration, tasks: &Tasks) {
        let (tls, shutdown) = (self.clone(), tasks.shutdown().clone());
        tasks.spawn("tls", async move {
            let mut complained = None;
            loop {
                tokio::select! {
                    () = sleep(every) => {}
                    () = shutdown.draining() => return Ok(()),
                }
                match tls.refresh(&mut seen).await {
                    Ok(changed) => {
                        if changed {
                            tracing::info!(tls.cert = %tls.files.cert.display(), "a new certificate is served from now on");
                        }
                        complained = None;
                    }
                    // Between the two files' writes they do not fit; what is served stays until they do.
                    Err(error) => {
                        let error = error.to_string();
                        if complained.as_ref() != Some(&error) {
                            tracing::warn!(%error, "the changed certificate cannot be served; the one before is");
                        }
                        complained = Some(error);
                    }
                }
            }
        });
    }

    /// Looks at the files; whether something new is served.
    async fn refresh(&self, seen: &mut Contents) -> Result<bool, TlsError> {
        let contents = self.files.read().await?;
        if contents == *seen {
            return Ok(false);
        }
        self.served.replace(self.files.parse(&contents)?);
        *seen = contents;
        Ok(true)
    }
}

impl Files {
    async fn read(&self) -> Result<Contents, TlsError> {
        Ok((read(&self.cert).await?, read(&self.key).await?))
    }

    fn parse(&self, (cert, key): &Contents) -> Result<CertifiedKey, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let chain = chain
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| TlsError::NoCertificate(self.cert.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|source| {
            TlsError::Mismatch {
                cert: self.cert.clone(),
                key: self.key.clone(),
                source,
            }
        })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge(path.to_owned()));
    }
    tokio::fs::read(path).await.map_err(failed)
}
