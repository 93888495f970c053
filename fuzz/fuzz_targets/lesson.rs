#![no_main]

#[path = "../../tests/mutations/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::lesson(bytes);
});
