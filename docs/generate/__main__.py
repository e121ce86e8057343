"""``make docs``: write every generated page and file anew. ``tests/test_generated_docs.py`` fails if one is stale."""

from docs.generate.pages import PAGES, ROOT

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
        print(name)  # noqa: T201
