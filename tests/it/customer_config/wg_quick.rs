//! The file for wg-quick, of the shipped examples.

use super::scene::{Ask, PSK, config, with};
use expect_test::expect_file;
use lockgate::customer::{Dialect, Presharing};

fn render(file: &str, tenant: &str, site: &str, ask: Ask<'_>) -> String {
    let config = config(file);
    let files = with(&config, (tenant, site), ask, |it| Dialect::WgQuick.render(it)).unwrap();
    files[0].text.to_string()
}

#[test]
fn a_site_that_dials_in() {
    let text = render("config/wireguard.yaml", "pionier/gw", "poznan", Ask::default());
    expect_file!["../../data/customer/dials-in.conf"].assert_eq(&text);
}

#[test]
fn a_site_that_is_dialled_over_ipv6() {
    let ask = Ask { host: "2001:db8::7", ..Ask::default() };
    let text = render("config/wireguard.yaml", "pionier/gw", "gdansk", ask);
    expect_file!["../../data/customer/is-dialled.conf"].assert_eq(&text);
}

#[test]
fn a_preshared_key_is_written_only_when_asked_for() {
    let render = |ask| render("config/reference.yaml", "default/over-interface", "poznan", ask);
    let hidden = render(Ask::default());
    let shown = render(Ask { presharing: Presharing::Shown, ..Ask::default() });
    assert!(!hidden.contains(PSK));
    assert!(hidden.contains("PresharedKey = <"));
    assert!(shown.contains(&format!("PresharedKey = {PSK}\n")));
}
