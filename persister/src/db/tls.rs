//! TLS to Postgres, by rustls: how much of the server's certificate is looked at.

use std::path::Path;
use std::sync::Arc;

use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::connect::ConnectError;

/// Opens TLS on a new connection; cheap to clone.
pub(super) type Tls = MakeRustlsConnect;

/// Whose certificate will do.
#[derive(Debug)]
pub(super) enum Trust {
    /// Anybody's: who listens learns nothing, who stands between may.
    Anyone,
    /// One that leads to these, for whatever name.
    Chain(RootCertStore),
    /// One that leads to these and names the host of the URL.
    ChainAndName(RootCertStore),
}

/// The CAs in a file.
pub(super) fn roots_in(path: &Path) -> Result<RootCertStore, ConnectError> {
    let unreadable = |why: String| ConnectError::Ca {
        path: path.to_owned(),
        why,
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("there is no certificate in it".into()));
    }
    Ok(roots)
}

/// The CAs that this machine trusts.
pub(super) fn roots_of_the_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate that this machine trusts could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

/// What opens TLS.
pub(super) fn connector(trust: Trust) -> Result<Tls, ConnectError> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    let config = match trust {
        Trust::ChainAndName(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Lax {
                chain: None,
                provider,
            }))
            .with_no_client_auth(),
        Trust::Chain(roots) => {
            let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| ConnectError::Tls(error.to_string()))?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Lax {
                    chain: Some(chain),
                    provider,
                }))
                .with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Why TLS did not come about, in words that say what to do; `None` if that is not what went wrong, or may
/// pass by itself.
pub(super) fn refusal(error: &tokio_postgres::Error) -> Option<String> {
    let cause = std::error::Error::source(error)?;
    let Some(io) = cause.downcast_ref::<std::io::Error>() else {
        // The client library has no type for it.
        let text = cause.to_string();
        if text.contains("no hostname provided") {
            return Some(
                "hostaddr= says where the server is and not what it is called: give its name with host= too, or \
                 sslmode=disable"
                    .into(),
            );
        }
        return text.contains("does not support TLS").then(|| {
            "the server does not speak TLS, and the URL or a CA asks for it: set ssl = on there".into()
        });
    };
    let tls = io.get_ref()?.downcast_ref::<Error>()?;
    Some(match tls {
        // The second is what another CA of the same name leads to.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is not signed by a CA that is trusted here: name the right one with --database-ca"
                .into()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("{tls}: use a host in DATABASE_URL that its certificate names, or sslmode=verify-ca"),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("{tls}: renew the server's certificate")
        }
        // It comes without a type that could be matched.
        Error::InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "its certificate is itself a CA, as one is that signs itself: give the server one that a CA signed, \
             as `natterjack provision --write-config` does, and name that CA with --database-ca; sslmode=require \
             without --database-ca encrypts, and asks nobody who the server is"
                .into()
        }
        other => other.to_string(),
    })
}

/// What `sslmode=require` and `verify-ca` ask for: less than the library looks at by itself.
#[derive(Debug)]
struct Lax {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lax {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last, when the chain was found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
