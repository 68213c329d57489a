#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: {
        // The fuzzer's own would end it at panics that the program catches. Those that it does not catch still do.
        std::panic::set_hook(Box::new(|_| ()));
    },
    |data: &[u8]| targets::json(data)
);
