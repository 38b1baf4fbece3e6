"""disagg-proxy between LMCache's real PD backends, without a GPU and without vLLM.

A prefill and a decode server stand in for vLLM's HTTP side. What is behind them is LMCache's own code: the prefill server
hands each prompt's chunks to a `PDBackendAsync` in the role of sender, with the `disagg_spec` that the proxy put into the
request; the decode server looks for them in a `PDBackendAsync` in the role of receiver, checks their content and removes
them, as a retrieve does. The sender's `ProxyNotif` goes to the proxy's notification socket and is all that tells the proxy
that the KV has arrived: the prefill server answers before anything was sent.

Prints what was checked and ends with status 0 only if everything held.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

os.environ.setdefault("LMCACHE_LOG_LEVEL", "WARNING")
os.environ.setdefault("PYTHONHASHSEED", "0")

import torch
from lmcache.utils import CacheEngineKey
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.metadata import LMCacheMetadata
from lmcache.v1.storage_backend.pd_backend_async import PDBackendAsync

MODEL = "real-lmcache"
# Two layers, one chunk of 256 tokens, two heads of eight values.
SHAPE = (2, 2, 256, 2, 8)
CHUNK_BYTES = 64


def free_ports(count):
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def backend(role, channel, **settings):
    """A PD backend of LMCache on CPU memory."""
    config = LMCacheEngineConfig.from_dict(
        dict(
            chunk_size=256,
            local_cpu=False,
            enable_pd=True,
            transfer_channel=channel,
            nixl_backends=["UCX"],
            pd_role=role,
            pd_buffer_size=4 << 20,
            pd_buffer_device="cpu",
            save_unfull_chunk=True,
            **settings,
        )
    )
    metadata = LMCacheMetadata(
        model_name=MODEL,
        world_size=1,
        local_world_size=1,
        worker_id=0,
        local_worker_id=0,
        kv_dtype=torch.bfloat16,
        kv_shape=SHAPE,
        chunk_size=256,
    )
    return PDBackendAsync(config, metadata)


def chunks(prompt):
    """Keys and contents of a prompt's chunks: hashes of its prefixes, as LMCache's token database makes them."""
    data = prompt.encode()
    result = []
    for end in range(CHUNK_BYTES, len(data) + CHUNK_BYTES, CHUNK_BYTES):
        digest = hashlib.blake2b(data[:end], digest_size=8).digest()
        number = int.from_bytes(digest, "big") >> 1
        key = CacheEngineKey(MODEL, 1, 0, number, torch.bfloat16)
        result.append((key, float(digest[0] % 64 + 1)))
    return result


class Engines:
    """Sender and receiver, and what happened to them."""

    def __init__(self, channel, notify_port, init_port, alloc_port, spare_ports):
        self.channel = channel
        self.lock = threading.Lock()
        self.prefills = self.hits = self.misses = self.wrong = 0
        self.ids = []
        self.receiver = backend(
            "receiver", channel, pd_peer_host="127.0.0.1", pd_peer_init_port=[init_port], pd_peer_alloc_port=[alloc_port]
        )
        # The mock channel of LMCache 0.5.6 cannot do without an address of the sender's own.
        own = {}
        if channel == "mock_memory":
            own = dict(
                pd_peer_host="127.0.0.1", pd_peer_init_port=[spare_ports[0]], pd_peer_alloc_port=[spare_ports[1]]
            )
        self.sender = backend("sender", channel, pd_proxy_host="127.0.0.1", pd_proxy_port=notify_port, **own)

    def prefill(self, prompt, spec):
        """Sends a prompt's chunks as the adapter does, in two batches, the last of which is marked."""
        keys, objects = [], []
        for key, value in chunks(prompt):
            memory = self.sender.allocate(torch.Size(SHAPE), torch.bfloat16)
            memory.tensor.fill_(value)
            keys.append(key)
            objects.append(memory)
        middle = len(keys) // 2
        for first, last, is_last in ((0, middle, False), (middle, len(keys), True)):
            if first == last:
                continue
            self.sender.batched_submit_put_task(
                keys[first:last],
                objects[first:last],
                SimpleNamespace(
                    req_id=spec["req_id"],
                    receiver_host=spec["receiver_host"],
                    receiver_init_port=spec["receiver_init_port"],
                    receiver_alloc_port=spec["receiver_alloc_port"],
                    is_last_prefill=is_last,
                    total_chunks=len(keys),
                ),
            )
        for memory in objects:
            memory.ref_count_down()

    def decode(self, prompt):
        """Takes a prompt's chunks out of the receiver's buffer; tells how many were there."""
        found = 0
        for key, value in chunks(prompt):
            with self.lock:
                if not self.receiver.contains(key):
                    self.misses += 1
                    continue
                self.hits += 1
                found += 1
                # The mock channel moves no bytes into the receiver's memory.
                if self.channel == "nixl":
                    tensor = self.receiver.data[key].tensor
                    if not bool((tensor == value).all()):
                        self.wrong += 1
                self.receiver.remove(key)
        return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engines = None
    is_prefill = False

    def log_message(self, *_):
        pass

    def answer(self, body, content_type="application/json"):
        data = body.encode()
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def do_GET(self):
        self.answer(json.dumps({"data": [{"id": MODEL, "max_model_len": 4096}]}))

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = request["prompt"]
        if self.is_prefill:
            self.prefill(request, prompt)
        else:
            found = self.engines.decode(prompt)
            self.answer(self.completion(f"{found} of {len(chunks(prompt))}"))

    def prefill(self, request, prompt):
        assert request["max_tokens"] == 1 and request["stream"] is False, request
        spec = request["kv_transfer_params"]["disagg_spec"]
        engines = self.engines
        with engines.lock:
            engines.prefills += 1
            engines.ids.append(spec["req_id"])
        if "leave" in prompt:
            time.sleep(0.4)
        # The answer goes out first: it must not be taken for the KV's arrival.
        self.answer(self.completion("x"))
        if "slow" in prompt:
            time.sleep(0.3)
        engines.prefill(prompt, spec)

    @staticmethod
    def completion(text):
        return json.dumps(
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "created": 1,
                "model": MODEL,
                "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                "kv_transfer_params": None,
            }
        )


def serve(port, engines, is_prefill):
    class Bound(Handler):
        pass

    Bound.engines = engines
    Bound.is_prefill = is_prefill
    server = ThreadingHTTPServer(("127.0.0.1", port), Bound)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


def post(port, prompt, timeout=20.0):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        json.dumps({"model": MODEL, "prompt": prompt, "max_tokens": 4}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)["choices"][0]["text"]


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))


def eventually(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.05)
    return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--proxy", required=True, help="the disagg-proxy program")
    parser.add_argument("--channel", default="nixl", choices=["nixl", "mock_memory"])
    options = parser.parse_args()
    listen, notify, prefill, decode, init, alloc, *spare = free_ports(8)

    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, "deployment.yaml")
    with open(path, "w") as file:
        file.write(
            f"""model: {MODEL}
handoff: lmcache
prefill: {{urls: ["127.0.0.1:{prefill}"]}}
decode:
  urls: ["127.0.0.1:{decode}"]
  receiverHost: 127.0.0.1
  receiverPorts: [{{init: [{init}], alloc: [{alloc}]}}]
proxy: {{listen: "127.0.0.1:{listen}", notify: "127.0.0.1:{notify}", threads: 1}}
"""
        )
    proxy = subprocess.Popen([options.proxy, "--config", path])
    failures = []

    def check(holds, what):
        print(("ok    " if holds else "FAILED"), what, flush=True)
        if not holds:
            failures.append(what)

    try:
        engines = Engines(options.channel, notify, init, alloc, spare)
        serve(prefill, engines, True)
        serve(decode, engines, False)
        check(eventually(lambda: metrics(listen)), "the proxy is up")

        long = "a prompt of some chunks " * 12
        sizes = [f"{index} {long[: 40 + 23 * index]}" for index in range(10)]
        prompts = sizes + [f"slow {text}" for text in sizes[:6]]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda prompt: post(listen, prompt), prompts))
        expected = [f"{len(chunks(prompt))} of {len(chunks(prompt))}" for prompt in prompts]
        check(texts == expected, f"{len(prompts)} prompts: the decoder found every chunk when it was asked ({texts[:3]} …)")
        check(engines.misses == 0, f"{engines.hits} chunks taken, {engines.misses} missing")
        if options.channel == "nixl":
            check(engines.wrong == 0, "every chunk had the sender's content: NIXL moved it")
        check(len(set(engines.ids)) == engines.prefills == len(prompts), "every prefill had an id of its own")
        page = metrics(listen)
        count = page.get('disagg_stage_seconds_count{stage="handoff"}')
        check(count == str(len(prompts)), f"the proxy waited for {count} notifications")
        for name in ("timed_out", "late", "unknown"):
            check(page[f"disagg_notifications_{name}_total"] == "0", f"no notification was {name.replace('_', ' ')}")

        # A client that leaves during the prefill: the KV still goes to the receiver, and must be taken out again.
        try:
            post(listen, f"leave slow {long}", timeout=0.1)
            check(False, "the client left")
        except (TimeoutError, urllib.error.URLError):
            pass
        check(
            eventually(lambda: engines.prefills == len(prompts) + 1 and engines.hits > sum(map(len, map(chunks, prompts)))),
            "a client left during the prefill: a throw-away decode took its chunks",
        )
        check(eventually(lambda: not engines.receiver.data), f"the receiver holds {len(engines.receiver.data)} chunks")
    finally:
        proxy.terminate()
        proxy.wait(timeout=15)
        folder.cleanup()
    print("passed" if not failures else f"failed: {failures}", flush=True)
    # LMCache's threads are not daemons of ours to stop.
    os._exit(1 if failures else 0)


if __name__ == "__main__":
    sys.exit(main())
