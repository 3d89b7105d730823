//! `/openapi.json`: what can be asked here and what is answered (OpenAPI 3.1).
//!
//! The schemas are made from the very types that are sent: those of OpenAPI 3.1 are JSON
//! Schema 2020-12, as the documents' own schemas are.

use super::api::NotFound;
use crate::status::{RibPage, SiteSnapshot, Snapshot, TenantSnapshot};
use axum::Json;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

pub(super) async fn openapi() -> Json<Value> {
    Json(document())
}

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let paths = paths(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lockgate",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            "description": "How a gateway and its tenants are. Nothing can be changed here: GET \
                and HEAD alone are answered. Fields are added under the same path; a change that \
                would break a reader gets another version.",
        },
        "paths": paths,
        // Nothing is asked for on the unix socket, and where a gateway was given no tokens.
        "security": [{}, {"bearer": []}, {"basic": []}, {"certificate": []}],
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer",
                    "description": "A token of `lockgate token new`. It shows all tenants, or \
                    those it was made for and no sign of others."},
                "basic": {"type": "http", "scheme": "basic",
                    "description": "The same token as the password; any name."},
                "certificate": {"type": "mutualTLS",
                    "description": "A certificate of an authority the gateway was given."},
            },
        },
    })
}

fn paths(schemas: &mut SchemaGenerator) -> Map<String, Value> {
    let namespace = name("namespace", "acme", "The tenant's namespace.");
    let tenant = name("tenant", "gw", "The name of its gateway.");
    let site = name("site", "hq", "The site's name.");
    let network = |name: &str, what: &str| {
        let prefix = json!({"type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$", "examples": ["192.0.2.0/24"]});
        json!({"name": name, "in": "query", "required": false, "schema": prefix, "description": what})
    };
    let not_found = || -> Answer<'static> { (404, "It is not there.", json_of::<NotFound>) };
    let mut paths = Map::new();
    let mut add = |path: &str, operation: Operation<'_>| {
        paths.insert(path.to_owned(), operation.describe(schemas));
    };
    add(
        "/api/v1/status",
        Operation {
            id: "status",
            what: "The whole gateway.",
            parameters: vec![],
            answers: vec![(200, "How it is.", json_of::<Snapshot>)],
        },
    );
    add(
        "/api/v1/tenants/{namespace}/{tenant}",
        Operation {
            id: "tenant",
            what: "One tenant.",
            parameters: vec![&namespace, &tenant],
            answers: vec![(200, "How it is.", json_of::<TenantSnapshot>), not_found()],
        },
    );
    add(
        "/api/v1/tenants/{namespace}/{tenant}/sites/{site}",
        Operation {
            id: "site",
            what: "One site.",
            parameters: vec![&namespace, &tenant, &site],
            answers: vec![(200, "How it is.", json_of::<SiteSnapshot>), not_found()],
        },
    );
    let prefix = network("prefix", "About this network alone.");
    let after = network("after", "Of the others, those after this one: `next` of the page before.");
    add(
        "/api/v1/tenants/{namespace}/{tenant}/rib",
        Operation {
            id: "rib",
            what: "What its BGP neighbors said, in pages.",
            parameters: vec![&namespace, &tenant, &prefix, &after],
            answers: vec![
                (200, "A page of it.", json_of::<RibPage>),
                (400, "That is no network.", text),
                not_found(),
                (503, "Busy; ask again.", text),
            ],
        },
    );
    let of = json!({"name": "tenant", "in": "query", "required": false,
        "schema": {"type": "string", "examples": ["acme/gw"]},
        "description": "What happens at this tenant alone."});
    let last = json!({"name": "Last-Event-ID", "in": "header", "required": false,
        "schema": {"type": "string"}, "description": "Go on after this event."});
    add(
        "/api/v1/events",
        Operation {
            id: "events",
            what: "What happens, as it happens: `change` with an event, `snapshot` when there is a \
            new one, `gap` when something was missed. The stream ends within a minute; come back \
            with `Last-Event-ID`.",
            parameters: vec![&of, &last],
            answers: vec![
                (200, "Server-sent events.", stream),
                (400, "That is no tenant's name.", text),
                (503, "Too many readers.", text),
            ],
        },
    );
    add(
        "/livez",
        Operation {
            id: "livez",
            what: "Whether the control loop goes round.",
            parameters: vec![],
            answers: vec![(200, "It does.", text), (503, "It hangs.", text)],
        },
    );
    let verbose = json!({"name": "verbose", "in": "query", "required": false,
        "allowEmptyValue": true, "schema": {"type": "string"}, "description": "Say what was checked."});
    add(
        "/readyz",
        Operation {
            id: "readyz",
            what: "Whether the gateway does its work. No customer's site counts.",
            parameters: vec![&verbose],
            answers: vec![(200, "It does.", text), (503, "It does not, and why.", text)],
        },
    );
    add(
        "/metrics",
        Operation {
            id: "metrics",
            what: "Metrics for Prometheus, in the text format or as OpenMetrics.",
            parameters: vec![],
            answers: vec![(200, "All of them.", measures)],
        },
    );
    paths
}

type Content = fn(&mut SchemaGenerator) -> Value;

/// A status, what it means, and what comes with it.
type Answer<'a> = (u16, &'a str, Content);

/// One thing that can be asked.
struct Operation<'a> {
    id: &'a str,
    what: &'a str,
    parameters: Vec<&'a Value>,
    answers: Vec<Answer<'a>>,
}

impl Operation<'_> {
    fn describe(self, schemas: &mut SchemaGenerator) -> Value {
        let mut answers = Map::new();
        if !matches!(self.id, "livez" | "readyz") {
            let answer = json!({"description": "Show a token.", "content": text(schemas)});
            answers.insert("401".to_owned(), answer);
        }
        if matches!(self.id, "status" | "tenant" | "site" | "rib") {
            let known = "You have it already (`If-None-Match`).";
            answers.insert("304".to_owned(), json!({"description": known}));
        }
        for (status, what, content) in self.answers {
            let answer = json!({"description": what, "content": content(schemas)});
            answers.insert(status.to_string(), answer);
        }
        json!({"get": {
            "operationId": self.id,
            "summary": self.what,
            "parameters": self.parameters,
            "responses": answers,
        }})
    }
}

fn name(name: &str, example: &str, what: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": what, "example": example,
        "schema": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}})
}

fn json_of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    json!({"application/json": {"schema": schemas.subschema_for::<T>()}})
}

fn text(_: &mut SchemaGenerator) -> Value {
    json!({"text/plain": {"schema": {"type": "string"}}})
}

fn stream(_: &mut SchemaGenerator) -> Value {
    json!({"text/event-stream": {"schema": {"type": "string"}}})
}

fn measures(_: &mut SchemaGenerator) -> Value {
    json!({
        "text/plain": {"schema": {"type": "string"}},
        "application/openmetrics-text": {"schema": {"type": "string"}},
    })
}
