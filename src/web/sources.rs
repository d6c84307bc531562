//! What a built page came from, as one number: the names and contents of the files that a build reads.

use std::{fs, io, path::Path};

use sha2::{Digest, Sha256};

/// Not read by a build: what npm installed, what builds made, tests and examples, and words for people.
const ASIDE: [&str; 7] = [
    "node_modules",
    "dist",
    "test",
    "tests",
    "examples",
    "e2e",
    "test-results",
];

/// The hash of the sources, in hexadecimal.
pub(super) fn hash(web: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    list(web, "", &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(web.join(&file))?;
        // With lengths, so that no other files have the same bytes in a row.
        hash.update((file.len() as u64).to_le_bytes());
        hash.update(&file);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(&content);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn list(web: &Path, folder: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(web.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let aside = name.starts_with('.') || ASIDE.contains(&&*name) || name.ends_with(".md");
        if aside || name.contains(".test.") {
            continue;
        }
        let path = format!("{folder}{name}");
        if entry.file_type()?.is_dir() {
            list(web, &format!("{path}/"), files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
