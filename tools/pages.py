"""Write the generated parts of the pages from data/*.yml into pages/_generated/.

    python tools/pages.py

`index.md` and `pages/*.md` include these fragments, so run this before the book is rendered. The result depends on the
data files alone: no dates, no order of dictionaries. A fragment whose text did not change is left untouched, so that
the builder does not render its page again.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, Python knows only the folder of this file

from nbhelpers.core.identity import PAGES, REPOSITORY, REVISION, VERSION  # noqa: E402
from nbhelpers.notebook.ledger import OTHER_KINDS, VERDICTS, format_number  # noqa: E402

DATA = ROOT / "data"
GENERATED = ROOT / "pages" / "_generated"

SOURCES = {"article": "Article", "paper": "Paper"}


class DataError(ValueError):
    """A data file does not have the form that its schema asks for."""


def load(name: str, folder: Path = DATA) -> Any:
    """Read `<folder>/<name>.yml` and check it against `<name>.schema.json`, which lies in data/.

    Raises DataError with the file, the place in it and what was expected.
    """
    path = folder / f"{name}.yml"
    if not path.exists():
        raise DataError(f"{path.name} is missing in {folder.name}/. Write it; an empty list is [].")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    schema = json.loads((DATA / f"{name}.schema.json").read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(content))
    if error:
        place = "/".join(str(step) for step in error.absolute_path) or "top"
        raise DataError(f"{path.name}, at {place}: {error.message}. Mend the entry, or the schema beside it.")
    _refuse_repeats(path.name, [item.get("id") or item.get("slug") for item in _entries(content)])
    return content


def _entries(content: Any) -> list[dict]:
    return content["chapters"] if isinstance(content, Mapping) else content


def _refuse_repeats(file: str, names: Iterable[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise DataError(f"{file}: {', '.join(repeated)} stands there more than once. Give each entry its own name.")


# ---------------------------------------------------------------------------------------------------- chapters


def contents(plan: Mapping[str, Any]) -> str:
    """The contents for the welcome page: every part and chapter, finished ones linked, planned ones marked."""
    lines: list[str] = []
    for part in plan["parts"]:
        chapters = [chapter for chapter in plan["chapters"] if chapter["part"] == part["id"]]
        lines += ["::::{div} nb-part", f"**{part['title']}.** {part['about']}", "", ":::{div} nb-chapters"]
        for chapter in chapters:
            lines.append(f"- {_chapter_title(chapter, 'chapters/')}<br>{chapter['settles']}")
        lines += [":::", "::::", ""]
    return "\n".join(lines)


def status(plan: Mapping[str, Any]) -> str:
    """The status page: every chapter as finished or planned, part by part, with the cost of the finished ones."""
    lines = [status_sentence(plan), ""]
    for part in plan["parts"]:
        lines += [f"## {part['title']}", ""]
        for chapter in (c for c in plan["chapters"] if c["part"] == part["id"]):
            lines.append(f"- {_chapter_title(chapter, '../chapters/')}{_cost(chapter)}")
        lines.append("")
    return "\n".join(lines)


def status_sentence(plan: Mapping[str, Any]) -> str:
    """One honest sentence: how many chapters of how many are finished."""
    total = len(plan["chapters"])
    done = [chapter["title"] for chapter in plan["chapters"] if chapter["status"] == "finished"]
    if not done:
        return f"No chapter of {total} is finished yet."
    if len(done) == total:
        return f"All {total} chapters are finished."
    names = f": {_listed([f'*{title}*' for title in done])}" if len(done) <= 3 else ""
    verb = "is" if len(done) == 1 else "are"
    count = _in_words(len(done)).capitalize()
    return f"{count} of {total} chapters {verb} finished{names}. The others are planned and have no page yet."


def _chapter_title(chapter: Mapping[str, Any], folder: str) -> str:
    if chapter["status"] == "finished":
        return f"[{chapter['title']}]({folder}{chapter['slug']}.ipynb)"
    return f'{chapter["title"]} <span class="nb-tag">planned</span>'


def _cost(chapter: Mapping[str, Any]) -> str:
    if chapter["status"] != "finished":
        return ""
    quick, full = (_minutes(chapter["minutes"][preset]) for preset in ("quick", "full"))
    return (
        f' <span class="nb-tag nb-tag-good">finished</span><br>'
        f"Runs in about {quick} (quick preset) or {full} (full), in {chapter['memory_gb']:g} GB of memory."
    )


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{round(60 * minutes)} seconds"
    return f"{minutes:g} minute" + ("" if minutes == 1 else "s")


# --------------------------------------------------------------------------------------------------- addresses


def colab(plan: Mapping[str, Any]) -> str:
    """Links that open the finished chapters on Colab at this revision."""
    return "\n".join(
        f"- [{chapter['title']}]({colab_address(chapter['slug'])})"
        for chapter in plan["chapters"]
        if chapter["status"] == "finished"
    )


def colab_address(slug: str) -> str:
    """Address that opens chapters/<slug>.ipynb on Colab at the book's own tag."""
    path = REPOSITORY.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{path}/blob/{REVISION}/chapters/{slug}.ipynb"


def report() -> str:
    """Where to report a fault."""
    return (
        f"Open an issue at [{REPOSITORY.removeprefix('https://')}/issues]({REPOSITORY}/issues). Name the chapter and "
        "the cell, and paste the provenance line that the chapter's set-up prints: it says which preset, device and "
        "versions were used."
    )


def cite() -> str:
    """How to cite this version."""
    return (
        f"> The Nested Learning book authors. *Nested Learning, Step by Step*, version {VERSION}. <{PAGES}>\n\n"
        f"The file [CITATION.cff]({REPOSITORY}/blob/{REVISION}/CITATION.cff) holds the same for reference managers."
    )


# ------------------------------------------------------------------------------------------------------ claims


def claims(entries: list[dict], titles: Mapping[str, str]) -> str:
    """The ledger as cards, chapter by chapter. `titles` maps a chapter's slug to its title, in reading order."""
    unknown = sorted({entry["chapter"] for entry in entries} - set(titles))
    if unknown:
        raise DataError(f"claims.yml names the chapters {', '.join(unknown)}, which data/chapters.yml does not have.")
    lines = [claims_sentence(entries), ""]
    for slug, title in titles.items():
        here = [entry for entry in entries if entry["chapter"] == slug]
        if here:
            lines += [f"## {title}", "", f"Tested in [{title}](../chapters/{slug}.ipynb).", ""]
            for entry in here:
                lines += _claim(entry)
    return "\n".join(lines)


def claims_sentence(entries: list[dict]) -> str:
    """How many claims got which verdict."""
    if not entries:
        return "No claim is listed yet."
    counts = Counter(_verdict(entry) for entry in entries)
    labels = (*VERDICTS, "not measured yet", "without a verdict")
    parts = [f"{counts[label]} {_agree(label, counts[label])}" for label in labels if counts[label]]
    return f"{len(entries)} claim{'s' if len(entries) > 1 else ''} so far: {_listed(parts)}."


def _agree(label: str, count: int) -> str:
    """The label as it reads after a number: "1 holds" but "2 hold"."""
    if not label.startswith(("holds", "does")):
        return f"is {label}" if count == 1 else f"are {label}"
    return label if count == 1 else label.replace("holds", "hold").replace("does", "do")


def _verdict(entry: Mapping[str, Any]) -> str:
    if entry["verdict"]:
        return entry["verdict"]
    return "without a verdict" if entry["kind"] in OTHER_KINDS else "not measured yet"


def _claim(entry: Mapping[str, Any]) -> list[str]:
    verdict = _verdict(entry)
    mark = verdict.replace(" ", "-") if entry["verdict"] else "none"
    where = f", {_prose(entry['where'])}" if entry.get("where") else ""
    lines = [
        f"(claim-{entry['id'].replace('/', '-')})=",
        f"::::{{div}} nb-claim nb-verdict nb-verdict-{mark}",
        f'<span class="nb-verdict-label">{verdict.capitalize()}</span>',
        "",
        f"**{_prose(entry['claim'])}**",
        "",
        f"{SOURCES.get(entry['source'], entry['source'])}{where}. Kind: {entry['kind']}.",
        "",
    ]
    if entry.get("value") is not None:
        lines += [f"Measured: {_measured(entry)}.", ""]
    if entry.get("evidence"):
        lines += [_prose(entry["evidence"]), ""]
    if entry.get("metric"):
        lines += ["<details><summary>How it is tested</summary>", "", _prose(entry["metric"], _names(entry)), ""]
        lines += [*_criterion(entry), "", "</details>", ""]
    return [*lines, "::::", ""]


def _criterion(entry: Mapping[str, Any]) -> list[str]:
    criterion = entry.get("criterion")
    if not criterion:
        return []
    if "untestable" in criterion:
        return [f"Not testable at this scale: {_prose(criterion['untestable'])}"]
    labels = {"holds": "Holds if", "conditions": "Holds under conditions if"}
    seeds = entry.get("seeds")
    runs = [f"- Random seeds: {seeds}"] if seeds else []
    return [f"- {labels[name]} `{rule}`" for name, rule in criterion.items()] + runs


def _names(entry: Mapping[str, Any]) -> set[str]:
    """The names of the numbers that the entry measures, as its criterion and its value use them."""
    criterion = entry.get("criterion") or {}
    rules = " ".join(rule for name, rule in criterion.items() if name != "untestable")
    return set(re.findall(r"[a-z][a-z_0-9]+", rules)) - {"and"} | set(entry.get("value") or {})


def _measured(entry: Mapping[str, Any]) -> str:
    spread = entry.get("spread") or {}
    return ", ".join(f"`{name}` {_number(number)}{_range(spread.get(name))}" for name, number in entry["value"].items())


def _range(spread: list[float] | None) -> str:
    return "" if spread is None else f" ({_number(spread[0])} to {_number(spread[1])} over seeds)"


def _number(number: float) -> str:
    """The number as chapters print it, with a true minus sign and powers of ten set as such."""
    text = format_number(number)
    power = re.search(r"([0-9.]+)e([+-][0-9]+)$", text)
    if not power:
        return text.replace("-", "−")
    factor = "" if power[1] == "1" else rf"{power[1]} \cdot "
    return text[: power.start()] + f"${factor}10^{{{int(power[2])}}}$"


# ------------------------------------------------------------------------------------------------------ errata


def errata(entries: list[dict], titles: Mapping[str, str]) -> str:
    """The errata as blocks: what is printed, what is wrong with it, what holds, and the check that shows both."""
    if not entries:
        return "No erratum is listed yet."
    unknown = sorted({entry["chapter"] for entry in entries} - set(titles))
    if unknown:
        raise DataError(f"errata.yml names the chapters {', '.join(unknown)}, which data/chapters.yml does not have.")
    lines: list[str] = []
    for slug, title in titles.items():
        here = [entry for entry in entries if entry["chapter"] == slug]
        if here:
            lines += [f"## {title}", ""]
            for entry in here:
                lines += _erratum(entry, title)
    return "\n".join(lines)


def _erratum(entry: Mapping[str, Any], title: str) -> list[str]:
    where = f", {_prose(entry['where'])}"
    lines = [
        f"(erratum-{entry['id'].replace('/', '-')})=",
        "::::{div} nb-claim nb-erratum",
        f"**{SOURCES.get(entry['source'], entry['source'])}{where}**",
        "",
        "Printed:",
        "",
        f"$$\n{entry['printed'].strip()}\n$$",
        "",
        _prose(entry["wrong"]),
        "",
    ]
    lines += ["Holds:", "", f"$$\n{entry['corrected'].strip()}\n$$", ""]
    if entry.get("check"):
        lines.append(f"Checked in [{title}](../chapters/{entry['chapter']}.ipynb), check “{entry['check']}”.")
    return [*lines, "", "::::", ""]


# -------------------------------------------------------------------------------------------------------- text


def _prose(text: str, names: Iterable[str] = ()) -> str:
    """One line of Markdown: the given names and words with an underscore set as code, stray marks made harmless."""
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    marks = re.compile(rf"\b(?:{'|'.join([*longest_first, '[a-zA-Z0-9]+_[a-zA-Z0-9_]*'])})(?!\w)")
    pieces = re.split(r"(`[^`]*`|\$[^$]*\$)", " ".join(text.split()))  # every second one is code or maths already
    for index in range(0, len(pieces), 2):
        harmless = pieces[index].replace("*", r"\*").replace("<", "&lt;")
        pieces[index] = marks.sub(lambda found: f"`{found[0]}`", harmless)
    return "".join(pieces)


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _in_words(number: int) -> str:
    words = "zero one two three four five six seven eight nine ten eleven twelve".split()
    return words[number] if number < len(words) else str(number)


def fragments(folder: Path = DATA) -> dict[str, str]:
    """Every fragment by file name, built from the data files in `folder`."""
    plan = load("chapters", folder)
    parts = {part["id"] for part in plan["parts"]}
    lost = [chapter["slug"] for chapter in plan["chapters"] if chapter["part"] not in parts]
    if lost:
        raise DataError(f"chapters.yml: {', '.join(lost)} name a part that is not listed under `parts`.")
    titles = {chapter["slug"]: chapter["title"] for chapter in plan["chapters"]}
    return {
        "contents.md": contents(plan),
        "status-sentence.md": status_sentence(plan),
        "status.md": status(plan),
        "colab.md": colab(plan),
        "report.md": report(),
        "cite.md": cite(),
        "claims.md": claims(load("claims", folder), titles),
        "errata.md": errata(load("errata", folder), titles),
    }


def write(texts: Mapping[str, str], folder: Path = GENERATED) -> list[Path]:
    """Write the fragments that changed into `folder` and remove those that no longer exist. Returns what it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("*.md")) - {folder / name for name in texts}:
        stale.unlink()
    written = []
    for name, text in sorted(texts.items()):
        path = folder / name
        new = text.rstrip("\n") + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != new:
            path.write_text(new, encoding="utf-8")
            written.append(path)
    return written


def main() -> int:
    """Write all fragments. Returns the exit status: 1 with one clear line if a data file is wrong."""
    try:
        written = write(fragments())
    except DataError as error:
        print(f"pages: {error}", file=sys.stderr)
        return 1
    print(f"pages: {len(written)} fragments written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
