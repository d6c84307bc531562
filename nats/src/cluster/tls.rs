//! Whom to trust: the certificates that a server may show.

use std::{fs, path::Path};

use async_nats::rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::auth::LoginError;

/// Authorities whose word counts: those of the machine, and perhaps one more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    own: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The machine's, and those in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn with_authority(path: &Path) -> Result<Self, LoginError> {
        let none = || LoginError::NoCertificate {
            path: path.to_owned(),
        };
        let pem = fs::read(path).map_err(|error| LoginError::unreadable(path, &error))?;
        let own: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| none())?;
        let mut roots = RootCertStore::empty();
        if own.is_empty() || roots.add_parsable_certificates(own.clone()).0 == 0 {
            return Err(none());
        }
        Ok(Self { own })
    }

    /// Whether an authority was named: then nothing but TLS will do.
    #[must_use]
    pub const fn insists(&self) -> bool {
        !self.own.is_empty()
    }

    /// What a TLS connection starts from. It reads the machine's certificates from disk, which blocks.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate that this machine trusts could not be read");
        }
        roots.add_parsable_certificates(found.certs);
        roots.add_parsable_certificates(self.own.clone());
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ca.pem");
        let pem = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        for text in ["", "no PEM at all", pem] {
            fs::write(&path, text).expect("written");
            let error = Trust::with_authority(&path).expect_err(text);
            assert_eq!(error, LoginError::NoCertificate { path: path.clone() });
        }
        assert!(!Trust::default().insists());
    }
}
