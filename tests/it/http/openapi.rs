//! `/openapi.json`.

use super::server::Server;
use lockgate::http::openapi_document;
use serde_json::Value;

/// Every `$ref` in `value`.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_path_it_names_is_answered_and_every_reference_leads_somewhere() {
    let server = Server::start();
    let document = server.ask("/openapi.json").json();
    assert_eq!(document, openapi_document());
    assert_eq!(document["openapi"], "3.1.0");
    for path in document["paths"].as_object().unwrap().keys() {
        let asked = path
            .replace("{namespace}", "acme")
            .replace("{tenant}", "gw")
            .replace("{site}", "poznan");
        // A stream has no end to wait for; `live` tries it.
        let status = if asked.ends_with("/events") { 200 } else { server.ask(&asked).status() };
        assert_eq!(status, 200, "{asked}");
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(20 < found.len());
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn counters_are_texts_and_moments_are_times() {
    let document = openapi_document();
    let site = &document["components"]["schemas"]["SiteSnapshot"]["properties"];
    assert_eq!(site["receivedBytes"]["$ref"], "#/components/schemas/Count");
    assert_eq!(document["components"]["schemas"]["Count"]["type"], "string");
    assert_eq!(document["components"]["schemas"]["Moment"]["format"], "date-time");
    assert_eq!(site["name"]["type"], "string");
}
