"""From a page's values to one HTML file that loads nothing: the templates and styles lie beside this file."""

from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

_FILES = jinja2.PackageLoader("ehrsynth.report")
_TEMPLATES = jinja2.Environment(
    loader=_FILES,
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
STYLE = "page.css"


def rendered(template: str, page: Mapping[str, Any], *, styles: tuple[str, ...] = (STYLE,)) -> str:
    """A page as HTML.

    Parameters
    ----------
    template
        The name of its file.
    page
        What the template asks for, as `page`; a name that is absent is an error.
    styles
        Files of CSS, the later ones on top; they stand in the page itself.
    """
    css = "".join(_FILES.get_source(_TEMPLATES, name)[0] for name in styles)
    return _TEMPLATES.get_template(template).render(page={**page, "css": Markup(css)})  # noqa: S704 - our own files
