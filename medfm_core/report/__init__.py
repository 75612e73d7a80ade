"""The results as files: tables for programs, one page for people."""

from medfm_core.report.findings_csv import findings_csv
from medfm_core.report.page import render_html
from medfm_core.report.tables import labels_json, manifest, measurements_csv, to_json

__all__ = ["findings_csv", "labels_json", "manifest", "measurements_csv", "render_html", "to_json"]
