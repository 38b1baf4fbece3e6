"""Passes LMCache files through the loader and the PD configuration code of one installed LMCache version.

usage: check_configs.py SITE VERSION JOBS RESULTS

SITE is a folder with the unpacked lmcache package, JOBS a JSON list of {"name", "folder"} where each folder was written by
`disagg-launch config`. One JSON object a line goes to RESULTS. Nothing of vLLM, NIXL or CUDA is needed: modules that are
not installed are replaced by empty ones, and torch by the little that the configuration code asks of it.
"""

import importlib.abc
import importlib.machinery
import json
import logging
import math
import os
import sys
import types

SITE, VERSION, JOBS, RESULTS = sys.argv[1:5]
# LMCache's own compiled modules, which need PyTorch's libraries.
COMPILED = {f"lmcache.{name}" for name in ("c_ops", "native_storage_ops", "lmcache_native", "lmcache_redis", "lmcache_fs")}
sys.path.insert(0, SITE)
os.environ.pop("LMCACHE_CONFIG_FILE", None)
os.environ.setdefault("PYTHONHASHSEED", "0")
os.environ["LMCACHE_TRACK_USAGE"] = "false"


# --- modules that are not here ---------------------------------------------------------------------------------------


class Anything(type):
    """A class that has every attribute, can be called, subscripted and subclassed."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return make(name)

    def __getitem__(cls, item):
        return cls

    def __or__(cls, other):
        return cls

    def __ror__(cls, other):
        return cls

    def __iter__(cls):
        return iter(())

    def __int__(cls):
        return abs(hash(cls.__name__)) % 1000003


def make(name):
    return Anything(name, (), {"__init__": lambda self, *a, **k: None, "__call__": lambda self, *a, **k: (a or [None])[0]})


class Empty(types.ModuleType):
    __path__ = []

    def __init__(self, name):
        super().__init__(name)
        self.absent = set()

    def __getattr__(self, name):
        if name.startswith("__") or name in self.absent:
            raise AttributeError(name)
        value = make(name)
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Comes last: makes an empty module of whatever nobody else has found."""

    made = set()

    def find_spec(self, fullname, path=None, target=None):
        top = fullname.split(".")[0]
        if top == "lmcache" and fullname not in COMPILED:
            return None
        if top == "torch_neuronx" or top in sys.stdlib_module_names or not self.wanted_by_lmcache():
            return None
        self.made.add(top)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    @staticmethod
    def wanted_by_lmcache():
        """Other packages try imports to see what is there, and must see the truth."""
        frame = sys._getframe(2)
        while frame and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and (f"{os.sep}lmcache{os.sep}" in frame.f_code.co_filename or frame.f_code.co_filename == __file__)

    def create_module(self, spec):
        return Empty(spec.name)

    def exec_module(self, module):
        pass


class Size(tuple):
    def numel(self):
        return math.prod(self)


class DType:
    def __init__(self, name, itemsize):
        self.name, self.itemsize = name, itemsize

    def __repr__(self):
        return f"torch.{self.name}"

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return isinstance(other, DType) and other.name == self.name


def fake_torch():
    torch = Empty("torch")
    for name in ("musa", "xpu", "npu", "hpu", "mps", "mlu"):
        torch.absent.add(name)
    torch.Size = Size
    torch.dtype = DType
    for name, size in [("bfloat16", 2), ("float16", 2), ("half", 2), ("float32", 4), ("float", 4), ("float64", 8), ("double", 8),
                       ("uint8", 1), ("int8", 1), ("int16", 2), ("int32", 4), ("int64", 8), ("long", 8), ("int", 4), ("bool", 1),
                       ("float8_e4m3fn", 1), ("float8_e5m2", 1)]:
        setattr(torch, name, DType(name, size))
    torch.__version__ = "2.8.0"
    cuda = Empty("torch.cuda")
    cuda.is_available = lambda: False
    cuda.device_count = lambda: 0
    torch.cuda = cuda
    sys.modules["torch"], sys.modules["torch.cuda"] = torch, cuda
    Finder.made.add("torch")


try:
    import torch  # noqa: F401
except ImportError:
    fake_torch()
sys.meta_path.append(Finder())
import torch  # noqa: E402

# --- what LMCache logs: a warning about a key is a failure here ---------------------------------------------------------


class Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


collector = Collector()

from lmcache.v1 import config as config_module  # noqa: E402

for name in list(logging.root.manager.loggerDict):
    if name.startswith("lmcache"):
        logger = logging.getLogger(name)
        logger.handlers = [collector]
        logger.propagate = False


class Metadata:
    """What the configuration code reads of LMCache's engine metadata."""

    def __init__(self, rank, ranks, shape, dtype, model):
        self.worker_id, self.local_worker_id, self.world_size, self.local_world_size = rank, rank, ranks, ranks
        self.kv_shape, self.kv_dtype, self.model_name, self.fmt, self.use_mla = shape, dtype, model, "vllm", shape[1] == 1
        self.role = "worker"

    def __getattr__(self, name):
        raise AttributeError(name)


def pd_module():
    """The module with the PD configuration of this version, and the class names to try in it."""
    import importlib

    for module, names in [
        ("lmcache.v1.storage_backend.pd_backend_async", ["PDConfig"]),
        ("lmcache.v1.storage_backend.pd_backend", ["PDConfig"]),
        ("lmcache.v1.storage_backend.connector.nixl_utils", ["NixlConfigXpYd", "NixlConfig"]),
    ]:
        try:
            yield importlib.import_module(module), names
        except ModuleNotFoundError as error:
            if "lmcache" not in str(error):
                raise


def check_buffer(module, config, metadata):
    """Runs the allocator's own size check; the allocation itself is left out."""
    backend = getattr(module, "PDBackendAsync", None) or getattr(module, "PDBackend", None)
    if backend is None or not hasattr(backend, "initialize_allocator"):
        return False

    class Allocator:
        def init_cpu_memory_allocator(self, size, *rest):
            self.size = size

        init_gpu_memory_allocator = init_cpu_memory_allocator

    module.PagedCpuGpuMemoryAllocator = Allocator
    instance = object.__new__(backend)
    instance.corrected_device = "cpu"
    instance.pd_config = types.SimpleNamespace(role=config.pd_role)
    backend.initialize_allocator(instance, config, metadata)
    return True


def load(path):
    os.environ["LMCACHE_CONFIG_FILE"] = path
    config = config_module.LMCacheEngineConfig.from_file(path)
    for method in ("update_config_from_env", "validate"):
        if hasattr(config, method):
            result = getattr(config, method)()
            config = result or config
    return config


def check_engine(process, job):
    path = process["environment"]["LMCACHE_CONFIG_FILE"]
    collector.lines.clear()
    config = load(path)
    notes = []
    modern = hasattr(config, "enable_pd")
    if not (config.enable_pd if modern else config.enable_nixl):
        raise AssertionError("PD is off after loading")
    role = config.pd_role if modern else config.nixl_role
    if role not in (("sender", "both") if process["role"] == "prefill" else ("receiver",)):
        raise AssertionError(f"role {role} for {process['name']}")
    chunk = job["chunkBytes"]
    buffer = config.pd_buffer_size if modern else config.nixl_buffer_size
    if chunk and (buffer < chunk or buffer % chunk):
        raise AssertionError(f"{buffer} is no multiple of a chunk of {chunk} bytes")
    mode = getattr(config, "pd_backend_mode", "sync")
    for rank in range(process["ranks"]):
        # One value a byte: only the product of the shape counts for the size check.
        shape = Size((1, 1, config.chunk_size, 1, max(1, (chunk or 1) // config.chunk_size)))
        metadata = Metadata(rank, process["ranks"], shape, torch.uint8, job["model"])
        for module, names in pd_module():
            wanted = module.__name__.rsplit(".", 1)[1]
            if modern and wanted == "nixl_utils":
                continue
            if modern and wanted == "pd_backend_async" and mode != "async":
                continue
            if modern and wanted == "pd_backend" and mode != "sync" and hasattr(config, "pd_backend_mode"):
                continue
            if not modern and wanted != "nixl_utils":
                continue
            names = ["PDConfig"] if modern else ["NixlConfigXpYd" if getattr(config, "enable_xpyd", False) else "NixlConfig"]
            kind = getattr(module, names[0])
            factory = kind.from_cache_engine_config
            count = factory.__code__.co_argcount
            result = factory(config, metadata, rank) if count == 3 else factory(config, metadata)
            if modern and process["role"] == "decode":
                own = (result.peer_init_port, result.peer_alloc_port)
                told = (job["decoders"][process["name"]][0][rank], job["decoders"][process["name"]][1][rank])
                if own != told:
                    raise AssertionError(f"rank {rank} binds {own}, the proxy tells {told}")
            if modern and process["role"] == "prefill" and role == "both" and not (result.peer_query_port and config.pd_bidirectional):
                raise AssertionError("asks no decode engine")
            if modern and process["role"] == "prefill":
                if f"{result.proxy_host}:{result.proxy_port}" != job["notify"]:
                    raise AssertionError(f"notifies {result.proxy_host}:{result.proxy_port}, the proxy listens on {job['notify']}")
            if modern and chunk and check_buffer(module, config, metadata):
                notes.append("buffer")
            notes.append(names[0])
    # LMCache logs what it drops; anything about keys or values means that the file is not understood.
    bad = [line for line in collector.lines
           if "nixl_peer_host is deprecated" not in line  # 0.3.3 says so of its own key
           and any(word in line.lower() for word in ("unknown configuration", "deprecated", "failed to", "invalid", "cannot"))]
    if bad:
        raise AssertionError("; ".join(bad))
    return sorted(set(notes))


def main():
    failures = 0
    with open(JOBS) as file:
        jobs = json.load(file)
    with open(RESULTS, "w") as results:
        for job in jobs:
            with open(os.path.join(job["folder"], "commands.json")) as file:
                commands = json.load(file)
            facts = {
                "model": commands["model"],
                "chunkBytes": commands["lmcache"]["chunkBytes"],
                "notify": commands["proxy"].get("notify"),
                "decoders": {d["id"]: (d.get("initPorts"), d.get("allocPorts")) for d in commands["proxy"]["decode"]},
            }
            engines = [p for p in commands["processes"] if "LMCACHE_CONFIG_FILE" in p["environment"]]
            outcome = {"name": job["name"], "version": VERSION, "engines": len(engines)}
            try:
                if not engines:
                    raise AssertionError("no engine has an LMCache file")
                used = set()
                for process in engines:
                    used.update(check_engine(process, facts))
                outcome.update(ok=True, code=sorted(used))
                if "refusal" in job:
                    raise AssertionError("accepted, although it must be refused")
            except Exception as error:  # noqa: BLE001 - every failure is a result
                if job.get("refusal", "\0") in str(error):
                    outcome.update(ok=True, refused=str(error)[:80])
                else:
                    failures += 1
                    outcome.update(ok=False, error=f"{type(error).__name__}: {error}")
            results.write(json.dumps(outcome) + "\n")
    stubs = sorted(Finder.made)
    print(f"lmcache {VERSION}: {len(jobs) - failures} of {len(jobs)} pass; stand-ins for {', '.join(stubs) or 'nothing'}")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
