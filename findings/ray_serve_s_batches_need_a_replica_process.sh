#!/usr/bin/env bash
# Ray Serve's local testing mode runs deployments, but not their @serve.batch methods.
#
# Versions: ray[serve] 2.60.0, Python 3.10 to 3.12, x86-64.
# What happens: `serve.run(app, _local_testing_mode=True)` runs a deployment in a thread of this process, without a
# cluster. A deployment with a plain method answers. The same deployment whose method is decorated with @serve.batch
# raises RayServeException at its first call: the decorator asks for the context of the replica, which this mode does not
# set. So what a service computes can be tested without a cluster, until its requests share runs. That the decorator
# needs a replica also rules out its use in other programs: outside of Serve it fails in the same way.
# Seen:
#   plain: 2
#   batched: RayServeException
#   outside: RayServeException
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet 'ray[serve]==2.60.0'

cat >batches.py <<'CODE'
import asyncio

from ray import serve


async def double(values):
    return [2 * value for value in values]


class Plain:
    async def __call__(self, value):
        return 2 * value


class Batched:
    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0)
    async def __call__(self, values):
        return await double(values)


def answer(deployment):
    handle = serve.run(serve.deployment(deployment).bind(), _local_testing_mode=True)
    try:
        return handle.remote(1).result()
    except Exception as error:
        return type(error).__name__


async def outside():
    try:
        return await serve.batch(double)(1)
    except Exception as error:
        return type(error).__name__


print("plain:", answer(Plain))
print("batched:", answer(Batched))
print("outside:", asyncio.run(outside()))
CODE
seen=$(timeout 120 venv/bin/python batches.py 2>errors.txt) || { cat errors.txt; exit 1; }
echo "$seen"
[ "$seen" = "plain: 2
batched: RayServeException
outside: RayServeException" ]
