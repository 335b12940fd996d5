//! A whole connection of HTTP/2: frames, good and bad, and an application for each stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagi_server_fuzz::http2::check(data));
