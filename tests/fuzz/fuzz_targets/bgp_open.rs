//! Feeds the harness that the tests replay the corpus with.
#![no_main]

#[path = "../../it/fuzz/bgp_messages.rs"]
#[allow(dead_code, reason = "each target calls one of its functions")]
mod bgp_messages;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bgp_messages::open(bytes));
