"""Muon optimiser for networks with convolutions, AdamW for the parameters it does not fit.

Muon (Keller Jordan, 2024) replaces the momentum of a weight matrix by its nearest semi-orthogonal matrix, found by a
Newton-Schulz iteration; convolution kernels count as matrices [out, in * kh * kw]. The update is scaled to AdamW's
usual root mean square of 0.2 (Moonlight, arXiv 2502.16982), so learning rates of AdamW fit.
"""
import torch

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonalise(g):
    """Matrix [m,n] -> about U V^T of its singular value decomposition."""
    x = g.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x if wide else x.T).float()


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two or more dimensions, AdamW for the rest and for the parameters named in `adam_names`."""

    def __init__(self, named_parameters, lr, adam_names=(), weight_decay=0.01):
        matrix, other = {}, {}
        for name, p in named_parameters:
            (matrix if p.ndim >= 2 and name not in adam_names else other)[name] = p
        self.names = [*matrix, *other]  # in the order of the state dict's indices
        groups = [dict(params=list(matrix.values()), muon=True), dict(params=list(other.values()), muon=False)]
        super().__init__(groups, dict(lr=lr, weight_decay=weight_decay, momentum=0.95, betas=(0.9, 0.98), eps=1e-8))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            update = self._muon if g["muon"] else self._adam
            for p in g["params"]:
                direction = update(p.grad, self.state[p], g)
                p.mul_(1 - g["lr"] * g["weight_decay"]).add_(direction.view_as(p), alpha=-g["lr"])

    @staticmethod
    def _muon(grad, state, g):
        if not state:
            state["momentum"] = torch.zeros_like(grad)
        state["momentum"].lerp_(grad, 1 - g["momentum"])
        m = grad.lerp(state["momentum"], g["momentum"]).flatten(1)
        return orthogonalise(m) * (0.2 * max(m.shape) ** 0.5)

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
