//! The page as browsers ask for it, from a directory that changes.

use std::{fs, path::Path};

use axum::{
    body::to_bytes,
    http::{HeaderMap, Method, header},
};

use super::*;

const INDEX: &str = "<!doctype html><title>Natterjack</title>";
const SCRIPT: &str = "export const toad = 1;";

/// A build with an index, a script in three forms and a few other files.
fn build(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir.join("assets"))?;
    for (path, content) in [
        ("index.html", INDEX),
        ("sw.js", "self"),
        ("manifest.webmanifest", "{}"),
        ("assets/main-1.js", SCRIPT),
        ("assets/main-1.js.br", "br"),
        ("assets/main-1.js.gz", "gz"),
        ("font.woff2", "font"),
        (".sources", "hash"),
    ] {
        fs::write(dir.join(path), content)?;
    }
    Ok(())
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn says(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

async fn ask(page: &Page, method: Method, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (request, ()) = request.body(())?.into_parts();
    let (_, response) = page.answer(&request, false).await;
    let (parts, body) = response.into_parts();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(to_bytes(body, 1 << 20).await?.to_vec())?,
    })
}

async fn get(page: &Page, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
    ask(page, Method::GET, path, headers).await
}

async fn built() -> anyhow::Result<(tempfile::TempDir, Page)> {
    let dir = tempfile::tempdir()?;
    build(dir.path())?;
    let page = Page::new(Some(dir.path().to_owned()), false);
    page.refresh().await;
    Ok((dir, page))
}

#[tokio::test]
async fn files_have_their_type_and_are_kept_as_long_as_their_name_allows() -> anyhow::Result<()> {
    let (_dir, page) = built().await?;
    let (kept, asked_again) = ("public, max-age=31536000, immutable", "no-cache");
    for (path, mime, keep) in [
        ("/", "text/html; charset=utf-8", asked_again),
        ("/index.html", "text/html; charset=utf-8", asked_again),
        ("/sw.js", "text/javascript; charset=utf-8", asked_again),
        ("/manifest.webmanifest", "application/manifest+json", asked_again),
        ("/font.woff2", "font/woff2", asked_again),
        ("/assets/main-1.js?v=2", "text/javascript; charset=utf-8", kept),
    ] {
        let answer = get(&page, path, &[]).await?;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.says(header::CONTENT_TYPE), mime, "{path}");
        assert_eq!(answer.says(header::CACHE_CONTROL), keep, "{path}");
        let policy = answer.says(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.contains("default-src 'none'; script-src 'self';"),
            "{path}: {policy}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_file_is_the_page_for_people_and_nothing_for_programs() -> anyhow::Result<()> {
    let (_dir, page) = built().await?;
    let person = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in [
        "/c/group.01j9z4c5v6b7n8m9q0w1e2r3t4",
        "/settings",
        "/a.b/c",
        "/metricsandmore",
    ] {
        assert_eq!(get(&page, path, &person).await?.body, INDEX, "{path}");
        assert_eq!(
            get(&page, path, &[("accept", "*/*")]).await?.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in [
        "/v1",
        "/v1/nowhere",
        "/healthz",
        "/metrics",
        "/readyz/x",
        "/assets/main-0.js",
    ] {
        assert_eq!(
            get(&page, path, &person).await?.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let posted = ask(&page, Method::POST, "/settings", &person).await?;
    assert_eq!(posted.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn no_path_leads_out_of_the_directory_or_to_hidden_files() -> anyhow::Result<()> {
    let (dir, page) = built().await?;
    fs::write(dir.path().with_extension("secret"), "secret")?;
    let name = dir
        .path()
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_owned();
    for path in [
        format!("/../{name}.secret"),
        format!("/assets/../../{name}.secret"),
        format!("/%2e%2e/{name}.secret"),
        format!("/..%2f{name}.secret"),
        format!("//{name}.secret"),
        "/.sources".to_owned(),
        "/assets/".to_owned(),
        "/assets/main-1.js.br".to_owned(),
        "/assets/%00".to_owned(),
    ] {
        assert_eq!(
            get(&page, &path, &[]).await?.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    fs::remove_file(dir.path().with_extension("secret"))?;
    Ok(())
}

#[tokio::test]
async fn the_form_is_the_one_that_is_accepted() -> anyhow::Result<()> {
    let (_dir, page) = built().await?;
    for (accepted, encoding, body) in [
        ("gzip, deflate, br, zstd", "br", "br"),
        ("gzip;q=1.0, br;q=0", "gzip", "gz"),
        ("GZIP", "gzip", "gz"),
        ("*", "br", "br"),
        ("br;q=0.0, *", "gzip", "gz"),
        ("*;q=0", "", SCRIPT),
        ("identity", "", SCRIPT),
        ("", "", SCRIPT),
    ] {
        let answer = get(&page, "/assets/main-1.js", &[("accept-encoding", accepted)]).await?;
        assert_eq!(answer.says(header::CONTENT_ENCODING), encoding, "{accepted}");
        assert_eq!(answer.body, body, "{accepted}");
        assert_eq!(
            answer.says(header::CONTENT_LENGTH),
            body.len().to_string(),
            "{accepted}"
        );
        assert_eq!(answer.says(header::VARY), "accept-encoding");
        assert_eq!(
            answer.says(header::CONTENT_TYPE),
            "text/javascript; charset=utf-8"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_there_already_is_not_sent_again() -> anyhow::Result<()> {
    let (_dir, page) = built().await?;
    let whole = get(&page, "/assets/main-1.js", &[]).await?;
    let tag = whole.says(header::ETAG).to_owned();
    let weak = format!("\"other\", W/{tag}");
    for known in [tag.as_str(), &weak, "*"] {
        let answer = get(&page, "/assets/main-1.js", &[("if-none-match", known)]).await?;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(
            (answer.body.as_str(), answer.says(header::ETAG)),
            ("", tag.as_str())
        );
    }
    // Another form is another thing.
    let headers = [("if-none-match", tag.as_str()), ("accept-encoding", "br")];
    assert_eq!(get(&page, "/assets/main-1.js", &headers).await?.body, "br");
    Ok(())
}

#[tokio::test]
async fn the_policy_follows_the_way_by_which_the_page_was_asked_for() -> anyhow::Result<()> {
    let (_dir, page) = built().await?;
    let plain = get(&page, "/", &[]).await?;
    assert!(
        plain
            .says(header::CONTENT_SECURITY_POLICY)
            .contains(" http: ws:;")
    );
    for proto in ["https", "HTTPS, http"] {
        let tls = get(&page, "/", &[("x-forwarded-proto", proto)]).await?;
        assert!(
            !tls.says(header::CONTENT_SECURITY_POLICY).contains(" http: ws:"),
            "{proto}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_new_build_takes_the_place_of_the_old_one_whose_parts_stay_for_open_pages() -> anyhow::Result<()> {
    let (dir, page) = built().await?;
    fs::remove_file(dir.path().join("assets/main-1.js"))?;
    fs::remove_file(dir.path().join("font.woff2"))?;
    fs::write(dir.path().join("index.html"), "the next version")?;
    fs::write(dir.path().join("assets/main-2.js"), "2")?;
    page.refresh().await;
    assert_eq!(get(&page, "/", &[]).await?.body, "the next version");
    assert_eq!(get(&page, "/assets/main-2.js", &[]).await?.body, "2");
    assert_eq!(get(&page, "/assets/main-1.js", &[]).await?.body, SCRIPT);
    assert_eq!(
        get(&page, "/font.woff2", &[]).await?.status,
        StatusCode::NOT_FOUND
    );
    Ok(())
}

#[tokio::test]
async fn without_a_page_it_is_told_how_to_get_one_until_there_is_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let page = Page::new(Some(dir.path().join("dist")), false);
    for (absent, words) in [
        (Absent::NotBuilt, "nodejs.org"),
        (Absent::Building, "http-equiv=\"refresh\""),
        (
            Absent::Failed("it is &lt; broken".to_owned()),
            "it is &#38;lt; broken",
        ),
    ] {
        page.set_absent(absent);
        let answer = get(&page, "/", &[]).await?;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains(words), "{}", answer.body);
        assert!(!answer.body.contains("<script"));
        assert!(
            answer
                .says(header::CONTENT_SECURITY_POLICY)
                .starts_with("default-src 'none'; style-src 'sha256-")
        );
    }
    let person = [("accept", "text/html")];
    assert_eq!(
        get(&page, "/settings", &person).await?.status,
        StatusCode::NOT_FOUND
    );
    build(&dir.path().join("dist"))?;
    page.refresh().await;
    assert_eq!(get(&page, "/settings", &person).await?.body, INDEX);
    Ok(())
}

#[cfg(feature = "embed-web")]
#[tokio::test]
async fn a_page_that_is_part_of_the_program_is_served_like_any_other() -> anyhow::Result<()> {
    let page = Page::new(None, false);
    let person = [("accept", "text/html"), ("accept-encoding", "br")];
    let answer = get(&page, "/c/anything", &person[..1]).await?;
    assert!(answer.body.contains("<div id=\"app\">"), "{}", answer.body);
    let (_, response) = {
        let mut request = axum::http::Request::builder().uri("/");
        for (name, value) in person {
            request = request.header(name, value);
        }
        page.answer(&request.body(())?.into_parts().0, false).await
    };
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "br");
    assert!(response.headers().contains_key(header::ETAG));
    let none = get(&Page::new(None, true), "/", &person).await?;
    assert!(none.body.contains("nodejs.org"), "{}", none.body);
    Ok(())
}
