"""Muon optimiser for networks with convolutions, AdamW for the parameters it does not fit.

Muon (Keller Jordan, 2024) replaces the momentum of a weight matrix by its nearest semi-orthogonal matrix, found by a
Newton-Schulz iteration; convolution kernels count as matrices [out, in * kh * kw]. The update is scaled to AdamW's
usual root mean square of 0.2 (Moonlight, arXiv 2502.16982), so learning rates of AdamW fit.

Several processes with the same gradients share the iterations: each does its part of the matrices and tells the others.
"""
import torch
import torch.distributed as dist

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
    return x if wide else x.T


def share(costs, world):
    """Owner of each item, so that all owners have about the same cost."""
    load, owner = [0] * world, [0] * len(costs)
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        owner[i] = load.index(min(load))
        load[owner[i]] += costs[i]
    return owner


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two or more dimensions, AdamW for the rest and for the parameters named in `adam_names`."""

    def __init__(self, named_parameters, lr, adam_names=(), weight_decay=0.01, rank=0, world=1):
        matrix, other = {}, {}
        for name, p in named_parameters:
            (matrix if p.ndim >= 2 and name not in adam_names else other)[name] = p
        self.names = [*matrix, *other]  # in the order of the state dict's indices
        self.rank, self.world = rank, world
        self.owner = share([p.numel() * min(p.flatten(1).shape) for p in matrix.values()], world)
        groups = [dict(params=list(matrix.values()), muon=True), dict(params=list(other.values()), muon=False)]
        super().__init__(groups, dict(lr=lr, weight_decay=weight_decay, momentum=0.95, betas=(0.9, 0.98), eps=1e-8))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            directions = self._muon(g) if g["muon"] else [self._adam(p.grad, self.state[p], g) for p in g["params"]]
            for p, direction in zip(g["params"], directions):
                p.mul_(1 - g["lr"] * g["weight_decay"]).add_(direction.view_as(p), alpha=-g["lr"])

    def _muon(self, g):
        found = []
        for p, owner in zip(g["params"], self.owner):
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - g["momentum"])
            if owner == self.rank:
                found.append(orthogonalise(p.grad.lerp(state["momentum"], g["momentum"]).flatten(1)))
            else:
                found.append(torch.empty(p.flatten(1).shape, dtype=torch.bfloat16))
        for owner in range(self.world) if self.world > 1 else ():
            mine = [d for d, o in zip(found, self.owner) if o == owner]
            flat = torch.cat([d.flatten() for d in mine])
            dist.broadcast(flat, owner)
            for d, new in zip(mine, flat.split([d.numel() for d in mine])):
                d.copy_(new.view_as(d))
        return [d.float() * (0.2 * max(d.shape) ** 0.5) for d in found]

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
