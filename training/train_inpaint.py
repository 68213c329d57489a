"""Inpainting UNet, and the end of the main UNet's training, in one run.

9 input channels: noisy latents (4), masked latents (4), mask (1). As KandinskyInpaintPipeline does, the latents of
the whole picture are multiplied by the mask at latent resolution; mask = 1 keeps, 0 repaints.
A share of the masks repaints everything (mask = 0 and masked latents = 0): then the five extra channels add nothing,
and the network is exactly a 4-channel text-to-image UNet. export.py slices conv_in[:, :4] for `kandinsky-mini`.
The other masks: rectangles, strokes, half planes (outpainting).
All arguments are those of train_unet.py; start from the main UNet with --init or --resume.
"""
from train_unet import main

if __name__ == "__main__":
    main(inpaint=True, doc=__doc__)
