"""GroupNorm, scale and shift, and SiLU of the UNet's residual blocks as one operator for CPU training in bf16.

ATen needs about ten passes over memory for the three and their gradients, and a tenth of the time when they are one
(norm_act.cpp, compiled on first use). Without a compiler or AVX-512 the UNet keeps its own layers.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D

FLAGS = ["-O3", "-march=native", "-DCPU_CAPABILITY=AVX512", "-DCPU_CAPABILITY_AVX512"]


def build():
    """-> the compiled operator, or None where it cannot be compiled."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    try:
        from torch.utils.cpp_extension import load
        return load("norm_act", [str(Path(__file__).with_suffix(".cpp"))], extra_cflags=FLAGS)
    except (ImportError, OSError, RuntimeError) as e:
        print("training without norm_act.cpp:", str(e).splitlines()[0], flush=True)
        return None


def fuse(unet):
    """Make `unet`, which is to train in bf16 autocast, use the operator. Weights and saves stay as they are."""
    op = build()
    if op is None:
        return

    class NormAct(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, a, b, groups, eps):
            y, stats = op.forward(x, a, b, groups, eps)
            ctx.save_for_backward(x, a, b, stats)
            ctx.groups = groups
            return y

        @staticmethod
        def backward(ctx, grad):
            return *op.backward(grad.contiguous(), *ctx.saved_tensors, ctx.groups), None, None

    def norm_act(norm, x, scale_shift=None):
        """silu(norm(x) * (1 + scale) + shift)"""
        if scale_shift is None:
            a, b = (p.expand(len(x), -1) for p in (norm.weight, norm.bias))
        else:
            scale, shift = scale_shift.float().chunk(2, 1)
            a, b = norm.weight * (1 + scale), norm.bias * (1 + scale) + shift
        x = x.bfloat16()
        if x[0, 0].numel() % 32:  # whole vectors only
            y = F.group_norm(x.float(), norm.num_groups, eps=norm.eps)
            return F.silu(y * a[:, :, None, None] + b[:, :, None, None])
        return NormAct.apply(x.contiguous(), a.contiguous(), b.contiguous(), norm.num_groups, norm.eps)

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
    unet.conv_norm_out.forward = norm_act.__get__(unet.conv_norm_out)
    unet.conv_act = torch.nn.Identity()
