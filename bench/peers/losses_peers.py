# SPDX-License-Identifier: Apache-2.0
"""The peers' own functions of the catalogue's losses: losses_peers.py torch|optax THREADS [PART OF A LABEL].

Under the labels of bench_losses, on tensors of the same shapes: the median time of a loss that is reduced to its mean,
alone and with the gradients of its main inputs, in nanoseconds a number of the first of them. torch is eager, optax is
compiled by jax. A loss is here where the library has a function of it; the work is the same, the last digits need not be.
"""

import os
import sys

PEER, THREADS = sys.argv[1], int(sys.argv[2])
WANTED = sys.argv[3] if len(sys.argv) > 3 else ""

from timing import median_seconds, settle  # noqa: E402

settle(THREADS)

import numpy as np  # noqa: E402

NUMBERS = 4096000
FLAT, ROWS, LISTS, VECTORS = (NUMBERS,), (NUMBERS // 1000, 1000), (NUMBERS // 500, 50), (1024, 128)

# What a loss's tensors are: the shape of the main inputs, how many of them, and what the others are.
PLAIN, SIGNED, CLASSES = "plain", "signs", "classes"
CASES = {
    **dict.fromkeys(("absolute_difference", "mean_squared_error", "half_squared_error", "huber_loss", "smooth_l1", "log_cosh",
                     "binary_cross_entropy", "log_loss", "poisson", "sigmoid_cross_entropy",
                     "sigmoid_cross_entropy_with_logits", "sigmoid_focal"), (FLAT, 1, PLAIN)),
    **dict.fromkeys(("soft_margin", "hinge_loss", "hinge_embedding"), (FLAT, 1, SIGNED)),
    "margin_ranking": (FLAT, 2, SIGNED),
    "gaussian_nll": (FLAT, 2, PLAIN),
    **dict.fromkeys(("sparse_softmax_cross_entropy", "sparse_softmax_cross_entropy_with_logits", "nll", "multi_margin",
                     "multiclass_hinge"), (ROWS, 1, CLASSES)),
    **dict.fromkeys(("softmax_cross_entropy", "softmax_cross_entropy_with_logits", "poly_cross_entropy", "kl_divergence",
                     "cosine_similarity", "multilabel_soft_margin"), (ROWS, 1, PLAIN)),
    "sparsemax": (ROWS, 1, CLASSES),
    "cosine_embedding": (ROWS, 2, SIGNED),
    "triplet_margin": (ROWS, 3, None),
    "ranking_softmax": (LISTS, 1, PLAIN),
    "info_nce": (VECTORS, 2, None),
    "nt_xent": (VECTORS, 1, CLASSES),
}


def tensors(shape, mains, others):
    """The labels, or None, and the main inputs."""
    draw = np.random.default_rng(1)

    def within():
        return np.float32(0.05) + np.float32(0.9) * draw.random(shape, dtype=np.float32)

    lead = shape if len(shape) == 1 else shape[:1]
    y = {None: lambda: None, PLAIN: within, CLASSES: lambda: draw.integers(0, shape[-1], lead),
         SIGNED: lambda: np.where(draw.random(lead) < 0.5, -1, 1).astype(np.float32)}[others]()
    return y, [within() for _ in range(mains)]


# ---- torch ----------------------------------------------------------------------------------------------------


class Torch:
    def __init__(self):
        import torch
        import torch.nn.functional as F

        torch.set_num_threads(THREADS)
        self.torch = torch

        def info_nce(_, query, key):
            scores = F.normalize(query) @ F.normalize(key).T / 0.07
            return F.cross_entropy(scores, torch.arange(len(query)))

        self.losses = {
            "absolute_difference": lambda y, p: F.l1_loss(p, y),
            "mean_squared_error": lambda y, p: F.mse_loss(p, y),
            "huber_loss": lambda y, p: F.huber_loss(p, y),
            "smooth_l1": lambda y, p: F.smooth_l1_loss(p, y),
            "binary_cross_entropy": lambda y, p: F.binary_cross_entropy(p, y),
            "log_loss": lambda y, p: F.binary_cross_entropy(p, y),
            "poisson": lambda y, p: F.poisson_nll_loss(p, y, log_input=False),
            "sigmoid_cross_entropy": lambda y, z: F.binary_cross_entropy_with_logits(z, y),
            "sigmoid_cross_entropy_with_logits": lambda y, z: F.binary_cross_entropy_with_logits(z, y),
            "soft_margin": lambda y, z: F.soft_margin_loss(z, y),
            "hinge_embedding": lambda y, d: F.hinge_embedding_loss(d, y),
            "margin_ranking": lambda y, a, b: F.margin_ranking_loss(a, b, y),
            "gaussian_nll": lambda y, p, v: F.gaussian_nll_loss(p, y, v),
            "sparse_softmax_cross_entropy": lambda y, z: F.cross_entropy(z, y),
            "sparse_softmax_cross_entropy_with_logits": lambda y, z: F.cross_entropy(z, y),
            "nll": lambda y, p: F.nll_loss(p, y),
            "multi_margin": lambda y, z: F.multi_margin_loss(z, y),
            "softmax_cross_entropy": lambda y, z: F.cross_entropy(z, y),
            "softmax_cross_entropy_with_logits": lambda y, z: F.cross_entropy(z, y),
            "kl_divergence": lambda y, p: F.kl_div(p.log(), y, reduction="batchmean"),
            "cosine_similarity": lambda y, p: F.cosine_similarity(p, y, eps=1e-7).mean(),
            "cosine_embedding": lambda y, a, b: F.cosine_embedding_loss(a, b, y),
            "multilabel_soft_margin": lambda y, z: F.multilabel_soft_margin_loss(z, y),
            "triplet_margin": lambda _, a, p, n: F.triplet_margin_loss(a, p, n),
            "info_nce": info_nce,
        }

    def call(self, name, y, mains, gradient):
        torch, loss = self.torch, self.losses[name]
        y = None if y is None else torch.from_numpy(y)
        mains = [torch.from_numpy(each) for each in mains]
        if not gradient:
            def forward():
                with torch.inference_mode():
                    return loss(y, *mains).item()
            return forward
        for each in mains:
            each.requires_grad_()

        def both():
            value = loss(y, *mains)
            return value.item(), torch.autograd.grad(value, mains)
        return both


# ---- optax ----------------------------------------------------------------------------------------------------


class Optax:
    def __init__(self):
        import jax
        import jax.numpy as jnp
        import optax.losses as losses

        self.jax = jax
        self.losses = {
            "mean_squared_error": lambda y, p: losses.squared_error(p, y),
            "half_squared_error": lambda y, p: losses.l2_loss(p, y),
            "huber_loss": lambda y, p: losses.huber_loss(p, y),
            "log_cosh": lambda y, p: losses.log_cosh(p, y),
            "hinge_loss": lambda y, z: losses.hinge_loss(z, y),
            "sigmoid_cross_entropy": lambda y, z: losses.sigmoid_binary_cross_entropy(z, y),
            "sigmoid_cross_entropy_with_logits": lambda y, z: losses.sigmoid_binary_cross_entropy(z, y),
            "sigmoid_focal": lambda y, z: losses.sigmoid_focal_loss(z, y),
            "sparse_softmax_cross_entropy": lambda y, z: losses.softmax_cross_entropy_with_integer_labels(z, y),
            "sparse_softmax_cross_entropy_with_logits": lambda y, z: losses.softmax_cross_entropy_with_integer_labels(z, y),
            "softmax_cross_entropy": lambda y, z: losses.softmax_cross_entropy(z, y),
            "softmax_cross_entropy_with_logits": lambda y, z: losses.softmax_cross_entropy(z, y),
            "poly_cross_entropy": lambda y, z: losses.poly_loss_cross_entropy(z, y),
            "kl_divergence": lambda y, p: losses.kl_divergence(jnp.log(p), y),
            "cosine_similarity": lambda y, p: losses.cosine_similarity(p, y, epsilon=1e-7),
            "multiclass_hinge": lambda y, z: losses.multiclass_hinge_loss(z, y),
            "sparsemax": lambda y, z: losses.multiclass_sparsemax_loss(z, y),
            "triplet_margin": lambda _, a, p, n: losses.triplet_margin_loss(a, p, n),
            "ranking_softmax": lambda y, s: losses.ranking_softmax_loss(s, y),
            "nt_xent": lambda y, e: losses.ntxent(e, y),
        }

    def call(self, name, y, mains, gradient):
        jax, loss = self.jax, self.losses[name]
        y = None if y is None else jax.numpy.asarray(y.astype(np.int32) if y.dtype == np.int64 else y)
        mains = [jax.numpy.asarray(each) for each in mains]

        def mean(*mains):
            return loss(y, *mains).mean()
        run = jax.jit(jax.value_and_grad(mean, argnums=tuple(range(len(mains)))) if gradient else mean)
        return lambda: jax.block_until_ready(run(*mains))


def main():
    peer = {"torch": Torch, "optax": Optax}[PEER]()
    for name in sorted(peer.losses):
        shape, count, others = CASES[name]
        for gradient in (False, True):
            label = f"{name}, {'loss and gradient' if gradient else 'loss'}"
            if WANTED in label:
                seconds = median_seconds(peer.call(name, *tensors(shape, count, others), gradient))
                print(f"{label:<72}  {seconds / np.prod(shape) * 1e9:.4g} ns", flush=True)


if __name__ == "__main__":
    main()
