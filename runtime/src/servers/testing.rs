//! Where tests and benchmarks keep the installed servers, so that they are
//! downloaded once a machine and not once a test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `$NATTERJACK_TOOLS_DIR`, or `natterjack-tools` in the build's target directory.
pub fn testing_tools_dir() -> PathBuf {
    choose(
        std::env::var_os("NATTERJACK_TOOLS_DIR"),
        std::env::var_os("CARGO_TARGET_DIR"),
        Path::new(env!("CARGO_MANIFEST_DIR")),
    )
}

fn choose(tools: Option<OsString>, target: Option<OsString>, manifest_dir: &Path) -> PathBuf {
    let workspace = manifest_dir.parent().unwrap_or(manifest_dir);
    match (tools, target) {
        (Some(dir), _) => PathBuf::from(dir),
        // Cargo reads a relative target directory against the place it is called from,
        // which is the workspace wherever this matters; `join` keeps an absolute one.
        (None, Some(target)) => workspace.join(target).join("natterjack-tools"),
        (None, None) => workspace.join("target").join("natterjack-tools"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_wish_wins() {
        let manifest = Path::new("/src/natterjack/runtime");
        let tools = |tools: Option<&str>, target: Option<&str>| {
            choose(tools.map(Into::into), target.map(Into::into), manifest)
        };
        assert_eq!(
            tools(None, None),
            Path::new("/src/natterjack/target/natterjack-tools")
        );
        assert_eq!(tools(None, Some("/t")), Path::new("/t/natterjack-tools"));
        assert_eq!(tools(Some("/x"), Some("/t")), Path::new("/x"));
    }
}
