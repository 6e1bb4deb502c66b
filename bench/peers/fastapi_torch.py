# SPDX-License-Identifier: Apache-2.0
"""The peer over HTTP, sparse softmax cross entropy as it is usually served: FastAPI, torch, orjson, uvicorn with uvloop.

    fastapi_torch.py PORT WORKERS

Everything that is quick there is used: the raw body goes to orjson, numpy makes the tensor, orjson prints arrays straight
from memory, uvicorn parses with httptools and writes no access log. The processors are shared out among the workers.
"""

import os
import sys

import numpy as np
import orjson
import torch
import torch.nn.functional as F
import uvicorn
from fastapi import FastAPI, Request, Response

THREADS = "LOSSD_BENCH_TORCH_THREADS"  # of a worker; uvicorn starts workers without arguments

torch.set_num_threads(int(os.environ.get(THREADS, "1")))
app = FastAPI()


def dump(loss, losses, gradient=None):
    answer = {"loss": loss.item(), "losses": losses.numpy()}
    if gradient is not None:
        answer["gradients"] = {"logits": gradient.numpy()}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


@app.get("/readyz")
async def ready():
    return {}


@app.post("/v1/losses/sparse_softmax_cross_entropy")
async def sparse_softmax_cross_entropy(request: Request):
    call = orjson.loads(await request.body())
    labels = torch.from_numpy(np.array(call["labels"], dtype=np.int64))
    logits = torch.from_numpy(np.array(call["logits"], dtype=np.float32))
    if call.get("gradients"):
        logits.requires_grad_()
        losses = F.cross_entropy(logits, labels, reduction="none")
        loss = losses.mean()
        (gradient,) = torch.autograd.grad(loss, logits)
        body = dump(loss, losses.detach(), gradient)
    else:
        with torch.inference_mode():
            losses = F.cross_entropy(logits, labels, reduction="none")
            body = dump(losses.mean(), losses)
    return Response(body, media_type="application/json")


def main():
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    os.environ[THREADS] = str(max(1, len(os.sched_getaffinity(0)) // workers))
    uvicorn.run("fastapi_torch:app", host="127.0.0.1", port=port, workers=workers, loop="uvloop", http="httptools",
                access_log=False, log_level="critical", app_dir=os.path.dirname(os.path.abspath(__file__)))


if __name__ == "__main__":
    main()
