"""The snippets of docs/clients.md as programs. A section's SQL runs after that of the head of the page; its Python runs as one program,
where a first line like "# shop/models.py" makes a block a file beside it; its Rust has to stand in rust/src/bin/clients-documented.rs."""

import os
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "clients.md"

# What a project's settings and manage.py do for the section on Django.
DJANGO = """
import django
from django.conf import settings
from django.core.management import call_command
settings.configure(
    INSTALLED_APPS=["django.contrib.postgres", "shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "app"}},
)
django.setup()
call_command("makemigrations", "shop", verbosity=0)
call_command("migrate", verbosity=0)
"""


def blocks(text: str) -> list:
    """The fenced blocks of a text, each with its language."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def snippets() -> dict:
    """SQL and blocks in other languages of each section with such blocks, by name."""
    head, *sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    common = "".join(text for language, text in blocks(head) if language == "sql")
    found = {}
    for section in sections:
        name = section.partition("\n")[0].lower()
        sql = common + "".join(text for language, text in blocks(section) if language == "sql")
        programs = [block for block in blocks(section) if block[0] != "sql"]
        if programs:
            found[name] = (sql, programs)
    return found


def command(name: str, programs: list, folder: Path, node_folder: Path) -> list:
    """Writes a section's programs into an empty folder; what runs them."""
    languages = {language for language, _ in programs}
    if languages == {"rust"}:
        source = (HERE / "rust" / "src" / "bin" / "clients-documented.rs").read_text()
        missing = [text for _, text in programs if text not in source]
        if missing:
            raise ValueError(f"not in clients-documented.rs:\n{missing[0]}")
        return [Path(os.environ["CLIENTS_RUST"]) / "clients-documented"]
    if languages == {"javascript"}:
        program = node_folder / "documented.js"
        program.write_text("".join(text for _, text in programs))
        return [os.environ["CLIENTS_NODE"], program]
    if languages != {"python"}:
        raise ValueError(f"section {name} has blocks of {', '.join(sorted(languages))}")
    main = DJANGO if name == "django" else ""
    for _, text in programs:
        path = re.match(r"# (\S+\.py)\n", text)
        if path is None:
            main += text
            continue
        file = folder / path[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        for parent in [file.parent, *file.parent.parents]:
            if parent == folder:
                break
            (parent / "__init__.py").touch()
        file.write_text(text)
    (folder / "documented.py").write_text(main)
    return [os.environ["CLIENTS_FRAMEWORKS" if name in ("langchain", "llamaindex") else "CLIENTS_DRIVERS"], "-B", folder / "documented.py"]
