//! An allocator that keeps the blocks of activations for the next one of their size: those of a step have the sizes of those of the
//! step before, and giving such memory back to the system and having it cleared again takes longer than many a layer.
//!
//! Invariant: no more is kept than [`keep_freed_memory`] allows, nothing before it is called, and the oldest goes first: requests' own
//! blocks of such sizes pass through here, too, and are to leave little behind.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Blocks from this size on are kept.
const SMALLEST: usize = 8 << 10;
/// They are of multiples of this size, and from there on of multiples of the larger one.
const PAGE: usize = 4 << 10;
const LARGE: usize = 256 << 10;
const UNIT: usize = 64 << 10;
/// Larger blocks are never kept.
const LARGEST: usize = 1 << 30;
/// They begin with a line of the cache, as kernels like it.
const ALIGN: usize = 64;
/// Blocks that are kept.
const MOST_BLOCKS: usize = 512;
/// Attempts at a block while another thread takes one or gives one back, which takes as long as some of them.
const ATTEMPTS: usize = 200;

/// Bytes that are kept.
static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Keep up to so many bytes of blocks that are freed, from now on; at most 1 GiB. Without a [`Recycling`] allocator it means
/// nothing.
pub fn keep_freed_memory(bytes: usize) {
    MOST_BYTES.store(bytes.min(LARGEST), Ordering::Relaxed);
}

/// A free block.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    size: usize,
    align: usize,
}

/// Free blocks in no order. What a block is known by lies apart from where it is, so that looking for one reads little.
struct Kept {
    /// Of each block its size and alignment in one number.
    kinds: [usize; MOST_BLOCKS],
    starts: [usize; MOST_BLOCKS],
    /// When it was freed.
    times: [u64; MOST_BLOCKS],
    count: usize,
    bytes: usize,
    now: u64,
}

/// Sizes are multiples of a page, alignments at most a page.
const fn kind(size: usize, align: usize) -> usize {
    size | (align - 1)
}

impl Kept {
    const NONE: Self =
        Self { kinds: [0; MOST_BLOCKS], starts: [0; MOST_BLOCKS], times: [0; MOST_BLOCKS], count: 0, bytes: 0, now: 0 };

    /// The block that was kept last, if there are several.
    fn take(&mut self, layout: Layout) -> Option<usize> {
        let wanted = kind(layout.size(), layout.align());
        let at = self.kinds[..self.count].iter().rposition(|kind| *kind == wanted)?;
        Some(self.remove(at).start)
    }

    fn remove(&mut self, at: usize) -> Block {
        let block = Block {
            start: self.starts[at],
            size: self.kinds[at] & !(PAGE - 1),
            align: (self.kinds[at] & (PAGE - 1)) + 1,
        };
        let last = self.count - 1;
        (self.kinds[at], self.starts[at], self.times[at]) = (self.kinds[last], self.starts[last], self.times[last]);
        self.count = last;
        self.bytes -= block.size;
        block
    }

    /// Keep a block; `free` gets those that it displaces.
    fn put(&mut self, block: Block, free: impl Fn(Block)) {
        let most = MOST_BYTES.load(Ordering::Relaxed);
        if block.size > most {
            return free(block);
        }
        while self.count > 0 && (self.count == MOST_BLOCKS || self.bytes + block.size > most) {
            let oldest = (0..self.count).min_by_key(|at| self.times[*at]).unwrap_or(0);
            free(self.remove(oldest));
        }
        let at = self.count;
        (self.kinds[at], self.starts[at], self.times[at]) = (kind(block.size, block.align), block.start, self.now);
        self.count += 1;
        self.bytes += block.size;
        self.now += 1;
    }
}

/// An allocator that keeps the blocks of another one.
pub struct Recycling<A> {
    inner: A,
    kept: Mutex<Kept>,
}

impl<A> Recycling<A> {
    /// Around `inner`.
    pub const fn new(inner: A) -> Self {
        Self { inner, kept: Mutex::new(Kept::NONE) }
    }

    /// The block that is asked of the other allocator for one that may be kept; `None` for others.
    fn kept(layout: Layout) -> Option<Layout> {
        let unit = if layout.size() < LARGE { PAGE } else { UNIT };
        if layout.size() < SMALLEST || layout.size() > LARGEST || layout.align() > PAGE {
            return None;
        }
        Layout::from_size_align(layout.size().next_multiple_of(unit), layout.align().max(ALIGN)).ok()
    }

    /// What is kept; `None` while another thread is at it for longer than usual: the other allocator does as well.
    fn lock(&self) -> Option<MutexGuard<'_, Kept>> {
        for _ in 0..ATTEMPTS {
            if let Ok(kept) = self.kept.try_lock() {
                return Some(kept);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// A kept block.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let start = self.lock()?.take(layout)?;
        Some(std::ptr::with_exposed_provenance_mut(start))
    }
}

// SAFETY: blocks come from `inner`, by layouts that `kept` gives for equal layouts alike; a kept block is free, has no other
// owner, and has the size and the alignment that are asked for.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recycling<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::kept(layout) {
            // SAFETY: by contract.
            Some(large) => self.take(large).unwrap_or_else(|| unsafe { self.inner.alloc(large) }),
            // SAFETY: by contract.
            None => unsafe { self.inner.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(large) = Self::kept(layout) else {
            // SAFETY: by contract.
            return unsafe { self.inner.alloc_zeroed(layout) };
        };
        match self.take(large) {
            Some(block) => {
                // SAFETY: the block is at least as large.
                unsafe { block.write_bytes(0, layout.size()) };
                block
            }
            // SAFETY: by contract.
            None => unsafe { self.inner.alloc_zeroed(large) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(large) = Self::kept(layout) else {
            // SAFETY: by contract; it was allocated by this layout.
            return unsafe { self.inner.dealloc(block, layout) };
        };
        let free = |block: Block| {
            if let Ok(layout) = Layout::from_size_align(block.size, block.align) {
                // SAFETY: it was allocated by this layout.
                unsafe { self.inner.dealloc(std::ptr::with_exposed_provenance_mut(block.start), layout) };
            }
        };
        let block = Block { start: block.expose_provenance(), size: large.size(), align: large.align() };
        match self.lock() {
            Some(mut kept) => kept.put(block, free),
            None => free(block),
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by contract, `size` is that of a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (Self::kept(layout), Self::kept(new)) {
            (Some(old), Some(new)) if old == new => block,
            // The other allocator may know how to let a block grow without a copy.
            // SAFETY: by contract; it was allocated by this layout.
            (Some(old), Some(new)) => unsafe { self.inner.realloc(block, old, new.size()) },
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
