"""The exported folders behind the unmodified diffusers pipelines, with seeds: used by sample.py and evaluate.py."""
import torch
from diffusers import (
    KandinskyImg2ImgPipeline,
    KandinskyInpaintPipeline,
    KandinskyPipeline,
    KandinskyPriorPipeline,
    UNet2DConditionModel,
)


def add_pipeline_args(p):
    p.add_argument("--model", required=True, help="folder with kandinsky-mini, kandinsky-mini-prior, ...")
    p.add_argument("--decoder-steps", type=int, default=25)
    p.add_argument("--prior-steps", type=int, default=25)
    p.add_argument("--guidance", type=float, default=4.0)
    p.add_argument("--prior-guidance", type=float, default=4.0)
    return p


class Studio:
    """One method per kind of generation; `args` are those of add_pipeline_args."""

    def __init__(self, args):
        self.args = args
        f32 = {"dtype": torch.float32}
        self.prior = self._quiet(KandinskyPriorPipeline.from_pretrained(f"{args.model}/kandinsky-mini-prior", **f32))
        self.pipe = self._quiet(KandinskyPipeline.from_pretrained(f"{args.model}/kandinsky-mini", **f32))

    @staticmethod
    def _quiet(pipe):
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def _prior_settings(self, seed):
        return dict(num_inference_steps=self.args.prior_steps, guidance_scale=self.args.prior_guidance,
                    generator=torch.Generator().manual_seed(seed))

    def _decoder_settings(self, seed):
        return dict(height=64, width=64, num_inference_steps=self.args.decoder_steps, guidance_scale=self.args.guidance,
                    generator=torch.Generator().manual_seed(seed))

    def embed(self, prompts, seed=0):
        """-> image embeddings [B,192], negative image embeddings [B,192]."""
        out = self.prior(prompts, **self._prior_settings(seed))
        return out.image_embeds, out.negative_image_embeds

    def mix(self, first, second, seed=0):
        """Image embedding halfway between two prompts, [1,192], and the negative one."""
        out = self.prior.interpolate([first, second], [0.5, 0.5], **self._prior_settings(seed))
        return out.image_embeds, out.negative_image_embeds

    @torch.no_grad()
    def embed_pictures(self, pictures):
        """-> CLIP image embeddings [B,192] of PIL images or uint8 arrays [H,W,3]."""
        pixels = self.prior.image_processor(list(pictures), return_tensors="pt").pixel_values
        return torch.cat([self.prior.image_encoder(x).image_embeds for x in pixels.split(256)])

    def decode(self, prompts, embeds, seed=0, **size):
        """Prompts and (embeddings, negative embeddings) -> PIL images."""
        return self.pipe(prompts, image_embeds=embeds[0], negative_image_embeds=embeds[1],
                         **{**self._decoder_settings(seed), **size}).images

    def draw(self, prompts, seed=0, **size):
        return self.decode(prompts, self.embed(prompts, seed), seed, **size)

    def redraw(self, prompt, picture, strength, seed=0):
        """Image to image."""
        pipe = self._quiet(KandinskyImg2ImgPipeline(**self.pipe.components))
        e, neg = self.embed([prompt])
        return pipe(prompt, image=picture, image_embeds=e, negative_image_embeds=neg, strength=strength,
                    **self._decoder_settings(seed)).images[0]

    def inpaint(self, prompt, picture, mask, seed=0):
        """`mask` float [64,64], 1 = repaint."""
        unet = UNet2DConditionModel.from_pretrained(f"{self.args.model}/kandinsky-mini-inpaint/unet")
        shared = {k: v for k, v in self.pipe.components.items() if k != "unet"}
        pipe = self._quiet(KandinskyInpaintPipeline(unet=unet, **shared))
        e, neg = self.embed([prompt])
        return pipe(prompt, image=picture, mask_image=mask, image_embeds=e, negative_image_embeds=neg,
                    **self._decoder_settings(seed)).images[0]
