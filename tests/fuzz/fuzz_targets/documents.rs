//! Feeds the harness that the tests replay the corpus with.
#![no_main]

#[path = "../../it/fuzz/harness.rs"]
#[allow(dead_code, reason = "each target calls one of its functions")]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::documents(bytes));
