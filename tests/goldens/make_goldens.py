#!/usr/bin/env python3
"""Make the golden pictures of kandinsky-mini anew with diffusers: what the server must draw, pixel by pixel.

Every case is one request in the words of the HTTP API; the reference calls are diffusers' combined pipelines, with one
generator per picture that the prior draws from first and the decoder after it. Where diffusers has no combined pipeline
(variations, fusion), the two pipelines are called one after the other.

    pip install -r tests/goldens/requirements.txt
    python tests/goldens/make_goldens.py            # writes tests/goldens/*.png and cases.json
    python tests/goldens/make_goldens.py NAME...    # writes cases.json and these images only

Run it again whenever models/kandinsky-mini changes. Image-to-image has a golden for each kind of sampler, at low and high strengths
and with few steps, wherever the reference takes away the noise that it adds.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import PIL.Image
import PIL.ImageDraw
import torch
from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    KandinskyCombinedPipeline,
    KandinskyImg2ImgCombinedPipeline,
    KandinskyInpaintCombinedPipeline,
    KandinskyPipeline,
    KandinskyPriorPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "kandinsky-mini"
NAME = "kandinsky-mini"

SAMPLING = dict(width=64, height=64, steps=20, guidance_scale=4.0, prior=dict(steps=10, guidance_scale=4.0))


def cases():
    """The requests, by name. `image`, `images` and `mask` name files in this folder."""
    text = lambda prompt, **more: dict(SAMPLING, mode="text-to-image", prompt=prompt, **more)
    redraw = lambda **more: dict(SAMPLING | more, mode="image-to-image", image="text_english.png",
                                 prompt="smiling face on a red background")
    return {
        "text_english": text("red heart on a blue background", seed=7),
        "text_russian": text("красное сердце на жёлтом фоне", seed=8),
        "text_negative": text("smiling face on a green background", negative_prompt="red background", seed=9),
        "text_wide": dict(text("rocket on a purple background", seed=10), width=96),
        "text_no_guidance": dict(text("pizza on a white background", seed=11), guidance_scale=1.0),
        "text_long_seed": text("car on an orange background", seed=2**40 + 12),
        "text_ddpm": text("panda on a pink background", seed=13, scheduler="ddpm"),
        "text_dpmpp": text("robot on a yellow background", seed=14, scheduler="dpmpp_2m"),
        "text_karras": text("skull on a black background", seed=15, scheduler="dpmpp_2m_karras"),
        "image_to_image": dict(SAMPLING, mode="image-to-image", prompt="smiling face on a red background",
                               image="text_english.png", strength=0.7, seed=20),
        "image_to_image_few": redraw(strength=1.0, steps=4, seed=25),
        "image_to_image_dpmpp": redraw(strength=0.3, scheduler="dpmpp_2m", seed=26),
        "image_to_image_karras": redraw(strength=0.9, steps=10, scheduler="dpmpp_2m_karras", seed=27),
        "image_to_image_ddpm": redraw(strength=0.8, scheduler="ddpm", seed=28),
        "image_to_image_unipc": redraw(strength=0.6, steps=10, scheduler="unipc", seed=29),
        "image_variations": dict(SAMPLING, mode="image-variations", image="text_english.png", seed=21),
        "image_fusion": dict(SAMPLING, mode="image-fusion", seed=22, images=[
            dict(image="text_english.png", weight=0.4), dict(image="text_russian.png", weight=0.6)]),
        "text_image_fusion": dict(SAMPLING, mode="text-image-fusion", seed=23, inputs=[
            dict(prompt="smiling face on a green background", weight=0.5), dict(image="text_english.png", weight=0.2),
            dict(prompt="кошка на жёлтом фоне", weight=0.3)]),
        "inpainting": dict(SAMPLING, mode="inpainting", prompt="smiling face on a blue background",
                           image="text_english.png", mask="mask.png", composite=False, seed=24),
    }


def make_mask(path):
    """An off-centre ellipse and a corner, hard edges, no symmetry."""
    mask = PIL.Image.new("L", (64, 64), 0)
    draw = PIL.ImageDraw.Draw(mask)
    draw.ellipse([14, 10, 50, 44], fill=255)
    draw.rectangle([0, 52, 17, 63], fill=255)
    mask.save(path)


class UniPc(UniPCMultistepScheduler):
    """As the pipelines call schedulers: with a generator, which this one has no use for."""

    def step(self, *args, generator=None, **more):
        return super().step(*args, **more)


class Reference:
    """diffusers' pipelines over one set of components."""

    def __init__(self):
        load = dict(torch_dtype=torch.float32, local_files_only=True)
        self.prior = KandinskyPriorPipeline.from_pretrained(MODEL / f"{NAME}-prior", **load)
        self.decoder = KandinskyPipeline.from_pretrained(MODEL / NAME, **load)
        self.inpaint_unet = UNet2DConditionModel.from_pretrained(MODEL / f"{NAME}-inpaint" / "unet", **load)
        self.ddim = self.decoder.scheduler
        self.prior.set_progress_bar_config(disable=True)
        self.decoder.set_progress_bar_config(disable=True)

    def combined(self, kind, scheduler, unet=None):
        prior = {f"prior_{name}": part for name, part in self.prior.components.items()}
        main = dict(self.decoder.components, scheduler=scheduler)
        if unet is not None:
            main["unet"] = unet
        pipe = kind(**main, **prior)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def scheduler(self, name):
        config = self.ddim.config
        match name:
            case None:
                return self.ddim
            case "ddpm":
                return DDPMScheduler.from_pretrained(MODEL / NAME / "ddpm_scheduler")
            case "dpmpp_2m":
                return DPMSolverMultistepScheduler.from_config(config)
            case "dpmpp_2m_karras":
                return DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=True)
            case "unipc":
                return UniPc.from_config(config)

    @torch.no_grad()
    def draw(self, case):
        generator = torch.Generator("cpu").manual_seed(case["seed"])
        picture = lambda name: PIL.Image.open(HERE / name).convert("RGB")
        prior = dict(num_inference_steps=case["prior"]["steps"], guidance_scale=case["prior"]["guidance_scale"])
        sampling = dict(num_inference_steps=case["steps"], guidance_scale=case["guidance_scale"],
                        width=case["width"], height=case["height"], generator=generator)
        combined = dict(sampling, prior_num_inference_steps=prior["num_inference_steps"],
                        prior_guidance_scale=prior["guidance_scale"], negative_prompt=case.get("negative_prompt"))
        scheduler = self.scheduler(case.get("scheduler"))
        zero = self.prior.get_zero_embed()

        def embed(image):
            pixels = self.prior.image_processor(image, return_tensors="pt").pixel_values
            return self.prior.image_encoder(pixels)["image_embeds"]

        def decode(image_embeds, prompt):
            return self.decoder(prompt, image_embeds=image_embeds, negative_image_embeds=zero, **sampling)

        match case["mode"]:
            case "text-to-image":
                result = self.combined(KandinskyCombinedPipeline, scheduler)(case["prompt"], **combined)
            case "image-to-image":
                pipe = self.combined(KandinskyImg2ImgCombinedPipeline, scheduler)
                result = pipe(case["prompt"], image=picture(case["image"]), strength=case["strength"], **combined)
            case "inpainting":
                pipe = self.combined(KandinskyInpaintCombinedPipeline, scheduler, self.inpaint_unet)
                mask = PIL.Image.open(HERE / case["mask"])
                result = pipe(case["prompt"], image=picture(case["image"]), mask_image=mask, **combined)
            case "image-variations":
                result = decode(embed(picture(case["image"])), "")
            case "image-fusion":
                parts = [part["weight"] * embed(picture(part["image"])) for part in case["images"]]
                result = decode(sum(parts), "")
            case "text-image-fusion":
                parts = []
                for part in case["inputs"]:
                    if "image" in part:
                        parts.append(part["weight"] * embed(picture(part["image"])))
                    else:
                        made = self.prior(part["prompt"], generator=generator, **prior).image_embeds
                        parts.append(part["weight"] * made)
                texts = [part["prompt"] for part in case["inputs"] if "prompt" in part]
                result = decode(sum(parts), ", ".join(texts))
        return result.images[0]


def main():
    torch.set_num_threads(1)
    make_mask(HERE / "mask.png")
    reference = Reference()
    wanted = sys.argv[1:]
    listed = []
    for name, case in cases().items():
        if not wanted or name in wanted:
            reference.draw(case).save(HERE / f"{name}.png")
        listed.append(dict(case, name=name))
        print(name, flush=True)
    text = json.dumps(listed, indent=1, ensure_ascii=False) + "\n"
    (HERE / "cases.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
