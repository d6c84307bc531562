//! The pages for people: each link in them leads somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::Context;

/// Folders with pages, and single ones.
const PLACES: &[&str] = &[
    "docs",
    "docs/decisions",
    "README.md",
    "ARCHITECTURE.md",
    "nats/README.md",
    "deploy/README.md",
    "web/README.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for place in PLACES {
        let path = root().join(place);
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "md") {
                    pages.push(path);
                }
            }
        } else if path.exists() {
            pages.push(path);
        }
    }
    Ok(pages)
}

/// A page without what stands in fences and between backticks.
fn prose(page: &str) -> String {
    let mut prose = String::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // Every second part is code.
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// What `](…)` leads to.
fn links(prose: &str) -> Vec<&str> {
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| rest.split(')').next()).collect()
}

/// What headings can be led to, as GitHub names them; a second one of the same name is counted.
fn anchors(page: &str) -> BTreeSet<String> {
    let (mut counts, mut anchors) = (BTreeMap::new(), BTreeSet::new());
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
            _ => None,
        });
        let name: String = kept.collect();
        let count = counts
            .entry(name.clone())
            .and_modify(|count| *count += 1)
            .or_insert(0);
        anchors.insert(match count {
            0 => name,
            _ => format!("{name}-{count}"),
        });
    }
    anchors
}

/// Why a link of that page leads nowhere.
fn broken(page: &Path, link: &str) -> anyhow::Result<Option<String>> {
    if ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| link.starts_with(scheme))
    {
        return Ok(None);
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = match path {
        "" => page.to_owned(),
        _ => page.parent().context("a folder")?.join(path),
    };
    if !target.exists() {
        return Ok(Some("there is no such file".into()));
    }
    if target
        .components()
        .any(|part| part == Component::Normal("target".as_ref()))
    {
        return Ok(Some("what is built is not in the repository".into()));
    }
    let Some(anchor) = anchor else {
        return Ok(None);
    };
    let known = anchors(&fs::read_to_string(&target)?);
    Ok((!known.contains(anchor)).then(|| format!("there is no heading for #{anchor}")))
}

#[test]
fn every_link_leads_somewhere() -> anyhow::Result<()> {
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages()? {
        let prose = prose(&fs::read_to_string(&page)?);
        for link in links(&prose) {
            found += 1;
            if let Some(why) = broken(&page, link)? {
                wrong.push(format!("{}: {link}: {why}", page.display()));
            }
        }
    }
    assert!(
        found > 100,
        "only {found} links were found: the pages are read wrongly"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn headings_are_named_as_github_does() {
    let page = "# Why was it pushed, or not\n```\n# no heading\n```\n## A `code` word\n## A `code` word\n";
    let named: Vec<String> = anchors(page).into_iter().collect();
    assert_eq!(
        named,
        ["a-code-word", "a-code-word-1", "why-was-it-pushed-or-not"]
    );
    assert_eq!(links(&prose("[a](b#c) `[x](y)` and ![d](e)")), ["b#c", "e"]);
    let here = Path::new(file!());
    assert!(broken(&root().join(here), "nothing.md").expect("read").is_some());
}
