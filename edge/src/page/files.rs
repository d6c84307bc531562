//! The files of a page in memory, with their compressed forms, and the look at the disk that tells
//! whether they are still the same.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
    time::SystemTime,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// What opens at `/`, and at every address that only the page itself knows.
const INDEX: &str = "index.html";
/// Below it, files have a hash of their content in their name.
pub(super) const HASHED: &str = "assets/";
/// Most files of a page.
const FILES_MAX: usize = 2_000;
/// Most bytes of a page in memory, all forms together.
const BYTES_MAX: u64 = 64 << 20;
/// How deep folders may lie in each other.
const DEPTH_MAX: usize = 8;

/// One form of a file: as it is, or compressed.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub bytes: Bytes,
    /// A quoted entity tag, of these bytes alone.
    pub tag: String,
}

/// A file, and the compressed forms that lay beside it.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub plain: Form,
    pub brotli: Option<Form>,
    pub gzip: Option<Form>,
}

impl File {
    fn bytes(&self) -> u64 {
        let forms = [Some(&self.plain), self.brotli.as_ref(), self.gzip.as_ref()];
        forms
            .into_iter()
            .flatten()
            .map(|form| form.bytes.len() as u64)
            .sum()
    }
}

/// Files by their path in the directory: length and time of last change.
type Listing = BTreeMap<String, (u64, Option<SystemTime>)>;

/// All files of a page.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: HashMap<String, File>,
    listing: Listing,
}

impl Files {
    /// The files of a directory, `None` if they are those of `before`, or no page, or one that is being
    /// written: whatever is served of it is kept for long, so that it has to be whole.
    pub fn read(dir: &Path, before: &Self) -> io::Result<Option<Self>> {
        let listing = list(dir)?;
        if listing == before.listing || !listing.contains_key(INDEX) {
            return Ok(None);
        }
        let mut contents = HashMap::with_capacity(listing.len());
        for (path, (length, _)) in &listing {
            let bytes = Bytes::from(fs::read(dir.join(path))?);
            if bytes.len() as u64 != *length {
                return Ok(None);
            }
            contents.insert(path.clone(), bytes);
        }
        if list(dir)? != listing {
            return Ok(None);
        }
        let mut read = Self {
            files: with_forms(&contents),
            listing,
        };
        read.keep_hashed(before);
        Ok(Some(read))
    }

    /// The files that are part of the program.
    #[cfg(feature = "embed-web")]
    pub fn embedded(files: &[(&str, &'static [u8])]) -> Self {
        let contents = files
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), Bytes::from_static(bytes)));
        Self {
            files: with_forms(&contents.collect()),
            listing: Listing::new(),
        }
    }

    /// A page that is open still asks for parts of the build that it came from.
    fn keep_hashed(&mut self, before: &Self) {
        let mut bytes = self.bytes();
        for (path, file) in &before.files {
            bytes += file.bytes();
            if bytes > BYTES_MAX || self.files.len() >= FILES_MAX {
                return;
            }
            if path.starts_with(HASHED) && !self.files.contains_key(path) {
                self.files.insert(path.clone(), file.clone());
            }
        }
    }

    pub fn get(&self, path: &str) -> Option<(&str, &File)> {
        let (path, file) = self.files.get_key_value(path)?;
        Some((path, file))
    }

    pub fn index(&self) -> Option<(&str, &File)> {
        self.get(INDEX)
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn bytes(&self) -> u64 {
        self.files.values().map(File::bytes).sum()
    }
}

/// What lies in a directory; nothing, if it is not there. Names that begin with a dot are not served.
fn list(dir: &Path) -> io::Result<Listing> {
    let (mut listing, mut bytes) = (Listing::new(), 0);
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(dir.join(&folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && depth == 0 => return Ok(listing),
            // Such as `lost+found`, where the page has a disk of its own.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && depth > 0 => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            // A link that leads nowhere is no reason to lose the page.
            let Ok(about) = fs::metadata(entry.path()) else {
                continue;
            };
            let path = format!("{folder}{name}");
            if about.is_dir() {
                if depth == DEPTH_MAX {
                    return Err(io::Error::other(format!(
                        "{path}: folders lie too deep in each other"
                    )));
                }
                folders.push((format!("{path}/"), depth + 1));
                continue;
            }
            if !about.is_file() {
                continue;
            }
            bytes += about.len();
            listing.insert(path, (about.len(), about.modified().ok()));
            if listing.len() > FILES_MAX || bytes > BYTES_MAX {
                let most = format!("a page has at most {FILES_MAX} files and {} MiB", BYTES_MAX >> 20);
                return Err(io::Error::other(most));
            }
        }
    }
    Ok(listing)
}

/// Files with what was compressed at build: `x.js.br` and `x.js.gz` are forms of `x.js`.
fn with_forms(contents: &HashMap<String, Bytes>) -> HashMap<String, File> {
    let of = |path: &str, suffix: &str| contents.get(&format!("{path}{suffix}")).map(form);
    let is_form = |path: &str| {
        let of = path.strip_suffix(".br").or_else(|| path.strip_suffix(".gz"));
        of.is_some_and(|of| contents.contains_key(of))
    };
    let files = contents.iter().filter(|(path, _)| !is_form(path));
    files
        .map(|(path, bytes)| {
            let file = File {
                plain: form(bytes),
                brotli: of(path, ".br"),
                gzip: of(path, ".gz"),
            };
            (path.clone(), file)
        })
        .collect()
}

fn form(bytes: &Bytes) -> Form {
    let hash = Sha256::digest(bytes);
    Form {
        bytes: bytes.clone(),
        tag: format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&hash[..15])),
    }
}
