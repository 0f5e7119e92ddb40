"""Links of all documents: every file is there, and every anchor is a heading of the page it names. Nothing is fetched."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = re.compile(r"^```.*?^```", re.S | re.M)


def anchor(heading):
    """As the forges make it: text of links only, lower case, blanks to dashes, everything else but letters and digits away."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page):
    seen = {}
    for heading in re.findall(r"^#{1,6} (.*)", CODE.sub("", page.read_text()), re.M):
        name = anchor(heading)
        count = seen[name] = seen.get(name, -1) + 1
        yield name if count == 0 else f"{name}-{count}"


def links(page):
    text = re.sub(r"`[^`\n]*`", "", CODE.sub("", page.read_text()))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def broken():
    """What is wrong, and how many links there are."""
    names = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    wrong, count = [], 0
    for page in (ROOT / name for name in names.split()):
        for link in links(page):
            count += 1
            path, _, place = link.partition("#")
            to = page.parent / path if path else page
            if not to.exists() or place and (to.is_dir() or place not in anchors(to)):
                wrong.append(f"{page.relative_to(ROOT)} links to {link}, which is not there")
    return wrong, count
