//! The scans of a JPEG, gone through without making pixels of them (ITU-T T.81, annexes F and G).
//!
//! Decoders make up what is missing before a marker, so a part of a file with an end put on it would come out grey in part.
//!
//! Invariant: a file passes only if every block of every component has all of its coefficients in it.

use super::jpeg_bits::{Code, Flaw};
use super::jpeg_blocks::{BLOCK, Band, Blocks};
use super::jpeg_outline::{Frame, Segment, segments};

/// Most scans; each costs time for all blocks, however few bytes it has.
const MAX_SCANS: usize = 100;

/// So many zeros at the end of a file that has no end marker are none of its data: its room was made before its data came.
const HOLE: usize = 32;

/// What a file lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanError {
    /// A part of a scan, or a component.
    CutOff,
    /// Whole scans, without which there is an image of less detail.
    LacksDetail,
    Invalid,
}

impl From<Flaw> for ScanError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Missing => Self::CutOff,
            Flaw::Invalid => Self::Invalid,
        }
    }
}

/// Whether all coded data of a file are there.
pub(super) fn check_scans(file: &[u8], frame: &Frame) -> Result<(), ScanError> {
    let mut scans = Scans::new(frame)?;
    let mut last = None;
    for Segment { marker, contents, end } in segments(file) {
        match marker {
            0xc4 => scans.read_codes(contents)?,
            0xdd => scans.interval = contents.first_chunk().map_or(0, |pair| u16::from_be_bytes(*pair).into()),
            0xda => {
                let data = file.get(end..).unwrap_or_default();
                scans.go_through(contents, data)?;
                last = Some(data);
            }
            _ => {}
        }
    }
    // Zeros are valid codes, so such data would be an image.
    if last.is_some_and(ends_in_hole) { Err(ScanError::CutOff) } else { scans.finish() }
}

/// Whether the data of a last scan ends in zeros, with no end marker before them.
fn ends_in_hole(data: &[u8]) -> bool {
    data.last_chunk::<HOLE>().is_some_and(|end| end.iter().all(|byte| *byte == 0))
        && !data.windows(2).any(|pair| pair == [0xff, 0xd9])
}

struct Component {
    id: u8,
    /// Blocks of it across and down in a group of all components.
    sampling: (usize, usize),
    /// Blocks with pixels of the image across and down.
    blocks: (usize, usize),
    /// Blocks with those that fill up the last group across.
    stride: usize,
    /// The lowest bit of each coefficient that a scan brought.
    lowest: [Option<u8>; BLOCK],
    /// Which coefficients of each block are not zero. Of progressive files.
    present: Vec<u64>,
}

/// A component in a scan: its index, and those of its codes for DC and AC.
#[derive(Clone, Copy)]
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
}

/// What a scan has.
struct Scan {
    parts: Vec<Part>,
    band: Band,
}

struct Scans {
    progressive: bool,
    /// Groups of blocks of all components across and down.
    groups: (usize, usize),
    components: Vec<Component>,
    dc: [Option<Code>; 4],
    ac: [Option<Code>; 4],
    /// Groups between restarts. 0: there are none.
    interval: usize,
    count: usize,
}

impl Scans {
    fn new(frame: &Frame) -> Result<Self, ScanError> {
        let sampling = || frame.parts.iter().map(|part| (usize::from(part.across), usize::from(part.down)));
        let (across, down) = sampling().fold((0, 0), |most, one| (most.0.max(one.0), most.1.max(one.1)));
        if frame.parts.len() != usize::from(frame.components) || sampling().any(|(across, down)| across * down == 0) {
            return Err(ScanError::Invalid);
        }
        let (width, height) = (frame.width as usize, frame.height as usize);
        let groups = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        let progressive = frame.is_progressive();
        let component = |(id, sampling): (u8, (usize, usize))| {
            let stride = groups.0 * sampling.0;
            let all = if progressive { stride * groups.1 * sampling.1 } else { 0 };
            Component {
                id,
                sampling,
                blocks: ((width * sampling.0).div_ceil(8 * across), (height * sampling.1).div_ceil(8 * down)),
                stride,
                lowest: [None; BLOCK],
                present: vec![0; all],
            }
        };
        let components = frame.parts.iter().map(|part| part.id).zip(sampling()).map(component).collect();
        let none = || [const { None }; 4];
        Ok(Self { progressive, groups, components, dc: none(), ac: none(), interval: 0, count: 0 })
    }

    /// The codes of a segment DHT.
    fn read_codes(&mut self, mut contents: &[u8]) -> Result<(), ScanError> {
        while let Some((&[kind, ref counts @ ..], rest)) = contents.split_first_chunk::<17>() {
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(..total).ok_or(ScanError::Invalid)?;
            let codes = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let code = codes.get_mut(usize::from(kind & 15)).ok_or(ScanError::Invalid)?;
            *code = Some(Code::new(counts, symbols).ok_or(ScanError::Invalid)?);
            contents = &rest[total..];
        }
        Ok(())
    }

    fn read_scan(&mut self, header: &[u8]) -> Option<Scan> {
        let (&count, rest) = header.split_first()?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let find = |part: &[u8]| {
            let component = self.components.iter().position(|component| component.id == part[0])?;
            Some(Part { component, dc: usize::from(part[1] >> 4 & 3), ac: usize::from(part[1] & 3) })
        };
        let parts: Vec<_> = parts.chunks_exact(2).map(find).collect::<Option<_>>()?;
        let &[first, last, bits] = rest.first_chunk::<3>()?;
        let (first, last) = if self.progressive { (usize::from(first), usize::from(last)) } else { (0, BLOCK - 1) };
        let (high, low) = if self.progressive { (bits >> 4, bits & 15) } else { (0, 0) };
        let mixes = self.progressive && (first == 0 && last > 0 || first > 0 && parts.len() > 1);
        if parts.is_empty() || first > last || last >= BLOCK || mixes {
            return None;
        }
        for part in &parts {
            self.components[part.component].lowest[first..=last].fill(Some(low));
        }
        Some(Scan { parts, band: Band { first, last, is_refined: high > 0 } })
    }

    /// The coded data of one scan, up to the last block.
    fn go_through(&mut self, header: &[u8], data: &[u8]) -> Result<(), ScanError> {
        self.count += 1;
        if self.count > MAX_SCANS {
            return Err(ScanError::Invalid);
        }
        let Scan { parts, band } = self.read_scan(header).ok_or(ScanError::Invalid)?;
        // A component alone has no blocks that only fill up a group.
        let single = if let [part] = parts[..] { Some(part) } else { None };
        let (across, down) = single.map_or(self.groups, |part| self.components[part.component].blocks);
        let (mut blocks, mut left) = (Blocks::new(data, band), self.interval);
        for (y, x) in (0..down).flat_map(|y| (0..across).map(move |x| (y, x))) {
            if self.interval > 0 {
                if left == 0 {
                    blocks.restart()?;
                    left = self.interval;
                }
                left -= 1;
            }
            if let Some(part) = single {
                self.read_block(part, (y, x), &mut blocks)?;
                continue;
            }
            for part in &parts {
                let (across, down) = self.components[part.component].sampling;
                for (v, h) in (0..down).flat_map(|v| (0..across).map(move |h| (v, h))) {
                    self.read_block(*part, (y * down + v, x * across + h), &mut blocks)?;
                }
            }
        }
        Ok(())
    }

    /// The bits of one block of a component.
    fn read_block(&mut self, part: Part, (y, x): (usize, usize), blocks: &mut Blocks<'_>) -> Result<(), Flaw> {
        if blocks.reads_dc() {
            blocks.read_dc(self.dc[part.dc].as_ref())?;
        }
        if !blocks.reads_ac() {
            return Ok(());
        }
        let code = self.ac[part.ac].as_ref().ok_or(Flaw::Invalid)?;
        if !self.progressive {
            return blocks.read_sequential(code);
        }
        let component = &mut self.components[part.component];
        let present = component.present.get_mut(y * component.stride + x).ok_or(Flaw::Invalid)?;
        blocks.read_band(code, present)
    }

    /// Whether something was in none of the scans.
    fn finish(&self) -> Result<(), ScanError> {
        if self.components.iter().any(|component| component.lowest[0].is_none()) {
            return Err(ScanError::CutOff);
        }
        let is_whole = |component: &Component| component.lowest.iter().all(|lowest| *lowest == Some(0));
        if self.components.iter().all(is_whole) { Ok(()) } else { Err(ScanError::LacksDetail) }
    }
}
