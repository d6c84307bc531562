//! With the feature `embed-web`, lists the built web client so that it becomes part of the program. It is not
//! built here: npm is no business of cargo's.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_EMBED_WEB").is_none() {
        return Ok(());
    }
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web/client/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    if !dist.join("index.html").is_file() {
        println!(
            "cargo::error=the feature `embed-web` needs the built web client, and {} is not there: run \
             `npm ci` and `npm run build` in web/ first",
            dist.join("index.html").display()
        );
        return Ok(());
    }
    let mut list =
        String::from("/// Path and content of each file.\npub const FILES: &[(&str, &[u8])] = &[\n");
    add(&dist.canonicalize()?, "", &mut list)?;
    list.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("page.rs"), list)?;
    Ok(())
}

fn add(dist: &Path, folder: &str, list: &mut String) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(dist.join(folder))?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| format!("{name:?} is not UTF-8"))?;
        let path = format!("{folder}{name}");
        if entry.file_type()?.is_dir() {
            add(dist, &format!("{path}/"), list)?;
        } else if !name.starts_with('.') && !name.ends_with(".map") {
            // Source maps are for whoever has the sources.
            let file = dist.join(&path);
            writeln!(list, "    ({path:?}, include_bytes!({file:?})),")?;
        }
    }
    Ok(())
}
