"""Faster kernels for the UNet on CPU.

GroupNorm, scale and shift, and SiLU of a residual block are one operator, forward and backward, where ATen needs about
ten passes over memory. Without AMX, processors with AVX-512 multiply fp32 faster than bf16, and 3x3 convolutions are
Winograd's. Without a compiler or AVX-512 the UNet keeps its own layers.
"""
import subprocess

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D

import bf16
import fp32
from common import FAST_BF16


def kernels():
    """-> what fits the processor, or None."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    try:
        return (bf16 if FAST_BF16 else fp32).Kernels()
    except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as e:
        print("training without compiled kernels:", str(e).splitlines()[0], flush=True)
        return None


def fuse(unet):
    """Make `unet`, which is to run in `common.autocast`, use the kernels. Weights and saves stay as they are."""
    ops = kernels()
    if ops is None:
        return

    def norm_act(norm, x, scale_shift=None):
        """silu(norm(x) * (1 + scale) + shift)"""
        if scale_shift is None:
            a, b = (p.expand(len(x), -1) for p in (norm.weight, norm.bias))
        else:
            scale, shift = scale_shift.float().chunk(2, 1)
            a, b = norm.weight * (1 + scale), norm.bias * (1 + scale) + shift
        return ops.norm_act(x, a, b, norm.num_groups, norm.eps)

    def forward(block, x, temb):
        h = norm_act(block.norm1, x)
        for resample in (block.upsample, block.downsample):
            if resample is not None:
                x, h = resample(x), resample(h)
        h = norm_act(block.norm2, block.conv1(h), block.time_emb_proj(F.silu(temb)))
        return (x if block.conv_shortcut is None else block.conv_shortcut(x)) + block.conv2(h)

    for block in unet.modules():
        if isinstance(block, ResnetBlock2D):
            assert block.time_embedding_norm == "scale_shift" and block.output_scale_factor == 1
            block.forward = forward.__get__(block)
        elif isinstance(block, torch.nn.Conv2d) and ops.conv and (conv := ops.conv(block)):
            block.forward = conv
    unet.conv_norm_out.forward = norm_act.__get__(unet.conv_norm_out)
    unet.conv_act = torch.nn.Identity()
