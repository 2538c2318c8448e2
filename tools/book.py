"""Run the chapters that changed and render the book.

    python -m tools.book                      run what is stale, render if anything changed, print the first page
    python -m tools.book --chapter two-clocks run this chapter and render it
    python -m tools.book --links              visit the outside links
    python -m tools.book --serve 8000         show the rendered book

The builder's own execution cache looks at a chapter's code cells alone, so a changed helper would leave old results on
the page. Here a chapter is also stale when one of the `nbhelpers` modules that it imported when it last ran, the data,
requirements.txt, the preset or the Python changed. Results go into the cache that the builder reads; the digest stands
beside each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
HTML = BUILD / "html"
FIRST_PAGE = HTML / "index.html"
LOG = BUILD / "render.log"
KERNELS_LOG = BUILD / "kernels.log"
RENDERED = BUILD / "rendered.sha256"  # the digest of all inputs of the pages that lie in HTML
CELL_SECONDS = 120

# Folders and files that no page depends on.
NOT_RENDERED = {".git", ".github", ".ci", "_build", "tests", "node_modules", "__pycache__", "_generated"}


class BookError(Exception):
    """Something that the reader can act on: shown as one line, without a traceback."""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.book", description=__doc__.splitlines()[0])
    todo = parser.add_mutually_exclusive_group()
    todo.add_argument("--chapter", metavar="NAME", help="run and render this one, such as two-clocks")
    todo.add_argument("--links", action="store_true", help="visit the outside links")
    todo.add_argument("--serve", metavar="PORT", type=int, help="show the rendered book")
    given = parser.parse_args(arguments)
    os.chdir(ROOT)
    try:
        if given.serve is not None:
            serve(given.serve)
        elif given.links:
            check_links()
        elif given.chapter:
            make_chapter(given.chapter)
        else:
            make_book()
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


# ---- the four things it does ----


def make_book() -> None:
    """Run stale chapters, write the generated pages, render unless the pages are up to date."""
    chapters = find_chapters()
    stale = [chapter for chapter in chapters if not is_fresh(chapter)]
    execute_all(stale)
    write_generated_pages()
    digest = digest_of_inputs(chapters)
    if not stale and FIRST_PAGE.exists() and read_text(RENDERED) == digest:
        print("Nothing changed: the pages are up to date.")
    else:
        # Pages hold each other's titles (contents, previous and next), so all of them are written anew.
        shutil.rmtree(HTML, ignore_errors=True)
        render("--all")
        RENDERED.write_text(digest, encoding="utf-8")
    stamp_revision()
    print(f"The book's first page: {FIRST_PAGE}")


def make_chapter(name: str) -> None:
    """Run the chapter `name` and render it. The rest of the book is shown as it was last run."""
    chapters = {chapter.name: chapter for chapter in find_chapters()}
    if name not in chapters:
        raise BookError(f"There is no chapter {name} in _toc.yml. It has: {', '.join(sorted(chapters))}.")
    chapter = chapters.pop(name)
    execute_all([chapter])
    write_generated_pages()
    RENDERED.unlink(missing_ok=True)  # the next `make book` looks at everything again
    (BUILD / ".doctrees" / chapter.path.relative_to(ROOT).with_suffix(".doctree")).unlink(missing_ok=True)
    # Chapters that never ran stay without results, rather than being run here one after the other.
    never_run = [other for other in chapters.values() if cached(other) is None]
    if never_run:
        print(f"Without results until `make book` runs them: {', '.join(other.name for other in never_run)}.")
        render("--config", str(config_without(never_run)))
    else:
        render()
    print(f"The chapter's page: {(HTML / chapter.path.relative_to(ROOT)).with_suffix('.html')}")


def check_links() -> None:
    """Let Sphinx visit every outside link. Chapters are read, not run: their links stand in their text."""
    write_generated_pages()
    output = BUILD / "links"
    shutil.rmtree(output, ignore_errors=True)
    render("--all", "--builder", "linkcheck", "--path-output", str(output), "--config", str(config_without(None)))
    print("Every outside link answered.")


def serve(port: int) -> None:
    """Show the rendered book on this machine until interrupted."""
    if not FIRST_PAGE.exists():
        raise BookError("There is no rendered book yet: run `make book` first.")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=HTML)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        raise BookError(f"Port {port} is taken: choose another with `make serve PORT=8080`.") from None
    print(f"The book is at http://127.0.0.1:{port}/ (stop with Ctrl-C).", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


# ---- chapters and their staleness ----


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book: `name` is what `make chapter NAME=` takes, such as two-clocks or solutions/two-clocks."""

    name: str
    path: Path

    def read(self):
        """The notebook as it lies on disk."""
        import nbformat

        try:
            return nbformat.read(self.path, as_version=4)
        except (ValueError, nbformat.ValidationError) as error:
            what = str(error).splitlines()[0]
            raise BookError(f"chapters/{self.name}.ipynb is not a notebook: {what}") from None


def find_chapters() -> list[Chapter]:
    """The notebooks that _toc.yml lists, in its order."""
    from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

    try:
        documents = parse_toc_yaml(ROOT / "_toc.yml")
    except (OSError, MalformedError) as error:
        raise BookError(f"_toc.yml cannot be read: {error}") from None
    chapters = []
    for document in documents:
        path = (ROOT / document).with_suffix(".ipynb")
        if path.exists():
            name = path.relative_to(ROOT / "chapters").with_suffix("").as_posix()
            chapters.append(Chapter(name, path))
        elif not path.with_suffix(".md").exists():
            raise BookError(f"_toc.yml lists {document}, but there is neither {document}.ipynb nor {document}.md.")
    return chapters


@functools.cache
def cache():
    """The execution cache that the builder reads."""
    from jupyter_cache import get_cache

    return get_cache(BUILD / ".jupyter_cache")


def cached(chapter: Chapter):
    """The cache's record of a chapter with this code, or None."""
    try:
        record = cache().match_cache_notebook(chapter.read())
        cache().get_cache_bundle(record.pk)  # a record whose file is gone is no record
    except KeyError:
        return None
    return record


def is_fresh(chapter: Chapter) -> bool:
    """Whether the cache holds results of this chapter that nothing since could have changed."""
    record = cached(chapter)
    if record is None or "modules" not in record.data:  # never run, or run by the builder itself
        return False
    return record.data["digest"] == digest_of_dependencies(record.data["modules"])


def digest_of_dependencies(modules: Iterable[str]) -> str:
    """Digest of what a chapter's results depend on, beside its own code.

    `modules` are the files of ours that it imported when it ran, relative to the root. Any other module can only come
    in through a change in one of them or in the chapter. Data and the package's own resources count as a whole.
    """
    digest = hashlib.sha256(f"{preset()}\n{sys.version}\n".encode())
    resources = [path for path in files_under(ROOT / "nbhelpers") if path.suffix not in (".py", ".pyc")]
    add_files(digest, [ROOT / "requirements.txt", *files_under(ROOT / "data"), *resources])
    add_files(digest, [ROOT / module for module in sorted(modules)])
    return digest.hexdigest()


def digest_of_inputs(chapters: list[Chapter]) -> str:
    """Digest of everything that the pages depend on: every file of the tree but tests and products, and the results."""
    digest = hashlib.sha256(f"{preset()}\n{sys.version}\n".encode())
    add_files(digest, files_under(ROOT))
    for chapter in chapters:
        record = cached(chapter)
        digest.update(f"{chapter.name} {record.hashkey} {record.created}\n".encode())
    return digest.hexdigest()


def preset() -> str:
    """The preset that the chapters run with."""
    return os.environ.get("NBHELPERS_PRESET") or "quick"


def files_under(folder: Path) -> list[Path]:
    """All files below `folder` in a fixed order, without hidden ones and those that no page depends on."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in NOT_RENDERED and not name.startswith("."))
        found += [Path(place) / name for name in sorted(names) if not name.startswith(".")]
    return found


def add_files(digest, paths: Iterable[Path]) -> None:
    """Add names and contents to a hash. A file that is missing counts as such."""
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        digest.update(f"{path.relative_to(ROOT).as_posix()} {content}\n".encode())


# ---- running ----

# Asked of the kernel after the last cell: which files of ours did this chapter import?
LIST_MODULES = """
import json as _json, pathlib as _pathlib, sys as _sys
_root = _pathlib.Path({root!r})
_files = [_pathlib.Path(module.__file__).resolve() for module in list(_sys.modules.values())
          if getattr(module, "__file__", None)]
print(_json.dumps(sorted({{str(file.relative_to(_root)) for file in _files
                          if file.is_relative_to(_root / "nbhelpers")}})))
"""


@dataclass
class Failure:
    """A chapter that did not run to its end."""

    chapter: Chapter
    where: str
    what: str
    traceback: str

    def report(self) -> str:
        """One line; the traceback goes to a file."""
        log = BUILD / "failures" / f"{self.chapter.name.replace('/', '-')}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(self.traceback, encoding="utf-8")
        return f"chapters/{self.chapter.name}.ipynb failed in {self.where}: {self.what} (traceback: {log})"


def execute_all(chapters: list[Chapter]) -> None:
    """Run chapters side by side, one process and one thread each, and put their results into the cache."""
    if not chapters:
        return
    workers = min(len(chapters), available_cores())
    print(f"Running {len(chapters)} notebook(s), preset {preset()}, {workers} at a time.", flush=True)
    BUILD.mkdir(exist_ok=True)
    KERNELS_LOG.unlink(missing_ok=True)
    # Set for this process, which the kernels inherit from.
    os.environ.update(kernel_environment())
    failures = asyncio.run(execute_side_by_side(chapters, workers))
    if failures:
        raise BookError("\n".join(failure.report() for failure in failures))


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def kernel_environment() -> dict[str, str]:
    """What makes a run repeatable, whatever the reader's own settings are."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    own = {"IPYTHONDIR": str(BUILD / ".ipython"), "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": path}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    return {**own, **one_thread, **backend, "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1", "NBHELPERS_PRESET": preset()}


async def execute_side_by_side(chapters: list[Chapter], workers: int) -> list[Failure]:
    """Run chapters, at most `workers` at a time. Returns those that failed, in the order of the book."""
    free = asyncio.Semaphore(workers)

    async def take_turn(chapter: Chapter) -> Failure | None:
        async with free:
            start = time.monotonic()
            failure = await execute(chapter)
            note = "failed" if failure else "done"
            print(f"  {chapter.name}: {note} after {time.monotonic() - start:.0f} s", flush=True)
            return failure

    return [failure for failure in await asyncio.gather(*map(take_turn, chapters)) if failure]


async def execute(chapter: Chapter) -> Failure | None:
    """Run one chapter in its own folder and cache what it shows."""
    from jupyter_cache.base import CacheBundleIn
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = chapter.read()
    count = sum(cell.cell_type == "code" for cell in notebook.cells)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,  # times in the cells' metadata would change the key under which the cache finds them
        resources={"metadata": {"path": str(chapter.path.parent)}},
    )
    start, done = time.monotonic(), 0
    try:
        with KERNELS_LOG.open("a") as log:  # what the kernel itself says, not the chapter
            async with client.async_setup_kernel(stderr=log):
                for index, cell in enumerate(notebook.cells):
                    done += cell.cell_type == "code"
                    await client.async_execute_cell(cell, index, execution_count=done)
                client.set_widgets_metadata()
                modules = await imported_modules(client)
    except CellExecutionError as error:
        what = f"{error.ename}: {(error.evalue.strip() or 'no message').splitlines()[0]}"
        return Failure(chapter, f"code cell {done} of {count} (cell {index + 1})", what, str(error))
    except CellTimeoutError as error:
        what = f"it took longer than {CELL_SECONDS} s"
        return Failure(chapter, f"code cell {done} of {count} (cell {index + 1})", what, str(error))
    except DeadKernelError as error:
        what = "the kernel died (often: out of memory)"
        return Failure(chapter, f"code cell {done} of {count} (cell {index + 1})", what, str(error))

    data = {
        "execution_seconds": time.monotonic() - start,
        "modules": modules,
        "digest": digest_of_dependencies(modules),
    }
    bundle = CacheBundleIn(notebook, str(chapter.path), data=data)
    cache().cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return None


async def imported_modules(client) -> list[str]:
    """The files of `nbhelpers` that the running kernel has imported, relative to the root."""
    import nbformat

    cell = nbformat.v4.new_code_cell(LIST_MODULES.format(root=str(ROOT)))
    client.nb.cells.append(cell)  # the client looks its cells up by number
    try:
        await client.async_execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    finally:
        client.nb.cells.pop()
    return json.loads("".join(output.text for output in cell.outputs if output.get("name") == "stdout"))


# ---- rendering ----


def write_generated_pages() -> None:
    """Write the parts of the pages that come from data/*.yml."""
    from tools import pages

    if pages.main():
        raise BookError("The generated pages could not be written; the line above says why.")


def render(*options: str) -> None:
    """Call Jupyter Book on the whole tree. Any warning is a failure."""
    print("Rendering the pages.", flush=True)
    BUILD.mkdir(exist_ok=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", ROOT, "-W", "-n", "--keep-going", *options]
    environment = {**os.environ, **kernel_environment()}
    with LOG.open("w", encoding="utf-8") as log:
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if status:
        raise BookError(
            f"{findings(read_text(LOG))}\nNot finished: the builder found what stands above. Whole log: {LOG}"
        )


def findings(log: str) -> str:
    """The lines of a builder's log that say what is wrong, or its end."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    pattern = re.compile(r"WARNING|ERROR|CRITICAL|Exception|\) broken\b")
    lines = [line for line in plain.splitlines() if pattern.search(line)]
    return "\n".join(lines[:40] or plain.splitlines()[-15:])


def config_without(chapters: list[Chapter] | None) -> Path:
    """A copy of _config.yml under which these chapters (None: all) are rendered without being run."""
    import yaml

    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    execute_settings = config.setdefault("execute", {})
    if chapters is None:
        execute_settings["execute_notebooks"] = "off"
    else:
        execute_settings["exclude_patterns"] = [chapter.path.relative_to(ROOT).as_posix() for chapter in chapters]
    BUILD.mkdir(exist_ok=True)
    path = BUILD / "_config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def stamp_revision() -> None:
    """Write the commit into the first page, so that whoever publishes can see that these are the pages of it."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    revision = git.stdout.strip() if git.returncode == 0 else "none"
    page = FIRST_PAGE.read_text(encoding="utf-8")
    page = re.sub(r'<meta name="revision"[^>]*>\n?', "", page)
    page = page.replace("</head>", f'<meta name="revision" content="{revision}">\n</head>', 1)
    FIRST_PAGE.write_text(page, encoding="utf-8")


def read_text(path: Path) -> str:
    """The text of a file, or nothing if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
