"""A report -> files: Markdown, figures with their numbers, and one HTML page with all of it, which loads nothing."""

import base64
import html
import re
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt

from minbert.files import make_folder, write_text
from minbert.reports.report import Report

FIGURES, TEXT, PAGE = "figures", "report.md", "report.html"
WHOLE = r'<span class="whole">\g<0></span>'
TEMPLATE = Path(__file__).parent / "page.html"


def write_report(report: Report, folder: Path) -> None:
    """Writes report.md, report.html and figures/ (SVG, PNG and CSV each); what stood there under these names goes."""
    text = report.text  # all of it is known before anything is written
    make_folder(folder / FIGURES)
    for plot in report.plots:
        plot.save(folder / FIGURES)
    write_text(folder / TEXT, text)
    write_text(folder / PAGE, page(text, folder))


def page(text: str, folder: Path) -> str:
    """The Markdown as a page of its own, with every figure in it. What is no Markdown of ours stays text."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = _with_figures(_with_whole_intervals(_with_anchors(renderer.render(text))), folder)
    titles = re.findall(r"^# (.+)$", text, re.MULTILINE)
    contents = "".join(f'<li><a href="#{_anchor(title)}">{html.escape(title)}</a></li>' for title in _sections(text))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(titles[0] if titles else "Report"), contents=contents, body=body
    )


def _sections(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.casefold()).strip("-")


def _with_anchors(body: str) -> str:
    """Second headings can be linked to, and wide tables scroll by themselves."""
    body = re.sub(r"<h2>(.*?)</h2>", lambda m: f'<h2 id="{_anchor(html.unescape(m[1]))}">{m[1]}</h2>', body)
    return body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


def _with_whole_intervals(body: str) -> str:
    """An interval in brackets is never broken over two lines, nor are two numbers beside each other."""
    number = "[−+]?[0-9]+[.][0-9]+"
    return re.sub(rf"\({number} to {number}\)|\(no interval\)|{number} / {number}", WHOLE, body)


def _with_figures(body: str, folder: Path) -> str:
    def embedded(found: re.Match[str]) -> str:
        content = base64.b64encode((folder / found[1]).read_bytes()).decode()
        return f'src="data:image/svg+xml;base64,{content}"'

    known = "|".join(re.escape(file.name) for file in sorted((folder / FIGURES).glob("*.svg"))) or "(?!)"
    body = re.sub(rf'src="(figures/(?:{known}))"', embedded, body)
    # An image that a text of the data names is not ours to load: its words stay.
    body = re.sub(r'<img src="(?!data:image/svg)[^"]*" alt="([^"]*)"[^>]*>', r"\1", body)
    return re.sub(r'Numbers: <a href="figures/[^"]*">([^<]*)</a>', r"Numbers: <code>\1</code>", body)
