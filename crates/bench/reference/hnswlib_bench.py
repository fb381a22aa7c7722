"""hnswlib, measured by itself. One argument: the job as JSON; one line of JSON on the standard output.

Called by castmatch-bench (src/index/libraries.rs), which says what the fields mean.
"""

import json
import sys
import time

import hnswlib
import numpy


def matrix(path, rows):
    """The first rows of a file of castmatch-bench: 32 bytes of header, then 32-bit floats."""
    with open(path, "rb") as file:
        header = file.read(32)
    if header[:8] != b"castmtrx" or int.from_bytes(header[8:12], "little") != 1:
        sys.exit(f"{path} is not a matrix of floats")
    columns = int.from_bytes(header[12:16], "little")
    return numpy.fromfile(path, dtype="<f4", count=rows * columns, offset=32).reshape(rows, columns)


def resident_mib():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def main():
    job = json.loads(sys.argv[1])
    base = matrix(job["base"], job["rows"])
    queries = matrix(job["queries"], job["query_count"])
    before = resident_mib()
    started = time.perf_counter()
    index = hnswlib.Index(space="l2", dim=base.shape[1])
    index.init_index(max_elements=len(base), M=job["m"], ef_construction=job["ef_construction"], random_seed=1)
    index.add_items(base, numpy.arange(len(base)), num_threads=job["threads"])
    seconds = time.perf_counter() - started
    answer = {
        "seconds": seconds,
        "peak_mib": resident_mib() - before,
        "index_mib": index.index_file_size() / 2**20,
        "points": [],
    }
    index.set_num_threads(1)
    for round_number in range(1, job["rounds"] + 1):
        for effort in job["efforts"]:
            index.set_ef(effort)
            latencies, ids = [], []
            for query in queries:
                begun = time.perf_counter()
                labels, _ = index.knn_query(query, k=job["k"])
                latencies.append(time.perf_counter() - begun)
                ids.append(labels[0].tolist())
            answer["points"].append({"effort": effort, "round": round_number, "latencies": latencies, "ids": ids})
    print(json.dumps(answer))


main()
