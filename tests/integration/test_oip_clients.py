# SPDX-License-Identifier: Apache-2.0
"""test_oip_clients.py LOSSD: the stock clients of the Open Inference Protocol, Triton's and KServe's, work unchanged."""

import asyncio
import importlib.metadata
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from lossd_server import lossd  # noqa: E402

try:
    import kserve
    import numpy as np
    import tritonclient.http as triton
    from kserve.protocol.infer_type import RequestedOutput
    from tritonclient.utils import InferenceServerException
except ImportError as missing:
    print(f"skipped: {missing}; pip install -r tests/requirements.txt")
    sys.exit(77)

PROGRAM = sys.argv[1]
DTYPES = {"BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8,
          "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


def softmax_losses(labels, logits):
    """Losses and gradient of the mean, in float64."""
    z = logits.astype(np.float64)
    z = z - z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    one = np.eye(z.shape[1])[labels]
    return np.log(np.exp(z).sum(axis=1)) - (z * one).sum(axis=1), (p - one) / len(z)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM, "--inline-elements", "1000")
        cls.url, _ = cls.server.__enter__()
        draw = np.random.default_rng(1)
        cls.labels = draw.integers(0, 10, 300)
        cls.logits = draw.normal(size=(300, 10)).astype(np.float32)
        cls.losses, cls.gradient = softmax_losses(cls.labels, cls.logits)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def check(self, loss, losses, gradient):
        np.testing.assert_allclose(losses, self.losses, rtol=1e-6)
        np.testing.assert_allclose(loss, [self.losses.mean()], rtol=1e-6)
        np.testing.assert_allclose(gradient, self.gradient, rtol=1e-5, atol=1e-10)


class Triton(Clients):
    def setUp(self):
        self.client = triton.InferenceServerClient(self.url.removeprefix("http://"))

    def tearDown(self):
        self.client.close()

    @staticmethod
    def tensor(name, array, datatype, binary=True):
        tensor = triton.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        return tensor

    def test_the_server_and_its_models_are_described(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("huber_loss"))
        self.assertTrue(self.client.is_model_ready("huber_loss", "1"))
        self.assertFalse(self.client.is_model_ready("hubber_loss"))
        self.assertIn("binary_tensor_data", self.client.get_server_metadata()["extensions"])
        self.assertEqual(self.client.get_model_metadata("huber_loss")["inputs"][0]["name"], "labels")
        self.assertIn("huber_loss", [model["name"] for model in self.client.get_model_repository_index()])
        self.assertEqual(self.client.get_inference_statistics("huber_loss")["model_stats"][0]["name"], "huber_loss")
        self.assertGreater(len(self.client.get_inference_statistics()["model_stats"]), 1)

    def test_a_loss_and_its_gradient_in_every_mixture_of_json_and_binary(self):
        for mixture in range(16):
            inputs = [self.tensor("labels", self.labels, "INT64", bool(mixture & 1)),
                      self.tensor("logits", self.logits, "FP32", bool(mixture & 2))]
            outputs = [triton.InferRequestedOutput("gradients.logits", binary_data=bool(mixture & 4)),
                       triton.InferRequestedOutput("loss", binary_data=bool(mixture & 8)), triton.InferRequestedOutput("losses")]
            got = self.client.infer("sparse_softmax_cross_entropy", inputs, outputs=outputs, request_id="a", timeout=60_000_000, priority=1)
            self.assertEqual(got.get_response()["id"], "a")
            self.check(got.as_numpy("loss"), got.as_numpy("losses"), got.as_numpy("gradients.logits"))

    def test_outputs_that_are_not_named_are_loss_and_losses(self):
        got = self.client.infer("mse", [self.tensor(name, np.ones(3, np.float32) * k, "FP32") for k, name in enumerate(("labels", "predictions"))],
                                model_version="1", parameters={"reduction": "sum"})
        self.assertEqual((got.as_numpy("loss").tolist(), got.as_numpy("losses").tolist()), ([3.0], [1.0] * 3))
        self.assertEqual(got.get_response()["model_version"], "1")

    def test_every_datatype(self):
        for datatype, dtype in DTYPES.items():
            labels = self.tensor("labels", np.array([1, 0, 1], dtype), datatype)
            got = self.client.infer("mse", [labels, self.tensor("predictions", np.array([1, 2, 4], np.float32), "FP32")])
            self.assertEqual(got.as_numpy("losses").tolist(), [0, 4, 9], datatype)

    def test_asynchronous_calls(self):
        with triton.InferenceServerClient(self.url.removeprefix("http://"), concurrency=4) as client:
            inputs = [self.tensor("labels", self.labels, "INT64"), self.tensor("logits", self.logits, "FP32")]
            outputs = [triton.InferRequestedOutput(name) for name in ("loss", "losses", "gradients.logits")]
            calls = [client.async_infer("sparse_softmax_cross_entropy", inputs, outputs=outputs) for _ in range(8)]
            for call in calls:
                got = call.get_result()
                self.check(got.as_numpy("loss"), got.as_numpy("losses"), got.as_numpy("gradients.logits"))

    def test_a_refusal_says_why(self):
        with self.assertRaisesRegex(InferenceServerException, "predictions"):
            self.client.infer("mse", [self.tensor("labels", np.ones(3, np.float32), "FP32")])
        with self.assertRaisesRegex(InferenceServerException, "huber_loss"):
            self.client.infer("hubber_loss", [self.tensor("labels", np.ones(3, np.float32), "FP32")])


class KServe(Clients):
    def ask(self, work):
        async def session():
            async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
                return await work(client)

        return asyncio.run(session())

    def test_the_server_and_its_models_are_ready(self):
        self.assertTrue(self.ask(lambda client: client.is_server_live(self.url)))
        self.assertTrue(self.ask(lambda client: client.is_server_ready(self.url)))
        self.assertTrue(self.ask(lambda client: client.is_model_ready(self.url, "huber_loss")))

    def test_a_loss_and_its_gradient_in_json_and_binary(self):
        for binary in (False, True):
            inputs = [kserve.InferInput("labels", list(self.labels.shape), "INT64"), kserve.InferInput("logits", list(self.logits.shape), "FP32")]
            for tensor, array in zip(inputs, (self.labels, self.logits)):
                tensor.set_data_from_numpy(array, binary_data=binary)
            outputs = [RequestedOutput(name, {"binary_data": binary}) for name in ("loss", "losses", "gradients.logits")]
            request = kserve.InferRequest("sparse_softmax_cross_entropy", inputs, request_id="k", request_outputs=outputs)
            got = self.ask(lambda client: client.infer(self.url, request, model_name="sparse_softmax_cross_entropy"))
            self.assertEqual(got.id, "k")
            self.check(*(output.as_numpy() for output in got.outputs))

    def test_a_refusal_says_why(self):
        request = kserve.InferRequest("mse", [kserve.InferInput("labels", [1], "FP32", [1])])
        with self.assertRaisesRegex(Exception, "predictions"):
            self.ask(lambda client: client.infer(self.url, request, model_name="mse"))


del Clients  # has no tests of its own

if __name__ == "__main__":
    for package in ("tritonclient", "kserve"):
        print(package, importlib.metadata.version(package))
    unittest.main(argv=sys.argv[:1])
