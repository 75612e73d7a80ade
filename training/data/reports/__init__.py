"""Reports taken apart into statements on organs, by rules or by a language model."""

from training.data.reports.results import ParsedReport, ReportFinding, ReportSentence
from training.data.reports.rules import parse_report

__all__ = ["ParsedReport", "ReportFinding", "ReportSentence", "parse_report"]
