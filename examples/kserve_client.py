# SPDX-License-Identifier: Apache-2.0
"""A loss and its gradient through KServe's own client: kserve_client.py URL.

    pip install kserve"""

import asyncio
import sys

import numpy as np

try:
    import kserve
    from kserve.protocol.infer_type import RequestedOutput
except ImportError as missing:
    print(f"skipped: KServe's client is not installed: {missing}")
    sys.exit(77)


async def session(url):
    truth, guess = np.array([0.0, 1.0, 0.0, 1.0], np.float32), np.array([0.1, 0.8, 0.3, 0.9], np.float32)
    inputs = []
    for name, array in (("labels", truth), ("predictions", guess)):
        inputs.append(kserve.InferInput(name, list(array.shape), "FP32"))
        inputs[-1].set_data_from_numpy(array, binary_data=True)
    outputs = [RequestedOutput(name, {"binary_data": True}) for name in ("loss", "losses", "gradients.predictions")]
    request = kserve.InferRequest("log_loss", inputs, request_outputs=outputs)
    async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
        print(f"ready: {await client.is_server_ready(url)}")
        answer = await client.infer(url, request, model_name="log_loss")
    for output in answer.outputs:
        print(output.name, output.as_numpy())
    loss, losses = (output.as_numpy() for output in answer.outputs[:2])
    return 0 if np.allclose(loss, losses.mean()) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(session(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")))
