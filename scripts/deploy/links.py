"""links.py [DIRECTORY] – links of all documents of git, or below a directory: every file is there and inside, and every anchor is a
heading of the page it names. Nothing is fetched."""

import pathlib
import re
import subprocess
import sys

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


def of_git():
    names = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [ROOT / name for name in names.split()]


def broken(root, pages):
    """What is wrong, and how many links there are."""
    wrong, count = [], 0
    for page in pages:
        for link in links(page):
            count += 1
            path, _, place = link.partition("#")
            to = page.parent / path if path else page
            there = to.exists() and to.resolve().is_relative_to(root)
            if not there or place and (to.is_dir() or place not in anchors(to)):
                wrong.append(f"{page.relative_to(root)} links to {link}, which is not there")
    return wrong, count


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    wrong, count = broken(root, list(root.rglob("*.md")) if len(sys.argv) > 1 else of_git())
    if wrong or not count:
        sys.exit("\n".join(wrong) or f"no document below {root} links to anything")
    print(f"ok: {count} links lead somewhere")


if __name__ == "__main__":
    main()
