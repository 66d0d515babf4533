"""What remains of an evaluation: CSV files, figures, loss tables, metrics and a page to open first.

Importing this package is cheap: matplotlib and jinja2 come with the first report.
"""

from understudy.core.facts import RunFacts
from understudy.report.verdict import verdict
from understudy.report.writer import write_report

__all__ = ["RunFacts", "verdict", "write_report"]
