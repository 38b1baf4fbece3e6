"""Writes deployments for one LMCache version and lets `disagg-launch config` generate their files.

usage: deployments.py LAUNCH VERSION FOLDER   (FOLDER/jobs.json lists what was written)
"""

import json
import os
import subprocess
import sys

LAUNCH, VERSION, FOLDER = sys.argv[1:4]
NUMBERS = tuple(int(part) for part in VERSION.split("."))
LEGACY = NUMBERS < (0, 3, 3)
PD = NUMBERS >= (0, 3, 7)
ASYNC = NUMBERS >= (0, 4, 5)
TIERS = NUMBERS >= (0, 4, 2)


def group(replicas=1, tp=1, pp=1, extra="", args=()):
    text = f"{{replicas: {replicas}, tensorParallel: {tp}, pipelineParallel: {pp}{extra}"
    if args:
        text += f", extraArgs: [{', '.join(json.dumps(a) for a in args)}]"
    return text + "}"


def deployments():
    """Name, model, prefill group, decode group, lines of the lmcache section, other lines."""
    yield "llama-8b-1p1d", "meta-llama/Llama-3.1-8B-Instruct", group(), group(), [], []
    yield "qwen-0.5b-1p1d", "Qwen/Qwen2.5-0.5B-Instruct", group(), group(), [], []
    yield "qwen-7b-xp1d", "Qwen/Qwen2.5-7B-Instruct", group(2), group(1), [], []
    yield "qwen-32b-2p2d-tp2", "Qwen/Qwen3-32B", group(2, 2), group(2, 2), [], []
    yield "llama-70b-1p2d-tp4", "meta-llama/Llama-3.1-70B-Instruct", group(1, 4), group(2, 4), [], []
    yield "llama-70b-tp2-pp2", "meta-llama/Llama-3.3-70B-Instruct", group(1, 2, 2), group(1, 2, 2), [], []
    yield "deepseek-lite-pp2", "deepseek-ai/DeepSeek-V2-Lite-Chat", group(1, 1, 2), group(1, 1, 2), [], []
    yield "deepseek-v3-tp8", "deepseek-ai/DeepSeek-V3", group(1, 8), group(1, 8), [], []
    yield "kimi-k2-3p2d-tp8", "moonshotai/Kimi-K2-Instruct", group(3, 8), group(2, 8), [], []
    yield "mixtral-chunk-128", "mistralai/Mixtral-8x7B-Instruct-v0.1", group(1, 2), group(1, 2), ["chunkSize: 128"], []
    fp8 = ["--kv-cache-dtype", "fp8"]
    yield "llama-8b-fp8-kv", "meta-llama/Llama-3.1-8B-Instruct", group(args=fp8), group(args=fp8), [], []
    yield "odd-buffers", "Qwen/Qwen3-8B", group(), group(), ["prefillBufferBytes: 3000000001", "decodeBufferBytes: 5GB"], []
    long = ["--max-model-len", "32K"]
    yield "long-prompts", "Qwen/Qwen2.5-14B-Instruct", group(args=long), group(args=long), ["maxPrefillTokens: 32768"], []
    hosts = ", urls: [10.0.0.2:8200, 10.0.0.3:8200], receiverPorts: [{init: [7300], alloc: [7400]}, {init: [7300], alloc: [7400]}]"
    yield ("two-hosts", "meta-llama/Llama-3.1-8B-Instruct", "{urls: [10.0.0.1:8100]}", "{" + hosts[2:] + "}", [],
           ["proxy: {notify: '10.0.0.1:7500'}"])
    if PD:
        yield "deepseek-v3-tp8-tp4", "deepseek-ai/DeepSeek-V3", group(1, 8), group(2, 4), [], []
        yield "cpu-buffers", "Qwen/Qwen3-8B", group(), group(), ["bufferDevice: cpu", "hashAlgorithm: sha256_cbor"], []
    if TIERS:
        yield "tier-cpu", "Qwen/Qwen2.5-7B-Instruct", group(), group(), ["cpuTier: 8GiB"], []
        yield ("tier-disk-remote", "meta-llama/Llama-3.1-8B-Instruct", group(2), group(2),
               ["cpuTier: 20GiB", "diskTierPath: /mnt/kv/", "diskTier: 100GiB", "remoteStore: redis://cache:6379"], [])
    if ASYNC:
        yield "sync-backend", "Qwen/Qwen3-32B", group(1, 2), group(2, 2), ["backend: sync"], []
        yield ("sync-both", "Qwen/Qwen3-32B", group(2, 2), group(1, 2, extra=", queryPort: 7600"), ["backend: sync"], [])
        yield ("sync-mla", "deepseek-ai/DeepSeek-R1", group(1, 8), group(1, 8), ["backend: sync", "allocationTimeout: 2500ms"], [])


def control(good):
    """A set that LMCache must refuse, so that a check which lets everything pass is seen: the sizes of its own example."""
    folder = os.path.join(FOLDER, "control")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(good, "commands.json")) as file:
        commands = json.load(file)
    for process in commands["processes"]:
        path = process["environment"].get("LMCACHE_CONFIG_FILE")
        if not path:
            continue
        with open(path) as file:
            lines = [f"pd_buffer_size: {1 << 30}" if line.startswith("pd_buffer_size") else line for line in file.read().splitlines()]
        process["environment"]["LMCACHE_CONFIG_FILE"] = os.path.join(folder, os.path.basename(path))
        with open(process["environment"]["LMCACHE_CONFIG_FILE"], "w") as file:
            file.write("\n".join(lines) + "\n")
    with open(os.path.join(folder, "commands.json"), "w") as file:
        json.dump(commands, file)
    return {"name": "control", "folder": folder, "refusal": "PD buffer too small"}


def main():
    jobs = []
    for name, model, prefill, decode, lmcache, other in deployments():
        folder = os.path.join(FOLDER, name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "disagg.yaml")
        lines = [f"model: {model}", f"handoff: {'lmcache-legacy' if LEGACY else 'lmcache'}", f"prefill: {prefill}",
                 f"decode: {decode}", "lmcache:", f"  version: '{VERSION}'", *(f"  {line}" for line in lmcache), *other]
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        done = subprocess.run([LAUNCH, "config", path, "--output", os.path.join(folder, "files")], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{path}:\n{done.stderr}")
        jobs.append({"name": name, "folder": os.path.join(folder, "files")})
    if ASYNC:
        jobs.append(control(jobs[0]["folder"]))
    with open(os.path.join(FOLDER, "jobs.json"), "w") as file:
        json.dump(jobs, file)


if __name__ == "__main__":
    main()
