//! Arbitrary bytes as the head of a request, in several splits.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagi_server_fuzz::head::check(data));
