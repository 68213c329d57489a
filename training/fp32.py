"""The UNet's 3x3 convolutions, norms and activations in fp32, for processors with AVX-512: see fuse.py and fp32.c."""
import ctypes
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_suffix(".c")
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fPIC", "-shared"]
LANES, TILE, PLANES = 16, 4, 36
CL = torch.channels_last


def build():
    """-> path of the compiled library, made on first use."""
    text = SOURCE.read_bytes()
    folder = Path.home() / ".cache/kandinsky-mini"
    library = folder / f"fp32-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as tmp:
            out = Path(tmp, "fp32.so")
            subprocess.run([os.environ.get("CC", "gcc"), *FLAGS, "-o", out, SOURCE, "-lm"], check=True)
            os.replace(out, library)
    return str(library)


def planes(m, n):
    """[36,m,n], with a cache line between planes, lest they share cache sets."""
    return torch.empty(PLANES, m * n + LANES)[:, :m * n].unflatten(1, (m, n))


class Kernels:
    """Compiles fp32.c on first use; activations are fp32 and channels last."""

    def __init__(self):
        library = ctypes.CDLL(build())

        def call(name, *args):
            getattr(library, name)(*(
                ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor)
                else ctypes.c_float(a) if isinstance(a, float) else ctypes.c_long(a) for a in args))

        class NormAct(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, a, b, groups, eps):
                x = x.contiguous(memory_format=CL)
                n, c = x[0, 0].numel(), x.shape[1]
                y, stats = torch.empty_like(x), torch.empty(len(x), groups, 2)
                call("norm_forward", x, a, b, y, stats, len(x), n, c, groups, float(eps))
                ctx.save_for_backward(x, a, b, stats)
                return y

            @staticmethod
            def backward(ctx, dy):
                x, a, b, stats = ctx.saved_tensors
                dx, da, db = torch.empty_like(x), torch.empty_like(a), torch.empty_like(b)
                call("norm_backward", dy.contiguous(memory_format=CL), x, a, b, stats, dx, da, db,
                     len(x), x[0, 0].numel(), x.shape[1], stats.shape[1])
                return dx, da, db, None, None

        class Conv(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, weight, bias):
                (b, n, h, w), m = x.shape, len(weight)
                tiles = b * h * w // TILE ** 2
                v, u, product = planes(tiles, n), planes(m, n), planes(tiles, m)
                call("tiles_in", x.contiguous(memory_format=CL), v, v.stride(0), b, h, w, n)
                call("weight_in", weight.contiguous(), u, u.stride(0), m, n)
                torch.bmm(v, u.mT, out=product)
                y = torch.empty(b, m, h, w, memory_format=CL)
                call("tiles_out", product, bias, y, product.stride(0), b, h, w, m)
                ctx.save_for_backward(v, u)
                ctx.shape = x.shape
                return y

            @staticmethod
            def backward(ctx, dy):
                v, u = ctx.saved_tensors
                (b, n, h, w), (_, tiles, _), m = ctx.shape, v.shape, u.shape[1]
                dproduct, dbias = planes(tiles, m), torch.zeros(m)
                call("tiles_out_grad", dy.contiguous(memory_format=CL), dproduct, dbias, dproduct.stride(0), b, h, w, m)
                dv, du = planes(tiles, n), planes(m, n)
                torch.bmm(dproduct, u, out=dv)
                torch.bmm(dproduct.mT, v, out=du)
                dx, dweight = torch.zeros(b, h, w, n).permute(0, 3, 1, 2), torch.empty(m, n, 3, 3)
                call("tiles_in_grad", dv, dx, dv.stride(0), b, h, w, n)
                call("weight_in_grad", du, dweight, du.stride(0), m, n)
                return dx, dweight, dbias

        self.norm, self.winograd = NormAct, Conv

    def norm_act(self, x, a, b, groups, eps):
        """silu(group_norm(x) * a + b), x [B,C,H,W], a and b [B,C]"""
        return self.norm.apply(x.float(), a.contiguous(), b.contiguous(), groups, eps)

    def conv(self, layer):
        """-> the forward function of a Conv2d, or None if these kernels do not fit it."""
        fits = (layer.kernel_size == (3, 3) and layer.stride == layer.padding == (1, 1)
                and layer.in_channels % LANES == 0 and layer.out_channels % LANES == 0)

        def forward(x):
            if x.shape[2] % TILE or x.shape[3] % TILE:
                return torch.nn.functional.conv2d(x, layer.weight, layer.bias, padding=1)
            return self.winograd.apply(x.float(), layer.weight, layer.bias)

        return forward if fits else None
