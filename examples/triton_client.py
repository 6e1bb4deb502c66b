# SPDX-License-Identifier: Apache-2.0
"""A loss and its gradient through Triton's own client: triton_client.py URL.

    pip install "tritonclient[http]"

The tensors travel as bytes (the binary tensor extension of the Open Inference Protocol), not as text."""

import sys

import numpy as np
import tritonclient.http as triton


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    model = "sparse_softmax_cross_entropy"
    print(f"{client.get_server_metadata()['name']} has {model}: {client.is_model_ready(model)}")

    draw = np.random.default_rng(0)
    tensors = {"labels": draw.integers(0, 10, 64), "logits": draw.normal(size=(64, 10)).astype(np.float32)}
    inputs = []
    for name, array in tensors.items():
        inputs.append(triton.InferInput(name, list(array.shape), "INT64" if name == "labels" else "FP32"))
        inputs[-1].set_data_from_numpy(array)
    outputs = [triton.InferRequestedOutput(name) for name in ("loss", "gradients.logits", "totals.sum")]

    answer = client.infer(model, inputs, outputs=outputs, parameters={"reduction": "mean"})
    loss, gradient = answer.as_numpy("loss")[0], answer.as_numpy("gradients.logits")
    print(f"loss {loss:.6f}, sum of the losses {answer.as_numpy('totals.sum')[0]:.6f}")
    print(f"gradient {gradient.shape} {gradient.dtype}, its rows add up to at most {np.abs(gradient.sum(axis=1)).max():.1e}")

    # A step against the gradient makes the loss smaller.
    inputs[1].set_data_from_numpy(tensors["logits"] - 10 * gradient)
    after = client.infer(model, inputs, outputs=outputs, parameters={"reduction": "mean"}).as_numpy("loss")[0]
    print(f"loss after a step {after:.6f}")
    client.close()
    return 0 if after < loss else 1


if __name__ == "__main__":
    sys.exit(main())
