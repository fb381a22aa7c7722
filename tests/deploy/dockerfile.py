"""Carries out a Dockerfile without a container engine: each stage is a folder, each RUN a chroot. Knows the instructions that ours
uses and refuses others. What a real build has and this has not: layers, isolation, users' limits.

What the machine gives beside the base systems: its name servers and certificate authorities, and the caches of cargo as cache mounts."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

CERTIFICATES = "/run/castmatch-test/ca.crt"
SILENT = {"VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


def instructions(text: str) -> list:
    """Pairs of instruction and rest; comments and continued lines resolved."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def copy_tree(source: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", str(to)], check=True)


class Mounts:
    """Bind mounts, undone in the end whatever happens."""

    def __init__(self):
        self.targets = []

    def __enter__(self):
        return self

    def bind(self, source: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
        self.targets.append(target)

    def __exit__(self, *_):
        while self.targets:
            subprocess.run(["umount", str(self.targets.pop())], check=True)


def enter(root: Path, environment: dict, user: str, end: str = "SIGKILL") -> list:
    """The words before a command that is to run in a system: in a process space of its own, all of which ends with that signal when the
    first of the words ends, so that no process of it outlives its mounts."""
    words = ["unshare", "--pid", "--fork", f"--kill-child={end}", f"--mount-proc={root}/proc", "chroot", f"--userspec={user}", str(root)]
    return [*words, "env", "-i", *(f"{name}={value}" for name, value in environment.items())]


def chroot(root: Path, command: list, environment: dict, user: str = "0:0", folder: str = "/", caches: dict | None = None, **options):
    """Runs a command in a system; the rest as subprocess.run has it."""
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copyfile(name, root / name[1:])
    (root / CERTIFICATES[1:]).parent.mkdir(parents=True, exist_ok=True)
    bundle = os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
    shutil.copyfile(bundle, root / CERTIFICATES[1:])
    trust = {name: CERTIFICATES for name in ("PIP_CERT", "CARGO_HTTP_CAINFO", "SSL_CERT_FILE", "CURL_CA_BUNDLE")}
    with Mounts() as mounts:
        for target, source in (caches or {}).items():
            source.mkdir(parents=True, exist_ok=True)
            mounts.bind(source, root / target[1:])
        words = enter(root, {**trust, **environment}, user)
        words += ["sh", "-c", 'cd "$0" && exec "$@"', folder, *command]
        return subprocess.run(words, stdin=subprocess.DEVNULL, **options)


class Stage:
    """A stage while it is built, and its configuration afterwards."""

    def __init__(self, root: Path, parent=None):
        self.root = root
        self.environment = dict(parent.environment) if parent else {}
        self.shell = list(parent.shell) if parent else ["/bin/sh", "-c"]
        self.folder, self.user, self.configuration = "/", "0:0", {}

    def expand(self, text: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda found: self.environment.get(found[1], ""), text)


class Builder:
    """Builds every stage of a Dockerfile below `work`. `bases` maps the name before the colon of a base to a folder and its
    environment; `caches` the target of a cache mount to a folder."""

    def __init__(self, dockerfile: Path, context: Path, work: Path, bases: dict, caches: dict, say):
        self.text, self.context, self.work = dockerfile.read_text(), context, work
        self.bases, self.caches, self.say = bases, caches, say
        self.stages, self.arguments, self.stage = {}, {}, None

    def build(self) -> dict:
        for word, rest in instructions(self.text):
            self.say(f"{word} {rest[:110]}")
            if word in SILENT:
                self.stage.configuration[word] = rest
            else:
                getattr(self, f"do_{word.lower()}")(rest)
        return self.stages

    def do_arg(self, rest):
        name, value = rest.split("=", 1)
        self.arguments[name] = value

    def do_from(self, rest):
        base, _, name = rest.split()
        base = re.sub(r"\$\{(\w+)\}", lambda found: self.arguments[found[1]], base)
        root = self.work / name
        root.mkdir()
        if base in self.stages:
            self.stage = Stage(root, self.stages[base])
            copy_tree(self.stages[base].root, root)
        else:
            folder, environment = self.bases[base.split(":")[0]]
            self.stage = Stage(root)
            self.stage.environment.update(environment)
            copy_tree(folder, root)
        self.stages[name] = self.stage

    def do_shell(self, rest):
        self.stage.shell = shlex.split(rest.strip("[]").replace(",", " "))

    def do_workdir(self, rest):
        self.stage.folder = rest
        (self.stage.root / rest[1:]).mkdir(parents=True, exist_ok=True)

    def do_env(self, rest):
        for pair in shlex.split(rest):
            name, value = pair.split("=", 1)
            self.stage.environment[name] = self.stage.expand(value)

    def do_user(self, rest):
        self.stage.user = rest

    def do_run(self, rest):
        caches = {}
        while rest.startswith("--mount="):
            mount, rest = rest.split(None, 1)
            target = re.fullmatch(r"--mount=type=cache,target=(\S+)", mount)[1]
            caches[target] = self.caches[target]
        stage = self.stage
        done = chroot(stage.root, [*stage.shell, rest], stage.environment, stage.user, stage.folder, caches)
        assert done.returncode == 0, f"exit status {done.returncode} of RUN {rest}"

    def do_copy(self, rest):
        words, mode, source = rest.split(), None, self.context
        while words[0].startswith("--"):
            option, value = words.pop(0)[2:].split("=")
            if option == "from":
                source = self.stages[value].root
            else:
                mode = {"chmod": value}[option]
        target = words.pop()
        for name in words:
            self.copy(source, name, target, mode)

    def copy(self, source: Path, name: str, target: str, mode):
        start = source / name.lstrip("/")
        assert start.exists(), f"COPY of {name}, which does not exist"
        into = self.stage.root / (target[1:] if target.startswith("/") else f"{self.stage.folder[1:]}/{target}")
        if source == self.context and name == ".":
            # Under version control or new: what .dockerignore leaves in, and less.
            listed = subprocess.run(["git", "-C", str(source), "ls-files", "-z", "-co", "--exclude-standard"], check=True, capture_output=True)
            files = [file for file in listed.stdout.decode().split("\0") if file and (source / file).exists()]
            subprocess.run(["cp", "-a", "--parents", *files, str(into)], check=True, cwd=source)
            return
        if start.is_dir():
            into.mkdir(parents=True, exist_ok=True)
            copy_tree(start, into)
            return
        if target.endswith("/"):
            into = into / start.name
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(start, into)
        into.chmod(int(mode, 8) if mode else start.stat().st_mode & 0o777)
