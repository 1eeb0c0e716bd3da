#!/usr/bin/env bash
# KServe's Python server gives a model's predict() the raw bytes of a v1 request that does not say it is JSON.
#
# Versions: kserve 0.21.0, Python 3.10 to 3.12, x86-64.
# What happens: a v1 request is decoded only if its Content-Type is JSON. `curl -d` without -H sends a form's type; so
# do urllib and others. The server then hands the body over as bytes, though predict()'s annotation has a dict or an
# InferRequest. A model that reads payload["instances"] fails, and the client gets the status 500.
# Seen:
#   application/json: dict
#   application/x-www-form-urlencoded: bytes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet kserve==0.21.0

cat >serve.py <<'CODE'
import json
import os
import socket
import threading
import time
import urllib.request

import kserve

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]


class Kind(kserve.Model):
    def load(self):
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        return {"predictions": [type(payload).__name__]}


def ask():
    url = f"http://127.0.0.1:{PORT}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{url}/v2/health/ready").close()
            break
        except OSError:
            time.sleep(0.5)
    seen = []
    for kind in "application/json", "application/x-www-form-urlencoded":
        body = json.dumps({"instances": [1]}).encode()
        request = urllib.request.Request(f"{url}/v1/models/kind:predict", body, {"Content-Type": kind})
        with urllib.request.urlopen(request) as response:
            seen.append(f"{kind}: {json.loads(response.read())['predictions'][0]}")
    with open("seen", "w") as file:  # the server logs to stdout
        file.write("\n".join(seen))
    os._exit(0)


if __name__ == "__main__":
    model = Kind("kind")
    model.load()
    threading.Thread(target=ask, daemon=True).start()
    kserve.ModelServer(http_port=PORT, enable_grpc=False, workers=1).start([model])
CODE
venv/bin/python serve.py >/dev/null 2>&1
seen=$(cat seen)
echo "$seen"
[ "$seen" = "application/json: dict
application/x-www-form-urlencoded: bytes" ]
