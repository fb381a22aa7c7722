"""sentence-transformers as castmatch-bench measures it.

Reads one JSON object {"model", "threads", "bulk", "short"} from the first line of its input, loads the model on the
CPU, writes one JSON object about itself, then answers each further line ("bulk", "latency", "vectors", "memory")
with one JSON object until any other line ends it. CPU seconds are those of the whole process.
"""

import json
import os
import sys
import time

job = json.loads(sys.stdin.readline())
# Before torch is imported: its libraries read these when they are loaded.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = str(job["threads"])

started = time.perf_counter()
import sentence_transformers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(job["threads"])
imported = time.perf_counter()
transformers.utils.logging.disable_progress_bar()
model = sentence_transformers.SentenceTransformer(job["model"], device="cpu")
loaded = time.perf_counter()


def resident_kib():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def encode(texts):
    # The library's own defaults: sorted by length, batches of 32 texts.
    return model.encode(texts, show_progress_bar=False)


def bulk():
    wall, cpu = time.perf_counter(), time.process_time()
    encode(job["bulk"])
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def latency():
    walls, cpus = [], []
    for text in job["short"]:
        wall, cpu = time.perf_counter(), time.process_time()
        encode([text])
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall": walls, "cpu": cpus}


def vectors():
    return {"vectors": [[float(x) for x in row] for row in encode(job["bulk"][:64])]}


answers = {"bulk": bulk, "latency": latency, "vectors": vectors, "memory": lambda: {"rss_kib": resident_kib()}}


def say(answer):
    print(json.dumps(answer), flush=True)


say(
    {
        "sentence_transformers": sentence_transformers.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "import_seconds": imported - started,
        "load_seconds": loaded - imported,
        "rss_kib": resident_kib(),
    }
)
for line in sys.stdin:
    if line.strip() not in answers:
        break
    say(answers[line.strip()]())
