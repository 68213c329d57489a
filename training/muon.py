"""Muon optimiser for networks with convolutions, AdamW for the parameters it does not fit.

Muon (Keller Jordan, 2024) replaces the momentum of a weight matrix by its nearest semi-orthogonal matrix, found by a
Newton-Schulz iteration; convolution kernels count as matrices [out, in * kh * kw]. Most of them are much wider than
high, so the iteration runs on the small matrix X X^T and ends with one product. The update is scaled to AdamW's usual
root mean square of 0.2 (Moonlight, arXiv 2502.16982), so learning rates of AdamW fit.

Weights that are several matrices on top of each other, as the projection to a scale and a shift, are taken apart: each
part is what the method means by a matrix, and the iteration costs the cube of the height.
"""
import torch

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonalise(g):
    """Matrix [m,n] -> about U V^T of its singular value decomposition.

    X <- p(X X^T) X, repeated, is one factor before the first X: the product of the p, which all commute.
    """
    wide = g.shape[0] <= g.shape[1]
    x = g if wide else g.T
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    s, factor = x @ x.T, None
    for k in range(ITERATIONS):
        p = torch.addmm(s, s, s, beta=b, alpha=c)
        p.diagonal().add_(a)
        factor = p if factor is None else p @ factor
        if k + 1 < ITERATIONS:
            s = p @ s @ p
    x = factor @ x
    return x if wide else x.T


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two or more dimensions, AdamW for the rest and for the parameters named in `adam_names`."""

    def __init__(self, named_parameters, lr, adam_names=(), adam_scale=1.0, stacked=None, weight_decay=0.01):
        """`stacked`: {end of a parameter's name: number of matrices in it}; AdamW's learning rate is `adam_scale * lr`."""
        matrix, other = {}, {}
        for name, p in named_parameters:
            (matrix if p.ndim >= 2 and name not in adam_names else other)[name] = p
        self.names = [*matrix, *other]  # in the order of the state dict's indices
        self.parts = {p: n for name, p in matrix.items() for end, n in (stacked or {}).items() if name.endswith(end)}
        groups = [dict(params=list(matrix.values()), muon=True, scale=1.0),
                  dict(params=list(other.values()), muon=False, scale=adam_scale)]
        super().__init__(groups, dict(lr=lr, weight_decay=weight_decay, momentum=0.95, betas=(0.9, 0.98), eps=1e-8))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            lr = g["scale"] * g["lr"]
            for p in g["params"]:
                if g["muon"]:
                    direction = self._muon(p.grad, self.state[p], g, self.parts.get(p, 1))
                else:
                    direction = self._adam(p.grad, self.state[p], g)
                p.mul_(1 - lr * g["weight_decay"]).add_(direction.view_as(p), alpha=-lr)

    @staticmethod
    def _muon(grad, state, g, parts):
        if not state:
            state["momentum"] = torch.zeros_like(grad)
        state["momentum"].lerp_(grad, 1 - g["momentum"])
        matrices = grad.lerp(state["momentum"], g["momentum"]).flatten(1).chunk(parts)
        return torch.cat([orthogonalise(m) * (0.2 * max(m.shape) ** 0.5) for m in matrices])

    @staticmethod
    def _adam(grad, state, g):
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(grad), exp_avg_sq=torch.zeros_like(grad))
        b1, b2 = g["betas"]
        state["step"] += 1
        state["exp_avg"].lerp_(grad, 1 - b1)
        state["exp_avg_sq"].lerp_(grad.square(), 1 - b2)
        mean, square = state["exp_avg"] / (1 - b1 ** state["step"]), state["exp_avg_sq"] / (1 - b2 ** state["step"])
        return mean / (square.sqrt() + g["eps"])
