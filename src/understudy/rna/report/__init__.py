"""What remains of an evaluation of reactivity profiles: a page to open first, figures, tables, numbers.

Importing this package is cheap: matplotlib and jinja2 come with the first report.
"""

from understudy.rna.report.writer import write_profile_report

__all__ = ["write_profile_report"]
