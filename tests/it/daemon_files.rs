//! What the daemon keeps on disk: keys that are never made twice, a memory that
//! is never half written, documents read in order.

use lockgate::daemon::accepted::{self, AcceptedError};
use lockgate::daemon::document_file::DocumentFile;
use lockgate::daemon::keys::{self, KeyFileError};
use lockgate::daemon::memory::{self, Memory, MemoryError};
use lockgate::daemon::source::{Reading, Source, SourceError};
use lockgate::net::{PrivateKey, TenantName, Timestamp};
use lockgate::reconcile::Borrowed;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

fn tenant() -> TenantName {
    "acme/gw".parse().unwrap()
}

fn state() -> TempDir {
    let state = TempDir::new().unwrap();
    fs::create_dir(state.path().join("keys")).unwrap();
    state
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let state = state();
    let first = keys::load_or_create(state.path(), &tenant(), [7; 32]).unwrap();
    let second = keys::load_or_create(state.path(), &tenant(), [9; 32]).unwrap();
    assert_eq!(first, second);
    let path = keys::path(state.path(), &tenant());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left beside it");
}

#[test]
fn a_key_file_that_cannot_be_used_is_never_replaced() {
    let state = state();
    let path = keys::path(state.path(), &tenant());
    fs::write(&path, "not a key\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let error = keys::load_or_create(state.path(), &tenant(), [7; 32]).unwrap_err();
    assert!(matches!(error, KeyFileError::Content(..)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a key\n");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let state = state();
    let path = keys::path(state.path(), &tenant());
    fs::write(&path, PrivateKey::from_random([7; 32]).to_base64().as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = keys::load_or_create(state.path(), &tenant(), [7; 32]).unwrap_err();
    assert!(matches!(error, KeyFileError::Permissions(_)), "{error}");
}

fn some_memory() -> Memory {
    let key = PrivateKey::from_random([3; 32]).public();
    Memory {
        ports: [(tenant(), 51_820)].into(),
        endpoints: [((tenant(), key), "192.0.2.7:51820".parse().unwrap())].into(),
        stamp_ceiling: Timestamp::new(1_800_000_000, 5),
        borrowed: Borrowed::new([("net.ipv6.conf.eth0/7.forwarding".parse().unwrap(), 0)].into()),
        key_ages: [((tenant(), key), Timestamp::new(1_700_000_000, 0))].into(),
        lost_sites: [(tenant(), "hq".parse().unwrap())].into(),
    }
}

#[test]
fn memory_is_read_as_it_was_written() {
    let state = state();
    let path = state.path().join("memory.json");
    assert_eq!(memory::read(&path).unwrap(), Memory::default());
    memory::write(&path, &some_memory()).unwrap();
    assert_eq!(memory::read(&path).unwrap(), some_memory());
}

#[test]
fn a_torn_memory_is_told_and_not_used() {
    let state = state();
    let path = state.path().join("memory.json");
    memory::write(&path, &some_memory()).unwrap();
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let error = memory::read(&path).unwrap_err();
        assert!(matches!(error, MemoryError::Damaged(_)), "{error} at {len}");
    }
    let text = String::from_utf8(whole).unwrap();
    fs::write(&path, text.replace("51820", "51821")).unwrap();
    assert!(matches!(memory::read(&path), Err(MemoryError::Damaged(_))), "a changed digit");
}

#[test]
fn the_accepted_set_is_read_as_it_was_written_and_for_its_own_place_alone() {
    let state = state();
    let (path, place) = (state.path().join("accepted.json"), Path::new("/etc/lockgate"));
    assert_eq!(accepted::read(&path, place).unwrap(), None);
    let files = vec![DocumentFile::kept("a.yaml".to_owned(), "é: 1\n".as_bytes().to_vec())];
    accepted::write(&path, place, &files).unwrap();
    assert_eq!(accepted::read(&path, place).unwrap(), Some(files));
    assert_eq!(accepted::read(&path, Path::new("/etc/other")).unwrap(), None);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let error = accepted::read(&path, place).unwrap_err();
        assert!(matches!(error, AcceptedError::Damaged(_)), "{error} at {len}");
    }
    let text = String::from_utf8(whole).unwrap();
    fs::write(&path, text.replace(": 1", ": 2")).unwrap();
    let damaged = accepted::read(&path, place);
    assert!(matches!(damaged, Err(AcceptedError::Damaged(_))), "a changed digit");
}

/// A process that ends at any moment leaves a bound of all stamps it sent,
/// whatever its clock did; and the next one sends only stamps after it.
#[test]
fn stamps_sent_since_the_last_write_were_forgotten_in_a_crash() {
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    let mut wall = Timestamp::new(1_800_000_000, 0);
    let mut memory = Memory::default();
    for process in 0..6 {
        // As a device does: after everything sent, and else by the clock.
        let mut last = memory.stamp_ceiling;
        for second in 0..200 {
            if second % 5 == 0 {
                memory.reserve_stamps(wall, last);
            }
            last = wall.max(last + Duration::from_millis(17));
            assert!(last < memory.stamp_ceiling, "process {process}, second {second}");
            wall = wall + Duration::from_secs(1);
        }
        // Never so far ahead that a clock put right would take long to come up.
        assert!(memory.stamp_ceiling.since(wall.max(last)) <= Duration::from_secs(60));
        wall = if process % 2 == 0 { wall.before(day) } else { wall + hour };
    }
}

#[test]
fn reserved_stamps_are_not_written_with_each_stamp() {
    let mut memory = Memory::default();
    let begun = Timestamp::new(1_800_000_000, 0);
    let mut writes = 0;
    for second in 0..600 {
        let before = memory.stamp_ceiling;
        let wall = begun + Duration::from_secs(second);
        memory.reserve_stamps(wall, wall);
        writes += u32::from(memory.stamp_ceiling != before);
    }
    assert!(writes <= 16, "{writes} in ten minutes");
}

#[test]
fn documents_are_read_in_the_order_of_their_names_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    for (name, text) in [("b.yaml", "b"), ("a.yml", "a"), (".hidden.yaml", "x"), ("notes.txt", "x")]
    {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let secret = directory.path().join("secrets/acme/poznan-psk");
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("psk"), "canary").unwrap();
    let reading = Source::new(directory.path().to_owned(), None).read().unwrap();
    let texts: Vec<&[u8]> = reading.files.iter().map(|file| &*file.bytes).collect();
    assert_eq!(texts, [b"a", b"b"]);
    let first = directory.path().join("a.yml").display().to_string();
    assert_eq!(reading.files[0].name, first, "as it was given, so that an editor finds it");
    assert_eq!(reading.secrets.find("acme", "poznan-psk", "psk").unwrap(), b"canary");
    assert!(!format!("{reading:?}").contains("canary"));
}

/// Half of a file may be a sound set of documents: of fewer tenants, or of a site
/// without the rules that come after.
#[tokio::test]
async fn half_a_file_was_taken_for_a_change() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("acme.yaml");
    let sentinel = |n: u8| directory.path().join(format!("sentinel-{n}"));
    for n in 0..3 {
        fs::write(sentinel(n), "").unwrap();
    }
    let (sender, mut notices) = tokio::sync::mpsc::channel(64);
    let source = Source::new(directory.path().to_owned(), None);
    let _watcher = source.watch(sender).unwrap();
    let mut told = async |count: usize| {
        for seen in 0..count {
            let notice = timeout(Duration::from_secs(10), notices.recv()).await;
            assert_eq!(notice, Ok(Some(())), "{seen} of {count} notices came");
        }
        let more = timeout(Duration::from_millis(200), notices.recv()).await;
        assert!(more.is_err(), "more than {count} notices came");
    };
    // Each removal is told once, after all that came before it.
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"half").unwrap();
    fs::remove_file(sentinel(0)).unwrap();
    told(1).await;
    file.write_all(b" and half").unwrap();
    fs::remove_file(sentinel(1)).unwrap();
    told(1).await;
    drop(file);
    fs::remove_file(sentinel(2)).unwrap();
    told(2).await;
}

#[test]
fn a_directory_without_documents_is_an_error_and_not_the_wish_to_remove_everyone() {
    let directory = TempDir::new().unwrap();
    let error = Source::new(directory.path().to_owned(), None).read().unwrap_err();
    assert!(matches!(error, SourceError::Empty(_)), "{error}");
}

/// A file larger than any set of documents is told by its size, unread.
#[test]
fn a_file_without_end_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.yaml");
    let most = lockgate::model::limits::DOCUMENT_FILE_BYTES;
    fs::File::create(&path).unwrap().set_len(most + 1).unwrap();
    let error = Source::new(directory.path().to_owned(), None).read().unwrap_err();
    assert!(matches!(&error, SourceError::TooLarge(file) if *file == path), "{error}");
    assert_eq!(error.to_string(), format!("{} is larger than 64 MiB", path.display()));
}

/// How files are read after they were read before: by the time, size and number of
/// each. Whether one was read again shows in whether its bytes are the same ones.
#[test]
fn a_file_is_read_again_only_when_it_may_have_changed() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["a.yaml", "b.yaml"] {
        fs::write(path(name), "one").unwrap();
    }
    let source = Source::new(directory.path().to_owned(), None);
    let written = fs::metadata(path("b.yaml")).unwrap().ctime();
    let at = |seconds: i64| Timestamp::new(u64::try_from(written + seconds).unwrap(), 0);
    let same = |one: &Reading, other: &Reading| {
        let files = one.files.iter().zip(&other.files);
        files.map(|(one, other)| Arc::ptr_eq(&one.bytes, &other.bytes)).collect::<Vec<_>>()
    };
    // Read in the second it was written in, it may be written again in that second.
    let first = source.read_after(&[], at(0)).unwrap();
    let second = source.read_after(&first.files, at(60)).unwrap();
    assert_eq!(same(&first, &second), [false, false]);
    let third = source.read_after(&second.files, at(60)).unwrap();
    assert_eq!(same(&second, &third), [true, true]);
    // Written in place, with its length and its times as they were.
    let file = fs::File::options().write(true).open(path("a.yaml")).unwrap();
    let times = fs::FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
    (&file).write_all(b"two").unwrap();
    file.set_times(times).unwrap();
    drop(file);
    let fourth = source.read_after(&third.files, at(60)).unwrap();
    assert_eq!((same(&third, &fourth), &*fourth.files[0].bytes), (vec![false, true], &b"two"[..]));
    // Another file of the same size in its place; and one through a link.
    fs::write(path("new"), "six").unwrap();
    fs::rename(path("new"), path("b.yaml")).unwrap();
    let fifth = source.read_after(&fourth.files, at(60)).unwrap();
    assert_eq!(&*fifth.files[1].bytes, b"six");
    fs::remove_file(path("a.yaml")).unwrap();
    std::os::unix::fs::symlink("b.yaml", path("a.yaml")).unwrap();
    let sixth = source.read_after(&fifth.files, at(60)).unwrap();
    assert_eq!(&*sixth.files[0].bytes, b"six");
    // One that is gone is not among them, however well it is known.
    fs::remove_file(path("a.yaml")).unwrap();
    assert_eq!(source.read_after(&sixth.files, at(60)).unwrap().files.len(), 1);
}
