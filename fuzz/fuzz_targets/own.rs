#![no_main]

use jempp_fuzz::targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::own(bytes);
});
