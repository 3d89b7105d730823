//! Documents that are shipped, good ones and bad ones: read and checked.

use lockgate::config::{Allocations, Documents, Options, Outcome, Secrets, validate};
use lockgate::model::Placement;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn yaml_files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{name} holds no documents");
    files
}

fn check(file: &Path, placement: Placement) -> Outcome {
    let bytes = std::fs::read(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let documents = Documents::parse([(name, bytes.as_slice())]);
    let options = Options { placement, ..Options::default() };
    validate(&documents, &Secrets::default(), &Allocations::new(), &options)
}

#[test]
fn every_shipped_config_is_accepted_whole() {
    for file in yaml_files("config") {
        let outcome = check(&file, Placement::PerTenant);
        assert_eq!(outcome.errors.to_string(), "", "{}", file.display());
        assert!(!outcome.config.tenants.is_empty(), "{}", file.display());
    }
}

#[test]
fn every_good_document_is_accepted() {
    for file in yaml_files("tests/data/config/good") {
        let outcome = check(&file, Placement::PerTenant);
        assert_eq!(outcome.errors.to_string(), "", "{}", file.display());
    }
}

/// Each bad file has its errors in a file beside it.
#[test]
fn every_bad_document_is_refused_with_the_expected_errors() {
    for file in yaml_files("tests/data/config/bad") {
        let outcome = check(&file, Placement::PerTenant);
        assert!(!outcome.errors.is_empty(), "{} was accepted", file.display());
        expect_test::expect_file![file.with_extension("errors")]
            .assert_eq(&outcome.errors.to_string());
    }
}
