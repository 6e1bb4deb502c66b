# SPDX-License-Identifier: Apache-2.0
"""Trains a softmax classifier on handwritten digits; every loss and every gradient comes from a lossd server.

    python train_digits.py [URL]        default http://127.0.0.1:8080

The model and its optimiser are eleven lines of numpy: logits = images @ weights + bias. What is hard about training,
the loss and its gradient with respect to the logits, is one POST. `examples/run` starts a server and makes a Python
environment first.
"""

import json
import sys
import urllib.error
import urllib.request

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

EPOCHS = 40
BATCH = 64
LEARNING_RATE = 0.3
DECAY = 1e-4  # weight of the l2 regularizer


class Lossd:
    """The two losses this example uses, as calls to POST /v1/losses/{loss}."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def compute(self, loss, **fields):
        request = urllib.request.Request(f"{self.url}/v1/losses/{loss}", json.dumps(fields).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            sys.exit(f"{loss}: {error.status} {error.read().decode()}")

    def cross_entropy(self, labels, logits, gradients):
        """The mean loss, and its gradient with respect to the logits if asked."""
        answer = self.compute("sparse_softmax_cross_entropy", labels=labels.tolist(), logits=logits.tolist(),
                              gradients=gradients, losses=False, dtype="float64")
        return answer["loss"], np.array(answer["gradients"]["logits"]) if gradients else None

    def l2(self, weights):
        answer = self.compute("l2_regularization", values=weights.tolist(), scale=DECAY, gradients=True,
                              losses=False, dtype="float64")
        return answer["loss"], np.array(answer["gradients"]["values"])


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def train(server, images, labels, classes):
    """Weights and bias after EPOCHS of stochastic gradient descent; prints a line an epoch."""
    draw = np.random.default_rng(0)
    weights = np.zeros((images.shape[1], classes))
    bias = np.zeros(classes)
    for epoch in range(1, EPOCHS + 1):
        order = draw.permutation(len(images))
        losses = []
        for start in range(0, len(order), BATCH):
            rows = order[start:start + BATCH]
            loss, by_logits = server.cross_entropy(labels[rows], images[rows] @ weights + bias, gradients=True)
            decay, by_weights = server.l2(weights)
            weights -= LEARNING_RATE * (images[rows].T @ by_logits + by_weights)
            bias -= LEARNING_RATE * by_logits.sum(axis=0)
            losses.append(loss + decay)
        accuracy = np.mean((images @ weights + bias).argmax(axis=1) == labels)
        print(f"epoch {epoch:2d}  loss {np.mean(losses):.4f}  training accuracy {accuracy:.2%}", flush=True)
    return weights, bias


def main():
    server = Lossd(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
    digits = load_digits()
    images, test_images, labels, test_labels = train_test_split(
        digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    weights, bias = train(server, images, labels, len(digits.target_names))

    logits = test_images @ weights + bias
    accuracy = np.mean(logits.argmax(axis=1) == test_labels)
    loss, _ = server.cross_entropy(test_labels, logits, gradients=False)
    reference = log_loss(test_labels, softmax(logits))
    print(f"test  loss {loss:.9f}  (scikit-learn: {reference:.9f})  accuracy {accuracy:.2%}")
    if accuracy <= 0.95:
        sys.exit("the accuracy should be above 95%")
    if abs(loss - reference) > 1e-6:
        sys.exit("the loss should be scikit-learn's to within 1e-6")


if __name__ == "__main__":
    main()
