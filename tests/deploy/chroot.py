"""make test-chroot: what needs no container engine. In Debian systems that debootstrap makes it carries out the Dockerfile, starts the
server of its stage `database` by its entry point, a standby of it, and the companion of its stage `companion`; and lintian reads the
packages. Needs root, a Debian mirror, crates.io and PyPI, and about half an hour.

Environment: CASTMATCH_DATA and CARGO_TARGET_DIR as scripts/environment.sh sets them; DEBIAN_MIRROR."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
from dockerfile import Builder, enter  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ["CASTMATCH_DATA"]).resolve()
WORK = DATA / "chroot"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
SECURITY = os.environ.get("DEBIAN_SECURITY_MIRROR", "http://deb.debian.org/debian-security")
CARGO_HOME = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def debian() -> Path:
    """A minimal Debian with the archives of Debian's image."""
    to = WORK / "debian"
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(to), MIRROR], check=True, stdout=subprocess.DEVNULL)
    lines = [f"deb {MIRROR} bookworm main", f"deb {MIRROR} bookworm-updates main", f"deb {SECURITY} bookworm-security main"]
    (to / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    return to


def with_rust(base: Path) -> Path:
    """As the image of Rust: the toolchain, this machine's, in /usr/local."""
    to = WORK / "with-rust"
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(to)], check=True)
    toolchain = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    (to / "usr/local/cargo").mkdir(parents=True)
    for part in ("bin", "lib"):
        subprocess.run(["cp", "-a", "--reflink=auto", f"{toolchain}/{part}", str(to / "usr/local/cargo")], check=True)
    return to


def build() -> dict:
    """The Dockerfile's stages."""
    base = debian()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    bases = {
        "debian": (base, {"PATH": path, "HOME": "/root"}),
        "rust": (with_rust(base), {"PATH": f"/usr/local/cargo/bin:{path}", "HOME": "/root", "CARGO_HOME": "/usr/local/cargo"}),
    }
    caches = {
        "/var/cache/castmatch/target": Path(os.environ["CARGO_TARGET_DIR"]),
        "/usr/local/cargo/registry": CARGO_HOME / "registry",
    }
    return Builder(ROOT / "extension/deploy/Dockerfile", ROOT, WORK, bases, caches, say).build()


def until(what: str, attempt, seconds: float = 120):
    """The first result of attempt that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = attempt()
        if result:
            return result
        time.sleep(0.2)
    raise TimeoutError(f"not within {seconds:.0f} s: {what}")


class Running:
    """The entry point of a stage in its system, with the environment and the user of the image."""

    def __init__(self, stage, root: Path, environment: dict, arguments: list):
        words = enter(root, {**stage.environment, **environment}, stage.user, "SIGINT")
        self.log = root / "tmp/log"
        self.process = subprocess.Popen(
            [*words, *json.loads(stage.configuration["ENTRYPOINT"]), *arguments], stdin=subprocess.DEVNULL, stdout=self.log.open("w"),
            stderr=subprocess.STDOUT)

    def until(self, what: str, attempt):
        """As the function, while the process runs."""

        def alive():
            assert self.process.poll() is None, f"{what}: it has ended\n{self.log.read_text()[-3000:]}"
            return attempt()

        try:
            return until(what, alive)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-3000:]}") from error

    def stop(self) -> None:
        """As an engine stops the container: the image's signal to its first process, and the end of that is the end of all."""
        if self.process.poll() is None:
            # unshare itself passes no signal on.
            first = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            os.kill(int(first[0]), signal.SIGINT)
            self.process.wait(60)


def healthy(stage, root: Path) -> bool:
    """What the image's HEALTHCHECK says."""
    command = json.loads(stage.configuration["HEALTHCHECK"].partition(" CMD ")[2])
    words = ["chroot", f"--userspec={stage.user}", str(root), "env", "-i"]
    words += [f"{name}={value}" for name, value in stage.environment.items()]
    return subprocess.run([*words, *command], capture_output=True).returncode == 0


def psql(stage, root: Path, database: str, sql: str, user: str = "postgres", host: str = "/run/postgresql", port: int = 5432, password: str = "") -> str:
    words = ["chroot", f"--userspec={stage.user}", str(root), "env", "-i", f"PATH={stage.environment['PATH']}", f"PGPASSWORD={password}"]
    words += ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", str(port), "-U", user, "-d", database, "-c", sql]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def check_servers(stages: dict) -> None:
    """Database, standby and companion of the images, as the compose file and the manifests put them together."""
    database, companion = stages["database"], stages["companion"]
    passwords = {name: secrets.token_hex(12) for name in ("postgres-password", "companion-password", "replication-password")}
    standby_root = WORK / "standby"
    subprocess.run(["cp", "-a", "--reflink=auto", str(database.root), str(standby_root)], check=True)
    for root in (database.root, standby_root):
        folder = root / "run/secrets"
        folder.mkdir(parents=True)
        for name, text in passwords.items():
            (folder / name).write_text(text)
    port, second, http = free_port(), free_port(), free_port()
    running = []
    try:
        primary = Running(database, database.root, {}, ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1"])
        running.append(primary)
        environment = {**database.environment, "PGPORT": str(port)}
        database.environment = environment
        primary.until("the primary answers", lambda: healthy(database, database.root))
        state = psql(database, database.root, "castmatch", "SELECT castmatch.health() ->> 'preloaded'", port=port)
        assert state == "true", state
        primary.until("the model of the package is ready", lambda: "ready" == psql(
            database, database.root, "castmatch", "SELECT castmatch.health() #>> '{embedder,state}'", port=port))
        psql(database, database.root, "castmatch", """
            CREATE TABLE talents (id bigint PRIMARY KEY, bio text);
            INSERT INTO talents VALUES (1, 'A stern police inspector on horseback'), (2, 'A dancer'), (3, 'A cook');""", port=port)
        psql(database, database.root, "castmatch", "SELECT castmatch.attach('talents', '{bio}')", port=port)
        psql(database, database.root, "castmatch", "SELECT castmatch.sync('talents', '60 s')", port=port)
        match = "SELECT key FROM castmatch.match('talents', 'an officer with a horse', k => 1)"
        assert psql(database, database.root, "castmatch", match, port=port) == "1"
        bridge = "SELECT default_version FROM pg_available_extensions WHERE name = 'castmatch_pgvector'"
        assert psql(database, database.root, "castmatch", bridge, port=port), "castmatch_pgvector is not in the package"
        say("the primary matches")

        standby = Running(database, standby_root, {"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(port)},
                          ["-c", f"port={second}", "-c", "listen_addresses=127.0.0.1"])
        running.append(standby)
        database.environment = {**environment, "PGPORT": str(second)}
        standby.until("the standby answers", lambda: healthy(database, standby_root))
        assert psql(database, standby_root, "castmatch", "SELECT pg_is_in_recovery()", port=second) == "t"
        assert psql(database, standby_root, "castmatch", match, port=second) == "1"
        say("the standby matches")

        url = f"postgresql://companion:{passwords['companion-password']}@127.0.0.1:{port}/castmatch"
        folder = companion.root / "run/secrets"
        folder.mkdir(parents=True)
        (folder / "database-url").write_text(url)
        server = Running(companion, companion.root, {}, ["serve", "--listen", f"127.0.0.1:{http}", "--database-url-file", "/run/secrets/database-url"])
        running.append(server)

        def read(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=5) as answer:
                    return answer.read().decode()
            except OSError:
                return None

        server.until("the companion is ready", lambda: read("/readyz"))
        server.until("the companion has metrics", lambda: "castmatch_up 1" in (read("/metrics") or ""))
        say("the companion serves")
        for each in reversed(running):
            each.stop()
            assert each.process.returncode == 0, f"exit status {each.process.returncode}\n{each.log.read_text()[-2000:]}"
        for each in (primary, standby):
            assert "database system is shut down" in each.log.read_text().splitlines()[-1], each.log.read_text()[-2000:]
    finally:
        for each in reversed(running):
            each.stop()


def check_packages(stages: dict) -> None:
    """lintian's view of the packages; what it may say is in lintian.txt."""
    packages = sorted(str(path) for path in (stages["build"].root / "packages").glob("*.deb"))
    assert len(packages) == 3, packages
    allowed = {line.split(" ")[0] for line in (ROOT / "tests/deploy/lintian.txt").read_text().splitlines() if line and line[0] != "#"}
    done = subprocess.run(["lintian", "--no-cfg", "--suppress-tags", ",".join(sorted(allowed)), "--fail-on", "error,warning", *packages],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def unmount_strays() -> None:
    """What a run that was killed left mounted below our folder, the latest first."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for target in reversed([target for target in mounted if target.startswith(f"{WORK}/")]):
        subprocess.run(["umount", target], check=True)


def main() -> int:
    assert os.geteuid() == 0, "this stage makes systems in folders: run it as root"
    missing = [name for name in ("debootstrap", "lintian") if not shutil.which(name)]
    if missing:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True)
    unmount_strays()
    if WORK.exists():
        shutil.rmtree(WORK)
    WORK.mkdir(parents=True)
    passed, failed, stages = 0, 0, {}

    def check(name, action):
        nonlocal passed, failed
        try:
            result = action()
            passed += 1
            print(f"test {name} ... ok", flush=True)
            return result
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            failed += 1
            print(f"test {name} ... FAILED\n{error}", flush=True)
            return None

    stages = check("the Dockerfile's steps", build)
    if stages:
        check("servers of the images", lambda: check_servers(stages))
        check("packages as Debian wants them", lambda: check_packages(stages))
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; 0 ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
