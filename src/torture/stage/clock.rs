//! Clocks that can be put ahead and back, by [libfaketime](https://github.com/wolfcw/libfaketime):
//! the real programs ask for the time as always and are told another.
//!
//! Only the time of day is changed. The monotonic clock, which measures how long something takes, is
//! not stepped on real machines either.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Where distributions put it.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
];

/// The library, if it is installed.
pub fn library() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|path| path.exists())
}

/// The clock of one process.
#[derive(Debug)]
pub struct Hand {
    file: PathBuf,
    library: &'static Path,
}

impl Hand {
    /// A clock that goes right until it is set; `file` is where the process looks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(library: &'static Path, file: PathBuf) -> io::Result<Self> {
        let hand = Self { file, library };
        hand.set(0)?;
        Ok(hand)
    }

    /// What the process needs in its environment.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        [
            ("LD_PRELOAD", self.library.as_os_str()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.as_os_str()),
            // It looks into the file again after a second.
            ("FAKETIME_CACHE_DURATION", "1".as_ref()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
            ("DONT_FAKE_MONOTONIC", "1".as_ref()),
            ("NO_FAKE_STAT", "1".as_ref()),
        ]
        .map(|(name, value)| (name.into(), value.to_owned()))
        .to_vec()
    }

    /// Puts it so many milliseconds ahead, or back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, ms: i64) -> io::Result<()> {
        let sign = if ms < 0 { '-' } else { '+' };
        let (seconds, rest) = (ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000);
        // In one step: nobody reads half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{sign}{seconds}.{rest:03}\n"))?;
        fs::rename(new, &self.file)
    }
}
