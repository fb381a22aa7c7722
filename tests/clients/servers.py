"""A private PostgreSQL server for the time of a with statement. It listens on a socket alone."""

import os
import shutil
import subprocess
from pathlib import Path

# A server refuses to run as root.
AS_OWNER = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def said(*command) -> str:
    """Runs a program to its end, gives what it printed; RuntimeError with that if it fails."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, cwd="/"
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


class Server:
    """sockets: a folder of the user that servers run as, which several servers share; data: made anew. settings: further lines of
    postgresql.conf."""

    def __init__(self, pg_config: str, sockets: Path, data: Path, port: int, settings: tuple = ()) -> None:
        self.bin = Path(said(pg_config, "--bindir").strip())
        self.version = said(pg_config, "--version").strip()
        self.data = data
        self.settings = ("listen_addresses = ''", f"unix_socket_directories = '{sockets}'", f"port = {port}", "fsync = off", *settings)
        self.variables = {"PGHOST": str(sockets), "PGPORT": str(port), "PGUSER": "postgres"}

    def __enter__(self) -> "Server":
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        said(*AS_OWNER, self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("".join(f"{line}\n" for line in self.settings))
        said(*AS_OWNER, self.bin / "pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.data / "log")
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Also a server that an interrupted run has left."""
        if (self.data / "postmaster.pid").exists():
            command = [*AS_OWNER, self.bin / "pg_ctl", "stop", "-m", "immediate", "-w", "-D", self.data]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def database(self, name: str, extension: str = "", sql: str = "") -> dict:
        """Makes a database anew, with the extension, then runs the SQL in it; the variables that clients find it by."""
        place = ["-h", self.variables["PGHOST"], "-p", self.variables["PGPORT"], "-U", "postgres"]
        said(self.bin / "dropdb", *place, "--if-exists", "--force", name)
        said(self.bin / "createdb", *place, name)
        create = f"CREATE EXTENSION {extension};" if extension else ""
        said(self.bin / "psql", *place, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", name, "-c", create + sql)
        return {**self.variables, "PGDATABASE": name}
