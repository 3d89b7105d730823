//! The schemas of the three kinds, for a cluster and for an editor.

use super::document::Kind;
use super::schema::{API_VERSION, ConnectivityClass, SiteAttachment, TenantGateway};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::crd::CustomResourceExt;
use serde_json::{Map, Value as Json, json};

/// The definitions of the three kinds.
pub fn definitions() -> [CustomResourceDefinition; 3] {
    [ConnectivityClass::crd(), TenantGateway::crd(), SiteAttachment::crd()].map(|definition| {
        let mut json = serde_json::to_value(&definition).unwrap_or_default();
        name_known_formats(&mut json);
        serde_json::from_value(json).unwrap_or(definition)
    })
}

/// The API server knows no `uint32` and warns of it; `int64` holds each.
fn name_known_formats(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            if fields.get("format").and_then(Json::as_str) == Some("uint32") {
                fields.insert("format".to_owned(), Json::from("int64"));
            }
            fields.values_mut().for_each(name_known_formats);
        }
        Json::Array(list) => list.iter_mut().for_each(name_known_formats),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The definitions as YAML, for `kubectl apply`.
///
/// # Errors
/// Never for the types as they are; the writer says so, not we.
pub fn crds() -> Result<String, serde_saphyr::SerializeError> {
    let mut text = String::new();
    for definition in definitions() {
        text.push_str("---\n");
        // Through JSON, so that the order of fields is always the same.
        let json = serde_json::to_value(&definition).unwrap_or_default();
        text.push_str(&serde_saphyr::to_string(&json)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// One JSON schema for documents of all kinds, for an editor's completion. It
/// refuses unknown fields, as the gateway does.
pub fn json_schema() -> Json {
    let kinds: Vec<Json> = definitions().into_iter().zip(Kind::ALL).map(|(definition, kind)| {
        let version = definition.spec.versions.into_iter().next();
        let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
        let mut spec = schema
            .and_then(|schema| serde_json::to_value(schema.properties?.remove("spec")?).ok())
            .unwrap_or_default();
        close(&mut spec);
        let mut metadata = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
                "namespace": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
                "labels": {"type": "object"},
                "annotations": {"type": "object"},
            },
        });
        let mut required = vec!["apiVersion", "kind", "metadata"];
        if kind == Kind::ConnectivityClass {
            if let Some(fields) = metadata.get_mut("properties").and_then(Json::as_object_mut) {
                fields.remove("namespace");
            }
        } else {
            required.push("spec");
        }
        json!({
            "title": kind.name(),
            "type": "object",
            "required": required,
            "additionalProperties": false,
            "properties": {
                "apiVersion": {"const": API_VERSION},
                "kind": {"const": kind.name()},
                "metadata": metadata,
                "spec": spec,
                "status": {"type": "object"},
            },
        })
    }).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Documents of lockgate",
        "oneOf": kinds,
    })
}

/// Turns a schema of the API server's dialect into a plain one that refuses
/// fields it does not name.
fn close(schema: &mut Json) {
    match schema {
        Json::Object(fields) => {
            let is_union = fields.remove("x-kubernetes-int-or-string").is_some();
            fields.retain(|name, _| !name.starts_with("x-kubernetes-"));
            if is_union {
                fields.insert("type".to_owned(), json!(["integer", "string"]));
            }
            if fields
                .get("format")
                .and_then(Json::as_str)
                .is_some_and(|format| format.contains("int"))
            {
                fields.remove("format");
            }
            allow_null(fields);
            if fields.get("properties").is_some_and(Json::is_object) {
                fields.insert("additionalProperties".to_owned(), Json::Bool(false));
            }
            fields.values_mut().for_each(close);
        }
        Json::Array(list) => list.iter_mut().for_each(close),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// `nullable` is OpenAPI's; JSON schema says it in `type`.
fn allow_null(fields: &mut Map<String, Json>) {
    if fields.remove("nullable") != Some(Json::Bool(true)) {
        return;
    }
    if let Some(Json::String(name)) = fields.get("type") {
        let both = json!([name, "null"]);
        fields.insert("type".to_owned(), both);
    }
    if let Some(Json::Array(values)) = fields.get_mut("enum") {
        values.push(Json::Null);
    }
}
