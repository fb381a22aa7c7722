"""Runs programs that use pgvector's client libraries on two servers, one with pgvector and one with castmatch: what they print must be
the same, line by line. Arguments name programs; none means all. scripts/clients.sh sets the variables that are read here."""

import difflib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from dataset import dataset
from servers import Server

# The columns that both access methods have operator classes for.
INDEXED = ("dense", "half")

# Fewer lines than this mean that a program does not do what it is for.
LINES_AT_LEAST = 15


def node_program(work: Path) -> list:
    """The program for Node, in a folder of its own beside a link to its packages: that is where Node looks for them."""
    folder = work / "node"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "node_modules").symlink_to(os.environ["CLIENTS_NODE_MODULES"])
    for name in ("package.json", "pg.js"):
        shutil.copy(HERE / "node" / name, folder)
    return [os.environ["CLIENTS_NODE"], folder / "pg.js"]


def programs(work: Path) -> dict:
    """Commands by name."""
    drivers = [os.environ["CLIENTS_DRIVERS"], "-B"]
    frameworks = [os.environ["CLIENTS_FRAMEWORKS"], "-B"]
    python, rust = HERE / "python", Path(os.environ["CLIENTS_RUST"])
    return {
        "psycopg-text": [*drivers, python / "psycopg_.py", "text"],
        "psycopg-binary": [*drivers, python / "psycopg_.py", "binary"],
        "asyncpg": [*drivers, python / "asyncpg_.py"],
        "sqlalchemy-psycopg": [*drivers, python / "sqlalchemy_.py", "psycopg"],
        "sqlalchemy-asyncpg": [*drivers, python / "sqlalchemy_.py", "asyncpg"],
        "django": [*drivers, python / "django_.py"],
        "node-pg": node_program(work),
        "rust-postgres": [rust / "clients-postgres"],
        "rust-sqlx": [rust / "clients-sqlx"],
        "langchain": [*frameworks, python / "langchain_.py"],
        "llamaindex": [*frameworks, python / "llamaindex_.py"],
    }


def output(command: list, variables: dict, given: Path) -> list:
    """What a program prints, as lines; a line about its end follows if that was not a good one."""
    environment = {**os.environ, **variables, "CLIENTS_DATASET": str(given)}
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, env=environment
    )
    lines = done.stdout.splitlines()
    return lines if done.returncode == 0 else [*lines, *done.stderr.splitlines(), f"exit status {done.returncode}"]


def check(name: str, command: list, sides: list) -> bool:
    """Runs one program on both sides; sides: the servers with their extension and dataset."""
    started = time.monotonic()
    outputs = []
    for server, extension, given in sides:
        database = "clients_" + name.replace("-", "_")
        outputs.append(output(command, server.database(database, extension), given))
    expected, found = outputs
    good = expected == found and len(expected) >= LINES_AT_LEAST and not expected[-1].startswith("exit status")
    print(f"{'ok' if good else 'not ok'} {name} ({len(expected)} lines, {time.monotonic() - started:.1f} s)", flush=True)
    if not good:
        difference = list(difflib.unified_diff(expected, found, "pgvector", "castmatch", n=0, lineterm=""))
        print("\n".join(difference or expected[-20:]), flush=True)
    return good


def main() -> int:
    work = Path(os.environ["CLIENTS_WORK"])
    commands = programs(work)
    unknown = set(sys.argv[1:]) - set(commands)
    if unknown:
        sys.exit(f"no program {', '.join(sorted(unknown))}: there are {', '.join(commands)}")
    names = sys.argv[1:] or list(commands)
    sides = [
        (Server(os.environ["CLIENTS_PGVECTOR_PG_CONFIG"], work, work / "pgvector", 5432), "vector", "hnsw"),
        (Server(os.environ["CASTMATCH_PG_CONFIG"], work, work / "castmatch", 5433, ("shared_preload_libraries = 'castmatch'",)), "castmatch", "castmatch_hnsw"),
    ]
    given = [work / f"{extension}.json" for _, extension, _ in sides]
    for path, (_, _, method) in zip(given, sides):
        path.write_text(json.dumps(dataset(method, INDEXED)))
    with sides[0][0] as pgvector, sides[1][0] as castmatch:
        print(f"# pgvector on {pgvector.version}, castmatch on {castmatch.version}")
        good = [check(name, commands[name], [(s, e, path) for (s, e, _), path in zip(sides, given)]) for name in names]
    # As cargo test ends, for the table of scripts/test.sh.
    failed = good.count(False)
    print(f"test result: {'FAILED' if failed else 'ok'}. {len(good) - failed} passed; {failed} failed; 0 ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
