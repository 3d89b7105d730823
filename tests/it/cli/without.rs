//! Verbs that need no gateway.

use super::program::{Ended, ask, command, run};
use std::path::Path;
use std::process::Stdio;

#[test]
fn completions_name_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        for verb in ["status", "show", "keys", "customer-config", "import", "demo"] {
            assert!(ended.stdout.contains(verb), "{shell} does not know {verb}");
        }
    }
}

#[test]
fn help_and_version_are_good() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("Exit codes"));
    let version = run(&["--version"]);
    assert_eq!(version.stdout, format!("lockgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

/// A file of the repository.
fn shipped(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

#[test]
fn check_finds_nothing_wrong_with_the_shipped_documents() {
    for file in ["config/minimal.yaml", "config/two-tenants-one-prefix.yaml"] {
        let ended = run(&["check", "-f", &shipped(file)]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
        assert!(ended.stdout.ends_with(": all good\n"), "{}", ended.stdout);
    }
}

/// Three documents with errors, in a directory with something else.
fn faulty() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("README", "not a document");
    write(
        "a.yaml",
        "apiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\nmetadata: {name: gw, namespace: a}\n\
         spec:\n  colour: red\n",
    );
    write("b.yml", "apiVersion: lockgate.dev/v1alpha1\nkind: Nonsense\nmetadata: {name: x}\n");
    write(
        "c.yaml",
        "apiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\nmetadata: {name: gw, namespace: c}\n\
         spec:\n  appPrefixes: [10.0.0.1/24]\n",
    );
    directory
}

#[test]
fn check_lists_every_error_with_its_place() {
    let directory = faulty();
    let path = directory.path().to_str().unwrap();
    let ended = run(&["check", "-f", path]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    let lines = ended.stdout.replace(path, "DIR");
    for part in
        ["DIR/a.yaml:5: ", "colour", "DIR/c.yaml:5: ", "10.0.0.0/24", "DIR/b.yml:", "Nonsense"]
    {
        assert!(lines.contains(part), "no {part:?} in:\n{lines}");
    }
}

#[test]
fn check_lists_errors_for_programs_too() {
    let directory = faulty();
    let ended = run(&["check", "-f", directory.path().to_str().unwrap(), "-o", "json"]);
    assert_eq!(ended.code, 1);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let errors = json["errors"].as_array().unwrap();
    assert!(errors.len() >= 3, "{json}");
    assert!(
        errors.iter().any(|error| error["line"] == 5 && error["path"] == "spec.appPrefixes[0]"),
        "{json}"
    );
}

/// A site of a VLAN with this id.
fn vlan_site(id: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: lockgate.dev/v1alpha1\nkind: TenantGateway\nmetadata: {{name: gw}}\nspec:\n  \
         appPrefixes: [10.136.40.0/24]\n  fabric: {{veth: {{peer: apps, addresses: [10.136.40.1/24]}}}}\n\
         ---\napiVersion: lockgate.dev/v1alpha1\nkind: SiteAttachment\nmetadata: {{name: hq}}\nspec:\n  \
         gatewayRef: {{name: gw}}\n  type: VLAN\n  prefixes: [{{cidr: 192.168.1.0/24}}]\n  \
         vlan: {{parent: eth2, id: {id}, addresses: [10.1.0.7/24], nextHop: 10.1.0.1}}\n"
    );
    std::fs::write(directory.path().join("a.yaml"), text).unwrap();
    directory
}

#[test]
fn check_tells_what_may_not_change_from_one_set_to_the_next() {
    let (old, new) = (vlan_site(30), vlan_site(31));
    let (old, new) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    assert_eq!(run(&["check", "-f", new]).code, 0);
    assert_eq!(run(&["check", "-f", new, "--previous", new]).code, 0);
    let ended = run(&["check", "-f", new, "--previous", old]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    let place = "/a.yaml:15: SiteAttachment/hq: spec.vlan.id: cannot be changed";
    assert!(ended.stdout.contains(place), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("1 error; 1 tenant and 1 site are good\n"), "{}", ended.stdout);
}

#[test]
fn check_does_not_wait_for_a_pipe_among_the_documents() {
    let directory = vlan_site(30);
    let pipe = directory.path().join("b.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let ended = run(&["check", "-f", directory.path().to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("b.yaml is no file"), "{}", ended.stderr);
}

/// `config/minimal.yaml` with another key of its customer, checked.
fn check_with_key(key: &str) -> Ended {
    let text = std::fs::read_to_string(shipped("config/minimal.yaml")).unwrap();
    let text = text.replace("xtIXAjhXx3EuhTA4JrKCugEX4q1x8gKYnkBK/gE9fAY=", key);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    run(&["check", "-f", file.to_str().unwrap()])
}

/// Fifteen private keys of sixteen are no public key, too; the others look like
/// one public key in sixteen.
#[test]
fn a_private_key_in_the_public_keys_place_was_let_pass() {
    let place = "a.yaml:17: SiteAttachment/hq: spec.wireGuard.publicKey: ";
    let (mut refused, mut noted) = (0, 0);
    for seed in 0..48 {
        let private = lockgate::net::PrivateKey::from_random([seed; 32]).to_base64();
        let ended = check_with_key(&private);
        assert!(!ended.stdout.contains(&*private), "the key was repeated: {}", ended.stdout);
        if ended.code == 1 {
            let error = format!("{place}is a PRIVATE key");
            assert!(ended.stdout.contains(&error), "{}", ended.stdout);
            refused += 1;
        } else {
            let note = format!("{place}looks like a private key");
            assert_eq!(ended.code, 0, "{}", ended.stdout);
            assert!(ended.stdout.contains(&note), "{}", ended.stdout);
            noted += 1;
        }
    }
    assert!(40 <= refused && 0 < noted, "{refused} refused, {noted} noted");
}

#[test]
fn a_public_key_is_never_taken_for_a_private_one() {
    let mut noted = 0;
    for seed in 0..64 {
        let public = lockgate::net::PrivateKey::from_random([seed; 32]).public();
        assert!(public.has_private_key(), "{public}");
        if seed % 8 == 0 {
            let ended = check_with_key(&public.to_string());
            assert_eq!(ended.code, 0, "{}", ended.stdout);
            noted += u32::from(ended.stdout.contains("looks like a private key"));
        }
    }
    assert!(noted < 8, "each is taken for one");
}

#[test]
fn documents_that_are_served_in_full_have_no_notes() {
    for file in ["config/minimal.yaml", "config/wireguard.yaml"] {
        let ended = run(&["check", "-f", &shipped(file), "-o", "json"]);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(json["notes"], serde_json::json!([]), "{file}");
    }
}

#[test]
fn a_path_that_is_not_there_is_a_failure_and_no_finding() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_path_buf(), directory.path().join("none")] {
        let ended = run(&["check", "-f", path.to_str().unwrap()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
        assert!(ended.stderr.contains(path.to_str().unwrap()), "{}", ended.stderr);
    }
}

#[test]
fn crds_and_schema_are_what_the_library_says() {
    let crds = run(&["crds"]);
    assert_eq!((crds.code, crds.stdout), (0, lockgate::config::crds().unwrap()));
    let schema = run(&["schema"]);
    let json: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!(json, lockgate::config::json_schema());
}

const GATEWAY_KEY: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

#[test]
fn a_customers_config_is_made_without_a_gateway_when_its_key_is_given() {
    let file = shipped("config/wireguard.yaml");
    let ended = run(&["customer-config", "poznan", "-f", &file, "--gateway-key", GATEWAY_KEY]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains(&format!("PublicKey = {GATEWAY_KEY}")), "{}", ended.stdout);
    assert!(ended.stdout.contains("Endpoint = vpn.example.net:51834"), "{}", ended.stdout);
    let elsewhere = ["--host", "2001:db8::1"];
    let ended = run(&[
        &["customer-config", "pionier/poznan", "-f", &file, "--gateway-key", GATEWAY_KEY][..],
        &elsewhere,
    ]
    .concat());
    assert!(ended.stdout.contains("Endpoint = [2001:db8::1]:51834"), "{}", ended.stdout);
}

#[test]
fn a_customers_config_without_anyone_who_knows_the_key_is_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let file = shipped("config/wireguard.yaml");
    let socket = directory.path().join("lockgate.sock");
    assert_eq!(ask(&socket, &["customer-config", "poznan", "-f", &file]).code, 3);
    assert_eq!(run(&["customer-config", "nowhere", "-f", &file]).code, 2);
}

#[test]
fn diff_shows_the_steps_and_none_when_all_is_as_it_should_be() {
    use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
    use lockgate::model::Placement;
    use lockgate::reconcile::desired;
    let file = shipped("config/minimal.yaml");
    let ended = run(&["diff", "-f", &file, "--observed", "/dev/null"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    assert!(ended.stdout.contains("  + netns\n"), "{}", ended.stdout);

    let bytes = std::fs::read(&file).unwrap();
    let documents = Documents::parse([("minimal.yaml", bytes.as_slice())]);
    // As the program sees it, wherever this runs.
    let uplink_mtu = lockgate::linux::uplink_mtu();
    let (secrets, options) = (Secrets::default(), Options { uplink_mtu, ..Options::default() });
    let outcome = validate(&documents, &secrets, &Allocations::new(), &options);
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    std::fs::write(&state, desired(&outcome.config, Placement::PerTenant).to_string()).unwrap();
    let ended = run(&["diff", "-f", &file, "--observed", state.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));

    std::fs::write(&state, "nonsense").unwrap();
    let ended = run(&["diff", "-f", &file, "--observed", state.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
}

#[test]
fn diff_has_no_plan_for_documents_with_errors() {
    let directory = faulty();
    let ended = run(&["diff", "-f", directory.path().to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("lockgate check"), "{}", ended.stderr);
}

#[test]
fn trace_follows_what_is_allowed_and_finds_what_is_not() {
    let file = shipped("config/wireguard.yaml");
    let trace = |port| {
        run(&[
            "trace",
            "10.136.40.5",
            "192.168.1.1",
            "-f",
            &file,
            "--protocol",
            "tcp",
            "--port",
            port,
        ])
    };
    let allowed = trace("22");
    assert_eq!((allowed.code, allowed.stderr.as_str()), (0, ""), "{}", allowed.stdout);
    assert!(allowed.stdout.ends_with("forwarded\n"), "{}", allowed.stdout);
    let refused = trace("23");
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stdout.contains("dropped: "), "{}", refused.stdout);
    assert_eq!(run(&["trace", "10.0.0.1", "2001:db8::1", "-f", &file]).code, 2);
}

/// A site whose router says which of its networks it has.
const SPEAKS: &str = "apiVersion: lockgate.dev/v1alpha1
kind: ConnectivityClass
metadata: {name: default}
spec: {advertisedHost: vpn.example.net}
---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric:
    veth: {peer: app-acme, addresses: [10.136.40.1/24]}
    bgp:
      localASN: 64600
      routerID: 10.136.40.1
      neighbors: [{name: tor, address: 10.136.40.2, remoteASN: 65001}]
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {name: hq, namespace: acme}
spec:
  gatewayRef: {name: gw}
  type: VLAN
  vlan: {interface: lan0, addresses: [172.30.0.1/24], nextHop: 172.30.0.2}
  prefixes: [{cidr: 10.64.0.0/16}]
  bgp: {remoteASN: 65010, neighbor: 172.30.0.2}
";

#[test]
fn what_a_router_has_to_say_was_promised_by_trace_and_missed_by_diff() {
    use lockgate::config::{Allocations, Documents, Options, Secrets, validate};
    use lockgate::model::Placement;
    use lockgate::reconcile::{Device, Route, RouteKey, RouteTarget, Said, desired};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.yaml");
    std::fs::write(&file, SPEAKS).unwrap();
    let file = file.to_str().unwrap();
    let traced = run(&["trace", "10.136.40.5", "10.64.7.1", "-f", file]);
    assert_eq!((traced.code, traced.stderr.as_str()), (0, ""), "{}", traced.stdout);
    assert!(traced.stdout.contains("while the router of site hq says"), "{}", traced.stdout);

    // It has said a part, and the kernel holds what comes of that.
    let documents = Documents::parse([("acme.yaml", SPEAKS.as_bytes())]);
    let uplink_mtu = lockgate::linux::uplink_mtu();
    let (secrets, options) = (Secrets::default(), Options { uplink_mtu, ..Options::default() });
    let mut config = validate(&documents, &secrets, &Allocations::new(), &options).config;
    let part = "10.64.7.0/24".parse().unwrap();
    for tenant in config.tenants.values_mut() {
        let mut said = Said::default();
        said.put(&"hq".parse().unwrap(), [part]);
        *tenant = said.bound(tenant);
    }
    let mut held = desired(&config, Placement::PerTenant);
    let device = Device::Foreign("lan0".parse().unwrap());
    let via = Some("172.30.0.2".parse().unwrap());
    let target = RouteTarget::Link { device, via, source: None };
    for namespace in held.tenants.values_mut() {
        namespace.routes.insert(RouteKey::learned(part), Route { target: target.clone() });
    }
    let state = directory.path().join("state");
    std::fs::write(&state, held.to_string()).unwrap();
    let ended = run(&["diff", "-f", file, "--observed", state.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
}
