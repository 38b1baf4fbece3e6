#!/usr/bin/env python3
"""Push LMCache notifications with the libraries LMCache itself uses: pyzmq (libzmq) and msgspec.

Each line on standard output is a JSON object that says what one scenario sent:
  delivers   request ids that a listener must deliver, duplicates repeated, in the order of their connection
  malformed  messages in good frames that are no notification
  other      well-formed messages of another type
  broken     connections that break ZMTP
The first line comes after messages were queued for a listener that need not exist yet.

Needs: pip install pyzmq msgspec
"""
import argparse
import json
import os
import socket
import threading
import time

import msgspec
import zmq


class ProxyNotif(msgspec.Struct, tag=True):
    """The message of LMCache 0.5.6 pd_backend.py:67."""

    req_id: str


class CancelNotif(msgspec.Struct, tag=True):
    """Another message of the same family: a listener must ignore it."""

    req_id: str
    keys: list


def report(scenario, delivers=(), malformed=0, other=0, broken=0):
    print(json.dumps({"scenario": scenario, "delivers": list(delivers), "malformed": malformed,
                      "other": other, "broken": broken}), flush=True)


def push_socket(context, url, **options):
    """A PUSH socket as a LMCache sender opens it, with default options unless told otherwise."""
    pusher = context.socket(zmq.PUSH)
    for name, value in options.items():
        pusher.setsockopt(getattr(zmq, name), value)
    pusher.connect(url)
    return pusher


def notify(pusher, request_id):
    pusher.send(msgspec.msgpack.encode(ProxyNotif(request_id)))


def send_all(context, url, scenario, ids, **options):
    pusher = push_socket(context, url, **options)
    for request_id in ids:
        notify(pusher, request_id)
    pusher.close()
    report(scenario, ids)


def malformed(context, url):
    """Bad messages between good ones: the connection must survive them."""
    pusher = push_socket(context, url)
    notify(pusher, "before-malformed")
    encode = msgspec.msgpack.encode
    bad = [b"", b"\xc1", b"not msgpack", encode(7), encode(["ProxyNotif", "x"]), encode({"req_id": "x"}),
           encode({"type": "ProxyNotif"}), encode({"type": "ProxyNotif", "req_id": 7}),
           encode(ProxyNotif("cut"))[:-1], encode(ProxyNotif("trailing")) + b"\x00",
           encode({"type": "ProxyNotif", "req_id": "x"}).replace(b"\xa1x", b"\xa1\xff"),
           b"\x91" * 60000, os.urandom(2000).replace(b"\x82", b"\xc1")]
    for body in bad:
        pusher.send(body)
    pusher.send_multipart([encode(ProxyNotif("part-1")), encode(ProxyNotif("part-2"))])
    pusher.send(encode(CancelNotif("x", [1, 2.5, None, {"a": b"b"}])))
    pusher.send(encode({"extra": [1, {"deep": [True, None, -5, 1.5, b"\x00" * 300, "x" * 70000][:5]}], "req_id":
                        "other-order", "more": msgspec.msgpack.Ext(5, b"abc"), "type": "ProxyNotif"}))
    notify(pusher, "after-malformed")
    pusher.close()
    report("malformed", ["before-malformed", "other-order", "after-malformed"], malformed=len(bad) + 1, other=1)


def heartbeats(context, url):
    """libzmq sends PING every 50 ms and drops a peer whose PONG is 150 ms late; the monitor sees whether it did."""
    pusher = push_socket(context, url, HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=150)
    monitor = pusher.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    notify(pusher, "heartbeat-first")
    if monitor.poll(600):
        raise SystemExit("the listener did not answer heartbeats: libzmq dropped the connection")
    notify(pusher, "heartbeat-last")
    pusher.disable_monitor()
    pusher.close()
    report("heartbeats", ["heartbeat-first", "heartbeat-last"])


def raw(host, port, scenario, data):
    """Bytes that are no ZMTP, or stop in the middle; returns when the listener has closed its end."""
    deadline = time.monotonic() + 30
    while True:  # the listener need not exist yet
        try:
            peer = socket.create_connection((host, port), timeout=10)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        try:
            while peer.recv(4096):
                pass
        except ConnectionResetError:
            pass
    report(scenario, broken=1)


def thousand(context, url):
    """A thousand notifications at once from eight sockets and threads."""
    gate = threading.Barrier(8)
    lists = [[f"burst-{n}-{i}" for i in range(125)] for n in range(8)]

    def work(ids):
        pusher = push_socket(context, url)
        gate.wait()
        for request_id in ids:
            notify(pusher, request_id)
        pusher.close()

    threads = [threading.Thread(target=work, args=(ids,)) for ids in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report("thousand", [request_id for ids in lists for request_id in ids])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="localhost", help="listener's host, IPv4 as for LMCache (default: localhost)")
    parser.add_argument("--port", type=int, required=True, help="listener's port")
    parser.add_argument("--ipv6", action="store_true", help="also send to [::1]")
    args = parser.parse_args()
    url = f"tcp://{args.host}:{args.port}"
    context = zmq.Context()

    early = push_socket(context, url)
    notify(early, "early-1")
    notify(early, "early-2")
    report("before the listener exists", ["early-1", "early-2"])
    early.close()

    send_all(context, url, "one", ["req-1"])
    send_all(context, url, "duplicate", ["req-2", "req-2"])
    send_all(context, url, "unknown id", ["nobody-knows-" + "x" * 300, "äöü-😀", ""])
    malformed(context, url)
    heartbeats(context, url)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    ready = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
    half = b"\x00\x1c" + msgspec.msgpack.encode(ProxyNotif("abc"))[:13]
    raw(args.host, args.port, "half a frame", greeting + ready + half)
    raw(args.host, args.port, "half a greeting", greeting[:40])
    raw(args.host, args.port, "another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    raw(args.host, args.port, "a frame of 1 TB", greeting + ready + b"\x02" + (1 << 40).to_bytes(8, "big"))
    raw(args.host, args.port, "a PULL for a PULL", greeting + ready.replace(b"PUSH", b"PULL"))
    if args.ipv6:
        send_all(context, f"tcp://[::1]:{args.port}", "ipv6", ["over-ipv6"], IPV6=1)
    thousand(context, url)
    started = time.monotonic()
    context.term()  # waits until every message is with the kernel (LINGER -1)
    print(json.dumps({"scenario": "done", "flushed_after_seconds": round(time.monotonic() - started, 3)}), flush=True)


if __name__ == "__main__":
    main()
