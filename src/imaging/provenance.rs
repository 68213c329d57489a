//! Where a picture comes from, in words that machines know: the IPTC's digital source type, in an XMP packet.
//!
//! Invariant: every mode has exactly one type, and nothing of a request gets into the packet.

use super::metadata::SOFTWARE;
use crate::domain::Mode;

/// How a picture came about, by the IPTC's vocabulary <http://cv.iptc.org/newscodes/digitalsourcetype/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigitalSource {
    /// "Created using Generative AI": a trained model made all of it.
    TrainedAlgorithmicMedia,
    /// "Edited using Generative AI": it goes on from a picture that somebody brought, such as by inpainting.
    CompositeWithTrainedAlgorithmicMedia,
}

impl DigitalSource {
    /// The type of a mode's pictures. Variations and fusions look at pictures, but keep no pixel and no outline of them,
    /// only what CLIP says they show: that is a prompt, not a source.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        match mode {
            Mode::TextToImage | Mode::ImageVariations | Mode::ImageFusion | Mode::TextImageFusion => {
                Self::TrainedAlgorithmicMedia
            }
            Mode::ImageToImage | Mode::Inpainting | Mode::Outpainting => Self::CompositeWithTrainedAlgorithmicMedia,
        }
    }

    /// The concept's address, which is also its value in XMP and C2PA.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::TrainedAlgorithmicMedia => "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
            Self::CompositeWithTrainedAlgorithmicMedia => {
                "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
            }
        }
    }

    /// The XMP packet (ISO 16684-1) that says so. It is read-only: a reader finds no padding to write into.
    pub(super) fn xmp(self) -> String {
        let uri = self.uri();
        format!(
            "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
             <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
             <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
             <rdf:Description rdf:about=\"\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" \
             xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\">\
             <xmp:CreatorTool>{SOFTWARE}</xmp:CreatorTool>\
             <Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>\
             </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>"
        )
    }
}
