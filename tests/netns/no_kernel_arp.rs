//! A kernel that takes no rules about ARP (`CONFIG_NF_TABLES_ARP`): everything but the
//! bound on who asks is as ever, and it is said once that there is none.
//!
//! No machine of ours has such a kernel: an `nft` that answers as it does there stands
//! in the place of the real one.

use crate::false_nft::replace_nft;
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, V6, documents, key, socket};
use lockgate::status::{ConditionStatus, ConditionType, SiteState};

/// What is said of it.
const SAID: &str = "this machine's kernel takes no rules about ARP (CONFIG_NF_TABLES_ARP)";

/// The customer's key.
const CUSTOMER: u8 = 7;

/// Refuses what speaks of a table of ARP, in the words of nft 1.0.
const NFT: &str = r#"
case "$*" in
*"-f -"*)
  text=$(cat)
  case "$text" in
  *"table arp "*)
    echo "Error: Could not process rule: Operation not supported" >&2
    exit 1
    ;;
  esac
  printf '%s\n' "$text" | /run/nft "$@"
  ;;
*) exec /run/nft "$@" ;;
esac
"#;

#[test]
fn without_rules_about_arp_no_tenant_was_served() {
    lab::run(|lab| {
        replace_nft(lab, NFT);
        let stage = Stage::new(lab);
        let text = documents(key(CUSTOMER).public(), "", "");
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &text);
        let check = gateway.lockgate(At::Underlay, &["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(check.status.success(), "{said}");
        assert_eq!(said.matches(SAID).count(), 1, "{said}");

        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        for family in [V4, V6] {
            stage.assert_traffic(family);
        }
        // Changed rules are put in place, too, and read back.
        let allow = "allow: [{direction: FromSite, protocol: UDP}]";
        gateway.apply(&documents(key(CUSTOMER).public(), "", allow));
        let isolated = gateway.tenant(TENANT).conditions.find(ConditionType::Isolated).cloned();
        let isolated = isolated.unwrap();
        assert_eq!(isolated.status, ConditionStatus::True);
        assert!(isolated.message.starts_with(SAID), "{}", isolated.message);
        let log = gateway.log();
        assert_eq!(log.lines().filter(|line| line.contains(SAID)).count(), 1, "{log}");
        assert!(!log.contains("ERROR"), "{log}");
        assert!(gateway.terminate().success());
        let left = lab.ip(At::Underlay, "netns list");
        assert!(!left.contains("lockgate"), "{left}");
    });
}
