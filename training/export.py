"""Assemble the diffusers folders (fp16 safetensors, model_index.json).

With --unet alone it replaces the UNets of an existing model folder; with all components it makes a new one.
"""
import copy
import json
import shutil
from pathlib import Path

import torch
from diffusers import DDPMScheduler, KandinskyPipeline, KandinskyPriorPipeline, PriorTransformer, UNet2DConditionModel, VQModel
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import CLIPTokenizer, XLMRobertaTokenizer

import train_prior
import train_unet
from common import parse, parser
from train_clip import load_text, load_vision, make_processor

HALF = torch.float16
COMPONENTS = ("clip", "clip_tokenizer", "prior", "mclip", "xlmr_tokenizer", "movq")


def load_unet(folder, channels):
    """Load a UNet; a 9-channel one is cut to its first 4 input channels for text-to-image."""
    unet = UNet2DConditionModel.from_pretrained(folder, dtype=HALF)
    if unet.config.in_channels != channels:
        state = unet.state_dict()
        state["conv_in.weight"] = state["conv_in.weight"][:, :channels].clone()
        unet = train_unet.make_unet(channels).to(HALF)
        unet.load_state_dict(state)
    return unet.eval()


def copy_tokenizer(source, folder):
    """Copy the slow-tokenizer files too, which transformers 5 does not write."""
    for f in Path(source).iterdir():
        shutil.copy(f, folder / f.name)


def edit_json(path, change):
    """Rewrite a JSON file if `change(content)` edits it in place."""
    content = json.loads(path.read_text())
    before = copy.deepcopy(content)
    change(content)
    if content != before:
        path.write_text(json.dumps(content, indent=2) + "\n")


def export_prior(a, folder):
    KandinskyPriorPipeline(
        prior=PriorTransformer.from_pretrained(a.prior, dtype=HALF),
        image_encoder=load_vision(a.clip).to(HALF), text_encoder=load_text(a.clip).to(HALF),
        tokenizer=CLIPTokenizer.from_pretrained(a.clip_tokenizer),
        scheduler=train_prior.make_scheduler(), image_processor=make_processor()).save_pretrained(folder)
    copy_tokenizer(a.clip_tokenizer, folder / "tokenizer")

    def name_processor(index):  # transformers 5 names its PIL backend; Kandinsky's own repository does not
        index["image_processor"] = ["transformers", "CLIPImageProcessor"]

    edit_json(folder / "model_index.json", name_processor)


def export_decoder(a, folder, inpaint_folder):
    KandinskyPipeline(
        text_encoder=MultilingualCLIP.from_pretrained(a.mclip, dtype=HALF),
        tokenizer=XLMRobertaTokenizer.from_pretrained(a.xlmr_tokenizer), unet=load_unet(a.unet, 4),
        scheduler=train_unet.make_scheduler(), movq=VQModel.from_pretrained(a.movq, dtype=HALF)).save_pretrained(folder)
    copy_tokenizer(a.xlmr_tokenizer, folder / "tokenizer")
    # The learned variances of so small a network leave latents out of their range; the fixed ones do not.
    ddpm = DDPMScheduler.from_config(train_unet.make_scheduler().config, variance_type="fixed_small")
    ddpm.save_pretrained(folder / "ddpm_scheduler")

    def name_tokenizer(index):
        index["tokenizer"] = ["transformers", "XLMRobertaTokenizerFast"]

    edit_json(folder / "model_index.json", name_tokenizer)
    if a.inpaint:
        inpaint_folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "model_index.json", inpaint_folder)
        edit_json(inpaint_folder / "model_index.json", lambda i: i.update(_class_name="KandinskyInpaintPipeline"))


def main():
    p = parser(__doc__)
    p.add_argument("--unet", required=True, help="UNet folder with 4 or 9 input channels")
    p.add_argument("--inpaint", help="9-channel UNet folder (may be the same as --unet)")
    p.add_argument("--clip", help="output of train_clip.py")
    p.add_argument("--clip-tokenizer", help="clip_tokenizer of train_tokenizers.py")
    p.add_argument("--prior", help="output of train_prior.py")
    p.add_argument("--mclip", help="output of train_mclip.py")
    p.add_argument("--xlmr-tokenizer", help="xlmr_tokenizer of train_tokenizers.py")
    p.add_argument("--movq", help="output of train_movq.py")
    p.add_argument("--out", required=True, help="model folder")
    a = parse(p)
    given = [c for c in COMPONENTS if getattr(a, c)]
    if given and len(given) < len(COMPONENTS):
        p.error(f"give all of {', '.join(COMPONENTS)}, or none of them")
    out = Path(a.out)
    main_folder, inpaint_folder = out / "kandinsky-mini", out / "kandinsky-mini-inpaint"
    if given:
        export_prior(a, out / "kandinsky-mini-prior")
        export_decoder(a, main_folder, inpaint_folder)
    else:
        load_unet(a.unet, 4).save_pretrained(main_folder / "unet")
    if a.inpaint:  # only the UNet: the other components are those of kandinsky-mini
        load_unet(a.inpaint, 9).save_pretrained(inpaint_folder / "unet")
    for f in out.rglob("*.safetensors"):  # written for the owner only
        f.chmod(0o644)
    for f in [*out.rglob("config.json"), *out.glob("*/model_index.json")]:  # no local paths in what is published
        edit_json(f, lambda content: content.pop("_name_or_path", None))


if __name__ == "__main__":
    main()
