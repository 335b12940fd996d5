//! A whole connection: the input is what the client writes and when, and what the application does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagi_server_fuzz::run::check(data));
