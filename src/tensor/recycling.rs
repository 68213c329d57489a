//! An allocator that keeps large blocks for the next one of their size: the activations of a step have the sizes of those of the
//! step before, and giving such memory back to the system and having it cleared again takes longer than many a layer.
//!
//! Invariant: no more is kept than [`keep_freed_memory`] allows, nothing before it is called, and the oldest goes first: requests' own
//! large blocks pass through here, too, and are to leave little behind.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blocks from this size on are kept.
const LARGE: usize = 256 << 10;
/// Large blocks are of multiples of this size.
const UNIT: usize = 64 << 10;
/// Larger blocks are never kept.
const LARGEST: usize = 1 << 30;
/// Blocks that are kept.
const MOST_BLOCKS: usize = 128;

/// Bytes that are kept.
static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Keep up to so many bytes of large blocks that are freed, from now on; at most 1 GiB. Without a [`Recycling`] allocator it means
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

/// Free blocks, the oldest first.
struct Kept {
    blocks: [Block; MOST_BLOCKS],
    count: usize,
    bytes: usize,
}

impl Kept {
    const NONE: Block = Block { start: 0, size: 0, align: 0 };

    fn take(&mut self, layout: Layout) -> Option<usize> {
        let fits = |block: &Block| block.size == layout.size() && block.align == layout.align();
        let at = self.blocks[..self.count].iter().rposition(fits)?;
        Some(self.remove(at).start)
    }

    fn remove(&mut self, at: usize) -> Block {
        let block = self.blocks[at];
        self.blocks.copy_within(at + 1..self.count, at);
        self.count -= 1;
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
            free(self.remove(0));
        }
        self.blocks[self.count] = block;
        self.count += 1;
        self.bytes += block.size;
    }
}

/// An allocator that keeps the large blocks of another one.
pub struct Recycling<A> {
    inner: A,
    kept: Mutex<Kept>,
}

impl<A> Recycling<A> {
    /// Around `inner`.
    pub const fn new(inner: A) -> Self {
        Self { inner, kept: Mutex::new(Kept { blocks: [Kept::NONE; MOST_BLOCKS], count: 0, bytes: 0 }) }
    }

    /// The block that is asked of the other allocator for a large one; `None` for one that is not kept.
    fn large(layout: Layout) -> Option<Layout> {
        if layout.size() < LARGE || layout.size() > LARGEST {
            return None;
        }
        Layout::from_size_align(layout.size().next_multiple_of(UNIT), layout.align()).ok()
    }

    /// A kept block. None is taken while another thread is at it: the other allocator does as well.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let start = self.kept.try_lock().ok()?.take(layout)?;
        Some(std::ptr::with_exposed_provenance_mut(start))
    }
}

// SAFETY: blocks come from `inner`, by layouts that `large` gives for equal layouts alike; a kept block is free, has no other
// owner, and has the size and the alignment that are asked for.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recycling<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::large(layout) {
            // SAFETY: by contract.
            Some(large) => self.take(large).unwrap_or_else(|| unsafe { self.inner.alloc(large) }),
            // SAFETY: by contract.
            None => unsafe { self.inner.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(large) = Self::large(layout) else {
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
        let Some(large) = Self::large(layout) else {
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
        match self.kept.try_lock() {
            Ok(mut kept) => kept.put(block, free),
            Err(_) => free(block),
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by contract, `size` is that of a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (Self::large(layout), Self::large(new)) {
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
