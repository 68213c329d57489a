//! Which components a mode needs.

/// What a mode needs of a checkpoint, beside the decoder's text encoder and MoVQ.
#[derive(Debug, Clone, Copy)]
pub(in crate::families::kandinsky21) struct Needs {
    /// CLIP's text encoder, for an image embedding through the prior.
    pub(in crate::families::kandinsky21) text: bool,
    /// CLIP's image encoder.
    pub(in crate::families::kandinsky21) image: bool,
    /// The 9-channel UNet, in place of the 4-channel one.
    pub(in crate::families::kandinsky21) repaints: bool,
}
