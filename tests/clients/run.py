"""Runs programs that use pgvector's client libraries on two servers, one with pgvector and one with castmatch: what they print must be
the same, line by line. Then the snippets of docs/clients.md, on castmatch alone. Arguments name programs; none means all.
scripts/clients.sh sets the variables that are read here."""

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
from snippets import command, snippets

# What both graphs, hnsw and castmatch_hnsw, have operator classes for: columns of the dataset.
IN_GRAPHS = ("dense", "half", "sparse", "bits")
# Operator classes that both ivfflat and castmatch_ivf have.
IN_LISTS = ("vector_l2_ops", "vector_ip_ops", "vector_cosine_ops", "halfvec_l2_ops", "halfvec_ip_ops", "halfvec_cosine_ops")

# Fewer lines than this mean that a program does not do what it is for.
LINES_AT_LEAST = 15


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def node_folder(work: Path) -> Path:
    """A folder with the program for Node and a link to its packages, which Node looks for beside the program."""
    folder = fresh(work / "node")
    (folder / "node_modules").symlink_to(os.environ["CLIENTS_NODE_MODULES"])
    for name in ("package.json", "pg.js"):
        shutil.copy(HERE / "node" / name, folder)
    return folder


def programs(node: Path) -> dict:
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
        "node-pg": [os.environ["CLIENTS_NODE"], node / "pg.js"],
        "rust-postgres": [rust / "clients-postgres"],
        "rust-sqlx": [rust / "clients-sqlx"],
        "langchain": [*frameworks, python / "langchain_.py"],
        "llamaindex": [*frameworks, python / "llamaindex_.py"],
    }


def output(words: list, variables: dict) -> tuple:
    """Runs a program to its end: the lines that it prints, and what it says besides if it fails."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, env=environment
    )
    return done.stdout.splitlines(), [] if done.returncode == 0 else [*done.stderr.splitlines(), f"exit status {done.returncode}"]


def compare(name: str, words: list, sides: list) -> tuple:
    """Runs one program on both sides: a server, its extension, the dataset for it. Lines and trouble."""
    outputs, trouble = [], []
    for server, extension, given in sides:
        variables = server.database("clients_" + name.replace("-", "_"), extension)
        lines, failure = output(words, {**variables, "CLIENTS_DATASET": str(given)})
        outputs.append(lines)
        trouble += [f"{extension}: {line}" for line in failure]
    expected, found = outputs
    trouble += difflib.unified_diff(expected, found, "pgvector", "castmatch", n=0, lineterm="")
    if len(expected) < LINES_AT_LEAST:
        trouble.append(f"{len(expected)} lines are too few")
    return len(expected), trouble


def document(name: str, sql: str, blocks: list, server: Server, work: Path) -> tuple:
    """Runs the snippets of a section of the page. Lines and trouble."""
    variables = server.database("app", sql=sql)
    lines, trouble = output(command(name, blocks, fresh(work / "snippets"), work / "node"), variables)
    if not lines and not trouble:
        trouble = ["nothing is printed"]
    return len(lines), trouble


def passes(name: str, check, *arguments) -> bool:
    """Makes a check; a line in the log, and what is wrong."""
    started = time.monotonic()
    try:
        lines, trouble = check(*arguments)
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        lines, trouble = 0, [str(error)]
    print(f"{'not ok' if trouble else 'ok'} {name} ({lines} lines, {time.monotonic() - started:.1f} s)", *trouble, sep="\n", flush=True)
    return not trouble


def main() -> int:
    work = Path(os.environ["CLIENTS_WORK"])
    commands = programs(node_folder(work))
    documented = {f"docs-{name}": (name, *section) for name, section in snippets().items()}
    names = sys.argv[1:] or [*commands, *documented]
    unknown = set(names) - {*commands, *documented}
    if unknown:
        sys.exit(f"no program {', '.join(sorted(unknown))}: there are {', '.join([*commands, *documented])}")
    methods = {"vector": ("hnsw", "ivfflat"), "castmatch": ("castmatch_hnsw", "castmatch_ivf")}
    given = {extension: work / f"{extension}.json" for extension in methods}
    for extension, path in given.items():
        path.write_text(json.dumps(dataset(*methods[extension], IN_GRAPHS, IN_LISTS)))
    preloading = ("shared_preload_libraries = 'castmatch'",)
    with (
        Server(os.environ["CLIENTS_PGVECTOR_PG_CONFIG"], work, work / "pgvector", 5432) as pgvector,
        Server(os.environ["CASTMATCH_PG_CONFIG"], work, work / "castmatch", 5433, preloading) as castmatch,
    ):
        print(f"# pgvector on {pgvector.version}, castmatch on {castmatch.version}")
        sides = [(pgvector, "vector", given["vector"]), (castmatch, "castmatch", given["castmatch"])]
        good = [passes(name, compare, name, words, sides) for name, words in commands.items() if name in names]
        good += [passes(name, document, *section, castmatch, work) for name, section in documented.items() if name in names]
    # As cargo test ends, for the table of scripts/test.sh.
    failed = good.count(False)
    print(f"test result: {'FAILED' if failed else 'ok'}. {len(good) - failed} passed; {failed} failed; 0 ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
