"""The page that a demonstration and an evaluation leave: one HTML file that opens offline."""

from cope_training.evaluation.page.content import Frame, Results, Truth
from cope_training.evaluation.page.write import page_style, write_page

__all__ = ["Frame", "Results", "Truth", "page_style", "write_page"]
