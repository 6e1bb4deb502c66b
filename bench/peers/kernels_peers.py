# SPDX-License-Identifier: Apache-2.0
"""The peers' kernels: kernels_peers.py torch|compile|jax|numpy THREADS [PART OF A LABEL].

Losses of float32 tensors in memory, reduced to their mean, alone and with the gradient of the logits or predictions:
the median time of a call in milliseconds, under the labels of bench_kernels. A process measures one library.
"""

import sys

PEER, THREADS = sys.argv[1], int(sys.argv[2])
WANTED = sys.argv[3] if len(sys.argv) > 3 else ""
SHAPES = ((65536, 10), (8192, 1000), (512, 32000), (128, 128256))
ELEMENTS = 1 << 24
ELEMENTWISE = ("mean_squared_error", "huber_loss", "sigmoid_cross_entropy", "log_loss")
EPSILON = 1e-7  # of log_loss

from timing import median_seconds, settle  # noqa: E402

settle(THREADS)

import numpy as np  # noqa: E402


# ---- numpy: both formulas by hand -----------------------------------------------------------------------------


def softmax_parts(z):
    """exp(z - max) and its sum a row, and the logarithm of the softmax's denominator."""
    e = z - z.max(axis=1, keepdims=True)
    largest = z.max(axis=1)
    np.exp(e, out=e)
    total = e.sum(axis=1)
    return e, total, np.log(total) + largest


def numpy_sparse(y, z, gradient):
    rows = np.arange(len(y))
    e, total, normalizer = softmax_parts(z)
    loss = (normalizer - z[rows, y]).mean()
    if not gradient:
        return loss
    e *= (1 / (total * np.float32(len(y))))[:, None]
    e[rows, y] -= np.float32(1 / len(y))
    return loss, e


def numpy_one_hot(y, z, gradient):
    e, total, normalizer = softmax_parts(z)
    mass = y.sum(axis=1)
    loss = (normalizer * mass - np.einsum("ij,ij->i", y, z)).mean()
    if not gradient:
        return loss
    e *= (mass / total)[:, None]
    e -= y
    e *= np.float32(1 / len(y))
    return loss, e


def numpy_mean_squared_error(y, p, gradient):
    d = p - y
    loss = np.dot(d, d) / d.size
    if not gradient:
        return loss
    d *= np.float32(2 / d.size)
    return loss, d


def numpy_huber_loss(y, p, gradient):
    d = p - y
    clamped = np.clip(d, -1, 1)
    loss = np.dot(clamped, d - np.float32(0.5) * clamped) / d.size
    if not gradient:
        return loss
    clamped *= np.float32(1 / d.size)
    return loss, clamped


def numpy_sigmoid_cross_entropy(y, z, gradient):
    e = np.exp(-np.abs(z))
    loss = (np.maximum(z, 0) - z * y + np.log1p(e)).mean()
    if not gradient:
        return loss
    g = np.where(z >= 0, np.float32(1), e)
    e += 1
    g /= e
    g -= y
    g *= np.float32(1 / z.size)
    return loss, g


def numpy_log_loss(y, p, gradient):
    of_one = p + np.float32(EPSILON)
    of_zero = np.float32(1 + EPSILON) - p
    loss = -(y * np.log(of_one) + (1 - y) * np.log(of_zero)).mean()
    if not gradient:
        return loss
    g = (1 - y) / of_zero
    g -= y / of_one
    g *= np.float32(1 / p.size)
    return loss, g


class Numpy:
    losses = {
        "sparse_softmax_cross_entropy": numpy_sparse, "softmax_cross_entropy": numpy_one_hot,
        "mean_squared_error": numpy_mean_squared_error, "huber_loss": numpy_huber_loss,
        "sigmoid_cross_entropy": numpy_sigmoid_cross_entropy, "log_loss": numpy_log_loss,
    }

    def call(self, name, y, z, gradient):
        loss = self.losses[name]
        return lambda: loss(y, z, gradient)


# ---- torch: its own losses, eager or compiled; gradients by autograd ------------------------------------------


class Torch:
    def __init__(self, compiled):
        import torch
        import torch.nn.functional as F

        torch.set_num_threads(THREADS)
        self.torch, self.compiled = torch, compiled
        self.losses = {
            "sparse_softmax_cross_entropy": lambda y, z: F.cross_entropy(z, y),
            "softmax_cross_entropy": lambda y, z: F.cross_entropy(z, y),
            "mean_squared_error": lambda y, p: F.mse_loss(p, y),
            "huber_loss": lambda y, p: F.huber_loss(p, y),
            "sigmoid_cross_entropy": lambda y, z: F.binary_cross_entropy_with_logits(z, y),
            "log_loss": lambda y, p: F.binary_cross_entropy(p, y),
        }

    def compile(self, function):
        self.torch.compiler.reset()
        return self.torch.compile(function, dynamic=False) if self.compiled else function

    def call(self, name, y, z, gradient):
        torch = self.torch
        y, z = torch.from_numpy(y), torch.from_numpy(z)
        loss = self.compile(self.losses[name])
        if not gradient:
            def forward():
                with torch.inference_mode():
                    return loss(y, z).item()
            return forward
        z.requires_grad_()

        def both():
            value = loss(y, z)
            (g,) = torch.autograd.grad(value, z)
            return value.item(), g
        return both


# ---- jax: jit, gradients by value_and_grad --------------------------------------------------------------------


class Jax:
    def __init__(self):
        import jax
        import jax.numpy as jnp
        from jax.nn import log_softmax, logsumexp

        self.jax = jax

        def sparse(z, y):
            picked = jnp.take_along_axis(z, y[:, None], axis=1)[:, 0]
            return (logsumexp(z, axis=1) - picked).mean()

        def one_hot(z, y):
            return -(y * log_softmax(z, axis=1)).sum(axis=1).mean()

        def mean_squared_error(p, y):
            return jnp.square(p - y).mean()

        def huber_loss(p, y):
            d = p - y
            clamped = jnp.clip(d, -1, 1)
            return (clamped * (d - 0.5 * clamped)).mean()

        def sigmoid_cross_entropy(z, y):
            return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean()

        def log_loss(p, y):
            return -(y * jnp.log(p + EPSILON) + (1 - y) * jnp.log(1 - p + EPSILON)).mean()

        self.losses = {
            "sparse_softmax_cross_entropy": sparse, "softmax_cross_entropy": one_hot,
            "mean_squared_error": mean_squared_error, "huber_loss": huber_loss,
            "sigmoid_cross_entropy": sigmoid_cross_entropy, "log_loss": log_loss,
        }

    def call(self, name, y, z, gradient):
        loss = self.losses[name]
        run = self.jax.jit(self.jax.value_and_grad(loss) if gradient else loss)
        y = self.jax.numpy.asarray(y.astype(np.int32) if y.dtype == np.int64 else y)
        z = self.jax.numpy.asarray(z)
        return lambda: self.jax.block_until_ready(run(z, y))


# ---- measuring ------------------------------------------------------------------------------------------------


def cases():
    """Name, label's shape, labels, logits or predictions."""
    draw = np.random.default_rng(1)
    for rows, classes in SHAPES:
        z = 3 * draw.standard_normal((rows, classes), dtype=np.float32)
        y = draw.integers(0, classes, rows)
        yield "sparse_softmax_cross_entropy", f"{rows}x{classes}", y, z
        one_hot = np.zeros((rows, classes), dtype=np.float32)
        one_hot[np.arange(rows), y] = 1
        yield "softmax_cross_entropy", f"{rows}x{classes}", one_hot, z
    p = np.float32(0.05) + np.float32(0.9) * draw.random(ELEMENTS, dtype=np.float32)
    y = (draw.random(ELEMENTS, dtype=np.float32) < 0.5).astype(np.float32)
    for name in ELEMENTWISE:
        yield name, f"{ELEMENTS}x1", y, p


def main():
    peer = {"numpy": Numpy, "jax": Jax, "torch": lambda: Torch(False), "compile": lambda: Torch(True)}[PEER]()
    for name, shape, y, z in cases():
        for gradient in (False, True):
            label = f"{name} {shape}, {'loss and gradient' if gradient else 'loss'}"
            if WANTED in label:
                seconds = median_seconds(peer.call(name, y, z, gradient))
                print(f"{label:<72}  {seconds * 1e3:.4g} ms", flush=True)


if __name__ == "__main__":
    main()
