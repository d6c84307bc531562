//! A certificate authority of the cluster's own, and the certificates of its servers: kept while they are
//! good for a while, renewed otherwise.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use async_nats::rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::files::{self, Readers};

/// How long the authority is good: whoever trusts it has it in a file of their own.
const AUTHORITY_FOR: Duration = Duration::from_hours(10 * 365 * 24);
/// How long a server's certificate is good; the 397 days that browsers take include the hour before it was made.
const SERVER_FOR: Duration = Duration::from_hours(396 * 24);
/// One that is good for less is renewed.
const RENEWED_BEFORE: Duration = Duration::from_hours(30 * 24);
/// Clocks are apart: a certificate is good from a while before it was made.
const BEFORE: Duration = Duration::from_hours(1);
/// Who signs, as certificates name it. It is a part of what is signed, so that it cannot change.
const AUTHORITY: &str = "Natterjack cluster CA";

/// A certificate of one kind of server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name, in the names of its files.
    pub name: &'static str,
    /// Names and addresses under which it is reached.
    pub names: Vec<String>,
    /// Whether it shows its certificate to others of its kind when it connects to them.
    pub connects: bool,
}

/// Makes in this directory what is missing of the authority and the certificates of these servers, renews what is
/// about to expire or lacks a name, and answers the files that were written.
///
/// # Errors
/// A file cannot be written, or holds no certificate; the authority itself is about to expire.
pub fn ensure(dir: &Path, servers: &[Server], now: SystemTime) -> anyhow::Result<Vec<PathBuf>> {
    files::directory(dir)?;
    let (certificate, key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
    let mut written = Vec::new();
    if !certificate.try_exists()? && !key.try_exists()? {
        let pair = KeyPair::generate()?;
        let made = authority(now)?.self_signed(&pair)?;
        files::write(&key, pair.serialize_pem().as_bytes(), Readers::Owner)?;
        files::write(&certificate, made.pem().as_bytes(), Readers::All)?;
        written.extend([certificate.clone(), key.clone()]);
    }
    let both = "ca.pem and ca-key.pem belong together: put back the one that is gone, or take the other away \
                too, and every part gets new certificates";
    let pair = fs::read_to_string(&key).with_context(|| format!("{}: {both}", key.display()))?;
    let pair = KeyPair::from_pem(&pair).with_context(|| format!("{} is no private key", key.display()))?;
    let trusted = CertificateDer::from_pem_file(&certificate)
        .with_context(|| format!("{}: {both}", certificate.display()))?;
    for server in servers {
        let files = ["", "-key"].map(|what| dir.join(format!("{}{what}.pem", server.name)));
        if is_good(&trusted, &files, &server.names, now) {
            continue;
        }
        let issuer = Issuer::new(authority(now)?, &pair);
        let own = KeyPair::generate()?;
        let made = of_server(server, now)?.signed_by(&own, &issuer)?;
        let [certificate, key] = &files;
        files::write(key, own.serialize_pem().as_bytes(), Readers::Owner)?;
        files::write(certificate, made.pem().as_bytes(), Readers::All)?;
        ensure!(
            is_good(&trusted, &files, &server.names, now),
            "{} does not sign for {}: the two files of the authority do not belong together, or it expires \
             within a month. Take both away and run again; then every part needs the new ca.pem",
            dir.join("ca-key.pem").display(),
            certificate.display()
        );
        written.extend(files);
    }
    Ok(written)
}

/// What the authority says of itself; the same each time but for its times.
fn authority(now: SystemTime) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + AUTHORITY_FOR).into();
    Ok(params)
}

fn of_server(server: &Server, now: SystemTime) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(server.names.clone())
        .with_context(|| format!("a certificate for {}", server.names.join(", ")))?;
    params.distinguished_name = named(&format!("natterjack {}", server.name));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if server.connects {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + SERVER_FOR).into();
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut full = DistinguishedName::new();
    full.push(DnType::CommonName, name);
    full
}

/// Whether a certificate and its key are there, belong together, and will be good in a month, by this
/// authority and for all of these names: looked at as a client would.
fn is_good(
    trusted: &CertificateDer<'static>,
    [certificate, key]: &[PathBuf; 2],
    names: &[String],
    now: SystemTime,
) -> bool {
    is_good_at(trusted, [certificate, key], names, now + RENEWED_BEFORE).unwrap_or(false)
}

fn is_good_at(
    trusted: &CertificateDer<'static>,
    [certificate, key]: [&Path; 2],
    names: &[String],
    at: SystemTime,
) -> anyhow::Result<bool> {
    let certificate = CertificateDer::from_pem_file(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    CertifiedKey::from_der(vec![certificate.clone()], key, &provider)?;
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let client = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH)?);
    Ok(names.iter().all(|name| {
        ServerName::try_from(name.as_str()).is_ok_and(|name| {
            client
                .verify_server_cert(&certificate, &[], &name, &[], at)
                .is_ok()
        })
    }))
}

/// Whether this can be the name of a server: a host name or an address.
///
/// # Errors
/// It is none.
pub fn parse_name(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() || ServerName::try_from(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("neither a host name nor an address".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn today() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(natterjack_runtime::clock::Clock::system().now_ms())
    }

    fn server(names: &[&str]) -> Server {
        Server {
            name: "nats",
            names: names.iter().map(ToString::to_string).collect(),
            connects: true,
        }
    }

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).expect("a file")
    }

    #[test]
    fn what_is_good_is_kept_and_what_lacks_a_name_is_renewed() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let dir = dir.path();
        assert_eq!(
            ensure(dir, &[server(&["nats-1", "127.0.0.1"])], today())?.len(),
            4
        );
        let (authority, first) = (read(dir, "ca.pem"), read(dir, "nats.pem"));
        assert_eq!(
            ensure(dir, &[server(&["nats-1", "127.0.0.1"])], today())?,
            Vec::<PathBuf>::new()
        );
        assert_eq!(
            ensure(dir, &[server(&["nats-1", "nats.example"])], today())?.len(),
            2
        );
        assert_ne!(read(dir, "nats.pem"), first);
        assert_eq!(read(dir, "ca.pem"), authority);
        // A key without its certificate, as after a crash between the two.
        fs::write(dir.join("nats-key.pem"), KeyPair::generate()?.serialize_pem())?;
        assert_eq!(ensure(dir, &[server(&["nats-1"])], today())?.len(), 2);
        Ok(())
    }

    #[test]
    fn what_expires_within_a_month_is_not_good() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let dir = dir.path();
        let names = server(&["nats-1"]).names;
        ensure(dir, &[server(&["nats-1"])], today())?;
        let trusted = CertificateDer::from_pem_file(dir.join("ca.pem"))?;
        let now = today();
        let (certificate, key) = (dir.join("nats.pem"), dir.join("nats-key.pem"));
        let good_at = |at| is_good_at(&trusted, [&certificate, &key], &names, at);
        assert!(good_at(now)? && good_at(now + SERVER_FOR - DAY)?);
        assert!(!good_at(now + SERVER_FOR + DAY)?);
        // One that has 29 days left.
        let pair = KeyPair::from_pem(&read(dir, "ca-key.pem"))?;
        let own = KeyPair::generate()?;
        let mut params = of_server(&server(&["nats-1"]), now)?;
        params.not_after = (now + RENEWED_BEFORE - DAY).into();
        let old = params.signed_by(&own, &Issuer::new(authority(now)?, &pair))?;
        fs::write(&certificate, old.pem())?;
        fs::write(&key, own.serialize_pem())?;
        assert_eq!(ensure(dir, &[server(&["nats-1"])], today())?.len(), 2);
        assert_ne!(read(dir, "nats.pem"), old.pem());
        Ok(())
    }

    #[test]
    fn another_authority_is_not_taken_for_the_own_one() -> anyhow::Result<()> {
        let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        ensure(one.path(), &[server(&["nats-1"])], today())?;
        ensure(other.path(), &[server(&["nats-1"])], today())?;
        fs::copy(other.path().join("ca-key.pem"), one.path().join("ca-key.pem"))?;
        fs::remove_file(one.path().join("nats.pem"))?;
        let error = ensure(one.path(), &[server(&["nats-1"])], today()).expect_err("refused");
        assert!(error.to_string().contains("belong together"), "{error}");
        fs::remove_file(one.path().join("ca.pem"))?;
        assert!(ensure(one.path(), &[server(&["nats-1"])], today()).is_err());
        Ok(())
    }
}
