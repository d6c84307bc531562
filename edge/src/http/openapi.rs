//! The HTTP API as an OpenAPI document, kept by hand in `docs/openapi.json` and equal to the code by
//! test: paths and methods here, answers by fuzzing a real edge (`tests/e2e/contract`).

use axum::{http::header, response::IntoResponse};

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// `GET /v1/openapi.json`.
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::routing::MethodFilter;
    use natterjack_nats::{limits, wire::Code};
    use serde_json::Value;

    use super::{super::routes, DOCUMENT};

    /// Served by the runtime and not by the table of routes.
    const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    fn object<'a>(value: &'a Value, what: &str) -> &'a serde_json::Map<String, Value> {
        value.as_object().unwrap_or_else(|| panic!("{what}: an object"))
    }

    fn method_name(method: MethodFilter) -> &'static str {
        let names = [
            (MethodFilter::GET, "get"),
            (MethodFilter::POST, "post"),
            (MethodFilter::PUT, "put"),
            (MethodFilter::PATCH, "patch"),
            (MethodFilter::DELETE, "delete"),
        ];
        let found = names.iter().find(|(filter, _)| *filter == method);
        found.unwrap_or_else(|| panic!("{method:?} has no name here")).1
    }

    #[test]
    fn every_route_is_documented_and_nothing_else_is() {
        let of_code: BTreeSet<_> = routes::all()
            .iter()
            .map(|route| (route.path.to_owned(), method_name(route.method).to_owned()))
            .chain(PROBES.map(|path| (path.to_owned(), "get".to_owned())))
            .collect();
        let document = document();
        let of_document: BTreeSet<_> = object(&document["paths"], "paths")
            .iter()
            .flat_map(|(path, item)| {
                let methods = object(item, path).keys();
                methods
                    .map(|method| (path.clone(), method.clone()))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(of_document, of_code);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_error_is_one_of_the_table_with_its_status() {
        let document = document();
        let code = &document["components"]["schemas"]["Code"];
        let codes: Vec<_> = Code::ALL.iter().map(|code| Value::from(code.as_str())).collect();
        assert_eq!(code["enum"], Value::from(codes));
        let mut used = BTreeSet::new();
        for (path, item) in object(&document["paths"], "paths") {
            for (method, operation) in object(item, path) {
                for (status, response) in object(&operation["responses"], "responses") {
                    let Some(reference) = response["$ref"].as_str() else {
                        assert!(!status.starts_with('4'), "{method} {path} {status}: the one form");
                        continue;
                    };
                    let name = reference.rsplit('/').next().expect("a name").to_owned();
                    for code in told(&document, &name) {
                        assert_eq!(code.status().to_string(), *status, "{method} {path}: {name}");
                    }
                    used.insert(name);
                }
            }
        }
        // The one that belongs to no operation.
        used.insert("MethodNotAllowed".to_owned());
        let known = object(&document["components"]["responses"], "responses");
        assert_eq!(used, known.keys().cloned().collect());
    }

    /// The codes that an answer may carry; `retryable` is theirs.
    fn told(document: &Value, response: &str) -> Vec<Code> {
        let response = &document["components"]["responses"][response];
        let schema = &response["content"]["application/json"]["schema"]["allOf"];
        assert_eq!(schema[0]["$ref"], "#/components/schemas/Error");
        let properties = &schema[1]["properties"];
        let codes = properties["code"]["enum"].clone();
        let codes: Vec<Code> = serde_json::from_value(codes).expect("codes of the table");
        for code in &codes {
            assert_eq!(properties["retryable"]["const"], code.retryable(), "{code}");
        }
        codes
    }

    #[test]
    fn the_limits_are_the_code() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let text = &schemas["NewMessage"]["properties"]["text"]["maxLength"];
        assert_eq!(*text, limits::TEXT_CHARS_MAX);
        assert_eq!(schemas["NewText"]["properties"]["text"]["maxLength"], *text);
        let page = &schemas["Page"]["properties"]["messages"]["maxItems"];
        assert_eq!(*page, limits::PAGE_MESSAGES_MAX);
        let list = &schemas["ConversationPage"]["properties"]["conversations"]["maxItems"];
        assert_eq!(*list, limits::PAGE_CONVERSATIONS_MAX);
        let name = &schemas["ProfileChange"]["properties"]["name"]["maxLength"];
        assert_eq!(*name, limits::NAME_CHARS_MAX);
        assert_eq!(schemas["EdgeList"]["maxItems"], limits::EDGES_NAMED_MAX);
        let asked = &document["paths"]["/v1/presence"]["get"]["parameters"][0]["schema"]["maxItems"];
        assert_eq!(*asked, limits::WATCH_USERS_MAX);
        assert_eq!(schemas["PresenceList"]["maxItems"], *asked);
        let unread = &schemas["ConversationSummary"]["properties"]["unread"]["maximum"];
        assert_eq!(*unread, limits::UNREAD_MAX);
    }
}
