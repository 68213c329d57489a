//! The segments of a JPEG: what kind it is, and whether it has an end (ITU-T T.81, annex B).

/// What the start of a frame says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The number of its marker, 0 to 15.
    kind: u8,
    precision: u8,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: u8,
    /// Other factors than those of 4:4:4, 4:2:2, 4:4:0 and 4:2:0.
    pub(super) has_unusual_sampling: bool,
    pub(super) has_several_scans: bool,
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
}

/// A whole file.
pub(super) struct Outline {
    pub(super) frame: Option<Frame>,
    /// Whether there are scans, and an end after the last of them.
    pub(super) is_whole: bool,
}

/// Go through the segments up to the first end: what follows is another image, as some cameras append it.
pub(super) fn outline(file: &[u8]) -> Outline {
    let (mut frame, mut scans, mut at) = (None, 0, 2);
    let is_whole = loop {
        let Some((marker, next)) = next_marker(file, at) else { break false };
        at = next;
        // These have no contents.
        if matches!(marker, 0xd0..=0xd8 | 0x01) {
            continue;
        }
        if marker == 0xd9 {
            break scans > 0;
        }
        let Some(&[high, low]) = file.get(at..).and_then(|rest| rest.first_chunk::<2>()) else { break false };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let contents = file.get(at + 2..(at + length).min(file.len())).unwrap_or_default();
        match marker {
            // 0xc4, 0xc8 and 0xcc are tables among the starts of frames.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && frame.is_none() => {
                frame = read_frame(marker - 0xc0, contents);
            }
            0xda => scans += 1,
            _ => {}
        }
        at += length.max(2);
    };
    if let Some(frame) = &mut frame {
        frame.has_several_scans = scans > 1 || frame.kind == 2;
    }
    Outline { frame, is_whole }
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
    let sampling: Vec<(u8, u8)> =
        rest.chunks_exact(3).take(components.into()).map(|part| (part[1] >> 4, part[1] & 15)).collect();
    let is_usual = match sampling.as_slice() {
        [_] => true,
        [(1 | 2, 1 | 2), rest @ ..] => rest.iter().all(|part| *part == (1, 1) || *part == sampling[0]),
        _ => false,
    };
    Some(Frame {
        kind,
        precision,
        width: u16::from_be_bytes([w0, w1]).into(),
        height: u16::from_be_bytes([h0, h1]).into(),
        components,
        has_unusual_sampling: !is_usual,
        has_several_scans: false,
    })
}
