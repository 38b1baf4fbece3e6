"""Sends LMCache's notifications with real `pyzmq` and `msgspec`, early, late, twice, broken or not at all, and checks what
disagg-proxy makes of them.

usage: notify_client.py COMMAND ...     the command that starts the proxy, for example `./disagg proxy`

A prefill and a decode engine of a few lines each run in this process. What the prefill engine sends, and when, is written
in the prompt of the request; the decode engine notes when it is asked.
"""

import concurrent.futures
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import msgspec
import zmq

MODEL = "notify-test"


class ProxyNotif(msgspec.Struct, tag=True):
    """What an LMCache sender reports; the class's name is the tag on the wire."""

    req_id: str


class OtherMessage(msgspec.Struct, tag=True):
    """A message of the same family that the proxy does not know."""

    req_id: str


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


NOTIFY, PROXY = free_port(), free_port()
context = zmq.Context()
sender_lock = threading.Lock()
sender = context.socket(zmq.PUSH)
# As LMCache does: all defaults, hence IPv4, connected by name, before the proxy listens.
sender.connect(f"tcp://localhost:{NOTIFY}")


def notify(request_id):
    with sender_lock:
        sender.send(msgspec.msgpack.encode(ProxyNotif(request_id)))


def send_raw(*frames):
    with sender_lock:
        sender.send_multipart(list(frames))


def half_a_frame(keep):
    """Speaks ZMTP 3.0 by hand, stops inside a frame, and closes; or leaves the connection open in `keep`."""
    connection = socket.create_connection(("127.0.0.1", NOTIFY), timeout=5)
    connection.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
    connection.recv(64)
    ready = b"\x05READY" + b"\x0bSocket-Type" + (4).to_bytes(4, "big") + b"PUSH"
    connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
    frame = msgspec.msgpack.encode(ProxyNotif("half"))
    connection.sendall(b"\x00" + bytes([len(frame)]) + frame[: len(frame) // 2])
    if keep is None:
        connection.close()
    else:
        keep.append(connection)


events = {}  # prompt -> list of (what, time)
events_lock = threading.Lock()
open_connections = []


def record(prompt, what):
    with events_lock:
        events.setdefault(prompt, []).append((what, time.monotonic()))


def broken_messages():
    good = msgspec.msgpack.encode(ProxyNotif("unknown-id"))
    yield (b"",)
    yield (b"\xc1",)
    yield (good[:-3],)
    yield (good + b"\x00",)
    yield (b"not msgpack at all",)
    yield (b"\xdf\xff\xff\xff\xff",)
    yield (b"\xdb\xff\xff\xff\xff" + b"x" * 100,)
    yield (b"\x91" * 4096,)
    yield (msgspec.msgpack.encode(OtherMessage("unknown-id")),)
    yield (msgspec.msgpack.encode({"type": "ProxyNotif"}),)
    yield (msgspec.msgpack.encode({"type": "ProxyNotif", "req_id": 7}),)
    yield (b"several", b"frames", good)


def oversized_messages():
    """The proxy closes a connection that announces such a frame, and what is under way on it is lost: each has its own."""
    yield os.urandom(100_000)
    yield msgspec.msgpack.encode(ProxyNotif("x" * 70_000))


class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    role = None

    def log_message(self, *arguments):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "test"}]})
        else:
            self.answer(200, {})

    def completion(self, text, **more):
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
            **more,
        }


class Prefill(Engine):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        specification = (request.get("kv_transfer_params") or {}).get("disagg_spec")
        if not specification:
            record("plain", "plain request to the prefill engine")
            self.answer(500, {"error": {"message": "plain request", "type": "InternalServerError", "param": None, "code": 500}})
            return
        request_id, prompt = specification["req_id"], request["prompt"]
        kind = prompt.split()[0]

        def good(times=1):
            record(prompt, "sent")
            for _ in range(times):
                notify(request_id)

        if kind == "early":
            good()
            time.sleep(0.3)
        elif kind == "duplicate":
            good(times=5)
        elif kind == "broken":
            for frames in broken_messages():
                send_raw(*frames)
            for body in oversized_messages():
                with context.socket(zmq.PUSH) as own:
                    own.connect(f"tcp://localhost:{NOTIFY}")
                    own.send(body)
            good()
        elif kind == "half":
            half_a_frame(None)
            half_a_frame(open_connections)
            good()
        elif kind == "thousand":
            for number in range(1000):
                notify(f"stranger-{number}")
            good()
        record(prompt, "prefilled")
        self.answer(200, self.completion("x", kv_transfer_params=None))
        if kind == "late":
            time.sleep(0.5)
            good()
        elif kind == "together":
            good()
        if kind == "duplicate":
            time.sleep(0.2)
            good(times=5)


class Decode(Engine):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record(request["prompt"], "decoded")
        self.answer(200, self.completion(" decoded"))


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


def serve(handler):
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def ask(prompt):
    body = json.dumps({"model": MODEL, "prompt": prompt, "max_tokens": 4}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PROXY}/v1/completions", data=body, headers={"Content-Type": "application/json"}
    )
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = json.loads(response.read())["choices"][0]["text"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{prompt!r}: status {error.code}: {error.read()[:300]!r}") from None
    if text != " decoded":
        raise AssertionError(f"{prompt!r}: the answer is {text!r}")
    return time.monotonic() - began


def times(prompt, what):
    with events_lock:
        return [when for name, when in events.get(prompt, []) if name == what]


def handed_over(prompt):
    """The decode engine was asked once, and not before the notification was sent."""
    took = ask(prompt)
    decoded, sent = times(prompt, "decoded"), times(prompt, "sent")
    if len(decoded) != 1:
        raise AssertionError(f"{prompt!r}: decoded {len(decoded)} times")
    if not sent or decoded[0] < sent[0]:
        raise AssertionError(f"{prompt!r}: decoded before the notification was sent")
    return took


def within(prompt, seconds):
    took = handed_over(prompt)
    if took > seconds:
        raise AssertionError(f"{prompt!r}: took {took:.2f} s, the notification was there much earlier")


def check_never():
    took = ask("never 1")
    if took < 0.5:
        raise AssertionError(f"the decode engine was asked after {took:.2f} s, without a notification")
    if len(times("never 1", "decoded")) != 1:
        raise AssertionError("the decode engine was not asked once")


def check_together():
    prompts = [f"together {number}" for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        list(pool.map(handed_over, prompts))


CHECKS = [
    ("a notification that comes before the answer counts", lambda: within("early 1", 3)),
    ("a notification that comes after the answer is waited for", lambda: within("late 1", 4)),
    ("a notification that comes many times counts once", lambda: within("duplicate 1", 3)),
    ("a duplicate that comes after the hand-off disturbs no later request", lambda: within("early 2", 3)),
    ("broken and foreign messages are ignored, the next good one counts", lambda: within("broken 1", 5)),
    ("half a frame keeps nobody else waiting", lambda: within("half 1", 5)),
    ("a thousand notifications for strangers are ignored", lambda: within("thousand 1", 5)),
    ("a hundred requests at once each get their own", check_together),
    ("a notification that never comes cannot hang a client", check_never),
    ("after all this, a hand-off still works", lambda: within("early 3", 3)),
]


def main():
    command = sys.argv[1:]
    if not command:
        sys.exit(__doc__)
    prefill, decode = serve(Prefill), serve(Decode)
    proxy = subprocess.Popen(
        command
        + ["--handoff", "lmcache", "--prefill", prefill, "--decode", decode, "--notify", f"localhost:{NOTIFY}"]
        + ["--host", "127.0.0.1", "--port", str(PROXY)],
        stdin=subprocess.DEVNULL,
    )
    failures = 0
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", PROXY), timeout=1).close()
                break
            except OSError:
                if proxy.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"the proxy does not listen (exit status {proxy.poll()})")
                time.sleep(0.05)
        for name, run in CHECKS:
            try:
                run()
                print(f"ok    {name}", flush=True)
            except Exception as error:  # one failure must not hide the others
                failures += 1
                print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
        if times("plain", "plain request to the prefill engine"):
            failures += 1
            print("FAIL  a request without disagg_spec went to the prefill engine, which would have ended it")
    finally:
        if proxy.poll() is None:
            proxy.send_signal(signal.SIGTERM)
        try:
            status = proxy.wait(timeout=45)
        except subprocess.TimeoutExpired:
            proxy.kill()
            status = "killed"
        context.destroy(linger=0)
    if status not in (0, -signal.SIGTERM):
        failures += 1
        print(f"FAIL  the proxy ended with {status} after SIGTERM")
    print(f"{len(CHECKS)} checks, {failures} failures (pyzmq {zmq.__version__}, msgspec {msgspec.__version__})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
