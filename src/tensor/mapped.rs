//! An allocator that has each large block mapped by the system for itself.
//!
//! Invariant: a large block that is freed is the system's again at once, whichever thread freed it: allocators keep such memory
//! for a thread, or until something is allocated next, and a server that was attacked would not become small again. A block that
//! grows is moved by its pages, so that it is never held twice.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;

/// Blocks from this size on are mapped.
const LARGE: usize = 256 << 10;
/// Pages of every system have at least this size and alignment; what is to be aligned better is not mapped.
const PAGE: usize = 4 << 10;
/// Mappings from this size on have huge pages where the system has some to give.
const HUGE: usize = 2 << 20;
/// Lengths are multiples of this size, of which all sizes of pages are divisors.
const UNIT: usize = 64 << 10;

/// An allocator that maps large blocks, and leaves the others to another one.
pub struct Mapped<A> {
    inner: A,
}

impl<A> Mapped<A> {
    /// Around `inner`.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }

    /// The length of the mapping for a block; `None` for one that is not mapped.
    fn length(layout: Layout) -> Option<usize> {
        let is_mapped = layout.size() >= LARGE && layout.align() <= PAGE;
        is_mapped.then(|| layout.size().next_multiple_of(UNIT))
    }
}

/// New pages, all zero; null if there are none.
fn map(length: usize) -> *mut u8 {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a mapping at an address of the system's choice touches nothing that is there.
    let start = unsafe { libc::mmap(null_mut(), length, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return null_mut();
    }
    if length >= HUGE {
        // Weights of gigabytes take a quarter of the time to come into being so. Where there are none, it has no effect.
        // SAFETY: the mapping is this long, and its contents stay what they are.
        unsafe { libc::madvise(start, length, libc::MADV_HUGEPAGE) };
    }
    start.cast()
}

// SAFETY: by their layouts, blocks are told apart alike wherever they are passed; a mapping of whole pages is as long and as
// aligned as its layout asks for, and belongs to its block alone.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Mapped<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::length(layout) {
            Some(length) => map(length),
            // SAFETY: by contract.
            None => unsafe { self.inner.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Self::length(layout) {
            Some(length) => map(length),
            // SAFETY: by contract.
            None => unsafe { self.inner.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Self::length(layout) {
            Some(length) => {
                // SAFETY: the block is a mapping of this length, and nothing uses it any more.
                unsafe { libc::munmap(block.cast(), length) };
            }
            // SAFETY: by contract.
            None => unsafe { self.inner.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by contract, `size` is that of a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (Self::length(layout), Self::length(new)) {
            (Some(old), Some(new)) if old == new => block,
            (Some(old), Some(new)) => {
                // SAFETY: the block is a mapping of the old length, and by contract used under its new address alone.
                let moved = unsafe { libc::mremap(block.cast(), old, new, libc::MREMAP_MAYMOVE) };
                if moved == libc::MAP_FAILED { null_mut() } else { moved.cast() }
            }
            // SAFETY: by contract.
            (None, None) => unsafe { self.inner.realloc(block, layout, size) },
            _ => {
                // SAFETY: by contract.
                let moved = unsafe { self.alloc(new) };
                if !moved.is_null() {
                    // SAFETY: both blocks are as large, and are two.
                    unsafe { block.copy_to_nonoverlapping(moved, layout.size().min(size)) };
                    // SAFETY: by contract.
                    unsafe { self.dealloc(block, layout) };
                }
                moved
            }
        }
    }
}
