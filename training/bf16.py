"""The UNet's norms and activations as one operator in bf16, for processors with AMX: see fuse.py and bf16.cpp."""
from pathlib import Path

import torch
import torch.nn.functional as F

FLAGS = ["-O3", "-march=native", "-DCPU_CAPABILITY=AVX512", "-DCPU_CAPABILITY_AVX512"]


class Kernels:
    """Compiles bf16.cpp on first use. Convolutions stay PyTorch's."""

    def __init__(self):
        from torch.utils.cpp_extension import load
        op = load("bf16", [str(Path(__file__).with_suffix(".cpp"))], extra_cflags=FLAGS)

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

        self.op = NormAct

    def norm_act(self, x, a, b, groups, eps):
        """silu(group_norm(x) * a + b), x [B,C,H,W], a and b [B,C]"""
        x = x.bfloat16()
        if x[0, 0].numel() % 32:  # whole vectors only
            return F.silu(F.group_norm(x.float(), groups, eps=eps) * a[:, :, None, None] + b[:, :, None, None])
        return self.op.apply(x.contiguous(), a.float().contiguous(), b.float().contiguous(), groups, eps)

    conv = None
