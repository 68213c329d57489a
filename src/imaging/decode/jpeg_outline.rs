//! The segments of a JPEG: what kind it is, and whether it has an end (ITU-T T.81, annex B).

/// The marker of a scan.
const SCAN: u8 = 0xda;
/// The marker of the end.
pub(super) const END: u8 = 0xd9;

/// What the start of a frame says.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The number of its marker, 0 to 15.
    kind: u8,
    precision: u8,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: u8,
    /// Those that are described.
    pub(super) parts: Vec<FramePart>,
    pub(super) has_several_scans: bool,
}

/// A component: its name in scans, and how many blocks of it there are in a group of all components.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramePart {
    pub(super) id: u8,
    pub(super) across: u8,
    pub(super) down: u8,
}

impl Frame {
    /// The name of what is valid and rare.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        Some(match (self.kind, self.precision, self.components) {
            (9..=15, ..) => "a JPEG with arithmetic coding",
            (3, ..) => "a lossless JPEG",
            (5..=7, ..) => "a hierarchical JPEG",
            (_, 9.., _) => "a JPEG of more than 8 bits a sample",
            (.., 0 | 2 | 5..) => "a JPEG of this number of components",
            _ if self.height == 0 => "a JPEG that says its height at its end",
            _ => return None,
        })
    }

    pub(super) fn is_progressive(&self) -> bool {
        self.kind == 2
    }

    /// Other factors than those of 4:4:4, 4:2:2, 4:4:0 and 4:2:0.
    pub(super) fn has_unusual_sampling(&self) -> bool {
        let sampling: Vec<(u8, u8)> = self.parts.iter().map(|part| (part.across, part.down)).collect();
        let is_usual = match sampling.as_slice() {
            [_] => true,
            [(1 | 2, 1 | 2), rest @ ..] => rest.iter().all(|part| *part == (1, 1) || *part == sampling[0]),
            _ => false,
        };
        !is_usual
    }
}

/// What its segments say of a file.
pub(super) struct Outline {
    pub(super) frame: Option<Frame>,
    pub(super) has_scans: bool,
    pub(super) has_end: bool,
}

/// Look through the segments.
pub(super) fn outline(file: &[u8]) -> Outline {
    let (mut frame, mut scans, mut has_end) = (None, 0, false);
    for Segment { marker, contents, .. } in segments(file) {
        match marker {
            // 0xc4, 0xc8 and 0xcc are tables among the starts of frames.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && frame.is_none() => {
                frame = read_frame(marker - 0xc0, contents);
            }
            SCAN => scans += 1,
            END => has_end = true,
            _ => {}
        }
    }
    if let Some(frame) = &mut frame {
        frame.has_several_scans = scans > 1 || frame.is_progressive();
    }
    Outline { frame, has_scans: scans > 0, has_end }
}

/// A marker, the contents of its segment, and where what follows begins.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) contents: &'a [u8],
    pub(super) end: usize,
}

/// The segments up to the first end: what follows is another image, as some cameras append it. Coded data in between are
/// skipped. A marker without contents in front of all scans ends them, too: no program writes one, and decoders take what
/// follows it for different things.
pub(super) fn segments(file: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let (mut at, mut has_scans, mut has_ended) = (2, false, false);
    std::iter::from_fn(move || {
        if has_ended {
            return None;
        }
        let marker = loop {
            let (marker, next) = next_marker(file, at)?;
            at = next;
            if !matches!(marker, 0xd0..=0xd8 | 0x01) {
                break marker;
            }
            if !has_scans {
                return None;
            }
        };
        has_scans |= marker == SCAN;
        if marker == END {
            has_ended = true;
            return Some(Segment { marker, contents: &[], end: at });
        }
        let &[high, low] = file.get(at..)?.first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let contents = file.get(at + 2..(at + length).min(file.len())).unwrap_or_default();
        at += length.max(2);
        Some(Segment { marker, contents, end: at })
    })
}

/// The next marker from `at` on, and where its segment begins; coded data in between are skipped.
fn next_marker(file: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        let found = file.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += found + 1;
        while *file.get(at)? == 0xff {
            at += 1;
        }
        let marker = file[at];
        at += 1;
        // A stuffed byte, not a marker.
        if marker != 0 {
            return Some((marker, at));
        }
    }
}

fn read_frame(kind: u8, contents: &[u8]) -> Option<Frame> {
    let (&[precision, h0, h1, w0, w1, components], rest) = contents.split_first_chunk::<6>()?;
    let parts = rest.chunks_exact(3).take(components.into());
    let parts = parts.map(|part| FramePart { id: part[0], across: part[1] >> 4, down: part[1] & 15 }).collect();
    Some(Frame {
        kind,
        precision,
        width: u16::from_be_bytes([w0, w1]).into(),
        height: u16::from_be_bytes([h0, h1]).into(),
        components,
        parts,
        has_several_scans: false,
    })
}
