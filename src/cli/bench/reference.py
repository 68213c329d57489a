"""The reference beside `kandinsky bench compare`: one network at a time in PyTorch, on the same checkpoint and sizes.

Arguments: FOLDER HEIGHT WIDTH THREADS PRECISION, where the folder holds NAME-prior and NAME, height and width are those of latents, and
precision is f32, bf16 or bf16-channels-last. Prints a line of JSON when all is loaded; then, for each line of the standard input that names
one of `encode`, `image`, `prior`, `decoder`, `decode`, a line with the seconds that it took, of the clock and of processors. Two rows, as with guidance, and one image.
"""
import json
import sys
import time
from pathlib import Path

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

TOKENS = 77
ROWS = 2


def main() -> None:
    folder, height, width, threads, precision = sys.argv[1:6]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    dtype = torch.float32 if precision == "f32" else torch.bfloat16
    channels_last = precision.endswith("channels-last")

    def load(kind, path):
        network = kind.from_pretrained(path).to(dtype).eval()
        return network.to(memory_format=torch.channels_last) if channels_last else network

    def noise(*shape):
        values = torch.randn(*shape, dtype=dtype)
        return values.to(memory_format=torch.channels_last) if channels_last and len(shape) == 4 else values

    prior_folder = next(path for path in sorted(Path(folder).iterdir()) if path.name.endswith("-prior"))
    main_folder = prior_folder.with_name(prior_folder.name.removesuffix("-prior"))
    prior, clip = load(PriorTransformer, prior_folder / "prior"), load(CLIPTextModelWithProjection, prior_folder / "text_encoder")
    unet, movq = load(UNet2DConditionModel, main_folder / "unet"), load(VQModel, main_folder / "movq")
    vision = load(CLIPVisionModelWithProjection, prior_folder / "image_encoder")
    multilingual = load(MultilingualCLIP, main_folder / "text_encoder")

    ids, mask = torch.randint(5, 100, (ROWS, TOKENS)), torch.ones(ROWS, TOKENS, dtype=torch.long)
    pixels = noise(1, 3, vision.config.image_size, vision.config.image_size)
    embeds, states = noise(ROWS, prior.config.embedding_dim), noise(ROWS, TOKENS, prior.config.embedding_dim)
    latents = noise(1, movq.config.latent_channels, int(height), int(width))
    sample = noise(ROWS, unet.config.in_channels, int(height), int(width))
    added = {"text_embeds": noise(ROWS, unet.config.cross_attention_dim), "image_embeds": noise(ROWS, unet.config.cross_attention_dim)}
    text, timesteps = noise(ROWS, TOKENS, unet.config.encoder_hid_dim), torch.tensor([500] * ROWS)

    def encode():
        clip(ids)
        multilingual(ids, mask)

    works = {
        "encode": encode,
        "image": lambda: vision(pixels),
        "prior": lambda: prior(embeds, timestep=500, proj_embedding=embeds, encoder_hidden_states=states, attention_mask=mask.bool()),
        "decoder": lambda: unet(sample, timesteps, text, added_cond_kwargs=added),
        "decode": lambda: movq.decode(latents, force_not_quantize=True),
    }
    print(json.dumps({"version": f"PyTorch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        work = works[line.strip()]
        clock, processor = time.perf_counter(), time.process_time()
        work()
        seconds, processor = time.perf_counter() - clock, time.process_time() - processor
        print(json.dumps({"seconds": seconds, "processor_seconds": processor}), flush=True)


if __name__ == "__main__":
    main()
