//! The gateway's key files through a rotation: whenever it is interrupted, no key is
//! lost, and whoever begins again ends as if nothing had been.

use lockgate::daemon::key_rotation::{self, RetireStep, Rotated, RotationError};
use lockgate::daemon::keys::{self, KeyFileError};
use lockgate::gateway::Identity;
use lockgate::net::{PrivateKey, PublicKey, TenantName};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn tenant() -> TenantName {
    "acme/gw".parse().unwrap()
}

fn public(number: u8) -> PublicKey {
    PrivateKey::from_random([number; 32]).public()
}

/// A state directory with the tenant's first key, 1.
fn state() -> TempDir {
    let state = TempDir::new().unwrap();
    fs::create_dir(state.path().join("keys")).unwrap();
    keys::load_or_create(state.path(), &tenant(), [1; 32]).unwrap();
    state
}

/// Who a gateway that starts now is.
fn identity(state: &Path) -> Identity {
    let none = || Err(KeyFileError::NoRandom);
    keys::identity(state, &tenant(), None, none).unwrap()
}

fn publics(identity: &Identity) -> Vec<PublicKey> {
    identity.keys().map(|key| key.public).collect()
}

/// The public halves of all key files.
fn files(state: &Path) -> Vec<PublicKey> {
    let files = fs::read_dir(state.join("keys")).unwrap();
    let mut keys: Vec<PublicKey> =
        files.map(|file| keys::load(&file.unwrap().path()).unwrap().unwrap().public()).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn a_next_key_is_made_once_and_for_its_owner_alone() {
    let state = state();
    let first = key_rotation::rotate(state.path(), &tenant(), [2; 32]).unwrap();
    assert_eq!(first, Rotated { current: public(1), next: public(2), was_there: false });
    let again = key_rotation::rotate(state.path(), &tenant(), [3; 32]).unwrap();
    assert_eq!(again, Rotated { was_there: true, ..first });
    let path = keys::next_path(state.path(), &tenant());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2, "nothing left beside it");
    assert_eq!(publics(&identity(state.path())), [public(1), public(2)]);
}

#[test]
fn no_key_is_followed_by_another_before_there_is_one() {
    let state = TempDir::new().unwrap();
    fs::create_dir(state.path().join("keys")).unwrap();
    let error = key_rotation::rotate(state.path(), &tenant(), [2; 32]).unwrap_err();
    assert!(matches!(error, RotationError::NoKey(..)), "{error}");
    assert_eq!(fs::read_dir(state.path().join("keys")).unwrap().count(), 0);
}

#[test]
fn a_key_that_is_retired_is_kept_beside_the_one_that_followed_it() {
    let state = state();
    assert_eq!(key_rotation::retire(state.path(), &tenant()).unwrap(), None, "there is one key");
    key_rotation::rotate(state.path(), &tenant(), [2; 32]).unwrap();
    let retired = key_rotation::retire(state.path(), &tenant()).unwrap().unwrap();
    assert_eq!((retired.current, retired.next), (public(1), public(2)));
    assert_eq!(publics(&identity(state.path())), [public(2)]);
    let kept = keys::load(&key_rotation::retired_path(state.path(), &tenant())).unwrap();
    assert_eq!(kept.unwrap().public(), public(1));
    assert_eq!(key_rotation::retire(state.path(), &tenant()).unwrap(), None, "it is done");
    // The next time the one kept is the one retired then.
    key_rotation::rotate(state.path(), &tenant(), [3; 32]).unwrap();
    key_rotation::retire(state.path(), &tenant()).unwrap().unwrap();
    assert_eq!(publics(&identity(state.path())), [public(3)]);
    let mut left = vec![public(2), public(3)];
    left.sort();
    assert_eq!(files(state.path()), left);
}

/// Killed after each step, and after each step done twice.
#[test]
fn a_rotation_that_is_interrupted_loses_no_key() {
    for done in 0..=RetireStep::ALL.len() {
        for again in [false, true] {
            let state = state();
            let state = state.path();
            key_rotation::rotate(state, &tenant(), [2; 32]).unwrap();
            for step in &RetireStep::ALL[..done] {
                step.carry_out(state, &tenant()).unwrap();
                if again && *step == RetireStep::Keep {
                    step.carry_out(state, &tenant()).unwrap();
                }
            }
            let mut both = vec![public(1), public(2)];
            both.sort();
            assert_eq!(files(state), both, "after {done} steps");
            let who = publics(&identity(state));
            let is_done = done == RetireStep::ALL.len();
            let expected = if is_done { vec![public(2)] } else { vec![public(1), public(2)] };
            assert_eq!(who, expected, "after {done} steps");
            key_rotation::retire(state, &tenant()).unwrap();
            assert_eq!(publics(&identity(state)), [public(2)], "done again after {done} steps");
            assert_eq!(files(state), both, "done again after {done} steps");
            let count = fs::read_dir(state.join("keys")).unwrap().count();
            assert_eq!(count, 2, "nothing left beside them");
        }
    }
}

/// Half a key, or one that others may read, is not put in the place of one that is good.
#[test]
fn a_next_key_that_is_none_is_not_put_in_place() {
    let state = state();
    let path = keys::next_path(state.path(), &tenant());
    fs::write(&path, "half of\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let error = key_rotation::retire(state.path(), &tenant()).unwrap_err();
    assert!(matches!(error, RotationError::Key(KeyFileError::Content(..))), "{error}");
    let current = keys::load(&keys::path(state.path(), &tenant())).unwrap().unwrap();
    assert_eq!(current.public(), public(1));
}

/// Who runs meanwhile sees one key, then both, then the other, though it keeps what it
/// has read: a key that was rotated and retired in one breath was taken for the old one.
#[test]
fn a_key_that_took_the_place_of_another_is_read_again() {
    let state = state();
    let state = state.path();
    let none = || Err(KeyFileError::NoRandom);
    let known = identity(state);
    key_rotation::rotate(state, &tenant(), [2; 32]).unwrap();
    key_rotation::retire(state, &tenant()).unwrap().unwrap();
    let after = keys::identity(state, &tenant(), Some(&known), none).unwrap();
    assert_eq!(publics(&after), [public(2)]);
    assert!(known.current.made.is_some() && known.current.made <= after.current.made);
    // One whose file is gone is still who it is.
    fs::remove_file(keys::path(state, &tenant())).unwrap();
    let gone = keys::identity(state, &tenant(), Some(&after), none).unwrap();
    assert_eq!(gone.current.public, public(2));
}
