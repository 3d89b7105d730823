//! The house rules, as a test: which room may name which, what the ground floor
//! never touches, how long a file may be, and that each one introduces itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room of the ground floor and the rooms it may name.
const GROUND_FLOOR: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("model", &["net"]),
    ("config", &["net", "model"]),
    ("customer", &["net", "model"]),
    ("packet", &["net"]),
    ("bfd", &["net", "model"]),
    ("probe", &["net", "model"]),
    ("bgp", &["net", "model", "reconcile"]),
    ("wireguard", &["net", "packet", "model"]),
    ("reconcile", &["net", "model"]),
    ("status", &["net", "model", "config", "probe", "reconcile", "wireguard", "packet"]),
    ("dcn", &["net", "model", "status"]),
    (
        "gateway",
        &[
            "net",
            "model",
            "bfd",
            "bgp",
            "config",
            "customer",
            "packet",
            "probe",
            "reconcile",
            "status",
            "wireguard",
        ],
    ),
];

/// Each shell and the rooms it may name. Shells do not name each other; the
/// daemon and the command line introduce them.
const SHELLS: &[(&str, &[&str])] = &[
    // Of `wireguard` what a kernel's own device is: it is read and changed here.
    // Of `probe` what became of asking a device.
    ("linux", &["net", "model", "probe", "reconcile", "wireguard"]),
    ("datapath", &["net", "packet", "wireguard"]),
    ("http", &["net", "model", "status"]),
    ("nmaas", &["model"]),
];

/// What the ground floor may not name: clocks, sockets, files, threads, locks,
/// the environment, randomness.
const OUTSIDE: &[&str] = &[
    "tokio::",
    "rustix::",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "Instant::now",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "OsRng",
    "thread_rng",
    "getrandom",
];

/// A file longer than this is a defect.
const MAX_LINES: usize = 800;

#[test]
fn rooms_open_only_their_own_doors() {
    for (room, doors) in GROUND_FLOOR.iter().chain(SHELLS) {
        for (path, text) in files(room) {
            for line in code(&text) {
                for (at, _) in line.match_indices("crate::") {
                    let rest = &line[at + "crate::".len()..];
                    let target =
                        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                    let allowed = target.is_empty() || target == *room || doors.contains(&target);
                    assert!(allowed, "{}: `{room}` may not name `{target}`", path.display());
                }
            }
        }
    }
}

#[test]
fn the_ground_floor_does_not_look_outside() {
    for (room, _) in GROUND_FLOOR {
        for (path, text) in files(room) {
            for line in code(&text) {
                for word in OUTSIDE {
                    assert!(!line.contains(word), "{}: names `{word}`", path.display());
                }
            }
        }
    }
}

#[test]
fn the_bought_bgp_is_named_in_one_place() {
    for (path, text) in files("") {
        let is_facade = path.components().any(|part| part.as_os_str() == "proto");
        for line in code(&text) {
            let is_named = line.contains("rustbgpd_wire") || line.contains("rustbgpd_fsm");
            assert!(is_facade || !is_named, "{}: only `bgp/proto` may: {line}", path.display());
        }
    }
}

#[test]
fn files_are_short_and_introduce_themselves() {
    for (path, text) in files("") {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines; at most {MAX_LINES}", path.display());
        assert!(text.starts_with("//!"), "{}: no `//!` at the top", path.display());
    }
}

#[test]
fn every_room_is_listed() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let known = GROUND_FLOOR.iter().chain(SHELLS).any(|(name, _)| *name == room)
            || ["lib", "main", "cli", "daemon"].contains(&room.as_str());
        assert!(known, "{}: which rooms may it name?", path.display());
    }
}

/// The lines of `text` that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Every file of a room (`src/<room>.rs` or `src/<room>/`), or of all of `src` for `""`.
fn files(room: &str) -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut unread = vec![src.join(room)];
    if !room.is_empty() {
        unread.push(src.join(room).with_extension("rs"));
    }
    let mut found = Vec::new();
    while let Some(path) = unread.pop() {
        if path.is_dir() {
            unread.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "no files in room `{room}`");
    found
}
