//! Which file a request means, in which form, and whether the one who asks has it already (RFC 9110).

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    files::{File, Files, Form, HASHED},
    headers,
};

/// What a proxy that ends TLS says.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Never the page's, whether or not there is such a route.
const NOT_THE_PAGE: [&str; 4] = ["v1", "healthz", "readyz", "metrics"];

/// What a request for the page asks for.
pub(super) struct Asked<'a> {
    path: &'a str,
    headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    /// `None` if the request is for something else.
    pub fn of(request: &'a Parts) -> Option<Self> {
        let read = matches!(request.method, Method::GET | Method::HEAD);
        let path = request.uri.path().strip_prefix('/')?;
        let first = path.split_once('/').map_or(path, |(first, _)| first);
        (read && !NOT_THE_PAGE.contains(&first)).then_some(Self {
            path,
            headers: &request.headers,
        })
    }

    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    /// The file of that very path; the page itself for any other address that a person opens, as the page
    /// knows what it means.
    pub fn file<'f>(&self, files: &'f Files) -> Option<(&'f str, &'f File)> {
        if self.is_root() {
            return files.index();
        }
        let opened = || !self.path.starts_with(HASHED) && self.says(&header::ACCEPT, "text/html");
        files
            .get(self.path)
            .or_else(|| files.index().filter(|_| opened()))
    }

    /// The answer with that file, and what to count it as.
    pub fn answer(&self, path: &str, file: &File, edge_is_https: bool) -> (&'static str, Response) {
        let https = edge_is_https || self.says(&FORWARDED_PROTO, "https");
        let (form, encoding) = self.form(file);
        let has_it = self.lists(&header::IF_NONE_MATCH).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag == form.tag
        });
        let (what, mut response) = if has_it {
            ("unchanged", StatusCode::NOT_MODIFIED.into_response())
        } else {
            ("sent", Response::new(Body::from(form.bytes.clone())))
        };
        let said = response.headers_mut();
        said.extend(headers::of(path, https));
        if let Ok(tag) = HeaderValue::from_str(&form.tag) {
            said.insert(header::ETAG, tag);
        }
        if file.brotli.is_some() || file.gzip.is_some() {
            said.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if !has_it {
            said.insert(header::CONTENT_LENGTH, HeaderValue::from(form.bytes.len()));
            if let Some(encoding) = encoding {
                said.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
        }
        (what, response)
    }

    /// The smallest form that is taken.
    fn form<'f>(&self, file: &'f File) -> (&'f Form, Option<&'static str>) {
        let forms = [(&file.brotli, "br"), (&file.gzip, "gzip")];
        let taken = forms.into_iter().find_map(|(form, encoding)| {
            Some((form.as_ref().filter(|_| self.takes(encoding))?, Some(encoding)))
        });
        taken.unwrap_or((&file.plain, None))
    }

    /// Whether an encoding is accepted: named, or all are, and not with the weight 0.
    fn takes(&self, encoding: &str) -> bool {
        let weighed = |name: &str| {
            self.lists(&header::ACCEPT_ENCODING).find_map(|item| {
                let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
                coding.trim().eq_ignore_ascii_case(name).then(|| {
                    let weight = parameters.trim().trim_start_matches(['q', 'Q', '=']);
                    weight.parse().unwrap_or(1.0) > 0.0_f32
                })
            })
        };
        weighed(encoding).or_else(|| weighed("*")).unwrap_or(false)
    }

    fn says(&self, name: &HeaderName, what: &str) -> bool {
        self.lists(name).any(|item| {
            let value = item.split(';').next().unwrap_or(item);
            value.trim().eq_ignore_ascii_case(what)
        })
    }

    /// The items of a header that is a list, over all its lines.
    fn lists(&self, name: &HeaderName) -> impl Iterator<Item = &'a str> {
        let lines = self.headers.get_all(name).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
    }
}
