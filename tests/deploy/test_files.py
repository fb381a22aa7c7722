"""Files that other programs read: YAML, compose, the Dockerfile, scripts, units, and the versions in all of them."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from place import DEPLOY, HERE, ROOT, documents, manifests, program, run


def tracked(*patterns) -> list:
    """Files of the repository by glob, builds and state left out."""
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern) if "/secrets/" not in str(path))


class Files(unittest.TestCase):
    def test_yaml_is_tidy(self):
        run(program("YAMLLINT", "yamllint"), "--strict", "--config-file", HERE / "yamllint.yaml", DEPLOY)

    def test_scripts_pass_shellcheck(self):
        scripts = tracked("scripts/*.sh", "extension/deploy/**/*.sh", "tests/deploy/*.sh") + [ROOT / ".ci" / "run"]
        self.assertGreater(len(scripts), 10)
        run(program("SHELLCHECK", "shellcheck"), "--external-sources", *scripts, cwd=ROOT)

    def test_dockerfile_passes_hadolint(self):
        run(program("HADOLINT", "hadolint"), "--config", DEPLOY / "hadolint.yaml", "--failure-threshold", "info", DEPLOY / "Dockerfile")

    def test_dockerfile_is_as_promised(self):
        text = (DEPLOY / "Dockerfile").read_text()
        stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
        final = {re.search(r"AS (\w+)", stage)[1]: stage for stage in stages}
        for name in ("database", "companion"):
            user = re.search(r"^USER (\d+):\d+$", final[name], re.MULTILINE)
            self.assertTrue(user and user[1] != "0", f"{name} runs as root")
            self.assertIn("HEALTHCHECK", final[name])
        for base in re.findall(r"^ARG \w+=(\S+)", text, re.MULTILINE):
            self.assertRegex(base, r":\d+\.\d+", "a base is named with its version")
        for source in re.findall(r"^COPY (?:--chmod=\d+ )?(?!--from)(.+) \S+$", text, re.MULTILINE):
            for name in source.split():
                self.assertTrue((ROOT / name).exists(), name)

    def test_compose_file_fits_its_schema(self):
        run(program("CHECK_JSONSCHEMA", "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "docker-compose.yml")

    def test_compose_file_is_closed_and_complete(self):
        compose = documents(DEPLOY / "docker-compose.yml")[0]
        used = {secret for service in compose["services"].values() for secret in service.get("secrets", [])}
        self.assertEqual(used, set(compose["secrets"]))
        targets = set(re.findall(r"AS (\w+)", (DEPLOY / "Dockerfile").read_text()))
        for name, service in compose["services"].items():
            with self.subTest(name):
                self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+$", "an image is named with its version")
                self.assertIn("healthcheck", service)
                self.assertIn("no-new-privileges:true", service["security_opt"])
                for port in service.get("ports", []):
                    self.assertTrue(port.startswith("127.0.0.1:"), f"{port} is open to other machines")
                for value in service.get("environment", {}).values():
                    self.assertNotRegex(str(value), r"(?i)password=|://\w+:")
                for volume in service.get("volumes", []):
                    if volume.startswith("./"):
                        self.assertTrue((DEPLOY / volume.split(":")[0]).exists(), volume)
                if "build" in service:
                    self.assertIn(service["build"]["target"], targets)
                    self.assertEqual((DEPLOY / service["build"]["context"]).resolve(), ROOT)

    def test_secrets_are_made_once(self):
        compose = documents(DEPLOY / "docker-compose.yml")[0]
        with tempfile.TemporaryDirectory() as folder:
            secrets = Path(folder) / "secrets"
            for _ in range(2):
                run(DEPLOY / "make-secrets.sh", secrets)
                made = {path.name: path.read_text() for path in secrets.iterdir()}
                self.assertEqual({f"./secrets/{name}" for name in made}, {each["file"] for each in compose["secrets"].values()})
                first = made if _ == 0 else first
                self.assertEqual(made, first)
            self.assertEqual(secrets.stat().st_mode & 0o777, 0o700)
            self.assertEqual(made["database-url"], f"postgresql://companion:{made['companion-password']}@database:5432/castmatch")
            self.assertEqual(len(set(made.values())), len(made))

    def test_units_are_valid_and_confined(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in (DEPLOY / "systemd").iterdir():
                text = path.read_text()
                # The program is not installed here; any other that is executable will do.
                (Path(folder) / path.name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
            for path in sorted(Path(folder).iterdir()):
                said = run("systemd-analyze", "verify", "--man=no", path, env={**os.environ, "LC_ALL": "C"})
                self.assertEqual(said, "", path.name)
                if path.suffix == ".service":
                    run("systemd-analyze", "security", "--offline=true", "--threshold=20", path)

    def test_versions_agree(self):
        version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        pgrx = re.search(r'^pgrx = "=(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        texts = {path: path.read_text() for path in tracked("extension/deploy/*.yml", "extension/deploy/kubernetes/*.yaml", "extension/deploy/Dockerfile")}
        for path, text in texts.items():
            for found in re.findall(r"castmatch-(?:database|companion):(\d+\.\d+\.\d+)", text):
                self.assertEqual(found, version, path)
        dockerfile = texts[DEPLOY / "Dockerfile"]
        self.assertIn(f"cargo-pgrx --version {pgrx} ", dockerfile)
        control = (ROOT / "extension" / "castmatch_pgvector.control").read_text()
        self.assertIn(f"default_version = '{version}'\n", control)
        self.assertTrue((ROOT / "extension" / f"castmatch_pgvector--{version}.sql").exists())
        for _, manifest in manifests():
            for container in manifest["spec"]["template"]["spec"]["containers"] if "template" in manifest.get("spec", {}) else []:
                self.assertTrue(container["image"].endswith(f":{version}"))

    def test_links_of_the_pages_lead_somewhere(self):
        for page in ("deployment.md", "alerts.md"):
            text = (ROOT / "docs" / page).read_text()
            for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", text):
                self.assertTrue(not target or (ROOT / "docs" / target).exists(), f"{page}: {target}")
            for name in re.findall(r"`((?:extension|scripts|tests)/[\w./-]+)`", text):
                self.assertTrue((ROOT / name).exists(), f"{page}: {name}")
