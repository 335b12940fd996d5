//! Arbitrary bytes as a chunked body, in several splits, against a second decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagi_server_fuzz::chunks::check(data));
