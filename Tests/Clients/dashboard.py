"""Runs every query of the Grafana dashboard against a Prometheus server that scrapes a proxy under load.

usage: dashboard.py DASHBOARD.json PROXY ADMIN ENGINE ...     (each HOST:PORT; the token is $DISAGG_ADMIN_TOKEN)

Prints a line a query, with how many series have a value. The exit status is 1 where a query has none, or its series lack a label
that the panel's legend names. Prometheus must be on the PATH; it runs with a directory and a port of its own, and ends with this.
"""

import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

RATE_INTERVAL = 15  # seconds; Grafana takes at least four scrapes
VARIABLES = {"$instance": ".*", "$__rate_interval": f"{RATE_INTERVAL}s", "$__interval": "1s", "$__range": "1m"}
CLIENTS = 24
WARM_UP = 20  # seconds of load before the queries: longer than the interval that rates are taken over


def call(address, method, path, body=None, headers=None, timeout=60):
    """One exchange on a connection of its own: status and body."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        text = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Load:
    """Clients of every kind: streams, whole answers, ones that leave, ones that ask for nonsense."""

    def __init__(self, proxy, admin, engines):
        self.proxy, self.admin, self.engines = proxy, admin, engines
        self.model = json.loads(call(proxy, "GET", "/v1/models")[1])["data"][0]["id"]
        self.token = {"authorization": "Bearer " + os.environ["DISAGG_ADMIN_TOKEN"]}
        self.ended = threading.Event()
        self.problems = []
        self.statuses = {}
        self.threads = [threading.Thread(target=self.guarded, args=(self.client, index)) for index in range(CLIENTS)]
        self.threads += [threading.Thread(target=self.guarded, args=(kind, 0)) for kind in (self.operator, self.saboteur)]

    def guarded(self, work, index):
        try:
            work(random.Random(index))
        except Exception as error:  # told at the end, by the main thread
            self.problems.append(f"{work.__name__}: {error!r}")

    def prompt(self, generator):
        return " ".join(str(generator.randrange(10_000)) for _ in range(generator.randrange(10, 400)))

    def client(self, generator):
        while not self.ended.is_set():
            kind = generator.randrange(10)
            body = {"model": self.model, "prompt": self.prompt(generator), "max_tokens": generator.randrange(4, 64)}
            path = "/v1/completions"
            if kind < 5:
                body["stream"] = True
            elif kind == 5:
                body["messages"] = [{"role": "user", "content": body.pop("prompt")}]
                path = "/v1/chat/completions"
            elif kind == 6:
                body["model"] = "no such model"
            elif kind == 7:
                self.leave(body)
                continue
            elif kind == 8:
                body = {"model": self.model, "input": "text", "max_output_tokens": 8, "store": True}
                path = "/v1/responses"
            status, _ = call(self.proxy, "POST", path, body)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def leave(self, body):
        """Reads the beginning of a stream and closes."""
        text = json.dumps({**body, "stream": True, "max_tokens": 400, "ignore_eos": True})
        host, port = self.proxy.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(
                f"POST /v1/completions HTTP/1.1\r\nhost: {self.proxy}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(text)}\r\n\r\n{text}".encode()
            )
            connection.recv(256)

    def operator(self, _):
        """Drains a backend and takes it back, over and over."""
        backends = json.loads(call(self.admin, "GET", "/admin/v1/backends", headers=self.token)[1])["backends"]
        name = next(backend["id"] for backend in backends if backend["role"] == "prefill")
        while not self.ended.wait(2):
            for action in ("drain", "resume"):
                status, text = call(self.admin, "POST", f"/admin/v1/backends/{name}/{action}", headers=self.token)
                if status not in (200, 202):
                    raise RuntimeError(f"{action} {name}: {status} {text[:200]}")
                self.ended.wait(1)

    def saboteur(self, generator):
        """Lets engines refuse some requests, fail some, and be silent about some transfers."""
        faults = [{"refuse": 2, "refuseStatus": 500}, {"refuse": 2, "refuseStatus": 503}, {"dropNotifications": 1}]
        while not self.ended.wait(1.5):
            status, text = call(generator.choice(self.engines), "POST", "/sim/faults", generator.choice(faults))
            if status != 200:
                raise RuntimeError(f"/sim/faults: {status} {text[:200]}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=90)
        self.problems += [f"{thread.name} did not end" for thread in self.threads if thread.is_alive()]


class Prometheus:
    """A server that scrapes one target each second, and keeps its data in a directory that goes away with it."""

    def __init__(self, target):
        self.target = target
        self.directory = tempfile.TemporaryDirectory(prefix="disagg-prometheus-")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "127.0.0.1:%d" % free.getsockname()[1]

    def __enter__(self):
        path = self.directory.name
        with open(f"{path}/prometheus.yml", "w") as file:
            json.dump(  # JSON is YAML
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                    "scrape_configs": [{"job_name": "disagg", "static_configs": [{"targets": [self.target]}]}],
                },
                file,
            )
        self.log = open(f"{path}/log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={path}/prometheus.yml", f"--storage.tsdb.path={path}/data",
             f"--web.listen-address={self.address}"],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )
        for _ in range(150):
            try:
                if call(self.address, "GET", "/-/ready", timeout=5)[0] == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        self.log.seek(0)
        text = self.log.read()[-2000:]
        self.__exit__()
        raise SystemExit(f"prometheus did not become ready:\n{text}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.directory.cleanup()

    def series(self, query):
        """The labels and the value of each series of an instant query that has a value now."""
        status, text = call(self.address, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        answer = json.loads(text)
        if status != 200 or answer["status"] != "success":
            raise ValueError(answer.get("error", f"status {status}"))
        if answer["data"]["resultType"] != "vector":
            raise ValueError(f"the result is a {answer['data']['resultType']}")
        found = [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]
        return [(labels, value) for labels, value in found if value == value]  # NaN: there was nothing to divide


def queries(dashboard):
    """Panel title, legend and query of each target; and of each variable that Prometheus is asked for."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), *(\w+)\)", variable["definition"]).groups()
            yield f"variable {variable['name']}", "{{%s}}" % label, metric
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["legendFormat"], target["expr"]


def substituted(query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    if "$" in query:
        raise ValueError("an unknown variable")
    return query


def main():
    dashboard_path, proxy, admin, *engines = sys.argv[1:]
    with open(dashboard_path) as file:
        dashboard = json.load(file)
    asked = failed = 0
    load = Load(proxy, admin, engines)
    with Prometheus(proxy) as prometheus:
        with load:
            time.sleep(WARM_UP)
            for title, legend, query in queries(dashboard):
                asked += 1
                problem, found = "", []
                try:
                    found = prometheus.series(substituted(query))
                    missing = {label for label in re.findall(r"{{(\w+)}}", legend) for labels, _ in found if label not in labels}
                    if not found:
                        problem = "  NO DATA"
                    elif missing:
                        problem = f"  no label {', '.join(sorted(missing))}"
                except ValueError as error:
                    problem = f"  {error}"
                failed += bool(problem)
                largest = "largest %.6g" % max(value for _, value in found) if found else ""
                print(f"{len(found):4} series  {largest:20}  {title}: {legend or query}{problem}", flush=True)
    for problem in load.problems:
        print(f"the load: {problem}")
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(load.statuses.items()))
    print(f"{asked - failed} of {asked} queries returned data; answers to the load: {answers}")
    sys.exit(1 if failed or load.problems or not asked else 0)


if __name__ == "__main__":
    main()
