//! Large blocks are the system's again as soon as they are freed, and grow without being held twice.
#![cfg(target_os = "linux")]

use std::alloc::System;
use std::fs;

use kandinsky_tensor::{Mapped, Recycling};

#[global_allocator]
static ALLOCATOR: Recycling<Mapped<System>> = Recycling::new(Mapped::new(System));

const MB: usize = 1 << 20;

/// Resident memory by its line of /proc, bytes.
fn resident(line: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|known| known.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn large_blocks_leave_nothing_behind_and_grow_in_place() {
    let before = resident("VmRSS");
    // Other threads', freed at once in another order.
    let threads: Vec<_> = (1..=8).map(|i| std::thread::spawn(move || vec![i; 20 * MB])).collect();
    let blocks: Vec<Vec<u8>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(resident("VmRSS") - before > 150 * MB);
    drop(blocks);
    assert!(resident("VmRSS") < before + 8 * MB, "{} MB stay", (resident("VmRSS") - before) / MB);

    // From a small block on, without room in advance, through all sizes; what was written stays.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let mut bytes: Vec<u8> = Vec::new();
    let digit = |i: usize| u8::try_from(i % 251).unwrap();
    for i in 0..100 * MB / 1000 {
        bytes.extend([digit(i); 1000]);
    }
    assert!(resident("VmHWM") < before + 115 * MB, "{} MB for 100", (resident("VmHWM") - before) / MB);
    assert!(bytes.chunks_exact(1000).enumerate().all(|(i, part)| part == [digit(i); 1000]));
    bytes.truncate(300 << 10);
    bytes.shrink_to_fit();
    assert!(resident("VmRSS") < before + 8 * MB);
    bytes.truncate(1000);
    bytes.shrink_to_fit();
    assert_eq!(bytes, [0; 1000]);
    let zeros = vec![0_u8; 3 * MB];
    assert!(zeros.iter().all(|zero| *zero == 0));
}
