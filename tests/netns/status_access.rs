//! The status endpoint of the built binary by TLS and for those who have a token, asked
//! by a stock client; certificate, key and tokens change while it runs.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;

fn tenant(name: &str, port: u16) -> String {
    format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  listenPort: {port}
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: {name}-apps, addresses: [10.136.40.1/24]}}}}
"
    )
}

/// The files of one gateway, and who asks it.
struct Access<'lab> {
    lab: &'lab Lab,
    directory: PathBuf,
}

impl Access<'_> {
    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Puts a new certificate of so many days in place.
    fn certify(&self, days: &str) {
        let (certificate, key) = (self.path("cert.new"), self.path("key.new"));
        self.lab.command_output(
            At::Underlay,
            &[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                days,
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        );
        fs::rename(key, self.path("key.pem")).unwrap();
        fs::rename(certificate, self.path("cert.pem")).unwrap();
    }

    /// A new token, whose line is in the file of tokens.
    fn token(&self, words: &[&str]) -> String {
        let file = self.path("tokens");
        let line = [&[env!("CARGO_BIN_EXE_lockgate"), "token", "new"], words, &["--add-to", &file]];
        self.lab.command_output(At::Underlay, &line.concat()).trim().to_owned()
    }

    /// Asks with `words` and gives the status and what came; 0 when there is no TLS.
    fn ask(&self, path: &str, words: &[&str]) -> (u16, String) {
        let (certificate, url) = (self.path("cert.pem"), format!("https://localhost:9586{path}"));
        let line = [
            "curl",
            "-sS",
            "--max-time",
            "10",
            "--cacert",
            &certificate,
            "-w",
            "\n%{http_code}",
            &url,
        ];
        let output = self.lab.output(At::Underlay, &[&line, words].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        let (body, code) = said.rsplit_once('\n').unwrap();
        (code.parse().unwrap(), body.to_owned())
    }

    fn ask_as(&self, token: &str, path: &str) -> (u16, String) {
        self.ask(path, &["-H", &format!("Authorization: Bearer {token}")])
    }
}

fn started(lab: &Lab) -> (Gateway<'_>, Access<'_>) {
    let mut gateway = Gateway::new(lab, At::Underlay);
    let access = Access { lab, directory: gateway.path("access") };
    fs::create_dir(&access.directory).unwrap();
    access.certify("30");
    access.token(&["keeper"]);
    gateway.write("acme.yaml", &tenant("acme", 51_821));
    gateway.write("beta.yaml", &tenant("beta", 51_822));
    let (certificate, key) = (access.path("cert.pem"), access.path("key.pem"));
    gateway.argument(&["--status", "0.0.0.0:9586", "--status-tls-cert", &certificate]);
    gateway.argument(&["--status-tls-key", &key, "--status-tokens", &access.path("tokens")]);
    (gateway, access)
}

#[test]
fn a_stock_client_sees_by_tls_what_its_token_is_for() {
    lab::run(|lab| {
        let (mut gateway, access) = started(lab);
        let (noc, acme) = (access.token(&["noc"]), access.token(&["acme", "--tenant", "acme/gw"]));
        gateway.spawn();
        gateway.wait_programmed();

        assert_eq!(access.ask("/livez", &[]), (200, "ok\n".to_owned()));
        assert_eq!(access.ask("/api/v1/status", &[]).0, 401);
        let (code, all) = access.ask_as(&noc, "/api/v1/status");
        assert!(code == 200 && all.contains("acme/gw") && all.contains("beta/gw"), "{code} {all}");
        for path in ["/api/v1/status", "/metrics", "/"] {
            let (code, own) = access.ask_as(&acme, path);
            assert!(
                code == 200 && own.contains("acme/gw") && !own.contains("beta"),
                "{path}: {own}"
            );
        }
        assert_eq!(access.ask_as(&acme, "/api/v1/tenants/beta/gw").0, 404);
        assert_eq!(access.ask("/", &["-u", &format!("acme:{acme}")]).0, 200, "as a browser");
        for old in [["--tls-max", "1.1"], ["--tls-max", "1.0"]] {
            assert_eq!(access.ask("/livez", &old).0, 0, "{old:?}");
        }
        // The socket is its owner's alone and asks for nothing.
        assert_eq!(gateway.snapshot().tenants.len(), 2);
        for secret in [&noc, &acme] {
            assert!(!gateway.log().contains(secret.as_str()), "a token is in the log");
        }

        // Taken back: the file without the line.
        let text = fs::read_to_string(access.path("tokens")).unwrap();
        let kept: String = text
            .lines()
            .filter(|line| !line.starts_with("acme "))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(access.path("tokens"), kept).unwrap();
        wait_until("the token to be worth nothing", PATIENCE, || {
            match access.ask_as(&acme, "/api/v1/status").0 {
                401 => Ok(()),
                code => Err(code),
            }
        });
        assert_eq!(access.ask_as(&noc, "/api/v1/status").0, 200);
    });
}

#[test]
fn a_certificate_is_renewed_while_it_runs_and_one_that_is_broken_is_not_taken() {
    lab::run(|lab| {
        let (mut gateway, access) = started(lab);
        gateway.spawn();
        gateway.wait_programmed();
        let expires = |snapshot: &lockgate::status::Snapshot| {
            snapshot.endpoint.as_ref().and_then(|endpoint| endpoint.certificate_expires)
        };
        let problems = |snapshot: &lockgate::status::Snapshot| {
            snapshot.endpoint.as_ref().map(|endpoint| endpoint.problems.clone()).unwrap_or_default()
        };
        let first = expires(&gateway.snapshot()).unwrap();
        access.certify("60");
        gateway.wait("the new certificate", |snapshot| expires(snapshot) > Some(first));
        assert_eq!(access.ask("/livez", &[]).0, 200, "the new one is not shown");

        // A key of another certificate, told by a signal too.
        let whole = fs::read_to_string(access.path("key.pem")).unwrap();
        access.lab.command_output(
            At::Underlay,
            &[
                "openssl",
                "ecparam",
                "-genkey",
                "-name",
                "prime256v1",
                "-noout",
                "-out",
                &access.path("key.pem"),
            ],
        );
        gateway.wait("the problem to be told", |snapshot| !problems(snapshot).is_empty());
        gateway.signal(Signal::HUP);
        access.lab.command_output(At::Underlay, &["sleep", "1.5"]);
        assert_eq!(access.ask("/livez", &[]).0, 200, "the pair before is not in force");
        let said = "do not belong together";
        assert_eq!(gateway.log().matches(said).count(), 1, "{}", gateway.log());
        let status = gateway.snapshot();
        assert!(problems(&status)[0].contains(said), "{:?}", problems(&status));
        fs::write(access.path("key.pem"), whole).unwrap();
        gateway.wait("it to be well again", |snapshot| problems(snapshot).is_empty());
    });
}

#[test]
fn what_would_show_tokens_or_cannot_be_used_does_not_start() {
    lab::run(|lab| {
        let (gateway, access) = started(lab);
        let tokens = access.path("tokens");
        let run = |words: &[&str]| {
            let output = gateway.lockgate(At::Underlay, &[&["run"], words].concat());
            assert!(!output.status.success(), "{words:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let plain = run(&["--status", "0.0.0.0:9586", "--status-tokens", &tokens]);
        assert!(plain.contains("as plain text") && plain.contains("--status-tls-cert"), "{plain}");
        let none = run(&["--status-tokens", &access.path("none")]);
        assert!(none.contains("cannot read") && none.contains("/none"), "{none}");
        let half = run(&["--status-tls-cert", &access.path("cert.pem")]);
        assert!(half.contains("--status-tls-key"), "{half}");
        fs::write(&tokens, "noc everything sha256:00\n").unwrap();
        let flaw = run(&["--status-tokens", &tokens]);
        assert!(flaw.contains("line 1") && flaw.contains("\"everything\" is no tenant"), "{flaw}");
    });
}
