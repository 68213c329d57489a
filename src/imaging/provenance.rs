//! Where an image comes from, in words that machines know: the IPTC's digital source type, in an XMP packet.
//!
//! Invariant: nothing of a request gets into the packet.

/// The name of this software in files.
pub(super) const SOFTWARE: &str = concat!("kandinsky ", env!("CARGO_PKG_VERSION"));

/// How an image came about, by the IPTC's vocabulary <http://cv.iptc.org/newscodes/digitalsourcetype/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigitalSource {
    /// "Created using Generative AI": a trained model made all of it.
    TrainedAlgorithmicMedia,
    /// "Edited using Generative AI": it continues a given image, such as by inpainting.
    CompositeWithTrainedAlgorithmicMedia,
}

/// What made an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The name of the generation mode.
    pub mode: &'static str,
    pub source: DigitalSource,
}

impl DigitalSource {
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
