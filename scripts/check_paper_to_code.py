#!/usr/bin/env python3
"""Checks that what docs/paper_to_code.md names exists: files, symbols, tests, commands, settings.

  scripts/check_paper_to_code.py     # prints one line per breach; exit code 1 if there is any

In the table's columns "code" and "test" a link names a file and the `words` after it symbols in it,
or in the other half of its stem (.h, .cpp, .cu); a link whose text is `Suite.Name` names a test of
that file. In "shown by" every `ddpm VERB ... a.b=value` is a command.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/paper_to_code.md"
EQUATIONS, ALGORITHMS = range(1, 27), range(1, 5)

LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)((?:\s+`[^`]+`)*)")
problems = []


def halves(path):
    """The text of a file and of the files that share its stem."""
    files = [path] + [path.with_suffix(s) for s in (".h", ".cpp", ".cu")]
    return "\n".join(f.read_text() for f in dict.fromkeys(files) if f.is_file())


def check_links(cell, line):
    for text, target, symbols in LINK.findall(cell):
        path = (PAGE.parent / target).resolve()
        if not path.is_file():
            problems.append(f"{line}: no file {target}")
            continue
        test = re.fullmatch(r"`(\w+)\.(\w+)`", text)
        if test and not re.search(
            rf"\bTEST(_F|_P)?\(\s*{test[1]},\s*{test[2]}\)", path.read_text()
        ):
            problems.append(f"{line}: {target} has no test {text}")
        if not test and path.relative_to(ROOT).as_posix() != text:
            problems.append(f"{line}: {text} links to {target}")
        for symbol in re.findall(r"`([^`]+)`", symbols):
            if not re.search(rf"\b{re.escape(symbol)}\b", halves(path)):
                problems.append(f"{line}: {text} has no {symbol}")


def check_command(command, line, verbs, keys):
    words = command.split()
    if words[0] != "ddpm" or not any(" ".join(words[1 : 1 + n]) in verbs for n in (1, 2)):
        problems.append(f"{line}: no command '{command}'; there are: {', '.join(sorted(verbs))}")
    for word in words:
        if "=" in word and word.split("=")[0].split(".")[-1] not in keys:
            problems.append(f"{line}: no setting {word}")


def numbers(label):
    """eqs. 17–22 -> 17 .. 22; Algorithms 3, 4 -> 3, 4"""
    found = set()
    for first, last in re.findall(r"(\d+)(?:–(\d+))?", label):
        found.update(range(int(first), int(last or first) + 1))
    return found


def main():
    sources = [p.read_text() for p in (ROOT / "experiments/cli").glob("*.cpp")]
    command = re.compile(r'\bk\w+Command = \{\s*\{"([a-z ]+)",')
    verbs = {name for text in sources for name in command.findall(text)}
    folders = ("diffusion", "experiments", "data", "layers")
    readers = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    keys = {
        key
        for path in readers
        if path.suffix in (".h", ".cpp")
        for key in re.findall(r'\(\s*(?:\w+,\s*)?"([a-z_0-9]+)",', path.read_text())
    }
    equations, algorithms, rows = set(), set(), 0
    for number, text in enumerate(PAGE.read_text().splitlines(), 1):
        line = f"{PAGE.relative_to(ROOT)}:{number}"
        if not text.startswith("| ") or text.startswith("| paper |"):
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", text)[1:-1]]
        if len(cells) != 5:
            problems.append(f"{line}: {len(cells)} columns instead of 5")
            continue
        rows += 1
        label, _, code, test, shown = cells
        if label.startswith("eq"):
            equations |= numbers(label)
        if label.startswith("Algorithm"):
            algorithms |= numbers(label)
        check_links(code, line)
        check_links(test, line)
        if not LINK.search(code) and not code.startswith("none"):
            problems.append(f"{line}: no code, and no word why")
        if LINK.search(code) and not LINK.search(test):
            problems.append(f"{line}: code without a test")
        for command in re.findall(r"`([^`]+)`", shown):
            check_command(command, line, verbs, keys)
    for what, asked, found in (
        ("equation", EQUATIONS, equations),
        ("algorithm", ALGORITHMS, algorithms),
    ):
        for n in set(asked) - found:
            problems.append(f"{PAGE.relative_to(ROOT)}: {what} {n} has no row")
    for problem in problems:
        print(problem)
    print(f"check_paper_to_code: {rows} rows, {len(problems)} breaches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
