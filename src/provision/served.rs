//! A folder for each kind of server with what it shows of itself and whom it trusts, and nothing else: what is mounted
//! as a folder is seen when it is renewed, which a single file that is mounted is not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::files::{self, Readers};

/// Folder, file in it, and the file of the authority's directory that it is a copy of. Keys come before their
/// certificates, as where they are made.
const COPIES: [(&str, &str, &str); 10] = [
    ("nats", "ca.pem", "ca.pem"),
    ("nats", "nats-key.pem", "nats-key.pem"),
    ("nats", "nats.pem", "nats.pem"),
    ("postgres", "postgres-key.pem", "postgres-key.pem"),
    ("postgres", "postgres.pem", "postgres.pem"),
    ("edge", "ca.pem", "ca.pem"),
    ("edge", "edge-key.pem", "edge-key.pem"),
    ("edge", "edge.pem", "edge.pem"),
    // What clients see at the load balancer, unless a folder with a certificate of the public name is given to it.
    ("public", "public.pem.key", "edge-key.pem"),
    ("public", "public.pem", "edge.pem"),
];

/// Brings the folders in `dir` up to date with the certificates in `tls`, and answers the files that were written.
///
/// # Errors
/// A file cannot be read or written.
pub fn ensure(dir: &Path, tls: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (folder, file, original) in COPIES {
        let (path, original) = (dir.join(folder).join(file), tls.join(original));
        let content = fs::read(&original).with_context(|| format!("cannot read {}", original.display()))?;
        if fs::read(&path).is_ok_and(|known| known == content) {
            continue;
        }
        files::directory(&dir.join(folder))?;
        let secret = original.to_string_lossy().ends_with("-key.pem");
        let readers = if secret { Readers::Owner } else { Readers::All };
        files::write(&path, &content, readers)?;
        written.push(path);
    }
    Ok(written)
}
